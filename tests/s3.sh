#!/bin/bash
# S3 as a user meets it: two real servers (http, and https with a CA of their own), from init to prune; what is
# said when something is wrong; and a thief with the source's keys who destroys all that he can.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"
unset DRCTL_CONFIG
export AWS_EC2_METADATA_DISABLED=true
OBJECTS=${OBJECTS:-$root/build/release}
# shellcheck source=tests/support/radosgw.sh
. "$root/tests/support/radosgw.sh"
cd "$work"

fact "two regions are up" radosgw_start "$work/regions" 2
radosgw_say bucket 1 backup-us plain
radosgw_say bucket 2 vault locked
umask 077
for who in SOURCE GUARD DRILL; do
    key=S3_${who}_KEY secret=S3_${who}_SECRET
    printf %s "${!key}" >"$who.key"
    printf %s "${!secret}" >"$who.secret"
done
mkdir -p src/some
for i in $(seq 40); do head -c $((i * 997)) /dev/urandom >"src/some/$i"; done
head -c 3000000 /dev/urandom >src/large

us="s3://backup-us?endpoint=${S3_1_HTTP:?}"
write() { # FIELDS-OF-US...
    cat >dr.yaml <<YAML
disaster_recovery:
  backup_policy: {full_backup: {frequency: daily, retention: 30d}}
sources: [{name: app, path: $work/src}]
sites: [{name: here, region: eu-west-1, reach: local}, {name: there, region: us-east-1, reach: local}]
secrets:
  id: {file: $work/SOURCE.key}
  secret: {file: $work/SOURCE.secret}
  guard-id: {file: $work/GUARD.key}
  guard-secret: {file: $work/GUARD.secret}
  drill-id: {file: $work/DRILL.key}
  drill-secret: {file: $work/DRILL.secret}
buckets:
  - {name: us, url: "$us", region: us-east-1, guard: {access_key: guard-id, secret_key: guard-secret}, ${1:-credentials: {access_key: id, secret_key: secret\}}}
  - name: eu
    url: "s3://vault/drctl?endpoint=${S3_2_HTTPS:?}"
    region: eu-west-1
    ca: ${S3_2_CA:?}
    credentials: {access_key: id, secret_key: secret}
    guard: {access_key: guard-id, secret_key: guard-secret}${2:-}
    lock: 1d
state_dir: $work/state
YAML
}
s3() { # METHOD URL [CURL-OPTION...]
    curl -sS --cacert "$S3_2_CA" --aws-sigv4 aws:amz:us-east-1:s3 \
        --user "$S3_SOURCE_KEY:$S3_SOURCE_SECRET" -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' \
        -o "$work/.s3" -w '%{http_code}' -X "$1" "$2" "${@:3}"
}
is() { [ "$1" = "$2" ] || { printf '    is:     %s\n    wanted: %s\n' "$1" "$2" && return 1; }; }

write
run "$DRCTL" init
fact "init takes two buckets" is "$rc" 0
run "$DRCTL" backup
fact "a backup goes to both" has "$out" "stored in 2 buckets"
run "$DRCTL" verify --data
fact "and what lies there is right" has "$out" "all are there and right"
run "$DRCTL" restore latest --to "$work/back"
fact "and comes back" diff -r src back

run "$DRCTL" backup drctl-self
key=$("$DRCTL" key show)
mv state lost
run env AWS_ACCESS_KEY_ID="$S3_SOURCE_KEY" AWS_SECRET_ACCESS_KEY="$S3_SOURCE_SECRET" "$DRCTL" bootstrap \
    "s3://vault/drctl?endpoint=$S3_2_HTTPS" --ca "$S3_2_CA" --trust "$key" --to "$work/etc"
fact "a bare host gets its configuration from one bucket, credentials from the environment" is "$rc" 0
fact "as it was" cmp dr.yaml etc/dr.yaml
fact "and believes what the lost host signed" has "$("$DRCTL" ls latest -c etc/dr.yaml --source app)" "some/40"
rm -rf state etc
mv lost state
printf x >src/new
run "$DRCTL" backup
fact "an incremental reads what is new" has "$out" "1 added"
fact "and tells how many requests it took" grep -qE '; [0-9]+ requests$' "$work/.err"
run "$DRCTL" forget --source app --keep-last 1 --yes
run "$DRCTL" prune --yes
fact "the guard may prune" is "$rc" 0
fact "and locks anew what stays" has "$talk" "bucket eu: "
run "$DRCTL" prune --yes
fact "once in a while" test "${talk/locked anew/}" = "$talk"

