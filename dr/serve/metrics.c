/*
 * metrics.c - one table of families; each walks a list of the view and says what is known.
 */
#include "dr/serve/metrics.h"

#include <inttypes.h>
#include <string.h>

#include "dr/data/time.h"

enum { LABELS_MAX = 4 };

struct label {
    const char *name;
    const char *value; /* NULL: the label is left out */
};

struct scrape {
    struct buf *out;
    const json_t *view;
    int64_t now_ns;
    const char *family; /* that was opened last */
};

static const char *const helps[][2] = {
    { "view_present", "1 when backupd has published a status that can be read." },
    { "view_age_seconds", "Time since backupd last looked at all buckets." },
    { "findings", "Open findings by severity." },
    { "site_alive", "1 when the backupd of the site wrote its status in time." },
    { "site_age_seconds", "Age of the newest status of the site." },
    { "job_exit_code", "Exit code of the newest run of a scheduled job." },
    { "job_overdue", "1 when a scheduled job has not succeeded for too long." },
    { "probe_up", "1 when the service answers, 0 when it does not." },
    { "source_newest_age_seconds", "Age of the newest durable snapshot." },
    { "source_newest_bytes", "Size of the newest durable snapshot." },
    { "source_proof_age_seconds", "Time since a snapshot of the source was last verified." },
    { "source_overdue", "1 when the newest snapshot is older than its schedule allows." },
    { "source_copies", "Buckets in which the newest snapshot is whole." },
    { "source_copies_wanted", "Buckets in which it should be." },
    { "bucket_ok", "1 when the bucket answers, is ours and is up to date." },
    { "bucket_bytes", "Bytes stored in the bucket." },
    { "bucket_snapshots", "Snapshots in the bucket." },
    { "region_loss_seconds", "Data that would be lost if the region of the bucket died now." },
    { "restore_forecast_seconds", "How long a restore would take, from measured ones." },
    { "runs_open", "Runs of recovery plans that are not over." },
};

/* ---- writing ----------------------------------------------------------------------------------- */

static void add_value(struct buf *out, const char *value)
{
    for (; *value != '\0'; value++) {
        if (*value == '\\' || *value == '"')
            buf_addc(out, '\\');
        if (*value == '\n')
            buf_adds(out, "\\n");
        else
            buf_addc(out, *value);
    }
}

static void begin_sample(struct scrape *s, const char *family, const struct label *labels)
{
    if (s->family != family) {
        size_t i = 0;
        while (i < DR_ARRAY_LEN(helps) && strcmp(helps[i][0], family) != 0)
            i++;
        DR_ASSERT(i < DR_ARRAY_LEN(helps));
        buf_addf(s->out, "# HELP drctl_%s %s\n# TYPE drctl_%s gauge\n", family, helps[i][1],
                 family);
        s->family = family;
    }
    buf_addf(s->out, "drctl_%s", family);
    bool open = false;
    for (int i = 0; i < LABELS_MAX && labels != NULL && labels[i].name != NULL; i++) {
        if (labels[i].value == NULL)
            continue;
        buf_addf(s->out, "%c%s=\"", open ? ',' : '{', labels[i].name);
        add_value(s->out, labels[i].value);
        buf_addc(s->out, '"');
        open = true;
    }
    buf_adds(s->out, open ? "} " : " ");
}

static void add_number(struct scrape *s, const char *family, const struct label *labels,
                       int64_t value)
{
    begin_sample(s, family, labels);
    buf_addf(s->out, "%" PRId64 "\n", value);
}

/* An integer or a truth of the view; null and what is absent have no sample. */
static void add_json(struct scrape *s, const char *family, const struct label *labels,
                     const json_t *value)
{
    if (json_is_integer(value) || json_is_boolean(value))
        add_number(s, family, labels,
                   json_is_integer(value) ? json_integer_value(value) : json_is_true(value));
}

