#!/bin/bash
# Drills: a good one, and everything that must make one fail. What a drill makes goes away, whoever died.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"
# shellcheck source=tests/support/regions.sh
. "$root/tests/support/regions.sh"
three_regions ana
mkdir gen-1
cp srv/f gen-1/f
ln -s gen-1 current
sed -i "s#path: $work/srv, class: data#path: $work/srv, class: data, sentinel: sentinel#" dr.yaml
cat >>dr.yaml <<YAML
providers:
  service: {start: [touch, "$work/started"], stop: [rm, -f, "$work/started"], status: [test, -e, "$work/started"]}
YAML
until_true() { for _ in $(seq 600); do "$@" 2>/dev/null && return 0; sleep 0.1; done; return 1; }
newest() { find state/runs -maxdepth 1 -name 'D-*' -printf '%f\n' | sort -t- -k2 -n | tail -n 1; }
journal() { cat "state/runs/$(newest)/journal.jsonl"; }
record() { journal | jq -c "select(.type == \"$1\") | .body"; }
empty() { [ -z "$(ls -A state/scratch 2>/dev/null)" ]; }

# plan NAME CHECK...: restore, look at it by this command, switch, look at what serves.
plan() {
    local name=$1 argv
    shift
    argv=$(printf '"%s", ' "$@")
    cat >"$name.yaml" <<YAML
plan: $name
regions: [us-east-1, eu-west-1]
steps:
  - {id: pick, use: region.pick}
  - {id: go, use: approve, with: {role: dr-commander, question: "Give up \${failed}?"}}
  - {id: fence, use: fence, with: {region: "\${failed}", methods: [{use: fence.lease, with: {key: writer/app, margin: 0s}}]}}
  - {id: snapshot, use: backup.pick, with: {source: app}}
  - {id: restore, use: backup.restore, with: {snapshot: "\${snapshot.id}", at: "\${target}", to: $work/gen-2}}
  - {id: data_ok, use: data.check, with: {at: "\${target}", path: "\${restore.path}", against: "\${snapshot.id}", every: 100ms}, timeout: 5s}
  - {id: mine, use: exec.check, with: {argv: [${argv%, }], every: 100ms}, timeout: ${within:-3s}}
  - id: go_live
    use: service.promote
    with: {at: "\${target}", unit: app, data: "\${restore.path}", live: $work/current, lease: writer/app}
    point_of_no_return: "new writes exist only in \${target}"
  - {id: healthy, use: exec.check, with: {argv: [test, -e, $work/started], every: 100ms}, timeout: 1s}
YAML
}
plan move grep -q hello "\${restore.path}/f"
run "$DRCTL" init
"$DRCTL" lease hold writer/app --as app --region us-east-1 -- true

# -- a good one ----------------------------------------------------------------------------------------
run "$DRCTL" drill move --seed 7
printf '%s\n' "$out" >"$work/good.out"
fact "a good drill passes" test $rc -eq 0
fact "it says that production is not touched, and what is dark" has "$out" "production is not touched; us-east-1 is DARK"
fact "it lists what is isolated" has "$out" "isolated      restore"
fact "what is only simulated" has "$out" "simulate      go, fence, go_live"
fact "and what is not measured" has "$out" "not measured  healthy"
fact "the planted sentinel is found" has "$out" "app: nonce"
fact "every fault that could be planted was caught" has "$out" "drill power 100 %"
fact "each with the reason why it counts" has "$out" "a stale backup: "
fact "and no line of them is longer than a terminal bears" test -z "$(sed -n '/^CAUGHT/,/^CLEANED/p' <<<"$out" | awk 'length > 170')"
fact "where isolated steps work is said" has "$out" "restore (below $work/state/scratch)"
fact "the titles have their names put in" has "$out" "Give up us-east-1?"
fact "nothing is left" has "$out" "nothing left; production before and after: equal"
fact "connections to the dark region are told" has "$out" "CONNECTIONS to us-east-1"
fact "the scratch directory is gone" empty
fact "the data did not go where the plan says" test ! -e gen-2
fact "the live link is the one it was" test "$(readlink current)" = gen-1
fact "nothing was started" test ! -e started
fact "nobody was fenced" test "$(jq -c .fenced leases/writer%2Fapp.lease 2>/dev/null || jq -c .fenced leases/*app*)" = "[]"
fact "the digest before is the digest after" test "$(record production | jq -r .digest | sort -u | wc -l)" -eq 1
production_has() { record production | jq -e --arg n "$1" 'any(.fields[]; .name == $n)' >/dev/null; }
fact "leases are looked at" production_has "lease writer/app epoch"
fact "and the live path" production_has "eu: path $work/current"
fact "and the unit" production_has "eu: unit app"
fact "the same seed draws the same faults" test "$(record planted | jq -r .seed)" = 7
fault_names() { record planted | jq -r '.controls[].name'; }
fact "there are at least ten faults" test "$(fault_names | wc -l)" -ge 10
fact "the manual page has each by its name" test -z "$(fault_names | while read -r n; do grep -qx ".It Ql $n" "$root/drctl.1" || echo "$n"; done)"
fact "repair is sent nowhere because of them" test ! -e state/suspects
fact "what was made stood on record before it was made" test "$(record made | jq -r .name)" = "$work/state/scratch/$(newest)"
run "$DRCTL" runs show "$(newest)"
fact "runs show knows it" test $rc -eq 0

