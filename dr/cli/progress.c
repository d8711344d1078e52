/*
 * progress.c - the one line that is drawn again and again, Ctrl-C, and SIGUSR1.
 *
 * The rate is that of the whole job and not of the last moment: "3m 40s left" that jumps about is
 * worse than one that is a little late.
 */
#include "dr/cli/progress.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "dr/base/clock.h"
#include "dr/base/log.h"
#include "dr/data/duration.h"

enum {
    REDRAW_MS = 100,
    WRITE_MS = 60 * 1000, /* where nothing is drawn */
    WARNINGS_SHOWN = 100,
    COLUMNS_DEFAULT = 80,
    COLUMNS_MIN = 20,
    COLUMNS_LOG = 160,
    BAR = 20,
};

static volatile sig_atomic_t stop_asked, status_asked;

static void on_stop(int signum)
{
    (void)signum;
    stop_asked = 1;
}

static void on_status(int signum)
{
    (void)signum;
    status_asked = 1;
}

static void take_signals(bool take)
{
    struct sigaction action = { .sa_handler = take ? on_stop : SIG_DFL };
    action.sa_flags = take ? (int)SA_RESETHAND : 0; /* the second one kills */
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    /* Between two jobs it is ignored and not the default: who asks how it goes must not kill it. */
    struct sigaction status = { .sa_handler = take ? on_status : SIG_IGN, .sa_flags = SA_RESTART };
    sigemptyset(&status.sa_mask);
    sigaction(SIGUSR1, &status, NULL);
}

bool progress_stopped(void)
{
    return stop_asked != 0;
}

static size_t columns(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= COLUMNS_MIN)
        return size.ws_col;
    return COLUMNS_DEFAULT;
}

static void add_bar(struct buf *out, uint64_t done, uint64_t total)
{
    unsigned share = total == 0 || done >= total ? 100 : (unsigned)(done * 100 / total);
    buf_addc(out, '[');
    for (unsigned i = 0; i < BAR; i++)
        buf_addc(out, i < share * BAR / 100 ? '#' : '-');
    buf_addf(out, "] %u%%", share);
}

/* At the rate so far; -1: not to be told. */
static int64_t time_left(const struct work_progress *at, int64_t elapsed_ms)
{
    uint64_t done = at->bytes_total > 0 ? at->bytes : at->entries;
    uint64_t total = at->bytes_total > 0 ? at->bytes_total : at->entries_total;
    if (elapsed_ms <= 0 || done == 0 || total <= done)
        return -1;
    double left_ms = (double)(total - done) / (double)done * (double)elapsed_ms;
    return left_ms < (double)INT64_MAX / 2 ? (int64_t)left_ms / 1000 * 1000 : -1;
}

void progress_line(const char *label, const struct work_progress *at, int64_t elapsed_ms,
                   size_t width, struct buf *out)
{
    char done[32], total[32], rate[32], left[DURATION_TEXT_MAX];
    size_t start = out->len;
    text_add_printable(out, label, strlen(label));
    buf_addf(out, "  %s  %s", at->doing, text_size(done, sizeof(done), at->bytes));
    if (at->bytes_total > 0) {
        buf_addf(out, " of %s  ", text_size(total, sizeof(total), at->bytes_total));
        add_bar(out, at->bytes, at->bytes_total);
    }
    if (at->entries > 0)
        buf_addf(out, "  %" PRIu64, at->entries);
    if (at->entries > 0 && at->entries_total > 0)
        buf_addf(out, " of %" PRIu64, at->entries_total);
    if (at->entries > 0)
        buf_adds(out, " entries");
    uint64_t per_s = elapsed_ms > 0 ? at->bytes * 1000 / (uint64_t)elapsed_ms : 0;
    if (per_s > 0)
        buf_addf(out, "  %s/s", text_size(rate, sizeof(rate), per_s));
    int64_t left_ms = time_left(at, elapsed_ms);
    if (left_ms >= 0)
        buf_addf(out, ", %s left", duration_tell(left_ms, left));
    if (out->len - start >= width) { /* the last column stays free: no terminal wraps */
        out->len = start + width - 1;
        out->data[out->len] = '\0';
    }
}

