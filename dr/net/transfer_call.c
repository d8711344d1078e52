/*
 * transfer_call.c - one request on its way: its options, its callbacks, its deadlines.
 *
 * curl knows a deadline for the connection only; stalls and the end of all are watched here,
 * so that each has its own words. A stall is measured by curl's own count of bytes on the
 * wire: what lies in its buffer has not left. A body that waits to be paid for does not stall.
 */
#include "dr/net/transfer_call.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "dr/base/clock.h"
#include "dr/base/mem.h"

enum {
    BUFFER_SIZE = 256 << 10, /* of curl, in either direction */
    EXPECT_MS = 300,         /* for a server that does not know "100 Continue" */
    HEADERS_MAX = 256,
    ADDRESS_LIST_MAX = 16,
};

/* -- callbacks ----------------------------------------------------------------------------- */

static size_t on_read(char *to, size_t size, size_t count, void *arg)
{
    struct call *c = arg;
    size_t left = c->q->body_len - c->body_at, room = size * count;
    size_t n = left < room ? left : room;
    if (c->q->pace != NULL && left > 0) {
        DR_ASSERT(pthread_mutex_lock(&c->setting->lock) == 0);
        size_t paid = c->shared.paid > c->body_at ? c->shared.paid - c->body_at : 0;
        n = n < paid ? n : paid;
        if (c->shared.paid < c->q->body_len && paid - n < c->q->pace->slice) {
            c->shared.wanted = true;
            (void)pthread_cond_signal(&c->changed);
        }
        DR_ASSERT(pthread_mutex_unlock(&c->setting->lock) == 0);
        c->paused = n == 0;
        if (c->paused)
            return CURL_READFUNC_PAUSE;
    }
    if (n > 0)
        memcpy(to, (const char *)c->q->body + c->body_at, n);
    c->body_at += n;
    return n;
}

/* The request goes out once more, on another connection. */
static int on_seek(void *arg, curl_off_t offset, int origin)
{
    struct call *c = arg;
    if (origin != SEEK_SET || offset < 0 || (size_t)offset > c->q->body_len)
        return CURL_SEEKFUNC_FAIL;
    c->body_at = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

static bool is_good(struct call *c)
{
    long status = 0;
    curl_easy_getinfo(c->easy.curl, CURLINFO_RESPONSE_CODE, &status);
    return status >= 200 && status < 300;
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct call *c = arg;
    const struct transfer_request *q = c->q;
    size_t len = size * count;
    uint64_t before = c->reply->got;
    c->reply->got += len;
    if (!is_good(c)) {
        size_t room = TRANSFER_OTHER_BODY_MAX - c->reply->body.len;
        buf_add(&c->reply->body, data, len < room ? len : room);
        return len; /* the rest is read and dropped: the connection stays of use */
    }
    uint64_t most = q->out != NULL ? q->out_len : q->grow != NULL ? q->grow_limit : UINT64_MAX;
    if (len > most - before) {
        c->reply->got = before;
        c->too_large = true;
        return 0; /* ends the transfer */
    }
    if (q->out != NULL)
        memcpy((char *)q->out + before, data, len);
    else if (q->grow != NULL)
        buf_add(q->grow, data, len);
    return len;
}

/* Headers of "100 Continue" come before those of the answer: a status line begins anew. */
static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
    struct call *c = arg;
    size_t len = size * count, end = len;
    struct text_list *headers = &c->reply->headers;
    if (len > 5 && memcmp(data, "HTTP/", 5) == 0) {
        text_list_fini(headers);
        *headers = (struct text_list){ 0 };
        c->wall_ns = clock_wall_ns();
        quick_acknowledge(c->fd);
        return len;
    }
    const char *colon = memchr(data, ':', len);
    while (end > 0 && isspace((unsigned char)data[end - 1]))
        end--;
    if (colon == NULL || headers->count >= HEADERS_MAX)
        return len;
    size_t name = (size_t)(colon - data), value = name + 1;
    while (value < end && (data[value] == ' ' || data[value] == '\t'))
        value++;
    DR_CLEANUP(buf_fini) struct buf line = { 0 };
    for (size_t i = 0; i < name; i++)
        buf_addc(&line, (char)tolower((unsigned char)data[i]));
    buf_adds(&line, ": ");
    buf_add(&line, data + value, end - (value < end ? value : end));
    text_list_addn(headers, line.data, line.len);
    return len;
}

