#!/bin/bash
# deps.sh [--check] [build] [demo] [test] [s3] [check] [deb] [bench]: the Debian packages that each job needs.
#
# Without --check it lists what is missing and installs it with apt, without questions, when it is
# root or sudo needs no password; else it prints the one line to paste and exits 2. Packages such
# as nginx bring services: none is started and none stays enabled, and no port is open afterwards
# that was not before. With --check it only tells by its exit code (1) that something is missing.
set -euo pipefail

build="gcc libc6-dev make pkg-config libyaml-dev libzstd-dev libssl-dev libxxhash-dev libjansson-dev
 libuv1-dev libcurl4-openssl-dev libexpat1-dev libacl1-dev libmicrohttpd-dev libsqlite3-dev"
demo="nginx-light haproxy pdns-server pdns-backend-sqlite3 sqlite3 python3-minimal python3 zstd"
test="openssh-server openssh-client libs3-dev libcmocka-dev libarchive-dev libarchive-tools zstd openssl mandoc curl acl attr libcap2-bin jq procps systemd
 python3 python3-aiosmtpd man-db groff-base zsh fish"
s3="ceph-mon ceph-osd radosgw openssl"
bench="restic borgbackup zstd tar findutils coreutils python3 e2fsprogs mount util-linux"
deb="build-essential dpkg-dev debhelper fakeroot lintian binutils systemd"
check="clang clang-format clang-tidy libclang-rt-14-dev shellcheck mandoc git"

only_check=no
[ "${1:-}" = --check ] && { only_check=yes; shift; }
wanted=
for job in "${@:-build}"; do
    case $job in
    build) wanted+=" $build" ;;
    demo) wanted+=" $demo" ;;
    test) wanted+=" $test $s3" ;;
    s3) wanted+=" $s3" ;;
    check) wanted+=" $check" ;;
    deb) wanted+=" $deb" ;;
    bench) wanted+=" $bench" ;;
    *) echo "deps.sh: no job '$job'; there are build, demo, test, s3, check, deb, bench" >&2; exit 2 ;;
    esac
done

missing=()
for package in $wanted; do
    status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
    [ "$status" = "install ok installed" ] || missing+=("$package")
done
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sed '/^$/d' | sort -u)

[ ${#missing[@]} -gt 0 ] || exit 0
[ $only_check = no ] || exit 1

echo "To install: ${missing[*]}"
line="apt-get install -y --no-install-recommends ${missing[*]}"
if [ "$(id -u)" -ne 0 ]; then
    if sudo -n true 2>/dev/null; then
        exec sudo -n bash "$0" "$@"
    fi
    echo "This needs root. Paste:"
    echo "    sudo $line"
    exit 2
fi

# What is enabled (systemd and sysv) and what listens, one line each.
enabled() {
    find /etc/systemd/system /etc/rc[2345].d \( -path '*.wants/*' -o -path '*.requires/*' \
        -o -name 'S??*' -o -name '*.service' \) -type l 2>/dev/null | sort || true
}
# A daemon (a child of init) that listens: "ADDRESS:PORT PROGRAM". What people run by hand is theirs.
listening() {
    local inode address pid
    while read -r address inode; do
        # Processes come and go while find looks: its exit code says nothing.
        pid=$({ find /proc/[0-9]*/fd -lname "socket:\[$inode\]" 2>/dev/null || true; } | sed -n '1s#/proc/\([0-9]*\)/.*#\1#p')
        [ -n "$pid" ] || continue
        [ "$(awk '/^PPid:/ { print $2 }' "/proc/$pid/status" 2>/dev/null || true)" = 1 ] || continue
        echo "$address $(readlink "/proc/$pid/exe" || true)"
    done < <(awk 'FNR > 1 && $4 == "0A" { print $2, $10 }' /proc/net/tcp /proc/net/tcp6 2>/dev/null) | sort -u
}

policy=/usr/sbin/policy-rc.d
work=$(mktemp -d)
cleanup() {
    if [ -e "$work/policy" ]; then
        cp -p "$work/policy" "$policy"
    elif [ -e "$work/made-policy" ]; then
        rm -f "$policy"
    fi
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

enabled >"$work/enabled.before"
listening >"$work/listening.before"
if [ -e $policy ]; then
    cp -p $policy "$work/policy"
else
    : >"$work/made-policy"
fi
printf '#!/bin/sh\nexit 101\n' >$policy
chmod 755 $policy

export DEBIAN_FRONTEND=noninteractive
apt_options=(-y -q --no-install-recommends -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold)
if ! apt-get install "${apt_options[@]}" "${missing[@]}" >"$work/log" 2>&1; then
    # The package lists may be absent or old.
    apt-get update -q >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
    apt-get install "${apt_options[@]}" "${missing[@]}" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
fi

# Installing enables: take back exactly what was not there before.
enabled | comm -13 "$work/enabled.before" - >"$work/new"
while read -r link; do
    unit=$(basename "$link")
    case $link in
    /etc/rc*)
        name=${unit:3}
        update-rc.d "$name" disable >/dev/null 2>&1 || true
        ;;
    *)
        if command -v systemctl >/dev/null; then
            systemctl disable "$unit" >/dev/null 2>&1 || true
        fi
        rm -f "$link"
        ;;
    esac
    echo "Not enabled: $unit"
done <"$work/new"

still=$(enabled | comm -13 "$work/enabled.before" -)
opened=$(listening | comm -13 "$work/listening.before" -)
if [ -n "$still$opened" ]; then
    echo "deps.sh: the installation left something on: $still $opened" >&2
    exit 1
fi
echo "Installed ${#missing[@]} packages; no service was started or enabled, no port opened."
