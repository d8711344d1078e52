#!/bin/bash
# drctl plan: each wrong plan is told byte by byte on stdout with exit 2, plans are found by name, paper and
# types are printed.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"
unset DRCTL_CONFIG
golden=$root/tests/golden/plan
cd "$work"

is() { [ "$1" = "$2" ] || { printf '    is:     %s\n    wanted: %s\n' "$1" "$2" && return 1; }; }

# -- lint -----------------------------------------------------------------------------------------
cp "$golden"/w0*.yaml "$golden"/w[123]*.yaml "$golden"/w40.yaml "$golden"/m*.yaml .
told=0
for plan in *.yaml; do
    run "$DRCTL" plan lint "$plan"
    is "$out" "$(cat "$golden/${plan%.yaml}.out")"
    [ "$plan" = m04-warnings.yaml ] && wanted=0 || wanted=2
    is "$rc" "$wanted"
    told=$((told + 1))
done
fact "every wrong plan gets its message and exit 2, warnings alone exit 0 ($told)" test "$told" -ge 48
run "$DRCTL" plan lint w05.yaml "$root/runbooks/hello_failover.yaml" w07.yaml
fact "several plans are told in turn" has "$out" "w07.yaml:4:36"
fact "and the gravest exit code wins" is "$rc" 2
run "$DRCTL" plan lint --json w07.yaml
fact "as JSON a finding has its place" has "$out" '"line":4,"column":36,"code":"no-unit"'
run "$DRCTL" plan lint "$root/runbooks/hello_failover.yaml"
fact "a sound plan is exit 0" is "$rc" 0
fact "and says so" has "$out" "nothing wrong (plan hello_failover, 3 steps"
run "$DRCTL" plan lint gone.yaml
fact "a file that is not there is told" has "$talk" "gone.yaml"
run "$DRCTL" plan lint
fact "no plan is wrong usage" is "$rc" 2
run "$DRCTL" plan lnt w07.yaml
fact "and so is an unknown word" is "$rc" 2

# -- with a configuration ---------------------------------------------------------------------------
mkdir -p conf/runbooks
cp "$root/conf/dr.yaml" conf/dr.yaml
cat >where.yaml <<'YAML'
plan: where
regions: [us-east-1, eu-west-l]
steps:
  - {id: a, use: wait, with: {for: 5s}}
YAML
run "$DRCTL" plan lint where.yaml
fact "without a configuration any region will do" is "$rc" 0
run "$DRCTL" plan lint -c conf/dr.yaml where.yaml
fact "with one an unknown region is an error" has "$out" \
    "where.yaml:2:22: error: no region 'eu-west-l' in conf/dr.yaml [unknown-region]"
fact "with the nearest one" has "$out" "did you mean 'eu-west-1'?"

# -- names --------------------------------------------------------------------------------------------
cp "$root/runbooks/hello_failover.yaml" conf/runbooks/beside.yaml
run "$DRCTL" plan print beside -c conf/dr.yaml
fact "a bare name is found beside the configuration" has "$out" "PLAN       hello_failover"
cp "$root/runbooks/node_failure.yaml" beside.yaml
run "$DRCTL" plan print beside -c conf/dr.yaml
fact "and before that here" has "$out" "PLAN       node_failure"
run "$DRCTL" plan print nowhere -c conf/dr.yaml
fact "a name that is nowhere says where it was looked for" has "$talk" "in conf/runbooks/,"

# -- print, types ---------------------------------------------------------------------------------------
"$DRCTL" plan print "$root/runbooks/primary_region_failure.yaml" >paper
fact "paper is as the golden file" cmp paper "$golden/print-primary_region_failure.txt"
run "$DRCTL" plan print --json "$root/runbooks/hello_failover.yaml"
fact "as JSON the steps have their needs" has "$out" '"id":"works","use":"http.check"'
run "$DRCTL" plan print w07.yaml
fact "a wrong plan is not printed" is "$rc$out" 2
fact "its mistakes go to stderr" has "$talk" "w07.yaml:4:36: error: 30 what?"
"$DRCTL" plan types >types.got
fact "the types are as the golden file" cmp types.got "$golden/types.txt"
run "$DRCTL" plan types fence.lease
fact "a way to fence is told too" has "$out" "margin"
run "$DRCTL" plan types htp.check
fact "an unknown type names the nearest" has "$talk" "http.check"
run "$DRCTL" plan types --json exec
fact "as JSON a type has its arguments" has "$out" '"name":"argv","type":"command","required":true'
facts_end
