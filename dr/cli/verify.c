/*
 * verify.c - `drctl verify`: is everything there, and with --data, is it right?
 */
#include <inttypes.h>
#include <stdio.h>

#include "backup/work/verify_budget.h"
#include "dr/base/clock.h"
#include "dr/base/pool.h"
#include "dr/cli/book.h"
#include "dr/cli/costs.h"
#include "dr/cli/data.h"
#include "dr/cli/progress.h"
#include "dr/cli/verbs.h"
#include "dr/data/duration.h"

/* Lost is a failure. What another bucket still has is degraded: there are fewer copies. */
static int exit_of_result(const struct verify_result *result, size_t closed)
{
    if (result->lost > 0)
        return EXIT_FAILED;
    return result->damaged > 0 || result->missing > 0 || closed > 0 ? EXIT_DEGRADED : EXIT_DONE;
}

struct attempt { /* one verify, for the ledger */
    const char *source;
    bool data;
    int64_t began_ns;
};

/* Returns exit, or a graver one. */
static int note(struct data *d, const struct attempt *a, uint64_t bytes, int exit, const char *why)
{
    json_t *body = cli_book_body(a->began_ns, exit, why);
    json_put(body, "source", a->source != NULL ? json_printable(a->source) : json_null());
    json_put(body, "snapshot", json_null());
    json_put(body, "bucket", json_null());
    json_put_int(body, "bytes", (int64_t)bytes);
    json_put_text(body, "depth", a->data ? "data" : "look");
    return cli_gravest(exit, cli_book(d->config, "verify", body));
}

static int tell(struct cli *cli, struct data *d, const struct verify_result *result,
                const struct attempt *a)
{
    bool data = a->data;
    int exit = exit_of_result(result, d->closed);
    size_t open = repo_bucket_count(d->repo) - d->closed;
    char size[32], text[256];
    snprintf(text, sizeof(text),
             "%zu objects in %zu of %zu buckets %s: %zu damaged, %zu missing, %zu lost in all of "
             "them",
             result->objects, open, repo_bucket_count(d->repo), data ? "read" : "looked at",
             result->damaged, result->missing, result->lost);
    exit = note(d, a, result->bytes, exit, exit == EXIT_DONE ? NULL : text);
    if (cli->json) {
        json_t *o = json_object();
        json_put_int(o, "objects", (int64_t)result->objects);
        json_put_int(o, "damaged", (int64_t)result->damaged);
        json_put_int(o, "missing", (int64_t)result->missing);
        json_put_int(o, "lost", (int64_t)result->lost);
        json_put_int(o, "bytes", (int64_t)result->bytes);
        json_put_int(o, "buckets", (int64_t)open);
        json_put(o, "data", json_boolean(data));
        json_put(o, "requests", data_costs_json(d));
        return cli_result_json(o, exit, exit == EXIT_DONE ? NULL : text);
    }
    if (exit == EXIT_DONE && result->objects == open)
        printf("no snapshot yet: %zu bucket%s ready and empty\n", open,
               open == 1 ? " is" : "s are");
    else if (exit == EXIT_DONE)
        printf("%zu objects in %zu buckets %s, %s: all are there%s\n", result->objects, open,
               data ? "read" : "looked at", text_size(size, sizeof(size), result->bytes),
               data ? " and right" : "; --data would read them");
    else
        printf("%s\n", text);
    return exit;
}

static int verify(struct cli *cli, struct data *d, const char *source, bool data)
{
    struct verify_result result = { 0 };
    struct dr_err err;
    struct progress p;
    const struct attempt attempt = { source, data, clock_wall_ns() };
    if (source != NULL && data_source(cli, d->config, source) == NULL)
        return EXIT_USAGE;
    progress_start(&p, cli, source != NULL ? source : "all sources");
    const struct verify_wish wish = { .data = data, .threads = pool_processors() };
    enum dr_rc rc = verify_run(d->repo, source, &wish, &p.hooks, &result, &err);
    progress_end(&p);
    if (rc != DR_OK) {
        (void)note(d, &attempt, result.bytes, cli_exit_of(rc), err.msg); /* it failed anyway */
        return cli_fail(cli, &err);
    }
    if (data)
        progress_summary(
            &p, cli,
            &(struct progress_done){ .bytes = result.bytes, .requests = data_costs_far(d) });
    return tell(cli, d, &result, &attempt);
}

