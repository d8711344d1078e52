/*
 * runs.c - `drctl runs`: look at runs, and say to them what a person decided.
 *
 *     list show watch                        read journals, and nothing else
 *     approve reject abort undo              of a run with a living runner: put into its inbox
 *     resume skip undo next approve reject abort  of one without: this process becomes the runner
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dr/base/clock.h"
#include "dr/base/log.h"
#include "dr/base/mem.h"
#include "dr/cli/run_screen.h"
#include "dr/cli/verbs.h"
#include "dr/data/duration.h"
#include "dr/data/time.h"

enum { WATCH_MS = 300 };

struct runs_wish {
    const char *run, *step;
    const char *reason, *choice, *to, *confirm;
    bool by_hand, forward;
    struct text_list without; /* buckets that may stay unread */
};

/* A broken chain cannot be told from: exit 7 (nothing was done). */
static int fail(struct cli *cli, struct dr_err *err)
{
    if (err->rc == DR_E_CORRUPT)
        err->rc = DR_E_UNKNOWN;
    if (err->rc == DR_E_NOTFOUND)
        err->rc = DR_E_USAGE;
    return cli_fail(cli, err);
}

static bool is_run(const char *word)
{
    return word[0] != '\0' && strchr("RDT", word[0]) != NULL && word[1] == '-' && word[2] != '\0' &&
           strspn(word + 2, "0123456789") == strlen(word + 2);
}

/* -- list ---------------------------------------------------------------------------------------- */

static int list_one(struct cli *cli, const struct config *c, const char *id)
{
    DR_CLEANUP(journal_records_fini) struct journal_records all = { 0 };
    DR_CLEANUP(run_state_fini) struct run_state s = { 0 };
    struct dr_err err = { 0 };
    char at[TIME_TEXT_MAX];
    if (journal_load(c->state_dir, id, &all, &err) != DR_OK)
        return fail(cli, &err);
    state_replay(&s, &all);
    bool live = journal_is_live(c->state_dir, id);
    if (s.phase == RUN_NONE)
        return EXIT_DONE; /* its runner died before the first record */
    if (cli->json) {
        json_t *o = json_object();
        json_put_text(o, "run", id);
        json_put_text(o, "mode", s.mode);
        json_put_text(o, "plan", s.plan);
        json_put_text(o, "state", run_phase_name(s.phase));
        json_put(o, "live", json_boolean(live));
        json_put(o, "dry", json_boolean(s.dry));
        json_put(o, "failed", s.failed != NULL ? json_printable(s.failed) : json_null());
        json_put(o, "target", s.target != NULL ? json_printable(s.target) : json_null());
        json_put_text(o, "started", time_print(s.started_ns, at));
        json_put_text(o, "why", s.why != NULL ? s.why : "");
        cli_print_json(o);
        return EXIT_DONE;
    }
    printf("%-6s %s  %-9s %-24s %s%s%s  %s%s\n", id, time_print_s(s.started_ns, at),
           run_phase_name(s.phase), s.plan, s.failed != NULL ? s.failed : "",
           s.failed != NULL ? " -> " : "", s.target != NULL ? s.target : "",
           s.dry ? "(dry run) " : "",
           run_is_final(s.phase) || live ? "" : "(nobody runs it: drctl runs resume)");
    return EXIT_DONE;
}

/* Runs of other hosts, that only the buckets know. */
static size_t list_outside(struct cli *cli, const struct config *c)
{
    DR_CLEANUP(text_list_fini) struct text_list ids = { 0 };
    char at[TIME_TEXT_MAX];
    run_list_outside(c, NULL, &ids);
    for (size_t i = 0; i < ids.count; i++) {
        DR_CLEANUP(run_state_fini) struct run_state s = { 0 };
        bool known = run_peek(c, ids.items[i], &s) && s.phase != RUN_NONE;
        const char *phase = known ? run_phase_name(s.phase) : "unknown";
        if (cli->json) {
            json_t *o = json_object();
            json_put_text(o, "run", ids.items[i]);
            json_put_text(o, "state", phase);
            json_put(o, "outside", json_true());
            cli_print_json(o);
            continue;
        }
        printf("%-6s %s  %-9s %-24s (in the buckets only%s)\n", ids.items[i],
               known ? time_print_s(s.started_ns, at) : "-", phase, known ? s.plan : "-",
               known && run_is_final(s.phase) ? "" : ": drctl runs resume");
    }
    return ids.count;
}

