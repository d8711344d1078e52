#!/bin/bash
# backupd as a host has it: backups happen by themselves; what comes between (SIGTERM, SIGHUP, kill -9, a second
# one, a bad configuration) harms none; and its unit for systemd lets it do no more than it needs.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"
unset DRCTL_CONFIG NOTIFY_SOCKET
cd "$work"
mkdir us eu srv etc bin
echo hello >srv/f
echo setting >etc/conf
ln -s "$DRCTL" bin/backupd
backupd=$work/bin/backupd
pid=

stop_daemon() {
    [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true
    [ ! -s hook.pid ] || kill -KILL "$(cat hook.pid)" 2>/dev/null || true
    facts_cleanup
}
trap stop_daemon EXIT

# until_true COMMAND...: at most 60 s.
until_true() {
    for _ in $(seq 1200); do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.05
    done
    echo "    never: $*"
    return 1
}
start() { # start LOG [OPTION...]: the daemon; $pid
    local log=$1
    shift
    "$backupd" -c dr.yaml "$@" 2>"$log" &
    pid=$!
}
wait_daemon() { # its exit code in $rc; it must have ended within the bound
    rc=0
    until_true gone "$pid" || kill -KILL "$pid"
    wait "$pid" || rc=$?
    pid=
}
# A zombie is gone: only we can reap it.
gone() {
    local state
    state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null) || return 0
    [ -z "$state" ] || [ "$state" = Z ]
}
snapshots() { "$DRCTL" -q -c dr.yaml snapshots --json --source "$1"; }
count() { snapshots "$1" | jq "[.[] | select(.kind == \"$2\")] | length"; }
at_least() { [ "$(count "$1" "$2")" -ge "$3" ]; } # SOURCE KIND N
said() { grep -q -- "$2" "$1"; }

# config INCREMENTAL [HOOKS] [MORE SOURCES]; FULL: how often
FULL=1m
config() {
    cat >dr.yaml.new <<YAML
disaster_recovery:
  strategy: {primary_region: us-east-1, secondary_regions: [{name: eu-west-1, priority: 1}]}
  backup_policy:
    full_backup: {frequency: $FULL, retention: 90d}
    incremental_backup: {frequency: $1, retention: 7d}
    config_snapshot: {frequency: 1h, retention: 2d}
    prune: {frequency: 10s}
sources:
  - {name: app, path: $work/srv${2:+, hooks: $2}}
  - {name: etc, path: $work/etc, class: config}
${3:-}
buckets:
  - {name: us, url: "file://$work/us", region: us-east-1}
  - {name: eu, url: "file://$work/eu", region: eu-west-1}
state_dir: $work/state
YAML
    mv dr.yaml.new dr.yaml
}

config 2s
run "$DRCTL" -q -c dr.yaml init

# -- by itself -------------------------------------------------------------------------------------
python3 -c '
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("notify")
open("listening", "w").close()
with open("heard", "w", buffering=1) as out:
    while True:
        word = s.recv(4096).decode()
        out.write(word + "\n")
        if "STOPPING=1" in word:
            break
' &
ear=$!
until_true test -e listening
NOTIFY_SOCKET=$work/notify WATCHDOG_USEC=60000000 start log
fact "a full of the source is taken by itself" until_true at_least app full 1
fact "incrementals follow" until_true at_least app incremental 2
fact "a source of class config has its full" until_true at_least etc full 1
fact "each job has a line: what, source, how, how long, when again" \
    until_true grep -Eq "full of 'app': done in .*; next 20[0-9-]+T" log
fact "prune follows the full" until_true said log "prune: done"
fact "there is no storm of fulls" test "$(count app full)" -le 3
known() { [ -n "$(find us/status -name '*.json')" ] && [ -n "$(find eu/status -name '*.json')" ]; }
fact "other hosts can know it: a row lies in each bucket" until_true known
fact "what ran is written down" jq -e '.schema == "drctl-schedule-1" and (.rows[] | select(.what == "full" and
    .subject == "app") | .exit == 0 and .good_ns > 0 and .failures == 0)' state/schedule.json
run "$backupd" -c dr.yaml
fact "a second backupd is refused" test $rc -eq 6
fact "and told who is in the way" has "$talk" "another backupd works in '$work/state' (process $pid)"
run "$backupd" -c dr.yaml --once
fact "one that does all once, too" test $rc -eq 6

# -- SIGHUP ----------------------------------------------------------------------------------------
config 2s "" "  - {name: more, path: $work/etc}"
sed -i 's/frequency: 1m/frequency: monthyl/' dr.yaml
kill -HUP "$pid"
fact "a bad configuration is told by file, line and column" until_true grep -q 'dr.yaml:4:30: ' log
fact "and is not taken over" until_true said log "the one before stays in force"
before=$(jq '[.rows[] | select(.what == "incremental") | .end_ns] | max' state/schedule.json)
later() { [ "$(jq '[.rows[] | select(.what == "incremental") | .end_ns] | max' state/schedule.json)" -gt $((before + 2000000000)) ]; }
fact "backups go on with the one before" until_true later
fact "and none of them failed" bash -c '! grep -q "incremental of .app.: failed" log'
sed -i 's/frequency: monthyl/frequency: 1m/' dr.yaml
kill -HUP "$pid"
fact "a good one is taken over" until_true said log "' is in force"
fact "and its new source is backed up" until_true at_least more full 1
kill -TERM "$pid"
wait_daemon
fact "SIGTERM ends it with 0" test $rc -eq 0
wait "$ear"
fact "the service manager heard when it was ready" grep -qx READY=1 heard
fact "that it was reading its configuration" grep -qx RELOADING=1 heard
fact "that it lives" grep -qx WATCHDOG=1 heard
fact "what it was doing" grep -Eq "^STATUS=[0-9]+ jobs? at work; next: " heard
fact "and when it stopped" grep -qx STOPPING=1 heard

