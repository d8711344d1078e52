#!/usr/bin/env python3
"""s3.py - drctl on real S3 servers, one a region, all on this machine; `make bench-s3` calls it.

    s3-first-SET     a full backup into one bucket, into two, into three, and into three of which one is dead
    s3-restore-SET   a restore, beside plain parallel ranged GETs of the same objects into nothing

restic stands beside both, on the same server. Each run has servers that were just started (their objects lie in
memory), so no run pays for another's. Servers and clients share the processors: the time of a further bucket
holds the further server's work as well; the client's own is the processor time beside it. SERVER=plain takes a
plain HTTP server in place of radosgw, which costs next to nothing (and does not check restic's signatures).
SPLIT=1 gives the servers the last processor and the clients the others, as if they were other machines.
LINE=1gbit puts a line of that speed between them (a network namespace of its own, as root): loopback is faster than
any disk, so what a restore makes of a line cannot be seen without one.
"""
import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

import stats
from world import Failed, World

KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
RANGE = 8 << 20
PARALLEL = 8
FIRST = ["restic", "one", "two", "three", "dead"]
RESTORE = ["restic", "drctl", "gets"]
JOBS = {"s3-first-src": ("first", "SRC"), "s3-first-big": ("first", "BIG"),
        "s3-restore-src": ("restore", "SRC"), "s3-restore-big": ("restore", "BIG"),
        "s3-first-conf": ("first", "CONF"), "s3-restore-conf": ("restore", "CONF")}
DEFAULT = "s3-first-src s3-restore-src s3-restore-big"
# (kind, side, compared with, goal)
GOALS = [("first", "two", "one", 1.15), ("first", "three", "one", 1.15), ("first", "dead", "two", 1.05),
         ("restore", "drctl", "gets", 1 / 0.8)]


