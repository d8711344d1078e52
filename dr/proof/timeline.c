/*
 * timeline.c - boot times joined into one axis, and the axis cut into phases.
 */
#include "dr/proof/timeline.h"

#include <string.h>

#include "dr/base/mem.h"

static const int64_t AXIS_MAX_NS = INT64_MAX / 8; /* 36 years */

const char *phase_name(enum phase phase)
{
    static const char *const names[PHASE_COUNT] = { "detect",    "decide",  "fence",
                                                    "activate",  "restore", "switch",
                                                    "effective", "verify",  "put-back" };
    DR_ASSERT(phase < PHASE_COUNT);
    return names[phase];
}

const char *body_text(const json_t *body, const char *key)
{
    return json_string_value(json_object_get(body, key));
}

const char *body_told(const json_t *body, const char *key)
{
    const char *text = body_text(body, key);
    return text != NULL ? text : "not on record";
}

int64_t body_int(const json_t *body, const char *key, int64_t fallback)
{
    const json_t *value = json_object_get(body, key);
    return json_is_integer(value) ? json_integer_value(value) : fallback;
}

/* --- the axis --- */

/* a - b, and no more than AXIS_MAX_NS: a journal may hold any times, and what is counted with them has to be a number. */
static int64_t apart_ns(int64_t a, int64_t b)
{
    int64_t ns = 0;
    bool below = a < b;
    if (__builtin_sub_overflow(a, b, &ns))
        ns = below ? INT64_MIN : INT64_MAX;
    return ns > AXIS_MAX_NS ? AXIS_MAX_NS : ns < -AXIS_MAX_NS ? -AXIS_MAX_NS : ns;
}

static void lay_out(struct timeline *t)
{
    const struct journal_records *records = t->records;
    const char *boot = "";
    for (size_t i = 0; i < records->count; i++) {
        const struct journal_record *r = &records->items[i];
        bool begins = strcmp(r->type, "start") == 0 || strcmp(r->type, "resume") == 0;
        const char *told = begins ? body_text(r->body, "boot_id") : NULL;
        boot = told != NULL ? told : boot;
        t->boot[i] = boot;
        if (i == 0)
            continue;
        int64_t by_wall = apart_ns(r->wall_ns, r[-1].wall_ns);
        int64_t by_boot = apart_ns(r->boot_ns, r[-1].boot_ns);
        bool same = strcmp(boot, t->boot[i - 1]) == 0 && by_boot >= 0;
        t->joins += !same;
        int64_t jump = same ? apart_ns(by_wall, by_boot) : 0;
        if (llabs(jump) > llabs(t->jump_ns))
            t->jump_ns = jump;
        int64_t apart = same ? by_boot : by_wall;
        t->at_ns[i] = apart_ns(t->at_ns[i - 1], apart > 0 ? -apart : 0);
    }
}

int64_t timeline_at(const struct timeline *t, const struct health_mark *mark, bool *ret_by_wall)
{
    const struct journal_records *records = t->records;
    for (size_t i = 0; i < records->count && mark->boot_id[0] != '\0'; i++)
        if (strcmp(t->boot[i], mark->boot_id) == 0)
            return apart_ns(t->at_ns[i], apart_ns(records->items[i].boot_ns, mark->boot_ns));
    /* Another machine, or only a time on the wall: from the nearest record. */
    size_t nearest = 0;
    for (size_t i = 1; i < records->count; i++)
        if (llabs(apart_ns(records->items[i].wall_ns, mark->wall_ns)) <
            llabs(apart_ns(records->items[nearest].wall_ns, mark->wall_ns)))
            nearest = i;
    *ret_by_wall = true;
    return apart_ns(t->at_ns[nearest], apart_ns(records->items[nearest].wall_ns, mark->wall_ns));
}

/* --- steps and their phases --- */

const struct timeline_step *timeline_step(const struct timeline *t, const char *id)
{
    for (size_t i = 0; id != NULL && i < t->step_count; i++)
        if (strcmp(t->steps[i].id, id) == 0)
            return &t->steps[i];
    return NULL;
}

