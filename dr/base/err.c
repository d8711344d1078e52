/*
 * err.c - what went wrong, gathered on the way up.
 *
 * An error lives in storage of fixed size that the caller owns: telling that memory or disk has run out
 * needs neither. What does not fit is cut; the code and the errno never are.
 */
#include "dr/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const rc_names[] = {
    [DR_OK] = "ok",
    [DR_E_USAGE] = "usage",
    [DR_E_CONFIG] = "config",
    [DR_E_NOTFOUND] = "not-found",
    [DR_E_EXISTS] = "exists",
    [DR_E_BUSY] = "busy",
    [DR_E_TRANSIENT] = "transient",
    [DR_E_TIMEOUT] = "timeout",
    [DR_E_CANCELLED] = "cancelled",
    [DR_E_DENIED] = "denied",
    [DR_E_NOSPACE] = "no-space",
    [DR_E_IO] = "io",
    [DR_E_CORRUPT] = "corrupt",
    [DR_E_NOMEM] = "no-memory",
    [DR_E_STEP] = "step",
    [DR_E_REFUSED] = "refused",
    [DR_E_UNKNOWN] = "unknown",
    [DR_E_HELD] = "held",
};
_Static_assert(DR_ARRAY_LEN(rc_names) == DR_RC_COUNT, "every code has a name");

void dr_assert_failed(const char *cond, const char *file, int line, const char *func)
{
    fprintf(stderr, "BUG: %s:%d %s(): assertion '%s' failed\n", file, line, func, cond);
    abort();
}

static enum dr_rc rc_from_errno(int errnum)
{
    switch (errnum) {
    case ENOENT:
    case ENOTDIR:
        return DR_E_NOTFOUND;
    case EEXIST:
        return DR_E_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
        return DR_E_DENIED;
    case ENOSPC:
    case EDQUOT:
        return DR_E_NOSPACE;
    case ENOMEM:
        return DR_E_NOMEM;
    case ETIMEDOUT:
        return DR_E_TIMEOUT;
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EPIPE:
        return DR_E_TRANSIENT;
    default:
        return DR_E_IO;
    }
}

DR_PRINTF(4, 0)
static void set_message(struct dr_err *err, enum dr_rc rc, int errnum, const char *fmt, va_list ap)
{
    DR_ASSERT(err != NULL);
    DR_ASSERT(rc > DR_OK && rc < DR_RC_COUNT);

    err->rc = rc;
    err->sys = errnum;
    err->hint[0] = '\0';
    vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
}

enum dr_rc(dr_fail)(struct dr_err *err, enum dr_rc rc, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set_message(err, rc, 0, fmt, ap);
    va_end(ap);
    return rc;
}

enum dr_rc(dr_fail_sys)(struct dr_err *err, int errnum, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set_message(err, rc_from_errno(errnum), errnum, fmt, ap);
    va_end(ap);

    char text[128] = "";
    const char *why = strerror_r(errnum, text, sizeof(text)); /* GNU form, thread-safe */
    size_t used = strlen(err->msg);
    snprintf(err->msg + used, sizeof(err->msg) - used, ": %s", why);
    return err->rc;
}

enum dr_rc(dr_context)(struct dr_err *err, const char *fmt, ...)
{
    DR_ASSERT(err != NULL && err->rc != DR_OK);

    char scene[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(scene, sizeof(scene), fmt, ap);
    va_end(ap);

    /* The cause sits at the end of the message: when space runs out, the scene gives way. */
    size_t cause = strlen(err->msg);
    size_t room = sizeof(err->msg) - 1 - cause;
    size_t len = strlen(scene);
    if (room < 2)
        return err->rc;
    if (len > room - 2)
        len = room - 2;
    memmove(err->msg + len + 2, err->msg, cause + 1);
    memcpy(err->msg, scene, len);
    memcpy(err->msg + len, ": ", 2);
    return err->rc;
}

enum dr_rc(dr_hint)(struct dr_err *err, const char *fmt, ...)
{
    DR_ASSERT(err != NULL && err->rc != DR_OK);

    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->hint, sizeof(err->hint), fmt, ap);
    va_end(ap);
    return err->rc;
}

const char *dr_rc_name(enum dr_rc rc)
{
    DR_ASSERT((unsigned)rc < DR_RC_COUNT);
    return rc_names[rc];
}
