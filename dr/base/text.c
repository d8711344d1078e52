/*
 * text.c - strings: lists, the nearest word, forms that a terminal can bear.
 *
 * Text from outside is never believed to be UTF-8, nor to be short: what is not printable is shown
 * as numbers, and distances are computed for words of bounded length only.
 */
#include "dr/base/text.h"

#include <stdio.h>
#include <string.h>

#include "dr/base/mem.h"

enum { DISTANCE_MAX_LEN = 64 };

void text_list_fini(struct text_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct text_list){ 0 };
}

void text_list_addn(struct text_list *list, const char *text, size_t len)
{
    if (list->count == list->cap) {
        list->cap = list->cap == 0 ? 8 : list->cap * 2;
        list->items = dr_realloc(list->items, list->cap, sizeof(*list->items));
    }
    list->items[list->count++] = dr_memdup(text, len);
}

void text_list_add(struct text_list *list, const char *text)
{
    text_list_addn(list, text, strlen(text));
}

bool text_list_has(const struct text_list *list, const char *text)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i], text) == 0)
            return true;
    return false;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void text_list_sort(struct text_list *list)
{
    if (list->count > 1)
        qsort(list->items, list->count, sizeof(*list->items), by_bytes);
}

bool text_list_has_sorted(const struct text_list *list, const char *text)
{
    return list->count > 0 &&
           bsearch(&text, list->items, list->count, sizeof(*list->items), by_bytes) != NULL;
}

char *text_list_join(const struct text_list *list, const char *between)
{
    struct buf b = { 0 };
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0)
            buf_adds(&b, between);
        buf_adds(&b, list->items[i]);
    }
    return buf_take(&b);
}

bool text_starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool text_ends(const char *text, const char *suffix)
{
    size_t len = strlen(text);
    size_t want = strlen(suffix);
    return len >= want && strcmp(text + len - want, suffix) == 0;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned text_distance(const char *a, const char *b)
{
    size_t la = strlen(a);
    size_t lb = strlen(b);
    if (la > DISTANCE_MAX_LEN || lb > DISTANCE_MAX_LEN)
        return DISTANCE_MAX_LEN * 2;

    unsigned row[3][DISTANCE_MAX_LEN + 1];
    for (size_t j = 0; j <= lb; j++)
        row[0][j] = (unsigned)j;
    for (size_t i = 1; i <= la; i++) {
        unsigned *now = row[i % 3];
        const unsigned *up = row[(i + 2) % 3];
        const unsigned *upup = row[(i + 1) % 3];
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= lb; j++) {
            unsigned cost = a[i - 1] != b[j - 1];
            now[j] = least(least(up[j] + 1, now[j - 1] + 1), up[j - 1] + cost);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], upup[j - 2] + 1);
        }
    }
    return row[la % 3][lb];
}

const char *text_nearest(const char *word, const char *const *candidates, size_t count)
{
    const char *best = NULL;
    size_t third = strlen(word) / 3;
    unsigned limit = third < 1 ? 1 : third > 3 ? 3 : (unsigned)third;
    unsigned best_distance = limit + 1;
    for (size_t i = 0; i < count; i++) {
        unsigned distance = text_distance(word, candidates[i]);
        if (distance < best_distance) {
            best_distance = distance;
            best = candidates[i];
        }
    }
    return best;
}

/* Length of the valid sequence at p, or 0. */
static size_t utf8_step(const unsigned char *p, size_t left)
{
    if (p[0] < 0x80)
        return 1;
    size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || left < len)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool outside = (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf4 && p[1] > 0x8f);
    return overlong || outside ? 0 : len;
}

bool text_is_utf8(const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text;
    while (len > 0) {
        size_t step = utf8_step(p, len);
        if (step == 0)
            return false;
        p += step;
        len -= step;
    }
    return true;
}

void text_add_printable(struct buf *out, const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text;
    while (len > 0) {
        size_t step = utf8_step(p, len);
        bool c1 = step == 2 && p[0] == 0xc2 && p[1] < 0xa0; /* U+0080 to U+009F: controls */
        if (step == 0 || p[0] < 0x20 || p[0] == 0x7f || c1) {
            buf_addf(out, "\\x%02x", p[0]);
            step = 1;
        } else if (p[0] == '\\') {
            buf_adds(out, "\\\\");
        } else {
            buf_add(out, p, step);
        }
        p += step;
        len -= step;
    }
}

char *text_size(char *out, size_t size, uint64_t bytes)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < DR_ARRAY_LEN(units)) {
        value /= 1024;
        unit++;
    }
    snprintf(out, size, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return out;
}
