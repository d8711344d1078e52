#!/bin/bash
# The benchmark is to be believed: its data is the same everywhere, its statistics are right, its rule of
# decision is the one that the goals name, its meter measures. No peer is installed or run for this.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"
objects=${OBJECTS:-$root/build/release}
[ -x "$objects/bench_gen" ] || make -s -C "$root" "O=$objects" "$objects/bench_gen" "$objects/bench_meter"
gen=$objects/bench_gen meter=$objects/bench_meter
bench=$root/tests/bench

# python <<<PROGRAM: with the modules of the bench; it must end well.
python() { (cd "$bench" && python3 -B -); }

# -- data sets ------------------------------------------------------------------------------------
# digest DIR: one line for names, kinds, modes, times, links and bytes.
digest() {
    (cd "$1" && export LC_ALL=C &&
        { find . -type f -printf '%p f %m %T@ %s\n' -o -type l -printf '%p l %l\n' -o -printf '%p d %m\n' | sort
          find . -type f -print0 | sort -z | xargs -0 sha256sum; } | sha256sum | cut -c 1-16)
}

same() { [ "$1" = "$2" ] || { echo "    '$1' is not '$2'"; return 1; }; }

make_sets() {
    local set
    for set in "SRC 400" "SMALL 400" "BIG 400" "CONF 20"; do
        # shellcheck disable=SC2086  # a set and its divisor
        "$gen" make ${set% *} "$1/${set% *}" ${set#* }
    done
}
mkdir "$work/one" "$work/two"
make_sets "$work/one"
(umask 077 && TZ=Asia/Tokyo LC_ALL=C make_sets "$work/two")
chmod 755 "$work/two"

# What these say is what every machine must say: a change of the generator changes all figures.
known="SRC:7b1d6f4eae98fae3 SMALL:5013bd731a13eda3 BIG:a939922c85e009e6 CONF:fc38a09654961808"
for set in $known; do
    name=${set%:*}
    fact "two generations of $name are equal" same "$(digest "$work/one/$name")" "$(digest "$work/two/$name")"
    fact "$name is what it is on every machine" same "$(digest "$work/one/$name")" "${set#*:}"
done
fact "SRC/400 has the files it should have" same "$("$meter" count "$work/one/SRC" | cut -d' ' -f1,2)" "196 0"
fact "CONF has links" same "$("$meter" count "$work/one/CONF" | cut -d' ' -f1,2)" "92 8"

packed() { tar -C "$work/one/$1" -cf - . | zstd -3 -c | wc -c; }
size() { "$meter" count "$work/one/$1" | cut -d' ' -f3; }
between() {
    if [ "$2" -lt "$1" ] || [ "$2" -gt "$3" ]; then
        echo "    $2 is not between $1 and $3"
        return 1
    fi
}
fact "SRC compresses like source code" between 12 $(($(packed SRC) * 100 / $(size SRC))) 28

# -- changes --------------------------------------------------------------------------------------
changed() { (cd "$work" && diff -rq "one/$1" "two/$1" | awk '{ print $2 }' | sed "s#^one/$1/##" | sort); }
run "$gen" mutate SMALL "$work/two/SMALL" 400 0
first=$(sort <<<"$out")
fact "a hundredth of the files changes" same "$(wc -l <<<"$first")" 5
fact "mutate names the files that it changed" same "$(changed SMALL)" "$first"
run "$gen" mutate SMALL "$work/two/SMALL" 400 1
fact "the next round changes others" same "$(comm -12 <(sort <<<"$out") <(echo "$first"))" ""
"$gen" mutate SMALL "$work/one/SMALL" 400 0 >/dev/null
"$gen" mutate SMALL "$work/one/SMALL" 400 1 >/dev/null
fact "the same rounds make the same changes" same "$(changed SMALL)" ""
run "$gen" mutate BIG "$work/two/BIG" 400 3
fact "BIG changes in place in one file" same "$out $(stat -c %s "$work/two/BIG/heap.db")" \
    "heap.db $(stat -c %s "$work/one/BIG/heap.db")"
fact "and changes indeed" same "$(changed BIG)" heap.db
run "$gen" make SRC "$work/one/SRC" 400
fact "a data set is never made over another" test $rc -eq 1

# -- statistics -----------------------------------------------------------------------------------
fact "medians of odd and even counts" python <<'P'
import stats
assert stats.median([3, 1, 2]) == 2 and stats.median([4, 1, 2, 3]) == 2.5
P
fact "equal runs have an interval without width" python <<'P'
import stats
assert stats.interval([2.0] * 9, [1.0] * 9) == (2.0, 2.0)
P
fact "the interval of four pairs is that of all 256 ways to draw them" python <<'P'
import itertools, stats
ours, theirs = [1.0, 1.3, 1.7, 2.9], [1.0, 1.1, 1.9, 1.2]
every = sorted(stats.ratio([ours[i] for i in w], [theirs[i] for i in w])
               for w in itertools.product(range(4), repeat=4))
low, high = stats.interval(ours, theirs, resamples=20000)
at = lambda share: every[int(share * 256)]
assert at(0.04) <= low <= at(0.06) and at(0.94) <= high <= at(0.96), (low, high, at(.05), at(.95))
P
fact "pairs are drawn as pairs: noise that both share does not widen the interval" python <<'P'
import stats
shared = [1, 5, 2, 9, 3, 7, 4, 8, 6]
low, high = stats.interval([1.5 * s for s in shared], [1.0 * s for s in shared])
assert abs(low - 1.5) < 1e-9 and abs(high - 1.5) < 1e-9
P
fact "the same runs give the same interval, by at least 2000 draws" python <<'P'
import stats
a, b = [1.0, 1.2, 0.9, 1.1, 1.4], [1.0, 0.8, 1.1, 1.3, 0.7]
assert stats.interval(a, b) == stats.interval(a, b) and stats.RESAMPLES >= 2000 and stats.LEVEL == 0.90
P
fact "a goal is reached when the upper end is at most 1.05 times the goal" python <<'P'
import stats
assert stats.reached(1.155, 1.1) and not stats.reached(1.156, 1.1)
assert stats.verdict(1.0, 1.15, 1.1) == "reached"
assert stats.verdict(1.4, 1.5, 1.1) == "not reached: 1.4x instead of 1.1x"
assert stats.verdict(1.05, 1.3, 1.1) == "not reached: up to 1.3x instead of 1.1x"
P
fact "runs that are no pairs are refused" python <<'P'
import stats
try:
    stats.interval([1, 2], [1])
except ValueError:
    pass
else:
    raise SystemExit(1)
P
fact "every goal is about a job and a side that there is" python <<'P'
import jobs
beside = {None, "changed entries", "changed files"}
for job, figure, against, goal, stage in jobs.GOALS:
    assert against in beside or against in jobs.ALL_JOBS or against in jobs.ALL_JOBS[job][2], (job, against)
    assert goal > 0 and stage in (1, 2)
for job in jobs.ALL_JOBS:
    assert "drctl" in jobs.sides_of(job, "goal")
P
fact "beside cp -a stands the one that is durable, told and not judged" python <<'P'
import types
import bench
import jobs
assert {"cp", "cp-sync"} <= set(jobs.sides_of("restore-src", "goal"))
runs = {side: [{"wall_s": wall, "cpu_s": 1}] * 3 for side, wall in (("drctl", 2), ("cp", 4), ("cp-sync", 8))}
job_round = types.SimpleNamespace(runs=runs, changed=[])
def of_restore():
    return [g for g in bench.judge({"restore-src": job_round}, {}) if g["job"] == "restore-src"][0]
goal = of_restore()
assert goal["value"] == 0.5 and goal["reached"]
assert goal["beside"] == {"against": "cp-sync", "value": 0.25, "low": 0.25, "high": 0.25}
bench.print_goals([goal], False)
del runs["cp-sync"]
assert "beside" not in of_restore()
P

# -- the meter ------------------------------------------------------------------------------------
field() { jq -r "$1" "$work/m.json"; }
run "$meter" run "$work/m.json" sh -c 'exit 7'
fact "the meter exits as its command does" test "$rc $(field .exit)" = "7 7"
run "$meter" run "$work/m.json" sh -c 'kill -9 $$'
fact "and tells of a signal" test $rc -eq 137
head -c 3000000 /dev/zero >"$work/zeros"
"$meter" run "$work/m.json" sh -c "cat '$work/zeros' >/dev/null; true"
fact "bytes read by a child are counted" between 3000000 "$(field .rchar)" 3200000
"$meter" run "$work/m.json" true
fact "a small program does not inherit a large parent's memory" between 1 "$(field .max_rss_kib)" 8000
"$meter" run "$work/m.json" sh -c "exec 3<>'$work/f'; python3 -B -c 'b = bytearray(64 << 20); b[::4096] = b\"x\" * 16384
import time
while time.process_time() < 0.3: pass'"
fact "anonymous memory of a descendant is seen" between 65536 "$(field .rss_anon_kib)" 120000
fact "its processor time is counted" python <<<"import json; m = json.load(open('$work/m.json')); assert m['user_s'] + m['sys_s'] >= 0.29 and m['wall_s'] > 0"

# -- the whole, small -----------------------------------------------------------------------------
run env JOBS="first-small" PEERS=tar-zstd PAIRS=2 BENCH_DIR="$work/bench" python3 -B "$bench/bench.py" \
    --drctl "$DRCTL" --gen "$gen" --meter "$meter" --divide 400 --result "$work/result.json"
fact "a job with one peer runs to its end" test $rc -eq 0
fact "every run is in the result" same "$(jq -r '.jobs["first-small"].sides | map_values(.runs | length) | tojson' \
    "$work/result.json")" '{"drctl":2,"tar-zstd":2}'
fact "the goal is judged" has "$out" "first-small     wall_s / tar-zstd"
fact "small data is told to be only indicative" same "$(jq .indicative "$work/result.json")" true
fact "the repositories are gone, the data is kept" same "$(ls "$work/bench")" "data
fs
run.err
run.json"
run env JOBS="nonsense" python3 -B "$bench/bench.py" --drctl x --gen x --meter x --result x
fact "an unknown job is a usage error that lists the jobs" test $rc -eq 2
fact "with their names" has "$talk" first-small

facts_end
