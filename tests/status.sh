#!/bin/bash
# `drctl status`: what a tired person sees, on a host that has nothing but keys and buckets.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"
# shellcheck source=tests/support/regions.sh
. "$(dirname "$0")/support/regions.sh"

narrow() { awk 'length > 80 { bad = 1 } END { exit bad }' <<<"$1"; }
first_line() { head -n 1 <<<"$1"; }

mkdir bare && cd bare
run "$DRCTL"
fact "without a configuration drctl shows its verbs" has "$out" "something is down"
fact "... and that is no failure" test $rc -eq 0
cd "$work"

three_regions ana ap ap-southeast-1
run "$DRCTL" status
fact "buckets that nobody made ready are no repository of ours" has "$out" "FOREIGN"
fact "... and nothing can be told" test $rc -eq 7
"$DRCTL" -q init >/dev/null
"$DRCTL" -q backup >/dev/null

run "$DRCTL"
fact "plain drctl shows the status" has "$out" "IF THE REGION DIED NOW"
fact "... of each source, with its copies" has "$out" "3, wants 2"
fact "... in 80 columns" narrow "$out"
fact "sites without a backupd are warnings" test $rc -eq 8
fact "a warning does not turn the verdict" has "$(first_line "$out")" "OK  3 warnings"
fact "a restore that was never measured is not forecast" has "$out" "not known: no restore of it was measured"

"$DRCTL" -q restore latest --to "$work/there" >/dev/null
run "$DRCTL" status
fact "a restore is measured, and forecast from" has "$out" "(measured 1 time)"

run "$DRCTL" status --json
fact "as JSON it is the view, with exit and why" has "$out" '"exit":8,"why":"there are warnings"'
fact "... of its schema" has "$out" '"schema":"drctl-status-1"'

# A laptop: another state directory, the same buckets, and the key that it trusts.
key=$("$DRCTL" key)
key=${key##* }
{ sed "s|^state_dir: .*|state_dir: $work/laptop|" dr.yaml && echo "trusted_writers: {app: [\"$key\"]}"; } >laptop.yaml
run "$DRCTL" status -c laptop.yaml
fact "a laptop with keys and buckets sees the copies" has "$out" "3, wants 2"
fact "... and needs no more than that" test $rc -eq 8
"$DRCTL" -q backup drctl-self >/dev/null
run "$DRCTL" status
fact "what drctl keeps of itself is a source as any other" has "$out" "drctl-self"
fact "... and changes nothing else" test $rc -eq 8
run "$DRCTL" status -c laptop.yaml
fact "that of another host is not believed, and this is only a warning" has "$out" "- drctl-self has no snapshot"
fact "... which the exit code says as well" test $rc -eq 8
sed '/^trusted_writers/d' laptop.yaml >stranger.yaml
run "$DRCTL" status -c stranger.yaml
fact "one that trusts nobody believes no snapshot" has "$out" "signed by an unknown writer"
fact "... and says that it is grave" test $rc -eq 4

mv us us.gone && mv eu eu.gone
run "$DRCTL" status
fact "with most buckets gone it shows what is left" has "$out" "1, wants 2"
fact "... and names each that cannot be asked" has "$out" "UNREACHABLE"
fact "... in 80 columns" narrow "$out"
fact "... and that it is degraded" test $rc -eq 9
mv ap ap.gone
run "$DRCTL" status
fact "with all gone it cannot tell, and says so first" has "$(first_line "$out")" "CANNOT TELL"
fact "... by its exit code as well" test $rc -eq 7

facts_end
