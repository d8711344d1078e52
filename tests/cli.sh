#!/bin/bash
# The command line: verbs are found, options are read wherever they stand, mistakes are told, and
# the configuration is looked for where the manual says.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"
unset DRCTL_CONFIG
cd "$work"

cat >good.yaml <<'YAML'
disaster_recovery:
  backup_policy:
    full_backup: {frequency: daily, retention: 30d}
sources:
  - {name: app, path: /srv/app, class: data}
buckets:
  - {name: us, url: "file:///backup/us", region: us-east-1}
  - {name: eu, url: "file:///backup/eu", region: eu-west-1}
state_dir: /var/lib/drctl
YAML
sed 's/30d/30/' good.yaml >wrong.yaml
sed '/^sources/,/app/d' good.yaml >warn.yaml

silent() { [ -z "$1" ] || { printf '    said: %s\n' "$1" && return 1; }; }
is() { [ "$1" = "$2" ] || { printf '    is:     %s\n    wanted: %s\n' "$1" "$2" && return 1; }; }

# -- verbs --------------------------------------------------------------------------------------
run "$DRCTL" --help
fact "--help succeeds on stdout" is "$rc $talk" "0 "
fact "--help names a verb for each need" has "$out" "before the day"
run "$DRCTL"
fact "without a word it shows the same" has "$out" "drctl VERB --help"
run "$DRCTL" --version
fact "--version says name and version" has "$out" "drctl 0."
run "$DRCTL" chek
fact "an unknown verb is wrong usage" test $rc -eq 2
fact "and the nearest one is named" has "$talk" "no verb 'chek': did you mean 'check'?"
fact "and stdout stays empty" silent "$out"
run "$DRCTL" --json chek
fact "with --json the error is an object with exit and why" has "$out" '"exit":2,"why":"no verb'
run "$DRCTL" --jsn check
fact "an option before the verb that nobody knows is wrong usage" test $rc -eq 2
run "$DRCTL" check --help
fact "VERB --help shows its usage" has "$out" "drctl check "
run "$DRCTL" help check
fact "so does help VERB" has "$out" "drctl check "
run "$DRCTL" check --frob
fact "an unknown option of a verb is wrong usage" is "$rc" 2
fact "and is named" has "$talk" "check has no option '--frob'"
run "$DRCTL" check surplus
fact "a surplus word is wrong usage" has "$talk" "too many words: 'surplus'"

# -- shared options -------------------------------------------------------------------------------
run "$DRCTL" -c good.yaml check
fact "-c before the verb" test $rc -eq 0
run "$DRCTL" check -c good.yaml
fact "-c behind the verb" test $rc -eq 0
run "$DRCTL" check --config=good.yaml --json
fact "--config=FILE, --json behind the verb" is "$out" '{"findings":[],"exit":0}'
run "$DRCTL" check -c
fact "-c without a file is wrong usage" is "$rc" 2
run "$DRCTL" check -c /nowhere/dr.yaml
fact "a configuration that is not there is named" has "$talk" "/nowhere/dr.yaml"
fact "and is exit 2" test $rc -eq 2

# -- where the configuration is looked for -----------------------------------------------------------
if [ ! -e /etc/drctl/dr.yaml ]; then
    run "$DRCTL" check
    fact "without any configuration the places are listed" has "$talk" "no ./dr.yaml"
    fact "and it is exit 2" test $rc -eq 2
else
    run env DRCTL_CONFIG=wrong.yaml "$DRCTL" check
    fact "a configuration of this machine does not come first" test $rc -eq 2
fi
cp good.yaml dr.yaml
run "$DRCTL" check
fact "./dr.yaml is found" has "$out" "$work/dr.yaml: 1 source, 2 buckets in 2 regions"
run env DRCTL_CONFIG=wrong.yaml "$DRCTL" check
fact "DRCTL_CONFIG comes before ./dr.yaml" has "$out" "wrong.yaml:3:48: error: 30 what? [no-unit]"
run env DRCTL_CONFIG=wrong.yaml "$DRCTL" check -c good.yaml
fact "-c comes before DRCTL_CONFIG" test $rc -eq 0

