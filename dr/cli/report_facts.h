/*
 * report_facts.h - what a report over a time is made of, gathered: journals, the ledger, the configuration.
 *
 * Journals of this host come first, then those that only the buckets know. One that is broken does not stop the
 * report: it becomes a row that says so, as does a run that the ledger names and whose journal is nowhere. The ledger is read up to its
 * first broken line. `broken` counts such places, so that the verb can say by its exit code that not all could be told.
 */
#ifndef DR_CLI_REPORT_FACTS_H
#define DR_CLI_REPORT_FACTS_H

#include "dr/config/config.h"
#include "dr/proof/period.h"

struct report_facts { /* a zeroed struct is empty; all owned */
    json_t *plans, *sources, *buckets, *runs, *book, *heads, *clauses, *hosts, *notes;
    size_t broken;
};
void report_facts_fini(struct report_facts *r);

struct report_when {
    int64_t from_ns, to_ns, as_of_ns;
    const char *name;
};

/* Fails only where the facts cannot be looked for at all. */
enum dr_rc report_facts_gather(const struct config *c, const struct report_when *when,
                               struct report_facts *ret, struct dr_err *err) DR_MUST_USE;

/* The same as period_make() wants it; borrows from r, c and when. */
struct period_facts report_facts_of(const struct report_facts *r, const struct config *c,
                                    const struct report_when *when);

#endif
