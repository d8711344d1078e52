/*
 * period_findings.c - what is still open at the end of a time, from runs, from the ledger, and from what is missing.
 *
 * A finding of a run stands until the next run of its kind no longer has it, or until somebody closed it. So the list does
 * not grow with each drill that tells the same, and nothing leaves it because time went by.
 */
#include <string.h>

#include "dr/base/mem.h"
#include "dr/proof/period_work.h"

struct open {
    const struct period_facts *f;
    struct text_list closed; /* ids */
    json_t *list;
};

static bool is(const char *text, const char *word)
{
    return strcmp(text, word) == 0;
}

/* The same thing told twice: by its id, or by the ledger in the words of the run's own report. */
static bool is_known(const struct open *o, const json_t *one)
{
    size_t i;
    const json_t *other;
    json_array_foreach(o->list, i, other)
    {
        bool same_text = json_equal(json_object_get(one, "text"), json_object_get(other, "text"));
        bool same_run = json_equal(json_object_get(one, "run"), json_object_get(other, "run"));
        if (is(report_word(other, "id"), report_word(one, "id")) || (same_text && same_run))
            return true;
    }
    return false;
}

/* one is taken over. */
static void add(struct open *o, json_t *one)
{
    if (is_known(o, one) || text_list_has(&o->closed, report_word(one, "id"))) {
        json_decref(one);
        return;
    }
    if (!report_has(one, "owner"))
        report_put_text(one, "owner", o->f->owner);
    json_array_append_new(o->list, one);
}

static void find_closed(struct open *o)
{
    size_t i;
    const json_t *line;
    json_array_foreach(o->f->book, i, line)
    {
        int64_t at_ns;
        const char *id = report_word(json_object_get(line, "body"), "id");
        if (is(report_word(line, "type"), "finding_closed") && id[0] != '\0' &&
            period_time(line, "time", &at_ns) && at_ns < period_end_ns(o->f))
            text_list_add(&o->closed, id);
    }
}

/* --- of runs --- */

/* Does a later run of the same plan and kind speak instead of this one? */
static bool is_followed(const struct period_facts *f, size_t at)
{
    const json_t *run = json_array_get(f->runs, at);
    for (size_t i = at + 1; i < json_array_size(f->runs); i++) {
        const json_t *next = json_array_get(f->runs, i);
        int64_t began_ns;
        if (period_is_held(next) && period_is_drill(next) == period_is_drill(run) &&
            period_began(f, next, &began_ns) &&
            period_same_plan(period_plan_of(next), period_plan_of(run)))
            return true;
    }
    return false;
}

static void find_run(struct open *o, const json_t *run)
{
    const char *plan = period_plan_of(run);
    size_t i;
    const json_t *told;
    json_array_foreach(report_list(run, "findings"), i, told)
    {
        if (!json_is_object(told))
            continue;
        json_t *one = json_deep_copy(told);
        report_copy(one, "run", run, "run");
        report_put_text(one, "plan", plan[0] != '\0' ? plan : NULL);
        report_copy(one, "opened", run, report_has(run, "ended") ? "ended" : "started");
        add(o, one);
    }
}

static void find_runs(struct open *o)
{
    const struct period_facts *f = o->f;
    for (size_t i = 0; i < json_array_size(f->runs); i++) {
        const json_t *run = json_array_get(f->runs, i);
        int64_t began_ns;
        if (period_is_broken(run) || period_is_dry(run) || !period_began(f, run, &began_ns) ||
            is_followed(f, i))
            continue;
        find_run(o, run);
    }
}

/* --- of the ledger --- */

