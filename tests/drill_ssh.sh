#!/bin/bash
# Drills whose sites are other hosts, reached by ssh (a real sshd on loopback): what is planted, restored, spoilt,
# looked at and taken away is so THERE; what cannot be reached at the end is told, and goes with the next one.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"
# shellcheck source=tests/support/regions.sh
. "$root/tests/support/regions.sh"
# shellcheck source=tests/support/sshd.sh
. "$root/tests/support/sshd.sh"
until_true() { for _ in $(seq 600); do "$@" 2>/dev/null && return 0; sleep 0.1; done; return 1; }

# -- three hosts: this one, from which drills are run, and one for each region --------------------------
# Which host a step comes to is told by the address it was sent to. Each has its own $work/state (where name
# spaces for mounts are allowed; else they share the folder), and keeps the requests that arrive.
ssh_more() {
    echo "Match LocalAddress 127.0.0.1"
    echo "    SetEnv DRCTL_CONFIG=$work/eu-host/dr.yaml"
    echo "Match LocalAddress 127.0.0.2"
    echo "    SetEnv DRCTL_CONFIG=$work/us-host/dr.yaml"
}
sshd_begin
three_regions ana
sed -i "s/hold: [0-9]*s, take: [0-9]*s/hold: 8s, take: 9s/" dr.yaml # a loaded machine is slow at logging in
apart="unshare --user --map-root-user --mount"
$apart true 2>/dev/null || apart=
for host in us-host eu-host; do mkdir -p "$host/state/scratch"; done
mkdir -p state/scratch gen-1
ln -s gen-1 current
eu_scratch=$work/eu-host/state/scratch us_scratch=$work/us-host/state/scratch
[ -n "$apart" ] || eu_scratch=$work/state/scratch us_scratch=$work/state/scratch
cat >there.sh <<SH
#!/bin/bash
home=\$(dirname "\$DRCTL_CONFIG")
if [ -n "$apart" ] && [ -z "\${INSIDE-}" ]; then
    INSIDE=1 exec $apart "\$0" "\$@"
fi
[ -z "\${INSIDE-}" ] || mount --bind "\$home/state/scratch" "$work/state/scratch"
exec "$DRCTL" "\$@" < <(exec tee -a "\$home/requests")
SH
chmod +x there.sh
cat >>dr.yaml <<YAML
providers:
  service: {start: [touch, "$work/started"], stop: [rm, -f, "$work/started"], status: [test, -e, "$work/started"]}
YAML
sed -i "s#path: $work/srv, class: data#path: $work/srv, class: data, site: us, sentinel: sentinel#" dr.yaml
for host in us-host eu-host; do sed "s#$work/state#$work/$host/state#" dr.yaml >"$host/dr.yaml"; done
how="port: $port, user: $(id -un), identity: $work/ssh/id, known_hosts: $work/ssh/known_hosts, program: $work/there.sh"
sed -i -e "s#- {name: us, region.*#- {name: us, region: us-east-1, reach: ssh, address: 127.0.0.2, ssh: {$how}}#" \
    -e "s#- {name: eu, region.*#- {name: eu, region: eu-west-1, reach: ssh, address: 127.0.0.1, ssh: {$how}}#" dr.yaml
run "$DRCTL" init
fact "the configuration stands" test $rc -eq 0
# Each host has a key of its own; that of the source's host is the writer that all trust.
for host in us-host eu-host; do DRCTL_CONFIG=$work/$host/dr.yaml "$DRCTL" init >/dev/null; done
trusted="trusted_writers: {app: [\"$(DRCTL_CONFIG=$work/us-host/dr.yaml "$DRCTL" key)\"]}"
for host in . us-host eu-host; do echo "$trusted" >>"$host/dr.yaml"; done
newest() { find state/runs -maxdepth 1 -name 'D-*' -printf '%f\n' | sort -t- -k2 -n | tail -n 1; }
record() { jq -c "select(.type == \"$1\") | .body" "state/runs/${2:-$(newest)}/journal.jsonl"; }
empty() { [ -z "$(find "$eu_scratch" "$us_scratch" state/scratch -mindepth 1)" ]; }
arrived() { jq -c "select(.type == \"$2\")" "$1-host/requests"; } # HOST TYPE

# plan NAME COMMAND...: restore at the target, a command there, switch.
plan() {
    local name=$1 argv
    shift
    argv=$(printf '"%s", ' "$@")
    cat >"$name.yaml" <<YAML
plan: $name
regions: [us-east-1, eu-west-1]
steps:
  - {id: pick, use: region.pick}
  - {id: fence, use: fence, with: {region: "\${failed}", methods: [{use: fence.lease, with: {key: writer/app, margin: 0s}}]}}
  - {id: snapshot, use: backup.pick, with: {source: app}}
  - {id: restore, use: backup.restore, with: {snapshot: "\${snapshot.id}", at: "\${target}", to: $work/gen-2}}
  - {id: data_ok, use: data.check, with: {at: "\${target}", path: "\${restore.path}", against: "\${snapshot.id}", every: 100ms}, timeout: 5s}
  - {id: there, use: exec.check, with: {at: "\${target}", argv: [${argv%, }], every: 100ms}, timeout: 1m}
  - {id: here, use: exec.check, with: {argv: [sh, $work/here.sh], every: 100ms}, timeout: 1m}
  - id: go_live
    use: service.promote
    with: {at: "\${target}", unit: app, data: "\${restore.path}", live: $work/current, lease: writer/app}
    point_of_no_return: "new writes exist only in \${target}"
YAML
}
"$DRCTL" lease hold writer/app --as app --region us-east-1 -- true

