#!/bin/bash
# badstore.sh - a store program that speaks the protocol and then does one thing that is wrong.
#
#     how=WORD    what it does with the first request behind its hello
#     log=FILE    gets a line for each start
#
# The rest of what it is asked, it answers with one object, "hello".
how=good log=/dev/null version=1 parallel=1
for word; do
    case $word in
    how=*) how=${word#how=} ;;
    log=*) log=${word#log=} ;;
    fifo=*) fifo=${word#fifo=} ;;
    version=*) version=${word#version=} ;;
    parallel=*) parallel=${word#parallel=} ;;
    esac
done
echo "started $*" >>"$log"
starts=$(wc -l <"$log")
[ "$how" != mute ] || exec sleep 1000
[ "$how" != stillborn ] || { echo "no drive" >&2 && exit 4; }

number() { x=${line#*\""$1"\":} && printf %s "${x%%[!0-9]*}"; }
ok() { printf '{"id":%s,"ok":true%s}\n' "$id" "$1"; }
next() {
    IFS= read -r line || exit 0
    id=$(number id) op=${line#*\"op\":\"} op=${op%%\"*}
    case $line in *'"body":'*) head -c "$(number body)" >/dev/null ;; esac
}

# What a good program would do.
serve() {
    case $op in
    get) ok ',"body":5' && printf hello ;;
    head) ok ',"size":5' ;;
    put) printf '{"id":%s,"ok":false,"error":"exists"}\n' "$id" ;;
    list) ok ',"more":false,"body":4' && printf '5 a\n' ;;
    *) ok '' ;;
    esac
}

misbehave() {
    case $how in
    hang) exec 9>"$fifo" && sleep 1000 & exec 9>"$fifo" && sleep 1000 ;;
    trickle) ok ',"body":5' && while printf h; do sleep 1000; done ;;
    crash) kill -9 $$ ;;
    once) if [ "$starts" -le 1 ]; then exit 1; else return 1; fi ;;
    leave) echo "the tape is torn" >&2 && exit 3 ;;
    half) ok ',"body":5' && printf he && exit 0 ;;
    flood) tr '\0' x </dev/zero ;;
    garbage) echo "hello, what can I do for you?" ;;
    list) echo '[1]' ;;
    twice) printf '{"id":%s,"id":%s,"ok":true}\n' "$id" "$id" ;;
    otherid) id=77 && ok '' ;;
    nothing) printf '{"id":%s}\n' "$id" ;;
    nobody) ok '' ;;
    badbody) ok ',"body":-1' ;;
    long) ok ',"body":600' ;;
    short) ok ',"body":2' && printf he ;;
    behind) env printf '{"id":%s,"ok":true,"body":5}\nhelloworld' "$id" ;; # a builtin would write each line by itself
    talkative) head -c 3000000 /dev/zero | tr '\0' e >&2 && return 1 ;;
    disorder) ok ',"more":false,"body":8' && printf '5 b\n5 a\n' ;;
    foreign) ok ',"more":false,"body":6' && printf '5 A/b\n' ;;
    nosize) ok ',"more":false,"body":2' && printf 'a\n' ;;
    endless) ok ',"more":true,"body":0' ;;
    torn) ok ',"more":false,"body":3' && printf '5 a' ;;
    error:*) printf '{"id":%s,"ok":false,"error":"%s","message":"told \\u001b[2J so","hint":"Do this."}\n' "$id" "${how#error:}" ;;
    *) return 1 ;;
    esac
}

next
ok ",\"version\":$version,\"parallel\":$parallel,\"can\":[\"conditional_put\"]"
[ "$how" != chatty ] || echo "and by the way"
next
misbehave || serve
while next; do serve; done
