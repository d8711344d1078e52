/*
 * review.c - objectives against the schedule, retention against frequency, copies against regions.
 *
 * One function a rule. A rule speaks once for each thing that is wrong, at the line that has to change,
 * and stays quiet about what follows from something that was told before: a file without sources or
 * buckets has its own warning already.
 */
#include "dr/config/review.h"

#include <inttypes.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/data/duration.h"

/* A duration as it is written in the file. */
#define TEXT(ms) duration_print(ms, (char[DURATION_TEXT_MAX]){ 0 })

static bool is_data(const struct config_source *source)
{
    return strcmp(source->class, "config") != 0;
}

static bool has_class(const struct config *c, bool data)
{
    for (size_t i = 0; i < c->source_count; i++)
        if (is_data(&c->sources[i]) == data)
            return true;
    return false;
}

/* ---- rpo ------------------------------------------------------------------------------------- */

/* The parts of the longest time between a change and its copy, for one source. */
struct sum {
    const char *policy, *source; /* source NULL: whichever */
    int64_t every_ms, read_ms, upload_ms;
    bool assumed;
};

static int64_t total(const struct sum *s)
{
    return s->every_ms + s->read_ms + s->upload_ms;
}

/* How often sources of the class are taken; policy NULL: never. */
static struct sum interval_of(const struct config *c, bool data)
{
    struct sum s = { .read_ms = CONFIG_ASSUMED_READ_MS,
                     .upload_ms = CONFIG_ASSUMED_UPLOAD_MS,
                     .assumed = true };
    const struct {
        const struct config_policy *policy;
        const char *name;
        bool data;
    } rows[] = { { &c->full, "full_backup", true },
                 { &c->incremental, "incremental_backup", true },
                 { &c->snapshot, "config_snapshot", false } };
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++) {
        int64_t every_ms = rows[i].policy->frequency_ms;
        if (rows[i].data != data || every_ms == 0 || (s.policy != NULL && every_ms >= s.every_ms))
            continue;
        s.policy = rows[i].name;
        s.every_ms = every_ms;
    }
    return s;
}

static struct sum sum_of(const struct config *c, const struct config_facts *facts,
                         const struct config_source *source)
{
    struct sum s = interval_of(c, is_data(source));
    s.source = source->name;
    for (size_t i = 0; i < facts->took_count; i++)
        if (strcmp(facts->took[i].source, source->name) == 0) {
            s.read_ms = facts->took[i].read_ms;
            s.upload_ms = facts->took[i].upload_ms;
            s.assumed = false;
        }
    return s;
}

/* The source that is furthest behind when it hurts most. policy NULL: no source is taken at all. */
static struct sum worst(const struct config *c, const struct config_facts *facts)
{
    struct sum most = { 0 };
    if (c->source_count == 0)
        return interval_of(c, true);
    for (size_t i = 0; i < c->source_count; i++) {
        struct sum s = sum_of(c, facts, &c->sources[i]);
        if (s.policy != NULL && (most.policy == NULL || total(&s) > total(&most)))
            most = s;
    }
    return most;
}

/* The longest round interval that leaves time for the rest; 0: none of a minute or more. */
static int64_t interval_that_fits(int64_t left_ms)
{
    static const int minutes[] = { 1440, 720, 480, 360, 240, 180, 120, 60,
                                   45,   30,  20,  15,  10,  5,   2,   1 };
    for (size_t i = 0; i < DR_ARRAY_LEN(minutes); i++)
        if ((int64_t)minutes[i] * 60000 <= left_ms)
            return (int64_t)minutes[i] * 60000;
    return 0;
}

static void tell_rpo(struct diag *d, const struct config_objective *o, const struct sum *s)
{
    DR_CLEANUP(buf_fini) struct buf parts = { 0 };
    buf_addf(&parts, "%s every %s", s->policy, TEXT(s->every_ms));
    if (s->upload_ms > 0)
        buf_addf(&parts, " + %s to read + %s to upload%s", TEXT(s->read_ms), TEXT(s->upload_ms),
                 s->assumed ? " (both assumed)" : "");
    else
        buf_addf(&parts, " + %s to take it", TEXT(s->read_ms));
    if (!s->assumed)
        buf_addf(&parts, " (measured of '%s')", s->source);
    diag_warning(d, o->at.line, o->at.col, "rpo", "the rpo of '%s' is %s and cannot hold: %s = %s",
                 o->plan, TEXT(o->ms), parts.data, TEXT(total(s)));
    int64_t fits = interval_that_fits(o->ms - s->read_ms - s->upload_ms);
    if (fits > 0 && fits < s->every_ms)
        diag_hint(d, "%s: {frequency: %s}, or an rpo of %s", s->policy, TEXT(fits), TEXT(total(s)));
    else
        diag_hint(d, "an rpo of %s would hold", TEXT(total(s)));
}

