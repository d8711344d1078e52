/*
 * httpfault_s3.c - the small S3 behind httpfault.c: signature's shape, objects, lists, many removals.
 *
 * What a real one checks and a client may get wrong is checked; bytes of errors and lists have the form
 * that S3 gives them, as far as a client reads it.
 */
#include "tests/support/httpfault_s3.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "dr/base/clock.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"

enum { SKEW_MAX_S = 900, PAGE = 1000, NAME_SIZE = 1100 };

bool s3_header(const struct s3_request *r, const char *name, char *ret, size_t size)
{
    DR_FREE char *key = dr_strf("\r\n%s:", name);
    const char *at = strstr(r->headers, key);
    ret[0] = '\0';
    if (at == NULL)
        return false;
    at += strlen(key);
    at += strspn(at, " ");
    snprintf(ret, size, "%.*s", (int)strcspn(at, "\r\n"), at);
    return true;
}

void s3_error(struct s3_reply *reply, int status, const char *code, const char *more)
{
    buf_clear(&reply->body);
    reply->status = status;
    buf_adds(&reply->headers, "Content-Type: application/xml\r\n");
    buf_addf(&reply->body,
             "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code>"
             "<Message>said the test server</Message>%s<RequestId>0001</RequestId></Error>",
             code, more);
}

void s3_reply_fini(struct s3_reply *reply)
{
    buf_fini(&reply->headers);
    buf_fini(&reply->body);
}

static void unescape(const char *from, size_t len, char *to, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < len && n + 1 < size; i++) {
        uint8_t byte;
        char digits[2] = { 0 };
        bool escaped = from[i] == '%' && i + 2 < len;
        for (size_t d = 0; escaped && d < 2; d++) /* hex_decode() takes small letters only */
            digits[d] = (char)(from[i + 1 + d] | (from[i + 1 + d] >= 'A' ? 0x20 : 0));
        if (escaped && hex_decode(digits, 2, &byte, 1)) {
            to[n++] = (char)byte;
            i += 2;
        } else {
            to[n++] = from[i];
        }
    }
    to[n] = '\0';
}

/* A parameter of the query, decoded; false: there is none. */
static bool parameter(const struct s3_request *r, const char *name, char *ret, size_t size)
{
    size_t len = strlen(name);
    ret[0] = '\0';
    for (const char *at = r->query; *at != '\0';) {
        size_t part = strcspn(at, "&");
        if (part >= len && strncmp(at, name, len) == 0 && (part == len || at[len] == '=')) {
            size_t skip = part == len ? len : len + 1;
            unescape(at + skip, part - skip, ret, size);
            return true;
        }
        at += part + (at[part] == '&');
    }
    return false;
}

static bool asks_for(const struct s3_request *r, const char *name)
{
    char value[16];
    return parameter(r, name, value, sizeof(value));
}

/* -- signature ------------------------------------------------------------------------------- */

static bool date_is_near(const struct httpfault_kind *kind, const char *text)
{
    struct tm tm = { 0 };
    /* NOLINTNEXTLINE(cert-err34-c): the fields are too short to overflow */
    if (sscanf(text, "%4d%2d%2dT%2d%2d%2dZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
               &tm.tm_min, &tm.tm_sec) != 6)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    int64_t theirs = (int64_t)timegm(&tm);
    int64_t ours = clock_wall_ns() / 1000000000 + kind->clock_offset_s;
    return theirs - ours <= SKEW_MAX_S && ours - theirs <= SKEW_MAX_S;
}

static bool digest_is_right(const struct s3_request *r, const char *digest)
{
    uint8_t bytes[HASH_SIZE];
    char hex[HASH_HEX_SIZE];
    hash_bytes(r->body.data != NULL ? r->body.data : "", r->body.len, bytes);
    return strcmp(digest, "UNSIGNED-PAYLOAD") == 0 ||
           strcmp(digest, hex_encode(bytes, HASH_SIZE, hex)) == 0;
}

/* False: refused, and the reply says so. */
static bool is_allowed(const struct httpfault_kind *kind, const struct s3_request *r,
                       struct s3_reply *reply)
{
    char auth[1024], date[64], digest[80], token[2048], key[128] = "", day[16] = "",
                                                        region[64] = "";
    bool signed_at_all = s3_header(r, "authorization", auth, sizeof(auth)) &&
                         s3_header(r, "x-amz-date", date, sizeof(date)) &&
                         s3_header(r, "x-amz-content-sha256", digest, sizeof(digest));
    (void)s3_header(r, "x-amz-security-token", token, sizeof(token)); /* most have none */
    if (!signed_at_all ||
        sscanf(auth, "AWS4-HMAC-SHA256 Credential=%127[^/]/%15[^/]/%63[^/]/s3/aws4_request", key,
               day, region) != 3 ||
        strstr(auth, "SignedHeaders=") == NULL || strstr(auth, "Signature=") == NULL)
        s3_error(reply, 403, "AccessDenied", "");
    else if (!date_is_near(kind, date))
        s3_error(reply, 403, "RequestTimeTooSkewed", "");
    else if (kind->access_key != NULL && strcmp(kind->access_key, key) != 0)
        s3_error(reply, 403, "InvalidAccessKeyId", "");
    else if (kind->token != NULL && strcmp(kind->token, token) != 0)
        s3_error(reply, 403, "InvalidToken", "");
    else if (kind->wrong_secret)
        s3_error(reply, 403, "SignatureDoesNotMatch", "");
    else if (kind->region != NULL && strcmp(kind->region, region) != 0) {
        DR_FREE char *more = dr_strf("<Region>%s</Region>", kind->region);
        s3_error(reply, 400, "AuthorizationHeaderMalformed", more);
    } else if (!digest_is_right(r, digest))
        s3_error(reply, 400, "XAmzContentSHA256Mismatch", "");
    else
        return true;
    return false;
}

