/*
 * type.c - the table of step types: what a plan may say, as data and nothing else.
 *
 * Rows stand in the alphabet's order (a test watches), each type's arguments and outputs above.
 */
#include "dr/step/type.h"

#include <string.h>

#define REQUIRED true
#define OPTIONAL false

/* Every check can be asked again and again. */
#define POLLING_ARGS                                                                         \
    { "every", ARG_DURATION, OPTIONAL, NULL, "pause between two tries, default 5s" },        \
    {                                                                                        \
        "times", ARG_INTEGER, OPTIONAL, NULL, "passes in a row that count as one, default 1" \
    }

enum { CHECK_MS = 30000, STEP_MS = 300000 };

static const struct step_arg no_args[] = { { 0 } };
static const struct step_output no_outputs[] = { { 0 } };

static const char *const choices_full[] = { "full", "incremental", "config", NULL };
static const char *const choices_a[] = { "A", "AAAA", "CNAME", "TXT", NULL };
static const char *const choices_detect[] = { "detect",    "decide",  "fence",
                                              "activate",  "restore", "switch",
                                              "effective", "verify",  NULL };
static const char *const choices_none[] = { "none", "data", "promote", "traffic", "change", NULL };
static const char *const choices_majority[] = { "majority", "healed", NULL };

static const struct step_arg approve_args[] = {
    { "question", ARG_TEXT, REQUIRED, NULL, "what the person is asked" },
    { "role", ARG_TEXT, OPTIONAL, NULL,
      "who may answer: a role of the contacts; default: anybody" },
    { "count", ARG_INTEGER, OPTIONAL, NULL, "how many people must agree, default 1" },
    { "choices", ARG_LIST, OPTIONAL, NULL, "the answers to choose from; default: yes" },
    { 0 },
};
static const struct step_output approve_outputs[] = {
    { "answer", ARG_TEXT, "the choice that was made" },
    { "by", ARG_LIST, "who answered" },
    { 0 },
};
static const struct step_arg backup_bisect_args[] = {
    { "source", ARG_TEXT, REQUIRED, NULL, "a source of the configuration" },
    { "since", ARG_TIME, REQUIRED, NULL, "a moment when the data was good" },
    { "clean", ARG_CHECK, REQUIRED, NULL, "the check; ${item} is the path of a scratch restore" },
    { 0 },
};
static const struct step_output backup_bisect_outputs[] = {
    { "clean", ARG_SNAPSHOT, "the newest clean snapshot" },
    { "clean_time", ARG_TIME, "when it was taken" },
    { "bad", ARG_SNAPSHOT, "the oldest one that is not clean" },
    { 0 },
};
static const struct step_arg backup_check_args[] = {
    { "source", ARG_TEXT, REQUIRED, NULL, "a source of the configuration" },
    { "max_age", ARG_DURATION, OPTIONAL, NULL, "the newest snapshot is at most this old" },
    { "verified_within", ARG_DURATION, OPTIONAL, NULL,
      "and was proved to restore within this time" },
    { "bucket", ARG_TEXT, OPTIONAL, NULL, "look only in this bucket" },
    POLLING_ARGS,
    { 0 },
};
static const struct step_arg backup_diff_args[] = {
    { "from", ARG_SNAPSHOT, REQUIRED, NULL, "the older one" },
    { "to", ARG_SNAPSHOT, REQUIRED, NULL, "the newer one" },
    { 0 },
};
static const struct step_output backup_diff_outputs[] = {
    { "added", ARG_INTEGER, "files" },
    { "changed", ARG_INTEGER, "files" },
    { "removed", ARG_INTEGER, "files" },
    { 0 },
};
static const struct step_arg backup_now_args[] = {
    { "source", ARG_TEXT, REQUIRED, NULL, "a source of the configuration" },
    { "at", ARG_REGION, OPTIONAL, NULL, "where it runs; default: here" },
    { "hold", ARG_DURATION, OPTIONAL, NULL, "keep it at least this long" },
    { "kind", ARG_TEXT, OPTIONAL, choices_full, "full, incremental or config; default: full" },
    { 0 },
};
static const struct step_output backup_now_outputs[] = {
    { "id", ARG_SNAPSHOT, "the snapshot" },
    { "bytes", ARG_SIZE, "stored for it" },
    { "recovery_point", ARG_TIME, "when it was taken" },
    { 0 },
};
static const struct step_arg backup_pick_args[] = {
    { "source", ARG_TEXT, REQUIRED, NULL, "a source of the configuration" },
    { "verified_within", ARG_DURATION, OPTIONAL, NULL,
      "only a snapshot that was proved to restore within this time" },
    { "max_age", ARG_DURATION, OPTIONAL, NULL, "only one at most this old" },
    { "bucket", ARG_TEXT, OPTIONAL, NULL,
      "only from this bucket; default: any outside of the failed region" },
    { "host", ARG_REGION, OPTIONAL, NULL, "only of this host" },
    { 0 },
};
static const struct step_output backup_pick_outputs[] = {
    { "id", ARG_SNAPSHOT, "the snapshot" },
    { "age", ARG_DURATION, "how old it is" },
    { "recovery_point", ARG_TIME, "when it was taken" },
    { 0 },
};
static const struct step_arg backup_restore_args[] = {
    { "snapshot", ARG_SNAPSHOT, REQUIRED, NULL, "which one" },
    { "at", ARG_REGION, REQUIRED, NULL, "where it is restored" },
    { "to", ARG_TEXT, REQUIRED, NULL, "an absent or empty directory" },
    { 0 },
};
static const struct step_output backup_restore_outputs[] = {
    { "path", ARG_TEXT, "where the data lies" },
    { "bytes", ARG_SIZE, "restored" },
    { "recovery_point", ARG_TIME, "the moment the data is from" },
    { "sentinel", ARG_TEXT, "what the sentinel in the data says" },
    { 0 },
};
static const struct step_arg backup_sync_args[] = {
    { "source", ARG_TEXT, REQUIRED, NULL, "a source of the configuration" },
    { "from", ARG_REGION, REQUIRED, NULL, "the region that has the data" },
    { "to", ARG_REGION, REQUIRED, NULL, "the region that gets it" },
    { 0 },
};
static const struct step_output backup_sync_outputs[] = {
    { "path", ARG_TEXT, "where the copy lies" },
    { "bytes", ARG_SIZE, "copied" },
    { "last_pass", ARG_DURATION, "how long the last pass took" },
    { 0 },
};
static const struct step_arg config_apply_args[] = {
    { "at", ARG_REGION, REQUIRED, NULL, "the host" },
    { "file", ARG_TEXT, REQUIRED, NULL, "the configuration file" },
    { "version", ARG_TEXT, REQUIRED, NULL, "which version" },
    { "reload", ARG_TEXT, OPTIONAL, NULL, "the unit that reads it" },
    { 0 },
};
static const struct step_output config_apply_outputs[] = {
    { "former", ARG_TEXT, "the version before" },
    { 0 },
};
static const struct step_arg config_freeze_args[] = {
    { "file", ARG_TEXT, OPTIONAL, NULL, "only this file; default: all" },
    { 0 },
};
static const struct step_arg config_has_args[] = {
    { "file", ARG_TEXT, REQUIRED, NULL, "the configuration file" },
    { "version", ARG_TEXT, REQUIRED, NULL, "a version, or last_good" },
    POLLING_ARGS,
    { 0 },
};
static const struct step_arg config_pick_args[] = {
    { "file", ARG_TEXT, REQUIRED, NULL, "the configuration file" },
    { "version", ARG_TEXT, REQUIRED, NULL, "a version, or last_good" },
    { 0 },
};
static const struct step_output config_pick_outputs[] = {
    { "version", ARG_TEXT, "the version" },
    { "age", ARG_DURATION, "how old it is" },
    { 0 },
};
static const struct step_arg config_thaw_args[] = {
    { "file", ARG_TEXT, OPTIONAL, NULL, "only this file; default: all" },
    { 0 },
};
static const struct step_arg config_unchanged_args[] = {
    { "file", ARG_TEXT, REQUIRED, NULL, "the configuration file" },
    { "for", ARG_DURATION, REQUIRED, NULL, "no change within this time" },
    POLLING_ARGS,
    { 0 },
};
static const struct step_arg data_check_args[] = {
    { "at", ARG_REGION, OPTIONAL, NULL, "where it runs; default: here" },
    { "path", ARG_TEXT, REQUIRED, NULL, "where the data lies" },
    { "against", ARG_SNAPSHOT, REQUIRED, NULL, "the snapshot it must be equal to" },
    POLLING_ARGS,
    { 0 },
};
static const struct step_output data_check_outputs[] = {
    { "sentinel", ARG_TEXT, "what the sentinel in the data says" },
    { 0 },
};
static const struct step_arg dns_check_args[] = {
    { "name", ARG_TEXT, REQUIRED, NULL, "the name that users look up" },
    { "want", ARG_LIST, REQUIRED, NULL, "the addresses it must have, and no other" },
    { "type", ARG_TEXT, OPTIONAL, choices_a, "record type, default A" },
    { "share", ARG_PERCENT, OPTIONAL, NULL, "of the resolvers that must say so, default 100%" },
    { "resolver", ARG_TEXT, OPTIONAL, NULL, "ask only this one: ADDRESS:PORT" },
    { "resolvers", ARG_LIST, OPTIONAL, NULL,
      "ask these; default: providers.dns of the configuration, else the system's" },
    POLLING_ARGS,
    { 0 },
};
static const struct step_arg dns_ttl_args[] = {
    { "name", ARG_TEXT, REQUIRED, NULL, "the name that users look up" },
    { "max", ARG_DURATION, REQUIRED, NULL, "its time to live is at most this" },
    { "type", ARG_TEXT, OPTIONAL, choices_a, "record type, default A" },
    { "resolver", ARG_TEXT, OPTIONAL, NULL, "ask only this one: ADDRESS:PORT" },
    POLLING_ARGS,
    { 0 },
};
static const struct step_arg exec_args[] = {
    { "argv", ARG_ARGV, REQUIRED, NULL, "the command and its arguments; there is no shell" },
    { "at", ARG_REGION, OPTIONAL, NULL, "where it runs; default: here" },
    { "env", ARG_MAP, OPTIONAL, NULL, "variables for it, besides PATH and HOME" },
    { "phase", ARG_TEXT, OPTIONAL, choices_detect, "where its time counts in the report" },
    { "effect", ARG_TEXT, OPTIONAL, choices_none,
      "what it changes, for the safety rules; default change" },
    { 0 },
};
static const struct step_output exec_outputs[] = {
    { "stdout", ARG_TEXT, "what it wrote, at most 64 KiB" },
    { "lines", ARG_LIST, "the same, as lines" },
    { 0 },
};
static const struct step_arg exec_check_args[] = {
    { "argv", ARG_ARGV, REQUIRED, NULL,
      "the command: exit 0 is pass, 1 is fail, anything else unknown" },
    { "at", ARG_REGION, OPTIONAL, NULL, "where it runs; default: here" },
    { "env", ARG_MAP, OPTIONAL, NULL, "variables for it, besides PATH and HOME" },
    POLLING_ARGS,
    { 0 },
};
static const struct step_arg fence_args[] = {
    { "region", ARG_REGION, OPTIONAL, NULL, "the region that must not write any more" },
    { "host", ARG_REGION, OPTIONAL, NULL, "or the host" },
    { "methods", ARG_METHODS, REQUIRED, NULL,
      "ways to do it, in order: the first proof is enough" },
    { 0 },
};
static const struct step_output fence_outputs[] = {
    { "proof", ARG_TEXT, "lease_expired, write_refused, power_off, network_isolated or operator" },
    { 0 },
};
static const struct step_arg fence_lift_args[] = {
    { "region", ARG_REGION, OPTIONAL, NULL, "the region that may take part again" },
    { "host", ARG_REGION, OPTIONAL, NULL, "or the host" },
    { 0 },
};
static const struct step_arg finding_args[] = {
    { "text", ARG_TEXT, REQUIRED, NULL, "what is to be done" },
    { "due", ARG_DURATION, OPTIONAL, NULL, "by when, from now" },
    { 0 },
};
static const struct step_output finding_outputs[] = {
    { "id", ARG_TEXT, "its number" },
    { 0 },
};
static const struct step_arg haproxy_args[] = {
    { "backend", ARG_TEXT, REQUIRED, NULL, "which backend" },
    { "to", ARG_REGION, OPTIONAL, NULL, "the region or host that gets the traffic" },
    { "server", ARG_TEXT, OPTIONAL, NULL, "only this server of the backend" },
    { "share", ARG_PERCENT, OPTIONAL, NULL, "how much of the traffic, default 100%" },
    { "drain", ARG_DURATION, OPTIONAL, NULL, "let running requests end, at most this long" },
    { "socket", ARG_TEXT, OPTIONAL, NULL,
      "its runtime socket; default: providers.haproxy of the configuration" },
    { 0 },
};
static const struct step_arg http_check_args[] = {
    { "url", ARG_TEXT, REQUIRED, NULL, "what is asked for" },
    { "status", ARG_INTEGER, OPTIONAL, NULL, "the answer that counts, default 200" },
    { "contains", ARG_TEXT, OPTIONAL, NULL, "text that must be in the answer" },
    { "resolver", ARG_TEXT, OPTIONAL, NULL, "the name server to ask: ADDRESS:PORT" },
    POLLING_ARGS,
    { 0 },
};
static const struct step_arg inventory_list_args[] = {
    { "group", ARG_TEXT, REQUIRED, NULL, "a group of hosts" },
    { 0 },
};
static const struct step_output inventory_list_outputs[] = {
    { "list", ARG_LIST, "the hosts" },
    { 0 },
};
static const struct step_arg lease_check_args[] = {
    { "key", ARG_TEXT, REQUIRED, NULL, "the lease" },
    { "holders", ARG_INTEGER, OPTIONAL, NULL, "how many may hold it, default 1" },
    POLLING_ARGS,
    { 0 },
};
static const struct step_arg partition_check_args[] = {
    { "want", ARG_TEXT, REQUIRED, choices_majority,
      "majority: we are on the side that counts; healed: all links work" },
    { "stable", ARG_DURATION, OPTIONAL, NULL, "and that for this long" },
    POLLING_ARGS,
    { 0 },
};
static const struct step_output partition_map_outputs[] = {
    { "minority", ARG_LIST, "regions that are cut off" },
    { "majority", ARG_LIST, "regions that see each other" },
    { "majority_addresses", ARG_LIST, "their addresses" },
    { "leader", ARG_REGION, "the region whose data counts" },
    { 0 },
};
static const struct step_arg plan_args[] = {
    { "plan", ARG_NAME, REQUIRED, NULL, "the name of a plan" },
    { "set", ARG_MAP, OPTIONAL, NULL, "its params" },
    { 0 },
};
static const struct step_arg powerdns_args[] = {
    { "zone", ARG_TEXT, REQUIRED, NULL, "the zone" },
    { "name", ARG_TEXT, REQUIRED, NULL, "the name in it" },
    { "to", ARG_LIST, REQUIRED, NULL, "its addresses" },
    { "ttl", ARG_DURATION, OPTIONAL, NULL, "time to live, default 60s" },
    { "type", ARG_TEXT, OPTIONAL, choices_a, "record type, default A" },
    { "url", ARG_TEXT, OPTIONAL, NULL,
      "its API; default: providers.powerdns of the configuration" },
    { "key", ARG_SECRET, OPTIONAL, NULL, "key of the API; default: that of the configuration" },
    { 0 },
};
static const struct step_arg prometheus_check_args[] = {
    { "url", ARG_TEXT, REQUIRED, NULL, "the server" },
    { "metrics", ARG_MAP, REQUIRED, NULL, "name: query" },
    { "pass", ARG_EXPR, OPTIONAL, NULL, "true: pass" },
    { "fail", ARG_EXPR, OPTIONAL, NULL, "true: fail; neither: unknown" },
    POLLING_ARGS,
    { 0 },
};
static const struct step_output region_pick_outputs[] = {
    { "region", ARG_REGION, "the standby: target from here on" },
    { 0 },
};
static const struct step_arg service_promote_args[] = {
    { "at", ARG_REGION, REQUIRED, NULL, "the region or host that serves from here on" },
    { "unit", ARG_TEXT, REQUIRED, NULL, "the service" },
    { "data", ARG_TEXT, REQUIRED, NULL, "the directory with its data" },
    { "live", ARG_TEXT, REQUIRED, NULL, "the link that the service reads" },
    { "lease", ARG_TEXT, REQUIRED, NULL, "the writer lease that it takes" },
    { 0 },
};
static const struct step_output service_promote_outputs[] = {
    { "epoch", ARG_INTEGER, "of the lease it took" },
    { 0 },
};
static const struct step_arg sync_check_args[] = {
    { "regions", ARG_LIST, REQUIRED, NULL, "regions that must hold the same data" },
    POLLING_ARGS,
    { 0 },
};
static const struct step_arg sync_divergence_args[] = {
    { "region", ARG_REGION, REQUIRED, NULL, "the region that was away" },
    { "reviewed", ARG_BOOLEAN, OPTIONAL, NULL, "true: a person must have looked at what differs" },
    POLLING_ARGS,
    { 0 },
};
static const struct step_arg sync_replay_args[] = {
    { "from", ARG_REGION, REQUIRED, NULL, "the region with buffered writes" },
    { "to", ARG_REGION, REQUIRED, NULL, "the region that gets them" },
    { 0 },
};
static const struct step_output sync_replay_outputs[] = {
    { "replayed", ARG_INTEGER, "writes" },
    { "conflicts", ARG_INTEGER, "both sides were kept" },
    { 0 },
};
static const struct step_arg wait_args[] = {
    { "for", ARG_DURATION, REQUIRED, NULL, "how long" },
    { 0 },
};
static const struct step_arg writes_freeze_args[] = {
    { "at", ARG_REGION, OPTIONAL, NULL, "where it runs; default: here" },
    { "unit", ARG_TEXT, REQUIRED, NULL, "the service" },
    { 0 },
};
static const struct step_arg writes_thaw_args[] = {
    { "at", ARG_REGION, OPTIONAL, NULL, "where it runs; default: here" },
    { "unit", ARG_TEXT, REQUIRED, NULL, "the service" },
    { 0 },
};
static const struct step_arg fence_firewall_args[] = {
    { "jump", ARG_TEXT, REQUIRED, NULL, "the host or switch that closes the ports" },
    { 0 },
};
static const struct step_arg fence_iam_args[] = {
    { "policy", ARG_TEXT, REQUIRED, NULL, "the policy that is attached" },
    { "account", ARG_TEXT, OPTIONAL, NULL, "where" },
    { 0 },
};
static const struct step_arg fence_ipmi_args[] = {
    { "bmc", ARG_TEXT, REQUIRED, NULL, "address of the management controller" },
    { "user", ARG_TEXT, OPTIONAL, NULL, "who logs in" },
    { "password", ARG_SECRET, OPTIONAL, NULL, "and how" },
    { 0 },
};
static const struct step_arg fence_lease_args[] = {
    { "key", ARG_TEXT, REQUIRED, NULL, "the writer lease" },
    { "margin", ARG_DURATION, OPTIONAL, NULL, "wait this much longer than the lease lasts" },
    { "release", ARG_BOOLEAN, OPTIONAL, NULL, "true: the holder gives it up itself" },
    { 0 },
};