run "$DRCTL" doctor
fact "doctor is content" is "$rc $(tail -n 1 "$work/.out")" "0 all is well"
fact "and tells of each bucket what it can do" has "$out" "refuses a second put by itself; can hold a lease; keeps no versions; cannot lock objects"
fact "and by whose right a drill reads it" has "$out" "drills read it by the usual credentials"
fact "and what it locks" has "$out" "what is put is locked for 1d 0h (compliance)"
fact "and that a source may not delete" has "$out" "we may not delete in it: good for a source"
fact "and what a thief could do: who may put may overwrite" has "$out" "could add to, and destroy everything in us;"
fact "except what is locked" has "$out" "could add to eu, and take nothing away that is locked there"

# -- the ledger, in a bucket that locks ---------------------------------------------------------------
run "$DRCTL" audit anchor
fact "the ledger goes into both" has "$out" "in us, eu"
run "$DRCTL" prune --yes
run "$DRCTL" audit verify --online --json
fact "prune takes none of it: all is whole, in the buckets, too" is "$rc $(jq -c '[.buckets[] | .read == .objects and .read > 0]' "$work/.out")" "0 [true,true]"
run "$DRCTL" audit export "$work/evidence"
run "$DRCTL" audit verify "$work/evidence"
fact "a copy of it is whole without any bucket" is "$rc" 0

# -- a drill reads by credentials of its own -----------------------------------------------------------
# Its first step takes the source's secret away: whatever is read from there on is read by another right.
cat >back.yaml <<YAML
plan: back
steps:
  - {id: away, use: exec.check, with: {argv: [mv, $work/SOURCE.secret, $work/away]}}
  - {id: snapshot, use: backup.pick, with: {source: app}}
  - {id: restore, use: backup.restore, with: {snapshot: "\${snapshot.id}", at: here, to: $work/gen}}
  - {id: same, use: data.check, with: {at: here, path: "\${restore.path}", against: "\${snapshot.id}"}}
