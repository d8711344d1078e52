#!/bin/bash
# The backup verbs as a user runs them: two buckets, two sources, from init to doctor.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"
unset DRCTL_CONFIG
cd "$work"

mkdir -p us eu srv/app/sub 'srv/app/odd name' srv/etc
printf 'hello\n' >srv/app/greeting
head -c 9000000 /dev/urandom >srv/app/large
printf 'x' >"srv/app/sub/$(printf 'line\nbreak')"
ln -s ../greeting srv/app/sub/link
printf 'key: 1\n' >srv/etc/app.conf
cat >dr.yaml <<YAML
disaster_recovery:
  backup_policy:
    full_backup: {frequency: daily, retention: 30d}
sources:
  - {name: app, path: $work/srv/app, class: data}
  - {name: etc, path: $work/srv/etc, class: config}
buckets:
  - {name: us, url: "file://$work/us", region: us-east-1}
  - {name: eu, url: "file://$work/eu", region: eu-west-1}
state_dir: $work/state
YAML

is() { [ "$1" = "$2" ] || { printf '    is:     %s\n    wanted: %s\n' "$1" "$2" && return 1; }; }
# json EXPRESSION: true of the JSON value on stdout, which Python sees as v.
json() { python3 -c 'import json,sys; v=json.loads(open(sys.argv[1]).read()); sys.exit(not eval(sys.argv[2]))' "$work/.out" "$1"; }
absent() { ! "$@"; }
same() { diff -r --no-dereference "$1" "$2"; }

# -- before init ----------------------------------------------------------------------------------
run "$DRCTL" backup
fact "a backup before init fails" test $rc -ne 0
fact "and says what to do" has "$talk" "drctl init"
run "$DRCTL" key
fact "there is no key yet, and that is said" has "$talk" "drctl init makes the key"

# -- init, key ----------------------------------------------------------------------------------------
run "$DRCTL" init
fact "init makes the buckets ready" is "$rc" 0
fact "and says so of each" has "$out" "bucket eu in eu-west-1 is ready"
run "$DRCTL" init --json
fact "init may be run again" json "v['exit'] == 0 and [b['name'] for b in v['buckets']] == ['us', 'eu']"
run "$DRCTL" key
fact "key shows the line for trusted_writers" grep -qxE 'ed25519:[A-Za-z0-9+/]{43}=' "$work/.out"
run "$DRCTL" key path
fact "key path shows where the secret lies" is "$out" "$work/state/keys/writer.pem"
fact "for its owner alone" is "$(stat -c %a "$out")" 600

# -- backup ---------------------------------------------------------------------------------------------
run "$DRCTL" snapshots
fact "no snapshots is no failure" is "$rc $out" "0 "
run "$DRCTL" backup
fact "backup takes every source" is "$rc" 0
fact "one line for each" is "$(wc -l <"$work/.out")" 2
fact "and a summary on stderr, without cursor movements" has "$talk" "drctl: app: "
fact "nothing is drawn where there is no terminal" is "$(tr -cd '\033\r' <"$work/.err")" ""
run "$DRCTL" backup --source app --kind full --json
fact "backup --source takes that one" json "v['source'] == 'app' and v['kind'] == 'full' and v['exit'] == 0"
fact "and tells its size and copies" json "v['files'] == 3 and v['bytes'] == 9000007 and v['copies'] == 2 and v['missing'] == []"
run "$DRCTL" -q backup --source etc
fact "-q keeps stderr empty" is "$rc $talk" "0 "
run "$DRCTL" backup --source ap
fact "an unknown source is wrong usage" is "$rc" 2
fact "and the nearest is named" has "$talk" "Did you mean 'app'?"
run "$DRCTL" backup --kind weekly
fact "a kind that there is not is wrong usage" is "$rc" 2
fact "and the kinds are told" has "$talk" "full, incremental or config"
run "$DRCTL" backup --kind config --source app
fact "a snapshot of configuration is of a source of that class" is "$rc" 2
fact "and what to do is told" has "$talk" "Give a source that class in the configuration"

# -- snapshots --------------------------------------------------------------------------------------------
run "$DRCTL" snapshots --json
fact "snapshots --json is one array" json "isinstance(v, list) and len(v) == 4"
fact "with the promised members" json \
    "all(set('id source kind taken_at buckets files bytes'.split()) <= set(s) for s in v)"
