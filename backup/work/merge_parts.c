/*
 * The merge proper: two sequences in path order, step by step. In a tree that did not change each
 * step is one comparison of equal paths and one of metadata; nothing is copied but the stat.
 */
#include "backup/work/merge_parts.h"

#include <string.h>

#include "backup/format/path.h"
#include "dr/base/mem.h"

void parts_fini(struct parts *p)
{
    free(p->items);
    buf_fini(&p->names);
    *p = (struct parts){ .items = NULL };
}

void parts_start(struct parts *p)
{
    p->count = p->live = p->old = p->range = 0;
}

/* The record at hand is the first of its range: that range begins. */
static void enter_range(struct parts *p, const struct prev_segment *s)
{
    while (p->range + 1 < s->toc.range_count && s->toc.ranges[p->range + 1].first <= p->old)
        p->range++;
}

static struct part *add(struct parts *p)
{
    if (p->count == p->cap) {
        p->cap = p->cap == 0 ? 4096 : p->cap * 2;
        p->items = dr_realloc(p->items, p->cap, sizeof *p->items);
    }
    struct part *part = &p->items[p->count++];
    part->range = (uint32_t)p->range;
    part->link_to = NULL;
    part->path_at = part->link_at = 0;
    return part;
}

static size_t keep_text(struct parts *p, const char *text, size_t len)
{
    if (p->names.len == 0)
        buf_addc(&p->names, '\0'); /* no text begins at 0 */
    size_t at = p->names.len;
    buf_add(&p->names, text, len + 1);
    return at;
}

static void add_gone(struct parts *p, const struct prev_segment *s)
{
    enter_range(p, s);
    const struct toc_record *r = &s->records[p->old];
    struct part *part = add(p);
    part->now.path = r->path;
    part->now.path_len = r->path_len;
    part->old = (uint32_t)p->old++;
    part->verdict = PART_GONE;
}

/* The first name of its inode: of an entry that has several, and is not the first itself. */
static enum dr_rc first_name(struct parts *p, const char **ret, struct dr_err *err)
{
    *ret = NULL;
    if (p->next->st.nlink < 2 || merge_type(p->next->st.mode) == '5')
        return DR_OK;
    return links_first(p->o.links, p->next, ret, err);
}

static enum dr_rc add_both(struct parts *p, const struct prev_segment *s, struct dr_err *err)
{
    static const enum part_verdict verdicts[] = {
        [MERGE_SAME] = PART_SAME, [MERGE_CHECK] = PART_CHECK, [MERGE_CHANGED] = PART_READ
    };
    const char *first;
    enter_range(p, s);
    DR_TRY(first_name(p, &first, err));
    const struct toc_record *r = &s->records[p->old];
    struct part *part = add(p);
    part->now = *p->next;
    part->now.path = r->path; /* the scan's own goes away */
    part->old = (uint32_t)p->old;
    part->verdict =
        verdicts[merge_trust(r, &s->extras[p->old], &part->now.st, first, p->o.read_all)];
    if (first != NULL && part->verdict != PART_READ)
        part->link_to = r->link; /* they are equal */
    else if (first != NULL)
        part->link_at = keep_text(p, first, strlen(first));
    p->old++;
    p->live++;
    p->asked = false;
    return DR_OK;
}

static enum dr_rc add_new(struct parts *p, struct dr_err *err)
{
    const char *first;
    DR_TRY(first_name(p, &first, err));
    struct part *part = add(p);
    part->now = *p->next;
    part->old = PART_NEW;
    part->verdict = PART_NEW_ENTRY;
    part->path_at = keep_text(p, p->next->path, p->next->path_len);
    if (first != NULL)
        part->link_at = keep_text(p, first, strlen(first));
    p->live++;
    p->asked = false;
    return DR_OK;
}

/* The names have stopped moving. */
static void set_names(struct parts *p)
{
    for (size_t i = 0; i < p->count; i++) {
        struct part *part = &p->items[i];
        if (part->path_at > 0)
            part->now.path = p->names.data + part->path_at;
        if (part->link_at > 0)
            part->link_to = p->names.data + part->link_at;
    }
}

static int compare(const struct toc_record *r, const struct scan_entry *e)
{
    if (r->path_len == e->path_len && memcmp(r->path, e->path, r->path_len) == 0)
        return 0;
    return path_compare(r->path, e->path);
}

/* The next entry of the scan, unless it is here already. */
static enum dr_rc ask(struct parts *p, struct dr_err *err)
{
    if (!p->asked)
        DR_TRY(scan_next(p->o.scan, &p->next, err));
    p->asked = true;
    return DR_OK;
}

/* The part that comes next in path order; *ret_end when neither side has one before end. */
static enum dr_rc add_next(struct parts *p, const struct prev_segment *s, const char *end,
                           bool *ret_end, struct dr_err *err)
{
    bool old = p->old < s->count, now = p->next != NULL;
    int order = old && now ? compare(&s->records[p->old], p->next) : old ? -1 : 1;
    *ret_end = !old && (!now || (end != NULL && path_compare(p->next->path, end) >= 0));
    if (*ret_end)
        return DR_OK;
    if (order < 0) {
        add_gone(p, s);
        return DR_OK;
    }
    return order == 0 ? add_both(p, s, err) : add_new(p, err);
}

enum dr_rc parts_fill(struct parts *p, const struct prev_segment *s, const char *end,
                      bool *ret_more, struct dr_err *err)
{
    bool at_end = false;
    p->count = p->live = 0;
    buf_clear(&p->names);
    *ret_more = false;
    while (!at_end && !*ret_more) {
        DR_TRY(ask(p, err));
        DR_TRY(add_next(p, s, end, &at_end, err));
        *ret_more = !at_end && (p->count >= PARTS_MAX || p->names.len >= PARTS_NAMES_MAX);
    }
    set_names(p);
    return DR_OK;
}
