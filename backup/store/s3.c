/*
 * A bucket of an S3 store: its life, and the five calls that every store has. The plan of the driver is
 * in s3.h; how a request is made in s3_call.c.
 */
#include "backup/store/s3.h"

#include <stdlib.h>
#include <string.h>

#include "backup/store/s3_inside.h"
#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/data/time.h"

enum { PARALLEL = 16 };

static const int64_t MS_NS = 1000000;

/* -- get --------------------------------------------------------------------------------------- */

static enum dr_rc truncated(const struct s3 *s, const char *name, uint64_t size, uint64_t needed,
                            struct dr_err *err)
{
    return dr_fail(err, DR_E_CORRUPT,
                   "bucket '%s': object '%s' is truncated: it has %llu bytes, %llu are needed",
                   s->base.name, name, (unsigned long long)size, (unsigned long long)needed);
}

/* "versionId=ID" when it is not the newest that is wanted. */
static enum dr_rc version_query(struct s3 *s, const char *name, char **ret, struct dr_err *err)
{
    char id[S3_VERSION_MAX];
    DR_TRY(s3_object_version(s, name, id, err));
    *ret = NULL;
    if (id[0] == '\0')
        return DR_OK;
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    buf_adds(&b, "versionId=");
    s3_encode(&b, id);
    *ret = buf_take(&b);
    return DR_OK;
}

/* "bytes 5-9/100": the first byte, and how many there are in all; 0 where it does not say. */
struct range {
    bool told;
    uint64_t first, size;
};

static struct range range_of(const struct transfer_reply *r)
{
    static const char unit[] = "bytes ";
    const char *text = transfer_header(r, "content-range");
    if (text == NULL || !text_starts(text, unit))
        return (struct range){ 0 };
    const char *slash = strchr(text, '/');
    return (struct range){ .told = true,
                           .first = strtoull(text + strlen(unit), NULL, 10),
                           .size = slash != NULL ? strtoull(slash + 1, NULL, 10) : 0 };
}

/* Whatever the server makes of a range: only the bytes that were asked for count. */
static enum dr_rc check_range(const struct s3 *s, const char *name, const struct transfer_reply *r,
                              uint64_t offset, size_t len, struct dr_err *err)
{
    struct range range = range_of(r);
    bool ours = r->status == 206 ? !range.told || range.first == offset : offset == 0;
    if (!ours)
        return dr_fail(err, DR_E_CORRUPT,
                       "bucket '%s': object '%s': other bytes came than asked for", s->base.name,
                       name);
    if (r->got < len)
        return truncated(s, name, range.size > 0 ? range.size : offset + r->got, offset + len, err);
    return DR_OK;
}

static enum dr_rc s3_head(struct store *base, const char *name, uint64_t *ret_size,
                          struct dr_err *err);

static enum dr_rc beyond(struct s3 *s, const char *name, uint64_t offset, size_t len,
                         struct dr_err *err)
{
    uint64_t size = 0;
    DR_TRY(s3_head(&s->base, name, &size, err));
    if (offset > size || len > size - offset)
        return truncated(s, name, size, offset + len, err);
    return DR_OK;
}

static enum dr_rc s3_get(struct store *base, const char *name, uint64_t offset, size_t len,
                         void *out, struct dr_err *err)
{
    struct s3 *s = (struct s3 *)base;
    if (len == 0 || offset > UINT64_MAX - len)
        return beyond(s, name, offset, len, err);
    DR_FREE char *query = NULL;
    DR_TRY(version_query(s, name, &query, err));
    DR_FREE char *range = dr_strf("Range: bytes=%llu-%llu", (unsigned long long)offset,
                                  (unsigned long long)(offset + len - 1));
    const struct s3_ask q = { .method = "GET",
                              .name = name,
                              .query = query,
                              .headers = { range },
                              .out = out,
                              .out_len = len,
                              .counter = STORE_GETS,
                              .what = "get",
                              .action = query != NULL ? "s3:GetObjectVersion" : "s3:GetObject" };
    DR_CLEANUP(s3_answer_fini) struct s3_answer a = { 0 };
    DR_TRY(s3_call(s, &q, &a, err));
    if (a.reply.status == 416) {
        DR_TRY(beyond(s, name, offset, len, err));
        return dr_fail(err, DR_E_CORRUPT, "bucket '%s': object '%s': a good range was refused",
                       base->name, name);
    }
    if (a.reply.status != 206 && a.reply.status != 200)
        return s3_fail(s, &q, &a, err);
    return check_range(s, name, &a.reply, offset, len, err);
}

