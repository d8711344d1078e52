/*
 * The page of a report: golden files of both kinds, and what must hold of every page: it is well-formed, it holds no script
 * and nothing from elsewhere, what comes from outside stays text, and no label of a plot covers another.
 *
 * tests/golden/html/NAME.json is a report, NAME.html its page. GOLDEN_WRITE=1 writes the pages afresh, for a person
 * to look at (`make pictures`).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <expat.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/text.h"
#include "dr/data/time.h"
#include "dr/proof/html.h"
#include "dr/proof/svg.h"

static const char GOLDEN[] = "tests/golden/html";
static const char *const names[] = { "drill", "run", "period" };

static char *load(const char *name, const char *ext)
{
    DR_FREE char *path = dr_strf("%s/%s.%s", GOLDEN, name, ext);
    struct buf b = { 0 };
    struct dr_err err = { 0 };
    if (fs_read_file(path, 1 << 20, &b, &err) != DR_OK)
        fail_msg("%s (run the test in the project's root)", err.msg);
    return buf_take(&b);
}

static json_t *report_of(const char *name)
{
    DR_FREE char *text = load(name, "json");
    json_t *report = NULL;
    struct dr_err err = { 0 };
    assert_int_equal(json_read(name, text, strlen(text), &report, &err), DR_OK);
    return report;
}

/* ---- a reader of pages ------------------------------------------------------------------------- */

struct label {
    double left, right, y;
    char text[128];
};

enum { LABELS_MAX = 1000 };

struct reader {
    int in_svg, in_text, pictures;
    char kind; /* of the text: start, middle, end */
    double x, y, width;
    struct buf text;
    struct label labels[LABELS_MAX]; /* of this picture */
    size_t count;
    struct text_list ids, wanted;
    size_t labelled; /* texts of pictures in all */
};

static const char *attr(const char **attrs, const char *name)
{
    for (; attrs[0] != NULL; attrs += 2)
        if (strcmp(attrs[0], name) == 0)
            return attrs[1];
    return NULL;
}

/* Our own numbers have one dot at most. */
static double number(const char *text)
{
    assert_non_null(text);
    assert_int_equal(strspn(text, "-0123456789."), strlen(text));
    return strtod(text, NULL);
}

static void on_start(void *arg, const char *name, const char **attrs)
{
    static const char *const lengths[] = { "x", "y", "x1", "x2", "y1", "y2", "width", "height" };
    struct reader *r = arg;
    const char *id = attr(attrs, "id"), *href = attr(attrs, "href");
    assert_string_not_equal(name, "script");
    assert_null(attr(attrs, "src"));
    if (id != NULL) {
        assert_false(text_list_has(&r->ids, id));
        text_list_add(&r->ids, id);
    }
    if (href != NULL) {
        assert_int_equal(href[0], '#');
        text_list_add(&r->wanted, href + 1);
    }
    for (const char **a = attrs; a[0] != NULL; a += 2)
        assert_false(text_starts(a[0], "on"));
    if (strcmp(name, "svg") == 0) {
        const char *box = attr(attrs, "viewBox");
        assert_true(box != NULL && text_starts(box, "0 0 "));
        r->in_svg++;
        r->count = 0;
        r->width = strtod(box + strlen("0 0 "), NULL);
        if (attr(attrs, "role") != NULL)
            r->pictures++;
    }
    if (r->in_svg == 0)
        return;
    for (size_t i = 0; i < DR_ARRAY_LEN(lengths); i++)
        if (attr(attrs, lengths[i]) != NULL)
            (void)number(attr(attrs, lengths[i]));
    if (strcmp(name, "rect") == 0)
        assert_true(number(attr(attrs, "width")) >= 0 && number(attr(attrs, "height")) >= 0);
    if (strcmp(name, "text") == 0) {
        const char *class = attr(attrs, "class");
        r->in_text++;
        r->x = number(attr(attrs, "x"));
        r->y = number(attr(attrs, "y"));
        r->kind = class[0];
        buf_clear(&r->text);
    }
}

