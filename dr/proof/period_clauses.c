/*
 * period_clauses.c - which clause of a norm gets which evidence. The clauses are data (conf/clauses.json): each names the
 * kinds of evidence that speak to it, and here is what each kind finds in the period.
 *
 * Evidence, never a certificate: a sentence says what was seen, with the run or the row to look it up.
 */
#include <inttypes.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/proof/period_work.h"

static bool is(const char *text, const char *word)
{
    return strcmp(text, word) == 0;
}

/* text is taken over. */
static void add(json_t *list, const char *row, char *text)
{
    json_t *one = json_object();
    report_put_text(one, "row", row);
    report_put_text(one, "text", text);
    free(text);
    json_array_append_new(list, one);
}

static void add_power(struct buf *out, const json_t *row)
{
    const json_t *power = json_object_get(row, "power");
    if (json_is_object(power))
        buf_addf(out, ", %" PRId64 " of %" PRId64 " planted faults caught",
                 body_int(power, "caught", 0), body_int(power, "planted", 0));
    else
        buf_adds(out, ", drill power not measured");
}

static bool is_final(const json_t *row)
{
    return report_has(row, "ended") && !is(report_word(row, "verdict"), "dry run");
}

static void of_drills(json_t *list, const json_t *period)
{
    size_t i;
    const json_t *row;
    json_array_foreach(report_list(period, "runs"), i, row)
    {
        if (!json_is_true(json_object_get(row, "drill")) || !is_final(row))
            continue;
        DR_CLEANUP(buf_fini) struct buf text = { 0 };
        buf_addf(&text, "drill of %s on %.10s: %s", report_word(row, "plan"),
                 report_word(row, "began"), report_word(row, "verdict"));
        add_power(&text, row);
        add(list, report_word(row, "id"), buf_take(&text));
    }
}

static void of_failovers(json_t *list, const json_t *period)
{
    size_t i;
    const json_t *row;
    json_array_foreach(report_list(period, "runs"), i, row)
    {
        if (json_is_true(json_object_get(row, "drill")) || !is_final(row))
            continue;
        DR_CLEANUP(buf_fini) struct buf text = { 0 };
        buf_addf(&text, "%s on %.10s: %s, recovery time ",
                 report_has(row, "mode") ? report_word(row, "mode") : "run",
                 report_word(row, "began"), report_word(row, "state"));
        report_add_interval(&text, json_object_get(row, "recovery"));
        buf_adds(&text, ", data loss ");
        report_add_interval(&text, json_object_get(row, "loss"));
        add(list, report_word(row, "id"), buf_take(&text));
    }
}

static void of_backups(json_t *list, const json_t *period)
{
    size_t i;
    const json_t *one;
    json_array_foreach(report_list(period, "sources"), i, one)
    {
        const json_t *backups = json_object_get(one, "backups");
        int64_t done = body_int(backups, "done", 0), failed = body_int(backups, "failed", 0);
        if (done + failed > 0)
            add(list, report_word(one, "name"),
                dr_strf("%" PRId64 " backups done, %" PRId64
                        " of them not in every bucket; %" PRId64 " failed",
                        done, body_int(backups, "degraded", 0), failed));
    }
}

static void of_proofs(json_t *list, const json_t *period)
{
    size_t i;
    const json_t *one;
    json_array_foreach(report_list(period, "sources"), i, one)
    {
        const json_t *proof = json_object_get(one, "last_proof");
        if (json_is_object(proof))
            add(list, report_word(one, "name"),
                dr_strf("last %s on %.10s by %s: %s", report_word(proof, "kind"),
                        report_word(proof, "at"), report_word(proof, "by"),
                        report_word(proof, "result")));
    }
}

static void of_objectives(json_t *list, const json_t *period)
{
    size_t i;
    const json_t *one;
    json_array_foreach(report_list(period, "plans"), i, one)
    {
        DR_CLEANUP(buf_fini) struct buf text = { 0 };
        if (!report_has(one, "rto_ms") && !report_has(one, "rpo_ms"))
            continue;
        buf_adds(&text, "recovery time ");
        report_add_objective(&text, one, "rto_ms");
        buf_adds(&text, ", data loss ");
        report_add_objective(&text, one, "rpo_ms");
        buf_adds(&text, " are its objectives");
        add(list, report_word(one, "name"), buf_take(&text));
    }
}

/* Where the data of each drill and run came to, also when that proves nothing. */
static void of_segregated(json_t *list, const struct period_facts *f)
{
    size_t i;
    const json_t *run;
    json_array_foreach(f->runs, i, run)
    {
        const json_t *restored = report_list(run, "restored");
        const json_t *apart = json_object_get(json_object_get(run, "drill"), "segregated");
        DR_JSON json_t *made = NULL;
        if (!period_has(f, run) || !period_is_held(run))
            continue;
        if (!period_is_drill(run) && json_array_size(restored) > 0)
            apart = made = report_segregated(restored);
        if (report_has(apart, "text"))
            add(list, report_word(run, "run"), dr_strdup(report_word(apart, "text")));
    }
}

