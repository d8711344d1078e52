/*
 * drill.c - `drctl drill`: the plan rehearsed, with faults planted in it, and cleaned up behind it.
 *
 * Nothing is asked: a drill touches no production. What an earlier one left whose runner died is
 * taken away first, so that a clean-up never depends on who is alive. Whatever goes wrong after
 * the run has begun leads through the clean-up, too.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dr/base/hash.h"
#include "dr/base/log.h"
#include "dr/base/mem.h"
#include "dr/cli/book.h"
#include "dr/cli/data.h"
#include "dr/cli/drill_screen.h"
#include "dr/cli/plan.h"
#include "dr/cli/tell.h"
#include "dr/cli/verbs.h"
#include "dr/drill/drill.h"
#include "dr/drill/drill_facts.h"
#include "dr/drill/drill_rights.h"
#include "dr/proof/report.h"
#include "dr/run/plan.h"

enum { DRILLS_MAX = 64 };

struct wish {
    const char *failed, *to, *seed, *controls;
    struct text_list sets;
    bool clean;
};

/* -- words of the command line ----------------------------------------------------------------- */

static bool runs_here(void *arg, const char *type)
{
    return strcmp(type, "for_each") != 0 && strcmp(type, "plan") != 0 && real_world_runs(arg, type);
}

static bool read_number(const char *word, uint64_t *ret)
{
    char *end = NULL;
    errno = 0;
    if (word[0] < '0' || word[0] > '9')
        return false;
    *ret = strtoull(word, &end, 10);
    return errno == 0 && *end == '\0';
}

/* Which faults, and from which seed: the same one draws the same ones. */
static bool draw(struct cli *cli, const struct wish *w, struct drill_faults *ret)
{
    uint64_t want = 0;
    random_bytes(&ret->seed, sizeof(ret->seed));
    if (w->seed != NULL && !read_number(w->seed, &ret->seed)) {
        (void)cli_usage(cli, "--seed: '%s' is no number", w->seed);
        return false;
    }
    if (w->controls != NULL && strcmp(w->controls, "none") == 0)
        return true;
    if (w->controls != NULL && strcmp(w->controls, "all") != 0 &&
        (!read_number(w->controls, &want) || want == 0 || want > CONTROLS_MAX)) {
        (void)cli_usage(cli, "--controls: '%s' is none of: a number to %d, all, none", w->controls,
                        CONTROLS_MAX);
        return false;
    }
    ret->count = controls_draw(ret->seed, (size_t)want, ret->controls);
    return true;
}

static bool check_regions(struct cli *cli, const struct config *c, const struct wish *w)
{
    const char *const regions[][2] = { { "--failed", w->failed }, { "--to", w->to } };
    for (size_t i = 0; i < DR_ARRAY_LEN(regions); i++)
        if (regions[i][1] != NULL && !config_is_region(c, regions[i][1])) {
            (void)cli_usage(cli, "%s: '%s' is no region of the configuration", regions[i][0],
                            regions[i][1]);
            return false;
        }
    return true;
}

/* -- drills whose runner died ------------------------------------------------------------------ */

static int tell_buried(struct cli *cli, const char *id, const struct drill_verdict *v)
{
    bool clean = v->leftovers.count == 0;
    DR_FREE char *left = text_list_join(&v->leftovers, "; ");
    if (cli->json) {
        json_t *o = json_object();
        json_put_text(o, "cleaned", id);
        json_put(o, "left", data_texts_json(&v->leftovers));
        cli_print_json(o);
    } else {
        printf("CLEANED  %s, whose runner died: %s%s\n", id,
               clean ? "nothing left" : "LEFT BEHIND: ", left);
    }
    return clean ? EXIT_DONE : EXIT_FAILED;
}

static int bury(struct cli *cli, const struct config *c, const char *id)
{
    struct dr_err err = { 0 };
    DR_FREE char *who = run_operator();
    DR_CLEANUP(drill_verdict_fini) struct drill_verdict v = { 0 };
    const struct engine_options o = { .config = c, .config_path = c->path, .operator= who };
    if (drill_bury(c, id, &o, &v, &err) != DR_OK)
        return cli_fail(cli, &err);
    cli_book_run(c, id);
    return tell_buried(cli, id, &v);
}

/* All of them, oldest first. What one leaves behind is on its record, and does not stop the next. */
static int bury_all(struct cli *cli, const struct config *c)
{
    int exit = EXIT_DONE;
    DR_FREE char *before = NULL;
    for (int i = 0; i < DRILLS_MAX; i++) {
        DR_FREE char *id = run_open_drill(c);
        if (id == NULL || (before != NULL && strcmp(id, before) == 0))
            return exit;
        int one = bury(cli, c, id);
        if (one != EXIT_DONE && one != EXIT_FAILED)
            return one;
        exit = cli_gravest(exit, one);
        free(before);
        before = dr_strdup(id);
    }
    return exit;
}

