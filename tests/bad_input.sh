#!/bin/bash
# What goes wrong around a backup: unreadable files, buckets that are missing, read-only, full or empty,
# targets that are taken. Each is named, and what can be done is done.
#
# Permissions do not bind root: as root the program runs under another user here.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"
unset DRCTL_CONFIG
cd "$work"
chmod 755 "$work"
cp "$DRCTL" drctl
chmod 755 drctl
DRCTL=$work/drctl

as_user() { "$@"; }
if [ "$(id -u)" -eq 0 ]; then
    as_user() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
fi
give() { # give PATH...: to the user that the program runs under
    [ "$(id -u)" -ne 0 ] || chown -R 65534:65534 "$@"
}

is() { [ "$1" = "$2" ] || { printf '    is:     %s\n    wanted: %s\n' "$1" "$2" && return 1; }; }
json() { python3 -c 'import json,sys; v=json.loads(open(sys.argv[1]).read()); sys.exit(not eval(sys.argv[2]))' "$work/.out" "$1"; }

# fresh: two empty buckets, a source, a configuration, init.
fresh() {
    [ ! -e b ] || { chmod -R u+rwX b && rm -rf b; }
    mkdir -p b/us b/eu b/state b/src/sub
    echo one >b/src/one
    echo two >b/src/sub/two
    head -c 400000 /dev/urandom >b/src/large
    cat >b/dr.yaml <<YAML
sources:
  - {name: app, path: $work/b/src}
buckets:
  - {name: us, url: "file://$work/b/us", region: us-east-1}
  - {name: eu, url: "file://$work/b/eu", region: eu-west-1}
state_dir: $work/b/state
YAML
    give b
    as_user "$DRCTL" -c b/dr.yaml init >/dev/null
}
drctl() { as_user "$DRCTL" -c b/dr.yaml "$@"; }

# -- sources -----------------------------------------------------------------------------------------
fresh
chmod 000 b/src/one
run drctl backup
fact "an unreadable file is a warning, not a failure" is "$rc" 8
fact "and is named" has "$talk" "one"
run drctl backup --json
fact "the result counts it" json "v['warnings'] == 1 and v['exit'] == 8 and v['files'] == 2"
chmod 644 b/src/one

chmod 000 b/src/sub
run drctl backup
fact "an unreadable directory is a warning" is "$rc" 8
fact "and is named" has "$talk" "sub"
chmod 755 b/src/sub

chmod 000 b/src
run drctl backup
fact "a source whose root cannot be read fails" is "$rc" 1
fact "and is named" has "$talk" "b/src"
chmod 755 b/src
mv b/src b/elsewhere
run drctl backup
fact "a source that is not there fails" is "$rc" 1
fact "and is named" has "$talk" "b/src"
mv b/elsewhere b/src
run drctl snapshots --json
fact "what failed left no snapshot" json "len(v) == 3"

# -- buckets -----------------------------------------------------------------------------------------
fresh
mv b/us b/gone
run drctl backup
fact "with a bucket missing the other is written" is "$rc" 8
fact "the missing one is named" has "$talk" "us"
run drctl snapshots --json
fact "and has no part in the snapshot" json "[s['buckets'] for s in v] == [['eu']]"
mv b/eu b/gone2
run drctl backup
fact "with all buckets missing a backup fails" is "$rc" 1
run drctl snapshots
fact "and so does a list" is "$rc" 1
mv b/gone b/us
mv b/gone2 b/eu

fresh
chmod -R a-w b/us
run drctl backup
fact "a bucket that is read-only costs its own copy" is "$rc" 8
fact "and is named with the reason" has "$talk" "Permission denied"
chmod -R u+w b/us
run drctl backup
fact "when it is back, it is written again" is "$rc" 0

