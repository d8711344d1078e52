/*
 * notify.h - tell people, and go on telling them until somebody has it in hand.
 *
 *     findings ──> alerts ──> letters ──> one child process each ──> the server's answer
 *     events   ──┘   │            │                                        │
 *                    └── STATE_DIR/alerts/state.json <── delivered, again later, dead
 *
 * A finding is something that holds now; it has a stable key ("overdue/app"). The first time it is seen
 * an alert is raised: a letter for each channel of its severity. While it stays, nobody is told again,
 * but for escalation: a critical alert that nobody acknowledged goes to the contacts of the
 * configuration, one after another, every escalation_time. When it is gone, "resolved" is told. What comes
 * and goes is told three times an hour at most; then it counts as one alert until it has been calm for
 * a quarter of an hour.
 *
 * At least once: a letter is durable before it is sent, and is taken away only after the server said yes (2xx,
 * 250, exit code 0). Who dies in between sends it twice, with the same id. What fails is tried again with growing
 * waits for a day, then kept in STATE_DIR/alerts/dead. A channel that refuses, or fails for five minutes, is
 * an alert of its own ("notify/CHANNEL"), which goes by the other channels.
 *
 * Time: timers run on a clock of their own, which is written down with them. Within one boot it is
 * CLOCK_BOOTTIME (suspend counts, jumps of the wall clock do not); over a reboot it goes on by the wall
 * clock, never backwards and never by more than a week. So a jump neither makes a storm nor silence.
 *
 * Several processes may use one state directory: each call takes a lock for a moment. Letters are sent by
 * the first one that calls notify_step() (backupd), until it closes.
 *
 *     notify_open(c, &n, &err);
 *     for (;;) {
 *         notify_findings(n, findings, &err);
 *         notify_step(n, &next_ns, &err);            never waits for a network
 *         ... sleep until next_ns, or until notify_fd(n) can be read ...
 *     }
 *     notify_close(n);
 *
 * What goes over the wire is in NOTIFY.md.
 */
#ifndef DR_NOTIFY_NOTIFY_H
#define DR_NOTIFY_NOTIFY_H

#include "dr/config/config.h"
#include "dr/data/json.h"

struct notify;

enum {
    NOTIFY_ALERTS_MAX =
        1000, /* more findings at once: one alert, "notify/full", counts the others */
    NOTIFY_LETTERS_MAX = 2000, /* that wait; more are counted and not written */
    NOTIFY_AT_ONCE = 8,        /* children */
    NOTIFY_ATTEMPT_MS = 20000, /* one attempt, from the name's look-up to the answer */
};

/* c is borrowed until notify_close(). The directory is made by the first call that writes. */
enum dr_rc notify_open(const struct config *c, struct notify **ret, struct dr_err *err) DR_MUST_USE;

/* Ends what is being sent (it is sent again by the next one). NULL is fine. */
void notify_close(struct notify *n);
DR_DEFINE_CLEANUP(struct notify, notify_close)

/*
 * The findings that hold now: [{"severity":"critical|warning","key","text","hint"}]; "title" may be
 * there as well. New ones are raised, ones that are gone are resolved. Other keys are left alone.
 */
enum dr_rc notify_findings(struct notify *n, const json_t *findings, struct dr_err *err)
    DR_MUST_USE;

/* Something that happened, told once for each key ("run/R-31"); severity may be "info", too. */
enum dr_rc notify_event(struct notify *n, const char *severity, const char *key, const char *title,
                        const char *text, struct dr_err *err) DR_MUST_USE;

/* The same, to these channels; NULL: to those of its severity. */
struct notify_event_of {
    const char *severity, *key, *title, *text;
    const struct text_list *channels;
};
enum dr_rc notify_event_to(struct notify *n, const struct notify_event_of *event,
                           struct dr_err *err) DR_MUST_USE;

/*
 * Take in what was answered, escalate what is due, start to send what is due: one attempt a letter, one
 * letter a channel at a time. ret_next_ns: when to call again, on clock_boot_ns(); INT64_MAX: nothing waits. The
 * children are waited for one by one: the caller must not reap any that is not its own. DR_E_BUSY:
 * another process sends (ret_next_ns is set, too); nothing is wrong with that.
 */
enum dr_rc notify_step(struct notify *n, int64_t *ret_next_ns, struct dr_err *err) DR_MUST_USE;

/* A descriptor for poll(): when it can be read, notify_step() has something to take in. */
int notify_fd(const struct notify *n);

/* who has it in hand: no escalation any more. DR_E_NOTFOUND: no such alert is open. DR_E_EXISTS: somebody else
 * acknowledged it before. */
enum dr_rc notify_acknowledge(struct notify *n, const char *key, const char *who,
                              struct dr_err *err) DR_MUST_USE;

/* What is known now. New references:
 * [{"key","severity","state":"open|calming|resolved|event","title","text","hint","since":TIME,
 *   "acknowledged":{"by","at":TIME}|null,"escalated":N,"waiting":N}], open ones first, and
 * [{"name","kind","waiting":N,"dead":N,"failing_since":TIME|null,"why":TEXT|null}]. */
json_t *notify_list(const struct notify *n) DR_MUST_USE;
json_t *notify_channels(const struct notify *n) DR_MUST_USE;

/* Send a test letter now, and wait for it. DR_OK: accepted; ret: what the server answered (the caller frees). */
enum dr_rc notify_test(const struct config *c, const char *channel, char **ret, struct dr_err *err)
    DR_MUST_USE;

/* The child: a letter on standard input, its outcome on standard output. "drctl notify-send" is this. */
int notify_child(void);

#endif
