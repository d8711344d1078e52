/*
 * plan.c - `drctl plan`: what is wrong with it, how it looks on paper, what may stand in it.
 *
 * Lint's findings are its result: they go to stdout, exactly as the reader says them.
 */
#include "dr/cli/plan.h"

#include <stdio.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/base/text.h"
#include "dr/cli/verbs.h"

static void put(const struct buf *out)
{
    if (out->len > 0)
        fwrite(out->data, 1, out->len, stdout);
}

/* False after the configuration's mistakes were told. Without one plans are read as they are. */
static bool open_config(struct cli *cli, struct config **ret)
{
    *ret = cli->config_path == NULL ? NULL : cli_config(cli);
    return cli->config_path == NULL || *ret != NULL;
}

/* ---- lint --------------------------------------------------------------------------------------- */

static int lint_file(struct cli *cli, const struct config *c, const char *name, json_t *findings)
{
    struct dr_err err;
    DR_FREE char *path = NULL;
    DR_CLEANUP(cli_linted_fini) struct cli_linted l = { 0 };
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    if (plan_find_file(cli->config_path, name, &path, &err) != DR_OK ||
        cli_plan_lint(cli, c, path, &l, &err) != DR_OK)
        return cli_fail(cli, &err);
    const struct diag *d = &l.findings;
    diag_print(&l.findings, &out);
    for (size_t i = 0; cli->json && i < d->count; i++)
        json_array_append_new(findings, cli_finding_json(&d->items[i]));
    if (!cli->json)
        put(&out);
    if (!cli->json && d->count == 0)
        printf("%s: nothing wrong (plan %s, %zu step%s, %.6s)\n", path, l.plan->name,
               l.plan->step_count, l.plan->step_count == 1 ? "" : "s", l.plan->hash);
    return d->errors > 0 ? EXIT_USAGE : EXIT_DONE;
}

static int run_lint(struct cli *cli)
{
    if (cli->argc < 2)
        return cli_usage(cli, "which plan?");
    DR_CLEANUP(config_free_ptr) struct config *c = NULL;
    if (!open_config(cli, &c))
        return EXIT_USAGE;
    DR_JSON json_t *findings = json_array();
    int exit = EXIT_DONE;
    for (int i = 1; i < cli->argc; i++)
        exit = cli_gravest(exit, lint_file(cli, c, cli->argv[i], findings));
    if (!cli->json)
        return exit;
    json_t *root = json_object();
    json_put(root, "findings", json_incref(findings));
    return cli_result_json(root, exit, exit == EXIT_DONE ? NULL : "a plan has errors");
}

/* ---- print -------------------------------------------------------------------------------------- */

static json_t *step_json(const struct plan *p, const struct plan_step *s)
{
    json_t *o = json_object(), *needs = json_array();
    DR_FREE char *title = plan_step_title(s, NULL);
    for (size_t i = 0; i < s->need_count; i++)
        json_array_append_new(needs, json_string(p->steps[s->needs[i]].id));
    json_put_text(o, "id", s->id);
    json_put_text(o, "use", s->call.type->name);
    json_put(o, "title", json_printable(title));
    json_put(o, "needs", needs);
    json_put_int(o, "timeout_ms", s->timeout_ms);
    json_put(o, "belongs_to_target", json_boolean(s->belongs_to_target));
    json_put(o, "point_of_no_return", json_boolean(s->point_of_no_return != NULL));
    return o;
}

static int print_json(const struct plan *p)
{
    json_t *root = json_object(), *steps = json_array();
    for (size_t i = 0; i < p->step_count; i++)
        json_array_append_new(steps, step_json(p, &p->steps[i]));
    json_put_text(root, "plan", p->name);
    if (p->title != NULL)
        json_put(root, "title", json_printable(p->title));
    json_put_text(root, "hash", p->hash);
    json_put(root, "steps", steps);
    return cli_result_json(root, EXIT_DONE, NULL);
}

static int run_print(struct cli *cli)
{
    if (cli->argc != 2)
        return cli_usage(cli, "one plan is printed at a time");
    DR_CLEANUP(config_free_ptr) struct config *c = NULL;
    if (!open_config(cli, &c))
        return EXIT_USAGE;
    DR_CLEANUP(plan_free_ptr) struct plan *p = NULL;
    int exit = cli_plan_read(cli, c, cli->argv[1], NULL, &p);
    if (exit != EXIT_DONE)
        return exit;
    if (cli->json)
        return print_json(p);
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    plan_print(p, &out);
    put(&out);
    return EXIT_DONE;
}

