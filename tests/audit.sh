#!/bin/bash
# The evidence as an auditor has it: a small site that backs up, fails over and is looked at; its ledger checked by hand as
# LEDGER.md says, copied away, tampered with in every way that is promised to be found, and asked.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"
# shellcheck source=tests/support/regions.sh
. "$root/tests/support/regions.sh"
three_regions ana
cat >small.yaml <<YAML
plan: small
regions: [us-east-1, eu-west-1]
steps:
  - {id: pick, use: region.pick}
  - {id: start, use: exec, with: {argv: [touch, "$work/on-\${target}"]}, undo: none}
YAML
is() { [ "$1" = "$2" ] || { printf '    is:     %s\n    wanted: %s\n' "$1" "$2" && return 1; }; }
absent() { ! "$@"; }

# -- a life ------------------------------------------------------------------------------------------
run "$DRCTL" init
run "$DRCTL" audit verify
fact "where there is nothing nobody can tell: exit 7" is $rc 7
run "$DRCTL" backup app
run "$DRCTL" backup app --dry-run
run "$DRCTL" verify --data
run "$DRCTL" restore latest --source app --to "$work/back"
run "$DRCTL" audit verify
fact "a ledger that is nowhere else can be cut unseen: exit 7" is $rc 7
fact "and that is said" has "$out" "nothing is anchored"
run "$DRCTL" failover small --yes
fact "a failover ends well" has "$out$talk" "RECOVERED"
fact "and says up to where its end is anchored, and in which buckets" has "$talk" "drctl: anchored up to record "
fact "its end was anchored outside" test -n "$(ls eu/ledger/us/*/ 2>/dev/null || ls eu/ledger/*/*/)"
fact "and not in the region that was given up" test ! -e us/ledger
run "$DRCTL" failover small --dry-run
run "$DRCTL" prune
run "$DRCTL" repair
fact "repair brings the anchors to the bucket that lacks them" diff -r eu/ledger us/ledger
run "$DRCTL" audit anchor
fact "what is new is anchored" has "$out" "new record"
run "$DRCTL" audit anchor
fact "nothing new is no anchor" has "$out" "0 new records"
run "$DRCTL" audit verify
fact "all is whole" is "$rc" 0
run "$DRCTL" audit verify --online --json
fact "and so it is with the buckets asked" is $rc 0
fact "none of them lacks an anchor" absent grep -q '"grade"' "$work/.out"
types=$("$DRCTL" audit query --json | jq -r .type | sort | uniq -c | awk '{printf "%s %s, ", $2, $1}')
fact "each thing that ended has its line, a dry run has none" is "$types" \
    "anchor 2, backup 1, findings 1, open 1, prune 1, repair 1, restore 1, run 1, verify 1, "

