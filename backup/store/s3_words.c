/*
 * What a server refused, and what to do about it.
 *
 * S3 stores answer errors as XML with a code; the table turns the codes that people meet into words and the
 * next move. A code that is not there is told as it is. The message of the server is quoted where it
 * adds something, and made printable: it comes from outside.
 */
#include <stdio.h>
#include <string.h>

#include "backup/store/s3_inside.h"
#include "backup/store/s3_xml.h"
#include "dr/base/mem.h"

enum { MESSAGE_MAX = 200, SKEW_MS = 5 * 60 * 1000, MINUTE_MS = 60 * 1000 };

/* -- reading it -------------------------------------------------------------------------------- */

struct fault {
    char code[S3_CODE_MAX];
    char message[MESSAGE_MAX];
    char region[S3_CODE_MAX]; /* the right one, when the server names it */
};

static void copy(char *to, size_t size, const char *text)
{
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    text_add_printable(&b, text, strlen(text));
    if (to[0] == '\0')
        snprintf(to, size, "%s", b.data != NULL ? b.data : "");
}

static enum dr_rc take_leaf(void *arg, const char *path, const char *text, struct dr_err *err)
{
    struct fault *f = arg;
    (void)err;
    if (strcmp(path, "Error/Code") == 0)
        copy(f->code, sizeof(f->code), text);
    else if (strcmp(path, "Error/Message") == 0)
        copy(f->message, sizeof(f->message), text);
    else if (strcmp(path, "Error/Region") == 0)
        copy(f->region, sizeof(f->region), text);
    return DR_OK;
}

/* A proxy answers HTML, a HEAD nothing at all: then there is only the status. */
static void read_fault(const struct transfer_reply *r, struct fault *ret)
{
    *ret = (struct fault){ 0 };
    struct dr_err ignored = { 0 };
    if (s3_xml_read(r->body.data, r->body.len, take_leaf, ret, &ignored) != DR_OK)
        *ret = (struct fault){ 0 };
    const char *region = transfer_header(r, "x-amz-bucket-region");
    if (region != NULL)
        copy(ret->region, sizeof(ret->region), region);
}

void s3_code(const struct transfer_reply *r, char ret[S3_CODE_MAX])
{
    struct fault f;
    read_fault(r, &f);
    memcpy(ret, f.code, S3_CODE_MAX);
}

/* -- telling it --------------------------------------------------------------------------------- */

enum advice {
    ASK_NOTHING,
    ASK_SECRET,   /* the two keys do not belong together */
    ASK_KEY,      /* the key is not known there */
    ASK_TOKEN,    /* temporary keys have ended */
    ASK_CLOCK,    /* */
    ASK_BUCKET,   /* there is none of that name */
    ASK_REGION,   /* it is elsewhere */
    ASK_RIGHT,    /* not allowed to */
    ASK_SPACE,    /* full */
    ASK_PATIENCE, /* busy */
    ASK_LOCK,     /* the bucket cannot lock */
};