static void tell_late(struct cli *cli, const json_t *thing, bool gone, const char *why)
{
    const char *run = json_string_value(json_object_get(thing, "of"));
    const char *at = json_string_value(json_object_get(thing, "at"));
    const char *name = json_string_value(json_object_get(thing, "name"));
    if (cli->json) {
        json_t *o = json_deep_copy(thing);
        json_put_text(o, "cleaned", run);
        json_put(o, "gone", json_boolean(gone));
        json_put(o, "why", json_printable(why));
        cli_print_json(o);
        return;
    }
    printf("CLEANED  %s, which had left %s%s%s behind: %s%s\n", run, name,
           at[0] != '\0' ? " at " : "", at, gone ? "it is gone" : "STILL THERE: ", gone ? "" : why);
}

/* What drills that are over had to leave at a site that was away. The next drill has it on its record. */
static int clean_late(struct cli *cli, const struct config *c, const char *id)
{
    int exit = EXIT_DONE;
    DR_JSON json_t *list = drill_left(c);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *thing = json_array_get(list, i);
        const char *run = json_string_value(json_object_get(thing, "of"));
        DR_FREE char *why = NULL;
        if (id != NULL && strcmp(id, run) != 0)
            continue;
        bool gone = drill_remove(c, run, thing, &why);
        tell_late(cli, thing, gone, why);
        exit = gone ? exit : EXIT_FAILED;
    }
    return exit;
}

static bool is_over(const struct config *c, const char *id)
{
    DR_CLEANUP(run_state_fini) struct run_state s = { 0 };
    return run_peek(c, id, &s) && s.drill && run_is_final(s.phase);
}

static int clean(struct cli *cli, const struct config *c, const char *id)
{
    int exit = id == NULL ? bury_all(cli, c) : is_over(c, id) ? EXIT_DONE : bury(cli, c, id);
    if (exit == EXIT_DONE || exit == EXIT_FAILED)
        exit = cli_gravest(exit, clean_late(cli, c, id));
    if (cli->json && (exit == EXIT_DONE || exit == EXIT_FAILED))
        return cli_result_json(json_object(), exit, exit == EXIT_DONE ? NULL : "not all is clean");
    return exit;
}

/* -- the drill --------------------------------------------------------------------------------- */

struct drill_job {
    struct cli *cli;
    struct run_screen screen;
    struct production_place place;
    struct drill_faults faults;
    const char *mode, *active;
    char *who;
};

static void job_fini(struct drill_job *j)
{
    run_screen_fini(&j->screen);
}

/* No more steps: it is to be cleaned up. */
static enum dr_rc abort_drill(struct drill_job *j, struct run *r, const char *why,
                              struct dr_err *err)
{
    DR_JSON json_t *words = json_object();
    json_put_text(words, "verb", "abort");
    json_put_text(words, "by", j->who);
    json_put(words, "reason", json_printable(why));
    DR_TRY(engine_hear(r->engine, words, err));
    return engine_go(r->engine, err);
}

/* A drill does not wait for people: what holds it ends it, and it is cleaned up. */
static enum dr_rc end_hold(struct drill_job *j, struct run *r, struct dr_err *err)
{
    const struct run_state *s = engine_state(r->engine);
    if (s->phase != RUN_HELD)
        return DR_OK;
    DR_FREE char *why = dr_strf("a drill does not wait: %s", s->why != NULL ? s->why : "held");
    return abort_drill(j, r, why, err);
}

/* Through all of its steps, or as far as they go. */
static enum dr_rc go_through(struct drill_job *j, struct run *r, const json_t *before,
                             const json_t *planted, struct dr_err *err)
{
    enum dr_rc rc = drill_open(r, before, planted, err);
    if (rc != DR_OK && rc != DR_E_REFUSED) { /* refused: the lease is lost, and with it the word */
        DR_FREE char *why = dr_strdup(err->msg);
        return abort_drill(j, r, why, err);
    }
    DR_TRY(rc);
    DR_TRY(run_drive_on(j->cli, r, &j->screen, err));
    return end_hold(j, r, err);
}

/* Behind the last step: look, try the faults, take away, prove. */
static enum dr_rc finish(struct drill_job *j, struct run *r, struct drill_verdict *v,
                         struct dr_err *err)
{
    const struct run_screen *s = &j->screen;
    const struct journal_records *all = journal_all(r->journal);
    DR_TRY(drill_look(r, err));
    drill_tell_looked(s, all);
    DR_TRY(drill_rights(r, err));
    drill_tell_rights(s, all);
    DR_TRY(drill_control(r, &j->faults, err));
    drill_tell_caught(s, all);
    DR_TRY(drill_clean(r, err));
    DR_TRY(drill_prove(r, err));
    DR_TRY(drill_close(r, false, v, err));
    drill_tell_cleaned(s, all, v);
    return DR_OK;
}

