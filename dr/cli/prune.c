/*
 * prune.c - `drctl prune`: what expires and why, what that frees; then it goes, in every bucket.
 */
#include "backup/work/prune.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dr/base/clock.h"
#include "dr/base/log.h"
#include "dr/base/mem.h"
#include "dr/cli/book.h"
#include "dr/cli/costs.h"
#include "dr/cli/data.h"
#include "dr/cli/sure.h"
#include "dr/cli/verbs.h"
#include "dr/data/duration.h"
#include "dr/data/time.h"

struct asked {
    struct cli *cli;
    enum sure answer;
    bool shown;
};

static size_t most_packs(const struct prune_result *r)
{
    size_t most = 0;
    for (size_t i = 0; i < r->bucket_count; i++)
        most = r->buckets[i].packs > most ? r->buckets[i].packs : most;
    return most;
}

/* "us 34.2 MiB (12 packs), eu ..." The caller frees. */
static char *freed(const struct prune_result *r)
{
    struct buf out = { 0 };
    char size[32];
    for (size_t i = 0; i < r->bucket_count; i++)
        buf_addf(&out, "%s%s %s (%zu pack%s)", i > 0 ? ", " : "", r->buckets[i].name,
                 text_size(size, sizeof(size), r->buckets[i].bytes), r->buckets[i].packs,
                 CLI_S(r->buckets[i].packs));
    return buf_take(&out);
}

static void print_table(const struct prune_result *r)
{
    size_t width = strlen("SNAPSHOT");
    for (size_t i = 0; i < r->snapshot_count; i++)
        if (strlen(r->snapshots[i].id) > width)
            width = strlen(r->snapshots[i].id);
    if (r->snapshot_count > 0)
        printf("%-*s  %-11s  %-20s  %-7s  %s\n", (int)width, "SNAPSHOT", "KIND", "TAKEN", "",
               "WHY");
    for (size_t i = 0; i < r->snapshot_count; i++) {
        const struct prune_snapshot *s = &r->snapshots[i];
        char taken[TIME_TEXT_MAX] = "-";
        DR_FREE char *id = cli_printable(s->id);
        if (s->end_ns != 0)
            time_print_s(s->end_ns, taken);
        printf("%-*s  %-11s  %-20s  %-7s  %s\n", (int)width, id, s->kind[0] != '\0' ? s->kind : "-",
               taken, s->expires ? "expires" : "stays", s->why);
    }
}

static json_t *snapshots_json(const struct prune_result *r)
{
    json_t *array = json_array();
    for (size_t i = 0; i < r->snapshot_count; i++) {
        const struct prune_snapshot *s = &r->snapshots[i];
        json_t *o = json_object();
        json_put(o, "id", json_printable(s->id));
        json_put(o, "source", json_printable(s->source));
        json_put(o, "kind", json_printable(s->kind));
        json_put(o, "taken_at", data_time_json(s->end_ns));
        json_put(o, "expires", json_boolean(s->expires));
        json_put(o, "why", json_printable(s->why));
        cli_json_add(array, o);
    }
    return array;
}

static int tell_json(struct data *d, const struct prune_result *r, bool dry, int exit,
                     const char *why)
{
    json_t *o = json_object(), *buckets = json_array(), *holds = json_array();
    for (size_t i = 0; i < r->bucket_count; i++) {
        json_t *b = json_object();
        json_put_text(b, "name", r->buckets[i].name);
        json_put_int(b, "packs", (int64_t)r->buckets[i].packs);
        json_put_int(b, "bytes", (int64_t)r->buckets[i].bytes);
        cli_json_add(buckets, b);
    }
    for (size_t i = 0; i < r->hold_count; i++) {
        json_t *h = json_object();
        json_put(h, "source", json_printable(r->holds[i].source));
        json_put(h, "why", json_printable(r->holds[i].why));
        cli_json_add(holds, h);
    }
    json_put(o, "dry_run", json_boolean(dry));
    json_put(o, "snapshots", snapshots_json(r));
    json_put_int(o, "expired", (int64_t)r->expired);
    json_put(o, "freed", buckets);
    json_put(o, "held", holds);
    json_put_int(o, "pendings", (int64_t)r->pendings);
    json_put_int(o, "waiting", (int64_t)r->young);
    json_put_int(o, "kept", (int64_t)r->struck);
    json_put(o, "requests", data_costs_json(d));
    return cli_result_json(o, exit, why);
}

/* What is worth a word beside the table. */
static void tell_rest(const struct prune_result *r, int64_t grace_ms)
{
    char grace[DURATION_TEXT_MAX];
    for (size_t i = 0; i < r->hold_count; i++)
        log_warning("source '%s': nothing expires now: %s", r->holds[i].source, r->holds[i].why);
    if (r->pendings > 0)
        log_line(LOG_NOTICE, "%zu backup%s that died without an end %s cleared away", r->pendings,
                 CLI_S(r->pendings), r->pendings == 1 ? "was" : "were");
    if (r->young > 0)
        log_line(LOG_NOTICE,
                 "%zu pack%s that nothing names %s left alone for %s: a backup may be at work",
                 r->young, CLI_S(r->young), r->young == 1 ? "is" : "are",
                 duration_print(grace_ms, grace));
    if (r->struck > 0)
        log_line(LOG_NOTICE, "%zu pack%s came into use meanwhile and stay%s", r->struck,
                 CLI_S(r->struck), r->struck == 1 ? "s" : "");
    if (r->left > 0)
        log_line(LOG_NOTICE, "%zu packs are left for the next prune", r->left);
}

