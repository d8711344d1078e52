/*
 * backup_buckets.h - one run writes all buckets; a bucket that fails costs itself only.
 *
 *                                             ┌─ lane us ─ put, put, ... ─> us
 *     packs ──spooled pack──> buckets_put() ──┼─ lane eu ─ put, put, ... ─> eu       one thread each
 *                                             └─ lane ap ─ (dropped out)
 *
 *     buckets_new()         every open bucket takes part
 *     buckets_prove()       is each still what it was, and has the snapshot before?
 *     buckets_put()         a pack into each that is still good; returns before it is there
 *     buckets_condemned()   packs that must not be used again
 *     buckets_commit()      waits for the packs, then the protocol that makes a snapshot visible
 *     buckets_remember()    what was learnt, for the next run
 *     buckets_report()      who holds it, and why the others do not
 *     buckets_free()
 *
 * A bucket drops out at a failure and gets no further object of this run, so that it never shows a snapshot
 * without its packs. One whose puts fail for the moment only (transient, after all retries) is
 * not given up for that: the commit fills what it missed; the third pack in a row ends it. When the
 * last one drops out the run fails with the reason of the first.
 *
 * Packs wait in the spool until the slowest bucket has them, so many bytes at most. A bucket that
 * lags stops nobody while that lasts. When the spool is full, and W buckets (all that makes a snapshot
 * durable) are waiting for it alone, a bucket drops out as lagging if it has taken less than
 * LAG_PERCENT of what they took, or nothing for LAG_STILL_MS; one that is nearly as fast is waited for, and costs
 * no more than the difference. At the end of the run, and while it is filled, it gets LAG_PERCENT's rest of
 * the time that the run took, and LAG_LEAST_MS at least. What it lacks then is copied into it by the
 * next run, as far as that needs it, and by `drctl repair` wholly.
 *
 * Requests are counted. With the memory of an earlier run (known.h) a snapshot without a change costs
 *
 *     HEAD of the snapshot before     proves that the bucket is ours, did not go back, and has its packs
 *     PUT pending, LIST gc            at home
 *     PUT snapshot, LIST gc           LIST, PUT, LIST elsewhere
 *     DELETE pending                  at home
 *
 * and six of them are the home's. gc lists are read once in the life of a host. A bucket that lacks what it
 * had without a gc list that says why went back to an older state: it drops out, is no copy, and
 * `drctl repair` heals it.
 *
 * Waiting ends within WAIT_MS of cancelled() saying so.
 */
#ifndef BACKUP_WORK_BACKUP_BUCKETS_H
#define BACKUP_WORK_BACKUP_BUCKETS_H

#include "backup/format/sealed.h"
#include "backup/format/snapshot.h"
#include "backup/work/pack_names.h"
#include "backup/work/spool.h"
#include "backup/work/work.h"

enum {
    BUCKETS_SPOOL_BYTES = 512 << 20, /* of packs that some bucket has not got yet */
    BUCKETS_ATTEMPTS = 3,            /* of a run whose packs are condemned under its hands */
    LAG_PERCENT = 85,
    LAG_STILL_MS = 30000,
    LAG_LEAST_MS = 5000,
    LAG_NOTHING_MS = 2000, /* the same for a bucket that has taken nothing at all */
    PROVE_MS = 1000,       /* W buckets have answered what they are: reading begins */
};

struct buckets;

struct buckets_options {
    bool inline_work;      /* no threads: buckets_put() has put when it returns */
    uint64_t upload_limit; /* bytes of packs a second for each bucket; 0: none */
    uint64_t spool_bytes;  /* 0: BUCKETS_SPOOL_BYTES */
    const char *source;    /* whose memory is used, and kept; borrowed; NULL: there is none */
    bool dry_run;          /* it is not kept */
    /* Asked by the caller's thread while it waits; or NULL. */
    bool (*cancelled)(void *arg);
    void *arg;
};

/* repo is borrowed. DR_E_IO or the like when no bucket is open. */
enum dr_rc buckets_new(struct repo *repo, const struct buckets_options *options,
                       struct buckets **ret, struct dr_err *err) DR_MUST_USE;

/* Ends what is under way. A pending that an attempt left (see below) is removed. */
void buckets_free(struct buckets *b);
DR_DEFINE_CLEANUP(struct buckets, buckets_free)

/* What is remembered of the source; nothing without one. Borrowed. */
const struct known *buckets_known(const struct buckets *b);

/*
 * Ask every bucket, at once: is it the one that was opened, not older than it was, and does it
 * hold the snapshot of that id (NULL: none is asked for)? Their names are added to ret. Returns when all have answered,
 * or, once W hold it, after PROVE_MS: who is still silent gets nothing before it has answered.
 * Before the first pack, and once. Fails when cancelled or no bucket is left.
 */
enum dr_rc buckets_prove(struct buckets *b, const char *id, struct text_list *ret,
                         struct dr_err *err) DR_MUST_USE;

/* A sealed pack, borrowed for the call. Fails when no bucket is left, or cancelled. */
enum dr_rc buckets_put(struct buckets *b, struct spooled *pack, struct dr_err *err) DR_MUST_USE;

/*
 * The packs that gc lists condemn, as far as they are remembered, are added to ret; with look those of the (likely)
 * home are read first. Before the first pack of an attempt. Economy only: the commit looks again. A bucket that cannot tell is
 * passed over.
 */
void buckets_condemned(struct buckets *b, bool look, struct pack_names *ret);

/* Is it in an E of the lists that were read so far, or are remembered? */
bool buckets_knows_expired(struct buckets *b, const char *id);

/*
 * The snapshot before needs these packs (hexadecimal digits), and is listed in these buckets (NULL: in those that buckets_prove() found). As long as it is in no E there
 * when the commit reads the gc lists, its packs are there as well, and nobody asks for each. That
 * is what the protocol promises; what a disk has lost since is found by a full snapshot and by verify.
 */
void buckets_trust(struct buckets *b, const char *id, const struct text_list *packs,
                   const struct text_list *names);

/*
 * Make the snapshot visible. object: the signed bytes. The packs of this run were put before; older
 * ones may lack in any bucket but the home.
 *
 * DR_E_BUSY: packs of s are condemned or missing at home, and were added to avoid. Nothing of s was
 * shown. The caller makes the snapshot again under a new id, avoiding these packs, and calls again with the
 * same buckets, BUCKETS_ATTEMPTS times in all. The pending of the attempt stays until that of the
 * next one stands, as the protocol wants it.
 */
enum dr_rc buckets_commit(struct buckets *b, const struct snapshot *s, const struct buf *object,
                          struct pack_names *avoid, struct dr_err *err) DR_MUST_USE;

/* After the commit of that snapshot, and with a source: what each bucket holds now, for the next run. */
void buckets_remember(struct buckets *b, const struct snapshot *s, const struct buf *object);

/* Copies, wanted and missing of ret. */
void buckets_report(struct buckets *b, struct backup_result *ret);

#endif
