/*
 * review.h - what `drctl check` has to say about a configuration in which nothing is wrong.
 *
 * Each line of such a file means what it says, and the whole may still not hold: an objective that
 * the schedule cannot keep, snapshots that are gone before the next one is due, every copy in the region
 * that is lost. config_review() finds that by arithmetic over the structs. All of it is warnings: the file
 * works, and only its author knows what was meant. Sums are told in words with all their parts, so that
 * whoever reads one can do it again:
 *
 *     the rpo of 'x' is 1h and cannot hold: incremental_backup every 1h + 2m to read
 *     + 1m to upload (both assumed) = 1h3m
 *
 * What only the world knows comes in as facts: which plans there are, how long backups took, what is
 * forecast for a recovery. What is not known is assumed (the two constants below) where a sum
 * needs it, and said to be; where an assumption would decide alone, nothing is said.
 *
 * Pure: no clock, no file.
 */
#ifndef DR_CONFIG_REVIEW_H
#define DR_CONFIG_REVIEW_H

#include "dr/config/config.h"

enum { /* of a backup that nobody has measured: to read what changed, to bring it to the buckets */
       CONFIG_ASSUMED_READ_MS = 2 * 60 * 1000,
       CONFIG_ASSUMED_UPLOAD_MS = 60 * 1000,
};

/* How long the backups of a source took: the slow ones of late, not the mean. */
struct config_took {
    const char *source;
    int64_t read_ms, upload_ms; /* upload_ms 0: it is in read_ms, the two overlap */
};

/* How long a recovery by the plan is expected to take. */
struct config_forecast {
    const char *plan;
    int64_t ms;
    int count; /* of measurements behind it */
};

/* Borrowed for the call. A zeroed struct: nothing is known. */
struct config_facts {
    const struct text_list *plans; /* names of all plans that there are, with '_' for '-'; NULL: not
                                      known */
    const struct config_took *took;
    size_t took_count;
    const struct config_forecast *forecasts;
    size_t forecast_count;
};

/* Warnings go to d as config_load() left it: d->file is the file of all places. */
void config_review(const struct config *c, const struct config_facts *facts, struct diag *d);

/* Every key that a configuration may hold, blocks too, in the order of the tables:
 * "sites[].ssh.user", "notify.CHANNEL.kind". What is in capitals is the user's own word. */
void config_key_paths(struct text_list *ret);

#endif
