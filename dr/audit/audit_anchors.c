/*
 * audit_anchors.c - what the buckets took against what the ledger holds now: byte by byte, by digest.
 */
#include <inttypes.h>
#include <string.h>

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

void audit_anchored(struct audit *a, int64_t from, int64_t to)
{
    if (a->keep_ranges) {
        a->ranges = dr_realloc(a->ranges, a->compared + 1, sizeof(a->ranges[0]));
        a->ranges[a->compared][0] = from;
        a->ranges[a->compared][1] = to;
    }
    a->compared++;
    a->to = to > a->to ? to : a->to;
    for (int64_t n = from; n <= to && n <= (int64_t)a->count; n++)
        a->lines[n - 1].anchored = true;
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
    const struct comparing c = { .a = a, .file = file, .writer = o.writer };
    if (!compare(&c, &o))
        return false;
    audit_anchored(a, o.from, o.to);
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
