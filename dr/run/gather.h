/*
 * gather.h - a run's journal from the buckets: how another host goes on with it.
 *
 * Each record was put into every bucket outside the failed region, and an intent into at
 * least one before its effect began. So the journal is the union over all of those buckets. Two
 * different records of one number are a broken chain, and so is a number that no bucket has. A bucket
 * that cannot be read may hold an intent that is nowhere else: then a person decides.
 */
#ifndef DR_RUN_GATHER_H
#define DR_RUN_GATHER_H

#include "dr/config/config.h"
#include "dr/journal/journal.h"

struct gather_wish {
    bool peek;                              /* only to look: what cannot be read is passed over */
    const struct text_list *accept_missing; /* buckets that a person goes on without; or NULL */
};

/*
 * The verified records of a run ("R-1"). DR_E_NOTFOUND: no bucket knows it. DR_E_HELD: a bucket cannot
 * be read, and nobody accepted that. DR_E_CORRUPT: a broken chain. ret_from: "buckets eu, ap", which
 * the caller frees; NULL: not wanted. The caller finis ret.
 */
enum dr_rc gather_run(const struct config *c, const char *run, const struct gather_wish *wish,
                      struct journal_records *ret, char **ret_from, struct dr_err *err) DR_MUST_USE;

/* The ids of all runs that some readable bucket knows, sorted as journal_runs() does. dark: a region
 * whose buckets are not asked, or NULL. */
void gather_ids(const struct config *c, const char *dark, struct text_list *ret);

#endif
