/*
 * html_drill.c - what makes a drill a proof: planted faults and whether they were caught, the sentinel that had to come
 * back, production before and after, what differed from a real event, and what was cleaned up.
 */
#include <inttypes.h>
#include <string.h>

#include "dr/proof/html_work.h"
#include "dr/proof/report_work.h"

static void control_row(struct html_table *t, const json_t *c)
{
    struct html *h = t->h;
    const json_t *caught = json_object_get(c, "caught");
    bool planted = json_is_true(json_object_get(c, "planted"));
    html_row(t);
    html_cell(t);
    html_add_word(h, c, "title");
    buf_adds(h->out, "<span class=\"wide\"><br>");
    html_add_code(h, c, "name");
    buf_adds(h->out, "</span>");
    html_cell(t);
    html_add_badge(h,
                   !planted                ? "not planted"
                   : json_is_true(caught)  ? "caught"
                   : json_is_false(caught) ? "not caught"
                                           : "not measured",
                   "not measured");
    html_cell(t);
    html_add_ms(h, c, "dur_ms");
    html_cell(t);
    html_fold(h, "what had to happen", planted && !json_is_true(caught));
    html_add_word(h, c, "expected");
    html_fold_end(h);
    html_cell(t);
    if (report_has(c, "why"))
        html_add_long(h, report_word(c, "why"), planted && !json_is_true(caught));
    else
        buf_addc(h->out, '-');
}

static void add_controls(struct html *h, const json_t *drill)
{
    static const char *const columns[] = { "Planted fault",  "~Result",   "+Took",
                                           "~Had to happen", "=Happened", NULL };
    const json_t *power = json_object_get(drill, "power");
    const json_t *list = json_object_get(drill, "controls");
    size_t i;
    const json_t *one;
    html_section(h, "controls", "Negative controls");
    if (json_is_object(power) && body_int(power, "planted", 0) > 0)
        buf_addf(h->out,
                 "<p>Drill power: <b>%" PRId64 " of %" PRId64
                 "</b> planted faults were caught. A drill "
                 "that cannot fail cannot pass either: below all of them it failed.</p>\n",
                 body_int(power, "caught", 0), body_int(power, "planted", 0));
    else
        buf_adds(h->out,
                 "<p>Drill power: <b class=\"open\">not measured</b>: no fault was planted.</p>\n");
    if (json_array_size(list) == 0)
        return;
    struct html_table t = html_table(
        h, "Faults of the catalogue that this drill drew; what could not be planted does not count",
        columns);
    json_array_foreach(list, i, one) control_row(&t, one);
    html_table_end(&t);
}

static void add_sentinels(struct html *h, const json_t *list)
{
    static const char *const columns[] = { "Source",   "~Came back", "Wanted", "Found",
                                           "+Written", "~Snapshot",  NULL };
    size_t i;
    const json_t *one;
    html_part(h, "Sentinels: written before the backup, wanted in the restored data");
    if (json_array_size(list) == 0) {
        html_nothing(h, "No sentinel is on record: what came back was not measured by one.");
        return;
    }
    struct html_table t = html_table(h, "Sentinels", columns);
    json_array_foreach(list, i, one)
    {
        html_row(&t);
        html_cell(&t);
        html_add_word(h, one, "source");
        html_cell(&t);
        html_add_bool(h, json_object_get(one, "ok"), "exactly that one", "not that one");
        html_cell(&t);
        html_add_code(h, one, "wanted");
        html_cell(&t);
        html_add_code(h, one, "found");
        html_cell(&t);
        html_add_time(h, one, "time");
        if (report_has(one, "by")) {
            buf_adds(h->out, " by ");
            html_add_word(h, one, "by");
        }
        html_cell(&t);
        html_add_word(h, one, "snapshot");
    }
    html_table_end(&t);
}

/* {name, note} */
static void add_unread(struct html *h, const json_t *list)
{
    static const char *const columns[] = { "Not read", "=Why", NULL };
    size_t i;
    const json_t *one;
    if (json_array_size(list) == 0)
        return;
    struct html_table t =
        html_table(h, "Fields that could not be read, and so were not compared", columns);
    json_array_foreach(list, i, one)
    {
        html_row(&t);
        html_cell(&t);
        html_add_word(h, one, "name");
        html_cell(&t);
        html_add_word_or(h, one, "note", "no words");
    }
    html_table_end(&t);
}

static void add_production(struct html *h, const json_t *production)
{
    static const char *const columns[] = { "What", "Before", "After", NULL };
    const json_t *differs = json_object_get(production, "differs");
    size_t i;
    const json_t *one;
    html_section(h, "production", "Production, before and after");
    html_facts(h);
    html_fact(h, "Verdict");
    html_add_bool(h, json_object_get(production, "equal"), "as before, field by field",
                  "not as before");
    html_fact(h, "Fields compared");
    html_add_number(h, production, "fields");
    html_fact(h, "Digest before");
    html_add_code(h, production, "digest_before");
    html_fact(h, "Digest after");
    html_add_code(h, production, "digest_after");
    html_facts_end(h);
    add_unread(h, json_object_get(production, "unread"));
    if (json_array_size(differs) == 0)
        return;
    struct html_table t = html_table(h, "What differs", columns);
    json_array_foreach(differs, i, one)
    {
        html_row(&t);
        html_cell(&t);
        html_add_word(h, one, "name");
        html_cell(&t);
        html_add_code(h, one, "before");
        html_cell(&t);
        html_add_code(h, one, "after");
    }
    html_table_end(&t);
}

