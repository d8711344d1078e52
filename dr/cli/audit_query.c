/*
 * audit_query.c - questions to the ledger, and how rows are shown.
 *
 * Text is for people: one line a record, or columns with a head for SQL. JSON is one object a row, in which the body of a
 * record is an object; CSV is as RFC 4180 says, with a head.
 */
#include "dr/cli/audit_query.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dr/audit/query.h"
#include "dr/base/clock.h"
#include "dr/base/log.h"
#include "dr/base/mem.h"
#include "dr/data/duration.h"
#include "dr/data/time.h"

struct showing {
    const struct cli *cli;
    const struct audit_query *query;
    size_t rows;
};

bool audit_query_given(const struct audit_query *q)
{
    return q->type != NULL || q->run != NULL || q->plan != NULL || q->source != NULL ||
           q->since != NULL || q->until != NULL || q->limit != NULL || q->sql != NULL || q->csv;
}

/* -- one row -------------------------------------------------------------------------------------- */

/* What a value is for people and for CSV. The caller frees. */
static char *text_of(const json_t *value)
{
    if (json_is_string(value))
        return dr_strdup(json_string_value(value));
    if (json_is_integer(value))
        return dr_strf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    if (json_is_real(value))
        return dr_strf("%.15g", json_real_value(value));
    return dr_strdup("");
}

static void print_csv(const char *text)
{
    if (text[strcspn(text, ",\"\r\n")] == '\0') {
        (void)fputs(text, stdout); /* cli_main() looks at the stream */
        return;
    }
    putchar('"');
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '"')
            putchar('"');
        putchar(*c);
    }
    putchar('"');
}

static void show_names(const struct showing *s, const struct query_row *row)
{
    for (size_t i = 0; i < row->count; i++) {
        if (i > 0)
            putchar(s->query->csv ? ',' : '\t');
        print_csv(row->names[i]);
    }
    (void)fputs(s->query->csv ? "\r\n" : "\n", stdout); /* likewise */
}

static void show_cells(const struct showing *s, const struct query_row *row)
{
    for (size_t i = 0; i < row->count; i++) {
        DR_FREE char *text = text_of(json_array_get(row->values, i));
        DR_FREE char *safe = cli_printable(text);
        if (i > 0)
            putchar(s->query->csv ? ',' : '\t');
        if (s->query->csv)
            print_csv(text);
        else
            (void)fputs(safe, stdout); /* likewise */
    }
    (void)fputs(s->query->csv ? "\r\n" : "\n", stdout); /* likewise */
}

static void show_json(const struct showing *s, const struct query_row *row)
{
    json_t *o = json_object();
    for (size_t i = 0; i < row->count; i++) {
        json_t *value = json_incref(json_array_get(row->values, i));
        const char *text = json_string_value(value);
        if (s->query->sql == NULL && strcmp(row->names[i], "body") == 0 && text != NULL) {
            json_t *body = json_loads(text, 0, NULL);
            json_decref(value);
            value = body != NULL ? body : json_null();
        }
        json_put(o, row->names[i], value);
    }
    cli_print_json(o);
}

/* The one word of the body that says most. */
static const char *words_of(const json_t *body)
{
    static const char *const keys[] = { "why", "state", "text", "reason", "snapshot", "host" };
    for (size_t i = 0; i < DR_ARRAY_LEN(keys); i++) {
        const char *text = json_string_value(json_object_get(body, keys[i]));
        if (text != NULL && text[0] != '\0')
            return text;
    }
    return "";
}

