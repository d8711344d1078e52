/* The union of what the buckets hold of all ledgers, read book by book. */
#include "dr/audit/elsewhere.h"

#include <inttypes.h>
#include <string.h>

#include "backup/store/bucket.h"
#include "dr/audit/anchor.h"
#include "dr/base/mem.h"
#include "dr/data/time.h"

struct away {
    const struct elsewhere_wish *wish;
    elsewhere_fn *fn;
    void *arg;
    struct text_list *notes;
    struct store **stores; /* one a bucket; NULL: cannot be read. Owned */
    struct text_list *has; /* what each of them lists. Owned */
    struct text_list all;  /* of all, sorted, each once: "ledger/SITE/BOOK/FROM-TO-HEAD" */

    /* The book that is being read. */
    char *site, *book; /* owned */
    int64_t n;         /* its last line that was read; 0: none */
    char head[HASH_HEX_SIZE];
    bool broken, enough;

    struct hash *hash; /* owned */
    char from[TIME_TEXT_MAX], to[TIME_TEXT_MAX];
};

static void away_fini(struct away *w)
{
    for (size_t i = 0; i < w->wish->config->bucket_count; i++) {
        store_close(w->stores[i]);
        text_list_fini(&w->has[i]);
    }
    free(w->stores);
    free(w->has);
    text_list_fini(&w->all);
    hash_free(w->hash);
    free(w->site);
    free(w->book);
}

/* text is taken over. */
static void note(struct away *w, char *text)
{
    text_list_add(w->notes, text);
    free(text);
}

/* -- what there is ------------------------------------------------------------------------------- */

static void list_bucket(struct away *w, size_t i)
{
    const struct config_bucket *b = &w->wish->config->buckets[i];
    struct dr_err err = { 0 };
    enum dr_rc rc = bucket_open(w->wish->config, b, NULL, &w->stores[i], &err);
    if (rc == DR_OK)
        rc = store_list(w->stores[i], NAMES_LEDGER, &w->has[i], &err);
    if (rc != DR_OK) {
        note(w,
             dr_strf("bucket '%s' cannot be read: ledgers of other hosts that lie only there are "
                     "not in this report",
                     b->name));
        text_list_fini(&w->has[i]);
        return;
    }
    text_list_sort(&w->has[i]);
    for (size_t k = 0; k < w->has[i].count; k++)
        text_list_add(&w->all, w->has[i].items[k]);
}

/* "ledger/us/3f9c.../NAME": "us", "3f9c..." and "NAME"; the caller frees the first two. False: no anchor. */
static bool read_name(const char *name, char **ret_site, char **ret_book, const char **ret_last)
{
    const char *site = name + strlen(NAMES_LEDGER);
    const char *book = strchr(site, '/'), *last = strrchr(name, '/');
    int64_t from = 0, to = 0;
    if (book == NULL || last == book || !anchor_is_name(last + 1, &from, &to))
        return false;
    *ret_site = dr_memdup(site, (size_t)(book - site));
    *ret_book = dr_memdup(book + 1, (size_t)(last - book - 1));
    *ret_last = last + 1;
    return true;
}

/* -- one object ---------------------------------------------------------------------------------- */

/* From the first bucket where it is whole, and by a key that is trusted. */
static bool get_object(struct away *w, const char *name, struct buf *object, struct anchor *ret)
{
    struct dr_err err = { 0 };
    for (size_t i = 0; i < w->wish->config->bucket_count; i++) {
        if (!text_list_has(&w->has[i], name))
            continue;
        buf_clear(object);
        if (store_get_all(w->stores[i], name, ANCHOR_OBJECT_MAX, object, &err) != DR_OK ||
            anchor_read(name, object, ret, &err) != DR_OK || strcmp(ret->book, w->book) != 0)
            continue;
        if (config_trusts_key(w->wish->config, ret->writer) ||
            text_list_has(w->wish->own_keys, ret->writer))
            return true;
        (void)dr_fail(&err, DR_E_REFUSED, "%s is signed by %s, which trusted_writers does not name",
                      name, ret->writer);
    }
    note(w, dr_strf("a part of the ledger of %s is not in this report: %s", w->site, err.msg));
    return false;
}

/* An object's key has signed its lines; one that names another key needs that one's own signature. */
static enum dr_rc check_line(struct away *w, const char *line, size_t len, const char *writer,
                             struct book_line *ret, struct dr_err *err)
{
    DR_TRY(book_split(w->hash, line, len, ret, err));
    const struct book_text *key = &ret->key;
    bool same = key->len == strlen(writer) && memcmp(key->at, writer, key->len) == 0;
    if (ret->n <= w->n) /* two objects of one host may overlap */
        return DR_OK;
    if (key->at != NULL && !same && !book_line_is_signed(ret, err))
        return DR_E_CORRUPT;
    bool first =
        w->n > 0 && w->head[0] == '\0'; /* of those that are read: what came before is not known */
    if (ret->n == w->n + 1 && !first)
        return book_line_follows(ret, w->n, w->head, err);
    return DR_OK;
}

