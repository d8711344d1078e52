/*
 * stats.c - `drctl stats`: where the bytes are.
 *
 * Questions of whoever pays for the buckets: what did each snapshot add, what do sharing and compression
 * save, how much of each bucket would pruning or the next full free, and what does a month cost?
 */
#include <inttypes.h>
#include <stdio.h>

#include "backup/work/stats.h"
#include "dr/base/clock.h"
#include "dr/base/log.h"
#include "dr/cli/costs.h"
#include "dr/cli/data.h"
#include "dr/cli/progress.h"
#include "dr/cli/verbs.h"

/* a / b in hundredths; 0 for nothing. Integers, since canonical JSON has no others. */
static uint64_t hundredths(uint64_t a, uint64_t b)
{
    return b == 0 ? 0 : (uint64_t)((double)a / (double)b * 100);
}

static json_t *bucket_json(const struct stats_bucket *b)
{
    json_t *o = json_object();
    json_put_text(o, "name", b->name);
    json_put(o, "open", json_boolean(b->open));
    json_put_int(o, "objects", (int64_t)b->objects);
    json_put_int(o, "bytes", (int64_t)b->bytes);
    json_put_int(o, "packs", (int64_t)b->packs);
    json_put_int(o, "pack_bytes", (int64_t)b->pack_bytes);
    json_put_int(o, "packs_unused", (int64_t)b->unused_packs);
    json_put_int(o, "needed_bytes", (int64_t)b->needed);
    json_put_int(o, "dead_percent", (int64_t)hundredths(b->pack_bytes - b->needed, b->pack_bytes));
    return o;
}

static int tell_json(const struct snapshot_list *list, const struct costs_view *v, int exit)
{
    const struct stats *s = v->stats;
    json_t *o = json_object(), *snapshots = json_array(), *buckets = json_array();
    for (size_t i = 0; i < list->count; i++)
        cli_json_add(snapshots, data_snapshot_json(&list->items[i]));
    for (size_t i = 0; i < s->bucket_count; i++)
        cli_json_add(buckets, bucket_json(&s->buckets[i]));
    json_put(o, "snapshots", snapshots);
    json_put(o, "buckets", buckets);
    json_put_int(o, "bytes", (int64_t)s->bytes);
    json_put_int(o, "raw", (int64_t)s->raw);
    json_put_int(o, "stored", (int64_t)s->stored);
    json_put_int(o, "pieces", (int64_t)s->pieces);
    json_put_int(o, "dedup_percent", (int64_t)hundredths(s->bytes, s->raw));
    json_put_int(o, "ratio_percent", (int64_t)hundredths(s->bytes, s->stored));
    json_put(o, "costs", costs_month_json(v));
    return cli_result_json(o, exit, exit == EXIT_DONE ? NULL : "a bucket could not be opened");
}

static void tell_snapshots(const struct snapshot_list *list)
{
    char size[32], stored[32];
    for (size_t i = 0; i < list->count; i++) {
        const struct snapshot_info *info = &list->items[i];
        DR_FREE char *id = cli_printable(info->id);
        if (info->state == SNAPSHOT_REFUSED)
            continue;
        printf("%s  %s, %" PRIu64 " file%s, %s, stored %s", id, info->kind, info->files,
               CLI_S(info->files), text_size(size, sizeof(size), info->bytes),
               text_size(stored, sizeof(stored), info->stored));
        if (info->stored > 0)
            printf(", %.1f : 1", (double)info->bytes / (double)info->stored);
        putchar('\n');
    }
}

static void tell_text(const struct snapshot_list *list, const struct stats *s)
{
    char a[32], b[32], c[32];
    tell_snapshots(list);
    printf("%zu snapshot%s, %s; %s different, stored in %s: %.2f : 1 by sharing, %.2f : 1 in all\n",
           s->snapshots, CLI_S(s->snapshots), text_size(a, sizeof(a), s->bytes),
           text_size(b, sizeof(b), s->raw), text_size(c, sizeof(c), s->stored),
           (double)hundredths(s->bytes, s->raw) / 100,
           (double)hundredths(s->bytes, s->stored) / 100);
    for (size_t i = 0; i < s->bucket_count; i++) {
        const struct stats_bucket *k = &s->buckets[i];
        if (!k->open)
            continue;
        printf("bucket %s: %zu objects, %s; %zu pack%s, %s, %" PRIu64
               " %% of it needed by no snapshot looked at",
               k->name, k->objects, text_size(a, sizeof(a), k->bytes), k->packs, CLI_S(k->packs),
               text_size(b, sizeof(b), k->pack_bytes),
               hundredths(k->pack_bytes - k->needed, k->pack_bytes));
        if (k->unused_packs > 0)
            printf(" (%zu whole pack%s)", k->unused_packs, CLI_S(k->unused_packs));
        putchar('\n');
    }
}

/* A log that cannot be read is told, and is no reason not to tell the rest. */
static void read_costs(struct data *d, int64_t now_s, struct costs *ret)
{
    const int64_t month_s = (int64_t)COSTS_MONTH_DAYS * 24 * 60 * 60;
    struct dr_err err = { 0 };
    if (d->config->state_dir != NULL &&
        costs_read(d->config->state_dir, now_s - month_s, now_s, ret, &err) != DR_OK)
        log_warning("what was asked of the buckets is not known: %s", err.msg);
}

static int count(struct cli *cli, struct data *d, const char *source)
{
    DR_CLEANUP(snapshot_list_fini) struct snapshot_list list = { 0 };
    DR_CLEANUP(stats_fini) struct stats stats = { 0 };
    struct dr_err err;
    if (source != NULL && data_source(cli, d->config, source) == NULL)
        return EXIT_USAGE;
    if (repo_snapshots(d->repo, source, &list, &err) != DR_OK)
        return cli_fail(cli, &err);
    data_tell_unlisted(d);
    struct progress p;
    progress_start(&p, cli, "stats");
    enum dr_rc rc = stats_run(d->repo, &list, &p.hooks, &stats, &err);
    progress_end(&p);
    if (rc != DR_OK)
        return cli_fail(cli, &err);
    int exit = d->closed > 0 ? EXIT_DEGRADED : EXIT_DONE;
    DR_CLEANUP(costs_fini) struct costs seen = { 0 };
    struct costs_view view = {
        .data = d, .stats = &stats, .seen = &seen, .now_s = clock_wall_ns() / 1000000000
    };
    read_costs(d, view.now_s, &seen);
    if (cli->json)
        return tell_json(&list, &view, exit);
    tell_text(&list, &stats);
    costs_month_tell(&view);
    return exit;
}

static int run_stats(struct cli *cli)
{
    const char *source = NULL;
    const struct cli_option options[] = { { "source", .value = &source } };
    if (!cli_options(cli, options, DR_ARRAY_LEN(options), 0, 0))
        return EXIT_USAGE;
    struct data d;
    int exit = data_open(cli, &d);
    if (exit == EXIT_DONE)
        exit = count(cli, &d, source);
    data_close(&d);
    return exit;
}

const struct cli_verb verb_stats = {
    .name = "stats",
    .summary = "Where the bytes are, what sharing saves, what a month costs",
    .usage =
        "drctl stats [--source S]      Where the bytes are, what sharing saves, what a month costs\n"
        "\n"
        "  --source S   as if there were only the snapshots of this source\n"
        "\n"
        "Requests are those that drctl made from this host in the last 30 days (STATE_DIR/memo); a month\n"
        "costs what they and the bytes that lie there cost by 'prices' of the configuration. What is\n"
        "not known is said so. Exit 9: a bucket cannot be opened.\n",
    .run = run_stats,
};
