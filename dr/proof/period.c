/*
 * period.c - the report over a time, put together from its parts.
 */
#include "dr/proof/period.h"

#include <string.h>

#include "dr/base/mem.h"
#include "dr/data/time.h"
#include "dr/proof/period_work.h"

bool period_time(const json_t *object, const char *key, int64_t *ret_ns)
{
    const char *text = body_text(object, key);
    return text != NULL && time_parse(text, ret_ns);
}

bool period_same_plan(const char *a, const char *b)
{
    for (; *a != '\0' && *b != '\0'; a++, b++)
        if (*a != *b && !((*a == '-' || *a == '_') && (*b == '-' || *b == '_')))
            return false;
    return *a == *b;
}

static json_t *bounds_of(const struct period_facts *f)
{
    json_t *one = json_object();
    report_put_text(one, "name", f->name);
    report_put_time(one, "from", true, f->from_ns);
    report_put_time(one, "to", true, f->to_ns);
    report_put_time(one, "as_of", true, period_end_ns(f));
    return one;
}

static json_t *copy_list(const json_t *list)
{
    return json_is_array(list) ? json_deep_copy(list) : json_array();
}

static json_t *made_of(const struct period_facts *f)
{
    json_t *one = json_object();
    int64_t records = 0;
    size_t i;
    const json_t *head;
    json_array_foreach(f->heads, i, head) records += body_int(head, "records", 0);
    json_put(one, "hosts", copy_list(f->hosts));
    json_put_int(one, "records", records);
    json_put(one, "heads", copy_list(f->heads));
    return one;
}

/* What a reader has to know of a journal that tells less than it should. */
static void note_journals(const struct period_facts *f, json_t *notes)
{
    size_t i;
    const json_t *run;
    json_array_foreach(f->runs, i, run)
    {
        int64_t torn = body_int(json_object_get(run, "evidence"), "torn_bytes", 0);
        DR_FREE char *text = NULL;
        if (!period_has(f, run))
            continue;
        if (period_is_broken(run))
            text = dr_strf("%s: its journal cannot be read: %s; what happened in it cannot be told",
                           report_word(run, "run"), report_word(run, "broken"));
        else if (torn > 0)
            text = dr_strf("%s: its journal ends in an incomplete record of %lld bytes, which was "
                           "never acknowledged",
                           report_word(run, "run"), (long long)torn);
        if (text != NULL)
            json_array_append_new(notes, json_printable(text));
    }
}

static json_t *notes_of(const struct period_facts *f, const json_t *period)
{
    json_t *notes = copy_list(f->notes);
    note_journals(f, notes);
    if (period_end_ns(f) < f->to_ns)
        json_array_append_new(notes, json_string("the period is not over: this is what is on "
                                                 "record so far"));
    if (json_array_size(json_object_get(period, "runs")) == 0)
        json_array_append_new(notes, json_string("no run and no drill began in this period"));
    return notes;
}

enum dr_rc period_make(const struct period_facts *facts, json_t **ret, struct dr_err *err)
{
    if (facts->to_ns <= facts->from_ns)
        return dr_fail(err, DR_E_USAGE, "the period ends before it begins");
    json_t *period = json_object(), *closed = NULL;
    json_put_int(period, "schema", REPORT_SCHEMA);
    json_put_text(period, "kind", "period");
    json_put(period, "period", bounds_of(facts));
    json_put(period, "made_of", made_of(facts));
    json_put(period, "plans", period_plans(facts));
    json_put(period, "sources", period_sources(facts));
    json_put(period, "buckets", period_buckets(facts));
    json_put(period, "runs", period_rows(facts));
    json_put(period, "drills", period_drills(facts, json_object_get(period, "plans")));
    period_put_means(period, facts);
    json_put(period, "forecast", period_forecast(facts));
    json_put(period, "findings", period_findings(facts, period, &closed));
    json_put(period, "findings_closed", closed);
    json_put(period, "clauses", period_clauses(facts, period));
    json_put(period, "notes", notes_of(facts, period));
    *ret = period;
    return DR_OK;
}