/* n, time, type, run, plan, source, exit, body: "  12 2026-11-21T03:11:40Z backup   app  exit 0  app-2026..." */
static void show_line(const struct query_row *row)
{
    DR_FREE char *n = text_of(json_array_get(row->values, 0));
    DR_FREE char *time = text_of(json_array_get(row->values, 1));
    DR_FREE char *type = text_of(json_array_get(row->values, 2));
    DR_FREE char *run = text_of(json_array_get(row->values, 3));
    DR_FREE char *plan = text_of(json_array_get(row->values, 4));
    DR_FREE char *source = text_of(json_array_get(row->values, 5));
    DR_FREE char *exit = text_of(json_array_get(row->values, 6));
    DR_FREE char *text = text_of(json_array_get(row->values, 7));
    DR_JSON json_t *body = json_loads(text, 0, NULL);
    DR_FREE char *about = dr_strf("%s%s%s%s", run, run[0] != '\0' ? " " : "", plan, source);
    DR_FREE char *safe_type = cli_printable(type);
    DR_FREE char *safe_about = cli_printable(about);
    DR_FREE char *words = cli_printable(words_of(body));
    printf("%5s  %.19sZ  %-8s  %-16s  %s%s  %s\n", n, time, safe_type, safe_about,
           exit[0] != '\0' ? "exit " : "      ", exit[0] != '\0' ? exit : " ", words);
}

static void show(void *arg, const struct query_row *row)
{
    struct showing *s = arg;
    bool lines = s->query->sql == NULL && !s->query->csv;
    s->rows++;
    if (s->cli->json) {
        show_json(s, row);
        return;
    }
    if (s->rows == 1 && !lines)
        show_names(s, row);
    if (lines)
        show_line(row);
    else
        show_cells(s, row);
}

/* -- the words ------------------------------------------------------------------------------------ */

/* A time, a day, or so long ago. */
static bool parse_time(const char *text, int64_t *ret_ns)
{
    DR_FREE char *day = dr_strf("%sT00:00:00Z", text);
    int64_t ms = 0;
    if (time_parse(text, ret_ns) || time_parse(day, ret_ns))
        return true;
    if (duration_parse(text, &ms) != QUANTITY_OK)
        return false;
    *ret_ns = clock_wall_ns() - ms * 1000000;
    return true;
}

static bool parse_limit(const char *text, int64_t *ret)
{
    char *end = NULL;
    errno = 0;
    *ret = strtoll(text, &end, 10);
    return errno == 0 && *end == '\0' && text[0] >= '0' && text[0] <= '9' && *ret > 0;
}

static int filter_of(const struct cli *cli, const struct audit_query *q, struct query_filter *ret)
{
    *ret = (struct query_filter){
        .type = q->type, .run = q->run, .plan = q->plan, .source = q->source
    };
    if (q->since != NULL && !parse_time(q->since, &ret->since_ns))
        return cli_usage(cli, "--since '%s' is no time: 2026-11-01, or 7d", q->since);
    if (q->until != NULL && !parse_time(q->until, &ret->until_ns))
        return cli_usage(cli, "--until '%s' is no time: 2026-11-01, or 7d", q->until);
    if (q->limit != NULL && !parse_limit(q->limit, &ret->limit))
        return cli_usage(cli, "--limit '%s' is no number", q->limit);
    return EXIT_DONE;
}

static int check_words(const struct cli *cli, const struct audit_query *q)
{
    bool filter = q->type != NULL || q->run != NULL || q->plan != NULL || q->source != NULL ||
                  q->since != NULL || q->until != NULL || q->limit != NULL;
    if (q->sql != NULL && filter)
        return cli_usage(cli, "--sql asks for itself: no other filter with it");
    if (q->csv && cli->json)
        return cli_usage(cli, "--csv or --json, not both");
    return EXIT_DONE;
}

int audit_query_run(struct cli *cli, const struct audit_query *q, const char *dir)
{
    struct dr_err err = { 0 };
    struct query_filter filter;
    struct showing s = { .cli = cli, .query = q };
    DR_CLEANUP(query_close_ptr) struct query *db = NULL;
    int exit = check_words(cli, q);
    if (exit == EXIT_DONE)
        exit = filter_of(cli, q, &filter);
    if (exit != EXIT_DONE)
        return exit;
    enum dr_rc rc = query_open(dir, &db, &err);
    if (rc == DR_OK)
        rc = q->sql != NULL ? query_sql(db, q->sql, show, &s, &err)
                            : query_lines(db, &filter, show, &s, &err);
    if (rc != DR_OK)
        return cli_fail(cli, &err);
    if (query_broken(db) == NULL)
        return EXIT_DONE;
    log_warning("%s: what comes behind it is not in the answer", query_broken(db)->msg);
    return EXIT_UNKNOWN;
}
