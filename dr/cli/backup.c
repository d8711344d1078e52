/*
 * backup.c - `drctl backup`: one snapshot of each source, into every bucket.
 *
 * A source that fails does not stop the others; Ctrl-C stops all. The exit code is the gravest of all:
 * failed, degraded (fewer copies than wanted), warnings (files skipped or changed while they were read, or
 * a bucket lags behind). What runs before and after a source is read (its hooks) belongs to the
 * job and not to this verb: hooks.h.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "backup/format/limits.h"
#include "backup/work/exclude.h"
#include "backup/work/hooks.h"
#include "backup/work/lastrun.h"
#include "backup/work/source_lock.h"
#include "backup/work/writer_epoch.h"
#include "dr/base/clock.h"
#include "dr/base/log.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/cli/book.h"
#include "dr/cli/costs.h"
#include "dr/cli/data.h"
#include "dr/cli/progress.h"
#include "dr/cli/self.h"
#include "dr/cli/verbs.h"
#include "dr/data/duration.h"

/* What the command line asks for. The lists are owned. */
struct asked {
    const char *source, *kind, *stdin_as, *limit;
    struct text_list tags, excludes, exclude_files;
    bool exclude_caches, one_file_system, dry_run, take_over;
    uint64_t upload_limit;
};

static void asked_fini(struct asked *a)
{
    text_list_fini(&a->tags);
    text_list_fini(&a->excludes);
    text_list_fini(&a->exclude_files);
}

/* -- the result ---------------------------------------------------------------------------- */

static int exit_of_result(const struct backup_result *result)
{
    if (result->copies == 0)
        return EXIT_FAILED;
    if (result->copies < result->wanted || result->lacking.count > 0)
        return EXIT_DEGRADED;
    return result->warnings > 0 || result->missing.count > 0 ? EXIT_WARNINGS : EXIT_DONE;
}

/* One sentence for --json; NULL when all is well. */
static const char *why_of_result(const struct backup_result *result, char *out, size_t size)
{
    if (result->copies >= result->wanted && result->lacking.count > 0)
        snprintf(out, size, "no copy in region '%s', which 'require' names",
                 result->lacking.items[0]);
    else if (result->missing.count > 0)
        snprintf(out, size, "in %zu of %zu buckets, %zu wanted: not in %s", result->copies,
                 result->copies + result->missing.count, result->wanted, result->missing.items[0]);
    else if (result->warnings > 0)
        snprintf(out, size, "%zu entries were skipped or changed while they were read",
                 result->warnings);
    else
        return NULL;
    return out;
}

static void tell_json(const struct config_source *source, const struct asked *asked,
                      const struct backup_result *result, const struct costs *asked_of, int exit)
{
    json_t *o = json_object();
    json_put(o, "id", asked->dry_run ? json_null() : json_printable(result->id));
    json_put_text(o, "source", source->name);
    json_put_text(o, "kind", result->kind);
    json_put(o, "parent", result->parent[0] != '\0' ? json_printable(result->parent) : json_null());
    json_put(o, "tags", data_texts_json(&asked->tags));
    json_put(o, "dry_run", json_boolean(asked->dry_run));
    json_put(o, "started_at", data_time_json(result->start_ns));
    json_put(o, "taken_at", data_time_json(result->end_ns));
    json_put_int(o, "files", (int64_t)result->files);
    json_put_int(o, "entries", (int64_t)result->entries);
    json_put_int(o, "bytes", (int64_t)result->bytes);
    json_put_int(o, "added", (int64_t)result->added);
    json_put_int(o, "changed", (int64_t)result->changed);
    json_put_int(o, "removed", (int64_t)result->removed);
    json_put_int(o, "unchanged", (int64_t)result->unchanged);
    json_put_int(o, "read", (int64_t)result->read);
    json_put_int(o, "stored", (int64_t)result->stored);
    json_put_int(o, "copies", (int64_t)result->copies);
    json_put_int(o, "wanted", (int64_t)result->wanted);
    json_put_int(o, "warnings", (int64_t)result->warnings);
    json_put(o, "missing", data_texts_json(&result->missing));
    json_put(o, "required_missing", data_texts_json(&result->lacking));
    json_put(o, "requests", costs_json(asked_of));
    char why[DR_ERR_MSG_MAX];
    cli_result_json(o, exit, why_of_result(result, why, sizeof(why)));
}

