/*
 * failover.c - `drctl failover` and `drctl plan run`: a plan carried out in earnest, or dry.
 *
 * Before anything is begun the operator types the name of the region that is given up; --yes is for
 * scripts, and says the same. What this version cannot do (types without a provider, for_each, sub-
 * plans) is refused here, before the first record.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dr/base/mem.h"
#include "dr/cli/plan.h"
#include "dr/cli/run_screen.h"
#include "dr/cli/verbs.h"
#include "dr/data/time.h"
#include "dr/run/plan.h"

static const char default_plan[] = "primary_region_failure";

struct wish {
    const char *mode;
    const char *failed, *to, *since;
    struct text_list sets;
    bool dry, local_only;
};

static bool runs_here(void *arg, const char *type)
{
    return strcmp(type, "for_each") != 0 && strcmp(type, "plan") != 0 && real_world_runs(arg, type);
}

/* Is what is given up the person's wish? */
static bool confirm(struct cli *cli, struct run_screen *screen,
                    const struct run_screen_start *start, bool dry)
{
    if (start->failed == NULL || dry || cli->yes)
        return true;
    if (!cli->json && isatty(STDIN_FILENO) == 1)
        return run_screen_confirm(screen, start);
    (void)cli_usage(cli, "nobody is there to confirm that '%s' is given up; add --yes",
                    start->failed);
    return false;
}

static bool check_words(struct cli *cli, const struct config *c, const struct wish *w)
{
    int64_t ns = 0;
    const char *regions[][2] = { { "--failed", w->failed }, { "--to", w->to } };
    for (size_t i = 0; i < DR_ARRAY_LEN(regions); i++)
        if (regions[i][1] != NULL && !config_is_region(c, regions[i][1])) {
            (void)cli_usage(cli, "%s: '%s' is no region of the configuration", regions[i][0],
                            regions[i][1]);
            return false;
        }
    if (w->since == NULL || time_parse(w->since, &ns))
        return true;
    (void)cli_usage(cli, "--since: '%s' is no time; wanted like 2026-11-21T03:11:40Z", w->since);
    return false;
}

/* script: taken over. */
static int begin(struct cli *cli, const struct config *c, struct script *script,
                 const struct wish *w, const json_t *params)
{
    struct dr_err err = { 0 };
    DR_FREE char *who = run_operator();
    DR_FREE char *active = run_active_region(c, script->regions, script->region_count);
    bool failover = strcmp(w->mode, "failover") == 0;
    struct wish full = *w;
    if (failover && full.failed == NULL)
        full.failed = active;
    if (full.to != NULL && full.failed != NULL && strcmp(full.to, full.failed) == 0) {
        script_free(script);
        return cli_usage(cli, "--to: '%s' is the region that is given up", full.to);
    }
    struct run_screen_start start = {
        .config = c,
        .script = script,
        .params = params,
        .failed = failover ? full.failed : NULL,
        .active = active,
        .to = w->to,
        .since = w->since,
    };
    DR_CLEANUP(run_screen_fini) struct run_screen screen;
    run_screen_init(&screen, cli);
    run_screen_learn(&screen, &start);
    if (!confirm(cli, &screen, &start, w->dry)) {
        script_free(script);
        return EXIT_USAGE;
    }
    struct run_begin b = {
        .mode = w->mode,
        .by = who,
        .failed = failover ? full.failed : NULL,
        .active = active,
        .to = w->to,
        .since = w->since,
        .file = script->file,
        .dry = w->dry,
        .remote = !w->dry && !w->local_only,
        .params = params,
    };
    struct engine_options o = {
        .config = c, .config_path = c->path, .operator= who, .approve_as_operator = cli->yes
    };
    DR_CLEANUP(run_close_ptr) struct run *r = NULL;
    if (run_begin(c, script, &b, &o, &r, &err) != DR_OK)
        return cli_fail(cli, &err);
    const struct journal_records *all = journal_all(r->journal);
    for (size_t i = 0; i < all->count; i++)
        run_screen_record(&screen, &all->items[i]);
    return run_drive(cli, r, &screen);
}

static int run_mode(struct cli *cli, struct wish *w, const char *word)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    DR_JSON json_t *params = NULL;
    DR_CLEANUP(config_free_ptr) struct config *c = cli_config(cli);
    if (c == NULL || !check_words(cli, c, w))
        return EXIT_USAGE;
    DR_CLEANUP(plan_free_ptr) struct plan *p = NULL;
    int exit = cli_plan_read(cli, c, word, &text, &p);
    if (exit != EXIT_DONE)
        return exit;
    DR_FREE char *not = plan_unsupported(p, runs_here, NULL);
    if (not != NULL)
        return cli_usage(cli, "this version cannot run plan '%s': %s", p->name, not );
    if (script_params(p, &w->sets, &params, &err) != DR_OK)
        return cli_fail(cli, &err);
    return begin(cli, c, script_of_plan(DR_TAKE(p), text.data, c), w, params);
}

static int run_with_options(struct cli *cli, const char *mode, bool failover)
{
    struct wish w = { .mode = mode };
    const struct cli_option options[] = {
        { .name = "to", .value = &w.to },
        { .name = "set", .many = &w.sets },
        { .name = "dry-run", .flag = &w.dry },
        { .name = "no-remote-journal", .flag = &w.local_only },
        { .name = "failed", .value = &w.failed },
        { .name = "since", .value = &w.since },
    };
    size_t count = DR_ARRAY_LEN(options) - (failover ? 0 : 2);
    int exit = EXIT_USAGE;
    if (cli_options(cli, options, count, failover ? 0 : 1, 1))
        exit = run_mode(cli, &w, cli->argc > 1 ? cli->argv[1] : default_plan);
    text_list_fini(&w.sets);
    return exit;
}

static int run_failover(struct cli *cli)
{
    return run_with_options(cli, "failover", true);
}

int cli_plan_run(struct cli *cli)
{
    if (cli->argc > 1 && strcmp(cli->argv[1], "run") == 0) { /* "plan run PLAN" */
        cli->argv++;
        cli->argc--;
    }
    return run_with_options(cli, "run", false);
}

const struct cli_verb verb_failover = {
    .name = "failover",
    .summary = "give up a region and bring the service up in another",
    .usage =
        "drctl failover [PLAN] [--failed REGION] [--to REGION] [--since TIME]\n"
        "               [--set NAME=VALUE]... [--dry-run] [--yes] [--no-remote-journal]\n"
        "      Give up a region and bring the service up in another. PLAN: a name or a file,\n"
        "      default primary_region_failure. --failed: default the region that serves.\n"
        "      --since: when it broke (else the last good probe). --yes: ask nothing; approvals\n"
        "      whose role you have are answered as you. --no-remote-journal: go on though no\n"
        "      bucket outside the failed region keeps the journal.\n",
    .run = run_failover,
};
