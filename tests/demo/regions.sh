# regions.sh: the world of the demo, to be sourced: three regions, their edges, the name server.
#
#   127.0.1.1 us-east-1        edge (HAProxy, dies with it)   nginx   bucket   the application
#   127.0.1.2 eu-west-1        edge that survives             nginx   bucket
#   127.0.1.3 ap-southeast-1   the same edge                  nginx   bucket
#   127.0.0.1                  PowerDNS (demo.test), outside of all regions
#
# Users come to the same FRONT port on each address, as DNS carries no port. Everything lives below
# $WORLD; each server is the leader of a process group, noted in a file NAME.pid, and is stopped by it.
# shellcheck shell=bash
# shellcheck disable=SC2034 # for those who source this
REGIONS=(us-east-1 eu-west-1 ap-southeast-1)
declare -A ADDRESS=([us-east-1]=127.0.1.1 [eu-west-1]=127.0.1.2 [ap-southeast-1]=127.0.1.3)

# COUNT ports that are free on every address of the demo, TCP and UDP; below the range from which the
# system takes ports for outgoing connections.
free_ports() {
    "$PYTHON" - "$1" <<'PY'
import random, socket, sys
found = []
while len(found) < int(sys.argv[1]):
    port = random.randrange(12000, 32000)
    taken = []
    try:
        for address in ("127.0.0.1", "127.0.1.1", "127.0.1.2", "127.0.1.3"):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                taken.append(socket.socket(socket.AF_INET, kind))
                taken[-1].bind((address, port))
        if port not in found:
            found.append(port)
    except OSError:
        pass
    for s in taken:
        s.close()
print(*found)
PY
}

# start NAME COMMAND...: in the background, in a session of its own.
start() {
    local name=$1
    shift
    setsid "$@" </dev/null >>"$WORLD/$name.log" 2>&1 &
    echo $! >"$WORLD/$name.pid"
    disown $!
}

# until_true SECONDS WHAT COMMAND...: wait for it, with a bound.
until_true() {
    local seconds=$1 what=$2
    local end=$((SECONDS + seconds))
    shift 2
    until "$@" >/dev/null 2>&1; do
        if [ $SECONDS -ge "$end" ]; then
            echo "demo: $what did not happen within $seconds s" >&2
            return 1
        fi
        sleep 0.1 # what is asked is often a program of its own
    done
}

