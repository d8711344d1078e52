/*
 * report_text.c - the report as text, from the JSON form alone.
 *
 * An end of an interval is rounded outwards, so that a rounded interval never promises more than
 * was measured. All times are UTC. A value that the JSON form does not have is said to be missing.
 */
#include <inttypes.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/base/text.h"
#include "dr/data/time.h"
#include "dr/proof/report_work.h"

enum { TITLE_COLUMNS = 11 };

const char *report_word(const json_t *object, const char *key)
{
    const char *text = body_text(object, key);
    return text != NULL ? text : "";
}

const json_t *report_list(const json_t *object, const char *key)
{
    return json_object_get(object, key);
}

bool report_has(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return value != NULL && !json_is_null(value);
}

void report_add(struct buf *out, const char *text)
{
    buf_adds(out, text);
}

void report_add_title(struct buf *out, const char *word)
{
    buf_addf(out, "%-*s", TITLE_COLUMNS, word);
}

/* "2026-11-21T03:16:00.020Z": milliseconds are what probes can tell. */
void report_add_time(struct buf *out, const char *text)
{
    int64_t ns;
    char digits[TIME_TEXT_MAX];
    if (!time_parse(text, &ns)) {
        buf_adds(out, "not on record");
        return;
    }
    time_print(ns, digits);
    buf_addf(out, "%.23sZ", digits);
}

void report_add_upper(struct buf *out, const char *word)
{
    for (; *word != '\0'; word++)
        buf_addc(out, (char)(*word >= 'a' && *word <= 'z' ? *word - 'a' + 'A' : *word));
}

void report_end_line(struct buf *out)
{
    while (out->len > 0 && out->data[out->len - 1] == ' ')
        out->len--;
    buf_addc(out, '\n');
}

/* One empty line, never two. */
void report_add_blank(struct buf *out)
{
    if (out->len < 2 || out->data[out->len - 2] != '\n')
        buf_addc(out, '\n');
}

void report_add_state(struct buf *out, const json_t *report)
{
    if (json_is_true(json_object_get(report, "dry")))
        buf_adds(out, "DRY RUN");
    else
        report_add_upper(out, report_has(report, "state") ? report_word(report, "state")
                                                          : "state not on record");
}

/* --- durations --- */

char *report_tell_ms(int64_t ms, bool up, char out[DURATION_TEXT_MAX])
{
    int64_t tenths = (ms + (up ? 99 : 0)) / 100;
    int64_t s = (ms + (up ? 999 : 0)) / 1000;
    if (tenths < 600)
        snprintf(out, DURATION_TEXT_MAX, "%" PRId64 ".%" PRId64 "s", tenths / 10, tenths % 10);
    else
        duration_tell(s * 1000, out);
    return out;
}

void report_add_interval(struct buf *out, const json_t *figure)
{
    char lo[DURATION_TEXT_MAX], hi[DURATION_TEXT_MAX];
    bool has_lo = report_has(figure, "lo_ms"), has_hi = report_has(figure, "hi_ms");
    report_tell_ms(body_int(figure, "lo_ms", 0), false, lo);
    report_tell_ms(body_int(figure, "hi_ms", 0), true, hi);
    if (has_lo && has_hi)
        buf_addf(out, "%s to %s", lo, hi);
    else if (has_lo)
        buf_addf(out, "at least %s", lo);
    else if (has_hi)
        buf_addf(out, "at most %s", hi);
    else
        buf_adds(out, "not measured");
}

void report_add_objective(struct buf *out, const json_t *object, const char *key)
{
    char text[DURATION_TEXT_MAX];
    int64_t ms = body_int(object, key, -1);
    if (ms >= 0)
        buf_adds(out, duration_print(ms, text));
    else
        buf_adds(out, "none");
}

/* "MET" "MISSED" "NOT DETERMINABLE"; nothing when there is no objective. */
void report_add_verdict(struct buf *out, const json_t *figure)
{
    const char *word = report_word(figure, "verdict");
    if (strcmp(word, "none") != 0 && strcmp(word, "not measured") != 0)
        report_add_upper(out, word);
}

/* --- the whole report --- */

void report_add_way(struct buf *out, const json_t *r)
{
    const char *failed = report_word(r, "failed"), *target = report_word(r, "target");
    if (failed[0] != '\0' || target[0] != '\0')
        buf_addf(out, "%s -> %s", failed[0] != '\0' ? failed : "(no region given up)",
                 target[0] != '\0' ? target : "(no region taken)");
}

static void add_params(struct buf *out, const json_t *r)
{
    DR_CLEANUP(buf_fini) struct buf sorted = { 0 };
    json_add_canonical(&sorted, json_object_get(r, "params"));
    if (sorted.len > 2) { /* {} */
        report_add_title(out, "");
        buf_adds(out, "params ");
        report_add(out, sorted.data);
        buf_addc(out, '\n');
    }
}

