/*
 * One request to an S3 store: built, signed, sent, repeated where that is right.
 *
 * libcurl 7.88 signs what it is given, verbatim: so paths and queries are written here already in the
 * form that the signature wants (everything but unreserved characters as %XX, queries sorted, each name
 * with a '='), and no header is given twice or taken away. The names of objects need no encoding at all:
 * store.h allows nothing that would.
 *
 * A signature is good for some minutes only, so each attempt asks for the keys anew; a store that
 * calls them expired is asked once more with fresh ones.
 */
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "backup/store/s3_inside.h"
#include "dr/base/clock.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "dr/net/retry.h"

enum {
    TOTAL_MS = 120 * 1000, /* all attempts of a call, and one attempt of a small one */
    SLOWEST = 32,          /* bytes a millisecond: a large body may take that much longer */
    PARALLEL_MAX = 32,
    CONNECTS_MAX = 2,
    REFUSALS_MAX = 3,
    AWAY_MS = 10 * 1000,
};

/* -- words of the protocol ------------------------------------------------------------------- */

void s3_encode(struct buf *out, const char *text)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    for (; *text != '\0'; text++) {
        if (strchr(plain, *text) != NULL)
            buf_addc(out, *text);
        else
            buf_addf(out, "%%%02X", (unsigned)(unsigned char)*text);
    }
}

char *s3_md5_header(const void *data, size_t len)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    uint8_t text[2 * EVP_MAX_MD_SIZE];
    DR_ASSERT(EVP_Digest(len > 0 ? data : "", len, digest, &size, EVP_md5(), NULL) == 1);
    (void)EVP_EncodeBlock(text, digest, (int)size); /* it only tells the length */
    return dr_strf("Content-MD5: %s", (const char *)text);
}

static char *url_of(const struct s3 *s, const struct s3_ask *q)
{
    const char *prefix = q->name != NULL ? s->url.prefix : "";
    return dr_strf("%s%s%s%s%s", s->place, prefix, q->name != NULL ? q->name : "",
                   q->query != NULL ? "?" : "", q->query != NULL ? q->query : "");
}

/* -- the engine ------------------------------------------------------------------------------- */

static bool is_cancelled(void *arg)
{
    struct s3 *s = arg;
    return atomic_load(&s->base.cancelled);
}

/* Made late: a store may be opened before a fork and used behind it. */
static enum dr_rc engine(struct s3 *s, struct transfer **ret, struct dr_err *err)
{
    enum dr_rc rc = DR_OK;
    pthread_mutex_lock(&s->lock);
    if (s->transfer == NULL) {
        const struct transfer_options o = { .ca = s->ca,
                                            .gate = s->gate,
                                            .memory = s->memory,
                                            .max_parallel = PARALLEL_MAX,
                                            .cancelled = is_cancelled,
                                            .arg = s };
        rc = transfer_new(&o, &s->transfer, err);
    }
    *ret = s->transfer;
    pthread_mutex_unlock(&s->lock);
    return rc;
}

/* -- one attempt -------------------------------------------------------------------------------- */

struct attempt {
    struct s3 *s;
    const struct s3_ask *q;
    struct transfer *engine;
    const char *url;
    const char *headers[S3_HEADERS_MAX + 2];
    struct transfer_pace pace;
    struct aws_keys keys;
};

static void count(const struct attempt *a, const struct s3_answer *answer)
{
    const struct transfer_reply *r = &answer->reply;
    bool good = r->status >= 200 && r->status < 300;
    store_count(&a->s->base, a->q->counter, 1);
    if (answer->attempts > 1)
        store_count(&a->s->base, STORE_RETRIES, 1);
    if (good && a->q->counter == STORE_GETS)
        store_count(&a->s->base, STORE_BYTES_IN, r->got);
    if (good && a->q->counter == STORE_PUTS)
        store_count(&a->s->base, STORE_BYTES_OUT, a->q->body_len);
}

