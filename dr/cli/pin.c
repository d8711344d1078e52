/*
 * pin.c - `drctl pin` and `drctl unpin`: a snapshot that neither retention nor forget may take.
 */
#include <stdio.h>
#include <string.h>

#include "backup/work/gc.h"
#include "backup/work/pins.h"
#include "dr/cli/data.h"
#include "dr/cli/verbs.h"

enum { REASON_LEN_MAX = 500 };

struct wish {
    bool pinned;
    const char *reason;
};

/* A prune may have been faster than the pin. */
static enum dr_rc check_in_time(struct repo *r, const char *id, struct dr_err *err)
{
    for (size_t i = 0; i < repo_bucket_count(r); i++) {
        struct store *s = repo_bucket(r, i)->store;
        bool expired = false;
        if (s != NULL)
            DR_TRY(gc_is_expired(s, id, &expired, err));
        if (expired)
            return dr_fail(err, DR_E_NOTFOUND, "snapshot '%s' is expired: the pin comes too late",
                           id);
    }
    return DR_OK;
}

static int put_pin(struct cli *cli, struct data *d, const struct snapshot_info *s, void *arg)
{
    const struct wish *w = arg;
    struct dr_err err;
    enum dr_rc rc = w->pinned ? check_in_time(d->repo, s->id, &err) : DR_OK;
    if (rc == DR_OK)
        rc = pins_put(d->repo, s->id, w->pinned, w->reason != NULL ? w->reason : "", &err);
    if (rc == DR_OK && w->pinned)
        rc = check_in_time(d->repo, s->id, &err);
    if (rc != DR_OK)
        return cli_fail(cli, &err);
    int exit = d->closed > 0 ? EXIT_DEGRADED : EXIT_DONE;
    if (cli->json) {
        json_t *o = json_object();
        json_put_text(o, "id", s->id);
        json_put(o, "pinned", json_boolean(w->pinned));
        return cli_result_json(o, exit, exit == EXIT_DONE ? NULL : "a bucket does not know it");
    }
    printf("%s %s\n", s->id, w->pinned ? "is pinned" : "is not pinned any more");
    return exit;
}

static int run(struct cli *cli, bool pinned)
{
    const char *source = NULL;
    struct wish w = { .pinned = pinned };
    const struct cli_option options[] = { { "source", .value = &source },
                                          { "reason", .value = &w.reason } };
    if (!cli_options(cli, options, DR_ARRAY_LEN(options) - !pinned, 1, 1))
        return EXIT_USAGE;
    if (w.reason != NULL && strlen(w.reason) > REASON_LEN_MAX)
        return cli_usage(cli, "--reason: at most %d bytes", (int)REASON_LEN_MAX);
    return data_with_snapshot(cli, source, put_pin, &w);
}

static int run_pin(struct cli *cli)
{
    return run(cli, true);
}

static int run_unpin(struct cli *cli)
{
    return run(cli, false);
}

const struct cli_verb verb_pin = {
    .name = "pin",
    .summary = "Keep a snapshot whatever its age",
    .usage = "drctl pin SNAPSHOT [--reason TEXT] [--source S]   Keep a snapshot whatever its age\n"
             "\n"
             "  --reason TEXT   why; shown by drctl snapshots\n"
             "  --source S      the source of which 'latest' is meant\n"
             "\n"
             "Neither retention nor forget takes it until drctl unpin. Every host sees the pin.\n",
    .run = run_pin,
};

const struct cli_verb verb_unpin = {
    .name = "unpin",
    .summary = "Let a pinned snapshot expire again",
    .usage = "drctl unpin SNAPSHOT [--source S]   Let a pinned snapshot expire again\n"
             "\n"
             "  --source S   the source of which 'latest' is meant\n",
    .run = run_unpin,
};
