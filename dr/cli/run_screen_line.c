/*
 * run_screen_line.c - lines that a terminal can bear: printable, and never wider than it is.
 *
 * A name from outside may hold an escape sequence, a line end, or a mark that turns the direction of
 * writing; shown as it is, each would break a screen that is drawn again. Columns are counted by the
 * ranges of wide and of combining characters, without a locale: C.UTF-8 is not everywhere.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "dr/base/mem.h"
#include "dr/cli/run_screen.h"

enum { WIDTH_DEFAULT = 80, WIDTH_MIN = 10, WIDTH_MAX = 400, ROWS_DEFAULT = 24, INDENT_SHARE = 3 };

static struct winsize size_of_terminal(void)
{
    struct winsize ws = { 0 };
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) != 0)
        return (struct winsize){ 0 };
    return ws;
}

int run_screen_width(void)
{
    struct winsize ws = size_of_terminal();
    if (ws.ws_col < WIDTH_MIN)
        return WIDTH_DEFAULT;
    return ws.ws_col < WIDTH_MAX ? ws.ws_col : WIDTH_MAX;
}

int run_screen_rows(void)
{
    struct winsize ws = size_of_terminal();
    return ws.ws_row > 0 ? ws.ws_row : ROWS_DEFAULT;
}

/* -- characters ------------------------------------------------------------------------------------ */

static uint32_t code_at(const char *p, size_t *len)
{
    const unsigned char *u = (const unsigned char *)p;
    *len = u[0] < 0xc0 ? 1 : u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
    static const unsigned char masks[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
    uint32_t code = u[0] & masks[*len];
    for (size_t i = 1; i < *len; i++)
        code = code << 6 | (u[i] & 0x3f);
    return code;
}

struct range {
    uint32_t first, last;
};

static bool in_ranges(uint32_t code, const struct range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (code >= ranges[i].first && code <= ranges[i].last)
            return true;
    return false;
}

static int columns_of(uint32_t code)
{
    static const struct range none[] = { { 0x300, 0x36f }, { 0x200b, 0x200d }, { 0xfe00, 0xfe0f } };
    static const struct range two[] = { { 0x1100, 0x115f },  { 0x2e80, 0xa4cf },
                                        { 0xac00, 0xd7a3 },  { 0xf900, 0xfaff },
                                        { 0xfe30, 0xfe6f },  { 0xff00, 0xff60 },
                                        { 0xffe0, 0xffe6 },  { 0x1f000, 0x1faff },
                                        { 0x20000, 0x3fffd } };
    if (in_ranges(code, none, DR_ARRAY_LEN(none)))
        return 0;
    return in_ranges(code, two, DR_ARRAY_LEN(two)) ? 2 : 1;
}

/* Marks that turn the direction of what follows, and line ends that are no line feed. */
static bool is_trick(uint32_t code)
{
    static const struct range tricks[] = { { 0x200e, 0x200f },
                                           { 0x2028, 0x202e },
                                           { 0x2066, 0x2069 } };
    return in_ranges(code, tricks, DR_ARRAY_LEN(tricks));
}

char *screen_clean(const char *text)
{
    struct buf safe = { 0 };
    struct buf out = { 0 };
    for (const char *p = text; *p != '\0';) {
        size_t len = strcspn(p, "\\");
        text_add_printable(&safe, p, len);
        p += len;
        for (; *p == '\\'; p++) /* what is escaped already stays as it is */
            buf_addc(&safe, '\\');
    }
    buf_adds(&out, "");
    for (size_t i = 0, len = 0; i < safe.len; i += len) {
        uint32_t code = code_at(safe.data + i, &len);
        if (is_trick(code))
            buf_addf(&out, "\\u%04x", code);
        else
            buf_add(&out, safe.data + i, len);
    }
    buf_fini(&safe);
    return buf_take(&out);
}

/* How many bytes of a clean text fit; ret_columns: how wide they are. */
static size_t fitting(const char *text, int columns, int *ret_columns)
{
    size_t at = 0;
    int used = 0;
    for (size_t len = 0; text[at] != '\0'; at += len) {
        int more = columns_of(code_at(text + at, &len));
        if (used + more > columns)
            break;
        used += more;
    }
    *ret_columns = used;
    return at;
}

int screen_columns(const char *text)
{
    int used = 0;
    (void)fitting(text, INT32_MAX, &used);
    return used;
}

void screen_cut(struct buf *line, int columns)
{
    int used = 0;
    if (line->len == 0)
        return;
    line->len = fitting(line->data, columns, &used);
    line->data[line->len] = '\0';
}

/* -- lines ----------------------------------------------------------------------------------------- */

static void add_line(struct text_list *out, size_t indent, const char *text, size_t len)
{
    DR_CLEANUP(buf_fini) struct buf line = { 0 };
    for (size_t i = 0; i < indent; i++)
        buf_addc(&line, ' ');
    buf_add(&line, text, len);
    text_list_addn(out, line.data != NULL ? line.data : "", line.len);
}

void screen_wrap(const char *clean, int columns, struct text_list *out)
{
    size_t indent = strspn(clean, " ") + 2;
    size_t before = 0;
    int used = 0;
    if (indent > (size_t)columns / INDENT_SHARE)
        indent = 1;
    for (const char *p = clean;; before = indent) {
        size_t len = fitting(p, columns - (int)before, &used);
        if (p[len] == '\0') {
            add_line(out, before, p, len);
            return;
        }
        size_t cut = len;
        while (cut > 0 && p[cut] != ' ')
            cut--;
        if (cut <= strspn(p, " ") || len == 0) /* one long word */
            cut = len > 0 ? len : strlen(p);
        add_line(out, before, p, cut);
        p += cut;
        p += strspn(p, " ");
    }
}

static void say_line(const struct run_screen *s, const char *text)
{
    DR_FREE char *clean = screen_clean(text);
    DR_CLEANUP(text_list_fini) struct text_list lines = { 0 };
    if (!s->tty) {
        puts(clean);
        return;
    }
    screen_wrap(clean, run_screen_width() - 1, &lines);
    for (size_t i = 0; i < lines.count; i++)
        puts(lines.items[i]);
}

void run_screen_say(const struct run_screen *s, const char *fmt, ...)
{
    va_list ap;
    char *text = NULL;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    DR_ASSERT(n >= 0);
    DR_FREE char *owned = text;
    while (n > 0 && owned[n - 1] == ' ')
        owned[--n] = '\0';
    say_line(s, owned);
}

void run_screen_say_block(const struct run_screen *s, const char *text)
{
    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        DR_FREE char *line = dr_strf("%.*s", (int)len, text);
        say_line(s, line);
        text += len;
        text += *text == '\n';
    }
}
