#!/bin/bash
# After a failover of two regions: the old one is fenced and its bucket is gone. What is drilled, asked and cleaned up
# in the new region says so, and with what command it ends.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"
# shellcheck source=tests/support/regions.sh
. "$root/tests/support/regions.sh"
three_regions ana
cat >>dr.yaml <<YAML
providers:
  service: {start: [touch, "$work/started"], stop: [rm, -f, "$work/started"], status: [test, -e, "$work/started"]}
YAML
newest() { find state/runs -maxdepth 1 -name "$1-*" -printf '%f\n' | sort -t- -k2 -n | tail -n 1; }
record() { jq -c "select(.type == \"$1\") | .body" "state/runs/$(newest D)/journal.jsonl"; }
cat >move.yaml <<YAML
plan: move
regions: [us-east-1, eu-west-1]
steps:
  - {id: pick, use: region.pick}
  - {id: fence, use: fence, with: {region: "\${failed}", methods: [{use: fence.lease, with: {key: writer/app, margin: 0s}}]}}
  - {id: snapshot, use: backup.pick, with: {source: app}}
  - {id: restore, use: backup.restore, with: {snapshot: "\${snapshot.id}", at: "\${target}", to: $work/gen-2}}
  - id: go_live
    use: service.promote
    with: {at: "\${target}", unit: app, data: "\${restore.path}", live: $work/current, lease: writer/app}
    point_of_no_return: "new writes exist only in \${target}"
YAML
mkdir gen-1
ln -s gen-1 current
run "$DRCTL" init
"$DRCTL" lease hold writer/app --as app --region us-east-1 -- true
run "$DRCTL" backup
mv us us.lost
touch us # no directory any more
run "$DRCTL" failover move --failed us-east-1 --yes
printf '%s\n' "$out" >failover.out
fact "the plan is carried out" test $rc -eq 0 -o $rc -eq 4

# -- the lost bucket -------------------------------------------------------------------------------------
retire="drctl prune --retire us"
fact "the failover says that nothing is pruned, and how it ends" has "$out" "$retire"
fact "on a line of its own" grep -qx "        $retire" failover.out
fact "and that nothing can take over now" has "$out" "next: eu-west-1 has no standby until us-east-1 is well again"
run "$DRCTL" prune
fact "a prune is refused while the bucket is configured" test $rc -eq 5
fact "with the command that ends it" has "$talk" "$retire"
run "$DRCTL" status
fact "the status says so as well" has "$out" "$retire"
fact "and so does the finding, of which alerts are made" has "$("$DRCTL" status --json | jq -r '.findings[].hint' | tr '\n' ' ')" "$retire"
sed '/name: us, url/d' dr.yaml >without.yaml
run "$DRCTL" -c without.yaml prune --retire us
fact "which is true: after it" test $rc -eq 0
run "$DRCTL" -c without.yaml prune
fact "prunes are done again" test $rc -eq 0

# -- no standby ------------------------------------------------------------------------------------------
none="eu-west-1 has no standby: fenced since it was given up: us-east-1; the failback is due"
run "$DRCTL" plan preflight move --failed eu-west-1
fact "in its preflight the region that serves now is told to have no standby" has "$out" "$none"
fact "which is not ready" test $rc -eq 3
run "$DRCTL" plan preflight move --failed eu-west-1 --json
fact "nor does it say so to a program" test "$(jq -c '[.begins, .standbys[0].ready]' <<<"$out")" = "[false,false]"
mv us us.file && mv us.lost us # a drill backs up first, into both
run "$DRCTL" drill move --controls none --json
fact "a drill of it fails" test $rc -eq 1
fact "for that reason" has "$(jq -rs '.[-1].why' <<<"$out")" "$none"
fact "before any step was begun" test -z "$(record intent)$(record begin)"
run "$DRCTL" report --run "$(newest D)" --format json
fact "it is a critical finding of its report" test "$(jq -r '.findings[] | select(.kind == "standby") | .severity' <<<"$out")" = critical
facts_end
