/*
 * A row repeats nothing that the buckets know: a host may err, or lie, about its own snapshots. What it says of
 * itself (probes, jobs) can only make the view worse or be missing.
 */
#include "dr/status/row.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backup/format/signed.h"
#include "backup/store/store.h"
#include "backup/work/measure.h"
#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/data/time.h"
#include "dr/journal/journal.h"
#include "dr/run/health.h"
#include "dr/run/run.h"
#include "dr/status/status.h"

enum { RUNS_LOOKED_AT = 20 };

static const char format[] = "drctl-status-row";

_Static_assert((int)ROW_SIZE_MAX < (int)STORE_SWAP_MAX, "a row is an object that is swapped");

/* -- who we are ----------------------------------------------------------------------------- */

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* What a name of a host may be, as a part of an object's name. */
static char *as_name(const char *text)
{
    static const char upper[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
                      lower[] = "abcdefghijklmnopqrstuvwxyz";
    struct buf b = { 0 };
    for (const char *c = text; *c != '\0' && b.len < ROW_SITE_MAX; c++) {
        const char *found = strchr(upper, *c);
        bool dot = *c == '.' && b.len > 0 && is_plain(c[1]);
        if (found != NULL)
            buf_add(&b, lower + (found - upper), 1);
        else
            buf_add(&b, is_plain(*c) || dot ? c : "-", 1);
    }
    return b.len > 0 ? buf_take(&b) : dr_strdup("host");
}

char *status_own_site(const struct config *c)
{
    DR_FREE char *host = run_host();
    const struct config_site *here = config_here(c, host);
    return here != NULL ? dr_strdup(here->name) : as_name(host);
}

int64_t status_interval_s(const struct config *c)
{
    int64_t s = c->status_ms / 1000;
    return c->status_ms == 0 ? STATUS_INTERVAL_S : s > 0 ? s : 1;
}

char *row_name(const char *site)
{
    return dr_strf(ROW_PREFIX "%s.json", site);
}

/* -- what this host knows ------------------------------------------------------------------- */

static json_t *time_or_null(bool known, int64_t ns)
{
    char text[TIME_TEXT_MAX];
    return known ? json_string(time_print_s(ns, text)) : json_null();
}

/* Down from failure_threshold fails in a row on, until it is over; what is neither, or old, is unknown. */
static const char *probe_state(const struct config *c, const struct health_facts *f)
{
    if (f->stale)
        return "unknown";
    if (health_is_down(f))
        return f->fails >= c->failure_threshold ? "down" : "up";
    return f->passes > 0 ? "up" : "unknown";
}

static json_t *probes(const struct config *c)
{
    json_t *list = json_array();
    for (size_t i = 0; i < c->probe_count; i++) {
        struct health_facts f;
        struct dr_err ignored = { 0 };
        if (health_facts(c->state_dir, &c->probes[i], NULL, &f, &ignored) != DR_OK ||
            !f.newest.known)
            continue; /* another site asks it */
        json_t *o = json_object();
        json_put_text(o, "name", c->probes[i].name);
        json_put_text(o, "state", probe_state(c, &f));
        json_put(o, "last_good", time_or_null(f.last_good.known, f.last_good.wall_ns));
        json_put(o, "first_bad", time_or_null(f.first_bad.known, f.first_bad.wall_ns));
        json_put(o, "why", f.bad_why[0] != '\0' ? json_printable(f.bad_why) : json_null());
        DR_ASSERT(json_array_append_new(list, o) == 0);
    }
    return list;
}

static json_t *text_or_null(const char *text)
{
    return text != NULL ? json_printable(text) : json_null();
}

json_t *row_runs(const struct config *c)
{
    DR_CLEANUP(text_list_fini) struct text_list ids = { 0 };
    struct dr_err ignored = { 0 };
    json_t *list = json_array();
    if (journal_runs(c->state_dir, &ids, &ignored) != DR_OK)
        return list;
    size_t from = ids.count > RUNS_LOOKED_AT ? ids.count - RUNS_LOOKED_AT : 0;
    for (size_t i = from; i < ids.count; i++) {
        DR_CLEANUP(journal_records_fini) struct journal_records all = { 0 };
        DR_CLEANUP(run_state_fini) struct run_state s = { 0 };
        if (journal_load(c->state_dir, ids.items[i], &all, &ignored) != DR_OK)
            continue;
        state_replay(&s, &all);
        if (s.phase == RUN_NONE || run_is_final(s.phase) || s.dry)
            continue;
        json_t *o = json_object();
        json_put_text(o, "id", ids.items[i]);
        json_put(o, "plan", text_or_null(s.plan));
        json_put(o, "mode", text_or_null(s.mode));
        json_put_text(o, "state", run_phase_name(s.phase));
        json_put(o, "started_at", time_or_null(all.count > 0, s.started_ns));
        json_put(o, "from", text_or_null(s.failed));
        json_put(o, "to", text_or_null(s.target));
        json_put(o, "held_at", text_or_null(s.phase == RUN_HELD ? s.held_at : NULL));
        json_put(o, "live", json_boolean(journal_is_live(c->state_dir, ids.items[i])));
        DR_ASSERT(json_array_append_new(list, o) == 0);
    }
    return list;
}

json_t *row_gather(const struct row_wish *wish)
{
    const struct config *c = wish->config;
    const struct config_site *site = config_site(c, wish->site);
    DR_FREE char *host = run_host();
    char now[TIME_TEXT_MAX];
    json_t *o = json_object();
    json_put_text(o, "format", format);
    json_put_int(o, "version", FORMAT_VERSION);
    json_put(o, "needs", json_array());
    json_put_text(o, "site", wish->site);
    json_put(o, "region", text_or_null(site != NULL ? site->region : NULL));
    json_put_text(o, "host", host);
    json_put(o, "drctl", text_or_null(wish->version));
    json_put_int(o, "seq", wish->seq);
    json_put_text(o, "written_at", time_print_s(clock_wall_ns(), now));
    json_put_int(o, "interval_s", status_interval_s(c));
    json_put(o, "jobs", wish->jobs != NULL ? json_deep_copy(wish->jobs) : json_array());
    json_put(o, "probes", probes(c));
    json_put(o, "measures", measure_read(c->state_dir));
    json_put(o, "runs", row_runs(c));
    return o;
}

/* -- the object ----------------------------------------------------------------------------- */

static void halve(json_t *body, const char *key, bool keep_newest)
{
    json_t *list = json_object_get(body, key);
    size_t count = json_array_size(list);
    for (size_t i = 0; i < (count + 1) / 2; i++)
        (void)json_array_remove(list,
                                keep_newest ? 0 : json_array_size(list) - 1); /* it is there */
}

void row_encode(const json_t *body, const char *repository, const struct keys *signer,
                struct buf *out)
{
    DR_JSON json_t *o = json_deep_copy(body);
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    json_put(o, "repository", text_or_null(repository));
    signed_encode(o, signer, &object);
    while (object.len > ROW_SIZE_MAX) {
        bool measured = json_array_size(json_object_get(o, "measures")) > 0;
        bool jobs = json_array_size(json_object_get(o, "jobs")) > 0;
        json_put(o, "cut", json_true());
        halve(o, measured ? "measures" : jobs ? "jobs" : "probes", measured);
        if (!measured && !jobs && json_array_size(json_object_get(o, "probes")) == 0)
            halve(o, "runs", true);
        buf_clear(&object);
        signed_encode(o, signer, &object);
    }
    buf_add(out, object.data, object.len);
}

void row_fini(struct row *r)
{
    json_decref(r->body);
    *r = (struct row){ 0 };
}

static bool is_trusted(const struct row_reading *how, const char *writer)
{
    return config_trusts_key(how->config, writer) ||
           (how->own_key[0] != '\0' && strcmp(how->own_key, writer) == 0);
}

static enum dr_rc read_members(const char *name, struct row *r, struct dr_err *err)
{
    static const char *const lists[] = { "jobs", "probes", "measures", "runs" };
    const char *written = NULL;
    const json_t *ignored;
    DR_TRY(json_get_text(r->body, "site", &r->site, err));
    DR_TRY(json_get_int(r->body, "seq", &r->seq, err));
    DR_TRY(json_get_text(r->body, "written_at", &written, err));
    for (size_t i = 0; i < DR_ARRAY_LEN(lists); i++)
        DR_TRY(json_get_list(r->body, lists[i], &ignored, err));
    if (!time_parse(written, &r->written_ns) || r->seq < 1)
        return dr_fail(err, DR_E_CORRUPT, "it was written at no time");
    DR_FREE char *own = row_name(r->site);
    if (name != NULL && strcmp(own, name) != 0)
        return dr_fail(err, DR_E_REFUSED, "it is the row of site '%.100s'", r->site);
    return DR_OK;
}

enum dr_rc row_read(const char *name, const struct buf *object, const struct row_reading *how,
                    struct row *ret, struct dr_err *err)
{
    DR_CLEANUP(row_fini) struct row r = { 0 };
    const char *what = name != NULL ? name : "the own row";
    if (object->len > STORE_SWAP_MAX)
        return dr_fail(err, DR_E_CORRUPT, "%s: larger than its limit", what);
    DR_TRY(signed_parse(what, format, object, &r.body, r.writer, err));
    if (!is_trusted(how, r.writer)) {
        dr_fail(err, DR_E_REFUSED, "'%s' is signed by an unknown key (%s)", what, r.writer);
        return dr_hint(err, "If you know this key, name it in trusted_writers of a source.");
    }
    if (read_members(name, &r, err) != DR_OK)
        return dr_context(err, "'%s'", what);
    const char *of = json_string_value(json_object_get(r.body, "repository"));
    if (how->repository != NULL && (of == NULL || strcmp(of, how->repository) != 0))
        return dr_fail(err, DR_E_REFUSED, "'%s' was written for another repository (%.40s)", what,
                       of != NULL ? of : "none");
    *ret = r;
    r = (struct row){ 0 };
    return DR_OK;
}