YAML
drill() { # OPTION...
    run "$DRCTL" drill back "$@"
    [ ! -e away ] || mv away SOURCE.secret
}
record() { jq -c "select(.type == \"$1\") | .body" "$(find state/runs -name journal.jsonl -path '*D-*' | sort -V | tail -n 1)"; }
right() { record credentials | jq -r --arg n "$1" '.items[] | select(.name == $n) | "\(.own) \(.writes)"'; }
objects() { # of those by which drills try to write
    s3 GET "$S3_1_HTTP/backup-us?list-type=2&prefix=rehearsal-" >/dev/null
    grep -c '<Key>' "$work/.s3" || true
}
finding() { "$DRCTL" report --run "$(basename "$(find state/runs -maxdepth 1 -name 'D-*' | sort -V | tail -n 1)")" | grep -F "$1"; }
usual="credentials: {access_key: id, secret_key: secret}"
own=", drill: {access_key: drill-id, secret_key: drill-secret}"
write "$usual$own" "
    ${own#, }"
run "$DRCTL" doctor
fact "doctor says which buckets have credentials for drills" is "$(grep -c 'drills read it by credentials of their own' "$work/.out")" 2
drill --controls 3 --seed 19
fact "a drill restores by credentials that may only read, and by no others" is "$rc" 0
fact "as do the controls, the expired key among them" has "$out" "an expired key"
fact "a put by them is refused" is "$(right us), $(right eu)" "true refused, true refused"
fact "which the drill says" has "$out" "own credentials, which cannot write: bucket us, bucket eu"
fact "and its record knows what would have had to go" is "$(record cleaned | jq -r 'select(.what == "object") | .ok' | sort | uniq -c | tr -s ' ')" " 2 true"
write "$usual" "
    ${own#, }"
drill --controls none
fact "a bucket without any is read by the usual ones: nothing can be read of it now" has "$talk$out" "SOURCE.secret"
fact "and the finding says so" finding "warning  the drill read bucket us by the usual credentials"
cp SOURCE.key DRILL.key
cp SOURCE.secret DRILL.secret
write "$usual$own" "
    ${own#, }"
drill --controls none
fact "a drill by credentials that can write fails" is "$rc" 1
fact "and says by which" has "$out" "the drill credentials of bucket us can write"
fact "that is a finding" finding "critical the drill credentials of bucket eu can write"
fact "what it wrote is gone, by the guard" is "$(objects)" 0
fact "in the locked one, too" is "$(record cleaned | jq -r 'select(.what == "object") | .ok' | sort | uniq -c | tr -s ' ')" " 2 true"
printf %s wrong >DRILL.secret
write "$usual" "
    ${own#, }"
sed -i 's#, argv: \[mv.*#, argv: ["true"]}}#; s#{argv: \[mv.*#{argv: ["true"]}}#' back.yaml
drill --controls none
fact "a key that is wrong is not taken for one that only reads" is "$(right eu)" "true unknown"
fact "and that is a finding" finding "warning  whether the drill credentials of bucket eu can write is not known"
printf %s "$S3_DRILL_KEY" >DRILL.key
printf %s "$S3_DRILL_SECRET" >DRILL.secret
write

# -- what is wrong is said, and what to do ---------------------------------------------------------
us="s3://not-there?endpoint=$S3_1_HTTP"
write
run "$DRCTL" init
fact "a bucket that is missing is not made" is "$rc" 2
fact "but named" has "$talk" "there is no such bucket (404 NoSuchBucket)"
fact "with the next move" has "$talk" "Create 'not-there' there, or correct its url: drctl never creates a bucket."
us="s3://backup-us?endpoint=$S3_1_HTTP"
write "credentials: {access_key: id, secret_key: guard-secret}"
run "$DRCTL" init
fact "a wrong secret is told" has "$talk" "the secret key is wrong (403 SignatureDoesNotMatch)"
write "credentials: environment"
AWS_ACCESS_KEY_ID='' run "$DRCTL" init
fact "keys that are not there are told" has "$talk" "AWS_ACCESS_KEY_ID"
AWS_ACCESS_KEY_ID=$S3_SOURCE_KEY AWS_SECRET_ACCESS_KEY=$S3_SOURCE_SECRET run "$DRCTL" snapshots
fact "and are taken from the environment" is "$rc $talk" "0 "
write "credentials: {access_key: id, secret_key: secret}, lock: 1d"
run "$DRCTL" init
fact "a lock that the bucket cannot keep is an error" has "$talk" "'lock' is configured, and it has no object lock"
us="s3://backup-us?endpoint=$S3_1_HTTPS"
write
run "$DRCTL" init
fact "a certificate that nobody vouches for is refused" has "$talk" "name its file: ca: /PATH, at bucket 'us'"
us="s3://backup-us?endpoint=$S3_1_HTTP"
write

# -- ransom ------------------------------------------------------------------------------------------
# Everything that the source may do is put and list; in the vault old versions stay below.
rob() { # ENDPOINT BUCKET
    s3 GET "$1/$2?list-type=2" >/dev/null
    grep -o '<Key>[^<]*' "$work/.s3" | cut -c 6- >keys
    while read -r key; do
        s3 PUT "$1/$2/$key" --data-binary 'pay first' >/dev/null
        s3 DELETE "$1/$2/$key" >/dev/null
    done <keys
}
rob "$S3_1_HTTP" backup-us
rob "$S3_2_HTTPS" vault
fact "the thief had work" test "$(wc -l <keys)" -gt 5
s3 GET "$S3_2_HTTPS/vault/drctl/repository" >/dev/null
fact "and whoever asks for the newest gets his bytes" is "$(cat "$work/.s3")" "pay first"
run "$DRCTL" snapshots
fact "the vault shows the snapshots all the same" has "$out" "eu            good"
rm -rf back
run "$DRCTL" restore latest --to "$work/back"
fact "and gives back every byte" diff -r src back
run "$DRCTL" verify --data
fact "that the other bucket is destroyed is told" has "$talk$out" "us"
run "$DRCTL" audit verify --online
fact "an anchor that was replaced is found" is "$rc" 1
fact "and named" has "$out" "broken   us:ledger/"
fact "in the vault nobody replaces one" test -z "$(grep 'broken *eu:' "$work/.out")"
radosgw_stop
facts_end
