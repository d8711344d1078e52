/*
 * store_s3v2.c - drctl-store-s3v2: S3 stores that know Signature Version 2 only, as a store program.
 *
 * Copyright: the authors of drctl. This program uses libs3, which is under the GNU General Public License,
 * version 3; so this program as a whole is, too (SPDX-License-Identifier: GPL-3.0-or-later). It is a
 * process of its own: drctl speaks to it by the protocol of backup/store/EXEC.md, and links none of it.
 *
 *     exec:///usr/lib/drctl/drctl-store-s3v2?endpoint=http://HOST:PORT&bucket=NAME
 *
 * What libs3 2.0 cannot do is refused or gone around, and told in README.md: https (it checks no
 * certificate), names with a blank or a plus (it mixes them up: drctl's names cannot have them, and are
 * looked at once more here), a list without marker (it asks for "(null)"), a put that is refused when the
 * object exists (we look first, and claim no more), deadlines (it has hardly any: we run its requests
 * ourselves and end those that stand still).
 */
#include <libs3.h>
#include <stdio.h>
#include <string.h>
#include <sys/select.h>

#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/base/text.h"
#include "dr/data/json.h"

enum {
    BODY_MAX = 512 << 20,
    PAGE_MAX = 1000,
    NAME_BYTES = 200,
    SILENCE_MS = 20000, /* below drctl's own 30 s, so that the reason can be told */
    SELECT_MS = 500,
};

static S3BucketContext bucket;

/* -- answers ----------------------------------------------------------------------------------- */

static int64_t asked; /* id of the request */

static void good(const char *rest)
{
    printf("{\"id\":%lld,\"ok\":true%s}\n", (long long)asked, rest);
}

static void bad(const char *kind, const char *message, const char *hint)
{
    DR_JSON json_t *o = json_object();
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    json_put_int(o, "id", asked);
    json_put(o, "ok", json_false());
    json_put_text(o, "error", kind);
    json_put(o, "message", json_printable(message));
    if (hint != NULL)
        json_put_text(o, "hint", hint);
    json_add_canonical(&b, o);
    printf("%s\n", b.data);
}

/* -- one request of libs3 -------------------------------------------------------------------------- */

struct call {
    S3Status status;
    char words[200]; /* of the store */
    int64_t moved_ms;
    uint64_t size;   /* head */
    struct buf *out; /* get, list */
    size_t max;      /* get: bytes; list: names */
    const char *body;
    size_t left; /* put */
    size_t names;
    bool more;
    const char *after;
    char last[1025]; /* key of a list, foreign ones too */
};

static S3Status on_properties(const S3ResponseProperties *p, void *arg)
{
    struct call *c = arg;
    c->moved_ms = clock_boot_ms();
    c->size = p->contentLength;
    return S3StatusOK;
}

static void on_complete(S3Status status, const S3ErrorDetails *details, void *arg)
{
    struct call *c = arg;
    c->status = status;
    if (details != NULL && details->message != NULL)
        (void)snprintf(c->words, sizeof(c->words), "%s", details->message); /* cut is fine */
}

static S3Status on_data(int n, const char *bytes, void *arg)
{
    struct call *c = arg;
    c->moved_ms = clock_boot_ms();
    if (n < 0 || (size_t)n > c->max - c->out->len)
        return S3StatusAbortedByCallback; /* more than the range that was asked for */
    buf_add(c->out, bytes, (size_t)n);
    return S3StatusOK;
}

static int on_put(int room, char *to, void *arg)
{
    struct call *c = arg;
    size_t n = c->left < (size_t)room ? c->left : (size_t)room;
    c->moved_ms = clock_boot_ms();
    memcpy(to, c->body, n);
    c->body += n;
    c->left -= n;
    return (int)n;
}

static bool is_name(const char *name)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789._/-";
    size_t len = strlen(name);
    return len > 0 && len <= NAME_BYTES && strspn(name, plain) == len;
}