/* name, class, arguments, outputs, timeout, drill, own check, own undo, sentence */
static const struct step_type types[] = {
    { "approve", STEP_PERSON, approve_args, approve_outputs, 0, DRILL_SIMULATE, false, false,
      "Ask: ${question}" },
    { "backup.bisect", STEP_NONE, backup_bisect_args, backup_bisect_outputs, STEP_MS, DRILL_RUN,
      false, false, "Find the newest clean snapshot of ${source} since ${since}" },
    { "backup.check", STEP_CHECK, backup_check_args, no_outputs, CHECK_MS, DRILL_RUN, false, false,
      "A good snapshot of ${source} is there" },
    { "backup.diff", STEP_NONE, backup_diff_args, backup_diff_outputs, STEP_MS, DRILL_RUN, false,
      false, "Compare snapshot ${from} with ${to}" },
    { "backup.now", STEP_DATA, backup_now_args, backup_now_outputs, STEP_MS, DRILL_ISOLATED, true,
      true, "Take a backup of ${source}" },
    { "backup.pick", STEP_NONE, backup_pick_args, backup_pick_outputs, STEP_MS, DRILL_RUN, false,
      false, "Choose the newest good snapshot of ${source}" },
    { "backup.restore", STEP_DATA, backup_restore_args, backup_restore_outputs, STEP_MS,
      DRILL_ISOLATED, true, true, "Restore snapshot ${snapshot} to ${to} at ${at}" },
    { "backup.sync", STEP_DATA, backup_sync_args, backup_sync_outputs, STEP_MS, DRILL_ISOLATED,
      true, true, "Copy ${source} from ${from} to ${to}" },
    { "config.apply", STEP_CHANGE, config_apply_args, config_apply_outputs, STEP_MS, DRILL_SIMULATE,
      true, true, "Put version ${version} of ${file} in place at ${at}" },
    { "config.freeze", STEP_CHANGE, config_freeze_args, no_outputs, STEP_MS, DRILL_SIMULATE, true,
      true, "Stop configuration changes" },
    { "config.has", STEP_CHECK, config_has_args, no_outputs, CHECK_MS, DRILL_RUN, false, false,
      "Version ${version} of ${file} is there" },
    { "config.pick", STEP_NONE, config_pick_args, config_pick_outputs, STEP_MS, DRILL_RUN, false,
      false, "Choose version ${version} of ${file}" },
    { "config.thaw", STEP_CHANGE, config_thaw_args, no_outputs, STEP_MS, DRILL_SIMULATE, true, true,
      "Allow configuration changes again" },
    { "config.unchanged", STEP_CHECK, config_unchanged_args, no_outputs, CHECK_MS, DRILL_RUN, false,
      false, "${file} was not changed for ${for}" },
    { "data.check", STEP_CHECK, data_check_args, data_check_outputs, CHECK_MS, DRILL_RUN, false,
      false, "The data in ${path} is that of snapshot ${against}" },
    { "dns.check", STEP_CHECK, dns_check_args, no_outputs, CHECK_MS, DRILL_RUN, false, false,
      "${name} leads to ${want}" },
    { "dns.ttl", STEP_CHECK, dns_ttl_args, no_outputs, CHECK_MS, DRILL_RUN, false, false,
      "The TTL of ${name} is at most ${max}" },
    { "exec", STEP_CHANGE, exec_args, exec_outputs, STEP_MS, DRILL_SIMULATE, false, false,
      "Run ${argv}" },
    { "exec.check", STEP_CHECK, exec_check_args, no_outputs, CHECK_MS, DRILL_RUN, false, false,
      "${argv} says yes" },
    { "fence", STEP_FENCE, fence_args, fence_outputs, STEP_MS, DRILL_SIMULATE, true, true,
      "Make sure that ${region} cannot write" },
    { "fence.lift", STEP_CHANGE, fence_lift_args, no_outputs, STEP_MS, DRILL_SIMULATE, true, true,
      "Let ${region} take part again" },
    { "finding", STEP_NONE, finding_args, finding_outputs, STEP_MS, DRILL_RUN, false, false,
      "To do: ${text}" },
    { "haproxy", STEP_TRAFFIC, haproxy_args, no_outputs, STEP_MS, DRILL_SIMULATE, true, true,
      "Send the traffic of ${backend} to ${to}" },
    { "http.check", STEP_CHECK, http_check_args, no_outputs, CHECK_MS, DRILL_RUN, false, false,
      "${url} answers" },
    { "inventory.list", STEP_NONE, inventory_list_args, inventory_list_outputs, STEP_MS, DRILL_RUN,
      false, false, "List the hosts of ${group}" },
    { "lease.check", STEP_CHECK, lease_check_args, no_outputs, CHECK_MS, DRILL_RUN, false, false,
      "The lease ${key} has one holder" },
    { "partition.check", STEP_CHECK, partition_check_args, no_outputs, CHECK_MS, DRILL_RUN, false,
      false, "The network is ${want}" },
    { "partition.map", STEP_NONE, no_args, partition_map_outputs, STEP_MS, DRILL_RUN, false, false,
      "Draw who sees whom" },
    { "plan", STEP_NONE, plan_args, no_outputs, STEP_MS, DRILL_RUN, false, false,
      "Carry out the plan ${plan}" },
    { "powerdns", STEP_TRAFFIC, powerdns_args, no_outputs, STEP_MS, DRILL_SIMULATE, true, true,
      "Let ${name} lead to ${to}" },
    { "prometheus.check", STEP_CHECK, prometheus_check_args, no_outputs, CHECK_MS, DRILL_RUN, false,
      false, "The metrics are good" },
    { "region.pick", STEP_NONE, no_args, region_pick_outputs, STEP_MS, DRILL_RUN, false, false,
      "Pick the first standby that is ready" },
    { "service.promote", STEP_PROMOTE, service_promote_args, service_promote_outputs, STEP_MS,
      DRILL_SIMULATE, true, true,
      "Swap in ${data}, take the lease ${lease}, start ${unit} at ${at}" },
    { "sync.check", STEP_CHECK, sync_check_args, no_outputs, CHECK_MS, DRILL_RUN, false, false,
      "${regions} hold the same data" },
    { "sync.divergence", STEP_CHECK, sync_divergence_args, no_outputs, CHECK_MS, DRILL_RUN, false,
      false, "What ${region} has alone was looked at" },
    { "sync.replay", STEP_DATA, sync_replay_args, sync_replay_outputs, STEP_MS, DRILL_SIMULATE,
      true, false, "Play the buffered writes of ${from} to ${to}" },
    { "wait", STEP_NONE, wait_args, no_outputs, STEP_MS, DRILL_RUN, false, false, "Wait ${for}" },
    { "writes.freeze", STEP_CHANGE, writes_freeze_args, no_outputs, STEP_MS, DRILL_SIMULATE, true,
      true, "Stop writes to ${unit}" },
    { "writes.thaw", STEP_CHANGE, writes_thaw_args, no_outputs, STEP_MS, DRILL_SIMULATE, true, true,
      "Allow writes to ${unit} again" },
};