static int on_progress(void *arg, curl_off_t to_come, curl_off_t came, curl_off_t to_go,
                       curl_off_t went)
{
    struct call *c = arg;
    (void)to_come;
    (void)to_go;
    if (came != c->came || went != c->went)
        c->moved_ms = clock_boot_ms();
    c->came = came;
    c->went = went;
    return 0;
}

static int on_ready(void *arg, char *to, char *from, int to_port, int from_port)
{
    struct call *c = arg;
    (void)to;
    (void)from;
    (void)to_port;
    c->fd = quick_find(&c->setting->quick, from_port);
    c->ready++;
    c->moved_ms = clock_boot_ms();
    return CURL_PREREQFUNC_OK;
}

/* -- set up -------------------------------------------------------------------------------- */

static bool has_body(const struct transfer_request *q)
{
    return q->method != NULL && (strcmp(q->method, "POST") == 0 || strcmp(q->method, "PUT") == 0);
}

/* A PUT is curl's POST by another name: curl's own PUT asks "may I?" (Expect) before each body, one
 * more round trip even for ten bytes; its POST only before more than a MiB. */
static enum dr_rc set_body(struct call *c, struct dr_err *err)
{
    const struct transfer_request *q = c->q;
    CURL *curl = c->easy.curl;
    DR_ASSERT(q->body_len == 0 || (q->body != NULL && has_body(q)));
    bool bad = false;
    if (has_body(q)) {
        bad |= curl_easy_setopt(curl, CURLOPT_POST, 1L);
        bad |= curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body_len);
    }
    bad |= curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
    bad |= curl_easy_setopt(curl, CURLOPT_READDATA, c);
    bad |= curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, on_seek);
    bad |= curl_easy_setopt(curl, CURLOPT_SEEKDATA, c);
    if (bad)
        return dr_fail(err, DR_E_NOMEM, "cannot set up the request");
    c->shared.paid = q->pace != NULL ? 0 : q->body_len;
    c->shared.wanted = q->pace != NULL && q->body_len > 0;
    return DR_OK;
}

static enum dr_rc set_signature(struct call *c, struct dr_err *err)
{
    const struct transfer_sign *sign = c->q->sign;
    if (sign == NULL)
        return DR_OK;
    CURL *curl = c->easy.curl;
    DR_FREE char *how = dr_strf("aws:amz:%s:%s", sign->region, sign->service);
    bool bad = false;
    bad |= curl_easy_setopt(curl, CURLOPT_AWS_SIGV4, how);
    bad |= curl_easy_setopt(curl, CURLOPT_USERNAME, sign->access_key);
    bad |= curl_easy_setopt(curl, CURLOPT_PASSWORD, sign->secret_key);
    if (bad)
        return dr_fail(err, DR_E_NOMEM, "cannot set up the signature");
    return DR_OK;
}

static enum dr_rc set_callbacks(struct call *c, struct dr_err *err)
{
    CURL *curl = c->easy.curl;
    bool bad = false;
    bad |= curl_easy_setopt(curl, CURLOPT_PRIVATE, c);
    bad |= curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    bad |= curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    bad |= curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, (long)BUFFER_SIZE);
    bad |= curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, (long)BUFFER_SIZE);
    bad |= curl_easy_setopt(curl, CURLOPT_EXPECT_100_TIMEOUT_MS, (long)EXPECT_MS);
    bad |= curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)c->setting->connect_ms);
    bad |= curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L); /* no waiting for a dead name server */
    bad |= curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    bad |= curl_easy_setopt(curl, CURLOPT_WRITEDATA, c);
    bad |= curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    bad |= curl_easy_setopt(curl, CURLOPT_HEADERDATA, c);
    bad |= curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    bad |= curl_easy_setopt(curl, CURLOPT_XFERINFODATA, c);
    bad |= curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    bad |= curl_easy_setopt(curl, CURLOPT_PREREQFUNCTION, on_ready);
    bad |= curl_easy_setopt(curl, CURLOPT_PREREQDATA, c);
    bad |= !quick_attach(&c->setting->quick, curl);
    if (bad)
        return dr_fail(err, DR_E_NOMEM, "cannot set up the request");
    return DR_OK;
}