/* NOLINTNEXTLINE(readability-function-size): the shape is that of libs3 */
static S3Status on_list(int truncated, const char *next, int count,
                        const S3ListBucketContent *items, int prefixes, const char **ignored,
                        void *arg)
{
    struct call *c = arg;
    (void)next;
    (void)prefixes;
    (void)ignored;
    c->moved_ms = clock_boot_ms();
    c->more = truncated != 0;
    for (int i = 0; i < count; i++) {
        (void)snprintf(c->last, sizeof(c->last), "%s", items[i].key); /* keys have 1024 at most */
        if (!is_name(items[i].key) || strcmp(items[i].key, c->after) <= 0 || c->names >= c->max)
            continue;
        c->names++;
        buf_addf(c->out, "%llu %s\n", (unsigned long long)items[i].size, items[i].key);
    }
    return S3StatusOK;
}

/* Run what was added to the context, as long as it moves. */
static void run(S3RequestContext *context, struct call *c)
{
    int left = 1;
    c->status = S3StatusInterrupted;
    c->moved_ms = clock_boot_ms();
    while (left > 0 && clock_boot_ms() - c->moved_ms < SILENCE_MS) {
        fd_set in, out, except;
        int highest = -1;
        if (S3_runonce_request_context(context, &left) != S3StatusOK || left == 0)
            break;
        FD_ZERO(&in);
        FD_ZERO(&out);
        FD_ZERO(&except);
        if (S3_get_request_context_fdsets(context, &in, &out, &except, &highest) != S3StatusOK)
            break;
        int64_t wait = S3_get_request_context_timeout(context);
        if (wait < 0 || wait > SELECT_MS)
            wait = SELECT_MS;
        struct timeval tv = { .tv_sec = wait / 1000, .tv_usec = (wait % 1000) * 1000 };
        (void)select(highest + 1, &in, &out, &except, &tv); /* interrupted: the loop looks again */
    }
    S3_destroy_request_context(context); /* what is still under way ends as interrupted */
}

static S3RequestContext *context_new(void)
{
    S3RequestContext *context = NULL;
    if (S3_create_request_context(&context) != S3StatusOK) {
        fprintf(stderr, "no memory for a request\n");
        exit(1); /* NOLINT(concurrency-mt-unsafe): one thread, and nothing to lose */
    }
    return context;
}

/* -- what came of it --------------------------------------------------------------------------------- */

static bool is_missing(S3Status s)
{
    return s == S3StatusErrorNoSuchKey || s == S3StatusHttpErrorNotFound;
}

static void bad_status(const struct call *c)
{
    char message[320];
    (void)snprintf(message, sizeof(message), "%s%s%s", S3_get_status_name(c->status),
                   c->words[0] != '\0' ? ": " : "", c->words);
    switch (c->status) {
    case S3StatusErrorNoSuchKey:
    case S3StatusHttpErrorNotFound:
        bad("notfound", message, NULL);
        break;
    case S3StatusErrorNoSuchBucket:
        bad("io", message, "Make the bucket, or correct bucket= in the url.");
        break;
    case S3StatusErrorAccessDenied:
    case S3StatusErrorInvalidAccessKeyId:
    case S3StatusErrorSignatureDoesNotMatch:
    case S3StatusHttpErrorForbidden:
        bad("denied", message,
            "Look at the bucket's credentials; the store must know Signature V2.");
        break;
    case S3StatusErrorRequestTimeTooSkewed:
        bad("denied", message, "Set the clock of this host.");
        break;
    case S3StatusInterrupted:
        bad("timeout", "the store does not answer", NULL);
        break;
    default:
        bad(S3_status_is_retryable(c->status) || c->status == S3StatusFailedToConnect ||
                    c->status == S3StatusNameLookupError || c->status == S3StatusConnectionFailed
                ? "transient"
                : "io",
            message, NULL);
    }
}

/* -- operations ------------------------------------------------------------------------------------ */

static const S3ResponseHandler plain = { on_properties, on_complete };

