/*
 * book.c - lines for the ledger, from the ends of verbs and runs.
 */
#include "dr/cli/book.h"

#include <string.h>

#include "dr/audit/anchor.h"
#include "dr/base/clock.h"
#include "dr/base/log.h"
#include "dr/base/mem.h"
#include "dr/data/time.h"
#include "dr/journal/journal.h"
#include "dr/status/status.h"

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

/* The region that the run gave up: nothing is written there while it may be used by nobody. A drill gives up none. */
static char *dark_of(const struct journal_records *all)
{
    const json_t *start = all->items[0].body;
    const char *failed = json_string_value(json_object_get(start, "failed"));
    bool drill = json_is_true(json_object_get(start, "drill"));
    return failed != NULL && !drill ? dr_strdup(failed) : NULL;
}

static void anchor(const struct config *c, const char *site, const char *dark)
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
    anchor_report_fini(&report);
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
    DR_FREE char *dark = dark_of(&all);
    anchor(c, site, dark);
}
