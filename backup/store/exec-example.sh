#!/bin/sh
# exec-example.sh - a bucket in a directory, kept by fifty lines of shell; the protocol is in EXEC.md.
#
#     url: exec:///PATH/exec-example.sh?dir=/srv/bucket
set -eu
export LC_ALL=C
for word; do case $word in dir=*) dir=${word#dir=} ;; esac; done
cd "${dir:?the url has to say dir=DIRECTORY}"
temp=.work-$$
trap 'rm -f "$temp"' EXIT

text() { x=${line#*\""$1"\":\"}; printf %s "${x%%\"*}"; }
number() { x=${line#*\""$1"\":}; printf %s "${x%%[!0-9]*}"; }
good() { printf '{"id":%s,"ok":true%s}\n' "$id" "${1-}"; }
bad() { printf '{"id":%s,"ok":false,"error":"%s","message":"%s"}\n' "$id" "$1" "$2"; }
sync_above() { at=$1; while [ "$at" != . ]; do at=$(dirname "$at"); [ ! -d "$at" ] || sync "$at"; done; }

put() { # whole under a hidden name first; a link never replaces
    head -c "$(number body)" >"$temp"
    sync "$temp" && mkdir -p "$(dirname "$name")"
    if ln -T "$temp" "$name" 2>/dev/null; then
        sync_above "$name"
        good
    elif [ -e "$name" ]; then bad exists 'it is there already'; else bad io 'cannot link it'; fi
    rm -f "$temp"
}
get() {
    [ -f "$name" ] || { bad notfound 'no such file'; return; }
    offset=$(number offset) length=$(number length)
    left=$(($(stat -c %s "$name") - offset))
    [ "$left" -ge 0 ] || left=0
    [ "$left" -le "$length" ] || left=$length
    good ",\"body\":$left"
    [ "$left" -eq 0 ] || tail -c "+$((offset + 1))" "$name" | head -c "$left"
}
list() { # one more than asked for tells whether there are more
    limit=$(number limit)
    find . -type f ! -path '*/.*' -printf '%s %P\n' | sort -k 2 | prefix=$(text prefix) after=$(text after) awk '
        NF == 2 && $2 !~ /[^a-z0-9._\/-]/ && index($2, ENVIRON["prefix"]) == 1 && $2 "" > ENVIRON["after"] ""' >"$temp"
    more=false
    [ "$(wc -l <"$temp")" -le "$limit" ] || { more=true && sed -i "$((limit + 1)),\$d" "$temp"; }
    good ",\"more\":$more,\"body\":$(wc -c <"$temp")"
    cat "$temp"
}

while read -r line; do
    id=$(number id) name=$(text name)
    case $(text op) in
    hello) good ',"version":1,"parallel":4,"can":["conditional_put"]' ;;
    get) get ;;
    put) put ;;
    head) if [ -f "$name" ]; then good ",\"size\":$(stat -c %s "$name")"; else bad notfound 'no such file'; fi ;;
    list) list ;;
    remove) rm -f "$name" && sync_above "$name" && good ;;
    *) bad unsupported 'there is no such operation' ;;
    esac
done
