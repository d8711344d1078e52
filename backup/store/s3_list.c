/*
 * Lists of a bucket, page by page, and the removal of many objects in one request.
 *
 * Keys come percent-encoded (encoding-type=url), for what other programs put there may hold characters
 * that XML cannot: those are no names of ours, and are dropped by store.c. The pages of a
 * broken server could go on for ever, so their number is bounded, and a page that does not lead on
 * is an error.
 */
#include <string.h>

#include "backup/store/s3_inside.h"
#include "backup/store/s3_xml.h"
#include "dr/base/mem.h"

/* -- one page ------------------------------------------------------------------------------------ */

struct page {
    struct s3 *s;
    /* where rows go: one of the two */
    struct store_entries *entries;
    s3_version_fn *fn;
    void *arg;
    /* the row at hand, and what the page says of itself; owned */
    char *key, *id, *size, *latest;
    char *token, *next_key, *next_id;
    bool truncated;
};

static void set(char **field, const char *text)
{
    free(*field);
    *field = dr_strdup(text);
}

static void forget_row(struct page *p)
{
    free(p->key);
    free(p->id);
    free(p->size);
    free(p->latest);
    p->key = p->id = p->size = p->latest = NULL;
}

static void page_fini(struct page *p)
{
    forget_row(p);
    free(p->token);
    free(p->next_key);
    free(p->next_id);
}

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place. What is no %XX stays: then it is no name of ours. */
static void decode(char *text)
{
    char *to = text;
    for (const char *p = text; *p != '\0'; p++) {
        int high = p[0] == '%' ? hex_of(p[1]) : -1;
        int low = high >= 0 ? hex_of(p[2]) : -1;
        if (low > 0 || (low == 0 && high > 0)) {
            *to++ = (char)(high * 16 + low);
            p += 2;
        } else {
            *to++ = *p;
        }
    }
    *to = '\0';
}

/* Below our prefix? The name without it, or NULL. */
static const char *name_of(struct page *p)
{
    if (p->key == NULL)
        return NULL;
    decode(p->key);
    const char *prefix = p->s->url.prefix;
    return text_starts(p->key, prefix) ? p->key + strlen(prefix) : NULL;
}

static bool parse_size(const char *text, uint64_t *ret)
{
    char *end = NULL;
    if (text == NULL || text[0] < '0' || text[0] > '9')
        return false;
    *ret = strtoull(text, &end, 10);
    return *end == '\0';
}

static enum dr_rc take_row(struct page *p, bool marker, struct dr_err *err)
{
    const char *name = name_of(p);
    uint64_t size = 0;
    enum dr_rc rc = DR_OK;
    if (name == NULL || (!marker && !parse_size(p->size, &size)))
        rc = dr_fail(err, DR_E_CORRUPT, "a row of the list is not complete");
    else if (p->entries != NULL)
        store_entries_add(p->entries, name, size);
    else if (p->id == NULL || strlen(p->id) >= S3_VERSION_MAX)
        rc = dr_fail(err, DR_E_CORRUPT, "a row of the list has no version");
    else {
        const struct s3_version v = { .name = name,
                                      .id = p->id,
                                      .size = size,
                                      .marker = marker,
                                      .latest =
                                          p->latest != NULL && strcmp(p->latest, "true") == 0 };
        rc = p->fn(p->arg, &v, err);
    }
    forget_row(p);
    return rc;
}

static char **field_of(struct page *p, const char *leaf)
{
    const struct {
        const char *leaf;
        char **field;
    } fields[] = {
        { "/Key", &p->key },
        { "/VersionId", &p->id },
        { "/Size", &p->size },
        { "/IsLatest", &p->latest },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(fields); i++)
        if (strcmp(leaf, fields[i].leaf) == 0)
            return fields[i].field;
    return NULL;
}