static void do_head(const char *name, struct call *c)
{
    S3RequestContext *context = context_new();
    S3_head_object(&bucket, name, context, &plain, c);
    run(context, c);
}

static void op_get(const char *name, uint64_t offset, size_t length)
{
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    struct call c = { .out = &out, .max = length };
    if (length == 0) { /* to libs3 a count of 0 is all of it */
        do_head(name, &c);
    } else {
        const S3GetObjectHandler handler = { plain, on_data };
        S3RequestContext *context = context_new();
        S3_get_object(&bucket, name, NULL, offset, length, context, &handler, &c);
        run(context, &c);
    }
    bool behind = c.status == S3StatusErrorInvalidRange; /* nothing is there */
    if (c.status != S3StatusOK && !behind) {
        bad_status(&c);
        return;
    }
    size_t len = behind ? 0 : out.len;
    DR_FREE char *rest = dr_strf(",\"body\":%zu", len);
    good(rest);
    if (len > 0)
        (void)fwrite(out.data, 1, len, stdout); /* main looks at the stream */
}

static void op_put(const char *name, const struct buf *body)
{
    struct call c = { .body = body->data, .left = body->len };
    do_head(name, &c);
    if (c.status == S3StatusOK) {
        bad("exists", "it is there already", NULL);
        return;
    }
    if (is_missing(c.status)) {
        const S3PutObjectHandler handler = { plain, on_put };
        S3RequestContext *context = context_new();
        S3_put_object(&bucket, name, body->len, NULL, context, &handler, &c);
        run(context, &c);
    }
    if (c.status == S3StatusOK)
        good("");
    else
        bad_status(&c);
}

static void op_head(const char *name)
{
    struct call c = { 0 };
    do_head(name, &c);
    if (c.status != S3StatusOK) {
        bad_status(&c);
        return;
    }
    DR_FREE char *rest = dr_strf(",\"size\":%llu", (unsigned long long)c.size);
    good(rest);
}

/* Pages of nothing but foreign keys are passed over: 'more' needs a name. */
static void list_page(const char *prefix, const char *after, size_t limit, struct call *c)
{
    static const S3ListBucketHandler handler = { { on_properties, on_complete }, on_list };
    c->max = limit;
    c->after = after;
    (void)snprintf(c->last, sizeof(c->last), "%s", after);
    do {
        char marker[sizeof(c->last)];
        memcpy(marker, c->last, sizeof(marker));
        S3RequestContext *context = context_new();
        S3_list_bucket(&bucket, prefix, marker, NULL, (int)limit, context, &handler, c);
        run(context, c);
    } while (c->status == S3StatusOK && c->more && c->names == 0);
}

static void op_list(const char *prefix, const char *after, size_t limit)
{
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    struct call c = { .out = &out };
    list_page(prefix, after, limit, &c);
    if (c.status != S3StatusOK) {
        bad_status(&c);
        return;
    }
    DR_FREE char *rest = dr_strf(",\"more\":%s,\"body\":%zu", c.more ? "true" : "false", out.len);
    good(rest);
    if (out.len > 0)
        (void)fwrite(out.data, 1, out.len, stdout); /* main looks at the stream */
}

static void op_remove(const char *name)
{
    struct call c = { 0 };
    S3RequestContext *context = context_new();
    S3_delete_object(&bucket, name, context, &plain, &c);
    run(context, &c);
    if (c.status == S3StatusOK || is_missing(c.status))
        good("");
    else
        bad_status(&c);
}

/* Is all given, and does the bucket answer? Told now, not at the first object. */
static void op_hello(const char *refused)
{
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    struct call c = { .out = &out };
    if (refused != NULL) {
        bad("unsupported", refused, "Take s3:// for a store that knows Signature V4.");
        return;
    }
    list_page("", "", 1, &c);
    if (c.status == S3StatusOK)
        good(",\"version\":1,\"parallel\":8,\"can\":[]");
    else
        bad_status(&c);
}

