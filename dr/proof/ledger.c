/*
 * ledger.c - two figures out of the records: every end of an interval has a fact or is absent.
 *
 * The order of work: when did it break (a person's word, the probe, or the step of a planned run
 * that interrupts), when was it back (the probe, or without probes a check of the plan), their
 * distance, what DNS adds; then what the restored data hold against when it broke (loss.c).
 */
#include "dr/proof/ledger.h"

#include <string.h>

#include "dr/base/mem.h"
#include "dr/data/duration.h"
#include "dr/data/time.h"
#include "dr/proof/ledger_work.h"

static const int64_t MS = 1000000;
static const int64_t JUMP_MIN_NS = 2000000000; /* less is a clock being disciplined */

const char *verdict_name(enum verdict verdict)
{
    static const char *const names[] = { "none", "met", "missed", "not determinable",
                                         "not measured" };
    DR_ASSERT(verdict <= VERDICT_NOT_MEASURED);
    return names[verdict];
}

enum verdict ledger_judge(const struct ledger_figure *figure)
{
    if (figure->objective_ms < 0)
        return VERDICT_NONE;
    if (!figure->has_lo && !figure->has_hi)
        return VERDICT_NOT_MEASURED;
    if (figure->has_hi && figure->hi_ms <= figure->objective_ms)
        return VERDICT_MET;
    if (figure->has_lo && figure->lo_ms > figure->objective_ms)
        return VERDICT_MISSED;
    return VERDICT_OPEN;
}

void ledger_settle(struct ledger_figure *figure, const char *missing)
{
    char objective[DURATION_TEXT_MAX];
    figure->verdict = ledger_judge(figure);
    bool unknown = !figure->has_lo && !figure->has_hi;
    if (!unknown && figure->verdict != VERDICT_OPEN)
        return;
    if (figure->has_lo && figure->has_hi)
        figure->why = dr_strf("the objective of %s lies between the two ends",
                              duration_print(figure->objective_ms, objective));
    else
        figure->why = dr_strdup(missing);
}

void ledger_note(struct ledger *ledger, char *text)
{
    if (!text_list_has(&ledger->notes, text))
        text_list_add(&ledger->notes, text);
    free(text);
}

/* --- records --- */

const struct journal_record *ledger_record(const struct timeline *t, const char *type)
{
    for (size_t i = t->records->count; i-- > 0;)
        if (strcmp(t->records->items[i].type, type) == 0)
            return &t->records->items[i];
    return NULL;
}

const char *ledger_state(const struct timeline *t, const char *step)
{
    for (size_t i = t->settled; i-- > 0;) {
        const json_t *body = t->records->items[i].body;
        const char *id = body_text(body, "step");
        const char *state = body_text(body, "state");
        if (id != NULL && state != NULL && strcmp(id, step) == 0)
            return state;
    }
    return "pending";
}

static int64_t at_of(const struct timeline *t, const struct journal_record *r)
{
    return t->at_ns[r - t->records->items];
}

static bool facts_of(const struct timeline *t, const char *type, struct health_facts *ret)
{
    const struct journal_record *r = ledger_record(t, type);
    return r != NULL && health_facts_read(json_object_get(r->body, "health"), ret);
}

/* --- when it broke --- */

static struct moment moment_at(int64_t at_ns, int64_t wall_ns)
{
    return (struct moment){ .has_from = true,
                            .has_to = true,
                            .from_at = at_ns,
                            .to_at = at_ns,
                            .from_wall = wall_ns,
                            .to_wall = wall_ns };
}

/* The begin or the end of a probe's question, put into one side of a moment. */
static int64_t mark_end(const struct health_mark *m, bool end)
{
    return end ? m->took_ms * MS : 0;
}

static void note_wall(struct work *w, bool by_wall)
{
    if (by_wall)
        ledger_note(w->ledger,
                    dr_strdup("some distances are by wall clocks, because the times come "
                              "from another boot or another machine"));
}

static void set_from(struct work *w, struct moment *m, const struct health_mark *mark)
{
    bool by_wall = false;
    m->has_from = mark->known;
    if (!mark->known)
        return;
    m->from_at = timeline_at(w->t, mark, &by_wall);
    m->from_wall = mark->wall_ns;
    note_wall(w, by_wall);
}

static void set_to(struct work *w, struct moment *m, const struct health_mark *mark)
{
    bool by_wall = false;
    m->has_to = mark->known;
    if (!mark->known)
        return;
    m->to_at = timeline_at(w->t, mark, &by_wall) + mark_end(mark, true);
    m->to_wall = mark->wall_ns + mark_end(mark, true);
    note_wall(w, by_wall);
}

