/*
 * Counts as lines of text. Numbers are parsed strictly and everything odd is passed over: this file tells a
 * person about money, and nothing depends on it.
 */
#include "backup/work/costs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "backup/work/memo.h"
#include "dr/base/clock.h"
#include "dr/base/mem.h"

enum { COUNTS = 8, DAY_S = 24 * 60 * 60 };

static const char file[] = "costs", magic[] = "costs1";
static const int64_t ns_per_s = 1000000000;

_Static_assert(sizeof(struct store_counts) == COUNTS * sizeof(uint64_t),
               "each count has its place in a line");

/* In the order of a line. */
static void to_array(const struct store_counts *n, uint64_t out[COUNTS])
{
    const uint64_t all[COUNTS] = { n->gets,    n->puts,     n->heads,     n->lists,
                                   n->removes, n->bytes_in, n->bytes_out, n->retries };
    memcpy(out, all, sizeof(all));
}

static void from_array(const uint64_t in[COUNTS], struct store_counts *ret)
{
    *ret = (struct store_counts){ .gets = in[0],
                                  .puts = in[1],
                                  .heads = in[2],
                                  .lists = in[3],
                                  .removes = in[4],
                                  .bytes_in = in[5],
                                  .bytes_out = in[6],
                                  .retries = in[7] };
}

uint64_t costs_requests(const struct store_counts *n)
{
    return n->gets + n->puts + n->heads + n->lists + n->removes;
}

void costs_sum(struct store_counts *to, const struct store_counts *n)
{
    uint64_t a[COUNTS], b[COUNTS];
    to_array(to, a);
    to_array(n, b);
    for (size_t i = 0; i < COUNTS; i++)
        a[i] = a[i] + b[i] < a[i] ? UINT64_MAX : a[i] + b[i];
    from_array(a, to);
}

void costs_fini(struct costs *c)
{
    free(c->rows);
    *c = (struct costs){ 0 };
}

/* The row of that bucket and verb, made when there is none. False: the names are none. */
static struct costs_row *row_of(struct costs *c, const char *bucket, const char *verb, int64_t at_s)
{
    if (strlen(bucket) > COSTS_NAME_MAX || strlen(verb) > COSTS_NAME_MAX)
        return NULL;
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->rows[i].bucket, bucket) == 0 && strcmp(c->rows[i].verb, verb) == 0)
            return &c->rows[i];
    c->rows = dr_realloc(c->rows, c->count + 1, sizeof(*c->rows));
    struct costs_row *row = &c->rows[c->count++];
    *row = (struct costs_row){ .first_s = at_s };
    memcpy(row->bucket, bucket, strlen(bucket) + 1);
    memcpy(row->verb, verb, strlen(verb) + 1);
    return row;
}

/* -- of this process -------------------------------------------------------------------------- */

void costs_now(struct repo *r, struct costs *ret)
{
    *ret = (struct costs){ 0 };
    for (size_t i = 0; i < repo_bucket_count(r); i++) {
        const struct repo_bucket *b = repo_bucket(r, i);
        struct costs_row *row = row_of(ret, b->config->name, "", 0);
        DR_ASSERT(row != NULL); /* names of buckets are that short */
        if (b->store != NULL)
            store_counts(b->store, &row->n);
    }
}

void costs_less(struct costs *c, const struct costs *before)
{
    for (size_t i = 0; i < c->count && i < before->count; i++) {
        uint64_t a[COUNTS], b[COUNTS];
        to_array(&c->rows[i].n, a);
        to_array(&before->rows[i].n, b);
        for (size_t k = 0; k < COUNTS; k++)
            a[k] = a[k] > b[k] ? a[k] - b[k] : 0;
        from_array(a, &c->rows[i].n);
    }
}

struct keeping {
    struct repo *repo;
    char *verb; /* owned */
};

static void write_down(void *arg)
{
    struct keeping *k = arg;
    struct dr_err ignored = { 0 };
    DR_CLEANUP(costs_fini) struct costs c = { 0 };
    const char *state_dir = repo_config(k->repo)->state_dir;
    costs_now(k->repo, &c);
    if (state_dir != NULL) {
        enum dr_rc rc = costs_write(state_dir, k->verb, clock_wall_ns() / ns_per_s, &c, &ignored);
        (void)rc; /* then a bill knows less */
    }
    free(k->verb);
    free(k);
}