# -- proved data, an application's own sentinel, objectives -----------------------------------------------
plan proved true
sed -i -e "s#source: app}#source: app, verified_within: 1h}#" -e "s#^steps:#objectives: {rto: 10m, rpo: 1h}\nsteps:#" proved.yaml
cp dr.yaml kept.yaml
sed -i "s#sentinel: sentinel#sentinel: {file: own, by: application}#" dr.yaml
date -u +%Y-%m-%dT%H:%M:%SZ >srv/own
run "$DRCTL" drill proved --controls none
fact "a plan that wants proved data gets the drill's own, proved before" has "$out" "proved"
fact "an application's own sentinel is compared with that of its source" test "$(record sentinel | jq -r .ok)" = true
fact "a drill that passes, and cannot tell whether an objective is met, ends with 4" test $rc -eq 4
fact "its data loss is told" has "$out" "RPO"
cp kept.yaml dr.yaml
rm srv/own

# -- what must fail ------------------------------------------------------------------------------------
echo goodbye >srv/f
run "$DRCTL" drill move --controls none
fact "a drill whose data differ fails" test $rc -eq 1
fact "and says at which step" has "$out" "mine"
fact "it is cleaned up all the same" empty
fact "its run failed" test "$(record end | jq -r .run)" = failed
echo hello >srv/f

