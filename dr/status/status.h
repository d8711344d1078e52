/*
 * status.h - what every host knows of every other: rows in the buckets, and the one view made of them.
 *
 *     backupd at us ── a signed row ──> status/us.json in every bucket ──┐
 *     backupd at eu ── a signed row ──> status/eu.json in every bucket ──┼── drctl status, anywhere
 *                        snapshots, proofs, packs, runs of the buckets ──┘   (keys and buckets are enough)
 *
 * A row is what only its site knows: the jobs of its scheduler, the answers of its probers, how fast its
 * restores were, the runs whose journals lie there. Everything else (which snapshots there are, how old, how many
 * copies, when proved) is read from the buckets themselves and believed from there alone, so a row cannot make
 * a backup look better than it is.
 *
 * A row is believed when it is signed by a key that some source of trusted_writers names, or by the
 * key of this host; it names its site, its repository and a sequence that only grows. The newest that
 * is valid wins, from whichever bucket. The highest sequence seen of each site and key is
 * remembered in STATE_DIR/status/seen: if all buckets show an older one, somebody put it back, and that is told.
 *
 * Each bucket is asked, and written, by a process of its own with a deadline. One that hangs costs its own
 * answer: the view says what could not be asked. Whoever calls must not have threads of its own,
 * and finds SIGCHLD as it was: the processes are waited for by their ids.
 *
 * A row replaces the one before it: by compare-and-set, else by remove and put. A bucket in which the host may do
 * neither (radosgw with versions, by the right of a source that may not remove) takes no row: those of the other
 * buckets tell of the site. Which of the newest objects of a source are believed is asked of the last dozen (look.h), so
 * a fenced writer that wrote more than these since hides what is right until it is pruned.
 *
 * To write, from backupd's loop (it may be called at every turn):
 *
 *     struct status_writer *w;
 *     DR_TRY(status_writer_open(config, &options, &w, err));
 *     for (;;) {
 *         ... status_write(w, schedule_json(rows), &next_ns);     both borrowed; never blocks
 *     }
 *     status_writer_close(w);
 *
 * To read:
 *
 *     struct status *s;
 *     DR_TRY(status_open(config, &options, &s, err));
 *     json_t *view = status_view(s);                 as often as wanted; the caller drops it
 *     struct buf text = { 0 };
 *     status_screen(view, &text);                    80 columns, for people
 *     int worst = status_exit(view);
 *     status_close(s);
 *
 * The view is schema "drctl-status-1". Times are RFC 3339 in UTC; what is not known is null, never 0:
 *
 *     schema, made_at, by
 *     verdict      "ok" "attention" "cannot tell"
 *     sites[]      name region host state(alive|silent|never) written_at age_s version interval_s jobs[] probes[]
 *       jobs[]     what source|null last_start last_end exit next overdue   (as the scheduler of that site wrote them)
 *       probes[]   name state(up|down|unknown) last_good first_bad why
 *     sources[]    name site region class newest{id kind taken_at started_at age_s bytes verified_at}|null
 *                  every_s|null overdue copies needed proved_at days[{day snapshots}]
 *     buckets[]    name region url state(ok|unreachable|behind|foreign) detail snapshots bytes
 *                  if_region_died[{source loss_s|null lives_there}]
 *     runs[]       id plan mode state started_at from to held_at live|null
 *     forecast[]   source n min_s median_s max_s note
 *     findings[]   severity(critical|warning) key text hint, gravest first
 *
 * Ages count from the end of a snapshot (taken_at), losses from its begin: what was written while it was
 * read may not be in it. loss_s null: all of it would be lost. lives_there: the source's own site is in that region;
 * null when its site is not configured. `copies` are buckets in which the newest snapshot is whole.
 *
 * Keys of findings are stable, for whoever tells each of them once:
 *
 *     buckets            no bucket answered            overdue/SOURCE     the newest snapshot is too old
 *     unreachable/BUCKET cannot be asked               none/SOURCE        there is no snapshot that can be restored
 *     foreign/BUCKET     holds another repository      copies/SOURCE      in fewer buckets than wanted
 *     behind/BUCKET      lacks newest snapshots        region/REGION/SOURCE  would be lost with the region
 *     silent/SITE        its backupd does not write    unproved/SOURCE    not verified for too long
 *     never/SITE         ... and never did             job/SITE/WHAT[/SOURCE] ended with an exit that is no success
 *     clock/SITE         its clock is ahead of ours    probe/SITE/NAME    is down, or cannot be asked
 *     refused/SITE       a row that is not believed    run/ID             waits for a person, or has no runner
 *     replay/SITE        an old row was put back       state              what was seen cannot be remembered
 *     late/ID            a finding of a run is overdue
 */