static bool has_header(const struct transfer_request *q, const char *name)
{
    for (const char *const *h = q->headers; h != NULL && *h != NULL; h++)
        if (strncasecmp(*h, name, strlen(name)) == 0)
            return true;
    return false;
}

enum dr_rc call_init(struct call *c, struct call_setting *setting, const struct transfer_request *q,
                     struct transfer_reply *reply, struct dr_err *err)
{
    DR_ASSERT(q->out == NULL || q->grow == NULL);
    DR_ASSERT(q->sign == NULL || has_header(q, "x-amz-content-sha256:")); /* curl adds none */
    *c = (struct call){ .setting = setting, .q = q, .reply = reply, .err = err, .fd = -1 };
    DR_ASSERT(pthread_cond_init(&c->changed, NULL) == 0);
    const char *method = q->method != NULL ? q->method : "GET";
    DR_TRY(easy_init(&c->easy, q->url, setting->gate, err));
    if (has_body(q) && !has_header(q, "content-type:"))
        c->easy.headers =
            curl_slist_append(c->easy.headers, "Content-Type: application/octet-stream");
    if (q->sign != NULL && q->sign->session_token != NULL) {
        DR_FREE char *token = dr_strf("x-amz-security-token: %s", q->sign->session_token);
        c->easy.headers = curl_slist_append(c->easy.headers, token);
        explicit_bzero(token, strlen(token));
    }
    DR_TRY(easy_set_up(&c->easy, method, q->headers, setting->ca, err));
    DR_TRY(set_callbacks(c, err));
    DR_TRY(set_body(c, err));
    return set_signature(c, err);
}

void call_fini(struct call *c)
{
    easy_fini(&c->easy);
    text_list_fini(&c->known);
    (void)pthread_cond_destroy(&c->changed); /* nobody waits */
}

/* -- under way ----------------------------------------------------------------------------- */

void call_begin(struct call *c, int64_t now_ms)
{
    c->began_ms = c->moved_ms = now_ms;
}

void call_resume(struct call *c, size_t paid, int64_t now_ms)
{
    if (!c->paused || paid <= c->body_at)
        return;
    c->paused = false;
    c->moved_ms = now_ms;
    (void)curl_easy_pause(c->easy.curl, CURLPAUSE_CONT); /* what fails here ends the transfer */
}

bool call_should_remember(const struct call *c, int64_t now_ms)
{
    return c->known.count > 0 && !c->reply->remembered && !c->easy.connecting && c->ready == 0 &&
           now_ms - c->began_ms >= c->setting->lookup_ms;
}

void call_use_memory(struct call *c, int64_t now_ms)
{
    DR_CLEANUP(buf_fini) struct buf list = { 0 };
    for (size_t i = 0; i < c->known.count && i < ADDRESS_LIST_MAX; i++)
        buf_addf(&list, strchr(c->known.items[i], ':') != NULL ? "%s[%s]" : "%s%s",
                 i > 0 ? "," : "", c->known.items[i]);
    easy_set_addresses(&c->easy, list.data, true);
    c->reply->remembered = true;
    c->moved_ms = now_ms;
}