/* The word `phase` in the arguments of a step, as they were resolved at its last intent. */
static enum phase told_phase(const struct timeline *t, const char *id, enum phase fallback)
{
    const char *word = "";
    for (size_t i = 0; i < t->records->count; i++) {
        const struct journal_record *r = &t->records->items[i];
        const char *step = body_text(r->body, "step");
        const char *told = body_text(json_object_get(r->body, "with"), "phase");
        if (step != NULL && told != NULL && strcmp(step, id) == 0)
            word = told;
    }
    for (int p = PHASE_DETECT; p < PHASE_PUT_BACK; p++)
        if (strcmp(word, phase_name((enum phase)p)) == 0)
            return (enum phase)p;
    return fallback;
}

/* What a step works at, from its class and what stands above it. before: of the step above. */
static enum phase phase_by_class(const struct timeline_step *step, enum phase before, bool switched)
{
    static const struct {
        const char *class;
        enum phase phase;
    } plain[] = { { "person", PHASE_DECIDE },
                  { "fence", PHASE_FENCE },
                  { "promote", PHASE_SWITCH },
                  { "traffic", PHASE_SWITCH },
                  { "change", PHASE_ACTIVATE } };
    for (size_t i = 0; i < DR_ARRAY_LEN(plain); i++)
        if (strcmp(step->class, plain[i].class) == 0)
            return plain[i].phase;
    if (strcmp(step->use, "region.pick") == 0 || strcmp(step->use, "backup.pick") == 0)
        return PHASE_DECIDE;
    if (!switched) /* a check proves what stands above it; data that is brought is restored */
        return strcmp(step->class, "data") == 0 ? PHASE_RESTORE : before;
    bool waits = strcmp(step->use, "dns.check") == 0 || strcmp(step->use, "dns.ttl") == 0 ||
                 strcmp(step->use, "wait") == 0;
    return waits ? PHASE_EFFECTIVE : PHASE_VERIFY;
}

static const char *text_or(const char *text, const char *fallback)
{
    return text != NULL ? text : fallback;
}

static void find_steps(struct timeline *t)
{
    const json_t *list = json_object_get(t->records->items[0].body, "steps");
    t->steps = dr_alloc(json_array_size(list) + 1, sizeof(*t->steps));
    enum phase before = PHASE_DECIDE;
    bool switched = false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *value = json_array_get(list, i);
        struct timeline_step *step = &t->steps[t->step_count++];
        *step = (struct timeline_step){ .id = text_or(body_text(value, "id"), ""),
                                        .use = text_or(body_text(value, "use"), ""),
                                        .class = text_or(body_text(value, "class"), "") };
        step->phase = told_phase(t, step->id, phase_by_class(step, before, switched));
        switched =
            switched || strcmp(step->class, "promote") == 0 || strcmp(step->class, "traffic") == 0;
        before = step->phase;
    }
}

/* A drill takes back what it did; its steps are as they were when that began. */
static size_t settled_of(const struct journal_records *records)
{
    if (!body_is(records->items[0].body, "drill"))
        return records->count;
    for (size_t i = 0; i < records->count; i++)
        if (strcmp(records->items[i].type, "cleaning") == 0)
            return i + 1;
    return records->count;
}

void timeline_init(struct timeline *t, const struct journal_records *records)
{
    DR_ASSERT(records->count > 0);
    *t = (struct timeline){ .records = records };
    t->at_ns = dr_alloc(records->count, sizeof(*t->at_ns));
    t->boot = dr_alloc(records->count, sizeof(*t->boot));
    t->settled = settled_of(records);
    lay_out(t);
    find_steps(t);
}

void timeline_fini(struct timeline *t)
{
    free(t->at_ns);
    free((void *)t->boot);
    free(t->steps);
    *t = (struct timeline){ 0 };
}

/* --- phases --- */

enum work { WORK_NONE, WORK_ON, WORK_BACK, WORK_STUCK };

static enum work work_of(const char *state)
{
    if (strcmp(state, "undoing") == 0)
        return WORK_BACK;
    bool on = strcmp(state, "running") == 0 || strcmp(state, "waiting") == 0 ||
              strcmp(state, "checking") == 0;
    bool stuck = strcmp(state, "failed") == 0 || strcmp(state, "unknown") == 0;
    return on ? WORK_ON : stuck ? WORK_STUCK : WORK_NONE;
}