static enum dr_rc take_leaf(void *arg, const char *path, const char *text, struct dr_err *err)
{
    struct page *p = arg;
    static const char *const roots[] = { "ListBucketResult/", "ListVersionsResult/" };
    bool versions = p->entries == NULL;
    if (!text_starts(path, roots[versions]))
        return DR_OK;
    const char *leaf = path + strlen(roots[versions]);
    static const char *const rows[] = { "Contents", "Version", "DeleteMarker" };
    for (size_t i = versions; i < (versions ? 3U : 1U); i++) {
        size_t len = strlen(rows[i]);
        if (strncmp(leaf, rows[i], len) != 0)
            continue;
        if (leaf[len] == '\0')
            return take_row(p, i == 2, err);
        char **field = field_of(p, leaf + len);
        if (field != NULL)
            set(field, text);
        return DR_OK;
    }
    if (strcmp(leaf, "IsTruncated") == 0)
        p->truncated = strcmp(text, "true") == 0;
    else if (strcmp(leaf, "NextContinuationToken") == 0)
        set(&p->token, text);
    else if (strcmp(leaf, "NextKeyMarker") == 0)
        set(&p->next_key, text);
    else if (strcmp(leaf, "NextVersionIdMarker") == 0)
        set(&p->next_id, text);
    return DR_OK;
}

static enum dr_rc read_page(struct page *p, const char *query, const char *action,
                            struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf body = { 0 };
    const struct s3_ask q = { .method = "GET",
                              .query = query,
                              .grow = &body,
                              .grow_limit = S3_LIST_MAX,
                              .counter = STORE_LISTS,
                              .what = "list its objects",
                              .action = action };
    DR_CLEANUP(s3_answer_fini) struct s3_answer a = { 0 };
    DR_TRY(s3_call(p->s, &q, &a, err));
    if (a.reply.status != 200)
        return s3_fail(p->s, &q, &a, err);
    p->truncated = false;
    if (s3_xml_read(body.data, body.len, take_leaf, p, err) != DR_OK)
        return dr_context(err, "bucket '%s': listing its objects", p->s->base.name);
    return DR_OK;
}

static enum dr_rc stuck(const struct s3 *s, struct dr_err *err)
{
    return dr_fail(err, DR_E_CORRUPT, "bucket '%s': its list does not come to an end",
                   s->base.name);
}

static void add_prefix(struct buf *query, const struct s3 *s, const char *prefix)
{
    buf_adds(query, "prefix=");
    s3_encode(query, s->url.prefix);
    s3_encode(query, prefix);
}

/* -- names ------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct store_entry *)a)->name, ((const struct store_entry *)b)->name);
}

/* ret_more NULL: all pages. */
static enum dr_rc list_plain(struct s3 *s, const char *prefix, struct store_entries *ret,
                             bool *ret_more, struct dr_err *err)
{
    DR_CLEANUP(page_fini) struct page p = { .s = s, .entries = ret };
    for (size_t n = 0;; n++) {
        DR_CLEANUP(buf_fini) struct buf query = { 0 };
        if (p.token != NULL) {
            buf_adds(&query, "continuation-token=");
            s3_encode(&query, p.token);
            buf_addc(&query, '&');
        }
        buf_addf(&query, "encoding-type=url&list-type=2&max-keys=%d&", S3_PAGE);
        add_prefix(&query, s, prefix);
        DR_FREE char *before = DR_TAKE(p.token);
        DR_TRY(read_page(&p, query.data, "s3:ListBucket", err));
        if (ret_more != NULL)
            *ret_more = p.truncated;
        if (!p.truncated || ret_more != NULL)
            return DR_OK;
        if (p.token == NULL || n >= S3_PAGES_MAX ||
            (before != NULL && strcmp(before, p.token) == 0))
            return stuck(s, err);
    }
}

/* Of each name: is it there, by the rule of s3.h, and how large? */
struct fold {
    struct s3 *s;
    struct store_entries *ret;
    char *name; /* of the group at hand; owned */
    bool there;
    uint64_t size;
};

static void end_group(struct fold *f)
{
    if (f->name != NULL && f->there)
        store_entries_add(f->ret, f->name, f->size);
    free(f->name);
    f->name = NULL;
    f->there = false;
}

