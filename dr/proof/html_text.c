/*
 * html_text.c - first what a terminal must not see either (text.h), then what HTML must not, then what
 * Unicode would do to a reader: its bidirectional controls and invisible letters (Boucher and
 * Anderson, "Trojan Source", 2021), and the code points that no document may hold.
 */
#include "dr/proof/html_text.h"

#include <string.h>

#include "dr/base/mem.h"
#include "dr/base/text.h"

/* Length of the valid UTF-8 sequence at p, and its code point. */
static size_t code_point(const unsigned char *p, uint32_t *ret)
{
    if (p[0] < 0x80) {
        *ret = p[0];
        return 1;
    }
    size_t more = p[0] >= 0xf0 ? 3 : p[0] >= 0xe0 ? 2 : 1;
    uint32_t value = p[0] & (0x3fU >> more);
    for (size_t i = 1; i <= more; i++)
        value = value << 6 | (p[i] & 0x3fU);
    *ret = value;
    return more + 1;
}

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

static const char *entity(uint32_t c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

void html_add_text(struct buf *out, const char *text)
{
    DR_CLEANUP(buf_fini) struct buf clean = { 0 };
    text_add_printable(&clean, text, strlen(text));
    size_t step = 0;
    for (size_t i = 0; i < clean.len; i += step) {
        uint32_t c = 0;
        step = code_point((const unsigned char *)clean.data + i, &c);
        if (misleads(c))
            buf_addf(out, "\\u%04x", (unsigned)c);
        else if (entity(c) != NULL)
            buf_adds(out, entity(c));
        else
            buf_add(out, clean.data + i, step);
    }
}

enum { WORD_MAX = 18 }; /* letters that any column has room for */

/* The longest run of bytes without one of `breaks`. */
static size_t longest_run(const char *text, const char *breaks)
{
    size_t longest = 0;
    for (;;) {
        size_t run = strcspn(text, breaks);
        longest = run > longest ? run : longest;
        if (text[run] == '\0')
            return longest;
        text += run + 1;
    }
}

void html_add_name(struct buf *out, const char *text)
{
    bool may_break = longest_run(text, " -") > WORD_MAX;
    bool anywhere = longest_run(text, " -_") > WORD_MAX;
    bool one = strchr(text, ' ') == NULL && strchr(text, '-') != NULL && strlen(text) <= WORD_MAX;
    buf_adds(out, anywhere ? "<span class=\"long\">" : one ? "<span class=\"one\">" : "");
    while (may_break && strchr(text, '_') != NULL) {
        DR_CLEANUP(buf_fini) struct buf piece = { 0 };
        size_t len = strcspn(text, "_") + 1;
        buf_add(&piece, text, len);
        html_add_text(out, piece.data);
        buf_adds(out, "<wbr>");
        text += len;
    }
    html_add_text(out, text);
    buf_adds(out, anywhere || one ? "</span>" : "");
}

char *html_short(const char *text, size_t letters)
{
    size_t i = 0;
    for (size_t seen = 0; text[i] != '\0'; i++)
        if (((unsigned char)text[i] & 0xc0) != 0x80 && seen++ == letters)
            break;
    return dr_strf("%.*s%s", (int)i, text, text[i] != '\0' ? ".." : "");
}
