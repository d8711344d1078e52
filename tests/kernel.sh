#!/bin/bash
# What no plan, no host and no bucket may bring about: the engine's rules, attacked from the command line.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"
# shellcheck source=tests/support/regions.sh
. "$root/tests/support/regions.sh"
three_regions "ana, bo" ap ap-southeast-1
until_true() { for _ in $(seq 600); do "$@" 2>/dev/null && return 0; sleep 0.1; done; return 1; }
newest() { find state/runs -maxdepth 1 -name 'R-*' -printf '%f\n' | sort -t- -k2 -n | tail -n 1; }
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
rm -f quick may pid
: >log

# -- a plan file that changed -------------------------------------------------------------------------
touch quick
run "$DRCTL" failover two --failed us-east-1 --yes
fact "held again" test $rc -eq 3
cp two.yaml two.kept
sed -i 's/test, -e, .*may/false/' two.yaml
touch may
run "$DRCTL" runs resume
fact "a plan file that changed is mentioned" has "$out" "differs: not used."
fact "and not used" has "$out" "RECOVERED"
mv two.kept two.yaml

# -- fence before promote -----------------------------------------------------------------------------
plan bare <<YAML
plan: bare
regions: [us-east-1, eu-west-1]
steps:
  - {id: live, use: service.promote, with: {unit: app, at: eu-west-1, lease: writer/app, data: $work/new, live: $work/live}}
YAML
count=$(find state/runs -maxdepth 1 -name 'R-*' | wc -l)
run "$DRCTL" failover bare --failed us-east-1 --yes
fact "a promotion at a place given by name, without a fence, is refused at the start" test $rc -eq 5
fact "with the reason" has "$talk" "makes a new writer, but no fence before it"
fact "and nothing began" test "$(find state/runs -maxdepth 1 -name 'R-*' | wc -l)" -eq "$count"

"$DRCTL" lease hold writer/app --as old@us --region us-east-1 -- sleep 600 &
holder=$!
held() { "$DRCTL" lease show writer/app 2>/dev/null | grep -q old@us; }
until_true held
plan fenced <<YAML
plan: fenced
regions: [us-east-1, eu-west-1]
steps:
  - id: go
    use: approve
    with: {role: dr-commander, count: 2, question: "Go?"}
    when: run.mode == 'failback'
  - id: fence
    use: fence
    with: {region: "\${failed}", methods: [{use: fence.lease, with: {key: writer/app}}]}
    timeout: 3s
  - {id: after, use: exec, with: {argv: [touch, $work/after]}, undo: none}
YAML
run "$DRCTL" failover fenced --failed us-east-1 --yes
fact "a fence whose writer lives and renews is not done" test $rc -eq 3
fact "and nothing after it began" test ! -e after
run "$DRCTL" runs skip fence --reason "its power is off"
fact "it is not skipped without the region's name" test $rc -eq 5
run "$DRCTL" runs skip fence --reason "its power is off" --confirm us-east-1
fact "nor by one person where approvals take two" test $rc -eq 3
fact "which is said" has "$out$talk" "takes 2 people"
run "$DRCTL" runs skip fence --reason "its power is off" --confirm us-east-1
fact "nor by the same person twice" test $rc -eq 5
run env DRCTL_OPERATOR=bo "$DRCTL" runs skip fence --reason "I saw it" --confirm us-east-1
fact "a second person completes it" test -e after
kill -KILL $holder
wait $holder 2>/dev/null || true

# -- the failed region is dark ------------------------------------------------------------------------
plan dark <<YAML
plan: dark
regions: [us-east-1, eu-west-1]
steps:
  - id: look
    use: http.check
    with: {url: "http://127.0.0.1:9/", every: 200ms}
    timeout: 4s
    on_error: continue
  - {id: after, use: exec, with: {argv: [touch, $work/dark]}, undo: none}
YAML
run "$DRCTL" failover dark --failed us-east-1 --yes
fact "a check that connects to the failed region fails" test $rc -eq 1
run "$DRCTL" report --run "$(newest)"
fact "its connects are refused, and counted in the report" has "$out" "to the dark region were refused"

sed "s#^state_dir.*#state_dir: $work/state2#; /name: eu, url/d; /name: ap, url/d; s#file://$work/us#file://$work/us2#" dr.yaml >only.yaml
mkdir us2
run "$DRCTL" init -c only.yaml
run "$DRCTL" backup -c only.yaml --kind full
id=$("$DRCTL" snapshots -c only.yaml --json | tr ',' '\n' | sed -n 's/.*"id":"\([^"]*\)".*/\1/p' | head -n 1)
plan back <<YAML
plan: back
regions: [us-east-1, eu-west-1]
steps:
  - id: restore
    use: backup.restore
    with: {snapshot: "$id", at: eu-west-1, to: $work/restored}