static enum dr_rc fold_version(void *arg, const struct s3_version *v, struct dr_err *err)
{
    struct fold *f = arg;
    (void)err;
    bool first = f->name == NULL || strcmp(f->name, v->name) != 0;
    if (first) {
        end_group(f);
        f->name = dr_strdup(v->name);
    }
    if (!v->marker && (first || s3_is_lasting(f->s, v->name))) {
        f->there = true;
        f->size = v->size; /* of lasting ones the last that is told is the oldest */
    }
    return DR_OK;
}

static enum dr_rc list_locked(struct s3 *s, const char *prefix, struct store_entries *ret,
                              struct dr_err *err)
{
    struct fold f = { .s = s, .ret = ret };
    enum dr_rc rc = s3_versions(s, prefix, fold_version, &f, err);
    if (rc == DR_OK)
        end_group(&f);
    free(f.name);
    return rc;
}

/* Not every store sorts bytewise. */
static bool are_sorted(const struct store_entries *e)
{
    for (size_t i = 1; i < e->count; i++)
        if (by_name(&e->items[i - 1], &e->items[i]) > 0)
            return false;
    return true;
}

enum dr_rc s3_list_sizes(struct store *base, const char *prefix, struct store_entries *ret,
                         struct dr_err *err)
{
    struct s3 *s = (struct s3 *)base;
    DR_TRY(s->lock_ms > 0 ? list_locked(s, prefix, ret, err)
                          : list_plain(s, prefix, ret, NULL, err));
    if (ret->count > 1 && !are_sorted(ret))
        qsort(ret->items, ret->count, sizeof(*ret->items), by_name);
    return DR_OK;
}

enum dr_rc s3_list_some(struct store *base, const char *prefix, struct text_list *ret,
                        bool *ret_more, struct dr_err *err)
{
    struct s3 *s = (struct s3 *)base;
    DR_CLEANUP(store_entries_fini) struct store_entries rows = { 0 };
    *ret_more = false;
    if (s->lock_ms == 0)
        DR_TRY(list_plain(s, prefix, &rows, ret_more, err));
    if (s->lock_ms > 0 || !are_sorted(&rows)) { /* such a page is not the first names */
        store_entries_fini(&rows);
        rows = (struct store_entries){ 0 };
        *ret_more = false;
        DR_TRY(s3_list_sizes(base, prefix, &rows, err));
    }
    for (size_t i = 0; i < rows.count; i++)
        text_list_add(ret, rows.items[i].name);
    return DR_OK;
}

enum dr_rc s3_versions(struct s3 *s, const char *prefix, s3_version_fn *fn, void *arg,
                       struct dr_err *err)
{
    DR_CLEANUP(page_fini) struct page p = { .s = s, .fn = fn, .arg = arg };
    for (size_t n = 0;; n++) {
        DR_CLEANUP(buf_fini) struct buf query = { 0 };
        DR_FREE char *key = DR_TAKE(p.next_key);
        DR_FREE char *id = DR_TAKE(p.next_id);
        buf_adds(&query, "encoding-type=url&");
        if (key != NULL) {
            decode(key);
            buf_adds(&query, "key-marker=");
            s3_encode(&query, key);
            buf_addc(&query, '&');
        }
        buf_addf(&query, "max-keys=%d&", S3_PAGE);
        add_prefix(&query, s, prefix);
        if (id != NULL && id[0] != '\0') {
            buf_adds(&query, "&version-id-marker=");
            s3_encode(&query, id);
        }
        buf_adds(&query, "&versions=");
        DR_TRY(read_page(&p, query.data, "s3:ListBucketVersions", err));
        if (!p.truncated)
            return DR_OK;
        bool same = key != NULL && p.next_key != NULL && strcmp(key, p.next_key) == 0 &&
                    id != NULL && p.next_id != NULL && strcmp(id, p.next_id) == 0;
        if (p.next_key == NULL || same || n >= S3_PAGES_MAX)
            return stuck(s, err);
    }
}

/* -- many removals --------------------------------------------------------------------------------- */

struct refusals {
    char *key, *code, *message; /* of the row at hand, or the first that counts; owned */
    bool found;
    size_t count;
};

static void refusals_fini(struct refusals *r)
{
    free(r->key);
    free(r->code);
    free(r->message);
}

