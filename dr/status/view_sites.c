/*
 * Sites and runs: what rows say, and what their silence says. A row that is old tells when its host was last well;
 * its probes and runs say nothing about now.
 */
#include <string.h>

#include "dr/base/mem.h"
#include "dr/data/duration.h"
#include "dr/data/time.h"
#include "dr/status/finding.h"
#include "dr/status/status.h"
#include "dr/status/view.h"

static const int64_t SECOND_NS = 1000000000;

enum { AHEAD_S = 5 * 60, CODE_WARNINGS = 8 };

static const char *text_of(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

static json_t *copy_of(const json_t *o, const char *key)
{
    json_t *value = json_object_get(o, key);
    return value != NULL ? json_deep_copy(value) : json_null();
}

static const struct row *row_of(const struct view *v, const char *site)
{
    for (size_t i = 0; i < v->in->rows->count; i++)
        if (strcmp(v->in->rows->items[i].site, site) == 0)
            return &v->in->rows->items[i];
    return NULL;
}

static int64_t interval_of(const struct row *row)
{
    int64_t s = json_integer_value(json_object_get(row->body, "interval_s"));
    return s > 0 && s < 86400 ? s : STATUS_INTERVAL_S;
}

static bool is_alive(const struct view *v, const struct row *row)
{
    int64_t age_s = (v->in->now_ns - row->written_ns) / SECOND_NS;
    return age_s <= STATUS_SILENT * interval_of(row);
}

/* -- findings of a site --------------------------------------------------------------------- */

static void judge_time(const struct view *v, const char *site, const struct row *row, bool alive)
{
    int64_t age_s = (v->in->now_ns - row->written_ns) / SECOND_NS;
    char age[DURATION_TEXT_MAX];
    if (!alive) {
        const struct finding f = { .severity = FINDING_CRITICAL,
                                   .key = { "silent", site, NULL },
                                   .hint =
                                       "Look at that host: is it up, and does backupd run there?" };
        finding_add(v->findings, &f, "site %s has said nothing for %s", site,
                    duration_tell(age_s * 1000, age));
    } else if (age_s < -AHEAD_S) {
        const struct finding f = { .severity = FINDING_WARNING,
                                   .key = { "clock", site, NULL },
                                   .hint = "Let both hosts take their time from a time server." };
        finding_add(v->findings, &f, "the clock of site %s is %s ahead of ours", site,
                    duration_tell(-age_s * 1000, age));
    }
}

static void judge_probe(const struct view *v, const char *site, const json_t *probe)
{
    const char *name = text_of(probe, "name"), *state = text_of(probe, "state");
    const char *why = text_of(probe, "why"), *since = text_of(probe, "first_bad");
    if (name == NULL || state == NULL || strcmp(state, "up") == 0)
        return;
    bool down = strcmp(state, "down") == 0;
    const struct finding f = { .severity = down ? FINDING_CRITICAL : FINDING_WARNING,
                               .key = { "probe", site, name, NULL },
                               .hint =
                                   down ? "If the service is lost with its region: drctl failover "
                                          "PLAN"
                                        : "Unknown is neither good nor bad: look why it cannot be "
                                          "asked there." };
    if (down)
        finding_add(v->findings, &f, "%s is down, seen from %s since %s%s%s", name, site,
                    since != NULL ? since : "an unknown time", why != NULL ? ": " : "",
                    why != NULL ? why : "");
    else
        finding_add(v->findings, &f, "%s cannot be asked from %s", name, site);
}

static bool is_backup(const char *what)
{
    return strcmp(what, "full") == 0 || strcmp(what, "incremental") == 0 ||
           strcmp(what, "config") == 0;
}

/* Whether a backup is overdue is asked of the snapshots, not of who should have made them. */
static void judge_job(const struct view *v, const char *site, const json_t *job)
{
    const char *what = text_of(job, "what"), *source = text_of(job, "source");
    source = source != NULL ? source : text_of(job, "plan");
    const json_t *code = json_object_get(job, "exit");
    if (what == NULL)
        return;
    const struct finding f = { .severity = FINDING_WARNING,
                               .key = { "job", site, what, source, NULL },
                               .hint = "Its words are in the log of backupd on that host." };
    const char *of = source != NULL ? " of " : "", *name = source != NULL ? source : "";
    int64_t exit = json_is_integer(code) ? json_integer_value(code) : 0;
    if (exit != 0 && exit != CODE_WARNINGS)
        finding_add(v->findings, &f, "the last %s%s%s at %s ended with exit code %lld", what, of,
                    name, site, (long long)exit);
    else if (json_is_true(json_object_get(job, "overdue")) && !is_backup(what))
        finding_add(v->findings, &f, "%s%s%s at %s is overdue", what, of, name, site);
}

static void judge_never(const struct view *v, const char *site)
{
    const struct finding f = {
        .severity = FINDING_WARNING,
        .key = { "never", site, NULL },
        .hint = "Start backupd there; its key belongs into trusted_writers here."
    };
    finding_add(v->findings, &f, "site %s never wrote a status that is believed here", site);
}

/* -- sites ---------------------------------------------------------------------------------- */

/* Is it among those that the site asks? */
static bool is_asked(const json_t *probes, const char *name)
{
    for (size_t i = 0; i < json_array_size(probes); i++) {
        const char *one = text_of(json_array_get(probes, i), "name");
        if (one != NULL && strcmp(one, name) == 0)
            return true;
    }
    return false;
}

/* What this site should ask, and does not. */
static void judge_unasked(const struct view *v, const struct config_site *site,
                          const json_t *probes)
{
    const struct config *c = v->in->config;
    for (size_t i = 0; i < c->probe_count; i++) {
        const struct config_probe *probe = &c->probes[i];
        const struct finding f = { .severity = FINDING_WARNING,
                                   .key = { "probe", site->name, probe->name, NULL },
                                   .hint = "Does its backupd run with this configuration?" };
        if (config_is_asked_here(site, probe) && !is_asked(probes, probe->name))
            finding_add(v->findings, &f, "%s is not asked from %s, where it should be", probe->name,
                        site->name);
    }
}

static json_t *probes_of(const struct view *v, const char *site, const struct row *row, bool alive)
{
    json_t *list = json_array();
    const json_t *all = json_object_get(row->body, "probes");
    for (size_t i = 0; i < json_array_size(all); i++) {
        json_t *probe = json_deep_copy(json_array_get(all, i));
        if (!json_is_object(probe)) {
            json_decref(probe);
            continue;
        }
        if (!alive)
            json_put_text(probe, "state", "unknown");
        else
            judge_probe(v, site, probe);
        DR_ASSERT(json_array_append_new(list, probe) == 0);
    }
    return list;
}

static void put_silence(json_t *o)
{
    json_put_text(o, "state", "never");
    json_put(o, "host", json_null());
    json_put(o, "written_at", json_null());
    json_put(o, "age_s", json_null());
    json_put(o, "interval_s", json_null());
    json_put(o, "version", json_null());
    json_put(o, "jobs", json_array());
    json_put(o, "probes", json_array());
}

static json_t *site_json(const struct view *v, const char *site, const char *region)
{
    json_t *o = json_object();
    const struct row *row = row_of(v, site);
    json_put_text(o, "name", site);
    json_put(o, "region", view_text(region));
    if (row == NULL) {
        if (v->answered)
            judge_never(v, site);
        put_silence(o);
        return o;
    }
    bool alive = is_alive(v, row);
    int64_t age_s = (v->in->now_ns - row->written_ns) / SECOND_NS;
    judge_time(v, site, row, alive);
    json_put_text(o, "state", alive ? "alive" : "silent");
    json_put(o, "host", copy_of(row->body, "host"));
    json_put(o, "written_at", view_time(row->written_ns));
    json_put_int(o, "age_s", age_s > 0 ? age_s : 0);
    json_put_int(o, "interval_s", interval_of(row));
    json_put(o, "version", copy_of(row->body, "drctl"));
    json_put(o, "jobs", copy_of(row->body, "jobs"));
    json_put(o, "probes", probes_of(v, site, row, alive));
    const struct config_site *known = config_site(v->in->config, site);
    if (alive && known != NULL)
        judge_unasked(v, known, json_object_get(row->body, "probes"));
    for (size_t i = 0; alive && i < json_array_size(json_object_get(o, "jobs")); i++)
        judge_job(v, site, json_array_get(json_object_get(o, "jobs"), i));
    return o;
}

json_t *view_sites(const struct view *v)
{
    const struct config *c = v->in->config;
    json_t *list = json_array();
    for (size_t i = 0; i < c->site_count; i++)
        DR_ASSERT(json_array_append_new(list, site_json(v, c->sites[i].name, c->sites[i].region)) ==
                  0);
    for (size_t i = 0; i < v->in->rows->count; i++) {
        const struct row *row = &v->in->rows->items[i];
        const struct config_site *known = config_site(c, row->site);
        if (known == NULL || strcmp(known->name, row->site) != 0)
            DR_ASSERT(json_array_append_new(
                          list, site_json(v, row->site, text_of(row->body, "region"))) == 0);
    }
    return list;
}

/* -- runs ----------------------------------------------------------------------------------- */

static void judge_run(const struct view *v, const json_t *run)
{
    const char *id = text_of(run, "id"), *state = text_of(run, "state");
    const char *plan = text_of(run, "plan"), *held_at = text_of(run, "held_at");
    DR_FREE char *hint = NULL;
    plan = plan != NULL ? plan : "a plan";
    if (state != NULL && strcmp(state, "held") == 0) {
        hint = dr_strf("Look what it waits for: drctl runs show %s", id);
        const struct finding f = { FINDING_CRITICAL, { "run", id, NULL }, hint };
        finding_add(v->findings, &f, "run %s of %s waits for a person%s%s", id, plan,
                    held_at != NULL ? ", at " : "", held_at != NULL ? held_at : "");
    } else if (json_is_false(json_object_get(run, "live"))) {
        hint = dr_strf("Go on from here: drctl runs resume %s", id);
        const struct finding f = { FINDING_CRITICAL, { "run", id, NULL }, hint };
        finding_add(v->findings, &f, "run %s of %s has no runner any more", id, plan);
    }
}

/* Unless it is there already: who comes first knows best. */
static void add_run(const struct view *v, json_t *list, const json_t *run)
{
    const char *id = text_of(run, "id");
    if (id == NULL)
        return;
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(text_of(json_array_get(list, i), "id"), id) == 0)
            return;
    judge_run(v, run);
    DR_ASSERT(json_array_append_new(list, json_deep_copy(run)) == 0);
}

json_t *view_runs(const struct view *v)
{
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(v->in->runs); i++)
        add_run(v, list, json_array_get(v->in->runs, i));
    for (size_t i = 0; i < v->in->rows->count; i++) {
        const struct row *row = &v->in->rows->items[i];
        const json_t *runs = json_object_get(row->body, "runs");
        for (size_t k = 0; is_alive(v, row) && k < json_array_size(runs); k++)
            add_run(v, list, json_array_get(runs, k));
    }
    for (size_t i = 0; i < json_array_size(v->in->looks); i++)
        if (v->ours[i])
            add_run(v, list, json_object_get(json_array_get(v->in->looks, i), "run"));
    return list;
}
