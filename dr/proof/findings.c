/*
 * findings.c - the register: events of runs and ledgers, sorted by time, applied one after the other.
 */
#include "dr/proof/findings.h"

#include <string.h>

#include "dr/base/mem.h"
#include "dr/base/text.h"
#include "dr/data/time.h"
#include "dr/proof/period_work.h"

enum event_kind { EVENT_RUN, EVENT_FOUND, EVENT_OWNED, EVENT_CLOSED };

struct event {
    int64_t at_ns;
    size_t order; /* of those of one moment */
    enum event_kind kind;
    const json_t *what; /* a report, or the body of a line; borrowed */
};

struct events {
    struct event *items; /* owned */
    size_t count;
};

static bool is(const char *text, const char *word)
{
    return strcmp(text, word) == 0;
}

json_t *findings_get(const json_t *list, const char *id)
{
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one) if (is(report_word(one, "id"), id)) return one;
    return NULL;
}

bool findings_is_open(const json_t *one)
{
    return !json_is_object(json_object_get(one, "closed"));
}

/* -- events ------------------------------------------------------------------------------------------ */

static void add_event(struct events *e, enum event_kind kind, int64_t at_ns, const json_t *what)
{
    e->items = dr_realloc(e->items, e->count + 1, sizeof(*e->items));
    e->items[e->count] =
        (struct event){ .at_ns = at_ns, .order = e->count, .kind = kind, .what = what };
    e->count++;
}

/* Does the report of that run, at hand, tell it itself? */
static bool is_reported(const json_t *runs, const json_t *body)
{
    size_t i;
    const json_t *one;
    json_array_foreach(runs, i, one) if (is(report_word(one, "run"), report_word(body, "run")) &&
                                         findings_get(report_list(one, "findings"),
                                                      report_word(body, "id")) != NULL) return true;
    return false;
}

static void add_runs(struct events *e, const struct findings_facts *f)
{
    size_t i;
    const json_t *run;
    json_array_foreach(f->runs, i, run)
    {
        int64_t at_ns;
        if (period_is_broken(run) || period_is_dry(run) ||
            !period_time(run, report_has(run, "ended") ? "ended" : "started", &at_ns) ||
            at_ns >= f->end_ns)
            continue;
        add_event(e, EVENT_RUN, at_ns, run);
    }
}

/* What a run did, or somebody said on another host, counts from then, not from the line that tells of it. */
static int64_t time_of(const json_t *line, enum event_kind kind)
{
    const json_t *body = json_object_get(line, "body");
    int64_t at_ns;
    if (period_time(body, kind == EVENT_FOUND ? "opened" : "at", &at_ns))
        return at_ns;
    return period_time(line, "time", &at_ns) ? at_ns : INT64_MAX;
}

/* A journal that is at hand speaks for itself. */
static void add_book(struct events *e, const struct findings_facts *f)
{
    static const char *const types[] = { [EVENT_RUN] = "",
                                         [EVENT_FOUND] = "finding",
                                         [EVENT_OWNED] = "finding_owned",
                                         [EVENT_CLOSED] = "finding_closed" };
    size_t i;
    const json_t *line;
    json_array_foreach(f->book, i, line)
    {
        const json_t *body = json_object_get(line, "body");
        const char *type = report_word(line, "type");
        for (size_t k = EVENT_FOUND; k < DR_ARRAY_LEN(types); k++) {
            if (!is(type, types[k]) || report_word(body, "id")[0] == '\0')
                continue;
            int64_t at_ns = time_of(line, (enum event_kind)k);
            bool told = k == EVENT_FOUND && is_reported(f->runs, body);
            if (at_ns < f->end_ns && !told)
                add_event(e, (enum event_kind)k, at_ns, body);
        }
    }
}