fact "in both buckets, good" json "all(sorted(s['buckets']) == ['eu', 'us'] and s['state'] == 'good' for s in v)"
fact "taken_at is a time" json "all(len(s['taken_at']) == 20 and s['taken_at'][-1] == 'Z' for s in v)"
id=$(python3 -c 'import json,sys; print([s["id"] for s in json.load(open(sys.argv[1])) if s["source"] == "app"][0])' "$work/.out")
run "$DRCTL" snapshots --source etc --json
fact "--source narrows the list" json "len(v) == 2 and all(s['source'] == 'etc' for s in v)"
run "$DRCTL" snapshots
fact "the table has a line for each and a head" is "$(wc -l <"$work/.out")" 5
run "$DRCTL" snapshots --source ap
fact "a mistyped source is told" is "$rc" 2

# -- ls, cat ----------------------------------------------------------------------------------------------
run "$DRCTL" ls "$id"
fact "ls lists the entries" has "$out" "greeting"
fact "a name cannot break the line" has "$out" 'line\x0abreak'
run "$DRCTL" ls "$id" sub
fact "ls PATH lists what is below it" has "$out" "link"
fact "and nothing beside it" absent grep -q large "$work/.out"
run "$DRCTL" cat "$id" greeting
fact "cat writes the file" is "$out" "hello"
"$DRCTL" cat latest large --source app >large.out
fact "cat writes large files exactly" cmp large.out srv/app/large
rc=0
"$DRCTL" cat latest large --source app 2>.talk | head -c 10 >/dev/null || rc=$?
fact "a reader that had enough ends it without a word" is "$rc $(cat .talk)" "1 "
run "$DRCTL" cat "$id" nowhere
fact "a path that is not there is named" has "$talk" "nowhere"
fact "and fails" test $rc -eq 1
run "$DRCTL" ls latest
fact "latest of several sources asks which" test $rc -ne 0
run "$DRCTL" ls nothing-like-it
fact "an unknown snapshot fails and is named" has "$talk" "nothing-like-it"

# -- restore ------------------------------------------------------------------------------------------------
run "$DRCTL" restore latest --source app --to back
fact "restore brings the latest back" is "$rc" 0
fact "equal to the source" same srv/app back
run "$DRCTL" restore "$id" --to back2 --json
fact "by name, told as JSON" json "v['id'] == '$id' and v['files'] == 3 and v['exit'] == 0"
run "$DRCTL" restore "$id" --path sub --to part
fact "--path brings one directory" test -L part/sub/link -o -L part/link
fact "and nothing else" is "$(find part -name large)" ""
mkdir full && touch full/mine
run "$DRCTL" restore "$id" --to full
fact "a target that is not empty is refused" test $rc -ne 0
fact "is named" has "$talk" "full"
fact "and is left as it was" is "$(ls full)" mine
run "$DRCTL" restore "$id"
fact "restore without --to is wrong usage" is "$rc" 2

# -- verify, export ---------------------------------------------------------------------------------------------
run "$DRCTL" verify
fact "verify finds everything" is "$rc" 0
run "$DRCTL" verify --data --json
fact "verify --data reads it" json "v['exit'] == 0 and v['damaged'] == 0 and v['missing'] == 0 and v['lost'] == 0 and v['bytes'] > 0"
run "$DRCTL" snapshots --json
fact "what was read is proved" json "all(s['proved_at'] for s in v)"
"$DRCTL" export "$id" >x.tar.zst
mkdir x && zstd -qdc x.tar.zst | tar -C x -xp
fact "an export is a tar.zst that restores the tree" same srv/app x
rc=0
script -qec "'$DRCTL' export '$id'" /dev/null </dev/null >typescript 2>&1 || rc=$?
fact "export refuses a terminal" is "$rc" 2

# -- a terminal -----------------------------------------------------------------------------------------------
script -qec "'$DRCTL' backup --source app" /dev/null </dev/null >typescript 2>&1
fact "on a terminal a line is drawn" has "$(cat typescript)" $'\r\033[Kapp  reading'
fact "and cleared before anything else is told" has "$(cat typescript)" $'\r\033[Kdrctl: app: '
script -qec "'$DRCTL' -q backup --source app" /dev/null </dev/null >typescript 2>&1
fact "-q draws nothing" absent grep -q $'\033' typescript

# -- doctor -------------------------------------------------------------------------------------------------------
run "$DRCTL" doctor
fact "doctor finds nothing wrong" is "$rc" 0
fact "and tells what a thief could do" has "$out" "destroy everything in us, eu"
run "$DRCTL" doctor --json
fact "as JSON: a list of checks" json "v['exit'] == 0 and len(v['checks']) > 8"
fact "doctor leaves nothing in a bucket" is "$(find us eu -name 'doctor*')" ""
chmod 644 state/keys/writer.pem
run "$DRCTL" doctor
fact "a key that others can read is an error" is "$rc" 1
chmod 600 state/keys/writer.pem