static void text_identity(struct buf *out, const json_t *r)
{
    const json_t *plan = json_object_get(r, "plan");
    report_add_title(out, "RUN");
    buf_addf(out, "%s  ", report_word(r, "run"));
    report_add_state(out, r);
    if (json_is_object(json_object_get(r, "drill")))
        buf_adds(out, "  DRILL");
    buf_addf(out, "  %s  ", report_word(r, "mode"));
    report_add_way(out, r);
    if (report_has(r, "epoch"))
        buf_addf(out, "  epoch %" PRId64, body_int(r, "epoch", 0));
    report_end_line(out);
    if (report_has(r, "why")) {
        report_add_title(out, "");
        report_add(out, report_word(r, "why"));
        buf_addc(out, '\n');
    }
    report_add_title(out, "PLAN");
    report_add(out, report_word(plan, "name"));
    if (report_word(plan, "title")[0] != '\0') {
        buf_adds(out, " (");
        report_add(out, report_word(plan, "title"));
        buf_addc(out, ')');
    }
    buf_addf(out, "  sha256 %s\n",
             report_has(plan, "sha256") ? report_word(plan, "sha256") : "not on record");
    add_params(out, r);
    report_add_title(out, "BY");
    report_add(out, report_has(r, "by") ? report_word(r, "by") : "not on record");
    buf_adds(out, " on ");
    report_add(out, report_has(r, "host") ? report_word(r, "host") : "a host not on record");
    buf_adds(out, ", ");
    report_add_time(out, report_word(r, "started"));
    buf_adds(out, " to ");
    report_add_time(out, report_word(r, "ended"));
    buf_addc(out, '\n');
    size_t i;
    const json_t *one;
    json_array_foreach(report_list(r, "resumes"), i, one)
    {
        report_add_title(out, "");
        buf_adds(out, "resumed by ");
        report_add(out, report_has(one, "by") ? report_word(one, "by") : "somebody not on record");
        buf_adds(out, " at ");
        report_add_time(out, report_word(one, "time"));
        buf_addc(out, '\n');
    }
}

static void text_figure(struct buf *out, const char *name, const json_t *figure)
{
    report_add_title(out, name);
    report_add_interval(out, figure);
    buf_adds(out, "   objective ");
    report_add_objective(out, figure, "objective_ms");
    buf_adds(out, "   ");
    report_add_verdict(out, figure);
    report_end_line(out);
    static const char *const lines[] = { "method", "why" };
    for (size_t i = 0; i < DR_ARRAY_LEN(lines); i++) {
        if (!report_has(figure, lines[i]))
            continue;
        report_add_title(out, "");
        report_add(out, report_word(figure, lines[i]));
        buf_addc(out, '\n');
    }
}

static void text_point(struct buf *out, const char *word, const json_t *point)
{
    if (!report_has(point, "from") && !report_has(point, "to"))
        return;
    report_add_title(out, "");
    buf_addf(out, "%-6s", word);
    if (strcmp(report_word(point, "from"), report_word(point, "to")) != 0) {
        buf_adds(out, "after ");
        report_add_time(out, report_word(point, "from"));
        buf_adds(out, ", not later than ");
    }
    report_add_time(out, report_word(point, "to"));
    buf_addc(out, '\n');
}

static void text_clock(struct buf *out, const json_t *clock)
{
    report_add_title(out, "CLOCK");
    if (report_has(clock, "max_error_ms"))
        buf_addf(out, "at most %" PRId64 " ms off", body_int(clock, "max_error_ms", 0));
    else
        buf_adds(out, "error not measured");
    buf_addf(out, ", set by %" PRId64 " ms during the run, %" PRId64 " changes of runner or boot\n",
             body_int(clock, "jump_ms", 0), body_int(clock, "joins", 0));
}

static void text_figures(struct buf *out, const json_t *r)
{
    const json_t *objectives = json_object_get(r, "objectives");
    report_add_title(out, "OBJECTIVES");
    buf_adds(out, "recovery time ");
    report_add_objective(out, objectives, "rto_ms");
    buf_adds(out, ", data loss ");
    report_add_objective(out, objectives, "rpo_ms");
    buf_adds(out, ": fixed ");
    report_add_time(out, report_word(objectives, "fixed_at"));
    buf_adds(out, ", before the first step\n");
    if (report_has(objectives, "sha256")) {
        report_add_title(out, "");
        buf_addf(out, "with the plan under sha256 %s\n", report_word(objectives, "sha256"));
    }
    text_clock(out, json_object_get(r, "clock"));
    buf_addc(out, '\n');
    text_figure(out, "RECOVERY", json_object_get(r, "recovery_time"));
    const json_t *assumed = json_object_get(json_object_get(r, "drill"), "assumed");
    if (json_is_object(assumed)) {
        report_add_title(out, "");
        report_add_assumed(out, assumed);
        buf_addc(out, '\n');
    }
    text_point(out, "broke", json_object_get(r, "impact"));
    text_point(out, "back", json_object_get(r, "recovered"));
    const json_t *loss = json_object_get(r, "data_loss");
    text_figure(out, "DATA LOSS", loss);
    if (report_has(loss, "sentinel")) {
        report_add_title(out, "");
        buf_adds(out, "last write kept: sentinel ");
        report_add_time(out, report_word(loss, "sentinel"));
        buf_addc(out, '\n');
    }
}

