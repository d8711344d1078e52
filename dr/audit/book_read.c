/*
 * book_read.c - the lines of the ledger, checked before they are given.
 *
 * A month is gone through twice: first all of its lines by digest and chain, then those that were asked for as JSON. A signature is
 * looked at where a stretch of lines by one key ends, since the last line's digest stands for all before it; only when that one is
 * bad all of the stretch is, to name the first. So years are read in seconds, and what was forged is not given.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "dr/audit/book.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/data/time.h"

struct reading {
    char from[TIME_TEXT_MAX], to[TIME_TEXT_MAX]; /* as text, which sorts as time does */
    book_fn *fn;
    void *arg;
    const struct text_list *keys;
    struct hash *h;
    bool begun, enough; /* begun: n and hash are of the line before */
    int64_t n;
    char hash[HASH_HEX_SIZE];
};

/* A file, and a place in it. */
struct month {
    const char *name;
    const struct buf *bytes;
    size_t at, line; /* line: those before the place */
};

/* The next whole line. An incomplete last one may be one that is just being written. */
static bool next(struct month *m, const char **ret, size_t *ret_len)
{
    const char *start = m->bytes->data + m->at;
    const char *end = m->at < m->bytes->len ? memchr(start, '\n', m->bytes->len - m->at) : NULL;
    if (end == NULL)
        return false;
    *ret = start;
    *ret_len = (size_t)(end - start) + 1;
    m->at += *ret_len;
    m->line++;
    return true;
}

/* -- form, digest, chain, signatures ---------------------------------------------------------------- */

struct stretch { /* lines by one key, or by none */
    struct month begin;
    struct book_line last;
    bool any;
};

static bool is_of(const struct stretch *s, const struct book_line *l)
{
    const struct book_text *k = &s->last.key;
    return s->any && k->len == l->key.len && (k->len == 0 || memcmp(k->at, l->key.at, k->len) == 0);
}

/* m: where the error is. */
static enum dr_rc name_place(const struct month *m, struct dr_err *err)
{
    return dr_context(err, "%s:%zu", m->name, m->line);
}

/* ret_good: lines that are vouched for, when it is bad. */
static enum dr_rc end_stretch(struct reading *g, const struct stretch *s, size_t *ret_good,
                              struct dr_err *err)
{
    const char *line = NULL;
    size_t len = 0;
    struct month m = s->begin;
    struct dr_err why = { 0 };
    if (!s->any || s->last.key.at == NULL || book_line_is_signed(&s->last, &why))
        return DR_OK;
    while (next(&m, &line, &len)) {
        struct book_line l = { 0 };
        DR_TRY(book_split(g->h, line, len, &l, err));
        if (book_line_is_signed(&l, err))
            continue;
        *ret_good = m.line - 1;
        return name_place(&m, err);
    }
    DR_ASSERT(false); /* its last line is bad */
    return DR_E_CORRUPT;
}

static enum dr_rc begin_stretch(const struct reading *g, struct stretch *s, const struct month *at,
                                const struct book_line *l, struct dr_err *err)
{
    char key[KEYS_TEXT_MAX];
    book_line_key(l, key);
    *s = (struct stretch){ .begin = *at };
    if (l->key.at == NULL || text_list_has(g->keys, key))
        return DR_OK;
    return dr_fail(err, DR_E_CORRUPT, "record %" PRId64 " is signed by an unknown key (%s)", l->n,
                   key);
}

static enum dr_rc check_line(struct reading *g, const char *line, size_t len, struct book_line *ret,
                             struct dr_err *err)
{
    DR_TRY(book_split(g->h, line, len, ret, err));
    if (g->begun)
        DR_TRY(book_line_follows(ret, g->n, g->hash, err));
    g->begun = true;
    g->n = ret->n;
    memcpy(g->hash, ret->hash, sizeof(g->hash));
    return DR_OK;
}

