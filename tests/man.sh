#!/bin/bash
# The manual page and --help say the same: every verb and every option of one is in the other.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"
page=$root/drctl.1

# The options that every verb takes: told once, in both.
shared=" --config --help --json --quiet --version --yes "

# What the page says: "VERB" and "VERB --option" lines, from the section VERBS.
awk '
    /^\.Sh / { inside = ($2 == "VERBS") }
    !inside { next }
    /^\.It Cm / { verb = $3; print verb }
    verb != "" {
        for (i = 1; i < NF; i++)
            if ($i == "Fl" && $(i + 1) ~ /^-[a-z]/) print verb " -" $(i + 1)
    }' "$page" | sort -u >"$work/page.all"

# What the program says. The verbs are the second word behind the need, or the first without one.
"$DRCTL" --help >"$work/help"
awk '/^ -c/ { exit } NR > 2 && NF > 1 { print substr($0, 22) }' "$work/help" | awk 'NF { print $1 }' >"$work/verbs"
echo help >>"$work/verbs" # hidden in the list, but not a secret
while read -r verb; do
    echo "$verb"
    "$DRCTL" "$verb" --help | sed "s/'[^']*'//g" | { grep -oE -- '--[a-z][a-z-]*' || true; } | sed "s/^/$verb /"
done <"$work/verbs" | sort -u >"$work/help.all"

for side in page help; do
    while read -r verb option; do
        case $shared in *" $option "*) [ -z "$option" ] || continue ;; esac
        echo "$verb${option:+ $option}"
    done <"$work/$side.all" | sort -u >"$work/$side.pairs"
done

none() { [ ! -s "$1" ] || { sed 's/^/    /' "$1" && return 1; }; }
comm -13 "$work/page.pairs" "$work/help.pairs" >"$work/undocumented"
comm -23 "$work/page.pairs" "$work/help.pairs" >"$work/invented"
fact "the page has every verb and option of --help" none "$work/undocumented"
fact "--help has every verb and option of the page" none "$work/invented"
fact "the comparison saw the verbs" grep -qx 'restore --to' "$work/page.pairs"

for option in $shared; do
    fact "$option is told by --help" grep -q -- "$option" "$work/help"
    fact "$option is told by the page" grep -q "Fl -${option#--}" "$page"
done
for section in "EXIT STATUS" ENVIRONMENT FILES EXAMPLES; do
    fact "the page has $section" grep -qx ".Sh $section" "$page"
done
codes() { for code in 0 1 2 3 4 5 6 7 8 9; do grep -qx ".It $code" "$page" || return 1; done; }
fact "the page tells every exit code" codes
for file in "$root"/*.[1-8]; do
    name=$(basename "$file")
    fact "mandoc finds nothing to say about $name" mandoc -T lint -W warning "$file"
    run env LC_ALL=C.UTF-8 MANROFFSEQ='' MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z "$file"
    fact "nor has groff about $name" test -z "$talk"
done

# drctl-runbook(7) and the program know the same keys and types.
plans=$root/drctl-runbook.7
keys_of() { # FILE NAME: the words of an array of the source
    awk -v from="$2\\[\\] = " '$0 ~ from { on = 1 } on { print } on && /;/ { exit }' "$root/$1" |
        grep -o '"[a-z_]*"' | tr -d '"' | sort
}
told() { # SECTION...: the keys of its list
    awk -v section="$1" '/^\.Sh / { on = (substr($0, 5) == section) } on && /^\.It Va / { print }' "$plans" |
        sed 's/^\.It Va //; s/ , /\n/g' | sort
}
fact "every key of a plan is told, and no other" \
    diff <(keys_of dr/plan/read.c plan_keys) <(told "KEYS OF A PLAN")
fact "every key of a step is told, and no other" \
    diff <(keys_of dr/plan/steps.c step_keys) <(told "KEYS OF A STEP")
"$DRCTL" plan types | awk 'NR > 1 && NF == 0 { exit } NR > 1 { print $1 }' | sort >"$work/types"
types_told() {
    awk '/^\.Sh / { on = ($2 == "STEP" && $3 == "TYPES") } on && /^\.Cm / { sub(/^\.Cm /, ""); gsub(/ , /, "\n"); print }' \
        "$plans" | sort
}
fact "every step type is told, and no other" diff "$work/types" <(types_told)
awk '/^plan: / { on = 1 } /^\.Ed/ { on = 0 } on' "$plans" >"$work/move_web.yaml"
run "$DRCTL" plan lint "$work/move_web.yaml"
fact "the plan of the page has no finding" test $rc -eq 0

# The page of the daemon: the same options as the verb has, both ways.
daemon=$root/backupd.8
grep -oE '^\.It Fl -[a-z][a-z-]*' "$daemon" | sed 's/^.It Fl -/--/' | sort -u >"$work/daemon.page"
"$DRCTL" daemon --help | { grep -oE -- '--[a-z][a-z-]*' || true; } | sort -u >"$work/daemon.help"
fact "backupd.8 has every option of the daemon, and no other" diff "$work/daemon.page" "$work/daemon.help"
for section in ENVIRONMENT FILES "EXIT STATUS" EXAMPLES; do
    fact "backupd.8 has $section" grep -qx ".Sh $section" "$daemon"
done
fact "mandoc finds nothing to say about backupd.8" mandoc -T lint -W warning "$daemon"

# The configuration of EXAMPLES is one that works.
awk '/^disaster_recovery:/ { on = 1 } /^\.Ed/ { on = 0 } on' "$page" >"$work/dr.yaml"
run "$DRCTL" check -c "$work/dr.yaml"
fact "the configuration of the page has no finding" test $rc -eq 0

facts_end