static int run_list(struct cli *cli, const struct config *c)
{
    DR_CLEANUP(text_list_fini) struct text_list runs = { 0 };
    struct dr_err err = { 0 };
    int exit = EXIT_DONE;
    if (journal_runs(c->state_dir, &runs, &err) != DR_OK)
        return fail(cli, &err);
    for (size_t i = 0; i < runs.count; i++)
        exit = cli_gravest(exit, list_one(cli, c, runs.items[i]));
    size_t outside = list_outside(cli, c);
    if (runs.count == 0 && outside == 0 && !cli->json)
        printf("no run yet\n");
    return exit;
}

/* -- show ---------------------------------------------------------------------------------------- */

static void print_step(const struct run_screen *s, const struct state_step *st)
{
    char text[DURATION_TEXT_MAX];
    DR_FREE char *picked = strcmp(st->use, "region.pick") == 0 && st->at == AT_DONE
                               ? run_screen_pick(&s->state)
                               : NULL;
    const char *why = picked != NULL ? picked : st->why != NULL ? st->why : "";
    run_screen_say(s, "  %-12s %-44s %-9s %s%s%s", st->id, st->title != NULL ? st->title : "",
                   step_at_name(st->at), st->dur_ms > 0 ? duration_tell(st->dur_ms, text) : "",
                   why[0] != '\0' ? "   " : "", why);
}

static void print_records_of(const struct journal_records *all, const char *step)
{
    char at[TIME_TEXT_MAX];
    for (size_t i = 0; i < all->count; i++) {
        const struct journal_record *r = &all->items[i];
        const char *id = json_string_value(json_object_get(r->body, "step"));
        DR_CLEANUP(buf_fini) struct buf body = { 0 };
        if (step != NULL && (id == NULL || strcmp(id, step) != 0))
            continue;
        json_add_canonical(&body, r->body);
        printf("%4lld %s %-11s %.*s\n", (long long)r->n, time_tell(r->wall_ns, at), r->type,
               (int)body.len, body.data);
    }
}

static int run_show(struct cli *cli, const struct config *c, const struct runs_wish *w)
{
    DR_CLEANUP(journal_records_fini) struct journal_records all = { 0 };
    struct dr_err err = { 0 };
    if (journal_load(c->state_dir, w->run, &all, &err) != DR_OK)
        return fail(cli, &err);
    DR_CLEANUP(run_screen_fini) struct run_screen s;
    run_screen_init(&s, cli);
    s.live = false;
    if (cli->json) {
        for (size_t i = 0; i < all.count; i++)
            run_screen_record(&s, &all.items[i]);
        return EXIT_DONE;
    }
    state_replay(&s.state, &all);
    const struct run_state *st = &s.state;
    if (w->step != NULL && state_step_of(st, w->step) == NULL)
        return cli_usage(cli, "run %s has no step '%s'", w->run, w->step);
    if (w->step != NULL) {
        print_records_of(&all, w->step);
        return EXIT_DONE;
    }
    run_screen_say(&s, "%s %s %s  %s%s%s   epoch %lld   %s%s%s", w->run, st->mode, st->plan,
                   st->failed != NULL ? st->failed : "", st->failed != NULL ? " -> " : "",
                   st->target != NULL ? st->target : "", (long long)st->epoch,
                   run_phase_name(st->phase), st->why != NULL ? ": " : "",
                   st->why != NULL ? st->why : "");
    for (size_t i = 0; i < st->standby_count; i++)
        run_screen_say(&s, "  STANDBY %-14s %s%s", st->standbys[i].region,
                       st->standbys[i].ready ? "" : "NOT READY: ", st->standbys[i].why);
    for (size_t i = 0; i < st->step_count; i++)
        print_step(&s, &st->steps[i]);
    if (st->phase == RUN_HELD)
        run_screen_tell_choices(&s);
    else if (!run_is_final(st->phase) && !journal_is_live(c->state_dir, w->run))
        run_screen_say(&s, "! its runner is gone. Go on from here: drctl runs resume %s", w->run);
    return EXIT_DONE;
}