/* The first intent of a step that interrupts the service. */
static const struct journal_record *first_interruption(const struct timeline *t)
{
    for (size_t i = 0; i < t->records->count; i++) {
        const struct journal_record *r = &t->records->items[i];
        const struct timeline_step *step = timeline_step(t, body_text(r->body, "step"));
        if (strcmp(r->type, "intent") != 0 || step == NULL)
            continue;
        if (strcmp(step->class, "promote") == 0 || strcmp(step->class, "traffic") == 0 ||
            strcmp(step->use, "writes.freeze") == 0)
            return r;
    }
    return NULL;
}

static void broke_as_planned(struct work *w)
{
    const struct journal_record *r = first_interruption(w->t);
    if (r == NULL) {
        w->missing = dr_strdup("no step interrupted the service");
        return;
    }
    w->broke = moment_at(at_of(w->t, r), r->wall_ns);
    w->ledger->broke_method =
        dr_strf("the intent of step '%s', the first that interrupts the service",
                body_text(r->body, "step"));
}

static void broke_by_word(struct work *w, const char *since, int64_t since_ns, const char *by)
{
    struct health_mark mark = { .known = true, .wall_ns = since_ns };
    bool by_wall = false;
    w->broke = moment_at(timeline_at(w->t, &mark, &by_wall), since_ns);
    w->said = true;
    w->ledger->broke_method = dr_strf("the word of %s (--since %s)", by, since);
    if (w->has_facts && w->facts.last_good.known && w->facts.last_good.wall_ns > since_ns) {
        char time[TIME_TEXT_MAX];
        ledger_note(w->ledger,
                    dr_strf("probe '%s' still passed at %s, after --since", w->facts.probe,
                            time_print_s(w->facts.last_good.wall_ns, time)));
    }
}

static void broke_by_probe(struct work *w)
{
    const struct health_facts *f = &w->facts;
    if (!w->has_facts || (!f->first_bad.known && !f->last_good.known)) {
        w->missing = dr_strdup("no probe saw when it broke, and --since was not given");
        return;
    }
    if (!f->first_bad.known) {
        w->missing = dr_strf("probe '%s' never failed", f->probe);
        return;
    }
    set_from(w, &w->broke, &f->last_good);
    set_to(w, &w->broke, &f->first_bad);
    if (!w->broke.has_from)
        w->missing = dr_strf("probe '%s' had no pass on record before its first fail", f->probe);
    w->ledger->broke_method =
        dr_strf("probe '%s': after its last pass, not later than its first fail", f->probe);
}

static void find_broke(struct work *w)
{
    const struct journal_record *impact = ledger_record(w->t, "impact");
    const json_t *start = w->t->records->items[0].body;
    const char *since = impact != NULL ? body_text(impact->body, "since") : NULL;
    const char *by = impact != NULL ? body_text(impact->body, "by") : NULL;
    int64_t since_ns;
    if (since != NULL && time_parse(since, &since_ns)) {
        by = by != NULL ? by : body_text(start, "by");
        broke_by_word(w, since, since_ns, by != NULL ? by : "a person");
    } else if (w->planned) {
        broke_as_planned(w);
    } else {
        broke_by_probe(w);
    }
}

/* --- when it was back --- */

/* Without a prober: the last check of the plan by HTTP that passed after traffic was switched. */
static const struct journal_record *last_check(const struct timeline *t)
{
    const struct journal_record *found = NULL;
    for (size_t i = 0; i < t->records->count; i++) {
        const struct journal_record *r = &t->records->items[i];
        const struct timeline_step *step = timeline_step(t, body_text(r->body, "step"));
        const char *verdict = body_text(r->body, "verdict");
        if (strcmp(r->type, "outcome") == 0 && step != NULL && step->phase >= PHASE_EFFECTIVE &&
            strcmp(step->use, "http.check") == 0 && verdict != NULL &&
            strcmp(verdict, "pass") == 0 && strcmp(ledger_state(t, step->id), "done") == 0)
            found = r;
    }
    return found;
}

static void back_by_check(struct work *w)
{
    const struct journal_record *check = last_check(w->t);
    const struct journal_record *begin = first_interruption(w->t);
    if (check == NULL || begin == NULL) {
        w->missing_back = dr_strdup("no probe watched the service, and no http.check of the plan "
                                    "passed after the switch");
        return;
    }
    w->back.has_from = w->back.has_to = true;
    w->back.from_at = at_of(w->t, begin);
    w->back.from_wall = begin->wall_ns;
    w->back.to_at = at_of(w->t, check);
    w->back.to_wall = check->wall_ns;
    w->back_method = dr_strf("not before step '%s' began, not later than step '%s' passed",
                             body_text(begin->body, "step"), body_text(check->body, "step"));
    ledger_note(w->ledger, dr_strdup("no probe of 'health:' watched the service: it counts as down "
                                     "until traffic was switched"));
}

