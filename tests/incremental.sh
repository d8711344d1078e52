#!/bin/bash
# What an incremental snapshot costs: nothing changed stores nothing but the snapshot itself; a lost cache is
# one more reading and no storing; one file in a hundred costs about what these files cost; a full one of
# an unchanged tree stores nothing either. And the JSON says what happened.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"

mkdir "$work/source" "$work/us"
cat >"$work/dr.yaml" <<Y
disaster_recovery:
  backup_policy:
    full_backup: {frequency: daily, retention: 30d}
sources:
  - {name: app, path: $work/source, class: data}
buckets:
  - {name: us, url: "file://$work/us", region: us-east-1}
state_dir: $work/state
Y
export DRCTL_CONFIG=$work/dr.yaml

# 3,000 files of 1 to 4 KB of their own in 30 directories, a large one, links of both kinds.
python3 - "$work/source" <<'P'
import os, random, sys
r = random.Random(5)
for i in range(3000):
    d = "%s/d%02d" % (sys.argv[1], i % 30)
    os.makedirs(d, exist_ok=True)
    with open("%s/f%04d" % (d, i), "wb") as f:
        f.write(r.randbytes(1000 + r.randrange(3000)))
with open(sys.argv[1] + "/large", "wb") as f:
    f.write(r.randbytes(3 << 20))
os.link(sys.argv[1] + "/d00/f0000", sys.argv[1] + "/d01/hard")
os.symlink("d00", sys.argv[1] + "/soft")
P

packs() { find "$work/us/packs" -type f | wc -l; }
value() { jq -r ".$1" <<<"$out"; }
# Two of one second cannot be told apart by their names: id is that of the last one.
take() { run "$DRCTL" backup --source app --json "$@" && id=$(value id); }

run "$DRCTL" init
take
fact "the first one is full, whatever is asked for" test "$rc $(value kind)" = "0 full"
before=$(packs)

take --kind incremental
fact "an unchanged tree: an incremental one" test "$rc $(value kind)" = "0 incremental"
fact "an unchanged tree stores no pack" test "$(packs) $(value stored)" = "$before 0"

rm "$work/state/toc/app"
take --kind incremental
fact "a lost cache stores no pack" test "$rc $(packs) $(value stored)" = "0 $before 0"
fact "and is written anew" test -s "$work/state/toc/app"

printf x | dd of="$work/state/toc/app" bs=1 seek=100 conv=notrunc status=none
take --kind incremental
fact "a damaged cache stores no pack" test "$rc $(packs) $(value stored)" = "0 $before 0"

take --kind full
fact "a full one of an unchanged tree stores no pack" \
    test "$rc $(value kind) $(packs) $(value stored)" = "0 full $before 0"

# One file in a hundred.
changed=0
for i in $(seq 100 100 2999); do
    f=$(printf '%s/d%02d/f%04d' "$work/source" $((i % 30)) "$i")
    head -c 2500 /dev/urandom >"$f"
    changed=$((changed + $(zstd -3 -c <"$f" | wc -c)))
done
take --kind incremental
stored=$(value stored)
fact "a hundredth that changed costs less than 1.4 times itself, the table included" \
    test $((stored * 10)) -lt $((changed * 14))
echo "   changed $changed stored $stored"

# A line of the table of contents has 7 fields; of a segment that is stored as a patch 12.
widths() { head -n 1 "$work/us/snapshots/$id" | jq -r '.toc.lines[]' | awk '{ print NF }' | sort -un | xargs; }
patched() { [[ "$(widths)" =~ ^(7 )?12$ ]]; } # where segments end is drawn: one may have nothing that changed
fact "segments that changed are patches" patched
before=$(widths)
stranger() { run python3 "$root/tests/reader.py" verify "$work/us" "$id"; }
stranger
fact "the stranger finds them right" test $rc -eq 0
rm "$work/state/toc/app"
take --kind incremental
fact "a lost cache finds them in the bucket" test "$rc $(value stored) $(widths)" = "0 0 $before"
take --kind full
fact "a full one keeps them" test "$rc $(value stored) $(widths)" = "0 0 $before"

# A third of each bundle: they may be written afresh, and are as far as a small share of what changes pays for it.
changed=0
for i in $(seq 1 3 2999); do
    f=$(printf '%s/d%02d/f%04d' "$work/source" $((i % 30)) "$i")
    head -c 2500 /dev/urandom >"$f"
    changed=$((changed + 2500))
done
take --kind incremental
stored=$(value stored)
fact "a third that changed is stored, and not all that lies beside it" test $((stored * 10)) -lt $((changed * 14))
echo "   changed $changed stored $stored"
touch "$work/source/d05/f0005"
take --kind incremental
stored=$(value stored)
fact "nor at the next run, of one file" test "$stored" -lt 100000
echo "   stored $stored"

python3 - "$work/source" <<'P'
import os, random, sys
r = random.Random(6)
for d, _, files in os.walk(sys.argv[1]):
    for f in files:
        os.utime(os.path.join(d, f), ns=(0, r.randrange(10**18)), follow_symlinks=False)
P
take --kind incremental
fact "where every row is another, segments are whole again" test "$rc $(widths)" = "0 7"
touch "$work/source/d05/f0005"
take --kind incremental
fact "and the base of the next patches" patched
run "$DRCTL" forget --source app --keep-last 1 --yes
run "$DRCTL" prune --yes
fact "a prune leaves what the last one is a patch of" test $rc -eq 0
stranger
fact "it is whole for the stranger" test $rc -eq 0
run "$DRCTL" verify --data
fact "and for us" test $rc -eq 0

# The secret change: same size, same time.
f=$work/source/d07/f0007
touch -r "$f" "$work/time"
size=$(stat -c %s "$f")
head -c "$size" /dev/urandom >"$f"
touch -r "$work/time" "$f"
rm -r "$work/source/d03"
mv "$work/source/large" "$work/source/moved"
take --kind incremental
fact "a large file that moved is not stored again" test "$(value stored)" -lt 1000000
run "$DRCTL" restore latest --source app --to "$work/out"
fact "it restores" test $rc -eq 0
fact "what is restored is the tree" diff -r --no-dereference "$work/source" "$work/out"
stranger
fact "the stranger finds it right" test $rc -eq 0

facts_end
