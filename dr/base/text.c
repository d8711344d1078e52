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

static uint32_t code_point(const unsigned char *p, size_t step)
{
    uint32_t value = step == 1 ? p[0] : p[0] & (0x7fU >> step);
    for (size_t i = 1; i < step; i++)
        value = value << 6 | (p[i] & 0x3fU);
    return value;
}

/* What Unicode would do to a reader: bidirectional controls and invisible letters (Boucher and Anderson, "Trojan
 * Source", 2021), and the code points that no document may hold. */
static bool misleads(uint32_t c)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {
        { 0xad, 0xad },       /* soft hyphen */
        { 0x61c, 0x61c },     /* Arabic letter mark */
        { 0x180e, 0x180e },   /* a separator without width */
        { 0x200b, 0x200f },   /* spaces and joiners without width, marks of direction */
        { 0x2028, 0x202e },   /* separators of lines, embeddings and overrides */
        { 0x2060, 0x206f },   /* invisible operators, isolates */
        { 0xfdd0, 0xfdef },   /* no characters */
        { 0xfeff, 0xfeff },   /* byte order mark */
        { 0xfff9, 0xfffb },   /* annotations */
        { 0xe0000, 0xe0fff }, /* tags */
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(ranges); i++)
        if (c >= ranges[i].first && c <= ranges[i].last)
            return true;
    return (c & 0xfffe) == 0xfffe;
}

void text_add_printable(struct buf *out, const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text;
    while (len > 0) {
        size_t step = utf8_step(p, len);
        uint32_t c = step > 0 ? code_point(p, step) : 0;
        if (step == 0 || c < 0x20 || c == 0x7f || (c >= 0x80 && c < 0xa0)) {
            buf_addf(out, "\\x%02x", p[0]);
            step = 1;
        } else if (misleads(c)) {
            buf_addf(out, "\\u%04x", (unsigned)c);
        } else if (c == '\\') {
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
