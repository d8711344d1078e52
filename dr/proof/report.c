/*
 * report.c - the JSON form: identity, figures, standbys, what is left, and the evidence.
 */
#include "dr/proof/report.h"

#include <string.h>

#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "dr/data/time.h"
#include "dr/proof/ledger_work.h"
#include "dr/proof/report_work.h"

static const int64_t MS = 1000000;

void report_copy(json_t *to, const char *key, const json_t *from, const char *from_key)
{
    json_t *value = json_object_get(from, from_key);
    json_put(to, key, value != NULL ? json_incref(value) : json_null());
}

void report_put_text(json_t *to, const char *key, const char *text)
{
    json_put(to, key, text != NULL ? json_printable(text) : json_null());
}

void report_put_time(json_t *to, const char *key, bool known, int64_t ns)
{
    char text[TIME_TEXT_MAX];
    report_put_text(to, key, known ? time_print(ns, text) : NULL);
}

bool report_is(const struct journal_record *r, const char *type)
{
    return strcmp(r->type, type) == 0;
}

bool report_of(const struct journal_record *r, const char *step)
{
    const char *id = body_text(r->body, "step");
    return id != NULL && strcmp(id, step) == 0;
}

const char *report_last(const struct timeline *t, size_t end, const char *key)
{
    for (size_t i = end; i-- > 0;) {
        const char *text = body_text(t->records->items[i].body, key);
        if (text != NULL)
            return text;
    }
    return NULL;
}

/* --- identity --- */

/* The region that the newest pick chose, as long as that pick stands. */
static const char *target_before(const struct timeline *t, size_t end)
{
    const char *target = NULL;
    for (size_t i = 0; i < end; i++) {
        const struct journal_record *r = &t->records->items[i];
        const struct timeline_step *step = timeline_step(t, body_text(r->body, "step"));
        const char *state = body_text(r->body, "state");
        if (step == NULL || state == NULL || strcmp(step->use, "region.pick") != 0)
            continue;
        const char *region = body_text(json_object_get(r->body, "outputs"), "region");
        target = strcmp(state, "done") == 0 ? region : NULL;
    }
    return target;
}

static json_t *resumes_of(const struct timeline *t)
{
    json_t *list = json_array();
    for (size_t i = 0; i < t->records->count; i++) {
        const struct journal_record *r = &t->records->items[i];
        if (!report_is(r, "resume"))
            continue;
        json_t *one = json_object();
        report_put_time(one, "time", true, r->wall_ns);
        report_copy(one, "by", r->body, "by");
        report_copy(one, "host", r->body, "host");
        report_copy(one, "forward", r->body, "forward");
        json_array_append_new(list, one);
    }
    return list;
}

/* What was rehearsed, or done: the plan, and what was given up for what. */
static json_t *scenario_of(const json_t *start)
{
    static const char *const words[] = { "mode", "failed", "active", "to" };
    const json_t *plan = json_object_get(start, "plan");
    json_t *one = json_object();
    report_copy(one, "plan", plan, "name");
    report_copy(one, "title", plan, "title");
    report_copy(one, "sha256", plan, "sha256");
    for (size_t i = 0; i < DR_ARRAY_LEN(words); i++)
        report_copy(one, words[i], start, words[i]);
    return one;
}

/* How far the times can be trusted: the worst error that a runner's clock told, and what was seen of it. */
static json_t *clock_of(const struct timeline *t)
{
    json_t *one = json_object();
    int64_t error_ms = -1;
    for (size_t i = 0; i < t->records->count; i++) {
        int64_t told = body_int(t->records->items[i].body, "clock_error_ms", -1);
        error_ms = told > error_ms ? told : error_ms;
    }
    json_put(one, "max_error_ms", error_ms >= 0 ? json_integer(error_ms) : json_null());
    json_put_int(one, "joins", t->joins);
    json_put_int(one, "jump_ms", t->jump_ns / MS);
    return one;
}