static enum dr_rc s3_get_all(struct store *base, const char *name, size_t limit, struct buf *out,
                             struct dr_err *err)
{
    struct s3 *s = (struct s3 *)base;
    DR_FREE char *query = NULL;
    DR_TRY(version_query(s, name, &query, err));
    const struct s3_ask q = { .method = "GET",
                              .name = name,
                              .query = query,
                              .grow = out,
                              .grow_limit = limit,
                              .counter = STORE_GETS,
                              .what = "get",
                              .action = query != NULL ? "s3:GetObjectVersion" : "s3:GetObject" };
    DR_CLEANUP(s3_answer_fini) struct s3_answer a = { 0 };
    (void)buf_reserve(out, 1); /* an empty object is a text too */
    DR_TRY(s3_call(s, &q, &a, err));
    if (a.reply.status != 200)
        return s3_fail(s, &q, &a, err);
    out->data[out->len] = '\0';
    return DR_OK;
}

/* -- head --------------------------------------------------------------------------------------- */

/* An answer to HEAD has no words: the same question as a GET of one byte has. */
static enum dr_rc why_not(struct s3 *s, const char *name, const struct s3_answer *a,
                          struct dr_err *err)
{
    char byte;
    const struct s3_ask q = { .method = "GET",
                              .name = name,
                              .headers = { "Range: bytes=0-0" },
                              .out = &byte,
                              .out_len = 1,
                              .counter = STORE_GETS,
                              .what = "look at",
                              .action = "s3:GetObject" };
    DR_CLEANUP(s3_answer_fini) struct s3_answer words = { 0 };
    if (s3_call(s, &q, &words, err) == DR_OK && words.reply.status >= 300)
        return s3_fail(s, &q, &words, err);
    return s3_fail(s, &q, a, err);
}

static enum dr_rc s3_head(struct store *base, const char *name, uint64_t *ret_size,
                          struct dr_err *err)
{
    struct s3 *s = (struct s3 *)base;
    char id[S3_VERSION_MAX];
    if (s3_is_lasting(s, name))
        return s3_oldest(s, name, id, ret_size, err);
    const struct s3_ask q = { .method = "HEAD",
                              .name = name,
                              .counter = STORE_HEADS,
                              .what = "look at",
                              .action = "s3:GetObject" };
    DR_CLEANUP(s3_answer_fini) struct s3_answer a = { 0 };
    DR_TRY(s3_call(s, &q, &a, err));
    if (a.reply.status != 200)
        return a.reply.status == 404 ? s3_fail(s, &q, &a, err) : why_not(s, name, &a, err);
    const char *length = transfer_header(&a.reply, "content-length");
    char *end = NULL;
    unsigned long long size = length != NULL ? strtoull(length, &end, 10) : 0;
    if (length == NULL || end == length || *end != '\0')
        return dr_fail(err, DR_E_CORRUPT, "bucket '%s': object '%s': its size was not told",
                       base->name, name);
    *ret_size = size;
    return DR_OK;
}

/* -- put ----------------------------------------------------------------------------------------- */

static enum dr_rc exists(const struct s3 *s, const char *name, struct dr_err *err)
{
    return dr_fail(err, DR_E_EXISTS, "bucket '%s': cannot put object '%s': it is there already",
                   s->base.name, name);
}

/* It is there, and an attempt of ours may have put it: only its bytes can tell. */
static enum dr_rc is_it_ours(struct s3 *s, const char *name, const void *data, size_t len,
                             struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf there = { 0 };
    enum dr_rc rc = s3_get_all(&s->base, name, len, &there, err);
    if (rc != DR_OK && rc != DR_E_CORRUPT) /* larger than ours: another's */
        return rc;
    if (rc == DR_OK && there.len == len && (len == 0 || memcmp(there.data, data, len) == 0))
        return DR_OK;
    return exists(s, name, err);
}

