#!/usr/bin/env python3
"""The judge of the demo: it believes neither drctl nor the application, but what the users see.

    check.py resolve WORLD       the name server knows the service's name
    check.py where WORLD         the region that the name leads to
    check.py answers WORLD N     the users have N good answers, the last of them just now
    check.py tree DIR            one digest over everything in a directory (names, sizes, times, bytes)
    check.py served WORLD        every file, read through the front door, is as the manifest of the
                                 sentinel, read through the front door, says; result in judge.json
    check.py times WORLD REPORT  drctl's recovery time and data loss against the users' own log
    check.py goes-on WORLD       the new region answers with newer rounds than were restored
    check.py pruned RESULT       what "drctl prune --json" deleted; 1 when that is nothing
    check.py restored JOURNAL L  the snapshot that a run chose is an incremental in L, "drctl snapshots --json"
    check.py ran WORLD REGION KIND NS   a job of the region's backupd for 'app' began after NS and ended well
    check.py well WORLD STATUS   "drctl status --json" shows three backupd at work, and a fresh snapshot in all buckets
    check.py lost WORLD STATUS REGION NS   ... one of them silent, the application in REGION, whose backupd took a
                                 snapshot after NS, and what each bucket is worth
    check.py told WORLD KEY      a backupd of another region than the lost one sent a letter about KEY
    check.py blame JOURNAL       which part a run broke at, and drctl's own words: "PART: WORDS"

WORLD is the demo's directory, with the settings in world.env. Exit code 0: so it is; 1: it is not,
and stderr says why; 2: cannot tell.
"""
import calendar
import hashlib
import json
import os
import re
import signal
import sys
import time

from load import Bad, get, resolve

NAME = "app.demo.test"
BACKUPS = ("full", "incremental", "config")
PARTS = {"region.pick": "standby", "fence": "fence", "backup.pick": "restore", "backup.restore": "restore",
         "haproxy": "lb", "powerdns": "dns"}


class World:
    """The demo's directory, its settings, and its front door."""

    def __init__(self, root):
        self.root = root
        with open(os.path.join(root, "world.env"), encoding="utf-8") as f:
            pairs = (line.removeprefix("export ").rstrip("\n").partition("=") for line in f)
            self.env = {key: value.strip("'") for key, _, value in pairs}
        self.resolver = "127.0.0.1:" + self.env["DNS_PORT"]
        self.port = int(self.env["FRONT_PORT"])
        self.probe_s = int(self.env["PROBE_MS"]) / 1000

    def address(self):
        return resolve(NAME, self.resolver)

    def fetch(self, path):
        status, body = get(NAME, self.address(), self.port, path, timeout=10)
        if status != 200:
            raise Bad("%s: status %d" % (path, status))
        return body

    def outside(self, name):
        return os.path.join(self.root, "outside", name)

    def answers(self):
        """The users' log; a last line that is still being written is left out."""
        with open(self.outside("load.jsonl"), encoding="utf-8") as f:
            return [json.loads(line) for line in f if line.endswith("\n")]

    def judged(self):
        with open(self.outside("judge.json"), encoding="utf-8") as f:
            return json.load(f)


def wrong(text, *args):
    raise SystemExit("check: " + (text % args))


def time_ns(text):
    m = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z", text)
    if not m:
        wrong("'%s' is not a time", text)
    return calendar.timegm(time.strptime(m[1], "%Y-%m-%dT%H:%M:%S")) * 10**9 + int((m[2] or "").ljust(9, "0"))


def read_sentinel(text):
    when, seq, manifest = text.split("\n")[0].split()
    return {"time": when, "seq": int(seq.removeprefix("seq=")), "manifest": manifest.removeprefix("manifest=")}


def is_good(answer):
    return answer["status"] == 200 and "why" not in answer


def check_resolve(world):
    world.address()


def check_where(world):
    """The region whose address the name leads to."""
    regions = {"127.0.1.1": "us-east-1", "127.0.1.2": "eu-west-1", "127.0.1.3": "ap-southeast-1"}
    print(regions[world.address()])


def check_answers(world, count):
    good = [a for a in world.answers() if is_good(a)]
    if len(good) < int(count) or time.time_ns() - good[-1]["end"] > 10**9:
        wrong("%d good answers", len(good))


