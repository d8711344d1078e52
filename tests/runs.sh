#!/bin/bash
# Runs as operators have them: a failover that falls through, a runner that is killed and taken up again,
# approvals from elsewhere, going back, and a lease that shuts a region out.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"
# shellcheck source=tests/support/regions.sh
. "$root/tests/support/regions.sh"
three_regions ana
cat >fall.yaml <<YAML
plan: fall
regions: [us-east-1, eu-west-1, ap-southeast-1]
steps:
  - {id: pick, use: region.pick}
  - {id: go, use: approve, with: {role: dr-commander, question: "Give up \${failed}?"}}
  - id: start
    use: exec
    with: {argv: [touch, "$work/on-\${target}"]}
    undo: {use: exec, with: {argv: [rm, -f, "$work/on-\${target}"]}}
    on_error: next_standby
  - id: fits
    use: exec.check
    with: {argv: [test, "\${target}", "=", ap-southeast-1], every: 100ms}
    timeout: 4s
    on_error: next_standby
YAML
cat >slow.yaml <<YAML
plan: slow
regions: [us-east-1, eu-west-1]
steps:
  - {id: pick, use: region.pick}
  - id: work
    use: exec
    with: {argv: [sh, -c, "echo \$\$ >$work/pid; test -e $work/quick || sleep 50; echo x >>$work/effect"]}
    check: {use: exec.check, with: {argv: [test, -e, "$work/effect"]}}
    undo: {use: exec, with: {argv: [rm, -f, "$work/effect"]}}
    retry: 1
YAML
until_true() { for _ in $(seq 600); do "$@" 2>/dev/null && return 0; sleep 0.1; done; return 1; }
run "$DRCTL" init

# -- could it begin? -----------------------------------------------------------------------------------
cat >asks.yaml <<YAML
plan: asks
regions: [us-east-1, eu-west-1, ap-southeast-1]
params: {ticket: {type: string}}
preflight:
  - {id: tools, use: exec.check, with: {argv: [test, -e, "$work/tools"]}}
  - {id: room, use: exec.check, with: {argv: [test, "\${target}", "!=", eu-west-1]}}
steps:
  - {id: pick, use: region.pick}
YAML
# shellcheck disable=SC2016 # a name of the plan
sed 's/^plan: asks/plan: cannot/; s/use: exec.check, with: {argv: \[test, -e.*/use: exec.check, with: {argv: [test, "${ticket}", =, x]}}/' asks.yaml >cannot.yaml
find state ! -name '*.lock' 2>/dev/null | sort >before
run "$DRCTL" plan preflight asks
fact "a plan whose preflight fails is not ready: exit 3" test $rc -eq 3
fact "the check is named, as a run would" has "$out" "tools FAILED:"
fact "a standby that is not ready is told with the check" grep -Eq "STANDBY +eu-west-1 +NOT READY: room" .out
fact "one that is ready, too" grep -Eq "STANDBY +ap-southeast-1 +ready" .out
fact "the region that serves is not asked" bash -c "! grep -q 'STANDBY *us-east-1' .out"
touch tools
run "$DRCTL" plan preflight asks --to ap-southeast-1
fact "where all pass it is ready" test $rc -eq 0
fact "and that is said" has "$out" "READY    a run would begin now"
run "$DRCTL" plan preflight asks --to eu-west-1
fact "a standby that is not ready is exit 3" test $rc -eq 3
run "$DRCTL" plan preflight asks --failed eu-west-1 --json
fact "another region can be given up" test $rc -eq 0
fact "as JSON each check and each standby has its verdict" jq -e '.failed == "eu-west-1" and .begins and .exit == 0 and
    .passed == 2 and .asked == 2 and (.standbys | map(.region)) == ["ap-southeast-1"] and .standbys[0].ready and
    ([.checks[] | .verdict] | unique) == ["pass"]' .out
