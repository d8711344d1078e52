/*
 * book.c - lines for the ledger, from the ends of verbs and runs.
 */
#include "dr/cli/book.h"

#include <string.h>

#include "dr/audit/anchor.h"
#include "dr/audit/pick.h"
#include "dr/base/clock.h"
#include "dr/base/log.h"
#include "dr/base/mem.h"
#include "dr/data/time.h"
#include "dr/journal/journal.h"
#include "dr/proof/findings.h"
#include "dr/proof/report.h"
#include "dr/run/run.h"
#include "dr/status/status.h"

static const int64_t DAY_NS = 86400000000000;

json_t *cli_book_body(int64_t began_ns, int exit, const char *why)
{
    char at[TIME_TEXT_MAX];
    json_t *o = json_object();
    json_put_text(o, "began", time_print(began_ns, at));
    json_put_text(o, "ended", time_print(clock_wall_ns(), at));
    json_put_int(o, "exit", exit);
    json_put(o, "why", why != NULL ? json_printable(why) : json_null());
    return o;
}

int cli_book(const struct config *c, const char *type, json_t *body)
{
    struct dr_err err = { 0 };
    DR_FREE char *site = status_own_site(c);
    const struct book_place place = { .state_dir = c->state_dir,
                                      .site = site,
                                      .version = DRCTL_VERSION };
    if (book_append(&place, type, body, &err) == DR_OK)
        return EXIT_DONE;
    log_warning("%s; the %s counts, but the ledger does not show it", err.msg, type);
    return EXIT_WARNINGS;
}

char *cli_book_dark(const struct config *c)
{
    DR_CLEANUP(run_state_fini) struct run_state s = { 0 };
    DR_FREE char *run = run_newest_open(c);
    if (run == NULL || !run_peek(c, run, &s) || s.failed == NULL || s.dry ||
        json_is_true(json_object_get(s.start, "drill")))
        return NULL;
    return dr_strdup(s.failed);
}

/* The region that the run gave up: nothing is written there while it may be used by nobody. A drill gives up none. */
static char *dark_of(const struct journal_records *all)
{
    const json_t *start = all->items[0].body;
    const char *failed = json_string_value(json_object_get(start, "failed"));
    bool drill = json_is_true(json_object_get(start, "drill"));
    return failed != NULL && !drill ? dr_strdup(failed) : NULL;
}

/* say: up to where, when it went well. */
static void anchor(const struct config *c, const char *site, const char *dark, bool say)
{
    struct dr_err err = { 0 };
    struct anchor_report report = { 0 };
    const struct anchor_wish wish = {
        .config = c, .site = site, .version = DRCTL_VERSION, .dark = dark, .wait_ms = ANCHOR_RUN_MS
    };
    if (anchor_run(&wish, &report, &err) != DR_OK)
        log_warning("%s; the ledger is not anchored: drctl audit anchor does it", err.msg);
    for (size_t i = 0; i < report.lacking.count; i++)
        log_warning("bucket %s; it lacks the ledger's last lines: drctl audit anchor brings them",
                    report.lacking.items[i]);
    if (say && report.to > 0 && report.took.count > 0) {
        DR_FREE char *names = text_list_join(&report.took, ", ");
        log_notice("anchored up to record %lld in %s", (long long)report.to, names);
    }
    anchor_report_fini(&report);
}

/*
 * What the run found goes into the ledger: new findings, those that it settled, and that it was told. A line that
 * cannot be written is written by the next `drctl audit anchor`, for then the last of them is not there.
 */
static void add_findings(const struct book_place *place, const struct journal_records *all)
{
    struct dr_err err = { 0 };
    DR_JSON json_t *report = NULL;
    DR_JSON json_t *book = NULL;
    int64_t from_ns = clock_wall_ns() - BOOK_FINDINGS_DAYS * DAY_NS;
    enum dr_rc rc = report_make(all, 0, &report, &err);
    if (rc == DR_OK)
        rc = book_pick_json(place->state_dir, "finding", from_ns, &book, &err);
    const struct findings_facts facts = { .book = book, .end_ns = INT64_MAX };
    DR_JSON json_t *known = findings_register(&facts);
    DR_JSON json_t *lines = rc == DR_OK ? findings_lines(known, book, report) : json_array();
    for (size_t i = 0; i < json_array_size(lines) && rc == DR_OK; i++) {
        const json_t *line = json_array_get(lines, i);
        rc = book_append(place, json_string_value(json_object_get(line, "type")),
                         json_incref(json_object_get(line, "body")), &err);
    }
    if (rc != DR_OK)
        log_warning("%s; the run counts, but the ledger does not show all that it found", err.msg);
}

void cli_book_run(const struct config *c, const char *run)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(journal_records_fini) struct journal_records all = { 0 };
    DR_FREE char *site = status_own_site(c);
    const struct book_place place = {
        .state_dir = c->state_dir, .site = site, .version = DRCTL_VERSION, .make_key = true
    };
    if (journal_load(c->state_dir, run, &all, &err) != DR_OK || !book_run_counts(&all))
        return;
    if (book_add_runs(&place, run, NULL, &err) != DR_OK) {
        log_warning("%s; the run counts, but the ledger does not show it", err.msg);
        return;
    }
    add_findings(&place, &all);
    DR_FREE char *dark = dark_of(&all);
    anchor(c, site, dark, true);
}

void cli_book_findings(const struct config *c)
{
    DR_CLEANUP(text_list_fini) struct text_list runs = { 0 };
    DR_JSON json_t *book = NULL;
    DR_FREE char *site = status_own_site(c);
    struct dr_err err = { 0 };
    const struct book_place place = { .state_dir = c->state_dir,
                                      .site = site,
                                      .version = DRCTL_VERSION };
    if (journal_runs(c->state_dir, &runs, &err) != DR_OK ||
        book_pick_json(c->state_dir, "findings", 0, &book, &err) != DR_OK) {
        log_warning("%s; the ledger may lack findings of runs", err.msg);
        return;
    }
    for (size_t i = 0; i < runs.count; i++) {
        DR_CLEANUP(journal_records_fini) struct journal_records all = { 0 };
        struct dr_err ignored = { 0 }; /* whoever reads the run is told what is wrong with it */
        if (!findings_are_told(book, runs.items[i]) &&
            journal_load(c->state_dir, runs.items[i], &all, &ignored) == DR_OK &&
            book_run_counts(&all))
            add_findings(&place, &all);
    }
}

enum dr_rc cli_book_now(const struct config *c, const char *type, json_t *body, struct dr_err *err)
{
    DR_FREE char *site = status_own_site(c);
    DR_FREE char *dark = cli_book_dark(c);
    const struct book_place place = {
        .state_dir = c->state_dir, .site = site, .version = DRCTL_VERSION, .make_key = true
    };
    DR_TRY(book_append(&place, type, body, err));
    anchor(c, site, dark, false);
    return DR_OK;
}
