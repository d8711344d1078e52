/*
 * fakestep.c - steps that do what a test says, in a time that only the test moves.
 */
#include "tests/support/fakestep.h"

#include <stdio.h>
#include <string.h>

#include "dr/base/clock.h"
#include "dr/base/mem.h"

/* -- time and events --------------------------------------------------------------------------- */

struct event {
    struct event *next;
    int64_t due_ms;
    long order;
    void (*fn)(void *arg);
    void *arg;
    struct fake_job *job; /* NULL: a timer */
};

struct fake_job {
    struct fake_world *w;
    struct event *end;
    struct step_hooks hooks;
    char *key; /* "apply:restore@eu" */
    char *verb, *step, *target;
    char *to; /* of its arguments, or NULL */
    enum step_verdict verdict;
    bool doubt, takes, proves, refused;
    char *why;
};

static int64_t now_ms;
static long orders;
static struct clock_ops real_clock;

static int64_t fake_ns(void)
{
    return now_ms * 1000000;
}

static struct event *push(struct fake_world *w, int64_t ms, void (*fn)(void *), void *arg)
{
    struct event *ev = dr_alloc(1, sizeof(*ev));
    ev->due_ms = now_ms + ms;
    ev->order = orders++;
    ev->fn = fn;
    ev->arg = arg;
    ev->next = w->events;
    w->events = ev;
    return ev;
}

static void drop(struct fake_world *w, const struct event *ev)
{
    struct event *prev = NULL;
    for (struct event *at = w->events; at != NULL; prev = at, at = at->next) {
        if (at != ev)
            continue;
        if (prev != NULL)
            prev->next = at->next;
        else
            w->events = at->next;
        free(at);
        return;
    }
}

static void *fake_after(struct world *world, int64_t ms, void (*fn)(void *), void *arg)
{
    return push((struct fake_world *)world, ms, fn, arg);
}

static void fake_cancel(struct world *world, void *timer)
{
    drop((struct fake_world *)world, timer);
}

static bool fake_turn(struct world *world)
{
    struct fake_world *w = (struct fake_world *)world;
    struct event *first = w->events;
    for (struct event *at = w->events; at != NULL; at = at->next)
        if (at->due_ms < first->due_ms || (at->due_ms == first->due_ms && at->order < first->order))
            first = at;
    if (first == NULL)
        return false;
    struct event copy = *first;
    if (copy.due_ms > now_ms)
        now_ms = copy.due_ms;
    drop(w, first);
    copy.fn(copy.arg);
    return true;
}

/* -- steps ------------------------------------------------------------------------------------- */

static const char *next_word(struct fake_world *w, const struct fake_job *j, char out[16])
{
    DR_FREE char *plain = dr_strf("%s:%s", j->verb, j->step);
    DR_FREE char *there = dr_strf("%s@%s", plain, j->target);
    const char *const keys[] = { there, plain };
    for (size_t i = 0; i < DR_ARRAY_LEN(keys); i++) {
        json_t *list = json_object_get(w->words, keys[i]);
        if (json_array_size(list) == 0)
            continue;
        (void)snprintf(out, 16, "%s", json_string_value(json_array_get(list, 0)));
        size_t len = strlen(out);
        if (out[len - 1] == '!')
            out[len - 1] = '\0';
        else
            (void)json_array_remove(list, 0);
        return out;
    }
    return NULL;
}

static void settle(struct fake_job *j)
{
    struct fake_world *w = j->w;
    bool undo = strcmp(j->verb, "undo") == 0;
    if (!j->takes)
        return;
    DR_FREE char *line = dr_strf("%s %s", j->verb, j->step);
    text_list_add(&w->log, line);
    if (undo) {
        (void)json_object_del(w->in_place, j->step);
        return;
    }
    if (json_object_get(w->in_place, j->step) != NULL && json_object_get(w->asked, j->step) == NULL)
        w->twice++;
    (void)json_object_del(w->asked, j->step);
    json_put_text(w->in_place, j->step, j->target);
}

