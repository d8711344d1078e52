#!/bin/bash
# Reports as people ask for them: of a run, of a month; each format from the same facts; what is broken is told.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"
# shellcheck source=tests/support/regions.sh
. "$root/tests/support/regions.sh"
three_regions ana
schema() { python3 "$root/tests/support/schema.py" "$root/conf/report.schema.json" "$@"; }
absent() { ! "$@"; }
cp "$root/conf/clauses.json" .
sed -i 's/^disaster_recovery:/&\n  drill_schedule: {frequency: monthly, plans: [fall], participants: [bo]}/' dr.yaml
cat >fall.yaml <<YAML
plan: fall
regions: [us-east-1, eu-west-1]
steps:
  - {id: pick, use: region.pick}
  - {id: work, use: exec, with: {argv: [touch, "$work/effect"]}, undo: none}
YAML
run "$DRCTL" init

# -- a month with nothing in it, and one with a run --------------------------------------------------------
run "$DRCTL" report --month 2199-02
fact "a month that has not begun is refused" test $rc -eq 2
fact "and said to be so" has "$talk" "has not begun"
run "$DRCTL" report --month 2001-02
fact "a month without runs has a report" test $rc -eq 0
fact "that says so" has "$out" "no run and no drill began in this period"
fact "what was not measured is not made up" has "$out" "to recover not measured"
run "$DRCTL" failover fall --failed us-east-1 --yes
fact "there is a run" test $rc -eq 0
run "$DRCTL" report
fact "without a word it is this month" has "$out" "PERIOD     $(date -u +%Y-%m)"
fact "the run stands in it" has "$out" "R-1 "
fact "nobody is made the owner of a finding by default" has "$out" "no owner, no due date"
fact "a drill that was never held is a finding" has "$out" "the drill of fall is overdue: none was held"
fact "clauses have evidence, and no certificate" has "$out" "no certificate"
for when in "--quarter $(date -u +%Y)-Q$(( ($(date -u +%-m) + 2) / 3 ))" "--year $(date -u +%Y)" "--from 2001-01-01" \
    "--from 2001-01-01 --to 2199-01-01T00:00:00Z"; do
    # shellcheck disable=SC2086  # two words
    run "$DRCTL" report $when --format json
    fact "report $when has the run, too" jq -e '.runs[0].id == "R-1"' .out
done

