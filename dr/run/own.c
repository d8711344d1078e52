/*
 * own.c - steps that no process does: the choice of a standby, and waiting.
 *
 * Both are decided from the state alone, so they need no request and no own check; a death takes nothing away but
 * the time that was waited.
 */
#include <string.h>

#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/run/inside.h"

void pick_region(struct job *j)
{
    struct engine *e = j->e;
    struct buf why = { 0 };
    const char *chosen = NULL;
    for (size_t i = 0; i < e->script->region_count && chosen == NULL; i++) {
        const char *region = e->script->regions[i];
        const struct state_standby *sb = NULL;
        for (size_t k = 0; k < e->state.standby_count; k++)
            if (strcmp(e->state.standbys[k].region, region) == 0)
                sb = &e->state.standbys[k];
        if (text_list_has(&e->state.excluded, region))
            buf_addf(&why, "%s was tried; ", region);
        else if (!is_candidate(e, region))
            continue;
        else if (e->world->ops->is_fenced(e->world, region))
            buf_addf(&why, "%s is fenced; ", region);
        else if (sb != NULL && !sb->ready)
            buf_addf(&why, "%s is not ready: %s; ", region, sb->why);
        else
            chosen = region;
    }
    if (chosen == NULL)
        buf_adds(&why, "no standby is left");
    else
        buf_addf(&why, "%s", chosen);
    DR_FREE char *told = buf_take(&why);
    j->began_ms = clock_boot_ms();
    if (chosen == NULL) {
        json_t *b = outcome_body(j, AT_FAILED, "fail", told);
        size_t i = j->i;
        job_end(j);
        add_failure(e, i, b, AT_FAILED);
        json_put_text(b, "decision", on_error_name(ON_HOLD));
        body_run(b, RUN_HELD);
        commit(e, "outcome", b);
        return;
    }
    j->outputs = json_object();
    json_put_text(j->outputs, "region", chosen);
    finish_done(j, told);
}

static void waited(void *arg)
{
    struct job *j = arg;
    j->timer = NULL;
    if (!is_over(j))
        finish_done(j, "waited");
}

void begin_wait(struct job *j)
{
    struct engine *e = j->e;
    int64_t ms = 0;
    for (const struct step_arg *a = step_of(j)->type->args; a != NULL && a->name != NULL; a++)
        if (a->type == ARG_DURATION)
            ms = with_ms(j->with, a->name, ms);
    json_t *b = body_of(e, at_of(j)->id, AT_RUNNING);
    json_put_int(b, "round", at_of(j)->round);
    json_put_text(b, "use", "wait");
    json_put(b, "with", json_incref(j->with));
    json_put_int(b, "timeout_ms", ms);
    commit(e, "begin", b);
    if (is_over(j))
        return;
    j->began_ms = clock_boot_ms();
    j->doing = DO_WAIT;
    j->timer = e->world->ops->after(e->world, ms, waited, j);
}
