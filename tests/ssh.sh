#!/bin/bash
# Steps at a site that is reached by ssh, against a real sshd of our own on loopback: what arrives there, what a
# lost connection means, whom we connect to at all.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"
# shellcheck source=tests/support/regions.sh
. "$root/tests/support/regions.sh"
until_true() { for _ in $(seq 600); do "$@" 2>/dev/null && return 0; sleep 0.1; done; return 1; }

# shellcheck source=tests/support/sshd.sh
. "$root/tests/support/sshd.sh"
mkdir far
ssh_more() { echo "SetEnv DRCTL_CONFIG=$work/far/dr.yaml"; }
sshd_begin
fact "an sshd of our own listens on loopback" test -n "$sshd"

# -- two hosts, each with a configuration of its own ---------------------------------------------------
# What the shell over there must not take apart.
program="$work/it's\$(touch\${IFS}pwned);drctl"
ln -s "$DRCTL" "$program"
three_regions ana
cp dr.yaml far/dr.yaml
sed -i "s#$work/state#$work/far/state#" far/dr.yaml
mv dr.yaml near.yaml
sites() { # [HOST-OF-EU]
    local how
    how="port: $port, user: $(id -un), identity: $work/ssh/id, known_hosts: $work/ssh/known_hosts, program: \"$program\""
    sed -e "s#- {name: us, region.*#- {name: us, region: us-east-1, reach: ssh, address: 127.0.0.2, ssh: {$how}}#" \
        -e "s#- {name: eu, region.*#- {name: eu, region: eu-west-1, reach: ssh, address: \"${1:-127.0.0.1}\", ssh: {$how}}#" \
        near.yaml >dr.yaml
}
sites
run "$DRCTL" init
fact "the configuration stands" test $rc -eq 0
plan() { cat >"$1.yaml"; }
journal() { cat "state/runs/$1/journal.jsonl"; }
abort() { run "$DRCTL" runs abort "$1" --reason "for the next fact"; }

# -- what arrives --------------------------------------------------------------------------------------
cat >words.sh <<SH
printf '%s\\0' "\$@" >$work/words
echo "\$DRCTL_CONFIG" >$work/where
SH
plan words <<YAML
plan: words
regions: [us-east-1, eu-west-1]
steps:
  - id: there
    use: exec
    with:
      at: eu-west-1
      argv: [sh, $work/words.sh, "a b", "it's", "\"x\"", "\$(touch pwned)", "\`id\`", "a\\nb", "-rf", "--", "", "\\\\", "*", "~root", "; exit 1", "é", "\\t\\r"]
    undo: none
YAML
run "$DRCTL" plan run words --yes
fact "a step at a site is done there" test $rc -eq 0
# shellcheck disable=SC1003 # a backslash alone
printf '%s\0' "a b" "it's" '"x"' "\$(touch pwned)" "\`id\`" $'a\nb' -rf -- "" '\' '*' '~root' '; exit 1' 'é' $'\t\r' >wanted
fact "each hostile word arrives byte by byte" cmp wanted words
fact "with the configuration of that host" test "$(cat where)" = "$work/far/dr.yaml"
nothing_made() { [ -z "$(find "$work" "$HOME" -maxdepth 2 -name pwned 2>/dev/null)" ]; }
fact "and no shell on the way took anything apart" nothing_made
fact "the journal says at which site and host it ran" has "$(journal R-1)" '"site":"eu"'

# -- whom we connect to --------------------------------------------------------------------------------
rm -f words
known ssh/other.pub
run "$DRCTL" plan run words --yes
fact "another host key than the known one holds the run" test $rc -eq 3
fact "nothing was begun, and that is said" has "$out$talk" "not begun: site 'eu'"
fact "with what to do about it" has "$(journal R-2)" "ssh-keygen -lf"
fact "nor was it" test ! -e words
abort R-2
: >ssh/known_hosts
run "$DRCTL" plan run words --yes
fact "an unknown host key is refused as well" test $rc -eq 3
fact "and is told apart" has "$(journal R-3)" "is not in known_hosts"
abort R-3
known ssh/host.pub
sites "-oProxyCommand=touch pwned"
run "$DRCTL" check
fact "a host that would be an option of ssh is refused by the configuration" test $rc -eq 2
sites
plan dark <<YAML
plan: dark
regions: [us-east-1, eu-west-1]
steps:
  - {id: lost, use: exec.check, with: {at: us-east-1, argv: ["true"]}, timeout: 1s}
