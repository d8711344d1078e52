/*
 * drill.c - the run of a drill around its steps: records before, looking, cleaning, proof, end.
 *
 * Every function here finds what it needs in the run's own records, so the clean-up of a drill whose
 * runner died is the same code as that of one that lived.
 */
#include "dr/drill/drill.h"

#include <inttypes.h>
#include <string.h>

#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/config/rights.h"
#include "dr/drill/drill_ask.h"
#include "dr/drill/drill_facts.h"

static const char *text(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

static enum dr_rc gave_way(const struct run *r, struct dr_err *err)
{
    (void)dr_fail(err, DR_E_BUSY, "%s gives way to a run in earnest", r->id);
    return dr_hint(err, "Its clean-up waits: drctl drill --clean %s, when that run is over.",
                   r->id);
}

static enum dr_rc go_on(struct run *r, struct dr_err *err)
{
    return engine_yields(r->engine) ? gave_way(r, err) : DR_OK;
}

/* The body of the newest record of a type (with this value of a member, unless key is NULL); or NULL. */
static const json_t *newest(const struct run *r, const char *type, const char *key,
                            const char *value)
{
    const struct journal_records *all = journal_all(r->journal);
    for (size_t i = all->count; i > 0; i--) {
        const struct journal_record *rec = &all->items[i - 1];
        const char *has = key != NULL ? text(rec->body, key) : NULL;
        if (strcmp(rec->type, type) == 0 &&
            (key == NULL || (has != NULL && strcmp(has, value) == 0)))
            return rec->body;
    }
    return NULL;
}

/* -- before the first step --------------------------------------------------------------------- */

static json_t *thing(const char *what, const char *at, const char *name)
{
    json_t *b = json_object();
    json_put_text(b, "what", what);
    json_put(b, "at", json_printable(at));
    json_put(b, "name", json_printable(name));
    return b;
}

enum dr_rc drill_open(struct run *r, const json_t *before, const json_t *planted,
                      struct dr_err *err)
{
    const char *scratch = engine_state(r->engine)->scratch;
    DR_FREE char *here = drill_site(r->config, NULL);
    DR_TRY(engine_note(r->engine, "production", production_before(before), err));
    DR_TRY(engine_note(r->engine, "planted", json_deep_copy(planted), err));
    DR_TRY(drill_assume(r, err));
    DR_TRY(drill_adopt(r, err));
    DR_TRY(engine_note(r->engine, "made", thing("directory", here, scratch), err));
    return fs_make_dirs(scratch, 0700, err);
}

/* -- the restored data ------------------------------------------------------------------------- */

const json_t *drill_planted_of(const json_t *sentinels, const char *snapshot)
{
    const json_t *best = NULL;
    size_t longest = 0;
    for (size_t i = 0; snapshot != NULL && i < json_array_size(sentinels); i++) {
        const json_t *s = json_array_get(sentinels, i);
        const char *source = text(s, "source"), *own = text(s, "snapshot");
        size_t len = source != NULL ? strlen(source) : 0;
        if (own != NULL && strcmp(own, snapshot) == 0)
            return s;
        if (len > longest && strncmp(snapshot, source, len) == 0 && snapshot[len] == '-') {
            best = s; /* "app-db-0-..." is of app-db, also where there is an app */
            longest = len;
        }
    }
    return best;
}

/* An application's own: it went on while the backup read. */
static bool lies_between(const char *from, const char *until, const char *found)
{
    return from != NULL && until != NULL && found != NULL && strcmp(from, found) <= 0 &&
           strcmp(found, until) <= 0; /* all have nine digits: text sorts as time does */
}

/* Backups go on during a drill: a newer snapshot than the drill's has a newer sentinel. */
static bool is_superseded(const json_t *planted, const char *found, const char *snapshot)
{
    const char *own = text(planted, "snapshot"), *time = text(planted, "time");
    const char *until = text(planted, "until");
    return own != NULL && snapshot != NULL && strcmp(snapshot, own) != 0 && found != NULL &&
           time != NULL && strcmp(found, until != NULL ? until : time) > 0;
}

bool drill_is_planted(const json_t *planted, const json_t *found, const char *snapshot,
                      char **ret_wanted, char **ret_found)
{
    const char *by = text(planted, "by"), *own = text(planted, "snapshot");
    const char *time = text(found, "time"), *nonce = text(found, "nonce");
    const char *wanted = text(planted, "nonce");
    if (by == NULL) { /* no sentinel: the snapshot itself is what can be compared */
        *ret_wanted = dr_strf("snapshot %s", own != NULL ? own : "of the drill");
        *ret_found = snapshot != NULL ? dr_strf("snapshot %s", snapshot) : NULL;
        return own != NULL && snapshot != NULL && strcmp(own, snapshot) == 0;
    }
    if (strcmp(by, "application") == 0) {
        const char *from = text(planted, "time"), *until = text(planted, "until");
        *ret_wanted =
            dr_strf("a time from %s to %s", from != NULL ? from : "?", until != NULL ? until : "?");
        *ret_found = time != NULL ? dr_strdup(time) : NULL;
        return lies_between(from, until, time) || is_superseded(planted, time, snapshot);
    }
    *ret_wanted = dr_strf("nonce %s", wanted != NULL ? wanted : "of the drill");
    *ret_found = nonce != NULL && nonce[0] != '\0' ? dr_strf("nonce %s", nonce)
                 : time != NULL                    ? dr_strf("one of %s, without a nonce", time)
                                                   : NULL;
    return (wanted != NULL && nonce != NULL && strcmp(wanted, nonce) == 0) ||
           is_superseded(planted, time, snapshot);
}

/* A step that brought data back into the scratch place. */
static bool is_restore(const struct state_step *st)
{
    return strcmp(st->use, "backup.restore") == 0 && st->at == AT_DONE && st->isolated;
}

/* What the tree says, in its own words: outputs of drill.tree. NULL with a reason in err. */
static json_t *read_tree(const struct run *r, const char *at, const char *source, const char *path,
                         struct dr_err *err)
{
    struct step_outcome o = { 0 };
    DR_JSON json_t *with = json_object();
    if (at != NULL)
        json_put(with, "at", json_printable(at));
    json_put(with, "source", json_printable(source));
    json_put(with, "path", json_printable(path));
    const struct drill_ask ask = { .config = r->config,
                                   .run = r->id,
                                   .type = "drill.tree",
                                   .verb = "check",
                                   .with = with,
                                   .dark = engine_state(r->engine)->failed,
                                   .timeout_ms = DRILL_TREE_MS };
    json_t *outputs = NULL;
    if (drill_ask(&ask, &o, err) == DR_OK) {
        if (o.verdict == STEP_PASS)
            outputs = o.outputs != NULL ? json_incref(o.outputs) : json_object();
        else
            (void)dr_fail(err, DR_E_STEP, "%s", o.why);
    }
    step_outcome_fini(&o);
    return outputs;
}

static enum dr_rc look_at(struct run *r, const json_t *planted, const struct state_step *st,
                          struct dr_err *err)
{
    const char *snapshot = text(st->with, "snapshot"), *path = text(st->outputs, "path");
    const char *source = text(planted, "source");
    struct dr_err why = { 0 };
    DR_FREE char *wanted = NULL;
    DR_FREE char *found = NULL;
    DR_JSON json_t *outputs =
        read_tree(r, text(st->with, "at"), source, path != NULL ? path : "", &why);
    bool ok = drill_is_planted(planted, outputs, snapshot, &wanted, &found) && outputs != NULL;
    json_t *b = json_object();
    json_put_text(b, "source", source);
    json_put_text(b, "of", st->id);
    json_put(b, "wanted", json_printable(wanted));
    json_put(b, "found", found != NULL ? json_printable(found) : json_null());
    json_put(b, "ok", json_boolean(ok));
    if (outputs == NULL)
        json_put(b, "why", json_printable(why.msg));
    return engine_note(r->engine, "sentinel", b, err);
}

enum dr_rc drill_look(struct run *r, struct dr_err *err)
{
    const struct run_state *s = engine_state(r->engine);
    const json_t *sentinels = json_object_get(newest(r, "planted", NULL, NULL), "sentinels");
    DR_JSON json_t *kept = json_deep_copy(sentinels);
    DR_TRY(go_on(r, err));
    for (size_t i = 0; i < s->step_count; i++) {
        const struct state_step *st = &s->steps[i];
        const json_t *planted =
            is_restore(st) ? drill_planted_of(kept, text(st->with, "snapshot")) : NULL;
        if (planted != NULL)
            DR_TRY(look_at(r, planted, st, err));
    }
    return DR_OK;
}

/* -- negative controls ------------------------------------------------------------------------- */

struct judge { /* of the trees that controls restore */
    struct run *r;
    const json_t *planted;
    const char *at;
};

static enum control_sentinel has_planted(void *arg, const char *tree, const json_t *outputs,
                                         char **ret_found)
{
    const struct judge *j = arg;
    struct dr_err err = { 0 };
    DR_FREE char *wanted = NULL;
    (void)outputs;
    DR_JSON json_t *found = read_tree(j->r, j->at, text(j->planted, "source"), tree, &err);
    if (found == NULL) {
        *ret_found = dr_strdup(err.msg);
        return CONTROL_NOT_TOLD;
    }
    /* The control chose the snapshot; whether it is the right one is told by the tree alone. */
    return drill_is_planted(j->planted, found, text(j->planted, "snapshot"), &wanted, ret_found)
               ? CONTROL_FRESH
               : CONTROL_OTHER;
}

static bool must_stop(void *arg)
{
    return engine_yields(((struct judge *)arg)->r->engine);
}

static json_t *control_body(const struct control *c)
{
    json_t *b = json_object();
    json_put_text(b, "name", c->name);
    json_put_text(b, "title", c->title);
    json_put_text(b, "expected", c->expects);
    return b;
}

static enum dr_rc note_control(struct run *r, const struct control *c,
                               const struct control_result *result, struct dr_err *err)
{
    json_t *b = control_body(c);
    json_put(b, "planted", json_boolean(result->planted));
    json_put(b, "caught", json_boolean(result->planted && result->caught));
    json_put(b, "why", json_printable(result->why != NULL ? result->why : ""));
    json_put_int(b, "dur_ms", result->dur_ms);
    return engine_note(r->engine, "control", b, err);
}

static enum dr_rc try_control(struct run *r, const struct control *c, const struct control_place *p,
                              struct dr_err *err)
{
    struct control_result result = { 0 };
    struct dr_err broke = { 0 };
    enum dr_rc rc = control_run(c, p, &result, &broke);
    if (rc == DR_E_CANCELLED)
        rc = gave_way(r, err);
    else {
        if (rc != DR_OK) /* nothing was proved, and so it counts as planted and not caught */
            result = (struct control_result){ .planted = true, .why = dr_strdup(broke.msg) };
        rc = note_control(r, c, &result, err);
    }
    control_result_fini(&result);
    return rc;
}

/* The first restore whose source is planted: the controls spoil that one again. */
static const struct state_step *first_restore(const struct run_state *s, const json_t *sentinels,
                                              const json_t **ret_planted)
{
    for (size_t i = 0; i < s->step_count; i++) {
        const struct state_step *st = &s->steps[i];
        *ret_planted =
            is_restore(st) ? drill_planted_of(sentinels, text(st->with, "snapshot")) : NULL;
        if (*ret_planted != NULL)
            return st;
    }
    return NULL;
}

static enum dr_rc none_tried(struct run *r, const struct drill_faults *faults, const char *why,
                             struct dr_err *err)
{
    for (size_t i = 0; i < faults->count; i++) {
        struct control_result result = { .why = dr_strdup(why) };
        enum dr_rc rc = note_control(r, faults->controls[i], &result, err);
        control_result_fini(&result);
        DR_TRY(rc);
    }
    return DR_OK;
}

enum dr_rc drill_control(struct run *r, const struct drill_faults *faults, struct dr_err *err)
{
    const struct run_state *s = engine_state(r->engine);
    DR_JSON json_t *sentinels =
        json_deep_copy(json_object_get(newest(r, "planted", NULL, NULL), "sentinels"));
    const json_t *planted = NULL;
    const struct state_step *restore = first_restore(s, sentinels, &planted);
    if (s->then == NULL || strcmp(s->then, "recovered") != 0)
        return none_tried(r, faults, "the drill had failed before", err);
    if (restore == NULL)
        return none_tried(r, faults, "no data of a source that was planted was restored", err);
    DR_FREE char *scratch = dr_strf("%s/controls", s->scratch);
    DR_FREE char *source = dr_strdup(text(planted, "source"));
    DR_FREE char *snapshot = dr_strdup(text(restore->with, "snapshot"));
    const char *at = text(restore->with, "at");
    struct judge judge = { .r = r, .planted = planted, .at = at };
    const struct config reading = config_rehearsing(r->config);
    const struct control_place place = {
        .config = &reading,
        .run = r->id,
        .mode = s->mode,
        .epoch = s->epoch,
        .failed = s->failed,
        .at = at,
        .source = source,
        .snapshot = snapshot,
        .planted = text(planted, "time"),
        .scratch = scratch,
        .seed = faults->seed,
        .sentinel = has_planted,
        .stop = must_stop,
        .arg = &judge,
    };
    for (size_t i = 0; i < faults->count; i++) {
        DR_TRY(go_on(r, err));
        DR_TRY(try_control(r, faults->controls[i], &place, err));
    }
    return DR_OK;
}

/* -- production, the end ----------------------------------------------------------------------- */

enum dr_rc drill_prove(struct run *r, struct dr_err *err)
{
    const struct run_state *s = engine_state(r->engine);
    const struct production_place p = { .config = r->config,
                                        .script = r->script,
                                        .params = json_object_get(s->start, "params"),
                                        .run = r->id,
                                        .failed = s->failed,
                                        .to = text(s->start, "to") };
    enum production_proof proof;
    DR_TRY(go_on(r, err));
    DR_JSON json_t *before =
        json_incref(json_object_get(newest(r, "production", "when", "before"), "fields"));
    DR_JSON json_t *after = production_read(&p);
    return engine_note(r->engine, "production", production_after(before, after, &proof), err);
}

static json_t *verdict_body(const struct drill_verdict *v, bool died)
{
    json_t *b = json_object(), *whys = json_array();
    for (size_t i = 0; i < v->whys.count; i++)
        json_array_append_new(whys, json_printable(v->whys.items[i]));
    json_put(b, "passed", json_boolean(v->passed));
    json_put(b, "whys", whys);
    if (died)
        json_put(b, "died", json_true());
    json_put_int(b, "planted", (int64_t)v->planted);
    json_put_int(b, "caught", (int64_t)v->caught);
    return b;
}

/* Nothing is claimed that was not tried. The caller frees. */
static char *why_passed(const struct drill_verdict *v)
{
    return dr_strf("every step passed, nothing is left, production is as before, %s",
                   v->planted > 0 ? "every fault was caught"
                                  : "and no fault was planted: drill power is not measured");
}

enum dr_rc drill_close(struct run *r, bool died, struct drill_verdict *ret, struct dr_err *err)
{
    DR_CLEANUP(drill_verdict_fini) struct drill_verdict v = { 0 };
    DR_TRY(go_on(r, err));
    drill_judge(journal_all(r->journal), &v);
    if (died) {
        text_list_add(&v.whys, "its runner died; it was cleaned up by another one");
        v.passed = false;
    }
    DR_FREE char *why = v.passed ? why_passed(&v) : text_list_join(&v.whys, "; ");
    DR_TRY(engine_note(r->engine, "verdict", verdict_body(&v, died), err));
    DR_TRY(engine_end_drill(r->engine, v.passed, why, err));
    if (ret != NULL) {
        *ret = v;
        v = (struct drill_verdict){ 0 };
    }
    return DR_OK;
}

enum dr_rc drill_bury(const struct config *c, const char *id, const struct engine_options *options,
                      struct drill_verdict *ret, struct dr_err *err)
{
    DR_CLEANUP(run_close_ptr) struct run *r = NULL;
    if (!text_starts(id, "D-")) /* before its lease is taken from a run that waits for a person */
        return dr_fail(err, DR_E_REFUSED, "%s is no drill", id);
    DR_TRY(run_take_up(c, id, options, NULL, &r, err));
    if (!engine_state(r->engine)->drill)
        return dr_fail(err, DR_E_REFUSED, "%s is no drill", id);
    if (engine_state(r->engine)->phase == RUN_HELD) {
        DR_JSON json_t *words = json_object();
        json_put_text(words, "verb", "abort");
        json_put_text(words, "by", options->operator);
        json_put_text(words, "reason", "nobody runs it any more");
        DR_TRY(engine_hear(r->engine, words, err));
        DR_TRY(engine_go(r->engine, err));
    }
    DR_TRY(drill_clean(r, err));
    DR_TRY(drill_prove(r, err));
    return drill_close(r, true, ret, err);
}
