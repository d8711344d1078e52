/*
 * stopstore.h - a process that sleeps or dies at a chosen store operation.
 *
 * It may be chosen by number or by what it puts, and there may be a second one.
 *
 * Wrap all buckets of a repo with one stopper: it counts their calls together, and before (or behind) the
 * chosen one the process stops itself (SIGSTOP: its parent sees it by WUNTRACED and wakes it
 * with SIGCONT) or dies (SIGKILL). Either is what a suspended laptop or a power cut does to a writer
 * whose request is on its way.
 */
#ifndef TESTS_SUPPORT_STOPSTORE_H
#define TESTS_SUPPORT_STOPSTORE_H

#include <stdatomic.h>

#include "backup/work/repo.h"

struct stopper {
    unsigned at;           /* the call: 1 is the first; 0: none by number */
    const char *put_of;    /* or: the first PUT of a name that begins so */
    unsigned again;        /* and once more at this call after that one; 0: no more ... */
    const char *put_again; /* ... or at the first PUT of such a name */
    int signal;            /* SIGSTOP or SIGKILL */
    bool behind;           /* after the call instead of before it */
    atomic_uint calls;
    atomic_bool done;
};

/* Every open bucket of r from now on. The stopper must outlive the repo. */
void stopstore_wrap(struct repo *r, struct stopper *s);

#endif
