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


FACTS = [
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
