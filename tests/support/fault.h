/*
 * fault.h - make the kernel misbehave on purpose, at a chosen call.
 *
 * A test sweeps n = 1, 2, 3... until fault_disarm() says that the fault did not fire: every
 * call of the syscall table that the code under test makes has then had its turn.
 * Calls are counted over all threads.
 */
#ifndef TESTS_SUPPORT_FAULT_H
#define TESTS_SUPPORT_FAULT_H

#include "dr/base/base.h"

enum fault_kind {
    FAULT_NONE,       /* count and trace only */
    FAULT_ERRNO,      /* the n-th call fails with fault_errno (EIO) */
    FAULT_SHORT,      /* the n-th call, if it transfers bytes, transfers one only */
    FAULT_DIE_BEFORE, /* the process ends (exit code 99) instead of making the n-th call */
    FAULT_DIE_AFTER,  /* the process ends just after the n-th call */
};

extern int fault_errno; /* EIO unless a test says otherwise (ENOSPC) */

void fault_arm(enum fault_kind kind, unsigned n);
bool fault_disarm(void);       /* returns whether the fault fired */
unsigned fault_calls(void);    /* calls since fault_arm() */
int fault_open_fds(void);      /* opened and not closed since fault_arm() */
const char *fault_trace(void); /* "openat write fsync close renameat2 ..." (the first 4 KiB) */

#endif