static const struct row {
    const char *code;
    const char *words;
    enum dr_rc rc;
    enum advice advice;
} rows[] = {
    { "SignatureDoesNotMatch", "the secret key is wrong", DR_E_DENIED, ASK_SECRET },
    { "InvalidAccessKeyId", "the access key is not known there", DR_E_DENIED, ASK_KEY },
    { "ExpiredToken", "the session token has expired", DR_E_DENIED, ASK_TOKEN },
    { "InvalidToken", "the session token is not good", DR_E_DENIED, ASK_TOKEN },
    { "TokenRefreshRequired", "the session token has expired", DR_E_DENIED, ASK_TOKEN },
    { "RequestTimeTooSkewed", "the clocks differ too much", DR_E_DENIED, ASK_CLOCK },
    { "AccessDenied", "access denied", DR_E_DENIED, ASK_RIGHT },
    { "AllAccessDisabled", "access denied", DR_E_DENIED, ASK_RIGHT },
    { "AccountProblem", "there is a problem with the account", DR_E_DENIED, ASK_NOTHING },
    { "NoSuchKey", "it is not there", DR_E_NOTFOUND, ASK_NOTHING },
    { "NoSuchVersion", "it is not there", DR_E_NOTFOUND, ASK_NOTHING },
    { "NoSuchBucket", "there is no such bucket", DR_E_CONFIG, ASK_BUCKET },
    { "InvalidBucketName", "there is no such bucket", DR_E_CONFIG, ASK_BUCKET },
    { "PermanentRedirect", "the bucket is in another region", DR_E_CONFIG, ASK_REGION },
    { "TemporaryRedirect", "the bucket is in another region", DR_E_CONFIG, ASK_REGION },
    { "AuthorizationHeaderMalformed", "the bucket is in another region", DR_E_CONFIG, ASK_REGION },
    { "IllegalLocationConstraintException", "the bucket is in another region", DR_E_CONFIG,
      ASK_REGION },
    { "NotImplemented", "the store cannot do that", DR_E_CONFIG, ASK_NOTHING },
    { "QuotaExceeded", "its quota is used up", DR_E_NOSPACE, ASK_SPACE },
    { "InsufficientStorage", "it is full", DR_E_NOSPACE, ASK_SPACE },
    { "XMinioStorageFull", "it is full", DR_E_NOSPACE, ASK_SPACE },
    { "InvalidRange", "it is truncated", DR_E_CORRUPT, ASK_NOTHING },
    { "BadDigest", "the bytes were changed on their way", DR_E_TRANSIENT, ASK_NOTHING },
    { "XAmzContentSHA256Mismatch", "the bytes were changed on their way", DR_E_TRANSIENT,
      ASK_NOTHING },
    { "RequestTimeout", "our bytes came too slowly", DR_E_TIMEOUT, ASK_PATIENCE },
    { "SlowDown", "it asks us to slow down", DR_E_TRANSIENT, ASK_PATIENCE },
    { "ServiceUnavailable", "the service is not available", DR_E_TRANSIENT, ASK_PATIENCE },
    { "InternalError", "the service failed", DR_E_TRANSIENT, ASK_PATIENCE },
    { "ObjectLockConfigurationNotFoundError", "the bucket has no object lock", DR_E_CONFIG,
      ASK_LOCK },
};

/* A status without a code that we know. */
static struct row row_of_status(int status)
{
    if (status == 401 || status == 403)
        return (struct row){ "", "access denied", DR_E_DENIED, ASK_RIGHT };
    if (status == 404)
        return (struct row){ "", "it is not there", DR_E_NOTFOUND, ASK_NOTHING };
    if (status == 301 || status == 307 || status == 308)
        return (struct row){ "", "it is elsewhere", DR_E_CONFIG, ASK_REGION };
    if (status == 408 || status == 504)
        return (struct row){ "", "the service did not answer in time", DR_E_TIMEOUT, ASK_PATIENCE };
    if (status == 507)
        return (struct row){ "", "it is full", DR_E_NOSPACE, ASK_SPACE };
    if (status == 429 || status == 500 || status == 502 || status == 503)
        return (struct row){ "", "the service failed", DR_E_TRANSIENT, ASK_PATIENCE };
    if (status == 501)
        return (struct row){ "", "the store cannot do that", DR_E_CONFIG, ASK_NOTHING };
    return (struct row){ "", "it was refused", DR_E_IO, ASK_NOTHING };
}

static struct row find_row(const char *code, int status)
{
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++)
        if (strcmp(rows[i].code, code) == 0)
            return rows[i];
    return row_of_status(status);
}

static void tell_region(const struct s3 *s, const char *region, struct dr_err *err)
{
    if (region[0] != '\0' && strcmp(region, s->region) != 0)
        dr_hint(err, "Write region=%s into the url of bucket '%s' (it says %s).", region,
                s->base.name, s->region);
    else if (s->url.endpoint != NULL)
        dr_hint(err, "Correct endpoint and region in the url of bucket '%s'.", s->base.name);
    else
        dr_hint(err, "Write the right region into the url of bucket '%s': ?region=NAME.",
                s->base.name);
}

