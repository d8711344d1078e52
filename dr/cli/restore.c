/*
 * restore.c - `drctl restore`: a snapshot becomes a directory again.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/work/exclude.h"
#include "backup/work/work.h"
#include "backup/work/writer_epoch.h"
#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/base/pool.h"
#include "dr/cli/book.h"
#include "dr/cli/costs.h"
#include "dr/cli/data.h"
#include "dr/cli/progress.h"
#include "dr/cli/sure.h"
#include "dr/cli/verbs.h"
#include "dr/data/time.h"

enum { NAMES_SHOWN = 20 };

struct wish {
    struct restore_options how;
    struct cli *cli;
    struct text_list include, exclude; /* patterns */
    json_t *names;                     /* "remove": [...]; owned */
    size_t removed;                    /* names of that kind so far */
};

static void wish_fini(struct wish *w)
{
    text_list_fini(&w->include);
    text_list_fini(&w->exclude);
    json_decref(w->names);
}

static void note_name(void *arg, const char *what, const char *path)
{
    struct wish *w = arg;
    json_t *list = json_object_get(w->names, what);
    if (list == NULL) {
        list = json_array();
        json_put(w->names, what, list);
    }
    cli_json_add(list, json_printable(path));
    if (w->cli->json || w->cli->quiet)
        return;
    DR_FREE char *name = cli_printable(path);
    fprintf(stderr, "  %-8s %s\n", what, name);
}

static bool confirm(void *arg, const struct text_list *surplus)
{
    const struct wish *w = arg;
    DR_FREE char *place = cli_printable(w->how.to);
    if (!w->cli->json && surplus->count > NAMES_SHOWN)
        fprintf(stderr, "  and %zu more\n", surplus->count - NAMES_SHOWN);
    DR_FREE char *what = dr_strf("make %s exactly the snapshot, removing %zu entr%s", place,
                                 surplus->count, surplus->count == 1 ? "y" : "ies");
    return cli_sure(w->cli, what) == SURE_YES;
}

static json_t *result_json(const struct wish *w, const struct snapshot_info *snapshot,
                           const struct restore_result *result, const struct costs *asked)
{
    json_t *o = json_object();
    json_put_text(o, "id", snapshot->id);
    json_put_text(o, "source", snapshot->source);
    json_put(o, "taken_at", data_time_json(snapshot->end_ns));
    json_put_text(o, "to", w->how.to);
    json_put(o, "dry_run", json_boolean(w->how.dry_run));
    json_put_int(o, "files", (int64_t)result->files);
    json_put_int(o, "entries", (int64_t)result->entries);
    json_put_int(o, "bytes", (int64_t)result->bytes);
    json_put_int(o, "fetched", (int64_t)result->fetched);
    json_put_int(o, "written", (int64_t)result->written);
    json_put_int(o, "changed", (int64_t)result->changed);
    json_put_int(o, "kept", (int64_t)result->kept);
    json_put_int(o, "removed", (int64_t)result->removed);
    json_put(o, "names", json_deep_copy(w->names));
    if (result->old[0] != '\0')
        json_put(o, "old", json_printable(result->old));
    json_put_int(o, "warnings", (int64_t)result->warnings);
    json_put(o, "requests", costs_json(asked));
    return o;
}

static void tell_dry(const struct restore_result *result, const char *place)
{
    char written[32], fetched[32];
    printf("would restore to %s: %" PRIu64 " entr%s to write (%s), %" PRIu64 " kept, %" PRIu64
           " to remove, %s to fetch\n",
           place, result->changed, result->changed == 1 ? "y" : "ies",
           text_size(written, sizeof(written), result->written), result->kept, result->removed,
           text_size(fetched, sizeof(fetched), result->fetched));
}

