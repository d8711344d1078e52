/*
 * html_timeline.c - what happened when: every time that the report of a run has, in one order.
 *
 * Times of the wall clock are told as they were recorded; the section of figures says how far they may be
 * wrong. Events of one instant stay in the order in which the report has them.
 */
#include <inttypes.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/data/time.h"
#include "dr/proof/html_work.h"
#include "dr/proof/report_work.h"

struct event {
    int64_t ns;
    size_t order;
    char *words; /* HTML; owned */
};

struct events {
    struct event *items;
    size_t count, cap;
};

/* words: ours, then `more` of the report, escaped; more may be NULL. */
static void add(struct events *e, const json_t *object, const char *key, const char *words,
                const char *more)
{
    int64_t ns = 0;
    if (!time_parse(report_word(object, key), &ns))
        return;
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    buf_adds(&text, words);
    if (more != NULL && more[0] != '\0') {
        buf_adds(&text, ": ");
        html_add_name(&text, more);
    }
    if (e->count == e->cap) {
        e->cap = e->cap == 0 ? 32 : e->cap * 2;
        e->items = dr_realloc(e->items, e->cap, sizeof(*e->items));
    }
    e->items[e->count] = (struct event){ ns, e->count, buf_take(&text) };
    e->count++;
}

static int by_time(const void *a, const void *b)
{
    const struct event *x = a, *y = b;
    if (x->ns != y->ns)
        return x->ns < y->ns ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static void add_points(struct events *e, const json_t *r)
{
    const json_t *impact = json_object_get(r, "impact");
    const json_t *back = json_object_get(r, "recovered");
    if (strcmp(report_word(impact, "from"), report_word(impact, "to")) != 0)
        add(e, impact, "from", "<b>Last known good</b>", NULL);
    add(e, impact, "to", "<b>Broken</b> at the latest", report_word(impact, "method"));
    add(e, json_object_get(r, "data_loss"), "sentinel", "Last write that was kept (sentinel)",
        NULL);
    add(e, r, "started", "<b>Run began</b>, objectives fixed", NULL);
    if (strcmp(report_word(back, "from"), report_word(back, "to")) != 0)
        add(e, back, "from", "<b>Not yet back</b>, last known", NULL);
    add(e, back, "to", "<b>Recovered</b> at the latest", NULL);
    add(e, r, "ended", "<b>Run ended</b>", report_word(r, "why"));
}

static void add_people(struct events *e, const json_t *r)
{
    size_t i, k;
    const json_t *one, *answer;
    json_array_foreach(json_object_get(r, "approvals"), i, one)
    {
        add(e, one, "asked", "Question", report_word(one, "question"));
        json_array_foreach(json_object_get(one, "answers"), k, answer)
        {
            DR_CLEANUP(buf_fini) struct buf text = { 0 };
            buf_addf(&text, "%s, by %s", report_word(answer, "answer"), report_word(answer, "by"));
            add(e, answer, "time", "Answer", text.data);
        }
    }
    json_array_foreach(json_object_get(r, "resumes"), i, one)
        add(e, one, "time", "Run resumed by", report_word(one, "by"));
}

static void add_steps(struct events *e, const json_t *r)
{
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(r, "steps"), i, one)
    {
        DR_CLEANUP(buf_fini) struct buf text = { 0 };
        const char *title = report_word(one, "title");
        buf_addf(&text, "%s%s%s", report_word(one, "id"), title[0] != '\0' ? ", " : "", title);
        add(e, one, "began", "Step began", text.data);
    }
    json_array_foreach(json_object_get(r, "undone"), i, one)
        add(e, one, "time", "Step undone", report_word(one, "step"));
}

/* "+12.3s" since the impact, to a tenth. */
static void add_since(struct html *h, const json_t *r, int64_t ns)
{
    int64_t from = 0;
    if (!time_parse(report_word(json_object_get(r, "impact"), "to"), &from)) {
        buf_adds(h->out, "<span class=\"soft\">impact not known</span>");
        return;
    }
    int64_t ms = ns / 1000000 - from / 1000000;
    buf_adds(h->out, ms < 0 ? "" : "+");
    html_tell_ms(h->out, ms, false);
}

void html_run_timeline(struct html *h, const json_t *report)
{
    static const char *const columns[] = { "When", "~Since impact", "~What", NULL };
    struct events e = { 0 };
    html_section(h, "timeline", "Timeline");
    add_points(&e, report);
    add_people(&e, report);
    add_steps(&e, report);
    if (e.count == 0) {
        html_nothing(h, "No time is on record.");
        return;
    }
    qsort(e.items, e.count, sizeof(*e.items), by_time);
    DR_FREE char *words = dr_strf("%zu times on record", e.count);
    html_fold(h, words, false);
    struct html_table t = html_table(h, "Every time on record, by the wall clock", columns);
    for (size_t i = 0; i < e.count; i++) {
        char text[TIME_TEXT_MAX];
        time_print(e.items[i].ns, text);
        html_row(&t);
        html_cell(&t);
        buf_addf(h->out, "<time datetime=\"%.23sZ\">%.10s %.12s</time>", text, text, text + 11);
        html_cell(&t);
        add_since(h, report, e.items[i].ns);
        html_cell(&t);
        buf_adds(h->out, e.items[i].words);
        free(e.items[i].words);
    }
    html_table_end(&t);
    html_fold_end(h);
    free(e.items);
}
