/*
 * rows.h - from the configuration to the rows of the schedule, to the command line of each, and back from
 * what the buckets show. Pure.
 *
 *   full, incremental   each source of this host (config_is_mine()), as backup_policy says; of class config: full
 *                       and config (incremental where there is no config_snapshot: no source is left out)
 *   prune, verify       as backup_policy says, or daily and weekly; verify reads so many bytes: all packs in turn
 *   sentinel            each minute, where a source of this host has one that backupd writes
 *   repair              where there are two buckets: hourly while one lacks what the others have
 *   preflight           as monitoring says, each plan that rto or rpo names
 *   drill               as drill_schedule says, and not in a blackout, if this drctl has the verb. Each site has
 *                       the row; whose turn it is the sites settle by a lease (drctl drill-turn)
 *   status              where there are channels, as soon as a site may have fallen silent: what is seen is told
 *   anchor              as often as incrementals, but not more often than five status intervals, and daily at least:
 *                       the lines of the ledger that no bucket has yet
 *   look                hourly: what others have put into the buckets counts as well
 */
#ifndef BACKUP_DAEMON_ROWS_H
#define BACKUP_DAEMON_ROWS_H

#include "backup/daemon/schedule.h"
#include "dr/config/config.h"

enum { ROWS_ARGV_MAX = 20, ROWS_WORD_MAX = 40 };

struct rows_here {
    const struct config_site *site; /* config_here(), or NULL */
    bool can_drill;                 /* the verb is there */
};

/* A new schedule's rows, without history. */
void rows_make(const struct config *c, const struct rows_here *here, struct schedule *ret);

/* Only what a backupd needs that takes no backups. */
void rows_watch(const struct config *c, struct schedule *ret);

/* Carry the history of the rows that there were before over to those of the same name. Jobs that run and have
 * no row any more are no longer known. */
void rows_carry(struct schedule *to, const struct schedule *from);

/* The drills are held while a blackout of the configuration holds. */
void rows_hold(const struct config *c, int64_t wall_ns, struct schedule *s);

struct rows_argv {
    const char
        *words[ROWS_ARGV_MAX]; /* NULL behind the last; borrowed from row and configuration */
    char number[ROWS_WORD_MAX];
};

/* How it is called: drctl -c FILE -q --json --yes VERB ... copy: the file that holds the configuration in force. */
void rows_argv(const struct config *c, const struct schedule *s, const struct schedule_row *row,
               const char *copy, struct rows_argv *ret);

/* Did a backup that ended so, and said so, leave a bucket behind? said may be NULL. */
bool rows_left(int exit, const json_t *said);

/* What `drctl snapshots --json` said: each durable snapshot is seen by the schedule. */
void rows_seen(const struct config *c, const json_t *snapshots, struct schedule *s);

#endif