# -- stopped in the middle ---------------------------------------------------------------------------
hooks="{pre: 'echo \$\$ >$work/hook.pid; env >$work/env; sleep 300', post: 'touch $work/thawed', timeout: 10m}"
config 1s "$hooks"
rm -rf state/schedule.json
newest=$(snapshots app | jq -r 'map(.id) | last')
NOTIFY_SOCKET=$work/notify start log2
fact "a job is at work" until_true test -s hook.pid
fact "no job was given the manager's socket" bash -c 'test -s env && ! grep -q NOTIFY_SOCKET env'
hook=$(cat hook.pid)
kill -TERM "$pid"
wait_daemon
fact "SIGTERM in the middle of a run ends it with 0" test $rc -eq 0
fact "the hook that undoes ran" test -e thawed
fact "and nothing goes on" until_true gone "$hook"
fact "nothing was made visible" test "$(snapshots app | jq -r 'map(.id) | last')" = "$newest"
fact "it is no failure of the job" jq -e '[.rows[] | select(.subject == "app" and .interrupted)] |
    length == 1 and .[0].failures == 0' state/schedule.json

# -- killed in the middle ------------------------------------------------------------------------------
rm -f hook.pid thawed
start log3
fact "the next start goes on with it" until_true test -s hook.pid
hook=$(cat hook.pid)
kill -KILL "$pid"
wait_daemon
fact "kill -9 leaves no job" until_true gone "$hook"
fact "and even then the hook that undoes ran" until_true test -e thawed
fact "the next one knows that it ran" jq -e '[.rows[] | select(.subject == "app" and .running)] | length == 1' state/schedule.json
config 1s
echo more >srv/g
had=$(count app incremental)
start log4
fact "the next start goes on" until_true at_least app incremental $((had + 1))
kill -TERM "$pid"
wait_daemon
fact "and ends well" test $rc -eq 0

# -- once ----------------------------------------------------------------------------------------------
FULL=30d
config 1d
"$DRCTL" -q -c dr.yaml backup >/dev/null # what was interrupted last holds the prune
"$DRCTL" -q -c dr.yaml backup drctl-self >/dev/null
rm -f state/schedule.json
run "$backupd" -c dr.yaml --once --json
fact "--once does what is due and ends" test $rc -eq 0
[ $rc -eq 0 ] || { cat .out .err; "$DRCTL" -c dr.yaml prune --dry-run; }
fact "it asks the buckets what there is: nothing is taken again" \
    test "$(jq -s '[.[] | select(.what == "full" and .source == "app")] | length' .out)" -eq 0
fact "a row a line" jq -se '[.[] | select(.what == "verify")] | length == 1 and .[0].exit == 0 and .[0].next != null' .out
run "$backupd" -c dr.yaml --once
fact "and nothing twice" test "$rc.$out" = "0."
config 1d "{pre: 'exit 3'}" "  - {name: new, path: $work/etc}"
echo last >srv/h
jq -c '.rows |= map(if .what == "incremental" then .good_ns = 1 | .start_ns = 1 else . end)' state/schedule.json >state/s
mv state/s state/schedule.json
run "$backupd" -c dr.yaml --once
fact "the gravest exit code is its own" test $rc -eq 1
fact "the one that failed is named, with the reason" has "$out" "incremental of 'app'"
fact "the others are done" at_least new full 1

# -- nothing to do -------------------------------------------------------------------------------------
echo "state_dir: $work/state" >none.yaml # no source, no bucket, no probe
run timeout 60 "$backupd" -c none.yaml
fact "with nothing to do it says what to write" test $rc -eq 2
fact "in words" has "$talk" "there is nothing to do"

# -- people --------------------------------------------------------------------------------------------
config 1d "" "  - {name: broken, path: $work/etc, hooks: {pre: 'exit 3'}}"
sed -i 's/^sources:/  monitoring: {alerting: {critical_alerts: {channels: [desk]}, warning_alerts: {channels: [desk]}}}\n&/' dr.yaml
printf 'notify:\n  desk: {command: [sh, -c, "cat >>%s/letters"]}\n' "$work" >>dr.yaml
start log5
fact "a source without any snapshot is told to people" until_true grep -q broken letters
kill -TERM "$pid"
wait_daemon
fact "and that ends as well as all else" test $rc -eq 0

# -- systemd -------------------------------------------------------------------------------------------
run systemd-analyze security --offline=true --threshold=30 --no-pager "$root/conf/backupd.service"
fact "the unit's exposure is at most 3.0" test $rc -eq 0
run systemd-analyze security --offline=true --threshold=15 --no-pager "$root/conf/drctl-serve.service"
fact "... and 1.5 that of the status page" test $rc -eq 0
run systemd-analyze security --offline=true --threshold=30 --no-pager "$root/conf/backupd.service"
fact "it was looked at" has "$out" "Overall exposure level for backupd.service"
fact "it has one right, and not root's" bash -c "grep -qx User=drctl '$root/conf/backupd.service' &&
    grep -qx CapabilityBoundingSet=CAP_DAC_READ_SEARCH '$root/conf/backupd.service'"

facts_end
