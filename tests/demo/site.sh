#!/bin/bash
# site.sh WORLD REGION VERB: what the operators of a region installed there. drctl calls it from the
# plan (ready, activate, active, deactivate), around backups (freeze, thaw), as the service manager of the writer (start, stop,
# status), and backupd as a channel of notify (letter). A region is a directory below WORLD/regions; WORLD/world.env holds the demo's settings.
set -u
world=$1 region=$2 verb=$3
shift 3
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=/dev/null
. "$world/world.env"
site=$world/regions/$region

# Is anything of the writer alive? Its holder of the lease leads the process group in the file.
alive() {
    [ -s "$site/writer.pid" ] && kill -0 -- "-$(cat "$site/writer.pid")" 2>/dev/null
}

# The writer's session: first note who we are, then hold the lease and run the application under it,
# then note what drctl said in the end.
hold() {
    local gate=()
    # Outside of its home region the application waits for people before it writes.
    [ "$region" = "$HOME_REGION" ] || gate=(--gate "$site/writes-open")
    echo $$ >"$site/writer.pid.new" && mv "$site/writer.pid.new" "$site/writer.pid"
    "$DRCTL" -c "$world/dr.$region.yaml" lease hold writer/app --region "$region" -- \
        "$PYTHON" "$here/app.py" run "$site/current" --region "$region" --pid "$site/app.pid" \
        --manifests "$world/outside/manifests" --lock "$site/app.lock" "${gate[@]}"
    echo $? >"$site/writer.exit.new" && mv "$site/writer.exit.new" "$site/writer.exit"
}

start() {
    alive && return 0
    rm -f "$site/app.pid" "$site/writer.exit"
    setsid bash "$here/site.sh" "$world" "$region" hold </dev/null >>"$site/writer.log" 2>&1 &
    for _ in $(seq 400); do
        if [ -s "$site/app.pid" ]; then
            spoil
            return 0
        fi
        if [ -s "$site/writer.exit" ]; then
            tail -n 2 "$site/writer.log" >&2
            return "$(cat "$site/writer.exit")"
        fi
        sleep 0.05
    done
    echo "site: the writer of $region did not start within 20 s" >&2
    return 1
}

# BREAK=verify: something in this region damages a file once the service is up.
spoil() {
    [ -e "$site/spoils" ] || return 0
    printf 'spoilt' | dd of="$site/current/files/07/0707.txt" bs=1 seek=100 conv=notrunc status=none
}

stop() {
    alive || return 0
    kill -TERM -- "-$(cat "$site/writer.pid")" 2>/dev/null
    for _ in $(seq 100); do
        alive || return 0
        sleep 0.05
    done
    kill -KILL -- "-$(cat "$site/writer.pid")" 2>/dev/null
    return 0
}

# Hooks of the source: hold the application between two rounds, by its own lock, while it is read. The
# holder ends by itself, should the backup die before it could be told to.
freeze() {
    thaw
    setsid flock "$site/app.lock" sh -c "echo \$\$ >'$site/frozen.new' && mv '$site/frozen.new' '$site/frozen' &&
        exec sleep 60" </dev/null >/dev/null 2>&1 &
    for _ in $(seq 400); do
        [ ! -s "$site/frozen" ] || return 0
        sleep 0.02
    done
    echo "site: the application of $region gave no lock" >&2
    return 1
}

thaw() {
    [ -s "$site/frozen" ] || return 0
    kill "$(cat "$site/frozen")" 2>/dev/null
    rm -f "$site/frozen"
}

case $verb in
freeze) freeze ;;
thaw) thaw ;;
start) start ;;
stop) stop ;;
hold) hold ;;
status) alive && [ -s "$site/app.pid" ] && kill -0 "$(cat "$site/app.pid")" 2>/dev/null ;;
ready) # 0, or 1 and why
    grep -q '^ready' "$site/capacity" || { cat "$site/capacity" >&2 && exit 1; } ;;
activate) : >"$site/active" ;;
active) [ -e "$site/active" ] ;;
deactivate) rm -f "$site/active" ;;
letter) # somebody's phone: backupd of this region tells
    echo "$region $DRCTL_KIND $DRCTL_SEVERITY $DRCTL_KEY: $DRCTL_TITLE" >>"$world/outside/letters" ;;
*) echo "site: unknown verb '$verb'" >&2 && exit 2 ;;
esac
