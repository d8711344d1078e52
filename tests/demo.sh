#!/bin/bash
# demo.sh: the demo tells the truth: it ends well, and each part that is broken on purpose is named.
#
# Each run is the demo as its user starts it (tests/demo/run.sh), with its own directory in KEEP. A demo mostly
# waits, for leases, probes and users; so but for the first, whose figures people see, some run side by side.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export DRCTL=${DRCTL:-$here/../build/drctl}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0

fact() { # NAME COMMAND...
    local name=$1
    shift
    if "$@"; then
        echo "ok $name"
    else
        echo "not ok $name"
        bad=1
    fi
}

# begin NAME SETTING...: a demo in the background; its output is in $work/NAME.out.
begin() {
    local name=$1 keep=$work/$1
    shift
    [[ $* != *BREAK=* ]] || keep= # its last line says it all
    env "$@" KEEP="$keep" timeout -k 10 400 bash "$here/demo/run.sh" >"$work/$name.out" 2>&1 &
    pids[$name]=$!
}
declare -A pids

# end NAME: waits for it; from here on facts are about this one.
end() {
    wait "${pids[$1]}"
    code=$?
    out=$work/$1.out
    kept=$work/$1
    last=$(tail -n 1 "$out")
}

show_if_not() { # what the run printed, when the fact does not hold
    "$@" && return 0
    echo "--- exit $code"
    cat "$out"
    return 1
}

ended_well() {
    [ "$code" -eq 0 ] && [[ $last =~ ^DEMO\ OK\ rto=[0-9]+\.[0-9]+s\ rpo=[0-9]+\.[0-9]+s$ ]]
}

broken_at() { # PART WORDS
    [ "$code" -eq 1 ] && [[ $last == "DEMO BROKEN at $1: "* ]] && [[ $last =~ $2 ]]
}

nothing_left() {
    ! grep -q 'still running' "$out"
}

journal_says() { # JQ-EXPRESSION
    jq -se "$1" "$kept/regions/eu-west-1/state/runs/$run/journal.jsonl" >/dev/null
}

# The paths in the kept configuration lead to the kept state.
kept_run_is_reported() {
    local report
    report=$("$DRCTL" -c "$kept/dr.eu-west-1.yaml" report --run "$run") && [[ $report == *RECOVERED* ]]
}

both_in_the_month() {
    grep -q 'D-1' "$kept/outside/month.txt" && grep -q "$run" "$kept/outside/month.txt" &&
        grep -q '<svg' "$kept/outside/report.html"
}

pruned_before_the_loss() {
    jq -e '.expired > 0 and ([.freed[].packs] | add) > 0' "$kept/outside/prune.json" >/dev/null
}

jobs_of() { # REGION JOB COUNT: its backupd did it so often
    [ "$(grep -cE "$2: done( with warnings)? in " "$kept/regions/$1/backupd.log")" -ge "$3" ]
}

snapshots_by_schedule() {
    jobs_of us-east-1 "incremental of 'app'" 10 && jobs_of us-east-1 "full of 'app'" 2 &&
        jobs_of us-east-1 "config snapshot of 'nginx'" 1 && jobs_of us-east-1 "config snapshot of 'drctl-self'" 1
}

# Who asked, and that the report comes from it.
probed_by_the_survivors() {
    [ -s "$kept/regions/eu-west-1/state/health/app.jsonl" ] && [ -s "$kept/regions/ap-southeast-1/state/health/app.jsonl" ] &&
        [ ! -e "$kept/regions/us-east-1/state/health" ] && [ ! -e "$kept/ops/state/health" ] &&
        jq -e '(.impact.method | test("^probe .app.:")) and any(.phases.list[]; .phase == "detect" and .ms > 0)' \
            "$kept/outside/report.json" >/dev/null
}

rows_in_the_buckets() {
    local bucket site
    for bucket in eu-west-1 ap-southeast-1; do
        for site in us-east-1 eu-west-1 ap-southeast-1; do
            [ -s "$kept/regions/$bucket/bucket/status/$site.json" ] || return 1
        done
    done
}

next_by_the_new_backupd() { # REGION
    { jobs_of "$1" "incremental of 'app'" 1 || jobs_of "$1" "full of 'app'" 1; } &&
        [ -n "$(ls "$kept/regions/eu-west-1/bucket/epochs/app")" ]
}