static void tell_clock(int64_t offset_ms, struct dr_err *err)
{
    int64_t minutes = ((offset_ms < 0 ? -offset_ms : offset_ms) + MINUTE_MS / 2) / MINUTE_MS;
    dr_hint(err, "Set the clock of this host: it is %lld minutes %s the server's.",
            (long long)minutes, offset_ms > 0 ? "behind" : "ahead of");
}

static void advise(struct s3 *s, enum advice advice, const struct fault *f, const char *access_key,
                   const char *action, struct dr_err *err)
{
    switch (advice) {
    case ASK_SECRET:
        dr_hint(err, "Correct the secret of access key %s: 'credentials' of bucket '%s'.",
                access_key, s->base.name);
        break;
    case ASK_KEY:
        dr_hint(err, "Look whether access key %s is right, and of this endpoint: %s", access_key,
                s->place);
        break;
    case ASK_TOKEN:
        dr_hint(err, "Get new temporary keys for bucket '%s'.", s->base.name);
        break;
    case ASK_CLOCK:
        tell_clock(s->clock_offset_ms, err);
        break;
    case ASK_BUCKET:
        dr_hint(err, "Create '%s' there%s, or correct its url: drctl never creates a bucket.",
                s->url.bucket, s->lock_ms > 0 ? " (with object lock)" : "");
        break;
    case ASK_REGION:
        tell_region(s, f->region, err);
        break;
    case ASK_RIGHT:
        dr_hint(err, "Allow access key %s the action %s on '%s/%s*'.", access_key, action,
                s->url.bucket, s->url.prefix);
        break;
    case ASK_SPACE:
        dr_hint(err, "Make room there, or prune; then run it again.");
        break;
    case ASK_PATIENCE:
        dr_hint(err, "Run it again later: it may pass.");
        break;
    case ASK_LOCK:
        dr_hint(err, "Object lock is switched on when a bucket is created; or leave out 'lock'.");
        break;
    default:
        break;
    }
}

/* A code that is all there is to say needs no quotation of the server beside it. */
static enum dr_rc say(struct s3 *s, const struct s3_ask *q, const struct row *row,
                      const char *details, struct dr_err *err)
{
    if (q->name != NULL)
        return dr_fail(err, row->rc, "bucket '%s': cannot %s object '%s': %s (%s)", s->base.name,
                       q->what, q->name, row->words, details);
    return dr_fail(err, row->rc, "bucket '%s': cannot %s: %s (%s)", s->base.name, q->what,
                   row->words, details);
}

static enum dr_rc fail(struct s3 *s, const struct s3_ask *q, const struct fault *f, int status,
                       const struct s3_answer *a, struct dr_err *err)
{
    struct row row = find_row(f->code, status);
    int64_t offset = s->clock_offset_ms;
    bool skewed = row.rc == DR_E_DENIED && (offset > SKEW_MS || offset < -SKEW_MS);
    if (skewed)
        row.advice = ASK_CLOCK;
    DR_CLEANUP(buf_fini) struct buf details = { 0 };
    if (status != 0)
        buf_addf(&details, "%d%s", status, f->code[0] != '\0' ? " " : "");
    buf_adds(&details, f->code);
    if (row.code[0] == '\0' && f->message[0] != '\0')
        buf_addf(&details, ": %s", f->message);
    if (a != NULL && a->attempts > 1)
        buf_addf(&details, ", %u attempts", a->attempts);
    enum dr_rc rc = say(s, q, &row, details.data, err);
    advise(s, row.advice, f, a != NULL && a->access_key[0] != '\0' ? a->access_key : "in use",
           q->action != NULL ? q->action : "asked for", err);
    return rc;
}

enum dr_rc s3_fail(struct s3 *s, const struct s3_ask *q, const struct s3_answer *a,
                   struct dr_err *err)
{
    struct fault f;
    read_fault(&a->reply, &f);
    return dr_not_ok(fail(s, q, &f, a->reply.status, a, err));
}

enum dr_rc s3_fail_code(struct s3 *s, const struct s3_ask *q, const char *code, const char *message,
                        struct dr_err *err)
{
    struct fault f = { 0 };
    copy(f.code, sizeof(f.code), code);
    copy(f.message, sizeof(f.message), message);
    return dr_not_ok(fail(s, q, &f, 0, NULL, err));
}