static void put_identity(json_t *to, const struct timeline *t)
{
    static const char *const words[] = { "mode",   "dry",    "by",      "host",  "version",
                                         "config", "failed", "regions", "params" };
    const struct journal_record *first = &t->records->items[0];
    const struct journal_record *last = &t->records->items[t->records->count - 1];
    const struct journal_record *end = ledger_record(t, "end");
    const struct journal_record *lease = ledger_record(t, "lease");
    json_put_int(to, "schema", REPORT_SCHEMA);
    json_put_text(to, "kind", "run");
    report_copy(to, "run", first->body, "id");
    for (size_t i = 0; i < DR_ARRAY_LEN(words); i++)
        report_copy(to, words[i], first->body, words[i]);
    const json_t *plan = json_object_get(first->body, "plan");
    json_t *about = json_object();
    report_copy(about, "name", plan, "name");
    report_copy(about, "title", plan, "title");
    report_copy(about, "sha256", plan, "sha256");
    report_copy(about, "file", plan, "file");
    json_put(to, "plan", about);
    json_put(to, "scenario", scenario_of(first->body));
    report_put_text(to, "target", target_before(t, t->records->count));
    report_copy(to, "epoch", lease != NULL ? lease->body : NULL, "epoch");
    report_put_text(to, "state", report_last(t, t->records->count, "run"));
    report_put_time(to, "started", true, first->wall_ns);
    report_put_time(to, "ended", end != NULL, last->wall_ns);
    report_copy(to, "why", end != NULL ? end->body : NULL, "why");
    json_put(to, "resumes", resumes_of(t));
}

/* --- figures --- */

static void put_ms(json_t *to, const char *key, bool known, int64_t ms)
{
    json_put(to, key, known ? json_integer(ms) : json_null());
}

static json_t *figure_json(const struct ledger_figure *f)
{
    json_t *value = json_object();
    put_ms(value, "lo_ms", f->has_lo, f->lo_ms);
    put_ms(value, "hi_ms", f->has_hi, f->hi_ms);
    put_ms(value, "objective_ms", f->objective_ms >= 0, f->objective_ms);
    report_put_text(value, "method", f->method);
    json_put_text(value, "verdict", verdict_name(f->verdict));
    report_put_text(value, "why", f->why);
    return value;
}

static json_t *point_json(const struct ledger_point *p)
{
    json_t *value = json_object();
    report_put_time(value, "from", p->has_from, p->from_ns);
    report_put_time(value, "to", p->has_to, p->to_ns);
    return value;
}

static json_t *phases_json(const struct ledger *l)
{
    if (!l->has_phases)
        return json_null();
    json_t *value = json_object();
    json_t *list = json_array();
    for (int p = 0; p < PHASE_COUNT; p++) {
        json_t *one = json_object();
        json_put_text(one, "phase", phase_name((enum phase)p));
        json_put_int(one, "ms", l->phase_ms[p]);
        if (p == PHASE_PUT_BACK && l->phase_ms[p] == 0)
            json_decref(one);
        else
            json_array_append_new(list, one);
    }
    json_put(value, "list", list);
    json_put_int(value, "whole_ms", l->whole_ms);
    json_put(value, "ends_recovered", json_boolean(l->whole_ends));
    return value;
}

/* Objectives and plan under one digest, that was fixed with the first record. */
static void put_digest(json_t *to, const json_t *start)
{
    const char *plan = body_text(json_object_get(start, "plan"), "sha256");
    const json_t *objectives = json_object_get(start, "objectives");
    if (plan == NULL || !json_is_object(objectives)) {
        json_put(to, "sha256", json_null());
        return;
    }
    DR_JSON json_t *fixed = json_object();
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    uint8_t digest[HASH_SIZE];
    char hex[HASH_HEX_SIZE];
    report_copy(fixed, "objectives", start, "objectives");
    json_put_text(fixed, "plan", plan);
    json_add_canonical(&bytes, fixed);
    hash_bytes(bytes.data, bytes.len, digest);
    json_put_text(to, "sha256", hex_encode(digest, sizeof(digest), hex));
}

static void put_figures(json_t *to, const struct timeline *t, const struct ledger *l)
{
    const struct journal_record *first = &t->records->items[0];
    json_t *objectives = json_object();
    report_put_time(objectives, "fixed_at", true, first->wall_ns);
    put_ms(objectives, "rto_ms", l->recovery.objective_ms >= 0, l->recovery.objective_ms);
    put_ms(objectives, "rpo_ms", l->loss.objective_ms >= 0, l->loss.objective_ms);
    put_digest(objectives, first->body);
    json_put(to, "objectives", objectives);
    json_t *impact = point_json(&l->broke);
    report_put_text(impact, "method", l->broke_method);
    json_put(to, "impact", impact);
    json_put(to, "recovered", point_json(&l->back));
    json_put(to, "recovery_time", figure_json(&l->recovery));
    json_t *loss = figure_json(&l->loss);
    report_put_time(loss, "sentinel", l->has_sentinel, l->sentinel_ns);
    json_put(to, "data_loss", loss);
    json_put(to, "phases", phases_json(l));
}

