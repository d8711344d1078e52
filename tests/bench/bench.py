#!/usr/bin/env python3
"""bench.py - measure drctl beside its peers and say which goals are reached; `make bench` calls it.

README.md in this folder tells how to read the table and the JSON. The order of things: surroundings, data
sets, jobs one after another (each printed when it is done), goals, JSON. A job that fails is told and costs
only itself; the exit code is 1 then, and 0 however the goals stand.
"""
import argparse
import datetime
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile

import jobs
import stats
import tools
from world import Failed, World

FULL = {"SRC": 1, "SMALL": 1, "SMALL20K": 1, "SMALL2M": 1, "BIG": 1, "CONF": 1}
QUICK = {"SRC": 20, "SMALL": 20, "SMALL20K": 1, "SMALL2M": 100, "BIG": 24, "CONF": 1}
QUICK_JOBS = ("first-src first-small first-big restore-src restore-small nochange-src nochange-small "
              "nochange-conf change-src change-small")
MIB = 1 << 20


def say(*words):
    print(*words, flush=True)


def shell(*argv):
    """The first line that a command prints, or nothing."""
    try:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip().splitlines()[0] if done.stdout.strip() else ""


def surroundings(world, all_tools):
    """What a reader needs to judge the figures."""
    cpu = "?"
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                cpu = line.split(":", 1)[1].strip()
                break
    commit = shell("git", "-C", os.path.dirname(os.path.abspath(__file__)), "describe", "--always", "--dirty")
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": commit or "?",
        "kernel": platform.release(),
        "cpu": cpu,
        "cpus": os.cpu_count(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // MIB,
        "load": [round(load, 2) for load in os.getloadavg()],
        "file_system": shell("findmnt", "-no", "FSTYPE,SOURCE,OPTIONS", "-T", world.dir),
        "user": "root" if os.geteuid() == 0 else "an ordinary user",
        "versions": {tool.name: tool.version() for tool in all_tools.values() if not tool.missing()},
    }


def side_figures(job_round, side):
    """Medians, extremes and, for the others, the ratio of drctl to them."""
    runs = job_round.runs[side]
    figures = {
        "runs": runs,
        "wall_s": stats.median([run["wall_s"] for run in runs]),
        "wall_min_s": min(run["wall_s"] for run in runs),
        "wall_max_s": max(run["wall_s"] for run in runs),
        "cpu_s": stats.median([run["cpu_s"] for run in runs]),
        "rss_anon_kib": max(run["rss_anon_kib"] for run in runs),
        "max_rss_kib": max(run["max_rss_kib"] for run in runs),
        "size": stats.median([run["size"] for run in runs]),
    }
    if side != "drctl":
        ours = job_round.runs["drctl"]
        for name in ("wall", "cpu"):
            mine, theirs = [run[f"{name}_s"] for run in ours], [run[f"{name}_s"] for run in runs]
            figures[f"{name}_ratio"] = stats.ratio(mine, theirs)
            figures[f"{name}_ratio_90"] = stats.interval(mine, theirs)
    return figures


def print_job(job_round, result):
    """One table for one job."""
    say(f"\n{job_round.job}: {result['files']} files, {result['bytes'] / 1e6:.0f} MB, "
        f"{result['pairs']} rounds, load {result['load'][0]}")
    say(f"  {'':15} {'median s':>9} {'min':>8} {'max':>8} {'cpu s':>8} {'anon MiB':>9} {'rss MiB':>8}"
        f" {'stored MB':>10}   drctl/it: time [90 %]         cpu")
    for side, f in result["sides"].items():
        line = (f"  {side:15} {f['wall_s']:9.3f} {f['wall_min_s']:8.3f} {f['wall_max_s']:8.3f} "
                f"{f['cpu_s']:8.3f} {f['rss_anon_kib'] / 1024:9.1f} {f['max_rss_kib'] / 1024:8.1f} ")
        line += f"{f['size'] / 1e6:10.1f}   " if f["size"] else f"{'':10}   "
        if side != "drctl":
            low, high = f["wall_ratio_90"]
            line += f"{f['wall_ratio']:7.3f} [{low:.3f} {high:.3f}] {f['cpu_ratio']:9.3f}"
        say(line)
    for change in result.get("changed", [])[:1]:
        grown = {side: stats.median([run["grown"] for run in runs])
                 for side, runs in job_round.runs.items() if "grown" in runs[0]}
        say(f"  first change: {change['entries']} entries, {change['bytes'] / 1e6:.2f} MB, "
            f"{change['compressed'] / 1e6:.3f} MB under zstd -3; grown by (median, MB) "
            + ", ".join(f"{side} {size / 1e6:.3f}" for side, size in grown.items()))
        say("  read in all (median, MB): " + ", ".join(
            f"{side} {stats.median([run['rchar'] for run in job_round.runs[side]]) / 1e6:.3f}"
            for side in job_round.runs))