class Servers:
    """Three regions by the program testserver; a `with` block is their life."""

    def __init__(self, program, directory, count):
        self.program, self.dir, self.count, self.env = program, directory, count, {}

    def __enter__(self):
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.dir)
        words = [self.program, os.environ.get("SERVER") or "radosgw", self.dir, str(self.count)]
        if os.environ.get("SPLIT"):
            words = ["taskset", "-c", str(os.cpu_count() - 1), *words]
        self.child = subprocess.Popen(words, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._answer()
        self.say("env")
        os.environ[KEYS[0]], os.environ[KEYS[1]] = self.env["S3_OWNER_KEY"], self.env["S3_OWNER_SECRET"]
        for number in range(1, self.count + 1):
            self.say(f"bucket {number} bench plain")
        return self

    def __exit__(self, *_):
        self.child.stdin.close()
        self.child.wait()

    def say(self, words):
        self.child.stdin.write(words + "\n")
        self.child.stdin.flush()
        self._answer()

    def _answer(self):
        for line in self.child.stdout:
            line = line.strip()
            if line == "ok":
                return
            name, _, value = line.partition("=")
            if not name.startswith("S3_"):
                break
            self.env[name] = value.strip("'")
        raise Failed("an S3 server did not do what it was told")

    def url(self, number):
        return self.env[f"S3_{number}_HTTP"]


def configure(world, servers, name, buckets, dead):
    """drctl's configuration for so many buckets; a dead one is at a port where nobody listens."""
    home = world.path("repos", "s3")
    shutil.rmtree(home, ignore_errors=True)
    os.makedirs(home)
    path = os.path.join(home, "dr.yaml")

    def write(urls):
        rows = "".join(f"  - {{name: b{i}, region: r{i}, url: \"s3://bench?endpoint={url}\", "
                       "credentials: environment}\n" for i, url in enumerate(urls, 1))
        with open(path, "w", encoding="utf-8") as f:
            f.write(f"sources:\n  - {{name: bench, path: \"{world.tree(name)}\"}}\nbuckets:\n{rows}"
                    f"state_dir: \"{home}/state\"\n")

    urls = [servers.url(i) for i in range(1, buckets + 1)]
    write(urls)
    words = [ARGS.drctl, "-q", "-c", path]
    subprocess.run([*words, "init"], check=True, stdout=subprocess.DEVNULL)
    if dead:
        servers.say(f"kill {buckets}")
    return words


def restic_words(servers):
    return ["restic", "-q", "--no-cache", "-r", f"s3:{servers.url(1)}/bench/restic"]


def s3_list(servers, prefix):
    """[(key, size)] below PREFIX in the first bucket."""
    found, token = [], ""
    while True:
        query = (f"continuation-token={token}&" if token else "") + f"list-type=2&prefix={prefix}"
        out = subprocess.run(["curl", "-sf", *signed(), f"{servers.url(1)}/bench?{query}"], check=True,
                             stdout=subprocess.PIPE, text=True).stdout
        for key, size in re.findall(r"<Key>([^<]*)</Key>.*?<Size>(\d+)</Size>", out, re.S):
            found.append((key, int(size)))
        more = re.search(r"<NextContinuationToken>([^<]*)<", out)
        if not more:
            return found
        token = more.group(1)


def signed():
    return ["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", ":".join(os.environ[key] for key in KEYS),
            "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]


def gets(world, servers):
    """curl's words for all packs in ranges, several at once, into nothing."""
    path = world.path("gets.conf")
    blocks = []
    for key, size in s3_list(servers, "packs%2F"):
        for at in range(0, size, RANGE):
            blocks.append(f"url = \"{servers.url(1)}/bench/{key}\"\nrange = {at}-{min(at + RANGE, size) - 1}\n"
                          "output = /dev/null\naws-sigv4 = \"aws:amz:us-east-1:s3\"\n"
                          f"user = \"{':'.join(os.environ[key] for key in KEYS)}\"\n"
                          "header = \"x-amz-content-sha256: UNSIGNED-PAYLOAD\"\n")
    if not blocks:
        raise Failed("there is no pack to get")
    with open(path, "w", encoding="utf-8") as f:
        f.write("next\n".join(blocks))
    return ["curl", "-sf", "--parallel", "--parallel-immediate", "--parallel-max", str(PARALLEL), "-K", path]


def sides_of(kind):
    """PEERS=none leaves restic out: it waits long for radosgw's answers."""
    return (FIRST if kind == "first" else RESTORE)[os.environ.get("PEERS") == "none":]


def first(world, name, side):
    """One full backup; exit 9 (degraded) and 8 are what a dead bucket has to give."""
    buckets = {"one": 1, "two": 2}.get(side, 3)
    with Servers(ARGS.testserver, world.path("s3"), 1 if side == "restic" else buckets) as servers:
        world.warm(world.tree(name))
        if side == "restic":
            words = restic_words(servers)
            subprocess.run([*words, "init"], check=True, stdout=subprocess.DEVNULL)
            return world.measure([*words, "backup", world.tree(name)])
        words = configure(world, servers, name, buckets, side == "dead")
        good = "8|9" if side == "dead" else "0"
        return world.measure(["bash", "-c", f'"$@"; case $? in {good}) ;; *) exit 1 ;; esac', "bash", *words,
                              "backup", "--kind", "full"])


def restore(world, name):
    """{side: figures} of one round on one server: drctl and curl read the same objects."""
    files, links, size = world.count(world.tree(name))
    figures = {}
    with Servers(ARGS.testserver, world.path("s3"), 1) as servers:
        drctl, restic = configure(world, servers, name, 1, False), restic_words(servers)
        subprocess.run([*drctl, "backup", "--kind", "full"], check=True, stdout=subprocess.DEVNULL)
        if "restic" in sides_of("restore"):
            subprocess.run([*restic, "init"], check=True, stdout=subprocess.DEVNULL)
            subprocess.run([*restic, "backup", world.tree(name)], check=True, stdout=subprocess.DEVNULL)
        for side in sides_of("restore"):
            with world.fresh_fs(size, files + links) as target:
                os.sync()
                words = {"drctl": [*drctl, "restore", "latest", "--to", f"{target}/out"],
                         "restic": [*restic, "restore", "latest", "--target", f"{target}/out"],
                         "gets": gets(world, servers)}[side]
                figures[side] = world.measure(words)
                if side == "drctl" and world.count(f"{target}/out") != (files, links, size):
                    raise Failed("the restore is not the tree")
    return figures


def measure(world, job, pairs):
    kind, name = JOBS[job]
    world.need(name)
    sides = sides_of(kind)
    runs = {side: [] for side in sides}
    for pair in range(pairs):
        print(f"\r{job} {pair + 1}/{pairs} ", end="", file=sys.stderr, flush=True)
        if kind == "first":
            for side in sides if pair % 2 == 0 else sides[::-1]:
                runs[side].append(first(world, name, side))
        else:
            for side, figures in restore(world, name).items():
                runs[side].append(figures)
    print(f"\n{job}: {pairs} rounds, load {os.getloadavg()[0]:.1f}")
    for side in sides:
        wall, cpu = ([run[f] for run in runs[side]] for f in ("wall_s", "cpu_s"))
        print(f"  {side:8} median {statistics.median(wall):8.3f} s   min {min(wall):8.3f}   max {max(wall):8.3f}   "
              f"cpu {statistics.median(cpu):7.3f} s   anon "
              f"{max(run['rss_anon_kib'] for run in runs[side]) / 1024:.1f} MiB", flush=True)
    judged = []
    for of, ours, theirs, goal in GOALS:
        if of != kind:
            continue
        a, b = ([run["wall_s"] for run in runs[side]] for side in (ours, theirs))
        low, high = stats.interval(a, b)
        value, cpu = stats.ratio(a, b), stats.ratio(*([run["cpu_s"] for run in runs[side]] for side in (ours, theirs)))
        verdict = stats.verdict(value, high, goal)
        print(f"  {ours} / {theirs}: {value:.3f} [{low:.3f} {high:.3f}], cpu {cpu:.2f}, goal {goal:.2f}: {verdict}")
        judged.append({"ours": ours, "theirs": theirs, "value": value, "low": low, "high": high, "cpu": cpu,
                       "goal": goal, "verdict": verdict})
    return {"runs": runs, "goals": judged}


def options():
    parser = argparse.ArgumentParser(description="measure drctl on S3 (see README.md)")
    for name in ("drctl", "gen", "meter", "testserver", "result"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--divide", type=int, default=1, help="all data sets by this, for trying the bench itself")
    return parser.parse_args()


def lay_line(rate):
    """Go on in a namespace whose loopback is that slow."""
    if os.environ.get("LINE_LAID") != rate:
        os.environ["LINE_LAID"] = rate
        os.execvp("unshare", ["unshare", "-n", sys.executable, "-B", *sys.argv])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["tc", "qdisc", "add", "dev", "lo", "root", "tbf", "rate", rate, "burst", "256kb", "latency", "50ms"],
                   check=True)


def main():
    if os.environ.get("LINE"):
        lay_line(os.environ["LINE"])
    if os.environ.get("SPLIT"):
        os.sched_setaffinity(0, set(range(os.cpu_count() - 1)) or {0})
    directory = os.environ.get("BENCH_DIR") or tempfile.mkdtemp(prefix="drctl-bench.", dir="/var/tmp")
    divisors = {name: 1 if name == "CONF" else ARGS.divide for _, name in JOBS.values()}
    world = World(os.path.abspath(directory), os.path.abspath(ARGS.gen), os.path.abspath(ARGS.meter), divisors)
    ARGS.drctl, ARGS.testserver = os.path.abspath(ARGS.drctl), os.path.abspath(ARGS.testserver)
    pairs, result = int(os.environ.get("PAIRS") or 9), {"schema": "drctl-bench-s3-1", "jobs": {}}
    try:
        for job in (os.environ.get("JOBS") or DEFAULT).split():
            result["jobs"][job] = measure(world, job, pairs)
    finally:
        for place in ([directory] if not os.environ.get("BENCH_DIR") else [world.path("repos"), world.path("s3")]):
            shutil.rmtree(place, ignore_errors=True)
    os.makedirs(os.path.dirname(os.path.abspath(ARGS.result)), exist_ok=True)
    with open(ARGS.result, "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)


if __name__ == "__main__":
    ARGS = options()
    main()
