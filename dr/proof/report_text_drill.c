/*
 * report_text_drill.c - the lines of the text that only a drill has, and the findings of any run.
 */
#include <inttypes.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/proof/report_work.h"

static bool alike(const json_t *a, const json_t *b)
{
    return json_equal(json_object_get(a, "how"), json_object_get(b, "how")) &&
           json_equal(json_object_get(a, "why"), json_object_get(b, "why"));
}

bool report_differs_alike(const json_t *differs, size_t at, struct buf *ret_steps)
{
    const json_t *first = json_array_get(differs, at);
    for (size_t i = 0; i < at; i++)
        if (alike(json_array_get(differs, i), first))
            return false;
    for (size_t i = at; i < json_array_size(differs); i++) {
        const json_t *one = json_array_get(differs, i);
        if (alike(one, first))
            buf_addf(ret_steps, "%s%s", ret_steps->len > 0 ? ", " : "", report_word(one, "step"));
    }
    return true;
}

void report_add_assumed(struct buf *out, const json_t *assumed)
{
    char text[DURATION_TEXT_MAX];
    if (!report_has(assumed, "ms"))
        return;
    buf_addf(out, "up to %s of it as in %s: what is not done in a drill",
             report_tell_ms(body_int(assumed, "ms", 0), true, text), report_word(assumed, "from"));
    if (report_has(assumed, "what")) {
        buf_adds(out, " (");
        report_add(out, report_word(assumed, "what"));
        buf_addc(out, ')');
    }
}

/* -- a cause in few letters ------------------------------------------------------------------------ */

static const char hex_digits[] = "0123456789abcdef";

/* The rest of a quoted path behind its last '/'; `at` is behind the quote. NULL: no such path. */
static const char *last_part(const char *at)
{
    size_t len = strcspn(at, "'");
    if (at[0] != '/' || at[len] != '\'')
        return NULL;
    const char *part = at;
    for (size_t i = 0; i < len; i++)
        part = at[i] == '/' && i + 1 < len ? at + i + 1 : part;
    return part;
}

static void add_shorter(struct buf *out, const char *why)
{
    enum { DIGEST = 40, SHOWN = 8 };
    for (const char *at = why; *at != '\0';) {
        size_t hex = strspn(at, hex_digits);
        const char *part = at[0] == '\'' ? last_part(at + 1) : NULL;
        size_t take = hex >= DIGEST ? SHOWN : hex > 0 ? hex : 1;
        buf_add(out, at, take);
        if (hex >= DIGEST)
            buf_adds(out, "..");
        at = part != NULL ? part : at + (hex > 0 ? hex : 1);
    }
}

/* Where a part of at most so many letters ends: behind a word, and never inside of a letter. */
static size_t end_of_head(const char *text, size_t letters)
{
    size_t len = letters;
    while (len > letters / 3 && text[len] != ' ')
        len--;
    while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
        len--;
    return len;
}

static size_t begin_of_tail(const char *text, size_t len, size_t letters)
{
    size_t at = len - letters;
    while (at < len - letters / 2 && text[at] != ' ')
        at++;
    at += text[at] == ' ';
    while (at < len && ((unsigned char)text[at] & 0xc0) == 0x80)
        at++;
    return at;
}

/* What an error is of stands in front, and why it came to it at the end: the middle is what can be missed. */
void report_add_gist(struct buf *out, const char *why, size_t letters)
{
    DR_CLEANUP(buf_fini) struct buf all = { 0 };
    add_shorter(&all, why);
    const char *text = all.len > 0 ? all.data : "";
    if (letters == 0 || all.len <= letters) {
        report_add(out, text);
        return;
    }
    size_t head = end_of_head(text, letters / 2);
    DR_FREE char *first = dr_memdup(text, head);
    report_add(out, first);
    buf_adds(out, " .. ");
    report_add(out, text + begin_of_tail(text, all.len, letters - head));
}

/* -- the drill --------------------------------------------------------------------------------------- */

static void text_differs(struct buf *out, const json_t *drill)
{
    size_t i;
    const json_t *one;
    json_array_foreach(report_list(drill, "differs"), i, one)
    {
        DR_CLEANUP(buf_fini) struct buf steps = { 0 };
        if (!report_differs_alike(report_list(drill, "differs"), i, &steps))
            continue;
        report_add_title(out, i == 0 ? "DIFFERS" : "");
        buf_addf(out, "%-13s %s\n", report_word(one, "how"), steps.data);
        report_add_title(out, "");
        buf_addf(out, "%-13s ", "");
        report_add(out, report_word(one, "why"));
        report_end_line(out);
    }
    if (i == 0) {
        report_add_title(out, "DIFFERS");
        buf_adds(out, "no step: each was done as in earnest, or no record says otherwise\n");
    }
}