/* Headers of a put; the caller frees the owned ones. */
struct put_headers {
    char *mode, *until, *md5;
};

static void put_headers_fini(struct put_headers *h)
{
    free(h->mode);
    free(h->until);
    free(h->md5);
}

static void add_headers(const struct s3 *s, struct s3_ask *q, bool conditional,
                        struct put_headers *own)
{
    size_t n = 0;
    if (conditional)
        q->headers[n++] = "If-None-Match: *";
    if (!s3_is_lasting(s, q->name))
        return;
    char until[TIME_TEXT_MAX];
    time_print_s(clock_wall_ns() + s->lock_ms * MS_NS, until);
    own->mode = dr_strf("x-amz-object-lock-mode: %s", s->lock_mode);
    own->until = dr_strf("x-amz-object-lock-retain-until-date: %s", until);
    own->md5 = s3_md5_header(q->body, q->body_len); /* demanded together with a retention */
    q->headers[n++] = own->mode;
    q->headers[n++] = own->until;
    q->headers[n++] = own->md5;
}

static enum dr_rc s3_put(struct store *base, const char *name, const void *data, size_t len,
                         struct dr_err *err)
{
    struct s3 *s = (struct s3 *)base;
    bool conditional = false;
    uint64_t size = 0;
    DR_TRY(s3_know_put(s, &conditional, err));
    if (!conditional) {
        enum dr_rc rc = s3_head(base, name, &size, err);
        if (rc == DR_OK)
            return exists(s, name, err);
        if (rc != DR_E_NOTFOUND)
            return rc;
    }
    struct s3_ask q = { .method = "PUT",
                        .name = name,
                        .body = data,
                        .body_len = len,
                        .counter = STORE_PUTS,
                        .what = "put",
                        .action = s3_is_lasting(s, name) ? "s3:PutObject and s3:PutObjectRetention"
                                                         : "s3:PutObject" };
    DR_CLEANUP(put_headers_fini) struct put_headers own = { 0 };
    add_headers(s, &q, conditional, &own);
    DR_CLEANUP(s3_answer_fini) struct s3_answer a = { 0 };
    DR_TRY(s3_call(s, &q, &a, err));
    if (a.reply.status == 200)
        return DR_OK;
    if (a.reply.status != 412)
        return s3_fail(s, &q, &a, err);
    return a.again ? is_it_ours(s, name, data, len, err) : exists(s, name, err);
}

/* -- list, remove ----------------------------------------------------------------------------------- */

static enum dr_rc s3_list(struct store *base, const char *prefix, struct text_list *ret,
                          struct dr_err *err)
{
    DR_CLEANUP(store_entries_fini) struct store_entries all = { 0 };
    DR_TRY(s3_list_sizes(base, prefix, &all, err));
    for (size_t i = 0; i < all.count; i++)
        text_list_add(ret, all.items[i].name);
    return DR_OK;
}

static enum dr_rc s3_remove(struct store *base, const char *name, struct dr_err *err)
{
    struct s3 *s = (struct s3 *)base;
    if (s->lock_ms > 0)
        return s3_remove_versions(s, name, err);
    const struct s3_ask q = { .method = "DELETE",
                              .name = name,
                              .counter = STORE_REMOVES,
                              .what = "remove",
                              .action = "s3:DeleteObject" };
    DR_CLEANUP(s3_answer_fini) struct s3_answer a = { 0 };
    DR_TRY(s3_call(s, &q, &a, err));
    if (a.reply.status / 100 == 2)
        return DR_OK;
    char code[S3_CODE_MAX];
    s3_code(&a.reply, code);
    if (a.reply.status == 404 && strcmp(code, "NoSuchBucket") != 0)
        return DR_OK;
    return s3_fail(s, &q, &a, err);
}

/* -- life ---------------------------------------------------------------------------------------- */

static void s3_close(struct store *base)
{
    struct s3 *s = (struct s3 *)base;
    transfer_free(s->transfer);
    aws_credentials_free(s->credentials);
    s3_url_fini(&s->url);
    for (size_t i = 0; i < s->folder_count; i++) {
        free(s->folders[i].name);
        text_list_fini(&s->folders[i].names);
        text_list_fini(&s->folders[i].ids);
    }
    free(s->folders);
    free(s->place);
    free(s->region);
    free(s->ca);
    free(s->memory);
    pthread_mutex_destroy(&s->lock);
    store_fini(base);
    free(s);
}

