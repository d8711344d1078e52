/*
 * retention.h - which snapshots of one source may go, and why each one goes or stays. Pure.
 *
 * A snapshot expires when it is older than the retention of its kind. These stay whatever their age:
 *
 *   - of each kind the newest complete one, and the newest proved one; where none is complete, the
 *     newest that there is;
 *   - pinned ones; refused ones (nothing in them is believed, so their age is not either);
 *   - all of a kind for which no retention is configured.
 *
 * "Newest" is meant twice, by (epoch, time) and by time alone: where clocks or epochs disagree both
 * stay. Each snapshot restores by itself, so none stays for the sake of another that builds on it.
 *
 * Nothing at all expires (a hold, with its reason) when the clock cannot be right or the source is not
 * being backed up as it should:
 *
 *   - the clock is behind the newest snapshot;
 *   - the newest snapshot is more than one retention period old (the shortest period of the kinds
 *     that there are): the clock jumped ahead, or no backup has been taken since;
 *   - the last run failed, or did not reach every bucket.
 *
 *     retention_decide(&question, verdicts, &hold);    verdicts: one for each snapshot
 */
#ifndef BACKUP_WORK_RETENTION_H
#define BACKUP_WORK_RETENTION_H

#include "backup/work/repo.h"

struct retention_snapshot {
    const char *kind; /* "full" "incremental" "config" */
    enum snapshot_state state;
    int64_t epoch, start_ns, end_ns;
    int64_t proved_ns; /* 0: never */
    bool pinned;
    bool lags; /* not visible in every bucket of the configuration */
};

struct retention_periods { /* milliseconds; 0: none is configured, so nothing expires */
    int64_t full_ms, incremental_ms, config_ms;
};

struct retention_question {
    const struct retention_snapshot *snapshots; /* of one source, in any order */
    size_t count;
    struct retention_periods periods;
    int64_t now_ns;
    const char *failed; /* what is known of a last run that failed, or NULL */
};

enum { RETENTION_WORDS_MAX = 200 };

struct retention_verdict {
    bool expire;
    char why[RETENTION_WORDS_MAX]; /* of both */
};

enum retention_hold_kind {
    RETENTION_FREE,
    RETENTION_CLOCK_BEHIND,
    RETENTION_CLOCK_AHEAD,
    RETENTION_RUN_FAILED,
};

struct retention_hold {
    enum retention_hold_kind kind;
    size_t newest;                 /* the snapshot that it is about; count: none */
    char why[RETENTION_WORDS_MAX]; /* empty when free */
};

void retention_decide(const struct retention_question *q, struct retention_verdict *ret,
                      struct retention_hold *ret_hold);

#endif
