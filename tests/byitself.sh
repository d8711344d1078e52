#!/bin/bash
# What backupd does beside the backups: sentinels, repairs of what was left behind, whose turn a drill is, the row of one
# that only watches; and that nobody backs up a source beside it.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"
unset DRCTL_CONFIG NOTIFY_SOCKET
cd "$work"
mkdir us eu srv bin
echo hello >srv/f
ln -s "$DRCTL" bin/backupd
pid=

stop_daemon() {
    [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true
    facts_cleanup
}
trap stop_daemon EXIT
until_true() { # COMMAND...: at most 60 s
    for _ in $(seq 1200); do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.05
    done
    echo "    never: $*"
    return 1
}
start() { # LOG [OPTION...]
    local log=$1
    shift
    bin/backupd -c dr.yaml "$@" 2>"$log" &
    pid=$!
}
end_daemon() {
    kill -TERM "$pid"
    rc=0
    wait "$pid" || rc=$?
    pid=
}
said() { grep -q -- "$2" "$1"; }

# config INCREMENTAL SENTINEL [HOOKS]
config() {
    cat >dr.yaml.new <<YAML
disaster_recovery:
  strategy: {primary_region: us-east-1, secondary_regions: [{name: eu-west-1, priority: 1}]}
  backup_policy:
    full_backup: {frequency: 30d, retention: 90d}
    incremental_backup: {frequency: $1, retention: 7d}
    prune: {frequency: 30d}
  drill_schedule: {frequency: monthly, participants: [cem], notification_channels: [desk]}
  monitoring: {alerting: {critical_alerts: {channels: [desk]}}}
  incident_response:
    contact_information: {infra-team: [{name: cem, channel: cems}]}
sources:
  - {name: app, path: $work/srv, sentinel: $2${3:+, hooks: $3}}
buckets:
  - {name: us, url: "file://$work/us", region: us-east-1}
  - {name: eu, url: "file://$work/eu", region: eu-west-1}
notify:
  desk: {command: [sh, -c, "cat >>$work/letters; echo >>$work/letters"]}
  cems: {command: [sh, -c, "cat >>$work/cems; echo >>$work/cems"]}
coordination:
  lease: {driver: file, path: $work/leases, hold: 8s, take: 9s}
state_dir: $work/state
YAML
    mv dr.yaml.new dr.yaml
}
config 1h time
run "$DRCTL" -q -c dr.yaml init

# -- the sentinel ------------------------------------------------------------------------------------
line='^20[0-9T:-]*\.[0-9][0-9][0-9]Z seq=[0-9]* site=[a-z0-9.-]*$'
run "$DRCTL" -c dr.yaml backup
fact "a backup is taken with a fresh sentinel in it" test $rc -eq 0
run "$DRCTL" -c dr.yaml restore latest --to "$work/back"
fact "which the restored tree has" grep -q "$line" back/time
fact "and it is the one before the backup" cmp back/time srv/time
before=$(cat srv/time)
start log
newer() { grep -q "$line" srv/time && [ "$(cat srv/time)" != "$before" ]; }
fact "backupd writes one by itself" until_true newer
end_daemon
fact "and ends well" test $rc -eq 0
rm srv/time
ln -s ../elsewhere srv/time
run "$DRCTL" -c dr.yaml backup
fact "a link in the way stops no backup" test $rc -eq 0
fact "but is told" has "$talk" "is a link: it is left as it is"
fact "and nothing is written behind it" test ! -e elsewhere
run "$DRCTL" -c dr.yaml sentinel --json
fact "of backupd's row it is a failure" jq -e '.exit == 1 and .written == 0 and .failed[0].source == "app"' .out
rm srv/time
config 1h "{file: time, by: application}"
echo "the application's own" >srv/time
run "$DRCTL" -c dr.yaml backup
fact "what the application writes is not touched" test "$rc.$(cat srv/time)" = "0.the application's own"
run "$DRCTL" -c dr.yaml sentinel --json
fact "nor by the row" jq -e '.exit == 0 and .written == 0' .out
rm srv/time

# -- one at a time -----------------------------------------------------------------------------------
config 1s time "{pre: 'echo x >$work/frozen; until test -e $work/go; do sleep 0.05; done', timeout: 1m}"
start log2
fact "a job of backupd is at work" until_true test -e frozen
run "$DRCTL" -c dr.yaml backup
fact "a backup by hand beside it is refused: exit 6" test $rc -eq 6
fact "and told who is at work" has "$talk" "another backup of source 'app' is at work on this host (process "
held=$(cat srv/time)
run "$DRCTL" -c dr.yaml sentinel --json
fact "no sentinel is written while a tree is read" jq -e '.exit == 0 and .left == 1' .out
fact "the one before stays" test "$(cat srv/time)" = "$held"
touch go
good() { [ "$("$DRCTL" -q -c dr.yaml snapshots --json | jq '[.[] | select(.state == "good")] | length')" -gt 3 ]; }
fact "the job that was at work is none the worse" until_true good
end_daemon
rm -f go frozen
"$DRCTL" -c dr.yaml backup >by-hand 2>&1 &
hand=$!
until_true test -e frozen
rm -f state/schedule.json
start log3
fact "backupd's job beside one by hand is refused, too" until_true said log3 "incremental of 'app': failed (exit 6)"
touch go
rc=0
wait $hand || rc=$?
fact "and the one by hand is none the worse" test $rc -eq 0
retried() { [ "$(grep -c "incremental of 'app': done" log3)" -ge 1 ]; }
fact "the job comes again" until_true retried
end_daemon

# -- repair ------------------------------------------------------------------------------------------
config 1s time
mv eu eu.away
start log4
fact "a bucket that is away is told, and a repair is planned" until_true said log4 "a repair follows"
fact "it is written down" until_true jq -e '.rows[] | select(.what == "repair") | .wanted_ns > 0' state/schedule.json
end_daemon
start log5
fact "a repair that is wanted outlives backupd" until_true jq -e '.rows[] | select(.what == "repair") | .wanted_ns > 0' state/schedule.json
mv eu.away eu
echo more >srv/g
fact "when the bucket is back it is repaired by itself" until_true said log5 "repair: done"
fact "once: nothing is wanted any more" until_true jq -e '.rows[] | select(.what == "repair") | .wanted_ns == 0 and .exit == 0' state/schedule.json
end_daemon
ids() { find "$1/snapshots" -type f -printf '%f\n' | sort; }
fact "every bucket has what the other has" test "$(ids us)" = "$(ids eu)"

# -- whose turn is a drill ---------------------------------------------------------------------------
"$DRCTL" -c dr.yaml lease hold drill/fire --as other -- sleep 60 &
holder=$!
theirs() { "$DRCTL" -c dr.yaml lease show drill/fire | grep -q other; }
until_true theirs
run "$DRCTL" -c dr.yaml --json drill-turn fire --since 2026-11-01T00:00:00Z
fact "while another site has the drill there is nothing to do" jq -e '.exit == 0 and (.why | test("another site"))' .out
fact "and nobody is told" test ! -e letters
kill $holder
wait $holder 2>/dev/null || true
run "$DRCTL" -c dr.yaml -q drill-turn fire --since 2026-11-01T00:00:00Z
fact "a drill that cannot begin is no success" test $rc -ne 0
fact "the channels of drills hear of it" until_true grep -q "the drill of plan fire could not begin" letters
fact "a participant with a channel, too" until_true grep -q "the drill of plan fire could not begin" cems
fact "and who takes part is in it" grep -q "Takes part: cem" letters
cat >tiny.yaml <<YAML
plan: tiny
regions: [us-east-1, eu-west-1]
steps:
  - {id: pick, use: region.pick}
  - {id: fits, use: exec.check, with: {argv: ["true"]}}
YAML
"$DRCTL" -c dr.yaml -q --json drill-turn tiny --since 2026-11-01T00:00:00Z >turn1 2>turn1.err &
one=$!
"$DRCTL" -c dr.yaml -q --json drill-turn tiny --since 2026-11-01T00:00:00Z >turn2 2>turn2.err || true
wait $one || true
fact "of two whose turn it is one holds the drill" test "$(find state/runs -maxdepth 1 -name 'D-*' | wc -l)" -eq 1
fact "the drill is told before" until_true grep -q "D-1 of plan tiny has begun" letters
fact "and after" until_true grep -q "run D-1 of plan tiny ended" letters
run "$DRCTL" -c dr.yaml --json drill-turn tiny --since 2026-11-01T00:00:00Z
fact "it is held once in its time" jq -e '.exit == 0 and .why == "it was held: D-1"' .out
rm -rf elsewhere
sed "s,^state_dir: .*,state_dir: $work/elsewhere," dr.yaml >there.yaml
run "$DRCTL" -c there.yaml --json drill-turn tiny --since 2026-11-01T00:00:00Z
fact "and another site knows by the buckets that it was" jq -e '.exit == 0 and .why == "it was held: D-1"' .out
run "$DRCTL" -c dr.yaml --json drill-turn tiny --since 2099-01-01T00:00:00Z
fact "the next time there is another one" test -d state/runs/D-2
cat >slow.yaml <<YAML
plan: slow
regions: [us-east-1, eu-west-1]
steps:
  - {id: pick, use: region.pick}
  - {id: fits, use: exec.check, with: {argv: [sh, -c, "touch $work/began; test -e $work/quick || sleep 60"]}}
YAML
"$DRCTL" -c dr.yaml -q drill slow >slow.out 2>&1 &
one=$!
until_true test -e began
kill -KILL $one
wait $one 2>/dev/null || true
touch quick
run "$DRCTL" -c dr.yaml -q --json drill-turn slow --since 2026-11-01T00:00:00Z
fact "a drill whose runner died was not held: it is now" test -d state/runs/D-4
rm began quick
sed 's/plan: slow/plan: slow2/' slow.yaml >slow2.yaml
"$DRCTL" -c dr.yaml -q drill slow2 >slow.out 2>&1 &
one=$!
until_true test -e began
kill -KILL $one
wait $one 2>/dev/null || true
touch quick
run "$DRCTL" -c dr.yaml drill --clean
run "$DRCTL" -c dr.yaml -q --json drill-turn slow2 --since 2026-11-01T00:00:00Z
fact "one that died and was cleaned up was not held either" test -d state/runs/D-6
fact "and what died is cleaned up" bash -c "! '$DRCTL' -c dr.yaml runs | grep -q 'nobody runs it'"
sed -i 's/{frequency: monthly,/{frequency: monthly, plans: [tiny],/' dr.yaml
cp dr.yaml open.yaml
sed -i 's/plans: \[tiny\],/& blackout: [{days: [mon, tue, wed, thu, fri, sat, sun], reason: never}],/' dr.yaml
run bin/backupd -c dr.yaml --once --json
fact "in a blackout backupd holds no drill" test "$(jq -s '[.[] | select(.what == "drill")] | length' .out)" -eq 0
mv open.yaml dr.yaml
run bin/backupd -c dr.yaml --once --json
fact "behind it, it looks whose turn the drill is" jq -se '[.[] | select(.what == "drill")] | length == 1 and
    .[0].plan == "tiny" and .[0].exit == 0 and .[0].why == "it was held: D-2"' .out

# -- a run tells people ------------------------------------------------------------------------------
cat >small.yaml <<YAML
plan: small
regions: [us-east-1, eu-west-1]
steps:
  - {id: pick, use: region.pick}
  - {id: fits, use: exec.check, with: {argv: [test, -e, "$work/fits"], every: 100ms}, timeout: 4s, on_error: hold}
YAML
rm -f letters cems
run "$DRCTL" -c dr.yaml failover small --failed us-east-1 --dry-run
fact "a dry run is nobody's business" test ! -e letters
run "$DRCTL" -c dr.yaml failover small --failed us-east-1 --yes
fact "a run that is held is exit 3" test $rc -eq 3
fact "people heard that it began, and what it gives up" grep -q "R-[0-9]* of plan small has begun: it gives up us-east-1" letters
fact "and that a person has to decide" grep -q "run R-[0-9]* of plan small is held" letters
touch fits
run "$DRCTL" -c dr.yaml runs resume
fact "resumed it goes to its end" test $rc -eq 0
fact "which is told" grep -q "run R-[0-9]* of plan small ended: recovered in eu-west-1" letters
fact "that it began is told once" test "$(grep -c 'has begun: it gives up' letters)" -eq 1
fact "it is no drill's business" test ! -e cems

# -- one that only watches ---------------------------------------------------------------------------
rm -rf us/status eu/status
printf 'health:\n  - {name: front, kind: tcp, url: "tcp://127.0.0.1:9", interval: 100ms, timeout: 100ms}\n' >>dr.yaml
bin/backupd -c dr.yaml --once --watch >once || true # it has an answer before it writes its row
start log6 --watch
probed() { { "$DRCTL" -q -c dr.yaml status --json || true; } | jq -e '[.sites[].probes[]? | select(.name == "front")] | length == 1'; }
fact "others see what a backupd saw that only watches" until_true probed
end_daemon
fact "it took no backups" bash -c "! grep -q 'of .app.: ' log6"
facts_end