/* --- standbys --- */

/* Why a standby was given up: the words of what failed last before its rewind. */
static char *given_up_why(const struct timeline *t, const char *region)
{
    for (size_t i = 0; i < t->records->count; i++) {
        const struct journal_record *r = &t->records->items[i];
        const char *phase = body_text(r->body, "phase");
        const char *of = body_text(r->body, "region");
        if (!report_is(r, "rewind") || phase == NULL || strcmp(phase, "begin") != 0 || of == NULL ||
            strcmp(of, region) != 0)
            continue;
        for (size_t k = i; k-- > 0;) {
            const json_t *body = t->records->items[k].body;
            const char *state = body_text(body, "state");
            const char *why = body_text(body, "why");
            bool bad =
                state != NULL && (strcmp(state, "failed") == 0 || strcmp(state, "unknown") == 0);
            if (bad && why != NULL)
                return dr_strf("%s: %s", body_told(body, "step"), why);
        }
        return dr_strdup("");
    }
    return NULL;
}

static json_t *standbys_of(const struct timeline *t)
{
    json_t *list = json_array();
    const char *target = target_before(t, t->records->count);
    for (size_t i = 0; i < t->records->count; i++) {
        const struct journal_record *r = &t->records->items[i];
        const char *region = body_text(r->body, "region");
        if (!report_is(r, "standby") || region == NULL)
            continue;
        bool ready = body_is(r->body, "ready");
        DR_FREE char *gave_up = given_up_why(t, region);
        bool taken = target != NULL && strcmp(target, region) == 0;
        json_t *one = json_object();
        json_put_text(one, "region", region);
        json_put(one, "ready", json_boolean(ready));
        report_put_text(one, "why",
                        gave_up != NULL && gave_up[0] != '\0' ? gave_up
                                                              : body_text(r->body, "why"));
        json_put_text(one, "result",
                      taken             ? "taken"
                      : gave_up != NULL ? "given up"
                      : !ready          ? "not ready"
                                        : "not tried");
        json_array_append_new(list, one);
    }
    return list;
}

static json_t *preflight_of(const struct timeline *t)
{
    static const char *const keys[] = { "check", "region", "verdict", "why", "decisive" };
    json_t *list = json_array();
    for (size_t i = 0; i < t->records->count; i++) {
        const struct journal_record *r = &t->records->items[i];
        if (!report_is(r, "preflight"))
            continue;
        json_t *one = json_object();
        for (size_t k = 0; k < DR_ARRAY_LEN(keys); k++)
            report_copy(one, keys[k], r->body, keys[k]);
        json_array_append_new(list, one);
    }
    return list;
}

/* --- what was undone, what is left --- */

static json_t *undone_of(const struct timeline *t)
{
    json_t *list = json_array();
    const char *region = NULL; /* the standby that is being given up; NULL: the run goes back */
    for (size_t i = 0; i < t->records->count; i++) {
        const struct journal_record *r = &t->records->items[i];
        if (report_is(r, "rewind")) {
            const char *phase = body_text(r->body, "phase");
            bool begins = phase != NULL && strcmp(phase, "begin") == 0;
            region = begins ? body_text(r->body, "region") : NULL;
        }
        const char *state = body_text(r->body, "state");
        if (!report_is(r, "undo") || (state != NULL && strcmp(state, "undoing") == 0))
            continue; /* another attempt follows */
        json_t *one = json_object();
        report_put_time(one, "time", true, r->wall_ns);
        report_copy(one, "step", r->body, "step");
        report_put_text(one, "standby", region);
        report_copy(one, "state", r->body, "state");
        json_put(one, "left_behind", json_boolean(body_is(r->body, "left_behind")));
        report_copy(one, "why", r->body, "why");
        json_array_append_new(list, one);
    }
    return list;
}

static void add_left(json_t *list, const char *step, const char *what)
{
    json_t *one = json_object();
    json_put_text(one, "step", step);
    json_put_text(one, "what", what);
    json_array_append_new(list, one);
}

