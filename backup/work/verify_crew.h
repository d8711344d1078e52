/*
 * verify_crew.h - what a verification reads, read by several threads: packs for the digest that is their
 * name, pieces for theirs.
 *
 *     verify.c ──job──> [ a pool of threads ] ──done, the oldest first──> verify.c
 *
 * A job is a question with room for its answer, and knows nothing of the verification. What came of it is
 * counted and told when it is taken back, so neither the words nor their order depend on the number of
 * threads. Each thread has a fetch and a buffer of its own: memory is one part and one window a thread.
 */
#ifndef BACKUP_WORK_VERIFY_CREW_H
#define BACKUP_WORK_VERIFY_CREW_H

#include "backup/work/fetch.h"

struct verify_look { /* at the job's pack in one bucket */
    struct store *store;
    enum dr_rc rc;
    struct dr_err err;
};

struct verify_job {
    /* A pack, in each open bucket: `looks` are the answers. NULL: it is about pieces. */
    char *name;
    bool whole; /* read all of it; else: it is there, and ends as a pack ends */
    struct verify_look *looks;

    /* Pieces: those before `right` are right, the next one is what rc says. */
    struct fetch_piece *pieces;
    size_t right;
    enum dr_rc rc;
    struct dr_err err;

    size_t count;   /* of looks, or of pieces */
    uint64_t bytes; /* read */
};

void verify_job_free(struct verify_job *j);
DR_DEFINE_CLEANUP(struct verify_job, verify_job_free)

struct verify_crew;

/* threads 0: the work is done by the caller, in its order. prefer: as fetch_prefer(), or NULL; copied. */
enum dr_rc verify_crew_new(struct repo *r, unsigned threads, const struct text_list *prefer,
                           struct verify_crew **ret, struct dr_err *err) DR_MUST_USE;

/* Ends the threads; what was not taken back is freed. NULL is fine. */
void verify_crew_free(struct verify_crew *c);
DR_DEFINE_CLEANUP(struct verify_crew, verify_crew_free)

/* Must it be taken from before the next job? */
bool verify_crew_full(const struct verify_crew *c);

size_t verify_crew_count(const struct verify_crew *c); /* given, and not taken back */

/* j is the crew's until it is taken back. */
void verify_crew_give(struct verify_crew *c, struct verify_job *j);

/* The oldest job, done; the caller frees it. NULL: there is none. */
struct verify_job *verify_crew_take(struct verify_crew *c);

#endif
