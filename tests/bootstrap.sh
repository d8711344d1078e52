#!/bin/bash
# drctl protects itself: with every state_dir gone, one surviving bucket brings back what a failover needs.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"
# shellcheck source=tests/support/regions.sh
. "$root/tests/support/regions.sh"
three_regions ana
mkdir -p etc/runbooks secret
mv dr.yaml etc/dr.yaml
cat >>etc/dr.yaml <<YAML
secrets:
  dns: {file: $work/secret/dns.key}
YAML
echo top-secret-word >secret/dns.key
cat >etc/runbooks/move.yaml <<YAML
plan: move
regions: [us-east-1, eu-west-1]
steps:
  - {id: pick, use: region.pick}
  - {id: newest, use: backup.pick, with: {source: app}}
  - id: restore
    use: backup.restore
    with: {snapshot: "\${newest.id}", at: "\${target}", to: $work/restored}
  - id: done
    use: exec
    with: {argv: [touch, $work/moved]}
    undo: {use: exec, with: {argv: [rm, -f, $work/moved]}}
YAML
cat >etc/beside.yaml <<YAML
plan: beside
regions: [us-east-1, eu-west-1]
steps:
  - {id: fine, use: exec.check, with: {argv: ["true"]}}
YAML
echo "no: plan" >etc/runbooks/other.yaml
export DRCTL_CONFIG=$work/etc/dr.yaml
json() { python3 -c "import json,sys; v=json.loads(sys.argv[1]); sys.exit(not ($1))" "$out"; }

# -- what is kept ------------------------------------------------------------------------------------
run "$DRCTL" init
run "$DRCTL" backup app
run "$DRCTL" plan run beside
fact "a run before the day comes to its end" has "$out" "RECOVERED"
run "$DRCTL" backup drctl-self --json
fact "drctl-self is backed up by its name, without being declared" json "v['exit'] == 0 and v['source'] == 'drctl-self'"
run "$DRCTL" ls latest --source drctl-self
fact "it has the configuration" has "$out" "dr.yaml"
fact "the plans beside it and in runbooks" has "$out" "runbooks/move.yaml"
fact "both" has "$out" "runbooks/beside.yaml"
fact "the public key" has "$out" "keys/writer.pub"
fact "the journal of the run that is over" has "$out" "runs/R-1/journal.jsonl"
no() { ! has "$@" >/dev/null; }
fact "a file that is no plan is left out" no "$out" other.yaml
fact "and the secret key" no "$out" writer.pem
no_secret() { ! grep -rqs top-secret-word state/self && ! grep -rqs "PRIVATE KEY" state/self; }
fact "no secret stands in it" no_secret
run "$DRCTL" backup drctl-self --json
fact "unchanged it costs nothing" json "v['added'] == 0 and v['changed'] == 0 and v['removed'] == 0"
fact "and is of the kind that the policy of configurations keeps" json "v['kind'] == 'config'"
rm etc/beside.yaml
run "$DRCTL" backup drctl-self --json
fact "a plan that is gone goes" json "v['removed'] == 1"
run "$DRCTL" backup --json
fact "a backup of all takes what the configuration declares" json "v['source'] == 'app'"
run "$DRCTL" backup nosuch
fact "a source that is not there is wrong usage" test $rc -eq 2

