#!/bin/bash
# What a run asked of the buckets, and what a month costs, as a user reads it; and a region that must hold a
# copy. Directories stand for the buckets: what is counted and how it is told is the same.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"
unset DRCTL_CONFIG
cd "$work"
mkdir -p us eu state src
head -c 300000 /dev/urandom >src/a
is() { [ "$1" = "$2" ] || { printf '    is:     %s\n    wanted: %s\n' "$1" "$2" && return 1; }; }
# field EXPRESSION: of the JSON object in $out.
field() { python3 -c "import json, sys; o = json.loads(sys.argv[1]); print($1)" "$out"; }

write() { # REQUIRE PRICES
    cat >dr.yaml <<YAML
disaster_recovery:
  backup_policy: {full_backup: {frequency: daily, retention: 30d}$1}
sources: [{name: app, path: $work/src}]
buckets:
  - {name: us, url: "file://$work/us", region: us-east-1}
  - {name: eu, url: "file://$work/eu", region: eu-west-1}
state_dir: $work/state
$2
YAML
}
write "" ""
"$DRCTL" -q init

# -- counted ----------------------------------------------------------------------------------------
run "$DRCTL" -q --json backup
fact "a backup tells its requests of each bucket" is "$(field "[r['bucket'] for r in o['requests']]")" "['us', 'eu']"
fact "it puts a pack, a snapshot and a pending" test "$(field "o['requests'][0]['put']")" -ge 3
fact "and bytes go up" test "$(field "o['requests'][1]['bytes_up']")" -gt 300000
puts=$(field "o['requests'][0]['put']")
for verb in "restore latest --to $work/back" verify repair "prune --yes"; do
    # shellcheck disable=SC2086  # words
    run "$DRCTL" -q --json $verb
    fact "${verb%% *} tells its requests" test "$(field "sum(r['get'] for r in o['requests'])")" -gt 0
done
fact "they are remembered" test -s state/memo/costs
run "$DRCTL" stats
fact "without prices there is no money in directories" is "$(grep -c month <<<"$out" || true)" 0
run "$DRCTL" --json stats
fact "stats knows what the backup asked" is \
    "$(field "[v['put'] for v in o['costs']['buckets'][0]['by_verb'] if v['verb'] == 'backup'][0]")" "$puts"
fact "and that this is no month yet" is "$(field "o['costs']['buckets'][0]['month']")" None
fact "what is not known is null" is "$(field "set(o['costs']['buckets'][0]['month_cost'].values())")" "{None}"

# -- a month ------------------------------------------------------------------------------------------
# Three days are known: 300 puts, 600 gets, 30 lists, 3 GiB that came down.
day=$(($(date +%s) - 3 * 86400))
printf 'costs1 %d backup us 500 300 100 30 7 3221225472 0 2\n' "$day" >state/memo/costs
write "" "prices:
  currency: USD
  tariffs: [{bucket: us, put_per_1000: 5, get_per_1000: 0.4, list_per_1000: 5, egress_per_gb: 0.09}]"
run "$DRCTL" stats
fact "requests are told by class" has "$out" "bucket us: in 30 days, of which 3d 0h are known: 300 PUT, 500 GET"
fact "a month is ten times that" has "$out" "a month at this rate: 3000 PUT, 6000 GET and HEAD, 300 LIST"
fact "and costs what they cost" has "$out" "at least 21.60 USD, PUT 15.00, GET 2.40, LIST 1.50, storage not known, egress 2.70"
run "$DRCTL" --json stats
egress=$(field "o['costs']['buckets'][0]['month_cost']['egress']")
fact "in billionths" grep -qxE '2\.(69|70)[0-9]{7}' <<<"$egress"
fact "a sum with an unknown part is not known" is "$(field "o['costs']['buckets'][0]['month_cost']['sum']")" None
rm -r state/memo
run "$DRCTL" stats
fact "without its memory all goes well" is "$rc" 0
fact "and less is known" has "$out" "bucket us: a month: requests not known yet; its cost is not known yet"

# -- a region that must hold a copy -----------------------------------------------------------------------
write ", require: [eu-west-1]" ""
run "$DRCTL" backup
fact "with all copies a backup is done" is "$rc" 0
mv eu gone
run "$DRCTL" backup
fact "without the required region it is degraded" is "$rc" 9
fact "and says so" has "$talk" "source 'app' has no copy in region 'eu-west-1', which 'require' names"
run "$DRCTL" -q --json backup
fact "to programs as well" is "$(field "o['exit'], o['required_missing'], o['why']")" \
    "9 ['eu-west-1'] no copy in region 'eu-west-1', which 'require' names"
mv gone eu
run "$DRCTL" doctor
fact "doctor knows that the newest one lacks it" has "$out" "has no copy in region eu-west-1, which 'require' names"
mv us gone
run "$DRCTL" backup
fact "without another region it lacks a copy, and is durable" is "$rc" 8
mv gone us
run "$DRCTL" -q repair
run "$DRCTL" backup
fact "repaired, a backup is done again" is "$rc" 0
write ", require: [ap-south-1]" ""
run "$DRCTL" check
fact "a region without a bucket is an error" is "$rc" 2
facts_end
