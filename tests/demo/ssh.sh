#!/bin/bash
# ssh.sh: ssh(1) in a world of one machine, found as WORLD/bin/ssh. It takes the command line that drctl gives to ssh;
# the host is the address of a region. The command runs there: in a session of its own, with nothing in its environment but
# what that region's host has. A region that is lost does not answer. (tests/ssh.sh is about the real ssh and sshd.)
set -u
world=${0%/bin/ssh}
while [ $# -gt 0 ] && [ "$1" != -- ]; do shift; done
[ $# -eq 3 ] || { echo "ssh: not a command line of drctl's" >&2 && exit 255; }
host=$2 command=$3
for site in "$world"/regions/*; do
    if [ "$(cat "$site/address")" = "$host" ] && [ ! -e "$site/lost" ]; then
        exec env -i PATH="$PATH" LC_ALL=C DRCTL_DEMO="$world" DRCTL_CONFIG="$world/dr.${site##*/}.yaml" \
            setsid -w sh -c "exec $command"
    fi
done
echo "ssh: connect to host $host port 22: No route to host" >&2
exit 255
