#!/bin/bash
# `drctl serve`: what backupd publishes is seen by a browser and by Prometheus, and by nobody who asks for another host.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"
# shellcheck source=tests/support/regions.sh
. "$(dirname "$0")/support/regions.sh"

three_regions ana
unset RUNTIME_DIRECTORY
"$DRCTL" -q init >/dev/null
"$DRCTL" -q backup >/dev/null

# serve ARGUMENT...: in the background; its address is $at.
server=
serve() {
    rm -f said
    mkfifo said
    "$DRCTL" serve --listen 127.0.0.1:0 "$@" 2>"$work/said" >/dev/null &
    server=$!
    exec {said}<said
    local line=
    read -r -t 60 line <&"$said" || exit 1
    at=${line##*http://}
    at=${at%/}
}
ask() { run curl -s -m 30 -o answer -w '%{http_code} %{content_type}' "$@"; }
trap '[ -z "$server" ] || kill $server 2>/dev/null || true; facts_cleanup' EXIT

serve
ask "http://$at/healthz"
fact "before backupd ever looked it is not well" test "${out%% *}" = 503
ask "http://$at/metrics"
fact "... and no sample claims anything" test "$(grep -vc '^#' answer)" -eq 1
fact "... but that there is none" grep -qx 'drctl_view_present 0' answer

mkdir -p state/public
"$DRCTL" status --json >state/public/status.json || true
ask "http://$at/healthz"
fact "when backupd has looked it is well" test "$out" = "200 text/plain; charset=utf-8"
ask "http://$at/status.json"
fact "the view is served as it is" test "$(jq -r .schema answer)" = drctl-status-1
ask "http://$at/metrics"
fact "a snapshot in two buckets is counted" grep -qx 'drctl_source_copies{source="app"} 2' answer
fact "each sample has its type" test "$(grep -v '^#' answer | sed 's/[{ ].*//' | sort -u)" = "$(sed -n 's/^# TYPE \([^ ]*\) gauge$/\1/p' answer | sort)"
ask "http://$at/"
fact "the page is HTML" test "$out" = "200 text/html; charset=utf-8"
fact "... and names the source" grep -q '<th scope="row">app</th>' answer
fact "... without a script or anything from elsewhere" bash -c '! grep -qiE "<script|src=|https?://" answer'

ask -H 'Host: evil.example' "http://$at/status.json"
fact "another host's name is not answered" test "${out%% *}" = 421
ask -X POST -d x=1 "http://$at/"
fact "nothing can be sent" test "${out%% *}" = 405
ask "http://$at/dr.yaml"
fact "nothing else is there" test "${out%% *}" = 404
ask -I "http://$at/"
fact "HEAD is answered like GET" test "${out%% *}" = 200
# shellcheck disable=SC2016
fact "its answers may hold no script and are not kept" bash -c 'curl -sI "http://$0/" | tr -d "\r" >heads &&
    grep -q "^Content-Security-Policy: default-src .none." heads && grep -qx "Cache-Control: no-store" heads' "$at"

run "$DRCTL" serve --listen "$at"
fact "a port that is taken is told" has "$talk" "cannot listen at $at"
fact "... as busy" test $rc -eq 6
kill $server
rc=0
wait $server || rc=$?
server=
fact "SIGTERM ends it in peace" test $rc -eq 0

mv dr.yaml gone.yaml
serve --view state/public/status.json --host dr.example.com
ask -H 'Host: dr.example.com' "http://$at/healthz"
fact "told where and what, it needs no configuration" test "${out%% *}" = 200
kill $server
wait $server || true
server=
facts_end