void costs_keep(struct repo *r, const char *verb)
{
    struct keeping *k = dr_alloc(1, sizeof(*k));
    *k = (struct keeping){ .repo = r, .verb = dr_strdup(verb) };
    repo_at_close(r, write_down, k);
}

void costs_note(const struct config *c, const char *verb, const struct store *s)
{
    struct dr_err ignored = { 0 };
    DR_CLEANUP(costs_fini) struct costs one = { 0 };
    struct costs_row *row = row_of(&one, s->name, "", 0);
    if (row == NULL || c->state_dir == NULL)
        return;
    store_counts(s, &row->n);
    enum dr_rc rc = costs_write(c->state_dir, verb, clock_wall_ns() / ns_per_s, &one, &ignored);
    (void)rc; /* then a bill knows less */
}

/* -- the file ----------------------------------------------------------------------------------- */

static void add_line(struct buf *out, const struct costs_row *row, const char *verb, int64_t at_s)
{
    uint64_t n[COUNTS];
    to_array(&row->n, n);
    buf_addf(out, "%s %" PRId64 " %s %s", magic, at_s, verb, row->bucket);
    for (size_t i = 0; i < COUNTS; i++)
        buf_addf(out, " %" PRIu64, n[i]);
    buf_addc(out, '\n');
}

/* The next word of a line, ended by a NUL; NULL: there is none. */
static char *word(char **at)
{
    char *start = *at;
    size_t len = strcspn(start, " ");
    if (len == 0)
        return NULL;
    *at = start + len + (start[len] == ' ');
    start[len] = '\0';
    return start;
}

static bool number(char **at, uint64_t *ret)
{
    char *text = word(at), *end = NULL;
    if (text == NULL || strspn(text, "0123456789") != strlen(text))
        return false;
    errno = 0;
    *ret = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0';
}

struct line {
    int64_t at_s;
    const char *verb, *bucket;
    struct store_counts n;
};

/* text is cut into its words. */
static bool parse(char *text, struct line *ret)
{
    uint64_t at_s = 0, n[COUNTS];
    char *at = text;
    const char *first = word(&at);
    if (first == NULL || strcmp(first, magic) != 0 || !number(&at, &at_s) || at_s > INT64_MAX / 2)
        return false;
    ret->at_s = (int64_t)at_s;
    ret->verb = word(&at);
    ret->bucket = ret->verb != NULL ? word(&at) : NULL;
    if (ret->bucket == NULL)
        return false;
    for (size_t i = 0; i < COUNTS; i++)
        if (!number(&at, &n[i]))
            return false;
    from_array(n, &ret->n);
    return *at == '\0';
}

/* Each good line, in the order of the file. bytes are cut up. */
static void each_line(struct buf *bytes, void (*fn)(void *arg, const struct line *l), void *arg)
{
    char *at = bytes->data;
    char *end = bytes->data + bytes->len;
    while (at < end) {
        struct line l = { 0 };
        char *newline = memchr(at, '\n', (size_t)(end - at));
        if (newline == NULL)
            return; /* half a line */
        *newline = '\0';
        if (parse(at, &l))
            fn(arg, &l);
        at = newline + 1;
    }
}

/* -- shortening ------------------------------------------------------------------------------------ */

struct days {
    int64_t from_s, to_s;
    struct costs days[COSTS_DAYS + 2];
};

static void days_fini(struct days *d)
{
    for (size_t i = 0; i < DR_ARRAY_LEN(d->days); i++)
        costs_fini(&d->days[i]);
}

static void add_to_day(void *arg, const struct line *l)
{
    struct days *d = arg;
    if (l->at_s <= d->from_s || l->at_s > d->to_s)
        return;
    size_t day = (size_t)((l->at_s - d->from_s) / DAY_S);
    DR_ASSERT(day < DR_ARRAY_LEN(d->days));
    struct costs_row *row = row_of(&d->days[day], l->bucket, l->verb, l->at_s);
    if (row == NULL)
        return;
    row->first_s = l->at_s < row->first_s ? l->at_s : row->first_s;
    costs_sum(&row->n, &l->n);
}

static void print_day(const struct costs *day, struct buf *out)
{
    for (size_t i = 0; i < day->count; i++)
        add_line(out, &day->rows[i], day->rows[i].verb, day->rows[i].first_s);
}