def measure_job(world, all_tools, job, pairs, sides):
    """Run one job; returns (rounds, result), or (None, result) where it could not be run."""
    _, name, _ = jobs.ALL_JOBS[job]
    world.need(name)
    files, links, size = world.count(world.tree(name))
    result = {"set": name, "divisor": world.divisors[name], "files": files, "links": links, "bytes": size,
              "pairs": pairs, "load": [round(load, 2) for load in os.getloadavg()],
              "status": "measured"}
    job_round = jobs.Round(world, all_tools, job, sides)
    try:
        job_round.go(pairs, lambda pair: print(f"\r{job} {pair + 1}/{pairs} ", end="", file=sys.stderr))
    except (Failed, subprocess.CalledProcessError, OSError) as failure:
        result.update(status="failed", why=str(failure))
        return None, result
    finally:
        print("\r" + " " * 40 + "\r", end="", file=sys.stderr)
    if job_round.kind == "restore":
        result["restored_to"] = world.restores_to
    if job_round.changed:
        result["changed"] = job_round.changed
    result["sides"] = {side: side_figures(job_round, side) for side in sides}
    return job_round, result


def judge(rounds, why_not):
    """Every goal with its figure and the verdict."""
    judged = []
    for job, figure, against, goal, stage in jobs.GOALS:
        entry = {"job": job, "figure": figure, "against": against, "goal": goal, "stage": stage}
        columns = jobs.goal_columns(rounds, job, figure, against)
        if columns is None:
            entry["verdict"] = why_not.get(job, "not measured")
        else:
            ours, theirs = columns
            unit = "x" if theirs is not None else "s"
            scale = 1
            if figure == "rss_anon":
                unit, scale = " MiB", MIB
            value, (low, high) = stats.ratio(ours, theirs), stats.interval(ours, theirs)
            if figure == "wall_s" and theirs is not None:
                entry["cpu"] = stats.ratio(*jobs.goal_columns(rounds, job, "cpu_s", against))
            entry.update(value=value, low=low, high=high, reached=stats.reached(high, goal),
                         verdict=stats.verdict(value / scale, high / scale, goal / scale, unit))
            beside = jobs.BESIDE.get(against)
            columns = beside and jobs.goal_columns(rounds, job, figure, beside)
            if columns:
                low, high = stats.interval(*columns)
                entry["beside"] = {"against": beside, "value": stats.ratio(*columns), "low": low, "high": high}
        judged.append(entry)
    return judged


def print_goals(judged, indicative):
    say("\nGoals" + (" (indicative: small data sets, few rounds)" if indicative else ""))
    for stage, title in ((1, "marked (1)"), (2, "later")):
        say(f"  {title}")
        for goal in judged:
            if goal["stage"] != stage or goal["verdict"] == "not measured":
                continue
            scale = MIB if goal["figure"] == "rss_anon" else 1
            figures = ("" if "value" not in goal else
                       f"{goal['value'] / scale:9.3f} [{goal['low'] / scale:.3f} {goal['high'] / scale:.3f}]")
            what = goal["figure"] + (f" / {goal['against']}" if goal["against"] else "")
            cpu = f"cpu {goal['cpu']:.2f}x" if "cpu" in goal else ""
            say(f"    {goal['job']:15} {what:26} goal {goal['goal'] / scale:7.3f}  {figures:27} {cpu:11} "
                f"{goal['verdict']}")
            beside = goal.get("beside")
            if beside:
                say(f"    {'':15} {goal['figure'] + ' / ' + beside['against']:26} {'':12}  "
                    f"{beside['value']:9.3f} [{beside['low']:.3f} {beside['high']:.3f}]")


