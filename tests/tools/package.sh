#!/bin/bash
# package.sh DIRECTORY: the Debian packages in it are what a careful administrator wants: lintian is content, nothing is
# started or enabled, no file of /etc is ours to keep, all hardening is on, the GPL stays in its own
# package; and in a fresh root they install, run and go away without a trace.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/../support/facts.sh"
packages=$(cd "$1" && pwd)
drctl=("$packages"/drctl_*.deb)
s3v2=("$packages"/drctl-store-s3v2_*.deb)

# -- what lies in them -------------------------------------------------------------------------------------
run lintian --no-cfg --allow-root --pedantic "${drctl[0]}" "${s3v2[0]}"
[ -z "$out$talk" ] || printf '%s\n%s\n' "$out" "$talk"
fact "lintian has nothing to say" test "$rc" -eq 0 -a -z "$out"
names() { dpkg-deb -c "$1" | awk '{ print $6 }' | sed 's#^\./#/#'; }
names "${drctl[0]}" >"$work/names"
for path in /usr/bin/drctl /usr/bin/backupd /usr/share/man/man1/drctl.1.gz /usr/share/man/man8/backupd.8.gz \
    /usr/share/man/man5/dr.yaml.5.gz /lib/systemd/system/backupd.service /usr/lib/sysusers.d/drctl.conf /usr/share/man/man7/drctl-recovery.7.gz \
    /usr/share/bash-completion/completions/drctl /usr/share/zsh/vendor-completions/_drctl \
    /usr/share/fish/vendor_completions.d/drctl.fish /usr/share/doc/drctl/examples/dr.yaml \
    /usr/share/drctl/runbooks/hello_failover.yaml; do
    fact "drctl brings $path" grep -qx "$path" "$work/names"
done
fact "and not the program under the GPL" test "$(grep -c s3v2 "$work/names")" -eq 0
fact "which has a package of its own" grep -qx /usr/lib/drctl/drctl-store-s3v2 <(names "${s3v2[0]}")
no_conffiles() { [ -z "$(dpkg-deb --info "${drctl[0]}" conffiles 2>/dev/null)" ]; }
fact "no configuration is installed, only an example" no_conffiles
says_gpl() { dpkg-deb --fsys-tarfile "${s3v2[0]}" | tar -xO ./usr/share/doc/drctl-store-s3v2/copyright | grep -q 'License: GPL-3+'; }
fact "its copyright says so" says_gpl

# -- a fresh root --------------------------------------------------------------------------------------------
fresh=$work/root
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(fakeroot)
mkdir -p "$fresh"/var/lib/dpkg/{info,updates,triggers} "$fresh/etc" "$fresh/var/log"
: >"$fresh/var/lib/dpkg/status"
echo root:x:0:0:root:/root:/bin/sh >"$fresh/etc/passwd"
echo root:x:0: >"$fresh/etc/group"
dpkg_there() {
    "${as_root[@]}" dpkg --root="$fresh" --log=/dev/null --force-script-chrootless --force-depends --force-not-root "$@"
}
run dpkg_there -i "${drctl[0]}" "${s3v2[0]}"
[ "$rc" -eq 0 ] || printf '%s\n%s\n' "$out" "$talk"
fact "they install into a fresh root" test "$rc" -eq 0
installed=$fresh/usr/bin/drctl
needs() { ldd "$1" | awk '{ print $1 }'; }
fact "the libraries are there" test -z "$(ldd "$installed" "$fresh/usr/lib/drctl/drctl-store-s3v2" | grep 'not found')"
absent() { ! "$@"; }
fact "drctl does not link libs3" absent grep -q libs3 <(needs "$installed")
run "$installed" --version
fact "drctl runs" test "$rc" -eq 0
run "$fresh/usr/bin/backupd" --version
fact "backupd is drctl" test "$rc" -eq 0
run "$installed" check -c "$fresh/usr/share/doc/drctl/examples/dr.yaml"
fact "it can read the example" test "$rc" -eq 0
run "$installed" plan lint "$fresh/usr/share/drctl/runbooks/hello_failover.yaml"
fact "and the runbooks" test "$rc" -eq 0
enabled() { find "$fresh/etc" "$fresh/var/lib/systemd" -type l -path '*.wants/*' 2>/dev/null | grep -q .; }
fact "nothing is enabled" absent enabled
empty() { [ -z "$(find "$1" -mindepth 1 | head -n 1)" ]; }
fact "no configuration lies in /etc/drctl" empty "$fresh/etc/drctl"

# A backup and back, by what was installed.
mkdir "$work/source" "$work/bucket"
head -c 400000 /dev/urandom >"$work/source/data"
cat >"$work/dr.yaml" <<Y
disaster_recovery: {backup_policy: {full_backup: {frequency: daily, retention: 30d}}}
sources: [{name: app, path: $work/source}]
buckets: [{name: us, url: "file://$work/bucket", region: us-east-1}]
state_dir: $work/state
Y
round() { for verb in init backup "restore latest --to $work/back"; do
    # shellcheck disable=SC2086 # words
    "$installed" -q -c "$work/dr.yaml" $verb >/dev/null || return 1
done; }
fact "it backs up and restores" round
fact "what it restores is the source" cmp "$work/source/data" "$work/back/data"

# -- hardening -----------------------------------------------------------------------------------------------
for program in "$installed" "$fresh/usr/lib/drctl/drctl-store-s3v2"; do
    name=$(basename "$program")
    readelf -hldW "$program" >"$work/elf"
    readelf --dyn-syms -W "$program" >"$work/symbols"
    fact "$name is position-independent" grep -q 'Type:.*DYN' "$work/elf"
    fact "$name is read-only behind its relocations" grep -q GNU_RELRO "$work/elf"
    fact "$name binds all at its start" grep -qE 'BIND_NOW|Flags:.*NOW' "$work/elf"
    fact "$name guards its stack" grep -q __stack_chk_fail "$work/symbols"
    fact "$name has checked calls of libc" grep -q '_chk@' "$work/symbols"
    fact "$name has no executable stack" grep -qE 'GNU_STACK .* RW ' "$work/elf"
done

run dpkg_there --purge drctl drctl-store-s3v2
fact "they can be purged" test "$rc" -eq 0
traces() { find "$fresh/etc" "$fresh/usr" \( -name '*drctl*' -o -name '*backupd*' \) 2>/dev/null | grep .; }
fact "and leave nothing behind" absent traces
facts_end
