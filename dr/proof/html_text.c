/*
 * html_text.c - first what a reader of a terminal must not see either (text.h), then what HTML must not.
 */
#include "dr/proof/html_text.h"

#include <string.h>

#include "dr/base/mem.h"
#include "dr/base/text.h"

static const char *entity(char c)
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
    for (size_t i = 0; i < clean.len; i++) {
        if (entity(clean.data[i]) != NULL)
            buf_adds(out, entity(clean.data[i]));
        else
            buf_addc(out, clean.data[i]);
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
