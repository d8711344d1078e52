/*
 * findings.c - `drctl findings`: what is open, whose it is, until when; give one to somebody, close one.
 *
 * The same facts as those of a report over the last month are gathered, so the ledgers of all hosts count as far as the buckets
 * have them. What a person says is a signed line of this host's ledger, which is put into the buckets at once: every host
 * then reads it, and of two words about one finding the later holds.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dr/audit/pick.h"
#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/cli/book.h"
#include "dr/cli/report_facts.h"
#include "dr/cli/verbs.h"
#include "dr/data/duration.h"
#include "dr/data/time.h"
#include "dr/proof/findings.h"
#include "dr/proof/report_work.h"
#include "dr/run/run.h"

enum { WINDOW_DAYS = 31, COLUMNS = 80, OWNER_COLUMN = 48 };

static const int64_t DAY_NS = 86400000000000, SECOND_NS = 1000000000;

struct look { /* a zeroed struct is empty; all owned */
    struct report_facts facts;
    json_t *open, *known;
    int64_t now_ns;
};

static void look_fini(struct look *l)
{
    report_facts_fini(&l->facts);
    json_decref(l->open);
    json_decref(l->known);
}

/* All that is known now. */
static enum dr_rc look(const struct config *c, struct look *ret, struct dr_err *err)
{
    ret->now_ns = clock_wall_ns();
    const struct report_when when = { .from_ns = ret->now_ns - WINDOW_DAYS * DAY_NS,
                                      .to_ns = ret->now_ns + 1,
                                      .as_of_ns = ret->now_ns + 1,
                                      .name = "now" };
    DR_JSON json_t *period = NULL;
    DR_TRY(report_facts_gather(c, &when, &ret->facts, err));
    const struct period_facts facts = report_facts_of(&ret->facts, c, &when);
    const struct findings_facts events = { .runs = facts.runs,
                                           .book = facts.book,
                                           .end_ns = when.to_ns };
    DR_TRY(period_make(&facts, &period, err));
    ret->open = json_incref(json_object_get(period, "findings"));
    ret->known = findings_register(&events);
    size_t i;
    json_t *one;
    json_array_foreach(ret->known, i, one) findings_judge(one, ret->now_ns);
    return DR_OK;
}

/* What other hosts said of findings that are this host's, into its ledger; whoever cannot write it lists all the same. */
static void hear(const struct config *c, const struct look *l)
{
    struct dr_err ignored = { 0 };
    DR_JSON json_t *book = NULL;
    int64_t from_ns = l->now_ns - BOOK_FINDINGS_DAYS * DAY_NS;
    if (book_pick_json(c->state_dir, "finding", from_ns, &book, &ignored) != DR_OK)
        return;
    const struct findings_facts facts = { .book = book, .end_ns = INT64_MAX };
    DR_JSON json_t *own = findings_register(&facts);
    DR_JSON json_t *lines = findings_heard(own, l->known);
    size_t i;
    const json_t *line;
    json_array_foreach(lines, i, line)(void) cli_book(c, report_word(line, "type"), /* it warned */
                                                      json_incref(json_object_get(line, "body")));
}

/* -- the list ----------------------------------------------------------------------------------------- */

/* Words of a text, on lines of at most COLUMNS behind an indent. */
static void put_wrapped(const char *text)
{
    static const size_t indent = 2;
    DR_FREE char *safe = cli_printable(text);
    size_t at = 0;
    for (char *rest = safe, *word; (word = strsep(&rest, " ")) != NULL;) {
        size_t len = strlen(word);
        if (at > 0 && at + 1 + len > COLUMNS) {
            putchar('\n');
            at = 0;
        }
        printf("%*s%s", at == 0 ? (int)indent : 1, "", word);
        at += len + (at == 0 ? indent : 1);
    }
    putchar('\n');
}

static void put_owner(const json_t *one, size_t column)
{
    DR_FREE char *owner =
        cli_printable(report_has(one, "owner") ? report_word(one, "owner") : "no owner");
    if (column + strlen(owner) <= COLUMNS) {
        puts(owner);
        return;
    }
    putchar('\n');
    DR_FREE char *line = dr_strf("owner %s", owner);
    put_wrapped(line);
}

