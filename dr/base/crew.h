/*
 * crew.h - the same work for each of several buckets, each in a process of its own, none longer than a deadline.
 *
 *     crew_run() ──┬── child 0: fn(arg, 0, fd) ── what it writes to fd ──> answers[0]
 *                  ├── child 1: hangs in a dead mount ......... killed ──> nothing
 *                  └── child 2: fn(arg, 2, fd) ── ... ──────────────────> answers[2]
 *
 * Threads could not do it: nobody can end a thread that hangs in a call. A child that even SIGKILL does
 * not end (a dead NFS server) is remembered, and its place does no work until it is gone, so that they do not pile
 * up. Children die with whoever started them. The caller has no threads of its own when it calls.
 */
#ifndef DR_BASE_CREW_H
#define DR_BASE_CREW_H

#include "dr/base/buf.h"

enum { CREW_ANSWER_MAX = 64 << 20 };

struct crew;

struct crew *crew_new(size_t count) DR_MUST_USE;
void crew_free(struct crew *c); /* NULL is fine */
DR_DEFINE_CLEANUP(struct crew, crew_free)

/* In the child. What it returned for is said by what it wrote. */
typedef void crew_fn(void *arg, size_t index, int fd);

/*
 * answers: crew's count of empty buffers. An answer counts when the child ended by itself: a killed one leaves its
 * buffer empty. A child may change nothing that the caller sees, but for files.
 */
void crew_run(struct crew *c, crew_fn *fn, void *arg, int64_t deadline_ms, struct buf *answers);

/* In a child that only forked: close all descriptors but the first three and this one (-1: none). A lock of the
 * parent must not live on in a child that cannot be ended. */
void crew_forget(int keep);

#endif