/* ret_good: the last line of the file that may be given. */
static enum dr_rc check_month(struct reading *g, struct month m, size_t *ret_good,
                              struct dr_err *err)
{
    struct stretch s = { 0 };
    struct month before = m;
    const char *line = NULL;
    size_t len = 0;
    enum dr_rc rc = DR_OK;
    for (; rc == DR_OK && next(&m, &line, &len); before = m) {
        struct book_line l = { 0 };
        rc = check_line(g, line, len, &l, err);
        if (rc == DR_OK && !is_of(&s, &l)) {
            *ret_good = before.line;
            DR_TRY(end_stretch(g, &s, ret_good, err));
            rc = begin_stretch(g, &s, &before, &l, err);
        }
        if (rc != DR_OK)
            break;
        s.last = l;
        s.any = true;
    }
    if (rc != DR_OK)
        (void)name_place(&m, err);
    *ret_good = before.line;
    struct dr_err other = { 0 };
    if (end_stretch(g, &s, ret_good, &other) == DR_OK)
        return rc;
    *err = other; /* it stands before the other */
    return err->rc;
}

/* -- what was asked for ------------------------------------------------------------------------------ */

static bool is_within(const struct reading *g, const struct book_line *l)
{
    return memcmp(l->time.at, g->from, BOOK_TIME_LEN) >= 0 &&
           memcmp(l->time.at, g->to, BOOK_TIME_LEN) < 0;
}

static enum dr_rc give_lines(struct reading *g, struct month m, size_t good, struct dr_err *err)
{
    const char *line = NULL;
    size_t len = 0;
    while (!g->enough && m.line < good && next(&m, &line, &len)) {
        struct book_line l = { 0 };
        DR_CLEANUP(book_record_fini) struct book_record r = { 0 };
        enum dr_rc rc = book_split(g->h, line, len, &l, err);
        if (rc == DR_OK && !is_within(g, &l))
            continue;
        if (rc == DR_OK)
            rc = book_parse(&l, &r, err);
        if (rc != DR_OK)
            return name_place(&m, err);
        r.file = m.name;
        r.line = m.line;
        g->enough = !g->fn(g->arg, &r);
    }
    return DR_OK;
}

static enum dr_rc read_month(struct reading *g, const struct month *m, struct dr_err *err)
{
    struct dr_err broken = { 0 };
    size_t good = 0;
    enum dr_rc rc = check_month(g, *m, &good, &broken);
    DR_TRY(give_lines(g, *m, good, err));
    if (rc == DR_OK || g->enough)
        return DR_OK;
    *err = broken;
    return rc;
}

/* -- the files ---------------------------------------------------------------------------------------- */

static enum dr_rc read_file(struct reading *g, const char *state_dir, const char *name,
                            struct dr_err *err)
{
    DR_FREE char *shown = dr_strf("ledger/%s", name);
    DR_FREE char *path = dr_strf("%s/%s", state_dir, shown);
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    const struct month m = { .name = shown, .bytes = &bytes };
    DR_TRY(fs_read_file(path, BOOK_FILE_MAX, &bytes, err));
    return read_month(g, &m, err);
}

enum dr_rc book_each(const char *state_dir, int64_t from_ns, int64_t to_ns, book_fn *fn, void *arg,
                     struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list months = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list known = { 0 };
    DR_CLEANUP(hash_free_ptr) struct hash *h = hash_new();
    DR_FREE char *first = book_month_of(from_ns > 0 ? from_ns : 0);
    struct reading g = { .fn = fn, .arg = arg, .keys = &known, .h = h };
    (void)time_print(from_ns > 0 ? from_ns : 0, g.from);
    (void)time_print(to_ns > 0 ? to_ns : 0, g.to);
    DR_TRY(book_months(state_dir, &months, err));
    DR_TRY(book_keys(state_dir, &known, err));
    for (size_t i = 0; i < months.count && !g.enough; i++) {
        if (strcmp(months.items[i], first) < 0)
            continue;
        g.begun = g.begun || i == 0; /* whose first line is number 1 */
        DR_TRY(read_file(&g, state_dir, months.items[i], err));
    }
    return DR_OK;
}

/* -- from a place that is known -------------------------------------------------------------------------- */

/* The first line of a month by itself. False: there is none that is whole. */
static bool read_first(const char *state_dir, const char *name, struct hash *h, struct buf *bytes,
                       struct book_line *ret)
{
    struct dr_err ignored = { 0 };
    DR_FREE char *path = dr_strf("%s/ledger/%s", state_dir, name);
    DR_CLEANUP(dr_close_fd) int fd = sys_open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0);
    buf_clear(bytes);
    ssize_t got = 0;
    for (char *to = buf_reserve(bytes, BOOK_LINE_MAX);
         fd >= 0 && bytes->len < BOOK_LINE_MAX &&
         (got = sys.pread(fd, to + bytes->len, BOOK_LINE_MAX - bytes->len, (off_t)bytes->len)) !=
             0;)
        if (got > 0)
            bytes->len += (size_t)got;
        else if (errno != EINTR)
            return false;
    const char *end = bytes->len > 0 ? memchr(bytes->data, '\n', bytes->len) : NULL;
    return end != NULL &&
           book_split(h, bytes->data, (size_t)(end - bytes->data) + 1, ret, &ignored) == DR_OK;
}