YAML
before=$(grep -c "Connection from" ssh/log)
run "$DRCTL" failover dark --failed us-east-1 --yes
fact "no step goes to the region that is given up" has "$(journal R-4)" "us-east-1 is dark"
fact "the gate counted it" has "$(journal R-4)" '"refused_connects":1'
fact "and no packet went there" test "$(grep -c "Connection from" ssh/log)" -eq "$before"
run "$DRCTL" runs list
abort R-4

# -- the connection is lost ------------------------------------------------------------------------------
cat >slow.sh <<SH
sleep 500 & # a grandchild
echo \$! >$work/grandchild
echo \$\$ >$work/pid
test -e $work/quick || wait
kill \$!
echo x >>$work/effect
SH
plan slow <<YAML
plan: slow
regions: [us-east-1, eu-west-1]
steps:
  - id: work
    use: exec
    with: {at: eu-west-1, argv: [sh, $work/slow.sh]}
    check: {use: exec.check, with: {at: eu-west-1, argv: [test, -e, $work/effect]}}
    undo: none
    retry: 1
YAML
gone() { ! kill -0 "$(cat pid)" 2>/dev/null && ! kill -0 "$(cat grandchild)" 2>/dev/null; }
begin() { # PLAN: up to the middle of its step
    rm -f pid grandchild quick effect
    "$DRCTL" plan run "$1" --yes >"$1.out" 2>&1 &
    runner=$!
    until_true test -s pid
}
end() { rc=0; { wait "$runner"; } 2>/dev/null || rc=$?; }

begin slow
lost=$(sessions)
kill -9 "$sshd"
wait "$sshd" 2>/dev/null || true
sshd=
# shellcheck disable=SC2086  # a list of processes
kill -9 $lost
end
fact "a connection that is lost in the middle holds the run" test $rc -eq 3
fact "as the step is unknown" grep -q "work.*unknown" <("$DRCTL" runs show R-5)
fact "which is told as what it is" has "$(journal R-5)" "the connection to site 'eu' was lost, and the step had begun"
fact "what ran there is gone with all its processes" until_true gone
fact "its effect did not happen" test ! -e effect
start_server "$port"
touch quick
run "$DRCTL" runs resume R-5
fact "a resume asks the step's check there, and comes to the end" test $rc -eq 0
fact "the effect was done once" test "$(cat effect)" = x

begin slow
lost=$(sessions)
touch quick
# shellcheck disable=SC2086  # a list of processes
kill -9 $lost
end
fact "with the site still there its check is asked at once, and the step done" test $rc -eq 0
fact "once" test "$(cat effect)" = x
fact "the first attempt is on record as unknown" has "$(journal R-6)" '"doubt":false'

begin slow
kill -9 "$runner"
end
fact "when the runner dies, the step at the site ends as well" until_true gone
abort R-7

plan late <<YAML
plan: late
regions: [us-east-1, eu-west-1]
steps:
  - {id: work, use: exec, with: {at: eu-west-1, argv: [sh, $work/slow.sh]}, undo: none, timeout: 3s}
YAML
begin late
end
fact "a step that is not done in time is unknown" grep -q "work.*unknown" <("$DRCTL" runs show R-8)
fact "and is killed there, with all its processes" until_true gone
abort R-8

# -- the far end by itself ---------------------------------------------------------------------------------
ask() { # VERB: a request for the far end
    printf '{"v":1,"verb":"%s","type":"exec","step":"x","key":"K/x/-/1","with":{"argv":["sh","%s"]},"timeout_ms":20000}\n' "$1" "$work/slow.sh"
}
rm -f pid grandchild quick effect
mkfifo in
DRCTL_CONFIG=$work/far/dr.yaml "$DRCTL" step --remote <in >first.out &
far=$!
exec 9>in
ask apply >&9
until_true test -s pid
ask apply >second.in
run env DRCTL_CONFIG="$work/far/dr.yaml" "$DRCTL" step --remote <second.in
fact "while an attempt still runs there, no second one begins" has "$out" "an earlier attempt of this step still runs here"
exec 9>&-
wait "$far" || true
fact "the end of its input is the end of the step" until_true gone
fact "without a result" test "$(grep -c '"event":"result"' first.out)" -eq 0
printf '{"v":1,"verb":"apply"' >half
run "$DRCTL" step --remote <half
fact "half a request begins nothing" has "$out" "the connection ended before the request did"

facts_end
