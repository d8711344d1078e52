/*
 * audit.c - `drctl audit`: is the evidence whole, where is it anchored, and what does it say?
 *
 * `verify` and `query` of a DIR need no configuration: an auditor has a copy and this program, and nothing else.
 */
#include "dr/audit/audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/cli/audit_query.h"
#include "dr/cli/book.h"
#include "dr/cli/data.h"
#include "dr/cli/verbs.h"
#include "dr/data/duration.h"
#include "dr/run/run.h"
#include "dr/status/status.h"

enum { WAIT_MIN_MS = 2000, WAIT_MAX_MS = 86400 * 1000 };

struct wish {
    bool online;
    const char *wait;
    int64_t wait_ms;
    struct text_list keys;
    struct audit_query query;
};

/* -- verify --------------------------------------------------------------------------------------- */

static int64_t number_of(const json_t *o, const char *group, const char *key)
{
    return json_integer_value(json_object_get(json_object_get(o, group), key));
}

static void print_findings(const json_t *findings)
{
    for (size_t i = 0; i < json_array_size(findings); i++) {
        const json_t *f = json_array_get(findings, i);
        const json_t *line = json_object_get(f, "line");
        const char *file = json_string_value(json_object_get(f, "file"));
        DR_FREE char *name = cli_printable(file != NULL ? file : "");
        DR_FREE char *text = cli_printable(json_string_value(json_object_get(f, "text")));
        printf("%-8s %s", json_string_value(json_object_get(f, "grade")), name);
        if (json_is_integer(line))
            printf(":%" JSON_INTEGER_FORMAT, json_integer_value(line));
        printf(": %s\n", text);
    }
}

static void print_keys(const json_t *ledger)
{
    const json_t *keys = json_object_get(ledger, "keys");
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const json_t *k = json_array_get(keys, i);
        DR_FREE char *key = cli_printable(json_string_value(json_object_get(k, "key")));
        printf("         %" JSON_INTEGER_FORMAT " signed by %s\n",
               json_integer_value(json_object_get(k, "records")), key);
    }
}

static const char *verdict_of(enum audit_grade worst)
{
    return worst == AUDIT_BROKEN ? "broken" : worst == AUDIT_UNKNOWN ? "cannot tell" : "whole";
}

static int tell(const struct cli *cli, struct audit *a)
{
    enum audit_grade worst = audit_worst(a);
    int exit = worst == AUDIT_BROKEN    ? EXIT_FAILED
               : worst == AUDIT_UNKNOWN ? EXIT_UNKNOWN
                                        : EXIT_DONE;
    DR_JSON json_t *o = audit_result(a);
    if (cli->json)
        return cli_result_json(json_incref(o), exit, exit == EXIT_DONE ? NULL : verdict_of(worst));
    const json_t *ledger = json_object_get(o, "ledger");
    const char *head = json_string_value(json_object_get(ledger, "head"));
    print_findings(json_object_get(o, "findings"));
    if (json_integer_value(json_object_get(o, "more")) > 0)
        printf("and %" JSON_INTEGER_FORMAT " more findings\n",
               json_integer_value(json_object_get(o, "more")));
    printf("runs     %" PRId64 " journals, %" PRId64 " records\n", number_of(o, "runs", "journals"),
           number_of(o, "runs", "records"));
    printf("ledger   %" PRId64 " records in %" PRId64 " months, head %s\n",
           number_of(o, "ledger", "records"), number_of(o, "ledger", "months"),
           head != NULL ? head : "none");
    print_keys(ledger);
    printf("anchors  %" PRId64 " objects, up to record %" PRId64 "\n",
           number_of(o, "anchors", "objects"), number_of(o, "anchors", "to"));
    int64_t newer = number_of(o, "anchors", "newer");
    if (newer > 0)
        printf("         %" PRId64 " record%s since then %s only as good as this host\n", newer,
               CLI_S(newer), newer == 1 ? "is" : "are");
    puts(verdict_of(worst));
    return exit;
}

static int verify_dir(struct cli *cli, const char *dir, const struct wish *w,
                      const struct config *c)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(audit_free_ptr)
    struct audit *a = audit_new(dir, w->keys.count > 0 ? &w->keys : NULL);
    if (audit_read(a, &err) != DR_OK)
        return cli_fail(cli, &err);
    if (w->online) {
        DR_FREE char *site = status_own_site(c);
        audit_ask(a, c, site, w->wait_ms);
    }
    return tell(cli, a);
}

