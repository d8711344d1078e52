#!/bin/bash
# A whole recovery with its leases in a bucket: the run's own, the writer's that is fenced and granted.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"
# shellcheck source=tests/support/regions.sh
. "$root/tests/support/regions.sh"
# shellcheck disable=SC2034  # three_regions reads it
LEASE="driver: bucket, bucket: eu"
three_regions ana
cat >>dr.yaml <<YAML
providers:
  service: {start: [touch, "$work/started"], stop: ["true"], status: [test, -e, "$work/started"]}
YAML
mkdir data
cat >move.yaml <<YAML
plan: move
regions: [us-east-1, eu-west-1]
steps:
  - {id: pick, use: region.pick}
  - id: fence
    use: fence
    with: {region: "\${failed}", methods: [{use: fence.lease, with: {key: writer/app, margin: 1s}}]}
  - id: live
    use: service.promote
    with: {at: "\${target}", unit: app, data: "$work/data", live: "$work/live", lease: writer/app}
YAML
until_true() { for _ in $(seq 600); do "$@" 2>/dev/null && return 0; sleep 0.1; done; return 1; }
run "$DRCTL" init

"$DRCTL" lease hold writer/app --as old --region us-east-1 -- sleep 60 &
holder=$!
# shellcheck disable=SC2317  # until_true calls it
held() { "$DRCTL" lease show writer/app | grep -q old; }
fact "the writer holds its lease in the bucket" until_true held
fact "as one object" test -f eu/leases/writer_2fapp
kill -KILL $holder
{ wait $holder || true; } 2>/dev/null

run "$DRCTL" failover move --failed eu-west-1 --yes
fact "a lease in the region that is given up is refused" test $rc -eq 5
fact "and said so" has "$talk" "in the region 'eu-west-1' that is given up"
run "$DRCTL" failover move --failed us-east-1 --yes
fact "the plan runs to its end" test $rc -eq 0 -o $rc -eq 4
fact "the service was started" test -e started
fact "the fence gave its proof" grep -rq lease_expired state/runs
fact "the run's own lease was in the bucket, too" test -f eu/leases/run
fact "and is given back" has "$("$DRCTL" lease show run --json)" '"holder":""'
fact "nothing lies in files" test ! -e state/leases
run "$DRCTL" lease hold writer/app --region us-east-1 -- true
fact "the old region is shut out" test $rc -eq 5
run "$DRCTL" lease hold writer/app --as new --region eu-west-1 -- echo mine
fact "the new one writes" has "$out" mine
run "$DRCTL" lease show
fact "all leases are listed by their keys" test "$(grep -c 'run\|writer/app' <<<"$out")" -ge 2

# The bucket goes away under a holder: its command is ended before another could take it.
"$DRCTL" lease hold writer/b --as b -- sleep 60 2>held.err &
holder=$!
held() { "$DRCTL" lease show writer/b | grep -q " b"; }
until_true held
mv eu/leases away
touch eu/leases
rc=0
wait $holder || rc=$?
fact "a holder whose bucket is gone stops" test $rc -eq 5
rm eu/leases
mv away eu/leases

sed 's/eu-west-1}$/us-east-1}/; s/bucket: eu/bucket: us/; s/^disaster_recovery:/&\n  strategy: {primary_region: us-east-1}/' dr.yaml >near.yaml
run "$DRCTL" check -c near.yaml
fact "check warns of a lease in the primary region" has "$out$talk" "the lease lies in the primary region"
facts_end
