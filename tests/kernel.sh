#!/bin/bash
# What no plan, no host and no bucket may bring about: the engine's rules, attacked from the command line.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"
unset DRCTL_CONFIG
export DRCTL_OPERATOR=ana
cd "$work"
mkdir -p us eu ap srv
echo hello >srv/f

cat >dr.yaml <<YAML
disaster_recovery:
  backup_policy:
    full_backup: {frequency: daily, retention: 30d}
  incident_response:
    contact_information: {dr-commander: [ana, bo]}
sites:
  - {name: us, region: us-east-1, address: 127.0.0.1}
  - {name: eu, region: eu-west-1, address: 127.0.0.2}
  - {name: ap, region: ap-southeast-1, address: 127.0.0.3}
sources:
  - {name: app, path: $work/srv, class: data}
buckets:
  - {name: us, url: "file://$work/us", region: us-east-1}
  - {name: eu, url: "file://$work/eu", region: eu-west-1}
  - {name: ap, url: "file://$work/ap", region: ap-southeast-1}
coordination: {lease: {driver: file, path: $work/leases, hold: 1s, take: 2s}}
state_dir: $work/state
YAML
until_true() { for _ in $(seq 600); do "$@" 2>/dev/null && return 0; sleep 0.1; done; return 1; }
plan() { cat >"$1.yaml"; }
plan two <<YAML
plan: two
regions: [us-east-1, eu-west-1]
steps:
  - id: first
    use: exec
    with: {argv: [sh, -c, "echo first >>$work/log"]}
    check: {use: exec.check, with: {argv: [grep, -q, first, $work/log]}}
    undo: {use: exec, with: {argv: [sed, -i, /first/d, $work/log]}}
  - id: second
    use: exec
    with: {argv: [sh, -c, "echo \$\$ >$work/pid; test -e $work/quick || exec sleep 50; echo second >>$work/log"]}
    check: {use: exec.check, with: {argv: [grep, -q, second, $work/log]}}
    undo: {use: exec, with: {argv: [sed, -i, /second/d, $work/log]}}
    retry: 1
  - id: third
    use: exec
    with: {argv: [test, -e, $work/may]}
    undo: none
YAML
touch log
run "$DRCTL" init

# -- one recovery at a time ------------------------------------------------------------------------
touch quick
run "$DRCTL" failover two --failed us-east-1 --yes
fact "a step that fails holds the run" test $rc -eq 3
run "$DRCTL" failover two --failed us-east-1 --yes
fact "while a run is held another one is refused" test $rc -eq 6
fact "naming the run and its state" has "$talk" "run R-1 (two) is not over: held"
fact "and what can be done" has "$talk" "drctl runs abort R-1 --reason TEXT"
run "$DRCTL" failover two --failed us-east-1 --dry-run
fact "a dry run may look on" test $rc -eq 0
run "$DRCTL" runs abort R-1 --reason "for the next fact"
fact "an abort ends it" test $rc -eq 1
rm -f quick pid
: >log

# -- the lease is lost in the middle of an effect ----------------------------------------------------
"$DRCTL" failover two --failed us-east-1 --yes >lost.out 2>&1 &
runner=$!
until_true test -s pid
sed -i 's/"holder":"[^"]*"/"holder":"thief@op-9"/; s/"nonce":"[^"]*"/"nonce":"0123456789abcdef0123456789abcdef"/; s/"instance":"[^"]*"/"instance":"0123456789abcdef0123456789abcdef"/' leases/run.lease
rc=0
wait $runner || rc=$?
fact "a runner that lost its lease ends, refused" test $rc -eq 5
gone() { ! kill -0 "$(cat pid)" 2>/dev/null; }
fact "and its step with all its processes" until_true gone
fact "the effect did not happen" test "$(cat log)" = first
fact "no outcome of it is on record" test "$(grep -c '"step":"second".*"type":"outcome"' state/runs/R-2/journal.jsonl)" -eq 0
run "$DRCTL" failover two --failed us-east-1 --yes
fact "the run is not over for others, though its runner is gone" test $rc -eq 6

# -- another host goes on, from the buckets alone -----------------------------------------------------
mv state op-1
"$DRCTL" runs >list.out 2>&1
fact "a host that knows nothing lists the run from the buckets" grep -q "^R-2 .*in the buckets only" list.out
run "$DRCTL" failover two --failed us-east-1 --yes
fact "and is refused another one" test $rc -eq 6
touch quick may
mv ap ap.away
run "$DRCTL" runs resume R-2
fact "with a bucket unread it is held" test $rc -eq 3
fact "which is named, with the way on" has "$talk" "--accept-missing-bucket ap"
mv ap.away ap
record=$(find eu/runs/r-2 -name '000004-*')
other=$(dirname "$record")/000004-$(printf '%064d' 7)
cp "$record" "$other"
run "$DRCTL" runs resume R-2
fact "two different records of one number cannot be told from" test $rc -eq 7
fact "and are named" has "$talk" "two different records 4"
rm -f "$other"
mkdir kept
for b in eu ap; do mv "$b"/runs/r-2/000005-* kept/$b; done
name=$(basename "$record")
run "$DRCTL" runs resume R-2
fact "nor can a gap" test $rc -eq 7
fact "which is named" has "$talk" "record 5 of R-2 is in no bucket"
fact "and nothing was written here" test ! -e state/runs/R-2
hash=$(sed 's/.*"hash":"\([0-9a-f]*\)".*/\1/' kept/eu)
cp kept/eu "eu/runs/r-2/000005-$hash"
chmod u+w "$record"
sed -i 's/"n":4/"n":5/' "$record"
run env DRCTL_OPERATOR=bo "$DRCTL" runs resume --yes
fact "the union of the buckets, a good copy for a damaged one, is the journal" has "$out" "chain whole, from buckets eu, ap"
fact "the effect is in doubt there as well" has "$out" "IN DOUBT second"
fact "and the run comes to its end" has "$out" "RECOVERED"
fact "each effect was done once" test "$(tr '\n' ' ' <log)" = "first second "
: "$name"
mv op-1/runs/R-2 stale
mv state/runs/R-2 newer
mv stale state/runs/R-2
run "$DRCTL" runs resume R-2
fact "the first host's journal is completed from the buckets before anything else" test $rc -eq 5
fact "and then the run is over there too" has "$talk" "recovered"
rm -f quick may
: >log

facts_end
