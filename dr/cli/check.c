/*
 * check.c - `drctl check`: what is wrong with the configuration, and what will not hold.
 *
 * Two readings: config_load() tells mistakes, as each verb does; config_review() does the sums of a file
 * without one. What the review cannot know by itself is gathered here: which plans there are. It looks for
 * them where `drctl failover NAME` does. Nothing is connected to.
 *
 * Here the findings are the result: they go to stdout.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dr/base/mem.h"
#include "dr/cli/plan.h"
#include "dr/cli/verbs.h"
#include "dr/config/review.h"

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

/* A runbook as written: here, beside the configuration, or by its name where plans lie. */
static bool is_there(const struct config *c, const char *runbook)
{
    struct dr_err ignored;
    DR_FREE char *found = NULL;
    if (access(runbook, F_OK) == 0)
        return true;
    DR_FREE char *beside =
        dr_strf("%.*s/%s", (int)(strrchr(c->path, '/') - c->path), c->path, runbook);
    return access(beside, F_OK) == 0 ||
           (plan_find_file(c->path, runbook, &found, &ignored) == DR_OK &&
            access(found, F_OK) == 0);
}

static void find_by_name(const struct config *c, const char *plan, struct text_list *plans)
{
    DR_FREE char *dashed = dr_strdup(plan);
    for (char *p = dashed; *p != '\0'; p++)
        if (*p == '_')
            *p = '-';
    if (is_there(c, plan) || is_there(c, dashed))
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
    if (c != NULL) {
        DR_CLEANUP(text_list_fini) struct text_list plans = { 0 };
        find_plans(c, &plans, &d);
        config_review(c, &(struct config_facts){ .plans = &plans }, &d);
    }
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