static int by_time(const void *left, const void *right)
{
    const struct event *a = left, *b = right;
    if (a->at_ns != b->at_ns)
        return a->at_ns < b->at_ns ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

/* -- what they do to a finding ----------------------------------------------------------------------- */

static void copy_words(json_t *to, const json_t *from)
{
    static const char *const keys[] = { "kind", "subject", "severity", "text" };
    for (size_t i = 0; i < DR_ARRAY_LEN(keys); i++)
        report_copy(to, keys[i], from, keys[i]);
}

static json_t *add_record(json_t *list, const json_t *from)
{
    static const char *const none[] = { "plan", "run", "last_run", "opened", "owner", "due" };
    json_t *one = json_object();
    report_copy(one, "id", from, "id");
    copy_words(one, from);
    for (size_t i = 0; i < DR_ARRAY_LEN(none); i++)
        json_put(one, none[i], json_null());
    report_copy(one, "plan", from, "plan");
    json_put(one, "drill", json_false());
    json_put_int(one, "seen", 0);
    json_put(one, "said", json_true());
    json_put(one, "owned_at", json_null());
    json_put(one, "closed", json_null());
    json_array_append_new(list, one);
    return one;
}

struct told {               /* by whom, and when */
    const char *run, *plan; /* "": none */
    bool drill;
    int64_t at_ns;
};

static void open_anew(json_t *one, const json_t *what, const struct told *by)
{
    report_put_text(one, "plan", by->plan[0] != '\0' ? by->plan : NULL);
    report_put_text(one, "run", by->run[0] != '\0' ? by->run : NULL);
    json_put(one, "drill", json_boolean(by->drill));
    report_put_time(one, "opened", true, by->at_ns);
    json_put_int(one, "seen", 0);
    json_put(one, "said", json_false());
    json_put(one, "closed", json_null());
    report_copy(one, "owner", what, "owner");
    report_copy(one, "due", what, "due");
    report_put_text(one, "last_run", NULL);
}

/* what: as a report or a line tells it. */
static void tell(json_t *list, const json_t *what, const struct told *by)
{
    json_t *one = findings_get(list, report_word(what, "id"));
    bool said = one != NULL && json_is_true(json_object_get(one, "said"));
    bool fresh = one == NULL || !findings_is_open(one);
    if (one == NULL)
        one = add_record(list, what);
    if (fresh || said)
        open_anew(one, what, by);
    copy_words(one, what);
    if (!is(report_word(one, "last_run"), by->run) || fresh || said) {
        json_put_int(one, "seen", body_int(one, "seen", 0) + 1);
        report_put_text(one, "last_run", by->run[0] != '\0' ? by->run : NULL);
    }
    if (!report_has(one, "owner")) /* the rule came later than the finding */
        report_copy(one, "owner", what, "owner");
    if (!report_has(one, "due"))
        report_copy(one, "due", what, "due");
}

/* by, reason: NULL: not on record. */
static void close_it(json_t *one, int64_t at_ns, const char *by, const char *reason)
{
    int64_t opened_ns;
    json_t *closed = json_object();
    report_put_time(closed, "at", true, at_ns);
    report_put_text(closed, "by", by);
    report_put_text(closed, "reason", reason);
    bool known = period_time(one, "opened", &opened_ns) && opened_ns <= at_ns;
    json_put(closed, "after_ms",
             known ? json_integer((at_ns - opened_ns) / PERIOD_MS) : json_null());
    json_put(one, "closed", closed);
}

static bool is_of(const json_t *one, const struct told *by)
{
    return report_has(one, "run") && json_is_true(json_object_get(one, "drill")) == by->drill &&
           period_same_plan(report_word(one, "plan"), by->plan);
}

static bool is_settled(const json_t *one, const json_t *report, const struct told *by)
{
    return findings_is_open(one) && is_of(one, by) && !is(report_word(one, "last_run"), by->run) &&
           findings_looked(report, one);
}

static char *settled_reason(const char *run)
{
    return dr_strf("%s looked, and no longer has it", run);
}

static struct told told_by(const json_t *report, int64_t at_ns)
{
    return (struct told){ .run = report_word(report, "run"),
                          .plan = period_plan_of(report),
                          .drill = period_is_drill(report),
                          .at_ns = at_ns };
}

static void apply_run(json_t *list, const json_t *report, int64_t at_ns)
{
    const struct told by = told_by(report, at_ns);
    size_t i;
    json_t *one;
    json_array_foreach(report_list(report, "findings"), i, one) if (report_has(one, "id"))
        tell(list, one, &by);
    if (!period_is_held(report))
        return;
    DR_FREE char *reason = settled_reason(by.run);
    json_array_foreach(list, i, one) if (is_settled(one, report, &by))
        close_it(one, at_ns, by.run, reason);
}

static void apply(json_t *list, const struct event *e)
{
    const json_t *body = e->what;
    if (e->kind == EVENT_RUN) {
        apply_run(list, e->what, e->at_ns);
        return;
    }
    if (e->kind == EVENT_FOUND) {
        const struct told by = { .run = report_word(body, "run"),
                                 .plan = report_word(body, "plan"),
                                 .drill = body_is(body, "drill"),
                                 .at_ns = e->at_ns };
        tell(list, body, &by);
        return;
    }
    json_t *one = findings_get(list, report_word(body, "id"));
    if (one == NULL)
        one = add_record(list, body);
    if (e->kind == EVENT_CLOSED) {
        if (findings_is_open(one))
            close_it(one, e->at_ns, body_text(body, "by"), body_text(body, "reason"));
        return;
    }
    report_copy(one, "owner", body, "owner");
    report_put_time(one, "owned_at", true, e->at_ns);
    if (report_has(body, "due"))
        report_copy(one, "due", body, "due");
}

json_t *findings_register(const struct findings_facts *f)
{
    struct events e = { 0 };
    json_t *list = json_array();
    add_runs(&e, f);
    add_book(&e, f);
    if (e.count > 1)
        qsort(e.items, e.count, sizeof(*e.items), by_time);
    for (size_t i = 0; i < e.count; i++)
        apply(list, &e.items[i]);
    free(e.items);
    return list;
}

/* -- what the end of a run adds to the ledger ---------------------------------------------------------- */

static void add_line(json_t *lines, const char *type, json_t *body)
{
    json_t *line = json_object();
    json_put_text(line, "type", type);
    json_put(line, "body", body);
    json_array_append_new(lines, line);
}

static json_t *found_body(const json_t *report, const json_t *one)
{
    static const char *const keys[] = {
        "id", "kind", "subject", "severity", "text", "owner", "due"
    };
    json_t *body = json_object();
    for (size_t i = 0; i < DR_ARRAY_LEN(keys); i++)
        report_copy(body, keys[i], one, keys[i]);
    report_copy(body, "run", report, "run");
    report_put_text(body, "plan", period_plan_of(report));
    json_put(body, "drill", json_boolean(period_is_drill(report)));
    report_copy(body, "opened", report, "ended");
    return body;
}

static json_t *closed_body(const json_t *report, const json_t *one)
{
    json_t *body = json_object();
    DR_FREE char *reason = settled_reason(report_word(report, "run"));
    report_copy(body, "id", one, "id");
    report_copy(body, "by", report, "run");
    report_put_text(body, "reason", reason);
    report_copy(body, "at", report, "ended");
    return body;
}

json_t *findings_heard(const json_t *own, const json_t *all)
{
    json_t *lines = json_array();
    size_t i;
    const json_t *one;
    json_array_foreach(own, i, one)
    {
        const json_t *now = findings_get(all, report_word(one, "id"));
        if (now == NULL || body_is(one, "said") || !findings_is_open(one))
            continue;
        bool later = strcmp(report_word(now, "owned_at"), report_word(one, "owned_at")) > 0;
        json_t *body = json_object();
        report_copy(body, "id", one, "id");
        if (!findings_is_open(now)) {
            const json_t *closed = json_object_get(now, "closed");
            report_copy(body, "by", closed, "by");
            report_copy(body, "reason", closed, "reason");
            report_copy(body, "at", closed, "at");
            add_line(lines, "finding_closed", body);
        } else if (later) {
            report_copy(body, "owner", now, "owner");
            report_copy(body, "due", now, "due");
            report_copy(body, "at", now, "owned_at");
            add_line(lines, "finding_owned", body);
        } else {
            json_decref(body);
        }
    }
    return lines;
}

bool findings_are_told(const json_t *book, const char *run)
{
    size_t i;
    const json_t *line;
    json_array_foreach(
        book, i, line) if (is(report_word(line, "type"), "findings") &&
                           is(report_word(json_object_get(line, "body"), "run"), run)) return true;
    return false;
}

/* A run of a later rule brings an owner or a date to a finding that has none. */
static bool is_news(const json_t *before, const json_t *one)
{
    if (before == NULL || !findings_is_open(before) || body_is(before, "said"))
        return true;
    return (report_has(one, "owner") && !report_has(before, "owner")) ||
           (report_has(one, "due") && !report_has(before, "due"));
}

json_t *findings_lines(const json_t *known, const json_t *book, const json_t *report)
{
    json_t *lines = json_array(), *ids = json_array(), *body = json_object();
    const struct told by = told_by(report, 0);
    size_t i;
    const json_t *one;
    if (!report_has(report, "ended") || period_is_dry(report) || findings_are_told(book, by.run)) {
        json_decref(ids);
        json_decref(body);
        return lines;
    }
    json_array_foreach(report_list(report, "findings"), i, one)
    {
        const json_t *before = findings_get(known, report_word(one, "id"));
        json_array_append_new(ids, json_string(report_word(one, "id")));
        if (is_news(before, one))
            add_line(lines, "finding", found_body(report, one));
    }
    json_array_foreach(known, i, one)
    {
        bool has = findings_get(report_list(report, "findings"), report_word(one, "id")) != NULL;
        if (!has && period_is_held(report) && is_settled(one, report, &by))
            add_line(lines, "finding_closed", closed_body(report, one));
    }
    report_copy(body, "run", report, "run");
    report_put_text(body, "plan", by.plan);
    json_put(body, "drill", json_boolean(by.drill));
    report_copy(body, "at", report, "ended");
    json_put(body, "ids", ids);
    add_line(lines, "findings", body);
    return lines;
}