/* ---- types -------------------------------------------------------------------------------------- */

static int no_type(struct cli *cli, const char *name)
{
    struct dr_err err;
    size_t count;
    const struct step_type *all = step_type_all(&count);
    DR_FREE const char **words = dr_alloc(count, sizeof(char *));
    for (size_t i = 0; i < count; i++)
        words[i] = all[i].name;
    const char *near = text_nearest(name, words, count);
    (void)dr_fail(&err, DR_E_USAGE, "no step type '%s'", name);
    if (near != NULL)
        (void)dr_hint(&err, "Did you mean '%s'?", near);
    return cli_fail(cli, &err);
}

static int run_types(struct cli *cli)
{
    if (cli->argc > 2)
        return cli_usage(cli, "one type at a time");
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    if (cli->argc == 2) {
        const struct step_type *type = step_type_find(cli->argv[1]);
        if (type == NULL)
            type = step_method_find(cli->argv[1]);
        if (type == NULL)
            return no_type(cli, cli->argv[1]);
        if (cli->json)
            return cli_result_json(plan_type_json(type), EXIT_DONE, NULL);
        plan_print_type(type, &out);
        put(&out);
        return EXIT_DONE;
    }
    if (!cli->json) {
        plan_print_types(&out);
        put(&out);
        return EXIT_DONE;
    }
    size_t count;
    const struct step_type *all = step_type_all(&count);
    json_t *root = json_object(), *types = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(types, plan_type_json(&all[i]));
    json_put(root, "types", types);
    return cli_result_json(root, EXIT_DONE, NULL);
}

/* ---- the verb ----------------------------------------------------------------------------------- */

static int run_plan(struct cli *cli)
{
    static const struct {
        const char *name;
        int (*run)(struct cli *);
    } parts[] = { { "lint", run_lint }, { "print", run_print }, { "types", run_types } };
    const char *part = cli->argc > 1 ? cli->argv[1] : "";
    bool runs = strcmp(part, "run") == 0;
    if (runs || strcmp(part, "preflight") == 0) {
        cli->argc--;
        cli->argv++;
        return runs ? cli_plan_run(cli) : cli_plan_preflight(cli);
    }
    if (!cli_options(cli, NULL, 0, 1, 1000))
        return EXIT_USAGE;
    for (size_t i = 0; i < DR_ARRAY_LEN(parts); i++) {
        if (strcmp(cli->argv[1], parts[i].name) != 0)
            continue;
        cli->argc--;
        cli->argv++;
        return parts[i].run(cli);
    }
    return cli_usage(cli, "drctl plan has no '%s'", cli->argv[1]);
}

const struct cli_verb verb_plan = {
    .name = "plan",
    .summary = "Look at a plan, or run it: lint, print, types, preflight, run",
    .usage =
        "drctl plan lint PLAN...      What is wrong with it, file:line:column\n"
        "drctl plan print PLAN        On paper: commands, expected results, boxes\n"
        "drctl plan types [TYPE]      Step types, arguments, outputs\n"
        "drctl plan preflight PLAN [--failed REGION] [--to REGION] [--set NAME=VALUE]...\n"
        "                             Could it begin? Asks its preflight, and begins nothing\n"
        "drctl plan run PLAN [--set NAME=VALUE]... [--dry-run]      Carry it out\n"
        "\n"
        "  PLAN   a file, or a NAME: NAME.yaml here, in ./runbooks, beside the configuration and in\n"
        "         its runbooks, then in runbooks of /etc/drctl and share/drctl of /usr/local and /usr\n"
        "\n"
        "With a configuration, names of regions, roles, buckets and secrets are checked too.\n"
        "preflight asks what a run would ask first: each check, and each standby whether it is ready.\n"
        "Of a plan that gives up a region it is the one that serves, or --failed.\n"
        "Exit: 0 nothing wrong, or warnings only; 2 errors; of preflight: 3 a check fails, 7 one cannot\n"
        "tell\n",
    .run = run_plan,
};
