#!/bin/bash
# tidy.sh FILE...: clang-tidy with the project's rules; silent when there is nothing to say.
set -uo pipefail
out=$(clang-tidy --quiet "$@" -- -std=gnu17 -D_GNU_SOURCE -I. 2>/dev/null) && exit 0
printf '%s\n' "$out"
exit 1
