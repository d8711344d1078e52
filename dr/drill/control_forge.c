/*
 * Snapshot objects that nobody should believe. They are made of the real one, in memory, and travel in the
 * request of a control; no bucket ever gets one.
 */
#include <string.h>

#include "backup/format/keys.h"
#include "backup/format/names.h"
#include "dr/base/clock.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "dr/drill/control_work.h"

enum { OBJECT_MAX = 4 << 20 }; /* what a step reads as a request is 8 MiB */

static const int64_t LATER_NS = 1000000000;

/* The object as a bucket has it, and what it says. The caller finis both. */
static enum dr_rc get_object(struct control_job *j, struct buf *ret, struct snapshot *ret_snapshot,
                             struct dr_err *err)
{
    DR_CLEANUP(repo_close_ptr) struct repo *repo = NULL;
    char name[NAMES_MAX];
    DR_TRY(control_repo(j->place, &repo, err));
    names_of(NAMES_SNAPSHOTS, j->place->snapshot, name);
    dr_fail(err, DR_E_NOTFOUND, "snapshot '%s' is in no open bucket", j->place->snapshot);
    for (size_t i = 0; i < repo_bucket_count(repo); i++) {
        struct store *s = repo_bucket(repo, i)->store;
        buf_clear(ret);
        if (s != NULL && store_get_all(s, name, SNAPSHOT_SIZE_MAX, ret, err) == DR_OK &&
            repo_judge(repo, name, ret, ret_snapshot, err) == DR_OK)
            return DR_OK;
    }
    return err->rc;
}

/* Other words above the old signature. */
static enum dr_rc change_text(const struct buf *object, struct buf *out, struct dr_err *err)
{
    DR_JSON json_t *body = NULL;
    DR_ASSERT(object->data != NULL); /* it was judged */
    const char *seal = memchr(object->data, '\n', object->len);
    DR_ASSERT(seal != NULL);
    DR_TRY(json_read("snapshot", object->data, (size_t)(seal - object->data), &body, err));
    const char *host = json_string_value(json_object_get(body, "host"));
    DR_FREE char *other = dr_strf("%s-forged", host != NULL ? host : "");
    json_put_text(body, "host", other);
    json_add_canonical(out, body);
    buf_add(out, seal, object->len - (size_t)(seal - object->data));
    return DR_OK;
}

/* Of the next epoch, which begins then. */
static void become_another(struct snapshot *s, int64_t start_ns)
{
    s->epoch++;
    s->start_ns = start_ns;
    s->end_ns = s->start_ns + 1;
    random_bytes(s->nonce, sizeof(s->nonce));
    const struct names_id parts = {
        .source = s->source, .epoch = s->epoch, .start_ns = s->start_ns, .nonce = s->nonce
    };
    names_make_id(&parts, s->id);
}

static void sign_by_nobody(const struct snapshot *s, struct buf *out)
{
    DR_CLEANUP(keys_free_ptr) struct keys *nobody = keys_new();
    snapshot_encode(s, nobody, out);
}

/* By this host's own key. False: it has none, or none whose word counts for the source. */
static bool sign_by_us(const struct control_job *j, const struct snapshot *s, struct buf *out)
{
    DR_CLEANUP(keys_free_ptr) struct keys *own = NULL;
    DR_CLEANUP(repo_close_ptr) struct repo *repo = NULL;
    DR_CLEANUP(snapshot_fini) struct snapshot judged = { 0 };
    struct dr_err err = { 0 };
    char name[NAMES_MAX];
    if (keys_open(j->place->config->state_dir, false, &own, &err) != DR_OK ||
        control_repo(j->place, &repo, &err) != DR_OK)
        return false;
    snapshot_encode(s, own, out);
    return repo_judge(repo, names_of(NAMES_SNAPSHOTS, s->id, name), out, &judged, &err) == DR_OK;
}

enum dr_rc job_forge(struct control_job *j, enum control_forgery how, struct plant *ret,
                     char id[SNAPSHOT_ID_MAX], bool *ret_found, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    DR_CLEANUP(snapshot_fini) struct snapshot s = { 0 };
    char name[NAMES_MAX];
    DR_TRY(get_object(j, &object, &s, err));
    bool signed_by_us = true;
    if (how == FORGERY_STRANGER)
        become_another(&s, clock_wall_ns() + LATER_NS);
    if (how == FORGERY_SUCCESSOR)
        become_another(&s, s.start_ns - LATER_NS);
    if (how == FORGERY_TEXT)
        DR_TRY(change_text(&object, &out, err));
    else if (how == FORGERY_SUCCESSOR)
        signed_by_us = sign_by_us(j, &s, &out);
    else
        sign_by_nobody(&s, &out);
    *ret_found = signed_by_us && out.len <= OBJECT_MAX && text_is_utf8(out.data, out.len);
    if (!*ret_found)
        return DR_OK;
    memcpy(id, s.id, sizeof(s.id));
    ret->kind = PLANT_OBJECT;
    ret->name = dr_strdup(names_of(NAMES_SNAPSHOTS, s.id, name));
    ret->text = dr_memdup(out.data, out.len);
    return DR_OK;
}
