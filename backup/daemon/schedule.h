/*
 * schedule.h - what has to run when, and what is overdue. Pure: no clock, no file, no child.
 *
 * A row is one thing that is done again and again: a full of one source, an incremental of it, the prune.
 * Its history is four points in time. Two ideas keep it right for years:
 *
 * A grid. A row is due once in each slot. A duration (15m) makes slots of that length, counted in UTC. A word (daily,
 * weekly, monthly, quarterly, yearly) makes slots of the calendar of this host's zone: each begins at a
 * local midnight and is as long as the day or month is, 23 h or 25 h where the clocks are changed. Each row's
 * slots are shifted by its own jitter, so a hundred hosts do not come at once, and one host always comes at the
 * same time. What was missed, however often, is one slot that nothing began in: it is caught up once.
 *
 *     slot k                slot k+1              slot k+2
 *     |-----x---------------|---------------------|----x------    x: a run begins
 *                            (off, or suspended)       caught up, once; the next is due in slot k+3
 *
 * Ages are true. schedule_tick() gets the wall clock and the clock since boot. Where the wall clock jumps against
 * the other, the whole history jumps with it. So after a jump, either way, a row is due within its
 * interval: no storm, no hole, no false alarm. Suspend is no jump: both clocks see it.
 *
 * What else is promised:
 *
 *   - one job of a source at a time; at most SCHEDULE_BACKUPS backups and one other job at once;
 *   - a full that is durable stands for the incremental and the config snapshot of its source;
 *   - a prune follows a full, and does not begin beside a backup, unless it is overdue;
 *   - a failure is tried again, ever later: from a minute (less where the interval is short) to an hour,
 *     never later than the next slot would be; a drill is not tried again before its time, unless it found
 *     another run at work; a sentinel is written at its next time;
 *   - a repair is due a minute after a backup that a bucket lacks, once, until it is done; that the next backup reached
 *     every bucket again makes it due at once;
 *   - overdue is judged by the age of the newest durable snapshot, not by what was started: a job that hangs
 *     is overdue, too.
 *
 *     struct schedule s = { .host = hash };
 *     schedule_add(&s, SCHEDULE_FULL, "app", &every);
 *     schedule_tick(&s, clock_wall_ns(), clock_boot_ns());
 *     while ((row = schedule_next(&s)) != NULL) { start it; schedule_started(&s, row); }
 *     ... it ended: schedule_ended(&s, row, exit) ...
 *     sleep at most schedule_wait_ms(&s)
 */
#ifndef BACKUP_DAEMON_SCHEDULE_H
#define BACKUP_DAEMON_SCHEDULE_H

#include "dr/base/base.h"
#include "dr/data/json.h"

enum {
    SCHEDULE_BACKUPS = 4,              /* at once */
    SCHEDULE_WAIT_MS = 60 * 1000,      /* longest sleep */
    SCHEDULE_AWAKE_MS = 5 * 60 * 1000, /* a longer time between two ticks was a suspend */
};

/* In the order in which they are started when several are due. */
enum schedule_what {
    SCHEDULE_LOOK, /* what the buckets have, for rows without a memory */
    SCHEDULE_FULL,
    SCHEDULE_INCREMENTAL,
    SCHEDULE_CONFIG,
    SCHEDULE_SENTINEL, /* the time of day into the sources that want it */
    SCHEDULE_REPAIR,   /* what a backup left behind in some bucket: due only when it is wanted */
    SCHEDULE_PRUNE,
    SCHEDULE_VERIFY,
    SCHEDULE_PREFLIGHT,
    SCHEDULE_DRILL,
    SCHEDULE_ANCHOR, /* the ledger into the buckets */
    SCHEDULE_STATUS, /* what all sites see, for whom it is told */
    SCHEDULE_WHATS,
};

struct schedule_every {
    int64_t ms;       /* the interval, or the nominal length of the word; at least 1 s */
    const char *word; /* "daily" and so on: the calendar's; or NULL. Borrowed for ever */
    bool at;          /* not by jitter but at this minute of the local day */
    int minute;
};

