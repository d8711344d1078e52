/*
 * pins.h - snapshots that a person wants to keep: neither retention nor forget takes them.
 *
 * A pin is a small sealed object in every bucket, so that all hosts see it; taking it back is one more object
 * with a greater name, since objects are never changed (FORMAT.md, chapter 9). What cannot be read
 * counts as pinned. A pin comes too late for a snapshot that stands in a gc list already.
 */
#ifndef BACKUP_WORK_PINS_H
#define BACKUP_WORK_PINS_H

#include "backup/work/repo.h"

struct pin {
    char *id;     /* owned */
    char *reason; /* owned; "" without one */
};

struct pins { /* those that are in force, sorted by id */
    struct pin *items;
    size_t count;
};

void pins_fini(struct pins *p);

/* Of all open buckets together. */
enum dr_rc pins_read(struct repo *r, struct pins *ret, struct dr_err *err) DR_MUST_USE;

/* NULL: it is not pinned. */
const struct pin *pins_find(const struct pins *p, const char *id);

/* Pin it, or take the pin back, in every open bucket: one is enough, since a prune reads all of them.
 * reason: "" for none. */
enum dr_rc pins_put(struct repo *r, const char *id, bool pinned, const char *reason,
                    struct dr_err *err) DR_MUST_USE;

#endif
