/*
 * rights.h - by whose right something is read: production's, or a rehearsal's own.
 *
 * A rehearsal must not be able to hurt production even if one of its steps is wrong. So a bucket, the name
 * server's API and the balancer's socket may have credentials of their own for drills (buckets[].drill,
 * providers.powerdns.drill_key, providers.haproxy.drill_socket), which should only be able to read. Which ones
 * count is decided here and nowhere else, by one member of the configuration:
 *
 *     c->rehearsal     bucket           PowerDNS          HAProxy
 *     false            credentials      key               socket           guard: guard, else credentials
 *     true             drill, else      drill_key, else   drill_socket,    guard: as everybody; in a
 *                      credentials      key               else socket      rehearsal nobody deletes
 *
 * Who sets it: each child of a drill, where it loads its configuration (plugins/stage.c): steps, checks,
 * preflight, controls, drill.rights; and, by config_rehearsing(), what the drill's own process reads: the leases of
 * the proof that production is as before, and the snapshot that the controls look for a victim in.
 *
 * Who writes on purpose, and keeps the usual ones:
 *     - drill.plant: its backup of each source and the proof of it are a drctl of their own
 *     - the engine: the lease of the run, the mirror of its journal in the buckets, rows of status, the ledger
 *     - a step that the plan itself has do its work in a drill (drill: run, or drill: {with: ...}) and that
 *       changes something outside of the scratch directory: the engine says so in its request (run.meant)
 *     - the clean-up of the one object by which drill.rights tries to write, when it was accepted
 *
 * What a plan names itself (socket or key of a step) counts as it stands there, in a drill too.
 */
#ifndef DR_CONFIG_RIGHTS_H
#define DR_CONFIG_RIGHTS_H

#include "dr/config/config.h"

/* The same configuration for reading in a rehearsal: a copy that owns nothing and is never freed as one. c must
 * outlive it. */
struct config config_rehearsing(const struct config *c);

/* What a bucket is opened with. guard: by whoever may delete and extend locks. Borrowed. */
const struct config_credentials *config_bucket_rights(const struct config *c,
                                                      const struct config_bucket *b, bool guard);

/* The name of the secret that is PowerDNS's key, and the socket of HAProxy; NULL: not said. Borrowed. */
const char *config_powerdns_rights(const struct config *c);
const char *config_haproxy_rights(const struct config *c);

/* Has this bucket credentials of its own for drills? */
bool config_bucket_drills(const struct config_bucket *b);

#endif
