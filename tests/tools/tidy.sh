#!/bin/bash
# tidy.sh FILE...: clang-tidy with the project's rules; silent when there is nothing to say.
#
# The analyzer follows 75,000 states a function instead of 225,000: a third of the time, and on the whole tree both
# have said the same.
set -uo pipefail
depth="-Xclang -analyzer-config -Xclang max-nodes=75000"
# shellcheck disable=SC2086 # words on purpose
out=$(clang-tidy --quiet "$@" -- -std=gnu17 -D_GNU_SOURCE -I. $depth 2>/dev/null) && exit 0
printf '%s\n' "$out"
exit 1