static int tell(const struct wish *w, const struct snapshot_info *snapshot,
                const struct restore_result *result, const struct costs *asked, int exit)
{
    char size[32], taken[TIME_TEXT_MAX], why[96];
    snprintf(why, sizeof(why), "%zu warning%s", result->warnings, CLI_S(result->warnings));
    if (w->cli->json)
        return cli_result_json(result_json(w, snapshot, result, asked), exit,
                               exit == EXIT_DONE ? NULL : why);
    DR_FREE char *place = cli_printable(w->how.to);
    if (w->how.dry_run) {
        tell_dry(result, place);
        return exit;
    }
    printf("%s of %s restored to %s: %" PRIu64 " file%s, %s%s%s\n", snapshot->id,
           time_print_s(snapshot->end_ns, taken), place, result->files, CLI_S(result->files),
           text_size(size, sizeof(size), result->bytes), exit == EXIT_DONE ? "" : ", ",
           exit == EXIT_DONE ? "" : why);
    if (w->how.delta)
        printf("  %" PRIu64 " changed, %" PRIu64 " kept, %" PRIu64 " removed; %s fetched\n",
               result->changed, result->kept, result->removed,
               text_size(size, sizeof(size), result->fetched));
    if (result->old[0] != '\0') {
        DR_FREE char *old = cli_printable(result->old);
        printf("  what was there is now %s; remove it when it is not needed any more\n", old);
    }
    return exit;
}

/* Shells like to end a directory's name with a slash. */
static bool same_directory(const char *a, const char *b)
{
    size_t len_a = strlen(a), len_b = strlen(b);
    while (len_a > 1 && a[len_a - 1] == '/')
        len_a--;
    while (len_b > 1 && b[len_b - 1] == '/')
        len_b--;
    return len_a == len_b && memcmp(a, b, len_a) == 0;
}

/* Whoever restores a source whole and in its place writes it from now on. */
static enum dr_rc become_writer(const struct data *d, const struct snapshot_info *snapshot,
                                const struct wish *w, struct dr_err *err)
{
    const struct restore_options *how = &w->how;
    const struct config_source *source = config_source(d->config, snapshot->source);
    bool whole = how->path == NULL && w->include.count == 0 && w->exclude.count == 0;
    if (how->dry_run || !whole || source == NULL || !same_directory(how->to, source->path))
        return DR_OK;
    return writer_epoch_raise(d->config, source->name, snapshot->epoch + 1, err);
}

struct attempt { /* one restore, for the ledger */
    const struct wish *wish;
    const struct snapshot_info *snapshot;
    int64_t began_ns, began_ms; /* by the wall, and since boot */
};

/* Returns exit, or a graver one. */
static int note(const struct data *d, const struct attempt *a, uint64_t bytes, int exit,
                const char *why)
{
    if (a->wish->how.dry_run)
        return exit;
    json_t *body = cli_book_body(a->began_ns, exit, why);
    json_put(body, "source",
             a->snapshot->source != NULL ? json_printable(a->snapshot->source) : json_null());
    json_put(body, "snapshot", json_printable(a->snapshot->id));
    json_put(body, "to", json_printable(a->wish->how.to));
    json_put_int(body, "bytes", (int64_t)bytes);
    json_put_int(body, "dur_ms", clock_boot_ms() - a->began_ms);
    return cli_gravest(exit, cli_book(d->config, "restore", body));
}

static int restore(struct cli *cli, struct data *d, const struct snapshot_info *snapshot, void *arg)
{
    const struct wish *w = arg;
    struct restore_result result = { 0 };
    struct dr_err err;
    struct progress p;
    const struct attempt attempt = { w, snapshot, clock_wall_ns(), clock_boot_ms() };
    progress_start(&p, cli, snapshot->source);
    enum dr_rc rc = restore_run(d->repo, snapshot, &w->how, &p.hooks, &result, &err);
    progress_end(&p);
    if (rc == DR_OK)
        rc = become_writer(d, snapshot, w, &err);
    if (rc != DR_OK) {
        (void)note(d, &attempt, result.bytes, cli_exit_of(rc), err.msg); /* it failed anyway */
        return cli_fail(cli, &err);
    }
    DR_CLEANUP(costs_fini) struct costs asked = { 0 };
    data_costs(d, &asked);
    if (!w->how.dry_run)
        progress_summary(
            &p, cli,
            &(struct progress_done){ .bytes = result.bytes, .requests = costs_far(d, &asked) });
    bool odd = result.warnings > 0;
    int exit =
        note(d, &attempt, result.bytes, odd ? EXIT_WARNINGS : EXIT_DONE,
             odd ? "an attribute could not be kept, or a damaged object was replaced" : NULL);
    return tell(w, snapshot, &result, &asked, exit);
}

