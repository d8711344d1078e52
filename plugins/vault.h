/*
 * vault.h - a stage with the buckets open: what the backup providers share.
 *
 *     DR_CLEANUP(vault_fini) struct vault v = { 0 };
 *     if (stage_need_config(&v.p, call, &err) != DR_OK || vault_open_repo(&v, &err) != DR_OK)
 *         return stage_cannot(&v.p, &err);
 *
 * Buckets of dark regions are never opened; those that could not be opened are told as log lines, and
 * the others are used.
 */
#ifndef PLUGINS_VAULT_H
#define PLUGINS_VAULT_H

#include "backup/work/work.h"
#include "plugins/stage.h"

struct vault {
    struct stage p;
    struct repo *repo;  /* NULL until vault_open_repo() */
    struct plant plant; /* of the run, while a drill looks whether it is caught */
    size_t warnings;    /* told by the job */
};

/* Open all buckets but those of dark regions; with a fault, if the run has one planted: once in a process. */
enum dr_rc vault_open_repo(struct vault *v, struct dr_err *err) DR_MUST_USE;

/* The buckets, then the snapshot that a plan names. The caller finis ret. */
enum dr_rc vault_find(struct vault *v, const char *snapshot, struct snapshot_info *ret,
                      struct dr_err *err) DR_MUST_USE;

void vault_fini(struct vault *v);

/* Progress and warnings of a job as events of the step; the job is cancelled when the step's time
 * is over. v must outlive them. */
struct work_hooks vault_hooks(struct vault *v);

/* "started_at", "taken_at", "id", sizes of a snapshot, as evidence: the ledger reads the times. */
void vault_put_evidence(struct vault *v, const struct snapshot_info *info);

/*
 * Where the data came to, and where their source lies, as evidence: "source", "host", and "source_host" where the
 * configuration says on which host the source's site is. A report says by them whether a restore was apart.
 */
void vault_put_place(struct vault *v, const struct snapshot_info *info);

/*
 * The sentinel of the snapshot's source in a restored tree, as the output "sentinel": the first word of
 * its first line, when that is an RFC 3339 time. No source, no sentinel, no such file: nothing.
 */
void vault_put_sentinel(struct vault *v, const char *source, const char *tree);

#endif
