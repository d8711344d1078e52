#!/bin/bash
# check.sh MAKE: everything that can be said about the sources without a benchmark; each part timed.
set -uo pipefail
make=${1:-make}
export MAKEFLAGS=
failed=0

part() {
    local name=$1 from
    shift
    from=$SECONDS
    if "$@"; then
        printf '  ok    %-28s %4d s\n' "$name" $((SECONDS - from))
    else
        printf '  FAIL  %s\n' "$name"
        failed=$((failed + 1))
    fi
}

part layers "$make" -s layers
part format "$make" -s format-check
part "headers compile alone" "$make" -s headers
part shellcheck "$make" -s shells
part "man page" "$make" -s mans
part "gcc -Werror" "$make" -s -j2 CC=gcc WERROR=-Werror MODE=debug O=build/gcc build/gcc/drctl units
part "clang -Werror" "$make" -s -j2 CC=clang WERROR=-Werror MODE=debug O=build/clang build/clang/drctl units
part clang-tidy "$make" -s tidy
part "ASan, UBSan: build" "$make" -s -j2 MODE=asan build/asan/drctl units
part "ASan, UBSan: unit, sweeps" "$make" -s MODE=asan unit
# Tests that say "Runs under TSan" share our pieces between threads; unit-threaded fails when there is none.
part "TSan: build" "$make" -s -j2 MODE=tsan build/tsan/drctl units
part "TSan: threads" "$make" -s MODE=tsan unit-threaded
[ $failed -eq 0 ]