static enum dr_rc send_once(struct attempt *a, struct s3_answer *ret, struct dr_err *err)
{
    const struct s3_ask *q = a->q;
    aws_keys_fini(&a->keys);
    a->keys = (struct aws_keys){ 0 };
    DR_TRY(aws_credentials_get(a->s->credentials, &a->keys, err));
    (void)snprintf(ret->access_key, sizeof(ret->access_key), "%s", a->keys.access_key); /* cut */
    const struct transfer_sign sign = {
        .access_key = a->keys.access_key,
        .secret_key = a->keys.secret_key,
        .session_token = a->keys.session_token,
        .region = a->s->region,
        .service = "s3",
    };
    int64_t bytes = (int64_t)(q->body_len + q->out_len);
    const struct transfer_request request = {
        .method = q->method,
        .url = a->url,
        .headers = a->headers,
        .body = q->body,
        .body_len = q->body_len,
        .out = q->out,
        .out_len = q->out_len,
        .grow = q->grow,
        .grow_limit = q->grow_limit,
        .sign = &sign,
        .pace = a->s->base.pace != NULL && q->body_len > 0 ? &a->pace : NULL,
        /* a pace may be as slow as it likes: then a stall is the only limit */
        .deadline_ms = a->s->base.pace != NULL ? 0 : clock_boot_ms() + TOTAL_MS + bytes / SLOWEST,
    };
    size_t before = q->grow != NULL ? q->grow->len : 0;
    ret->attempts++;
    enum dr_rc rc = transfer_do(a->engine, &request, &ret->reply, err);
    if (rc == DR_OK)
        a->s->answered = true;
    if (rc == DR_OK && ret->reply.dated)
        a->s->clock_offset_ms = ret->reply.date_offset_ms;
    if (rc != DR_OK && q->grow != NULL)
        q->grow->len = before; /* half an answer */
    count(a, ret);
    return rc;
}

/* -- once more? ----------------------------------------------------------------------------------- */

static bool is_code(const char *code, const char *const *list)
{
    for (; *list != NULL; list++)
        if (strcmp(code, *list) == 0)
            return true;
    return false;
}

/* What S3 says in words that a status does not: the request did nothing and may come again. */
static bool is_passing(const struct transfer_reply *r)
{
    static const char *const codes[] = { "RequestTimeout", "ConditionalRequestConflict",
                                         "OperationAborted", "SlowDown", NULL };
    char code[S3_CODE_MAX];
    if (r->status != 400 && r->status != 409 && r->status != 503)
        return false;
    s3_code(r, code);
    return is_code(code, codes);
}

/* The keys were good when they were read: perhaps there are newer ones. */
static bool are_keys_old(const struct transfer_reply *r)
{
    static const char *const codes[] = { "ExpiredToken", "InvalidToken", "TokenRefreshRequired",
                                         "InvalidAccessKeyId", NULL };
    char code[S3_CODE_MAX];
    if (r->status != 400 && r->status != 403)
        return false;
    s3_code(r, code);
    return is_code(code, codes);
}

static bool may_repeat(const struct s3_ask *q, enum dr_rc rc, const struct transfer_reply *r)
{
    return retry_may(rc, r->status, r->sent, !q->once) || (rc == DR_OK && is_passing(r));
}

/*
 * A bucket whose region is lost is asked for each object anew, by restores and repairs that have others:
 * once all attempts of one call found nobody there, the calls of the next seconds make one each. And
 * whoever was silent for two whole connects will be for the third; whoever refused three before he ever
 * answered is down, and does not hold up a run that has other buckets.
 */
static bool is_away(const struct s3 *s, enum dr_rc rc, const struct s3_answer *answer)
{
    if (answer->reply.sent)
        return false;
    return (rc == DR_E_TIMEOUT && answer->attempts >= CONNECTS_MAX) ||
           (rc == DR_E_TRANSIENT && !s->answered && answer->attempts >= REFUSALS_MAX);
}

/* No further attempt: the last one's outcome is that of the call. */
static enum dr_rc settle(struct s3 *s, enum dr_rc rc, const struct transfer_reply *reply,
                         const struct dr_err *why, struct dr_err *err)
{
    bool silent = (rc == DR_E_TRANSIENT || rc == DR_E_TIMEOUT) && !reply->sent;
    s->away_until_ms = silent ? clock_boot_ms() + AWAY_MS : 0;
    if (rc != DR_OK)
        *err = *why;
    return rc;
}