/* "app  app-0-2026...  incremental, 12 files, 3.4 MiB; +1 ~2 -0; read 1.0 KiB, stored ..." */
static void tell(const struct config_source *source, const struct asked *asked,
                 const struct backup_result *r)
{
    char size[32], read[32], stored[32];
    printf("%s  %s  %s, %" PRIu64 " file%s, %s", source->name, asked->dry_run ? "(dry run)" : r->id,
           r->kind, r->files, CLI_S(r->files), text_size(size, sizeof(size), r->bytes));
    if (r->parent[0] != '\0')
        printf("; %" PRIu64 " added, %" PRIu64 " changed, %" PRIu64 " removed", r->added,
               r->changed, r->removed);
    printf("; %s read, %s ", text_size(read, sizeof(read), r->read),
           text_size(stored, sizeof(stored), r->stored));
    if (asked->dry_run)
        puts("would be stored");
    else
        printf("stored in %zu bucket%s\n", r->copies, CLI_S(r->copies));
}

static int exit_of(const struct asked *asked, const struct backup_result *result)
{
    if (asked->dry_run) /* nobody was asked to hold a copy */
        return result->warnings > 0 ? EXIT_WARNINGS : EXIT_DONE;
    return exit_of_result(result);
}

/* -- the work ------------------------------------------------------------------------------ */

/* The patterns of the source's configuration, then those of the command line, whose last word counts. */
static enum dr_rc gather_excludes(const struct config_source *source, const struct asked *asked,
                                  struct exclude *x, struct dr_err *err)
{
    for (size_t i = 0; i < source->exclude.count; i++)
        if (exclude_add(x, source->exclude.items[i], err) != DR_OK)
            return dr_context(err, "exclude of source '%s'", source->name);
    for (size_t i = 0; i < asked->exclude_files.count; i++)
        DR_TRY(exclude_add_file(x, asked->exclude_files.items[i], err));
    for (size_t i = 0; i < asked->excludes.count; i++)
        if (exclude_add(x, asked->excludes.items[i], err) != DR_OK)
            return dr_context(err, "--exclude");
    return DR_OK;
}

static bool is_self(const struct config_source *source)
{
    return strcmp(source->name, CONFIG_SELF) == 0;
}

static enum dr_rc take(struct data *d, const struct config_source *source,
                       const struct asked *asked, struct progress *p, struct backup_result *ret,
                       struct dr_err *err)
{
    if (is_self(source))
        DR_TRY(self_stage(d->config, err));
    DR_CLEANUP(exclude_free_ptr) struct exclude *x = exclude_new();
    DR_TRY(gather_excludes(source, asked, x, err));
    if (asked->take_over && !asked->dry_run)
        DR_TRY(writer_epoch_take_over(d->repo, source->name, err));
    const struct backup_wish wish = { .source = source,
                                      .epoch = writer_epoch(d->config, source->name),
                                      .kind = is_self(source) && asked->kind == NULL ? "config"
                                                                                     : asked->kind,
                                      .tags = &asked->tags,
                                      .exclude = x,
                                      .one_file_system = asked->one_file_system,
                                      .exclude_caches = asked->exclude_caches,
                                      .dry_run = asked->dry_run,
                                      .stdin_as = asked->stdin_as,
                                      .is_locked = true,
                                      .upload_limit = asked->upload_limit };
    return hooks_backup(d->repo, &wish, &p->hooks, ret, err);
}

/* Where the copies are. missing: "us: no space left on device". */
static json_t *places_json(struct data *d, const struct backup_result *result)
{
    json_t *list = json_array();
    for (size_t i = 0; i < repo_bucket_count(d->repo); i++) {
        const struct repo_bucket *b = repo_bucket(d->repo, i);
        const char *state = result->copies > 0 ? "durable" : "dropped";
        DR_FREE char *begins = dr_strf("%s: ", b->config->name);
        for (size_t k = 0; k < result->missing.count; k++)
            if (text_starts(result->missing.items[k], begins))
                state = "dropped";
        json_t *o = json_object();
        json_put_text(o, "name", b->config->name);
        json_put(o, "region",
                 b->config->region != NULL ? json_printable(b->config->region) : json_null());
        json_put_text(o, "state", b->store == NULL ? "failed" : state);
        cli_json_add(list, o);
    }
    return list;
}