/* -- watch --------------------------------------------------------------------------------------- */

static int run_watch(struct cli *cli, const struct config *c, const struct runs_wish *w)
{
    DR_CLEANUP(run_screen_fini) struct run_screen s;
    size_t shown = 0;
    run_screen_init(&s, cli);
    for (;;) {
        DR_CLEANUP(journal_records_fini) struct journal_records all = { 0 };
        struct dr_err err = { 0 };
        bool live = journal_is_live(c->state_dir, w->run);
        if (journal_load(c->state_dir, w->run, &all, &err) != DR_OK)
            return fail(cli, &err);
        for (; shown < all.count; shown++)
            run_screen_record(&s, &all.items[shown]);
        if (!live || run_is_final(s.state.phase))
            break;
        struct timespec pause = { .tv_nsec = (long)WATCH_MS * 1000000 };
        (void)nanosleep(&pause, NULL);
        run_screen_tick(&s);
    }
    run_screen_rest(&s);
    if (!cli->json && s.state.phase == RUN_HELD)
        run_screen_tell_choices(&s);
    return EXIT_DONE;
}

/* -- words ---------------------------------------------------------------------------------------- */

static json_t *words_of(const char *verb, const struct runs_wish *w, const char *who)
{
    DR_FREE char *host = run_host();
    json_t *o = json_object();
    json_put_text(o, "verb", verb);
    json_put_text(o, "by", who);
    json_put_text(o, "via", host);
    const char *pairs[][2] = { { "step", w->step },
                               { "reason", w->reason },
                               { "choice", w->choice },
                               { "to", w->to },
                               { "confirm", w->confirm } };
    for (size_t i = 0; i < DR_ARRAY_LEN(pairs); i++)
        if (pairs[i][1] != NULL)
            json_put_text(o, pairs[i][0], pairs[i][1]);
    json_put(o, "by_hand", json_boolean(w->by_hand));
    json_put(o, "forward", json_boolean(w->forward));
    return o;
}

static bool has_role(const struct config *c, const char *who, const char *role)
{
    for (size_t i = 0; i < c->person_count; i++)
        if (strcmp(c->people[i].name, who) == 0 && strcmp(c->people[i].role, role) == 0)
            return true;
    return false;
}

/* What the living runner would refuse is refused here as well, so that the person sees it. */
static enum dr_rc check_answer(const struct config *c, const struct runs_wish *w, const char *verb,
                               const char *who, struct dr_err *err)
{
    DR_CLEANUP(journal_records_fini) struct journal_records all = { 0 };
    DR_CLEANUP(run_state_fini) struct run_state s = { 0 };
    DR_TRY(journal_load(c->state_dir, w->run, &all, err));
    state_replay(&s, &all);
    if (strcmp(verb, "approve") != 0 && strcmp(verb, "reject") != 0)
        return DR_OK;
    for (size_t i = 0; i < s.step_count; i++) {
        const struct state_step *st = &s.steps[i];
        const char *role = json_string_value(json_object_get(st->with, "role"));
        if (st->at != AT_WAITING || (w->step != NULL && strcmp(w->step, st->id) != 0))
            continue;
        if (role == NULL || has_role(c, who, role))
            return DR_OK;
        (void)dr_fail(err, DR_E_REFUSED, "'%s' does not have the role '%s'", who, role);
        return dr_hint(err, "Roles are given in incident_response.contact_information.");
    }
    return dr_fail(err, DR_E_REFUSED, "run %s waits for no approval%s%s", w->run,
                   w->step != NULL ? " at " : "", w->step != NULL ? w->step : "");
}

