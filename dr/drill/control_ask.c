/*
 * One child, one loop, one answer. The loop is of its own, so that it does not matter what the caller's is
 * doing meanwhile.
 */
#include "dr/drill/control_ask.h"

#include <string.h>

#include "dr/base/mem.h"

struct talk {
    const struct control_place *place;
    struct child *child;
    uv_timer_t timer;
    struct control_answer answer;
    bool done, stopped;
};

void control_answer_fini(struct control_answer *a)
{
    step_outcome_fini(&a->outcome);
    text_list_fini(&a->log);
}

static void on_event(void *arg, const json_t *event)
{
    struct talk *t = arg;
    const char *kind = json_string_value(json_object_get(event, "event"));
    const char *text = json_string_value(json_object_get(event, "text"));
    if (kind != NULL && text != NULL && strcmp(kind, "log") == 0 &&
        t->answer.log.count < CONTROL_LOG_MAX)
        text_list_add(&t->answer.log, text);
}

static void on_done(void *arg, struct step_outcome *outcome)
{
    struct talk *t = arg;
    t->answer.outcome = *outcome;
    *outcome = (struct step_outcome){ 0 };
    t->done = true;
    uv_close((uv_handle_t *)&t->timer, NULL);
}

static void on_timer(uv_timer_t *timer)
{
    struct talk *t = timer->data;
    const struct control_place *p = t->place;
    if (t->stopped || p->stop == NULL || !p->stop(p->arg))
        return;
    t->stopped = true;
    child_stop(t->child, "the drill gives way", false);
}

static json_t *run_of(const struct control_place *p, const struct plant *plant)
{
    json_t *run = json_object();
    json_put_text(run, "id", p->run);
    json_put_text(run, "mode", p->mode != NULL ? p->mode : "failover");
    json_put(run, "drill", json_true());
    json_put_int(run, "epoch", p->epoch);
    json_put_text(run, "failed", p->failed != NULL ? p->failed : "");
    json_put_text(run, "target", p->at != NULL ? p->at : "");
    json_put_text(run, "scratch", p->scratch);
    json_put(run, "isolated", json_true()); /* a restore elsewhere is refused */
    if (plant != NULL)
        json_put(run, "plant", plant_json(plant));
    return run;
}

static json_t *request_of(const struct control_place *p, struct control_ask *ask)
{
    json_t *o = json_object(), *dark = json_array();
    DR_FREE char *key = dr_strf("%s/control/%s/1", p->run, ask->type);
    if (p->failed != NULL && json_array_append_new(dark, json_string(p->failed)) != 0)
        dr_out_of_memory();
    json_put_int(o, "v", 1);
    json_put_text(o, "verb", ask->verb);
    json_put_text(o, "type", ask->type);
    json_put_text(o, "step", "control");
    json_put_text(o, "key", key);
    json_put(o, "with", DR_TAKE(ask->with));
    json_put(o, "former", json_object());
    json_put(o, "run", run_of(p, ask->plant));
    json_put(o, "dark", dark);
    json_put_text(o, "config", p->config->path);
    json_put_int(o, "timeout_ms", p->timeout_ms > 0 ? p->timeout_ms : CONTROL_TIMEOUT_MS);
    return o;
}

static enum dr_rc talk_to(uv_loop_t *loop, struct talk *t, const json_t *request,
                          struct dr_err *err)
{
    const struct control_place *p = t->place;
    const char *const argv[] = { p->program != NULL ? p->program : "/proc/self/exe", "step", NULL };
    const struct child_options o = { .argv = argv,
                                     .request = request,
                                     .timeout_ms =
                                         p->timeout_ms > 0 ? p->timeout_ms : CONTROL_TIMEOUT_MS,
                                     .speaks_for_group = true };
    const struct step_hooks hooks = { .event = on_event, .done = on_done, .arg = t };
    DR_TRY(child_start(loop, &o, &hooks, &t->child, err));
    int rc = uv_timer_init(loop, &t->timer);
    t->timer.data = t;
    rc |= uv_timer_start(&t->timer, on_timer, CONTROL_STOP_MS, CONTROL_STOP_MS);
    DR_ASSERT(rc == 0);
    while (!t->done)
        (void)uv_run(loop, UV_RUN_ONCE);
    return t->stopped ? dr_fail(err, DR_E_CANCELLED, "the drill gives way") : DR_OK;
}

enum dr_rc control_ask(const struct control_place *p, struct control_ask *ask,
                       struct control_answer *ret, struct dr_err *err)
{
    DR_ASSERT(p->run != NULL && p->scratch != NULL && ask->with != NULL);
    DR_JSON json_t *request = request_of(p, ask);
    struct talk t = { .place = p };
    uv_loop_t loop;
    if (uv_loop_init(&loop) != 0)
        return dr_fail(err, DR_E_IO, "cannot make an event loop");
    enum dr_rc rc = talk_to(&loop, &t, request, err);
    (void)uv_run(&loop, UV_RUN_DEFAULT); /* what closes, closes */
    int busy = uv_loop_close(&loop);
    DR_ASSERT(busy == 0);
    if (rc != DR_OK) {
        control_answer_fini(&t.answer);
        return rc;
    }
    *ret = t.answer;
    return DR_OK;
}

static const char *text_in(const json_t *o, const char *name)
{
    const char *text = json_string_value(json_object_get(o, name));
    return text != NULL ? text : "";
}

const char *control_output(const struct control_answer *a, const char *name)
{
    return text_in(a->outcome.outputs, name);
}

const char *control_fact(const struct control_answer *a, const char *name)
{
    return text_in(a->outcome.evidence, name);
}

int64_t control_met(const struct control_answer *a)
{
    return json_integer_value(json_object_get(a->outcome.evidence, "planted"));
}

bool control_failed_as(const struct control_answer *a, enum dr_rc rc)
{
    return a->outcome.verdict == STEP_FAIL && !a->outcome.doubt &&
           strcmp(control_fact(a, "error"), dr_rc_name(rc)) == 0;
}
