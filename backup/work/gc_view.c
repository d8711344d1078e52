/*
 * gc lists, remembered. See the header; the form of the objects is in FORMAT.md, chapter 9.
 */
#include "backup/work/gc_view.h"

#include <string.h>

#include "backup/format/names.h"
#include "backup/format/sealed.h"
#include "dr/base/hash.h"

enum { LIST_TRIES = 4 };

void gc_view_fini(struct gc_view *v)
{
    text_list_fini(&v->seen);
    text_list_fini(&v->expired);
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

static enum dr_rc read_list(struct gc_view *v, struct store *s, const char *name,
                            struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    DR_JSON json_t *gc = NULL;
    DR_TRY(store_get_all(s, name, SEALED_SIZE_MAX, &object, err));
    DR_TRY(sealed_parse(name, "drctl-gc", object.data, object.len, &gc, err));
    take_condemned(v, json_object_get(gc, "packs"));
    take_expired(v, json_object_get(gc, "snapshots"));
    text_list_add(&v->seen, name);
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
