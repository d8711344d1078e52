/*
 * err.h - what went wrong, told once, by the one who knows, to the one who asked.
 *
 * A function that can fail returns enum dr_rc and takes a struct dr_err last.
 * The caller owns the struct (usually on its stack), so errors need no memory
 * and no lock, and two threads never share one. DR_OK leaves it untouched.
 *
 *     enum dr_rc pack_open(const char *path, struct pack **ret, struct dr_err *err)
 *     {
 *         DR_CLEANUP(dr_close_fd) int fd = sys_open(path, O_RDONLY | O_CLOEXEC, 0);
 *         if (fd < 0)
 *             return dr_fail_sys(err, errno, "cannot open pack '%s'", path);
 *         DR_TRY(pack_read_footer(fd, err));
 *         ...
 *
 * The code answers "what may the program do next" (retry, stop, ask); the message
 * answers "what happened"; the hint answers "what should the operator try".
 */
#ifndef DR_BASE_ERR_H
#define DR_BASE_ERR_H

#include "dr/base/base.h"

enum dr_rc {
    DR_OK = 0,
    DR_E_USAGE,     /* the command line is wrong */
    DR_E_CONFIG,    /* a file written by the operator is wrong */
    DR_E_NOTFOUND,  /* the named thing does not exist */
    DR_E_EXISTS,    /* the named thing exists already */
    DR_E_BUSY,      /* another holder has the lock */
    DR_E_TRANSIENT, /* network or remote fault: trying again may help */
    DR_E_TIMEOUT,   /* a deadline passed */
    DR_E_CANCELLED, /* a person or signal asked us to stop */
    DR_E_DENIED,    /* permission or credentials */
    DR_E_NOSPACE,   /* disk or quota full */
    DR_E_IO,        /* the medium failed */
    DR_E_CORRUPT,   /* bytes are not what we wrote: never retry, always report */
    DR_E_NOMEM,     /* allocation failed */
    DR_E_STEP,      /* a step of a plan reported failure */
    DR_E_REFUSED,   /* a safety rule forbids it */
    DR_E_UNKNOWN,   /* the outcome cannot be told */
    DR_E_HELD,      /* a person has to decide */
    DR_RC_COUNT,
};

enum { DR_ERR_MSG_MAX = 768, DR_ERR_HINT_MAX = 192 };

struct dr_err {
    enum dr_rc rc;
    int sys; /* errno behind it, or 0 */
    char msg[DR_ERR_MSG_MAX];
    char hint[DR_ERR_HINT_MAX];
};

/*
 * Compilers and analysers do not see into the functions below: this tells them that what comes
 * back is never DR_OK, so that a caller's outputs count as set wherever it goes on.
 */
static inline enum dr_rc dr_not_ok(enum dr_rc rc)
{
    if (rc == DR_OK)
        __builtin_unreachable();
    return rc;
}

/* Describe a failure; returns rc, so that callers can write return dr_fail(...). */
enum dr_rc(dr_fail)(struct dr_err *err, enum dr_rc rc, const char *fmt, ...) DR_PRINTF(3, 4)
    DR_COLD;
#define dr_fail(...) dr_not_ok((dr_fail)(__VA_ARGS__))

/* The same for a failed system call: rc is derived from errnum and ": strerror" is added. */
enum dr_rc(dr_fail_sys)(struct dr_err *err, int errnum, const char *fmt, ...) DR_PRINTF(3, 4)
    DR_COLD;
#define dr_fail_sys(...) dr_not_ok((dr_fail_sys)(__VA_ARGS__))

/* Put "fmt: " before the message: the outer scene, added on the way up. Returns err->rc. */
enum dr_rc(dr_context)(struct dr_err *err, const char *fmt, ...) DR_PRINTF(2, 3) DR_COLD;
#define dr_context(...) dr_not_ok((dr_context)(__VA_ARGS__))

/* Set the operator's next move, one sentence. Returns err->rc. */
enum dr_rc(dr_hint)(struct dr_err *err, const char *fmt, ...) DR_PRINTF(2, 3) DR_COLD;
#define dr_hint(...) dr_not_ok((dr_hint)(__VA_ARGS__))

/* Short stable name ("corrupt"), for logs, JSON and tests. */
const char *dr_rc_name(enum dr_rc rc);

/* Pass a failure up unchanged. Safe with scoped cleanup: nothing is skipped. */
#define DR_TRY(expr)             \
    do {                         \
        enum dr_rc rc_ = (expr); \
        if (rc_ != DR_OK)        \
            return rc_;          \
    } while (0)

#endif
