/*
 * run_screen.h - how a run is shown: one line an event, a live screen on a terminal, or JSON lines.
 *
 * Everything shown comes from records (and from the progress of running steps), so that `runs watch`
 * of another process shows the same. The norm for the words is what operators read in an
 * outage: what it is doing, how late it is, whether it can still be stopped, and what to type.
 *
 *     run_screen.c        the callbacks: a record or an event becomes lines
 *     run_screen_live.c   the part that is drawn again: clock, steps, and the question at its end
 *     run_screen_line.c   lines that a terminal can bear: printable, and never wider than it is
 *     run_screen_start.c  what stands above the question for the region's name
 *
 * There is no colour: whatever matters stands there in words, NO_COLOR or not.
 */
#ifndef DR_CLI_RUN_SCREEN_H
#define DR_CLI_RUN_SCREEN_H

#include "dr/cli/cli.h"
#include "dr/run/run.h"

enum { STALLED_MS = 30000 };

/* What is known of a step besides its records: the newest word of its process. */
struct screen_step {
    int64_t heard_ms; /* boot time of its newest sign of life */
    int64_t first_ms, first_done, done, total, timeout_ms;
    char unit[16];
    char *words;
    bool told; /* that nothing is heard of it */
};

struct run_screen {
    struct cli *cli;
    struct run_state state; /* replayed from the records shown */
    bool tty;               /* lines are broken at its width */
    bool live;              /* and a part of it is drawn again */
    bool started;           /* what stands above the question is on the screen already */
    int drawn;              /* line ends of the live part on the screen */
    bool standing;          /* some of it stands there */
    int64_t drawn_ms;
    struct screen_step *steps; /* as many as the state has */
    size_t step_count;
    struct text_list failed;  /* preflight checks to be told below their sum */
    struct text_list prompt;  /* the question at the end; none: an empty list */
    char *typed;              /* the answer so far, or NULL */
    char *data, *no_way_back; /* lines of the start; NULL: none */
    int64_t impact_ns;        /* what RTO counts from */
    int64_t rto_ms;
};

void run_screen_init(struct run_screen *s, struct cli *cli);
void run_screen_fini(struct run_screen *s);

/* Take in what a record says about the clock, without showing it. */
void run_screen_know(struct run_screen *s, const struct journal_record *r);

/* The callbacks of struct engine_view; arg is the screen. */
void run_screen_record(void *arg, const struct journal_record *r);
void run_screen_event(void *arg, const char *step, const json_t *event);

/* Time has passed: the clock moves on, and a step that is not heard of is told of. */
void run_screen_tick(struct run_screen *s);

/* Take the live part off, so that plain lines can follow; and draw it (again). */
void run_screen_rest(struct run_screen *s);
void run_screen_draw(struct run_screen *s);

/* A question at the end of the screen, until it is taken away: lines, the last one without its end. */
void run_screen_ask(struct run_screen *s, const struct text_list *lines);

/* What a person can do with a run that is held. */
void run_screen_choices(const struct run_screen *s, struct text_list *lines);
bool run_screen_has_next(const struct run_state *st);
void run_screen_tell_choices(const struct run_screen *s);

/* What region.pick said, without the words of the standbys that STANDBY has. The caller frees. */
char *run_screen_pick(const struct run_state *st) DR_MUST_USE;

/* One line: made printable, and broken at words where the terminal ends. */
void run_screen_say(const struct run_screen *s, const char *fmt, ...) DR_PRINTF(2, 3);
void run_screen_say_block(const struct run_screen *s, const char *text);
int run_screen_width(void);
int run_screen_rows(void);
char *screen_clean(const char *text) DR_MUST_USE;
void screen_cut(struct buf *line, int columns);
int screen_columns(const char *text);
void screen_wrap(const char *clean, int columns, struct text_list *out);

/* What the start says about a plan: BROKE, DATA, CANNOT BE TAKEN BACK. screen gets data and
 * no_way_back. */
struct run_screen_start {
    const struct config *config;
    const struct script *script;
    const json_t *params;
    const char *failed, *active, *to, *since;
};
void run_screen_learn(struct run_screen *s, const struct run_screen_start *start);
/* The region's name is asked for, thrice; false: nothing is to be begun. */
bool run_screen_confirm(struct run_screen *s, const struct run_screen_start *start);
void run_screen_tell_broke(const struct run_screen *s, const char *since, const char *by,
                           const json_t *health);
void run_screen_tell_stakes(const struct run_screen *s);

/*
 * Carry the run out: screen, terminal, signals; print its end. Returns the exit code.
 */
int run_drive(struct cli *cli, struct run *r, struct run_screen *s);

/* The same without words at its end: the run is over, held, or (a drill) cleaning when it comes back. */
enum dr_rc run_drive_on(struct cli *cli, struct run *r, struct run_screen *s, struct dr_err *err)
    DR_MUST_USE;

#endif