static const char *text_of(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

static bool is(const json_t *o, const char *key, const char *text)
{
    const char *value = text_of(o, key);
    return value != NULL && strcmp(value, text) == 0;
}

/* Seconds between now and a time of the view. */
static void add_age(struct scrape *s, const char *family, const struct label *labels,
                    const json_t *time)
{
    int64_t ns;
    if (json_is_string(time) && time_parse(json_string_value(time), &ns))
        add_number(s, family, labels, (s->now_ns - ns) / 1000000000);
}

/* ---- the families ------------------------------------------------------------------------------ */

static const json_t *each(const struct scrape *s, const char *list, size_t i)
{
    return json_array_get(json_object_get(s->view, list), i);
}

static void add_findings(struct scrape *s)
{
    static const char *const severities[] = { "critical", "warning" };
    for (size_t k = 0; k < 2; k++) {
        int64_t count = 0;
        const json_t *o;
        for (size_t i = 0; (o = each(s, "findings", i)) != NULL; i++)
            count += is(o, "severity", severities[k]);
        add_number(s, "findings", (struct label[LABELS_MAX]){ { "severity", severities[k] } },
                   count);
    }
}

static void add_sites(struct scrape *s)
{
    const json_t *o;
    for (size_t i = 0; (o = each(s, "sites", i)) != NULL; i++)
        add_number(s, "site_alive", (struct label[LABELS_MAX]){ { "site", text_of(o, "name") } },
                   is(o, "state", "alive"));
    for (size_t i = 0; (o = each(s, "sites", i)) != NULL; i++)
        add_age(s, "site_age_seconds", (struct label[LABELS_MAX]){ { "site", text_of(o, "name") } },
                json_object_get(o, "written_at"));
}

static void add_jobs(struct scrape *s, const char *family, const char *key)
{
    const json_t *site, *job;
    for (size_t i = 0; (site = each(s, "sites", i)) != NULL; i++) {
        for (size_t k = 0; (job = json_array_get(json_object_get(site, "jobs"), k)) != NULL; k++) {
            const struct label labels[LABELS_MAX] = {
                { "site", text_of(site, "name") },
                { "what", text_of(job, "what") },
                { "source", text_of(job, "source") },
                { "plan", text_of(job, "plan") },
            };
            add_json(s, family, labels, json_object_get(job, key));
        }
    }
}

static void add_probes(struct scrape *s)
{
    const json_t *site, *probe;
    for (size_t i = 0; (site = each(s, "sites", i)) != NULL; i++) {
        const json_t *probes = json_object_get(site, "probes");
        for (size_t k = 0; (probe = json_array_get(probes, k)) != NULL; k++) {
            const struct label labels[LABELS_MAX] = { { "site", text_of(site, "name") },
                                                      { "probe", text_of(probe, "name") } };
            if (is(probe, "state", "up") || is(probe, "state", "down"))
                add_number(s, "probe_up", labels, is(probe, "state", "up"));
        }
    }
}

static void add_sources(struct scrape *s)
{
    static const struct {
        const char *family, *key;
        bool age, newest;
    } rows[] = { { "source_newest_age_seconds", "taken_at", true, true },
                 { "source_newest_bytes", "bytes", false, true },
                 { "source_proof_age_seconds", "proved_at", true, false },
                 { "source_overdue", "overdue", false, false },
                 { "source_copies", "copies", false, false },
                 { "source_copies_wanted", "needed", false, false } };
    for (size_t k = 0; k < DR_ARRAY_LEN(rows); k++) {
        const json_t *o;
        for (size_t i = 0; (o = each(s, "sources", i)) != NULL; i++) {
            const struct label labels[LABELS_MAX] = { { "source", text_of(o, "name") } };
            const json_t *of = rows[k].newest ? json_object_get(o, "newest") : o;
            const json_t *value = json_object_get(of, rows[k].key);
            if (rows[k].age)
                add_age(s, rows[k].family, labels, value);
            else
                add_json(s, rows[k].family, labels, value);
        }
    }
}

static void add_buckets(struct scrape *s)
{
    static const char *const families[] = { "bucket_ok", "bucket_bytes", "bucket_snapshots" };
    static const char *const keys[] = { NULL, "bytes", "snapshots" };
    for (size_t k = 0; k < DR_ARRAY_LEN(families); k++) {
        const json_t *o;
        for (size_t i = 0; (o = each(s, "buckets", i)) != NULL; i++) {
            const struct label labels[LABELS_MAX] = { { "bucket", text_of(o, "name") },
                                                      { "region", text_of(o, "region") } };
            if (keys[k] == NULL)
                add_number(s, families[k], labels, is(o, "state", "ok"));
            else
                add_json(s, families[k], labels, json_object_get(o, keys[k]));
        }
    }
}

static void add_losses(struct scrape *s)
{
    const json_t *o, *loss;
    for (size_t i = 0; (o = each(s, "buckets", i)) != NULL; i++) {
        const json_t *losses = json_object_get(o, "if_region_died");
        for (size_t k = 0; (loss = json_array_get(losses, k)) != NULL; k++) {
            const struct label labels[LABELS_MAX] = { { "bucket", text_of(o, "name") },
                                                      { "region", text_of(o, "region") },
                                                      { "source", text_of(loss, "source") } };
            const json_t *value = json_object_get(loss, "loss_s");
            add_json(s, "region_loss_seconds", labels, value);
            if (!json_is_null(value))
                continue;
            begin_sample(s, "region_loss_seconds", labels);
            buf_adds(s->out, "+Inf\n");
        }
    }
}

static void add_forecast(struct scrape *s)
{
    static const char *const ends[][2] = { { "min", "min_s" },
                                           { "median", "median_s" },
                                           { "max", "max_s" } };
    const json_t *o;
    for (size_t i = 0; (o = each(s, "forecast", i)) != NULL; i++) {
        for (size_t k = 0; k < DR_ARRAY_LEN(ends); k++)
            add_json(s, "restore_forecast_seconds",
                     (struct label[LABELS_MAX]){ { "source", text_of(o, "source") },
                                                 { "of", ends[k][0] } },
                     json_object_get(o, ends[k][1]));
    }
}

void metrics_add(struct buf *out, const json_t *view, int64_t now_ns)
{
    struct scrape s = { .out = out, .view = view, .now_ns = now_ns };
    add_number(&s, "view_present", NULL, view != NULL);
    if (view == NULL)
        return;
    add_age(&s, "view_age_seconds", NULL, json_object_get(view, "made_at"));
    add_findings(&s);
    add_sites(&s);
    add_jobs(&s, "job_exit_code", "exit");
    add_jobs(&s, "job_overdue", "overdue");
    add_probes(&s);
    add_sources(&s);
    add_buckets(&s);
    add_losses(&s);
    add_forecast(&s);
    add_number(&s, "runs_open", NULL, (int64_t)json_array_size(json_object_get(view, "runs")));
}
