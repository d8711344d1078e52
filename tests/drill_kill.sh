#!/bin/bash
# A drill that is killed at any moment: whoever cleans up afterwards leaves nothing, and production is as it was.
# KILLS: how many moments (by hand 150), SEED: which.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"
# shellcheck source=tests/support/regions.sh
. "$root/tests/support/regions.sh"
three_regions ana
sed -i "s#path: $work/srv, class: data#path: $work/srv, class: data, sentinel: sentinel#" dr.yaml
cat >>dr.yaml <<YAML
providers:
  service: {start: [touch, "$work/started"], stop: [rm, -f, "$work/started"], status: [test, -e, "$work/started"]}
YAML
mkdir gen-1
ln -s gen-1 current
cat >move.yaml <<YAML
plan: move
regions: [us-east-1, eu-west-1]
steps:
  - {id: pick, use: region.pick}
  - {id: fence, use: fence, with: {region: "\${failed}", methods: [{use: fence.lease, with: {key: writer/app, margin: 0s}}]}}
  - {id: snapshot, use: backup.pick, with: {source: app}}
  - {id: restore, use: backup.restore, with: {snapshot: "\${snapshot.id}", at: "\${target}", to: $work/gen-2}}
  - {id: there, use: exec.check, with: {argv: [sh, $work/there.sh], every: 100ms}, timeout: 1m}
  - id: go_live
    use: service.promote
    with: {at: "\${target}", unit: app, data: "\${restore.path}", live: $work/current, lease: writer/app}
    point_of_no_return: "new writes exist only in \${target}"
YAML
: >there.sh
run "$DRCTL" init
"$DRCTL" lease hold writer/app --as app --region us-east-1 -- true
newest() { find state/runs -maxdepth 1 -name 'D-*' -printf '%f\n' 2>/dev/null | sort -t- -k2 -n | tail -n 1; }
records() { grep -c . "state/runs/$(newest)/journal.jsonl" 2>/dev/null || true; }
fence_of() { jq -c '[.holder, .region, .epoch, .fenced]' leases/*app*; }
production() { readlink current; fence_of; ls srv; test ! -e started; test ! -e gen-2; }
# Processes of ours that still run: all that have this folder as theirs, but this shell and what it has started.
busy() {
    local p
    for p in /proc/[0-9]*; do
        if [ "$(readlink "$p/cwd" 2>/dev/null)" = "$work" ] && [ "$(cat "$p/comm" 2>/dev/null)" = drctl ]; then
            return 0
        fi
    done
    return 1
}
idle() { for _ in $(seq 600); do busy || return 0; sleep 0.1; done; return 1; }
whole() { # MOMENT: after the clean-up of a drill that ended in whatever way
    fact "$1: it is cleaned up" test "$rc" -eq 0
    fact "$1: no scratch is left" test -z "$(ls -A state/scratch 2>/dev/null)"
    fact "$1: no process is left" idle
    fact "$1: nothing is mounted" test -z "$(grep "$work" /proc/mounts)"
    fact "$1: production is as before" test "$(production)" = "$before"
    run "$DRCTL" runs
    fact "$1: no run is open" test -z "$(grep -E 'nobody runs it|cleaning|running' <<<"$out")"
    run "$DRCTL" audit anchor # of a run that ended, and died before its line in the ledger
    run "$DRCTL" audit verify state
    fact "$1: journals and ledger are whole" test $rc -eq 0
}
run "$DRCTL" drill move --controls 2 --seed 1
fact "undisturbed it passes" test $rc -eq 0
all=$(records)
before=$(production)

# -- killed at seeded moments ------------------------------------------------------------------------------
RANDOM=${SEED:-7}
for i in $(seq "${KILLS:-3}"); do
    moment=$((RANDOM % (all + 1))) had=$(newest)
    "$DRCTL" drill move --controls 2 --seed 1 >kill.out 2>&1 &
    runner=$!
    while kill -0 $runner 2>/dev/null; do
        [ "$(newest)" = "$had" ] || [ "$(records)" -lt "$moment" ] 2>/dev/null || break
    done
    kill -KILL $runner 2>/dev/null || true
    wait $runner 2>/dev/null || true
    run "$DRCTL" drill --clean
    whole "kill $i behind record $moment"
done

# -- told to stop --------------------------------------------------------------------------------------------
echo "echo \$\$ >$work/pid; test -e $work/quick || exec sleep 8" >there.sh
until_true() { for _ in $(seq 600); do "$@" 2>/dev/null && return 0; sleep 0.1; done; return 1; }
gone() { ! kill -0 "$(cat pid)" 2>/dev/null; }
for how in TERM HUP "INT INT"; do
    rm -f pid
    setsid "$DRCTL" drill move --controls none >stop.out 2>&1 &
    until_true test -s pid
    runner=$(ps -o ppid= -p "$(ps -o ppid= -p "$(cat pid)" | tr -d ' ')" | tr -d ' ')
    group=$(ps -o pgid= -p "$runner" | tr -d ' ')
    [ "$group" != "$(ps -o pgid= -p $$ | tr -d ' ')" ] || exit 1 # never our own
    for signal in $how; do kill "-$signal" "$runner" 2>/dev/null || true; done
    wait $! 2>/dev/null && rc=0 || rc=$?
    fact "$how: a drill that is told to stop has not passed" test $rc -ne 0 -a $rc -ne 4
    fact "$how: the step that was at work ends" until_true gone
    run "$DRCTL" drill --clean
    whole "$how"
done
touch quick

# -- no room for the journal ---------------------------------------------------------------------------------
# In the middle of the drill the disk of state_dir fills up; the journal cannot go on. Then there is room again.
echo "test -e $work/state/fill || head -c 60000000 /dev/zero >$work/state/fill 2>/dev/null; true" >there.sh
cat >full.sh <<'SH'
[ $# -eq 0 ] || { mount -t tmpfs -o size=20m none state && cp -a "$1/." state/; }
"$DRCTL" drill move --controls none >full.out 2>&1
echo $? >full.rc
rm -f state/fill
"$DRCTL" drill --clean >clean.out 2>&1
echo $? >clean.rc
[ $# -eq 0 ] || cp -a state/. "$1/"
SH
if unshare --user --map-root-user --mount true 2>/dev/null; then
    cp -a state kept
    unshare --user --map-root-user --mount sh full.sh "$work/kept"
    cp -a kept/. state/
else # the same by a limit on the size of a file
    (ulimit -f 16 && exec sh full.sh)
fi
fact "a drill that has no room for its journal has not passed" test "$(cat full.rc)" -ne 0 -a "$(cat full.rc)" -ne 4
rc=$(cat clean.rc)
whole "no room"
: >there.sh
run "$DRCTL" drill move --controls 2 --seed 1
fact "after all that a drill passes" test $rc -eq 0
facts_end
