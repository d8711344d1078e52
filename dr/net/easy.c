/*
 * easy.c - the options that all requests share, and the door before each connect.
 *
 * The open-socket callback is the gate: curl asks it for every address that it is about to
 * connect to, after names were looked up, and for each further address that it tries.
 */
#include "dr/net/easy.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "dr/base/mem.h"

void easy_fini(struct easy *e)
{
    if (e->curl)
        curl_easy_cleanup(e->curl);
    for (struct curl_slist *h = e->headers; h != NULL; h = h->next)
        explicit_bzero(h->data, strlen(h->data)); /* tokens are among them */
    curl_slist_free_all(e->headers);
    curl_slist_free_all(e->addresses);
    curl_free(e->host);
    curl_free(e->port);
}

static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *addr)
{
    struct easy *e = arg;
    (void)purpose; /* connecting is the only one that a client has */
    e->connecting = true;
    if (gate_pass(e->gate, &addr->addr, &e->gate_err) != DR_OK)
        return CURL_SOCKET_BAD;
    int fd = socket(addr->family, addr->socktype | SOCK_CLOEXEC, addr->protocol);
    if (fd < 0 && errno != EAFNOSUPPORT)
        e->socket_errno = errno;
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

/* Host and port out of the URL, by curl's own parser: what we check is what it connects to. */
static enum dr_rc take_url(struct easy *e, const char *url, struct dr_err *err)
{
    CURLU *parts = curl_url();
    if (!parts)
        return dr_fail(err, DR_E_NOMEM, "cannot read a URL");
    char *scheme = NULL;
    CURLUcode rc = curl_url_set(parts, CURLUPART_URL, url, 0);
    if (rc == CURLUE_OK)
        rc = curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0);
    if (rc == CURLUE_OK)
        rc = curl_url_get(parts, CURLUPART_HOST, &e->host, 0);
    if (rc == CURLUE_OK)
        rc = curl_url_get(parts, CURLUPART_PORT, &e->port, CURLU_DEFAULT_PORT);
    bool ours = scheme && (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    curl_free(scheme);
    curl_url_cleanup(parts);
    if (rc != CURLUE_OK || !ours)
        return dr_fail(err, DR_E_USAGE, "'%s' is not an http:// or https:// URL", url);
    return DR_OK;
}

enum dr_rc easy_init(struct easy *e, const char *url, struct gate *gate, struct dr_err *err)
{
    DR_ASSERT(!e->curl && !e->host);
    e->gate = gate;
    DR_TRY(take_url(e, url, err));
    DR_TRY(gate_pass_name(gate, e->host, err));
    e->curl = curl_easy_init();
    if (!e->curl || curl_easy_setopt(e->curl, CURLOPT_URL, url) != CURLE_OK)
        return dr_fail(err, DR_E_NOMEM, "cannot set up a request");
    return DR_OK;
}

enum dr_rc easy_set_up(struct easy *e, const char *method, const char *const *headers,
                       const char *ca, struct dr_err *err)
{
    CURL *curl = e->curl;
    for (const char *const *h = headers; h && *h; h++)
        e->headers = curl_slist_append(e->headers, *h);
    bool bad = false;
    bad |= curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    bad |= curl_easy_setopt(curl, CURLOPT_NOBODY, strcmp(method, "HEAD") == 0 ? 1L : 0L);
    bad |= curl_easy_setopt(curl, CURLOPT_HTTPHEADER, e->headers);
    bad |= curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    bad |= curl_easy_setopt(curl, CURLOPT_PROXY, "");
    bad |= curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    bad |= curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    bad |= curl_easy_setopt(curl, CURLOPT_USERAGENT, "drctl");
    bad |= curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    bad |= curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
    bad |= curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
    bad |= curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, on_open);
    bad |= curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, e);
    bad |= curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, e->words);
    if (ca)
        bad |= curl_easy_setopt(curl, CURLOPT_CAINFO, ca);
    if (bad)
        return dr_fail(err, DR_E_NOMEM, "cannot set up the request");
    return DR_OK;
}

void easy_set_addresses(struct easy *e, const char *list, bool fleeting)
{
    DR_FREE char *entry = dr_strf("%s%s:%s:%s", fleeting ? "+" : "", e->host, e->port, list);
    curl_slist_free_all(e->addresses);
    e->addresses = curl_slist_append(NULL, entry);
    if (!e->addresses || curl_easy_setopt(e->curl, CURLOPT_RESOLVE, e->addresses) != CURLE_OK)
        dr_out_of_memory();
}

enum dr_rc easy_judge(const struct easy *e, CURLcode code, struct dr_err *err)
{
    DR_ASSERT(code != CURLE_OK);
    if (e->gate_err.rc != DR_OK) {
        *err = e->gate_err;
        return dr_not_ok(err->rc);
    }
    if (e->socket_errno)
        return dr_fail(err, DR_E_NOMEM, "cannot make a socket: %s",
                       strerrordesc_np(e->socket_errno));
    enum dr_rc rc = DR_E_TRANSIENT;
    if (code == CURLE_OPERATION_TIMEDOUT)
        rc = DR_E_TIMEOUT;
    else if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE)
        rc = DR_E_DENIED;
    else if (code == CURLE_OUT_OF_MEMORY)
        rc = DR_E_NOMEM;
    return dr_fail(err, rc, "%s:%s: %s", e->host, e->port,
                   e->words[0] ? e->words : curl_easy_strerror(code));
}