run "$DRCTL" plan preflight cannot --to ap-southeast-1
fact "a check that cannot tell is exit 7" test $rc -eq 7
fact "and is told so" has "$out" "tools CANNOT TELL:"
run "$DRCTL" plan preflight cannot --to ap-southeast-1 --set ticket=x
fact "what a person knows can be given" test $rc -eq 0
run "$DRCTL" plan preflight asks --failed mars
fact "a region that is none is a mistake of use" test $rc -eq 2
find state ! -name '*.lock' 2>/dev/null | sort >after
fact "nothing was begun: no run, no lease, no journal" cmp before after
fact "and no bucket has a trace of it" test ! -e eu/runs

# -- a failover ------------------------------------------------------------------------------------
run "$DRCTL" failover fall
fact "without --yes and without a terminal nothing begins" test $rc -eq 2
run "$DRCTL" failover fall --dry-run
fact "a dry run ends well" test $rc -eq 0
fact "and changes nothing" test ! -e on-eu-west-1
run "$DRCTL" failover fall --yes
fact "the failover falls through to the second standby" test -e on-ap-southeast-1
fact "and the first is as it was" test ! -e on-eu-west-1
fact "it ends recovered" has "$out" "RECOVERED"
fact "its journal lies in the bucket outside" test -n "$(ls eu/runs/r-1)"
fact "and not in the lost region's" test ! -e us/runs
run "$DRCTL" runs show R-1
fact "runs show tells of the standby that was given up" has "$out" "eu-west-1 was tried"

# -- the runner dies -------------------------------------------------------------------------------
"$DRCTL" failover slow --failed us-east-1 --yes >slow.out 2>&1 &
runner=$!
until_true test -s pid
run "$DRCTL" failover slow --failed us-east-1 --yes
fact "a second runner is refused while the first lives" test $rc -eq 6
run "$DRCTL" runs resume R-2
fact "and so is a resume" test $rc -eq 6
kill -KILL $runner
wait $runner 2>/dev/null || true
gone() { ! kill -0 "$(cat pid)" 2>/dev/null; }
fact "the step dies with its runner" until_true gone
touch quick
run "$DRCTL" runs resume
fact "another runner takes it up to its end" has "$out" "RECOVERED"
fact "the step was in doubt, and asked" has "$out" "IN DOUBT work"
fact "its effect was done once" test "$(wc -l <effect)" -eq 1
run "$DRCTL" runs resume R-2
fact "a run that ended is not resumed" test $rc -eq 5

# -- a broken journal --------------------------------------------------------------------------------
cp state/runs/R-2/journal.jsonl whole
sed -i '3s/"n":3/"n":4/' state/runs/R-2/journal.jsonl
run "$DRCTL" runs resume R-2
fact "a broken chain cannot be told from: exit 7" test $rc -eq 7
cp whole state/runs/R-2/journal.jsonl

# -- people ------------------------------------------------------------------------------------------
rm -f on-*
DRCTL_OPERATOR=olaf "$DRCTL" failover fall --failed us-east-1 --yes >ask.out 2>&1 &
runner=$!
until_true grep -q WAITS ask.out
run env DRCTL_OPERATOR=eve "$DRCTL" runs approve
fact "who lacks the role cannot approve" test $rc -eq 5
run "$DRCTL" runs reject --reason "not now"
rc=0
wait $runner || rc=$?
fact "a rejected approval undoes the run" test $rc -eq 1
fact "and says so" grep -q "everything is as it was" ask.out

# -- leases ------------------------------------------------------------------------------------------
# shellcheck disable=SC2016  # the command expands it
run "$DRCTL" lease hold writer/app --region us-east-1 -- sh -c 'echo "epoch $DRCTL_LEASE_EPOCH"; exit 9'
fact "the command runs under the lease, with its epoch" has "$out" "epoch 1"
fact "and its exit code is ours" test $rc -eq 9
"$DRCTL" lease hold writer/app --as first --region us-east-1 -- sleep 60 &
holder=$!
held() { "$DRCTL" lease show writer/app 2>/dev/null | grep -q first; }
until_true held
run "$DRCTL" lease hold writer/app --as second --region eu-west-1 -- true
fact "a living holder is left alone" test $rc -eq 6
fact "and named" has "$talk" "held by first"
kill -KILL $holder
wait $holder 2>/dev/null || true
run "$DRCTL" lease hold writer/app --as second --region eu-west-1 -- echo mine
fact "a dead one is taken after its time" has "$out" "mine"
facts_end