static enum dr_rc too_late(struct call *c, struct dr_err *err)
{
    if (c->ready == 0)
        return dr_fail(err, DR_E_TIMEOUT, "%s:%s: no connection before the deadline", c->easy.host,
                       c->easy.port);
    return dr_fail(err, DR_E_TIMEOUT,
                   "%s:%s: not done before the deadline (%" PRIu64 " bytes came)", c->easy.host,
                   c->easy.port, c->reply->got);
}

enum dr_rc call_check(struct call *c, int64_t now_ms, int64_t *ret_next_ms, struct dr_err *err)
{
    int64_t next = INT64_MAX;
    if (c->q->deadline_ms != 0) {
        if (now_ms >= c->q->deadline_ms)
            return too_late(c, err);
        next = c->q->deadline_ms;
    }
    if (c->ready > 0 && !c->paused) {
        int64_t stalls = c->moved_ms + c->setting->stall_ms;
        if (now_ms >= stalls)
            return dr_fail(err, DR_E_TIMEOUT,
                           "%s:%s: stalled: no byte for %" PRId64 " ms (%" PRIu64 " came)",
                           c->easy.host, c->easy.port, now_ms - c->moved_ms, c->reply->got);
        next = stalls < next ? stalls : next;
    } else if (c->known.count > 0 && !c->reply->remembered && !c->easy.connecting) {
        int64_t gives_up = c->began_ms + c->setting->lookup_ms;
        next = gives_up < next ? gives_up : next;
    }
    *ret_next_ms = next;
    return DR_OK;
}

/* -- afterwards ---------------------------------------------------------------------------- */

static void collect_date(struct call *c)
{
    const char *date = transfer_header(c->reply, "date");
    time_t at = date != NULL ? curl_getdate(date, NULL) : -1;
    c->reply->dated = at >= 0;
    if (c->reply->dated) /* it was cut to whole seconds: on the average half of one is missing */
        c->reply->date_offset_ms = (int64_t)at * 1000 + 500 - c->wall_ns / 1000000;
}

void call_collect(struct call *c)
{
    CURL *curl = c->easy.curl;
    long status = 0, request_size = 0, connections = 0;
    curl_off_t took_us = 0, first_us = 0;
    char *address = NULL;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(curl, CURLINFO_REQUEST_SIZE, &request_size);
    curl_easy_getinfo(curl, CURLINFO_TOTAL_TIME_T, &took_us);
    curl_easy_getinfo(curl, CURLINFO_STARTTRANSFER_TIME_T, &first_us);
    curl_easy_getinfo(curl, CURLINFO_NUM_CONNECTS, &connections);
    curl_easy_getinfo(curl, CURLINFO_PRIMARY_IP, &address);
    c->reply->status = (int)status;
    c->reply->sent = request_size > 0;
    c->reply->resent = c->ready > 1;
    c->reply->took_ms = took_us / 1000;
    c->reply->first_byte_ms = first_us / 1000;
    if (connections > 0 && status != 0 && address != NULL)
        (void)snprintf(c->address, sizeof(c->address), "%s", address);
    collect_date(c);
}

enum dr_rc call_judge(struct call *c, CURLcode code, struct dr_err *err)
{
    const struct easy *e = &c->easy;
    if (code == CURLE_OK)
        return DR_OK;
    if (c->too_large)
        return dr_fail(err, DR_E_CORRUPT, "%s:%s: the answer is larger than was asked for", e->host,
                       e->port);
    if (code == CURLE_OPERATION_TIMEDOUT && c->ready == 0)
        return dr_fail(err, DR_E_TIMEOUT, "%s:%s: no connection within %" PRId64 " ms", e->host,
                       e->port, c->setting->connect_ms);
    enum dr_rc rc = easy_judge(e, code, err);
    if (rc == DR_E_DENIED)
        (void)dr_hint(
            err,
            "Give the certificates to trust with 'ca'; the server's must be valid now, and for '%s'.",
            e->host);
    else if (c->reply->remembered)
        (void)dr_hint(err, "No name service answered for '%s': addresses from earlier were tried.",
                      e->host);
    return dr_not_ok(rc);
}
