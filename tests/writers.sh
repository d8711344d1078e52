#!/bin/bash
# Two hosts write one source: whoever restored it in its place is the writer, and the other one, who does not know it, harms
# nobody.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"
cd "$work"
unset DRCTL_CONFIG

mkdir -p bucket us eu us/srv
host() { # NAME SITE: a host of its own, with its own key and memory; both keys are believed
    cat >"$1.yaml" <<YAML
disaster_recovery:
  backup_policy:
    full_backup: {frequency: daily, retention: 30d}
sites:
  - {name: us, region: us-east-1}
  - {name: eu, region: eu-west-1}
sources:
  - {name: app, path: $work/$1/srv}
buckets:
  - {name: only, url: "file://$work/bucket", region: eu-west-1}
trusted_writers:
  app: [$keys]
state_dir: $work/$1/state
YAML
}
keys='"ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="'
host us
host eu
us() { run "$DRCTL" -c us.yaml "$@"; }
eu() { run "$DRCTL" -c eu.yaml "$@"; }
# The snapshot that a restore would choose, and the epochs that snapshots have.
newest() { "$DRCTL" -c us.yaml snapshots --json 2>/dev/null | jq -r '[.[] | select(.state == "good")] | last | .id'; }
refused() { "$DRCTL" -c us.yaml snapshots --json 2>/dev/null | jq -r '[.[] | select(.state == "refused")] | length'; }
id_of() { sed -n 's/^app  \(app-[^ ]*\) .*/\1/p' <<<"$out"; }

us init
eu init
keys=$("$DRCTL" -c us.yaml key show | grep -o 'ed25519:[^ "]*' | head -n 1),$("$DRCTL" -c eu.yaml key show | grep -o 'ed25519:[^ "]*' | head -n 1)
host us
host eu
echo one >us/srv/f
us backup
first=$(id_of)
fact "the first writer writes" test $rc -eq 0

eu restore latest --to "$work/eu/elsewhere"
fact "a restore to elsewhere makes nobody the writer" test ! -e eu/state/epochs/app
eu restore latest --to "$work/eu/srv" --path f
rm -rf eu/srv
fact "... nor does one of a part" test ! -e eu/state/epochs/app
eu restore latest --to "$work/eu/srv/"
fact "whoever restores the source in its place is the writer" test "$rc.$(cat eu/state/epochs/app)" = 0.1
echo two >eu/srv/f
eu backup
second=$(id_of)
fact "... and writes under a newer epoch" test -e bucket/epochs/app/00000000000000000001
fact "its snapshot is the newest" test "$(newest)" = "$second"

echo stale >us/srv/f
us backup --kind incremental
fact "the next incremental of the host that was left behind is refused" test $rc -eq 5
fact "... with the reason" has "$talk" "another host is the writer of 'app' now: it writes under epoch 1, this one under 0"
fact "... and stores no snapshot" test "$(refused).$(newest)" = "0.$second"
us backup --kind full
fact "its next full is refused, too" test $rc -eq 5
fact "... and what to do" has "$talk" "drctl backup --take-over"

us backup --take-over
third=$(id_of)
fact "a person can say who the writer is" test "$rc.$(cat us/state/epochs/app)" = 0.2
fact "... whose snapshot is the newest" test "$(newest)" = "$third"
eu backup --kind full
fact "... and the other one is refused" test $rc -eq 5
eu backup --kind incremental
fact "... whatever it takes" test $rc -eq 5

mkdir -p bucket/epochs/app
cp bucket/epochs/app/00000000000000000002 bucket/epochs/app/00000000000000000009
us backup --kind full
fact "a forged record of an epoch stops nobody" test $rc -eq 0
us backup --kind incremental
fact "... nor an incremental" test $rc -eq 0
fact "the first snapshot is as good as it was" "$DRCTL" -q -c us.yaml restore "$first" --to "$work/back"
facts_end
