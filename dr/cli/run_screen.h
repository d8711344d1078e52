/*
 * run_screen.h - how a run is shown: one line an event, a live screen on a terminal, or JSON lines.
 *
 * Everything shown comes from records (and from the progress of running steps), so that `runs watch`
 * of another process shows the same. The norm for the words is what operators read in an
 * outage: what it is doing, how late it is, whether it can still be stopped, and what to type.
 */
#ifndef DR_CLI_RUN_SCREEN_H
#define DR_CLI_RUN_SCREEN_H

#include "dr/cli/cli.h"
#include "dr/run/run.h"

struct run_screen {
    struct cli *cli;
    struct run_state state; /* replayed from the records shown */
    bool live;              /* redraw */
    int drawn;              /* lines of the live part on the screen */
    bool asking;            /* a question stands at the end of the screen */
    int64_t drawn_ms;
    char *progress_step, *progress; /* the newest word of a running step */
    int64_t impact_ns;              /* what RTO counts from */
    int64_t rto_ms;
};

void run_screen_init(struct run_screen *s, struct cli *cli);
void run_screen_fini(struct run_screen *s);

/* Take in what a record says about the clock, without showing it. */
void run_screen_know(struct run_screen *s, const struct journal_record *r);

/* The callbacks of struct engine_view; arg is the screen. */
void run_screen_record(void *arg, const struct journal_record *r);
void run_screen_event(void *arg, const char *step, const json_t *event);

/* Take the live part off, so that plain lines can follow. */
void run_screen_rest(struct run_screen *s);

/* What a person can do with a run that is held. */
void run_screen_choices(const struct run_screen *s);

/*
 * Carry the run out: screen, terminal, signals; print its end. Returns the exit code.
 */
int run_drive(struct cli *cli, struct run *r, struct run_screen *s);

#endif
