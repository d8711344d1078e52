/*
 * loss.c - what was lost: from the last write that the restored data hold to when it broke.
 *
 * The sentinel is a time that the application writes into its own data. Several restored
 * sources: the worst counts. All times here are of the wall, since the sentinel has no other.
 */
#include <string.h>

#include "dr/base/mem.h"
#include "dr/data/time.h"
#include "dr/proof/ledger_work.h"

static const int64_t MS = 1000000;

struct held { /* the last write that a restored tree holds lies in [from, to] */
    bool known, has_to, sentinel;
    int64_t from_ns, to_ns;
};

/* A time at the front of a text: "2026-11-21T03:07:51Z 4711". */
static bool time_first(const char *text, int64_t *ret_ns)
{
    if (text == NULL)
        return false;
    DR_FREE char *word = dr_memdup(text, strcspn(text, " \t\r\n"));
    return time_parse(word, ret_ns);
}

static bool passed(const struct journal_record *r, const char *use, const struct timeline *t)
{
    const struct timeline_step *step = timeline_step(t, body_text(r->body, "step"));
    const char *verdict = body_text(r->body, "verdict");
    bool settles = strcmp(r->type, "outcome") == 0 ||
                   (strcmp(r->type, "check") == 0 && body_is(r->body, "already"));
    return settles && step != NULL && strcmp(step->use, use) == 0 && verdict != NULL &&
           strcmp(verdict, "pass") == 0 && strcmp(ledger_state(t, step->id), "done") == 0;
}

static struct held sentinel_of(const struct journal_record *r)
{
    struct held held = { 0 };
    const char *text = body_text(json_object_get(r->body, "outputs"), "sentinel");
    held.known = held.has_to = held.sentinel = time_first(text, &held.from_ns);
    held.to_ns = held.from_ns;
    return held;
}

static struct held snapshot_of(const struct journal_record *r)
{
    struct held held = { 0 };
    const json_t *evidence = json_object_get(r->body, "evidence");
    if (time_first(body_text(evidence, "started_at"), &held.from_ns) &&
        time_first(body_text(evidence, "taken_at"), &held.to_ns)) {
        held.known = held.has_to = true;
    } else { /* the snapshot's start alone: nothing older than that is missing */
        held.known = time_first(body_text(json_object_get(r->body, "outputs"), "recovery_point"),
                                &held.from_ns);
    }
    return held;
}

/* What the tree of one restore holds: by its own sentinel, one that a data.check found in it before
 * the service wrote again, its snapshot's times, or those of the snapshot that was picked. */
static struct held held_by(const struct timeline *t, size_t restore)
{
    const struct journal_record *records = t->records->items;
    struct held held = sentinel_of(&records[restore]);
    for (size_t i = restore + 1; i < t->records->count && !held.known; i++) {
        const struct timeline_step *step = timeline_step(t, body_text(records[i].body, "step"));
        if (step != NULL && strcmp(step->class, "promote") == 0)
            break;
        if (passed(&records[i], "data.check", t))
            held = sentinel_of(&records[i]);
    }
    if (!held.known)
        held = snapshot_of(&records[restore]);
    for (size_t i = restore; i-- > 0 && !held.known;)
        if (passed(&records[i], "backup.pick", t))
            held = snapshot_of(&records[i]);
    return held;
}

static int64_t lost_ms(int64_t ns, bool up)
{
    return ns <= 0 ? 0 : (ns + (up ? MS - 1 : 0)) / MS;
}

/* Add one source to the figure: the worse end counts. */
static void take(struct work *w, const struct held *held)
{
    struct ledger_figure *figure = &w->ledger->loss;
    if (w->broke.has_from && held->has_to) {
        int64_t lo_ms = lost_ms(w->broke.from_wall - held->to_ns, false);
        figure->lo_ms = !figure->has_lo || lo_ms > figure->lo_ms ? lo_ms : figure->lo_ms;
        figure->has_lo = true;
    }
    if (w->broke.has_to) {
        int64_t hi_ms = lost_ms(w->broke.to_wall - held->from_ns, true);
        figure->hi_ms = !figure->has_hi || hi_ms > figure->hi_ms ? hi_ms : figure->hi_ms;
        figure->has_hi = true;
    }
    if (!held->sentinel)
        return;
    if (!w->ledger->has_sentinel || held->from_ns < w->ledger->sentinel_ns)
        w->ledger->sentinel_ns = held->from_ns;
    w->ledger->has_sentinel = true;
}

static bool is_last_of_step(const struct timeline *t, size_t at)
{
    const char *step = body_text(t->records->items[at].body, "step");
    for (size_t i = at + 1; i < t->records->count; i++) {
        const struct journal_record *r = &t->records->items[i];
        const char *other = body_text(r->body, "step");
        if (passed(r, "backup.restore", t) && strcmp(other, step) == 0)
            return false;
    }
    return true;
}

/* Was a backup made for the drill? Then the figure proves that the newest one is found, not how old it would be. */
static bool made_its_own(const struct timeline *t)
{
    const struct journal_record *planted = ledger_record(t, "planted");
    return planted != NULL && json_array_size(json_object_get(planted->body, "sentinels")) > 0;
}

void ledger_loss(struct work *w)
{
    struct ledger_figure *figure = &w->ledger->loss;
    size_t restores = 0, by_sentinel = 0, unknown = 0;
    for (size_t i = 0; i < w->t->records->count; i++) {
        if (!passed(&w->t->records->items[i], "backup.restore", w->t) || !is_last_of_step(w->t, i))
            continue;
        struct held held = held_by(w->t, i);
        restores++;
        by_sentinel += held.sentinel;
        unknown += !held.known;
        if (held.known)
            take(w, &held);
    }
    if (unknown > 0)
        figure->has_lo = figure->has_hi = false;
    const char *missing = w->missing != NULL ? w->missing : "nothing says when it broke";
    if (restores == 0)
        missing = "no data were restored";
    else if (unknown > 0)
        missing = "nothing on record says how old the restored data are";
    if (figure->has_lo || figure->has_hi)
        figure->method = dr_strf(
            "from %s, to %s%s",
            by_sentinel == restores ? "the sentinel in the restored data"
                                    : "the snapshot's start and end (the data hold no sentinel)",
            w->ledger->broke_method,
            made_its_own(w->t) ? "; the drill made this backup itself, so it is younger than "
                                 "one at any other time: the month has the loss by bucket"
                               : "");
    ledger_settle(figure, missing);
}