/* Phase of the slice after a record: of the steps at work, else of one that waits for a decision
 * after it failed; PHASE_COUNT when there is neither. */
static enum phase busy_phase(const struct timeline *t, const enum work *work)
{
    enum phase on = PHASE_COUNT, stuck = PHASE_COUNT;
    for (size_t k = t->step_count; k-- > 0;) {
        if (work[k] == WORK_BACK)
            return PHASE_PUT_BACK;
        if (work[k] == WORK_ON)
            on = t->steps[k].phase;
        if (work[k] == WORK_STUCK)
            stuck = t->steps[k].phase;
    }
    return on != PHASE_COUNT ? on : stuck;
}

/* Going back is a decision: nobody waits for one any more. */
static void set_work(const struct timeline *t, enum work *work, size_t step, enum work now)
{
    for (size_t k = 0; k < t->step_count && now == WORK_BACK; k++)
        if (work[k] == WORK_STUCK)
            work[k] = WORK_NONE;
    work[step] = now;
}

/* What the end of the journal waits for: the first step that was still to come, else verify. */
static enum phase phase_to_come(const struct timeline *t)
{
    DR_FREE bool *done = dr_alloc(t->step_count + 1, sizeof(*done));
    for (size_t i = 0; i < t->settled; i++) {
        const json_t *body = t->records->items[i].body;
        const char *state = body_text(body, "state");
        const struct timeline_step *step = timeline_step(t, body_text(body, "step"));
        if (state != NULL && step != NULL)
            done[step - t->steps] = strcmp(state, "pending") != 0 && strcmp(state, "undone") != 0;
    }
    for (size_t k = 0; k < t->step_count; k++)
        if (!done[k])
            return t->steps[k].phase;
    return PHASE_VERIFY;
}

/* ret_phase[i]: of the slice from record i to the next. */
static void find_phases(const struct timeline *t, enum phase *ret_phase)
{
    size_t count = t->records->count;
    DR_FREE enum work *work = dr_alloc(t->step_count + 1, sizeof(*work));
    for (size_t i = 0; i < count; i++) {
        const json_t *body = t->records->items[i].body;
        const char *state = body_text(body, "state");
        const struct timeline_step *step = timeline_step(t, body_text(body, "step"));
        if (state != NULL && step != NULL && i < t->settled)
            set_work(t, work, (size_t)(step - t->steps), work_of(state));
        ret_phase[i] = busy_phase(t, work);
    }
    /* Gaps: to the phase that comes next; before the first step it is decide. */
    enum phase next = phase_to_come(t);
    bool worked = false;
    for (size_t i = count; i-- > 0;) {
        if (ret_phase[i] == PHASE_COUNT)
            ret_phase[i] = next;
        else
            next = ret_phase[i];
    }
    for (size_t i = 0; i < count && !worked; i++) {
        const char *state = body_text(t->records->items[i].body, "state");
        worked = state != NULL && work_of(state) != WORK_NONE;
        ret_phase[i] = worked ? ret_phase[i] : PHASE_DECIDE;
    }
}

static int64_t overlap(int64_t from, int64_t to, int64_t low, int64_t high)
{
    int64_t begin = from > low ? from : low;
    int64_t end = to < high ? to : high;
    return end > begin ? end - begin : 0;
}

void timeline_phases(const struct timeline *t, int64_t from_ns, int64_t to_ns,
                     int64_t ret_ns[PHASE_COUNT])
{
    DR_ASSERT(from_ns <= to_ns);
    size_t count = t->records->count;
    DR_FREE enum phase *phase = dr_alloc(count, sizeof(*phase));
    find_phases(t, phase);
    memset(ret_ns, 0, PHASE_COUNT * sizeof(*ret_ns));
    ret_ns[PHASE_DETECT] += overlap(INT64_MIN, t->at_ns[0], from_ns, to_ns);
    for (size_t i = 0; i < count; i++) {
        int64_t end = i + 1 < count ? t->at_ns[i + 1] : INT64_MAX;
        ret_ns[phase[i]] += overlap(t->at_ns[i], end, from_ns, to_ns);
    }
}