static enum dr_rc take_refusal(void *arg, const char *path, const char *text, struct dr_err *err)
{
    struct refusals *r = arg;
    (void)err;
    if (strcmp(path, "DeleteResult/Error") == 0) {
        bool gone = r->code != NULL && strcmp(r->code, "NoSuchKey") == 0;
        r->count += !gone;
        r->found = r->found || !gone;
        return DR_OK;
    }
    if (r->found)
        return DR_OK; /* the first is told */
    if (strcmp(path, "DeleteResult/Error/Key") == 0)
        set(&r->key, text);
    else if (strcmp(path, "DeleteResult/Error/Code") == 0)
        set(&r->code, text);
    else if (strcmp(path, "DeleteResult/Error/Message") == 0)
        set(&r->message, text);
    return DR_OK;
}

static enum dr_rc tell_refusals(struct s3 *s, const struct refusals *r, struct dr_err *err)
{
    size_t skip = strlen(s->url.prefix);
    const char *key = r->key != NULL ? r->key : "";
    DR_FREE char *name = dr_strdup(text_starts(key, s->url.prefix) ? key + skip : key);
    const struct s3_ask q = { .name = name, .what = "remove", .action = "s3:DeleteObject" };
    (void)s3_fail_code(s, &q, r->code != NULL ? r->code : "", /* told below */
                       r->message != NULL ? r->message : "", err);
    if (r->count > 1)
        return dr_context(err, "%zu objects could not be removed", r->count);
    return err->rc;
}

/* Up to S3_PAGE of them. */
static enum dr_rc remove_page(struct s3 *s, char *const *names, size_t count, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf body = { 0 };
    DR_CLEANUP(buf_fini) struct buf answer = { 0 };
    buf_adds(&body,
             "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>");
    for (size_t i = 0; i < count; i++) {
        buf_adds(&body, "<Object><Key>");
        s3_xml_add(&body, s->url.prefix);
        s3_xml_add(&body, names[i]);
        buf_adds(&body, "</Key></Object>");
    }
    buf_adds(&body, "</Delete>");
    DR_FREE char *md5 = s3_md5_header(body.data, body.len);
    const struct s3_ask q = { .method = "POST",
                              .query = "delete=",
                              .headers = { md5 },
                              .body = body.data,
                              .body_len = body.len,
                              .grow = &answer,
                              .grow_limit = S3_LIST_MAX,
                              .counter = STORE_REMOVES,
                              .what = "remove objects",
                              .action = "s3:DeleteObject" };
    DR_CLEANUP(s3_answer_fini) struct s3_answer a = { 0 };
    DR_TRY(s3_call(s, &q, &a, err));
    if (a.reply.status != 200)
        return s3_fail(s, &q, &a, err);
    DR_CLEANUP(refusals_fini) struct refusals r = { 0 };
    if (s3_xml_read(answer.data, answer.len, take_refusal, &r, err) != DR_OK)
        return dr_context(err, "bucket '%s': removing objects", s->base.name);
    return r.found ? tell_refusals(s, &r, err) : DR_OK;
}

/* One that is locked does not keep the others. */
static enum dr_rc remove_unlocked(struct s3 *s, const struct text_list *names, struct dr_err *err)
{
    enum dr_rc first = DR_OK;
    for (size_t i = 0; i < names->count; i++) {
        struct dr_err why = { 0 };
        enum dr_rc rc = s3_remove_versions(s, names->items[i], &why);
        if (rc != DR_OK && first == DR_OK) {
            first = rc;
            *err = why;
        }
        if (rc != DR_OK && rc != DR_E_REFUSED) {
            *err = why;
            return rc;
        }
    }
    return first;
}

enum dr_rc s3_remove_many(struct store *base, const struct text_list *names, struct dr_err *err)
{
    struct s3 *s = (struct s3 *)base;
    if (s->lock_ms > 0)
        return remove_unlocked(s, names, err);
    for (size_t at = 0; at < names->count; at += S3_PAGE) {
        size_t left = names->count - at;
        DR_TRY(remove_page(s, names->items + at, left < S3_PAGE ? left : S3_PAGE, err));
    }
    return DR_OK;
}