/* Refused is what is wanted here, so the words are not those of a verdict. */
static void add_credentials(struct html *h, const json_t *list)
{
    static const char *const columns[] = { "What was read", "By whose right", "Could it write",
                                           "What was tried", NULL };
    size_t i;
    const json_t *one;
    html_part(h, "Credentials: what the drill read by, and whether that can write");
    if (json_array_size(list) == 0) {
        html_nothing(h, "Nothing is on record: whether it could have written was not tried.");
        return;
    }
    struct html_table t = html_table(h, "Credentials", columns);
    json_array_foreach(list, i, one)
    {
        bool refused = strcmp(report_word(one, "writes"), "refused") == 0;
        bool known = refused || strcmp(report_word(one, "writes"), "accepted") == 0;
        DR_JSON json_t *could = known ? json_boolean(refused) : json_null();
        html_row(&t);
        html_cell(&t);
        html_add_word(h, one, "what");
        buf_addc(h->out, ' ');
        html_add_word(h, one, "name");
        html_cell(&t);
        buf_adds(h->out,
                 json_is_true(json_object_get(one, "own")) ? "the drill's own" : "the usual");
        if (report_word(one, "at")[0] != '\0') {
            buf_adds(h->out, ", at ");
            html_add_word(h, one, "at");
        }
        html_cell(&t);
        html_add_bool(h, could, "no", "yes");
        html_cell(&t);
        html_add_word_or(h, one, "why", "-");
    }
    html_table_end(&t);
}

static void add_differs(struct html *h, const json_t *drill)
{
    static const char *const columns[] = { "How", "~Steps", "=Why", NULL };
    const json_t *list = json_object_get(drill, "differs");
    const json_t *segregated = json_object_get(drill, "segregated");
    size_t i;
    const json_t *one;
    html_section(h, "differs", "What differed from a real event");
    html_facts(h);
    html_fact(h, "Seed");
    html_add_word(h, drill, "seed");
    html_fact(h, "Scratch directory");
    html_add_code(h, drill, "scratch");
    html_fact(h, "Restored elsewhere");
    html_add_word_or(h, segregated, "text", "not measured");
    if (json_is_object(json_object_get(drill, "assumed"))) {
        DR_CLEANUP(buf_fini) struct buf assumed = { 0 };
        report_add_assumed(&assumed, json_object_get(drill, "assumed"));
        html_fact(h, "Recovery time");
        html_add_name(h->out, assumed.len > 0 ? assumed.data : "not on record");
    }
    html_facts_end(h);
    if (json_array_size(list) == 0) {
        html_nothing(h, "No difference is on record.");
        return;
    }
    struct html_table t = html_table(h, "Steps that were not done as in a real event", columns);
    json_array_foreach(list, i, one)
    {
        DR_CLEANUP(buf_fini) struct buf steps = { 0 };
        if (!report_differs_alike(list, i, &steps))
            continue;
        html_row(&t);
        html_cell(&t);
        html_add_word(h, one, "how");
        html_cell(&t);
        html_add_name(h->out, steps.data);
        html_cell(&t);
        html_add_word_or(h, one, "why", "-");
    }
    html_table_end(&t);
}

/* {what, at, name, ok, why} */
static void add_made(struct html *h, const json_t *list, const char *caption, const char *none)
{
    static const char *const columns[] = { "Name", "~What", "+At", "~Cleaned", NULL };
    size_t i;
    const json_t *one;
    if (json_array_size(list) == 0) {
        html_nothing(h, none);
        return;
    }
    struct html_table t = html_table(h, caption, columns);
    json_array_foreach(list, i, one)
    {
        html_row(&t);
        html_cell(&t);
        if (json_is_string(one)) /* all that is known of it is a text */
            html_add_text(h->out, json_string_value(one));
        else
            html_add_word(h, one, "name");
        html_cell(&t);
        html_add_word(h, one, "what");
        html_cell(&t);
        html_add_word_or(h, one, "at", "-");
        html_cell(&t);
        html_add_bool(h, json_object_get(one, "ok"), "gone", "still there");
        if (report_has(one, "why")) {
            buf_adds(h->out, ": ");
            html_add_word(h, one, "why");
        }
    }
    html_table_end(&t);
}

static void add_refused(struct html *h, const json_t *list)
{
    size_t i, k;
    const json_t *one, *who;
    html_part(h, "Connections to the dark region that were refused");
    if (json_array_size(list) == 0) {
        html_nothing(h, "None is on record.");
        return;
    }
    buf_adds(h->out, "<ul>\n");
    json_array_foreach(list, i, one)
    {
        buf_adds(h->out, "<li>");
        html_add_word(h, one, "region");
        buf_adds(h->out, ": ");
        html_add_number(h, one, "count");
        json_array_foreach(json_object_get(one, "by"), k, who)
        {
            buf_adds(h->out, k > 0 ? ", " : ", by ");
            html_add_word(h, who, "who");
            buf_adds(h->out, " (");
            html_add_number(h, who, "count");
            buf_addc(h->out, ')');
        }
        buf_adds(h->out, "</li>\n");
    }
    buf_adds(h->out, "</ul>\n");
}

void html_run_drill(struct html *h, const json_t *report)
{
    const json_t *drill = json_object_get(report, "drill");
    add_controls(h, drill);
    add_sentinels(h, json_object_get(drill, "sentinels"));
    add_production(h, json_object_get(drill, "production"));
    add_credentials(h, json_object_get(drill, "credentials"));
    add_differs(h, drill);
    add_refused(h, json_object_get(drill, "refused"));
    html_section(h, "cleaned", "What the drill made, and what is gone");
    add_made(h, json_object_get(drill, "cleaned"), "Cleaned up",
             "Nothing that was made is on record.");
    html_part(h, "Leftovers");
    add_made(h, json_object_get(drill, "leftovers"), "Still there", "No leftover is on record.");
}