/* -- objects --------------------------------------------------------------------------------- */

/* "bytes=5-9", "bytes=5-" (to: UINT64_MAX); false: it is none that we take. */
static bool range_of(const struct s3_request *r, uint64_t *from, uint64_t *to)
{
    char text[64];
    if (!s3_header(r, "range", text, sizeof(text)))
        return false;
    const char *at = text + strlen("bytes=");
    if (!text_starts(text, "bytes="))
        return false;
    char *dash;
    *from = strtoull(at, &dash, 10);
    uint64_t last = dash[0] == '-' && dash[1] != '\0' ? strtoull(dash + 1, NULL, 10) : UINT64_MAX;
    *to = last < UINT64_MAX ? last + 1 : UINT64_MAX;
    return dash != at && dash[0] == '-';
}

static void get(struct memory *m, const struct s3_request *r, const char *key,
                struct s3_reply *reply)
{
    char tag[MEMORY_TAG_SIZE];
    uint64_t from = 0, to = UINT64_MAX, size = 0;
    bool ranged = range_of(r, &from, &to);
    if (!ranged) {
        from = 0;
        to = UINT64_MAX;
    }
    if (!memory_get_part(m, key, from, to, &reply->body, tag, &size)) {
        s3_error(reply, 404, "NoSuchKey", "");
        return;
    }
    if (ranged && from >= size) {
        s3_error(reply, 416, "InvalidRange", "");
        return;
    }
    to = to < size ? to : size;
    reply->status = ranged ? 206 : 200;
    buf_addf(&reply->headers, "ETag: \"%s\"\r\nAccept-Ranges: bytes\r\n", tag);
    if (ranged)
        buf_addf(&reply->headers, "Content-Range: bytes %llu-%llu/%llu\r\n",
                 (unsigned long long)from, (unsigned long long)to - 1, (unsigned long long)size);
}

/* The condition of a put; false: the reply says why it is none. */
static bool condition(const struct httpfault_kind *kind, const struct s3_request *r,
                      enum memory_if *when, char tag[MEMORY_TAG_SIZE], struct s3_reply *reply)
{
    char text[128];
    *when = MEMORY_ALWAYS;
    tag[0] = '\0';
    if (s3_header(r, "if-none-match", text, sizeof(text)))
        *when = MEMORY_ABSENT;
    else if (s3_header(r, "if-match", text, sizeof(text)))
        *when = MEMORY_TAGGED;
    if (*when != MEMORY_ALWAYS && kind->no_conditions) {
        s3_error(reply, 501, "NotImplemented", "");
        return false;
    }
    size_t quoted = text[0] == '"';
    if (*when == MEMORY_TAGGED)
        snprintf(tag, MEMORY_TAG_SIZE, "%.32s",
                 (quoted != 0) == kind->quoted_tags_only ? text + quoted : "other");
    if (kind->conditions_ignored)
        *when = MEMORY_ALWAYS;
    return true;
}

static void put(const struct httpfault_kind *kind, struct memory *m, const struct s3_request *r,
                const char *key, struct s3_reply *reply)
{
    enum memory_if when;
    char tag[MEMORY_TAG_SIZE];
    uint64_t size;
    if (!condition(kind, r, &when, tag, reply))
        return;
    enum dr_rc rc =
        memory_put(m, key, r->body.data != NULL ? r->body.data : "", r->body.len, when, tag);
    if (rc == DR_E_DENIED)
        s3_error(reply, 403, "AccessDenied", "");
    else if (rc != DR_OK)
        s3_error(reply, 412, "PreconditionFailed", "");
    else if (memory_head(m, key, &size, tag))
        buf_addf(&reply->headers, "ETag: \"%s\"\r\n", tag);
}

