/*
 * backup.c - `drctl backup`: one snapshot of each source, into every bucket.
 *
 * A source that fails does not stop the others. The exit code is the gravest of all: failed,
 * degraded (fewer copies than wanted), warnings (files skipped, or a bucket lags behind).
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/work/lastrun.h"
#include "backup/work/work.h"
#include "dr/base/log.h"
#include "dr/cli/data.h"
#include "dr/cli/progress.h"
#include "dr/cli/verbs.h"

static int exit_of_result(const struct backup_result *result)
{
    if (result->copies == 0)
        return EXIT_FAILED;
    if (result->copies < result->wanted)
        return EXIT_DEGRADED;
    return result->warnings > 0 || result->missing.count > 0 ? EXIT_WARNINGS : EXIT_DONE;
}

/* One sentence for --json; NULL when all is well. */
static const char *why_of_result(const struct backup_result *result, char *out, size_t size)
{
    if (result->missing.count > 0)
        snprintf(out, size, "in %zu of %zu buckets, %zu wanted: not in %s", result->copies,
                 result->copies + result->missing.count, result->wanted, result->missing.items[0]);
    else if (result->warnings > 0)
        snprintf(out, size, "%zu entries were skipped or changed while they were read",
                 result->warnings);
    else
        return NULL;
    return out;
}

static void tell_json(const struct config_source *source, const char *kind,
                      const struct backup_result *result, int exit)
{
    json_t *o = json_object();
    json_put_text(o, "id", result->id);
    json_put_text(o, "source", source->name);
    json_put_text(o, "kind", kind);
    json_put(o, "started_at", data_time_json(result->start_ns));
    json_put(o, "taken_at", data_time_json(result->end_ns));
    json_put_int(o, "files", (int64_t)result->files);
    json_put_int(o, "entries", (int64_t)result->entries);
    json_put_int(o, "bytes", (int64_t)result->bytes);
    json_put_int(o, "stored", (int64_t)result->stored);
    json_put_int(o, "copies", (int64_t)result->copies);
    json_put_int(o, "wanted", (int64_t)result->wanted);
    json_put_int(o, "warnings", (int64_t)result->warnings);
    json_put(o, "missing", data_texts_json(&result->missing));
    char why[DR_ERR_MSG_MAX];
    cli_result_json(o, exit, why_of_result(result, why, sizeof(why)));
}

static void tell(const struct config_source *source, const struct backup_result *result)
{
    char size[32], stored[32];
    printf("%s  %s  %" PRIu64 " file%s, %s, %s stored in %zu bucket%s\n", source->name, result->id,
           result->files, CLI_S(result->files), text_size(size, sizeof(size), result->bytes),
           text_size(stored, sizeof(stored), result->stored), result->copies,
           CLI_S(result->copies));
}

static int backup_source(struct cli *cli, struct data *d, const struct config_source *source,
                         const char *kind)
{
    DR_CLEANUP(backup_result_fini) struct backup_result result = { 0 };
    struct dr_err err;
    struct progress p;
    progress_start(&p, cli, source->name);
    lastrun_begin(d->config->state_dir, source->name);
    enum dr_rc rc = backup_run(d->repo, &(struct backup_wish){ .source = source, .kind = kind },
                               &p.hooks, &result, &err);
    progress_end(&p);
    lastrun_end(d->config->state_dir, source->name, rc == DR_OK ? NULL : err.msg);
    if (rc != DR_OK)
        return cli_fail(cli, &err);
    progress_summary(&p, cli, result.bytes);
    for (size_t i = 0; i < result.missing.count; i++)
        log_warning("source '%s' is not in bucket %s", source->name, result.missing.items[i]);
    int exit = exit_of_result(&result);
    if (exit == EXIT_DEGRADED)
        log_warning("source '%s' has %zu of %zu wanted copies; run it again when the buckets are "
                    "back",
                    source->name, result.copies, result.wanted);
    if (cli->json)
        tell_json(source, kind, &result, exit);
    else
        tell(source, &result);
    return exit;
}

static int backup_all(struct cli *cli, struct data *d, const char *name, const char *kind)
{
    const struct config *c = d->config;
    if (name != NULL) {
        const struct config_source *source = data_source(cli, c, name);
        return source == NULL ? EXIT_USAGE : backup_source(cli, d, source, kind);
    }
    if (c->source_count == 0) {
        struct dr_err err;
        dr_fail(&err, DR_E_CONFIG, "'%s' has no sources", c->path);
        dr_hint(&err, "sources: [{name: NAME, path: /DIRECTORY}]");
        return cli_fail(cli, &err);
    }
    int exit = EXIT_DONE;
    for (size_t i = 0; i < c->source_count; i++)
        exit = cli_gravest(exit, backup_source(cli, d, &c->sources[i], kind));
    return exit;
}

static int check_kind(struct cli *cli, const char *kind)
{
    if (strcmp(kind, "full") == 0)
        return EXIT_DONE;
    if (strcmp(kind, "incremental") == 0 || strcmp(kind, "config") == 0)
        return cli_usage(cli, "--kind %s is not available in this version: --kind full is", kind);
    return cli_usage(cli, "no kind '%s': --kind full", kind);
}

static int run_backup(struct cli *cli)
{
    const char *source = NULL, *kind = NULL;
    const struct cli_option options[] = { { "source", .value = &source },
                                          { "kind", .value = &kind } };
    if (!cli_options(cli, options, DR_ARRAY_LEN(options), 0, 0))
        return EXIT_USAGE;
    kind = kind != NULL ? kind : "full";
    int exit = check_kind(cli, kind);
    if (exit != EXIT_DONE)
        return exit;
    struct data data;
    exit = data_open_silently(cli, &data);
    if (exit == EXIT_DONE)
        exit = backup_all(cli, &data, source, kind);
    data_close(&data);
    return exit;
}

const struct cli_verb verb_backup = {
    .name = "backup",
    .summary = "Take a snapshot of each source, into every bucket",
    .usage =
        "drctl backup [--source S] [--kind full]      Take a snapshot, into every bucket\n"
        "\n"
        "  --source S    only this source (default: all of the configuration)\n"
        "  --kind full   reads every byte; each snapshot restores by itself\n"
        "\n"
        "Exit 8: files were skipped, or a bucket lacks the snapshot. 9: fewer copies than wanted.\n",
    .run = run_backup,
};
