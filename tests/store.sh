#!/bin/bash
# drctl store test: a store is tried before it is trusted; each promise is a line.
# shellcheck disable=SC2016  # dollars in single quotes are those of the example
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"

mkdir "$work/dir" "$work/bucket" "$work/bin"
cp "$root/backup/store/exec-example.sh" "$root/tests/support/badstore.sh" "$work/bin"
chmod 700 "$work/bin" "$work/bin"/*
program="exec://$work/bin/exec-example.sh?dir=$work/bucket"

run "$DRCTL" store test "file://$work/dir" --many 50
fact "a directory keeps every promise" test "$rc" -eq 0
fact "each promise is one line" test "$(grep -c '^kept ' <<<"$out")" -ge 8
fact "the directory is as empty as before" test -z "$(find "$work/dir" -type f ! -name '.*')"

run "$DRCTL" store test "$program" --many 8
fact "the example in shell keeps every promise" test "$rc" -eq 0
fact "what a store does not claim is not asked" has "$out" "not claimed  of many swaps"
fact "the example's directory is as empty as before" test -z "$(find "$work/bucket" -type f)"

run "$DRCTL" store test "exec://$work/bin/badstore.sh?how=good" --json
fact "a store that is not empty is left alone" test "$rc" -eq 5

# The example, spoiled in one place each: the promise that is broken is named.
spoil() {
    sed "$2" "$work/bin/exec-example.sh" >"$work/bin/spoiled.sh"
    chmod 700 "$work/bin/spoiled.sh"
    cmp -s "$work/bin/spoiled.sh" "$work/bin/exec-example.sh" && return 1
    run "$DRCTL" store test "exec://$work/bin/spoiled.sh?dir=$work/bucket&timeout=500ms" --many 4
    find "$work/bucket" -mindepth 1 -delete
    [ "$rc" -eq 1 ] && has "$out" "broken       $1"
}
fact "a put that replaces is found" spoil "an object is never changed" 's/ln -T/mv -f -T/'
fact "ranges that begin one late are found" spoil "ranges are exact" 's/offset + 1/offset + 2/'
fact "bytes that are lost are found" spoil "what was put comes back" 's/sync "$temp" &&/truncate -s "<300" "$temp" \&\&/'
fact "a list without order is found" spoil "lists are complete" 's/sort -k 2/sort -rk 2/'
fact "a list that forgets is found" spoil "a long list is complete" "s/'%s %P/'%s %P/; s/index(\$2/\$2 !~ \"many.*2\" \\&\\& index(\$2/"
fact "a remove that does nothing is found" spoil "what is removed is gone" 's/remove) rm -f "$name"/remove) : "$name"/'
fact "two winners are found" spoil "of many puts of one name at once" \
    's/if ln -T .*/if [ ! -e "$name" ] \&\& sleep 0.2 \&\& mv -f -T "$temp" "$name"; then/'

run "$DRCTL" store test "$program" --many 2 --json
fact "with --json each promise is an object" \
    jq -e '.exit == 0 and .broken == 0 and (.promises | length) > 7 and .promises[0].verdict == "kept"' "$work/.out"
run "$DRCTL" store test "exec://$work/bin/absent"
fact "a program that is not there is an error" test "$rc" -eq 1
run "$DRCTL" store tast "$program"
fact "another word is a mistake of the user" test "$rc" -eq 2
run "$DRCTL" store test "$program" --many 0
fact "a list of nothing is a mistake of the user" test "$rc" -eq 2

facts_end
