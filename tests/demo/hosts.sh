# hosts.sh: who runs drctl in the demo, to be sourced: a host in each region with a backupd, and the operator's own.
#
#   regions   dr.REGION.yaml   state in regions/REGION/state   backupd serves the sources of its site, asks the probes of
#                                                              its site, and writes what it knows into every bucket
#   operator  dr.yaml          state in ops/state              keys and buckets, nothing else
#
# Each region's host has a key of its own; all of them are believed by all. They reach each other by ssh.sh.
# shellcheck shell=bash

# drctl on the host of a region.
on() { # REGION WORD...
    local region=$1
    shift
    "$DRCTL" -c "$WORLD/dr.$region.yaml" "$@"
}

make_hosts() {
    local region
    mkdir -p "$WORLD/bin"
    ln -s "$HERE/ssh.sh" "$WORLD/bin/ssh"
    for region in "${REGIONS[@]}"; do
        echo "${ADDRESS[$region]}" >"$WORLD/regions/$region/address"
        configure "$WORLD/dr.$region.yaml" "$region" "here: $region" "$WORLD/regions/$region/state"
    done
    configure "$WORLD/dr.yaml" "$HOME_REGION" "# the operator's host is no site" "$WORLD/ops/state"
}

configure() { # FILE REGION WHO STATE
    fill_in "$HERE/dr.yaml.in" "$1"
    sed -i -e "s|@SITE@|$2|g" -e "s|@WHO@|$3|" "$1"
    echo "state_dir: $4" >>"$1"
    name_stores "$1"
}

# A repository in each bucket, a key on each host, and each other's keys in each configuration.
init_hosts() {
    local region key keys='' source
    drctl -q init || return 1
    for region in "${REGIONS[@]}"; do
        on "$region" -q init >/dev/null && key=$(on "$region" key) || return 1
        keys+="\"$key\", "
    done
    for region in "${REGIONS[@]}" ''; do
        {
            echo "trusted_writers:"
            for source in app nginx drctl-self; do echo "  $source: [${keys%, }]"; done
        } >>"$WORLD/dr.${region:+$region.}yaml"
    done
}

start_backupd() { # REGION
    start "regions/$1/backupd" "$BACKUPD" -c "$WORLD/dr.$1.yaml"
}

# How many jobs of a kind the backupd of a region has done: "full of 'app'".
jobs_done() { # REGION JOB
    grep -cE "$2: done( with warnings)? in " "$WORLD/regions/$1/backupd.log"
}

have_done() { # REGION JOB COUNT
    [ "$(jobs_done "$1" "$2")" -ge "$3" ]
}

# The processes of a session: all that a backupd started, whatever groups they made.
in_session() { # LEADER
    local stat line words
    for stat in /proc/[0-9]*/stat; do
        { read -r line <"$stat"; } 2>/dev/null || continue
        read -ra words <<<"${line##*) }" # state, parent, group, session
        [ "${words[3]}" != "$1" ] || basename "$(dirname "$stat")"
    done
}

# From now on a source lives in another region: what people change in the configuration after a failover.
move_source() { # SOURCE REGION
    local region file
    for file in "$WORLD"/dr.yaml "$WORLD"/dr.*.yaml; do
        [ "$file" = "$WORLD/dr.$HOME_REGION.yaml" ] || sed -i "/- name: $1\$/{n;s/site: .*/site: $2/}" "$file"
    done
    for region in "${REGIONS[@]}"; do
        [ "$region" = "$HOME_REGION" ] || kill -HUP "$(cat "$WORLD/regions/$region/backupd.pid")"
    done
}
