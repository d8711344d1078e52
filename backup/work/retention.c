/*
 * Retention as a function: snapshots, periods and a clock in, a verdict with its reason for each out.
 * First it is seen whether anything may expire at all, then which few are protected, then age.
 */
#include "backup/work/retention.h"

#include <stdio.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/data/duration.h"

static const char *const kinds[] = { "full", "incremental", "config" };

enum { KINDS = DR_ARRAY_LEN(kinds) };

static int64_t period_of(const struct retention_periods *p, const char *kind)
{
    const int64_t periods[KINDS] = { p->full_ms, p->incremental_ms, p->config_ms };
    for (size_t i = 0; i < KINDS; i++)
        if (strcmp(kind, kinds[i]) == 0)
            return periods[i];
    return 0; /* a kind of a later version: it stays */
}

/* In milliseconds; negative when it was taken after now. */
static int64_t age_ms(const struct retention_snapshot *s, int64_t now_ns)
{
    int64_t ns;
    if (__builtin_sub_overflow(now_ns, s->end_ns, &ns))
        ns = now_ns > s->end_ns ? INT64_MAX : -INT64_MAX;
    return ns / 1000000;
}

/* -- the newest ---------------------------------------------------------------------------- */

typedef bool wanted_fn(const struct retention_snapshot *s);

static bool is_believed(const struct retention_snapshot *s)
{
    return s->state != SNAPSHOT_REFUSED;
}

static bool is_complete(const struct retention_snapshot *s)
{
    return s->state == SNAPSHOT_GOOD;
}

static bool is_proved(const struct retention_snapshot *s)
{
    return s->state == SNAPSHOT_GOOD && s->proved_ns != 0;
}

static bool is_newer(const struct retention_snapshot *a, const struct retention_snapshot *b,
                     bool by_epoch)
{
    if (by_epoch && a->epoch != b->epoch)
        return a->epoch > b->epoch;
    return a->end_ns > b->end_ns;
}

/* Index of the newest wanted one of the kind (NULL: of any), or count. */
static size_t newest(const struct retention_question *q, const char *kind, wanted_fn *wanted,
                     bool by_epoch)
{
    size_t best = q->count;
    for (size_t i = 0; i < q->count; i++) {
        const struct retention_snapshot *s = &q->snapshots[i];
        if (!wanted(s) || (kind != NULL && strcmp(s->kind, kind) != 0))
            continue;
        if (best == q->count || is_newer(s, &q->snapshots[best], by_epoch))
            best = i;
    }
    return best;
}

/* -- may anything expire? ------------------------------------------------------------------ */

/* The shortest period of the kinds that there are; 0: none has one. */
static int64_t shortest_period(const struct retention_question *q)
{
    int64_t shortest = 0;
    for (size_t i = 0; i < q->count; i++) {
        if (!is_believed(&q->snapshots[i]))
            continue;
        int64_t period = period_of(&q->periods, q->snapshots[i].kind);
        if (period != 0 && (shortest == 0 || period < shortest))
            shortest = period;
    }
    return shortest;
}

static void hold_on(struct retention_hold *hold, enum retention_hold_kind kind, size_t about)
{
    hold->kind = kind;
    hold->newest = about;
}

static void look_for_hold(const struct retention_question *q, struct retention_hold *ret)
{
    char age[DURATION_TEXT_MAX], period[DURATION_TEXT_MAX];
    *ret = (struct retention_hold){ .newest = q->count };
    size_t last = newest(q, NULL, is_believed, false);
    if (last == q->count)
        return;
    int64_t since_ms = age_ms(&q->snapshots[last], q->now_ns), shortest_ms = shortest_period(q);
    if (q->now_ns < q->snapshots[last].end_ns) {
        hold_on(ret, RETENTION_CLOCK_BEHIND, last);
        snprintf(ret->why, sizeof(ret->why), "the clock is %s behind the newest snapshot",
                 duration_tell(-since_ms, age));
    } else if (shortest_ms != 0 && since_ms > shortest_ms) {
        hold_on(ret, RETENTION_CLOCK_AHEAD, last);
        snprintf(
            ret->why, sizeof(ret->why),
            "the newest snapshot is %s old, more than a retention of %s: the clock is wrong or "
            "no backup is taken",
            duration_tell(since_ms, age), duration_print(shortest_ms, period));
    } else if (q->failed != NULL) {
        hold_on(ret, RETENTION_RUN_FAILED, last);
        snprintf(ret->why, sizeof(ret->why), "the last backup failed: %.140s", q->failed);
    } else if (q->snapshots[last].lags) {
        hold_on(ret, RETENTION_RUN_FAILED, last);
        snprintf(ret->why, sizeof(ret->why), "the newest snapshot is not in every bucket yet");
    }
}

/* -- one snapshot -------------------------------------------------------------------------- */

/* For each snapshot the words for what protects it, or NULL. */
static void find_protected(const struct retention_question *q, const char **ret)
{
    static const struct {
        wanted_fn *wanted;
        const char *what;
    } protectors[] = { { is_proved, "the newest proved" }, { is_complete, "the newest complete" } };
    for (size_t k = 0; k < KINDS; k++) {
        for (size_t i = 0; i < DR_ARRAY_LEN(protectors); i++) {
            size_t by_epoch = newest(q, kinds[k], protectors[i].wanted, true);
            size_t by_time = newest(q, kinds[k], protectors[i].wanted, false);
            if (by_epoch < q->count)
                ret[by_epoch] = ret[by_time] = protectors[i].what;
        }
        size_t any = newest(q, kinds[k], is_believed, false);
        if (any < q->count && newest(q, kinds[k], is_complete, false) == q->count)
            ret[any] = "not complete, but the newest";
    }
}

static void keep(struct retention_verdict *v, const char *why, const char *what)
{
    v->expire = false;
    snprintf(v->why, sizeof(v->why), "%s%s%.40s", why, what[0] != '\0' ? " " : "", what);
}

static void judge(const struct retention_question *q, const struct retention_snapshot *s,
                  const char *protector, const struct retention_hold *hold,
                  struct retention_verdict *ret)
{
    int64_t period_ms = period_of(&q->periods, s->kind), old_ms = age_ms(s, q->now_ns);
    char age[DURATION_TEXT_MAX], period[DURATION_TEXT_MAX];
    duration_print(period_ms, period);
    if (!is_believed(s)) {
        keep(ret, "refused: retention does not judge it", "");
    } else if (s->pinned) {
        keep(ret, "pinned", "");
    } else if (period_ms == 0) {
        keep(ret, "no retention is configured for kind", s->kind);
    } else if (old_ms <= period_ms) {
        keep(ret, "not older than", period);
    } else if (protector != NULL) {
        keep(ret, protector, s->kind);
    } else if (hold->kind != RETENTION_FREE) {
        keep(ret, "nothing expires now", "");
    } else {
        ret->expire = true;
        snprintf(ret->why, sizeof(ret->why), "%s old, kept for %s", duration_tell(old_ms, age),
                 period);
    }
}

void retention_decide(const struct retention_question *q, struct retention_verdict *ret,
                      struct retention_hold *ret_hold)
{
    DR_ASSERT(q != NULL && ret_hold != NULL);
    DR_ASSERT(q->count == 0 || (q->snapshots != NULL && ret != NULL));
    DR_FREE const char **protectors = dr_alloc(q->count + 1, sizeof(*protectors));
    look_for_hold(q, ret_hold);
    find_protected(q, protectors);
    for (size_t i = 0; i < q->count; i++)
        judge(q, &q->snapshots[i], protectors[i], ret_hold, &ret[i]);
}
