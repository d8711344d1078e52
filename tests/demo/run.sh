#!/bin/bash
# run.sh: the demo. Three regions, each with a backupd; an application that writes, users outside. The primary's
# backupd takes the snapshots, the others probe the service. The primary region is killed and its bucket
# removed; drctl brings the application up elsewhere, where backupd goes on; a judge that believes neither
# compares what the users saw with what drctl says. The last line:
#
#     DEMO OK rto=<seconds>s rpo=<seconds>s       exit 0; measured recovery time and data loss
#     DEMO BROKEN at PART: drctl's own words      exit 1; drctl ended the run because of that part
#     DEMO FAILED: what                           exit 3; anything else
#
#     KEEP=DIR          keep journals, buckets, logs and the users' log there
#     BREAK=fence|restore|lb|dns|verify|standby   break this part of the world (never of drctl) on purpose
#     DEMO_INCREMENTALS=N   at least so many are taken before the loss, by default 10; with fewer, no prune
#     DEMO_EU=ready     the first standby is ready (else its own preflight probe says that it is not)
#     STORE=s3          the buckets are S3: a radosgw in each region, by https; the primary's is killed. Default: directories
#     DEMO_LEASE=bucket the leases lie in the bucket of eu-west-1. Default: in a directory
#     DEMO_HOLD=5       seconds that a lease is believed in without being renewed; more for a disk that stands still that long
#     DEMO_DRILL=no     the plan is not rehearsed before the loss
#     DEMO_KILL=STEP    drctl gets SIGKILL as soon as that step has begun, and another one goes on
#     DEMO_SERVE=1      the page of `drctl serve`, as eu-west-1 sees it, is up until Enter is pressed at the end
#
# Everything is on loopback, on free ports, in a temporary directory, by an ordinary user; at the end,
# also after Ctrl-C, nothing of it runs any more.
set -uo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
PATH=$PATH:/usr/sbin:/sbin
export LC_ALL=C PYTHONDONTWRITEBYTECODE=1
DRCTL=${DRCTL:-$ROOT/build/drctl}
BACKUPD=$(dirname "$DRCTL")/backupd
BREAK=${BREAK:-}
KEEP=${KEEP:-}
DEMO_KILL=${DEMO_KILL:-}
STORE=${STORE:-dir}
DEMO_LEASE=${DEMO_LEASE:-file}
DEMO_INCREMENTALS=${DEMO_INCREMENTALS:-10}
DEMO_DRILL=${DEMO_DRILL:-yes}
DEMO_HOLD=${DEMO_HOLD:-5}
RUN=R-1
PROBE_MS=150
HOME_REGION=us-east-1
OPERATED_FROM=eu-west-1 # a survivor, which asks the probes: from there bo runs the failover
PLAN=demo_region_failure
approver=
ended=

# shellcheck source=tests/demo/regions.sh
. "$HERE/regions.sh"
# shellcheck source=tests/demo/stores.sh
. "$HERE/stores.sh"
# shellcheck source=tests/demo/hosts.sh
. "$HERE/hosts.sh"

say() {
    printf '%5.1fs  %s\n' "$(elapsed)" "$*"
}

elapsed() {
    local now=${EPOCHREALTIME/./}
    echo "$(((now - began) / 1000000)).$(((now - began) / 100000 % 10))"
}

# The last line, and the end.
verdict() { # EXIT LINE
    ended=$2
    exit "$1"
}

failed() {
    verdict 3 "DEMO FAILED: $*"
}

must() { # WHAT COMMAND...
    local what=$1
    shift
    "$@" || failed "$what"
}

drctl() {
    "$DRCTL" -c "$WORLD/dr.yaml" "$@"
}

judge() {
    "$PYTHON" "$HERE/check.py" "$@"
}

site() { # REGION VERB
    "$HERE/site.sh" "$WORLD" "$@"
}

# Stop everything that carries this world's mark; keep what was asked for; say the last word.
# shellcheck disable=SC2317 # by the traps
cleanup() {
    local code=$? pid pids='' signal=TERM round
    trap '' INT TERM
    trap - EXIT
    [ -z "$approver" ] || kill "$approver" 2>/dev/null
    stop_stores
    for round in $(seq 200); do
        pids=$(survivors)
        [ -n "$pids" ] || break
        [ "$round" -lt 40 ] || signal=KILL
        for pid in $pids; do kill -"$signal" -- "$pid" 2>/dev/null; done
        sleep 0.05
    done
    if [ -n "$pids" ]; then
        code=3
        ended="DEMO FAILED: still running: ${pids//$'\n'/ }"
    fi
    keep
    rm -rf "$WORLD"
    [ -z "$ended" ] || echo "$ended"
    exit "$code"
}

