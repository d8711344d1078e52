#!/bin/bash
# Restore as a user runs it: parts, over an older tree, beside one, verified.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"
unset DRCTL_CONFIG
cd "$work"

mkdir -p us src/etc src/var/cache src/many
for i in $(seq 400); do printf 'file %s\n' "$i" >"src/many/$i"; done
printf 'a: 1\n' >src/etc/app.conf
printf 'tmp' >src/var/cache/x.tmp
head -c 24000000 /dev/urandom >src/large
ln src/etc/app.conf src/etc/hard
ln -s app.conf src/etc/soft
touch -d '2020-02-02 02:02:02.123456789' src/etc/app.conf
cat >dr.yaml <<YAML
sources:
  - {name: app, path: $work/src, class: data}
buckets:
  - {name: us, url: "file://$work/us", region: us-east-1}
state_dir: $work/state
YAML

is() { [ "$1" = "$2" ] || { printf '    is:     %s\n    wanted: %s\n' "$1" "$2" && return 1; }; }
json() { python3 -c 'import json,sys; v=json.loads(open(sys.argv[1]).read()); sys.exit(not eval(sys.argv[2]))' "$work/.out" "$1"; }
absent() { [ ! -e "$1" ]; }
# Names, types, modes, sizes, times, link counts and contents.
listing() { (cd "$1" && find . -printf '%p %y %m %s %T@ %n %l\n' | sed 's/^\(.* d [0-7]*\) [0-9]* /\1 /' | sort && find . -type f -exec sha256sum {} + | sort); }
same() { diff <(listing "$1") <(listing "$2"); }

run "$DRCTL" init
run "$DRCTL" backup -q
fact "the backup is made" is "$rc" 0

# -- parts ----------------------------------------------------------------------------------------
run "$DRCTL" restore latest --to part --include '*.conf' --include /var --exclude '*.tmp'
fact "a restore by patterns" is "$rc" 0
fact "has what is included" test -f part/etc/app.conf
fact "with the directories below it" test -d part/var/cache
fact "has not what is excluded" absent part/var/cache/x.tmp
fact "nor what is not included" absent part/many
fact "nor a link that is not included" absent part/etc/soft
run "$DRCTL" restore latest --to nowhere --include nothing-like-that
fact "patterns that match nothing are refused" test "$rc" -ne 0
fact "and make nothing" absent nowhere

# -- dry run --------------------------------------------------------------------------------------
run "$DRCTL" restore latest --to dry --dry-run --json
fact "a dry run says what would be written" json "v['dry_run'] and v['changed'] == 404 and v['written'] > 24000000"
fact "and fetched" json "v['fetched'] > 24000000"
fact "and makes nothing" absent dry

# -- verify ---------------------------------------------------------------------------------------
run "$DRCTL" restore latest --to whole --verify --json
fact "a verified restore" is "$rc" 0
fact "is the source" same src whole

# -- delta ----------------------------------------------------------------------------------------
run "$DRCTL" restore latest --to src
fact "a target that is not empty is refused" is "$rc" 5
fact "with both ways out" has "$talk" "--delta"
fact "of them the exchange" has "$talk" "--swap"
mkdir other && printf x >other/mine
run "$DRCTL" restore latest --to other --delta </dev/null
fact "a delta over what is not ours wants a yes" test "$rc" -ne 0
fact "names what would go" has "$talk" "mine"
fact "and touches nothing" test -f other/mine

printf 'HERE' | dd of=whole/large bs=1 seek=12000000 conv=notrunc status=none
touch -r src/large whole/large
rm whole/many/7 && mkdir whole/many/7 && printf x >whole/many/7/y
rm -r whole/etc && printf 'not a directory' >whole/etc
chmod 600 whole/many/8
printf 'surplus' >whole/many/surplus
run "$DRCTL" restore latest --to whole --delta --dry-run --json
fact "a dry run of a delta names what goes" json "sorted(v['names']['remove']) == ['etc', 'many/7', 'many/surplus']"
fact "and fetches and changes nothing" test -f whole/many/surplus
run "$DRCTL" restore latest --to whole --delta --json
fact "a delta over our own restore needs no question" is "$rc" 0
fact "makes it exactly the snapshot" same src whole
fact "of the large file one chunk was fetched" json "v['fetched'] < 6000000 and v['written'] < 6000000"
fact "what was the same was kept" json "v['kept'] >= 1 and v['removed'] == 3"
run "$DRCTL" restore latest --to whole --delta --json
fact "again nothing is fetched or written" json "v['fetched'] == 0 and v['written'] == 0 and v['changed'] == 0"
run "$DRCTL" restore latest --to other --delta --yes
fact "with --yes anything becomes the snapshot" same src other

# -- swap -----------------------------------------------------------------------------------------
printf 'newer' >whole/only-here
inode=$(stat -c %i whole)
run "$DRCTL" restore latest --to whole --swap --json
fact "a swap" is "$rc" 0
fact "puts a new tree in place" same src whole
old=$(python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["old"])' .out)
fact "and keeps the old one beside" is "$(stat -c %i "$old")" "$inode"
fact "with what was only there" test -f "$old/only-here"
run "$DRCTL" restore latest --to whole --swap --dry-run --json
fact "a dry swap changes nothing" absent .whole.drctl-new

# -- what a restore met, repair looks at --------------------------------------------------------------
mkdir eu
sed -i "s#^state_dir#  - {name: eu, url: \"file://$work/eu\", region: eu-west-1}\nstate_dir#" dr.yaml
"$DRCTL" -q init >/dev/null
"$DRCTL" -q repair >/dev/null
pack=$(find us/packs -type f -size +100k | sort | head -n 1)
chmod u+w "$pack"
head -c $(($(stat -c %s "$pack") - 500)) /dev/zero | dd of="$pack" conv=notrunc status=none
run "$DRCTL" restore latest --to mixed
fact "a restore takes from the other bucket what one has damaged" same src mixed
run "$DRCTL" repair
fact "repair has it from the restore where to look" has "$out" "${pack#us/} was damaged: replaced"
fact "and heals it" is "$rc" 0
run "$DRCTL" verify --data
fact "so that every byte of every copy is right" is "$rc" 0

facts_end