static void back_by_probe(struct work *w)
{
    const struct health_facts *f = &w->facts;
    set_from(w, &w->back, &f->last_bad);
    set_to(w, &w->back, &f->first_good);
    w->back_method =
        f->times == 1
            ? dr_strf("the first pass of probe '%s' after its last fail", f->probe)
            : dr_strf("the first of %d passes in a row of probe '%s'", f->times, f->probe);
    if (f->first_good.known)
        return;
    if (!f->first_bad.known)
        w->missing_back = dr_strf("probe '%s' never failed", f->probe);
    else if (f->stale)
        w->missing_back =
            dr_strf("the prober of '%s' fell silent before the service was back", f->probe);
    else
        w->missing_back = dr_strf("probe '%s' did not pass %d times in a row", f->probe, f->times);
}

/* --- DNS --- */

static int64_t ttl_of(const struct timeline *t, const char *step)
{
    int64_t former_ms = -1, with_ms = -1;
    for (size_t i = 0; i < t->records->count; i++) {
        const json_t *body = t->records->items[i].body;
        const char *id = body_text(body, "step");
        if (id == NULL || strcmp(id, step) != 0)
            continue;
        const json_t *kept = json_object_get(body, "former");
        kept = kept != NULL ? kept : json_object_get(body, "value");
        int64_t ttl_s = body_int(kept, "ttl_s", -1);
        former_ms = ttl_s >= 0 ? ttl_s * 1000 : former_ms;
        with_ms = body_int(json_object_get(body, "with"), "ttl", with_ms);
    }
    return former_ms >= 0 ? former_ms : with_ms;
}

/* The TTL that users may have waited besides: of a record that was changed, with nobody looking. */
static int64_t unobserved_ttl_ms(struct work *w)
{
    int64_t ttl_ms = 0;
    const char *name = NULL;
    for (size_t i = 0; i < w->t->records->count; i++) {
        const struct journal_record *r = &w->t->records->items[i];
        const struct timeline_step *step = timeline_step(w->t, body_text(r->body, "step"));
        const char *verdict = body_text(r->body, "verdict");
        if (strcmp(r->type, "outcome") != 0 || step == NULL || verdict == NULL ||
            strcmp(verdict, "pass") != 0 || strcmp(ledger_state(w->t, step->id), "done") != 0)
            continue;
        if (strcmp(step->use, "dns.check") == 0) {
            ttl_ms = 0; /* what was changed above was seen */
            name = NULL;
        } else if (strcmp(step->use, "powerdns") == 0 && !body_is(r->body, "already")) {
            int64_t this_ms = ttl_of(w->t, step->id);
            ttl_ms = this_ms > ttl_ms ? this_ms : ttl_ms;
            name = step->id;
        }
    }
    if (name != NULL && ttl_ms > 0) {
        char text[DURATION_TEXT_MAX];
        ledger_note(w->ledger,
                    dr_strf("no dns.check saw that resolvers follow step '%s': its TTL of "
                            "%s is added",
                            name, duration_print(ttl_ms, text)));
    }
    return ttl_ms;
}

/* --- recovery time --- */

int64_t ledger_floor_ms(int64_t ns)
{
    return ns > 0 ? ns / MS : 0;
}

int64_t ledger_ceil_ms(int64_t ns)
{
    return ns > 0 ? (ns + MS - 1) / MS : 0;
}

/* Everybody who looked saw it good: shorter than the longest time between two looks. */
static bool never_down(const struct work *w)
{
    return w->has_end && !w->said && !w->facts.first_bad.known && !w->facts.stale &&
           w->facts.passes >= w->facts.times && w->facts.gap_ms > 0;
}

