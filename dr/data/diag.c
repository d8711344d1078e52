/*
 * diag.c - mistakes in a file that a person wrote, gathered so that all are told at once.
 *
 * They are printed in the order of the text, whatever the order in which they were found.
 */
#include "dr/data/diag.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/base/text.h"

void diag_fini(struct diag *d)
{
    for (size_t i = 0; i < d->count; i++) {
        free(d->items[i].file);
        free(d->items[i].what);
        free(d->items[i].hint);
    }
    free(d->items);
    *d = (struct diag){ 0 };
}

static char *text_of(const char *fmt, va_list ap) DR_PRINTF(1, 0);
static char *text_of(const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int len = vsnprintf(NULL, 0, fmt, ap);
    DR_ASSERT(len >= 0);
    char *text = dr_alloc((size_t)len + 1, 1);
    vsnprintf(text, (size_t)len + 1, fmt, again);
    va_end(again);
    return text;
}

static void add(struct diag *d, struct diag_item item)
{
    DR_ASSERT(d->file != NULL);
    if (item.severity == DIAG_ERROR)
        d->errors++;
    if (d->count == DIAG_MAX) {
        d->dropped++;
        free(item.what);
        return;
    }
    if (d->count == d->cap) {
        d->cap = d->cap == 0 ? 8 : d->cap * 2;
        d->items = dr_realloc(d->items, d->cap, sizeof(*d->items));
    }
    item.file = dr_strdup(d->file);
    d->items[d->count++] = item;
}

void diag_error(struct diag *d, int line, int col, const char *code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *what = text_of(fmt, ap);
    va_end(ap);
    add(d, (struct diag_item){ DIAG_ERROR, line, col, NULL, what, code, NULL });
}

void diag_warning(struct diag *d, int line, int col, const char *code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *what = text_of(fmt, ap);
    va_end(ap);
    add(d, (struct diag_item){ DIAG_WARNING, line, col, NULL, what, code, NULL });
}

void diag_hint(struct diag *d, const char *fmt, ...)
{
    if (d->dropped > 0)
        return;
    DR_ASSERT(d->count > 0);
    va_list ap;
    va_start(ap, fmt);
    free(d->items[d->count - 1].hint);
    d->items[d->count - 1].hint = text_of(fmt, ap);
    va_end(ap);
}

/* Where the file of item i was first named: files stay in the order in which they were read. */
static size_t first_of_file(const struct diag *d, size_t i)
{
    size_t first = 0;
    while (strcmp(d->items[first].file, d->items[i].file) != 0)
        first++;
    return first;
}

struct ranked {
    size_t file, index;
    struct diag_item item;
};

static int by_place(const void *pa, const void *pb)
{
    const struct ranked *a = pa, *b = pb;
    if (a->file != b->file)
        return a->file < b->file ? -1 : 1;
    if (a->item.line != b->item.line)
        return a->item.line < b->item.line ? -1 : 1;
    if (a->item.col != b->item.col)
        return a->item.col < b->item.col ? -1 : 1;
    return a->index < b->index ? -1 : 1;
}

void diag_sort(struct diag *d)
{
    if (d->count < 2)
        return;
    DR_FREE struct ranked *r = dr_alloc(d->count, sizeof(*r));
    for (size_t i = 0; i < d->count; i++)
        r[i] = (struct ranked){ first_of_file(d, i), i, d->items[i] };
    qsort(r, d->count, sizeof(*r), by_place);
    for (size_t i = 0; i < d->count; i++)
        d->items[i] = r[i].item;
}

void diag_print(struct diag *d, struct buf *out)
{
    diag_sort(d);
    for (size_t i = 0; i < d->count; i++) {
        const struct diag_item *item = &d->items[i];
        text_add_printable(out, item->file, strlen(item->file));
        buf_addf(out, ":%d:%d: %s: ", item->line, item->col,
                 item->severity == DIAG_ERROR ? "error" : "warning");
        text_add_printable(out, item->what, strlen(item->what));
        buf_addf(out, " [%s]\n", item->code);
        if (item->hint != NULL) {
            buf_adds(out, "    hint: ");
            text_add_printable(out, item->hint, strlen(item->hint));
            buf_addc(out, '\n');
        }
    }
    if (d->dropped > 0)
        buf_addf(out, "%s: %zu more findings\n", d->file, d->dropped);
}