# -- each format from the same facts -----------------------------------------------------------------------
"$DRCTL" report --run R-1 --json >run.json
fact "--json is canonical JSON of the published schema" schema run.json
"$DRCTL" report --run R-1 --format json >again.json
fact "and --format json is the same, byte for byte" cmp run.json again.json
"$DRCTL" report --year "$(date -u +%Y)" --json >period.json
fact "so is a period" schema period.json
fact "golden reports hold to the schema" schema "$root"/tests/golden/report/*.json
jq 'del(.verify)' run.json >bad.json
fact "which tells a member that is missing" absent schema bad.json
jq '.recovery_time.lo_ms = "5"' run.json >bad.json
fact "and a text in place of a number" absent schema bad.json
jq '.more = 1' run.json >bad.json
fact "and a member that it does not know" absent schema bad.json
for what in "--run R-1" "--month $(date -u +%Y-%m)"; do
    # shellcheck disable=SC2086  # two words
    "$DRCTL" report $what --format html >page.html
    fact "$what as html is one page" grep -q '</html>' page.html
    fact "without a script, and with nothing from elsewhere" absent grep -Eiq '<script|src=|@import|href="http' page.html
    # shellcheck disable=SC2086
    "$DRCTL" report $what --format csv >rows.csv
    fact "$what as csv has four fields in each row" python3 -c '
import csv, sys
rows = list(csv.reader(open("rows.csv", newline="")))
sys.exit(rows[0] != ["section", "item", "member", "value"] or any(len(r) != 4 for r in rows))'
done
run "$DRCTL" report --run R-1 --format json --output "$work/file.json"
fact "--output writes the file and says nothing" test "$rc:$out" = "0:"
fact "with what would have been printed" cmp file.json run.json
mkfifo pipe
"$DRCTL" report --run R-1 --format json --output "$work/pipe" &
fact "what is no file is written to" timeout 60 cmp pipe run.json
wait $!
fact "and stays what it was" test -p pipe
run "$DRCTL" report --run R-1 --output "$work/none/file"
fact "a file that cannot be written is exit 1" test $rc -eq 1

# -- what is wrongly asked -----------------------------------------------------------------------------------
for wrong in "--month 2026-13" "--quarter 2026-Q5" "--year 26" "--from x" "--to 2026-01-01" "--from 2026-02-01 --to 2026-01-01" \
    "--month 2026-01 --year 2026" "--run R-1 --month 2026-01" "--run ../R-1" "--format pdf"; do
    # shellcheck disable=SC2086  # two words
    run "$DRCTL" report $wrong
    fact "report $wrong is a mistake" test $rc -eq 2
done
run "$DRCTL" report --run R-77
fact "a run that there is not is exit 1" test $rc -eq 1

# -- what is broken --------------------------------------------------------------------------------------------
cp -r state/runs/R-1 kept
printf '{"body":{},"bo' >>state/runs/R-1/journal.jsonl
run "$DRCTL" report
fact "a torn journal does not stop the month's report, and is exit 8" test $rc -eq 8
fact "it is noted" has "$out" "R-1: its journal ends in an incomplete record of 14 bytes"
sed -i '2s/"time":"2/"time":"1/' state/runs/R-1/journal.jsonl
run "$DRCTL" report
fact "nor does a broken one" test $rc -eq 8
fact "it is a row that says so" grep -Eq 'R-1 .* broken journal' .out
fact "and a finding" has "$out" "the journal of R-1 cannot be read"
run "$DRCTL" report --run R-1
fact "alone it gives no report: exit 7" test $rc -eq 7
rm -r state/runs/R-1
run "$DRCTL" report --format json
fact "a run whose journal is gone from here comes from the buckets" jq -e '.runs[0] | .id == "R-1" and .state == "recovered"' .out
run "$DRCTL" report --run R-1
fact "by itself, too" has "$out" "R-1  RECOVERED"
mv kept state/runs/R-1

# -- the ledger --------------------------------------------------------------------------------------------------
run "$DRCTL" audit anchor
month=state/ledger/$(date -u +%Y-%m).jsonl
cp "$month" ledger.kept
sed -i '1s/"n":1/"n":7/' "$month"
run "$DRCTL" report
fact "a broken ledger does not stop the report either: exit 8" test $rc -eq 8
fact "and is noted with its place" has "$out" "the ledger cannot be read to its end"
cp ledger.kept "$month"
rm -r state/runs/R-1 us/runs eu/runs ap/runs 2>/dev/null || true
run "$DRCTL" report
fact "a run that only the ledger names is a row" has "$out" "the ledger names it, and its journal is neither here"

# -- a month with a failover and a drill ----------------------------------------------------------------------------
rm -rf state us eu leases effect && mkdir us eu gen-1
cp srv/f gen-1/f
ln -s gen-1 current
sed -i "s#path: $work/srv, class: data#path: $work/srv, class: data, sentinel: sentinel, site: us#" dr.yaml
sed -i 's/^disaster_recovery:/&\n  rto: {move: 10m}\n  rpo: {move: 1h}/; s/plans: \[fall\]/plans: [move]/' dr.yaml
cat >>dr.yaml <<YAML
here: us
providers:
  service: {start: [touch, "$work/started"], stop: [rm, -f, "$work/started"], status: [test, -e, "$work/started"]}
YAML
cat >move.yaml <<YAML
plan: move
regions: [us-east-1, eu-west-1, ap-southeast-1]
steps:
  - {id: pick, use: region.pick}
  - {id: fence, use: fence, with: {region: "\${failed}", methods: [{use: fence.lease, with: {key: writer/app, margin: 0s}}]}}
  - {id: snapshot, use: backup.pick, with: {source: app}}
  - {id: restore, use: backup.restore, with: {snapshot: "\${snapshot.id}", at: "\${target}", to: $work/gen-2}}
  - id: go_live
    use: service.promote
    with: {at: "\${target}", unit: app, data: "\${restore.path}", live: $work/current, lease: writer/app}
    point_of_no_return: "new writes exist only in \${target}"
  - {id: healthy, use: exec.check, with: {argv: [test, -e, $work/started], every: 100ms}, timeout: 5s}
YAML
run "$DRCTL" init
"$DRCTL" lease hold writer/app --as app --region us-east-1 -- true
run "$DRCTL" backup app
run "$DRCTL" failover move --failed us-east-1 --since "$(date -u +%Y-%m-%dT%H:%M:%SZ)" --yes
fact "there is a failover, whose recovery time nobody measured" test $rc -eq 4
run "$DRCTL" drill move --controls 2 --seed 5
fact "and a drill" test -d state/runs/D-2
"$DRCTL" report --run D-2 --json >drill.json
fact "its report holds to the schema" schema drill.json
fact "what it only simulated took as long as in the failover" jq -e '.recovery_time | .hi_ms > .lo_ms and (.method | contains("R-1"))' drill.json
fact "each step that was not done as in earnest is listed" \
    jq -e '.drill.differs | map([.step, .how]) | index([["fence", "simulate"]]) and index([["restore", "isolated"]])' drill.json
fact "planted faults and what came of them are told" jq -e '.drill.controls | length == 2' drill.json
fact "production is told before and after" jq -e '.drill.production | .digest_before != null and .digest_before == .digest_after' drill.json
fact "nothing is left" jq -e '(.drill.leftovers == []) and (.drill.cleaned | length > 0)' drill.json
fact "a restore beside its source is no evidence" jq -e '.findings | map(select(.kind == "segregation")) | length == 1' drill.json
"$DRCTL" report --month "$(date -u +%Y-%m)" --json >month.json
fact "both stand in one month's report" jq -e '[.runs[].id] == ["R-1", "D-2"]' month.json
fact "which holds to the schema" schema month.json
fact "the plan's drill is not overdue" jq -e '.plans[0] | .name == "move" and .overdue == false and .last_drill.run == "D-2"' month.json
fact "the source was backed up and proved" jq -e '.sources[0] | .backups.done >= 2 and .last_proof.result == "pass"' month.json
fact "each bucket has its loss over time" jq -e '.buckets | all(.series | length > 2)' month.json
fact "what was not measured has no mean" jq -e '.mttr_ms == null and .forecast == []' month.json
facts_end
