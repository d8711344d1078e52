/*
 * html_steps.c - the steps of a run with their attempts and deviations, the people who decided, and the guards:
 * proofs of fencing, checks of the data, what was asked before the first step and between the steps.
 */
#include <inttypes.h>
#include <string.h>

#include "dr/proof/html_work.h"
#include "dr/proof/report_work.h"

/* ---- steps ------------------------------------------------------------------------------------- */

/* What a drill did not do is not called done. */
static void step_state(struct html *h, const json_t *one)
{
    const char *how = report_word(one, "drill");
    bool done = strcmp(report_word(one, "state"), "done") == 0;
    if (strcmp(how, "not measured") == 0 || (strcmp(how, "simulate") == 0 && done)) {
        html_add_badge(h, how[0] == 's' ? "simulated" : how, "");
        return;
    }
    html_add_badge(h, report_word(one, "state"), "not on record");
    if (strcmp(how, "isolated") == 0)
        buf_adds(h->out, " <br>isolated, in scratch");
    else if (how[0] != '\0' && strcmp(how, "run") != 0) {
        buf_adds(h->out, " <br>in the drill: ");
        html_add_word(h, one, "drill");
    }
}

/* What came of it in its own words, and what a reader of the plan would not expect. */
static void step_outcome(struct html *h, const json_t *one)
{
    const json_t *deviations = json_object_get(one, "deviations");
    const char *why = report_word(one, "why");
    bool good = strcmp(html_looks(report_word(one, "state")), "bad") != 0;
    size_t i;
    const json_t *text;
    bool told = why[0] != '\0' && strcmp(why, "simulated") != 0;
    if (told)
        html_add_long(h, why, !good);
    else if (json_array_size(deviations) == 0)
        html_add_word_or(h, one, "why", "-");
    json_array_foreach(deviations, i, text)
    {
        buf_adds(h->out, told || i > 0 ? " <br>" : "");
        buf_adds(h->out, "<b class=\"open\">!</b> ");
        html_add_name(h->out, json_is_string(text) ? json_string_value(text) : "(no text)");
    }
}

static void step_row(struct html_table *t, const json_t *one)
{
    struct html *h = t->h;
    html_row(t);
    html_cell(t);
    html_add_word(h, one, "id");
    html_cell(t);
    step_state(h, one);
    html_cell(t);
    html_add_word(h, one, "phase");
    html_cell(t);
    html_add_number(h, one, "attempts");
    html_cell(t);
    html_add_ms(h, one, "ms");
    html_cell(t);
    html_add_word_or(h, one, "title", "no title");
    buf_adds(h->out, " <code>");
    html_add_word(h, one, "use");
    buf_adds(h->out, "</code>");
    html_cell(t);
    step_outcome(h, one);
}

static void add_steps(struct html *h, const json_t *r)
{
    static const char *const columns[] = { "Step",  "~State", "~Phase",   "+Attempts",
                                           "+Took", "=What",  "=Outcome", NULL };
    size_t i;
    const json_t *one;
    html_section(h, "steps", "Steps");
    if (json_array_size(json_object_get(r, "steps")) == 0) {
        html_nothing(h, "The plan has no step on record.");
        return;
    }
    struct html_table t = html_table(
        h, "In the order of the plan; marked !, what a reader of the plan would not expect",
        columns);
    json_array_foreach(json_object_get(r, "steps"), i, one) step_row(&t, one);
    html_table_end(&t);
}

/* ---- people ------------------------------------------------------------------------------------ */

static void add_answers(struct html *h, const json_t *list)
{
    size_t i;
    const json_t *answer;
    if (json_array_size(list) == 0)
        buf_adds(h->out, "<span class=\"soft\">no answer on record</span>");
    json_array_foreach(list, i, answer)
    {
        buf_adds(h->out, i > 0 ? " <br>" : "");
        html_add_badge(h, report_word(answer, "answer"), "not on record");
        buf_adds(h->out, " by ");
        html_add_word(h, answer, "by");
        if (report_has(answer, "role")) {
            buf_adds(h->out, " (");
            html_add_word(h, answer, "role");
            buf_addc(h->out, ')');
        }
        buf_addc(h->out, ' ');
        html_add_time(h, answer, "time");
        if (report_has(answer, "via")) {
            buf_adds(h->out, " from ");
            html_add_word(h, answer, "via");
        }
        if (report_has(answer, "reason")) {
            buf_adds(h->out, ": ");
            html_add_word(h, answer, "reason");
        }
    }
}