static void review_rpo(const struct config *c, const struct config_facts *facts, struct diag *d)
{
    struct sum s = worst(c, facts);
    for (size_t i = 0; i < c->rpo_count; i++) {
        const struct config_objective *o = &c->rpo[i];
        if (s.policy == NULL) {
            diag_warning(d, o->at.line, o->at.col, "rpo",
                         "the rpo of '%s' is %s and cannot hold: no policy says how often a backup "
                         "is taken",
                         o->plan, TEXT(o->ms));
            diag_hint(d, "backup_policy: {full_backup: {frequency: daily}, incremental_backup: "
                         "{frequency: hourly}}");
        } else if (total(&s) > o->ms)
            tell_rpo(d, o, &s);
    }
}

/* ---- rto ------------------------------------------------------------------------------------- */

/* The time that passes before anybody can know, and the time to be sure that it is over. */
static void review_probes(const struct config *c, const struct config_objective *o, struct diag *d)
{
    int64_t least_ms = 0;
    const struct config_probe *best = NULL;
    for (size_t i = 0; i < c->probe_count; i++) {
        const struct config_probe *p = &c->probes[i];
        int64_t ms = p->interval_ms * (c->failure_threshold + p->times);
        if (best == NULL || ms < least_ms) {
            best = p;
            least_ms = ms;
        }
    }
    if (best == NULL || least_ms <= o->ms)
        return;
    diag_warning(
        d, o->at.line, o->at.col, "rto",
        "the rto of '%s' is %s and cannot hold: probe '%s' every %s x (%d to be down + %d to "
        "be up again) = %s, without any recovery",
        o->plan, TEXT(o->ms), best->name, TEXT(best->interval_ms), c->failure_threshold,
        best->times, TEXT(least_ms));
    diag_hint(d, "a shorter interval under 'health', or a longer rto");
}

static void review_rto(const struct config *c, const struct config_facts *facts, struct diag *d)
{
    for (size_t i = 0; i < c->rto_count; i++) {
        const struct config_objective *o = &c->rto[i];
        const struct config_forecast *f = NULL;
        for (size_t k = 0; k < facts->forecast_count && f == NULL; k++)
            if (strcmp(facts->forecasts[k].plan, o->plan) == 0)
                f = &facts->forecasts[k];
        if (f == NULL || f->ms <= o->ms) {
            review_probes(c, o, d);
            continue;
        }
        diag_warning(d, o->at.line, o->at.col, "rto",
                     "the rto of '%s' is %s, and its forecast is %s (from %d measured %s)", o->plan,
                     TEXT(o->ms), TEXT(f->ms), f->count, f->count == 1 ? "run" : "runs");
    }
}

/* ---- plans ------------------------------------------------------------------------------------- */

static void review_plan(const struct config_facts *facts, const char *key, const char *written,
                        struct config_place at, struct diag *d)
{
    DR_FREE char *plan = dr_strdup(written);
    for (char *p = plan; *p != '\0'; p++)
        if (*p == '-') /* equal to '_' here, as in the plan's own name */
            *p = '_';
    if (facts->plans == NULL || text_list_has(facts->plans, plan))
        return;
    diag_warning(d, at.line, at.col, "unknown-plan", "%s: there is no plan '%s'", key, plan);
    const char *near =
        text_nearest(plan, (const char *const *)facts->plans->items, facts->plans->count);
    if (near != NULL)
        diag_hint(d, "did you mean '%s'?", near);
    else
        diag_hint(d, "name its file under incident_response: {runbooks: [...]}");
}

