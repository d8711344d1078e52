/*
 * period_findings.c - what is open at the end of a time, and what was closed in it: from runs and ledgers (findings.h),
 * and from what is missing.
 *
 * What is missing is computed from the period as it stands, under an id that stays the same as long as the thing does, so
 * that a person can own it and close it. A word that was said before the lack began is about an earlier one.
 */
#include <string.h>

#include "dr/base/mem.h"
#include "dr/proof/findings.h"
#include "dr/proof/period_work.h"

struct open {
    const struct period_facts *f;
    json_t *known; /* the register */
    json_t *list;
};

static bool is(const char *text, const char *word)
{
    return strcmp(text, word) == 0;
}

/* -- of runs and ledgers ---------------------------------------------------------------------------- */

static void find_known(struct open *o)
{
    size_t i;
    json_t *one;
    json_array_foreach(o->known, i, one) if (findings_is_open(one) && !body_is(one, "said"))
        json_array_append_new(o->list, json_deep_copy(one));
}

static json_t *closed_in(const struct open *o)
{
    json_t *list = json_array();
    size_t i;
    json_t *one;
    json_array_foreach(o->known, i, one)
    {
        int64_t at_ns;
        if (findings_is_open(one) || !period_time(json_object_get(one, "closed"), "at", &at_ns) ||
            at_ns < o->f->from_ns || at_ns >= o->f->to_ns)
            continue;
        json_t *copy = json_deep_copy(one);
        findings_judge(copy, period_end_ns(o->f));
        (void)json_object_del(copy, "said"); /* it is there */
        json_array_append_new(list, copy);
    }
    return list;
}

/* -- of what is missing ------------------------------------------------------------------------------- */

struct missing {
    const char *kind, *subject, *severity;
    const char *opened; /* since when; "": nobody knows */
    bool plan;          /* the subject is one */
};

static json_t *record_of(const struct open *o, const struct missing *m, const char *text)
{
    json_t *one = report_finding("", m->kind, m->subject, m->severity, text);
    int64_t opened_ns = 0;
    bool critical = is(m->severity, "critical");
    json_put(one, "run", json_null());
    json_put(one, "last_run", json_null());
    json_put(one, "plan", m->plan ? json_string(m->subject) : json_null());
    json_put(one, "drill", json_false());
    json_put_int(one, "seen", 1);
    json_put(one, "owned_at", json_null());
    json_put(one, "said", json_false());
    json_put(one, "closed", json_null());
    report_put_text(one, "opened", m->opened[0] != '\0' ? m->opened : NULL);
    report_put_text(one, "owner", o->f->owner);
    (void)period_time(one, "opened", &opened_ns); /* else it stays 0: no date */
    report_put_due(one, opened_ns, critical ? o->f->due_critical_ms : o->f->due_warning_ms);
    return one;
}

/* text is taken over. */
static void miss(struct open *o, const struct missing *m, char *text)
{
    json_t *one = record_of(o, m, text);
    free(text);
    const json_t *said = findings_get(o->known, report_word(one, "id"));
    int64_t closed_ns, opened_ns = 0;
    bool closed = said != NULL && !findings_is_open(said) &&
                  period_time(json_object_get(said, "closed"), "at", &closed_ns);
    (void)period_time(one, "opened", &opened_ns); /* else it stays 0: longer ago than any word */
    if (closed && closed_ns >= opened_ns) {
        json_decref(one);
        return;
    }
    if (said != NULL && report_has(said, "owner"))
        report_copy(one, "owner", said, "owner");
    if (said != NULL)
        report_copy(one, "owned_at", said, "owned_at");
    if (said != NULL && !closed && report_has(said, "due"))
        report_copy(one, "due", said, "due");
    json_array_append_new(o->list, one);
}

static void find_overdue(struct open *o, const json_t *plans)
{
    size_t i;
    const json_t *one;
    json_array_foreach(plans, i, one)
    {
        const char *name = report_word(one, "name");
        const json_t *last = json_object_get(one, "last_drill");
        const struct missing m = { .kind = "overdue",
                                   .subject = name,
                                   .severity = "warning",
                                   .opened = report_word(one, "due"),
                                   .plan = true };
        if (!json_is_true(json_object_get(one, "overdue")))
            continue;
        miss(o, &m,
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
        const struct missing none = { "backup", name, "critical", report_word(one, "last_snapshot"),
                                      false };
        const struct missing unproved = { "proof", name, "warning", "", false };
        const struct missing failed = { "proof", name, "critical", report_word(proof, "at"),
                                        false };
        if (body_int(backups, "wanted", 0) > 0 && body_int(backups, "done", 0) == 0)
            miss(o, &none, dr_strf("no backup of %s is on record in this period", name));
        if (!json_is_object(proof))
            miss(o, &unproved, dr_strf("no restore and no verification of %s is on record", name));
        else if (!is(report_word(proof, "result"), "pass"))
            miss(o, &failed,
                 dr_strf("the last %s of %s did not pass", report_word(proof, "kind"), name));
    }
}

static void find_broken(struct open *o)
{
    size_t i;
    const json_t *run;
    json_array_foreach(o->f->runs, i, run)
    {
        const struct missing m = { "journal", report_word(run, "run"), "critical",
                                   report_word(run, "started"), false };
        if (period_is_broken(run) && period_has(o->f, run))
            miss(o, &m,
                 dr_strf("the journal of %s cannot be read: %s", report_word(run, "run"),
                         report_word(run, "broken")));
    }
}

json_t *period_findings(const struct period_facts *f, const json_t *period, json_t **ret_closed)
{
    const struct findings_facts facts = { .runs = f->runs,
                                          .book = f->book,
                                          .end_ns = period_end_ns(f) };
    struct open o = { .f = f, .known = findings_register(&facts), .list = json_array() };
    size_t i;
    json_t *one;
    find_known(&o);
    find_broken(&o);
    find_overdue(&o, json_object_get(period, "plans"));
    find_sources(&o, json_object_get(period, "sources"));
    json_array_foreach(o.list, i, one)
    {
        findings_judge(one, period_end_ns(f));
        (void)json_object_del(one, "said"); /* it is there */
    }
    json_t *sorted = findings_sorted(o.list);
    *ret_closed = closed_in(&o);
    json_decref(o.list);
    json_decref(o.known);
    return sorted;
}
