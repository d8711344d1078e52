/*
 * sentinel.c - "drctl sentinel": the time of day into each source of this host that wants it. backupd starts it
 * each minute.
 *
 * It is a process of its own because a source may lie on a file system that hangs. A source that is being backed
 * up is passed over: its snapshot must not say that it is younger than it is.
 */
#include "backup/work/sentinel.h"

#include <stdio.h>
#include <unistd.h>

#include "backup/work/source_lock.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/cli/verbs.h"

struct count {
    int64_t written, left;
    json_t *failed; /* [{"source","why"}] */
    char *why;      /* of the first */
};

static void count_fini(struct count *n)
{
    json_decref(n->failed);
    free(n->why);
}

static void write_one(const struct config *c, const struct config_source *source, struct count *n)
{
    DR_CLEANUP(dr_close_fd) int lock = -1;
    struct dr_err err = { 0 };
    struct sentinel now = { .seq = 0 };
    enum dr_rc rc = source_lock(c->state_dir, source->name, &lock, &err);
    bool busy = rc == DR_E_BUSY;
    if (rc == DR_OK)
        rc = sentinel_write_of(c, source, &now, &err);
    if (rc == DR_OK || busy) {
        n->left += busy || now.left_alone;
        n->written += !busy && !now.left_alone;
        return;
    }
    json_t *o = json_object();
    json_put_text(o, "source", source->name);
    json_put(o, "why", json_printable(err.msg));
    cli_json_add(n->failed, o);
    if (n->why == NULL)
        n->why = dr_strf("source '%s': %s", source->name, err.msg);
}

static int run_sentinel(struct cli *cli)
{
    char host[256] = "";
    if (!cli_options(cli, NULL, 0, 0, 0))
        return EXIT_USAGE;
    DR_CLEANUP(config_free_ptr) struct config *c = cli_config(cli);
    if (c == NULL)
        return EXIT_USAGE;
    (void)gethostname(host, sizeof(host) - 1); /* a host without a name is at no site */
    const struct config_site *here = config_here(c, host);
    DR_CLEANUP(count_fini) struct count n = { .failed = json_array() };
    for (size_t i = 0; i < c->source_count; i++) {
        const struct config_source *source = &c->sources[i];
        if (source->sentinel != NULL && !source->sentinel_is_theirs &&
            config_is_mine(c, here, source))
            write_one(c, source, &n);
    }
    int exit = n.why != NULL ? EXIT_FAILED : EXIT_DONE;
    if (!cli->json) {
        if (n.why != NULL)
            (void)fprintf(stderr, "drctl: no fresh sentinel: %s\n", n.why);
        return exit;
    }
    json_t *o = json_object();
    json_put_int(o, "written", n.written);
    json_put_int(o, "left", n.left);
    json_put(o, "failed", json_incref(n.failed));
    return cli_result_json(o, exit, n.why);
}

const struct cli_verb verb_sentinel = {
    .name = "sentinel",
    .usage =
        "drctl sentinel      The time of day into each source of this host that wants it; backupd\n"
        "                    does this each minute\n",
    .run = run_sentinel,
};
