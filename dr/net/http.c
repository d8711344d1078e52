/*
 * http.c - one request by a curl easy handle of its own.
 *
 * The open-socket callback is the gate: curl asks it for every address that it is about to
 * connect to, after names were looked up. With a resolver given, we look the name up ourselves
 * and hand curl the addresses (CURLOPT_RESOLVE), so that curl never asks the system.
 */
#include "dr/net/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/net/resolve.h"

struct exchange {
    const struct http_request *request;
    struct http_reply *reply;
    CURL *curl;
    struct curl_slist *headers;
    struct curl_slist *addresses;
    char *host, *port; /* of the URL; curl's memory */
    struct dr_err gate_err;
    int socket_errno; /* why no socket could be made */
};

static void exchange_fini(struct exchange *x)
{
    curl_slist_free_all(x->headers);
    curl_slist_free_all(x->addresses);
    curl_free(x->host);
    curl_free(x->port);
    if (x->curl)
        curl_easy_cleanup(x->curl);
}

void http_reply_fini(struct http_reply *r)
{
    buf_fini(&r->body);
}

static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *addr)
{
    struct exchange *x = arg;
    (void)purpose; /* connecting is the only one that a client has */
    if (gate_pass(x->request->gate, &addr->addr, &x->gate_err) != DR_OK)
        return CURL_SOCKET_BAD;
    int fd = socket(addr->family, addr->socktype | SOCK_CLOEXEC, addr->protocol);
    if (fd < 0 && errno != EAFNOSUPPORT)
        x->socket_errno = errno;
    return fd < 0 ? CURL_SOCKET_BAD : fd;
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

/* The status line comes as a header of its own; later ones (after "100 Continue") win. */
static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
    struct exchange *x = arg;
    size_t len = size * count;
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

/* Host and port out of the URL, by curl's own parser: what we check is what it connects to. */
static enum dr_rc take_url(struct exchange *x, struct dr_err *err)
{
    const char *url = x->request->url;
    CURLU *parts = curl_url();
    if (!parts)
        return dr_fail(err, DR_E_NOMEM, "cannot read a URL");
    char *scheme = NULL;
    CURLUcode rc = curl_url_set(parts, CURLUPART_URL, url, 0);
    if (rc == CURLUE_OK)
        rc = curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0);
    if (rc == CURLUE_OK)
        rc = curl_url_get(parts, CURLUPART_HOST, &x->host, 0);
    if (rc == CURLUE_OK)
        rc = curl_url_get(parts, CURLUPART_PORT, &x->port, CURLU_DEFAULT_PORT);
    bool ours = scheme && (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    curl_free(scheme);
    curl_url_cleanup(parts);
    if (rc != CURLUE_OK || !ours)
        return dr_fail(err, DR_E_USAGE, "'%s' is not an http:// or https:// URL", url);
    return DR_OK;
}

/* The name at the given server, as curl's "HOST:PORT:ADDRESS,ADDRESS". */
static enum dr_rc look_up(struct exchange *x, struct dr_err *err)
{
    const struct http_request *request = x->request;
    struct net_addr numeric;
    if (!request->resolver || net_addr_parse(x->host, 0, &numeric))
        return DR_OK;
    struct resolve_options options = { .server = request->resolver,
                                       .gate = request->gate,
                                       .deadline_ms = request->deadline_ms };
    struct resolve_answer v4 = { 0 }, v6 = { 0 };
    enum dr_rc rc = resolve_query(x->host, "A", &options, &v4, err);
    if (rc == DR_E_NOTFOUND && resolve_query(x->host, "AAAA", &options, &v6, err) == DR_OK)
        rc = DR_OK;
    if (rc == DR_OK) {
        DR_FREE char *list = text_list_join(v4.values.count ? &v4.values : &v6.values, ",");
        DR_FREE char *entry = dr_strf("%s:%s:%s", x->host, x->port, list);
        x->addresses = curl_slist_append(NULL, entry);
    }
    resolve_answer_fini(&v4);
    resolve_answer_fini(&v6);
    return rc;
}

static enum dr_rc set_options(struct exchange *x, int64_t left_ms, struct dr_err *err)
{
    const struct http_request *request = x->request;
    CURL *curl = x->curl;
    const char *method = request->method ? request->method : "GET";
    int64_t connect_ms =
        request->connect_ms > 0 && request->connect_ms < left_ms ? request->connect_ms : left_ms;
    for (const char *const *h = request->headers; h && *h; h++)
        x->headers = curl_slist_append(x->headers, *h);
    bool bad = false;
    bad |= curl_easy_setopt(curl, CURLOPT_URL, request->url);
    bad |= curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    bad |= curl_easy_setopt(curl, CURLOPT_NOBODY, strcmp(method, "HEAD") == 0 ? 1L : 0L);
    if (request->body) {
        bad |= curl_easy_setopt(curl, CURLOPT_POST, 1L);
        bad |= curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
        bad |= curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
    }
    bad |= curl_easy_setopt(curl, CURLOPT_HTTPHEADER, x->headers);
    bad |= curl_easy_setopt(curl, CURLOPT_RESOLVE, x->addresses);
    bad |= curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    bad |= curl_easy_setopt(curl, CURLOPT_PROXY, "");
    bad |= curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    bad |= curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    bad |= curl_easy_setopt(curl, CURLOPT_USERAGENT, "drctl");
    bad |= curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)left_ms);
    bad |= curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
    bad |= curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, on_open);
    bad |= curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, x);
    bad |= curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    bad |= curl_easy_setopt(curl, CURLOPT_WRITEDATA, x);
    bad |= curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    bad |= curl_easy_setopt(curl, CURLOPT_HEADERDATA, x);
    if (request->ca)
        bad |= curl_easy_setopt(curl, CURLOPT_CAINFO, request->ca);
    if (bad)
        return dr_fail(err, DR_E_NOMEM, "cannot set up the request");
    return DR_OK;
}

