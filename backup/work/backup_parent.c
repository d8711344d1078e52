/*
 * Newest first, until one is by our key. Most often that is the first.
 */
#include "backup/work/backup_parent.h"

#include <string.h>

enum dr_rc parent_find(struct repo *repo, const char *source, const char *writer,
                       struct snapshot_info *ret, bool *ret_found, struct dr_err *err)
{
    DR_CLEANUP(snapshot_list_fini) struct snapshot_list list = { .count = 0 };
    *ret_found = false;
    DR_TRY(repo_snapshots(repo, source, &list, err));
    for (size_t i = list.count; i > 0 && !*ret_found; i--) {
        struct snapshot_info *info = &list.items[i - 1];
        struct snapshot s;
        struct dr_err ignored; /* a snapshot that cannot be loaded is no parent */
        if (info->state != SNAPSHOT_GOOD ||
            repo_load(repo, info->id, NULL, NULL, &s, &ignored) != DR_OK)
            continue;
        *ret_found = strcmp(s.writer, writer) == 0;
        snapshot_fini(&s);
        if (*ret_found) {
            *ret = *info;
            *info = (struct snapshot_info){ .source = NULL };
        }
    }
    return DR_OK;
}