static void on_text(void *arg, const char *text, int len)
{
    struct reader *r = arg;
    if (r->in_text > 0)
        buf_add(&r->text, text, (size_t)len);
}

/* No label may leave the picture nor touch another; letters are 6.3 units wide on average, 8 high. */
static void keep_label(struct reader *r)
{
    size_t letters = 0;
    for (size_t i = 0; i < r->text.len; i++)
        letters += ((unsigned char)r->text.data[i] & 0xc0) != 0x80;
    double width = 6.3 * (double)letters;
    struct label l = { .y = r->y };
    l.left = r->kind == 'm' ? r->x - width / 2 : r->kind == 'e' ? r->x - width : r->x;
    l.right = l.left + width;
    snprintf(l.text, sizeof(l.text), "%s", r->text.len > 0 ? r->text.data : "");
    if (l.left < -0.5 || l.right > r->width + 0.5)
        fail_msg("the label '%s' leaves its picture: %g to %g", l.text, l.left, l.right);
    for (size_t i = 0; i < r->count; i++) {
        const struct label *o = &r->labels[i];
        bool apart = l.left >= o->right || o->left >= l.right || l.y - o->y >= 8 || o->y - l.y >= 8;
        if (!apart)
            fail_msg("the labels '%s' and '%s' cover each other", l.text, o->text);
    }
    assert_true(r->count < LABELS_MAX);
    r->labels[r->count++] = l;
    r->labelled++;
}

static void on_end(void *arg, const char *name)
{
    struct reader *r = arg;
    if (strcmp(name, "svg") == 0)
        r->in_svg--;
    if (r->in_svg > 0 && strcmp(name, "text") == 0) {
        r->in_text--;
        keep_label(r);
    }
}

/* HTML that is XML, too, but for two elements that HTML does not close, and one attribute without a value. */
static char *as_xml(const char *page)
{
    struct buf out = { 0 };
    const char *body = strstr(page, "<body>");
    assert_non_null(body);
    for (const char *p = body; strncmp(p, "</html>", 7) != 0;) {
        static const char open[] = "<details open>";
        if (strncmp(p, open, strlen(open)) == 0) {
            buf_adds(&out, "<details>");
            p += strlen(open);
            continue;
        }
        size_t len = strncmp(p, "<br>", 4) == 0 ? 4 : strncmp(p, "<wbr>", 5) == 0 ? 5 : 1;
        assert_int_not_equal(*p, '\0');
        buf_add(&out, p, len > 1 ? len - 1 : 1);
        buf_adds(&out, len > 1 ? "/>" : "");
        p += len;
    }
    return buf_take(&out);
}

static void only_plain_bytes(const char *page)
{
    assert_true(text_is_utf8(page, strlen(page)));
    for (const char *p = page; *p != '\0'; p++)
        assert_true((unsigned char)*p >= 0x20 || *p == '\n');
    static const char *const never[] = { "<script", "http:",        "https:",       "url(",
                                         "@import", "\xe2\x80\xae", "\xe2\x81\xa6", "-nan",
                                         ">nan",    "NaN" };
    for (size_t i = 0; i < DR_ARRAY_LEN(never); i++)
        if (strstr(page, never[i]) != NULL)
            fail_msg("the page holds '%s'", never[i]);
}

/* Reads a page as strictly as can be; how many pictures it has. */
static int look_at(const char *page)
{
    only_plain_bytes(page);
    struct reader *r = dr_alloc(1, sizeof(*r));
    DR_FREE char *xml = as_xml(page);
    XML_Parser parser = XML_ParserCreate("UTF-8");
    XML_SetUserData(parser, r);
    XML_SetElementHandler(parser, on_start, on_end);
    XML_SetCharacterDataHandler(parser, on_text);
    if (XML_Parse(parser, xml, (int)strlen(xml), 1) != XML_STATUS_OK)
        fail_msg("line %lu: %s", XML_GetCurrentLineNumber(parser),
                 XML_ErrorString(XML_GetErrorCode(parser)));
    XML_ParserFree(parser);
    for (size_t i = 0; i < r->wanted.count; i++)
        assert_true(text_list_has(&r->ids, r->wanted.items[i]));
    int pictures = r->pictures;
    text_list_fini(&r->ids);
    text_list_fini(&r->wanted);
    buf_fini(&r->text);
    free(r);
    return pictures;
}

