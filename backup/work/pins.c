/*
 * Pins. Their names carry a number that only grows: clocks have no say in which one is the last.
 */
#include "backup/work/pins.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dr/base/clock.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "dr/data/json.h"

enum { NUMBER_MAX = 99999999, HOST_MAX = 256 };

void pins_fini(struct pins *p)
{
    for (size_t i = 0; i < p->count; i++) {
        free(p->items[i].id);
        free(p->items[i].reason);
    }
    free(p->items);
    *p = (struct pins){ 0 };
}

/* Length of the id in "pins/ID/NAME", or 0. */
static size_t id_len(const char *name)
{
    const char *id = name + strlen(NAMES_PINS);
    const char *slash = strchr(id, '/');
    return slash == NULL || slash[1] == '\0' ? 0 : (size_t)(slash - id);
}

/* The record from the first bucket that has it whole. */
static enum dr_rc read_record(struct repo *r, const char *name, json_t **ret)
{
    enum dr_rc rc = DR_E_NOTFOUND;
    for (size_t i = 0; i < repo_bucket_count(r) && rc != DR_OK; i++) {
        DR_CLEANUP(buf_fini) struct buf object = { 0 };
        struct dr_err ignored = { 0 };
        struct store *s = repo_bucket(r, i)->store;
        if (s == NULL)
            continue;
        rc = store_get_all(s, name, SEALED_SIZE_MAX, &object, &ignored);
        if (rc == DR_OK)
            rc = sealed_parse(name, "drctl-pin", object.data, object.len, ret, &ignored);
    }
    return rc;
}

/* Does the last record of an id say "pinned"? One that nobody can read does. */
static void add_last(struct repo *r, const char *name, struct pins *ret)
{
    DR_JSON json_t *body = NULL;
    const char *reason = "its record cannot be read";
    if (read_record(r, name, &body) == DR_OK) {
        if (json_is_false(json_object_get(body, "pinned")))
            return;
        reason = json_string_value(json_object_get(body, "reason"));
    }
    struct pin *p = &ret->items[ret->count++];
    p->id = dr_memdup(name + strlen(NAMES_PINS), id_len(name));
    p->reason = dr_strdup(reason != NULL ? reason : "");
}

static enum dr_rc list_names(struct repo *r, const char *prefix, struct text_list *ret,
                             struct dr_err *err)
{
    for (size_t i = 0; i < repo_bucket_count(r); i++) {
        struct store *s = repo_bucket(r, i)->store;
        if (s != NULL)
            DR_TRY(store_list(s, prefix, ret, err));
    }
    text_list_sort(ret);
    return DR_OK;
}

enum dr_rc pins_read(struct repo *r, struct pins *ret, struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    DR_TRY(list_names(r, NAMES_PINS, &names, err));
    *ret = (struct pins){ .items = dr_alloc(names.count + 1, sizeof(ret->items[0])) };
    for (size_t i = 0; i < names.count; i++) {
        const char *name = names.items[i], *next = i + 1 < names.count ? names.items[i + 1] : "";
        size_t len = id_len(name);
        bool last = strncmp(name, next, strlen(NAMES_PINS) + len + 1) != 0;
        if (len > 0 && last)
            add_last(r, name, ret);
    }
    return DR_OK;
}

const struct pin *pins_find(const struct pins *p, const char *id)
{
    for (size_t i = 0; i < p->count; i++)
        if (strcmp(p->items[i].id, id) == 0)
            return &p->items[i];
    return NULL;
}

enum dr_rc pins_put(struct repo *r, const char *id, bool pinned, const char *reason,
                    struct dr_err *err)
{
    DR_ASSERT(names_is_id(id));
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    DR_FREE char *prefix = dr_strf(NAMES_PINS "%s/", id);
    DR_TRY(list_names(r, prefix, &names, err));
    long number = 0;
    if (names.count > 0)
        number = strtol(names.items[names.count - 1] + strlen(prefix), NULL, 10);
    if (number < 0 || number >= NUMBER_MAX)
        return dr_fail(err, DR_E_CORRUPT, "'%s' is no pin", names.items[names.count - 1]);
    uint8_t noise[4];
    char hex[2 * sizeof(noise) + 1], host[HOST_MAX] = "";
    random_bytes(noise, sizeof(noise));
    (void)gethostname(host, sizeof(host) - 1); /* for people */
    DR_FREE char *name =
        dr_strf("%s%08ld-%s", prefix, number + 1, hex_encode(noise, sizeof(noise), hex));
    DR_JSON json_t *body = json_object();
    json_put_int(body, "at_ns", clock_wall_ns());
    json_put(body, "host", json_printable(host));
    json_put(body, "pinned", json_boolean(pinned));
    json_put(body, "reason", json_printable(reason));
    json_put_text(body, "snapshot", id);
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    sealed_encode(body, "drctl-pin", &object);
    for (size_t i = 0; i < repo_bucket_count(r); i++) {
        struct store *s = repo_bucket(r, i)->store;
        if (s != NULL)
            DR_TRY(store_put(s, name, object.data, object.len, err));
    }
    return DR_OK;
}
