/*
 * teller.h - what backupd tells: its own row to the buckets, and findings to people.
 *
 *     runner ──jobs──> status_write() ──> status/SITE.json in every bucket
 *     drctl status (a job, like any other) ──view──> findings of ours ──> notify
 *                                           └──> STATE_DIR/public/status.json, for drctl serve
 *
 * Every backupd sees the findings of all sites; each finding is told by one of them. What is about a site, or a source
 * of it, is that site's own to tell while it is alive. Everything else, and what is about a site that is silent, is told
 * by the first living site of the view.
 *
 * Without a key or without channels the one or the other is left out; that is told once, by teller_open().
 */
#ifndef BACKUP_DAEMON_TELLER_H
#define BACKUP_DAEMON_TELLER_H

#include "dr/config/config.h"
#include "dr/data/json.h"

struct teller;

/* The configuration must outlive it. */
struct teller *teller_open(const struct config *c, const char *version) DR_MUST_USE;
void teller_close(struct teller *t);
DR_DEFINE_CLEANUP(struct teller, teller_close)

/* At every turn of the loop; never blocks. jobs: of schedule_json(), borrowed. Returns when to be called again, in
 * ms. */
int64_t teller_step(struct teller *t, const json_t *jobs);

/* The row now, waiting for the buckets: for --once. */
void teller_write_now(struct teller *t, const json_t *jobs);

/* A view of drctl status (schema drctl-status-1) came. */
void teller_view(struct teller *t, const json_t *view);

/* Those findings of a view that the backupd of this site tells. Pure. A new reference. */
json_t *teller_findings(const json_t *view, const char *own) DR_MUST_USE;

#endif