static void add_fences(struct buf *out, const json_t *fencing)
{
    size_t i;
    const json_t *one;
    json_array_foreach(fencing, i, one)
    {
        const char *region = report_has(one, "region") ? report_word(one, "region") : "a region";
        buf_adds(out, i > 0 ? "; " : "");
        if (report_has(one, "skipped_by"))
            buf_addf(out, "nothing proves that %s could not write: the fence was skipped by %s",
                     region, report_word(one, "skipped_by"));
        else if (report_has(one, "proof") && is(report_word(one, "verdict"), "pass"))
            buf_addf(out, "%s was fenced, proof: %s", region, report_word(one, "proof"));
        else
            buf_addf(out, "%s: no proof of a fence", region);
    }
    if (i == 0)
        buf_adds(out, "no fence on record");
}

static void add_people(struct buf *out, const json_t *approvals)
{
    size_t i, k, people = 0;
    const json_t *one, *answer;
    json_array_foreach(approvals, i, one) json_array_foreach(report_list(one, "answers"), k, answer)
        buf_addf(out, "%s%s by %s", people++ > 0 ? ", " : "; ",
                 is(report_word(answer, "answer"), "approve")  ? "approved"
                 : is(report_word(answer, "answer"), "reject") ? "rejected"
                                                               : report_word(answer, "answer"),
                 report_word(answer, "by"));
    if (people == 0)
        buf_adds(out, "; no answer of a person on record");
}

/* Of each real run: what proves that the region given up could not write, and who agreed. */
static void of_guards(json_t *list, const struct period_facts *f)
{
    size_t i;
    const json_t *run;
    json_array_foreach(f->runs, i, run)
    {
        DR_CLEANUP(buf_fini) struct buf text = { 0 };
        if (!period_has(f, run) || !period_is_held(run) || period_is_drill(run))
            continue;
        add_fences(&text, report_list(run, "fencing"));
        add_people(&text, report_list(run, "approvals"));
        add(list, report_word(run, "run"), buf_take(&text));
    }
}

static void of_buckets(json_t *list, const json_t *period)
{
    size_t i;
    const json_t *one;
    json_array_foreach(report_list(period, "buckets"), i, one)
    {
        const json_t *series = report_list(one, "series");
        const json_t *last = json_array_get(series, json_array_size(series) - 1);
        char text[DURATION_TEXT_MAX];
        if (report_has(last, "loss_ms"))
            add(list, report_word(one, "name"),
                dr_strf("in %s: at the end of the period it would have lost the last %s",
                        report_has(one, "region") ? report_word(one, "region") : "no region",
                        duration_tell(body_int(last, "loss_ms", 0), text)));
    }
}

/* One sentence: the list itself stands in the report. */
static void of_findings(json_t *list, const json_t *period)
{
    size_t i, critical = 0;
    const json_t *one;
    DR_CLEANUP(buf_fini) struct buf ids = { 0 };
    json_array_foreach(report_list(period, "findings"), i, one)
    {
        critical += is(report_word(one, "severity"), "critical");
        buf_addf(&ids, "%s%s", i > 0 ? ", " : "", report_word(one, "id"));
    }
    if (i > 0)
        add(list, "findings", dr_strf("%zu open, %zu of them critical: %s", i, critical, ids.data));
}

static void gather(json_t *list, const char *kind, const struct period_facts *f,
                   const json_t *period)
{
    static const struct {
        const char *kind;
        void (*gather)(json_t *list, const json_t *period);
    } kinds[] = { { "drills", of_drills },         { "failovers", of_failovers },
                  { "backups", of_backups },       { "proofs", of_proofs },
                  { "objectives", of_objectives }, { "buckets", of_buckets },
                  { "findings", of_findings } };
    for (size_t i = 0; i < DR_ARRAY_LEN(kinds); i++)
        if (is(kinds[i].kind, kind))
            kinds[i].gather(list, period);
    if (is(kind, "segregated"))
        of_segregated(list, f);
    if (is(kind, "guards"))
        of_guards(list, f);
}

json_t *period_clauses(const struct period_facts *f, const json_t *period)
{
    json_t *list = json_array();
    size_t i, k;
    const json_t *told, *kind;
    json_array_foreach(f->clauses, i, told)
    {
        json_t *one = json_object();
        json_t *evidence = json_array();
        report_copy(one, "clause", told, "clause");
        report_copy(one, "title", told, "title");
        report_copy(one, "words", told, "words");
        json_array_foreach(report_list(told, "from"), k, kind) if (json_is_string(kind))
            gather(evidence, json_string_value(kind), f, period);
        json_put(one, "evidence", evidence);
        json_array_append_new(list, one);
    }
    return list;
}
