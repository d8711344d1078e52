/*
 * restore_pass.h - the passes of a restore over the table of contents.
 *
 *     pass_check()   every record, before anything is touched; what is wanted, and how much it is
 *     pass_all()     fill    segment by segment: its directories (mode 0700), then its files, symbolic
 *                            links and special files, by many threads (restore_fill.h)
 *                    link    hard links, whose first names are all there by then
 *                    close   attributes of directories, the deepest first
 *
 * pass_all() may run again over the same tree with doing = RESTORE_CHECK: then nothing is made, and
 * what is not as the snapshot has it is named and counted. RESTORE_COUNT says what would be made.
 */
#ifndef BACKUP_WORK_RESTORE_PASS_H
#define BACKUP_WORK_RESTORE_PASS_H

#include "backup/work/restore_fill.h"

struct restore {
    struct repo *repo;
    const struct snapshot_info *snapshot;
    const struct restore_options *options;
    const struct work_hooks *hooks;
    struct restore_result *result;
    enum restore_doing doing;
    bool compare; /* with what is there */
    struct restore_filter filter;
    struct place *place; /* owned; NULL: counting, and there is nothing yet */
    struct owners owners;
    struct restore_journal journal; /* fd -1: none */
    /* of the passes */
    struct reader *reader;
    struct wanted *wanted;
    struct work_progress progress;
    int64_t told_ms;
    struct place_lost lost;
    struct text_list not_made; /* devices that could not be made */
    struct text_list warned;   /* told already */
    struct local *local;       /* of directories; NULL: nothing is compared */
    uint64_t named;            /* to options->name(), of the pass at hand */
};

void pass_fini(struct restore *r);

enum dr_rc pass_check(struct restore *r, struct dr_err *err) DR_MUST_USE;
enum dr_rc pass_all(struct restore *r, struct dr_err *err) DR_MUST_USE;

/* Progress, not too often, or now. DR_E_CANCELLED when the user had enough. */
enum dr_rc pass_tell(struct restore *r, bool now, struct dr_err *err) DR_MUST_USE;

/* The threads do not know what the others have told. */
void pass_warn(struct restore *r, const char *line);

#endif