/* Effects that stand although nobody wants them: of a run that did not come through, or not undone. */
static json_t *left_of(const struct timeline *t)
{
    json_t *list = json_array();
    const char *state = report_last(t, t->records->count, "run");
    bool good = state != NULL && (strcmp(state, "recovered") == 0 || strcmp(state, "failed") == 0);
    bool drill = body_is(t->records->items[0].body, "drill");
    for (size_t i = 0; i < t->records->count; i++) {
        const struct journal_record *r = &t->records->items[i];
        if (report_is(r, "undo") && body_is(r->body, "left_behind"))
            add_left(list, body_told(r->body, "step"), "was not undone, at a person's word");
    }
    for (size_t i = 0; i < t->step_count; i++) {
        const struct timeline_step *step = &t->steps[i];
        const char *now = ledger_state(t, step->id);
        bool effect = strcmp(step->class, "check") != 0 && strcmp(step->class, "none") != 0 &&
                      strcmp(step->class, "person") != 0;
        if (drill && strcmp(now, "unknown") != 0)
            continue; /* what it made, and whether that is gone, is told by its own records */
        if (effect && strcmp(now, "unknown") == 0)
            add_left(list, step->id, "nobody knows whether it took effect");
        else if (effect && !good && strcmp(now, "done") == 0)
            add_left(list, step->id, "stands");
        else if (effect && strcmp(now, "tolerated") == 0)
            add_left(list, step->id, "failed, and the run went on");
    }
    return list;
}

/* --- what a person has to do now --- */

/* text is taken over; the same thing is to be done once. */
static void todo(json_t *list, char *text)
{
    json_t *item = json_printable(text);
    size_t i;
    const json_t *other;
    bool told = false;
    json_array_foreach(list, i, other) told = told || json_equal(other, item);
    if (told)
        json_decref(item);
    else
        json_array_append_new(list, item);
    free(text);
}

static void todo_of_figure(json_t *list, const char *name, const struct ledger_figure *f)
{
    if (f->verdict == VERDICT_MISSED)
        todo(list, dr_strf("the objective for %s was missed", name));
    else if (f->verdict == VERDICT_OPEN || f->verdict == VERDICT_NOT_MEASURED)
        todo(list, dr_strf("%s is %s: %s", name, verdict_name(f->verdict), f->why));
}

static void todo_of_fences(json_t *list, const struct timeline *t, const json_t *fencing)
{
    size_t i;
    const json_t *one;
    json_array_foreach(fencing, i, one)
    {
        const char *region = body_text(one, "region");
        const char *by = body_text(one, "skipped_by");
        if (region != NULL && by != NULL)
            todo(list, dr_strf("nothing proves that %s cannot write: the fence was skipped by %s",
                               region, by));
        else if (region != NULL && !body_is(one, "simulated") &&
                 strcmp(ledger_state(t, body_text(one, "step")), "done") == 0)
            todo(list, dr_strf("%s stays fenced", region));
    }
}

static void todo_of_standbys(json_t *list, const json_t *standbys)
{
    size_t i;
    const json_t *one;
    json_array_foreach(standbys, i, one)
    {
        const char *result = body_text(one, "result");
        const char *why = body_text(one, "why");
        if (strcmp(result, "not ready") == 0 || strcmp(result, "given up") == 0)
            todo(list, dr_strf("%s was %s: %s", body_text(one, "region"), result,
                               why != NULL ? why : "no words on record"));
    }
}

static void todo_of_preflight(json_t *list, const json_t *preflight)
{
    size_t i;
    const json_t *one;
    json_array_foreach(preflight, i, one)
    {
        const char *verdict = body_text(one, "verdict");
        const char *why = body_text(one, "why");
        if (verdict != NULL && strcmp(verdict, "pass") != 0 && body_text(one, "region") == NULL)
            todo(list,
                 dr_strf("preflight %s: %s", body_told(one, "check"), why != NULL ? why : verdict));
    }
}

static json_t *todo_of(const struct timeline *t, const struct ledger *l, const json_t *report)
{
    json_t *list = json_array();
    todo_of_fences(list, t, json_object_get(report, "fencing"));
    todo_of_standbys(list, json_object_get(report, "standbys"));
    todo_of_preflight(list, json_object_get(report, "preflight"));
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(report, "left"), i, one)
        todo(list, dr_strf("%s: %s", body_text(one, "step"), body_text(one, "what")));
    if (!body_is(t->records->items[0].body, "dry")) {
        todo_of_figure(list, "recovery time", &l->recovery);
        todo_of_figure(list, "data loss", &l->loss);
    }
    return list;
}

