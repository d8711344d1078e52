/*
 * html.c - the page as a whole: its frame, and the list of contents between head and sections.
 */
#include "dr/proof/html.h"

#include <inttypes.h>
#include <string.h>

#include "dr/proof/html_work.h"
#include "dr/proof/report_work.h"

void html_head(struct html *h, const char *kind, const char *of, const char *words,
               const char *looks)
{
    buf_addf(h->out, "<header>\n<p class=\"kind\">%s</p>\n<h1>", kind);
    html_add_text(h->out, of);
    buf_addf(h->out, ": <span class=\"%s\">%s</span></h1>\n", looks, words);
}

void html_head_end(struct html *h)
{
    buf_adds(h->out, "</header>\n");
    h->head_len = h->out->len;
}

static void add_title(struct buf *out, const json_t *report, bool period)
{
    const char *name =
        report_word(period ? json_object_get(report, "period") : report, period ? "name" : "run");
    buf_adds(out, period ? "Disaster recovery " : "Run ");
    DR_FREE char *told = html_short(name[0] != '\0' ? name : "not on record", 30);
    html_add_text(out, told);
    buf_adds(out, " - drctl report");
}

void report_html(const json_t *report, struct buf *out)
{
    DR_CLEANUP(buf_fini) struct buf body = { 0 };
    struct html h = { .out = &body };
    bool period = strcmp(report_word(report, "kind"), "period") == 0;
    if (period)
        html_period(&h, report);
    else
        html_run(&h, report);
    html_section_end(&h);
    DR_ASSERT(h.head_len > 0 && h.sections > 0);

    buf_adds(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                  "<meta name=\"referrer\" content=\"no-referrer\">\n<title>");
    add_title(out, report, period);
    buf_adds(out, "</title>\n<style>\n");
    html_add_style(out);
    buf_adds(out, "</style>\n</head>\n<body>\n");
    buf_add(out, body.data, h.head_len);
    buf_adds(out, "<nav aria-label=\"Contents\">\n<details><summary>Contents</summary>\n<ol>\n");
    buf_add(out, h.contents.data, h.contents.len);
    buf_adds(out, "</ol>\n</details>\n</nav>\n<main>\n");
    buf_add(out, body.data + h.head_len, body.len - h.head_len);
    buf_adds(
        out,
        "</main>\n<footer>\n<p>Made from the report's JSON form and from nothing else: the same "
        "report gives the same page. Times are UTC. Ends of intervals are rounded outwards. What is "
        "not known stands as \"not measured\" or \"not on record\".</p>\n");
    if (json_is_integer(json_object_get(report, "schema")))
        buf_addf(out, "<p>Schema %" PRId64 ".</p>\n", body_int(report, "schema", 0));
    buf_adds(out, "</footer>\n</body>\n</html>\n");
    buf_fini(&h.contents);
}