static int exit_of(const struct drill_verdict *v, const json_t *report)
{
    if (!v->passed)
        return EXIT_FAILED;
    bool short_of = report != NULL && report_falls_short(report);
    return short_of || drill_power(v) < 0 ? EXIT_MISSED : EXIT_DONE;
}

static int tell_end(struct drill_job *j, struct run *r, const struct drill_verdict *v)
{
    struct dr_err err = { 0 };
    DR_JSON json_t *report = NULL;
    if (report_make(journal_all(r->journal), 0, &report, &err) != DR_OK)
        log_err(&err);
    int exit = exit_of(v, report);
    drill_tell_verdict(&j->screen, report, v);
    if (!j->cli->json)
        return exit;
    const struct run_state *s = engine_state(r->engine);
    json_t *o = json_object();
    json_put_text(o, "run", r->id);
    json_put_text(o, "state", run_phase_name(s->phase));
    json_put(o, "passed", json_boolean(v->passed));
    json_put_int(o, "planted", (int64_t)v->planted);
    json_put_int(o, "caught", (int64_t)v->caught);
    return cli_result_json(o, exit, s->why != NULL ? s->why : "");
}

/* The run stands; everything from here on goes through the clean-up. */
static int carry_out(struct drill_job *j, struct run *r, const json_t *before,
                     const json_t *planted)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(drill_verdict_fini) struct drill_verdict v = { 0 };
    DR_CLEANUP(tell_close_ptr) struct tell *tell = tell_open(r->config);
    tell_run(tell, engine_state(r->engine), TELL_BEGUN);
    enum dr_rc rc = go_through(j, r, before, planted, &err);
    const struct engine_view view = { .record = run_screen_record, .arg = &j->screen };
    engine_set_view(r->engine, &view, false);
    if (rc == DR_OK)
        rc = finish(j, r, &v, &err);
    if (rc == DR_OK) {
        tell_run(tell, engine_state(r->engine), TELL_ENDED);
        int exit = tell_end(j, r, &v);
        (void)fflush(stdout);           /* a bucket that hangs may not keep the verdict back */
        cli_book_run(r->config, r->id); /* says up to where it is anchored */
        return exit;
    }
    if (rc == DR_E_REFUSED && engine_yields(r->engine))
        err.rc = DR_E_BUSY;
    (void)dr_context(&err, "drill %s stops here", r->id);
    (void)dr_hint(&err, "It is cleaned up by the next one, or by: drctl drill --clean %s", r->id);
    return cli_fail(j->cli, &err);
}

static int begin(struct drill_job *j, struct script *script, const json_t *before,
                 const json_t *planted)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(run_close_ptr) struct run *r = NULL;
    const struct config *c = j->place.config;
    DR_FREE char *scratch = dr_strf("%s/scratch", c->state_dir);
    DR_FREE char *seed = dr_strf("%" PRIu64, j->faults.seed);
    struct run_begin b = { .mode = j->mode,
                           .by = j->who,
                           .failed = j->place.failed,
                           .active = j->active,
                           .to = j->place.to,
                           .file = script->file,
                           .scratch = scratch,
                           .seed = seed,
                           .drill = true,
                           .remote = true,
                           .params = j->place.params };
    const struct engine_options o = { .config = c, .config_path = c->path, .operator= j->who };
    if (run_begin(c, script, &b, &o, &r, &err) != DR_OK)
        return cli_fail(j->cli, &err);
    const struct journal_records *all = journal_all(r->journal);
    for (size_t i = 0; i < all->count; i++)
        run_screen_record(&j->screen, &all->items[i]);
    return carry_out(j, r, before, planted);
}

/* Before anything is planted: run_begin() decides, but by then a source would have been marked. */
static int refuse_beside(struct cli *cli, const struct config *c)
{
    struct dr_err err = { 0 };
    DR_FREE char *open = run_newest_open(c);
    if (open == NULL)
        return EXIT_DONE;
    (void)dr_fail(&err, DR_E_BUSY, "run %s is not over: a drill waits for it", open);
    (void)dr_hint(&err, "Look at it: drctl runs show %s", open);
    return cli_fail(cli, &err);
}

