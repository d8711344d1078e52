/*
 * page.h - a view of status as one page of HTML: no script, nothing from elsewhere, inline SVG. Pure.
 *
 * It says what `drctl status` says, in its order: the verdict, findings with what to do, sites and probes, sources with
 * their snapshots by day, buckets with what would be lost if their region died now, the forecast, open runs. Colour is
 * never the only sign. Everything from outside is escaped. A browser asks again by itself every 30 s.
 */
#ifndef DR_SERVE_PAGE_H
#define DR_SERVE_PAGE_H

#include "dr/base/buf.h"
#include "dr/data/json.h"

/* The sum of all that the page cannot be without: no script, no frame, no address but its own. */
#define PAGE_POLICY \
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/* view NULL: the page says that backupd has not published one. */
void page_add(struct buf *out, const json_t *view, int64_t now_ns);

#endif