static void end_job(void *arg)
{
    struct fake_job *j = arg;
    struct step_outcome out = {
        .verdict = j->verdict, .doubt = j->doubt, .why = j->why, .refused = j->refused
    };
    j->why = NULL;
    if (j->proves && j->verdict == STEP_PASS)
        out.proof = dr_strdup("lease_expired");
    j->w->running--;
    settle(j);
    if (j->verdict == STEP_PASS && strcmp(j->verb, "apply") == 0) {
        out.outputs = json_object();
        DR_FREE char *id = dr_strf("%s-out", j->step);
        json_put_text(out.outputs, "id", id);
        if (j->to != NULL)
            json_put_text(out.outputs, "path", j->to);
    }
    j->hooks.done(j->hooks.arg, &out);
    step_outcome_fini(&out);
    free(j->verb);
    free(j->step);
    free(j->target);
    free(j->to);
    free(j);
}

static void decide(struct fake_world *w, struct fake_job *j, const char *type)
{
    char buf[16];
    const char *word = next_word(w, j, buf);
    bool own = strcmp(j->verb, "check") == 0 && strcmp(type, "check") != 0;
    bool acts = strcmp(j->verb, "apply") == 0 || strcmp(j->verb, "undo") == 0;
    if (own && word == NULL)
        word = json_object_get(w->in_place, j->step) != NULL ? "pass" : "fail";
    if (own)
        json_put(w->asked, j->step, json_true());
    if (word == NULL)
        word = "pass";
    j->proves = strcmp(type, "fence") == 0 && strcmp(word, "noproof") != 0;
    j->verdict = strcmp(word, "pass") == 0 || strcmp(word, "noproof") == 0 ? STEP_PASS
                 : strcmp(word, "fail") == 0                               ? STEP_FAIL
                                                                           : STEP_UNKNOWN;
    j->refused = strcmp(word, "dark") == 0;
    if (j->refused)
        j->verdict = STEP_FAIL;
    j->doubt = strcmp(word, "hang") == 0 || strcmp(word, "late") == 0 || strcmp(word, "crash") == 0;
    j->takes =
        acts && (j->verdict == STEP_PASS || strcmp(word, "late") == 0) && strcmp(type, "give") != 0;
    j->why = dr_strf("%s says %s", j->step, word);
}

static enum dr_rc fake_start(struct world *world, const json_t *request, int64_t timeout_ms,
                             const struct step_hooks *hooks, void **ret_job, struct dr_err *err)
{
    (void)err;
    struct fake_world *w = (struct fake_world *)world;
    struct fake_job *j = dr_alloc(1, sizeof(*j));
    const char *target =
        json_string_value(json_object_get(json_object_get(request, "run"), "target"));
    const char *verb = json_string_value(json_object_get(request, "verb"));
    const char *type = json_string_value(json_object_get(request, "type"));
    j->w = w;
    j->hooks = *hooks;
    j->verb = dr_strdup(strcmp(type, "undoer") == 0 ? "undo" : verb);
    j->step = dr_strdup(json_string_value(json_object_get(request, "step")));
    j->target = dr_strdup(target != NULL ? target : "");
    const char *to = json_string_value(json_object_get(json_object_get(request, "with"), "to"));
    j->to = to != NULL ? dr_strdup(to) : NULL;
    json_decref(w->last);
    w->last = json_deep_copy(request);
    decide(w, j, type);
    bool slow = j->doubt && strcmp(j->why + strlen(j->why) - 5, "crash") != 0;
    j->end = push(w, slow ? timeout_ms : 1, end_job, j);
    j->end->job = j;
    if (++w->running > w->most_running)
        w->most_running = w->running;
    *ret_job = j;
    return DR_OK;
}

static void fake_stop(struct world *world, void *job, const char *why, bool hard)
{
    (void)hard;
    struct fake_world *w = (struct fake_world *)world;
    struct fake_job *j = job;
    if (!j->doubt)
        j->takes = j->takes && w->late_deaths;
    j->verdict = STEP_UNKNOWN;
    j->doubt = true;
    free(j->why);
    j->why = dr_strdup(why);
    j->end->due_ms = now_ms;
}