/* Times are of the wall clock, in ns; 0: never. */
struct schedule_row {
    enum schedule_what what;
    char *subject; /* the source, or the plan; NULL: of the whole. Owned */
    struct schedule_every every;
    int64_t deadline_ms; /* of one job; 0: schedule_deadline_ms() knows one */
    bool held; /* not now: a blackout, for instance. Whoever sets it looks again within a minute */
    int64_t since_ns;  /* when the row came to be */
    int64_t start_ns;  /* of the newest run */
    int64_t end_ns;    /* of the newest run that ended */
    int64_t good_ns;   /* the newest success (of a backup: what is durable) speaks of this time */
    int64_t took_ms;   /* the newest success; 0: none */
    int exit;          /* of the newest run that ended; -1: none */
    int failures;      /* in a row */
    int64_t wanted_ns; /* of a repair: since then; 0: nothing to repair */
    bool hurry;        /* of a repair: now is better than later */
    bool running;
    bool interrupted; /* by our own end: due at once, and nobody's failure */
    bool ran;         /* since the schedule was made: --once runs nothing twice */
    bool told;        /* overdue; for the program that tells changes */
};

struct schedule {
    struct schedule_row *rows; /* owned */
    size_t count;
    uint64_t host;    /* what the jitter comes from */
    bool at_once;     /* --once: no jitter of what is caught up, no waiting after failures */
    bool look_first;  /* rows without a memory wait for the first end of SCHEDULE_LOOK */
    int64_t wall_ns;  /* of the last tick; 0: none */
    int64_t boot_ns;  /* the same */
    int64_t awake_ns; /* when we began, or came back from a suspend */
};

void schedule_fini(struct schedule *s);

/* "full" "incremental" "config" "sentinel" "repair" "prune" "verify" "preflight" "drill" "anchor"; "look" and "status". */
const char *schedule_word(enum schedule_what what);

/* Is it asked for our own sake? Then nobody wants to see it in a status. */
bool schedule_is_inner(enum schedule_what what);
bool schedule_is_backup(enum schedule_what what);

/* A new row without a history, borrowed until the next schedule_add(). subject is copied. */
struct schedule_row *schedule_add(struct schedule *s, enum schedule_what what, const char *subject,
                                  const struct schedule_every *every);
struct schedule_row *schedule_find(const struct schedule *s, enum schedule_what what,
                                   const char *subject);

/* It is now. The first tick makes whatever lies in the future unknown: a clock that was wrong wrote it. */
void schedule_tick(struct schedule *s, int64_t wall_ns, int64_t boot_ns);

/* The row to start now, or NULL. */
struct schedule_row *schedule_next(const struct schedule *s);

/* When the row is due, by the wall clock; the past: now. INT64_MAX: not foreseeable (it runs, or waits for
 * another). */
int64_t schedule_due_ns(const struct schedule *s, const struct schedule_row *row);

/* How long nothing will be due: at most SCHEDULE_WAIT_MS. */
int64_t schedule_wait_ms(const struct schedule *s);

void schedule_started(struct schedule *s, struct schedule_row *row);

/* exit: of drctl (cli.h). */
void schedule_ended(struct schedule *s, struct schedule_row *row, int exit);

/* We end, and the job with us. */
void schedule_interrupted(struct schedule *s, struct schedule_row *row);

/* A backup ended. left: some bucket lacks it, so that a repair is wanted. Else all of them answer again. */
void schedule_left(struct schedule *s, bool left);

/* The buckets have a durable snapshot of this source and kind, begun then. Older news than ours are
 * no news; what lies in the future is not believed. */
void schedule_seen(struct schedule *s, const char *source, enum schedule_what kind,
                   int64_t begun_ns);

bool schedule_overdue(const struct schedule *s, const struct schedule_row *row);

/* How long a job of this row may take before it is ended. */
int64_t schedule_deadline_ms(const struct schedule_row *row);

/* The beginning of the slot that it is now in, and of the next one. */
void schedule_slot_ns(const struct schedule *s, const struct schedule_row *row, int64_t *ret_ns,
                      int64_t *ret_next_ns);

/* The largest shift of its slots (a quarter of the interval, 6 h at most), and its own. */
int64_t schedule_jitter_max_ms(int64_t every_ms);
int64_t schedule_jitter_ms(const struct schedule *s, const struct schedule_row *row);

/* "jobs" of the site's status: [{what, source, plan, last_start, last_end, exit, next,
 * overdue}]. A new reference. */
json_t *schedule_json(const struct schedule *s) DR_MUST_USE;

#endif