YAML
fact "there is a snapshot in the failed region's bucket" test -n "$id"
run "$DRCTL" failover back -c only.yaml --failed us-east-1 --yes --no-remote-journal
fact "a restore from a bucket in the failed region is refused" test $rc -eq 3
fact "in words" has "$out" "must not be touched"
fact "and nothing was restored" test ! -e restored

# -- the intent outside, or no effect -----------------------------------------------------------------
plan full <<YAML
plan: full
regions: [us-east-1, eu-west-1]
steps:
  - id: spoil
    use: exec
    with: {argv: [sh, -c, "for b in eu ap; do mv $work/\$b/runs $work/\$b.runs; touch $work/\$b/runs; done"]}
    check: {use: exec.check, with: {argv: [test, -f, $work/ap/runs]}}
    undo: none
  - {id: effect, use: exec, with: {argv: [touch, $work/unseen]}, undo: none}
YAML
run "$DRCTL" failover full --failed us-east-1 --yes
fact "when no bucket outside takes the intent, the run holds" test $rc -eq 3
fact "in words" has "$out" "no bucket outside the failed region took the intent"
fact "and the effect did not happen" test ! -e unseen
for b in eu ap; do
    rm "$b/runs"
    mv "$b.runs" "$b/runs"
done
run "$DRCTL" runs resume
fact "with a bucket back it goes on" test -e unseen

# -- plugins ------------------------------------------------------------------------------------------
mkdir plugins
cat >plugins/writes.freeze <<'SH'
#!/bin/sh
# Freezes by a file. One request on standard input, events on standard output.
flag=${0%/*}/../frozen
request=$(cat)
says() { printf '{"event":"result","verdict":"%s","why":"%s"}\n' "$1" "$2"; }
case $request in
*'"verb":"describe"'*) says pass "writes.freeze: check apply undo" ;;
*'"verb":"check"'*) if test -e "$flag"; then says pass "is frozen"; else says fail "is not frozen"; fi ;;
*'"verb":"apply"'*)
    echo '{"event":"former","value":{"was":"open"}}'
    touch "$flag" && says pass "frozen"
    ;;
*'"verb":"undo"'*'"was":"open"'* | *'"was":"open"'*'"verb":"undo"'*) rm -f "$flag" && says pass "open again" ;;
*) says unknown "no such verb" ;;
esac
SH
chmod 755 plugins plugins/writes.freeze
plan plug <<YAML
plan: plug
regions: [us-east-1, eu-west-1]
steps:
  - {id: freeze, use: writes.freeze, with: {unit: app}}
  - {id: seen, use: exec.check, with: {argv: [test, -e, $work/frozen]}, timeout: 30s}
  - {id: go, use: exec, with: {argv: [test, -e, $work/goes]}, undo: none, on_error: rollback}
YAML
run "$DRCTL" failover plug --failed us-east-1 --yes
fact "without the plugin the plan is refused" test $rc -eq 2
export DRCTL_PLUGINS=$work/plugins
run "$DRCTL" failover plug --failed us-east-1 --yes
fact "with it the run goes, and goes back by it" has "$out" "UNDONE"
fact "which took its effect away" test ! -e frozen
touch goes
run "$DRCTL" failover plug --failed us-east-1 --yes
fact "its effect stands when the run ends well" test -e frozen
rm -f frozen
chmod o+w plugins
run "$DRCTL" failover plug --failed us-east-1 --yes
fact "a directory that others may write is not used" test $rc -eq 2
chmod o-w plugins
chmod g+w plugins/writes.freeze
run "$DRCTL" failover plug --failed us-east-1 --yes
fact "nor is a file that others may write" test $rc -eq 2
chmod g-w plugins/writes.freeze
cat >plugins/writes.freeze <<'SH'
#!/bin/sh
case $(cat) in
*'"verb":"check"'*) echo '{"event":"result","verdict":"fail","why":"no"}' ;;
*) while :; do echo '{"event":"log","text":"flood flood flood flood flood flood flood flood flood flood flood flood"}'; done ;;
esac
SH
run "$DRCTL" failover plug --failed us-east-1 --yes
fact "a plugin that floods is cut, and the run held" test $rc -eq 3
fact "which the journal has" grep -q "flooded its output" "state/runs/$(newest)/journal.jsonl"

facts_end