static char *page_of(const json_t *report)
{
    struct buf out = { 0 };
    report_html(report, &out);
    return buf_take(&out);
}

/* ---- golden pages ------------------------------------------------------------------------------ */

static void both_kinds_are_told_as_they_were(void **state)
{
    (void)state;
    const char *write = getenv("GOLDEN_WRITE"); /* NOLINT(concurrency-mt-unsafe) */
    for (size_t i = 0; i < DR_ARRAY_LEN(names); i++) {
        DR_JSON json_t *report = report_of(names[i]);
        DR_FREE char *page = page_of(report);
        if (write != NULL && strcmp(write, "1") == 0) {
            DR_FREE char *file = dr_strf("%s.html", names[i]);
            DR_FREE char *path = dr_strf("%s/%s", GOLDEN, file);
            struct dr_err err = { 0 };
            assert_int_equal(fs_replace(GOLDEN, file, page, strlen(page), &err), DR_OK);
            assert_int_equal(chmod(path, 0644), 0);
        }
        DR_FREE char *want = load(names[i], "html");
        assert_string_equal(page, want);
    }
}

static void a_page_is_well_formed_and_needs_nothing_else(void **state)
{
    (void)state;
    static const int pictures[] = { 2, 2, 5 };
    for (size_t i = 0; i < DR_ARRAY_LEN(names); i++) {
        DR_JSON json_t *report = report_of(names[i]);
        DR_FREE char *page = page_of(report);
        assert_int_equal(look_at(page), pictures[i]);
    }
}

/* What the programs make of journals and ledgers, as it is. */
static void each_recorded_report_has_a_page(void **state)
{
    (void)state;
    static const char *const recorded[] = { "drill", "dry", "held", "period", "recovered" };
    for (size_t i = 0; i < DR_ARRAY_LEN(recorded); i++) {
        DR_FREE char *name = dr_strf("../report/%s", recorded[i]);
        DR_JSON json_t *report = report_of(name);
        DR_FREE char *page = page_of(report);
        (void)look_at(page);
    }
}

static void the_same_report_gives_the_same_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < DR_ARRAY_LEN(names); i++) {
        DR_JSON json_t *one = report_of(names[i]);
        DR_CLEANUP(buf_fini) struct buf canonical = { 0 };
        json_add_canonical(&canonical, one);
        json_t *two = NULL;
        struct dr_err err = { 0 };
        assert_int_equal(json_read("again", canonical.data, canonical.len, &two, &err), DR_OK);
        DR_FREE char *a = page_of(one);
        DR_FREE char *b = page_of(two);
        assert_string_equal(a, b);
        json_decref(two);
    }
}

/* ---- whatever the report holds ------------------------------------------------------------------ */

/* All values below `at` that `change` has an answer for. */
typedef json_t *changer(const json_t *value);

static void change_all(json_t *at, changer *change)
{
    const char *key;
    json_t *value;
    size_t i;
    void *next;
    if (json_is_array(at)) {
        json_array_foreach(at, i, value)
        {
            json_t *other = change(value);
            if (other != NULL)
                json_array_set_new(at, i, other);
            else
                change_all(value, change); /* NOLINT(misc-no-recursion) */
        }
        return;
    }
    json_object_foreach_safe(at, next, key, value)
    {
        json_t *other = strcmp(key, "kind") == 0 && json_is_string(value) ? NULL : change(value);
        if (other != NULL)
            json_object_set_new(at, key, other);
        else
            change_all(value, change); /* NOLINT(misc-no-recursion) */
    }
}

static const char evil[] =
    "</title></style><script>alert(\"1\")</script>'\x1b[2J\x7f\xe2\x80\xaegnp.\xe2\x80\xa6"
    "\xe2\x81\xa6&amp; \xc2\x85\\x1b --> ]]> \xef\xbf\xbf";

