# stores.sh: the buckets of the demo, to be sourced: one in each region.
#
#   STORE=dir   the directory regions/REGION/bucket, which goes when the region goes
#   STORE=s3    a Ceph radosgw for each region, spoken to by https; the lost region's is killed
#
# shellcheck shell=bash
declare -A BUCKET=([us-east-1]=us [eu-west-1]=eu [ap-southeast-1]=ap)

start_stores() {
    local region n=0
    for region in "${REGIONS[@]}"; do
        n=$((n + 1))
        if [ "$STORE" = dir ]; then
            mkdir -p "$WORLD/regions/$region/bucket" || return 1
        elif [ $n -eq 1 ]; then
            OBJECTS=${OBJECTS:-$ROOT/build/release}
            # shellcheck source=tests/support/radosgw.sh
            . "$ROOT/tests/support/radosgw.sh"
            radosgw_start "$WORLD/s3" ${#REGIONS[@]} || return 1
            (umask 077 && echo "$S3_OWNER_KEY" >"$WORLD/ops/s3.id" && echo "$S3_OWNER_SECRET" >"$WORLD/ops/s3.secret")
        fi
        [ "$STORE" = dir ] || radosgw_say bucket $n "demo-${BUCKET[$region]}" plain || return 1
    done
}

stop_stores() {
    [ "$STORE" = dir ] || ! declare -F radosgw_stop >/dev/null || radosgw_stop
}

# The lines of the configuration for buckets and leases.
name_stores() { # CONFIGURATION
    local region url n=0 lines='' lease="driver: file, path: $WORLD/ops/leases" end
    for region in "${REGIONS[@]}"; do
        n=$((n + 1))
        end="S3_${n}_HTTPS"
        url="file://$WORLD/regions/$region/bucket\""
        [ "$STORE" = dir ] ||
            url="s3://demo-${BUCKET[$region]}?endpoint=${!end}\", ca: $(ca $n), credentials: {access_key: s3-id, secret_key: s3-secret}"
        lines+="  - {name: ${BUCKET[$region]}, region: $region, url: \"$url}"$'\n'
    done
    [ "$DEMO_LEASE" = file ] || lease="driver: bucket, bucket: eu"
    LINES_OF_BUCKETS=${lines%$'\n'} LINE_OF_LEASE=$lease "$PYTHON" - "$1" <<'PY'
import os, sys
path = sys.argv[1]
with open(path, encoding="utf-8") as f:
    text = f.read()
text = text.replace("@BUCKETS@", os.environ["LINES_OF_BUCKETS"]).replace("@LEASE@", os.environ["LINE_OF_LEASE"])
with open(path, "w", encoding="utf-8") as f:
    f.write(text)
PY
}

ca() { # NUMBER
    local name="S3_${1}_CA"
    echo "${!name}"
}

# The bucket of the lost region: its server is killed, or the directory is gone.
lose_store() {
    if [ "$STORE" = s3 ]; then
        must "the end of the primary's S3" radosgw_say kill 1
    else
        rm -rf "$WORLD/regions/$HOME_REGION/bucket"
    fi
}

# One signed request with the owner's keys: s3 NUMBER PATH [curl's words].
s3() {
    local end="S3_${1}_HTTP" path=$2
    shift 2
    curl -sf --aws-sigv4 "aws:amz:us-east-1:s3" --user "$S3_OWNER_KEY:$S3_OWNER_SECRET" \
        -H "x-amz-content-sha256: UNSIGNED-PAYLOAD" "$@" "${!end}/$path"
}

# Two bytes in the middle of every pack of every bucket that is left.
spoil_packs() {
    local pack n region
    if [ "$STORE" = dir ]; then
        find "$WORLD"/regions/*/bucket -path '*/packs/*' -type f | while read -r pack; do
            chmod u+w "$pack"
            spoil_middle "$pack"
        done
        return
    fi
    for n in 2 3; do
        region=${REGIONS[n - 1]}
        s3 $n "demo-${BUCKET[$region]}?list-type=2&prefix=packs%2F" | grep -o '<Key>[^<]*' | sed 's/<Key>//' |
            while read -r pack; do
                s3 $n "demo-${BUCKET[$region]}/$pack" -o "$WORLD/outside/pack"
                spoil_middle "$WORLD/outside/pack"
                s3 $n "demo-${BUCKET[$region]}/$pack" -T "$WORLD/outside/pack" >/dev/null
            done
    done
}

spoil_middle() { # FILE
    printf '\125' | dd of="$1" bs=1 seek=$(($(stat -c %s "$1") / 2)) conv=notrunc status=none
    printf '\252' | dd of="$1" bs=1 seek=$(($(stat -c %s "$1") / 2 + 1)) conv=notrunc status=none
}