/* -- requests ---------------------------------------------------------------------------------------- */

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text != NULL ? text : "";
}

static void answer(const json_t *o, const struct buf *body, const char *refused)
{
    const char *op = text_of(o, "op"), *name = text_of(o, "name");
    json_int_t limit = json_integer_value(json_object_get(o, "limit"));
    asked = json_integer_value(json_object_get(o, "id"));
    if (strcmp(op, "hello") == 0)
        op_hello(refused);
    else if (strcmp(op, "list") == 0)
        op_list(text_of(o, "prefix"), text_of(o, "after"),
                limit > 0 && limit <= PAGE_MAX ? (size_t)limit : PAGE_MAX);
    else if (!is_name(name)) /* a blank and a plus would be one object */
        bad("unsupported", "that is not the name of an object", NULL);
    else if (strcmp(op, "get") == 0)
        op_get(name, (uint64_t)json_integer_value(json_object_get(o, "offset")),
               (size_t)json_integer_value(json_object_get(o, "length")));
    else if (strcmp(op, "put") == 0)
        op_put(name, body);
    else if (strcmp(op, "head") == 0)
        op_head(name);
    else if (strcmp(op, "remove") == 0)
        op_remove(name);
    else
        bad("unsupported", "there is no such operation", NULL);
}

/* One request from standard input. False: the end, or nonsense. */
static bool serve(const char *refused)
{
    static char *line;
    static size_t room;
    struct dr_err err = { 0 };
    DR_JSON json_t *o = NULL;
    DR_CLEANUP(buf_fini) struct buf body = { 0 };
    ssize_t len = getline(&line, &room, stdin);
    if (len <= 0 || json_read("the request", line, (size_t)len, &o, &err) != DR_OK)
        return false;
    json_int_t more = json_integer_value(json_object_get(o, "body"));
    if (more < 0 || more > BODY_MAX)
        return false;
    char *to = buf_reserve(&body, (size_t)more + 1);
    if (fread(to, 1, (size_t)more, stdin) != (size_t)more)
        return false;
    body.len = (size_t)more;
    answer(o, &body, refused);
    return fflush(stdout) == 0 && !ferror(stdout);
}

/* The words of the url and the credentials. NULL: all is well; else why not. */
static const char *configure(char **words)
{
    static const char http[] = "http://";
    const char *endpoint = NULL;
    for (char **w = words; *w != NULL; w++) {
        if (text_starts(*w, "endpoint="))
            endpoint = *w + strlen("endpoint=");
        else if (text_starts(*w, "bucket="))
            bucket.bucketName = *w + strlen("bucket=");
        else
            return "the url knows endpoint=, bucket= and timeout= only";
    }
    if (endpoint != NULL && text_starts(endpoint, "https:"))
        return "https is refused: libs3 checks no certificate, so anybody could be the store";
    if (endpoint == NULL || !text_starts(endpoint, http) || bucket.bucketName == NULL)
        return "the url needs endpoint=http://HOST[:PORT] and bucket=NAME";
    bucket.hostName = endpoint + strlen(http);
    bucket.protocol = S3ProtocolHTTP;
    bucket.uriStyle = S3UriStylePath;
    /* NOLINTBEGIN(concurrency-mt-unsafe): one thread */
    bucket.accessKeyId = getenv("DRCTL_STORE_ACCESS_KEY");
    bucket.secretAccessKey = getenv("DRCTL_STORE_SECRET_KEY");
    /* NOLINTEND(concurrency-mt-unsafe) */
    if (bucket.accessKeyId == NULL || bucket.secretAccessKey == NULL)
        return "the bucket's credentials have to be keys";
    if (S3_initialize("drctl", S3_INIT_ALL, bucket.hostName) != S3StatusOK)
        return "libs3 cannot begin";
    return NULL;
}

int main(int argc, char **argv)
{
    const char *refused = argc > 0 ? configure(argv + 1) : "no arguments";
    while (serve(refused))
        continue;
    return 0;
}