static enum dr_rc fake_put(struct world *world, const char *name, const void *data, size_t len,
                           struct dr_err *err)
{
    struct fake_world *w = (struct fake_world *)world;
    w->puts++;
    DR_ASSERT(name[0] != '\0');
    bool intent = len > 20 && memmem(data, len, "\"type\":\"intent\"", 15) != NULL;
    if (w->lose_at > 0 && intent && --w->lose_at == 0)
        w->lease_ms = 0;
    if (w->fail_after > 0 && w->puts >= w->fail_after)
        return dr_fail(err, DR_E_NOSPACE, "the bucket is full");
    w->intents_out += intent;
    if (w->put_fails == 0)
        return DR_OK;
    if (w->put_fails > 0)
        w->put_fails--;
    return dr_fail(err, DR_E_TRANSIENT, "no bucket answers");
}

static json_t *fake_health(struct world *world, const json_t *since, bool *ret_back)
{
    (void)world;
    (void)since;
    *ret_back = true;
    return NULL;
}

static int64_t fake_health_wait(struct world *world)
{
    (void)world;
    return 1000;
}

static int64_t fake_lease_left(struct world *world)
{
    return ((struct fake_world *)world)->lease_ms;
}

static bool fake_is_fenced(struct world *world, const char *region)
{
    return text_list_has(&((struct fake_world *)world)->fenced, region);
}

static json_t *fake_hear_one(struct world *world)
{
    struct fake_world *w = (struct fake_world *)world;
    if (w->inbox.count == 0)
        return NULL;
    json_t *words = json_loads(w->inbox.items[0], 0, NULL);
    DR_ASSERT(words != NULL);
    free(w->inbox.items[0]);
    memmove(&w->inbox.items[0], &w->inbox.items[1], --w->inbox.count * sizeof(char *));
    return words;
}

static double fake_random(struct world *world)
{
    (void)world;
    return 0.5;
}

static const struct world_ops fake_ops = {
    .start = fake_start,
    .stop = fake_stop,
    .after = fake_after,
    .cancel = fake_cancel,
    .turn = fake_turn,
    .put = fake_put,
    .health = fake_health,
    .health_wait_ms = fake_health_wait,
    .lease_left_ms = fake_lease_left,
    .is_fenced = fake_is_fenced,
    .hear = fake_hear_one,
    .random = fake_random,
};

void fake_world_init(struct fake_world *w)
{
    *w = (struct fake_world){ .world = { &fake_ops }, .lease_ms = 60000 };
    w->words = json_object();
    w->in_place = json_object();
    w->asked = json_object();
    real_clock = dr_clock;
    dr_clock = (struct clock_ops){ .wall_ns = fake_ns, .boot_ns = fake_ns };
    now_ms = 1000000;
}

void fake_world_fini(struct fake_world *w)
{
    while (w->events != NULL)
        drop(w, w->events);
    json_decref(w->words);
    json_decref(w->in_place);
    json_decref(w->asked);
    json_decref(w->last);
    text_list_fini(&w->log);
    text_list_fini(&w->inbox);
    text_list_fini(&w->fenced);
    dr_clock = real_clock;
}

void fake_say(struct fake_world *w, const char *key, const char *words)
{
    json_t *list = json_array();
    const char *at = words;
    while (*at != '\0') {
        size_t len = strcspn(at, " ");
        json_array_append_new(list, json_stringn(at, len));
        at += len + (at[len] == ' ');
    }
    json_put(w->words, key, list);
}

void fake_pass(int64_t ms)
{
    now_ms += ms;
}

void fake_hear(struct fake_world *w, const char *json)
{
    text_list_add(&w->inbox, json);
}

/* -- plans in JSON ----------------------------------------------------------------------------- */