def options():
    """The environment says what; the arguments say with which programs."""
    parser = argparse.ArgumentParser(description="measure drctl beside its peers (see README.md)")
    parser.add_argument("--drctl", required=True)
    parser.add_argument("--gen", required=True)
    parser.add_argument("--meter", required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--divide", type=int, help="all data sets by this, for trying the bench itself")
    parser.add_argument("--result", required=True, help="the JSON file to write")
    args = parser.parse_args()
    env = os.environ
    args.jobs = (env.get("JOBS") or (QUICK_JOBS if args.quick else " ".join(jobs.JOBS))).split()
    args.pairs = int(env.get("PAIRS") or (3 if args.quick else 9))
    args.peers = env.get("PEERS") or ("goal" if args.quick else "all")
    args.dir = env.get("BENCH_DIR")
    args.keep = env.get("KEEP") == "1"
    args.divisors = dict(QUICK if args.quick else FULL)
    if args.divide:
        args.divisors = {name: args.divide for name in FULL}
    unknown = [job for job in args.jobs if job not in jobs.ALL_JOBS]
    if unknown or args.pairs < 1:
        parser.error(f"no job {' '.join(unknown)}; there are {' '.join(jobs.ALL_JOBS)}" if unknown else
                     "PAIRS is at least 1")
    return args


def bench(args, world):
    """All jobs; returns the exit code."""
    all_tools = tools.all_tools(world, os.path.abspath(args.drctl))
    result = {"schema": "drctl-bench-1", "indicative": args.divisors != FULL,
              "about": surroundings(world, all_tools), "jobs": {}}
    say(f"drctl bench{' (indicative only)' if result['indicative'] else ''}")
    for key, value in result["about"].items():
        say(f"  {key:12} " + (", ".join(f"{k}: {v}" for k, v in value.items())
                              if isinstance(value, dict) else str(value)))
    can_again = all_tools["drctl"].can(["backup", "--kind", "incremental"])
    rounds, why_not = {}, {}
    for job in args.jobs:
        kind = jobs.ALL_JOBS[job][0]
        absent = [side for side in jobs.sides_of(job, args.peers)
                  if not side.startswith("drctl") and all_tools[side].missing()]
        sides = [side for side in jobs.sides_of(job, args.peers) if side not in absent]
        if kind in ("again", "change", "prune", "memory") and not can_again:
            why_not[job] = "not available: this drctl has no --kind incremental"
            result["jobs"][job] = {"status": "not available", "why": why_not[job]}
            say(f"\n{job}: {why_not[job]}")
            continue
        job_round, result["jobs"][job] = measure_job(world, all_tools, job, args.pairs, sides)
        if job_round is None:
            why_not[job] = "failed"
            say(f"\n{job}: FAILED: {result['jobs'][job]['why']}")
            continue
        rounds[job] = job_round
        print_job(job_round, result["jobs"][job])
        if absent:
            say(f"  not installed: {' '.join(absent)} (bash tests/tools/deps.sh bench)")
    result["goals"] = judge(rounds, why_not)
    print_goals(result["goals"], result["indicative"])
    result["about"]["load_at_end"] = [round(load, 2) for load in os.getloadavg()]
    os.makedirs(os.path.dirname(os.path.abspath(args.result)), exist_ok=True)
    with open(args.result, "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)
        f.write("\n")
    say(f"\nload at the end {result['about']['load_at_end'][0]}; all runs: {args.result}")
    return 1 if "failed" in why_not.values() else 0


def main():
    args = options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # then what is mounted is unmounted
    directory = os.path.abspath(args.dir) if args.dir else tempfile.mkdtemp(prefix="drctl-bench.",
                                                                            dir="/var/tmp")
    world = World(directory, os.path.abspath(args.gen), os.path.abspath(args.meter),
                  args.divisors)
    try:
        return bench(args, world)
    finally:
        if not args.keep:
            shutil.rmtree(directory if not args.dir else world.path("repos"), ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