fresh
run drctl backup
rm -rf b/us && mkdir b/us && give b/us
run drctl snapshots --json
fact "an emptied bucket among full ones hides no snapshot" json "len(v) == 1 and v[0]['buckets'] == ['eu']"
run drctl restore latest --to b/back
fact "and stops no restore" diff -r b/src b/back
run drctl doctor
fact "doctor says that it holds no repository" has "$out" "holds no repository"
run drctl verify
fact "verify calls it degraded" is "$rc" 9
run drctl init
fact "init makes it ready again" is "$rc" 0
run drctl backup
fact "and the next backup is in both" is "$rc" 0

echo stranger >b/us/stranger
rm -rf b/eu && mkdir b/eu && echo hello >b/eu/letter && give b/eu
run drctl init
fact "a directory with foreign files does not become a bucket" test $rc -ne 0
fact "and is left alone" is "$(ls b/eu)" letter

# -- full --------------------------------------------------------------------------------------------
# A file system of 1 MiB for one bucket, where mounting is allowed (in a namespace of its own); else a
# limit on the size of files, which strikes every bucket.
fresh
head -c 3000000 /dev/urandom >b/src/larger
give b/src
cat >full.sh <<'SH'
set -eu
mount -t tmpfs -o size=1m,mode=777 none b/us
"$@" init >/dev/null
rc=0
"$@" backup || rc=$?
umount b/us
exit $rc
SH
if unshare -m true 2>/dev/null; then
    run unshare -m bash full.sh setpriv --reuid=65534 --regid=65534 --clear-groups "$DRCTL" -c b/dr.yaml
    mounted=1
elif unshare -Urm mount -t tmpfs none b/us 2>/dev/null; then
    run unshare -Urm bash full.sh "$DRCTL" -c b/dr.yaml
    mounted=1
else
    mounted=0
fi
if [ $mounted -eq 1 ]; then
    fact "a full bucket costs its own copy" is "$rc" 8
    fact "and is named with the reason" has "$talk" "No space left on device"
    run drctl restore latest --to b/back
    fact "the other one restores" diff -r b/src b/back
fi
# Anew: what a bucket holds by now would need no bytes.
fresh
head -c 3000000 /dev/urandom >b/src/larger
give b/src
limited() (
    ulimit -f 200
    drctl backup
)
run limited
fact "buckets that take no more bytes make the backup fail" is "$rc" 1
fact "with the reason" has "$talk" "File too large"

# -- forged snapshots ---------------------------------------------------------------------------------
fresh
run drctl backup --json
id=$(python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["id"])' "$work/.out")
forge() { # forge BUCKET: one number of the snapshot object is another one
    chmod u+w "b/$1/snapshots/$id"
    sed -i 's/"files":3/"files":4/' "b/$1/snapshots/$id"
}
forge us
run drctl snapshots --json
fact "a snapshot forged in one bucket is good in the other" json "v[0]['state'] == 'good' and v[0]['buckets'] == ['eu']"
forge eu
run drctl snapshots --json
fact "forged in all of them it is listed as refused, with the reason" \
    json "v[0]['state'] == 'refused' and 'signature does not match' in v[0]['why']"
run drctl snapshots
fact "in the table as well" has "$out" "REFUSED: "
run drctl restore latest --to b/back
fact "it is never chosen" test $rc -ne 0
run drctl restore "$id" --to b/back
fact "and refused by name" is "$rc" 5
fact "nothing was restored" test ! -e b/back
run drctl doctor
fact "doctor warns of it" has "$out" "is refused"

# -- targets ----------------------------------------------------------------------------------------
fresh
drctl backup >/dev/null 2>&1
mkdir b/full && echo mine >b/full/mine && give b/full
run drctl restore latest --to b/full
fact "a target that is not empty is refused" test $rc -ne 0
fact "is named" has "$talk" "b/full"
fact "and is left as it was" is "$(ls -A b/full)" mine
echo file >b/file && give b/file
run drctl restore latest --to b/file
fact "a target that is a file is refused" test $rc -ne 0
mkdir b/locked && give b/locked && chmod 555 b/locked
run drctl restore latest --to b/locked/new
fact "a target that cannot be made fails" is "$rc" 1
fact "and is named" has "$talk" "b/locked"
chmod 755 b/locked

facts_end