static const struct step_type types[] = {
    { .name = "effect", .class = STEP_CHANGE, .timeout_ms = 60000, .has_undo = true },
    { .name = "own",
      .class = STEP_CHANGE,
      .timeout_ms = 60000,
      .has_check = true,
      .has_undo = true },
    { .name = "fence",
      .class = STEP_FENCE,
      .timeout_ms = 60000,
      .has_check = true,
      .has_undo = true },
    { .name = "promote",
      .class = STEP_PROMOTE,
      .timeout_ms = 60000,
      .has_check = true,
      .has_undo = true },
    { .name = "undoer", .class = STEP_CHANGE, .timeout_ms = 60000 },
    { .name = "check", .class = STEP_CHECK, .timeout_ms = 30000 },
    { .name = "give", .class = STEP_NONE, .timeout_ms = 60000 },
    { .name = "approve", .class = STEP_PERSON },
    { .name = "region.pick", .class = STEP_NONE, .timeout_ms = 1000 },
    { .name = "wait", .class = STEP_NONE, .timeout_ms = 1000 },
    { .name = "traffic",
      .class = STEP_TRAFFIC,
      .timeout_ms = 60000,
      .has_check = true,
      .has_undo = true },
    { .name = "backup.restore",
      .class = STEP_DATA,
      .timeout_ms = 60000,
      .drill = DRILL_ISOLATED,
      .has_check = true,
      .has_undo = true },
    { .name = "backup.now",
      .class = STEP_DATA,
      .timeout_ms = 60000,
      .drill = DRILL_ISOLATED,
      .has_check = true,
      .has_undo = true },
};

struct fake_script {
    struct script script;
    json_t *root;
};

static void free_const(const void *p)
{
    void *q = NULL;
    memcpy(&q, &p, sizeof(q));
    free(q);
}

static const char *text_of(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

static const struct step_type *type_of(const json_t *o)
{
    const char *use = text_of(o, "use");
    for (size_t i = 0; i < DR_ARRAY_LEN(types); i++)
        if (use != NULL && strcmp(use, types[i].name) == 0)
            return &types[i];
    DR_ASSERT(use == NULL);
    return &types[5]; /* a check */
}

static enum dr_rc fake_resolve(const struct script *s, const void *with, const void *extra,
                               const struct script_facts *facts, json_t **ret, struct dr_err *err)
{
    (void)s;
    (void)facts;
    (void)err;
    *ret = with != NULL ? json_deep_copy(with) : json_object();
    const char *name = NULL;
    json_t *value = NULL;
    DR_JSON json_t *more = extra != NULL ? json_deep_copy(extra) : json_object();
    json_object_foreach(more, name, value) json_put(*ret, name, json_incref(value));
    return DR_OK;
}

static enum script_truth fake_truth(const struct script *s, const void *when,
                                    const struct script_facts *facts)
{
    (void)s;
    (void)facts;
    const char *word = json_string_value(when);
    return strcmp(word, "yes") == 0  ? SCRIPT_YES
           : strcmp(word, "no") == 0 ? SCRIPT_NO
                                     : SCRIPT_UNKNOWN;
}

static char *fake_text(const struct script *s, const void *text, const struct script_facts *facts)
{
    (void)s;
    (void)facts;
    return dr_strdup(text != NULL ? text : "");
}

static char *fake_title(const struct script *s, size_t i, const struct script_facts *facts)
{
    (void)facts;
    return dr_strdup(s->steps[i].id);
}

static void fake_free(struct script *s)
{
    struct fake_script *f = (struct fake_script *)s;
    for (size_t i = 0; i < s->step_count; i++) {
        free_const(s->steps[i].needs);
        free_const(s->steps[i].verify);
    }
    free_const(s->steps);
    free_const(s->preflight);
    free_const(s->invariants);
    free_const(s->regions);
    json_decref(f->root);
    free(f);
}

static const struct script_ops script_ops = { .resolve = fake_resolve,
                                              .truth = fake_truth,
                                              .text = fake_text,
                                              .title = fake_title,
                                              .free = fake_free };

static enum on_error word_of(const json_t *o)
{
    enum on_error word = ON_NONE;
    (void)on_error_read(text_of(o, "on_error"), &word);
    return word;
}

static const struct script_check *checks_of(const json_t *list, size_t *ret_count)
{
    struct script_check *all = dr_alloc(json_array_size(list) + 1, sizeof(*all));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *o = json_array_get(list, i);
        all[i] = (struct script_check){ .id = text_of(o, "id"),
                                        .type = &types[5],
                                        .with = json_object_get(o, "with"),
                                        .timeout_ms = 30000,
                                        .on_error = word_of(o),
                                        .target = json_is_true(json_object_get(o, "target")) };
    }
    *ret_count = json_array_size(list);
    return all;
}

