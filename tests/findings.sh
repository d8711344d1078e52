#!/bin/bash
# What a run finds has an owner and a date from the configuration as it was then, stands in the signed ledger, is seen again by the
# next run, closed by one that looks and no longer has it or by a person, on any host that reads the buckets.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"
# shellcheck source=tests/support/regions.sh
. "$root/tests/support/regions.sh"
three_regions "ana, bo"
is() { [ "$1" = "$2" ] || { printf '    is:     %s\n    wanted: %s\n' "$1" "$2" && return 1; }; }
narrow() { [ "$(wc -L <"$1")" -le 80 ] || { printf '    wide: %s\n' "$(wc -L <"$1")" && return 1; }; }
absent() { ! "$@"; }
cat >small.yaml <<YAML
plan: small
regions: [us-east-1, eu-west-1]
steps:
  - {id: pick, use: region.pick}
  - {id: start, use: exec, with: {argv: [test, -e, "$work/good"]}, undo: none, on_error: continue}
YAML
sed -i 's/^disaster_recovery:/&\n  findings: {owner: ana, due: {critical: 7d, warning: 30d}}\n  drill_schedule: {frequency: monthly, plans: [small]}/' dr.yaml
id_of() { "$DRCTL" findings --json 2>/dev/null | jq -r ".findings[] | select(.kind == \"$1\") | .id"; }
ledger() { jq -c "select(.type == \"$1\") | .body" state/ledger/*.jsonl; }
short() { date -u -d "$1" +%Y-%m-%d; }

# -- a run finds something ------------------------------------------------------------------------------
run "$DRCTL" init
run "$DRCTL" backup app
run "$DRCTL" failover small --failed us-east-1 --yes
"$DRCTL" report --run R-1 --json >run.json
fact "the start of the run fixes whose its findings are" \
    is "$(head -n 1 state/runs/R-1/journal.jsonl | jq -c .body.findings)" '{"due_ms":{"critical":604800000,"warning":2592000000},"owner":"ana"}'
step=$(jq -r '.findings[] | select(.kind == "step") | .id' run.json)
fact "the report tells owner and date, counted from its end" \
    is "$(jq -r ".findings[] | select(.id == \"$step\") | .owner, .due[0:10]" run.json | paste -sd' ')" "ana $(short '+30 days')"
fact "each of them is a line of the ledger" is "$(ledger finding | wc -l)" "$(jq '.findings | length' run.json)"
fact "and one line tells that these were all" is "$(ledger findings | jq -r '.run, (.ids | length)' | paste -sd' ')" "R-1 $(jq '.findings | length' run.json)"
run "$DRCTL" findings
fact "they are listed" is "$rc" 0
fact "with their owner and date" grep -Eq "^$step +warning +0d +$(short '+30 days') +ana$" .out
fact "on 80 columns" narrow .out
overdue=$(id_of overdue)
fact "and so is a drill that was never held" has "$out" "$overdue"
fact "the ledger is whole" is "$("$DRCTL" audit verify >/dev/null; echo $?)" 0

# -- another run finds it again --------------------------------------------------------------------------
sed -i 's/owner: ana, due: {critical: 7d, warning: 30d}/owner: bo/' dr.yaml
run "$DRCTL" failover small --failed eu-west-1 --yes
fact "what is told again is no new line" is "$(ledger finding | jq -r .id | sort | uniq -d)" ""
run "$DRCTL" findings --json
fact "it was seen by two runs, and is whose it was, as long as it was" \
    is "$(jq -r ".findings[] | select(.id == \"$step\") | .seen, .run, .last_run, .owner, .due[0:10]" .out | paste -sd' ')" "2 R-1 R-2 ana $(short '+30 days')"
"$DRCTL" report --run R-1 --json >again.json
fact "the report of the first run is as it was, byte for byte" cmp run.json again.json

# -- people -------------------------------------------------------------------------------------------------
run "$DRCTL" findings own "$step" ana --due 2199-12-01
fact "a finding is given to somebody" has "$out" "$step belongs to ana, due 2199-12-01"
fact "somebody who is known" is "$talk" ""
run "$DRCTL" findings own "${step:2:5}" zoe
fact "the beginning of an id is enough, and a date stays" has "$out" "belongs to zoe, due 2199-12-01"
fact "nobody of that name is a warning" has "$talk" "'zoe' is no contact"
fact "who said it stands in the ledger" is "$(ledger finding_owned | jq -r .owner | paste -sd' ')" "ana zoe"
fact "and in the buckets at once" is "$(cat eu/ledger/*/*/* | grep -c '"type":"finding_owned"')" 2
run "$DRCTL" findings own "$overdue" ana --due 2199-12-02
run "$DRCTL" findings
fact "what is missing can be owned, too" grep -Eq "^$overdue .* 2199-12-02 +ana" .out
run "$DRCTL" findings own F-00000000 ana
fact "an id that there is not is exit 2" is "$rc" 2
last=${step: -1}
run "$DRCTL" findings close "${step%?}$([ "$last" = 0 ] && echo 1 || echo 0)" --reason x
fact "with the ids near it" has "$talk" "$step"
for wrong in "own" "own $step" "own $step a b" "close $step" "close $step --reason=" "close --reason x" "open" "--due 2199-01-01" \
    "own $step ana --due 2001-01-01" "own $step ana --due soon" "own $step ana --reason x" "--all own $step ana"; do
    # shellcheck disable=SC2086  # words
    run "$DRCTL" findings $wrong
    fact "findings $wrong is a mistake" is "$rc" 2
done

# -- another host ----------------------------------------------------------------------------------------------
"$DRCTL" audit anchor >/dev/null
key=$("$DRCTL" key show | grep -o 'ed25519:[^ ]*')
sed "s#^state_dir: .*#state_dir: $work/other#" dr.yaml >other.yaml
"$DRCTL" -c other.yaml key init >/dev/null 2>&1 || true
run "$DRCTL" -c other.yaml backup app
their=$("$DRCTL" -c other.yaml key show | grep -o 'ed25519:[^ ]*')
echo "trusted_writers: {app: [\"$key\", \"$their\"]}" | tee -a dr.yaml >>other.yaml
"$DRCTL" -c other.yaml findings --json >there.json 2>/dev/null
fact "another host sees the same, with its owner" \
    is "$(jq -r ".findings[] | select(.id == \"$step\") | .owner, .due[0:10]" there.json | paste -sd' ')" "zoe 2199-12-01"
run "$DRCTL" -c other.yaml findings close "$overdue" --reason "no drills before the move"
fact "and closes one there" has "$out" "$overdue is closed by"
run "$DRCTL" findings
fact "which is closed here, too" absent grep -q "^$overdue" .out
run "$DRCTL" findings close "$overdue" --reason again
fact "closing it twice is exit 5" is "$rc" 5
fact "and says by whom and why it was" has "$talk" "no drills before the move"
"$DRCTL" report --json >month.json 2>/dev/null
fact "the month tells who closed it, why, and when" \
    jq -e ".findings_closed[] | select(.id == \"$overdue\") | .closed.reason == \"no drills before the move\" and .closed.by != null" month.json
fact "as the schema says" python3 "$root/tests/support/schema.py" "$root/conf/report.schema.json" month.json run.json

# -- a run that looks, and no longer has it -----------------------------------------------------------------
touch good
run "$DRCTL" failover small --failed us-east-1 --yes
fact "a run without it closes it, by its name" is "$(ledger finding_closed | jq -r "select(.id == \"$step\") | .by")" "R-3"
run "$DRCTL" findings --all
fact "the list has it no more" absent grep -q "^$step  warning  *[0-9]*d" .out
fact "but among the closed ones" grep -Eq "^$step +warning +closed $(short now) by R-3" .out
fact "on 80 columns, too" narrow .out
rm good
run "$DRCTL" failover small --failed eu-west-1 --yes
"$DRCTL" findings --json >reopened.json 2>/dev/null
fact "found again it is open again, as the rule is now" \
    is "$(jq -r ".findings[] | select(.id == \"$step\") | .run, .seen, .owner, .due" reopened.json | paste -sd' ')" "R-4 1 bo null"
run "$DRCTL" findings
fact "no date is told as such" grep -Eq "^$step +warning +0d +no due date +bo$" .out

# -- overdue --------------------------------------------------------------------------------------------------------
sed -i 's/findings: {owner: bo}/findings: {owner: bo, due: {warning: 1s}}/' dr.yaml other.yaml
run "$DRCTL" failover small --failed us-east-1 --yes
late() { "$DRCTL" findings 2>/dev/null | grep -q "^$step .* OVERDUE  *bo\$"; }
until_late() { for _ in $(seq 600); do late && return 0; sleep 0.1; done; return 1; }
fact "what had no date gets that of the next run that finds it, and is overdue behind it" until_late
run "$DRCTL" findings
fact "overdue ones stand before critical ones" grep -q "OVERDUE" <(sed -n 2p .out)
fact "on 80 columns" narrow .out
run "$DRCTL" status --json
fact "status tells it" jq -e ".findings[] | select(.key == \"late/$step\") | .severity == \"warning\"" .out
"$DRCTL" report --json >late.json 2>/dev/null
fact "and so does the month" jq -e ".findings[] | select(.id == \"$step\") | .overdue and .overdue_days == 0" late.json
"$DRCTL" report 2>/dev/null >late.txt
fact "in words" grep -q "owner bo, due $(short now), OVERDUE" late.txt
"$DRCTL" audit anchor >/dev/null
run "$DRCTL" -c other.yaml findings close "$step" --reason "seen to"
fact "it is closed at another host" is "$rc" 0
run "$DRCTL" findings
run "$DRCTL" status --json
fact "and no longer told here, once its findings were looked at" absent grep -q "late/$step" .out
fact "as the ledger of this host says" is "$(ledger finding_closed | jq -r "select(.reason == \"seen to\") | .id")" "$step"
run "$DRCTL" failover small --failed eu-west-1 --yes

# -- a runner that died before its findings were told -----------------------------------------------------------
count=$(ledger finding | wc -l)
first=$(grep -n '"run":"R-6"' state/ledger/*.jsonl | head -n 1 | cut -d: -f1)
head -n $((first - 1)) state/ledger/*.jsonl >shorter && cp shorter "$(ls state/ledger/*.jsonl)"
fact "(its lines are gone)" test "$(ledger finding | wc -l)" -lt "$count"
run "$DRCTL" audit anchor
fact "the next anchor tells them" is "$(ledger finding | wc -l)" "$count"
run "$DRCTL" audit anchor
fact "once" is "$(ledger finding | wc -l)" "$count"
run "$DRCTL" audit query --sql "select id, owner, closed, closed_by from findings where id = '$step' order by n limit 1"
fact "audit query tells owner and end of each" has "$out" "R-3"
facts_end