static enum dr_rc call(struct attempt *a, struct s3_answer *ret, struct dr_err *err)
{
    static const struct retry_policy one = { .attempts = 1, .base_ms = 1, .cap_ms = 1 };
    uint64_t seed = 0;
    bool fresh = false;
    struct retry r;
    random_bytes(&seed, sizeof(seed));
    int64_t now = clock_boot_ms();
    bool away = now < a->s->away_until_ms;
    retry_begin(&r, away ? &one : NULL, now, now + TOTAL_MS, seed);
    for (;;) {
        struct dr_err why = {
            0
        }; /* of this attempt: err stays as it is if a later one goes well */
        enum dr_rc rc = send_once(a, ret, &why);
        struct transfer_reply *reply = &ret->reply;
        int64_t wait = -1;
        bool effect = rc != DR_OK ? reply->sent : reply->status >= 500;
        if (rc == DR_OK && !fresh && are_keys_old(reply)) {
            aws_credentials_distrust(a->s->credentials, a->keys.access_key);
            fresh = true;
            wait = 0;
        } else if (may_repeat(a->q, rc, reply) && !is_away(a->s, rc, ret)) {
            int64_t after = retry_after_ms(transfer_header(reply, "retry-after"), clock_wall_ns());
            wait = retry_next(&r, clock_boot_ms(), after);
        }
        ret->again = ret->again || reply->resent || (wait >= 0 && effect);
        if (wait < 0)
            return settle(a->s, rc, reply, &why, err);
        transfer_reply_fini(reply);
        *reply = (struct transfer_reply){ 0 };
        DR_TRY(transfer_pause(a->engine, wait, err));
    }
}

void s3_answer_fini(struct s3_answer *a)
{
    transfer_reply_fini(&a->reply);
}

/* No answer at all: who, doing what, and how often it was tried. */
static enum dr_rc no_answer(const struct s3 *s, const struct s3_ask *q, const struct s3_answer *a,
                            struct dr_err *err)
{
    enum dr_rc rc = err->rc;
    DR_FREE char *tried = a->attempts > 1 ? dr_strf(" (%u attempts)", a->attempts) : dr_strdup("");
    if (q->name != NULL)
        dr_context(err, "bucket '%s': cannot %s object '%s'%s", s->base.name, q->what, q->name,
                   tried);
    else
        dr_context(err, "bucket '%s': cannot %s%s", s->base.name, q->what, tried);
    if (a->attempts == 0 && err->hint[0] == '\0')
        dr_hint(err, "Where the keys come from is 'credentials' of bucket '%s'.", s->base.name);
    if ((rc == DR_E_TRANSIENT || rc == DR_E_TIMEOUT) && err->hint[0] == '\0')
        dr_hint(err, "Look whether %s can be reached from here, and is the right endpoint.",
                s->place);
    if (rc == DR_E_DENIED && a->attempts > 0 && s->ca == NULL && text_starts(s->place, "https:"))
        dr_hint(err,
                "If its certificate is of a CA of your own, name its file: ca: /PATH, at "
                "bucket '%s'.",
                s->base.name);
    return rc;
}

/*
 * The digest of the body, in hex. A pack is named by it, so that it need not be computed for each bucket anew; and
 * if the bytes are no longer those that the name was made of, the server refuses them.
 */
static void sum_body(const struct s3_ask *q, char hex[static HASH_HEX_SIZE])
{
    uint8_t digest[HASH_SIZE];
    if (q->body_len > 0 && q->name != NULL && text_starts(q->name, "packs/")) {
        const char *last = strrchr(q->name, '/') + 1;
        if (hex_decode(last, strlen(last), digest, sizeof(digest))) {
            (void)snprintf(hex, HASH_HEX_SIZE, "%s", last);
            return;
        }
    }
    hash_bytes(q->body, q->body_len, digest);
    (void)hex_encode(digest, sizeof(digest), hex);
}

enum dr_rc s3_call(struct s3 *s, const struct s3_ask *q, struct s3_answer *ret, struct dr_err *err)
{
    DR_ASSERT(q->method != NULL && q->what != NULL);
    char hex[HASH_HEX_SIZE];
    sum_body(q, hex);
    DR_FREE char *sum = dr_strf("x-amz-content-sha256: %s", hex);
    DR_FREE char *url = url_of(s, q);
    struct attempt a = { .s = s, .q = q, .url = url, .headers = { sum } };
    for (size_t i = 0; i < S3_HEADERS_MAX && q->headers[i] != NULL; i++)
        a.headers[i + 1] = q->headers[i];
    if (s->base.pace != NULL)
        a.pace =
            (struct transfer_pace){ s->base.pace->slice, s->base.pace->take, s->base.pace->arg };
    DR_TRY(engine(s, &a.engine, err));
    enum dr_rc rc = call(&a, ret, err);
    aws_keys_fini(&a.keys);
    return rc == DR_OK ? DR_OK : no_answer(s, q, ret, err);
}
