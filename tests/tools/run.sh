#!/bin/bash
# run.sh TEST...: run unit tests (cmocka programs) and shell tests, JOBS at once (default: one a processor,
# at most four).
#
# A test's output is shown only when it fails. Each may take ten minutes at most; the waits inside are
# bounded far below. Shell tests, which mostly wait for servers, go one at a time beside the units, and the longest
# of each kind begin first (tests/tools/longest), so that none is left alone at the end. Units work in memory
# where that does as well as a disk: what they sweep is calls and requests, and shell tests use the disk. The
# last line counts facts: "N passed, M failed"; no fact at all is a failure, too.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)

processors=$(nproc)
JOBS=${JOBS:-$((processors < 4 ? processors : 4))}
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
    *.sh) timeout -k 5 600 bash "$test" >"$log" 2>&1 ;;
    *) env ${memory:+TMPDIR="$memory"} timeout -k 5 600 "$test" >"$log" 2>&1 ;;
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
mapfile -t scripts < <(printf '%s\n' "$@" | grep '\.sh$' | longest_first)
mapfile -t units < <(printf '%s\n' "$@" | grep -v '\.sh$' | longest_first)

# One script at a time: what they measure with real clocks should not be each other. The other jobs take
# the units, then the scripts that are left.
s=0
u=0
number=0
running=0
script_pid=
while [ $s -lt ${#scripts[@]} ] || [ $u -lt ${#units[@]} ] || [ $running -gt 0 ]; do
    if [ -n "$script_pid" ] && ! kill -0 "$script_pid" 2>/dev/null; then script_pid=; fi
    test=
    if [ $running -lt "$JOBS" ]; then
        if [ -z "$script_pid" ] && [ $s -lt ${#scripts[@]} ]; then
            test=${scripts[s]}
            s=$((s + 1))
        elif [ $u -lt ${#units[@]} ]; then
            test=${units[u]}
            u=$((u + 1))
        fi
    fi
    if [ -z "$test" ]; then
        wait -n
        running=$((running - 1))
        continue
    fi
    number=$((number + 1))
    echo "$test" >"$results/$number.name"
    one $number "$test" &
    running=$((running + 1))
    case $test in *.sh) script_pid=$! ;; esac
done

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