struct attempt { /* one backup, for the ledger */
    const struct config_source *source;
    const struct asked *asked;
    int64_t began_ns;
};

/* Returns exit, or a graver one. why: NULL: the result's own. */
static int note(struct data *d, const struct attempt *a, const struct backup_result *result,
                int exit, const char *why)
{
    char own[DR_ERR_MSG_MAX];
    bool good = exit == EXIT_DONE || exit == EXIT_WARNINGS || exit == EXIT_DEGRADED;
    const char *kind = result->kind != NULL ? result->kind : a->asked->kind;
    if (a->asked->dry_run)
        return exit;
    if (why == NULL)
        why = why_of_result(result, own, sizeof(own));
    json_t *body = cli_book_body(a->began_ns, exit, why);
    json_put_text(body, "source", a->source->name);
    json_put(body, "kind", kind != NULL ? json_string(kind) : json_null());
    json_put(body, "snapshot",
             good && result->id[0] != '\0' ? json_printable(result->id) : json_null());
    json_put_int(body, "bytes_read", (int64_t)result->read);
    json_put_int(body, "bytes_stored", (int64_t)result->stored);
    json_put(body, "buckets", places_json(d, result));
    return cli_gravest(exit, cli_book(d->config, "backup", body));
}

/* A snapshot that is visible is told, whatever went wrong beside it. */
static int tell_done(struct cli *cli, const struct config_source *source, const struct asked *asked,
                     const struct backup_result *result, const struct costs *asked_of, int exit)
{
    for (size_t i = 0; i < result->missing.count; i++)
        log_warning("source '%s' is not in bucket %s", source->name, result->missing.items[i]);
    if (exit == EXIT_DEGRADED && result->copies < result->wanted)
        log_warning("source '%s' has %zu of %zu wanted copies; when the buckets are well "
                    "again: drctl repair",
                    source->name, result->copies, result->wanted);
    for (size_t i = 0; exit == EXIT_DEGRADED && i < result->lacking.count; i++)
        log_warning("source '%s' has no copy in region '%s', which 'require' names; when a bucket "
                    "there is well again: drctl repair",
                    source->name, result->lacking.items[i]);
    if (cli->json)
        tell_json(source, asked, result, asked_of, exit);
    else
        tell(source, asked, result);
    return exit;
}

static int backup_source(struct cli *cli, struct data *d, const struct config_source *source,
                         const struct asked *asked)
{
    DR_CLEANUP(backup_result_fini) struct backup_result result = { 0 };
    struct dr_err err;
    struct progress p;
    const struct attempt attempt = { source, asked, clock_wall_ns() };
    const char *state_dir = asked->dry_run ? NULL : d->config->state_dir;
    DR_CLEANUP(dr_close_fd) int lock = -1;
    if (state_dir != NULL && source_lock(state_dir, source->name, &lock, &err) != DR_OK)
        return cli_fail(cli, &err);
    progress_start(&p, cli, source->name);
    if (state_dir != NULL)
        lastrun_begin(state_dir, source->name);
    enum dr_rc rc = take(d, source, asked, &p, &result, &err);
    progress_end(&p);
    /* backupd stops its own one with itself, and takes it at its next start: retention need not wait. */
    bool stopped = rc == DR_E_CANCELLED && is_self(source);
    if (state_dir != NULL)
        lastrun_end(state_dir, source->name, rc == DR_OK || stopped ? NULL : err.msg);
    else { /* no bucket was asked */
        text_list_fini(&result.missing);
        text_list_fini(&result.lacking);
    }
    if (rc == DR_E_CANCELLED)
        dr_hint(&err, "Nothing was made visible; what was stored is freed by a later prune.");
    if (rc != DR_OK) {
        (void)note(d, &attempt, &result, cli_exit_of(rc), err.msg); /* it failed anyway */
        return cli_fail(cli, &err);
    }
    /* A full one, and one of nothing before it, reads what it looks at. */
    bool looks = result.parent[0] != '\0' && strcmp(result.kind, "full") != 0;
    DR_CLEANUP(costs_fini) struct costs asked_of = { 0 };
    data_costs(d, &asked_of);
    progress_summary(&p, cli,
                     &(struct progress_done){ .bytes = result.read,
                                              .entries = looks ? result.entries : 0,
                                              .requests = costs_far(d, &asked_of) });
    int exit = note(d, &attempt, &result, exit_of(asked, &result), NULL);
    return tell_done(cli, source, asked, &result, &asked_of, exit);
}

