/*
 * audit_anchors.c - what the buckets took against what the ledger holds now: byte by byte, by digest.
 */
#include <inttypes.h>
#include <string.h>

#include "backup/store/bucket.h"
#include "dr/audit/audit_inside.h"
#include "dr/base/mem.h"

/* The rest of an anchor whose lines go beyond the ledger's. */
static void tell_cut(struct audit *a, const char *file, const struct anchor *o)
{
    DR_FREE char *end = a->count > 0 ? audit_place(a, a->count - 1) : dr_strdup("no record at all");
    audit_find(a, AUDIT_BROKEN, file, 0,
               "the ledger ends with record %zu (%s), and this anchor holds records up to %" PRId64
               ": its tail is cut",
               a->count, end, o->to);
}

struct comparing {
    struct audit *a;
    const char *file; /* the anchor's */
    const char *writer;
};

/* One line of the anchor against the record of that number. False: it was a finding. */
static bool compare_line(const struct comparing *c, int64_t n, const char *line, size_t len)
{
    struct audit *a = c->a;
    uint8_t digest[HASH_SIZE];
    struct audit_line *l = &a->lines[n - 1];
    if (!l->known) {
        audit_find(a, AUDIT_BROKEN, c->file, 0,
                   "the ledger has no whole record %" PRId64 ", which this anchor holds", n);
        return false;
    }
    hash_start(a->hash);
    hash_add(a->hash, line, len);
    hash_end(a->hash, digest);
    if (memcmp(digest, l->digest, sizeof(digest)) == 0) {
        l->anchored = true;
        l->vouched |= l->is_signed && strcmp(a->signers.items[l->key], c->writer) == 0;
        return true;
    }
    audit_find(a, AUDIT_BROKEN, a->files.items[l->file], l->line,
               "record %" PRId64 " differs from what '%s' holds", n, c->file);
    return false;
}

static bool compare(const struct comparing *c, const struct anchor *o)
{
    const char *at = o->lines, *end = o->lines + o->len;
    int64_t n = o->from;
    for (; at < end; n++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (stop == NULL || n > o->to)
            break;
        if (n > (int64_t)c->a->count) {
            tell_cut(c->a, c->file, o);
            return false;
        }
        if (!compare_line(c, n, at, (size_t)(stop - at) + 1))
            return false;
        at = stop + 1;
    }
    if (at == end && n == o->to + 1)
        return true;
    audit_find(c->a, AUDIT_BROKEN, c->file, 0, "it does not hold the lines that it says");
    return false;
}

bool audit_anchor(struct audit *a, const char *file, const struct buf *object)
{
    struct anchor o = { 0 };
    struct dr_err err = { 0 };
    if (anchor_read(file, object, &o, &err) != DR_OK) {
        audit_find(a, AUDIT_BROKEN, file, 0, "%s", err.msg);
        return false;
    }
    if (!audit_believes(a, o.writer, file, 0))
        return false;
    if (a->id[0] != '\0' && strcmp(o.book, a->id) != 0) {
        audit_find(a, AUDIT_BROKEN, file, 0,
                   "it is of another ledger (%s): that one is not here, or this one was begun anew",
                   o.book);
        return false;
    }
    for (size_t i = 0; i < a->mark_count; i++)
        a->marks[i].seen |= a->marks[i].to == o.to;
    const struct comparing c = { .a = a, .file = file, .writer = o.writer };
    if (!compare(&c, &o))
        return false;
    a->to = o.to > a->to ? o.to : a->to;
    return true;
}

void audit_anchors(struct audit *a, const struct audit_plan *plan)
{
    for (size_t i = 0; i < plan->anchors.count; i++) {
        DR_CLEANUP(audit_files_fini) struct audit_files one = { 0 };
        if (!audit_load(a, plan->anchors.items[i], ANCHOR_OBJECT_MAX, &one))
            continue;                                                  /* it was a finding */
        (void)audit_anchor(a, one.items[0].name, &one.items[0].bytes); /* likewise */
        a->objects++;
    }
}

/* -- in the buckets --------------------------------------------------------------------------------- */

/* "ledger/us/3f9c.../NAME": of which book. */
static bool is_of(const char *name, const char *prefix, const char *book)
{
    const char *id = name + strlen(prefix);
    return strncmp(id, book, strlen(book)) == 0 && id[strlen(book)] == '/';
}

static enum dr_rc ask(struct audit *a, struct store *s, const char *prefix, size_t *ret_count,
                      struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    DR_FREE char *where = dr_strf("bucket '%s'", s->name);
    size_t others = 0;
    DR_TRY(store_list(s, prefix, &names, err));
    for (size_t i = 0; i < names.count; i++) {
        DR_CLEANUP(buf_fini) struct buf object = { 0 };
        DR_FREE char *what = dr_strf("%s:%s", s->name, names.items[i]);
        if (!is_of(names.items[i], prefix, a->id)) {
            others++;
            continue;
        }
        DR_TRY(store_get_all(s, names.items[i], ANCHOR_OBJECT_MAX, &object, err));
        (void)audit_anchor(a, what, &object); /* a finding if not */
        (*ret_count)++;
    }
    if (others > 0)
        audit_find(a, AUDIT_UNKNOWN, where, 0,
                   "it holds %zu anchors of another ledger of this site, which is not here",
                   others);
    return DR_OK;
}

void audit_ask(struct audit *a, const struct config *c, const char *site)
{
    DR_FREE char *prefix = dr_strf(NAMES_LEDGER "%s/", site);
    for (size_t i = 0; i < c->bucket_count; i++) {
        DR_CLEANUP(store_close_ptr) struct store *s = NULL;
        struct dr_err err = { 0 };
        size_t count = 0;
        enum dr_rc rc = bucket_open(c, &c->buckets[i], NULL, &s, &err);
        if (rc == DR_OK)
            rc = ask(a, s, prefix, &count, &err);
        DR_FREE char *where = dr_strf("bucket '%s'", c->buckets[i].name);
        if (rc != DR_OK)
            audit_find(a, AUDIT_UNKNOWN, where, 0, "%s", err.msg);
        else if (count < a->objects)
            audit_find(a, AUDIT_NOTE, where, 0,
                       "it holds %zu of %zu anchors: drctl audit anchor brings the others", count,
                       a->objects);
        json_t *o = json_object();
        json_put_text(o, "name", c->buckets[i].name);
        json_put_int(o, "objects", (int64_t)count);
        DR_ASSERT(json_array_append_new(a->buckets, o) == 0);
    }
}