static void text_phases(struct buf *out, const json_t *r)
{
    const json_t *phases = json_object_get(r, "phases");
    if (!json_is_object(phases))
        return;
    size_t i;
    const json_t *one;
    report_add_blank(out);
    json_array_foreach(report_list(phases, "list"), i, one)
    {
        report_add_title(out, i == 0 ? "PHASES" : "");
        buf_addf(out, "%-10s %9.3f s\n", report_word(one, "phase"),
                 (double)body_int(one, "ms", 0) / 1000);
    }
    report_add_title(out, "");
    buf_addf(out, "%-10s %9.3f s   %s\n", "together",
             (double)body_int(phases, "whole_ms", 0) / 1000,
             json_is_true(json_object_get(phases, "ends_recovered"))
                 ? "from the earliest that it broke to the latest that it was back"
                 : "to the end of the journal: not known to be back");
}

static void text_standbys(struct buf *out, const json_t *r)
{
    size_t i;
    const json_t *one;
    json_array_foreach(report_list(r, "standbys"), i, one)
    {
        report_add_title(out, i == 0 ? "STANDBYS" : "");
        buf_addf(out, "%-18s %-10s ", report_word(one, "region"), report_word(one, "result"));
        report_add(out, report_word(one, "why"));
        report_end_line(out);
    }
}

static void text_step(struct buf *out, const char *head, const json_t *one)
{
    report_add_title(out, head);
    buf_addf(out, "%-14s %-16s %-9s ", report_word(one, "id"), report_word(one, "use"),
             report_word(one, "state"));
    if (report_has(one, "ms"))
        buf_addf(out, "%9.3f s  ", (double)body_int(one, "ms", 0) / 1000);
    else
        buf_addf(out, "%9s    ", "");
    report_add(out, report_word(one, "why"));
    report_end_line(out);
    size_t i;
    const json_t *text;
    json_array_foreach(report_list(one, "deviations"), i, text)
    {
        report_add_title(out, "");
        buf_adds(out, "               ! ");
        report_add(out, json_string_value(text));
        buf_addc(out, '\n');
    }
}

static void text_steps(struct buf *out, const json_t *r)
{
    size_t i;
    const json_t *one;
    report_add_blank(out);
    json_array_foreach(report_list(r, "steps"), i, one) text_step(out, i == 0 ? "STEPS" : "", one);
}

static void text_approvals(struct buf *out, const json_t *r)
{
    size_t i, k;
    const json_t *one, *answer;
    json_array_foreach(report_list(r, "approvals"), i, one)
    {
        report_add_title(out, i == 0 ? "APPROVALS" : "");
        buf_addf(out, "%s \"", report_word(one, "step"));
        report_add(out, report_word(one, "question"));
        buf_adds(out, "\" asked ");
        report_add_time(out, report_word(one, "asked"));
        buf_addf(out, ", what was shown: sha256 %s\n",
                 report_has(one, "shown") ? report_word(one, "shown") : "not on record");
        json_array_foreach(report_list(one, "answers"), k, answer)
        {
            report_add_title(out, "");
            buf_addf(out, "  %s by ", report_word(answer, "answer"));
            report_add(out, report_word(answer, "by"));
            if (report_has(answer, "role"))
                buf_addf(out, " (%s)", report_word(answer, "role"));
            buf_addc(out, ' ');
            report_add_time(out, report_word(answer, "time"));
            if (report_has(answer, "via")) {
                buf_adds(out, " from ");
                report_add(out, report_word(answer, "via"));
            }
            if (report_has(answer, "reason")) {
                buf_adds(out, ": ");
                report_add(out, report_word(answer, "reason"));
            }
            buf_addc(out, '\n');
        }
    }
}

/* One line a guard: its name, verdict, what it is about, its words, and the evidence behind them. */
static void text_guard(struct buf *out, const char *head, const json_t *one, const char *about)
{
    report_add_title(out, head);
    buf_addf(out, "%-14s %-8s ", report_word(one, report_has(one, "step") ? "step" : "check"),
             report_has(one, "verdict") ? report_word(one, "verdict") : "");
    report_add(out, report_word(one, about));
    buf_adds(out, "  ");
    report_add(out, report_word(one, "why"));
    report_end_line(out);
    if (!report_has(one, "evidence"))
        return;
    DR_CLEANUP(buf_fini) struct buf evidence = { 0 };
    json_add_canonical(&evidence, json_object_get(one, "evidence"));
    report_add_title(out, "");
    buf_adds(out, "               ");
    report_add(out, evidence.data);
    buf_addc(out, '\n');
}

