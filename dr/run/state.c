/*
 * Replay: records in, the state of the run out. Pure, total and the same for engine, screens, report and
 * resume; what is not in a record does not exist.
 */
#include "dr/run/state.h"

#include <string.h>

#include "dr/base/mem.h"

enum { COUNT_MAX = 1000 * 1000 };

static const char *text_of(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

/* "" for what is not on record: a record of another version, or of a fault, must not end its reader. */
static const char *told_of(const json_t *o, const char *key)
{
    const char *text = text_of(o, key);
    return text != NULL ? text : "";
}

static bool flag_of(const json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}

static int64_t int_of(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

/* Rounds and attempts: what stands for none, and what would not count on, is 0. */
static int count_of(const json_t *o, const char *key)
{
    int64_t value = int_of(o, key);
    return value > 0 && value < COUNT_MAX ? (int)value : 0;
}

static void set(char **field, const char *text)
{
    char *copy = text != NULL ? dr_strdup(text) : NULL;
    free(*field);
    *field = copy;
}

/* Takes over value. */
static void set_json(json_t **field, json_t *value)
{
    json_decref(*field);
    *field = value;
}

static void step_fini(struct state_step *st)
{
    free(st->id);
    free(st->use);
    free(st->class);
    free(st->title);
    free(st->why);
    text_list_fini(&st->agreed);
    json_decref(st->with);
    json_decref(st->former);
    json_decref(st->outputs);
}

void run_state_fini(struct run_state *s)
{
    char *texts[] = { s->id,      s->mode,   s->by,    s->host,    s->failed,        s->active,
                      s->to,      s->plan,   s->title, s->text,    s->file,          s->sha,
                      s->back_to, s->target, s->why,   s->held_at, s->rewind.region, s->scratch,
                      s->seed,    s->then };
    for (size_t i = 0; i < DR_ARRAY_LEN(texts); i++)
        free(texts[i]);
    for (size_t i = 0; i < s->step_count; i++)
        step_fini(&s->steps[i]);
    for (size_t i = 0; i < s->standby_count; i++) {
        free(s->standbys[i].region);
        free(s->standbys[i].why);
    }
    free(s->steps);
    free(s->standbys);
    json_decref(s->start);
    json_decref(s->impact);
    json_decref(s->refused);
    text_list_fini(&s->excluded);
    text_list_fini(&s->approvers);
    *s = (struct run_state){ 0 };
}

struct state_step *state_step_of(const struct run_state *s, const char *id)
{
    for (size_t i = 0; id != NULL && i < s->step_count; i++)
        if (strcmp(s->steps[i].id, id) == 0)
            return &s->steps[i];
    return NULL;
}

bool state_past_ponr(const struct run_state *s)
{
    for (size_t i = 0; i < s->step_count; i++)
        if (s->steps[i].ponr && s->steps[i].ours)
            return true;
    return false;
}

/* -- the first record -------------------------------------------------------------------------- */

static void apply_start(struct run_state *s, const struct journal_record *r)
{
    const json_t *b = r->body;
    const json_t *plan = json_object_get(b, "plan");
    const json_t *steps = json_object_get(b, "steps");
    const struct {
        char **field;
        const json_t *from;
        const char *key;
    } texts[] = {
        { &s->id, b, "id" },        { &s->mode, b, "mode" },       { &s->by, b, "by" },
        { &s->host, b, "host" },    { &s->failed, b, "failed" },   { &s->active, b, "active" },
        { &s->to, b, "to" },        { &s->plan, plan, "name" },    { &s->title, plan, "title" },
        { &s->text, plan, "text" }, { &s->file, plan, "file" },    { &s->sha, plan, "sha256" },
        { &s->seed, b, "seed" },    { &s->scratch, b, "scratch" },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(texts); i++)
        set(texts[i].field, text_of(texts[i].from, texts[i].key));
    s->dry = flag_of(b, "dry");
    s->drill = flag_of(b, "drill");
    s->remote = flag_of(b, "remote");
    s->started_ns = r->wall_ns;
    set_json(&s->start, json_incref(r->body));
    s->step_count = json_array_size(steps);
    s->steps = dr_alloc(s->step_count + 1, sizeof(*s->steps));
    for (size_t i = 0; i < s->step_count; i++) {
        const json_t *o = json_array_get(steps, i);
        s->steps[i] = (struct state_step){ .round = 1,
                                           .effect = flag_of(o, "effect"),
                                           .ponr = flag_of(o, "ponr"),
                                           .target = flag_of(o, "target") };
        set(&s->steps[i].id, told_of(o, "id"));
        set(&s->steps[i].use, told_of(o, "use"));
        set(&s->steps[i].class, told_of(o, "class"));
        set(&s->steps[i].title, text_of(o, "title"));
        (void)step_how_read(text_of(o, "drill"), &s->steps[i].how); /* of a run in earnest: none */
    }
}

/* -- changes of a step --------------------------------------------------------------------------- */

static void forget_round(struct state_step *st)
{
    set_json(&st->with, NULL);
    set_json(&st->former, NULL);
    set_json(&st->outputs, NULL);
    st->attempt = 0;
    st->used = 0;
    st->open = false;
    st->ours = false;
    st->intent_n = 0;
    st->already = false;
    st->simulated = false;
    st->isolated = false;
    st->by_hand = false;
    st->by_person = false;
    st->decision = ON_NONE;
    st->undo_attempt = 0;
    st->approvals = 0;
    text_list_fini(&st->agreed);
}

static void apply_intent(struct state_step *st, const struct journal_record *r)
{
    st->attempt = count_of(r->body, "attempt");
    st->round = count_of(r->body, "round");
    st->used++;
    st->open = true;
    st->already = false;
    if (!st->ours)
        st->intent_n = r->n;
    st->ours = st->effect;
    set_json(&st->with, journal_unpack(json_object_get(r->body, "with")));
    if (json_is_object(json_object_get(r->body, "former")))
        set_json(&st->former, journal_unpack(json_object_get(r->body, "former")));
}

static void apply_outcome(struct run_state *s, struct state_step *st,
                          const struct journal_record *r)
{
    const json_t *outputs = json_object_get(r->body, "outputs");
    st->open = st->at == AT_CHECKING;
    st->dur_ms = int_of(r->body, "dur_ms");
    st->not_measured = flag_of(r->body, "not_measured");
    st->simulated = flag_of(r->body, "simulated");
    st->isolated = flag_of(r->body, "isolated");
    if (json_is_object(outputs))
        set_json(&st->outputs, journal_unpack(outputs));
    if (st->at == AT_DONE && strcmp(st->use, "region.pick") == 0)
        set(&s->target, text_of(outputs, "region"));
}

static void apply_check(struct state_step *st, const struct journal_record *r)
{
    const char *verdict = text_of(r->body, "verdict");
    st->already = flag_of(r->body, "already");
    st->isolated = flag_of(r->body, "isolated");
    if (verdict != NULL && strcmp(verdict, "fail") == 0 && st->ours)
        st->ours = false; /* proved: not in place (also: the point of no return is ahead again) */
    else if (verdict != NULL && strcmp(verdict, "pass") == 0 && !st->already)
        st->ours = st->effect && st->intent_n != 0;
    if (json_is_object(json_object_get(r->body, "former")))
        set_json(&st->former, journal_unpack(json_object_get(r->body, "former")));
}

static void apply_undo(struct run_state *s, struct state_step *st, const struct journal_record *r)
{
    st->undo_attempt = count_of(r->body, "attempt");
    if (flag_of(r->body, "left_behind")) {
        st->left = true;
        st->ours = false;
    }
    if (st->at != AT_UNDONE)
        return;
    int round = st->round;
    forget_round(st);
    st->round = round + 1;
    if (strcmp(st->use, "region.pick") == 0)
        set(&s->target, NULL);
}

static void apply_pending(struct run_state *s, struct state_step *st,
                          const struct journal_record *r)
{
    if (flag_of(r->body, "fresh")) { /* another round; else another try of this one */
        if (strcmp(st->use, "region.pick") == 0)
            set(&s->target, NULL);
        int round = st->round;
        forget_round(st);
        st->round = round + 1;
    }
    const char *exclude = text_of(r->body, "exclude");
    if (exclude != NULL && !text_list_has(&s->excluded, exclude))
        text_list_add(&s->excluded, exclude);
    st->used = 0;
    st->open = false;
    st->decision = ON_NONE;
    st->approvals = 0;
    text_list_fini(&st->agreed);
}

static void apply_doubt(struct state_step *st, const json_t *b)
{
    st->open = true;
    st->decision = ON_NONE;
    if (flag_of(b, "lost") && st->used > 0)
        st->used--; /* an attempt lost with its runner is not counted */
    else
        st->used = 0;
}

static void apply_skip(struct state_step *st, const struct journal_record *r)
{
    bool person = text_of(r->body, "by") != NULL;
    st->by_hand = person && flag_of(r->body, "by_hand");
    st->by_person = person && !st->by_hand;
    st->not_measured = flag_of(r->body, "not_measured");
    st->decision = ON_NONE;
    st->open = false;
    if (st->by_hand && st->intent_n == 0)
        st->intent_n = r->n;
}

static void apply_step(struct run_state *s, struct state_step *st, const struct journal_record *r)
{
    const json_t *b = r->body;
    enum step_at at = st->at;
    if (step_at_read(text_of(b, "state"), &at)) {
        st->at = at;
        st->since_boot_ns = r->boot_ns;
    }
    if (text_of(b, "why") != NULL)
        set(&st->why, text_of(b, "why"));
    if (text_of(b, "title") != NULL)
        set(&st->title, text_of(b, "title"));
    if (text_of(b, "decision") != NULL)
        (void)on_error_read(text_of(b, "decision"), &st->decision);
    if (st->at == AT_TOLERATED)
        st->decision = ON_NONE;
    if (strcmp(r->type, "intent") == 0)
        apply_intent(st, r);
    else if (strcmp(r->type, "begin") == 0)
        st->open = true;
    else if (strcmp(r->type, "former") == 0)
        set_json(&st->former, journal_unpack(json_object_get(b, "value")));
    else if (strcmp(r->type, "outcome") == 0)
        apply_outcome(s, st, r);
    else if (strcmp(r->type, "check") == 0)
        apply_check(st, r);
    else if (strcmp(r->type, "undo_intent") == 0)
        st->undo_attempt = count_of(b, "attempt");
    else if (strcmp(r->type, "undo") == 0)
        apply_undo(s, st, r);
    else if (strcmp(r->type, "pending") == 0)
        apply_pending(s, st, r);
    else if (strcmp(r->type, "skip") == 0)
        apply_skip(st, r);
    else if (strcmp(r->type, "doubt") == 0)
        apply_doubt(st, b);
    else if (strcmp(r->type, "agree") == 0 && text_of(b, "by") != NULL)
        text_list_add(&st->agreed, text_of(b, "by"));
    else if (strcmp(r->type, "ask") == 0)
        set_json(&st->with, journal_unpack(json_object_get(b, "with")));
}

static void apply_answer(struct run_state *s, struct state_step *st, const json_t *b)
{
    const char *answer = text_of(b, "answer");
    if (answer == NULL || strcmp(answer, "approve") != 0)
        return;
    DR_FREE char *who = dr_strf("%s/%s", st->id, told_of(b, "by"));
    text_list_add(&s->approvers, who);
    st->approvals++;
    if (st->at != AT_DONE)
        return;
    json_t *outputs = json_object();
    const char *choice = text_of(b, "choice");
    json_put_text(outputs, "answer", choice != NULL ? choice : "approve");
    json_put_text(outputs, "by", told_of(b, "by"));
    set_json(&st->outputs, outputs);
}

/* -- changes of the run --------------------------------------------------------------------------- */

static void apply_standby(struct run_state *s, const json_t *b)
{
    struct state_standby *sb = NULL;
    const char *region = text_of(b, "region");
    if (region == NULL)
        return;
    for (size_t i = 0; i < s->standby_count; i++)
        if (strcmp(s->standbys[i].region, region) == 0)
            sb = &s->standbys[i];
    if (sb == NULL) {
        s->standbys = dr_realloc(s->standbys, s->standby_count + 1, sizeof(*s->standbys));
        sb = &s->standbys[s->standby_count++];
        *sb = (struct state_standby){ 0 };
        set(&sb->region, region);
    }
    sb->ready = flag_of(b, "ready");
    set(&sb->why, text_of(b, "why"));
}

static void apply_rewind(struct run_state *s, const json_t *b)
{
    const char *phase = text_of(b, "phase");
    if (phase != NULL && strcmp(phase, "begin") == 0) {
        s->rewind.open = true;
        set(&s->rewind.region, text_of(b, "region"));
        if (s->rewind.region != NULL && !text_list_has(&s->excluded, s->rewind.region))
            text_list_add(&s->excluded, s->rewind.region);
        for (size_t i = 0; i < s->step_count; i++)
            s->steps[i].decision = ON_NONE;
        return;
    }
    s->rewind.open = false;
    if (flag_of(b, "cut"))
        return;
    s->rounds++;
    set(&s->target, NULL);
    for (size_t i = 0; i < s->step_count; i++) {
        struct state_step *st = &s->steps[i];
        if (!st->target)
            continue;
        int round = st->at == AT_UNDONE ? st->round : st->round + 1;
        if (st->at == AT_PENDING && st->attempt == 0)
            round = st->round;
        forget_round(st);
        st->round = round;
        st->at = AT_PENDING;
    }
}

static void apply_back(struct run_state *s, const json_t *b)
{
    s->back = true;
    set(&s->back_to, text_of(b, "to"));
    for (size_t i = 0; i < s->step_count; i++) {
        s->steps[i].decision = ON_NONE;
        s->steps[i].undo_attempt = 0;
    }
}

static void apply_resume(struct run_state *s, const json_t *b)
{
    if (flag_of(b, "forward")) {
        s->back = false;
        set(&s->back_to, NULL);
        if (s->rewind.open)
            s->rewind.open = false;
    }
    for (size_t i = 0; i < s->step_count; i++)
        s->steps[i].undo_attempt = 0;
}

static void apply_run(struct run_state *s, const struct journal_record *r)
{
    const json_t *b = r->body;
    enum run_phase phase = s->phase;
    if (!run_phase_read(text_of(b, "run"), &phase))
        return;
    if (phase == RUN_CLEANING)
        set(&s->then, text_of(b, "then"));
    s->phase = phase;
    set(&s->why, text_of(b, "why"));
    if (phase == RUN_HELD) {
        const char *at = text_of(b, "at");
        set(&s->held_at, at != NULL ? at : text_of(b, "step"));
    }
    if (phase == RUN_UNDOING) {
        s->back = true;
        for (size_t i = 0; i < s->step_count; i++)
            s->steps[i].decision = ON_NONE;
    }
    if (flag_of(b, "arrived")) {
        s->back = false;
        set(&s->back_to, NULL);
    }
    if (phase == RUN_RUNNING && strcmp(r->type, "go") == 0)
        s->preflight_ns = r->wall_ns;
}

/* Connects that the gate refused while this step or check was at work. */
static void apply_refused(struct run_state *s, const json_t *b)
{
    int64_t count = int_of(b, "refused");
    const char *who = text_of(b, "step") != NULL ? text_of(b, "step") : text_of(b, "check");
    if (count <= 0 || count > COUNT_MAX || who == NULL)
        return;
    if (s->refused == NULL)
        s->refused = json_object();
    json_put_int(s->refused, who, int_of(s->refused, who) + count);
}

void state_apply(struct run_state *s, const struct journal_record *r)
{
    const json_t *b = r->body;
    if (strcmp(r->type, "start") == 0 && s->start == NULL) /* a run begins once */
        apply_start(s, r);
    struct state_step *st = state_step_of(s, text_of(b, "step"));
    if (st != NULL)
        apply_step(s, st, r);
    if (st != NULL && strcmp(r->type, "answer") == 0)
        apply_answer(s, st, b);
    if (strcmp(r->type, "lease") == 0)
        s->epoch = int_of(b, "epoch");
    else if (strcmp(r->type, "standby") == 0)
        apply_standby(s, b);
    else if (strcmp(r->type, "verdict") == 0)
        s->died = flag_of(b, "died");
    else if (strcmp(r->type, "rewind") == 0)
        apply_rewind(s, b);
    else if (strcmp(r->type, "back") == 0)
        apply_back(s, b);
    else if (strcmp(r->type, "resume") == 0)
        apply_resume(s, b);
    else if (strcmp(r->type, "recovered") == 0)
        s->has_recovered = true;
    else if (strcmp(r->type, "impact") == 0) {
        s->has_impact = true;
        set_json(&s->impact, json_incref(r->body));
    }
    apply_refused(s, b);
    apply_run(s, r);
    s->last_n = r->n;
}

void state_replay(struct run_state *s, const struct journal_records *all)
{
    for (size_t i = 0; i < all->count; i++)
        state_apply(s, &all->items[i]);
}
