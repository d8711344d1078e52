/*
 * Choosing is pure, the files are below. The sequence follows the clock, so that a host that lost its state
 * goes on above its old rows; and never falls, so that a clock set back does not look like a replay.
 */
#include "dr/status/rows.h"

#include <stdio.h>
#include <string.h>

#include "backup/store/store.h"
#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/status/finding.h"

enum { SEEN_MAX = 1 << 20, NS_IN_MS = 1000000 };

void rows_fini(struct rows *r)
{
    for (size_t i = 0; i < r->count; i++)
        row_fini(&r->items[i]);
    free(r->items);
    json_decref(r->findings);
    *r = (struct rows){ 0 };
}

/* "status/us.json": "us". The caller frees. */
static char *site_of(const char *name)
{
    size_t len = strlen(name), ends = strlen(".json"), begins = strlen(ROW_PREFIX);
    if (len <= begins + ends || !text_starts(name, ROW_PREFIX) || !text_ends(name, ".json"))
        return NULL;
    return dr_memdup(name + begins, len - begins - ends);
}

static void refuse(struct rows *r, const char *name, const char *bucket, const struct dr_err *err)
{
    DR_FREE char *site = site_of(name);
    if (site == NULL)
        return; /* not a row: somebody's own object */
    const struct finding f = { .severity = FINDING_CRITICAL,
                               .key = { "refused", site, NULL },
                               .hint = err->hint };
    finding_add(r->findings, &f, "a row of status in bucket '%s' is not believed: %s", bucket,
                err->msg);
}

/* Takes over the row. */
static void take(struct rows *r, struct row *row)
{
    for (size_t i = 0; i < r->count; i++) {
        struct row *have = &r->items[i];
        if (strcmp(have->site, row->site) != 0)
            continue;
        struct row *worse = row->seq > have->seq ? have : row;
        struct row better = row->seq > have->seq ? *row : *have;
        row_fini(worse);
        *have = better;
        return;
    }
    r->items = dr_realloc(r->items, r->count + 1, sizeof(r->items[0]));
    r->items[r->count++] = *row;
}

static void take_look(struct rows *r, const struct rows_from *from, size_t index)
{
    const json_t *look = json_array_get(from->looks, index);
    const struct row_reading how = { .config = from->config,
                                     .own_key = from->own_key,
                                     .repository =
                                         json_string_value(json_object_get(look, "repository")) };
    const char *name;
    json_t *object;
    json_object_foreach(json_object_get(look, "rows"), name, object)
    {
        DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
        struct dr_err err = { 0 };
        struct row row;
        if (!json_is_string(object))
            continue;
        buf_adds(&bytes, json_string_value(object));
        if (row_read(name, &bytes, &how, &row, &err) == DR_OK)
            take(r, &row);
        else
            refuse(r, name, from->config->buckets[index].name, &err);
    }
}

/* Ours is believed by our own key alone. */
static void take_own(struct rows *r, const struct rows_from *from)
{
    struct config nobody = *from->config;
    const struct row_reading how = { .config = &nobody, .own_key = from->own_key };
    struct dr_err ignored = { 0 };
    struct row row;
    nobody.trust_count = 0;
    if (from->own != NULL && from->own->len > 0 &&
        row_read(NULL, from->own, &how, &row, &ignored) == DR_OK)
        take(r, &row);
}

static int by_site(const void *left, const void *right)
{
    return strcmp(((const struct row *)left)->site, ((const struct row *)right)->site);
}

/* Has a newer one of this site and key been here? */
static void compare(struct rows *r, const struct row *row, json_t *seen)
{
    DR_FREE char *key = dr_strf("%s %s", row->site, row->writer);
    int64_t before = json_integer_value(json_object_get(seen, key));
    if (row->seq >= before) {
        json_put_int(seen, key, row->seq);
        return;
    }
    const struct finding f = { .severity = FINDING_CRITICAL,
                               .key = { "replay", row->site, NULL },
                               .hint =
                                   "Find out who can write into the buckets: an old row hides what "
                                   "happened since." };
    finding_add(r->findings, &f,
                "the newest row of site '%s' in the buckets is older than one seen before",
                row->site);
}

void rows_choose(const struct rows_from *from, json_t *seen, struct rows *ret)
{
    *ret = (struct rows){ .findings = json_array() };
    for (size_t i = 0; i < json_array_size(from->looks); i++)
        take_look(ret, from, i);
    take_own(ret, from);
    if (ret->count > 1)
        qsort(ret->items, ret->count, sizeof(ret->items[0]), by_site);
    for (size_t i = 0; i < ret->count; i++)
        compare(ret, &ret->items[i], seen);
}

/* -- files ---------------------------------------------------------------------------------- */

static char *dir_of(const struct config *c)
{
    return dr_strf("%s/status", c->state_dir);
}

json_t *rows_read_seen(const struct config *c)
{
    DR_FREE char *path = dr_strf("%s/status/seen", c->state_dir);
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    struct dr_err ignored = { 0 };
    json_t *seen = NULL;
    if (fs_read_file(path, SEEN_MAX, &text, &ignored) == DR_OK && text.len > 0 &&
        json_read(path, text.data, text.len, &seen, &ignored) == DR_OK && json_is_object(seen))
        return seen;
    json_decref(seen);
    return json_object();
}

static enum dr_rc keep(const struct config *c, const char *name, const struct buf *content,
                       struct dr_err *err)
{
    DR_FREE char *dir = dir_of(c);
    DR_TRY(fs_make_dirs(dir, 0700, err));
    return fs_replace(dir, name, content->data, content->len, err);
}

enum dr_rc rows_keep_seen(const struct config *c, const json_t *seen, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    json_add_canonical(&text, seen);
    buf_addc(&text, '\n');
    return keep(c, "seen", &text, err);
}

void rows_read_own(const struct config *c, struct buf *out)
{
    DR_FREE char *path = dr_strf("%s/status/row", c->state_dir);
    struct dr_err ignored = { 0 };
    if (fs_read_file(path, STORE_SWAP_MAX, out, &ignored) != DR_OK)
        buf_clear(out);
}

enum dr_rc rows_keep_own(const struct config *c, const json_t *body, const struct keys *signer,
                         struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    row_encode(body, NULL, signer, &object);
    return keep(c, "row", &object, err);
}

int64_t rows_next_seq(const struct config *c, const char *site)
{
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    DR_CLEANUP(row_fini) struct row last = { 0 };
    struct dr_err ignored = { 0 };
    char own_key[KEYS_TEXT_MAX];
    int64_t seq = clock_wall_ns() / NS_IN_MS; /* so that who lost it is above it again */
    rows_read_own(c, &object);
    if (keys_read_public(c->state_dir, own_key, &ignored) != DR_OK)
        own_key[0] = '\0';
    const struct row_reading how = { .config = c, .own_key = own_key };
    if (object.len > 0 && row_read(NULL, &object, &how, &last, &ignored) == DR_OK &&
        strcmp(last.site, site) == 0 && last.seq >= seq)
        seq = last.seq + 1;
    return seq > 0 ? seq : 1;
}
