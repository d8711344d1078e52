#!/bin/bash
# drctl-recovery.7 as somebody reads it on paper: the blocks are cut out of the printed page and typed, with only
# what stands behind a "=" filled in. What they bring back is the tree, from a directory and from S3; what is
# forged or damaged is told.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"
unset DRCTL_CONFIG
OBJECTS=${OBJECTS:-$root/build/release}
# shellcheck source=tests/support/radosgw.sh
. "$root/tests/support/radosgw.sh"

tree() { python3 "$root/tests/support/tree.py" "$@"; }

# -- the page, printed -------------------------------------------------------------------------------------
backspace=$(printf '\b')
mandoc -T ascii "$root/drctl-recovery.7" | sed "s/.$backspace//g" >"$work/page"
# Block NAME: from "# NAME:" to the next line that is not indented so far.
block() {
    awk -v from="# $1:" '
        /^           / { line = substr($0, 12); if (index(line, from) == 1) on = 1; if (on) print line; next }
        on { exit }' "$work/page"
}
whole() { for name in 1 2 3 4 5 6 7 "S3 1" "S3 2" "S3 3"; do [ -n "$(block "$name")" ] || return 1; done; }
fact "the printed page has all blocks" whole
fits() { [ "$(wc -L <"$work/page")" -le 80 ]; }
fact "no line is wider than paper" fits
plain() { ! LC_ALL=C grep -q '[^ -~]' "$work/page"; }
fact "it has only signs that can be typed" plain

# -- two snapshots: the second has changes, and copies that are dead ---------------------------------------
tree make "$work/source"
mkdir -p "$work/us" "$work/eu" "$work/source/more/deep"
for i in $(seq 60); do head -c $((i * 313)) /dev/urandom >"$work/source/more/$i"; done
head -c 2500000 /dev/urandom >"$work/source/more/deep/large"
cat >"$work/dr.yaml" <<Y
disaster_recovery:
  backup_policy:
    full_backup: {frequency: daily, retention: 30d}
sources:
  - {name: app, path: $work/source, class: data}
buckets:
  - {name: us, url: "file://$work/us", region: us-east-1}
  - {name: eu, url: "file://$work/eu", region: eu-west-1}
state_dir: $work/state
Y
drctl() { "$DRCTL" -c "$work/dr.yaml" -q "$@"; }
{ drctl init && drctl backup; } >/dev/null
rm "$work"/source/more/1*
for i in 2 3 4; do echo "changed $i" >"$work/source/more/$i"; done
mv "$work/source/more/deep/large" "$work/source/more/large"
echo new >"$work/source/more/new"
drctl backup >/dev/null
id=$(drctl snapshots --json | jq -r '.[-1].id')
key=$(drctl key)

# typed BUCKET TARGET BLOCK...: these blocks, one after another, in one shell.
typed() {
    local bucket=$1 target=$2 name
    shift 2
    for name in "$@"; do block "$name"; done |
        sed -E "s#^BUCKET=[^ ]*#BUCKET=$bucket#; s#TARGET=/[^ ]*#TARGET=$target#; s#SNAPSHOT=ID\$#SNAPSHOT=$id#
            s#^WRITER=.*#WRITER=$key#; s#^PART=.*#PART=more/deep#
            s#^URL=.*#URL=${S3_1_HTTP:-}/backups REGION=us-east-1 KEY=${S3_SOURCE_KEY:-} SECRET=${S3_SOURCE_SECRET:-}#" \
            >"$work/typed"
    run bash "$work/typed"
}

typed "$work/eu" "$work/back" 1 2 3 4 5
fact "the list names the snapshot" has "$out" "$id"
fact "the signature is verified" has "$out" "Signature Verified Successfully"
silent() { case $out in *"not whole"* | *"let go"*) return 1 ;; esac; }
fact "nothing is said against it" silent
fact "the tree is back" tree same "$work/source" "$work/back"
typed "$work/eu" "$work/names" 1 2 6
fact "the names can be read before" has "$out" "more/new"
typed "$work/eu" "$work/some" 1 2 7
fact "a part comes back alone" test -d "$work/some.part/more/deep" -a ! -e "$work/some.part/more/new"

# -- what is wrong is told ----------------------------------------------------------------------------------
good=$key
key=ed25519:$(head -c 32 /dev/zero | base64)
typed "$work/eu" "$work/forged" 1 2 3
refused() { case "$out$talk" in *"Verified Successfully"*) return 1 ;; esac; }
fact "another writer's key verifies nothing" refused
key=$good
pack=$(cd "$work/eu" && find packs -type f -size +1M | head -n 1)
cp -r "$work/eu" "$work/broken"
chmod u+w "$work/broken/$pack"
printf X | dd of="$work/broken/$pack" bs=1 seek=1000 conv=notrunc status=none
typed "$work/broken" "$work/x" 1 2 4
fact "a damaged pack is named" has "$out" "not whole: $pack"
fact "and no other" test "$(grep -c 'not whole' <<<"$out")" -eq 1
cp --remove-destination "$work/us/$pack" "$work/broken/$pack"
typed "$work/broken" "$work/healed" 1 2 4 5
fact "with the pack of another bucket it is whole" silent
old=$(drctl snapshots --json | jq -r '.[0].id')
drctl --yes forget --force "$old" >/dev/null
id=$old
typed "$work/eu" "$work/x" 1
fact "one that was let go is told" has "$out" "let go"

# -- the bucket is on S3 -------------------------------------------------------------------------------------
radosgw_start "$work/s3" 1
radosgw_say bucket 1 backups plain
export AWS_EC2_METADATA_DISABLED=true AWS_ACCESS_KEY_ID=$S3_SOURCE_KEY AWS_SECRET_ACCESS_KEY=$S3_SOURCE_SECRET
sed -i -e '/name: eu/d' -e "s#file://$work/us#s3://backups?endpoint=$S3_1_HTTP#" -e "s#state_dir: .*#state_dir: $work/state3#" "$work/dr.yaml"
{ drctl init && drctl backup; } >/dev/null
id=$(drctl snapshots --json | jq -r '.[-1].id')
key=$(drctl key)
typed "$work/copy" "$work/from-s3" "S3 1" "S3 2" 1 2 "S3 3" 3 4 5
fact "the names come from S3" has "$out" "$id"
fact "what comes from there is genuine" has "$out" "Signature Verified Successfully"
fact "and whole" silent
fact "the tree is back from S3" tree same "$work/source" "$work/from-s3"
radosgw_stop
facts_end