static void text_power(struct buf *out, const json_t *drill)
{
    const json_t *power = json_object_get(drill, "power");
    report_add_title(out, "POWER");
    if (json_is_object(power))
        buf_addf(out,
                 "%" PRId64 " of %" PRId64 " planted faults were caught: %" PRId64 " %%, seed %s\n",
                 body_int(power, "caught", 0), body_int(power, "planted", 0),
                 body_int(power, "percent", 0),
                 report_has(drill, "seed") ? report_word(drill, "seed") : "not on record");
    else
        buf_adds(out, "not measured: no fault was planted\n");
    size_t i;
    const json_t *one;
    json_array_foreach(report_list(drill, "controls"), i, one)
    {
        bool planted = json_is_true(json_object_get(one, "planted"));
        bool caught = json_is_true(json_object_get(one, "caught"));
        report_add_title(out, "");
        buf_addf(out, "%-11s %-24s ",
                 !planted ? "not planted"
                 : caught ? "caught"
                          : "MISSED",
                 report_word(one, report_has(one, "title") ? "title" : "name"));
        report_add(out, report_word(one, "why"));
        report_end_line(out);
    }
}

static void text_sentinels(struct buf *out, const json_t *drill)
{
    size_t i;
    const json_t *one;
    json_array_foreach(report_list(drill, "sentinels"), i, one)
    {
        const json_t *ok = json_object_get(one, "ok");
        report_add_title(out, i == 0 ? "SENTINEL" : "");
        buf_addf(out, "%-18s %-10s ", report_word(one, "source"),
                 json_is_true(ok)    ? "found"
                 : json_is_false(ok) ? "NOT FOUND"
                                     : "not looked for");
        report_add(out, report_word(one, report_has(one, "wanted") ? "wanted" : "nonce"));
        if (json_is_false(ok)) {
            buf_adds(out, ", but ");
            report_add(out, report_has(one, "found") ? report_word(one, "found") : "none");
        }
        report_end_line(out);
    }
}

static void text_production(struct buf *out, const json_t *drill)
{
    const json_t *production = json_object_get(drill, "production");
    const json_t *equal = json_object_get(production, "equal");
    report_add_title(out, "PRODUCTION");
    buf_adds(out, json_is_true(equal)    ? "before and after: equal, digest "
                  : json_is_false(equal) ? "before and after: NOT EQUAL"
                                         : "before and after: not measured");
    if (json_is_true(equal))
        report_add(out, report_has(production, "digest_after")
                            ? report_word(production, "digest_after")
                            : "not on record");
    buf_addc(out, '\n');
    size_t i;
    const json_t *one;
    json_array_foreach(report_list(production, "unread"), i, one)
    {
        report_add_title(out, "");
        buf_adds(out, "? ");
        report_add(out, report_word(one, "name"));
        buf_adds(out, " could not be read: ");
        report_add(out, report_has(one, "note") ? report_word(one, "note") : "no words on record");
        buf_addc(out, '\n');
    }
    json_array_foreach(report_list(production, "differs"), i, one)
    {
        report_add_title(out, "");
        buf_adds(out, "! ");
        report_add(out, report_word(one, "name"));
        buf_adds(out, ": was '");
        report_add(out, report_word(one, "before"));
        buf_adds(out, "', is '");
        report_add(out, report_word(one, "after"));
        buf_adds(out, "'\n");
    }
}

static void text_things(struct buf *out, const char *head, const json_t *list)
{
    size_t i;
    const json_t *one;
    json_array_foreach(list, i, one)
    {
        report_add_title(out, i == 0 ? head : "");
        buf_addf(out, "%-14s ", report_word(one, "what"));
        report_add(out, report_word(one, "name"));
        if (report_word(one, "at")[0] != '\0') {
            buf_adds(out, " at ");
            report_add(out, report_word(one, "at"));
        }
        if (report_word(one, "why")[0] != '\0') {
            buf_adds(out, ": ");
            report_add(out, report_word(one, "why"));
        }
        buf_addc(out, '\n');
    }
}

static void text_credentials(struct buf *out, const json_t *drill)
{
    size_t i;
    const json_t *one;
    json_array_foreach(report_list(drill, "credentials"), i, one)
    {
        DR_FREE char *name = dr_strf("%s %s", report_word(one, "what"), report_word(one, "name"));
        report_add_title(out, i == 0 ? "READ BY" : "");
        report_add(out, name);
        buf_addf(out, ": %s, writes %s: ",
                 json_is_true(json_object_get(one, "own")) ? "the drill's own" : "the usual rights",
                 report_word(one, "writes"));
        report_add(out, report_word(one, "why"));
        if (report_word(one, "at")[0] != '\0') {
            buf_adds(out, ", tried at ");
            report_add(out, report_word(one, "at"));
        }
        report_end_line(out);
    }
    if (i == 0) {
        report_add_title(out, "READ BY");
        buf_adds(out, "not on record: whether it could have written was not tried\n");
    }
}

