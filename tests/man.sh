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
fact "mandoc finds nothing to say about the page" mandoc -T lint -W warning "$page"

# The configuration of EXAMPLES is one that works.
awk '/^disaster_recovery:/ { on = 1 } /^\.Ed/ { on = 0 } on' "$page" >"$work/dr.yaml"
run "$DRCTL" check -c "$work/dr.yaml"
fact "the configuration of the page has no finding" test $rc -eq 0

facts_end
