/*
 * check.c - `drctl check`: what is wrong with the configuration, and what will not hold.
 *
 * Two readings: config_load() tells mistakes, as each verb does; config_review() does the sums of a file
 * without one. What the review cannot know by itself is gathered here: which plans there are, looked for where
 * `drctl failover NAME` does, and how long the backups of this host took, as backupd noted it in
 * STATE_DIR/schedule.json. Nothing is connected to.
 *
 * Here the findings are the result: they go to stdout.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/cli/plan.h"
#include "dr/cli/verbs.h"
#include "dr/config/review.h"

enum { HISTORY_MAX_BYTES = 16 << 20 };

/* A number, a word and its ending for printf: "%zu %s%s". */
#define COUNT(n, word) (n), (word), CLI_S(n)

/* ---- which plans there are ----------------------------------------------------------------------- */

/* runbooks/node-failure.yaml is the plan node_failure. */
static void add_plan(struct text_list *plans, const char *file)
{
    const char *slash = strrchr(file, '/');
    const char *base = slash != NULL ? slash + 1 : file;
    size_t len = text_ends(base, ".yaml")  ? strlen(base) - strlen(".yaml")
                 : text_ends(base, ".yml") ? strlen(base) - strlen(".yml")
                                           : strlen(base);
    DR_FREE char *name = dr_memdup(base, len);
    for (char *p = name; *p != '\0'; p++)
        if (*p == '-')
            *p = '_';
    if (!text_list_has(plans, name))
        text_list_add(plans, name);
}

static bool has_name(const struct config *c, const char *name)
{
    struct dr_err ignored;
    DR_FREE char *found = NULL;
    return plan_find_file(c->path, name, &found, &ignored) == DR_OK && access(found, F_OK) == 0;
}

/* A runbook as written: a file from here or beside the configuration, or the name of a plan. */
static bool is_there(const struct config *c, const char *runbook)
{
    DR_FREE char *beside =
        dr_strf("%.*s/%s", (int)(strrchr(c->path, '/') - c->path), c->path, runbook);
    bool file = strchr(runbook, '/') != NULL || strchr(runbook, '.') != NULL;
    return has_name(c, runbook) || (file && access(beside, F_OK) == 0);
}

static void find_by_name(const struct config *c, const char *plan, struct text_list *plans)
{
    DR_FREE char *dashed = dr_strdup(plan);
    for (char *p = dashed; *p != '\0'; p++)
        if (*p == '_')
            *p = '-';
    if (has_name(c, plan) || has_name(c, dashed))
        add_plan(plans, plan);
}

static void find_plans(const struct config *c, struct text_list *plans, struct diag *d)
{
    for (size_t i = 0; i < c->runbooks.count; i++) {
        if (is_there(c, c->runbooks.items[i])) {
            add_plan(plans, c->runbooks.items[i]);
            continue;
        }
        diag_warning(d, c->incident_at.line, c->incident_at.col, "no-runbook",
                     "runbook '%s' is not there", c->runbooks.items[i]);
        diag_hint(d, "a path from here or from the configuration, or the name of a plan");
    }
    for (size_t i = 0; i < c->rto_count; i++)
        find_by_name(c, c->rto[i].plan, plans);
    for (size_t i = 0; i < c->rpo_count; i++)
        find_by_name(c, c->rpo[i].plan, plans);
    for (size_t i = 0; i < c->drill.plans.count; i++)
        find_by_name(c, c->drill.plans.items[i], plans);
}

/* ---- how long backups took ------------------------------------------------------------------------ */

/* The kind of backup that a source gets most often: what its data loss hangs on. */
static const char *kind_of(const struct config *c, const struct config_source *source)
{
    if (strcmp(source->class, "config") == 0)
        return "config";
    return c->incremental.frequency_ms != 0 ? "incremental" : "full";
}

/* The newest good run of each source, where backupd has noted one. Reading and uploading overlap: it is
 * one figure. Without a file, or with one that nobody understands, nothing was measured. */
