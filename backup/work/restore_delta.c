/*
 * Two sequences in the same order: what only the tree has is surplus. What lies below a name that
 * goes, goes with it.
 */
#include "backup/work/restore_delta.h"

#include <string.h>
#include <sys/stat.h>

#include "backup/format/path.h"
#include "backup/work/scan.h"

struct delta {
    struct scan *scan;
    const struct scan_entry *here; /* NULL: behind the last */
    struct text_list *surplus;
};

static enum dr_rc add(struct delta *d, struct dr_err *err)
{
    const struct text_list *list = d->surplus;
    const char *last = list->count > 0 ? list->items[list->count - 1] : NULL;
    if (last != NULL && path_is_within(d->here->path, last))
        return DR_OK;
    if (list->count == DELTA_SURPLUS_MAX) {
        dr_fail(err, DR_E_REFUSED, "more than %d entries are not in the snapshot",
                DELTA_SURPLUS_MAX);
        return dr_hint(err, "Is this the right directory? Restore into an empty one.");
    }
    text_list_add(d->surplus, d->here->path);
    return DR_OK;
}

static enum dr_rc pass_record(void *arg, const struct segment *s, const struct toc_record *rec,
                              struct dr_err *err)
{
    (void)s; /* a record is enough */
    struct delta *d = arg;
    while (d->here != NULL) {
        int order = path_compare(d->here->path, rec->path);
        if (order > 0)
            return DR_OK;
        bool dir_here = S_ISDIR(d->here->st.mode), dir_there = rec->type == '5';
        if (order < 0 || dir_here != dir_there)
            DR_TRY(add(d, err));
        DR_TRY(scan_next(d->scan, &d->here, err));
        if (order == 0)
            return DR_OK;
    }
    return DR_OK;
}

static void ignore(void *arg, const char *path, const char *what)
{
    /* What cannot be listed cannot be removed either: that fails, and tells. */
    (void)arg;
    (void)path;
    (void)what;
}

enum dr_rc delta_surplus(struct reader *r, const char *dir, struct text_list *ret,
                         struct dr_err *err)
{
    DR_CLEANUP(scan_free_ptr) struct scan *scan = NULL;
    const struct scan_options options = { .root = dir, .threads = 0, .warning = ignore };
    DR_TRY(scan_new(&options, &scan, err));
    struct delta d = { .scan = scan, .surplus = ret };
    DR_TRY(scan_next(scan, &d.here, err));
    DR_TRY(reader_each(r, NULL, pass_record, &d, err));
    while (d.here != NULL) {
        DR_TRY(add(&d, err));
        DR_TRY(scan_next(scan, &d.here, err));
    }
    return DR_OK;
}