# -- check ---------------------------------------------------------------------------------------------
run "$DRCTL" check -c wrong.yaml
fact "a mistake is exit 2" test $rc -eq 2
fact "its hint can be typed" has "$out" "    hint: write a unit: 30s, 30m, 30h"
run "$DRCTL" check -c wrong.yaml --json
fact "as JSON it has a place and a code" has "$out" '"line":3,"column":48,"code":"no-unit"'
run "$DRCTL" check -c warn.yaml
fact "warnings alone are exit 0" test $rc -eq 0
fact "and are told" has "$out" "warning: no sources"
run "$DRCTL" check -c warn.yaml --strict
fact "with --strict they are exit 2" test $rc -eq 2
run "$DRCTL" check -c warn.yaml --strict --json
fact "and say so as JSON" has "$out" '"exit":2,"why":"0 errors, 1 warning"'
run "$DRCTL" check -c good.yaml --strict
fact "a file without a finding passes --strict" test $rc -eq 0
run bash -c "cd '$root' && '$DRCTL' check -c conf/dr.yaml"
unexpected=$(grep -E ': (error|warning): ' <<<"$out" | grep -v '\[not-available\]$' || true)
fact "the complete example has no finding but for what this version lacks" is "$rc$unexpected" 0
for verb in drill serve; do
    told=$(grep -c "this version has no drctl $verb " <<<"$out" || true)
    there=$("$DRCTL" "$verb" --help >/dev/null 2>&1 && echo 1 || echo 0)
    fact "whether there is drctl $verb is told" is "$((told + there))" 1
done
sed 's/^sources/  rpo: {node_failure: 1h}\n&/' good.yaml >sum.yaml
run "$DRCTL" check -c sum.yaml
fact "an rpo that cannot hold is told with its sum" has "$out" \
    "cannot hold: full_backup every 1d + 2m to read + 1m to upload (both assumed) = 1d3m [rpo]"
fact "a plan that is not there is told" has "$out" "rpo: there is no plan 'node_failure' [unknown-plan]"
mkdir -p state
sed "s,/var/lib/drctl,$work/state,; s/daily/45m/" sum.yaml >took.yaml
cat >state/schedule.json <<'JSON'
{"rows":[{"what":"full","subject":"app","took_ms":960000,"exit":0},{"what":"full","subject":"gone","took_ms":1,"exit":0},
 {"what":"incremental","subject":"app","took_ms":1,"exit":0},7,{"what":null}],"schema":"drctl-schedule-1"}
JSON
run "$DRCTL" check -c took.yaml
fact "what backupd measured goes into the sum" has "$out" \
    "cannot hold: full_backup every 45m + 16m to take it (measured of 'app') = 1h1m [rpo]"
sed -i 's/960000,"exit":0/960000,"exit":1/' state/schedule.json
run "$DRCTL" check -c took.yaml
fact "a run that failed measured nothing" bash -c "! grep -qF '[rpo]' '$work/.out'"
echo '{"rows":' >state/schedule.json
run "$DRCTL" check -c took.yaml
fact "a history that is none harms nothing" is "$rc" 0
mkdir -p runbooks && cp "$root/runbooks/node_failure.yaml" runbooks/node-failure.yaml
run "$DRCTL" check -c sum.yaml
fact "it is found by its name, with either dash" bash -c "! grep -q unknown-plan '$work/.out'"

for plan in "$root"/runbooks/*.yaml; do
    run "$DRCTL" plan lint -c "$root/conf/dr.yaml" "$plan"
    fact "$(basename "$plan") fits the complete example" is "$rc" 0
done

# -- standard descriptors --------------------------------------------------------------------------------
rc=0
"$DRCTL" check -c good.yaml >/dev/full 2>err || rc=$?
fact "a result that cannot be written is a failure" test $rc -eq 1
fact "and is told" has "$(cat err)" "cannot write the result"
rc=0
"$DRCTL" check -c good.yaml >&- 2>err || rc=$?
fact "so is a closed stdout" test $rc -eq 1
run "$DRCTL" check -c good.yaml <&-
fact "a closed stdin harms nothing" test $rc -eq 0
rc=0
"$DRCTL" check -c wrong.yaml >/dev/null 2>&- || rc=$?
fact "a closed stderr harms nothing" test $rc -eq 2

# -- the second name ---------------------------------------------------------------------------------------
ln -s "$DRCTL" backupd
run ./backupd --version
fact "backupd is the same program" has "$out" "backupd 0."

facts_end