/* Ways to fence: they stand under methods of a fence only. */
static const struct step_type methods[] = {
    { "fence.firewall", STEP_FENCE, fence_firewall_args, no_outputs, STEP_MS, DRILL_SIMULATE, false,
      false, "Cut it off at ${jump}" },
    { "fence.iam", STEP_FENCE, fence_iam_args, no_outputs, STEP_MS, DRILL_SIMULATE, false, false,
      "Take its credentials by ${policy}" },
    { "fence.ipmi", STEP_FENCE, fence_ipmi_args, no_outputs, STEP_MS, DRILL_SIMULATE, false, false,
      "Switch its power off by ${bmc}" },
    { "fence.lease", STEP_FENCE, fence_lease_args, no_outputs, STEP_MS, DRILL_SIMULATE, false,
      false, "Wait until its lease ${key} has run out, and take it" },
};

static const struct step_type *find_in(const struct step_type *table, size_t count,
                                       const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

const struct step_type *step_type_find(const char *name)
{
    return find_in(types, DR_ARRAY_LEN(types), name);
}

const struct step_type *step_method_find(const char *name)
{
    return find_in(methods, DR_ARRAY_LEN(methods), name);
}

const struct step_type *step_type_all(size_t *ret_count)
{
    *ret_count = DR_ARRAY_LEN(types);
    return types;
}

const struct step_type *step_method_all(size_t *ret_count)
{
    *ret_count = DR_ARRAY_LEN(methods);
    return methods;
}

const struct step_arg *step_type_arg(const struct step_type *type, const char *name)
{
    for (const struct step_arg *a = type->args; a->name != NULL; a++)
        if (strcmp(a->name, name) == 0)
            return a;
    return NULL;
}

const char *step_arg_word(enum arg_type type)
{
    static const char *const words[] = {
        [ARG_TEXT] = "text",       [ARG_NAME] = "name",         [ARG_INTEGER] = "integer",
        [ARG_NUMBER] = "number",   [ARG_BOOLEAN] = "boolean",   [ARG_DURATION] = "duration",
        [ARG_SIZE] = "size",       [ARG_PERCENT] = "percent",   [ARG_TIME] = "time",
        [ARG_REGION] = "region",   [ARG_SNAPSHOT] = "snapshot", [ARG_LIST] = "list",
        [ARG_ARGV] = "command",    [ARG_SECRET] = "secret",     [ARG_EXPR] = "expression",
        [ARG_METHODS] = "methods", [ARG_CHECK] = "check",       [ARG_MAP] = "block",
    };
    DR_ASSERT((size_t)type < DR_ARRAY_LEN(words));
    return words[type];
}

const char *step_class_word(enum step_class class)
{
    static const char *const words[] = { "check", "none",    "person",  "fence",
                                         "data",  "promote", "traffic", "change" };
    DR_ASSERT((size_t) class < DR_ARRAY_LEN(words));
    return words[class];
}

const char *step_drill_word(enum step_drill drill)
{
    static const char *const words[] = { "run", "isolated", "simulate", "skip" };
    DR_ASSERT((size_t)drill < DR_ARRAY_LEN(words));
    return words[drill];
}
