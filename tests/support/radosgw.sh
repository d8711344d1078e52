# shellcheck shell=bash
# radosgw.sh - real S3 regions for shell tests and the demo, by the program testserver.
#
#     radosgw_start DIR COUNT     up within a second each; sets S3_1_HTTP, S3_1_CA, S3_OWNER_KEY ...
#     radosgw_say bucket 1 backups plain      (see tests/tools/testserver.c)
#     radosgw_say kill 1
#     radosgw_stop
#
# $OBJECTS is the folder of testserver. Everything ends with the shell, however it ends.

radosgw_start() { # DIR COUNT
    mkdir -p "$1" || return 1
    coproc RADOSGW { exec "${OBJECTS:?the folder of testserver}/testserver" radosgw "$1" "$2"; }
    radosgw_answer || return 1
    radosgw_say env
}

# One command; its answer's lines are sourced. Fails when the answer is not "ok".
radosgw_say() { # WORD...
    printf '%s\n' "$*" >&"${RADOSGW[1]}" && radosgw_answer
}

radosgw_answer() {
    local line
    while IFS= read -r -t 120 line <&"${RADOSGW[0]}"; do
        case $line in
        ok) return 0 ;;
        S3_*) eval "$line" ;;
        *) return 1 ;;
        esac
    done
    return 1
}

radosgw_stop() {
    local pid=${RADOSGW_PID:-} end=${RADOSGW[1]:-}
    [ -n "$pid" ] || return 0
    eval "exec $end>&-"
    wait "$pid"
}
