/*
 * gc_view.h - what the gc lists of one bucket say, read once.
 *
 * gc lists are write-once and never trimmed, so a list that was read stays true: gc_view_read() lists
 * them anew and fetches only those it has not seen. They may be merged into one that sorts after them: a listed
 * name that is gone when it is read makes it list again.
 *
 * Memory: 44 bytes for each condemned pack and a line for each expired snapshot.
 */
#ifndef BACKUP_WORK_GC_VIEW_H
#define BACKUP_WORK_GC_VIEW_H

#include "backup/store/store.h"
#include "backup/work/pack_names.h"

struct gc_view { /* zeroed: nothing read yet */
    struct text_list seen;
    struct pack_names condemned;
    struct text_list expired; /* ids */
};

void gc_view_fini(struct gc_view *v);

/* LIST gc/, and GET what is new. A list that cannot be read might condemn anything: failure. */
enum dr_rc gc_view_read(struct gc_view *v, struct store *s, struct dr_err *err) DR_MUST_USE;

#endif
