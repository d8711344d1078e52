/*
 * serve.c - a table of pages; the connections are libmicrohttpd's.
 */
#include "dr/serve/serve.h"

#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/data/json.h"
#include "dr/data/time.h"
#include "dr/net/addr.h"
#include "dr/serve/metrics.h"
#include "dr/serve/page.h"

struct serve {
    struct serve_options o;
    struct MHD_Daemon *daemon;
    char address[NET_ADDR_TEXT_MAX];
};

struct answer {
    unsigned status;
    const char *type;
    struct buf body;
};

/* ---- the pages --------------------------------------------------------------------------------- */

static json_t *read_view(const struct serve *s)
{
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    struct dr_err err;
    json_t *view = NULL;
    if (fs_read_file(s->o.view, SERVE_VIEW_MAX, &bytes, &err) != DR_OK ||
        json_read("the status", bytes.data, bytes.len, &view, &err) != DR_OK)
        return NULL;
    const char *schema = json_string_value(json_object_get(view, "schema"));
    if (schema != NULL && strcmp(schema, "drctl-status-1") == 0)
        return view;
    json_decref(view);
    return NULL;
}

static void add_page(struct answer *a, const json_t *view)
{
    a->type = "text/html; charset=utf-8";
    page_add(&a->body, view, clock_wall_ns());
}

static void add_metrics(struct answer *a, const json_t *view)
{
    a->type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_add(&a->body, view, clock_wall_ns());
}

static void add_view(struct answer *a, const json_t *view)
{
    a->type = "application/json";
    a->status = view != NULL ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
    if (view != NULL)
        json_add_canonical(&a->body, view);
    else
        buf_adds(&a->body, "null");
    buf_addc(&a->body, '\n');
}

static void add_health(struct answer *a, const json_t *view)
{
    int64_t made_ns = 0;
    const char *made_at = json_string_value(json_object_get(view, "made_at"));
    bool known = made_at != NULL && time_parse(made_at, &made_ns);
    bool fresh = known && clock_wall_ns() - made_ns <= SERVE_STALE_S * INT64_C(1000000000);
    a->status = fresh ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
    buf_adds(&a->body, fresh   ? "ok\n"
                       : known ? "stale: backupd has not looked for more than 15 minutes\n"
                               : "unknown: backupd has published no status\n");
}

static const struct {
    const char *path;
    void (*add)(struct answer *a, const json_t *view);
} pages[] = {
    { "/", add_page },
    { "/metrics", add_metrics },
    { "/status.json", add_view },
    { "/healthz", add_health },
};

/* ---- a request --------------------------------------------------------------------------------- */

/* The name in a Host header, without its port; brackets of an IPv6 address stay. */
static size_t name_len(const char *host)
{
    const char *end = host[0] == '[' ? strchr(host, ']') : NULL;
    return end != NULL ? (size_t)(end + 1 - host) : strcspn(host, ":");
}

static bool same_name(const char *a, size_t len, const char *b)
{
    return name_len(b) == len && strncasecmp(a, b, len) == 0;
}

bool serve_knows_host(const struct serve_options *o, const char *host)
{
    if (host == NULL)
        return false;
    size_t len = name_len(host);
    bool known = len > 0 && (same_name(host, len, o->listen) || same_name(host, len, "localhost"));
    for (size_t i = 0; o->hosts != NULL && i < o->hosts->count; i++)
        known |= same_name(host, len, o->hosts->items[i]);
    return known;
}

static void fill(const struct serve *s, struct MHD_Connection *connection, const char *path,
                 const char *method, struct answer *a)
{
    a->status = MHD_HTTP_OK;
    a->type = "text/plain; charset=utf-8";
    const char *host =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
    if (!serve_knows_host(&s->o, host)) {
        a->status = MHD_HTTP_MISDIRECTED_REQUEST;
        buf_adds(&a->body, "this host is not served here; see serve: hosts: in dr.yaml(5)\n");
        return;
    }
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        a->status = MHD_HTTP_METHOD_NOT_ALLOWED;
        buf_adds(&a->body, "GET or HEAD\n");
        return;
    }
    for (size_t i = 0; i < DR_ARRAY_LEN(pages); i++) {
        if (strcmp(path, pages[i].path) != 0)
            continue;
        DR_JSON json_t *view = read_view(s);
        pages[i].add(a, view);
        return;
    }
    a->status = MHD_HTTP_NOT_FOUND;
    buf_adds(&a->body, "there are /, /metrics, /status.json and /healthz\n");
}