/* Snapshots of configuration have a policy of their own: one of data among them would be kept as
 * long as it says, and the data less long than theirs does. */
static bool is_meant(const struct config_source *source, const struct asked *asked)
{
    bool config = asked->kind != NULL && strcmp(asked->kind, "config") == 0;
    return !config || strcmp(source->class, "config") == 0;
}

static int not_config(struct cli *cli, const char *what)
{
    struct dr_err err;
    dr_fail(&err, DR_E_USAGE, "--kind config is for sources of 'class: config': %s", what);
    dr_hint(&err, "Give a source that class in the configuration, or leave out --kind.");
    return cli_fail(cli, &err);
}

static int backup_named(struct cli *cli, struct data *d, const struct asked *asked)
{
    const struct config_source *source = data_source(cli, d->config, asked->source);
    if (source == NULL)
        return EXIT_USAGE;
    if (is_meant(source, asked))
        return backup_source(cli, d, source, asked);
    DR_FREE char *what = dr_strf("'%s' is of class '%s'", source->name, source->class);
    return not_config(cli, what);
}

static int backup_all(struct cli *cli, struct data *d, const struct asked *asked)
{
    const struct config *c = d->config;
    if (asked->source != NULL)
        return backup_named(cli, d, asked);
    if (c->source_count == 0) {
        struct dr_err err;
        dr_fail(&err, DR_E_CONFIG, "'%s' has no sources", c->path);
        dr_hint(&err, "sources: [{name: NAME, path: /DIRECTORY}]");
        return cli_fail(cli, &err);
    }
    int exit = EXIT_DONE;
    size_t meant = 0;
    for (size_t i = 0; i < c->source_count; i++) {
        if (!is_meant(&c->sources[i], asked))
            continue;
        meant++;
        exit = cli_gravest(exit, backup_source(cli, d, &c->sources[i], asked));
        if (progress_stopped())
            return exit; /* whoever stops one means all */
    }
    return meant > 0 ? exit : not_config(cli, "there is none");
}

/* -- the command line ---------------------------------------------------------------------- */

/* "10MiB/s", in bytes a second. */
static bool rate_parse(const char *text, uint64_t *ret)
{
    size_t len = strlen(text);
    if (len < 3 || !text_ends(text, "/s"))
        return false;
    DR_FREE char *size = dr_memdup(text, len - 2);
    return size_parse(size, ret) == QUANTITY_OK && *ret > 0;
}

static int check_words(struct cli *cli, struct asked *a)
{
    static const char *const kinds[] = { "full", "incremental", "config" };
    bool known = a->kind == NULL;
    for (size_t i = 0; i < DR_ARRAY_LEN(kinds); i++)
        known = known || strcmp(a->kind, kinds[i]) == 0;
    if (!known)
        return cli_usage(cli, "no kind '%s': full, incremental or config", a->kind);
    if (a->limit != NULL && !rate_parse(a->limit, &a->upload_limit))
        return cli_usage(cli, "--limit-upload '%s' is no rate: 10MiB/s", a->limit);
    if (a->tags.count > SNAPSHOT_TAGS_MAX)
        return cli_usage(cli, "more than %d tags", SNAPSHOT_TAGS_MAX);
    for (size_t i = 0; i < a->tags.count; i++)
        if (a->tags.items[i][0] == '\0' || strpbrk(a->tags.items[i], ", \t\n") != NULL)
            return cli_usage(cli, "a tag is one word, without commas: '%s'", a->tags.items[i]);
    if (a->stdin_as != NULL && a->source == NULL)
        return cli_usage(cli, "--stdin needs --source: whose snapshot is it?");
    bool walks = a->excludes.count > 0 || a->exclude_files.count > 0 || a->exclude_caches ||
                 a->one_file_system;
    if (a->stdin_as != NULL && walks)
        return cli_usage(cli, "--stdin reads no tree: there is nothing to exclude");
    return EXIT_DONE;
}

/*
 * Wait for the first byte. A producer that fails mostly gives nothing at all, and an empty dump that
 * looks like a backup is worse than none.
 */