static void take_line(struct away *w, const char *line, size_t len, const char *writer)
{
    struct book_line l = { 0 };
    DR_CLEANUP(book_record_fini) struct book_record r = { 0 };
    struct dr_err err = { 0 };
    enum dr_rc rc = check_line(w, line, len, writer, &l, &err);
    if (rc == DR_OK && l.n <= w->n)
        return;
    bool asked = rc == DR_OK && memcmp(l.time.at, w->from, BOOK_TIME_LEN) >= 0 &&
                 memcmp(l.time.at, w->to, BOOK_TIME_LEN) < 0;
    if (asked)
        rc = book_parse(&l, &r, &err);
    if (rc != DR_OK) {
        w->broken = true;
        note(w, dr_strf("the ledger of %s is broken behind record %" PRId64 ": %s", w->site, w->n,
                        err.msg));
        return;
    }
    if (l.n != w->n + 1)
        note(w, dr_strf("records %" PRId64 " to %" PRId64
                        " of the ledger of %s are in no bucket that can be read",
                        w->n + 1, l.n - 1, w->site));
    w->n = l.n;
    memcpy(w->head, l.hash, sizeof(w->head));
    if (asked)
        w->enough = !w->fn(w->arg, w->site, &r);
}

static void take_object(struct away *w, const char *name)
{
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    struct anchor a = { 0 };
    if (!get_object(w, name, &object, &a))
        return;
    const char *at = a.lines, *end = a.lines + a.len;
    while (at < end && !w->broken && !w->enough) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (stop == NULL)
            break;
        take_line(w, at, (size_t)(stop - at) + 1, a.writer);
        at = stop + 1;
    }
}

/* -- one book ------------------------------------------------------------------------------------ */

/* When the first line of the object was written; false: it cannot be read. */
static bool began(struct away *w, const char *name, int64_t *ret_n, int64_t *ret_ns)
{
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    struct anchor a = { 0 };
    struct book_record r = { 0 };
    struct dr_err ignored = { 0 };
    const char *stop = NULL;
    bool known = get_object(w, name, &object, &a) &&
                 (stop = memchr(a.lines, '\n', a.len)) != NULL &&
                 book_read_line(a.lines, (size_t)(stop - a.lines) + 1, &r, &ignored) == DR_OK;
    *ret_n = r.n;
    *ret_ns = r.wall_ns;
    book_record_fini(&r);
    return known;
}

/* The last object that begins before the time that is asked for, so that years need not be read for a month. */
static size_t find_begin(struct away *w, size_t from, size_t end)
{
    size_t low = from, high = end;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        int64_t n = 0, ns = 0;
        if (!began(w, w->all.items[middle], &n, &ns))
            return from; /* told; then all is looked at */
        if (ns < w->wish->from_ns) {
            low = middle;
            w->n = n - 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void take_book(struct away *w, size_t from, size_t end)
{
    w->n = 0;
    w->head[0] = '\0';
    w->broken = false;
    for (size_t i = find_begin(w, from, end); i < end && !w->broken && !w->enough; i++)
        take_object(w, w->all.items[i]);
}

/* Names sort by site, book and number. Those of one book: [from, end). */
static size_t end_of_book(struct away *w, size_t from)
{
    size_t end = from + 1;
    const char *last = NULL;
    free(w->site);
    free(w->book);
    w->site = w->book = NULL;
    if (!read_name(w->all.items[from], &w->site, &w->book, &last))
        return end;
    size_t len = (size_t)(last - w->all.items[from]);
    while (end < w->all.count && strncmp(w->all.items[end], w->all.items[from], len) == 0)
        end++;
    return end;
}

static void drop_copies(struct text_list *l)
{
    size_t kept = 0;
    for (size_t i = 0; i < l->count; i++) {
        if (kept > 0 && strcmp(l->items[i], l->items[kept - 1]) == 0)
            free(l->items[i]);
        else
            l->items[kept++] = l->items[i];
    }
    l->count = kept;
}

void elsewhere_each(const struct elsewhere_wish *wish, elsewhere_fn *fn, void *arg,
                    struct text_list *ret_notes)
{
    size_t count = wish->config->bucket_count;
    struct away w = { .wish = wish, .fn = fn, .arg = arg, .notes = ret_notes };
    w.hash = hash_new();
    (void)time_print(wish->from_ns > 0 ? wish->from_ns : 0, w.from);
    (void)time_print(wish->to_ns > 0 ? wish->to_ns : 0, w.to);
    w.stores = dr_alloc(count + 1, sizeof(struct store *));
    w.has = dr_alloc(count + 1, sizeof(*w.has));
    for (size_t i = 0; i < count; i++)
        list_bucket(&w, i);
    text_list_sort(&w.all);
    drop_copies(&w.all);
    for (size_t i = 0, end = 0; i < w.all.count && !w.enough; i = end) {
        end = end_of_book(&w, i);
        bool own = w.book == NULL || (wish->own != NULL && strcmp(w.book, wish->own) == 0);
        if (!own)
            take_book(&w, i, end);
    }
    away_fini(&w);
}