/* Whoever has more buckets and verbs than fit remembers the newest days. */
static void print_days(const struct days *d, struct buf *out)
{
    size_t from = DR_ARRAY_LEN(d->days), len = 0;
    for (size_t i = from; i-- > 0; from = i) {
        DR_CLEANUP(buf_fini) struct buf day = { 0 };
        print_day(&d->days[i], &day);
        len += day.len;
        if (len > COSTS_LOG_BYTES / 2)
            break;
    }
    for (size_t i = from; i < DR_ARRAY_LEN(d->days); i++)
        print_day(&d->days[i], out);
}

static enum dr_rc shorten(const char *state_dir, int64_t now_s, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    DR_TRY(memo_read(state_dir, file, &bytes, err));
    struct days *d = dr_alloc(1, sizeof(*d));
    d->from_s = now_s - (int64_t)COSTS_DAYS * DAY_S;
    d->to_s = now_s + DAY_S; /* a clock that was ahead for a while */
    each_line(&bytes, add_to_day, d);
    print_days(d, &text);
    days_fini(d);
    free(d);
    return memo_replace(state_dir, file, text.len > 0 ? text.data : "", text.len, err);
}

enum dr_rc costs_write(const char *state_dir, const char *verb, int64_t now_s,
                       const struct costs *c, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf lines = { 0 };
    uint64_t size = 0;
    DR_ASSERT(verb[0] != '\0' && strlen(verb) <= COSTS_NAME_MAX && strpbrk(verb, " \n") == NULL);
    for (size_t i = 0; i < c->count; i++)
        if (costs_requests(&c->rows[i].n) > 0)
            add_line(&lines, &c->rows[i], verb, now_s);
    if (lines.len == 0)
        return DR_OK;
    DR_TRY(memo_append(state_dir, file, &lines, &size, err));
    return size > COSTS_LOG_BYTES ? shorten(state_dir, now_s, err) : DR_OK;
}

/* -- reading ----------------------------------------------------------------------------------------- */

struct reading {
    int64_t from_s, to_s;
    struct costs *ret;
};

static void add_to_sum(void *arg, const struct line *l)
{
    const struct reading *r = arg;
    if (l->at_s > r->to_s)
        return;
    if (r->ret->first_s == 0 || l->at_s < r->ret->first_s)
        r->ret->first_s = l->at_s;
    if (l->at_s <= r->from_s)
        return;
    struct costs_row *row = row_of(r->ret, l->bucket, l->verb, l->at_s);
    if (row == NULL)
        return;
    row->first_s = l->at_s < row->first_s ? l->at_s : row->first_s;
    costs_sum(&row->n, &l->n);
}

enum dr_rc costs_read(const char *state_dir, int64_t from_s, int64_t to_s, struct costs *ret,
                      struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    struct dr_err why = { 0 };
    struct reading reading = { .from_s = from_s, .to_s = to_s, .ret = ret };
    *ret = (struct costs){ 0 };
    enum dr_rc rc = memo_read(state_dir, file, &bytes, &why);
    if (rc == DR_E_NOTFOUND)
        return DR_OK;
    if (rc != DR_OK) {
        *err = why;
        return rc;
    }
    each_line(&bytes, add_to_sum, &reading);
    return DR_OK;
}

/* -- a month ------------------------------------------------------------------------------------------- */

void costs_month(const struct costs *c, const char *bucket, int64_t now_s, struct costs_month *ret)
{
    const int64_t month_s = (int64_t)COSTS_MONTH_DAYS * DAY_S;
    uint64_t n[COUNTS];
    *ret = (struct costs_month){ 0 };
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->rows[i].bucket, bucket) == 0)
            costs_sum(&ret->seen, &c->rows[i].n);
    if (c->first_s > 0 && c->first_s < now_s)
        ret->known_s = now_s - c->first_s < month_s ? now_s - c->first_s : month_s;
    ret->projected = ret->known_s >= DAY_S;
    if (!ret->projected)
        return;
    to_array(&ret->seen, n);
    for (size_t i = 0; i < COUNTS; i++)
        n[i] = (uint64_t)((double)n[i] * (double)month_s / (double)ret->known_s + 0.5);
    from_array(n, &ret->month);
}