# -- what another host counts ----------------------------------------------------------------------------
key=$("$DRCTL" key show | grep -o 'ed25519:[^ ]*')
sed "s#^state_dir: .*#state_dir: $work/other#" dr.yaml >stranger.yaml
{ cat stranger.yaml && echo "trusted_writers: {app: [\"$key\"]}"; } >other.yaml
counted() { # CONFIG: backups that are counted there, and what its notes say of ledgers
    "$DRCTL" -c "$1" report --json 2>/dev/null | jq -r '"\(.sources[0].backups.done) \([.notes[] | select(test("not in this report|broken behind"))] | join("; "))"'
}
fact "another host counts what the buckets hold of this one's ledger" is "$(counted other.yaml)" "1 "
mv us/ledger us.ledger
fact "from whichever bucket has it" is "$(counted other.yaml)" "1 "
mv us.ledger us/ledger
object=$(cd us && find ledger -type f | sort | head -n 1)
cp "us/$object" kept.object
printf '\125' | dd of="us/$object" bs=1 seek=500 conv=notrunc status=none
fact "a damaged copy is passed over" is "$(counted other.yaml)" "1 "
cp "us/$object" "eu/$object"
fact "what is right nowhere is told, and not counted" has "$(counted other.yaml)" "is not in this report"
fact "nor is the rest without it" is "$(counted other.yaml | cut -d' ' -f1)" 0
cp kept.object "us/$object" && cp kept.object "eu/$object"
fact "a ledger by a stranger's key is not believed" has "$(counted stranger.yaml)" "trusted_writers does not name"
fact "and not counted" is "$(counted stranger.yaml | cut -d' ' -f1)" 0
cp -r state/ledger kept.ledger && rm state/ledger/*.jsonl
fact "a ledger that its host lost is read back from the buckets" is "$(counted dr.yaml | cut -d' ' -f1)" 1
rm -r state/ledger && mv kept.ledger state/ledger
fact "here its own is read once, from here" is "$(counted dr.yaml | cut -d' ' -f1)" 1

# -- by hand, as the page says -------------------------------------------------------------------------
mkdir hand
awk '/^```sh/ { on = 1; next } /^```/ { on = 0 } on' "$root/dr/audit/LEDGER.md" >hand/commands
by_hand() ( # NUMBER
    cd hand
    cat ../state/ledger/*.jsonl | sed -n "$1p" >line
    bash -e commands >said 2>&1 && grep -q 'content: OK' said && grep -qi 'verified successfully' said
)
fact "sha256sum and openssl find the first line right" by_hand 1
fact "and a later one" by_hand 5
sed -i 's/"exit":0/"exit":1/' state/ledger/*.jsonl
fact "and a changed one wrong" absent by_hand 3
sed -i 's/"exit":1/"exit":0/' state/ledger/*.jsonl

# -- a copy ------------------------------------------------------------------------------------------
run "$DRCTL" audit export "$work/copy"
fact "a copy is made" is $rc 0
run "$DRCTL" audit export "$work/copy"
fact "and never over another" is $rc 1
rm -f dr.yaml.away && mv dr.yaml dr.yaml.away
run "$DRCTL" audit verify copy
fact "the copy is whole, without any configuration" is "$rc $(tail -n 1 .out)" "0 whole"
fact "no secret key is in it" absent grep -rq PRIVATE copy
book=$(ls copy/ledger/*.jsonl)
journal=copy/runs/R-1/journal.jsonl
tampered() { # NAME WORDS COMMAND...: the copy with that done to it is broken, and so it is said
    local name=$1 words=$2
    shift 2
    rm -rf bad && cp -r copy bad
    "$@"
    run "$DRCTL" audit verify bad
    fact "found: $name" is $rc 1
    fact "    and named" has "$out" "$words"
}
flip() { printf '\x55' | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }
b=bad/${book#copy/}
j=bad/${journal#copy/}
lines=$(wc -l <"$book")
tampered "a changed byte of the ledger" "broken   ${book#copy/}:1: " flip "$b" 20
tampered "a changed byte of a journal" "broken   ${journal#copy/}:1: " flip "$j" 20
tampered "a dropped line of the ledger" "broken   ${book#copy/}:4: record 5 stands where 4" sed -i 4d "$b"
tampered "a dropped record of a journal" "broken   ${journal#copy/}:3: record 4 stands where 3" sed -i 3d "$j"
tampered "two lines of the ledger in another order" "${book#copy/}:2: record 3 stands where 2" sed -i '2{h;d};3{G}' "$b"
tampered "two records of a journal in another order" "${journal#copy/}:2: record 3 stands" sed -i '2{h;d};3{G}' "$j"
tampered "the ledger's end, cut" "its tail is cut" sed -i "$((lines - 2)),\$d" "$b"
# shellcheck disable=SC2016 # sed's own
tampered "a journal's end, cut" "its end is cut" sed -i '$d' "$j"
tampered "a journal that is gone" "runs/R-1/journal.jsonl: the journal is missing" rm -r bad/runs/R-1
tampered "a ledger that is gone" "its tail is cut" rm "$b"
tampered "half a month" "" truncate -s 900 "$b"
# shellcheck disable=SC2016 # the shell in there expands it
tampered "an anchor that is gone" "which it names, is missing" bash -c 'rm "$(ls bad/anchors/*/* | tail -n 1)"'
# shellcheck disable=SC2016 # the shell in there expands it
tampered "a changed byte of an anchor" "broken   anchors/" bash -c 'f=$(ls bad/anchors/*/* | head -n 1); printf "\x55" | dd of="$f" bs=1 seek=400 conv=notrunc status=none'
rm -rf bad && cp -r copy bad && rm -r bad/anchors
run "$DRCTL" audit verify bad
fact "without any anchor nobody can tell: exit 7" is $rc 7
rm -rf bad && cp -r copy bad && rm bad/ledger/keys.pub
run "$DRCTL" audit verify bad
fact "nor without a key" is $rc 7
run "$DRCTL" audit verify copy --key "$(cat state/keys/writer.pub)"
fact "the key may be brought along" is $rc 0
run "$DRCTL" audit verify copy --key "ed25519:$(printf '%032d' 0 | base64)"
fact "and by another key all of it is a stranger's" is $rc 1

# -- questions ---------------------------------------------------------------------------------------
run "$DRCTL" audit query copy --type backup --source app --limit 1
fact "filters give the lines about it" has "$out" "backup    app"
run "$DRCTL" audit query copy --run R-1 --csv
fact "CSV has a head" has "$out" "n,time,type,run,plan,source,exit,body"
run "$DRCTL" audit query copy --since 2030-01-01
fact "nothing is later than today" is "$rc$out" 0
run "$DRCTL" audit query copy --json --sql "SELECT r.id, count(*) AS records FROM runs r JOIN journal j ON j.run = r.id GROUP BY r.id"
fact "SQL joins the ledger with the journals" is "$out" "{\"id\":\"R-1\",\"records\":$(wc -l <$journal)}"
for sql in "SELECT load_extension('x')" "SELECT writefile('x.db', 'x')" "VACUUM INTO 'x.db'" "SELECT zeroblob(100000000)" "DELETE FROM book" "ATTACH 'x.db' AS x" "PRAGMA query_only=0" "SELECT 1; DELETE FROM book" "CREATE TABLE x(a)"; do
    run "$DRCTL" audit query copy --sql "$sql"
    fact "refused: $sql" test $rc -eq 5 -o $rc -eq 2
done
fact "nothing was made" test ! -e x.db
flip "$b" 1 2>/dev/null || true
rm -rf bad && cp -r copy bad && sed -i 4d "$b"
run "$DRCTL" audit query bad
fact "a broken ledger is read up to the break: exit 7" is "$rc $(wc -l <.out)" "7 3"

# -- what the ledger may not do -----------------------------------------------------------------------
mv dr.yaml.away dr.yaml
mv state/ledger ledger.away && : >state/ledger
run "$DRCTL" backup app
fact "a backup counts when the ledger cannot be written: exit 8" is $rc 8
fact "and says so" has "$talk" "the ledger does not show it"
rm state/ledger && mv ledger.away state/ledger
run "$DRCTL" backup app
fact "and the next one is in it again" is "$rc $("$DRCTL" audit query --type backup | wc -l)" "0 2"
run "$DRCTL" audit verify --online
fact "what is newer than the anchors is no harm" is $rc 0
fact "and told" has "$out" "2 records since then are only as good as this host"
sed -i '$d' state/runs/R-1/journal.jsonl
run "$DRCTL" audit anchor
fact "a journal that was cut is no new end" is "$("$DRCTL" audit query --type run | wc -l)" 1
run "$DRCTL" audit verify
fact "it stays broken" is $rc 1
facts_end
