/*
 * repair.c - `drctl repair`: every bucket gets what the others have, and damaged objects are replaced.
 *
 * Nothing of a source is read. It may be stopped at any moment; the next one copies what is still
 * missing. The exit code says how the buckets are afterwards, not how much there was to do.
 */
#include "backup/work/repair.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dr/base/clock.h"
#include "dr/base/log.h"
#include "dr/base/mem.h"
#include "dr/cli/book.h"
#include "dr/cli/costs.h"
#include "dr/cli/data.h"
#include "dr/cli/progress.h"
#include "dr/cli/verbs.h"

enum { COPIES_AT_ONCE = 4 };

/* Whole nowhere is a failure; what could not be brought where it belongs is a copy less. */
static int exit_of_report(const struct repair_report *r)
{
    bool failed = r->left > 0;
    for (size_t i = 0; i < r->bucket_count; i++)
        failed |= r->buckets[i].failed;
    if (r->lost > 0)
        return EXIT_FAILED;
    return failed ? EXIT_DEGRADED : EXIT_DONE;
}

static uint64_t bytes_of(const struct repair_report *r)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < r->bucket_count; i++)
        sum += r->buckets[i].bytes;
    return sum;
}

/* -- for programs -------------------------------------------------------------------------- */

static json_t *buckets_json(const struct repair_report *r)
{
    json_t *array = json_array();
    for (size_t i = 0; i < r->bucket_count; i++) {
        const struct repair_bucket *b = &r->buckets[i];
        json_t *o = json_object();
        json_put_text(o, "name", b->name);
        json_put_int(o, "packs", (int64_t)b->packs);
        json_put_int(o, "bytes", (int64_t)b->bytes);
        json_put_int(o, "snapshots", (int64_t)b->snapshots);
        json_put_int(o, "lists", (int64_t)b->lists);
        json_put_int(o, "healed", (int64_t)b->healed);
        json_put(o, "came_back", json_boolean(b->came_back));
        json_put(o, "why", b->failed ? json_printable(b->why.msg) : json_null());
        cli_json_add(array, o);
    }
    return array;
}

static json_t *damage_json(const struct repair_report *r)
{
    json_t *array = json_array();
    for (size_t i = 0; i < r->damage_count; i++) {
        const struct repair_damage *d = &r->damage[i];
        json_t *o = json_object();
        json_put_text(o, "bucket", d->bucket);
        json_put(o, "object", json_printable(d->object));
        json_put(o, "healed", json_boolean(d->healed));
        json_put(o, "files", data_texts_json(&d->files));
        json_put_int(o, "more", (int64_t)d->more);
        json_put(o, "why", d->why != NULL ? json_printable(d->why) : json_null());
        cli_json_add(array, o);
    }
    return array;
}

static int tell_json(struct data *d, const struct repair_report *r, bool dry_run, int exit)
{
    char why[128];
    json_t *o = json_object();
    json_put(o, "dry_run", json_boolean(dry_run));
    json_put_int(o, "snapshots", (int64_t)r->snapshots);
    json_put(o, "buckets", buckets_json(r));
    json_put(o, "damage", damage_json(r));
    json_put_int(o, "lost", (int64_t)r->lost);
    json_put_int(o, "left", (int64_t)r->left);
    json_put(o, "requests", data_costs_json(d));
    snprintf(why, sizeof(why), "%zu object%s whole in no bucket, %zu not where it should be",
             r->lost, r->lost == 1 ? "" : "s", r->left);
    return cli_result_json(o, exit, exit == EXIT_DONE ? NULL : why);
}

/* -- for people ---------------------------------------------------------------------------- */

static void tell_damage(const struct repair_damage *d, bool dry_run)
{
    const char *done = dry_run ? "would be replaced" : "replaced";
    printf("bucket %s: %s was damaged: %s\n", d->bucket, d->object,
           d->healed ? done : (d->why != NULL ? d->why : "it stays"));
    for (size_t i = 0; i < d->files.count; i++)
        printf("    %s\n", d->files.items[i]);
    if (d->more > 0)
        printf("    and %zu more\n", d->more);
}

static void tell_bucket(const struct repair_bucket *b)
{
    char size[32];
    if (b->failed) {
        bool hint = b->why.hint[0] != '\0';
        log_warning("bucket '%s' is not as it should be: %s%s%s", b->name, b->why.msg,
                    hint ? ". " : "", hint ? b->why.hint : "");
    }
    if (b->came_back)
        log_line(LOG_NOTICE,
                 "bucket '%s' lacked lists that the others have: it came back empty or "
                 "older",
                 b->name);
    printf("bucket %s: %zu pack%s, %s; %zu snapshot%s; %zu list%s; %zu healed\n", b->name, b->packs,
           CLI_S(b->packs), text_size(size, sizeof(size), b->bytes), b->snapshots,
           CLI_S(b->snapshots), b->lists, CLI_S(b->lists), b->healed);
}