static void list(const struct httpfault_kind *kind, struct memory *m, const struct s3_request *r,
                 const char *bucket, struct s3_reply *reply)
{
    char prefix[NAME_SIZE], after[NAME_SIZE], start[NAME_SIZE], most[16];
    (void)parameter(r, "prefix", prefix, sizeof(prefix)); /* "" when there is none, all three */
    (void)parameter(r, "continuation-token", after, sizeof(after));
    (void)parameter(r, "start-after", start, sizeof(start));
    size_t limit = kind->page > 0 ? kind->page : PAGE;
    if (parameter(r, "max-keys", most, sizeof(most)) && strtoul(most, NULL, 10) < limit)
        limit = strtoul(most, NULL, 10);
    DR_CLEANUP(store_entries_fini) struct store_entries e = { 0 };
    bool more = memory_list(m, prefix, after[0] != '\0' ? after : start, limit, &e);
    buf_adds(&reply->headers, "Content-Type: application/xml\r\n");
    buf_addf(&reply->body,
             "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult"
             " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>%s</Name><Prefix>%s</Prefix>"
             "<KeyCount>%zu</KeyCount><IsTruncated>%s</IsTruncated>",
             bucket, prefix, e.count, more ? "true" : "false");
    for (size_t i = 0; i < e.count; i++)
        buf_addf(&reply->body,
                 "<Contents><Key>%s</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                 "<ETag>&quot;0&quot;</ETag><Size>%llu</Size><StorageClass>STANDARD</StorageClass>"
                 "</Contents>",
                 e.items[i].name, (unsigned long long)e.items[i].size);
    if (more &&
        e.count > 0) /* any bytes may be in a token: the last name, and it must come escaped */
        buf_addf(&reply->body, "<NextContinuationToken>%s</NextContinuationToken>",
                 e.items[e.count - 1].name);
    buf_adds(&reply->body, "</ListBucketResult>");
}

static void remove_many(struct memory *m, const struct s3_request *r, struct s3_reply *reply)
{
    bool quiet = r->body.len > 0 && strstr(r->body.data, "<Quiet>true</Quiet>") != NULL;
    buf_adds(&reply->headers, "Content-Type: application/xml\r\n");
    buf_adds(&reply->body, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<DeleteResult>");
    size_t count = 0;
    const char *at = r->body.len > 0 ? r->body.data : "";
    while ((at = strstr(at, "<Key>")) != NULL) {
        at += strlen("<Key>");
        DR_FREE char *key = dr_memdup(at, strcspn(at, "<"));
        count++;
        if (memory_remove(m, key) != DR_OK)
            buf_addf(&reply->body,
                     "<Error><Key>%s</Key><Code>AccessDenied</Code>"
                     "<Message>locked</Message></Error>",
                     key);
        else if (!quiet)
            buf_addf(&reply->body, "<Deleted><Key>%s</Key></Deleted>", key);
    }
    buf_adds(&reply->body, "</DeleteResult>");
    if (count == 0 || count > PAGE)
        s3_error(reply, 400, "MalformedXML", "");
}

static void of_bucket(const struct httpfault_kind *kind, struct memory *m,
                      const struct s3_request *r, const char *bucket, struct s3_reply *reply)
{
    bool get_it = strcmp(r->method, "GET") == 0;
    if (strcmp(r->method, "POST") == 0 && asks_for(r, "delete"))
        remove_many(m, r, reply);
    else if (get_it && asks_for(r, "versioning"))
        buf_adds(&reply->body, "<VersioningConfiguration/>");
    else if (get_it && asks_for(r, "object-lock"))
        s3_error(reply, 404, "ObjectLockConfigurationNotFoundError", "");
    else if (get_it && asks_for(r, "location"))
        buf_addf(&reply->body, "<LocationConstraint>%s</LocationConstraint>",
                 kind->region != NULL ? kind->region : "");
    else if (get_it && asks_for(r, "list-type"))
        list(kind, m, r, bucket, reply);
    else if (strcmp(r->method, "HEAD") != 0)
        s3_error(reply, 501, "NotImplemented", "");
}

static void of_object(const struct httpfault_kind *kind, struct memory *m,
                      const struct s3_request *r, const char *key, struct s3_reply *reply)
{
    if (r->query[0] != '\0')
        s3_error(reply, 501, "NotImplemented", "");
    else if (strcmp(r->method, "GET") == 0 || reply->head)
        get(m, r, key, reply);
    else if (strcmp(r->method, "PUT") == 0)
        put(kind, m, r, key, reply);
    else if (strcmp(r->method, "DELETE") == 0 && memory_remove(m, key) != DR_OK)
        s3_error(reply, 403, "AccessDenied", "");
    else if (strcmp(r->method, "DELETE") == 0)
        reply->status = 204;
    else
        s3_error(reply, 405, "MethodNotAllowed", "");
}

void s3_answer(const struct httpfault_kind *kind, const struct s3_request *r,
               struct memory *(*bucket)(void *arg, const char *name), void *arg,
               struct s3_reply *reply)
{
    char path[NAME_SIZE], name[256];
    reply->status = 200;
    reply->head = strcmp(r->method, "HEAD") == 0;
    unescape(r->path, strlen(r->path), path, sizeof(path));
    if (!is_allowed(kind, r, reply))
        return;
    size_t len = strcspn(path + 1, "/");
    snprintf(name, sizeof(name), "%.*s", (int)len, path + 1);
    const char *key = path + 1 + len;
    struct memory *m = bucket(arg, name);
    if (m == NULL)
        s3_error(reply, 404, "NoSuchBucket", "");
    else if (key[0] == '\0' || key[1] == '\0')
        of_bucket(kind, m, r, name, reply);
    else
        of_object(kind, m, r, key + 1, reply);
}
