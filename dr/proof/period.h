/*
 * period.h - the report over a month, a quarter, a year, or any time: what all runs, drills and backups in it prove.
 *
 * Pure: whoever calls gathers the facts, and the same facts give the same bytes. The facts are JSON lists, so that a
 * test writes them down and a person can read what a report was made of:
 *
 *     plans     [{name, rto_ms, rpo_ms, drill_every_ms}]       of the configuration; null: none
 *     sources   [{name, class, mine, every_ms}]     null: no backup is scheduled; mine false: another host's
 *     buckets   [{name, region}]
 *     runs      reports of report_make(), oldest first, of all runs that are known, also before the period (a trend
 *               needs them); a journal that cannot be read is {run, broken: why}
 *     book      [{type, time, body}]: what the host's ledger holds (dr/audit), oldest first
 *     heads     [{of, records, head}]: what the facts were taken from, for whoever verifies
 *     clauses   [{clause, title, words, from: [kinds of evidence]}]: conf/clauses.json
 *     hosts     [names]      notes     [text]
 *
 * How things are judged:
 *
 *     a run belongs to the period in which it began; a torn or broken journal is a row that says so
 *     findings of runs: open until a later run of the same plan and kind looked and no longer has it, or until
 *     somebody closed it (findings.h); those that were closed in the period stand beside the open ones
 *     a drill is overdue when none was held (to its end, passed or failed) for as long as the schedule says
 *     loss of a bucket at a time: to the newest snapshot that was durable in it, of that source which is worst
 *     off; null when some source has none there. One point before and one after each backup.
 *     a source is proved by a restore of a run, drill or person, or by a verify that read its data; the newest word
 *     counts, also when it was bad
 *     mean times: of failovers in earnest; detect is the phase, recover the whole of the phases
 *     forecast: what the run before it of the same plan took. measured_ms: what this one took, both at their worst
 *
 * What no fact supports is null, "not measured" in words. Nothing is certified: each clause gets what the period holds
 * of evidence, in plain sentences, or an empty list.
 */
#ifndef DR_PROOF_PERIOD_H
#define DR_PROOF_PERIOD_H

#include "dr/base/buf.h"
#include "dr/data/json.h"

enum {
    PERIOD_POINTS = 800, /* of a bucket's series; of more, the highest and lowest of each slice */
    PERIOD_MONTHS = 13,  /* of drill power: so a month stands beside the same month a year before */
    PERIOD_BEFORE_DAYS = 35, /* so far before the period its backups have to be given */
};

struct period_facts {       /* all borrowed; a list may be NULL: empty */
    int64_t from_ns, to_ns; /* [from, to) */
    int64_t
        as_of_ns; /* ages are counted up to here: the end of the period, or now if it is not over */
    const char *name; /* "2026-11", "2026-Q4", "2026", "2026-11-01 to 2026-11-08" */
    const char
        *owner; /* of what is missing (a run's findings have theirs from its start); or NULL */
    int64_t due_critical_ms, due_warning_ms; /* of the same; 0: no date */
    const json_t *plans, *sources, *buckets, *runs, *book, *heads, *clauses, *hosts, *notes;
};

/* The caller drops ret. DR_E_USAGE: the end is not after the beginning. */
enum dr_rc period_make(const struct period_facts *facts, json_t **ret, struct dr_err *err)
    DR_MUST_USE;

/* Plain text for people. */
void period_text(const json_t *period, struct buf *out);

/*
 * The bounds of a period that a person names: "2026-11", "2026-Q4", "2026"; or a time of its own from a date or a
 * time to another. All in UTC. False: no such name.
 */
bool period_month(const char *text, int64_t *ret_from_ns, int64_t *ret_to_ns);
bool period_quarter(const char *text, int64_t *ret_from_ns, int64_t *ret_to_ns);
bool period_year(const char *text, int64_t *ret_from_ns, int64_t *ret_to_ns);
bool period_moment(const char *text, int64_t *ret_ns); /* "2026-11-21", or RFC 3339 */

/* "2026-11" of a time. Returns out. */
enum { PERIOD_NAME_MAX = 16 };
char *period_month_of(int64_t ns, char out[PERIOD_NAME_MAX]);

#endif
