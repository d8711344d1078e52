#!/bin/bash
# Pruning as a user does it: what is shown, asked, kept, freed; forget, pin; what stops it.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"
unset DRCTL_CONFIG
cd "$work"

mkdir -p us eu srv/app srv/etc
head -c 3000000 /dev/urandom >srv/app/large
printf 'key: 1\n' >srv/etc/conf
cat >dr.yaml <<YAML
disaster_recovery:
  backup_policy:
    full_backup: {frequency: daily, retention: 30d}
    config_snapshot: {frequency: 15m, retention: 30d}
sources:
  - {name: app, path: $work/srv/app, class: data}
  - {name: etc, path: $work/srv/etc, class: config}
buckets:
  - {name: us, url: "file://$work/us", region: us-east-1}
  - {name: eu, url: "file://$work/eu", region: eu-west-1}
state_dir: $work/state
YAML

is() { [ "$1" = "$2" ] || { printf '    is:     %s\n    wanted: %s\n' "$1" "$2" && return 1; }; }
json() { python3 -c 'import json,sys; v=json.loads(open(sys.argv[1]).read()); sys.exit(not eval(sys.argv[2]))' "$work/.out" "$1"; }
ids() { "$DRCTL" snapshots --source app --json | python3 -c 'import json,sys; print("\n".join(s["id"] for s in json.load(sys.stdin) if s["state"] == "good"))'; }
objects() { find us eu -type f | LC_ALL=C sort; }
same() { diff -r --no-dereference "$1" "$2"; }
full() { "$DRCTL" -q backup --kind full "$@" >/dev/null; }

"$DRCTL" init >/dev/null
full
head -c 3000000 /dev/urandom >srv/app/large
full --source app
objects >before
run "$DRCTL" prune --yes
fact "nothing is old: nothing to prune" is "$rc $(tail -n 1 "$work/.out")" "0 nothing to prune"
fact "and each snapshot has a line with its reason" is "$(grep -c 'stays .*not older than 30d' "$work/.out")" 3

first=$(ids | sed -n 1p)
run "$DRCTL" pin "$first" --reason "the audit"
fact "pin says so" is "$rc $out" "0 $first is pinned"
run "$DRCTL" snapshots
fact "the list shows the pin with its reason" has "$out" "pinned: the audit"
run "$DRCTL" snapshots --json
fact "as JSON, too" json "[s['pinned'] for s in v if s['id'] == '$first'] == ['the audit']"
run "$DRCTL" forget --source app --keep-last 1 --yes
fact "a pinned one stays, and that is said" has "$talk" "'$first' is pinned and stays"
fact "nothing else was old" has "$out" "0 snapshots forgotten"
run "$DRCTL" unpin "$first"
fact "unpin says so" has "$out" "is not pinned any more"

# -- ask first ----------------------------------------------------------------------------------------
run "$DRCTL" forget "$first" </dev/null
fact "forget with nobody to ask does nothing" is "$rc $(ids | sed -n 1p)" "2 $first"
run "$DRCTL" forget "$first" --yes
fact "forget by name" is "$rc" 0
objects >before
run "$DRCTL" prune --dry-run
fact "a dry run says what would go" has "$out" "would be: 1 snapshot deleted, freed: us "
fact "and why" has "$out" "expires  expired before"
objects >after
fact "and changes nothing" cmp before after
run "$DRCTL" prune </dev/null
fact "prune with nobody to ask does nothing" is "$rc" 2
fact "and names --yes" has "$talk" "add --yes"
script -qec "'$DRCTL' prune" /dev/null <<<"no" >typescript 2>&1 || true
fact "a person is asked, with what it means" has "$(cat typescript)" "This cannot be undone"
objects >after
fact "and no is no" cmp before after
script -qec "'$DRCTL' prune" /dev/null <<<"yes" >typescript 2>&1
fact "yes is yes" has "$(cat typescript)" "1 snapshot deleted, freed: us "
fact "in every bucket" is "$(find us eu -type f -path "*$first*")" ""
run "$DRCTL" verify
fact "what is left is whole" is "$rc" 0

# -- forget -----------------------------------------------------------------------------------------
full --source app
full --source app
run "$DRCTL" forget --source app --keep-last 2 --yes
fact "forget --keep-last keeps so many" is "$rc $(ids | wc -l)" "0 2"
fact "and says what frees the space" has "$out" "drctl prune frees the space"
last=$(ids | tail -n 1)
mapfile -t all < <(ids)
run "$DRCTL" forget "${all[@]}" --yes
fact "the last complete one is refused" is "$rc" 5
fact "with the way to do it all the same" has "$talk" "--force"
fact "and none was forgotten" is "$(ids | wc -l)" 2
run "$DRCTL" forget "${last:0:12}" --force --yes
fact "--force wants whole names" is "$rc" 2
run "$DRCTL" forget
fact "forget without a word is wrong usage" is "$rc" 2
run "$DRCTL" forget --keep-last 0 --source app
fact "none is no number to keep" is "$rc" 2
"$DRCTL" pin "$last" >/dev/null
run "$DRCTL" forget "$last" --force --yes
fact "a pinned one is refused, by force as well" has "$talk" "is pinned"
run "$DRCTL" prune --yes --grace 0s
fact "prune frees what was forgotten" has "$out" "freed: us "
run "$DRCTL" prune --yes --grace 0s
fact "once" is "$(tail -n 1 "$work/.out")" "nothing to prune"
named=$("$DRCTL" snapshots --json | python3 -c 'import json,sys; print(len(json.load(sys.stdin)))')
fact "the objects are as many as the snapshots" is "$(find us/snapshots eu/snapshots -type f | wc -l)" $((2 * named))
run "$DRCTL" restore latest --source app --to back
fact "and the latest restores" same srv/app back

# -- what stops it ----------------------------------------------------------------------------------
mv eu eu.away
run "$DRCTL" prune --yes
fact "a bucket that is away stops it" is "$rc" 5
fact "and is named" has "$talk" "bucket 'eu'"
run "$DRCTL" forget "$last" --yes
fact "it stops forget as well" is "$rc" 5
run "$DRCTL" pin "$last"
fact "but no pin, which says that a bucket lacks it" is "$rc" 9
mv eu.away eu
grep -v 'name: eu,' dr.yaml >less.yaml
run "$DRCTL" prune -c less.yaml --yes
fact "a bucket that the configuration lacks stops it" is "$rc" 5
fact "with what to do about it" has "$talk" "--retire eu"
run "$DRCTL" prune -c less.yaml --retire us --yes
fact "--retire of a bucket that is there is wrong usage" is "$rc" 2
run "$DRCTL" prune --readmit nowhere
fact "--readmit of an unknown one likewise" is "$rc" 2
run "$DRCTL" prune --grace 5
fact "a grace has a unit" is "$rc" 2
run "$DRCTL" prune --abandon app-nothing --yes
fact "abandoning what is not there fails" is "$rc" 1

# -- a run that failed --------------------------------------------------------------------------------
mv srv/app srv/gone
run "$DRCTL" backup --source app --kind full
fact "the backup fails" is "$rc" 1
run "$DRCTL" prune --yes
fact "after it retention holds" is "$rc" 3
fact "and says why" has "$talk" "the last backup failed"
mv srv/gone srv/app
full --source app
run "$DRCTL" prune --yes
fact "until one succeeds" is "$rc" 0

facts_end