#ifndef DR_STATUS_STATUS_H
#define DR_STATUS_STATUS_H

#include "dr/config/config.h"
#include "dr/data/json.h"

enum {
    STATUS_INTERVAL_S = 60,          /* between two rows, unless monitoring.status says another */
    STATUS_SILENT = 5,               /* silent: older than so many intervals of its own */
    STATUS_ASK_MS = 10 * 1000,       /* a bucket that has not answered by then is unreachable */
    STATUS_PUT_MS = 45 * 1000,       /* a bucket that has not taken the row by then is left alone */
    STATUS_PUT_LEAST_MS = 2 * 1000,  /* or within three quarters of a shorter interval, and this */
    STATUS_BEHIND_S = 10 * 60,       /* a copy may be under way so long */
    STATUS_OVERDUE_LEAST_S = 5 * 60, /* late by half an interval, and by this: overdue */
    STATUS_UNPROVED_LEAST_S =
        86400,            /* not proved for two intervals of verification, and for this */
    STATUS_MEASURES = 10, /* fewer: the forecast is min, median and max of what there is */
};

/* Between two rows of this host, in seconds, at least 1. */
int64_t status_interval_s(const struct config *c);

/* Which site this host is: config_here(), else the host's own name, as far as the name of an object allows. The
 * caller frees. */
char *status_own_site(const struct config *c) DR_MUST_USE;

/* -- writing ----------------------------------------------------------------------------------- */

struct status_writer;

/* As which site a host writes, and by which version of drctl. Copied. */
struct status_writer_options {
    const char *site; /* NULL: status_own_site() */
    const char *version;
};

/* config is borrowed. Fails when the key of this host can neither be read nor made. */
enum dr_rc status_writer_open(const struct config *c, const struct status_writer_options *o,
                              struct status_writer **ret, struct dr_err *err) DR_MUST_USE;

/* Ends what is still writing. */
void status_writer_close(struct status_writer *w);
DR_DEFINE_CLEANUP(struct status_writer, status_writer_close)

/*
 * Start a row on its way if one is due: at first, status_interval_s() after the last, and when jobs are not
 * what they were (then into buckets that are directories only, unless the interval is over). Returns at
 * once; the work is done by child processes. jobs: the list of the view, or NULL. ret_next_ns: when to
 * call again at the latest, on clock_boot_ns().
 */
void status_write(struct status_writer *w, const json_t *jobs, int64_t *ret_next_ns);

/* The same, waiting until all buckets have it or STATUS_PUT_MS are over: for --once and tests. True: all have it. */
bool status_write_now(struct status_writer *w, const json_t *jobs);

/* -- reading ----------------------------------------------------------------------------------- */

struct status_options {
    const char *
        by; /* who asks: a site, or the name of this host; NULL: status_own_site(), else the host. Borrowed */
    int64_t ask_ms; /* 0: STATUS_ASK_MS */
};

struct status;

/* config is borrowed. Nothing is asked yet. */
enum dr_rc status_open(const struct config *c, const struct status_options *o, struct status **ret,
                       struct dr_err *err) DR_MUST_USE;
void status_close(struct status *s);
DR_DEFINE_CLEANUP(struct status, status_close)

/* Ask all buckets, at most ask_ms long, and tell. Never fails: what could not be asked is in the view. */
json_t *status_view(struct status *s) DR_MUST_USE;

/* -- telling ----------------------------------------------------------------------------------- */

/* The screen, at most 80 columns. Everything that came from outside is made printable. */
void status_screen(const json_t *view, struct buf *out);

/*
 * Write the view where `drctl serve` looks for it, readable by everybody: $RUNTIME_DIRECTORY/status.json when systemd made
 * that directory, else STATE_DIR/public/status.json. Whole or as it was; not synced, since it is made
 * again and again.
 */
enum dr_rc status_publish(const char *state_dir, const json_t *view, struct dr_err *err)
    DR_MUST_USE;
/* Where that is; the caller frees. */
char *status_public_path(const char *state_dir) DR_MUST_USE;

/*
 * The exit code of DESIGN 7 that the view deserves, the gravest: 7 no bucket answered, 3 a run waits for a person, 9
 * fewer copies than wanted or a bucket that does not do its part, 4 any other critical finding (what was promised is not kept, or
 * is not seen), 8 warnings only, 0 nothing.
 */
int status_exit(const json_t *view);

#endif