def check_tree(root):
    total = hashlib.sha256()
    for folder, folders, names in sorted(os.walk(root)):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(folder, name)
            info = os.lstat(path)
            with open(path, "rb") as f:
                content = hashlib.sha256(f.read()).hexdigest()
            total.update(("%s %d %d %s\n" % (path, info.st_size, info.st_mtime_ns, content)).encode())
    print(total.hexdigest())


def manifests(world):
    """digest of a manifest -> its file; the name begins with the round's number."""
    folder = world.outside("manifests")
    return {name: os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".sha256")}


def find_manifest(world, sentinel):
    for name, path in manifests(world).items():
        if int(name.split(".")[0]) == sentinel["seq"]:
            with open(path, "rb") as f:
                content = f.read()
            if hashlib.sha256(content).hexdigest() == sentinel["manifest"]:
                return [line.split("  ", 1) for line in content.decode().splitlines()]
    return wrong("nobody ever wrote the manifest of seq %d that the sentinel names", sentinel["seq"])


def check_served(world):
    sentinel = read_sentinel(world.fetch("/sentinel").decode())
    listed = find_manifest(world, sentinel)
    total = 0
    for digest, name in listed:
        body = world.fetch("/" + name)
        total += len(body)
        if hashlib.sha256(body).hexdigest() != digest:
            wrong("'%s' as served is not what the manifest of seq %d says", name, sentinel["seq"])
    if read_sentinel(world.fetch("/sentinel").decode()) != sentinel:
        wrong("the sentinel changed while it was judged")
    sentinel.update(files=len(listed), bytes=total, address=world.address())
    with open(world.outside("judge.json"), "w", encoding="utf-8") as f:
        json.dump(sentinel, f)
    print("%d files, %.1f MiB through %s: each as the manifest of seq %d, written %s, says"
          % (len(listed), total / (1 << 20), sentinel["address"], sentinel["seq"], sentinel["time"]))


def known_digests(world):
    """Everything that the application ever wrote: sealed rounds, and what it announced in one that died."""
    known = {}
    for path in [*manifests(world).values(), world.outside("manifests/announced")]:
        with open(path, encoding="ascii") as f:
            for line in f:
                digest, found, name = line.rstrip("\n").partition("  ")
                if found and line.endswith("\n"):  # else its writer was killed on it
                    known.setdefault("/" + name, set()).add(digest)
    return known


def window(world):
    """What the users saw: (last good, first bad, last bad, first good again), in ns; the log is in order."""
    answers = world.answers()
    bad = [i for i, a in enumerate(answers) if not is_good(a)]
    if not bad:
        wrong("the users saw no error at all")
    if bad[0] == 0 or bad[-1] + 1 >= len(answers):
        wrong("the users' log has no good answer before and after the errors")
    known = known_digests(world)
    for a in answers:
        if is_good(a) and a["path"] != "/sentinel" and a["sha256"] not in known[a["path"]]:
            wrong("a user was given a '%s' that the application never wrote", a["path"])
    return (answers[bad[0] - 1]["start"], answers[bad[0]]["start"], answers[bad[-1]]["start"],
            answers[bad[-1] + 1]["start"], len(bad))


def figure(report, name):
    """lo and hi of one of drctl's figures, in seconds; both must have been measured."""
    f = report[name]
    if f.get("lo_ms") is None or f.get("hi_ms") is None:
        wrong("drctl did not measure %s: %s", name, f.get("why"))
    return f["lo_ms"] / 1000, f["hi_ms"] / 1000


