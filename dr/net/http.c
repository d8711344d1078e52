/*
 * http.c - one request by a curl easy handle of its own.
 *
 * With a resolver given, we look the name up ourselves and hand curl the addresses
 * (CURLOPT_RESOLVE), so that curl never asks the system.
 */
#include "dr/net/http.h"

#include <string.h>

#include "dr/base/clock.h"
#include "dr/net/easy.h"
#include "dr/net/resolve.h"

struct exchange {
    const struct http_request *request;
    struct http_reply *reply;
    struct easy easy;
};

void http_reply_fini(struct http_reply *r)
{
    buf_fini(&r->body);
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct exchange *x = arg;
    size_t len = size * count, room = HTTP_BODY_MAX - x->reply->body.len;
    if (len > room) {
        buf_add(&x->reply->body, data, room);
        x->reply->cut = true;
        return 0; /* ends the transfer: the rest is not wanted */
    }
    buf_add(&x->reply->body, data, len);
    return len;
}

static void take_retry_after(struct http_reply *reply, const char *data, size_t len)
{
    static const char name[] = "retry-after:";
    size_t skip = sizeof(name) - 1;
    if (len < skip || strncasecmp(data, name, skip) != 0)
        return;
    while (skip < len && data[skip] == ' ')
        skip++;
    size_t end = len;
    while (end > skip && (unsigned char)data[end - 1] <= ' ')
        end--;
    if (end - skip >= sizeof(reply->retry_after))
        return; /* no such value is so long */
    memcpy(reply->retry_after, data + skip, end - skip);
    reply->retry_after[end - skip] = '\0';
}

/* The status line comes as a header of its own; later ones (after "100 Continue") win. */
static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
    struct exchange *x = arg;
    size_t len = size * count;
    take_retry_after(x->reply, data, len);
    if (len > 5 && memcmp(data, "HTTP/", 5) == 0) {
        size_t end = 0, max = sizeof(x->reply->line) - 1;
        while (end < len && end < max && (unsigned char)data[end] >= ' ' &&
               (unsigned char)data[end] < 127)
            end++;
        while (end > 0 && data[end - 1] == ' ')
            end--;
        memcpy(x->reply->line, data, end);
        x->reply->line[end] = '\0';
    }
    return len;
}

/* The name at the given server: curl never asks the system. */
static enum dr_rc look_up(struct exchange *x, struct dr_err *err)
{
    const struct http_request *request = x->request;
    struct net_addr numeric;
    if (!request->resolver || net_addr_parse(x->easy.host, 0, &numeric))
        return DR_OK;
    struct resolve_options options = { .server = request->resolver,
                                       .gate = request->gate,
                                       .deadline_ms = request->deadline_ms };
    struct resolve_answer v4 = { 0 }, v6 = { 0 };
    enum dr_rc rc = resolve_query(x->easy.host, "A", &options, &v4, err);
    if (rc == DR_E_NOTFOUND && resolve_query(x->easy.host, "AAAA", &options, &v6, err) == DR_OK)
        rc = DR_OK;
    if (rc == DR_OK) {
        DR_FREE char *list = text_list_join(v4.values.count ? &v4.values : &v6.values, ",");
        easy_set_addresses(&x->easy, list, false);
    }
    resolve_answer_fini(&v4);
    resolve_answer_fini(&v6);
    return rc;
}

static enum dr_rc set_options(struct exchange *x, int64_t left_ms, struct dr_err *err)
{
    const struct http_request *request = x->request;
    CURL *curl = x->easy.curl;
    int64_t connect_ms =
        request->connect_ms > 0 && request->connect_ms < left_ms ? request->connect_ms : left_ms;
    DR_TRY(easy_set_up(&x->easy, request->method ? request->method : "GET", request->headers,
                       request->ca, err));
    bool bad = false;
    if (request->body) {
        bad |= curl_easy_setopt(curl, CURLOPT_POST, 1L);
        bad |= curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
        bad |= curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
    }
    bad |= curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)left_ms);
    bad |= curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
    bad |= curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    bad |= curl_easy_setopt(curl, CURLOPT_WRITEDATA, x);
    bad |= curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    bad |= curl_easy_setopt(curl, CURLOPT_HEADERDATA, x);
    if (bad)
        return dr_fail(err, DR_E_NOMEM, "cannot set up the request");
    return DR_OK;
}

static enum dr_rc perform(struct exchange *x, struct dr_err *err)
{
    struct easy *e = &x->easy;
    DR_TRY(easy_init(e, x->request->url, x->request->gate, err));
    DR_TRY(look_up(x, err));
    int64_t left_ms = x->request->deadline_ms - clock_boot_ms();
    if (left_ms <= 0)
        return dr_fail(err, DR_E_TIMEOUT, "%s:%s: no time left to ask", e->host, e->port);
    DR_TRY(set_options(x, left_ms, err));

    CURLcode code = curl_easy_perform(e->curl);
    long status = 0, request_size = 0;
    curl_off_t took_us = 0;
    curl_easy_getinfo(e->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(e->curl, CURLINFO_REQUEST_SIZE, &request_size);
    curl_easy_getinfo(e->curl, CURLINFO_TOTAL_TIME_T, &took_us);
    x->reply->status = (int)status;
    x->reply->sent = request_size > 0;
    x->reply->took_ms = took_us / 1000;
    if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && x->reply->cut))
        return DR_OK;
    return easy_judge(e, code, err);
}

enum dr_rc http_do(const struct http_request *request, struct http_reply *ret, struct dr_err *err)
{
    DR_ASSERT(ret->body.len == 0);
    struct exchange x = { .request = request, .reply = ret };
    enum dr_rc rc = perform(&x, err);
    easy_fini(&x.easy);
    return rc;
}
