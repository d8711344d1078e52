# shellcheck shell=bash
# facts.sh - for shell tests: source it, state facts, end with facts_end.
#
#     fact "a bucket that is missing is named" test "$out" = "..."
#
# Work happens in $work, a fresh directory that is removed at the end. $DRCTL is the program.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
DRCTL=${DRCTL:-$root/build/drctl}
export DRCTL
work=$(mktemp -d "${TMPDIR:-/tmp}/drctl-test.XXXXXX")
facts_good=0
facts_bad=0

facts_cleanup() {
    chmod -R u+rwX "$work" 2>/dev/null || true
    rm -rf "$work"
}
trap facts_cleanup EXIT
trap 'exit 130' INT TERM

# fact NAME COMMAND...: the command must succeed.
fact() {
    local name=$1
    shift
    if "$@"; then
        echo "ok $name"
        facts_good=$((facts_good + 1))
    else
        echo "not ok $name: $*"
        facts_bad=$((facts_bad + 1))
    fi
}

# run COMMAND...: keep its standard output in $out, standard error in $talk, exit code in $rc.
# shellcheck disable=SC2034  # out, talk and rc are for the test that sources this
run() {
    rc=0
    "$@" >"$work/.out" 2>"$work/.err" || rc=$?
    out=$(tr -d '\0' <"$work/.out")
    talk=$(tr -d '\0' <"$work/.err")
}

# has TEXT PART: TEXT holds PART.
has() {
    case $1 in
    *"$2"*) return 0 ;;
    esac
    printf '    wanted: %s\n    in:     %s\n' "$2" "$1"
    return 1
}

facts_end() {
    echo "$facts_good passed, $facts_bad failed"
    [ "$facts_bad" -eq 0 ]
}
