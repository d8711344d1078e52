#!/bin/bash
# Completion for bash, zsh and fish: each shell reads its script and offers what the verbs' --help says.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"

for shell in bash zsh fish; do "$DRCTL" completion $shell >"$work/drctl.$shell"; done
fact "bash reads its script" bash -n "$work/drctl.bash"
fact "zsh reads its script" zsh -n "$work/drctl.zsh"
fact "fish reads its script" fish -n "$work/drctl.fish"
run "$DRCTL" completion csh
fact "another shell is wrong usage" test $rc -eq 2

# What the program says: its verbs, and the options of each (as tests/man.sh reads them).
"$DRCTL" --help | awk '/^ -c/ { exit } NR > 2 && NF > 1 { print substr($0, 22) }' | awk 'NF { print $1 }' >"$work/verbs"
echo help >>"$work/verbs"
sort -o "$work/verbs" "$work/verbs"
while read -r verb; do
    "$DRCTL" "$verb" --help | sed "s/'[^']*'//g" | { grep -oE -- '--[a-z][a-z-]*' || true; } | sed "s/^/$verb /"
done <"$work/verbs" | sort -u >"$work/options"
fact "the comparison sees options" grep -qx 'restore --to' "$work/options"

# -- bash: offered WORD... CUR --------------------------------------------------------------------------
cat >"$work/ask.bash" <<'BASH'
. "$1/drctl.bash"
offered() {
    COMP_WORDS=(drctl "$@")
    COMP_CWORD=$#
    _drctl
    printf '%s\n' "${COMPREPLY[@]}" | sed '/^$/d'
}
while read -r verb; do offered "$verb" -- | sed "s/^/$verb /"; done <"$1/verbs" >"$1/bash.options"
offered '' >"$1/bash.verbs"
{ offered plan '' && echo / && offered -c x.yaml --json plan l && echo / && offered report --format '' &&
    echo / && offered restore --to '' && echo / && offered plan lint '' && echo / && offered help resto; } |
    tr '\n' ' ' >"$1/bash.more"
BASH
bash "$work/ask.bash" "$work"
shared() { grep -vE ' (--config|--help|--json|--quiet|--version|--yes)$'; }
same_as_help() {
    diff <(shared <"$work/options") <(shared <"$1" | sort -u)
}
sort -o "$work/bash.verbs" "$work/bash.verbs"
fact "bash offers the verbs of --help" cmp "$work/verbs" "$work/bash.verbs"
fact "and the options of each" same_as_help "$work/bash.options"
fact "and the words behind a verb, the choices of an option, else files" \
    test "$(cat "$work/bash.more")" = "lint print types preflight run / lint / text json html csv / / / restore "

# -- zsh: what the function hands over -------------------------------------------------------------------
cat >"$work/ask.zsh" <<'ZSH'
compdef() { }
compadd() { while [[ $1 == -* && $1 != -- ]]; do shift; done; shift; print -rl -- ${(M)@:#${PREFIX}*} }
_describe() { print -rl -- ${${(P)2}%%:*} }
_files() { print files }
source $1/drctl.zsh
offered() {
    words=(drctl "$@")
    CURRENT=${#words}
    PREFIX=${words[CURRENT]}
    _drctl
}
while read -r verb; do offered $verb -- | sed "s/^/$verb /"; done <$1/verbs >$1/zsh.options
offered '' >$1/zsh.verbs
{ offered plan '' && print / && offered -c x.yaml --json plan l && print / && offered report --format '' &&
    print / && offered restore --to '' && print / && offered plan lint '' && print / && offered help resto } |
    tr '\n' ' ' >$1/zsh.more
ZSH
zsh -f "$work/ask.zsh" "$work"
sort -o "$work/zsh.verbs" "$work/zsh.verbs"
fact "zsh offers the verbs of --help" cmp "$work/verbs" "$work/zsh.verbs"
fact "and the options of each" same_as_help "$work/zsh.options"
fact "and the words behind a verb, the choices of an option, else files" \
    test "$(cat "$work/zsh.more")" = "lint print types preflight run / lint / text json html csv / files / files / restore "

# -- fish, which can be asked --------------------------------------------------------------------------------
mkdir "$work/empty"
cat >"$work/ask.fish" <<'FISH'
set dir $argv[1]
source $dir/drctl.fish
function offered
    complete -C "drctl $argv" | string replace -r '\t.*' ''
end
while read -l verb
    offered $verb -- | string replace -r '^' "$verb "
end <$dir/verbs >$dir/fish.options
offered '' >$dir/fish.verbs
echo (offered 'plan ' | sort) / (offered '-c x.yaml --json plan l') / (offered 'report --format ' | sort) / \
    (offered 'help resto') >$dir/fish.more
FISH
(cd "$work/empty" && HOME=$work/empty fish "$work/ask.fish" "$work")
sort -o "$work/fish.verbs" "$work/fish.verbs"
fact "fish offers the verbs of --help" cmp "$work/verbs" "$work/fish.verbs"
fact "and the options of each" same_as_help "$work/fish.options"
fact "and the words behind a verb, and the choices of an option" \
    test "$(cat "$work/fish.more")" = "lint preflight print run types / lint / csv html json text / restore"

facts_end