static bool approve(void *arg, const struct prune_result *so_far)
{
    struct asked *asked = arg;
    size_t packs = most_packs(so_far);
    if (!asked->cli->json) {
        print_table(so_far);
        asked->shown = true;
    }
    if (so_far->expired == 0 && packs == 0)
        return true;
    DR_FREE char *space = freed(so_far);
    DR_FREE char *what = dr_strf("delete %zu snapshot%s and free %s", so_far->expired,
                                 CLI_S(so_far->expired), space);
    asked->answer = cli_sure(asked->cli, what);
    return asked->answer == SURE_YES;
}

/* For the ledger. Returns exit, or a graver one. */
static int note(struct data *d, const struct prune_options *o, int exit, const char *why)
{
    if (o->dry_run)
        return exit;
    return cli_gravest(exit, cli_book(d->config, "prune", cli_book_body(o->now_ns, exit, why)));
}

static int tell(struct data *d, const struct prune_options *o, const struct asked *asked,
                const struct prune_result *r)
{
    if (asked->answer != SURE_YES)
        return asked->answer == SURE_NOBODY ? EXIT_USAGE : EXIT_HELD;
    static const char held[] = "retention expires nothing of some sources";
    int exit = r->hold_count > 0 ? EXIT_HELD : EXIT_DONE;
    exit = note(d, o, exit, exit == EXIT_HELD ? held : NULL);
    tell_rest(r, o->grace_ms);
    for (size_t i = 0; i < r->bucket_count; i++)
        if (r->buckets[i].extended > 0)
            log_notice("bucket %s: %zu objects locked anew", r->buckets[i].name,
                       r->buckets[i].extended);
    for (size_t i = 0; i < r->bucket_count; i++)
        if (r->buckets[i].locked)
            log_warning(
                "bucket %s keeps what is locked; a prune behind the end of its locks frees it",
                r->buckets[i].name);
    if (asked->cli->json)
        return tell_json(d, r, o->dry_run, exit, exit == EXIT_HELD ? held : NULL);
    if (!asked->shown)
        print_table(r);
    DR_FREE char *space = freed(r);
    uint64_t requests = data_costs_far(d);
    if (r->expired == 0 && most_packs(r) == 0)
        printf("nothing to prune");
    else
        printf("%s%zu snapshot%s deleted, freed: %s", o->dry_run ? "would be: " : "", r->expired,
               CLI_S(r->expired), space);
    if (requests > 0)
        printf("; %" PRIu64 " request%s", requests, CLI_S(requests));
    putchar('\n');
    return exit;
}

static int prune(struct cli *cli, struct data *d, struct prune_options *o)
{
    struct asked asked = { .cli = cli, .answer = SURE_YES };
    DR_CLEANUP(prune_result_fini) struct prune_result result = { 0 };
    struct dr_err err;
    if (o->source != NULL && data_source(cli, d->config, o->source) == NULL)
        return EXIT_USAGE;
    if (o->readmit != NULL && config_bucket(d->config, o->readmit) == NULL)
        return cli_usage(cli, "--readmit: no bucket '%s' in the configuration", o->readmit);
    if (o->retire != NULL && config_bucket(d->config, o->retire) != NULL)
        return cli_usage(cli, "--retire: take bucket '%s' out of the configuration first",
                         o->retire);
    o->now_ns = clock_wall_ns();
    o->approve = approve;
    o->arg = &asked;
    if (prune_run(d->repo, o, NULL, &result, &err) != DR_OK) {
        (void)note(d, o, cli_exit_of(err.rc), err.msg); /* it failed anyway */
        return cli_fail(cli, &err);
    }
    return tell(d, o, &asked, &result);
}

static int run_prune(struct cli *cli)
{
    const char *grace = NULL;
    DR_CLEANUP(text_list_fini) struct text_list abandon = { 0 };
    struct prune_options o = { .grace_ms = PRUNE_GRACE_MS, .abandon = &abandon };
    const struct cli_option options[] = {
        { "dry-run", .flag = &o.dry_run },  { "source", .value = &o.source },
        { "grace", .value = &grace },       { "abandon", .many = &abandon },
        { "readmit", .value = &o.readmit }, { "retire", .value = &o.retire }
    };
    if (!cli_options(cli, options, DR_ARRAY_LEN(options), 0, 0))
        return EXIT_USAGE;
    if (grace != NULL && duration_parse(grace, &o.grace_ms) != QUANTITY_OK)
        return cli_usage(cli, "--grace: '%s' is no duration; wanted like 24h", grace);
    struct data d;
    int exit = data_open_as_guard(cli, &d);
    if (exit == EXIT_DONE)
        exit = prune(cli, &d, &o);
    data_close(&d);
    return exit;
}

const struct cli_verb verb_prune = {
    .name = "prune",
    .summary = "Delete what retention expired, free what nothing needs",
    .usage =
        "drctl prune [--dry-run] [--source S] [--grace D]   Delete what retention expired\n"
        "drctl prune --abandon ID | --readmit BUCKET | --retire BUCKET\n"
        "\n"
        "  --dry-run          show what expires and why, and change nothing\n"
        "  --source S         let only snapshots of this source expire\n"
        "  --grace D          leave packs that nothing names for so long (default 24h): a backup\n"
        "                     may be at work on them\n"
        "  --abandon ID       the backup ID is dead: what it left behind may go\n"
        "  --readmit BUCKET   it came back older than the others: copy what it missed into it\n"
        "  --retire BUCKET    it is given up for ever and is out of the configuration\n"
        "\n"
        "Every bucket must answer. Never deleted: of each source and kind the newest complete and the\n"
        "newest proved snapshot, and what is pinned. Exit 3: retention holds a source (its clock, or\n"
        "its last backup, is not as it should be). 5: a bucket cannot be looked at.\n",
    .run = run_prune,
};
