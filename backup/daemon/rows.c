/*
 * rows.c - the table of what is done how often, and how it is called.
 */
#include "backup/daemon/rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "dr/base/mem.h"
#include "dr/cli/cli.h"
#include "dr/data/time.h"
#include "dr/status/status.h"

static const struct schedule_every hourly = { .ms = 3600000 };
static const struct schedule_every daily = { .ms = INT64_C(24) * 3600000 };
static const struct schedule_every every_1m = { .ms = 60000 };

static struct schedule_every every_of(int64_t ms, const char *word)
{
    return (struct schedule_every){ .ms = ms, .word = word };
}

static void add_policy(const struct config_policy *policy, enum schedule_what what,
                       const struct config_source *source, struct schedule *ret)
{
    const struct schedule_every every = every_of(policy->frequency_ms, policy->frequency_word);
    if (policy->frequency_ms > 0)
        schedule_add(ret, what, source->name, &every)->deadline_ms = source->timeout_ms;
}

static void add_source(const struct config *c, const struct config_source *source,
                       struct schedule *ret)
{
    bool config = strcmp(source->class, "config") == 0 && c->snapshot.frequency_ms > 0;
    add_policy(&c->full, SCHEDULE_FULL, source, ret);
    if (config)
        add_policy(&c->snapshot, SCHEDULE_CONFIG, source, ret);
    else
        add_policy(&c->incremental, SCHEDULE_INCREMENTAL, source, ret);
}

static void add_plans(const struct config_objective *list, size_t count, int64_t every_ms,
                      struct schedule *ret)
{
    const struct schedule_every every = { .ms = every_ms };
    for (size_t i = 0; i < count; i++)
        if (schedule_find(ret, SCHEDULE_PREFLIGHT, list[i].plan) == NULL)
            (void)schedule_add(ret, SCHEDULE_PREFLIGHT, list[i].plan, &every);
}

static void add_drills(const struct config *c, struct schedule *ret)
{
    const struct text_list *plans = c->drill.plans.count > 0 ? &c->drill.plans : &c->runbooks;
    struct schedule_every every = every_of(c->drill.frequency_ms, c->drill.frequency_word);
    every.at = c->drill.time_min >= 0;
    every.minute = every.at ? c->drill.time_min : 0;
    if (every.at && every.word == NULL)
        every.at = false; /* "every 36h, at 9:00" is no time */
    for (size_t i = 0; i < plans->count && c->drill.frequency_ms > 0; i++)
        if (schedule_find(ret, SCHEDULE_DRILL, plans->items[i]) == NULL)
            (void)schedule_add(ret, SCHEDULE_DRILL, plans->items[i], &every);
}

/* As often as something ends that is worth it: so what a lost host did stands in the buckets, but for the last hour. */
static struct schedule_every anchor_every(const struct config *c)
{
    int64_t least_ms = STATUS_SILENT * status_interval_s(c) * 1000;
    int64_t ms = c->incremental.frequency_ms > 0 ? c->incremental.frequency_ms : daily.ms;
    ms = ms < least_ms ? least_ms : ms;
    return (struct schedule_every){ .ms = ms < daily.ms ? ms : daily.ms };
}

void rows_make(const struct config *c, const struct rows_here *here, struct schedule *ret)
{
    bool sentinel = false;
    for (size_t i = 0; i < c->source_count && c->bucket_count > 0; i++) {
        const struct config_source *source = &c->sources[i];
        if (!config_is_mine(c, here->site, source))
            continue;
        add_source(c, source, ret);
        sentinel = sentinel || (source->sentinel != NULL && !source->sentinel_is_theirs);
    }
    if (sentinel && ret->count > 0)
        (void)schedule_add(ret, SCHEDULE_SENTINEL, NULL, &every_1m);
    if (ret->count > 0) {
        const struct schedule_every prune =
            every_of(c->prune.frequency_ms, c->prune.frequency_word);
        const struct schedule_every verify =
            every_of(c->verification.frequency_ms, c->verification.frequency_word);
        bool keeps = c->full.retention_ms > 0 || c->incremental.retention_ms > 0 ||
                     c->snapshot.retention_ms > 0;
        add_policy(&c->snapshot, SCHEDULE_CONFIG, &c->self, ret);
        (void)schedule_add(ret, SCHEDULE_LOOK, NULL, &hourly);
        if (c->bucket_count > 1)
            (void)schedule_add(ret, SCHEDULE_REPAIR, NULL, &hourly);
        if (keeps)
            (void)schedule_add(ret, SCHEDULE_PRUNE, NULL, &prune);
        (void)schedule_add(ret, SCHEDULE_VERIFY, NULL, &verify);
        const struct schedule_every anchor = anchor_every(c);
        (void)schedule_add(ret, SCHEDULE_ANCHOR, NULL, &anchor);
    }
    add_plans(c->rto, c->rto_count, c->preflight_ms, ret);
    add_plans(c->rpo, c->rpo_count, c->preflight_ms, ret);
    if (here->can_drill && c->drill.given)
        add_drills(c, ret);
    ret->look_first = true;
    rows_watch(c, ret);
}

void rows_watch(const struct config *c, struct schedule *ret)
{
    const struct schedule_every every = { .ms = STATUS_SILENT * status_interval_s(c) * 1000 };
    bool wanted = c->channel_count > 0 || c->serve.at.line != 0;
    if (wanted && c->bucket_count > 0)
        (void)schedule_add(ret, SCHEDULE_STATUS, NULL, &every);
}