static json_t *to_evil(const json_t *v)
{
    return json_is_string(v) ? json_string_nocheck(evil) : NULL;
}

static json_t *to_evil_but_times(const json_t *v)
{
    int64_t ns;
    return json_is_string(v) && !time_parse(json_string_value(v), &ns) ? json_string_nocheck(evil)
                                                                       : NULL;
}

static json_t *to_largest(const json_t *v)
{
    return json_is_integer(v) ? json_integer(INT64_MAX) : NULL;
}

static json_t *to_smallest(const json_t *v)
{
    return json_is_integer(v) ? json_integer(INT64_MIN) : NULL;
}

static json_t *to_zero(const json_t *v)
{
    return json_is_integer(v) ? json_integer(0) : NULL;
}

static json_t *to_ten_years(const json_t *v)
{
    return json_is_integer(v) ? json_integer(INT64_C(315360000000)) : NULL;
}

static json_t *to_null(const json_t *v)
{
    return json_is_object(v) || json_is_array(v) ? NULL : json_null();
}

static json_t *to_empty(const json_t *v)
{
    return json_is_array(v) ? json_array() : NULL;
}

static json_t *to_number(const json_t *v)
{
    return json_is_string(v) || json_is_boolean(v) ? json_integer(-7) : NULL;
}

static json_t *to_text(const json_t *v)
{
    return json_is_object(v)  ? NULL
           : json_is_array(v) ? json_string("a list")
                              : json_string("a text");
}

static void whatever_a_report_holds_its_page_is_whole(void **state)
{
    (void)state;
    static changer *const changes[] = { to_evil,     to_evil_but_times, to_largest,
                                        to_smallest, to_zero,           to_ten_years,
                                        to_null,     to_empty,          to_number,
                                        to_text };
    for (size_t i = 0; i < DR_ARRAY_LEN(names); i++)
        for (size_t k = 0; k < DR_ARRAY_LEN(changes); k++) {
            DR_JSON json_t *report = report_of(names[i]);
            change_all(report, changes[k]);
            DR_FREE char *page = page_of(report);
            only_plain_bytes(page);
            if (changes[k] != to_evil && changes[k] != to_evil_but_times)
                (void)look_at(page); /* labels of such names are cut, and still too wide */
        }
}

static void what_comes_from_outside_stays_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < DR_ARRAY_LEN(names); i++) {
        DR_JSON json_t *report = report_of(names[i]);
        change_all(report, to_evil);
        DR_FREE char *page = page_of(report);
        assert_non_null(strstr(page,
                               "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39;\\x1b[2J\\x7f"
                               "\\u202egnp.\xe2\x80\xa6\\u2066&amp;amp; \\xc2\\x85\\\\x1b"));
        assert_null(strstr(page, "alert(\""));
    }
}

static size_t members(json_t *at, json_t **ret_at, char (*ret_key)[64], size_t max)
{
    size_t count = 0;
    struct {
        json_t *items[4096];
        size_t count;
    } *open = dr_alloc(1, sizeof(*open));
    open->items[open->count++] = at;
    while (open->count > 0) {
        json_t *o = open->items[--open->count];
        const char *key;
        json_t *value;
        size_t i;
        json_array_foreach(o, i, value)
        {
            assert_true(open->count < DR_ARRAY_LEN(open->items));
            if (json_is_object(value) || json_is_array(value))
                open->items[open->count++] = value;
        }
        json_object_foreach(o, key, value)
        {
            assert_true(open->count < DR_ARRAY_LEN(open->items));
            if (json_is_object(value) || json_is_array(value))
                open->items[open->count++] = value;
            if (count < max) {
                ret_at[count] = o;
                snprintf(ret_key[count++], 64, "%s", key);
            }
        }
    }
    free(open);
    return count;
}

