/*
 * Prune, step by step as the protocol has it. Names of objects are fixed before the first deletion: D is
 * what was condemned in every bucket and is named by nothing at the second look, and it never grows.
 */
#include "backup/work/prune.h"

#include <stdio.h>
#include <string.h>

#include "backup/work/members.h"
#include "backup/work/pins.h"
#include "backup/work/prune_work.h"
#include "dr/base/mem.h"

void prune_result_fini(struct prune_result *r)
{
    for (size_t i = 0; i < r->snapshot_count; i++) {
        free(r->snapshots[i].source);
        free(r->snapshots[i].kind);
    }
    for (size_t i = 0; i < r->hold_count; i++)
        free(r->holds[i].source);
    free(r->snapshots);
    free(r->holds);
    free(r->buckets);
    *r = (struct prune_result){ 0 };
}

static void prune_fini(struct prune *p)
{
    gc_all_fini(&p->gc);
    view_fini(&p->view);
    text_list_fini(&p->gone);
    text_list_fini(&p->expire);
    idset_fini(&p->condemn);
}

void prune_warn(const struct prune *p, const char *line)
{
    if (p->hooks != NULL && p->hooks->warning != NULL)
        p->hooks->warning(p->hooks->arg, line);
}

/* -- every bucket -------------------------------------------------------------------------- */

enum dr_rc prune_need_all(struct repo *r, struct dr_err *err)
{
    for (size_t i = 0; i < repo_bucket_count(r); i++) {
        const struct repo_bucket *b = repo_bucket(r, i);
        if (b->store != NULL && b->error.rc == DR_OK)
            continue;
        dr_fail(err, DR_E_REFUSED,
                "bucket '%s' cannot be looked at, and nothing is expired or "
                "pruned without it: %.400s",
                b->config->name,
                b->error.rc != DR_OK ? b->error.msg : "its region must not be touched");
        const char *hint = b->error.rc != DR_OK ? b->error.hint : "";
        return dr_hint(err,
                       "%s%sIf it is gone for ever: take it out of the configuration of every "
                       "host, then: drctl prune --retire %s",
                       hint, hint[0] != '\0' ? " " : "", b->config->name);
    }
    return DR_OK;
}

/* keep: the list of members is made what the configuration says. */
static enum dr_rc look_at_members(struct repo *r, const char *retire, bool keep, struct dr_err *err)
{
    const struct config *c = repo_config(r);
    DR_CLEANUP(dr_free_ptr) struct store **stores = dr_alloc(c->bucket_count + 1, sizeof(void *));
    for (size_t i = 0; i < c->bucket_count; i++)
        stores[i] = repo_bucket(r, i)->store;
    const struct members_change m = { .config = c, .stores = stores, .retire = retire };
    return keep ? members_settle(&m, err) : members_check(&m, err);
}

/* -- what it frees ------------------------------------------------------------------------- */

static enum dr_rc weigh(struct prune *p, const struct idset *packs, struct dr_err *err)
{
    struct prune_result *r = p->result;
    free(r->buckets);
    r->buckets = dr_alloc(p->view.count + 1, sizeof(r->buckets[0]));
    r->bucket_count = p->view.count;
    for (size_t b = 0; b < p->view.count; b++) {
        DR_CLEANUP(store_entries_fini) struct store_entries all = { 0 };
        struct prune_bucket *bucket = &r->buckets[b];
        bucket->name = repo_bucket(p->repo, b)->config->name;
        if (packs->count > 0)
            DR_TRY(store_list_sizes(p->view.places[b].store, NAMES_PACKS, &all, err));
        for (size_t i = 0; i < all.count; i++) {
            uint8_t id[DIGEST_SIZE];
            if (!names_parse_pack(all.items[i].name, id) || !idset_has(packs, id))
                continue;
            bucket->packs++;
            bucket->bytes += all.items[i].size;
        }
    }
    return DR_OK;
}

/* -- deletion ------------------------------------------------------------------------------ */

/* A bucket that fails is left; the others go on. The first failure is told at the end. */
struct deletion {
    struct prune *prune;
    enum dr_rc rc;
    struct dr_err err;
};

/* What a lock of the bucket keeps is no failure: the first prune behind its end takes it. */
static bool remove_all(struct deletion *d, size_t bucket, const struct text_list *names)
{
    struct dr_err why = { 0 };
    enum dr_rc rc = store_remove_many(d->prune->view.places[bucket].store, names, &why);
    if (rc == DR_E_REFUSED && repo_bucket(d->prune->repo, bucket)->config->lock.ms > 0) {
        d->prune->result->buckets[bucket].locked = true;
        return true;
    }
    if (rc != DR_OK && d->rc == DR_OK) {
        d->rc = rc;
        d->err = why;
    }
    return rc == DR_OK;
}

static void remove_snapshots(struct deletion *d)
{
    const struct prune *p = d->prune;
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    for (size_t i = 0; i < p->expire.count; i++) {
        char name[NAMES_MAX];
        text_list_add(&names, names_of(NAMES_SNAPSHOTS, p->expire.items[i], name));
    }
    for (size_t b = 0; b < p->view.count; b++)
        (void)remove_all(d, b, &names); /* kept in d */
}

