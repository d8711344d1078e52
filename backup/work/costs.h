/*
 * costs.h - what was asked of each bucket, remembered, so that a month's bill can be told.
 *
 * Stores count (store_counts()); here the counts of one process are taken, written down when it is done,
 * and summed up later:
 *
 *     costs_keep(repo, "backup")     at its close the counts of all its buckets go into STATE_DIR
 *     costs_now(repo, &c)            the counts so far; costs_less() takes away what was told before
 *     costs_read(dir, from, to, &c)  what was written down in that time, a row a bucket and verb
 *     costs_month(&c, bucket, ...)   ... and what 30 days at that rate are
 *
 * The file is STATE_DIR/memo/costs, one line a run and bucket:
 *
 *     costs1 SECONDS VERB BUCKET gets puts heads lists removes bytes_in bytes_out retries
 *
 * It only grows, by one write a run; beyond COSTS_LOG_BYTES the lines of a day, verb and bucket become
 * one, and what is older than COSTS_DAYS goes. A line that cannot be read is passed over. The file may be
 * lost: then less is known of the last month, and that is told ("known: 2d").
 *
 * Repetitions count as requests, as they do on a bill. Not counted is what a process that was killed had
 * asked, and what others than repositories and rows of status ask: a lease in a bucket (a holder must not
 * wait for a disk to write down that it renewed) and the records of runs.
 */
#ifndef BACKUP_WORK_COSTS_H
#define BACKUP_WORK_COSTS_H

#include "backup/work/repo.h"

enum {
    COSTS_LOG_BYTES = 1 << 20,
    COSTS_DAYS = 62,
    COSTS_MONTH_DAYS = 30,
    COSTS_NAME_MAX = 64,
};

struct costs_row {
    char bucket[COSTS_NAME_MAX + 1], verb[COSTS_NAME_MAX + 1]; /* verb "": of this process */
    int64_t first_s; /* the earliest line that is in it; seconds since 1970 */
    struct store_counts n;
};

/* A zeroed struct is empty. */
struct costs {
    struct costs_row *rows; /* owned */
    size_t count;
    int64_t first_s; /* of all lines of the file, in that time or before it; 0: there are none */
};

void costs_fini(struct costs *c);

/* One row for each bucket of the configuration, in its order; an unopened one has zeros. */
void costs_now(struct repo *r, struct costs *ret);

/* Take away what an earlier costs_now() of the same repo had. */
void costs_less(struct costs *c, const struct costs *before);

/* All requests: what is asked, not what is moved. */
uint64_t costs_requests(const struct store_counts *n);
void costs_sum(struct store_counts *to, const struct store_counts *n);

/* Write down at the close of r what it asked. verb: one word, copied. Failures are nobody's. */
void costs_keep(struct repo *r, const char *verb);

/* Write down now what one bucket was asked since it was opened: for who opens a store alone, before the close. */
void costs_note(const struct config *c, const char *verb, const struct store *s);

/* The same for what was counted by other means. Rows without any request are left out. */
enum dr_rc costs_write(const char *state_dir, const char *verb, int64_t now_s,
                       const struct costs *c, struct dr_err *err) DR_MUST_USE;

/* Everything in (from_s, to_s]. Nothing written yet is DR_OK and no rows. */
enum dr_rc costs_read(const char *state_dir, int64_t from_s, int64_t to_s, struct costs *ret,
                      struct dr_err *err) DR_MUST_USE;

/* -- what a month is ------------------------------------------------------------------------- */

struct costs_month {
    struct store_counts seen; /* within the last 30 days, of one bucket */
    int64_t known_s;          /* for so long it is known what was asked, at most 30 days */
    bool projected;           /* known for a day at least */
    struct store_counts month;
};

/* c: as read for the last 30 days before now_s. */
void costs_month(const struct costs *c, const char *bucket, int64_t now_s, struct costs_month *ret);

#endif
