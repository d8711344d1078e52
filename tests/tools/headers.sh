#!/bin/bash
# headers.sh FILE...: each header compiles alone, with nothing included before it.
set -uo pipefail
cc=${CC:-cc}
bad=0
for header in "$@"; do
    printf '#include "%s"\n' "$header" |
        $cc -std=gnu17 -D_GNU_SOURCE -I. -Wall -Wextra -Werror -fsyntax-only -x c - || {
        echo "$header does not compile alone"
        bad=1
    }
done
exit $bad