# -- a good one ----------------------------------------------------------------------------------------
: >here.sh
plan move sh -c "echo \$DRCTL_CONFIG >>$work/where; ls -d \$1/restore >>$work/where; grep -q hello \$0/f" "\${restore.path}" "\${run.scratch}"
run "$DRCTL" drill move --seed 7 --controls 3
fact "a drill over ssh passes" test $rc -eq 0
fact "the sentinel was planted, and the backup taken, at the host of the source" test "$(arrived us drill.plant | wc -l)" -eq 1
fact "the data came back at the target, in the scratch place of that host" test "$(cat where)" = "$work/eu-host/dr.yaml
$work/state/scratch/$(newest)/restore"
fact "where it was looked at for the sentinel" test "$(arrived eu drill.tree | wc -l)" -ge 1
fact "each step there is dark for the region that is given up" test "$(arrived eu backup.restore | jq -c '.dark' | sort -u)" = '["us-east-1"]'
fact "nothing is asked of the dark region but what it is in normal life" test "$(jq -r .type us-host/requests | sort -u | tr '\n' ' ')" = "drill.look drill.plant "
fact "the faults were planted there" test "$(arrived eu backup.restore | jq -c 'select(.run.plant != null)' | wc -l)" -ge 2
fact "and each was caught" has "$out" "drill power 100 %"
fact "production there is looked at before and after" test "$(arrived eu drill.look | wc -l)" -eq 2
production_has() { record production | jq -e --arg n "$1" 'any(.fields[]; .name == $n and .value != null)' >/dev/null; }
fact "the live path of that host" production_has "eu: path $work/current"
fact "the unit of that host" production_has "eu: unit app"
fact "and the source's path at its own" production_has "us: path $work/srv"
fact "the clean-up went there" test "$(arrived eu drill.clean | wc -l)" -eq 1
fact "and stands on record with its site" test "$(record cleaned | jq -c 'select(.at == "eu") | .ok')" = true
fact "nothing is left on any host" empty

# -- the target is away when it is to be cleaned ----------------------------------------------------------
echo "kill $sshd 2>/dev/null; true" >here.sh
run "$DRCTL" drill move --controls none
end_server
away=$(newest)
fact "a drill that cannot clean up there fails" test $rc -eq 1
fact "and says what it left, and where" has "$out" "directory $work/state/scratch/$away at eu: "
fact "whether production there is as before was not measured" test "$(record production | jq -c .equal | tail -n 1)" = null
fact "what it left is there" test -d "$eu_scratch/$away/restore"
run "$DRCTL" drill --clean
fact "while the site is away it cannot be cleaned" test $rc -eq 1
fact "which is said" has "$out" "CLEANED  $away, which had left $work/state/scratch/$away at eu behind: STILL THERE: "
start_server "$port"
: >here.sh
run "$DRCTL" drill move --controls none
fact "the next drill passes" test $rc -eq 4
fact "and has first taken away what the last one left" has "$out" "CLEANED  $away, which had left $work/state/scratch/$away at eu behind: it is gone"
fact "which is on its record" test "$(record cleaned | jq -r 'select(.at == "eu") | .name' | sort | tr '\n' ' ')" = "$work/state/scratch/$away $work/state/scratch/$(newest) "
fact "nothing is left on any host" empty
run "$DRCTL" drill --clean
fact "and there is nothing more to clean" test "$rc$out" = 0

# -- the runner dies in the middle of a step there -----------------------------------------------------------
plan slow sh -c "echo \$\$ >$work/pid; exec sleep 50"
"$DRCTL" drill slow --controls none >slow.out 2>&1 &
runner=$!
until_true test -s pid
dead=$(newest)
fact "the scratch directory stands there" test -d "$eu_scratch/$dead/restore"
kill -KILL $runner
wait $runner 2>/dev/null || true
gone() { ! kill -0 "$(cat pid)" 2>/dev/null; }
fact "when the runner dies the step there dies" until_true gone
fact "what it had restored stays there" test -d "$eu_scratch/$dead/restore"
run "$DRCTL" drill --clean
fact "until somebody cleans up" test $rc -eq 0
fact "there, too" empty
fact "its drill did not pass" test "$(record end "$dead" | jq -r .run)" = failed
facts_end