/* curl's verdict in our words and codes. */
static enum dr_rc judge(struct exchange *x, CURLcode code, const char *words, struct dr_err *err)
{
    if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && x->reply->cut))
        return DR_OK;
    if (x->gate_err.rc != DR_OK) {
        *err = x->gate_err;
        return err->rc;
    }
    if (x->socket_errno)
        return dr_fail(err, DR_E_NOMEM, "cannot make a socket: %s",
                       strerrordesc_np(x->socket_errno));
    enum dr_rc rc = DR_E_TRANSIENT;
    if (code == CURLE_OPERATION_TIMEDOUT)
        rc = DR_E_TIMEOUT;
    else if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE)
        rc = DR_E_DENIED;
    else if (code == CURLE_OUT_OF_MEMORY)
        rc = DR_E_NOMEM;
    return dr_fail(err, rc, "%s:%s: %s", x->host, x->port,
                   words[0] ? words : curl_easy_strerror(code));
}

static enum dr_rc perform(struct exchange *x, struct dr_err *err)
{
    DR_TRY(take_url(x, err));
    DR_TRY(gate_pass_name(x->request->gate, x->host, err));
    DR_TRY(look_up(x, err));
    int64_t left_ms = x->request->deadline_ms - clock_boot_ms();
    if (left_ms <= 0)
        return dr_fail(err, DR_E_TIMEOUT, "%s:%s: no time left to ask", x->host, x->port);
    x->curl = curl_easy_init();
    if (!x->curl)
        return dr_fail(err, DR_E_NOMEM, "cannot set up a request");
    DR_TRY(set_options(x, left_ms, err));

    char words[CURL_ERROR_SIZE] = "";
    curl_easy_setopt(x->curl, CURLOPT_ERRORBUFFER, words);
    CURLcode code = curl_easy_perform(x->curl);
    long status = 0, request_size = 0;
    curl_off_t took_us = 0;
    curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(x->curl, CURLINFO_REQUEST_SIZE, &request_size);
    curl_easy_getinfo(x->curl, CURLINFO_TOTAL_TIME_T, &took_us);
    x->reply->status = (int)status;
    x->reply->sent = request_size > 0;
    x->reply->took_ms = took_us / 1000;
    return judge(x, code, words, err);
}

enum dr_rc http_do(const struct http_request *request, struct http_reply *ret, struct dr_err *err)
{
    DR_ASSERT(ret->body.len == 0);
    struct exchange x = { .request = request, .reply = ret };
    enum dr_rc rc = perform(&x, err);
    exchange_fini(&x);
    return rc;
}