def check_times(world, report_path):
    """Prints "rto=SECONDSs rpo=SECONDSs"; the reasoning goes to stderr."""
    with open(report_path, encoding="utf-8") as f:
        report = json.load(f)
    with open(world.outside("killed"), encoding="ascii") as f:
        killed = [int(line) / 1e9 for line in f]
    last_good, first_bad, last_bad, good_again, count = window(world)
    seen = time_ns(world.judged()["time"]) / 1e9
    rto, rpo = figure(report, "recovery_time"), figure(report, "data_loss")
    broke, back = report["impact"], report["recovered"]
    began, ended = time_ns(broke["from"]) / 1e9, time_ns(back["to"]) / 1e9
    gap = world.probe_s
    dark, longest = (last_bad - first_bad) / 1e9, (good_again - last_good) / 1e9
    loss = [k - seen for k in killed]

    def tell(text, *args):
        print("       " + text % args, file=sys.stderr)

    tell("users: %d bad answers over %.2f s, at most %.2f s dark; drctl: recovery %.2f to %.2f s",
         count, dark, longest, *rto)
    tell("users: %.2f s of writes lost, by the sentinel they are served; drctl: data loss %.2f to %.2f s",
         loss[0], *rpo)
    if first_bad / 1e9 < began - gap or last_bad / 1e9 > ended + gap:
        wrong("the users' errors (%.3f to %.3f) are not within drctl's (%.3f to %.3f) and one probe interval",
              first_bad / 1e9, last_bad / 1e9, began, ended)
    if dark > rto[1] + gap or longest < rto[0] - gap:
        wrong("recovery time %.3f to %.3f s is not what the users saw: %.3f to %.3f s", *rto, dark, longest)
    if loss[1] < rpo[0] or loss[0] > rpo[1]:
        wrong("data loss %.3f to %.3f s is not %.3f s", *rpo, loss[0])
    print("rto=%.2fs rpo=%.2fs" % (sum(rto) / 2, sum(rpo) / 2))


def check_goes_on(world):
    judged = world.judged()
    now = read_sentinel(world.fetch("/sentinel").decode())
    address = world.address()
    if now["seq"] <= judged["seq"] or now["manifest"] == judged["manifest"]:
        wrong("no new round: still seq %d", now["seq"])
    find_manifest(world, now)
    print("%s answers with seq %d; seq %d was restored" % (address, now["seq"], judged["seq"]))


def check_pruned(path):
    with open(path, encoding="utf-8") as f:
        told = json.load(f)
    packs = sum(b["packs"] for b in told["freed"])
    size = sum(b["bytes"] for b in told["freed"])
    if told["expired"] == 0 or packs == 0:
        wrong("%d snapshots expired, %d packs freed", told["expired"], packs)
    print("%d snapshots forgotten and pruned away: %d packs, %.1f MiB freed in %d buckets"
          % (told["expired"], packs, size / 2**20, len(told["freed"])))


def check_restored(journal, listed):
    with open(listed, encoding="utf-8") as f:
        kinds = {s["id"]: s["kind"] for s in json.load(f)}
    with open(journal, encoding="utf-8") as f:
        bodies = [json.loads(line)["body"] for line in f]
    chosen = [b["outputs"]["id"] for b in bodies if b.get("step") == "snapshot" and "id" in b.get("outputs", {})]
    if not chosen or kinds.get(chosen[-1]) != "incremental":
        wrong("what was restored, %s, is of kind %s", chosen[-1:], kinds.get(chosen[-1]) if chosen else None)


def check_ran(world, region, kind, since):
    """By what backupd itself remembers."""
    with open(os.path.join(world.root, "regions", region, "state", "schedule.json"), encoding="utf-8") as f:
        rows = [r for r in json.load(f)["rows"] if r["what"] == kind and r["subject"] == "app"]
    if not rows or rows[0]["start_ns"] < int(since) or rows[0]["end_ns"] < rows[0]["start_ns"] \
            or rows[0]["exit"] not in (0, 8):
        wrong("no %s of 'app' since then: %s", kind, rows)


def read_status(path):
    """The parts of a view by their names."""
    with open(path, encoding="utf-8") as f:
        view = json.load(f)
    parts = {part: {o["name"]: o for o in view[part]} for part in ("sites", "sources", "buckets")}
    parts["findings"] = {f["key"]: f for f in view["findings"]}
    return parts


def check_site(view, name, probes):
    site = view["sites"][name]
    if site["state"] != "alive":
        wrong("the backupd of %s is %s", name, site["state"])
    seen = {p["name"]: p["state"] for p in site["probes"]}
    if seen != probes:
        wrong("%s asks %s, not %s", name, seen, probes)
    # A prune is refused while a bucket is missing, and must be.
    bad = [j for j in site["jobs"] if j["what"] in BACKUPS and j["exit"] not in (None, 0, 8)]
    if bad:
        wrong("backups of %s went wrong: %s", name, bad)