# -- the day: every host is lost, and all but one bucket -----------------------------------------------
key=$("$DRCTL" key show)
cp state/keys/writer.pem kept.pem
cp etc/dr.yaml wanted.yaml
rm -rf state etc us leases secret
unset DRCTL_CONFIG
run "$DRCTL" bootstrap "file://$work/eu" --to "$work/new"
fact "a key that nobody named is not believed" test $rc -eq 5
fact "it is shown" has "$out" "signed by  $key"
fact "with what to type if it is the right one" has "$talk" "--trust $key"
fact "and nothing was written" test ! -e new
fact "nor there" test ! -e state
run "$DRCTL" bootstrap "file://$work/eu" --to "$work/new" --trust "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
fact "what another key did not sign is refused" test $rc -eq 5
run "$DRCTL" bootstrap "file://$work/eu" --to "$work/new" --trust ed25519:nokey
fact "a key that is none is wrong usage" test $rc -eq 2
run "$DRCTL" bootstrap "file://$work/srv" --to "$work/new" --trust "$key"
fact "a directory that is no bucket brings nothing" test $rc -ne 0
mkdir -p state/runs/R-9
run "$DRCTL" bootstrap "file://$work/eu" --to "$work/new" --trust "$key"
fact "a state_dir that holds something is not touched" test $rc -eq 5
fact "and named" has "$talk" "'$work/state' is not empty"
fact "nothing else was written" test ! -e new
rm -rf state
mkdir new
echo "other: file" >new/dr.yaml
run "$DRCTL" bootstrap "file://$work/eu" --to "$work/new" --trust "$key"
fact "nor is another configuration overwritten" test $rc -eq 5
fact "it is as it was" test "$(cat new/dr.yaml)" = "other: file"
fact "and no state was made" test ! -e state
rm -rf new

run "$DRCTL" bootstrap "file://$work/eu" --to "$work/new" --trust "$key"
fact "with the right key everything comes back, but for the files in no backup" test $rc -eq 8
fact "which are listed" has "$out" "$work/secret/dns.key"
fact "it says what it found" has "$out" "found      drctl-self-"
fact "and what to do next" has "$out" "drctl failover PLAN -c $work/new/dr.yaml"
fact "the configuration is the same" cmp wanted.yaml new/dr.yaml
fact "the plan is there" test -s new/runbooks/move.yaml
fact "the journal of the earlier run too" test -s state/runs/R-1/journal.jsonl
fact "the secret key is not" test ! -e state/keys/writer.pem
export DRCTL_CONFIG=$work/new/dr.yaml
run "$DRCTL" runs show R-1
fact "which can be read" has "$out" "beside"
mkdir -p us
run "$DRCTL" snapshots --json --source app
fact "what the lost host signed is believed here" has "$out" '"state":"good"'
run "$DRCTL" failover move --failed us-east-1 --yes
fact "a failover runs to its end from one bucket" test $rc -eq 0
fact "with the data" test "$(cat restored/f)" = hello
fact "and its effect" test -e moved
fact "its number follows those of the lost host" test -s state/runs/R-2/journal.jsonl
run "$DRCTL" bootstrap "file://$work/eu" --to "$work/new" --trust "$key"
fact "a second time is refused: this host is no bare one" test $rc -eq 5

# -- the same writer goes on ----------------------------------------------------------------------------
unset DRCTL_CONFIG
rm -rf state new leases
run "$DRCTL" bootstrap "$work/eu" --to "$work/new" --identity kept.pem --json
fact "with the secret key of the lost host the same comes back" json "v['same_writer'] and v['runs'] == ['R-1'] and v['plans'] == ['move.yaml']"
export DRCTL_CONFIG=$work/new/dr.yaml
fact "and this host signs as that one did" test "$("$DRCTL" key show)" = "$key"
rm -rf state new
echo "$key" >key.pub
run "$DRCTL" bootstrap "$work/eu" --to "$work/new" --identity key.pub -q
fact "a file with the public key is an identity, too" test $rc -eq 8

# -- whoever died on the way ------------------------------------------------------------------------------
sed -i 's/"done":true/"done":false/' state/bootstrap.json
rm -f new/dr.yaml state/runs/R-1/journal.jsonl
run "$DRCTL" bootstrap "$work/eu" --to "$work/new" --trust "$key"
fact "a bootstrap that died half way is carried on" test $rc -eq 8
fact "to its end" cmp wanted.yaml new/dr.yaml
fact "with every file" test -s state/runs/R-1/journal.jsonl

facts_end
