/*
 * metrics.h - a view of status (dr/status/status.h) as metrics of Prometheus, text format 0.0.4. Pure.
 *
 * All are gauges in base units, named drctl_*. What is not known has no sample: an alert asks for absent(), and never
 * mistakes "not measured" for 0. A loss without bound (everything would be lost) is +Inf. Ages are those of now: the
 * age in the view and the time since the view was made.
 *
 *     drctl_view_present drctl_view_age_seconds           how old all of this is
 *     drctl_findings{severity}                            open ones
 *     drctl_site_alive{site} drctl_site_age_seconds{site} of its backupd
 *     drctl_job_exit_code{site,what,source,plan} drctl_job_overdue{...}
 *     drctl_probe_up{site,probe}                          1, 0; no sample: it could not be asked
 *     drctl_source_newest_age_seconds{source} drctl_source_newest_bytes{source} drctl_source_proof_age_seconds{source}
 *     drctl_source_overdue{source} drctl_source_copies{source} drctl_source_copies_wanted{source}
 *     drctl_bucket_ok{bucket,region} drctl_bucket_bytes{...} drctl_bucket_snapshots{...}
 *     drctl_region_loss_seconds{bucket,region,source}     data lost if that bucket's region died now
 *     drctl_restore_forecast_seconds{source,of}           of: min, median, max
 *     drctl_runs_open
 *
 * Source of the format: prometheus.io, "Exposition formats".
 */
#ifndef DR_SERVE_METRICS_H
#define DR_SERVE_METRICS_H

#include "dr/base/buf.h"
#include "dr/data/json.h"

/* view NULL: there is none; then drctl_view_present is 0 and nothing else is told. */
void metrics_add(struct buf *out, const json_t *view, int64_t now_ns);

#endif