# -- a bucket goes ---------------------------------------------------------------------------------------------------
mv us us.gone
run "$DRCTL" snapshots --json
fact "with one bucket gone the other still lists" json "len(v) == 6 and all(s['buckets'] == ['eu'] for s in v)"
fact "and the lost one is named" has "$talk" "bucket 'us'"
run "$DRCTL" restore latest --source app --to back3
fact "and restores" same srv/app back3
run "$DRCTL" doctor
fact "doctor calls it an error" is "$rc" 1
run "$DRCTL" verify
fact "verify names it once" is "$rc $(grep -c "bucket 'us'" "$work/.err")" "9 1"
mv us.gone us

# -- a bucket that hides what it holds ----------------------------------------------------------------------------------
mv us/snapshots us/hidden && ln -s hidden us/snapshots
run "$DRCTL" snapshots
fact "a bucket that cannot be listed is named" has "$talk" "bucket 'us': cannot list 'snapshots/'"
run "$DRCTL" doctor
fact "doctor calls that an error as well" is "$rc" 1
rm us/snapshots && mv us/hidden us/snapshots
cp us/repository us.repository
printf 'x\n' | dd of=us/repository conv=notrunc status=none
run "$DRCTL" verify
fact "a repository object that is damaged: the way out is told" has "$talk" "Copy 'repository' from another bucket"
run "$DRCTL" doctor
fact "and doctor finds it" is "$rc" 1
mv -f us.repository us/repository

# -- words that are wrong -------------------------------------------------------------------------------------------------
run "$DRCTL" restore latest --source ap --to back4
fact "a source that is mistyped is not a missing snapshot" is "$rc" 2
fact "and the nearest is named here too" has "$talk" "Did you mean 'app'?"
run "$DRCTL" ls zzz
fact "an id that does not exist is named" has "$talk" "no snapshot 'zzz' in the buckets"
run "$DRCTL" ls app-
fact "an id cut too short: one that is long enough is shown" has "$talk" "Write more of it, or all: 'app-"
run "$DRCTL" ls "$id" no/such
fact "a path that does not exist: what helps is told" has "$talk" "'drctl ls' shows them"

# -- a comparison that fails half way ------------------------------------------------------------------------------------------
cp -r us bad-us && cp -r eu bad-eu
sed "s,/us\",/bad-us\", ; s,/eu\",/bad-eu\"," dr.yaml >bad.yaml
find bad-us/packs bad-eu/packs -type f -exec truncate -s 100 {} +
other=$("$DRCTL" snapshots --json | python3 -c 'import json,sys; print([s["id"] for s in json.load(sys.stdin) if s["source"] == "etc"][-1])')
run "$DRCTL" -c bad.yaml diff "$id" "$other" --json
fact "what was begun ends as an object that says what failed" json \
    "v['exit'] == $rc != 0 and v['error'] and v['why'] and v['changes'] == [] and 'totals' not in v"
fact "it is told on standard error as well" has "$talk" "drctl: error: "

mv srv/app srv/away
run "$DRCTL" backup --source app
fact "a source that is not there fails, named once, with what to do" is \
    "$rc $(grep -c "'app': .*'app'" "$work/.err") $(grep -c "Correct the path of source 'app'" "$work/.err")" "1 0 1"
mv srv/away srv/app

# -- a reader that had enough ------------------------------------------------------------------------------------------------
"$DRCTL" -q export "$id" 2>export.talk | head -c 10 >/dev/null || true
fact "export into a pipe that closes says nothing" is "$(cat export.talk)" ""

# -- no snapshot at all ---------------------------------------------------------------------------------------------------------
mkdir new-us new-eu
sed "s,/us\",/new-us\", ; s,/eu\",/new-eu\"," dr.yaml >new.yaml
run "$DRCTL" -c new.yaml init
run "$DRCTL" -c new.yaml verify
fact "where nothing was saved, verify does not say that all is there" has "$out" "no snapshot yet"

run "$DRCTL" -c new.yaml backup --kind config --json
fact "without a name, --kind config takes those of that class alone" json "v['source'] == 'etc' and v['exit'] == 0"
sed '/class: config/d' new.yaml >none.yaml
run "$DRCTL" -c none.yaml backup --kind config
fact "where there is none, it is wrong usage" is "$rc" 2

# -- a key that nobody trusts -----------------------------------------------------------------------------------------------------
{ cat new.yaml && printf 'trusted_writers: {app: ["ed25519:%s="]}\n' "$(printf 'A%.0s' {1..43})"; } >other.yaml
run "$DRCTL" -c other.yaml backup --source app
fact "a backup that restores would refuse draws a warning" is "$rc" 8
fact "and says which key to add" has "$talk" "$("$DRCTL" key)"

facts_end