static size_t read_history(const struct config *c, json_t **ret_history, struct config_took *ret)
{
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    DR_FREE char *path = dr_strf("%s/schedule.json", c->state_dir);
    struct dr_err ignored;
    const json_t *rows = NULL;
    size_t count = 0;
    if (fs_read_file(path, HISTORY_MAX_BYTES, &bytes, &ignored) != DR_OK ||
        json_read(path, bytes.data != NULL ? bytes.data : "", bytes.len, ret_history, &ignored) !=
            DR_OK ||
        json_get_list(*ret_history, "rows", &rows, &ignored) != DR_OK)
        return 0;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        const char *what = json_string_value(json_object_get(row, "what"));
        const char *name = json_string_value(json_object_get(row, "subject"));
        int64_t took_ms = json_integer_value(json_object_get(row, "took_ms"));
        const struct config_source *source = name != NULL ? config_source(c, name) : NULL;
        if (source == NULL || what == NULL || strcmp(what, kind_of(c, source)) != 0 ||
            took_ms <= 0 || json_integer_value(json_object_get(row, "exit")) != EXIT_DONE ||
            count == c->source_count)
            continue;
        took_ms = (took_ms + 999) / 1000 * 1000; /* nobody plans in parts of a second */
        ret[count++] = (struct config_took){ .source = source->name, .read_ms = took_ms };
    }
    return count;
}

/* Nobody shall rely on what this program cannot do: a block whose verb is not in the table. */
static void tell_unused(const struct config *c, struct diag *d)
{
    const struct {
        const char *verb, *key;
        bool given;
        struct config_place at;
    } rows[] = { { "drill", "drill_schedule", c->drill.given, c->drill.at },
                 { "serve", "serve", c->serve.at.line != 0, c->serve.at } };
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++)
        if (rows[i].given && cli_find_verb(rows[i].verb) == NULL)
            diag_warning(d, rows[i].at.line, rows[i].at.col, "not-available",
                         "'%s' has no effect: this version has no drctl %s", rows[i].key,
                         rows[i].verb);
}

static void review(const struct config *c, struct diag *d)
{
    DR_CLEANUP(text_list_fini) struct text_list plans = { 0 };
    DR_JSON json_t *history = NULL;
    DR_FREE struct config_took *took = dr_alloc(c->source_count + 1, sizeof(*took));
    find_plans(c, &plans, d);
    struct config_facts facts = {
        .plans = &plans,
        .took = took,
        .took_count = read_history(c, &history, took),
    };
    config_review(c, &facts, d);
    tell_unused(c, d);
}

/* ---- telling ---------------------------------------------------------------------------------------- */

static int tell_json(struct diag *d, int exit)
{
    json_t *list = json_array(), *o = json_object();
    diag_sort(d);
    for (size_t i = 0; i < d->count; i++)
        cli_json_add(list, cli_finding_json(&d->items[i]));
    json_put(o, "findings", list);
    char why[96];
    snprintf(why, sizeof(why), "%zu %s%s, %zu %s%s", COUNT(d->errors, "error"),
             COUNT(d->count - d->errors, "warning"));
    return cli_result_json(o, exit, d->count == 0 ? NULL : why);
}

static int tell(struct diag *d, const struct config *c, int exit)
{
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    diag_print(d, &out);
    if (out.len > 0)
        fwrite(out.data, 1, out.len, stdout);
    if (c != NULL)
        printf("%s: %zu %s%s, %zu %s%s in %zu %s%s, %zu %s%s\n", c->path,
               COUNT(c->source_count, "source"), COUNT(c->bucket_count, "bucket"),
               COUNT(c->regions.count, "region"), COUNT(d->count, "warning"));
    return exit;
}

static int run_check(struct cli *cli)
{
    bool strict = false;
    const struct cli_option options[] = { { .name = "strict", .flag = &strict } };
    if (!cli_options(cli, options, DR_ARRAY_LEN(options), 0, 0))
        return EXIT_USAGE;
    if (cli->config_path == NULL) {
        config_free(cli_config(cli)); /* there is none: it says where it looked */
        return EXIT_USAGE;
    }
    DR_CLEANUP(diag_fini) struct diag d = { 0 };
    DR_CLEANUP(config_free_ptr) struct config *c = NULL;
    struct dr_err err;
    enum dr_rc rc = config_load(cli->config_path, &d, &c, &err);
    if (rc != DR_OK && d.errors == 0) { /* it cannot be read at all */
        cli_fail(cli, &err);
        return EXIT_USAGE;
    }
    if (c != NULL)
        review(c, &d);
    int exit = c == NULL || (strict && d.count > 0) ? EXIT_USAGE : EXIT_DONE;
    return cli->json ? tell_json(&d, exit) : tell(&d, c, exit);
}

const struct cli_verb verb_check = {
    .name = "check",
    .summary = "What is wrong with the configuration, and what will not hold",
    .usage =
        "drctl check [--strict] [--json]\n"
        "      What is wrong with the configuration, file:line:column; what it cannot keep: an\n"
        "      RPO that the schedule misses, snapshots that go too early, copies in one region.\n"
        "\n"
        "Exit 0: nothing, or warnings only. 2: mistakes; with --strict warnings, too.\n",
    .run = run_check,
};
