/*
 * restore.c - `drctl restore`: a snapshot becomes a directory again.
 */
#include <inttypes.h>
#include <stdio.h>

#include "backup/work/work.h"
#include "dr/base/pool.h"
#include "dr/cli/data.h"
#include "dr/cli/progress.h"
#include "dr/cli/verbs.h"
#include "dr/data/time.h"

static int tell(struct cli *cli, const struct snapshot_info *snapshot, const char *to,
                const struct restore_result *result)
{
    int exit = result->warnings > 0 ? EXIT_WARNINGS : EXIT_DONE;
    char size[32], taken[TIME_TEXT_MAX], why[96];
    snprintf(why, sizeof(why), "%zu warning%s", result->warnings, CLI_S(result->warnings));
    if (cli->json) {
        json_t *o = json_object();
        json_put_text(o, "id", snapshot->id);
        json_put_text(o, "source", snapshot->source);
        json_put(o, "taken_at", data_time_json(snapshot->end_ns));
        json_put_text(o, "to", to);
        json_put_int(o, "files", (int64_t)result->files);
        json_put_int(o, "entries", (int64_t)result->entries);
        json_put_int(o, "bytes", (int64_t)result->bytes);
        json_put_int(o, "warnings", (int64_t)result->warnings);
        return cli_result_json(o, exit, exit == EXIT_DONE ? NULL : why);
    }
    DR_FREE char *place = cli_printable(to);
    printf("%s of %s restored to %s: %" PRIu64 " file%s, %s%s%s\n", snapshot->id,
           time_print_s(snapshot->end_ns, taken), place, result->files, CLI_S(result->files),
           text_size(size, sizeof(size), result->bytes), exit == EXIT_DONE ? "" : ", ",
           exit == EXIT_DONE ? "" : why);
    return exit;
}

static int restore(struct cli *cli, struct data *d, const struct snapshot_info *snapshot, void *arg)
{
    const struct restore_options *options = arg;
    struct restore_result result = { 0 };
    struct dr_err err;
    struct progress p;
    progress_start(&p, cli, snapshot->source);
    enum dr_rc rc = restore_run(d->repo, snapshot, options, &p.hooks, &result, &err);
    progress_end(&p);
    if (rc != DR_OK)
        return cli_fail(cli, &err);
    progress_summary(&p, cli, result.bytes);
    return tell(cli, snapshot, options->to, &result);
}

static int run_restore(struct cli *cli)
{
    const char *source = NULL;
    struct restore_options how = { .threads = pool_processors() };
    const struct cli_option options[] = { { "source", .value = &source },
                                          { "path", .value = &how.path },
                                          { "to", .value = &how.to } };
    if (!cli_options(cli, options, DR_ARRAY_LEN(options), 1, 1))
        return EXIT_USAGE;
    if (how.to == NULL || how.to[0] == '\0')
        return cli_usage(cli, "restore needs --to DIR");
    return data_with_snapshot(cli, source, restore, &how);
}

const struct cli_verb verb_restore = {
    .name = "restore",
    .summary = "Bring a snapshot back, into an empty directory",
    .usage =
        "drctl restore SNAPSHOT|latest --to DIR [--source S] [--path P]      Bring a snapshot back\n"
        "\n"
        "  --to DIR     the source's root becomes this directory: absent, empty, or an unfinished\n"
        "               restore of the same snapshot, which is then carried on\n"
        "  --source S   whose latest, when there are several sources\n"
        "  --path P     only this file or directory, as seen from the source's root; it lies at the\n"
        "               same place below DIR\n"
        "\n"
        "Exit 8: restored, but an attribute could not be kept, or a damaged object was replaced by\n"
        "that of another bucket.\n",
    .run = run_restore,
};
