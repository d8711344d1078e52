# shellcheck shell=bash
# regions.sh - for shell tests of runs: three regions on loopback, sources and buckets as directories.
#
# Source it after facts.sh. The configuration is $work/dr.yaml, and $work is the current folder; leases are
# short (LEASE: where they lie), and the operator is ana.

: "${work:?source facts.sh first}"
unset DRCTL_CONFIG
export DRCTL_OPERATOR=ana
cd "$work" || exit 1

# three_regions PEOPLE [BUCKET REGION]: who has the role dr-commander ("ana, bo"); buckets us and eu, and
# one more if it is named.
three_regions() {
    local people=$1 more=
    mkdir -p us eu srv
    echo hello >srv/f
    if [ $# -eq 3 ]; then
        mkdir -p "$2"
        more="  - {name: $2, url: \"file://$work/$2\", region: $3}"
    fi
    cat >dr.yaml <<YAML
disaster_recovery:
  backup_policy:
    full_backup: {frequency: daily, retention: 30d}
  incident_response:
    contact_information: {dr-commander: [$people]}
sites:
  - {name: us, region: us-east-1, address: 127.0.0.1}
  - {name: eu, region: eu-west-1, address: 127.0.0.2}
  - {name: ap, region: ap-southeast-1, address: 127.0.0.3}
sources:
  - {name: app, path: $work/srv, class: data}
buckets:
  - {name: us, url: "file://$work/us", region: us-east-1}
  - {name: eu, url: "file://$work/eu", region: eu-west-1}
$more
coordination: {lease: {${LEASE:-driver: file, path: $work/leases}, hold: 5s, take: 6s}}
state_dir: $work/state
YAML
}
