#!/bin/bash
# drctl backup under change, from the command line: kinds, tags, excludes, standard input, signals; a writer that
# appends, two at once, a full spool, and SIGKILL at random moments of a backup of a large tree.
#
#     BACKUP_KILLS=200   so many kills (default 25); the seed is fixed and printed
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"
unset DRCTL_CONFIG
cd "$work"
KILLS=${BACKUP_KILLS:-25}
SEED=4711
writer=
# facts.sh removes $work; a writer that still appends is ours to end.
trap '[ -z "$writer" ] || kill "$writer" 2>/dev/null; chmod -R u+w "$work"; rm -rf "$work"' EXIT

mkdir -p us eu src/sub src/cache
printf 'one\n' >src/a
printf 'two\n' >src/sub/b.tmp
printf 'Signature: 8a477f597d28d172789f06886806bc55\n' >src/cache/CACHEDIR.TAG
printf 'x' >src/cache/heavy
cat >dr.yaml <<YAML
disaster_recovery:
  backup_policy:
    full_backup: {frequency: daily, retention: 30d}
    incremental_backup: {frequency: 1h, retention: 7d}
sources:
  - {name: app, path: $work/src, class: data}
buckets:
  - {name: us, url: "file://$work/us", region: us-east-1}
  - {name: eu, url: "file://$work/eu", region: eu-west-1}
state_dir: $work/state
YAML
is() { [ "$1" = "$2" ] || { printf '    is:     %s\n    wanted: %s\n' "$1" "$2" && return 1; }; }
json() { jq -e "$1" "$work/.out" >/dev/null || { cat "$work/.out" && return 1; }; }
same() { diff -r --no-dereference "$1" "$2"; }
until_true() { # COMMAND...: within 60 s
    local end=$((SECONDS + 60))
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.02
    done
}
run "$DRCTL" -q init

# -- kinds, tags, excludes, dry run ---------------------------------------------------------------
run "$DRCTL" backup --dry-run --json
fact "a dry run tells what would be stored" json '.exit == 0 and .id == null and .dry_run and .files == 4 and .stored > 0'
run "$DRCTL" snapshots --json
fact "and stores nothing" is "$out" "[]"
run "$DRCTL" backup --json
fact "the first backup is full, without a parent" json '.kind == "full" and .parent == null and .files == 4'
first=$(jq -r .id .out)
printf 'more\n' >>src/a
run "$DRCTL" backup --tag nightly --tag before-upgrade --json
fact "the next one is incremental and names its parent" json ".kind == \"incremental\" and .parent == \"$first\""
fact "and counts what changed" json '.changed == 1 and .added == 0 and .removed == 0 and .read <= 9'
run "$DRCTL" snapshots --tag nightly --tag before-upgrade --json
fact "snapshots --tag narrows the list to those with all tags" json 'length == 1 and .[0].tags == ["nightly", "before-upgrade"]'
run "$DRCTL" snapshots --tag nightly --tag other
fact "and says when there is none" has "$talk" "no snapshot carries that tag"
run "$DRCTL" backup --tag "two words"
fact "a tag of two words is wrong usage" is "$rc" 2
run "$DRCTL" diff "$first" latest
fact "diff names the change" has "$out" "M a  content, time"
run "$DRCTL" diff "$first" latest --json
fact "as JSON, too" json '.exit == 0 and .totals.changed == 1 and .changes[0].path == "a"'
printf '*.tmp\n' >patterns
run "$DRCTL" backup --exclude-caches --exclude-file patterns --exclude /a --json
fact "what is excluded is not there" json '.files == 1'
run "$DRCTL" ls latest
fact "but the tag of the cache" has "$out" "cache/CACHEDIR.TAG"
run "$DRCTL" backup --exclude-file nowhere
fact "a file of patterns that is not there fails and is named" has "$talk" "nowhere"
run "$DRCTL" backup --limit-upload 10
fact "a rate without a unit is wrong usage" is "$rc" 2
run "$DRCTL" find a --json
fact "find tells each version of a file once" json 'length == 2 and .[0].size == 4 and .[1].size == 9'
run "$DRCTL" stats --json
fact "stats: every bucket, and no pack that nobody needs" json '(.buckets | length) == 2 and all(.buckets[]; .packs_unused == 0)'

# -- standard input -------------------------------------------------------------------------------
rc=0
seq 100000 | "$DRCTL" -q backup --source app --stdin dump.sql >/dev/null || rc=$?
fact "standard input becomes one file" is "$rc $("$DRCTL" cat latest dump.sql | cksum)" "0 $(seq 100000 | cksum)"
rc=0
: | "$DRCTL" backup --source app --stdin dump.sql 2>.err || rc=$?
fact "an empty pipe is an error" is "$rc" 1
fact "and says what to look at" has "$(cat .err)" "pipefail"
run "$DRCTL" backup --stdin dump.sql
fact "--stdin needs a source" is "$rc" 2

# -- a large tree: signals ------------------------------------------------------------------------
python3 - <<'PY'
import os, random
rng = random.Random(4711)
for d in range(30):
    os.makedirs("src/tree/%02d" % d)
    for n in range(100):
        with open("src/tree/%02d/%03d" % (d, n), "wb") as f:
            f.write(rng.randbytes(rng.randrange(100, 4000)))
with open("src/tree/large", "wb") as f:
    f.write(rng.randbytes(24 << 20))
