/*
 * preflight.c - an engine without a journal, for as long as its preflight takes.
 */
#include "dr/run/preflight.h"

#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/run/guard.h"
#include "dr/run/inside.h"
#include "dr/run/real.h"
#include "dr/run/run.h"

static const char run_id[] = "preflight"; /* as steps see it: it is no run's */

void apply_unkept(struct engine *e, const char *type, json_t *body)
{
    DR_CLEANUP(journal_record_fini)
    struct journal_record r = { .n = e->state.last_n + 1,
                                .wall_ns = clock_wall_ns(),
                                .boot_ns = clock_boot_ns(),
                                .type = dr_strdup(type),
                                .body = body };
    state_apply(&e->state, &r);
    if (e->o.view.record != NULL)
        e->o.view.record(e->o.view.arg, &r);
}

static void world_free(struct world **w)
{
    real_world_free(*w);
}

enum dr_rc preflight_run(const struct preflight_wish *wish, bool *ret_begins, struct dr_err *err)
{
    struct run_begin begin = *wish->begin;
    DR_FREE char *host = run_host();
    begin.id = run_id;
    begin.host = host;
    begin.dry = true;
    begin.remote = false;
    begin.config_path = wish->config->path;
    DR_TRY(guard_plan(wish->script, &begin, err));
    const struct real_options o = { .config = wish->config, .run = run_id, .failed = begin.failed };
    DR_CLEANUP(world_free) struct world *world = real_world_new(&o);
    DR_JSON json_t *start = run_begin_body(wish->script, &begin);
    const struct engine_options eo = { .config = wish->config,
                                       .config_path = wish->config->path,
                                       .operator= begin.by,
                                       .start = start,
                                       .view = wish->view };
    DR_CLEANUP(engine_free_ptr)
    struct engine *e = engine_new(wish->script, NULL, world, &eo);
    while (e->state.phase == RUN_PREFLIGHT)
        if (!preflight_advance(e))
            (void)world->ops->turn(world);
    *ret_begins = e->state.phase == RUN_RUNNING;
    return DR_OK;
}