/* "3d late", "less than a day late", "" */
static void tell_late(const json_t *one, char *out, size_t size)
{
    int64_t days = body_int(one, "overdue_days", 0);
    snprintf(out, size, "%s", "");
    if (body_is(one, "overdue") && days > 0)
        snprintf(out, size, "OVERDUE %" PRId64 "d", days);
    else if (body_is(one, "overdue"))
        snprintf(out, size, "OVERDUE");
}

static void put_open(const json_t *one)
{
    char late[32], age[24] = "?";
    int64_t days = body_int(one, "age_days", -1);
    tell_late(one, late, sizeof(late));
    if (days >= 0)
        snprintf(age, sizeof(age), "%" PRId64 "d", days);
    char due[sizeof("no due date")] = "no due date";
    if (report_has(one, "due"))
        snprintf(due, sizeof(due), "%.10s", report_word(one, "due"));
    int width = printf("%-10s  %-8s  %5s  %-11s  %s", report_word(one, "id"),
                       report_word(one, "severity"), age, due, late);
    width += printf("%*s", width < OWNER_COLUMN ? OWNER_COLUMN - width + 5 : 2, "");
    put_owner(one, (size_t)width);
    put_wrapped(report_word(one, "text"));
    if (!report_has(one, "run"))
        return;
    DR_FREE char *again = body_int(one, "seen", 0) > 1
                              ? dr_strf(", seen by %" PRId64 " runs, last %s",
                                        body_int(one, "seen", 0), report_word(one, "last_run"))
                              : dr_strdup("");
    DR_FREE char *of =
        dr_strf("found by %s of %s%s", report_word(one, "run"), report_word(one, "plan"), again);
    put_wrapped(of);
}

static void put_closed(const json_t *one)
{
    const json_t *closed = json_object_get(one, "closed");
    char took[DURATION_TEXT_MAX];
    int64_t after_ms = body_int(closed, "after_ms", -1);
    DR_FREE char *by =
        cli_printable(report_has(closed, "by") ? report_word(closed, "by") : "nobody");
    printf("%-10s  %-8s  closed %.10s by %s%s%s\n", report_word(one, "id"),
           report_word(one, "severity"), report_word(closed, "at"), by,
           after_ms >= 0 ? ", after " : "", after_ms >= 0 ? duration_tell(after_ms, took) : "");
    put_wrapped(report_word(one, "text"));
    DR_FREE char *why =
        dr_strf("because: %s", report_has(closed, "reason") ? report_word(closed, "reason")
                                                            : "no reason on record");
    put_wrapped(why);
}

/* The closed ones of the register, the newest first. */
static json_t *closed_of(const struct look *l)
{
    json_t *list = json_array();
    for (size_t i = json_array_size(l->known); i-- > 0;) {
        json_t *one = json_array_get(l->known, i);
        if (!findings_is_open(one))
            cli_json_add(list, json_incref(one));
    }
    return list;
}

static void put_summary(const json_t *open)
{
    size_t i, late = 0, critical = 0;
    const json_t *one;
    json_array_foreach(open, i, one)
    {
        late += body_is(one, "overdue");
        critical += strcmp(report_word(one, "severity"), "critical") == 0;
    }
    if (i == 0)
        puts("no finding is open");
    else
        printf("%zu open, %zu of them critical, %zu overdue\n", i, critical, late);
}

static int list_json(const struct look *l, bool all, int exit)
{
    json_t *o = json_object();
    json_put(o, "findings", json_incref(l->open));
    if (all)
        json_put(o, "closed", closed_of(l));
    json_put(o, "notes", json_incref(l->facts.notes));
    return cli_result_json(o, exit,
                           exit == EXIT_DONE ? NULL : "not all journals and ledgers can be read");
}

static int list(struct cli *cli, const struct look *l, bool all)
{
    int exit = l->facts.broken > 0 ? EXIT_WARNINGS : EXIT_DONE;
    size_t i;
    const json_t *one;
    if (cli->json)
        return list_json(l, all, exit);
    if (json_array_size(l->open) > 0)
        printf("%-10s  %-8s  %5s  %-11s  %-14s  %s\n", "FINDING", "SEVERITY", "AGE", "DUE", "",
               "OWNER");
    json_array_foreach(l->open, i, one) put_open(one);
    DR_JSON json_t *closed = closed_of(l);
    if (all)
        json_array_foreach(closed, i, one) put_closed(one);
    put_summary(l->open);
    json_array_foreach(l->facts.notes, i, one)
    {
        if (!cli->quiet)
            fprintf(stderr, "drctl: note: %s\n", json_string_value(one));
    }
    return exit;
}