char *book_own(const char *dir, char out[BOOK_ID_SIZE])
{
    DR_CLEANUP(text_list_fini) struct text_list months = { 0 };
    DR_CLEANUP(hash_free_ptr) struct hash *h = hash_new();
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    struct book_line first = { 0 };
    struct dr_err ignored = { 0 };
    out[0] = '\0';
    if (book_months(dir, &months, &ignored) == DR_OK && months.count > 0 &&
        read_first(dir, months.items[0], h, &bytes, &first) && first.n == 1)
        (void)book_id(first.hash, out);
    return out;
}

/* The file that record n must stand in: the last one that does not begin behind it. ret_first: with which it begins. */
static size_t find_month(const char *state_dir, const struct text_list *months, int64_t n,
                         struct hash *h, int64_t *ret_first)
{
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    for (size_t i = months->count; i-- > 0;) {
        struct book_line l = { 0 };
        if (read_first(state_dir, months->items[i], h, &bytes, &l) && l.n <= n) {
            *ret_first = l.n;
            return i;
        }
    }
    return months->count;
}

/* m is behind that record then. */
static enum dr_rc find_line(struct reading *g, struct month *m, size_t before, const char *hash,
                            struct dr_err *err)
{
    const char *line = NULL;
    size_t len = 0;
    struct book_line l = { 0 };
    for (size_t i = 0; i <= before; i++)
        if (!next(m, &line, &len))
            return dr_fail(err, DR_E_CORRUPT,
                           "%s ends before record %" PRId64 ", which was there: its tail is cut",
                           m->name, g->n);
    enum dr_rc rc = book_split(g->h, line, len, &l, err);
    if (rc == DR_OK && (l.n != g->n || !text_starts(l.hash, hash)))
        rc = dr_fail(err, DR_E_CORRUPT, "record %" PRId64 " is another one than it was", g->n);
    if (rc != DR_OK)
        return name_place(m, err);
    memcpy(g->hash, l.hash, sizeof(g->hash));
    return DR_OK;
}

static enum dr_rc read_rest(struct reading *g, const char *state_dir, const char *name,
                            size_t before, const char *hash, struct dr_err *err)
{
    DR_FREE char *shown = dr_strf("ledger/%s", name);
    DR_FREE char *path = dr_strf("%s/%s", state_dir, shown);
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    struct month m = { .name = shown, .bytes = &bytes };
    DR_TRY(fs_read_file(path, BOOK_FILE_MAX, &bytes, err));
    DR_TRY(find_line(g, &m, before, hash, err));
    return read_month(g, &m, err);
}

enum dr_rc book_after(const char *state_dir, int64_t n, const char *hash, book_fn *fn, void *arg,
                      struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list months = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list known = { 0 };
    DR_CLEANUP(hash_free_ptr) struct hash *h = hash_new();
    struct reading g = { .fn = fn, .arg = arg, .keys = &known, .h = h, .begun = true, .n = n };
    int64_t first = 0;
    if (n < 1)
        return book_each(state_dir, 0, INT64_MAX, fn, arg, err);
    (void)time_print(0, g.from);
    (void)time_print(INT64_MAX, g.to);
    DR_TRY(book_months(state_dir, &months, err));
    DR_TRY(book_keys(state_dir, &known, err));
    size_t at = find_month(state_dir, &months, n, h, &first);
    if (at == months.count)
        return dr_fail(err, DR_E_CORRUPT,
                       "the ledger has no record %" PRId64 " any more, which was there", n);
    DR_TRY(read_rest(&g, state_dir, months.items[at], (size_t)(n - first), hash, err));
    for (size_t i = at + 1; i < months.count && !g.enough; i++)
        DR_TRY(read_file(&g, state_dir, months.items[i], err));
    return DR_OK;
}