static int run_verify(struct cli *cli, struct wish *w)
{
    const char *dir = cli->argc > 2 ? cli->argv[2] : NULL;
    w->wait_ms = AUDIT_ASK_MS;
    if (w->wait != NULL && (duration_parse(w->wait, &w->wait_ms) != QUANTITY_OK ||
                            w->wait_ms < WAIT_MIN_MS || w->wait_ms > WAIT_MAX_MS))
        return cli_usage(cli, "--wait '%s' is no time between 2s and 1d", w->wait);
    for (size_t i = 0; i < w->keys.count; i++)
        if (!keys_is_public(w->keys.items[i]))
            return cli_usage(cli, "--key '%s' is no public key: ed25519:...", w->keys.items[i]);
    if (dir != NULL && !w->online)
        return verify_dir(cli, dir, w, NULL);
    DR_CLEANUP(config_free_ptr) struct config *c = cli_config(cli);
    if (c == NULL)
        return EXIT_USAGE;
    return verify_dir(cli, dir != NULL ? dir : c->state_dir, w, c);
}

/* -- export, anchor ------------------------------------------------------------------------------- */

static int run_export(struct cli *cli, const struct config *c)
{
    struct dr_err err = { 0 };
    size_t files = 0;
    if (cli->argc < 3)
        return cli_usage(cli, "audit export needs a directory");
    if (audit_export(c->state_dir, cli->argv[2], &files, &err) != DR_OK)
        return cli_fail(cli, &err);
    if (cli->json) {
        json_t *o = json_object();
        json_put(o, "to", json_printable(cli->argv[2]));
        json_put_int(o, "files", (int64_t)files);
        return cli_result_json(o, EXIT_DONE, NULL);
    }
    DR_FREE char *place = cli_printable(cli->argv[2]);
    printf("%zu file%s in %s; anywhere: drctl audit verify %s\n", files, CLI_S(files), place,
           place);
    return EXIT_DONE;
}

static int tell_anchor(const struct cli *cli, const struct anchor_report *r)
{
    int exit = r->took.count == 0 && r->lacking.count > 0 ? EXIT_FAILED
               : r->lacking.count > 0                     ? EXIT_WARNINGS
                                                          : EXIT_DONE;
    if (cli->json) {
        json_t *o = json_object();
        json_put_int(o, "to", r->to);
        json_put_int(o, "fresh", (int64_t)r->fresh);
        json_put_int(o, "put", (int64_t)r->put);
        json_put(o, "buckets", data_texts_json(&r->took));
        json_put(o, "lacking", data_texts_json(&r->lacking));
        return cli_result_json(o, exit, exit == EXIT_DONE ? NULL : r->lacking.items[0]);
    }
    for (size_t i = 0; i < r->lacking.count; i++) {
        DR_FREE char *line = cli_printable(r->lacking.items[i]);
        fprintf(stderr, "drctl: warning: bucket %s; it is brought up the next time\n", line);
    }
    DR_FREE char *names = text_list_join(&r->took, ", ");
    if (r->to == 0)
        puts("nothing is in the ledger yet, or no bucket took it");
    else
        printf("%zu new record%s anchored; up to record %" PRId64 " in %s\n", r->fresh,
               CLI_S(r->fresh), r->to, r->took.count > 0 ? names : "no bucket that answers");
    return exit;
}

static int run_anchor(struct cli *cli, const struct config *c)
{
    struct dr_err err = { 0 };
    DR_FREE char *site = status_own_site(c);
    DR_FREE char *dark = cli_book_dark(c);
    cli_book_findings(c);
    struct anchor_report report = { 0 };
    const struct anchor_wish wish = {
        .config = c, .site = site, .version = DRCTL_VERSION, .dark = dark, .wait_ms = ANCHOR_WAIT_MS
    };
    if (anchor_run(&wish, &report, &err) != DR_OK)
        return cli_fail(cli, &err);
    int exit = tell_anchor(cli, &report);
    anchor_report_fini(&report);
    return exit;
}

/* -- the verb ------------------------------------------------------------------------------------- */