PY
run "$DRCTL" -q backup --kind full
before=$("$DRCTL" snapshots --json | jq length)
# A limit makes it last long enough to be met: this much in the two buckets takes some seconds.
touch src/tree/new && head -c 6000000 /dev/urandom >src/tree/large2
"$DRCTL" backup --limit-upload 1MiB/s >.out 2>.err &
pid=$!
# The shell takes the signal, too, until it has become drctl.
takes_usr1() { [ "$(cat "/proc/$pid/comm")" = drctl ] && [ $((0x$(awk '/^SigCgt/ { print $2 }' "/proc/$pid/status") & 0x200)) -ne 0 ]; }
until_true takes_usr1
ask() { kill -USR1 "$pid" && grep -q 'app  ' .err; }
fact "SIGUSR1 makes it tell how far it is" until_true ask
kill -TERM "$pid"
rc=0
wait "$pid" || rc=$?
fact "SIGTERM ends it with exit 1" is "$rc" 1
fact "and says that nothing is visible" has "$(cat .err)" "Nothing was made visible"
fact "which is so" is "$("$DRCTL" snapshots --json | jq length)" "$before"
run "$DRCTL" backup
fact "the next one works" is "$rc" 0
fact "and restores" bash -c "'$DRCTL' -q restore latest --to term >/dev/null && diff -r --no-dereference src term"

# -- a writer that appends, two at once -----------------------------------------------------------
head -c 60000000 /dev/urandom >src/growing
bash -c 'while :; do printf "%01000d" 1 >>src/growing; done' &
writer=$!
run "$DRCTL" backup --json
kill "$writer"
wait "$writer" 2>/dev/null || true
writer=
fact "a file that grows while it is read is noted: exit 8" is "$rc" 8
fact "named" has "$talk" "growing"
fact "and counted" json '.warnings >= 1 and .exit == 8'
rm src/growing
rc=0
"$DRCTL" -q backup >.out1 2>.err1 & one=$!
"$DRCTL" -q backup >.out2 2>.err2 || rc=$?
rc1=0
wait $one || rc1=$?
one_of_two() { case "$rc1 $rc" in "0 0" | "0 6" | "6 0") ;; *) echo "    $rc1 $rc" && return 1 ;; esac; }
fact "two backups of one source at once: one is taken, the other is refused or comes after it" one_of_two
run "$DRCTL" -q verify --data
fact "and all is right" is "$rc" 0

# -- a full spool ---------------------------------------------------------------------------------
# STATE_DIR/spool on a file system of 1 MiB, where a name space of our own may mount one.
if unshare -rm true 2>/dev/null; then
    head -c 20000000 /dev/urandom >src/fills
    mkdir -p state/spool
    rc=0
    unshare -rm bash -c "mount -t tmpfs -o size=1m none state/spool && '$DRCTL' backup" >.out 2>.err || rc=$?
    fact "a full spool fails the backup" is "$rc" 1
    fact "says so and where" grep -q "state.*[Nn]o space left" .err
    run "$DRCTL" -q backup
    fact "and the next one works" is "$rc" 0
    rm src/fills
else
    echo "   no name space may mount here: a full spool is left to tests/test_packs.c"
fi

# -- SIGKILL at random moments --------------------------------------------------------------------
# Each round changes the tree, kills a backup at a moment of its measured duration, and looks at all that is
# visible; every fifth round a backup is left to its end and must be the tree.
change() { # ROUND
    for _ in 1 2 3; do
        printf 'round %d\n' "$1" >"src/tree/$(printf '%02d/%03d' $((RANDOM % 30)) $((RANDOM % 100)))"
    done
    head -c 1500000 /dev/urandom >"src/tree/large$(($1 % 3))"
}
RANDOM=$SEED
change 0
begin=${EPOCHREALTIME/./}
run "$DRCTL" -q backup --kind full
took_us=$((${EPOCHREALTIME/./} - begin))
broken=0 killed=0 lacking=0
for round in $(seq "$KILLS"); do
    change "$round"
    kind=incremental
    [ $((RANDOM % 3)) -gt 0 ] || kind=full
    "$DRCTL" -q backup --kind "$kind" >/dev/null 2>&1 &
    pid=$!
    sleep "$(printf '%d.%06d' $((RANDOM * took_us / 32768 / 1000000)) $((RANDOM * took_us / 32768 % 1000000)))"
    kill -KILL "$pid" 2>/dev/null && killed=$((killed + 1))
    wait "$pid" 2>/dev/null || true
    # A death between the first bucket and the second leaves a copy less (9), never half a snapshot.
    rc=0
    "$DRCTL" -q verify >/dev/null 2>.verify || rc=$?
    [ $rc -eq 0 ] || [ $rc -eq 9 ] || { broken=$((broken + 1)) && cat .verify; }
    [ $rc -ne 9 ] || lacking=$((lacking + 1))
    [ $((round % 5)) -eq 0 ] || continue
    "$DRCTL" -q backup >/dev/null || broken=$((broken + 1))
    "$DRCTL" -q restore latest --to "killed$round" >/dev/null && same src "killed$round" || broken=$((broken + 1))
    rm -rf "killed$round"
done
fact "after $killed kills (seed $SEED) every visible snapshot was whole, and each next backup worked" is $broken 0
fact "most of them met a backup at work" test "$killed" -ge $((KILLS / 3))
run "$DRCTL" -q repair
fact "what lacked a copy (seen $lacking times) is repaired" is "$rc" 0
run "$DRCTL" -q verify --data
fact "all data of all snapshots is right" is "$rc" 0

facts_end
