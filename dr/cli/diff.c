/*
 * diff.c - `drctl diff A B`: what changed between two snapshots.
 *
 * One line a change, in path order, as it is found: + added, - removed, M changed, T another type. With
 * --json one object whose list is written as it is found as well, so that millions of changes need no memory.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/work/diff.h"
#include "dr/cli/data.h"
#include "dr/cli/progress.h"
#include "dr/cli/verbs.h"

struct telling {
    bool json;
    size_t told;
};

static const char *type_word(char type)
{
    static const char *const words[] = { "file",        "hard link",    "symbolic link",
                                         "char device", "block device", "directory",
                                         "fifo" };
    return type >= '0' && type <= '6' ? words[type - '0'] : "nothing";
}

/* The names of the bits, in their order. */
static void list_what(unsigned what, struct text_list *out)
{
    static const char *const words[] = { "content", "mode", "owner", "time", "attributes" };
    for (size_t i = 0; i < DR_ARRAY_LEN(words); i++)
        if ((what & (1u << i)) != 0)
            text_list_add(out, words[i]);
}

static void tell_json(struct telling *t, const struct diff_change *c)
{
    static const char *const kinds[] = { "added", "removed", "changed", "type" };
    DR_CLEANUP(text_list_fini) struct text_list what = { 0 };
    DR_JSON json_t *o = json_object();
    list_what(c->what, &what);
    json_put(o, "path", json_printable(c->path));
    json_put_text(o, "change", kinds[c->kind]);
    json_put(o, "what", data_texts_json(&what));
    if (c->type_before != '\0')
        json_put_text(o, "type_before", type_word(c->type_before));
    if (c->type_after != '\0')
        json_put_text(o, "type_after", type_word(c->type_after));
    json_put_int(o, "size_before", (int64_t)c->size_before);
    json_put_int(o, "size_after", (int64_t)c->size_after);
    DR_CLEANUP(buf_fini) struct buf line = { 0 };
    json_add_canonical(&line, o);
    printf("%s\n%s", t->told > 0 ? "," : "", line.data);
}

static void tell_text(const struct diff_change *c)
{
    char before[32], after[32];
    DR_FREE char *path = cli_printable(c->path[0] != '\0' ? c->path : ".");
    printf("%c %s", "+-MT"[c->kind], path);
    if (c->kind == DIFF_TYPE)
        printf("  %s -> %s", type_word(c->type_before), type_word(c->type_after));
    if (c->kind == DIFF_CHANGED) {
        DR_CLEANUP(text_list_fini) struct text_list what = { 0 };
        list_what(c->what, &what);
        DR_FREE char *words = text_list_join(&what, ", ");
        printf("  %s", words);
    }
    if (c->size_before != c->size_after && c->kind == DIFF_CHANGED)
        printf("  %s -> %s", text_size(before, sizeof(before), c->size_before),
               text_size(after, sizeof(after), c->size_after));
    putchar('\n');
}

static void on_change(void *arg, const struct diff_change *c)
{
    struct telling *t = arg;
    if (t->json)
        tell_json(t, c);
    else
        tell_text(c);
    t->told++;
}

static void sum_json(const struct diff_totals *t)
{
    DR_JSON json_t *o = json_object();
    json_put_int(o, "added", (int64_t)t->of[DIFF_ADDED]);
    json_put_int(o, "removed", (int64_t)t->of[DIFF_REMOVED]);
    json_put_int(o, "changed", (int64_t)t->of[DIFF_CHANGED]);
    json_put_int(o, "types", (int64_t)t->of[DIFF_TYPE]);
    json_put_int(o, "unchanged", (int64_t)t->unchanged);
    json_put_int(o, "directory_times", (int64_t)t->times);
    json_put_int(o, "bytes_added", (int64_t)t->bytes_added);
    json_put_int(o, "bytes_removed", (int64_t)t->bytes_removed);
    json_put_int(o, "segments", (int64_t)t->segments);
    json_put_int(o, "segments_shared", (int64_t)t->segments_shared);
    DR_CLEANUP(buf_fini) struct buf line = { 0 };
    json_add_canonical(&line, o);
    printf("\n],\"exit\":0,\"totals\":%s}\n", line.data);
}

