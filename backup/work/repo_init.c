/*
 * A repository in every bucket: made anew, or, for a bucket that is empty, what the others have.
 */
#include <string.h>

#include "backup/store/bucket.h"
#include "backup/work/known.h"
#include "backup/work/members.h"
#include "backup/work/repo_inside.h"
#include "dr/base/mem.h"

/* Lists of members and gc lists come first: an init that died may have left them. */
static bool is_of_init(const char *name)
{
    return text_starts(name, NAMES_MEMBERS) || text_starts(name, NAMES_GC);
}

/* The buckets that an init is about, all open. */
struct founding {
    const struct config *config;
    struct store **stores; /* owned, each too */
    bool *fresh;           /* owned: has no repository object yet */
    struct repository repository;
    bool found;
};

static void founding_fini(struct founding *f)
{
    for (size_t i = 0; i < f->config->bucket_count; i++)
        store_close(f->stores[i]);
    free(f->stores);
    free(f->fresh);
}

/* What stands in a bucket that is to become ours: nothing, or a repository. */
static enum dr_rc survey(struct founding *f, size_t at, struct dr_err *err)
{
    const struct config_bucket *c = &f->config->buckets[at];
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    struct repository found;
    DR_TRY(bucket_open(f->config, c, NULL, &f->stores[at], err));
    struct store *s = f->stores[at];
    enum dr_rc rc = repo_read_object(s, &found, err);
    if (rc == DR_E_NOTFOUND) {
        DR_TRY(store_list(s, "", &names, err));
        for (size_t i = 0; i < names.count; i++) {
            if (is_of_init(names.items[i]))
                continue;
            dr_fail(err, DR_E_REFUSED,
                    "bucket '%s' is not empty and holds no repository ('%s' ...)", c->name,
                    names.items[i]);
            return dr_hint(err, "Choose an empty directory, or restore its object 'repository'.");
        }
        f->fresh[at] = true;
        return DR_OK;
    }
    DR_TRY(rc);
    if (f->found && strcmp(found.id, f->repository.id) != 0)
        return dr_fail(err, DR_E_REFUSED, "bucket '%s' holds another repository (%s, not %s)",
                       c->name, found.id, f->repository.id);
    f->found = true;
    f->repository = found;
    return DR_OK;
}

/* All gc lists of the others, before anything can be written here: what was expired stays so. */
static enum dr_rc copy_gc(const struct founding *f, struct store *to, struct dr_err *err)
{
    for (size_t i = 0; i < f->config->bucket_count; i++) {
        DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
        if (f->fresh[i])
            continue;
        DR_TRY(store_list(f->stores[i], NAMES_GC, &names, err));
        for (size_t k = 0; k < names.count; k++) {
            DR_CLEANUP(buf_fini) struct buf object = { 0 };
            DR_TRY(store_get_all(f->stores[i], names.items[k], SEALED_SIZE_MAX, &object, err));
            enum dr_rc rc = store_put(to, names.items[k], object.data, object.len, err);
            if (rc != DR_OK && rc != DR_E_EXISTS)
                return rc;
        }
    }
    return DR_OK;
}

/* What was known of a bucket that is new, or empty again, is not so any more. */
static void forget_fresh(const struct founding *f)
{
    const char *state_dir = f->config->state_dir;
    DR_FREE char *folder = known_folder(state_dir, f->repository.id);
    for (size_t i = 0; i < f->config->bucket_count; i++) {
        if (!f->fresh[i])
            continue;
        known_forget_repository(state_dir, &f->config->buckets[i]);
        known_readmit(folder, f->config->buckets[i].name);
    }
}

/* gc lists, then the list of members (new buckets first), then the object that opens the bucket. */
static enum dr_rc take_in(struct founding *f, struct dr_err *err)
{
    const struct members_change change = { .config = f->config,
                                           .stores = f->stores,
                                           .fresh = f->fresh };
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    if (!f->found)
        repository_make(&f->repository);
    repository_encode(&f->repository, &object);
    for (size_t i = 0; i < f->config->bucket_count; i++)
        if (f->fresh[i])
            DR_TRY(copy_gc(f, f->stores[i], err));
    forget_fresh(f);
    DR_TRY(members_settle(&change, err));
    for (size_t i = 0; i < f->config->bucket_count; i++) {
        if (!f->fresh[i])
            continue;
        enum dr_rc rc = store_put(f->stores[i], NAMES_REPOSITORY, object.data, object.len, err);
        if (rc == DR_E_EXISTS)
            dr_hint(err, "Another init was faster: run 'drctl init' again.");
        DR_TRY(rc);
    }
    return DR_OK;
}

enum dr_rc repo_init(const struct config *c, struct dr_err *err)
{
    if (c->bucket_count == 0)
        return dr_fail(err, DR_E_CONFIG, "the configuration names no bucket");
    DR_CLEANUP(founding_fini)
    struct founding f = { .config = c,
                          .stores = dr_alloc(c->bucket_count, sizeof(void *)),
                          .fresh = dr_alloc(c->bucket_count, sizeof(bool)) };
    for (size_t i = 0; i < c->bucket_count; i++)
        DR_TRY(survey(&f, i, err));
    DR_CLEANUP(keys_free_ptr) struct keys *signer = NULL;
    DR_TRY(keys_open(c->state_dir, true, &signer, err));
    return take_in(&f, err);
}
