/*
 * Writing heads: POSIX pax records only where ustar cannot say it, in one fixed order, so that the
 * same metadata give the same bytes for ever. GNU tar and libarchive read them exactly (tested);
 * names of attributes are encoded as GNU tar does ('%' and '=').
 */
#include "backup/format/head.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/format/limits.h"
#include "backup/format/path.h"
#include "dr/base/text.h"

enum {
    NAME_SIZE = 100,
    ID_MAX = 07777777,
    NUMBER_SIZE = 32,
};
#define SIZE_OCTAL_MAX UINT64_C(077777777777)
#define MTIME_MAX      INT64_C(077777777777)

struct block { /* what one ustar header says */
    const char *name, *link;
    size_t name_len, link_len;
    char type;
    uint32_t mode, uid, gid, major, minor;
    uint64_t size, mtime;
};

static void put_octal(char *at, unsigned digits, uint64_t n)
{
    for (at += digits; digits > 0; digits--, n >>= 3)
        *--at = (char)('0' + (n & 7));
}

static void put_name(char *at, const char *name, size_t len)
{
    if (len > 0)
        memcpy(at, name, len < NAME_SIZE ? len : NAME_SIZE);
}

static void add_block(struct buf *out, const struct block *b)
{
    char h[BLOCK_SIZE] = { 0 };
    put_name(h, b->name, b->name_len);
    put_octal(h + 100, 7, b->mode);
    put_octal(h + 108, 7, b->uid);
    put_octal(h + 116, 7, b->gid);
    put_octal(h + 124, 11, b->size);
    put_octal(h + 136, 11, b->mtime);
    h[156] = b->type;
    put_name(h + 157, b->link, b->link_len);
    memcpy(h + 257, "ustar\00000", 8);
    put_octal(h + 329, 7, b->major);
    put_octal(h + 337, 7, b->minor);
    memset(h + 148, ' ', 8);
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof h; i++)
        sum += (unsigned char)h[i];
    put_octal(h + 148, 6, sum);
    h[154] = '\0';
    buf_add(out, h, sizeof h);
}

void head_pad(struct buf *out)
{
    static const char zeros[BLOCK_SIZE];
    buf_add(out, zeros, (BLOCK_SIZE - out->len % BLOCK_SIZE) % BLOCK_SIZE);
}

/* "LENGTH KEY=VALUE\n", where LENGTH counts its own digits. */
static void add_record(struct buf *out, const char *key, const void *value, size_t len)
{
    size_t rest = strlen(key) + len + 3, total = rest + 1;
    char number[NUMBER_SIZE];
    for (;;) {
        size_t digits = (size_t)snprintf(number, sizeof number, "%zu", total);
        if (rest + digits == total)
            break;
        total = rest + digits;
    }
    buf_addf(out, "%s %s=", number, key);
    buf_add(out, value, len);
    buf_addc(out, '\n');
}

static void add_number(struct buf *out, const char *key, uint64_t n)
{
    char text[NUMBER_SIZE];
    int len = snprintf(text, sizeof text, "%" PRIu64, n);
    add_record(out, key, text, (size_t)len);
}

static bool is_ascii(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text & 0x80)
            return false;
    return true;
}

/* A quarter second before 1970 is (-1, 750000000), and "-0.250000000" as POSIX writes it. */
static void add_mtime(struct buf *out, const struct head *h)
{
    char text[2 * NUMBER_SIZE];
    int len;
    if (h->mtime_ns == 0)
        len = snprintf(text, sizeof text, "%" PRId64, h->mtime_s);
    else if (h->mtime_s >= 0)
        len = snprintf(text, sizeof text, "%" PRId64 ".%09" PRIu32, h->mtime_s, h->mtime_ns);
    else
        len = snprintf(text, sizeof text, "-%" PRIu64 ".%09" PRIu32, (uint64_t)(-(h->mtime_s + 1)),
                       1000000000 - h->mtime_ns);
    add_record(out, "mtime", text, (size_t)len);
}

static void add_xattr(struct buf *out, const struct head_xattr *x)
{
    DR_CLEANUP(buf_fini) struct buf key = { 0 };
    buf_adds(&key, "SCHILY.xattr.");
    for (const char *c = x->name; *c != '\0'; c++) {
        if (*c == '%' || *c == '=')
            buf_addf(&key, "%%%02X", (unsigned char)*c);
        else
            buf_addc(&key, *c);
    }
    add_record(out, key.data, x->value, x->len);
}