/* script: taken over. */
static int rehearse(struct cli *cli, struct drill_job *j, struct script *script)
{
    struct dr_err err = { 0 };
    DR_JSON json_t *before = NULL;
    DR_JSON json_t *planted = NULL;
    DR_FREE char *scratch = dr_strf("%s/scratch", j->place.config->state_dir);
    run_screen_init(&j->screen, cli);
    j->screen.started = true; /* what a failover says above its question does not hold here */
    drill_tell_start(&j->screen, script, j->place.failed, scratch);
    before = production_read(&j->place);
    if (drill_plant(&j->place, &j->faults, &planted, &err) != DR_OK) {
        script_free(script);
        return cli_fail(cli, &err);
    }
    drill_tell_planted(&j->screen, planted);
    return begin(j, script, before, planted);
}

/* A plan that gives a region up rehearses a failover; one that does not is run as it is. */
static const char *mode_of(const struct plan *p)
{
    return p->uses_failed || p->uses_target ? "failover" : "run";
}

static int drill(struct cli *cli, const struct config *c, const struct wish *w)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    DR_CLEANUP(plan_free_ptr) struct plan *p = NULL;
    DR_JSON json_t *params = NULL;
    DR_FREE char *who = run_operator();
    DR_CLEANUP(job_fini) struct drill_job j = { .cli = cli, .who = who };
    int exit = cli_plan_read(cli, c, cli->argv[1], &bytes, &p);
    if (exit != EXIT_DONE)
        return exit;
    DR_FREE char *not = plan_unsupported(p, runs_here, NULL);
    if (not != NULL)
        return cli_usage(cli, "this version cannot run plan '%s': %s", p->name, not );
    if (script_params(p, &w->sets, &params, &err) != DR_OK)
        return cli_fail(cli, &err);
    if (!draw(cli, w, &j.faults))
        return EXIT_USAGE;
    exit = bury_all(cli, c);
    if (exit == EXIT_DONE || exit == EXIT_FAILED) {
        (void)clean_late(cli, c, NULL); /* what is still there fails the drill by its own record */
        exit = refuse_beside(cli, c);
    }
    if (exit != EXIT_DONE)
        return exit;
    j.mode = mode_of(p);
    struct script *script = script_of_plan(DR_TAKE(p), bytes.data, c);
    DR_FREE char *active = run_active_region(c, script->regions, script->region_count);
    bool failover = strcmp(j.mode, "failover") == 0;
    j.active = active;
    j.place = (struct production_place){ .config = c,
                                         .script = script,
                                         .params = params,
                                         .failed = !failover           ? NULL
                                                   : w->failed != NULL ? w->failed
                                                                       : active,
                                         .to = w->to };
    return rehearse(cli, &j, script);
}

static int run_with(struct cli *cli, const struct wish *w)
{
    DR_CLEANUP(config_free_ptr) struct config *c = cli_config(cli);
    if (c == NULL || !check_regions(cli, c, w))
        return EXIT_USAGE;
    if (w->clean)
        return clean(cli, c, cli->argc > 1 ? cli->argv[1] : NULL);
    if (cli->argc < 2)
        return cli_usage(cli, "which plan?");
    return drill(cli, c, w);
}

static int run_drill(struct cli *cli)
{
    struct wish w = { 0 };
    const struct cli_option options[] = {
        { .name = "failed", .value = &w.failed },     { .name = "to", .value = &w.to },
        { .name = "set", .many = &w.sets },           { .name = "seed", .value = &w.seed },
        { .name = "controls", .value = &w.controls }, { .name = "clean", .flag = &w.clean },
    };
    int exit = EXIT_USAGE;
    if (cli_options(cli, options, DR_ARRAY_LEN(options), 0, 1))
        exit = run_with(cli, &w);
    text_list_fini(&w.sets);
    return exit;
}

const struct cli_verb verb_drill = {
    .name = "drill",
    .summary = "rehearse a plan, with faults planted in it; production is not touched",
    .usage =
        "drctl drill PLAN [--failed REGION] [--to REGION] [--set NAME=VALUE]... [--controls N]\n"
        "            [--seed N]\n"
        "drctl drill --clean [D-N]\n"
        "      The same plan, nothing in production touched: what restores does it in a scratch\n"
        "      directory, what switches is simulated, and each step that differs is listed. A fresh\n"
        "      sentinel and a backup come first, and must be what is restored. Then faults are\n"
        "      planted, and each must be caught. Cleans up, and proves that production is as before.\n"
        "      --failed: the region that is dark; default the one that serves. --controls: how many\n"
        "      faults, all (default) or none; --seed: which, the same number draws the same ones.\n"
        "      --clean: take away what drills left whose runner died, or that could not reach a site\n"
        "      when they ended; each new drill does it first.\n"
        "      Exit 0: passed. 1: failed. 4: passed, but an objective was missed or not measured,\n"
        "      or no fault was planted, so that nothing shows that it could have failed.\n"
        "      6: another run or drill is under way, or a run in earnest took the place.\n",
    .run = run_drill,
};
