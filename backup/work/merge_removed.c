/*
 * One walk over parts and the old list side by side gives every path that does not live, with what lived
 * last before it. That is all one needs: in path order, whatever live entry is not a directory
 * and stands above a path is the live entry right before it, and the live directories above a path are
 * those above the last live directory before it.
 */
#include "backup/work/merge_removed.h"

#include <string.h>

#include "backup/format/path.h"

struct walk {
    const struct parts *parts;
    size_t i;
    const char *at, *list_end, *end; /* of the old list; first path of the next segment */
    const char *directory, *last;    /* what lived before */
    bool last_is_directory, reborn;
};

static const char *text_of(const struct buf *b)
{
    return b->data != NULL ? b->data : "";
}

static struct walk walk_of(const struct removed *r, const struct parts *parts, const char *end)
{
    return (struct walk){ .parts = parts,
                          .at = r->at,
                          .list_end = r->end,
                          .end = end,
                          .directory = text_of(&r->directory),
                          .last = text_of(&r->last),
                          .last_is_directory = r->last_is_directory };
}

static void pass_part(struct walk *w, const struct part *p)
{
    w->i++;
    if (!part_lives(p))
        return;
    w->last = p->now.path;
    w->last_is_directory = part_type(p) == '5';
    if (w->last_is_directory)
        w->directory = w->last;
}

/* The next path that does not live; NULL at the end. */
static const char *next_dead(struct walk *w)
{
    for (;;) {
        const struct part *part = w->i < w->parts->count ? &w->parts->items[w->i] : NULL;
        const char *listed =
            w->at < w->list_end && (w->end == NULL || path_compare(w->at, w->end) < 0) ? w->at
                                                                                       : NULL;
        if (part == NULL && listed == NULL)
            return NULL;
        int order = part == NULL ? 1 : listed == NULL ? -1 : path_compare(part->now.path, listed);
        if (order >= 0)
            w->at += strlen(w->at) + 1;
        if (order > 0)
            return listed;
        if (order == 0 && part_lives(part))
            w->reborn = true;
        pass_part(w, part);
        if (!part_lives(part))
            return part->now.path;
    }
}

void removed_init(struct removed *r, const struct buf *before)
{
    *r = (struct removed){ .last_is_directory = true };
    r->at = text_of(before);
    r->end = r->at + before->len;
}

void removed_fini(struct removed *r)
{
    buf_fini(&r->paths);
    buf_fini(&r->directory);
    buf_fini(&r->last);
    buf_fini(&r->top);
}

void removed_look(const struct removed *r, const struct parts *parts, const char *end,
                  struct merge_segment *ret)
{
    struct walk w = walk_of(r, parts, end);
    const char *dead;
    while ((dead = next_dead(&w)) != NULL) {
        ret->removed++;
        if (!w.last_is_directory && path_is_within(dead, w.last))
            ret->blocked = true;
    }
    ret->reborn = w.reborn;
}

/* How many bytes of path are the highest directory above it that does not live (or itself). */
static size_t top_of(const char *path, const char *directory)
{
    size_t shared = 0; /* of whole components */
    for (size_t i = 0;; i++) {
        bool end = directory[i] == '\0' || directory[i] == '/';
        if (end && path[i] == '/')
            shared = i + 1;
        if (path[i] != directory[i] || path[i] == '\0')
            break;
    }
    const char *slash = strchr(path + shared, '/');
    return slash != NULL ? (size_t)(slash - path) : strlen(path);
}

static void set_text(struct buf *b, const char *text, size_t len)
{
    buf_clear(b);
    buf_add(b, text, len);
}

static void list(struct removed *r, const char *path, const char *directory, const char *first)
{
    size_t len = top_of(path, directory);
    bool is_new = r->top.len != len || memcmp(text_of(&r->top), path, len) != 0;
    if (is_new) {
        set_text(&r->top, path, len);
        buf_add(&r->paths, r->top.data, len + 1);
    }
    bool is_earlier = path_compare(r->top.data, first) < 0;
    if (path[len] != '\0' && is_earlier)
        buf_add(&r->paths, path, strlen(path) + 1);
}

void removed_pass(struct removed *r, const struct parts *parts, const struct removed_scope *scope)
{
    struct walk w = walk_of(r, parts, scope->end);
    const char *dead;
    while ((dead = next_dead(&w)) != NULL) {
        bool below_live = !w.last_is_directory && path_is_within(dead, w.last);
        if (!below_live && (scope->keep_from == NULL || path_compare(dead, scope->keep_from) > 0))
            list(r, dead, w.directory, scope->first);
    }
    r->at = w.at;
    if (w.last != text_of(&r->last))
        set_text(&r->last, w.last, strlen(w.last));
    if (w.directory != text_of(&r->directory))
        set_text(&r->directory, w.directory, strlen(w.directory));
    r->last_is_directory = w.last_is_directory;
}