listening() { # ADDRESS PORT
    (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null
}

start_nginx() { # REGION
    local dir=$WORLD/regions/$1 user=
    mkdir -p "$dir/nginx"
    # The workers of a root nginx would change to a user who cannot read the world.
    [ "$(id -u)" -ne 0 ] || user="user root;"
    cat >"$dir/nginx/nginx.conf" <<C
$user
daemon off;
worker_processes 1;
pid $dir/nginx/pid;
error_log stderr warn;
events { worker_connections 128; }
http {
    access_log off;
    client_body_temp_path $dir/nginx/b; proxy_temp_path $dir/nginx/p; fastcgi_temp_path $dir/nginx/f;
    uwsgi_temp_path $dir/nginx/u; scgi_temp_path $dir/nginx/s;
    default_type application/octet-stream;
    server {
        listen ${ADDRESS[$1]}:$SITE_PORT;
        root $dir/current;
        location = /ready { return 200 "$1: nginx is up\n"; }
        location = /health { if (!-f $dir/active) { return 503; } try_files /sentinel =503; }
        location / { if (!-f $dir/active) { return 503; } }
    }
}
C
    start "regions/$1/nginx" nginx -p "$dir/nginx" -e stderr -c "$dir/nginx/nginx.conf"
    until_true 60 "nginx of $1" listening "${ADDRESS[$1]}" "$SITE_PORT"
}

# start_edge NAME BACKEND "ADDRESS..." "REGION..." "REGION...": binds; servers ready; servers in maintenance.
start_edge() {
    local name=$1 backend=$2 binds=$3 ready=$4 maint=$5 address region
    mkdir -p "$WORLD/edge-$name"
    {
        echo "global"
        echo "    nbthread 1"
        echo "    maxconn 256"
        echo "    stats socket $WORLD/edge-$name/admin.sock mode 600 level admin"
        echo "defaults"
        echo "    mode http"
        echo "    retries 0"
        echo "    timeout connect 1s"
        echo "    timeout client 5s"
        echo "    timeout server 5s"
        echo "frontend users"
        for address in $binds; do echo "    bind $address:$FRONT_PORT"; done
        echo "    default_backend $backend"
        echo "backend $backend"
        for region in $ready; do echo "    server $region ${ADDRESS[$region]}:$SITE_PORT"; done
        for region in $maint; do echo "    server $region ${ADDRESS[$region]}:$SITE_PORT disabled"; done
    } >"$WORLD/edge-$name/haproxy.cfg"
    start "edge-$name" haproxy -db -f "$WORLD/edge-$name/haproxy.cfg"
    for address in $binds; do until_true 60 "the edge '$name'" listening "$address" "$FRONT_PORT"; done
}

start_dns() { # API-KEY
    local dir=$WORLD/dns
    mkdir -p "$dir"
    "$PYTHON" - "$dir/pdns.db" "${ADDRESS[us-east-1]}" <<'PY'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
with open("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql", encoding="utf-8") as f:
    db.executescript(f.read())
db.execute("insert into domains(id, name, type) values (1, 'demo.test', 'NATIVE')")
for name, kind, content in (
        ("demo.test", "SOA", "ns.demo.test hostmaster.demo.test 1 3600 600 86400 1"),
        ("demo.test", "NS", "ns.demo.test"),
        ("ns.demo.test", "A", "127.0.0.1"),
        ("app.demo.test", "A", sys.argv[2])):
    db.execute("insert into records(domain_id, name, type, content, ttl, auth) values (1, ?, ?, ?, 1, 1)",
               (name, kind, content))
db.commit()
PY
    cat >"$dir/pdns.conf" <<C
launch=gsqlite3
gsqlite3-database=$dir/pdns.db
gsqlite3-pragma-synchronous=0
local-address=127.0.0.1
local-port=$DNS_PORT
api=yes
api-key=$1
webserver=yes
webserver-address=127.0.0.1
webserver-port=$API_PORT
webserver-allow-from=127.0.0.1
socket-dir=$dir
daemon=no
guardian=no
disable-syslog=yes
receiver-threads=1
distributor-threads=1
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
zone-cache-refresh-interval=0
security-poll-suffix=
version-string=anonymous
C
    start dns pdns_server --config-dir="$dir"
    until_true 60 "the name server" listening 127.0.0.1 "$API_PORT"
    until_true 60 "the name server" "$PYTHON" "$HERE/check.py" resolve "$WORLD"
}

# What still runs of this world: everything that carries its mark in its environment or its path in
# its arguments (nginx writes its title over the former), whatever forked it; then the noted groups.
survivors() {
    local file
    # The mark is in no argument and no variable of what looks for it.
    (
        unset DRCTL_DEMO
        {
            # shellcheck disable=SC2062 # names, and no pattern
            grep -lszxF --file=- /proc/[0-9]*/environ <<<"DRCTL_DEMO=$WORLD"
            # shellcheck disable=SC2062
            grep -lszF --file=- /proc/[0-9]*/cmdline <<<"$WORLD/"
        } 2>/dev/null | cut -d / -f 3 | sort -u
    )
    for file in "$WORLD"/*.pid "$WORLD"/ops/*.pid "$WORLD"/regions/*/*.pid; do
        if [ -s "$file" ] && [ "${file##*/}" != app.pid ] && kill -0 -- "-$(cat "$file")" 2>/dev/null; then
            echo "-$(cat "$file")"
        fi
    done
}