static const struct store_ops s3_ops = {
    .get = s3_get,
    .get_all = s3_get_all,
    .put = s3_put,
    .head = s3_head,
    .list = s3_list,
    .remove = s3_remove,
    .close = s3_close,
    .remove_many = s3_remove_many,
    .list_sizes = s3_list_sizes,
    .list_some = s3_list_some,
    .read_tagged = s3_read_tagged,
    .swap = s3_swap,
    .lock_until = s3_lock_until,
    .abilities = s3_abilities,
};

/* "https://HOST/BUCKET/" or "https://BUCKET.HOST/". AWS's own hosts hang on the region. */
static char *place_of(const struct s3_url *u, const char *region)
{
    const char *china = text_starts(region, "cn-") ? ".cn" : "";
    DR_FREE char *endpoint = u->endpoint != NULL
                                 ? dr_strdup(u->endpoint)
                                 : dr_strf("https://s3.%s.amazonaws.com%s", region, china);
    if (!u->virtual_host)
        return dr_strf("%s/%s/", endpoint, u->bucket);
    const char *host = strstr(endpoint, "://") + strlen("://");
    return dr_strf("%.*s%s.%s/", (int)(host - endpoint), endpoint, u->bucket, host);
}

static enum dr_rc set_credentials(struct s3 *s, const struct store_options *o, struct dr_err *err)
{
    static const struct store_credentials none = { 0 };
    const struct store_credentials *c = o->credentials != NULL ? o->credentials : &none;
    const struct aws_credentials_options options = {
        .kind = c->kind,
        .access_key = c->access_key,
        .secret_key = c->secret_key,
        .session_token = c->session_token,
        .profile = c->profile,
        .gate = o->gate,
    };
    if (aws_credentials_new(&options, &s->credentials, err) != DR_OK)
        return dr_context(err, "bucket '%s'", o->name);
    return DR_OK;
}

/* Puts with a retention into a bucket that cannot lock would be refused one by one, or, worse, taken. */
static enum dr_rc check_lock(struct s3 *s, struct dr_err *err)
{
    struct s3_known known;
    if (s->lock_ms == 0)
        return DR_OK;
    DR_TRY(s3_know_lock(s, &known, err));
    if (known.object_lock)
        return DR_OK;
    dr_fail(err, DR_E_CONFIG, "bucket '%s': 'lock' is configured, and it has no object lock",
            s->base.name);
    return dr_hint(err,
                   "Object lock is switched on when a bucket is created; or leave out 'lock'.");
}

static bool is_mode(const char *mode, const char *word)
{
    return mode != NULL && strcmp(mode, word) == 0;
}

enum dr_rc s3_open(const struct store_options *o, struct store **ret, struct dr_err *err)
{
    struct s3 *s = dr_alloc(1, sizeof(*s));
    store_init(&s->base, &s3_ops, o);
    s->base.parallel = PARALLEL;
    s->base.counts_itself = true;
    DR_ASSERT(pthread_mutex_init(&s->lock, NULL) == 0);
    s->ca = o->ca != NULL ? dr_strdup(o->ca) : NULL;
    s->memory = o->memory != NULL ? dr_strdup(o->memory) : NULL;
    s->gate = o->gate;
    s->lock_ms = o->lock_ms;
    s->lock_mode = is_mode(o->lock_mode, "governance") ? "GOVERNANCE" : "COMPLIANCE";
    enum dr_rc rc = s3_url_parse(o->url, &s->url, err);
    if (rc != DR_OK)
        (void)dr_context(err, "bucket '%s'", o->name); /* it is passed on below */
    if (rc == DR_OK) {
        const char *named = o->region != NULL && o->region[0] != '\0' ? o->region : "us-east-1";
        s->region = dr_strdup(s->url.region != NULL ? s->url.region : named);
        s->place = place_of(&s->url, s->region);
        rc = set_credentials(s, o, err);
    }
    if (rc == DR_OK)
        rc = check_lock(s, err);
    if (rc != DR_OK) {
        s3_close(&s->base);
        return rc;
    }
    *ret = &s->base;
    return DR_OK;
}
