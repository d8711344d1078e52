#!/bin/bash
# run.sh TEST...: run unit tests (cmocka programs) and shell tests, JOBS at once (default: one more than there are
# processors, at most four), and the demo beside them.
#
# A test's output is shown only when it fails. Each may take twenty minutes at most; the waits inside are
# bounded far below. Shell tests, which mostly wait for servers, go one at a time beside the units; the demo, which
# takes as long as all others of them and waits most of that, is beside all. The longest of each kind begin first
# (tests/tools/longest), so that none is left alone at the end. Units work in memory where that does as well as a
# disk: what they sweep is calls and requests, and shell tests use the disk. The last line counts facts: "N passed,
# M failed"; no fact at all is a failure, too.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)

processors=$(nproc)
JOBS=${JOBS:-$((processors < 3 ? processors + 1 : 4))}
# Tests fork at every call that they sweep, and a child's page tables are as long as what was freed and is kept
# poisoned: a use after free is seen until 16 MB more have been freed (by default 256 MB: twice the time).
export ASAN_OPTIONS=${ASAN_OPTIONS:-quarantine_size_mb=16}
results=$(mktemp -d) || exit 2
trap 'rm -rf "$results"' EXIT
# A directory in memory that can do what a disk can: room, programs, attributes, ACLs. Nothing if there is none, or
# if whoever started this has chosen a place.
memory_directory() {
    local dir=/dev/shm place
    [ -z "${TMPDIR:-}" ] && [ "$(stat -f -c %T $dir 2>/dev/null)" = tmpfs ] || return 0
    [ "$(df --output=avail -m $dir | tail -n 1)" -ge 1024 ] || return 0
    place=$(mktemp -d $dir/drctl.XXXXXX) || return 0
    printf '#!/bin/sh\n' >"$place/probe" && chmod 755 "$place/probe" && "$place/probe" &&
        setfattr -n user.probe -v 1 "$place/probe" && setfacl -m u:1:r "$place/probe" && echo "$place" && return 0
    rm -rf "$place"
} 2>/dev/null
memory=$(memory_directory)
trap 'rm -rf "$results" ${memory:+"$memory"}' EXIT
# timeout(1) passes the signal on to all of the test.
stop() {
    local job
    for job in $(jobs -p); do pkill -TERM -P "$job"; done
    wait
    exit 130
}
trap stop INT TERM

# one NUMBER TEST: its output to NUMBER.log, "FACTS WRONG" to NUMBER.sum; prints its line.
one() {
    local log=$results/$1.log test=$2 from rc took good wrong
    from=$(date +%s%N)
    case $test in
    *.sh) timeout -k 5 1200 bash "$test" >"$log" 2>&1 ;;
    *) env ${memory:+TMPDIR="$memory"} timeout -k 5 1200 "$test" >"$log" 2>&1 ;;
    esac
    rc=$?
    took=$((($(date +%s%N) - from) / 1000000))
    # cmocka: "[       OK ] name"; shell tests: "ok name".
    good=$(grep -cE '^(\[ +OK \]|ok )' "$log")
    wrong=$(grep -cE '^(\[  FAILED  \] [a-z0-9_]+$|not ok )' "$log")
    if [ $rc -ne 0 ] || [ "$wrong" -gt 0 ] || [ "$good" -eq 0 ]; then
        [ "$wrong" -gt 0 ] || wrong=1
        { printf '  FAIL  %-28s exit %d\n' "$(basename "$test")" $rc && tail -n 200 "$log"; } >"$results/$1.tail"
        cat "$results/$1.tail"
    else
        printf '  ok    %-28s %4d facts %7d ms\n' "$(basename "$test")" "$good" "$took"
    fi
    echo "$good $wrong" >"$results/$1.sum"
}

# The tests of the input, one a line, longest first; those that nobody measured come last, in their order.
longest_first() {
    awk 'NR == FNR { seconds[$2] = $1; next }
        NF { name = $0; sub(".*/", "", name); print seconds[name] + 0, FNR, $0 }' "$here/longest" - |
        sort -k 1,1nr -k 2,2n | cut -d ' ' -f 3-
}
mapfile -t beside < <(printf '%s\n' "$@" | grep '/demo\.sh$')
mapfile -t scripts < <(printf '%s\n' "$@" | grep '\.sh$' | grep -v '/demo\.sh$' | longest_first)
mapfile -t units < <(printf '%s\n' "$@" | grep -v '\.sh$' | longest_first)

number=0
begin() { # TEST: its process is $!
    number=$((number + 1))
    echo "$1" >"$results/$number.name"
    one $number "$1" &
}

for test in "${beside[@]}"; do begin "$test"; done

# One script at a time beside the units, then two: what they measure with real clocks should not be each other.
s=0
u=0
declare -A runs=()
scripts_at_work() {
    local pid count=0
    for pid in "${!runs[@]}"; do [ "${runs[$pid]}" != script ] || count=$((count + 1)); done
    echo $count
}
while true; do
    for pid in "${!runs[@]}"; do kill -0 "$pid" 2>/dev/null || unset "runs[$pid]"; done
    if [ ${#runs[@]} -lt "$JOBS" ]; then
        if [ $s -lt ${#scripts[@]} ] && [ "$(scripts_at_work)" -lt $((u < ${#units[@]} ? 1 : 2)) ]; then
            begin "${scripts[s]}"
            runs[$!]=script
            s=$((s + 1))
            continue
        elif [ $u -lt ${#units[@]} ]; then
            begin "${units[u]}"
            runs[$!]=unit
            u=$((u + 1))
            continue
        fi
    fi
    [ ${#runs[@]} -gt 0 ] || break
    wait -n "${!runs[@]}"
done
wait

passed=0
failed=0
for n in $(seq $number); do
    read -r good wrong <"$results/$n.sum" || { good=0 && wrong=1; }
    passed=$((passed + good))
    failed=$((failed + wrong))
    [ "$wrong" -eq 0 ] || echo "failed: $(cat "$results/$n.name")"
done
printf '%d passed, %d failed\n' $passed $failed
[ $failed -eq 0 ] && [ $passed -gt 0 ]
