/*
 * gc lists, remembered. See the header; the form of the objects is in FORMAT.md, chapter 9.
 */
#include "backup/work/gc_view.h"

#include <string.h>

#include "backup/format/names.h"
#include "backup/format/sealed.h"
#include "backup/work/known.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"

enum { LIST_TRIES = 4 };

void gc_view_fini(struct gc_view *v)
{
    text_list_fini(&v->seen);
    text_list_fini(&v->expired);
    text_list_fini(&v->everywhere);
    pack_names_fini(&v->condemned);
}

static void take_condemned(struct gc_view *v, const json_t *packs)
{
    for (size_t i = 0; i < json_array_size(packs); i++) {
        const char *hex = json_string_value(json_array_get(packs, i));
        uint8_t id[DIGEST_SIZE];
        if (hex != NULL && hex_decode(hex, strlen(hex), id, sizeof id))
            pack_names_add(&v->condemned, id);
    }
}

static void take_expired(struct gc_view *v, const json_t *snapshots)
{
    for (size_t i = 0; i < json_array_size(snapshots); i++) {
        const char *id = json_string_value(json_array_get(snapshots, i));
        if (id != NULL)
            text_list_add(&v->expired, id);
    }
}

static void take_everywhere(struct gc_view *v, const json_t *names)
{
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *last = json_string_value(json_array_get(names, i));
        DR_FREE char *name = dr_strf(NAMES_GC "%s", last != NULL ? last : "");
        if (last != NULL && !text_list_has(&v->everywhere, name))
            text_list_add(&v->everywhere, name);
    }
}

static enum dr_rc take_list(struct gc_view *v, const char *name, const struct buf *object,
                            struct dr_err *err)
{
    DR_JSON json_t *gc = NULL;
    DR_TRY(sealed_parse(name, "drctl-gc", object->data, object->len, &gc, err));
    take_condemned(v, json_object_get(gc, "packs"));
    take_expired(v, json_object_get(gc, "snapshots"));
    take_everywhere(v, json_object_get(gc, "seen"));
    text_list_add(&v->seen, name);
    return DR_OK;
}

static bool get_kept(const struct gc_view *v, const char *name, struct buf *ret)
{
    if (v->memory == NULL)
        return false;
    pthread_mutex_lock(&v->memory->lock);
    bool there = known_gc_get(v->memory->folder, name, ret);
    pthread_mutex_unlock(&v->memory->lock);
    return there;
}

static void keep(const struct gc_view *v, const char *name, const struct buf *object)
{
    if (v->memory == NULL || v->memory->read_only)
        return;
    pthread_mutex_lock(&v->memory->lock);
    known_gc_keep(v->memory->folder, name, object);
    pthread_mutex_unlock(&v->memory->lock);
}

static enum dr_rc read_list(struct gc_view *v, struct store *s, const char *name,
                            struct dr_err *err)
{
    struct dr_err ignored = { .rc = DR_OK };
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    if (get_kept(v, name, &object) && take_list(v, name, &object, &ignored) == DR_OK)
        return DR_OK;
    buf_clear(&object);
    DR_TRY(store_get_all(s, name, SEALED_SIZE_MAX, &object, err));
    DR_TRY(take_list(v, name, &object, err));
    keep(v, name, &object);
    return DR_OK;
}

static enum dr_rc read_new(struct gc_view *v, struct store *s, struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    DR_TRY(store_list(s, NAMES_GC, &names, err));
    for (size_t i = 0; i < names.count; i++)
        if (!text_list_has(&v->seen, names.items[i]))
            DR_TRY(read_list(v, s, names.items[i], err));
    return DR_OK;
}

enum dr_rc gc_view_read(struct gc_view *v, struct store *s, struct dr_err *err)
{
    enum dr_rc rc = DR_E_NOTFOUND;
    for (int i = 0; i < LIST_TRIES && rc == DR_E_NOTFOUND; i++)
        rc = read_new(v, s, err);
    return rc;
}

void gc_view_recall(struct gc_view *v)
{
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    known_gc_names(v->memory->folder, &names);
    for (size_t i = 0; i < names.count; i++) {
        DR_CLEANUP(buf_fini) struct buf object = { 0 };
        struct dr_err ignored = { .rc = DR_OK };
        if (!get_kept(v, names.items[i], &object))
            continue;
        enum dr_rc rc = take_list(v, names.items[i], &object, &ignored);
        (void)rc; /* a damaged one is fetched again when a bucket lists it */
    }
}

/* -- age ----------------------------------------------------------------------------------- */

/* Do the lists of v say all that one does? Then it was merged. */
static bool is_covered(const struct gc_view *v, const struct gc_view *one)
{
    for (size_t i = 0; i < one->expired.count; i++)
        if (!text_list_has(&v->expired, one->expired.items[i]))
            return false;
    for (uint32_t i = 0; i < one->condemned.count; i++)
        if (pack_names_find(&v->condemned, pack_names_of(&one->condemned, i)) == PACK_NAMES_NONE)
            return false;
    return true;
}

static bool is_merged(const struct gc_view *v, const struct gc_view *remembered, const char *name)
{
    struct dr_err ignored = { .rc = DR_OK };
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    DR_CLEANUP(gc_view_fini) struct gc_view one = { .memory = NULL };
    return get_kept(remembered, name, &object) &&
           take_list(&one, name, &object, &ignored) == DR_OK && is_covered(v, &one);
}

enum dr_rc gc_view_check_age(const struct gc_view *v, const struct gc_view *remembered,
                             struct dr_err *err)
{
    for (size_t i = 0; i < remembered->everywhere.count; i++) {
        const char *name = remembered->everywhere.items[i];
        if (text_list_has(&v->seen, name) || !text_list_has(&remembered->seen, name) ||
            is_merged(v, remembered, name))
            continue;
        return dr_fail(err, DR_E_REFUSED,
                       "it came back older than it was: '%s' is gone; 'drctl repair' copies into "
                       "it what it lacks",
                       name);
    }
    return DR_OK;
}