cat >leave.sh <<LEAVE
[ -L "\$1" ] || { mv "\$1" "\$1.away" && ln -s $work/gen-1 "\$1"; }
LEAVE
plan leave sh "$work/leave.sh" "\${run.scratch}"
run "$DRCTL" drill leave --controls none
fact "a drill that left something fails" test $rc -eq 1
fact "and names it" has "$out" "is not a directory: it is left alone"
fact "on its record" test "$(record cleaned | jq -r .ok | sort -u)" = false
fact "what the link leads to is untouched" test -e gen-1/f
rm -rf state/scratch/*

plan change sh -c "ln -sfn gen-9 $work/current"
run "$DRCTL" drill change --controls none
fact "a drill under which production changed fails" test $rc -eq 1
fact "and names the field" has "$out" "path $work/current"
ln -sfn gen-1 current

# The fresh snapshot vanishes from the bucket that is not dark, so an older one is picked.
cat >lose.sh <<LOSE
[ ! -e $work/lost ] || exit 0
find $work/eu/snapshots -type f -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2 >$work/lost.name
mv "\$(cat $work/lost.name)" $work/lost
LOSE
plan older true
sed -i "s#^  - {id: snapshot.*#  - {id: lose, use: exec.check, with: {argv: [sh, $work/lose.sh], every: 100ms}}\n&#" older.yaml
run "$DRCTL" drill older --controls none
fact "the sentinel of an older snapshot fails it" test $rc -eq 1
fact "which says what was wanted" has "$out" "do not hold what was planted"
mv lost "$(cat lost.name)"
fact "nothing of all that is left" empty

# -- what is asked of others -------------------------------------------------------------------------------
cat >front.py <<'PY'
"""A balancer's runtime API: two servers; while the file "mute" is there it says nothing."""
import os
import socket
import sys

server = socket.socket(socket.AF_UNIX)
server.bind("front.sock")
server.listen(8)
while True:
    peer, _ = server.accept()
    asked = peer.recv(1000).decode()
    if not os.path.exists("mute") and asked.startswith("show servers state"):
        peer.sendall(b"1\n# be_id be_name\n1 web 1 us-east-1 127.0.0.1 2 0 1\n1 web 2 eu-west-1 127.0.0.2 2 1 1\n\n")
    elif not os.path.exists("mute"):
        print(asked, file=sys.stderr)
    peer.close()
PY
python3 front.py 2>asked &
front=$!
until_true test -S front.sock
cat >mute.sh <<MUTE
[ ! -e $work/mute-now ] || touch $work/mute
MUTE
plan front true
cat >>front.yaml <<YAML
  - {id: lb, use: haproxy, with: {backend: web, socket: $work/front.sock, to: "\${target}"}}
  - {id: late, use: exec.check, with: {argv: ["false"]}, drill: {with: {argv: [sh, $work/mute.sh]}}}
YAML
run "$DRCTL" drill front --controls none
fact "a balancer that is not touched is as before" test $rc -eq 4
fact "because it was asked" production_has "haproxy of step lb"
fact "and told nothing" test ! -s asked
touch mute-now
run "$DRCTL" drill front --controls none
fact "a balancer that does not answer afterwards is not as before" test $rc -eq 1
fact "but not measured" has "$out" "not measured: haproxy of step lb could not be read"
kill $front

# -- the scratch disk is full --------------------------------------------------------------------------
head -c 3000000 /dev/urandom >srv/large
run "$DRCTL" backup
full() {
    mkdir -p state/scratch
    if unshare --user --map-root-user --mount true 2>/dev/null; then
        # shellcheck disable=SC2016  # the shell in there expands it
        unshare --user --map-root-user --mount sh -c 'mount -t tmpfs -o size=1m none state/scratch && exec "$DRCTL" drill move --controls none'
    else
        (ulimit -f 2000 && exec "$DRCTL" drill move --controls none)
    fi
}
run full
fact "a drill whose scratch disk is full fails" test $rc -eq 1
fact "at its restore" has "$out" "restore"
fact "and is cleaned up" test "$(record cleaned | jq -r .ok | sort -u)" = true
rm srv/large

# -- the runner dies -----------------------------------------------------------------------------------
within=1m
plan slow sh -c "echo \$\$ >$work/pid; test -e $work/quick || exec sleep 50"
"$DRCTL" drill slow --controls none >slow.out 2>&1 &
runner=$!
until_true test -s pid
dead=$(newest)
fact "its scratch directory stands while it runs" test -d "state/scratch/$dead/restore"
run "$DRCTL" drill move --controls none
fact "a second drill is refused while the first one runs" test $rc -eq 6
run "$DRCTL" drill --clean "$dead"
fact "and so is its clean-up" test $rc -eq 6
kill -KILL $runner
wait $runner 2>/dev/null || true
gone() { ! kill -0 "$(cat pid)" 2>/dev/null; }
fact "its step dies with it" until_true gone
fact "what it made is still there" test -d "state/scratch/$dead"
touch quick
run "$DRCTL" drill slow --controls none
fact "the next drill cleans up first" has "$out" "CLEANED  $dead, whose runner died: nothing left"
fact "and then runs by itself, with no fault planted that could show its power" test $rc -eq 4
fact "nothing is left of either" empty
fact "the one that died did not pass" test "$(jq -r 'select(.type == "end") | .body.run' "state/runs/$dead/journal.jsonl")" = failed
rm -f quick pid
"$DRCTL" drill slow --controls none >slow.out 2>&1 &
runner=$!
until_true test -s pid
dead=$(newest)
kill -KILL $runner
wait $runner 2>/dev/null || true
until_true gone
run "$DRCTL" drill --clean
fact "the clean-up alone does it as well" test $rc -eq 0
fact "and nothing is left" empty
run "$DRCTL" drill --clean --json
fact "when there is nothing to clean it is done" test "$(jq -r .exit <<<"$out")" = 0

# -- words ---------------------------------------------------------------------------------------------
run "$DRCTL" drill
fact "a drill needs a plan" test $rc -eq 2
run "$DRCTL" drill move --controls many
fact "and a number of faults" test $rc -eq 2
touch quick
run "$DRCTL" drill --clean R-1
fact "only a drill is cleaned like one" test $rc -eq 5
run "$DRCTL" drill move --controls none --json
fact "a drill that nothing could fail is told as such" has "$out" "no fault was planted: drill power is not measured"
fact "with --json each line is JSON, the last has the verdict" test "$(printf '%s\n' "$out" | jq -s '.[-1].passed')" = true

# -- the real thing happens ------------------------------------------------------------------------------
cat >real.yaml <<YAML
plan: real
regions: [us-east-1, eu-west-1]
steps:
  - {id: pick, use: region.pick}
  - {id: switch, use: exec, with: {argv: [touch, $work/switched]}, undo: none}
YAML
rm -f quick pid
"$DRCTL" drill slow --controls none >slow.out 2>&1 &
runner=$!
until_true test -s pid
dead=$(newest)
run "$DRCTL" failover real --failed us-east-1 --yes
fact "a failover does not wait for a drill" test $rc -eq 0
rc=0
wait $runner || rc=$?
fact "the drill gives way" test $rc -eq 6
run "$DRCTL" drill --clean
fact "and is cleaned up when the failover is over" has "$out" "CLEANED  $dead"
fact "without anything left" empty
rm -f switched
run "$DRCTL" drill real --failed us-east-1 --controls none
fact "what a drill only simulates took its time in the last run in earnest" test "$(record assumed | jq -r '.what + " " + .from')" = "switch $(cd state/runs && echo R-*)"
fact "and is not done again" test ! -e switched
facts_end
