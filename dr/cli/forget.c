/*
 * forget.c - `drctl forget`: expire snapshots by name or by number; the next prune frees their space.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backup/work/pins.h"
#include "backup/work/prune.h"
#include "dr/base/log.h"
#include "dr/base/mem.h"
#include "dr/cli/data.h"
#include "dr/cli/sure.h"
#include "dr/cli/verbs.h"

struct wish {
    const char *source, *keep_last;
    bool force;
    long keep; /* of keep_last */
};

static int add_named(struct cli *cli, struct data *d, const struct wish *w, struct text_list *ret)
{
    for (int i = 1; i < cli->argc; i++) {
        DR_CLEANUP(snapshot_info_fini) struct snapshot_info info = { 0 };
        struct dr_err err;
        if (repo_find(d->repo, cli->argv[i], w->source, &info, &err) != DR_OK)
            return cli_fail(cli, &err);
        if (info.state == SNAPSHOT_REFUSED && strcmp(info.why, "expired") == 0)
            log_line(LOG_NOTICE, "'%s' is forgotten already", info.id);
        else if (w->force && strcmp(info.id, cli->argv[i]) != 0)
            return cli_usage(cli, "--force wants the whole name: '%s'", info.id);
        else if (!text_list_has(ret, info.id))
            text_list_add(ret, info.id);
    }
    return EXIT_DONE;
}

/* Of each kind all that is older than the newest so many good ones; pins and the newest proved stay. */
static void add_older(const struct snapshot_list *list, const struct pins *pins, long keep,
                      struct text_list *ret)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct snapshot_info *s = &list->items[i];
        long newer = 0;
        bool newer_proved = s->proved_ns == 0;
        for (size_t k = i + 1; k < list->count; k++) {
            const struct snapshot_info *n = &list->items[k];
            if (n->state != SNAPSHOT_GOOD || strcmp(n->kind, s->kind) != 0)
                continue;
            newer++;
            newer_proved |= n->proved_ns != 0;
        }
        bool old = s->state != SNAPSHOT_REFUSED && newer >= keep;
        if (old && pins_find(pins, s->id) != NULL)
            log_line(LOG_NOTICE, "'%s' is pinned and stays", s->id);
        else if (old && !newer_proved)
            log_line(LOG_NOTICE, "'%s' is the newest proved one and stays", s->id);
        else if (old)
            text_list_add(ret, s->id);
    }
}

static int add_by_number(struct cli *cli, struct data *d, const struct wish *w,
                         struct text_list *ret)
{
    DR_CLEANUP(snapshot_list_fini) struct snapshot_list list = { 0 };
    DR_CLEANUP(pins_fini) struct pins pins = { 0 };
    struct dr_err err;
    if (data_source(cli, d->config, w->source) == NULL)
        return EXIT_USAGE;
    if (repo_snapshots(d->repo, w->source, &list, &err) != DR_OK ||
        pins_read(d->repo, &pins, &err) != DR_OK)
        return cli_fail(cli, &err);
    add_older(&list, &pins, w->keep, ret);
    return EXIT_DONE;
}

static int forget_these(struct cli *cli, struct data *d, const struct wish *w,
                        const struct text_list *ids)
{
    struct dr_err err;
    DR_FREE char *what = dr_strf("forget %zu snapshot%s", ids->count, CLI_S(ids->count));
    for (size_t i = 0; i < ids->count && !cli->json; i++)
        printf("%s\n", ids->items[i]);
    enum sure sure = ids->count == 0 ? SURE_YES : cli_sure(cli, what);
    if (sure != SURE_YES)
        return sure == SURE_NOBODY ? EXIT_USAGE : EXIT_HELD;
    if (ids->count > 0 && forget_run(d->repo, ids, w->force, &err) != DR_OK)
        return cli_fail(cli, &err);
    if (cli->json) {
        json_t *o = json_object();
        json_put(o, "forgotten", data_texts_json(ids));
        return cli_result_json(o, EXIT_DONE, NULL);
    }
    printf("%zu snapshot%s forgotten; drctl prune frees the space\n", ids->count,
           CLI_S(ids->count));
    return EXIT_DONE;
}

static int forget(struct cli *cli, struct data *d, const struct wish *w)
{
    DR_CLEANUP(text_list_fini) struct text_list ids = { 0 };
    int exit = w->keep_last != NULL ? add_by_number(cli, d, w, &ids) : add_named(cli, d, w, &ids);
    return exit != EXIT_DONE ? exit : forget_these(cli, d, w, &ids);
}

static int read_wish(struct cli *cli, struct wish *w)
{
    if (w->keep_last == NULL && cli->argc == 1)
        return cli_usage(cli, "forget needs the names of snapshots, or --source S --keep-last N");
    if (w->keep_last == NULL)
        return EXIT_DONE;
    if (cli->argc > 1 || w->source == NULL || w->force)
        return cli_usage(cli, "--keep-last goes with --source alone");
    char *end = NULL;
    errno = 0;
    w->keep = strtol(w->keep_last, &end, 10);
    if (errno != 0 || end == w->keep_last || *end != '\0' || w->keep < 1)
        return cli_usage(cli, "--keep-last: '%s' is no number from 1", w->keep_last);
    return EXIT_DONE;
}

static int run_forget(struct cli *cli)
{
    enum { WORDS_MAX = 10000 };
    struct wish w = { 0 };
    const struct cli_option options[] = { { "source", .value = &w.source },
                                          { "keep-last", .value = &w.keep_last },
                                          { "force", .flag = &w.force } };
    if (!cli_options(cli, options, DR_ARRAY_LEN(options), 0, WORDS_MAX))
        return EXIT_USAGE;
    int exit = read_wish(cli, &w);
    if (exit != EXIT_DONE)
        return exit;
    struct data d;
    exit = data_open_as_guard(cli, &d);
    if (exit == EXIT_DONE)
        exit = forget(cli, &d, &w);
    data_close(&d);
    return exit;
}

const struct cli_verb verb_forget = {
    .name = "forget",
    .summary = "Expire snapshots by name or by number",
    .usage =
        "drctl forget SNAPSHOT... [--source S] [--force]   Expire these snapshots\n"
        "drctl forget --source S --keep-last N             Expire all but the newest N of each kind\n"
        "\n"
        "  --source S      the source whose snapshots are meant\n"
        "  --keep-last N   the newest N good ones of each kind stay, and so does the newest proved one\n"
        "  --force         also the last complete or proved one of its source and kind; whole names only\n"
        "\n"
        "They are gone from every list at once, for ever; drctl prune frees the space. Pinned ones are\n"
        "never forgotten: unpin them first. Exit 5: one of them must stay, so none was forgotten.\n",
    .run = run_forget,
};