static json_t *notes_of(const struct timeline *t, const struct ledger *l)
{
    json_t *list = json_array();
    for (size_t i = 0; i < l->notes.count; i++)
        json_array_append_new(list, json_printable(l->notes.items[i]));
    for (size_t i = 0; i < t->records->count; i++) {
        const char *text = body_text(t->records->items[i].body, "text");
        if (report_is(&t->records->items[i], "note") && text != NULL)
            json_array_append_new(list, json_printable(text));
    }
    return list;
}

static json_t *evidence_of(const struct timeline *t, size_t torn_bytes)
{
    const struct journal_record *first = &t->records->items[0];
    const struct journal_record *last = &t->records->items[t->records->count - 1];
    const char *run = body_text(first->body, "id");
    json_t *value = json_object();
    json_put_int(value, "records", (int64_t)t->records->count);
    json_put_text(value, "head", last->hash);
    DR_FREE char *object = journal_object(run, last);
    json_put_text(value, "object", object);
    report_copy(value, "remote", first->body, "remote");
    json_put_int(value, "torn_bytes", (int64_t)torn_bytes);
    return value;
}

/* A word for a shell: names of a journal are anybody's, and these lines are there to be typed. The caller frees. */
static char *shell_word(const char *text)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/@:+-";
    struct buf out = { 0 };
    if (text[0] != '\0' && text[strspn(text, plain)] == '\0')
        return dr_strdup(text);
    buf_addc(&out, '\'');
    for (; *text != '\0'; text++)
        if (*text == '\'')
            buf_adds(&out, "'\\''");
        else
            buf_addc(&out, *text);
    buf_addc(&out, '\'');
    return buf_take(&out);
}

/* What a reader types to see for himself. The directory is the host's own business. */
static json_t *verify_of(const struct timeline *t)
{
    const json_t *start = t->records->items[0].body;
    const char *run = body_text(start, "id");
    const char *file = body_text(json_object_get(start, "plan"), "file");
    json_t *list = json_array();
    DR_FREE char *word = shell_word(run);
    DR_FREE char *report = dr_strf("drctl report --run %s --format json", word);
    json_array_append_new(list, json_printable(report));
    json_array_append_new(list, json_string("drctl audit verify STATE_DIR"));
    if (file != NULL) {
        DR_FREE char *name = shell_word(file);
        DR_FREE char *sum = dr_strf("sha256sum %s%s", file[0] == '-' ? "./" : "", name);
        json_array_append_new(list, json_printable(sum));
    }
    return list;
}

enum dr_rc report_make(const struct journal_records *records, size_t torn_bytes, json_t **ret,
                       struct dr_err *err)
{
    if (records->count == 0 || !report_is(&records->items[0], "start") ||
        body_text(records->items[0].body, "id") == NULL)
        return dr_fail(err, DR_E_CORRUPT, "the journal does not begin with a start");
    struct timeline t;
    struct ledger l;
    timeline_init(&t, records);
    ledger_init(&l, &t);
    json_t *report = json_object();
    put_identity(report, &t);
    put_figures(report, &t, &l);
    json_put(report, "clock", clock_of(&t));
    json_put(report, "samples", report_samples(&t, &l));
    json_put(report, "standbys", standbys_of(&t));
    json_put(report, "steps", report_steps(&t));
    json_put(report, "approvals", report_approvals(&t));
    json_put(report, "fencing", report_fencing(&t));
    json_put(report, "integrity", report_integrity(&t));
    json_t *restored = report_restored(&t);
    json_put(report, "drill", report_drill(&t, restored));
    json_put(report, "restored", restored);
    json_put(report, "preflight", preflight_of(&t));
    json_put(report, "invariants", report_invariants(&t));
    json_put(report, "undone", undone_of(&t));
    json_put(report, "left", left_of(&t));
    json_put(report, "to_do", todo_of(&t, &l, report));
    json_put(report, "notes", notes_of(&t, &l));
    json_put(report, "evidence", evidence_of(&t, torn_bytes));
    json_put(report, "verify", verify_of(&t));
    json_put(report, "findings",
             report_findings(report, json_object_get(records->items[0].body, "findings")));
    ledger_fini(&l);
    timeline_fini(&t);
    *ret = report;
    return DR_OK;
}

bool report_falls_short(const json_t *report)
{
    static const char *const figures[] = { "recovery_time", "data_loss" };
    for (size_t i = 0; i < DR_ARRAY_LEN(figures); i++) {
        const char *verdict = body_text(json_object_get(report, figures[i]), "verdict");
        DR_ASSERT(verdict != NULL);
        if (strcmp(verdict, "none") != 0 && strcmp(verdict, "met") != 0)
            return true;
    }
    return false;
}
