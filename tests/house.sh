#!/bin/bash
# The house itself: the ladder is checked, the Makefile does what it says, packages are asked for politely.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"
cd "$root"

# -- the ladder ---------------------------------------------------------------------------------
mkdir -p "$work/dr/base" "$work/dr/data" "$work/dr/attic"
printf '#include "dr/data/json.h"\n' >"$work/dr/base/bad.h"
printf '#include "dr/base/err.h"\n' >"$work/dr/data/good.h"
printf '#include "dr/base/err.h"\n' >"$work/dr/attic/lost.h"
ladder() {
    (cd "$work" && awk -f "$root/tests/tools/layers.awk" "$root/dr/ARCHITECTURE.md" "$@")
}
run ladder dr/base/bad.h
fact "an include that climbs the ladder is an error" test $rc -eq 1
fact "and is named with its line" has "$out" 'dr/base/bad.h:1: include "dr/data/json.h"'
run ladder dr/attic/lost.h
fact "a folder that the ladder does not list is an error" test $rc -eq 1
run ladder dr/data/good.h
fact "an include that goes down is fine" test $rc -eq 0

# -- the Makefile ---------------------------------------------------------------------------------
run make -s help
for target in deps test check demo install deb format help; do
    fact "make help knows $target" has "$out" "make $target"
done
run make -n CC=my-cc CPPFLAGS=-DMINE CFLAGS=-O0 LDFLAGS=-Wl,-mine O="$work/o" "$work/o/drctl"
fact "CC, CPPFLAGS and CFLAGS are honoured" has "$out" "my-cc -std=gnu17"
fact "CPPFLAGS reach the compiler" has "$out" "-DMINE -O0"
fact "LDFLAGS reach the linker" has "$out" "-Wl,-mine"
werror() { grep -q -- '-Werror' <<<"$out"; }
absent() { ! "$@"; }
fact "-Werror is for make check alone" absent werror

# A small library of its own: a source that goes takes its object along.
mkdir -p "$work/lib/dr/base"
printf 'int here(void);\nint here(void) { return 1; }\n' >"$work/lib/dr/base/here.c"
printf 'int gone(void);\nint gone(void) { return 2; }\n' >"$work/lib/dr/base/gone.c"
library() {
    (cd "$work/lib" && make -s -f "$root/Makefile" O=build/o build/o/libdr.a && ar t build/o/libdr.a)
}
cp Makefile "$work/lib/"
run library
fact "the library has an object of each source" has "$out" gone.o
rm "$work/lib/dr/base/gone.c"
run library
fact "a source that is gone leaves no object in the library" absent has "$out" gone.o
fact "the others stay" has "$out" here.o

before=$(stat -c %Y.%y "$work/lib/build/o/dr/base/here.o")
run library
fact "what has not changed is not compiled again" test "$(stat -c %Y.%y "$work/lib/build/o/dr/base/here.o")" = "$before"
library_with_flags() {
    (cd "$work/lib" && make -s -f "$root/Makefile" O=build/o CPPFLAGS="-DSAY='\"it'\''s\"'" build/o/libdr.a)
}
run library_with_flags
fact "other flags compile it anew" has "$out" here.c

# -- headers -------------------------------------------------------------------------------------
printf 'struct thing { size_t count; };\n' >"$work/needy.h"
run bash tests/tools/headers.sh "$work/needy.h"
fact "a header that does not compile alone is an error" test $rc -eq 1
printf '#include <stddef.h>\nstruct thing { size_t count; };\n' >"$work/needy.h"
run bash tests/tools/headers.sh "$work/needy.h"
fact "one that includes what it needs is fine" test $rc -eq 0

# -- the runner of tests ---------------------------------------------------------------------------
run bash tests/tools/run.sh
fact "a run of no tests is no success" test $rc -ne 0

# -- installing ------------------------------------------------------------------------------------
run make -s install DESTDIR="$work/root" PREFIX=/usr
fact "make install works into DESTDIR" test $rc -eq 0
run "$work/root/usr/bin/drctl" --version
fact "the installed drctl runs" test $rc -eq 0
fact "backupd is its second name" test "$(readlink "$work/root/usr/bin/backupd")" = drctl
pages_installed() {
    local page
    for page in *.[1-8]; do [ -s "$work/root/usr/share/man/man${page##*.}/$page" ] || return 1; done
}
fact "every man page is installed" pages_installed
documents_installed() {
    local name
    for name in README.md SECURITY.md CHANGELOG.md COMING-FROM.md SIZING.md FORMAT.md; do
        [ -s "$work/root/usr/share/doc/drctl/$name" ] || return 1
    done
}
fact "the documents are installed" documents_installed
completions_installed() {
    bash -n "$work/root/usr/share/bash-completion/completions/drctl" &&
        [ -s "$work/root/usr/share/zsh/site-functions/_drctl" ] &&
        [ -s "$work/root/usr/share/fish/vendor_completions.d/drctl.fish" ]
}
fact "completions are installed" completions_installed
fact "so is the unit of systemd" grep -qx 'ExecStart=/usr/bin/backupd --config /etc/drctl/dr.yaml' \
    "$work/root/usr/lib/systemd/system/backupd.service"
fact "the page about plans is installed" test -s "$work/root/usr/share/drctl/runbooks/README.md"
fact "the runbooks are installed" test -s "$work/root/usr/share/drctl/runbooks/hello_failover.yaml"

# -- packages --------------------------------------------------------------------------------------
run bash tests/tools/deps.sh --check build demo test
fact "what the tests need is here" test $rc -eq 0
run bash tests/tools/deps.sh nonsense
fact "an unknown job is a usage error" test $rc -eq 2

# An ordinary user without sudo: one line to paste, exit code 2, nothing installed.
mkdir "$work/bin"
printf '#!/bin/sh\nexit 1\n' >"$work/bin/dpkg-query"
printf '#!/bin/sh\nexit 1\n' >"$work/bin/sudo"
printf '#!/bin/sh\necho 1000\n' >"$work/bin/id"
chmod +x "$work"/bin/*
run env PATH="$work/bin:$PATH" bash tests/tools/deps.sh build
fact "without root make deps exits 2" test $rc -eq 2
fact "it lists what it would install" has "$out" "To install: "
fact "and prints the one line to paste" has "$out" "sudo apt-get install -y --no-install-recommends gcc"

facts_end
