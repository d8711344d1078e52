/*
 * view.h - from answers and rows to the view: pure, so that it is tested by recorded cases.
 *
 * status.c asks and remembers; here is only arithmetic. The parts of the view are made by view_sources.c (sources,
 * buckets), view_forecast.c and view_sites.c (sites, runs), and each adds its findings as it goes.
 *
 * Which buckets count is decided once (`ours`), and nothing is told of the others but what is wrong with them. When none
 * counts, nothing is said about what there is: not knowing is not the same as there being none.
 */
#ifndef DR_STATUS_VIEW_H
#define DR_STATUS_VIEW_H

#include "dr/config/config.h"
#include "dr/status/rows.h"

struct view_input {
    const struct config *config;
    const char *by;
    int64_t now_ns;
    int64_t asked_ms;    /* how long a bucket had to answer */
    const json_t *looks; /* by bucket; null: it did not answer */
    const struct rows *rows;
    const json_t *runs;     /* of this host, or NULL */
    const json_t *measures; /* of this host, or NULL */
    const json_t *known;    /* findings of this host's ledger (dr/proof/findings.h), or NULL */
};

/* A new reference. */
json_t *view_make(const struct view_input *in) DR_MUST_USE;

/* -- for the files of the view ------------------------------------------------------------------ */

struct view {
    const struct view_input *in;
    bool *ours; /* by bucket: it answered, and holds the repository that most of them hold; owned */
    bool answered;    /* any of ours */
    json_t *findings; /* borrowed */
};

json_t *view_sites(const struct view *v) DR_MUST_USE;
json_t *view_runs(const struct view *v) DR_MUST_USE;
json_t *view_sources(const struct view *v) DR_MUST_USE;
json_t *view_buckets(const struct view *v) DR_MUST_USE;
json_t *view_forecast(const struct view *v, const json_t *sources) DR_MUST_USE;
void view_late(const struct view *v); /* findings of runs that are overdue */

/* Names of the sources: those of the configuration, then those that only the buckets know. */
void view_source_names(const struct view *v, struct text_list *ret);

/* How often a snapshot of this class is due, in seconds; 0: not said. */
int64_t view_interval_s(const struct config *c, const char *class);

json_t *view_time(int64_t ns);       /* 0: null */
json_t *view_text(const char *text); /* NULL: null */

#endif
