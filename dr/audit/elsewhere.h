/*
 * elsewhere.h - the ledgers of other hosts, as far as they lie in the buckets.
 *
 *     bucket us ──ledger/us/3f9c.../000000001-000000040-...──┐
 *     bucket eu ──the same, and 000000041-000000056-...──────┴──> lines 1 to 56 of that host, in their order
 *
 * A host anchors its ledger in every bucket (anchor.h), so any host with keys and buckets can count what another one did,
 * also when that one is lost. The union over the buckets is taken: each object comes from the first bucket that has
 * it whole. An object counts when a key signed it that the configuration trusts, or one of this host's own; its lines when each follows the one
 * before. What cannot be read is a sentence for the reader, never an error: half of the buckets may be away.
 */
#ifndef DR_AUDIT_ELSEWHERE_H
#define DR_AUDIT_ELSEWHERE_H

#include "dr/audit/book.h"
#include "dr/base/text.h"
#include "dr/config/config.h"

struct elsewhere_wish { /* all borrowed */
    const struct config *config;
    const char *own; /* id of the book that is here and is left out (book_id()); or NULL */
    const struct text_list
        *own_keys;          /* book_keys() of this host: an older book of its own counts */
    int64_t from_ns, to_ns; /* [from, to): lines of other times are not given */
};

/* site: whose book the lines are of, borrowed for the call. False: enough. */
typedef bool elsewhere_fn(void *arg, const char *site, const struct book_record *r);

/* Book by book, each in its order. ret_notes: what could not be read, one sentence each; the caller finis it. */
void elsewhere_each(const struct elsewhere_wish *wish, elsewhere_fn *fn, void *arg,
                    struct text_list *ret_notes);

#endif
