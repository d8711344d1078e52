# shellcheck shell=bash
# sshd.sh - for shell tests: a real sshd of the test's own on loopback, with keys of its own.
#
# Source it after facts.sh. Then `sshd_begin` makes the folder $work/ssh (host, other, id and their .pub, known_hosts,
# config, log) and starts a server on a free $port of 127.0.0.1 and 127.0.0.2. Lines of configuration that the
# test wants stand in the function ssh_more (default: none). Ended by end_server and at the end of the test.

: "${work:?source facts.sh first}"
daemon=$(PATH=$PATH:/usr/sbin:/sbin command -v sshd)
made_run=
if [ "$(id -u)" -eq 0 ] && [ ! -d /run/sshd ]; then
    mkdir /run/sshd # where root's sshd locks up those who are not logged in yet; nothing is put there
    made_run=yes
fi
sshd=
sessions() { # the processes of sshd that serve a connection
    local child
    for child in $(pgrep -P "$sshd"); do
        pgrep -P "$child" '^sshd' || true
        echo "$child"
    done
}
end_server() {
    [ -z "$sshd" ] || { kill "$sshd" 2>/dev/null && wait "$sshd" 2>/dev/null; } || true
    sshd=
}
sshd_clean_up() {
    end_server
    [ -z "$made_run" ] || rmdir /run/sshd 2>/dev/null || true
    facts_cleanup
}
trap sshd_clean_up EXIT
ssh_more() { :; }
start_server() { # PORT: false when it is taken
    cat >"$work/ssh/config" <<CONFIG
Port $1
ListenAddress 127.0.0.1
ListenAddress 127.0.0.2
HostKey $work/ssh/host
PidFile none
AuthorizedKeysFile $work/ssh/id.pub
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
LogLevel VERBOSE
$(ssh_more)
CONFIG
    "$daemon" -D -e -f "$work/ssh/config" 2>>"$work/ssh/log" &
    sshd=$!
    for _ in $(seq 600); do
        [ "$(grep -c "Server listening on 127.0.0.1 port $1" "$work/ssh/log")" -gt "$listens" ] && break
        kill -0 "$sshd" 2>/dev/null || break
        sleep 0.1
    done
    if [ "$(grep -c "Server listening on 127.0.0.1 port $1" "$work/ssh/log")" -gt "$listens" ]; then
        listens=$((listens + 1))
        return 0
    fi
    end_server
    return 1
}
known() { # FILE: that key is the host's
    for host in 127.0.0.1 127.0.0.2; do
        echo "[$host]:$port $(cut -d' ' -f1,2 "$1")"
    done >"$work/ssh/known_hosts"
}
sshd_begin() {
    mkdir "$work/ssh"
    for key in host other id; do ssh-keygen -q -t ed25519 -N '' -f "$work/ssh/$key"; done
    for _ in 1 2 3 4 5 6 7 8; do
        port=$((20000 + RANDOM))
        listens=0
        : >"$work/ssh/log"
        ! start_server "$port" || break
    done
    known "$work/ssh/host.pub"
}
