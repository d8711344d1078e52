/*
 * The list of suspects: a small text file that is replaced whole. Two processes that write at once may lose a
 * line of one another; the object is found again by the next read of it.
 */
#include "backup/work/suspects.h"

#include <string.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"

enum { FILE_MAX = 4 << 20 };

#define SUSPECTS_FILE "suspects"

char *suspects_line(const char *bucket, const char *object)
{
    return dr_strf("%s %s", bucket, object);
}

/* Printable, and with exactly one blank inside: anything else was not written by us. */
static bool is_line(const char *text, size_t len)
{
    size_t blanks = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < ' ' || text[i] > '~')
            return false;
        blanks += text[i] == ' ';
    }
    return len > 2 && blanks == 1 && text[0] != ' ' && text[len - 1] != ' ';
}

void suspects_read(const char *state_dir, struct text_list *ret)
{
    DR_FREE char *path = dr_strf("%s/" SUSPECTS_FILE, state_dir);
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    struct dr_err ignored = { 0 };
    if (fs_read_file(path, FILE_MAX, &text, &ignored) != DR_OK || text.len == 0)
        return;
    const char *at = text.data, *end = text.data + text.len;
    while (at < end && ret->count < SUSPECTS_MAX) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t len = newline != NULL ? (size_t)(newline - at) : (size_t)(end - at);
        if (newline != NULL && is_line(at, len))
            text_list_addn(ret, at, len);
        at += len + 1;
    }
}

static void write_all(const char *state_dir, const struct text_list *lines)
{
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    struct dr_err ignored = { 0 };
    for (size_t i = 0; i < lines->count && i < SUSPECTS_MAX; i++)
        buf_addf(&text, "%s\n", lines->items[i]);
    if (fs_make_dirs(state_dir, 0700, &ignored) != DR_OK)
        return;
    enum dr_rc rc = fs_replace(state_dir, SUSPECTS_FILE, text.data != NULL ? text.data : "",
                               text.len, &ignored);
    (void)rc; /* the next repair looks at less; verify finds it again */
}

void suspects_add(const char *state_dir, const struct text_list *lines)
{
    DR_CLEANUP(text_list_fini) struct text_list all = { 0 };
    suspects_read(state_dir, &all);
    size_t before = all.count;
    for (size_t i = 0; i < lines->count; i++)
        if (!text_list_has(&all, lines->items[i]))
            text_list_add(&all, lines->items[i]);
    if (all.count > before)
        write_all(state_dir, &all);
}

void suspects_drop(const char *state_dir, const struct text_list *lines)
{
    DR_CLEANUP(text_list_fini) struct text_list all = { 0 }, left = { 0 };
    suspects_read(state_dir, &all);
    for (size_t i = 0; i < all.count; i++)
        if (!text_list_has(lines, all.items[i]))
            text_list_add(&left, all.items[i]);
    if (left.count < all.count)
        write_all(state_dir, &left);
}