/* So many bytes of the round over all packs. */
static int verify_part(struct cli *cli, struct data *d, uint64_t budget)
{
    struct verify_round round = { 0 };
    struct dr_err err;
    struct progress p;
    progress_start(&p, cli, "all packs");
    const struct attempt attempt = { NULL, true, clock_wall_ns() };
    enum dr_rc rc = verify_budget(d->repo, budget, &p.hooks, &round, &err);
    progress_end(&p);
    if (rc != DR_OK) {
        (void)note(d, &attempt, 0, cli_exit_of(rc), err.msg); /* it failed anyway */
        return cli_fail(cli, &err);
    }
    data_tell_unlisted(d);
    bool bad = round.result.damaged > 0 || d->closed > 0;
    const char *why = bad ? "a pack is damaged, or a bucket cannot be opened" : NULL;
    int exit = note(d, &attempt, round.result.bytes, bad ? EXIT_DEGRADED : EXIT_DONE, why);
    char size[32];
    if (cli->json) {
        json_t *o = json_object();
        json_put_int(o, "objects", (int64_t)round.result.objects);
        json_put_int(o, "damaged", (int64_t)round.result.damaged);
        json_put_int(o, "bytes", (int64_t)round.result.bytes);
        json_put_int(o, "packs", (int64_t)round.packs);
        json_put_int(o, "unread", (int64_t)round.unread);
        json_put(o, "oldest_read_at", data_time_json(round.oldest_ns));
        json_put(o, "requests", data_costs_json(d));
        return cli_result_json(o, exit, why);
    }
    printf("%zu of %zu packs read, %s: %zu damaged; %zu wait for their turn in this round\n",
           round.result.objects, round.packs, text_size(size, sizeof(size), round.result.bytes),
           round.result.damaged, round.unread);
    return exit;
}

static int run_verify(struct cli *cli)
{
    const char *source = NULL, *budget = NULL;
    bool data = false;
    uint64_t bytes = 0;
    const struct cli_option options[] = { { "source", .value = &source },
                                          { "data", .flag = &data },
                                          { "budget", .value = &budget } };
    if (!cli_options(cli, options, DR_ARRAY_LEN(options), 0, 0))
        return EXIT_USAGE;
    if (budget != NULL && (size_parse(budget, &bytes) != QUANTITY_OK || bytes == 0))
        return cli_usage(cli, "--budget: '%s' is no size; wanted like 10GiB", budget);
    if (budget != NULL && source != NULL)
        return cli_usage(cli, "--budget reads the packs of all sources: without --source");
    struct data d;
    int exit = data_open_silently(cli, &d);
    if (exit == EXIT_DONE && budget != NULL)
        exit = verify_part(cli, &d, bytes);
    else if (exit == EXIT_DONE)
        exit = verify(cli, &d, source, data);
    data_close(&d);
    return exit;
}

const struct cli_verb verb_verify = {
    .name = "verify",
    .summary = "Is everything there, and is it right?",
    .usage =
        "drctl verify [--source S] [--data [--budget SIZE]]   Is everything there, and is it right?\n"
        "\n"
        "  --source S   only the snapshots of this source\n"
        "  --data       read every byte and compare every digest; what is whole counts as proved\n"
        "  --budget SIZE  read packs of at most this size (10GiB), and the next time go on with those\n"
        "               read longest ago: each pack of each bucket once before any twice\n"
        "\n"
        "Exit 9: something is damaged or missing, but good in another bucket, or a bucket cannot be\n"
        "opened. 1: something is good in no bucket.\n",
    .run = run_verify,
};
