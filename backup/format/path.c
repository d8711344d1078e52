/*
 * The order of paths and their form. Everything that sorts, cuts or merges by path uses
 * path_compare(); what comes from outside goes through path_is_valid() first, so that no later
 * code has to think about '..' again.
 */
#include "backup/format/path.h"

#include <string.h>

#include "backup/format/limits.h"

/* The end sorts below '/', which sorts below all other bytes. */
static int rank(char c)
{
    if (c == '\0')
        return 0;
    return c == '/' ? 1 : (unsigned char)c + 1;
}

int path_compare(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return rank(*a) - rank(*b);
}

static bool is_part(const char *part, size_t len)
{
    if (len == 0 || len > PATH_PART_MAX)
        return false;
    if (part[0] == '.' && (len == 1 || (len == 2 && part[1] == '.')))
        return false;
    return memchr(part, '\0', len) == NULL;
}

bool path_is_valid(const char *path, size_t len)
{
    if (len > PATH_LEN_MAX)
        return false;
    if (len == 0)
        return true;
    unsigned depth = 0;
    for (size_t at = 0;;) {
        const char *slash = memchr(path + at, '/', len - at);
        size_t part = slash == NULL ? len - at : (size_t)(slash - path) - at;
        if (!is_part(path + at, part) || ++depth > PATH_DEPTH_MAX)
            return false;
        if (slash == NULL)
            return true;
        at += part + 1;
    }
}

bool path_is_within(const char *path, const char *dir)
{
    size_t len = strlen(dir);
    return len == 0 || (strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0'));
}

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '/' || c == '-';
}

void path_add_encoded(struct buf *out, const char *path)
{
    buf_addc(out, '/');
    for (; *path != '\0'; path++) {
        if (is_plain(*path))
            buf_addc(out, *path);
        else
            buf_addf(out, "%%%02X", (unsigned char)*path);
    }
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool path_decode(const char *text, struct buf *out)
{
    size_t before = out->len;
    if (*text++ != '/')
        return false;
    buf_reserve(out, 1)[0] = '\0';
    while (*text != '\0') {
        char c = *text++;
        if (c == '%') {
            int high = digit(text[0]), low = high < 0 ? -1 : digit(text[1]);
            if (low < 0 || is_plain((char)(high * 16 + low)))
                return false;
            c = (char)(high * 16 + low);
            text += 2;
        } else if (!is_plain(c)) {
            return false;
        }
        buf_addc(out, c);
    }
    return path_is_valid(out->data + before, out->len - before);
}