static void measure_recovery(struct work *w)
{
    struct ledger_figure *figure = &w->ledger->recovery;
    if (never_down(w)) {
        figure->has_lo = figure->has_hi = true;
        figure->hi_ms = w->facts.gap_ms;
        figure->method = dr_strf("probe '%s' never failed: at most the longest time between two of "
                                 "its passes",
                                 w->facts.probe);
        ledger_settle(figure, "");
        return;
    }
    if (w->broke.has_to && w->back.has_from) {
        figure->has_lo = true;
        figure->lo_ms = ledger_floor_ms(w->back.from_at - w->broke.to_at);
    }
    if (w->broke.has_from && w->back.has_to) {
        figure->has_hi = true;
        w->ttl_ms = unobserved_ttl_ms(w);
        figure->hi_ms = ledger_ceil_ms(w->back.to_at - w->broke.from_at) + w->ttl_ms;
    }
    if (figure->has_lo || figure->has_hi)
        figure->method = dr_strf("from %s; to %s", w->ledger->broke_method, w->back_method);
    const char *missing = w->missing != NULL ? w->missing : w->missing_back;
    ledger_settle(figure, missing != NULL ? missing : "");
}

static void measure_phases(struct work *w)
{
    struct ledger *ledger = w->ledger;
    const struct timeline *t = w->t;
    int64_t begin = w->broke.has_from ? w->broke.from_at : w->broke.has_to ? w->broke.to_at : 0;
    int64_t end = w->back.has_to ? w->back.to_at : t->at_ns[t->records->count - 1];
    if (end < begin)
        return;
    int64_t spent_ns[PHASE_COUNT], sum_ns = 0, sum_ms = 0;
    timeline_phases(t, begin, end, spent_ns);
    for (int p = 0; p < PHASE_COUNT; p++) {
        sum_ns += spent_ns[p];
        int64_t upto_ms = sum_ns == end - begin ? ledger_ceil_ms(sum_ns) : ledger_floor_ms(sum_ns);
        ledger->phase_ms[p] = upto_ms - sum_ms;
        sum_ms = upto_ms;
    }
    ledger->phase_ms[PHASE_EFFECTIVE] += w->ttl_ms;
    ledger->whole_ms = sum_ms + w->ttl_ms;
    ledger->whole_ends = w->back.has_to;
    ledger->has_phases = true;
}

static void note_clocks(struct work *w)
{
    char text[DURATION_TEXT_MAX];
    int64_t jump_ns = w->t->jump_ns;
    if (llabs(jump_ns) >= JUMP_MIN_NS)
        ledger_note(w->ledger,
                    dr_strf("the wall clock was set %s by %s during the run; durations are "
                            "by boot time",
                            jump_ns > 0 ? "forward" : "back",
                            duration_tell(llabs(jump_ns) / MS, text)));
    if (w->t->joins > 0)
        ledger_note(w->ledger,
                    dr_strdup("the run went on in another boot or on another machine: across "
                              "that place, durations are by wall time"));
}

static struct ledger_point point_of(const struct moment *m)
{
    return (struct ledger_point){
        .has_from = m->has_from, .has_to = m->has_to, .from_ns = m->from_wall, .to_ns = m->to_wall
    };
}

static void measure(struct work *w)
{
    find_broke(w);
    if (w->has_facts && w->facts.newest.known)
        back_by_probe(w);
    else
        back_by_check(w);
    measure_recovery(w);
}

void ledger_init(struct ledger *ledger, const struct timeline *timeline)
{
    const json_t *start = timeline->records->items[0].body;
    const json_t *objectives = json_object_get(start, "objectives");
    const char *mode = body_text(start, "mode");
    *ledger = (struct ledger){ 0 };
    ledger->recovery.objective_ms = body_int(objectives, "rto_ms", -1);
    ledger->loss.objective_ms = body_int(objectives, "rpo_ms", -1);
    if (body_is(start, "dry")) {
        ledger_settle(&ledger->recovery, "a dry run recovers nothing");
        ledger_settle(&ledger->loss, "a dry run restores nothing");
        return;
    }
    struct work w = { .t = timeline, .ledger = ledger };
    w.planned = mode == NULL || strcmp(mode, "failover") != 0;
    w.has_end = facts_of(timeline, "recovered", &w.facts);
    w.has_facts = w.has_end || facts_of(timeline, "impact", &w.facts);
    if (body_is(start, "drill"))
        ledger_drill(&w);
    else
        measure(&w);
    measure_phases(&w);
    ledger_loss(&w);
    note_clocks(&w);
    ledger->broke = point_of(&w.broke);
    ledger->back = point_of(&w.back);
    free(w.missing);
    free(w.missing_back);
    free(w.back_method);
}

void ledger_fini(struct ledger *ledger)
{
    free(ledger->recovery.method);
    free(ledger->recovery.why);
    free(ledger->loss.method);
    free(ledger->loss.why);
    free(ledger->broke_method);
    text_list_fini(&ledger->notes);
    *ledger = (struct ledger){ 0 };
}
