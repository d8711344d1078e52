/*
 * ledger_drill.c - recovery time of a drill: no service broke, so the clock runs from the drill's word.
 *
 * From its `impact` on the region counts as lost, and with its last step the service would be back.
 * What was only simulated, or could not be looked at, took no time here and takes some in earnest: the
 * lower end stands, the upper one is absent. A record `assumed` says how long these steps took in an
 * earlier run; then the upper end has a fact, and the method names the run.
 */
#include <inttypes.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/proof/ledger_work.h"

static bool is(const char *text, const char *word)
{
    return text != NULL && strcmp(text, word) == 0;
}

/* Was the step not done as in earnest? By its records, or by what was announced for it. */
static bool is_unmeasured(const struct timeline *t, const char *id, const char *how)
{
    if (is(how, "simulate") || is(how, "skip") || is(how, "not measured"))
        return true;
    for (size_t i = 0; i < t->records->count; i++) {
        const json_t *body = t->records->items[i].body;
        if (is(body_text(body, "step"), id) &&
            (body_is(body, "simulated") || body_is(body, "not_measured")))
            return true;
    }
    return false;
}

/* People are counted apart: how long they take to decide is no property of the plan. */
static size_t count_unmeasured(const struct timeline *t, bool *ret_people)
{
    const json_t *steps = json_object_get(t->records->items[0].body, "steps");
    size_t count = 0;
    for (size_t i = 0; i < t->step_count; i++) {
        const struct timeline_step *step = &t->steps[i];
        if (!is_unmeasured(t, step->id, body_text(json_array_get(steps, i), "drill")))
            continue;
        if (is(step->class, "person"))
            *ret_people = true;
        else
            count++;
    }
    return count;
}

static struct moment moment_of(const struct timeline *t, const struct journal_record *r)
{
    int64_t at_ns = t->at_ns[r - t->records->items];
    return (struct moment){ .has_from = true,
                            .has_to = true,
                            .from_at = at_ns,
                            .to_at = at_ns,
                            .from_wall = r->wall_ns,
                            .to_wall = r->wall_ns };
}

static void find_ends(struct work *w)
{
    const struct journal_record *first = &w->t->records->items[0];
    const struct journal_record *impact = ledger_record(w->t, "impact");
    const struct journal_record *clean = ledger_record(w->t, "cleaning");
    const char *failed = body_text(first->body, "failed");
    w->broke = moment_of(w->t, impact != NULL ? impact : first);
    w->ledger->broke_method =
        failed != NULL ? dr_strf("the drill's word, since which %s counts as lost", failed)
                       : dr_strdup("the drill's word");
    const char *then = clean != NULL ? body_text(clean->body, "then") : NULL;
    if (is(then, "recovered")) {
        w->back = moment_of(w->t, clean);
        w->back_method = dr_strdup("the end of its last step");
    } else {
        w->missing_back = then != NULL ? dr_strf("the drill's steps did not all pass: %s", then)
                                       : dr_strdup("the drill did not come to its last step");
    }
}

void ledger_drill(struct work *w)
{
    struct ledger_figure *figure = &w->ledger->recovery;
    const struct journal_record *assumed = ledger_record(w->t, "assumed");
    int64_t more_ms = assumed != NULL ? body_int(assumed->body, "ms", -1) : -1;
    bool people = false;
    size_t unmeasured = count_unmeasured(w->t, &people);
    find_ends(w);
    if (w->missing_back != NULL) {
        ledger_settle(figure, w->missing_back);
        return;
    }
    int64_t took_ns = w->back.to_at - w->broke.from_at;
    bool by_word = unmeasured > 0 && more_ms >= 0;
    figure->has_lo = true;
    figure->lo_ms = ledger_floor_ms(took_ns);
    figure->has_hi = unmeasured == 0 || by_word;
    if (figure->has_hi)
        figure->hi_ms = ledger_ceil_ms(took_ns) + (by_word ? more_ms : 0);
    figure->method = dr_strf(
        "from %s; to %s%s%s%s", w->ledger->broke_method, w->back_method,
        by_word ? "; what was not done in earnest counts as long as it took in " : "",
        by_word ? body_told(assumed->body, "from") : "", people ? "; nobody was waited for" : "");
    DR_FREE char *missing = dr_strf(
        "%zu step%s not done in earnest, and no real run of this plan is known that tells how "
        "long %s",
        unmeasured, unmeasured == 1 ? " was" : "s were",
        unmeasured == 1 ? "it takes" : "they take");
    ledger_settle(figure, missing);
}
