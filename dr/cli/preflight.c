/*
 * preflight.c - `drctl plan preflight`: could this plan begin, and where to?
 *
 * The words are those of a run's screen, because the same person reads both. What a run would go on without is
 * told as a failure here: there is time to mend it before the day.
 */
#include "dr/run/preflight.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/cli/plan.h"
#include "dr/cli/run_screen.h"
#include "dr/run/plan.h"

struct wish {
    const char *failed, *to;
    struct text_list sets;
    bool gives_up; /* the plan is one that gives a region up */
};

/* What the records said. */
struct answers {
    struct cli *cli;
    struct run_screen screen;
    json_t *checks, *standbys; /* bodies of the records */
    int64_t passed, asked;
    bool fails, unknown;
};

static void answers_fini(struct answers *a)
{
    run_screen_fini(&a->screen);
    json_decref(a->checks);
    json_decref(a->standbys);
}

static void on_record(void *arg, const struct journal_record *r)
{
    struct answers *a = arg;
    bool check = strcmp(r->type, "preflight") == 0;
    const char *verdict = check ? json_string_value(json_object_get(r->body, "verdict")) : NULL;
    if (check)
        cli_json_add(a->checks, json_incref(r->body));
    else if (strcmp(r->type, "standby") == 0)
        cli_json_add(a->standbys, json_incref(r->body));
    if (verdict != NULL) {
        a->asked++;
        a->passed += strcmp(verdict, "pass") == 0;
        a->fails |= strcmp(verdict, "fail") == 0;
        a->unknown |= strcmp(verdict, "unknown") == 0;
    }
    if (strcmp(r->type, "start") == 0 || a->cli->json)
        state_apply(&a->screen.state, r);
    else
        run_screen_record(&a->screen, r);
}

static int exit_of(const struct answers *a, bool begins)
{
    int exit = a->fails || !begins ? EXIT_HELD : EXIT_DONE;
    return a->unknown ? cli_gravest(exit, EXIT_UNKNOWN) : exit;
}

static const char *words_of(const struct answers *a, bool begins)
{
    if (!begins)
        return "a run would not begin: it would wait for a person";
    if (a->passed < a->asked)
        return "a run would begin, and go on without what did not pass";
    return a->asked > 0 ? "a run would begin now" : "a run would begin now; the plan asks nothing";
}

static void put_region(json_t *o, const char *key, const char *region)
{
    json_put(o, key, region != NULL ? json_printable(region) : json_null());
}

static int tell(struct cli *cli, struct answers *a, const struct run_begin *b, bool begins)
{
    int exit = exit_of(a, begins);
    if (!cli->json) {
        run_screen_say(&a->screen, "%s %s", exit == EXIT_DONE ? "READY   " : "NOT READY",
                       words_of(a, begins));
        return exit;
    }
    json_t *o = json_object();
    json_put(o, "plan", json_printable(a->screen.state.plan));
    json_put_text(o, "mode", b->mode);
    put_region(o, "failed", b->failed);
    put_region(o, "active", b->active);
    put_region(o, "to", b->to);
    json_put(o, "checks", json_incref(a->checks));
    json_put(o, "standbys", json_incref(a->standbys));
    json_put_int(o, "passed", a->passed);
    json_put_int(o, "asked", a->asked);
    json_put(o, "begins", json_boolean(begins));
    return cli_result_json(o, exit, exit == EXIT_DONE ? NULL : words_of(a, begins));
}

/* The regions are words of the configuration, and two of them. */
static bool check_regions(struct cli *cli, const struct config *c, const struct wish *w)
{
    const char *regions[][2] = { { "--failed", w->failed }, { "--to", w->to } };
    for (size_t i = 0; i < DR_ARRAY_LEN(regions); i++)
        if (regions[i][1] != NULL && !config_is_region(c, regions[i][1])) {
            (void)cli_usage(cli, "%s: '%s' is no region of the configuration", regions[i][0],
                            regions[i][1]);
            return false;
        }
    return true;
}

static int ask(struct cli *cli, const struct config *c, const struct script *script,
               const struct wish *w, const json_t *params)
{
    struct dr_err err = { 0 };
    bool begins = false;
    DR_FREE char *who = run_operator();
    DR_FREE char *active = run_active_region(c, script->regions, script->region_count);
    const struct run_begin b = {
        .mode = w->gives_up ? "failover" : "run",
        .by = who,
        .failed = !w->gives_up        ? NULL
                  : w->failed != NULL ? w->failed
                                      : active,
        .active = active,
        .to = w->to,
        .file = script->file,
        .params = params,
    };
    if (b.failed != NULL && b.to != NULL && strcmp(b.failed, b.to) == 0)
        return cli_usage(cli, "--to: '%s' is the region that is given up", b.to);
    DR_CLEANUP(answers_fini)
    struct answers a = { .cli = cli, .checks = json_array(), .standbys = json_array() };
    run_screen_init(&a.screen, cli);
    a.screen.live = false;
    a.screen.started = true;
    if (!cli->json) {
        run_screen_say(&a.screen, "PLAN     %s%s%s%s, %zu step%s, plan %.6s", script->name,
                       script->title != NULL ? " (" : "",
                       script->title != NULL ? script->title : "", script->title != NULL ? ")" : "",
                       script->step_count, CLI_S(script->step_count), script->sha256);
        if (b.failed != NULL)
            run_screen_say(&a.screen, "IF       %s were given up now", b.failed);
    }
    const struct preflight_wish wish = {
        .config = c, .script = script, .begin = &b, .view = { .record = on_record, .arg = &a }
    };
    if (preflight_run(&wish, &begins, &err) != DR_OK)
        return cli_fail(cli, &err);
    return tell(cli, &a, &b, begins);
}

static bool runs_here(void *arg, const char *type)
{
    return strcmp(type, "for_each") != 0 && strcmp(type, "plan") != 0 && real_world_runs(arg, type);
}

static int preflight(struct cli *cli, struct wish *w)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    DR_JSON json_t *params = NULL;
    DR_CLEANUP(config_free_ptr) struct config *c = cli_config(cli);
    if (c == NULL || !check_regions(cli, c, w))
        return EXIT_USAGE;
    DR_CLEANUP(plan_free_ptr) struct plan *p = NULL;
    int exit = cli_plan_read(cli, c, cli->argv[1], &text, &p);
    if (exit != EXIT_DONE)
        return exit;
    DR_FREE char *not = plan_unsupported(p, runs_here, NULL);
    if (not != NULL)
        return cli_usage(cli, "this version cannot run plan '%s': %s", p->name, not );
    if (script_params_so_far(p, &w->sets, &params, &err) != DR_OK)
        return cli_fail(cli, &err);
    w->gives_up = w->failed != NULL || p->uses_failed || p->uses_target;
    DR_CLEANUP(script_free_ptr)
    struct script *script = script_of_plan(DR_TAKE(p), text.data, c);
    return ask(cli, c, script, w, params);
}

int cli_plan_preflight(struct cli *cli)
{
    struct wish w = { .failed = NULL };
    const struct cli_option options[] = { { .name = "failed", .value = &w.failed },
                                          { .name = "to", .value = &w.to },
                                          { .name = "set", .many = &w.sets } };
    int exit = EXIT_USAGE;
    if (cli_options(cli, options, DR_ARRAY_LEN(options), 1, 1))
        exit = preflight(cli, &w);
    text_list_fini(&w.sets);
    return exit;
}