static size_t index_of(const json_t *steps, const char *id)
{
    for (size_t i = 0; i < json_array_size(steps); i++)
        if (strcmp(text_of(json_array_get(steps, i), "id"), id) == 0)
            return i;
    DR_ASSERT(id == NULL);
    return 0;
}

/* Effects and people are simulated unless the type or the step says otherwise, as in the real table. */
static enum step_drill drill_of(const json_t *o, const struct step_type *type)
{
    const char *word = text_of(o, "drill");
    for (int i = DRILL_RUN; word != NULL && i <= DRILL_SKIP; i++)
        if (strcmp(word, step_drill_word((enum step_drill)i)) == 0)
            return (enum step_drill)i;
    if (type->drill == DRILL_RUN && (step_is_effect(type) || type->class == STEP_PERSON))
        return DRILL_SIMULATE;
    return type->drill;
}

static void fill_step(struct script_step *st, const json_t *steps, size_t i)
{
    const json_t *o = json_array_get(steps, i);
    const json_t *needs = json_object_get(o, "needs");
    const char *check = text_of(o, "check");
    const char *undo = text_of(o, "undo");
    st->id = text_of(o, "id");
    st->type = type_of(o);
    st->class = st->type->class;
    st->with = json_object_get(o, "with");
    st->when = json_object_get(o, "when");
    st->timeout_ms = st->type->timeout_ms;
    st->retry = (int)json_integer_value(json_object_get(o, "retry"));
    st->own_check = st->type->has_check;
    st->repeatable = check != NULL && strcmp(check, "repeatable") == 0;
    st->verify = checks_of(json_object_get(o, "verify"), &st->verify_count);
    st->undo = undo == NULL                 ? UNDO_OF_TYPE
               : strcmp(undo, "none") == 0  ? UNDO_HARMLESS
               : strcmp(undo, "given") == 0 ? UNDO_GIVEN
                                            : UNDO_IMPOSSIBLE;
    st->undo_type = &types[4];
    st->on_error = word_of(o);
    if (st->type->class == STEP_PERSON && st->on_error == ON_NONE)
        st->on_error = ON_ROLLBACK;
    st->ponr = json_is_true(json_object_get(o, "ponr"));
    st->ponr_text = st->ponr ? "new writes exist" : NULL;
    st->target = json_is_true(json_object_get(o, "target"));
    st->drill = drill_of(o, st->type);
    st->drill_with = json_object_get(json_object_get(o, "drill"), "with");
    st->need_count = needs != NULL ? json_array_size(needs) : i;
    size_t *list = dr_alloc(st->need_count + 1, sizeof(*list));
    for (size_t k = 0; k < st->need_count; k++)
        list[k] = needs != NULL ? index_of(steps, json_string_value(json_array_get(needs, k))) : k;
    st->needs = list;
}

struct script *fake_script(const char *json)
{
    struct fake_script *f = dr_alloc(1, sizeof(*f));
    struct script *s = &f->script;
    json_error_t at;
    f->root = json_loads(json, 0, &at);
    if (f->root == NULL)
        (void)fprintf(stderr, "%s: %s\n", json, at.text);
    DR_ASSERT(f->root != NULL);
    const json_t *steps = json_object_get(f->root, "steps");
    const json_t *regions = json_object_get(f->root, "regions");
    struct script_step *all = dr_alloc(json_array_size(steps) + 1, sizeof(*all));
    const char **names = dr_alloc(json_array_size(regions) + 1, sizeof(*names));
    for (size_t i = 0; i < json_array_size(regions); i++)
        names[i] = json_string_value(json_array_get(regions, i));
    for (size_t i = 0; i < json_array_size(steps); i++)
        fill_step(&all[i], steps, i);
    s->ops = &script_ops;
    s->name = "test";
    s->title = s->text = s->sha256 = "";
    s->rto_ms = s->rpo_ms = -1;
    s->regions = names;
    s->region_count = json_array_size(regions);
    s->steps = all;
    s->step_count = json_array_size(steps);
    s->preflight = checks_of(json_object_get(f->root, "preflight"), &s->preflight_count);
    s->invariants = checks_of(json_object_get(f->root, "invariants"), &s->invariant_count);
    return s;
}
