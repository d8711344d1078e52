/*
 * mirror.h - the records of a run, copied into every bucket outside the failed region.
 *
 *                                  ┌─ lane eu ── put, put ... ──> eu      one thread each, in order
 *     mirror_put() ── a copy ──────┤
 *                                  └─ lane ap ── put (hangs) ...> ap
 *
 * An effect waits for its intent to be in one bucket (kernel rule 3), not in all: mirror_put() returns when a
 * first bucket has the record and the others had MIRROR_GRACE_MS more. A bucket that answers slowly, or
 * not at all, costs that much once: while it is behind it gets its records behind the run's back. At the
 * end all together are waited for MIRROR_END_MS; who lacks records then is told.
 */
#ifndef DR_RUN_MIRROR_H
#define DR_RUN_MIRROR_H

#include "dr/base/err.h"
#include "dr/base/text.h"
#include "dr/config/config.h"

enum {
    MIRROR_GRACE_MS = 500, /* for the others, after the first bucket has it */
    MIRROR_END_MS = 10000,
};

struct mirror;

struct mirror_options {
    const struct config *config; /* borrowed */
    const char *failed;          /* region that is not touched, or NULL; borrowed */
};

/* Buckets are opened at the first record, each in its own lane. DR_E_TRANSIENT: no thread can be made. */
enum dr_rc mirror_new(const struct mirror_options *options, struct mirror **ret, struct dr_err *err)
    DR_MUST_USE;

/* DR_OK: at least one bucket has the record. Else the reason of the last one that said no; or
 * that none is configured outside the failed region. */
enum dr_rc mirror_put(struct mirror *m, const char *name, const void *data, size_t len,
                      struct dr_err *err) DR_MUST_USE;

/* Wait until all buckets have all records, MIRROR_END_MS at most, and end. The names of those that lack some
 * are added to ret_lagging, which may be NULL. A bucket that still hangs is left to the end of the
 * process. m NULL is fine. */
void mirror_end(struct mirror *m, struct text_list *ret_lagging);
void mirror_free(struct mirror *m); /* the same, and nobody is told */
DR_DEFINE_CLEANUP(struct mirror, mirror_free)

#endif