static void clear(struct progress *p)
{
    if (p->drawn)
        fputs("\r\033[K", stderr);
    p->drawn = false;
}

/* One whole line, for a log or for who asked by SIGUSR1. */
static void write_line(struct progress *p, const struct work_progress *at, int64_t now_ms)
{
    DR_CLEANUP(buf_fini) struct buf line = { 0 };
    clear(p);
    progress_line(p->label, at, now_ms - p->start_ms, COLUMNS_LOG, &line);
    log_line(LOG_NOTICE, "%s", line.data);
    p->written_ms = now_ms;
}

static bool on_progress(void *arg, const struct work_progress *at)
{
    struct progress *p = arg;
    int64_t now_ms = clock_boot_ms();
    bool asked = status_asked != 0;
    status_asked = 0;
    if (asked || (!p->draw && !p->quiet && now_ms - p->written_ms >= WRITE_MS))
        write_line(p, at, now_ms);
    if (p->draw && (!p->drawn || now_ms - p->drawn_ms >= REDRAW_MS)) {
        DR_CLEANUP(buf_fini) struct buf line = { 0 };
        buf_adds(&line, "\r\033[K");
        progress_line(p->label, at, now_ms - p->start_ms, columns() + line.len, &line);
        fwrite(line.data, 1, line.len, stderr);
        fflush(stderr);
        p->drawn = true;
        p->drawn_ms = now_ms;
    }
    return stop_asked == 0;
}

static void on_warning(void *arg, const char *line)
{
    struct progress *p = arg;
    clear(p);
    if (++p->warnings <= WARNINGS_SHOWN)
        log_warning("%s", line);
}

void progress_start(struct progress *p, const struct cli *cli, const char *label)
{
    *p = (struct progress){ .label = label,
                            .draw = !cli->quiet && isatty(STDERR_FILENO) == 1,
                            .quiet = cli->quiet,
                            .start_ms = clock_boot_ms() };
    p->written_ms = p->start_ms;
    p->hooks = (struct work_hooks){ .progress = on_progress, .warning = on_warning, .arg = p };
    stop_asked = status_asked = 0;
    take_signals(true);
}

void progress_end(struct progress *p)
{
    clear(p);
    take_signals(false);
    if (p->warnings > WARNINGS_SHOWN)
        log_warning("%zu more warnings were not shown", p->warnings - WARNINGS_SHOWN);
}

void progress_outcome(const char *label, const struct progress_done *done, int64_t elapsed_ms,
                      struct buf *out)
{
    char size[32], rate[32], took[DURATION_TEXT_MAX];
    uint64_t per_s = done->bytes * 1000 / (uint64_t)(elapsed_ms > 0 ? elapsed_ms : 1);
    text_size(size, sizeof(size), done->bytes);
    duration_tell(elapsed_ms, took);
    text_add_printable(out, label, strlen(label));
    if (done->entries == 0)
        buf_addf(out, ": %s in %s, %s/s", size, took, text_size(rate, sizeof(rate), per_s));
    else if (done->bytes > 0)
        buf_addf(out, ": %" PRIu64 " entries looked at, %s read in %s", done->entries, size, took);
    else
        buf_addf(out, ": %" PRIu64 " entries looked at in %s, nothing read", done->entries, took);
    if (done->requests > 0)
        buf_addf(out, "; %" PRIu64 " request%s", done->requests, CLI_S(done->requests));
}

void progress_summary(const struct progress *p, const struct cli *cli,
                      const struct progress_done *done)
{
    DR_CLEANUP(buf_fini) struct buf line = { 0 };
    if (cli->quiet)
        return;
    progress_outcome(p->label, done, clock_boot_ms() - p->start_ms, &line);
    log_line(LOG_NOTICE, "%s", line.data);
}