static int tell(struct cli *cli, struct data *d, const struct repair_report *r, bool dry_run,
                int exit)
{
    if (cli->json)
        return tell_json(d, r, dry_run, exit);
    for (size_t i = 0; i < r->damage_count; i++)
        tell_damage(&r->damage[i], dry_run);
    for (size_t i = 0; i < r->bucket_count; i++)
        tell_bucket(&r->buckets[i]);
    if (exit_of_report(r) == EXIT_DONE)
        printf("%s%zu snapshot%s %s in every bucket\n", dry_run ? "would be: " : "", r->snapshots,
               CLI_S(r->snapshots), r->snapshots == 1 ? "is" : "are");
    else
        printf("%zu object%s whole in no bucket, %zu not where it should be\n", r->lost,
               CLI_S(r->lost), r->left);
    return exit;
}

/* -- the work ------------------------------------------------------------------------------ */

/* For the ledger. Returns exit, or a graver one. */
static int note(struct data *d, const struct repair_wish *wish, int64_t began_ns, int exit,
                const char *why)
{
    if (wish->dry_run)
        return exit;
    return cli_gravest(exit, cli_book(d->config, "repair", cli_book_body(began_ns, exit, why)));
}

static int repair(struct cli *cli, struct data *d, const struct repair_wish *wish)
{
    int64_t began_ns = clock_wall_ns();
    DR_CLEANUP(repair_report_fini) struct repair_report report = { 0 };
    struct dr_err err;
    struct progress p;
    progress_start(&p, cli, wish->snapshot != NULL ? wish->snapshot : "all snapshots");
    enum dr_rc rc = repair_run(d->repo, wish, &p.hooks, &report, &err);
    progress_end(&p);
    if (rc != DR_OK) {
        (void)note(d, wish, began_ns, cli_exit_of(rc), err.msg); /* it failed anyway */
        return cli_fail(cli, &err);
    }
    if (!wish->dry_run)
        progress_summary(
            &p, cli,
            &(struct progress_done){ .bytes = bytes_of(&report), .requests = data_costs_far(d) });
    int exit = exit_of_report(&report);
    exit = note(d, wish, began_ns, exit,
                exit == EXIT_DONE ? NULL : "something is not where it should be");
    return tell(cli, d, &report, wish->dry_run, exit);
}

/* With a word for the snapshot, it is found as everywhere: by the beginning of its id, or "latest". */
static int find(struct cli *cli, struct data *d, struct repair_wish *wish,
                struct snapshot_info *found)
{
    struct dr_err err;
    if (cli->argc < 2)
        return EXIT_DONE;
    if (repo_find(d->repo, cli->argv[1], NULL, found, &err) != DR_OK)
        return cli_fail(cli, &err);
    wish->snapshot = found->id;
    return EXIT_DONE;
}

static int run_repair(struct cli *cli)
{
    struct repair_wish wish = { .threads = COPIES_AT_ONCE };
    const struct cli_option options[] = { { "from", .value = &wish.from },
                                          { "to", .value = &wish.to },
                                          { "data", .flag = &wish.data },
                                          { "dry-run", .flag = &wish.dry_run } };
    if (!cli_options(cli, options, DR_ARRAY_LEN(options), 0, 1))
        return EXIT_USAGE;
    if (wish.from != NULL && wish.to != NULL && strcmp(wish.from, wish.to) == 0)
        return cli_usage(cli, "--from and --to name the same bucket");
    struct data d;
    struct snapshot_info found = { 0 };
    int exit = data_open_as_guard(cli, &d);
    if (exit == EXIT_DONE)
        exit = find(cli, &d, &wish, &found);
    if (exit == EXIT_DONE)
        exit = repair(cli, &d, &wish);
    snapshot_info_fini(&found);
    data_close(&d);
    return exit;
}

const struct cli_verb verb_repair = {
    .name = "repair",
    .summary = "Copy what a bucket lacks, replace what is damaged",
    .usage =
        "drctl repair [SNAPSHOT] [--from BUCKET] [--to BUCKET] [--data] [--dry-run]\n"
        "\n"
        "Every bucket gets what the others have: first the lists of what is expired, then packs, then\n"
        "the snapshots. What is damaged is read a second time, named with the files concerned, and\n"
        "replaced by the right bytes of another bucket. No source is read. It may be stopped at any\n"
        "moment; the next one goes on.\n"
        "\n"
        "  SNAPSHOT        only this one: its id, the beginning of it, or latest\n"
        "  --from BUCKET   copy out of this bucket only\n"
        "  --to BUCKET     write into this bucket only\n"
        "  --data          read every pack in every bucket first, so that all damage is found; else\n"
        "                  what verify and restores met, and what has a wrong length\n"
        "  --dry-run       say what would be done, and write nothing\n"
        "\n"
        "Exit 9: something is not where it should be, or a bucket cannot be used. 1: something is whole\n"
        "in no bucket.\n",
    .run = run_repair,
};
