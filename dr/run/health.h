/*
 * health.h - the outside eye: is the service answering, and since when not?
 *
 * A prober asks one probe of the configuration (health: http, tcp, exec) at its interval and
 * appends each answer as one line to STATE_DIR/health/NAME.jsonl:
 *
 *     {"boot_id":"...","boot_ns":N,"ms":12,"result":"pass|fail|unknown","time":"...Z","why":"..."}
 *
 * time and boot_ns are taken before the question is sent; ms is how long the answer took. A line
 * is one write() and is not fsynced: what a power loss takes away only makes the interval wider.
 * A torn line is skipped. At HEALTH_FILE_MAX bytes the file becomes NAME.1.jsonl and the older one
 * goes, so that a probe never holds more than twice that.
 *
 * Three answers: pass (the service said what was expected), fail (it said something else, or nothing
 * within the timeout, or nobody was there), unknown (we could not even ask: no socket, no such
 * program, a bad setting). Unknown is never good and never bad.
 *
 * The reader draws facts from the lines and nothing from silence: an outage begins between the
 * last pass and the first fail after it, and is over with the first of `times` passes in a row
 * after which nothing failed. Passes with more than HEALTH_STALE intervals of silence, or an
 * unknown, between them are not in a row.
 *
 * How the engine uses it:
 *
 *     start:  health_facts(dir, probe, NULL, &facts, &err)      last_good, perhaps first_bad
 *     end:    health_facts(dir, probe, &facts.last_good, ...)   until first_good is known
 *
 * and journals health_facts_json() each time; dr/proof reads it with health_facts_read(). That of the end also has
 * `samples`, what health_samples() gives.
 */
#ifndef DR_RUN_HEALTH_H
#define DR_RUN_HEALTH_H

#include "dr/config/config.h"
#include "dr/data/json.h"

enum {
    HEALTH_FILE_MAX = 4 * 1024 * 1024,
    HEALTH_LINE_MAX = 4096,
    HEALTH_STALE = 3, /* intervals without a line: the prober is gone */
    HEALTH_WHY_MAX = 256,
    HEALTH_BOOT_ID_SIZE = 40,
    HEALTH_SAMPLES = 600,
    HEALTH_SAMPLES_BEFORE_MS = 60 * 1000,
};

enum health_result { HEALTH_PASS, HEALTH_FAIL, HEALTH_UNKNOWN };

/* "pass" "fail" "unknown" */
const char *health_result_name(enum health_result result);

/* One answer, as a point in time. boot_id is empty when only the wall time is known (--since). */
struct health_mark {
    bool known;
    int64_t wall_ns; /* when the question was sent */
    int64_t boot_ns;
    int64_t took_ms;
    char boot_id[HEALTH_BOOT_ID_SIZE];
};

struct health_facts {
    char probe[72];
    int64_t interval_ms;
    int times;                     /* passes in a row that mean "recovered" */
    struct health_mark last_good;  /* the last pass before first_bad; else the newest pass */
    struct health_mark first_bad;  /* the first fail of the outage */
    struct health_mark last_bad;   /* the last fail so far */
    struct health_mark first_good; /* the first of `times` passes in a row after last_bad */
    struct health_mark newest;     /* the newest line of any result */
    int passes;                    /* in a row, up to now */
    int fails;                     /* most in a row since first_bad; not journalled */
    int64_t gap_ms;                /* longest time between two passes next to each other */
    bool stale;                    /* no line for HEALTH_STALE intervals: nobody looks now */
    char bad_why[HEALTH_WHY_MAX];  /* the probe's own words at first_bad */
};

/* Is the service down as far as this probe has seen, and is somebody looking? */
static inline bool health_is_down(const struct health_facts *facts)
{
    return facts->first_bad.known && !facts->first_good.known;
}

/*
 * What the lines of a probe say. since NULL: the outage going on now, if there is one (after an outage
 * that is over, only last_good is known). since given: everything from the line of that mark on, which
 * is last_good of an earlier call, or a wall time alone. No file, or no line: DR_OK, nothing known,
 * stale. Marks of one boot are compared by boot time, others by wall time.
 */
enum dr_rc health_facts(const char *state_dir, const struct config_probe *probe,
                        const struct health_mark *since, struct health_facts *ret,
                        struct dr_err *err) DR_MUST_USE;

/*
 * The lines round an outage, for a picture: from HEALTH_SAMPLES_BEFORE_MS before since to the newest, at most
 * HEALTH_SAMPLES points; of more, the worst line of each group stands for it, so that no fail is lost.
 *
 *     {"base": time of since, "points": [[ms after it, 1 pass | 0 fail | -1 unknown, ms it took], ...]}
 *
 * NULL: there is no line. The caller drops ret.
 */
enum dr_rc health_samples(const char *state_dir, const struct config_probe *probe,
                          const struct health_mark *since, json_t **ret, struct dr_err *err)
    DR_MUST_USE;

/* The facts as they are journalled, and back; false when it is not such an object. The caller drops
 * the value. */
json_t *health_facts_json(const struct health_facts *facts) DR_MUST_USE;
bool health_facts_read(const json_t *value, struct health_facts *ret);

/* Ask once, now. why: HEALTH_WHY_MAX bytes, the probe's own words. Waits at most timeout_ms. */
enum health_result health_ask(const struct config_probe *probe, char *why);

/* Kill the command that health_ask() waits for, with all of its group. For a signal handler. */
void health_ask_stop(void);

/* One prober: its open file and what it said last. */
struct health_log;

/* Makes STATE_DIR/health. DR_E_BUSY when another process writes this probe's lines. The caller closes. */
enum dr_rc health_log_open(const char *state_dir, const char *probe, struct health_log **ret,
                           struct dr_err *err) DR_MUST_USE;
void health_log_close(struct health_log *log);
DR_DEFINE_CLEANUP(struct health_log, health_log_close)

/* Ask once and append the answer. ret_why is borrowed until the next call. */
enum dr_rc health_log_ask(struct health_log *log, const struct config_probe *probe,
                          enum health_result *ret_result, const char **ret_why, struct dr_err *err)
    DR_MUST_USE;

/* This boot of this machine (/proc/sys/kernel/random/boot_id); "" when it cannot be read. */
const char *health_boot_id(void);

/* How far the wall clock of this host may be off, as its kernel knows from whoever keeps it (NTP, PTP), rounded
 * up; -1: nobody keeps it. */
int64_t health_clock_error_ms(void);

#endif
