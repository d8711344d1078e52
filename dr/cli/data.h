/*
 * data.h - what all verbs over backups do first: configuration, buckets, the snapshot meant.
 *
 *     struct data data;
 *     int exit = data_open(cli, &data);
 *     if (exit == EXIT_DONE)
 *         exit = list(cli, &data);
 *     data_close(&data);
 *     return exit;
 *
 * A bucket that cannot be opened is told on stderr, once, and the others are used: that is what they
 * are for. Each verb decides for itself what the missing one means for its exit code.
 */
#ifndef DR_CLI_DATA_H
#define DR_CLI_DATA_H

#include "backup/work/costs.h"
#include "backup/work/repo.h"
#include "dr/cli/cli.h"

struct data {
    struct config *config; /* owned */
    struct repo *repo;     /* owned */
    size_t closed;         /* buckets that could not be opened; each was told */
    struct costs told;     /* what data_costs() gave out so far */
};

/* EXIT_DONE, or the exit code after the failure was told. */
int data_open(struct cli *cli, struct data *ret);
/* For verbs that tell what is wrong with a bucket as a part of their result. */
int data_open_silently(struct cli *cli, struct data *ret);
/* The same for those that write snapshots: what this host knows of a bucket is not asked again (repo.h). */
int data_open_to_write(struct cli *cli, struct data *ret);
/* The same for verbs that delete or heal: by the guard's credentials, where a bucket has them. */
int data_open_as_guard(struct cli *cli, struct data *ret);
void data_close(struct data *d);

/* Name the buckets that opened but could not be listed, after repo_snapshots(). */
void data_tell_unlisted(struct data *d);

/* What the buckets were asked since they were opened, or since the last call. The caller finishes ret. (At the close
 * all of it goes into STATE_DIR, for `drctl stats`.) */
void data_costs(struct data *d, struct costs *ret);

/*
 * All of a verb over one snapshot: open, find what cli->argv[1] names, fn(), close. Returns the exit
 * code. source may be NULL; arg is the verb's own.
 */
typedef int data_fn(struct cli *cli, struct data *d, const struct snapshot_info *snapshot,
                    void *arg);
int data_with_snapshot(struct cli *cli, const char *source, data_fn *fn, void *arg);

/* The source of that name in the configuration; NULL after it was told that there is none. */
const struct config_source *data_source(struct cli *cli, const struct config *c, const char *name);

/* As JSON: id, source, kind, state, taken_at ... A new reference. */
json_t *data_snapshot_json(const struct snapshot_info *info);
json_t *data_texts_json(const struct text_list *list);

/* "2026-11-21T03:11:40Z" as a JSON text, or null for 0. */
json_t *data_time_json(int64_t ns);

#endif
