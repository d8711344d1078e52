#!/bin/bash
# Every command in README.md, run as it stands there: the blocks marked yaml FILE are written, the blocks marked sh
# are run, in order, in one directory. Only the places that need root are moved below $work:
# /srv, /backup, /var/lib/drctl. What the page says afterwards is then looked at.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"
cd "$root"

fact "the first line says what a fresh machine needs" \
    grep -q 'apt-get install -y make' <(head -n 1 README.md)
for command in "make demo" "make test"; do
    fact "$command is named before anything else" grep -q "$command" <(head -n 5 README.md)
done

# The files that the page shows, and the commands, block by block.
mkdir -p "$work/page" "$work/srv/app/sub" "$work/bin"
awk -v dir="$work/page" '
    /^```yaml / { file = dir "/" $2; next }
    /^```sh/ { block++; file = sprintf("%s/block-%02d.sh", dir, block); print "# " $0 >file; next }
    /^```$/ { file = ""; next }
    file != "" { print >file }' README.md
move() {
    sed -i -E "s#(^|[ \"'=/])(/srv|/backup|/var/lib/drctl)#\1$work\2#g; s#file://(/backup)#file://$work\1#g" "$@"
}
move "$work"/page/*
printf 'one\n' >"$work/srv/app/one"
head -c 3000000 /dev/urandom >"$work/srv/app/sub/large"
cp "$work"/page/*.yaml "$work/" 2>/dev/null || true
ln -s "$root/conf" "$root/runbooks" "$work/"
# What make installs goes below $work, too, and is then what the page calls drctl.
printf '#!/bin/sh\nexec %s -s -C "%s" "$@" DESTDIR="%s/root"\n' "$(command -v make)" "$root" "$work" >"$work/bin/make"
chmod +x "$work/bin/make"
PATH=$work/root/usr/local/bin:$PATH

for block in "$work"/page/block-*.sh; do
    run env PATH="$work/bin:$PATH" HOME="$work" bash -euo pipefail -c "cd '$work' && . '$block'"
    [ $rc -eq 0 ] || printf '%s\n%s\n' "$out" "$talk"
    fact "$(basename "$block"): $(sed -n "2s/ *#.*//p" "$block") ... runs" test $rc -eq 0
done
same() { python3 "$root/tests/support/tree.py" same "$1" "$2"; }
fact "the restored tree equals the source" same "$work/srv/app" "$work/srv/app.restored"
fact "the tree restored by hand equals the source" same "$work/srv/app" "$work/srv/app.by-hand"

# The recipe of the page is the one of FORMAT.md.
chapter() { awk '/^## .*Restoring by hand/ { here = 1 } here && /^```sh$/ { inside = 1; next }
    inside && /^```$/ { exit } inside' backup/FORMAT.md; }
recovery() { awk '/^```sh recovery$/ { inside = 1; next } inside && /^```$/ { exit } inside' README.md | tail -n +4; }
fact "the recipe is that of FORMAT.md" test "$(chapter)" = "$(recovery)"

facts_end
