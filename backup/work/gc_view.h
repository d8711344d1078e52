/*
 * gc_view.h - what the gc lists of one bucket say, each read once.
 *
 * gc lists are write-once and never trimmed, so a list that was read stays true: gc_view_read() lists
 * them anew and fetches only those it has not seen, nor this host ever (gc_memory). They may be merged into one
 * that sorts after them: a listed name that is gone when it is read makes it list again.
 *
 * Memory: 44 bytes for each condemned pack and a line for each expired snapshot.
 */
#ifndef BACKUP_WORK_GC_VIEW_H
#define BACKUP_WORK_GC_VIEW_H

#include <pthread.h>

#include "backup/store/store.h"
#include "backup/work/pack_names.h"

/* Where lists are kept between runs (known.h). One for all views of a run, of any thread. */
struct gc_memory {
    char *folder;   /* NULL: nothing is kept */
    bool read_only; /* a dry run */
    pthread_mutex_t lock;
};

struct gc_view {              /* zeroed: nothing read yet, and no memory */
    struct gc_memory *memory; /* borrowed; or NULL */
    struct text_list seen;    /* "gc/NAME": read, and as listed by the bucket */
    struct pack_names condemned;
    struct text_list expired;    /* ids */
    struct text_list everywhere; /* "gc/NAME": some list says that it stood in every bucket */
};

void gc_view_fini(struct gc_view *v);

/* LIST gc/, and GET what is new. A list that cannot be read might condemn anything: failure. */
enum dr_rc gc_view_read(struct gc_view *v, struct store *s, struct dr_err *err) DR_MUST_USE;

/* All lists that the memory has, of whichever bucket. */
void gc_view_recall(struct gc_view *v);

/*
 * Did the bucket that v was read from go back to an older state? It lacks a list that all had, that
 * remembered has whole, and that no later one says all of. DR_E_REFUSED names it.
 */
enum dr_rc gc_view_check_age(const struct gc_view *v, const struct gc_view *remembered,
                             struct dr_err *err) DR_MUST_USE;

#endif
