/*
 * find.c - `drctl find`: in which snapshots is it, and in how many versions?
 *
 * A line for each version, with the first and the last snapshot that has it: what somebody needs who knows a
 * name and not the day.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/work/find.h"
#include "dr/base/log.h"
#include "dr/base/mem.h"
#include "dr/cli/data.h"
#include "dr/cli/progress.h"
#include "dr/cli/verbs.h"
#include "dr/data/time.h"

struct asked {
    const char *source, *snapshot, *type;
};

static const struct {
    const char *word;
    char type;
} types[] = { { "file", '0' },         { "symlink", '2' },   { "char-device", '3' },
              { "block-device", '4' }, { "directory", '5' }, { "fifo", '6' } };

static bool type_of(const char *word, char *ret)
{
    for (size_t i = 0; i < DR_ARRAY_LEN(types); i++) {
        if (strcmp(word, types[i].word) != 0)
            continue;
        *ret = types[i].type;
        return true;
    }
    return false;
}

static const char *word_of(char type)
{
    for (size_t i = 0; i < DR_ARRAY_LEN(types); i++)
        if (types[i].type == type)
            return types[i].word;
    return "hardlink";
}

static void time_text(const struct find_match *m, char out[TIME_TEXT_MAX])
{
    int64_t ns = 0; /* beyond the years 1677 to 2262: the nearest end */
    if (__builtin_mul_overflow(m->mtime_s, INT64_C(1000000000), &ns))
        ns = m->mtime_s < 0 ? INT64_MIN : INT64_MAX;
    time_print_s(ns, out);
}

static json_t *match_json(const struct find_match *m)
{
    char time[TIME_TEXT_MAX];
    time_text(m, time);
    json_t *o = json_object();
    json_put(o, "path", json_printable(m->path));
    json_put_text(o, "source", m->first->source != NULL ? m->first->source : "");
    json_put_text(o, "type", word_of(m->type));
    json_put_int(o, "mode", m->mode);
    json_put_int(o, "uid", m->uid);
    json_put_int(o, "gid", m->gid);
    json_put_int(o, "size", (int64_t)m->size);
    json_put_text(o, "mtime", time);
    if (m->link != NULL)
        json_put(o, "link", json_printable(m->link));
    json_put_text(o, "first", m->first->id);
    json_put_text(o, "last", m->last->id);
    json_put_int(o, "snapshots", (int64_t)m->count);
    return o;
}

static void tell(const struct find_match *m)
{
    char size[32], time[TIME_TEXT_MAX];
    DR_FREE char *path = cli_printable(m->path);
    time_text(m, time);
    printf("%s  %s, %s, %s  ", path, word_of(m->type), text_size(size, sizeof(size), m->size),
           time);
    if (m->count == 1)
        printf("in %s\n", m->first->id);
    else
        printf("in %zu snapshots, %s to %s\n", m->count, m->first->id, m->last->id);
}

static int search(struct cli *cli, struct data *d, const struct snapshot_list *list, char type)
{
    const struct find_wish wish = {
        .snapshots = list->items, .count = list->count, .pattern = cli->argv[1], .type = type
    };
    DR_CLEANUP(find_result_fini) struct find_result result = { 0 };
    struct dr_err err;
    struct progress p;
    progress_start(&p, cli, "find");
    enum dr_rc rc = find_run(d->repo, &wish, &p.hooks, &result, &err);
    progress_end(&p);
    if (rc != DR_OK)
        return cli_fail(cli, &err);
    json_t *array = cli->json ? json_array() : NULL;
    for (size_t i = 0; i < result.count; i++) {
        if (cli->json)
            cli_json_add(array, match_json(result.matches[i]));
        else
            tell(result.matches[i]);
    }
    if (cli->json)
        cli_print_json(array);
    else if (result.count == 0)
        log_line(LOG_NOTICE, "found in none of %zu snapshot%s", list->count, CLI_S(list->count));
    return EXIT_DONE;
}

/* The snapshots to look at. Those of one source at a time make paths comparable, but a name that is looked
 * for in all of them is found in all of them. */
static int gather(struct cli *cli, struct data *d, const struct asked *a,
                  struct snapshot_list *list)
{
    struct dr_err err;
    if (a->source != NULL && data_source(cli, d->config, a->source) == NULL)
        return EXIT_USAGE;
    if (a->snapshot == NULL) {
        if (repo_snapshots(d->repo, a->source, list, &err) != DR_OK)
            return cli_fail(cli, &err);
        data_tell_unlisted(d);
        return EXIT_DONE;
    }
    list->items = dr_alloc(1, sizeof(list->items[0]));
    if (repo_find(d->repo, a->snapshot, a->source, &list->items[0], &err) != DR_OK)
        return cli_fail(cli, &err);
    list->count = 1;
    return EXIT_DONE;
}

static int run_find(struct cli *cli)
{
    struct asked a = { 0 };
    const struct cli_option options[] = { { "source", .value = &a.source },
                                          { "snapshot", .value = &a.snapshot },
                                          { "type", .value = &a.type } };
    char type = '\0';
    if (!cli_options(cli, options, DR_ARRAY_LEN(options), 1, 1))
        return EXIT_USAGE;
    if (a.type != NULL && !type_of(a.type, &type))
        return cli_usage(cli,
                         "--type is file, directory, symlink, fifo, char-device or "
                         "block-device, not '%s'",
                         a.type);
    struct data d;
    struct snapshot_list list = { 0 };
    int exit = data_open(cli, &d);
    if (exit == EXIT_DONE)
        exit = gather(cli, &d, &a, &list);
    if (exit == EXIT_DONE)
        exit = search(cli, &d, &list, type);
    snapshot_list_fini(&list);
    data_close(&d);
    return exit;
}

const struct cli_verb verb_find = {
    .name = "find",
    .summary = "In which snapshots a file is, version by version",
    .usage =
        "drctl find PATTERN [--source S] [--snapshot N] [--type T]      In which snapshots it is\n"
        "\n"
        "  PATTERN        a name, or with a '/' a path from the source's root; * ? [] ** as in\n"
        "                 gitignore\n"
        "  --source S     only in the snapshots of this source\n"
        "  --snapshot N   only in this one\n"
        "  --type T       only: file directory symlink fifo char-device block-device\n"
        "\n"
        "One line for each version, with the first and the last snapshot that has it.\n",
    .run = run_find,
};
