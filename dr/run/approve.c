/*
 * approve.c - a step that waits for people: the question is journalled, then their answers are.
 *
 * The answer to an approval comes from the terminal, from the inbox, or from --yes when the operator
 * has the role. It is bound to what was shown, by its digest. Silence decides nothing.
 */
#include <string.h>

#include "dr/base/mem.h"
#include "dr/run/inside.h"

static int64_t count_of(const json_t *with)
{
    const json_t *count = json_object_get(with, "count");
    return json_is_integer(count) ? json_integer_value(count) : 1;
}

void approve_by_operator(struct engine *e, const struct state_step *st)
{
    const char *role = json_string_value(json_object_get(st->with, "role"));
    const char *who = e->o.operator;
    if (!e->o.approve_as_operator || who == NULL || (role != NULL && !has_role(e, who, role)))
        return;
    DR_JSON json_t *words = json_object();
    json_put_text(words, "verb", "approve");
    json_put_text(words, "step", st->id);
    json_put_text(words, "by", who);
    json_put_text(words, "via", "--yes");
    step_answered(e, words);
}

void begin_approval(struct job *j)
{
    struct engine *e = j->e;
    json_t *b = body_of(e, state_at(e, j->i)->id, AT_WAITING);
    DR_CLEANUP(buf_fini) struct buf shown = { 0 };
    uint8_t raw[HASH_SIZE];
    char hex[HASH_HEX_SIZE];
    json_add_canonical(&shown, j->with);
    hash_bytes(shown.data, shown.len, raw);
    const char *const keys[] = { "question", "role", "count", "choices" };
    for (size_t i = 0; i < DR_ARRAY_LEN(keys); i++) {
        json_t *v = json_object_get(j->with, keys[i]);
        json_put(b, keys[i], v != NULL ? json_incref(v) : json_null());
    }
    json_put(b, "with", json_incref(j->with));
    put_title(e, j->i, b);
    json_put_text(b, "shown", hex_encode(raw, sizeof(raw), hex));
    e->told_wait = false;
    job_end(j);
    commit(e, "ask", b);
    if (!broken(e))
        approve_by_operator(e, state_at(e, j->i));
}

void step_answered(struct engine *e, const json_t *words)
{
    const char *verb = json_string_value(json_object_get(words, "verb"));
    const char *by = json_string_value(json_object_get(words, "by"));
    const char *id = json_string_value(json_object_get(words, "step"));
    struct state_step *st = state_step_of(&e->state, id);
    size_t i = (size_t)(st - e->state.steps);
    bool yes = strcmp(verb, "approve") == 0;
    int64_t count = count_of(st->with);
    enum step_at at = !yes ? AT_FAILED : st->approvals + 1 >= count ? AT_DONE : AT_WAITING;
    json_t *b = body_of(e, id, at);
    DR_FREE char *why = dr_strf("%s by %s", yes ? "approved" : "rejected", by);
    static const char *const keys[] = { "by", "choice", "reason", "via" };
    for (size_t k = 0; k < DR_ARRAY_LEN(keys); k++) {
        const char *text = json_string_value(json_object_get(words, keys[k]));
        json_put(b, keys[k], text != NULL ? json_printable(text) : json_null());
    }
    json_put(b, "role",
             json_deep_copy(json_object_get(st->with, "role") != NULL
                                ? json_object_get(st->with, "role")
                                : json_null()));
    json_put_text(b, "answer", yes ? "approve" : "reject");
    json_put_text(b, "why", why);
    if (!yes)
        add_failure(e, i, b, AT_FAILED);
    commit(e, "answer", b);
}
