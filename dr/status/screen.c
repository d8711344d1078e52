/*
 * The screen for three in the morning: the verdict first, what to do next last, where the eye is when it stops
 * scrolling. No line is wider than 80 columns, nothing depends on colour, all times are UTC and said to be so once. What
 * is not known is a word, never a number.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/base/text.h"
#include "dr/config/config.h"
#include "dr/data/duration.h"
#include "dr/data/time.h"
#include "dr/status/finding.h"
#include "dr/status/status.h"

enum { COLUMNS = 80, NAME_MAX_COLUMNS = 20, INDENT = 2 };

/* -- words ----------------------------------------------------------------------------------- */

static const char *text_of(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

/* Printable, and "-" for what is not known. The caller frees. */
static char *word(const json_t *o, const char *key)
{
    struct buf b = { 0 };
    const char *text = text_of(o, key);
    if (text == NULL || text[0] == '\0')
        return dr_strdup("-");
    text_add_printable(&b, text, strlen(text));
    return buf_take(&b);
}

/* A word in a column: what is too long ends in '~'. */
static void add_cell(struct buf *out, const char *text, size_t width)
{
    size_t len = strlen(text);
    if (len > width)
        buf_addf(out, "%.*s~  ", (int)width - 1, text);
    else
        buf_addf(out, "%-*s  ", (int)width, text);
}

static void add_word(struct buf *out, const json_t *o, const char *key, size_t width)
{
    DR_FREE char *text = word(o, key);
    add_cell(out, text, width);
}

static size_t width_of(const json_t *list, const char *key)
{
    size_t widest = 2;
    for (size_t i = 0; i < json_array_size(list); i++) {
        DR_FREE char *text = word(json_array_get(list, i), key);
        size_t len = strlen(text);
        widest = len > widest ? len : widest;
    }
    return widest < NAME_MAX_COLUMNS ? widest : NAME_MAX_COLUMNS;
}

static const char *tell_s(int64_t s, char out[DURATION_TEXT_MAX])
{
    return s < 1 ? "0s" : duration_tell(s * 1000, out);
}

/* Ends a line: no blanks behind it, nothing behind column 80. */
static void end_line(struct buf *out, size_t start)
{
    if (out->len > start + COLUMNS) {
        out->len = start + COLUMNS;
        out->data[out->len - 1] = '~';
    }
    while (out->len > start && out->data[out->len - 1] == ' ')
        out->len--;
    buf_addc(out, '\n');
}

/* Words of a text in lines of 80 columns; the first line begins where out is. */
static void add_wrapped(struct buf *out, const char *text, size_t column, size_t indent)
{
    DR_CLEANUP(buf_fini) struct buf clean = { 0 };
    text_add_printable(&clean, text, strlen(text));
    const char *at = clean.data != NULL ? clean.data : "";
    bool first = true;
    while (*at != '\0') {
        size_t len = strcspn(at, " ");
        if (!first && column + 1 + len > COLUMNS) {
            buf_addf(out, "\n%*s", (int)indent, "");
            column = indent;
            first = true;
        }
        if (!first)
            buf_addc(out, ' ');
        column += len + !first;
        buf_add(out, at, len);
        first = false;
        at += len + strspn(at + len, " ");
    }
    buf_addc(out, '\n');
}

static int64_t number(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static bool is(const json_t *o, const char *key, const char *text)
{
    const char *value = text_of(o, key);
    return value != NULL && strcmp(value, text) == 0;
}

static void add_heading(struct buf *out, const char *text)
{
    buf_addf(out, "\n%s\n", text);
}

/* "3m 38s ago", by a time of the view and when it was made. */
static void add_since(struct buf *out, const json_t *view, const char *time, size_t width)
{
    int64_t now_ns = 0, then_ns = 0;
    char text[DURATION_TEXT_MAX];
    const char *made_at = text_of(view, "made_at");
    if (time == NULL || made_at == NULL || !time_parse(made_at, &now_ns) ||
        !time_parse(time, &then_ns)) {
        add_cell(out, "never", width);
        return;
    }
    DR_FREE char *cell = dr_strf("%s ago", tell_s((now_ns - then_ns) / 1000000000, text));
    add_cell(out, cell, width);
}

/* -- the parts ------------------------------------------------------------------------------- */

static void add_verdict(struct buf *out, const json_t *view)
{
    const json_t *findings = json_object_get(view, "findings");
    size_t count = json_array_size(findings), critical = 0;
    for (size_t i = 0; i < count; i++)
        critical += finding_is_critical(json_array_get(findings, i));
    DR_CLEANUP(buf_fini) struct buf head = { 0 };
    buf_adds(&head, is(view, "verdict", "ok")          ? "OK"
                    : is(view, "verdict", "attention") ? "ATTENTION"
                                                       : "CANNOT TELL");
    if (critical > 0)
        buf_addf(&head, "  %zu critical", critical);
    if (count > critical)
        buf_addf(&head, "%s%zu warning%s", critical > 0 ? ", " : "  ", count - critical,
                 count - critical == 1 ? "" : "s");
    DR_CLEANUP(buf_fini) struct buf when = { 0 };
    DR_FREE char *by = word(view, "by");
    int64_t ns = 0;
    const char *made_at = text_of(view, "made_at");
    if (made_at != NULL && time_parse(made_at, &ns))
        buf_addf(&when, "%.10s %.8s UTC", made_at, made_at + strlen("2026-11-21T"));
    size_t start = out->len;
    buf_addf(out, "%-*s%s", (int)(COLUMNS - when.len), head.data,
             when.data != NULL ? when.data : "");
    end_line(out, start);
    buf_addf(out, "%*sseen from %.60s\n", INDENT, "", by);
}

static void add_runs(struct buf *out, const json_t *view)
{
    const json_t *runs = json_object_get(view, "runs");
    if (json_array_size(runs) == 0)
        return;
    add_heading(out, "RUNS THAT ARE NOT OVER");
    for (size_t i = 0; i < json_array_size(runs); i++) {
        const json_t *run = json_array_get(runs, i);
        size_t start = out->len;
        DR_FREE char *mode = word(run, "mode"), *from = word(run, "from"), *to = word(run, "to");
        buf_addf(out, "%*s", INDENT, "");
        add_word(out, run, "id", 6);
        add_word(out, run, "state", 9);
        if (strcmp(from, "-") != 0)
            buf_addf(out, "%s %s -> %s  ", mode, from, strcmp(to, "-") != 0 ? to : "?");
        add_since(out, view, text_of(run, "started_at"), 14);
        add_word(out, run, "plan", NAME_MAX_COLUMNS);
        end_line(out, start);
    }
}

static void add_probes(struct buf *out, const json_t *site)
{
    const json_t *probes = json_object_get(site, "probes");
    for (size_t i = 0; i < json_array_size(probes); i++) {
        const json_t *probe = json_array_get(probes, i);
        DR_FREE char *name = word(probe, "name"), *state = word(probe, "state");
        bool down = strcmp(state, "down") == 0;
        buf_addf(out, "%s%s %s", i > 0 ? ", " : "", name, down ? "DOWN" : state);
    }
}

static void add_sites(struct buf *out, const json_t *view)
{
    const json_t *sites = json_object_get(view, "sites");
    size_t names = width_of(sites, "name"), regions = width_of(sites, "region");
    if (json_array_size(sites) == 0)
        return;
    add_heading(out, "SITES");
    for (size_t i = 0; i < json_array_size(sites); i++) {
        const json_t *site = json_array_get(sites, i);
        char text[DURATION_TEXT_MAX];
        size_t start = out->len;
        buf_addf(out, "%*s", INDENT, "");
        add_word(out, site, "name", names);
        add_word(out, site, "region", regions);
        const char *age = tell_s(number(site, "age_s"), text);
        DR_FREE char *state = is(site, "state", "alive")           ? dr_strf("alive, %s ago", age)
                              : is(site, "state", "silent")        ? dr_strf("SILENT for %s", age)
                              : is(view, "verdict", "cannot tell") ? dr_strdup("cannot tell")
                                                                   : dr_strdup("NEVER heard of");
        add_cell(out, state, 20);
        add_probes(out, site);
        end_line(out, start);
    }
}

static void add_source(struct buf *out, const json_t *view, const json_t *source, size_t names)
{
    const json_t *newest = json_object_get(source, "newest");
    const json_t *copies = json_object_get(source, "copies");
    bool known = json_is_integer(copies);
    char age[DURATION_TEXT_MAX], every[DURATION_TEXT_MAX];
    size_t start = out->len;
    buf_addf(out, "%*s", INDENT, "");
    add_word(out, source, "name", names);
    DR_FREE char *cell =
        json_is_object(newest)
            ? dr_strf("%s ago%s", tell_s(number(newest, "age_s"), age),
                      json_is_true(json_object_get(source, "overdue")) ? " LATE" : "")
            : dr_strdup(known ? "NONE" : "cannot tell");
    add_cell(out, cell, 16);
    add_cell(out,
             json_is_integer(json_object_get(source, "every_s"))
                 ? duration_print(number(source, "every_s") * 1000, every)
                 : "-",
             9);
    DR_FREE char *count = known ? dr_strf("%lld, wants %lld", (long long)json_integer_value(copies),
                                          (long long)number(source, "needed"))
                                : dr_strdup("cannot tell");
    add_cell(out, count, 11);
    if (known)
        add_since(out, view, text_of(source, "proved_at"), 13);
    else
        buf_adds(out, "cannot tell");
    end_line(out, start);
}

static void add_sources(struct buf *out, const json_t *view)
{
    const json_t *sources = json_object_get(view, "sources");
    size_t names = width_of(sources, "name");
    names = names < strlen("SOURCES") ? strlen("SOURCES") : names;
    buf_addf(out, "\n%-*s    %-16s  %-9s  %-11s  %s\n", (int)names, "SOURCES", "newest",
             "due every", "copies", "proved");
    for (size_t i = 0; i < json_array_size(sources); i++)
        add_source(out, view, json_array_get(sources, i), names);
    if (json_array_size(sources) == 0)
        buf_addf(out, "%*snone is configured, and no bucket knows one\n", INDENT, "");
}

/* What would be lost with a region: of the sources that live there, or of which nobody knows. That of drctl
 * itself lives everywhere. */
static void add_loss(struct buf *out, const json_t *bucket, size_t column)
{
    DR_CLEANUP(buf_fini) struct buf line = { 0 };
    const json_t *losses = json_object_get(bucket, "if_region_died");
    for (size_t i = 0; i < json_array_size(losses); i++) {
        const json_t *one = json_array_get(losses, i);
        char text[DURATION_TEXT_MAX];
        DR_FREE char *source = word(one, "source");
        if (json_is_false(json_object_get(one, "lives_there")) || is(one, "source", CONFIG_SELF))
            continue;
        buf_addf(&line, "%s%s: ", line.len > 0 ? "; " : "", source);
        if (json_is_integer(json_object_get(one, "loss_s")))
            buf_addf(&line, "the last %s", tell_s(number(one, "loss_s"), text));
        else
            buf_adds(&line, "EVERYTHING");
    }
    add_wrapped(out, line.len > 0 ? line.data : "nothing: no source lives there", column, column);
}

static bool was_told(const json_t *buckets, size_t index, const char *region)
{
    for (size_t i = 0; i < index; i++) {
        const char *other = text_of(json_array_get(buckets, i), "region");
        if (other != NULL && region != NULL && strcmp(other, region) == 0)
            return true;
    }
    return false;
}

static void add_losses(struct buf *out, const json_t *view)
{
    const json_t *buckets = json_object_get(view, "buckets");
    size_t regions = width_of(buckets, "region");
    if (is(view, "verdict", "cannot tell"))
        return;
    add_heading(out, "IF THE REGION DIED NOW, THIS WOULD BE LOST");
    for (size_t i = 0; i < json_array_size(buckets); i++) {
        const json_t *bucket = json_array_get(buckets, i);
        if (was_told(buckets, i, text_of(bucket, "region")))
            continue;
        buf_addf(out, "%*s", INDENT, "");
        add_word(out, bucket, "region", regions);
        add_loss(out, bucket, INDENT + regions + 2);
    }
}

static void add_bucket(struct buf *out, const json_t *bucket, size_t names, size_t regions)
{
    char size[32];
    size_t start = out->len;
    bool ok = is(bucket, "state", "ok"), behind = is(bucket, "state", "behind");
    buf_addf(out, "%*s", INDENT, "");
    add_word(out, bucket, "name", names);
    add_word(out, bucket, "region", regions);
    add_cell(out,
             ok                               ? "ok"
             : behind                         ? "BEHIND"
             : is(bucket, "state", "foreign") ? "FOREIGN"
                                              : "UNREACHABLE",
             11);
    if (json_is_integer(json_object_get(bucket, "snapshots")))
        buf_addf(out, "%" PRId64 " snapshot%s, %s  ", number(bucket, "snapshots"),
                 number(bucket, "snapshots") == 1 ? "" : "s",
                 text_size(size, sizeof(size), (uint64_t)number(bucket, "bytes")));
    end_line(out, start);
}

static void add_buckets(struct buf *out, const json_t *view)
{
    const json_t *buckets = json_object_get(view, "buckets");
    size_t names = width_of(buckets, "name"), regions = width_of(buckets, "region");
    add_heading(out, "BUCKETS");
    for (size_t i = 0; i < json_array_size(buckets); i++)
        add_bucket(out, json_array_get(buckets, i), names, regions);
}

static void add_forecast(struct buf *out, const json_t *view)
{
    const json_t *list = json_object_get(view, "forecast");
    size_t names = width_of(list, "source");
    if (json_array_size(list) == 0)
        return;
    add_heading(out, "A RESTORE OF THE NEWEST SNAPSHOT WOULD TAKE");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        char min[DURATION_TEXT_MAX], median[DURATION_TEXT_MAX], max[DURATION_TEXT_MAX];
        size_t start = out->len;
        buf_addf(out, "%*s", INDENT, "");
        add_word(out, one, "source", names);
        if (number(one, "n") == 0) {
            DR_FREE char *note = word(one, "note");
            buf_addf(out, "not known: %s", note);
        } else {
            buf_addf(out, "%s to %s, median %s (measured %" PRId64 " time%s)",
                     tell_s(number(one, "min_s"), min), tell_s(number(one, "max_s"), max),
                     tell_s(number(one, "median_s"), median), number(one, "n"),
                     number(one, "n") == 1 ? "" : "s");
        }
        end_line(out, start);
    }
}

static void add_findings(struct buf *out, const json_t *view)
{
    const json_t *findings = json_object_get(view, "findings");
    if (json_array_size(findings) == 0)
        return;
    add_heading(out, "WHAT TO DO");
    for (size_t i = 0; i < json_array_size(findings); i++) {
        const json_t *one = json_array_get(findings, i);
        const char *text = text_of(one, "text"), *hint = text_of(one, "hint");
        buf_addf(out, "%c ", finding_is_critical(one) ? '!' : '-');
        add_wrapped(out, text != NULL ? text : "", 2, 4);
        if (hint == NULL)
            continue;
        buf_addf(out, "    ");
        add_wrapped(out, hint, 4, 4);
    }
}

void status_screen(const json_t *view, struct buf *out)
{
    add_verdict(out, view);
    add_runs(out, view);
    add_sites(out, view);
    add_sources(out, view);
    add_losses(out, view);
    add_buckets(out, view);
    add_forecast(out, view);
    add_findings(out, view);
}
