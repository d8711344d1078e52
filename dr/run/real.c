/*
 * The world as it is: steps are child processes, people and the prober are heard, all on one event loop;
 * beside it a thread keeps the lease, and one for each bucket puts records. Tests put another world behind
 * the same interface.
 */
#include "dr/run/real.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dr/base/clock.h"
#include "dr/base/log.h"
#include "dr/base/mem.h"
#include "dr/data/time.h"
#include "dr/lease/keeper.h"
#include "dr/run/health.h"
#include "dr/run/mirror.h"
#include "dr/run/run.h"
#include "plugins/plugins.h"

enum { SELF_MAX = 4096, HEALTH_WAIT_MAX_MS = 60000 };

struct timer {
    uv_timer_t uv;
    void (*fn)(void *arg);
    void *arg;
};

struct real_world {
    struct world world;
    struct real_options o;
    char *run, *failed;
    uv_loop_t loop;
    uv_async_t woken; /* by the keeper, from its thread: the lease is lost */
    struct keeper *keeper;
    char self[SELF_MAX];
    struct mirror *mirror; /* NULL until the first record */
};

/* -- plugins that are programs ------------------------------------------------------------------ */

static bool is_ours_alone(const char *path, bool dir)
{
    struct stat st;
    if (lstat(path, &st) != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return false;
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return false;
    return dir ? S_ISDIR(st.st_mode) : S_ISREG(st.st_mode) && (st.st_mode & S_IXUSR) != 0;
}

/* The executable of a type in $DRCTL_PLUGINS, or NULL. The caller frees. */
static char *external(const char *type)
{
    const char *dir = getenv("DRCTL_PLUGINS"); /* NOLINT(concurrency-mt-unsafe): one thread */
    if (dir == NULL || dir[0] != '/' || strchr(type, '/') != NULL || type[0] == '.' ||
        !is_ours_alone(dir, true))
        return NULL;
    char *path = dr_strf("%s/%s", dir, type);
    if (is_ours_alone(path, false))
        return path;
    free(path);
    return NULL;
}

bool real_world_runs(void *arg, const char *type)
{
    (void)arg;
    static const char *const own[] = { "region.pick", "approve", "wait" };
    for (size_t i = 0; i < DR_ARRAY_LEN(own); i++)
        if (strcmp(type, own[i]) == 0)
            return true;
    DR_FREE char *path = external(type);
    return plugin_find(type) != NULL || path != NULL;
}

/* -- steps -------------------------------------------------------------------------------------- */

static struct real_world *real_of(struct world *w)
{
    return (struct real_world *)w;
}

/* A program of this host's cannot be sent to another one. */
static enum dr_rc refuse_elsewhere(const struct config *c, const json_t *request,
                                   struct dr_err *err)
{
    const char *at = json_string_value(json_object_get(json_object_get(request, "with"), "at"));
    const struct config_site *site = at != NULL ? config_site(c, at) : NULL;
    DR_FREE char *host = run_host();
    if (site == NULL || site->reach == NULL || strcmp(site->reach, "ssh") != 0 ||
        config_here(c, host) == site)
        return DR_OK;
    return dr_fail(err, DR_E_NOTFOUND,
                   "site '%s' is reached by ssh: there only steps run that drctl itself brings",
                   site->name);
}

static enum dr_rc real_start(struct world *world, const json_t *request, int64_t timeout_ms,
                             const struct step_hooks *hooks, void **ret_job, struct dr_err *err)
{
    struct real_world *w = real_of(world);
    const char *type = json_string_value(json_object_get(request, "type"));
    bool built_in = plugin_find(type) != NULL;
    DR_FREE char *path = built_in ? NULL : external(type);
    if (!built_in && path == NULL)
        return dr_fail(err, DR_E_NOTFOUND, "nothing here can do a step of type '%s'", type);
    if (!built_in)
        DR_TRY(refuse_elsewhere(w->o.config, request, err));
    const char *const argv[] = { built_in ? w->self : path, built_in ? "step" : NULL, NULL };
    struct child_options o = {
        .argv = argv, .request = request, .timeout_ms = timeout_ms, .speaks_for_group = built_in
    };
    struct child *c = NULL;
    DR_TRY(child_start(&w->loop, &o, hooks, &c, err));
    *ret_job = c;
    return DR_OK;
}

static void real_stop(struct world *world, void *job, const char *why, bool hard)
{
    (void)world;
    child_stop(job, why, hard);
}

/* -- time --------------------------------------------------------------------------------------- */

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void on_timer(uv_timer_t *uv)
{
    struct timer *t = uv->data;
    void (*fn)(void *) = t->fn;
    void *arg = t->arg;
    uv_close((uv_handle_t *)uv, on_timer_closed);
    fn(arg);
}

static void *real_after(struct world *world, int64_t ms, void (*fn)(void *), void *arg)
{
    struct timer *t = dr_alloc(1, sizeof(*t));
    t->fn = fn;
    t->arg = arg;
    t->uv.data = t;
    uv_timer_init(&real_of(world)->loop, &t->uv);
    t->uv.data = t;
    uv_timer_start(&t->uv, on_timer, ms > 0 ? (uint64_t)ms : 0, 0);
    return t;
}

static void real_cancel(struct world *world, void *timer)
{
    (void)world;
    struct timer *t = timer;
    uv_close((uv_handle_t *)&t->uv, on_timer_closed);
}

static bool real_turn(struct world *world)
{
    (void)uv_run(&real_of(world)->loop, UV_RUN_ONCE);
    return true;
}

/* -- buckets ------------------------------------------------------------------------------------ */

static enum dr_rc real_put(struct world *world, const char *name, const void *data, size_t len,
                           struct dr_err *err)
{
    struct real_world *w = real_of(world);
    if (w->mirror == NULL) {
        const struct mirror_options o = { .config = w->o.config, .failed = w->failed };
        DR_TRY(mirror_new(&o, &w->mirror, err));
    }
    return mirror_put(w->mirror, name, data, len, err);
}

/* -- the prober --------------------------------------------------------------------------------- */

json_t *real_health_at_start(const struct config *c)
{
    struct health_facts facts;
    struct dr_err err = { 0 };
    if (c->probe_count == 0 ||
        health_facts(c->state_dir, &c->probes[0], NULL, &facts, &err) != DR_OK)
        return NULL;
    return health_facts_json(&facts);
}

/* Where the looking begins: what the impact knew, else the start of the run. */
static bool mark_of(const json_t *impact, struct health_mark *ret)
{
    struct health_facts before;
    const char *since = json_string_value(json_object_get(impact, "since"));
    const char *at = json_string_value(json_object_get(impact, "at"));
    *ret = (struct health_mark){ .known = true };
    if (since != NULL && time_parse(since, &ret->wall_ns))
        return true;
    if (health_facts_read(json_object_get(impact, "health"), &before) && before.last_good.known) {
        *ret = before.last_good;
        return true;
    }
    return at != NULL && time_parse(at, &ret->wall_ns);
}

static json_t *real_health(struct world *world, const json_t *impact, bool *ret_back)
{
    const struct config *c = real_of(world)->o.config;
    struct health_facts facts;
    struct health_mark since;
    struct dr_err err = { 0 };
    *ret_back = false;
    if (c->probe_count == 0 || !mark_of(impact, &since) ||
        health_facts(c->state_dir, &c->probes[0], &since, &facts, &err) != DR_OK)
        return NULL;
    *ret_back = facts.first_good.known;
    json_t *value = health_facts_json(&facts);
    json_t *samples = NULL;
    if (health_samples(c->state_dir, &c->probes[0], &since, &samples, &err) == DR_OK &&
        samples != NULL)
        json_put(value, "samples", samples);
    return value;
}

static int64_t real_health_wait(struct world *world)
{
    const struct config *c = real_of(world)->o.config;
    struct health_facts facts;
    struct dr_err err = { 0 };
    if (c->probe_count == 0 ||
        health_facts(c->state_dir, &c->probes[0], NULL, &facts, &err) != DR_OK || facts.stale)
        return 0;
    const struct config_probe *p = &c->probes[0];
    int64_t ms = (p->times + 1) * p->interval_ms + 2 * p->timeout_ms + 1000;
    return ms < HEALTH_WAIT_MAX_MS ? ms : HEALTH_WAIT_MAX_MS;
}

/* -- leases, words, chance ------------------------------------------------------------------------ */

static int64_t real_lease_left(struct world *world)
{
    const struct real_world *w = real_of(world);
    return w->keeper != NULL ? keeper_left_ms(w->keeper) : INT64_MAX;
}

static bool real_is_fenced(struct world *world, const char *region)
{
    DR_CLEANUP(lease_place_fini) struct lease_place place = { 0 };
    struct dr_err err = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list keys = { 0 };
    if (lease_place_of(real_of(world)->o.config, NULL, &place, &err) != DR_OK ||
        lease_keys(&place, &keys, &err) != DR_OK)
        return false; /* the fence that counts is asked again by whoever takes the lease */
    for (size_t i = 0; i < keys.count; i++) {
        DR_CLEANUP(lease_record_fini) struct lease_record r = { 0 };
        if (lease_read(&place, keys.items[i], &r, &err) == DR_OK &&
            text_list_has(&r.fenced, region))
            return true;
    }
    return false;
}

static json_t *real_hear(struct world *world)
{
    const struct real_world *w = real_of(world);
    struct dr_err err = { 0 };
    json_t *words = NULL;
    if (journal_hear(w->o.config->state_dir, w->run, &words, &err) != DR_OK)
        return NULL;
    return words;
}

static double real_random(struct world *world)
{
    (void)world;
    uint32_t r = 0;
    random_bytes(&r, sizeof(r));
    return (double)r / 4294967296.0;
}

/* In the keeper's thread. */
static void on_keeper_lost(void *arg)
{
    struct real_world *w = arg;
    (void)uv_async_send(&w->woken);
}

static void on_woken(uv_async_t *woken)
{
    struct real_world *w = woken->data;
    struct dr_err err = { 0 };
    if (!keeper_is_lost(w->keeper, &err))
        return;
    log_err(&err);
    if (w->o.lost != NULL)
        w->o.lost(w->o.arg);
}

/* -- life --------------------------------------------------------------------------------------- */

static const struct world_ops real_ops = {
    .start = real_start,
    .stop = real_stop,
    .after = real_after,
    .cancel = real_cancel,
    .turn = real_turn,
    .put = real_put,
    .health = real_health,
    .health_wait_ms = real_health_wait,
    .lease_left_ms = real_lease_left,
    .is_fenced = real_is_fenced,
    .hear = real_hear,
    .random = real_random,
};

struct world *real_world_new(const struct real_options *options)
{
    struct real_world *w = dr_alloc(1, sizeof(*w));
    w->world.ops = &real_ops;
    w->o = *options;
    w->run = dr_strdup(options->run);
    w->failed = options->failed != NULL ? dr_strdup(options->failed) : NULL;
    ssize_t len = readlink("/proc/self/exe", w->self, sizeof(w->self) - 1);
    DR_ASSERT(len > 0);
    int rc = uv_loop_init(&w->loop);
    DR_ASSERT(rc == 0);
    rc = uv_async_init(&w->loop, &w->woken, on_woken);
    DR_ASSERT(rc == 0);
    w->woken.data = w;
    uv_unref((uv_handle_t *)&w->woken); /* alone it is nothing to wait for */
    w->keeper = options->keeper;
    if (w->keeper != NULL)
        keeper_on_loss(w->keeper, on_keeper_lost, w);
    return &w->world;
}

void real_world_on_loss(struct world *world, void (*lost)(void *arg), void *arg)
{
    real_of(world)->o.lost = lost;
    real_of(world)->o.arg = arg;
}

uv_loop_t *real_world_loop(struct world *w)
{
    return &real_of(w)->loop;
}

void real_world_free(struct world *world)
{
    if (world == NULL)
        return;
    struct real_world *w = real_of(world);
    DR_CLEANUP(text_list_fini) struct text_list lagging = { 0 };
    mirror_end(w->mirror, &lagging); /* under the lease: what follows us lists what is there */
    for (size_t i = 0; i < lagging.count; i++)
        log_warning("bucket '%s' has not all records of %s: its journal is whole here and in the "
                    "other buckets",
                    lagging.items[i], w->run);
    keeper_free(w->keeper);
    uv_close((uv_handle_t *)&w->woken, NULL);
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&w->loop);
    free(w->run);
    free(w->failed);
    free(w);
}