# All other tests run beside it, and a disk that they keep busy may stand still for seconds.
export DEMO_HOLD=6
run=R-2 # the drill was D-1
begin plain
end plain
fact a_lost_region_is_replaced show_if_not ended_well
fact the_journal_says_in_the_probes_words_why_the_first_standby_was_not_taken \
    journal_says 'any(.type == "standby" and .body.region == "eu-west-1" and (.body.ready | not)
        and (.body.why | contains("2 of 6 disks are being replaced")))'
fact snapshots_were_forgotten_and_their_packs_freed_before_the_loss show_if_not pruned_before_the_loss
fact the_second_standby_was_taken journal_says 'any(.body.outputs.region? == "ap-southeast-1")'
fact the_snapshots_were_taken_by_the_primarys_backupd snapshots_by_schedule
fact the_outage_was_seen_by_the_survivors_probes probed_by_the_survivors
fact each_surviving_bucket_knows_of_each_site rows_in_the_buckets
fact the_silence_of_the_primarys_backupd_was_told grep -q 'letter: site us-east-1 has said nothing' "$out"
fact the_operators_host_shows_it_with_keys_and_buckets_alone grep -q 'SILENT for' "$out"
fact no_run_and_no_backup_was_on_that_host test ! -e "$kept/ops/state/runs" -a ! -e "$kept/ops/state/backup"
fact the_new_regions_backupd_goes_on_under_a_newer_epoch next_by_the_new_backupd ap-southeast-1
fact keep_leaves_the_users_log test -s "$kept/outside/load.jsonl"
fact keep_leaves_the_surviving_buckets test -d "$kept/regions/eu-west-1/bucket/packs"
fact the_lost_bucket_stays_lost test ! -e "$kept/regions/us-east-1/bucket"
fact the_kept_run_can_be_reported kept_run_is_reported
fact the_plan_was_rehearsed_and_every_planted_fault_was_caught grep -q 'drill power 100 %' "$kept/outside/drill.txt"
fact drill_and_failover_stand_in_one_months_report show_if_not both_in_the_month
fact what_the_lost_hosts_backupd_did_is_counted_from_the_buckets grep -Eq 'app +[1-9][0-9]* backups' "$kept/outside/month.txt"
fact the_books_of_the_kept_state_are_whole "$DRCTL" audit verify "$kept/regions/eu-west-1/state"
fact nothing_is_left_running nothing_left

# What a user breaks, and the words that must name it.
broken() { # PART WORDS
    end "$1"
    fact "a_broken_${1}_is_named" show_if_not broken_at "$1" "$2"
    fact "nothing_is_left_running_after_a_broken_$1" nothing_left
}

run=R-1
# From here on fewer backups before the loss: what differs lies behind it.
export DEMO_INCREMENTALS=4 DEMO_DRILL=no
begin eu DEMO_EU=ready
begin fence BREAK=fence
end eu
fact a_ready_first_standby_is_taken show_if_not ended_well
fact the_first_standby_is_the_target journal_says 'any(.body.outputs.region? == "eu-west-1")'
fact its_own_backupd_goes_on_there next_by_the_new_backupd eu-west-1
broken fence us-east-1

begin s3 STORE=s3 DEMO_LEASE=bucket
begin restore BREAK=restore
end s3
fact a_region_is_replaced_from_real_s3_servers_while_the_primarys_is_dead show_if_not ended_well
fact the_leases_lay_in_the_bucket_of_another_region test ! -e "$kept/ops/leases"
fact nothing_is_left_running_of_them nothing_left
broken restore pack

begin runner DEMO_KILL=restore
begin lb BREAK=lb
end runner
fact a_runner_that_dies_in_the_middle_is_followed_by_another show_if_not ended_well
fact the_journal_says_who_went_on journal_says 'any(.type == "resume" and .body.by == "bo")'
broken lb backend

# Each of these ends early, or waits for its check of all data to give up.
begin dns BREAK=dns
begin standby BREAK=standby
begin verify BREAK=verify

# Killed in the middle: as by Ctrl-C, everything stops.
killed_in_the_middle() {
    local pid i
    out=$work/killed.out
    bash "$here/demo/run.sh" >"$out" 2>&1 &
    pid=$!
    for i in $(seq 600); do
        grep -q 'users have their answers' "$out" && break
        [ "$i" -lt 600 ] || return 1
        sleep 0.1
    done
    kill -TERM "$pid"
    wait "$pid"
    code=$?
    [ $code -eq 143 ] && nothing_left
}
fact a_demo_that_is_stopped_leaves_nothing_running show_if_not killed_in_the_middle

broken dns 401
broken standby 'power feed'
broken verify 0707

[ $bad -eq 0 ]