static void review_plans(const struct config *c, const struct config_facts *facts, struct diag *d)
{
    for (size_t i = 0; i < c->rto_count; i++)
        review_plan(facts, "rto", c->rto[i].plan, c->rto[i].at, d);
    for (size_t i = 0; i < c->rpo_count; i++) {
        bool told = false;
        for (size_t k = 0; k < c->rto_count; k++)
            told = told || strcmp(c->rto[k].plan, c->rpo[i].plan) == 0;
        if (!told)
            review_plan(facts, "rpo", c->rpo[i].plan, c->rpo[i].at, d);
    }
    for (size_t i = 0; i < c->drill.plans.count; i++)
        review_plan(facts, "drill_schedule", c->drill.plans.items[i], c->drill.at, d);
}

/* ---- backup_policy ------------------------------------------------------------------------------- */

static void review_policy(const char *name, const struct config_policy *p, struct diag *d)
{
    if (!p->given)
        return;
    if (p->frequency_ms == 0) {
        diag_warning(d, p->at.line, p->at.col, "no-frequency",
                     "%s does not say how often: nothing is taken by itself", name);
        diag_hint(d, "frequency: daily");
    } else if (p->retention_ms != 0 && p->retention_ms < p->frequency_ms) {
        diag_warning(d, p->retention_at.line, p->retention_at.col, "retention",
                     "%s is kept for %s and taken every %s: all but the newest are gone before the "
                     "next",
                     name, TEXT(p->retention_ms), TEXT(p->frequency_ms));
        diag_hint(d, "a retention of %s keeps two", TEXT(2 * p->frequency_ms));
    }
}

