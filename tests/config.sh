#!/bin/bash
# The first configuration: `drctl config new` writes one that loads, asks a person and nobody else, and
# never touches what is there. The pages of the configuration are clean.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"
unset DRCTL_CONFIG
cd "$work"
umask 022

is() { [ "$1" = "$2" ] || { printf '    is:     %s\n    wanted: %s\n' "$1" "$2" && return 1; }; }
none() { [ ! -e "$1" ] || { printf '    there is %s\n' "$1" && return 1; }; }
lone() { [ "$(find . -name '.*dr.yaml*' | wc -l)" -eq 0 ]; }

# -- from the command line ---------------------------------------------------------------------------
mkdir -p src/app b/us b/eu
run "$DRCTL" config new --source "$work/src/app/" --bucket "us-east-1=$work/b/us" \
    --bucket "eu-west-1=s3://backup-eu?endpoint=http://127.0.0.1:1&style=path"
fact "it writes dr.yaml here" is "$rc $talk" "0 "
fact "and says what is next" has "$out" "drctl -c dr.yaml init"
fact "the file is its owner's alone" is "$(stat -c %a dr.yaml)" 600
run "$DRCTL" check --strict
fact "drctl check has nothing to say about it" is "$rc" 0
fact "it has what was named" has "$out" "1 source, 2 buckets in 2 regions"
fact "the source is named like its directory" grep -q 'name: "app"' dr.yaml
cp dr.yaml before
run "$DRCTL" config new --source /srv/other --bucket "a=/b"
fact "what is there is never overwritten" is "$rc" 2
fact "it says so" has "$talk" "'dr.yaml' is there already"
fact "and the file is as it was" cmp dr.yaml before
ln -s nowhere link.yaml
run "$DRCTL" config new link.yaml --source /srv/a --bucket "r=/b"
fact "a link to nothing is something that is there" test $rc -ne 0
fact "and nothing is made behind it" none nowhere

run "$DRCTL" config new two.yaml --source /srv/a --source db=/var/lib/db --source /mnt/a --region r1 \
    --bucket /b/1 --bucket r2=/b/2 --bucket r2=/b/3 --state-dir "$work/state" --json
fact "the result as JSON" is "$out" '{"file":"two.yaml","exit":0}'
run "$DRCTL" check -c two.yaml --strict
fact "names are made unique" has "$out" "3 sources, 3 buckets in 2 regions"
fact "--region is that of buckets that say none" grep -q 'file:///b/1", region: "r1"' two.yaml
fact "--state-dir is written" grep -q "state_dir: \"$work/state\"" two.yaml

odd="$work/"'a "b" \ c: #1 {x}'
mkdir -p "$odd"
echo data >"$odd/file"
run "$DRCTL" config new odd.yaml --source "odd=$odd" --bucket "r=$work/b/us" --bucket "s=$work/b/eu" \
    --state-dir "$work/state"
fact "any path can be written" is "$rc" 0
"$DRCTL" -c odd.yaml init >/dev/null
run "$DRCTL" -c odd.yaml backup
fact "and is read back as it was" is "$rc" 0
run "$DRCTL" -c odd.yaml ls latest
fact "to the letter" has "$out" "file"

run "$DRCTL" -c new.yaml config new --source /srv/a --bucket "r=/b" --bucket s=/c
fact "-c names the file as well" test -e new.yaml
run "$DRCTL" config new one.yaml --source /srv/a --bucket "r=/b"
fact "one bucket is written, with a warning" has "$talk" "the only bucket lies in region 'r'"
fact "and is no failure" is "$rc" 0

# -- what backupd measured ------------------------------------------------------------------------------
mkdir m1 m2
echo data >src/app/file
"$DRCTL" config new measured.yaml --source "$work/src/app" --bucket "r=$work/m1" --bucket "s=$work/m2" \
    --state-dir "$work/measured" >/dev/null
sed -i '/incremental_backup/d' measured.yaml
"$DRCTL" -c measured.yaml init >/dev/null
"$DRCTL" -c measured.yaml daemon --once >/dev/null 2>&1
sed -i 's/^  # How long/  rpo: {any_plan: 1d}\n&/' measured.yaml
run "$DRCTL" check -c measured.yaml
fact "the sums are done with the times that backupd noted" has "$out" "to take it (measured of 'app') = 1d"

# -- what is wrong -------------------------------------------------------------------------------------
bad() { # bad NAME WORDS OPTION...: exit 2, told, and no file
    local name=$1 words=$2
    shift 2
    run "$DRCTL" config new bad.yaml "$@"
    fact "$name is exit 2" is "$rc" 2
    fact "$name is told" has "$talk" "$words"
    fact "$name leaves no file" none bad.yaml
}
bad "no source" "--source DIRECTORY" --bucket r=/b
bad "no bucket" "--bucket REGION=URL" --source /srv/a
bad "a bucket without a region" "in which region does '/b' lie?" --source /srv/a --bucket /b
bad "a relative path" "relative path" --source srv/a --bucket r=/b
bad "a bucket that is none" "is not the url of a bucket" --source /srv/a --bucket r=ftp://b
bad "one place twice" "same place" --source /srv/a --bucket r=/b --bucket s=/b
bad "a bucket in a source" "lies inside of source" --source /srv/a --bucket r=/srv/a/b
bad "a control character" "" --source $'/srv/\x01' --bucket r=/b
fact "nothing is left behind" lone
run "$DRCTL" config new no/such/dir.yaml --source /srv/a --bucket r=/b
fact "a directory that is not there is told" has "$talk" "no/such"
run "$DRCTL" config old
fact "config has only 'new'" has "$talk" "not 'old'"
run "$DRCTL" config new asked.yaml </dev/null
fact "without a terminal nothing is asked" is "$rc" 2
fact "but told" has "$talk" "what is to be backed up?"

# -- a person at a terminal ------------------------------------------------------------------------------
cat >person.py <<'PY'
import os, pty, select, sys
answers = [l.encode() + b"\n" for l in sys.argv[2].split("|")]
pid, fd = pty.fork()
if pid == 0:
    os.execv(os.environ["DRCTL"], ["drctl", "config", "new", sys.argv[1]])
screen = b""
asked = 0
while True:
    if not select.select([fd], [], [], 60)[0]:
        sys.exit("nothing happens")
    try:
        got = os.read(fd, 4096)
    except OSError:
        break
    if not got:
        break
    screen += got
    if screen.endswith((b"? ", b": ", b") ")) and asked < len(answers):
        os.write(fd, answers[asked])
        asked += 1
print(screen.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
PY
run python3 person.py asked.yaml "$work/src/app||$work/b/us|us-east-1|$work/b/eu|eu-west-1|"
fact "a person is asked" has "$out" "In which region does that lie?"
fact "and gets a file" is "$rc" 0
run "$DRCTL" check --strict -c asked.yaml
fact "with what was answered" has "$out" "1 source, 2 buckets in 2 regions, 0 warnings"
run "$DRCTL" -c asked.yaml check --json
fact "that has no finding" is "$out" '{"findings":[],"exit":0}'

# -- the page ----------------------------------------------------------------------------------------------
fact "mandoc finds nothing to say about dr.yaml.5" mandoc -T lint -W warning "$root/dr.yaml.5"
awk '/^disaster_recovery:/ { on = 1 } /^\.Ed/ { on = 0 } on' "$root/dr.yaml.5" >page.yaml
mkdir -p runbooks && cp "$root/runbooks/primary_region_failure.yaml" runbooks/
run "$DRCTL" check --strict -c page.yaml
fact "the configuration of the page has no finding" is "$rc" 0

facts_end
