#!/bin/bash
# run.sh TEST...: run unit tests (cmocka programs) and shell tests, one after another.
#
# A test's output is shown only when it fails. Each may take ten minutes at most; the waits inside are
# bounded far below. The last line counts facts: "N passed, M failed"; no fact at all is a failure, too.
set -uo pipefail

passed=0
failed=0
bad=()
for test in "$@"; do
    log=$(mktemp)
    from=$(date +%s%N)
    case $test in
    *.sh) timeout -k 5 600 bash "$test" >"$log" 2>&1 ;;
    *) timeout -k 5 600 "$test" >"$log" 2>&1 ;;
    esac
    rc=$?
    took=$((($(date +%s%N) - from) / 1000000))
    # cmocka: "[       OK ] name"; shell tests: "ok name".
    good=$(grep -cE '^(\[ +OK \]|ok )' "$log")
    wrong=$(grep -cE '^(\[  FAILED  \] [a-z0-9_]+$|not ok )' "$log")
    if [ $rc -ne 0 ] || [ "$wrong" -gt 0 ] || [ "$good" -eq 0 ]; then
        [ "$wrong" -gt 0 ] || wrong=1
        bad+=("$test")
        printf '  FAIL  %-28s exit %d\n' "$(basename "$test")" $rc
        tail -n 200 "$log"
    else
        printf '  ok    %-28s %4d facts %7d ms\n' "$(basename "$test")" "$good" "$took"
    fi
    passed=$((passed + good))
    failed=$((failed + wrong))
    rm -f "$log"
done
[ ${#bad[@]} -eq 0 ] || printf 'failed: %s\n' "${bad[@]}"
printf '%d passed, %d failed\n' $passed $failed
[ $failed -eq 0 ] && [ $passed -gt 0 ]
