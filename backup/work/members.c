/*
 * Lists of members. They only change when a person changes the configuration, so a race of two is
 * answered with "run it again" and not with cleverness.
 */
#include "backup/work/members.h"

#include <stdio.h>
#include <string.h>

#include "backup/format/names.h"
#include "backup/format/sealed.h"
#include "dr/base/mem.h"
#include "dr/data/json.h"

enum { NUMBER_MAX = 99999999 };

struct members { /* the list that counts */
    long number; /* 0: there is none */
    struct text_list names;
    bool everywhere;
};

static void members_fini(struct members *m)
{
    text_list_fini(&m->names);
}

static enum dr_rc read_names(struct store *s, const char *name, struct text_list *ret,
                             struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    DR_JSON json_t *body = NULL;
    const json_t *buckets = NULL;
    DR_TRY(store_get_all(s, name, SEALED_SIZE_MAX, &object, err));
    DR_FREE char *what = dr_strf("bucket '%s': object '%s'", s->name, name);
    DR_TRY(sealed_parse(what, "drctl-members", object.data, object.len, &body, err));
    DR_TRY(json_get_list(body, "buckets", &buckets, err));
    for (size_t i = 0; i < json_array_size(buckets); i++) {
        const char *text = NULL;
        DR_TRY(json_get_text(json_array_get(buckets, i), "name", &text, err));
        text_list_add(ret, text);
    }
    return DR_OK;
}

static long number_of(const char *name)
{
    return strtol(name + strlen(NAMES_MEMBERS), NULL, 10);
}

static enum dr_rc read_last(const struct members_change *m, struct members *ret, struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    for (size_t i = 0; i < m->config->bucket_count; i++)
        DR_TRY(store_list(m->stores[i], NAMES_MEMBERS, &names, err));
    if (names.count == 0)
        return DR_OK;
    text_list_sort(&names);
    const char *last = names.items[names.count - 1];
    size_t copies = 0;
    for (size_t i = 0; i < names.count; i++)
        copies += strcmp(names.items[i], last) == 0;
    ret->number = number_of(last);
    ret->everywhere = copies == m->config->bucket_count;
    enum dr_rc rc = DR_E_NOTFOUND;
    for (size_t i = 0; i < m->config->bucket_count && rc != DR_OK; i++) {
        text_list_fini(&ret->names);
        rc = read_names(m->stores[i], last, &ret->names, err);
    }
    return rc;
}

static bool is_retired(const struct members_change *m, const char *name)
{
    return m->retire != NULL && strcmp(m->retire, name) == 0;
}

static enum dr_rc check(const struct members_change *m, const struct members *last,
                        struct dr_err *err)
{
    for (size_t i = 0; i < last->names.count; i++) {
        const char *name = last->names.items[i];
        if (config_bucket(m->config, name) != NULL || is_retired(m, name))
            continue;
        dr_fail(err, DR_E_REFUSED,
                "bucket '%.60s' belongs to this repository, and the configuration does not name it",
                name);
        return dr_hint(err, "Add it to '%.50s', or give it up: drctl prune --retire %.60s",
                       m->config->path, name);
    }
    return DR_OK;
}

enum dr_rc members_check(const struct members_change *m, struct dr_err *err)
{
    DR_CLEANUP(members_fini) struct members last = { 0 };
    DR_TRY(read_last(m, &last, err));
    return check(m, &last, err);
}

static bool is_current(const struct members_change *m, const struct members *last)
{
    bool equal = last->everywhere && last->names.count == m->config->bucket_count;
    for (size_t i = 0; i < m->config->bucket_count && equal; i++)
        equal = text_list_has(&last->names, m->config->buckets[i].name);
    return equal;
}

static void encode(const struct config *c, struct buf *out)
{
    DR_JSON json_t *body = json_object();
    json_t *buckets = json_array();
    for (size_t i = 0; i < c->bucket_count; i++) {
        const struct config_bucket *b = &c->buckets[i];
        json_t *o = json_object();
        json_put_text(o, "name", b->name);
        json_put_text(o, "region", b->region != NULL ? b->region : "");
        json_put(o, "url", json_printable(b->url));
        int rc = json_array_append_new(buckets, o);
        DR_ASSERT(rc == 0);
    }
    json_put(body, "buckets", buckets);
    sealed_encode(body, "drctl-members", out);
}

/* Into all new buckets, or into all old ones. */
static enum dr_rc put_into(const struct members_change *m, bool fresh, const char *name,
                           const struct buf *object, struct dr_err *err)
{
    for (size_t i = 0; i < m->config->bucket_count; i++) {
        if ((m->fresh != NULL && m->fresh[i]) != fresh)
            continue;
        enum dr_rc rc = store_put(m->stores[i], name, object->data, object->len, err);
        if (rc == DR_E_EXISTS)
            return dr_hint(err, "Another host changes the list of buckets: run it again.");
        DR_TRY(rc);
    }
    return DR_OK;
}

enum dr_rc members_settle(const struct members_change *m, struct dr_err *err)
{
    DR_CLEANUP(members_fini) struct members last = { 0 };
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    DR_TRY(read_last(m, &last, err));
    DR_TRY(check(m, &last, err));
    if (is_current(m, &last))
        return DR_OK;
    if (last.number < 0 || last.number >= NUMBER_MAX)
        return dr_fail(err, DR_E_CORRUPT, "'" NAMES_MEMBERS "%ld' is no list of members",
                       last.number);
    encode(m->config, &object);
    DR_FREE char *name = dr_strf(NAMES_MEMBERS "%08ld", last.number + 1);
    DR_TRY(put_into(m, true, name, &object, err)); /* whoever knows of one must find it there */
    return put_into(m, false, name, &object, err);
}
