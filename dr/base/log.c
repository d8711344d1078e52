/*
 * log.c - one line to stderr: for a terminal as words, for the system's journal with its level.
 *
 * A line is put together first and written at once, so that lines of several processes do not mix.
 */
#include "dr/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "dr/base/clock.h"
#include "dr/base/text.h"

static struct {
    const char *program;
    enum log_level most;
    bool daemon;
} log_state = { "drctl", LOG_NOTICE, false };

void log_setup(const char *program, enum log_level most, bool daemon)
{
    log_state.program = program;
    log_state.most = most;
    log_state.daemon = daemon;
}

static void add_time(struct buf *line)
{
    int64_t now_ms = clock_wall_ns() / 1000000;
    time_t now_s = (time_t)(now_ms / 1000);
    struct tm tm;
    gmtime_r(&now_s, &tm);
    char text[32];
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    buf_addf(line, "%s.%03dZ ", text, (int)(now_ms % 1000));
}

void log_line(enum log_level level, const char *fmt, ...)
{
    static const char *const words[] = { "error: ", "warning: ", "", "", "debug: " };
    if (level > log_state.most)
        return;
    va_list ap;
    va_start(ap, fmt);
    char *raw = NULL;
    int len = vasprintf(&raw, fmt, ap);
    va_end(ap);
    if (len < 0)
        return;
    DR_CLEANUP(buf_fini) struct buf line = { 0 };
    if (log_state.daemon)
        add_time(&line);
    buf_addf(&line, "%s: %s", log_state.program, words[level]);
    text_add_printable(&line, raw, (size_t)len);
    free(raw);
    buf_addc(&line, '\n');
    fwrite(line.data, 1, line.len, stderr); /* one call: lines of two processes stay whole */
    fflush(stderr);
}

void log_err(const struct dr_err *err)
{
    DR_ASSERT(err->rc != DR_OK);
    log_line(LOG_ERROR, "%s", err->msg);
    if (err->hint[0] != '\0')
        fprintf(stderr, "    hint: %s\n", err->hint);
}