static void find_told(struct open *o)
{
    static const char *const keys[] = { "id", "severity", "text", "owner", "due", "run", "plan" };
    size_t i;
    const json_t *line;
    json_array_foreach(o->f->book, i, line)
    {
        const json_t *body = json_object_get(line, "body");
        int64_t at_ns;
        if (!is(report_word(line, "type"), "finding") || !report_has(body, "id") ||
            !period_time(line, "time", &at_ns) || at_ns >= period_end_ns(o->f))
            continue;
        json_t *one = json_object();
        for (size_t k = 0; k < DR_ARRAY_LEN(keys); k++)
            report_copy(one, keys[k], body, keys[k]);
        json_put_text(one, "kind", "told");
        json_put(one, "subject", json_null());
        if (report_has(body, "opened"))
            report_copy(one, "opened", body, "opened");
        else
            report_put_time(one, "opened", true, at_ns);
        add(o, one);
    }
}

/* --- of what is missing --- */

/* since: what it has been missing since, part of the id, so that a closed one opens again with the next. text is
 * taken over. */
static void miss(struct open *o, const char *since, const char *kind, const char *subject,
                 const char *severity, char *text)
{
    json_t *one = report_finding(since, kind, subject, severity, text);
    free(text);
    json_put(one, "run", json_null());
    json_put(one, "plan", is(kind, "overdue") ? json_string(subject) : json_null());
    json_put(one, "opened", json_null());
    add(o, one);
}

static void find_overdue(struct open *o, const json_t *plans)
{
    size_t i;
    const json_t *one;
    json_array_foreach(plans, i, one)
    {
        const char *name = report_word(one, "name");
        const json_t *last = json_object_get(one, "last_drill");
        if (!json_is_true(json_object_get(one, "overdue")))
            continue;
        miss(o, report_word(last, "run"), "overdue", name, "warning",
             json_is_object(last) ? dr_strf("the drill of %s is overdue: the last was %s on %.10s",
                                            name, report_word(last, "run"), report_word(last, "at"))
                                  : dr_strf("the drill of %s is overdue: none was held", name));
    }
}

static void find_sources(struct open *o, const json_t *sources)
{
    size_t i;
    const json_t *one;
    json_array_foreach(sources, i, one)
    {
        const char *name = report_word(one, "name");
        const json_t *backups = json_object_get(one, "backups");
        const json_t *proof = json_object_get(one, "last_proof");
        if (body_int(backups, "wanted", 0) > 0 && body_int(backups, "done", 0) == 0)
            miss(o, o->f->name != NULL ? o->f->name : "", "backup", name, "critical",
                 dr_strf("no backup of %s is on record in this period", name));
        if (!json_is_object(proof))
            miss(o, "", "proof", name, "warning",
                 dr_strf("no restore and no verification of %s is on record", name));
        else if (!is(report_word(proof, "result"), "pass"))
            miss(o, report_word(proof, "at"), "proof", name, "critical",
                 dr_strf("the last %s of %s did not pass", report_word(proof, "kind"), name));
    }
}

static void find_broken(struct open *o)
{
    size_t i;
    const json_t *run;
    json_array_foreach(o->f->runs, i, run) if (period_is_broken(run) && period_has(o->f, run))
        miss(o, report_word(run, "run"), "journal", report_word(run, "run"), "critical",
             dr_strf("the journal of %s cannot be read: %s", report_word(run, "run"),
                     report_word(run, "broken")));
}

/* list is taken over. */
static json_t *critical_first(json_t *list)
{
    json_t *sorted = json_array();
    for (int critical = 1; critical >= 0; critical--) {
        size_t i;
        json_t *one;
        json_array_foreach(list, i, one) if (is(report_word(one, "severity"), "critical") ==
                                             critical) json_array_append(sorted, one);
    }
    json_decref(list);
    return sorted;
}

json_t *period_findings(const struct period_facts *f, const json_t *period)
{
    struct open o = { .f = f, .list = json_array() };
    find_closed(&o);
    find_broken(&o);
    find_runs(&o);
    find_told(&o);
    find_overdue(&o, json_object_get(period, "plans"));
    find_sources(&o, json_object_get(period, "sources"));
    text_list_fini(&o.closed);
    return critical_first(o.list);
}
