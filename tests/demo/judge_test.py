#!/usr/bin/env python3
"""The demo's judge can say no: each thing that it must notice is made wrong once, without servers."""
import contextlib
import hashlib
import io
import json
import os
import shutil
import sys
import tempfile

import check

T0 = 1_800_000_000 * 10**9
MS = 10**6
FILES = {"files/00/0000.txt": b"zero", "files/00/0001.txt": b"one", "large.bin": b"large" * 1000}


def text_of(ns):
    return check.time.strftime("%Y-%m-%dT%H:%M:%S", check.time.gmtime(ns // 10**9)) + ".%09dZ" % (ns % 10**9)


def digest(data):
    return hashlib.sha256(data).hexdigest()


class FakeWorld(check.World):
    """Users who saw errors from 10.00 s to 14.00 s; the sentinel served is of 7.5 s; killed at 9.99 s."""

    def __init__(self):
        self.root = tempfile.mkdtemp()
        os.makedirs(self.outside("manifests"))
        with open(os.path.join(self.root, "world.env"), "w", encoding="ascii") as f:
            f.write("export DNS_PORT='53'\nexport FRONT_PORT='80'\nexport PROBE_MS='100'\n")
        super().__init__(self.root)
        manifest = "".join("%s  %s\n" % (digest(c), n) for n, c in sorted(FILES.items())).encode()
        with open(self.outside("manifests/000005.us.sha256"), "wb") as f:
            f.write(manifest)
        with open(self.outside("manifests/announced"), "w", encoding="ascii") as f:
            f.write("%s  files/00/0000.txt\n%s  files/00/0" % (digest(b"soon"), digest(b"torn")))
        self.served = dict(FILES)
        self.served["sentinel"] = ("%s seq=5 manifest=%s\n" % (text_of(T0 + 7500 * MS), digest(manifest))).encode()
        self.log = []
        for ms in range(9000, 15000, 20):
            good = not 10000 <= ms <= 14000
            self.log.append({"start": T0 + ms * MS, "end": T0 + (ms + 1) * MS, "path": "/files/00/0000.txt",
                             "status": 200 if good else 503, "bytes": 4, "sha256": digest(b"zero")})
        self.killed = T0 + 9990 * MS
        self.report = {"recovery_time": {"lo_ms": 3950, "hi_ms": 4150}, "data_loss": {"lo_ms": 2400, "hi_ms": 2560},
                       "impact": {"from": text_of(T0 + 9950 * MS), "to": text_of(T0 + 10050 * MS)},
                       "recovered": {"from": text_of(T0 + 13990 * MS), "to": text_of(T0 + 14090 * MS)}}

    def address(self):
        return "127.0.1.3"

    def fetch(self, path):
        return self.served[path[1:]]

    def save(self):
        with open(self.outside("load.jsonl"), "w", encoding="ascii") as f:
            f.writelines(json.dumps(line) + "\n" for line in self.log)
        with open(self.outside("killed"), "w", encoding="ascii") as f:
            f.write("%d\n%d\n" % (self.killed, self.killed + MS))
        with open(self.outside("report.json"), "w", encoding="ascii") as f:
            json.dump(self.report, f)


def judge(change):
    """What the judge says after one change of the world: its last line, or why not."""
    world = FakeWorld()
    out = io.StringIO()
    try:
        change(world)
        world.save()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            check.check_served(world)
            check.check_times(world, world.outside("report.json"))
    except SystemExit as e:
        return str(e)
    finally:
        shutil.rmtree(world.root)
    return out.getvalue().splitlines()[-1]


def nothing(_):
    pass


def other_file(world):
    world.served["large.bin"] = b"large" * 999 + b"laRge"


def forged_sentinel(world):
    world.served["sentinel"] = world.served["sentinel"].replace(b"manifest=", b"manifest=0")


def long_recovery(world):
    world.report["recovery_time"] = {"lo_ms": 4300, "hi_ms": 4500}


def short_recovery(world):
    world.report["recovery_time"] = {"lo_ms": 3000, "hi_ms": 3500}


def late_error(world):
    world.log[-5]["status"] = 502


def wrong_loss(world):
    world.report["data_loss"] = {"lo_ms": 0, "hi_ms": 1000}


def loss_unknown(world):
    world.report["data_loss"] = {"lo_ms": None, "hi_ms": None, "why": "no sentinel"}


def foreign_answer(world):
    world.log[3]["sha256"] = digest(b"somebody else's")


def unsealed_answer(world):
    """Written in the round in which the application was killed."""
    world.log[10]["sha256"] = digest(b"soon")


def torn_answer(world):
    world.log[10]["sha256"] = digest(b"torn")


def no_error(world):
    world.log = [line for line in world.log if line["status"] == 200]


def blame(records):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as f:
        start = {"type": "start", "body": {"steps": [
            {"id": "pick", "use": "region.pick"}, {"id": "restore", "use": "backup.restore"},
            {"id": "lb", "use": "haproxy"}, {"id": "intact", "use": "data.check"}]}}
        f.writelines(json.dumps(r) + "\n" for r in [start] + records)
        f.flush()
        out = io.StringIO()
        try:
            with contextlib.redirect_stdout(out):
                check.check_blame(f.name)
        except SystemExit:
            pass
        return out.getvalue().strip()


def outcome(step, state, why):
    return {"type": "outcome", "body": {"step": step, "state": state, "why": why}}


HOME, NEW, OTHER = "us-east-1", "ap-southeast-1", "eu-west-1"


def after_the_loss():
    """What the operator's host should see at T0 + 60 s: 'app' went to NEW, whose backupd took it 2 s ago."""
    job = {"what": "incremental", "source": "app", "exit": 0, "last_start": text_of(T0 + 58_000 * MS)}
    prune = {"what": "prune", "source": None, "exit": 5, "last_start": text_of(T0 + 50_000 * MS)}
    up = [{"name": "app", "state": "up"}]
    newest = {"id": "app-1", "age_s": 2, "started_at": text_of(T0 + 58_000 * MS)}
    sites = [{"name": HOME, "state": "silent", "age_s": 20, "probes": [], "jobs": []},
             {"name": OTHER, "state": "alive", "probes": up, "jobs": []},
             {"name": NEW, "state": "alive", "probes": up, "jobs": [job, prune]}]
    return {"sites": sites,
            "sources": [{"name": "app", "region": NEW, "newest": newest, "copies": 2}],
            "buckets": [{"name": region, "region": region, "state": "unreachable" if region == HOME else "ok",
                         "if_region_died": [{"source": "app", "loss_s": 2, "lives_there": region == NEW}]}
                        for region in (HOME, OTHER, NEW)],
            "findings": [{"key": "silent/" + HOME, "severity": "critical"}]}


def lost(*path_and_value):
    """What the judge says of that view with one value in it changed."""
    view = at = after_the_loss()
    for key in path_and_value[:-2]:
        at = at[key]
    if path_and_value:
        at[path_and_value[-2]] = path_and_value[-1]
    world = FakeWorld()
    world.env["HOME_REGION"] = HOME
    path = world.outside("status.json")
    with open(path, "w", encoding="ascii") as f:
        json.dump(view, f)
    return said(world, lambda: check.check_lost(world, path, NEW, str(T0 + 55_000 * MS)))


def told(letter):
    world = FakeWorld()
    world.env["HOME_REGION"] = HOME
    with open(world.outside("letters"), "w", encoding="ascii") as f:
        f.write(letter)
    return said(world, lambda: check.check_told(world, "silent/" + HOME))


def said(world, judge_it):
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            judge_it()
    except SystemExit as e:
        out.write(str(e))
    finally:
        shutil.rmtree(world.root)
    return out.getvalue().strip()


FACTS = [
    ("a_status_that_shows_the_loss_is_accepted", lost(), "whose backupd took app-1"),
    ("a_lost_region_whose_backupd_seems_alive_is_noticed", lost("sites", 0, "state", "alive"), "us-east-1 is alive"),
    ("a_survivor_that_is_silent_is_noticed", lost("sites", 1, "state", "silent"), "eu-west-1 is silent"),
    ("a_survivor_that_asks_nothing_is_noticed", lost("sites", 1, "probes", []), "eu-west-1 asks {}"),
    ("a_backup_that_failed_is_noticed", lost("sites", 2, "jobs", 0, "exit", 1), "went wrong"),
    ("a_source_left_where_it_was_is_noticed", lost("sources", 0, "region", HOME), "lives in us-east-1"),
    ("too_few_copies_are_noticed", lost("sources", 0, "copies", 1), "1 copies"),
    ("a_snapshot_of_before_is_noticed",
     lost("sources", 0, "newest", "started_at", text_of(T0 + 53_000 * MS)), "no snapshot by ap-southeast-1"),
    ("a_snapshot_that_backupd_did_not_take_is_noticed",
     lost("sites", 2, "jobs", 0, "last_start", text_of(T0 + 40_000 * MS)), "no snapshot by ap-southeast-1"),
    ("a_bucket_of_the_lost_region_that_answers_is_noticed", lost("buckets", 0, "state", "ok"), "the buckets are"),
    ("a_loss_that_is_all_of_it_is_noticed",
     lost("buckets", 2, "if_region_died", 0, "loss_s", None), "would be lost"),
    ("silence_that_is_not_critical_is_noticed", lost("findings", 0, "severity", "warning"), "is silent"),
    ("a_letter_of_a_survivor_is_accepted", told("eu-west-1 raised critical silent/us-east-1: it said nothing\n"),
     "eu-west-1 sent a letter: it said nothing"),
    ("a_letter_about_something_else_is_none", told("eu-west-1 raised critical probe/eu-west-1/app: x\n"), "no letter"),
    ("half_a_letter_is_none", told("eu-west-1 raised critical silent/us-east-1: it sa"), "no letter"),
    ("what_fits_is_accepted", judge(nothing), "rto=4.05s rpo=2.48s"),
    ("another_file_than_the_manifest_says_is_noticed", judge(other_file), "'large.bin' as served is not"),
    ("a_sentinel_of_no_known_round_is_noticed", judge(forged_sentinel), "nobody ever wrote the manifest"),
    ("a_recovery_longer_than_the_users_saw_is_noticed", judge(long_recovery), "is not what the users saw"),
    ("a_recovery_shorter_than_the_users_saw_is_noticed", judge(short_recovery), "is not what the users saw"),
    ("an_error_after_the_recovery_is_noticed", judge(late_error), "are not within drctl's"),
    ("a_wrong_data_loss_is_noticed", judge(wrong_loss), "data loss 0.000 to 1.000 s is not"),
    ("a_figure_that_was_not_measured_is_noticed", judge(loss_unknown), "did not measure data_loss: no sentinel"),
    ("an_answer_that_the_application_never_wrote_is_noticed", judge(foreign_answer), "never wrote"),
    ("one_of_the_round_that_died_with_its_writer_is_not", judge(unsealed_answer), "rto=4.05s"),
    ("half_an_announcement_is_none", judge(torn_answer), "never wrote"),
    ("users_without_any_error_are_not_believed", judge(no_error), "saw no error at all"),
    ("the_part_that_failed_is_named_by_its_type", blame([outcome("lb", "failed", "no backend")]), "lb: no backend"),
    ("a_failed_check_is_verify", blame([outcome("intact", "failed", "1 differs")]), "verify: 1 differs"),
    ("no_standby_left_blames_what_failed_on_it",
     blame([outcome("restore", "failed", "bad pack"), outcome("pick", "failed", "none left")]), "restore: bad pack"),
    ("no_standby_at_all_is_standby",
     blame([{"type": "standby", "body": {"region": "eu", "why": "no disks"}}, outcome("pick", "failed", "nobody")]),
     "standby: nobody (eu: no disks)"),
    ("a_tolerated_failure_is_not_blamed", blame([outcome("lb", "tolerated", "x")]), "none: x"),
]

if __name__ == "__main__":
    bad = 0
    for name, got, want in FACTS:
        print("ok %s" % name if want in got else "not ok %s: %s" % (name, got))
        bad += want not in got
    sys.exit(1 if bad else 0)