static void text_refused(struct buf *out, const json_t *drill)
{
    size_t i, k;
    const json_t *one, *by;
    json_array_foreach(report_list(drill, "refused"), i, one)
    {
        report_add_title(out, i == 0 ? "REFUSED" : "");
        buf_addf(out, "%" PRId64 " connections to ", body_int(one, "count", 0));
        report_add(out, report_word(one, "region"));
        json_array_foreach(report_list(one, "by"), k, by)
        {
            buf_adds(out, k == 0 ? ", by " : ", ");
            report_add(out, report_word(by, "who"));
            buf_addf(out, " (%" PRId64 ")", body_int(by, "count", 0));
        }
        buf_addc(out, '\n');
    }
}

static void text_verdict(struct buf *out, const json_t *drill)
{
    const json_t *passed = json_object_get(drill, "passed");
    report_add_title(out, "DRILL");
    buf_adds(out, json_is_true(passed)    ? "PASSED"
                  : json_is_false(passed) ? "FAILED"
                                          : "no verdict on record");
    buf_addc(out, '\n');
    size_t i;
    const json_t *why;
    json_array_foreach(report_list(drill, "why"), i, why) if (json_is_string(why))
    {
        report_add_title(out, "");
        report_add(out, json_string_value(why));
        buf_addc(out, '\n');
    }
}

void report_text_drill(struct buf *out, const json_t *report)
{
    const json_t *drill = json_object_get(report, "drill");
    if (!json_is_object(drill))
        return;
    text_verdict(out, drill);
    text_differs(out, drill);
    text_power(out, drill);
    text_sentinels(out, drill);
    text_production(out, drill);
    text_credentials(out, drill);
    text_things(out, "CLEANED", report_list(drill, "cleaned"));
    text_things(out, "LEFT", report_list(drill, "leftovers"));
    if (json_array_size(report_list(drill, "leftovers")) == 0) {
        report_add_title(out, "LEFT");
        buf_adds(out, "nothing of what is on record\n");
    }
    text_refused(out, drill);
    report_add_title(out, "APART");
    report_add(out, report_word(json_object_get(drill, "segregated"), "text"));
    report_end_line(out);
    report_add_blank(out);
}

/* "owner ana, due 2026-11-28, 3 days overdue; run D-7, open for 12 days, seen by 2 runs": what is not known of a run is
 * left out, what nobody fixed is said. */
static void add_whose(struct buf *out, const json_t *one)
{
    report_add_title(out, "");
    buf_adds(out, report_has(one, "owner") ? "owner " : "no owner");
    report_add(out, report_word(one, "owner"));
    if (report_has(one, "due"))
        buf_addf(out, ", due %.10s", report_word(one, "due"));
    else
        buf_adds(out, ", no due date");
    int64_t late = body_int(one, "overdue_days", 0), age = body_int(one, "age_days", -1);
    if (body_is(one, "overdue") && late == 0)
        buf_adds(out, ", OVERDUE since less than a day");
    else if (body_is(one, "overdue"))
        buf_addf(out, ", OVERDUE by %" PRId64 " day%s", late, late == 1 ? "" : "s");
    if (report_has(one, "run")) {
        buf_adds(out, "; run ");
        report_add(out, report_word(one, "run"));
    }
    if (age >= 0)
        buf_addf(out, ", open for %" PRId64 " day%s", age, age == 1 ? "" : "s");
    if (body_int(one, "seen", 0) > 1)
        buf_addf(out, ", seen by %" PRId64 " runs", body_int(one, "seen", 0));
    buf_addc(out, '\n');
}

static void add_what(struct buf *out, const json_t *one)
{
    buf_addf(out, "%s %-8s ", report_word(one, "id"), report_word(one, "severity"));
    report_add(out, report_word(one, "text"));
    buf_addc(out, '\n');
}

void report_text_findings(struct buf *out, const json_t *findings)
{
    size_t i;
    const json_t *one;
    json_array_foreach(findings, i, one)
    {
        report_add_title(out, i == 0 ? "FINDINGS" : "");
        add_what(out, one);
        add_whose(out, one);
    }
}

void report_text_closed(struct buf *out, const json_t *closed)
{
    size_t i;
    const json_t *one;
    json_array_foreach(closed, i, one)
    {
        const json_t *end = json_object_get(one, "closed");
        int64_t after_ms = body_int(end, "after_ms", -1);
        char took[DURATION_TEXT_MAX];
        report_add_title(out, i == 0 ? "CLOSED" : "");
        add_what(out, one);
        report_add_title(out, "");
        buf_adds(out, report_has(end, "by") ? "by " : "by nobody on record");
        report_add(out, report_word(end, "by"));
        buf_addf(out, " on %.10s", report_word(end, "at"));
        if (after_ms >= 0)
            buf_addf(out, ", after %s", duration_tell(after_ms, took));
        buf_adds(out, ": ");
        report_add(out,
                   report_has(end, "reason") ? report_word(end, "reason") : "no reason on record");
        buf_addc(out, '\n');
    }
}
