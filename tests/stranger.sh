#!/bin/bash
# Three ways to one tree: drctl's restore, a reader written from FORMAT.md alone, and the shell recipe
# of that page. All three equal the source, byte by byte and attribute by attribute; stock tools
# accept every object. As an ordinary user the tree has no owners, devices and capabilities.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"

tree() { python3 "$root/tests/support/tree.py" "$@"; }
reader() { python3 "$root/tests/reader.py" "$@"; }

tree make "$work/source"
mkdir "$work/us" "$work/eu"
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
export DRCTL_CONFIG=$work/dr.yaml
run "$DRCTL" init
fact "init makes the repositories" test $rc -eq 0
run "$DRCTL" backup --source app --kind full
fact "a full backup succeeds" test $rc -eq 0
id=$("$DRCTL" snapshots --json | jq -r '.[0].id')
fact "the snapshot is in both buckets" \
    test "$("$DRCTL" snapshots --json | jq -c '.[0].buckets | sort')" = '["eu","us"]'

# -- stock tools on what lies in the buckets -------------------------------------------------------------
packs=0
bad=0
while read -r pack; do
    packs=$((packs + 1))
    zstd -tq <"$pack" || bad=$((bad + 1))
    [ "$(sha256sum <"$pack" | cut -d' ' -f1)" = "$(basename "$pack")" ] || bad=$((bad + 1))
done < <(find "$work/us/packs" "$work/eu/packs" -type f)
fact "there are packs in both buckets" test "$packs" -ge 2
fact "zstd -t and sha256sum accept every pack" test "$bad" -eq 0
objects() { (cd "$1" && find . -type f -exec sha256sum {} + | sort -k 2); }
fact "both buckets hold the same objects" test "$(objects "$work/us")" = "$(objects "$work/eu")"

# -- drctl -----------------------------------------------------------------------------------------------
run "$DRCTL" restore latest --source app --to "$work/by-drctl"
fact "drctl restores" test $rc -eq 0
fact "drctl's tree equals the source" tree same "$work/source" "$work/by-drctl"

# -- the stranger -------------------------------------------------------------------------------------------
key=$("$DRCTL" key)
run reader --key "$key" verify "$work/eu" "$id"
fact "the stranger finds every piece, digest and recipe right" test $rc -eq 0
run reader --key "$key" restore "$work/us" "$id" "$work/by-stranger"
fact "the stranger restores" test $rc -eq 0
fact "the stranger's tree equals drctl's" tree same "$work/by-drctl" "$work/by-stranger"
run reader --key ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= verify "$work/eu" "$id"
fact "the stranger refuses another writer" test $rc -eq 1

# -- the shell recipe, as it stands on the page ---------------------------------------------------------------
# By name of its chapter: the first sh block behind "Restoring by hand".
awk '/^## .*Restoring by hand/ { here = 1 } here && /^```sh$/ { inside = 1; next }
     inside && /^```$/ { exit } inside' "$root/backup/FORMAT.md" >"$work/recipe.sh"
fact "the page has a recipe" test -s "$work/recipe.sh"
mkdir "$work/by-shell"
run env BUCKET="$work/eu" SNAPSHOT="$id" TARGET="$work/by-shell" bash "$work/recipe.sh"
fact "the recipe runs" test $rc -eq 0
fact "the recipe's tree equals the source" tree same "$work/source" "$work/by-shell"

# -- export -------------------------------------------------------------------------------------------------------
"$DRCTL" export "$id" >"$work/x.tar.zst"
fact "zstd accepts an export" zstd -tq "$work/x.tar.zst"
zstd -dcq "$work/x.tar.zst" >"$work/x.tar"
export LC_ALL=C.UTF-8 # in the C locale bsdtar cannot show names that are UTF-8
run tar -tvf "$work/x.tar"
fact "tar lists an export" test $rc -eq 0
run bsdtar -tvf "$work/x.tar"
fact "bsdtar lists an export" test $rc -eq 0

# Names that are UTF-8: no warning from either.
mkdir "$work/utf8"
printf 'x' >"$work/utf8/été-日本"
head -c 300000 /dev/urandom >"$work/utf8/large"
ln "$work/utf8/large" "$work/utf8/large-link"
ln -s large "$work/utf8/soft"
sed "s#$work/source#$work/utf8#; s#name: app#name: utf8#" "$work/dr.yaml" >"$work/utf8.yaml"
"$DRCTL" -c "$work/utf8.yaml" -q backup >/dev/null
"$DRCTL" -c "$work/utf8.yaml" export latest --source utf8 >"$work/utf8.tar.zst" 2>"$work/export.err"
for tool in tar bsdtar; do
    run $tool -tvf "$work/utf8.tar.zst"
    fact "$tool lists UTF-8 names" has "$out" "été-日本"
    fact "$tool gives no warning" test -z "$talk"
done

facts_end