static int tell_runner(struct cli *cli, const struct config *c, const struct runs_wish *w,
                       const char *verb)
{
    struct dr_err err = { 0 };
    DR_FREE char *who = run_operator();
    if (check_answer(c, w, verb, who, &err) != DR_OK ||
        journal_tell(c->state_dir, w->run, words_of(verb, w, who), &err) != DR_OK)
        return fail(cli, &err);
    if (cli->json)
        return cli_result_json(json_object(), EXIT_DONE, "told to the runner");
    printf("%s: told to the runner of %s; see drctl runs watch %s\n", verb, w->run, w->run);
    return EXIT_DONE;
}

/* Nobody runs it: this process goes on with it, following the words first. */
static enum dr_rc follow(struct run *r, const char *verb, const struct runs_wish *w,
                         const char *who, struct dr_err *err)
{
    DR_FREE char *host = run_host();
    const struct run_state *s = engine_state(r->engine);
    DR_JSON json_t *words = words_of(verb, w, who);
    bool abort = strcmp(verb, "abort") == 0;
    bool resume = strcmp(verb, "resume") == 0;
    if (s->phase != RUN_HELD && !abort)
        DR_TRY(engine_resume(r->engine, who, host, w->forward, err));
    else if (resume)
        return engine_resume(r->engine, who, host, w->forward, err);
    return resume ? DR_OK : engine_hear(r->engine, words, err);
}

static int take_up(struct cli *cli, const struct config *c, const struct runs_wish *w,
                   const char *verb)
{
    struct dr_err err = { 0 };
    DR_FREE char *who = run_operator();
    struct engine_options o = {
        .config = c, .config_path = c->path, .operator= who, .approve_as_operator = cli->yes
    };
    DR_CLEANUP(run_screen_fini) struct run_screen screen;
    run_screen_init(&screen, cli);
    DR_CLEANUP(run_close_ptr) struct run *r = NULL;
    if (run_take_up(c, w->run, &o, &w->without, &r, &err) != DR_OK)
        return fail(cli, &err);
    const struct journal_records *all = journal_all(r->journal);
    size_t known = all->count;
    state_replay(&screen.state, all);
    for (size_t i = 0; i < all->count; i++)
        run_screen_know(&screen, &all->items[i]);
    if (!cli->json)
        printf("JOURNAL  %zu records, chain whole%s%s\nLEASE    taken, epoch %lld\nPLAN     as "
               "journalled, %.6s%s%s\n",
               known, r->from != NULL ? ", from " : "", r->from != NULL ? r->from : "",
               (long long)screen.state.epoch, screen.state.sha, r->note != NULL ? ". " : "",
               r->note != NULL ? r->note : "");
    if (follow(r, verb, w, who, &err) != DR_OK)
        return fail(cli, &err);
    all = journal_all(r->journal);
    for (size_t i = known; i < all->count; i++)
        run_screen_record(&screen, &all->items[i]);
    return run_drive(cli, r, &screen);
}

/* -- the verb ------------------------------------------------------------------------------------- */

static const struct action {
    const char *name;
    bool step; /* needs a step */
    bool reason;
} actions[] = {
    { "list", false, false },    { "show", false, false },  { "watch", false, false },
    { "approve", false, false }, { "reject", false, true }, { "resume", false, false },
    { "skip", true, true },      { "undo", false, false },  { "abort", false, true },
    { "next", false, false },
};

static const struct action *find_action(const char *name)
{
    for (size_t i = 0; i < DR_ARRAY_LEN(actions); i++)
        if (strcmp(actions[i].name, name) == 0)
            return &actions[i];
    return NULL;
}

/* A run with a living runner hears; resume and skip are for one that has none. */
static int act(struct cli *cli, const struct config *c, const struct runs_wish *w, const char *verb)
{
    if (!journal_is_live(c->state_dir, w->run))
        return take_up(cli, c, w, verb);
    if (strcmp(verb, "resume") != 0)
        return tell_runner(cli, c, w, verb);
    struct dr_err err = { 0 };
    (void)dr_fail(&err, DR_E_BUSY, "run %s has a runner already", w->run);
    (void)dr_hint(&err, "Look at it with: drctl runs watch %s", w->run);
    return fail(cli, &err);
}