static enum dr_rc compile(const struct text_list *patterns, struct exclude *x, struct dr_err *err)
{
    for (size_t i = 0; i < patterns->count; i++)
        DR_TRY(exclude_add(x, patterns->items[i], err));
    return DR_OK;
}

static int with_patterns(struct cli *cli, const char *source, struct wish *w)
{
    DR_CLEANUP(exclude_free_ptr) struct exclude *include = exclude_new();
    DR_CLEANUP(exclude_free_ptr) struct exclude *exclude = exclude_new();
    struct dr_err err;
    if (compile(&w->include, include, &err) != DR_OK ||
        compile(&w->exclude, exclude, &err) != DR_OK)
        return cli_fail(cli, &err);
    w->how.include = w->include.count > 0 ? include : NULL;
    w->how.exclude = w->exclude.count > 0 ? exclude : NULL;
    return data_with_snapshot(cli, source, restore, w);
}

static int run_restore(struct cli *cli)
{
    const char *source = NULL;
    DR_CLEANUP(wish_fini) struct wish w = { .cli = cli, .names = json_object() };
    w.how = (struct restore_options){
        .threads = pool_processors(), .confirm = confirm, .name = note_name, .arg = &w
    };
    const struct cli_option options[] = {
        { "source", .value = &source },        { "path", .value = &w.how.path },
        { "to", .value = &w.how.to },          { "include", .many = &w.include },
        { "exclude", .many = &w.exclude },     { "delta", .flag = &w.how.delta },
        { "swap", .flag = &w.how.swap },       { "verify", .flag = &w.how.verify },
        { "dry-run", .flag = &w.how.dry_run },
    };
    if (!cli_options(cli, options, DR_ARRAY_LEN(options), 1, 1))
        return EXIT_USAGE;
    if (w.how.to == NULL || w.how.to[0] == '\0')
        return cli_usage(cli, "restore needs --to DIR");
    bool part = w.how.path != NULL || w.include.count > 0 || w.exclude.count > 0;
    if (w.how.delta && w.how.swap)
        return cli_usage(cli, "--delta or --swap, not both");
    if (part && (w.how.delta || w.how.swap))
        return cli_usage(cli, "%s takes the whole snapshot: no --path, --include, --exclude",
                         w.how.delta ? "--delta" : "--swap");
    return with_patterns(cli, source, &w);
}

const struct cli_verb verb_restore = {
    .name = "restore",
    .summary = "Bring a snapshot back, into an empty directory or over an older tree",
    .usage =
        "drctl restore SNAPSHOT|latest --to DIR [--source S] [--path P]      Bring a snapshot back\n"
        "              [--include PATTERN] [--exclude PATTERN] [--delta|--swap] [--verify]\n"
        "              [--dry-run]\n"
        "\n"
        "  --to DIR     the source's root becomes this directory: absent, empty, or an unfinished\n"
        "               restore of the same snapshot, which is then carried on\n"
        "  --source S   whose latest, when there are several sources\n"
        "  --path P     only this file or directory, as seen from the source's root; it lies at the\n"
        "               same place below DIR\n"
        "  --include PATTERN  only what matches, as in gitignore, or lies below what does; several\n"
        "  --exclude PATTERN  not what matches; several\n"
        "  --delta      DIR may hold anything and becomes exactly the snapshot: each file there is\n"
        "               read, only what differs is fetched and written, and what the snapshot does\n"
        "               not have is removed. Asks first unless DIR is a restore of drctl (or --yes)\n"
        "  --swap       restore beside DIR, verify, exchange the two at once; the old tree stays\n"
        "               beside as .DIR.old-SNAPSHOT\n"
        "  --verify     read everything back from the disk and compare; exit 1 when it differs\n"
        "  --dry-run    change nothing; say what would be written, removed and fetched\n"
        "\n"
        "Exit 8: restored, but an attribute could not be kept, or a damaged object was replaced by\n"
        "that of another bucket.\n",
    .run = run_restore,
};
