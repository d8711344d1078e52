/*
 * mem.h - memory for small, bounded things: it succeeds or the process ends.
 *
 * A machine that cannot give us a hundred bytes cannot run a recovery either, and
 * the journal lets the next process resume. On failure one line goes to standard
 * error without allocating, and the process ends with exit code 1. Buffers sized
 * by input are another matter: check them against a limit first, and report
 * DR_E_NOMEM.
 */
#ifndef DR_BASE_MEM_H
#define DR_BASE_MEM_H

#include "dr/base/base.h"

/* Memory ended somewhere else, in a library: the same line and end. */
_Noreturn void dr_out_of_memory(void);

/* Zeroed memory for count items of size bytes. The caller frees it with free(). */
void *dr_alloc(size_t count, size_t size) DR_MUST_USE;

/* Grow p (may be NULL) to count items of size bytes; new bytes are not zeroed. The caller frees. */
void *dr_realloc(void *p, size_t count, size_t size) DR_MUST_USE;

/* A copy of text. The caller frees it with free(). */
char *dr_strdup(const char *text) DR_MUST_USE;

/* A copy of len bytes with a NUL behind it. The caller frees it with free(). */
char *dr_memdup(const void *data, size_t len) DR_MUST_USE;

/* printf into a new string. The caller frees it with free(). */
char *dr_strf(const char *fmt, ...) DR_PRINTF(1, 2) DR_MUST_USE;

#endif