# The world moves to $KEEP; its paths in the configurations with it, so that "drctl -c KEEP/dr.eu-west-1.yaml
# report" works there.
# shellcheck disable=SC2317
keep() {
    local f
    [ -n "$KEEP" ] || return 0
    mkdir -p "$KEEP" && KEEP=$(cd "$KEEP" && pwd) || return 0
    for f in "$WORLD"/dr.yaml "$WORLD"/dr.*.yaml "$WORLD"/$PLAN.yaml "$WORLD"/world.env; do
        [ ! -e "$f" ] || sed -i "s#$WORLD#$KEEP#g" "$f"
    done
    for f in "$WORLD"/regions/*/current; do
        [ ! -L "$f" ] || ln -sfn "$(basename "$(readlink "$f")")" "$f"
    done
    find "$WORLD" -type s -delete
    cp -a "$WORLD/." "$KEEP/" && echo "kept in $KEEP: regions/*/state (journals, schedules), regions/*/bucket, outside/load.jsonl"
}

fill_in() { # TEMPLATE RESULT
    sed -e "s#@WORLD@#$WORLD#g" -e "s#@HERE@#$HERE#g" -e "s#@PROBE_MS@#$PROBE_MS#g" \
        -e "s#@HOLD@#$DEMO_HOLD#g" -e "s#@TAKE@#$((DEMO_HOLD + 1))#g" \
        -e "s#@DNS_PORT@#$DNS_PORT#g" -e "s#@API_PORT@#$API_PORT#g" -e "s#@FRONT_PORT@#$FRONT_PORT#g" \
        -e "s#@SITE_PORT@#$SITE_PORT#g" -e "s#@SERVE_PORT@#$SERVE_PORT#g" -e "s#@DRCTL@#$DRCTL#g" "$1" >"$2"
}

make_world() {
    local temp=${TMPDIR:-/tmp} region
    [ ${#temp} -le 40 ] || temp=/tmp # Unix sockets have short paths
    WORLD=$(mktemp -d "$temp/drctl-demo.XXXXXX") || exit 2
    trap cleanup EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    export DRCTL_DEMO=$WORLD
    local ports
    ports=$(free_ports 5)
    read -r FRONT_PORT SITE_PORT DNS_PORT API_PORT SERVE_PORT <<<"$ports"
    PATH=$WORLD/bin:$PATH
    for name in DRCTL_DEMO DRCTL PYTHON PATH PYTHONDONTWRITEBYTECODE HOME_REGION PROBE_MS FRONT_PORT SITE_PORT \
        DNS_PORT API_PORT; do
        echo "export $name='${!name}'"
    done >"$WORLD/world.env"
    mkdir -p "$WORLD/outside/manifests" "$WORLD/ops"
    for region in "${REGIONS[@]}"; do
        mkdir -p "$WORLD/regions/$region"
        echo "ready: room for 100 % of the service" >"$WORLD/regions/$region/capacity"
    done
    [ "${DEMO_EU:-}" = ready ] ||
        echo "eu-west-1: 2 of 6 disks are being replaced, room for 40 % of the service" \
            >"$WORLD/regions/eu-west-1/capacity"
    mkdir "$WORLD/regions/$HOME_REGION/gen-0"
    ln -s gen-0 "$WORLD/regions/$HOME_REGION/current"
    : >"$WORLD/regions/$HOME_REGION/active"
    (umask 077 && echo "demo-$RANDOM$RANDOM" >"$WORLD/ops/pdns.key")
    must "the buckets" start_stores
    make_hosts
    fill_in "$HERE/plan.yaml.in" "$WORLD/$PLAN.yaml"
    cp "$ROOT/conf/clauses.json" "$WORLD"
}

# What BREAK names goes wrong in the world: before the loss (early) or with it (late).
break_early() {
    local region
    case $BREAK in
    standby)
        echo "ap-southeast-1: the power feed is under repair, room for 0 % of the service" \
            >"$WORLD/regions/ap-southeast-1/capacity"
        [ "${DEMO_EU:-}" != ready ] || echo "eu-west-1: frozen for an audit" >"$WORLD/regions/eu-west-1/capacity"
        ;;
    verify) for region in eu-west-1 ap-southeast-1; do : >"$WORLD/regions/$region/spoils"; done ;;
    esac
}

break_late() {
    [ "$BREAK" != restore ] || spoil_packs
}

start_world() {
    local backend=app key
    key=$(cat "$WORLD/ops/pdns.key")
    [ "$BREAK" != lb ] || backend=app_v2   # somebody renamed it
    [ "$BREAK" != dns ] || key="new-$key"  # somebody changed it
    must "the application's data" "$PYTHON" "$HERE/app.py" create "$WORLD/regions/$HOME_REGION/gen-0" \
        --region $HOME_REGION --manifests "$WORLD/outside/manifests"
    must "the name server" start_dns "$key"
    for region in "${REGIONS[@]}"; do must "nginx" start_nginx "$region"; done
    must "an edge" start_edge us app 127.0.1.1 us-east-1 ""
    must "an edge" start_edge rest $backend "127.0.1.2 127.0.1.3" us-east-1 "eu-west-1 ap-southeast-1"
    must "the users" start load "$PYTHON" "$HERE/load.py" --name app.demo.test --port "$FRONT_PORT" \
        --resolver "127.0.0.1:$DNS_PORT" --log "$WORLD/outside/load.jsonl"
    must "the users' first answers" until_true 60 "a good answer" judge answers "$WORLD" 10
}

# The newest of these jobs at home began after that moment, and ended well.
until_run() { # JOB SINCE
    must "a new $1 of the application" until_true 60 "a new $1" judge ran "$WORLD" $HOME_REGION "$1" "$2"
}

# A snapshot catches a core dump that somebody removes again: what only forgotten snapshots hold, and packs that are
# mostly dead, of which the next full gathers what lives.
catch_a_dump() {
    local dump=$WORLD/regions/$HOME_REGION/current/core.4711 since
    head -c 8000000 /dev/urandom >"$WORLD/outside/dump" && mv "$WORLD/outside/dump" "$dump"
    since=$(date +%s%N)
    until_run incremental "$since"
    rm -f "$dump"
    since=$(date +%s%N)
    until_run full "$since"
    until_run incremental "$since"
}

# backupd goes on meanwhile. While a new snapshot is in some buckets and not yet in all, retention holds, and a
# verify may find that it is not everywhere: asked again.
# shellcheck disable=SC2317 # by until_true
prune_once() {
    drctl -q --yes prune --json >"$WORLD/outside/prune.json"
    judge pruned "$WORLD/outside/prune.json" >"$WORLD/outside/pruned"
}

# shellcheck disable=SC2317 # by until_true
verify_once() {
    drctl -q verify --data >"$WORLD/outside/verified"
}

# All but the newest of each kind are forgotten and pruned away.
forget_and_prune() {
    must "drctl forget" drctl -q --yes forget --source app --keep-last 1 >"$WORLD/outside/forgotten"
    must "the prune" until_true 60 "a prune that frees something" prune_once
    say "a core dump came and went; $(cat "$WORLD/outside/pruned")"
}

# shellcheck disable=SC2317 # by until_true
have_status() { # VERB FILE WORD...: what the operator's host sees is as the judge wants it
    local verb=$1 file=$2
    shift 2
    drctl status --json >"$file" 2>/dev/null
    judge "$verb" "$WORLD" "$file" "$@" 2>"$file.why"
}

protect() {
    local region
    must "drctl init" init_hosts
    must "the writer" site $HOME_REGION start
    for region in "${REGIONS[@]}"; do start_backupd "$region"; done
    [ -z "${DEMO_SERVE:-}" ] || serve
    must "the first backup" until_true 60 "a full backup" have_done $HOME_REGION "full of 'app'" 1
    say "three backupd run; that of $HOME_REGION has taken a full backup, and goes on every second"
    if [ "$DEMO_INCREMENTALS" -ge 10 ]; then
        catch_a_dump
        forget_and_prune
    fi
    must "the backups" until_true 60 "$DEMO_INCREMENTALS incrementals" \
        have_done $HOME_REGION "incremental of 'app'" "$DEMO_INCREMENTALS"
    must "the configuration" until_true 60 "a configuration snapshot" have_done $HOME_REGION "config snapshot of 'nginx'" 1
    say "$(jobs_done $HOME_REGION "full of 'app'") full, $(jobs_done $HOME_REGION "incremental of 'app'") incremental," \
        "$(jobs_done $HOME_REGION "config snapshot of '.*'") configuration snapshots, while files are changed," \
        "created, renamed, linked and removed"
    must "drctl verify --data" until_true 60 "a verify without a finding" verify_once
    cat "$WORLD/outside/verified"
    until_true 60 "a good status" have_status well "$WORLD/outside/before.json" ||
        failed "the status before the loss: $(cat "$WORLD/outside/before.json.why")"
}

# An incremental is what will be restored: the region is lost before another full can be done.
await_incremental() {
    local past
    past=$(jobs_done $HOME_REGION "incremental of 'app'")
    must "one more" until_true 60 "an incremental" have_done $HOME_REGION "incremental of 'app'" $((past + 1))
    sleep 0.2
}

# The plan is rehearsed before it is needed: a drill counts as a run, so the failover is the next number.
rehearse() {
    local code
    DRCTL_OPERATOR=bo on $OPERATED_FROM drill "$WORLD/$PLAN.yaml" --set ticket=INC-0 --seed 7 2>&1 </dev/null |
        tee "$WORLD/outside/drill.txt"
    code=${PIPESTATUS[0]}
    [ "$code" -eq 0 ] || [ "$code" -eq 4 ] || failed "the drill ended with $code"
    RUN=R-2
}

# Drill and failover stand in one month's report, and nobody can have changed the books behind it.
account() {
    local page=$WORLD/outside/report.html
    on $OPERATED_FROM report --format html --output "$page" || failed "drctl report --format html"
    on $OPERATED_FROM report >"$WORLD/outside/month.txt" || failed "drctl report"
    on $OPERATED_FROM audit verify "$WORLD/regions/$OPERATED_FROM/state" >"$WORLD/outside/audit.txt" ||
        failed "drctl audit verify: $(tail -n 1 "$WORLD/outside/audit.txt")"
    say "the month's report has a page; drctl audit verify: $(tail -n 1 "$WORLD/outside/audit.txt")"
}

lose_region() {
    local dir=$WORLD/regions/$HOME_REGION
    local dead=(-- "-$(cat "$dir/nginx.pid")" "-$(cat "$WORLD/edge-us.pid")")
    # BREAK=fence: cut off from its users and all buckets, but its writer lives and renews its lease.
    [ "$BREAK" = fence ] || dead+=("-$(cat "$dir/writer.pid")" "$(cat "$dir/app.pid")")
    # shellcheck disable=SC2207 # numbers
    dead+=($(in_session "$(cat "$dir/backupd.pid")"))
    [ ! -s "$dir/frozen" ] || dead+=("$(cat "$dir/frozen")")
    : >"$dir/lost"
    date +%s%N >"$WORLD/outside/killed"
    kill -KILL "${dead[@]}" 2>/dev/null # a job of backupd may just have ended
    date +%s%N >>"$WORLD/outside/killed"
    lose_store
    rm -f "$dir/nginx.pid" "$dir/backupd.pid" "$WORLD/edge-us.pid"
    break_late
    [ "$BREAK" = fence ] || judge tree "$dir/gen-0" >"$WORLD/outside/old-tree"
}

# bo, logged in on a survivor, runs the failover; ana, who has the role, says yes when the run asks.
approve() {
    until DRCTL_OPERATOR=ana on $OPERATED_FROM -q runs approve $RUN go >"$WORLD/ops/approve.log" 2>&1; do sleep 0.1; done
}

# The failover to its end, and its exit code. With DEMO_KILL its runner dies on the way.
carry_out() {
    local journal=$WORLD/regions/$OPERATED_FROM/state/runs/$RUN/journal.jsonl runner
    DRCTL_OPERATOR=bo "$DRCTL" -c "$WORLD/dr.$OPERATED_FROM.yaml" failover "$WORLD/$PLAN.yaml" --yes --set ticket=INC-4711 &
    runner=$!
    if [ -n "$DEMO_KILL" ]; then
        until grep -qs "\"step\":\"$DEMO_KILL\".*\"type\":\"intent\"" "$journal" || ! kill -0 $runner 2>/dev/null; do
            sleep 0.01
        done
        kill -KILL $runner
        say "the process that ran it is dead, in the middle of $DEMO_KILL; bo starts another one"
        DRCTL_OPERATOR=bo "$DRCTL" -c "$WORLD/dr.$OPERATED_FROM.yaml" runs resume $RUN &
        runner=$!
    fi
    wait $runner
    echo $? >"$WORLD/outside/failover.exit"
}

fail_over() {
    approve &
    approver=$!
    carry_out </dev/null 2>&1 | tee "$WORLD/outside/failover.txt" &
    wait $!
    kill "$approver" 2>/dev/null
    approver=
    local code blame
    code=$(cat "$WORLD/outside/failover.exit")
    [ "$code" -ne 0 ] || return 0
    on $OPERATED_FROM runs show $RUN || true
    blame=$(judge blame "$WORLD/regions/$OPERATED_FROM/state/runs/$RUN/journal.jsonl") || failed "drctl ended with $code; $blame"
    verdict 1 "DEMO BROKEN at $blame"
}

# The old region wakes up, and its operators start the writer again, and take a backup.
wake_old_writer() {
    local code
    site $HOME_REGION start
    code=$?
    [ $code -eq 5 ] || failed "the old writer was not refused: exit $code"
    [ "$(judge tree "$WORLD/regions/$HOME_REGION/gen-0")" = "$(cat "$WORLD/outside/old-tree")" ] ||
        failed "the old writer changed its data"
    on $HOME_REGION -q backup --source app --kind full >"$WORLD/outside/old-backup" 2>&1
    code=$?
    [ $code -eq 5 ] || failed "the old host's backup was not refused: exit $code, $(tail -n 1 "$WORLD/outside/old-backup")"
}

# What the page shows; the last word is the person's who looks at it.
serve() {
    start ops/serve "$DRCTL" -c "$WORLD/dr.$OPERATED_FROM.yaml" serve
    say "the page of drctl serve: http://127.0.0.1:$SERVE_PORT/"
}

# backupd of the new region protects what lives there now; the others know who is silent, and told it.
go_on() {
    local since
    since=$(date +%s%N)
    move_source app "$new"
    until_true 60 "the status" have_status lost "$WORLD/outside/after.json" "$new" "$since" ||
        failed "the status after the loss: $(cat "$WORLD/outside/after.json.why")"
    until_true 60 "an alert" judge told "$WORLD" "silent/$HOME_REGION" ||
        failed "no backupd told that that of $HOME_REGION is silent"
    say "what the operator's own host sees, with its key and the buckets:"
    drctl status
    judge lost "$WORLD" "$WORLD/outside/after.json" "$new" "$since"
    judge told "$WORLD" "silent/$HOME_REGION"
}

began=${EPOCHREALTIME/./}
case $BREAK in
'' | fence | restore | lb | dns | verify | standby) ;;
*) echo "demo: BREAK is one of fence restore lb dns verify standby" >&2 && exit 2 ;;
esac
case $STORE,$DEMO_LEASE in
dir,file | dir,bucket | s3,file | s3,bucket) ;;
*) echo "demo: STORE is dir or s3, DEMO_LEASE is file or bucket" >&2 && exit 2 ;;
esac
PYTHON=$(python3 -c 'import sys; print(sys.executable)') || exit 2
make_world
break_early
start_world
say "three regions, two edges, a name server; the users have their answers from us-east-1"
protect
say "every byte of every copy was read and is right"
[ "$DEMO_DRILL" = no ] || rehearse
await_incremental
say "now us-east-1 is lost, with its backupd"
lose_region
sleep 0.5
fail_over
say "drctl says that it is done; the judge looks through the front door"
must "what is served is not what was restored" judge served "$WORLD"
must "what was restored is no incremental" judge restored "$WORLD/regions/$OPERATED_FROM/state/runs/$RUN/journal.jsonl" \
    <(on $OPERATED_FROM -q snapshots --source app --json 2>/dev/null)
say "the old region wakes up, starts its writer and takes a backup"
wake_old_writer
say "both are refused, and its data is untouched; writes are opened in the new region"
new=$(judge where "$WORLD") || failed "the name leads nowhere"
: >"$WORLD/regions/$new/writes-open"
must "the new region does not go on" until_true 60 "a new round" judge goes-on "$WORLD"
judge goes-on "$WORLD"
go_on
on $OPERATED_FROM report --run $RUN
on $OPERATED_FROM report --run $RUN --json >"$WORLD/outside/report.json" || failed "drctl report --json"
figures=$(judge times "$WORLD" "$WORLD/outside/report.json") || failed "what drctl says is not what the users saw"
[ "$DEMO_DRILL" = no ] || account
[ -z "${DEMO_SERVE:-}" ] || read -rp "http://127.0.0.1:$SERVE_PORT/ is up until Enter is pressed " _
verdict 0 "DEMO OK $figures"