/* -- one of them -------------------------------------------------------------------------------------- */

static enum dr_rc fail_closed(const json_t *one, struct dr_err *err)
{
    const json_t *closed = json_object_get(one, "closed");
    dr_fail(err, DR_E_REFUSED, "%s is closed: by %s on %.10s: %s", report_word(one, "id"),
            report_has(closed, "by") ? report_word(closed, "by") : "nobody on record",
            report_word(closed, "at"),
            report_has(closed, "reason") ? report_word(closed, "reason") : "no reason on record");
    return dr_hint(err, "A run that finds it again opens it again.");
}

/* The open one that is meant. */
static enum dr_rc find(const struct look *l, const char *word, const json_t **ret,
                       struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list near = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list ignored = { 0 };
    const json_t *one = findings_find(l->open, word, &near);
    if (one != NULL) {
        *ret = one;
        return DR_OK;
    }
    const json_t *old = findings_find(l->known, word, &ignored);
    if (old != NULL && !findings_is_open(old))
        return fail_closed(old, err);
    DR_FREE char *names = text_list_join(&near, ", ");
    dr_fail(err, DR_E_USAGE, "no open finding is called '%s'", word);
    if (near.count > 0)
        return dr_hint(err, "Near it: %s", names);
    return dr_hint(err, "See which there are: drctl findings");
}

/* What the line says of the finding beside its id, so that it can be read alone. */
static json_t *body_of(const json_t *one)
{
    static const char *const keys[] = {
        "id", "kind", "subject", "severity", "text", "plan", "run"
    };
    DR_FREE char *who = run_operator();
    json_t *body = json_object();
    for (size_t i = 0; i < DR_ARRAY_LEN(keys); i++)
        report_copy(body, keys[i], one, keys[i]);
    json_put(body, "by", json_printable(who));
    return body;
}

static int tell_done(struct cli *cli, const json_t *one, const char *words, json_t *body)
{
    if (cli->json)
        return cli_result_json(body, EXIT_DONE, NULL);
    json_decref(body);
    printf("%s %s\n", report_word(one, "id"), words);
    return EXIT_DONE;
}

static int own(struct cli *cli, const struct config *c, const struct look *l, int64_t due_ns)
{
    const char *who = cli->argv[3];
    const json_t *one = NULL;
    struct dr_err err = { 0 };
    if (find(l, cli->argv[2], &one, &err) != DR_OK)
        return cli_fail(cli, &err);
    if (!config_is_somebody(c, who))
        fprintf(stderr,
                "drctl: warning: '%s' is no contact, no role and no participant of drills\n", who);
    json_t *body = body_of(one);
    json_put(body, "owner", json_printable(who));
    report_put_time(body, "due", due_ns > 0, due_ns);
    if (cli_book_now(c, "finding_owned", json_incref(body), &err) != DR_OK) {
        json_decref(body);
        return cli_fail(cli, &err);
    }
    DR_FREE char *safe = cli_printable(who);
    const json_t *dated = report_has(body, "due") ? body : one;
    DR_FREE char *words = report_has(dated, "due")
                              ? dr_strf("belongs to %s, due %.10s", safe, report_word(dated, "due"))
                              : dr_strf("belongs to %s, no due date", safe);
    return tell_done(cli, one, words, body);
}

static int close_one(struct cli *cli, const struct config *c, const struct look *l,
                     const char *reason)
{
    const json_t *one = NULL;
    struct dr_err err = { 0 };
    if (find(l, cli->argv[2], &one, &err) != DR_OK)
        return cli_fail(cli, &err);
    json_t *body = body_of(one);
    json_put(body, "reason", json_printable(reason));
    if (cli_book_now(c, "finding_closed", json_incref(body), &err) != DR_OK) {
        json_decref(body);
        return cli_fail(cli, &err);
    }
    DR_FREE char *words = dr_strf("is closed by %s", report_word(body, "by"));
    return tell_done(cli, one, words, body);
}