static void add_map(struct buf *out, const struct head *h)
{
    buf_addf(out, "%zu\n", h->extent_count);
    for (size_t i = 0; i < h->extent_count; i++)
        buf_addf(out, "%" PRIu64 "\n%" PRIu64 "\n", h->extents[i].offset, h->extents[i].len);
    head_pad(out);
}

/* name: as tar says it. stored: bytes of map and data. */
static void add_records(struct buf *out, const struct head *h, const struct buf *name,
                        uint64_t stored)
{
    const char *link = h->link != NULL ? h->link : "";
    bool wide = !is_ascii(name->data) || !is_ascii(link);
    bool utf8 = text_is_utf8(name->data, name->len) && text_is_utf8(link, strlen(link));
    bool binary = wide && !(h->exported && utf8);
    if (h->sparse) {
        add_record(out, "GNU.sparse.major", "1", 1);
        add_record(out, "GNU.sparse.minor", "0", 1);
        add_record(out, "GNU.sparse.name", name->data, name->len);
        add_number(out, "GNU.sparse.realsize", h->size);
    }
    if (binary)
        add_record(out, "hdrcharset", "BINARY", 6);
    if (!h->sparse && (wide || name->len > NAME_SIZE))
        add_record(out, "path", name->data, name->len);
    if (h->link != NULL && (wide || strlen(link) > NAME_SIZE))
        add_record(out, "linkpath", link, strlen(link));
    if (stored > SIZE_OCTAL_MAX)
        add_number(out, "size", stored);
    if (h->uid > ID_MAX)
        add_number(out, "uid", h->uid);
    if (h->gid > ID_MAX)
        add_number(out, "gid", h->gid);
    if (h->mtime_ns != 0 || h->mtime_s < 0 || h->mtime_s > MTIME_MAX)
        add_mtime(out, h);
    if (h->acl_access != NULL)
        add_record(out, "SCHILY.acl.access", h->acl_access, strlen(h->acl_access));
    if (h->acl_default != NULL)
        add_record(out, "SCHILY.acl.default", h->acl_default, strlen(h->acl_default));
    for (size_t i = 0; i < h->xattr_count; i++)
        add_xattr(out, &h->xattrs[i]);
}

static void add_name(struct buf *out, const struct head *h)
{
    if (h->type == '5' && h->path[0] == '\0')
        buf_adds(out, ".");
    buf_adds(out, h->path);
    if (h->type == '5')
        buf_addc(out, '/');
}

void head_write(struct buf *out, const struct head *h)
{
    DR_ASSERT(strchr("0123456", h->type) != NULL && h->mtime_ns < 1000000000);
    DR_ASSERT(out->len % BLOCK_SIZE == 0 && path_is_valid(h->path, strlen(h->path)));
    DR_CLEANUP(buf_fini) struct buf name = { 0 }, records = { 0 }, map = { 0 }, shown = { 0 };
    add_name(&name, h);
    if (h->sparse)
        add_map(&map, h);
    uint64_t stored = map.len + (h->type == '0' ? h->data : 0);
    add_records(&records, h, &name, stored);
    DR_ASSERT(records.len <= HEAD_RECORDS_MAX);
    if (records.len > 0) {
        static const char pax_name[] = "PaxHeaders/x";
        add_block(out, &(struct block){ .name = pax_name,
                                        .name_len = strlen(pax_name),
                                        .type = 'x',
                                        .mode = 0644,
                                        .size = records.len });
        buf_add(out, records.data, records.len);
        head_pad(out);
    }
    buf_addf(&shown, "%s%s", h->sparse ? "GNUSparseFile.0/" : "", name.data);
    bool plain_time = h->mtime_s >= 0 && h->mtime_s <= MTIME_MAX;
    bool device = h->type == '3' || h->type == '4';
    add_block(out, &(struct block){ .name = shown.data,
                                    .name_len = shown.len,
                                    .link = h->link,
                                    .link_len = h->link != NULL ? strlen(h->link) : 0,
                                    .type = h->type,
                                    .mode = h->mode & 07777,
                                    .uid = h->uid > ID_MAX ? 0 : h->uid,
                                    .gid = h->gid > ID_MAX ? 0 : h->gid,
                                    .size = stored > SIZE_OCTAL_MAX ? 0 : stored,
                                    .mtime = plain_time ? (uint64_t)h->mtime_s : 0,
                                    .major = device ? h->major : 0,
                                    .minor = device ? h->minor : 0 });
    if (map.len > 0)
        buf_add(out, map.data, map.len);
}