static bool stdin_is_empty(void)
{
    struct pollfd fd = { .fd = STDIN_FILENO, .events = POLLIN };
    struct stat st;
    int bytes = 0;
    if (fstat(STDIN_FILENO, &st) != 0)
        return true;
    if (S_ISREG(st.st_mode))
        return st.st_size <= lseek(STDIN_FILENO, 0, SEEK_CUR);
    if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3))
        return true; /* /dev/null, as cron gives it */
    if (poll(&fd, 1, -1) < 0)
        return true; /* a signal without a handler yet: it is the end anyway */
    return ioctl(STDIN_FILENO, FIONREAD, &bytes) == 0 && bytes == 0;
}

static int backup(struct cli *cli, const struct asked *asked)
{
    struct data data;
    if (asked->stdin_as != NULL && stdin_is_empty()) {
        struct dr_err err;
        dr_fail(&err, DR_E_IO, "standard input is empty: nothing was stored");
        dr_hint(&err, "Did the program before the pipe fail? 'set -o pipefail' tells.");
        return cli_fail(cli, &err);
    }
    int exit = data_open_to_write(cli, &data);
    if (exit == EXIT_DONE)
        exit = backup_all(cli, &data, asked);
    data_close(&data);
    return exit;
}

static int run_backup(struct cli *cli)
{
    DR_CLEANUP(asked_fini) struct asked a = { 0 };
    const struct cli_option options[] = {
        { "source", .value = &a.source },
        { "kind", .value = &a.kind },
        { "tag", .many = &a.tags },
        { "exclude", .many = &a.excludes },
        { "exclude-file", .many = &a.exclude_files },
        { "exclude-caches", .flag = &a.exclude_caches },
        { "one-file-system", .flag = &a.one_file_system },
        { "dry-run", .flag = &a.dry_run },
        { "take-over", .flag = &a.take_over },
        { "stdin", .value = &a.stdin_as },
        { "limit-upload", .value = &a.limit },
    };
    if (!cli_options(cli, options, DR_ARRAY_LEN(options), 0, 1))
        return EXIT_USAGE;
    if (cli->argc > 1 && a.source != NULL)
        return cli_usage(cli, "'%s' or --source '%s'?", cli->argv[1], a.source);
    if (cli->argc > 1)
        a.source = cli->argv[1];
    int exit = check_words(cli, &a);
    return exit == EXIT_DONE ? backup(cli, &a) : exit;
}

const struct cli_verb verb_backup = {
    .name = "backup",
    .summary = "Take a snapshot of each source, into every bucket",
    .usage =
        "drctl backup [SOURCE] [--kind K] [OPTION ...]      Take a snapshot, into every bucket\n"
        "\n"
        "  SOURCE, --source S    only this source (default: all of the configuration). drctl-self is\n"
        "                        always there: configuration, plans, public keys, journals of runs\n"
        "                        that are over. It is what 'drctl bootstrap' brings back\n"
        "  --kind K              full: reads every byte. incremental (default): reads what changed\n"
        "                        since the last one; the first is full. config: the same, of sources\n"
        "                        of class config alone, for the config_snapshot policy. Each\n"
        "                        restores by itself\n"
        "  --tag WORD            kept with the snapshot; may be given again\n"
        "  --exclude PATTERN     leave out, as in gitignore; may be given again\n"
        "  --exclude-file FILE   patterns, one a line; may be given again\n"
        "  --exclude-caches      leave out what lies beside a CACHEDIR.TAG\n"
        "  --one-file-system     do not enter other mounts\n"
        "  --take-over           this host is the writer from now on: what others take is not restored\n"
        "  --dry-run             read, and say what would be stored; store nothing, run no hooks\n"
        "  --stdin NAME          not the source's tree but standard input, as one file of this\n"
        "                        name; no hooks. Empty input is an error; 'set -o pipefail' tells\n"
        "                        when the producer failed later\n"
        "  --limit-upload RATE   at most this for each bucket: 10MiB/s\n"
        "\n"
        "SIGUSR1 prints how far it is. Ctrl-C or SIGTERM: nothing is made visible, exit 1.\n"
        "Exit 8: files were skipped or changed while they were read, or a bucket lacks the snapshot.\n"
        "9: fewer copies than wanted, or none in a region that must have one (require).\n"
        "6: another backup of the source is at work on this host; nothing was begun.\n",
    .run = run_backup,
};