/* Each member in turn is absent: the page is whole, and a figure that is absent is said to be. */
static void any_member_may_be_absent(void **state)
{
    (void)state;
    enum { MAX = 400 };
    for (size_t i = 0; i < DR_ARRAY_LEN(names); i++) {
        DR_JSON json_t *report = report_of(names[i]);
        json_t **at = dr_alloc(MAX, sizeof(json_t *));
        char(*keys)[64] = dr_alloc(MAX, sizeof(*keys));
        size_t count = members(report, at, keys, MAX);
        for (size_t k = 0; k < count; k++) {
            json_t *kept = json_incref(json_object_get(at[k], keys[k]));
            if (strcmp(keys[k], "kind") == 0 && at[k] == report) {
                json_decref(kept);
                continue;
            }
            json_object_del(at[k], keys[k]);
            DR_FREE char *page = page_of(report);
            (void)look_at(page);
            json_object_set_new(at[k], keys[k], kept);
        }
        free(at);
        free(keys);
    }
}

static void an_empty_month_says_so(void **state)
{
    (void)state;
    DR_JSON json_t *report = report_of("period");
    change_all(report, to_empty);
    json_object_set_new(report, "mttd_ms", json_null());
    json_object_set_new(report, "mttr_ms", json_null());
    DR_FREE char *page = page_of(report);
    assert_int_equal(look_at(page), 0);
    json_object_set_new(json_object_get(report, "drills"), "failed", json_integer(0));
    DR_FREE char *calm = page_of(report);
    assert_non_null(strstr(calm, "NO RUN ON RECORD"));
    assert_non_null(strstr(calm, "it proves no recovery"));
    assert_null(strstr(calm, "NO EXCEPTION"));
    static const char *const words[] = { "Not measured: no plan has a run on record",
                                         "Not measured: no bucket has a snapshot",
                                         "Not measured: no fault was planted",
                                         "Not measured: no run of this period has phases" };
    for (size_t i = 0; i < DR_ARRAY_LEN(words); i++)
        assert_non_null(strstr(calm, words[i]));
}

/* The same item `count` times in a list, with the member `key` told apart. */
static void repeat(json_t *list, size_t count, const char *key, const char *format)
{
    assert_true(json_array_size(list) > 0);
    DR_JSON json_t *one = json_deep_copy(json_array_get(list, 0));
    json_array_clear(list);
    for (size_t i = 0; i < count; i++) {
        json_t *copy = json_deep_copy(one);
        DR_FREE char *text = dr_strf("%s%03zu", format, i);
        json_object_set_new(copy, key, json_string(text));
        json_array_append_new(list, copy);
    }
}

static void from_one_to_very_many_no_label_covers_another(void **state)
{
    (void)state;
    static const size_t counts[] = { 1, 2, 3, 7, 12, 30, 60, 61, 500 };
    for (size_t i = 0; i < DR_ARRAY_LEN(counts); i++) {
        DR_JSON json_t *report = report_of("period");
        json_t *plan = json_array_get(json_object_get(report, "plans"), 0);
        repeat(json_object_get(plan, "trend"), counts[i], "run", "D-1");
        repeat(json_object_get(report, "runs"), counts[i], "id", "R-1");
        repeat(json_object_get(json_object_get(report, "drills"), "power"), counts[i], "month",
               "2026");
        json_t *series =
            json_object_get(json_array_get(json_object_get(report, "buckets"), 0), "series");
        while (json_array_size(series) > counts[i] + 1)
            json_array_remove(series, json_array_size(series) - 1);
        DR_FREE char *page = page_of(report);
        assert_int_equal(look_at(page), 5);
        assert_true((strstr(page, "The newest 60 of ") != NULL) == (counts[i] > 60));
    }
}

static void a_year_of_minutes_is_a_small_picture_with_every_peak(void **state)
{
    (void)state;
    DR_JSON json_t *report = report_of("period");
    json_t *bucket = json_array_get(json_object_get(report, "buckets"), 0);
    json_t *series = json_array();
    int64_t ns = 0;
    assert_true(time_parse("2026-11-01T00:00:00Z", &ns));
    for (int i = 0; i < 200000; i++) {
        char text[TIME_TEXT_MAX];
        time_print(ns + i * INT64_C(12) * 1000000000, text);
        json_array_append_new(series,
                              json_pack("{s:s,s:I}", "at", text, "loss_ms",
                                        (json_int_t)(i == 123457 ? 200000000 : i % 5 * 60000)));
    }
    json_object_set_new(bucket, "series", series);
    DR_FREE char *page = page_of(report);
    assert_true(strlen(page) < 160000);
    (void)look_at(page);
    assert_non_null(strstr(page, "at most 2d 7h"));
    char *path = strstr(page, "<path class=\"s s0\"");
    assert_non_null(path);
    path[strcspn(path, ">")] = '\0';
    assert_non_null(strstr(path, " 24L")); /* the peak, at the upper edge of the plot */
}

