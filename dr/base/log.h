/*
 * log.h - what programs say about themselves, one line a fact, on standard error.
 *
 * Libraries return errors and never log; programs log each failure once. A line is
 * "drctl: warning: text": daemons get a time in front. Text is made printable, so a
 * file name cannot forge a line.
 */
#ifndef DR_BASE_LOG_H
#define DR_BASE_LOG_H

#include "dr/base/err.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG };

/* program: borrowed for ever. daemon: put an RFC 3339 time in front of each line. */
void log_setup(const char *program, enum log_level most, bool daemon);

void log_line(enum log_level level, const char *fmt, ...) DR_PRINTF(2, 3);

/* "error: MESSAGE", then "    hint: HINT" if there is one. */
void log_err(const struct dr_err *err);

#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_notice(...)  log_line(LOG_NOTICE, __VA_ARGS__)
#define log_info(...)    log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_DEBUG, __VA_ARGS__)

#endif