void rows_hold(const struct config *c, int64_t wall_ns, struct schedule *s)
{
    time_t now = (time_t)(wall_ns / 1000000000);
    struct tm local;
    localtime_r(&now, &local);
    bool held = config_blackout(c, &local) != NULL;
    for (size_t i = 0; i < s->count; i++)
        s->rows[i].held = held && s->rows[i].what == SCHEDULE_DRILL;
}

void rows_carry(struct schedule *to, const struct schedule *from)
{
    for (size_t i = 0; i < to->count; i++) {
        struct schedule_row *row = &to->rows[i];
        const struct schedule_row *old = schedule_find(from, row->what, row->subject);
        if (old == NULL)
            continue;
        const struct schedule_row ours = *row;
        *row = *old;
        row->subject = ours.subject;
        row->every = ours.every;
        row->deadline_ms = ours.deadline_ms;
    }
    to->wall_ns = from->wall_ns;
    to->boot_ns = from->boot_ns;
    to->awake_ns = from->awake_ns;
}

/* ---- command lines -------------------------------------------------------------------------------- */

void rows_argv(const struct config *c, const struct schedule *s, const struct schedule_row *row,
               const char *copy, struct rows_argv *ret)
{
    int64_t slot_ns, next_ns;
    schedule_slot_ns(s, row, &slot_ns, &next_ns);
    size_t n = 0;
    const char **to = ret->words;
    /* Plans are looked for beside the configuration, so whoever looks is told the file itself. */
    bool self = row->subject != NULL && strcmp(row->subject, CONFIG_SELF) == 0;
    bool plan = self || row->what == SCHEDULE_PREFLIGHT || row->what == SCHEDULE_DRILL;
    const char *const common[] = { "drctl", "-c", plan ? c->path : copy, "-q", "--json", "--yes" };
    for (size_t i = 0; i < DR_ARRAY_LEN(common); i++)
        to[n++] = common[i];
    static const char *const tails[SCHEDULE_WHATS][5] = {
        [SCHEDULE_LOOK] = { "snapshots" },
        [SCHEDULE_FULL] = { "backup", "--kind", "full", "--source" },
        [SCHEDULE_INCREMENTAL] = { "backup", "--kind", "incremental", "--source" },
        [SCHEDULE_CONFIG] = { "backup", "--kind", "config", "--source" },
        [SCHEDULE_PRUNE] = { "prune" },
        [SCHEDULE_VERIFY] = { "verify", "--data", "--budget" },
        [SCHEDULE_SENTINEL] = { "sentinel" },
        [SCHEDULE_REPAIR] = { "repair" },
        [SCHEDULE_PREFLIGHT] = { "plan", "preflight" },
        [SCHEDULE_DRILL] = { "drill-turn", "--since" },
        [SCHEDULE_ANCHOR] = { "audit", "anchor" },
        [SCHEDULE_STATUS] = { "status" },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(tails[0]) && tails[row->what][i] != NULL; i++)
        to[n++] = tails[row->what][i];
    if (row->what == SCHEDULE_DRILL)
        to[n++] = time_print_s(slot_ns, ret->number);
    if (row->what == SCHEDULE_VERIFY) {
        (void)snprintf(ret->number, sizeof(ret->number), "%" PRIu64 "B",
                       c->verification.budget_bytes);
        to[n++] = ret->number;
    }
    if (row->subject != NULL)
        to[n++] = row->subject;
    to[n] = NULL;
    DR_ASSERT(n < ROWS_ARGV_MAX);
}

/* ---- what a backup left behind ---------------------------------------------------------------------- */

bool rows_left(int exit, const json_t *said)
{
    return exit == EXIT_DEGRADED || json_array_size(json_object_get(said, "missing")) > 0 ||
           json_array_size(json_object_get(said, "required_missing")) > 0;
}

/* ---- what the buckets show ------------------------------------------------------------------------ */

/* How many copies are durable: the majority; of two, one (the other is written as well). */
static size_t copies_wanted(const struct config *c)
{
    return c->bucket_count <= 2 ? 1 : c->bucket_count / 2 + 1;
}

static bool kind_of(const char *word, enum schedule_what *ret)
{
    static const enum schedule_what kinds[] = { SCHEDULE_FULL, SCHEDULE_INCREMENTAL,
                                                SCHEDULE_CONFIG };
    for (size_t i = 0; i < DR_ARRAY_LEN(kinds); i++)
        if (strcmp(word, schedule_word(kinds[i])) == 0) {
            *ret = kinds[i];
            return true;
        }
    return false;
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text != NULL ? text : "";
}

void rows_seen(const struct config *c, const json_t *snapshots, struct schedule *s)
{
    size_t i;
    const json_t *o;
    json_array_foreach(snapshots, i, o)
    {
        enum schedule_what kind;
        int64_t begun_ns;
        const char *start = text_of(o, "started_at");
        if (strcmp(text_of(o, "source"), CONFIG_SELF) == 0)
            continue; /* each host has its own, and all have one name */
        if (strcmp(text_of(o, "state"), "good") != 0 || !kind_of(text_of(o, "kind"), &kind) ||
            json_array_size(json_object_get(o, "buckets")) < copies_wanted(c) ||
            !time_parse(start[0] != '\0' ? start : text_of(o, "taken_at"), &begun_ns))
            continue;
        schedule_seen(s, text_of(o, "source"), kind, begun_ns);
    }
}
