#!/bin/bash
# check.sh MAKE: everything that can be said about the sources without a benchmark; each part timed.
set -uo pipefail
make=${1:-make}
export MAKEFLAGS=
failed=0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

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

# Debian's tools use one processor at a time: the packages are made beside the sanitizers, and told of at the end.
packages() {
    failed=0
    part "packages" "$make" -s deb
    part "packages: in a fresh root" "$make" -s deb-check
    return $failed
}

part layers "$make" -s layers
part format "$make" -s format-check
part "headers compile alone" "$make" -s headers
part shellcheck "$make" -s shells
part "man page" "$make" -s mans
part "clang -Werror" "$make" -s MODE=debug syntax
part clang-tidy "$make" -s tidy
# gcc compiles everything once for all that is asked of it: warnings are errors here.
part "gcc -Werror, ASan, UBSan" "$make" -s -j2 CC=gcc WERROR=-Werror MODE=asan build/asan/drctl units
packages >"$work/packages" 2>&1 &
part "ASan, UBSan: unit, sweeps" "$make" -s CC=gcc WERROR=-Werror MODE=asan unit
# Tests that say "Runs under TSan" share our pieces between threads; unit-threaded fails when there is none.
part "TSan: build" "$make" -s -j2 MODE=tsan build/tsan/drctl threaded
part "TSan: threads" "$make" -s MODE=tsan unit-threaded
wait $!
failed=$((failed + $?))
cat "$work/packages"
[ $failed -eq 0 ]