static void add_approvals(struct html *h, const json_t *r)
{
    static const char *const columns[] = {
        "Step", "=Question", "+Asked", "Answers", "What was shown, SHA-256", NULL
    };
    size_t i;
    const json_t *one;
    html_section(h, "approvals", "Approvals");
    if (json_array_size(json_object_get(r, "approvals")) == 0) {
        html_nothing(h, "Nobody was asked.");
        return;
    }
    struct html_table t = html_table(h, "Questions and answers", columns);
    json_array_foreach(json_object_get(r, "approvals"), i, one)
    {
        html_row(&t);
        html_cell(&t);
        html_add_word(h, one, "step");
        html_cell(&t);
        html_add_word(h, one, "question");
        html_cell(&t);
        html_add_time(h, one, "asked");
        html_cell(&t);
        add_answers(h, json_object_get(one, "answers"));
        html_cell(&t);
        html_add_code(h, one, "shown");
    }
    html_table_end(&t);
}

/* ---- guards ------------------------------------------------------------------------------------ */

/* Verdict and words of a guard, with the evidence behind them: two cells. */
static void add_guard(struct html_table *t, const json_t *one)
{
    struct html *h = t->h;
    bool simulated = json_is_true(json_object_get(one, "simulated"));
    html_cell(t);
    html_add_badge(h, simulated ? "simulated" : report_word(one, "verdict"),
                   report_has(one, "skipped_by") ? "skipped" : "not on record");
    html_cell(t);
    bool told = !simulated && report_word(one, "why")[0] != '\0';
    if (told)
        html_add_long(h, report_word(one, "why"), strcmp(report_word(one, "verdict"), "pass") != 0);
    else if (!simulated)
        html_add_word_or(h, one, "why", "-");
    if (report_has(one, "skipped_by")) {
        buf_adds(h->out, " <br><b class=\"bad\">skipped by ");
        html_add_word(h, one, "skipped_by");
        buf_adds(h->out, ": nothing proves that the region cannot write</b>");
    }
    if (simulated)
        buf_adds(h->out, "<b class=\"open\">simulated: nothing was changed, nothing is proved</b>");
    html_add_evidence(h, json_object_get(one, "evidence"));
}

static void add_fencing(struct html *h, const json_t *r)
{
    static const char *const columns[] = { "Region",   "+Step",  "~When", "+Proof",
                                           "~Verdict", "=Words", NULL };
    size_t i;
    const json_t *one;
    html_section(h, "fencing", "Fencing: what proves that the failed region cannot write");
    if (json_array_size(json_object_get(r, "fencing")) == 0) {
        html_nothing(h, "No fence is on record.");
        return;
    }
    struct html_table t = html_table(h, "Fences", columns);
    json_array_foreach(json_object_get(r, "fencing"), i, one)
    {
        html_row(&t);
        html_cell(&t);
        html_add_word(h, one, "region");
        html_cell(&t);
        html_add_word(h, one, "step");
        html_cell(&t);
        html_add_time(h, one, "time");
        html_cell(&t);
        html_add_word_or(h, one, "proof", "no proof");
        add_guard(&t, one);
    }
    html_table_end(&t);
}