static void remove_packs(struct deletion *d, const struct idset *packs)
{
    const struct prune *p = d->prune;
    for (size_t b = 0; b < p->view.count; b++) {
        DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
        for (size_t i = 0; i < packs->count; i++) {
            char name[NAMES_MAX];
            if (idset_has(&p->view.places[b].packs, packs->items[i]))
                text_list_add(&names, names_pack(packs->items[i], name));
        }
        (void)remove_all(d, b, &names); /* kept in d */
    }
}

/* Proofs and pins of snapshots that are expired say nothing to anybody any more. */
static void remove_records(struct deletion *d, const char *prefix)
{
    const struct prune *p = d->prune;
    for (size_t b = 0; b < p->view.count; b++) {
        DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
        DR_CLEANUP(text_list_fini) struct text_list go = { 0 };
        struct dr_err ignored = { 0 };
        bool good = store_list(p->view.places[b].store, prefix, &names, &ignored) == DR_OK;
        for (size_t i = 0; good && i < names.count; i++) {
            const char *id = names.items[i] + strlen(prefix);
            DR_FREE char *only = dr_memdup(id, strcspn(id, "/"));
            if (text_list_has_sorted(&p->gc.expired, only) ||
                text_list_has_sorted(&p->expire, only))
                text_list_add(&go, names.items[i]);
        }
        (void)remove_all(d, b, &go); /* kept in d */
    }
}

/* The second look: everything named by now is struck from K. */
static enum dr_rc strike(struct prune *p, struct idset *ret, struct dr_err *err)
{
    DR_CLEANUP(view_fini) struct view now = { 0 };
    DR_CLEANUP(idset_fini) struct idset needed = { 0 };
    const struct view_options options = { .packs = false };
    DR_TRY(look_at_members(p->repo, p->options->retire, false, err));
    DR_TRY(view_take(p->repo, &options, &now, err));
    view_name_pendings(&now, &(const struct text_list){ 0 }, &needed);
    /* What the first look has named is not in K: only what is new must be read. */
    DR_TRY(view_name(&now, &p->expire, &p->view, &needed, err));
    for (size_t i = 0; i < p->condemn.count; i++)
        if (!idset_has(&needed, p->condemn.items[i]))
            idset_add(ret, p->condemn.items[i]);
    idset_sort(ret);
    p->result->struck = p->condemn.count - ret->count;
    return DR_OK;
}

static enum dr_rc carry_out(struct prune *p, struct dr_err *err)
{
    DR_CLEANUP(idset_fini) struct idset packs = { 0 };
    struct deletion d = { .prune = p };
    if (p->expire.count > 0 || p->condemn.count > 0) {
        DR_TRY(gc_publish(p->repo, &p->condemn, &p->expire, &p->gc, err));
        DR_TRY(strike(p, &packs, err));
        if (p->result->struck > 0)
            DR_TRY(weigh(p, &packs, err));
        remove_snapshots(&d);
        if (d.rc == DR_OK)
            remove_packs(&d, &packs);
    }
    if (d.rc == DR_OK) {
        remove_records(&d, NAMES_PROOFS);
        remove_records(&d, NAMES_PINS);
    }
    if (d.rc == DR_OK)
        return locks_extend(p, err);
    *err = d.err;
    dr_context(err, "not everything was deleted");
    return dr_hint(err, "The next prune goes on with it.");
}

/* -- all ----------------------------------------------------------------------------------- */

static enum dr_rc look(struct prune *p, struct dr_err *err)
{
    const struct prune_options *o = p->options;
    const struct gc_options gc = { .read_only = o->dry_run, .readmit = o->readmit };
    const struct view_options view = { .packs = true, .abandoned = o->abandon };
    DR_TRY(prune_need_all(p->repo, err));
    DR_TRY(look_at_members(p->repo, o->retire, !o->dry_run, err));
    DR_TRY(gc_gather(p->repo, &gc, &p->gc, err));
    DR_TRY(view_take(p->repo, &view, &p->view, err));
    DR_TRY(pending_judge(p, err));
    DR_TRY(plan_expire(p, err));
    DR_TRY(plan_condemn(p, err));
    return weigh(p, &p->condemn, err);
}

enum dr_rc prune_run(struct repo *r, const struct prune_options *options,
                     const struct work_hooks *hooks, struct prune_result *ret, struct dr_err *err)
{
    DR_ASSERT(r != NULL && options != NULL && ret != NULL && options->grace_ms >= 0);
    *ret = (struct prune_result){ 0 };
    DR_CLEANUP(text_list_fini) struct text_list abandon = { 0 };
    for (size_t i = 0; options->abandon != NULL && i < options->abandon->count; i++)
        text_list_add(&abandon, options->abandon->items[i]);
    text_list_sort(&abandon);
    struct prune_options mine = *options;
    mine.abandon = &abandon;
    DR_CLEANUP(prune_fini)
    struct prune p = { .repo = r, .options = &mine, .hooks = hooks, .result = ret };
    DR_TRY(look(&p, err));
    if (options->dry_run)
        return DR_OK;
    ret->refused = options->approve != NULL && !options->approve(options->arg, ret);
    if (ret->refused)
        return DR_OK;
    DR_TRY(pending_clear(&p, err));
    return carry_out(&p, err);
}