/* -- the verb ----------------------------------------------------------------------------------------- */

struct wish {
    bool all, own, close;
    const char *due, *reason;
    int64_t due_ns; /* 0: not said */
};

/* A day is over at its end. False: it is no day, or one that is over. */
static bool read_due(struct wish *w)
{
    static const size_t day_len = sizeof("2026-12-01") - 1;
    if (w->due == NULL)
        return true;
    if (strlen(w->due) != day_len || !period_moment(w->due, &w->due_ns))
        return false;
    w->due_ns += DAY_NS - SECOND_NS;
    return w->due_ns > clock_wall_ns();
}

static int check_wish(struct cli *cli, struct wish *w)
{
    const char *word = cli->argc > 1 ? cli->argv[1] : "";
    w->own = strcmp(word, "own") == 0;
    w->close = strcmp(word, "close") == 0;
    if (word[0] != '\0' && !w->own && !w->close)
        return cli_usage(cli, "findings, findings own, or findings close, not '%s'", word);
    if (w->own && (cli->argc != 4 || cli->argv[3][0] == '\0'))
        return cli_usage(cli, "findings own needs a finding and a name: drctl findings own "
                              "F-1a2b3c4d ana");
    if (w->close && (cli->argc != 3 || w->reason == NULL || w->reason[0] == '\0'))
        return cli_usage(cli, "findings close needs a finding, and --reason TEXT");
    if ((w->due != NULL && !w->own) || (w->reason != NULL && !w->close) ||
        (w->all && (w->own || w->close)))
        return cli_usage(cli, "--all goes with the list, --due with own, --reason with close");
    if (!read_due(w))
        return cli_usage(cli, "--due: '%s' is no day to come, such as 2026-12-01", w->due);
    return EXIT_DONE;
}

static int run_findings(struct cli *cli)
{
    struct wish w = { 0 };
    const struct cli_option options[] = { { .name = "all", .flag = &w.all },
                                          { .name = "due", .value = &w.due },
                                          { .name = "reason", .value = &w.reason } };
    if (!cli_options(cli, options, DR_ARRAY_LEN(options), 0, 3))
        return EXIT_USAGE;
    int exit = check_wish(cli, &w);
    if (exit != EXIT_DONE)
        return exit;
    DR_CLEANUP(config_free_ptr) struct config *c = cli_config(cli);
    if (c == NULL)
        return EXIT_USAGE;
    DR_CLEANUP(look_fini) struct look l = { 0 };
    struct dr_err err = { 0 };
    if (look(c, &l, &err) != DR_OK)
        return cli_fail(cli, &err);
    hear(c, &l);
    return w.own     ? own(cli, c, &l, w.due_ns)
           : w.close ? close_one(cli, c, &l, w.reason)
                     : list(cli, &l, w.all);
}

const struct cli_verb verb_findings = {
    .name = "findings",
    .summary = "what drills, runs and reports found: whose it is, until when, close it",
    .usage =
        "drctl findings [--all]                         What is open: overdue first, then critical\n"
        "drctl findings own FINDING WHO [--due DAY]     Give it to somebody\n"
        "drctl findings close FINDING --reason TEXT     It is seen to, or accepted\n"
        "\n"
        "Open are the findings of drills and runs that no later one of the same plan settled, and\n"
        "what is missing now: an overdue drill, a source without backup or proof. A drill that looks\n"
        "again and no longer finds a thing closes it; one that finds it again opens it again. Owner\n"
        "and date come from 'findings' of the configuration, as it was when the run began.\n"
        "\n"
        "The ledgers of all hosts count, as far as the buckets have them; what is said here is a\n"
        "signed line of this host's ledger, and goes into the buckets at once. Of two words about\n"
        "one finding the later holds. FINDING may be the beginning of an id: 1a2b for F-1a2b3c4d.\n"
        "\n"
        "  --all           also those that were closed: by whom, why, and after how long\n"
        "  --due DAY       until the end of this day (UTC): 2026-12-01; else the date stays\n"
        "  --reason TEXT   why it is closed, for the ledger\n"
        "\n"
        "exit 0 listed, or done; 2 there is no such finding; 5 it is closed already; 8 listed, and\n"
        "some journal or ledger could not be read\n",
    .run = run_findings,
};