/* {step, source, snapshot, host, bytes, ms, verdict} */
static void add_restored(struct html *h, const json_t *list)
{
    static const char *const columns[] = { "Source", "~Snapshot", "+To",   "~Result",
                                           "~Size",  "+Took",     "+Step", NULL };
    size_t i;
    const json_t *one;
    if (json_array_size(list) == 0)
        return;
    struct html_table t = html_table(h, "What was restored", columns);
    json_array_foreach(list, i, one)
    {
        html_row(&t);
        html_cell(&t);
        html_add_word(h, one, "source");
        html_cell(&t);
        html_add_word(h, one, "snapshot");
        html_cell(&t);
        html_add_word(h, one, report_has(one, "host") ? "host" : "at");
        html_cell(&t);
        html_add_badge(h, report_word(one, "verdict"), "not on record");
        html_cell(&t);
        html_add_bytes(h, one, "bytes");
        html_cell(&t);
        html_add_ms(h, one, "ms");
        html_cell(&t);
        html_add_word(h, one, "step");
    }
    html_table_end(&t);
}

static void add_integrity(struct html *h, const json_t *r)
{
    static const char *const columns[] = { "Data",     "+Against", "+Step", "~When",
                                           "~Verdict", "=Words",   NULL };
    size_t i;
    const json_t *one;
    html_section(h, "integrity", "The data: what was restored, and its integrity");
    add_restored(h, json_object_get(r, "restored"));
    if (json_array_size(json_object_get(r, "integrity")) == 0) {
        html_nothing(h, "No check of data is on record: integrity was not measured.");
        return;
    }
    struct html_table t = html_table(h, "Checks of the restored data", columns);
    json_array_foreach(json_object_get(r, "integrity"), i, one)
    {
        html_row(&t);
        html_cell(&t);
        html_add_code(h, one, "path");
        html_cell(&t);
        html_add_word(h, one, "against");
        html_cell(&t);
        html_add_word(h, one, "step");
        html_cell(&t);
        html_add_time(h, one, "time");
        add_guard(&t, one);
    }
    html_table_end(&t);
}

static void add_preflight(struct html *h, const json_t *r)
{
    static const char *const columns[] = { "Check",    "~Region", "+Decisive",
                                           "~Verdict", "=Words",  NULL };
    size_t i;
    const json_t *one;
    html_part(h, "Before the first step");
    if (json_array_size(json_object_get(r, "preflight")) == 0) {
        html_nothing(h, "No preflight check is on record.");
        return;
    }
    struct html_table t = html_table(h, "Preflight", columns);
    json_array_foreach(json_object_get(r, "preflight"), i, one)
    {
        html_row(&t);
        html_cell(&t);
        html_add_word(h, one, "check");
        html_cell(&t);
        html_add_word_or(h, one, "region", "all");
        html_cell(&t);
        buf_adds(h->out, json_is_true(json_object_get(one, "decisive")) ? "yes" : "no");
        add_guard(&t, one);
    }
    html_table_end(&t);
}

static void add_invariants(struct html *h, const json_t *r)
{
    static const char *const columns[] = { "Check", "+Passed", "+Asked", "When it did not pass",
                                           NULL };
    size_t i, k;
    const json_t *one, *other;
    html_part(h, "Between the steps");
    if (json_array_size(json_object_get(r, "invariants")) == 0) {
        html_nothing(h, "No invariant is on record.");
        return;
    }
    struct html_table t = html_table(h, "Invariants", columns);
    json_array_foreach(json_object_get(r, "invariants"), i, one)
    {
        html_row(&t);
        html_cell(&t);
        html_add_word(h, one, "check");
        html_cell(&t);
        html_add_number(h, one, "passed");
        html_cell(&t);
        html_add_number(h, one, "asked");
        html_cell(&t);
        if (json_array_size(json_object_get(one, "others")) == 0)
            buf_addc(h->out, '-');
        json_array_foreach(json_object_get(one, "others"), k, other)
        {
            buf_adds(h->out, k > 0 ? " <br>" : "");
            html_add_badge(h, report_word(other, "verdict"), "not on record");
            buf_adds(h->out, " near step ");
            html_add_word(h, other, "step_near");
            buf_adds(h->out, ": ");
            html_add_word_or(h, other, "why", "no words");
        }
    }
    html_table_end(&t);
}

void html_run_steps(struct html *h, const json_t *report)
{
    add_steps(h, report);
    add_approvals(h, report);
    add_fencing(h, report);
    add_integrity(h, report);
    html_section(h, "guards", "Checks around the steps");
    add_preflight(h, report);
    add_invariants(h, report);
}