static int do_action(struct cli *cli, const struct action *a, struct runs_wish *w)
{
    DR_CLEANUP(config_free_ptr) struct config *c = cli_config(cli);
    DR_FREE char *found = NULL;
    if (c == NULL)
        return EXIT_USAGE;
    if (strcmp(a->name, "list") == 0)
        return run_list(cli, c);
    if (w->run == NULL) {
        bool look = strcmp(a->name, "show") == 0 || strcmp(a->name, "watch") == 0;
        found = run_newest_open(c);
        if (found == NULL && look) {
            DR_CLEANUP(text_list_fini) struct text_list runs = { 0 };
            struct dr_err err = { 0 };
            if (journal_runs(c->state_dir, &runs, &err) == DR_OK && runs.count > 0)
                found = dr_strdup(runs.items[runs.count - 1]);
        }
        if (found == NULL)
            return cli_usage(cli, "there is no run that goes on; give its id");
        w->run = found;
    }
    if (strcmp(a->name, "show") == 0)
        return run_show(cli, c, w);
    if (strcmp(a->name, "watch") == 0)
        return run_watch(cli, c, w);
    return act(cli, c, w, a->name);
}

static int run_runs(struct cli *cli)
{
    struct runs_wish w = { 0 };
    const struct cli_option options[] = {
        { .name = "reason", .value = &w.reason },
        { .name = "choice", .value = &w.choice },
        { .name = "to", .value = &w.to },
        { .name = "confirm", .value = &w.confirm },
        { .name = "by-hand", .flag = &w.by_hand },
        { .name = "forward", .flag = &w.forward },
        { .name = "accept-missing-bucket", .many = &w.without },
    };
    if (!cli_options(cli, options, DR_ARRAY_LEN(options), 0, 3))
        return EXIT_USAGE;
    const char *name = cli->argc > 1 ? cli->argv[1] : "list";
    const struct action *a = find_action(name);
    if (a == NULL)
        return cli_usage(cli, "'%s' is nothing that can be done with runs", name);
    for (int i = 2; i < cli->argc; i++) {
        if (w.run == NULL && w.step == NULL && is_run(cli->argv[i]))
            w.run = cli->argv[i];
        else if (w.step == NULL)
            w.step = cli->argv[i];
        else
            return cli_usage(cli, "too many words: '%s'", cli->argv[i]);
    }
    if (a->step && w.step == NULL)
        return cli_usage(cli, "runs %s needs a step", name);
    if (a->reason && w.reason == NULL)
        return cli_usage(cli, "runs %s needs --reason TEXT", name);
    int exit = do_action(cli, a, &w);
    text_list_fini(&w.without);
    return exit;
}

const struct cli_verb verb_runs = {
    .name = "runs",
    .summary = "list, show, watch, resume, undo, skip, next, approve, reject, abort",
    .usage = "drctl runs [list]\n"
             "drctl runs show [RUN] [STEP]\n"
             "drctl runs watch [RUN]\n"
             "drctl runs approve [RUN] [STEP] [--choice X]\n"
             "drctl runs reject [RUN] [STEP] --reason TEXT\n"
             "drctl runs resume [RUN] [--forward] [--accept-missing-bucket NAME]...\n"
             "      Go on with what it was doing, also from another host: what is not here comes\n"
             "      from the buckets outside the failed region. One of them that cannot be read\n"
             "      is gone without only if you name it.\n"
             "drctl runs skip [RUN] STEP --reason TEXT [--by-hand] [--confirm REGION]\n"
             "      Go on without it; --by-hand: I did it myself; --confirm: to skip a fence.\n"
             "drctl runs undo [RUN] [--to STEP]\n"
             "      Take back, newest first, to the point of no return.\n"
             "drctl runs next [RUN]\n"
             "      Give the standby up, put it back as it was, try the next one.\n"
             "drctl runs abort [RUN] --reason TEXT\n"
             "      Stop now and leave everything as it is.\n"
             "RUN: the newest one that goes on, if left out.\n",
    .run = run_runs,
};
