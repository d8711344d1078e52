/*
 * serve.h - the status page and the metrics over HTTP, by libmicrohttpd.
 *
 *     backupd ── every 5 min ──> STATE_DIR/public/status.json ──> drctl serve ──> browser, Prometheus
 *
 * It holds no key, opens no bucket and cannot act: all that it knows is one file, read anew for each request. So it may
 * run as any user that can read that file. It listens on loopback if not told otherwise; a request that asks for
 * another name than ours is refused (421), so a page elsewhere cannot read it through a browser (DNS rebinding).
 *
 *     GET /              a page for people (page.h)
 *     GET /metrics       for Prometheus (metrics.h)
 *     GET /status.json   the view itself
 *     GET /healthz       200 when the view is younger than SERVE_STALE_S, else 503
 *
 * Everything else is 404, other methods than GET and HEAD are 405.
 */
#ifndef DR_SERVE_SERVE_H
#define DR_SERVE_SERVE_H

#include "dr/base/buf.h"
#include "dr/base/err.h"
#include "dr/base/text.h"

enum {
    SERVE_STALE_S = 15 * 60, /* backupd looks every five minutes */
    SERVE_CONNECTIONS = 64,
    SERVE_IDLE_S = 15,
    SERVE_VIEW_MAX = 16 << 20,
};

struct serve_options {
    const char *listen; /* "ADDRESS:PORT"; port 0: any free one */
    const struct text_list
        *hosts;       /* names that may be asked for, beside the address and localhost */
    const char *view; /* path of the file */
};

struct serve;

/* options are borrowed until serve_free(). Fails when nobody can listen there. */
enum dr_rc serve_new(const struct serve_options *o, struct serve **ret, struct dr_err *err)
    DR_MUST_USE;
void serve_free(struct serve *s);
DR_DEFINE_CLEANUP(struct serve, serve_free)

/* Where it listens: "127.0.0.1:9188". Borrowed. */
const char *serve_address(const struct serve *s);

/* Answer what comes, for at most so long; returns early at a signal. No thread is made. */
void serve_turn(struct serve *s, int wait_ms);

/* May a request ask for this Host? Pure. */
bool serve_knows_host(const struct serve_options *o, const char *host);

#endif