static enum MHD_Result respond(struct MHD_Connection *connection, struct answer *a)
{
    size_t len = a->body.len;
    struct MHD_Response *r =
        MHD_create_response_from_buffer(len, buf_take(&a->body), MHD_RESPMEM_MUST_FREE);
    if (r == NULL)
        return MHD_NO;
    static const char *const headers[][2] = {
        { MHD_HTTP_HEADER_CACHE_CONTROL, "no-store" },
        { "Content-Security-Policy", PAGE_POLICY },
        { "X-Content-Type-Options", "nosniff" },
        { "Referrer-Policy", "no-referrer" },
    };
    bool good = MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, a->type) == MHD_YES;
    for (size_t i = 0; i < DR_ARRAY_LEN(headers); i++)
        good &= MHD_add_response_header(r, headers[i][0], headers[i][1]) == MHD_YES;
    if (a->status == MHD_HTTP_METHOD_NOT_ALLOWED)
        good &= MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD") == MHD_YES;
    enum MHD_Result done = good ? MHD_queue_response(connection, a->status, r) : MHD_NO;
    MHD_destroy_response(r);
    return done;
}

/* Its shape is libmicrohttpd's. A body that was sent along is read and dropped. */
/* NOLINTNEXTLINE(readability-function-size): its parameters are libmicrohttpd's */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_len, void **state)
{
    (void)version;
    (void)data;
    static char seen;
    if (*state == NULL) {
        *state = &seen;
        return MHD_YES;
    }
    if (*data_len > 0) {
        *data_len = 0;
        return MHD_YES;
    }
    struct answer a = { 0 };
    fill(arg, connection, url, method, &a);
    enum MHD_Result done = respond(connection, &a);
    buf_fini(&a.body);
    return done;
}

/* ---- the server -------------------------------------------------------------------------------- */

enum dr_rc serve_new(const struct serve_options *o, struct serve **ret, struct dr_err *err)
{
    struct net_addr at;
    if (!net_addr_parse(o->listen, 0, &at) || at.sa.ss_family == AF_UNIX) {
        dr_fail(err, DR_E_CONFIG, "'%s' is no address to listen at", o->listen);
        return dr_hint(err, "Write ADDRESS:PORT, for example 127.0.0.1:9188.");
    }
    DR_CLEANUP(serve_free_ptr) struct serve *s = dr_alloc(1, sizeof(*s));
    s->o = *o;
    unsigned flags = MHD_USE_EPOLL | (at.sa.ss_family == AF_INET6 ? MHD_USE_IPv6 : 0);
    s->daemon =
        MHD_start_daemon(flags, 0, NULL, NULL, on_request, s, MHD_OPTION_SOCK_ADDR, &at.sa,
                         MHD_OPTION_CONNECTION_LIMIT, (unsigned)SERVE_CONNECTIONS,
                         MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SERVE_IDLE_S, MHD_OPTION_END);
    if (s->daemon == NULL) {
        dr_fail(err, DR_E_BUSY, "cannot listen at %s", o->listen);
        return dr_hint(
            err, "Another server may be there: see 'ss -ltnp', or serve: listen: in dr.yaml(5).");
    }
    const union MHD_DaemonInfo *fd = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_LISTEN_FD);
    struct sockaddr_storage sa = { 0 };
    socklen_t len = sizeof(sa);
    if (fd == NULL || getsockname(fd->listen_fd, (struct sockaddr *)&sa, &len) != 0)
        return dr_fail(err, DR_E_IO, "cannot tell where we listen");
    net_addr_print((const struct sockaddr *)&sa, s->address);
    *ret = DR_TAKE(s);
    return DR_OK;
}

void serve_free(struct serve *s)
{
    if (s == NULL)
        return;
    if (s->daemon != NULL)
        MHD_stop_daemon(s->daemon);
    free(s);
}

const char *serve_address(const struct serve *s)
{
    return s->address;
}

void serve_turn(struct serve *s, int wait_ms)
{
    (void)MHD_run_wait(s->daemon, wait_ms); /* an error of one connection is its own */
}