/* The object that was begun ends as that of any verb that failed; the changes told so far stay. */
static void fail_json(const struct dr_err *err)
{
    DR_JSON json_t *o = json_object();
    json_put_text(o, "error", dr_rc_name(err->rc));
    json_put_int(o, "exit", cli_exit_of(err->rc));
    if (err->hint[0] != '\0')
        json_put(o, "hint", json_printable(err->hint));
    json_put(o, "why", json_printable(err->msg));
    DR_CLEANUP(buf_fini) struct buf line = { 0 };
    json_add_canonical(&line, o);
    printf("\n],%s\n", line.data + 1); /* without its opening brace */
}

static void sum_text(const struct diff_totals *t)
{
    char plus[32], minus[32];
    printf("%" PRIu64 " added, %" PRIu64 " removed, %" PRIu64 " changed, %" PRIu64
           " of another type, %" PRIu64 " unchanged; +%s -%s\n",
           t->of[DIFF_ADDED], t->of[DIFF_REMOVED], t->of[DIFF_CHANGED], t->of[DIFF_TYPE],
           t->unchanged + t->times, text_size(plus, sizeof(plus), t->bytes_added),
           text_size(minus, sizeof(minus), t->bytes_removed));
}

/* Two snapshots of different sources may be compared: a restored copy with its origin, for one. */
static int compare(struct cli *cli, struct data *d, const struct snapshot_info *before,
                   const struct snapshot_info *after)
{
    struct telling t = { .json = cli->json };
    const struct diff_wish wish = { .before = before, .after = after, .fn = on_change, .arg = &t };
    struct diff_totals totals;
    struct dr_err err;
    struct progress p;
    if (cli->json)
        printf("{\"after\":\"%s\",\"before\":\"%s\",\"changes\":[", after->id, before->id);
    progress_start(&p, cli, "diff");
    enum dr_rc rc = diff_run(d->repo, &wish, &p.hooks, &totals, &err);
    progress_end(&p);
    if (rc != DR_OK) {
        if (cli->json)
            fail_json(&err);
        cli->json = false; /* it is told already */
        return cli_fail(cli, &err);
    }
    if (cli->json)
        sum_json(&totals);
    else
        sum_text(&totals);
    return EXIT_DONE;
}

static int find_both(struct cli *cli, struct data *d, const char *source)
{
    struct snapshot_info before = { 0 }, after = { 0 };
    struct dr_err err;
    int exit = EXIT_DONE;
    if (source != NULL && data_source(cli, d->config, source) == NULL)
        return EXIT_USAGE;
    if (repo_find(d->repo, cli->argv[1], source, &before, &err) != DR_OK ||
        repo_find(d->repo, cli->argv[2], source, &after, &err) != DR_OK)
        exit = cli_fail(cli, &err);
    else
        exit = compare(cli, d, &before, &after);
    snapshot_info_fini(&before);
    snapshot_info_fini(&after);
    return exit;
}

static int run_diff(struct cli *cli)
{
    const char *source = NULL;
    const struct cli_option options[] = { { "source", .value = &source } };
    if (!cli_options(cli, options, DR_ARRAY_LEN(options), 2, 2))
        return EXIT_USAGE;
    struct data d;
    int exit = data_open(cli, &d);
    if (exit == EXIT_DONE)
        exit = find_both(cli, &d, source);
    data_close(&d);
    return exit;
}

const struct cli_verb verb_diff = {
    .name = "diff",
    .summary = "What changed between two snapshots",
    .usage =
        "drctl diff A B [--source S]      What changed from snapshot A to snapshot B\n"
        "\n"
        "  --source S   whose latest, when there are several sources\n"
        "\n"
        "+ added, - removed, M changed (content, mode, owner, time, attributes), T of another type.\n"
        "Directories whose time alone changed are counted as unchanged.\n",
    .run = run_diff,
};