static void text_guards(struct buf *out, const json_t *r)
{
    size_t i;
    const json_t *one;
    json_array_foreach(report_list(r, "fencing"), i, one)
    {
        text_guard(out, i == 0 ? "FENCE" : "", one, "proof");
        if (json_is_true(json_object_get(one, "simulated"))) {
            report_add_title(out, "");
            buf_adds(out, "               ! simulated: nothing was fenced\n");
        }
        if (!report_has(one, "skipped_by"))
            continue;
        report_add_title(out, "");
        buf_adds(out, "               ! skipped by ");
        report_add(out, report_word(one, "skipped_by"));
        buf_adds(out, ": nothing proves that the region cannot write\n");
    }
    json_array_foreach(report_list(r, "integrity"), i, one)
        text_guard(out, i == 0 ? "INTEGRITY" : "", one, "path");
    json_array_foreach(report_list(r, "preflight"), i, one)
        text_guard(out, i == 0 ? "PREFLIGHT" : "", one, "region");
    json_array_foreach(report_list(r, "invariants"), i, one)
    {
        report_add_title(out, i == 0 ? "INVARIANTS" : "");
        buf_addf(out, "%-14s passed %" PRId64 " of %" PRId64 "\n", report_word(one, "check"),
                 body_int(one, "passed", 0), body_int(one, "asked", 0));
        size_t k;
        const json_t *other;
        json_array_foreach(report_list(one, "others"), k, other)
        {
            report_add_title(out, "");
            buf_addf(out, "               ! %s at step %s: ", report_word(other, "verdict"),
                     report_word(other, "step_near"));
            report_add(out, report_word(other, "why"));
            report_end_line(out);
        }
    }
}

static void text_undone(struct buf *out, const json_t *r)
{
    size_t i;
    const json_t *one;
    json_array_foreach(report_list(r, "undone"), i, one)
    {
        report_add_title(out, i == 0 ? "UNDONE" : "");
        buf_addf(out, "%-14s %s", report_word(one, "step"), report_word(one, "state"));
        if (report_has(one, "standby"))
            buf_addf(out, " in %s", report_word(one, "standby"));
        if (json_is_true(json_object_get(one, "left_behind")))
            buf_adds(out, ", left behind");
        buf_addc(out, '\n');
    }
}

static void text_list(struct buf *out, const char *head, const json_t *list)
{
    size_t i;
    const json_t *one;
    json_array_foreach(list, i, one)
    {
        report_add_title(out, i == 0 ? head : "");
        report_add(out, json_string_value(one));
        buf_addc(out, '\n');
    }
}

void report_text(const json_t *told, struct buf *out)
{
    DR_JSON json_t *report = report_shown(told);
    const json_t *evidence = json_object_get(report, "evidence");
    text_identity(out, report);
    text_figures(out, report);
    text_phases(out, report);
    report_add_blank(out);
    text_standbys(out, report);
    text_approvals(out, report);
    text_guards(out, report);
    text_steps(out, report);
    report_add_blank(out);
    report_text_drill(out, report);
    text_undone(out, report);
    text_list(out, "NOTES", report_list(report, "notes"));
    text_list(out, "TO DO", report_list(report, "to_do"));
    if (json_array_size(report_list(report, "to_do")) == 0) {
        report_add_title(out, "TO DO");
        buf_adds(out, "nothing left to do\n");
    }
    report_text_findings(out, report_list(report, "findings"));
    if (json_array_size(report_list(report, "findings")) > 0) {
        report_add_title(out, "");
        buf_adds(out, "as of the end of the run; what became of them: drctl findings --all\n");
    }
    report_add_title(out, "EVIDENCE");
    buf_addf(out, "%" PRId64 " records, head %s\n", body_int(evidence, "records", 0),
             report_word(evidence, "head"));
    if (body_int(evidence, "torn_bytes", 0) > 0) {
        report_add_title(out, "");
        buf_addf(out,
                 "an incomplete record of %" PRId64
                 " bytes stands behind it: it was never acknowledged\n",
                 body_int(evidence, "torn_bytes", 0));
    }
    report_add_title(out, "");
    buf_addf(out,
             "each record names the hash of the one before: this report read the whole chain\n");
    if (json_is_true(json_object_get(evidence, "remote"))) {
        report_add_title(out, "");
        buf_addf(out, "in a bucket, compare the name: %s\n", report_word(evidence, "object"));
    }
    text_list(out, "VERIFY", report_list(report, "verify"));
}