static int64_t max_ms(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Longer than the longest: then no snapshot whatever goes when its policy says. */
static void review_locks(const struct config *c, struct diag *d)
{
    int64_t longest_ms =
        max_ms(c->full.retention_ms, max_ms(c->incremental.retention_ms, c->snapshot.retention_ms));
    for (size_t i = 0; longest_ms > 0 && i < c->bucket_count; i++) {
        const struct config_bucket *b = &c->buckets[i];
        if (b->lock.ms <= longest_ms)
            continue;
        diag_warning(d, b->at.line, b->at.col, "lock",
                     "bucket '%s' locks for %s, and the longest retention is %s: nothing can be "
                     "removed when it is due",
                     b->name, TEXT(b->lock.ms), TEXT(longest_ms));
        diag_hint(d, "lock: %s at most", TEXT(longest_ms));
    }
}

static void review_verification(const struct config *c, struct diag *d)
{
    const struct config_chore *v = &c->verification;
    int64_t kept_ms = max_ms(c->full.retention_ms, c->incremental.retention_ms);
    if (!v->given || kept_ms == 0 || v->frequency_ms <= kept_ms)
        return;
    diag_warning(
        d, v->at.line, v->at.col, "verification",
        "verification every %s, and snapshots are kept for %s at most: some are never read "
        "back",
        TEXT(v->frequency_ms), TEXT(kept_ms));
    diag_hint(d, "verification: {frequency: weekly}");
}

static void review_schedule(const struct config *c, struct diag *d)
{
    const struct config_policy *full = &c->full, *inc = &c->incremental, *snap = &c->snapshot;
    review_policy("full_backup", full, d);
    review_policy("incremental_backup", inc, d);
    review_policy("config_snapshot", snap, d);
    if (full->frequency_ms != 0 && inc->frequency_ms >= full->frequency_ms) {
        diag_warning(d, inc->frequency_at.line, inc->frequency_at.col, "frequency",
                     "incremental_backup every %s, and full_backup every %s: an incremental is "
                     "never due before a full",
                     TEXT(inc->frequency_ms), TEXT(full->frequency_ms));
        diag_hint(d, "incremental_backup: {frequency: hourly}");
    }
    if (c->source_count > 0 && snap->given && !has_class(c, false)) {
        diag_warning(d, snap->at.line, snap->at.col, "no-config-source",
                     "config_snapshot has no source of class config: it takes nothing");
        diag_hint(d, "sources: [{name: etc, path: /etc, class: config}]");
    }
}

/* ---- sources ------------------------------------------------------------------------------------- */

static void review_sources(const struct config *c, struct diag *d)
{
    bool data = c->full.given || c->incremental.given;
    for (size_t i = 0; i < c->source_count; i++) {
        const struct config_source *s = &c->sources[i];
        if (is_data(s) ? data : c->snapshot.given)
            continue;
        diag_warning(d, s->at.line, s->at.col, "no-policy",
                     "no policy takes source '%s' of class %s: no backup of it is made by itself",
                     s->name, s->class);
        diag_hint(d, is_data(s) ? "backup_policy: {full_backup: {frequency: daily}}"
                                : "backup_policy: {config_snapshot: {frequency: 15m}}");
    }
    if (c->source_count > 0 && data && !c->full.given)
        diag_warning(
            d, c->incremental.at.line, c->incremental.at.col, "no-full",
            "incremental_backup without full_backup: nothing is ever read whole again, and "
            "silent change stays unseen");
}

/* ---- regions ------------------------------------------------------------------------------------- */

static bool bucket_outside(const struct config *c, const char *region)
{
    for (size_t i = 0; i < c->bucket_count; i++)
        if (strcmp(c->buckets[i].region, region) != 0)
            return true;
    return false;
}

/* A region that holds every bucket takes all copies with it; told once, for it can be but one. */
static void review_regions(const struct config *c, struct diag *d)
{
    if (c->bucket_count == 0)
        return;
    const struct config_bucket *first = &c->buckets[0];
    if (bucket_outside(c, first->region))
        return;
    bool one = c->bucket_count == 1;
    diag_warning(d, first->at.line, first->at.col, "one-region",
                 "%s in region '%s': when it is lost, every copy is lost with it",
                 one ? "the only bucket lies" : "all buckets lie", first->region);
    diag_hint(d, "a bucket in another region");
}

/* ---- watching and telling -------------------------------------------------------------------------- */

static void review_health(const struct config *c, struct diag *d)
{
    for (size_t i = 0; i < c->probe_count; i++) {
        const struct config_probe *p = &c->probes[i];
        if (p->timeout_ms <= p->interval_ms)
            continue;
        diag_warning(
            d, p->at.line, p->at.col, "probe-times",
            "probe '%s' waits %s for an answer and asks every %s: while the service hangs, it "
            "asks less often",
            p->name, TEXT(p->timeout_ms), TEXT(p->interval_ms));
        diag_hint(d, "timeout: %s at most", TEXT(p->interval_ms));
    }
}

static void review_alerts(const struct config *c, struct diag *d)
{
    if (c->critical.escalation_ms > 0 && c->person_count == 0)
        diag_warning(d, c->critical.at.line, c->critical.at.col, "escalation",
                     "'escalation_time' has nobody to escalate to: contact_information is empty");
    if (c->channel_count == 0)
        return;
    if (c->critical.channels.count == 0) {
        const struct config_place at = c->channels[0].at;
        diag_warning(d, at.line, at.col, "no-alerts",
                     "there are channels, and critical_alerts names none of them: nobody is told");
        diag_hint(d, "monitoring: {alerting: {critical_alerts: {channels: [%s]}}}",
                  c->channels[0].name);
    }
}

static void review_drills(const struct config *c, struct diag *d)
{
    if (!c->drill.given)
        return;
    if (c->drill.frequency_ms == 0) {
        diag_warning(d, c->drill.at.line, c->drill.at.col, "no-frequency",
                     "drill_schedule does not say how often: there is no drill");
        diag_hint(d, "frequency: monthly");
    } else if (c->drill.plans.count == 0 && c->runbooks.count == 0) {
        diag_warning(
            d, c->drill.at.line, c->drill.at.col, "no-runbooks",
            "drill_schedule has no plan to carry out: neither 'plans' nor 'runbooks' name one");
        diag_hint(d, "incident_response: {runbooks: [runbooks/primary_region_failure.yaml]}");
    }
}

/* Whoever reaches the page sees the names of all that there is; it has no password. */
static void review_serve(const struct config *c, struct diag *d)
{
    const char *listen = c->serve.listen;
    if (text_starts(listen, "127.") || text_starts(listen, "[::1]:") ||
        text_starts(listen, "localhost:"))
        return;
    diag_warning(d, c->serve.at.line, c->serve.at.col, "listen",
                 "the status page on %s can be seen by whoever reaches it", listen);
    diag_hint(d, "listen: \"127.0.0.1:9188\", and a web server with a password in front");
}

void config_review(const struct config *c, const struct config_facts *facts, struct diag *d)
{
    review_rpo(c, facts, d);
    review_rto(c, facts, d);
    review_plans(c, facts, d);
    review_schedule(c, d);
    review_locks(c, d);
    review_verification(c, d);
    review_sources(c, d);
    review_regions(c, d);
    review_health(c, d);
    review_alerts(c, d);
    review_drills(c, d);
    review_serve(c, d);
}