static int run_query(struct cli *cli, const struct wish *w)
{
    if (cli->argc > 2)
        return audit_query_run(cli, &w->query, cli->argv[2]);
    DR_CLEANUP(config_free_ptr) struct config *c = cli_config(cli);
    if (c == NULL)
        return EXIT_USAGE;
    return audit_query_run(cli, &w->query, c->state_dir);
}

static int run_word(struct cli *cli, struct wish *w)
{
    const char *word = cli->argv[1];
    bool is_verify = strcmp(word, "verify") == 0, is_query = strcmp(word, "query") == 0;
    if (!is_verify && (w->online || w->wait != NULL || w->keys.count > 0))
        return cli_usage(cli, "--online, --wait and --key are for audit verify");
    if (w->wait != NULL && !w->online)
        return cli_usage(cli, "--wait is for --online");
    if (!is_query && audit_query_given(&w->query))
        return cli_usage(cli, "filters are for audit query");
    if (is_verify)
        return run_verify(cli, w);
    if (is_query)
        return run_query(cli, w);
    bool is_anchor = strcmp(word, "anchor") == 0;
    if (!is_anchor && strcmp(word, "export") != 0)
        return cli_usage(cli, "audit verify, export, anchor or query, not '%s'", word);
    if (is_anchor && cli->argc > 2)
        return cli_usage(cli, "audit anchor takes no '%s'", cli->argv[2]);
    DR_CLEANUP(config_free_ptr) struct config *c = cli_config(cli);
    if (c == NULL)
        return EXIT_USAGE;
    return is_anchor ? run_anchor(cli, c) : run_export(cli, c);
}

static int run_audit(struct cli *cli)
{
    struct wish w = { 0 };
    const struct cli_option options[] = {
        { "online", .flag = &w.online },      { "key", .many = &w.keys },
        { "type", .value = &w.query.type },   { "run", .value = &w.query.run },
        { "plan", .value = &w.query.plan },   { "source", .value = &w.query.source },
        { "since", .value = &w.query.since }, { "until", .value = &w.query.until },
        { "limit", .value = &w.query.limit }, { "sql", .value = &w.query.sql },
        { "csv", .flag = &w.query.csv },      { "wait", .value = &w.wait },
    };
    int exit = EXIT_USAGE;
    if (cli_options(cli, options, DR_ARRAY_LEN(options), 1, 2))
        exit = run_word(cli, &w);
    text_list_fini(&w.keys);
    return exit;
}

const struct cli_verb verb_audit = {
    .name = "audit",
    .summary = "Is the evidence whole, and what does it say?",
    .usage =
        "drctl audit verify [DIR] [--online [--wait TIME]] [--key KEY]   Journals, ledger, anchors: is all whole?\n"
        "drctl audit export DIR                             Copy them into a new directory\n"
        "drctl audit anchor                                 Put the ledger's new lines into the buckets\n"
        "drctl audit query [DIR] [FILTER ...] [--csv]       What the ledger says\n"
        "\n"
        "DIR: a state directory, or what audit export made of one; then no configuration is needed.\n"
        "A changed byte, a dropped or moved record, a cut tail, a missing journal or month and a\n"
        "stranger's signature are named by file and line.\n"
        "\n"
        "  --online      compare with the anchors in the buckets, too\n"
        "  --wait TIME   for each bucket, all of them at once: 60s if left out\n"
        "  --key KEY     believe this public key only (drctl key), whatever DIR says; several\n"
        "  --type T      backup, verify, prune, repair, restore, run, finding, anchor ...\n"
        "  --run ID, --plan P, --source S    only lines about it\n"
        "  --since T, --until T    2026-11-01, 2026-11-01T12:00:00Z, or 7d: so long ago\n"
        "  --limit N     the newest N\n"
        "  --sql SELECT  one SELECT over the tables book and journal, and the views runs, backups,\n"
        "                restores, verifies, prunes, repairs, findings, anchors\n"
        "  --csv         rows as comma-separated values\n"
        "\n"
        "verify: exit 0 whole, 1 broken, 7 cannot tell (nothing is anchored, no key is known, a bucket\n"
        "that should be asked did not answer in time).\n"
        "anchor: exit 8 a bucket could not be brought up, 1 none could.\n",
    .run = run_audit,
};