def check_source(view, region, copies):
    """The newest snapshot of the application, which lives in that region."""
    source = view["sources"]["app"]
    if source["region"] != region or source["newest"] is None or source["newest"]["age_s"] > 20:
        wrong("'app' lives in %s, its newest is %s", source["region"], source["newest"])
    if source["copies"] < copies:
        wrong("%d copies of the newest, not %d", source["copies"], copies)
    for bucket in view["buckets"].values():
        loss = [x for x in bucket["if_region_died"] if x["source"] == "app"]
        there = bucket["region"] == region
        if len(loss) != 1 or loss[0]["lives_there"] != there or loss[0]["loss_s"] is None or loss[0]["loss_s"] > 20:
            wrong("bucket %s says that with its region would be lost: %s", bucket["name"], loss)
    return source["newest"]


def check_well(world, status):
    view = read_status(status)
    home = world.env["HOME_REGION"]
    for name in view["sites"]:
        check_site(view, name, {} if name == home else {"app": "up"})
    check_source(view, home, 2)
    critical = [k for k, f in view["findings"].items() if f["severity"] == "critical"]
    if critical:
        wrong("something is critical: %s", critical)


def check_lost(world, status, region, since):
    view = read_status(status)
    home = world.env["HOME_REGION"]
    if view["sites"][home]["state"] != "silent" or view["findings"]["silent/" + home]["severity"] != "critical":
        wrong("the backupd of %s is %s", home, view["sites"][home]["state"])
    for name in view["sites"]:
        if name != home:
            check_site(view, name, {"app": "up"})
    states = {b["region"]: b["state"] for b in view["buckets"].values()}
    if states != {name: "unreachable" if name == home else "ok" for name in view["sites"]}:
        wrong("the buckets are %s", states)
    newest = check_source(view, region, 2)
    began = [time_ns(j["last_start"]) for j in view["sites"][region]["jobs"]
             if j["source"] == "app" and j["what"] in BACKUPS and j["last_start"]]
    if time_ns(newest["started_at"]) + 10**9 < int(since) or not began or max(began) + 10**9 < int(since):
        wrong("no snapshot by %s since then: the newest is %s", region, newest)
    print("%s is silent for %d s; 'app' lives in %s, whose backupd took %s"
          % (home, view["sites"][home]["age_s"], region, newest["id"]))


def check_told(world, key):
    with open(world.outside("letters"), encoding="utf-8") as f:
        letters = [line.split(" ", 4) for line in f if line.endswith("\n")]
    for region, kind, severity, about, title in letters:
        if region != world.env["HOME_REGION"] and (kind, severity, about) == ("raised", "critical", key + ":"):
            print("the backupd of %s sent a letter: %s" % (region, title.strip()))
            return
    wrong("no letter about %s: %s", key, letters)


def check_blame(journal):
    failed, standbys, uses, last = None, [], {}, ""
    with open(journal, encoding="utf-8") as f:
        for line in f:
            record = json.loads(line)
            body, kind = record["body"], record["type"]
            if kind == "start":
                uses = {s["id"]: s["use"] for s in body["steps"]}
            if kind == "standby":
                standbys.append("%s: %s" % (body["region"], body.get("why") or "ready"))
            if body.get("state") in ("failed", "unknown") and kind in ("outcome", "check"):
                use = uses[body["step"]]
                # When no standby is left after a fall-through, the cause is what failed on the last one.
                if use != "region.pick" or failed is None:
                    failed = (use, body["step"], body.get("why") or "no reason given")
            last = body.get("why") or last
    if failed is None:
        print("none: " + last)
        sys.exit(2)
    use, step, why = failed
    part = PARTS.get(use) or ("verify" if use.endswith(".check") else step)
    if part == "standby" and standbys and standbys[0] not in why:
        why += " (" + "; ".join(standbys) + ")"
    print("%s: %s" % (part, " ".join(why.split())))


def main():
    checks = {"resolve": check_resolve, "where": check_where, "answers": check_answers, "served": check_served,
              "times": check_times, "goes-on": check_goes_on, "ran": check_ran, "well": check_well,
              "lost": check_lost, "told": check_told}
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    verb, first, rest = sys.argv[1], sys.argv[2], sys.argv[3:]
    try:
        if verb == "tree":
            check_tree(first)
        elif verb == "pruned":
            check_pruned(first)
        elif verb == "restored":
            check_restored(first, *rest)
        elif verb == "blame":
            check_blame(first)
        else:
            checks[verb](World(first), *rest)
    except (Bad, OSError, ValueError, KeyError) as e:
        wrong("%s", e)


if __name__ == "__main__":
    main()