/* ---- ticks -------------------------------------------------------------------------------------- */

static void check_ticks(const struct ticks *t, int64_t lo, int64_t hi, size_t most)
{
    assert_true(t->count <= most);
    for (size_t i = 0; i < t->count; i++) {
        assert_true(t->items[i].at >= lo && t->items[i].at <= hi);
        assert_true(i == 0 || t->items[i].at > t->items[i - 1].at);
        assert_true(t->items[i].label[0] != '\0');
    }
}

static void ticks_are_round_and_never_too_many(void **state)
{
    (void)state;
    struct ticks t;
    for (int64_t span = 1; span < PLOT_LIMIT_MS; span = span * 5 / 4 + 1)
        for (size_t most = 2; most <= TICKS_MAX; most++) {
            ticks_durations(0, span, most, &t);
            check_ticks(&t, 0, span, most);
            assert_true(t.count >= 1 && t.items[0].at == 0);
            ticks_durations(-span / 3, span, most, &t);
            check_ticks(&t, -span / 3, span, most);
            if (span < PLOT_LIMIT_MS / 4 && span > 600000) {
                const int64_t from = INT64_C(1793491200000) + span % 86400000;
                ticks_dates(from, from + span, most, &t);
                check_ticks(&t, from, from + span, most);
            }
        }
    ticks_durations(0, 1800000, 5, &t);
    assert_int_equal(t.count, 4);
    assert_string_equal(t.items[0].label, "0");
    assert_string_equal(t.items[1].label, "10m");
    ticks_durations(-20000, 60000, 6, &t);
    assert_string_equal(t.items[0].label, "-20s");
}

static void dates_are_told_by_hour_day_month_or_year(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *first, *second;
    } cases[] = {
        { "2026-11-07T22:00:00Z", "2026-11-08T02:00:00Z", "22:00", "23:00" },
        { "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z", "Nov 1", "Nov 8" },
        { "2026-01-01T00:00:00Z", "2026-04-01T00:00:00Z", "Jan 2026", "Feb 2026" },
        { "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", "Jan 2026", "Apr 2026" },
        { "2019-02-28T00:00:00Z", "2026-01-01T00:00:00Z", "2020", "2022" },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(cases); i++) {
        int64_t from = 0, to = 0;
        struct ticks t;
        assert_true(time_parse(cases[i].from, &from) && time_parse(cases[i].to, &to));
        ticks_dates(from / 1000000, to / 1000000, 6, &t);
        assert_true(t.count >= 2 && t.count <= 6);
        assert_string_equal(t.items[0].label, cases[i].first);
        assert_string_equal(t.items[1].label, cases[i].second);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_kinds_are_told_as_they_were),
        cmocka_unit_test(a_page_is_well_formed_and_needs_nothing_else),
        cmocka_unit_test(each_recorded_report_has_a_page),
        cmocka_unit_test(the_same_report_gives_the_same_bytes),
        cmocka_unit_test(whatever_a_report_holds_its_page_is_whole),
        cmocka_unit_test(what_comes_from_outside_stays_text),
        cmocka_unit_test(any_member_may_be_absent),
        cmocka_unit_test(an_empty_month_says_so),
        cmocka_unit_test(from_one_to_very_many_no_label_covers_another),
        cmocka_unit_test(a_year_of_minutes_is_a_small_picture_with_every_peak),
        cmocka_unit_test(ticks_are_round_and_never_too_many),
        cmocka_unit_test(dates_are_told_by_hour_day_month_or_year),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
