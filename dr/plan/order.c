/*
 * order.c - what waits for what: needs, cycles, "after", and what belongs to the target.
 */
#include <string.h>

#include "dr/base/mem.h"
#include "dr/base/text.h"
#include "dr/plan/reading.h"

/* needs as written, those below included; for the search of cycles. */
struct graph {
    size_t **needs;
    size_t *counts;
};

static void unknown_step(struct reading *r, struct yaml_node *node)
{
    say(r, node, "unknown-step", "no step '%s'", node->text);
    DR_FREE const char **ids = dr_alloc(r->p->step_count + 1, sizeof(char *));
    size_t count = 0;
    for (size_t i = 0; i < r->p->step_count; i++)
        if (r->p->steps[i].id != NULL)
            ids[count++] = r->p->steps[i].id;
    (void)hint_near(r, node->text, ids); /* whether there is one does not matter */
    r->shaky = true;
}

static void all_above(struct graph *g, size_t index)
{
    g->needs[index] = dr_alloc(index + 1, sizeof(size_t));
    for (size_t i = 0; i < index; i++)
        g->needs[index][i] = i;
    g->counts[index] = index;
}

static bool has_need(const struct graph *g, size_t index, size_t need)
{
    for (size_t i = 0; i < g->counts[index]; i++)
        if (g->needs[index][i] == need)
            return true;
    return false;
}

static void read_needs(struct reading *r, struct graph *g, size_t index)
{
    struct yaml_node *node = r->places[index].node;
    struct yaml_node *list = node->kind == YAML_MAP ? yaml_get(node, "needs", NULL) : NULL;
    if (list == NULL || list->reported || !is_kind(r, list, YAML_LIST, "needs")) {
        all_above(g, index);
        return;
    }
    r->places[index].needs = list;
    r->p->steps[index].needs_given = true;
    g->needs[index] = dr_alloc(list->count + 1, sizeof(size_t));
    for (size_t i = 0; i < list->count; i++) {
        struct yaml_node *item = list->items[i];
        if (item->reported || !is_kind(r, item, YAML_SCALAR, "needs")) {
            r->shaky = true;
            continue;
        }
        size_t step = plan_find_step(r->p, item->text);
        if (step == PLAN_NO_STEP)
            unknown_step(r, item);
        else if (!has_need(g, index, step))
            g->needs[index][g->counts[index]++] = step;
    }
}

/* How from comes to need to: the way as "a -> b -> c"; NULL when it does not. The caller frees. */
static char *find_way(const struct plan *p, const struct graph *g, size_t from, size_t to)
{
    DR_FREE size_t *came = dr_alloc(p->step_count, sizeof(size_t));
    DR_FREE size_t *queue = dr_alloc(p->step_count, sizeof(size_t));
    size_t head = 0, tail = 0;
    for (size_t i = 0; i < p->step_count; i++)
        came[i] = PLAN_NO_STEP;
    came[to] = to;
    queue[tail++] = to;
    /* from the end backwards, so that the way can be told from its beginning */
    while (head < tail && came[from] == PLAN_NO_STEP) {
        size_t at = queue[head++];
        for (size_t i = 0; i < p->step_count; i++) {
            if (came[i] != PLAN_NO_STEP || !has_need(g, i, at))
                continue;
            came[i] = at;
            queue[tail++] = i;
        }
    }
    if (came[from] == PLAN_NO_STEP)
        return NULL;
    struct buf way = { 0 };
    for (size_t at = from; at != to; at = came[at])
        buf_addf(&way, "%s -> ", p->steps[at].id);
    buf_adds(&way, p->steps[to].id);
    return buf_take(&way);
}

static void check_need(struct reading *r, const struct graph *g, size_t index,
                       struct yaml_node *item)
{
    const struct plan *p = r->p;
    size_t need = plan_find_step(p, item->text);
    if (need == PLAN_NO_STEP || need < index || p->steps[index].id == NULL)
        return;
    const char *id = p->steps[index].id;
    r->shaky = true;
    if (need == index) {
        say(r, item, "cycle", "'%s' needs itself", id);
        return;
    }
    DR_FREE char *way = find_way(p, g, need, index);
    if (way == NULL) {
        say(r, item, "forward-need", "'%s' needs '%s', which is below it", id, p->steps[need].id);
        diag_hint(r->d, "a step can only need steps above it: move it up");
        return;
    }
    say(r, item, "cycle",
        "'%s' needs '%s', which is below it and needs it in turn: a cycle (%s -> %s)", id,
        p->steps[need].id, id, way);
    diag_hint(r->d, "cut one of these needs");
}

static int by_index(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return x < y ? -1 : x > y;
}

/* Only what lies above stays; and everything that comes with it. */
static void settle(struct plan *p, struct graph *g, size_t index)
{
    struct plan_step *s = &p->steps[index];
    s->needs = g->needs[index];
    g->needs[index] = NULL;
    for (size_t i = 0; i < g->counts[index]; i++)
        if (s->needs[i] < index)
            s->needs[s->need_count++] = s->needs[i];
    qsort(s->needs, s->need_count, sizeof(size_t), by_index);
    bool *after = p->after + index * p->step_count;
    for (size_t i = 0; i < s->need_count; i++) {
        const bool *theirs = p->after + s->needs[i] * p->step_count;
        after[s->needs[i]] = true;
        for (size_t k = 0; k < s->needs[i]; k++)
            after[k] |= theirs[k];
    }
}

void order_steps(struct reading *r)
{
    struct plan *p = r->p;
    DR_FREE size_t **needs = dr_alloc(p->step_count + 1, sizeof(size_t *));
    DR_FREE size_t *counts = dr_alloc(p->step_count + 1, sizeof(size_t));
    struct graph g = { needs, counts };
    for (size_t i = 0; i < p->step_count; i++)
        read_needs(r, &g, i);
    for (size_t i = 0; i < p->step_count; i++) {
        const struct yaml_node *list = r->places[i].needs;
        for (size_t k = 0; list != NULL && k < list->count; k++)
            if (!list->items[k]->reported && list->items[k]->kind == YAML_SCALAR)
                check_need(r, &g, i, list->items[k]);
    }
    p->after = dr_alloc(p->step_count * p->step_count + 1, sizeof(bool));
    for (size_t i = 0; i < p->step_count; i++)
        settle(p, &g, i);
}

void find_belonging(struct reading *r)
{
    struct plan *p = r->p;
    for (size_t i = 0; i < r->ref_count; i++) {
        const struct ref *ref = &r->refs[i];
        p->uses_failed |= ref_is(ref->name, "failed");
        p->uses_target |= ref_is(ref->name, "target");
        if (ref->scope.step != PLAN_NO_STEP && ref->scope.where != REF_TITLE &&
            ref_is_target(r, ref))
            p->steps[ref->scope.step].uses_target = true;
    }
    for (size_t i = 0; i < p->step_count; i++) {
        struct plan_step *s = &p->steps[i];
        s->belongs_to_target = s->uses_target && i != p->pick;
        for (size_t k = 0; k < s->need_count; k++)
            s->belongs_to_target |= p->steps[s->needs[k]].belongs_to_target;
    }
}
