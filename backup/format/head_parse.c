/*
 * Reading heads back. Records are copied once and cut in place, so that all text of a head lies in
 * one allocation. What the writer never writes (other types, links without text, extents that
 * overlap) is refused; unknown records are ignored, as FORMAT.md says.
 */
#include <string.h>

#include "backup/format/head.h"
#include "backup/format/path.h"
#include "backup/format/wire.h"
#include "dr/base/mem.h"

#include "backup/format/limits.h"

enum { XATTRS_MAX = 65536, NAME_FIELD = 100, LINK_AT = 157, SIZE_AT = 124, MAP_NUMBER_MAX = 20 };

struct owned {
    char *text; /* the records */
    char *name, *link;
    struct head_xattr *xattrs;
    struct head_extent *extents;
};

struct parse {
    struct wire w;
    struct owned *own;
    struct head *h;
    uint64_t stored; /* bytes of map and data */
    const char *sparse_name, *path, *link;
    bool have_size, have_mtime, have_uid, have_gid;
    int sparse_keys;
};

void head_fini(struct head *h)
{
    struct owned *own = h->owned;
    if (own != NULL) {
        free(own->text);
        free(own->name);
        free(own->link);
        free(own->xattrs);
        free(own->extents);
        free(own);
    }
    *h = (struct head){ .owned = NULL };
}

static enum dr_rc octal(struct parse *p, const uint8_t *block, size_t at, size_t len, uint64_t *ret,
                        struct dr_err *err)
{
    uint64_t n = 0;
    for (size_t i = 0; i < len; i++) {
        uint8_t c = block[at + i];
        if ((c < '0' || c > '7') || (i == len - 1))
            return wire_bad(&p->w, err, "a number of a head is not octal");
        n = n * 8 + (uint64_t)(c - '0');
        if (block[at + i + 1] == '\0')
            break;
    }
    *ret = n;
    return DR_OK;
}

/* Exactly these digits; false when it is no such number. */
static bool decimal(const char *text, size_t len, uint64_t *ret)
{
    uint64_t n = 0;
    if (len == 0 || len > 19)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(text[i] - '0');
    }
    *ret = n;
    return n <= INT64_MAX;
}

static bool parse_mtime(struct head *h, const char *text, size_t len)
{
    bool negative = len > 0 && text[0] == '-';
    text += negative;
    len -= negative;
    const char *dot = memchr(text, '.', len);
    size_t whole = dot == NULL ? len : (size_t)(dot - text);
    uint64_t s, ns = 0;
    if (!decimal(text, whole, &s))
        return false;
    if (dot != NULL && (len - whole - 1 != 9 || !decimal(dot + 1, 9, &ns)))
        return false;
    h->mtime_s = negative ? -(int64_t)s : (int64_t)s;
    h->mtime_ns = (uint32_t)ns;
    if (negative && ns > 0) {
        h->mtime_s -= 1;
        h->mtime_ns = (uint32_t)(1000000000 - ns);
    }
    return true;
}

/* "%25" and "%3D" back to '%' and '='; other escapes are no name that we write. */
static bool decode_name(char *name)
{
    char *to = name;
    for (const char *c = name; *c != '\0'; c++) {
        if (*c == '%' && strncmp(c, "%25", 3) == 0)
            c += 2, *to++ = '%';
        else if (*c == '%' && strncmp(c, "%3D", 3) == 0)
            c += 2, *to++ = '=';
        else if (*c == '%')
            return false;
        else
            *to++ = *c;
    }
    *to = '\0';
    return to != name;
}

static bool add_xattr(struct parse *p, char *name, const char *value, size_t len)
{
    struct head *h = p->h;
    if (h->xattr_count >= XATTRS_MAX || !decode_name(name))
        return false;
    if ((h->xattr_count & (h->xattr_count - 1)) == 0) /* at each power of two */
        p->own->xattrs = dr_realloc(p->own->xattrs, h->xattr_count * 2 + 1, sizeof *h->xattrs);
    p->own->xattrs[h->xattr_count++] = (struct head_xattr){ name, value, len };
    return true;
}

static bool parse_id(const char *value, size_t len, uint32_t *ret, bool *have)
{
    uint64_t n = 0;
    if (!decimal(value, len, &n) || n > UINT32_MAX)
        return false;
    *ret = (uint32_t)n;
    *have = true;
    return true;
}

static bool take_sparse(struct parse *p, const char *key, const char *value, size_t len)
{
    p->sparse_keys++;
    if (strcmp(key, "major") == 0)
        return strcmp(value, "1") == 0;
    if (strcmp(key, "minor") == 0)
        return strcmp(value, "0") == 0;
    if (strcmp(key, "name") == 0)
        return (p->sparse_name = value)[0] != '\0' && strlen(value) == len;
    return strcmp(key, "realsize") == 0 && decimal(value, len, &p->h->size);
}

/* One record; false when its value is not what the key needs. */
static bool take_record(struct parse *p, char *key, const char *value, size_t len)
{
    static const char xattr[] = "SCHILY.xattr.", sparse[] = "GNU.sparse.";
    struct head *h = p->h;
    if (strncmp(key, xattr, strlen(xattr)) == 0)
        return add_xattr(p, key + strlen(xattr), value, len);
    if (strlen(value) != len)
        return false; /* all others are text */
    if (strncmp(key, sparse, strlen(sparse)) == 0)
        return take_sparse(p, key + strlen(sparse), value, len);
    if (strcmp(key, "path") == 0)
        p->path = value;
    else if (strcmp(key, "linkpath") == 0)
        p->link = value;
    else if (strcmp(key, "size") == 0)
        return p->have_size = true, decimal(value, len, &p->stored);
    else if (strcmp(key, "uid") == 0)
        return parse_id(value, len, &h->uid, &p->have_uid);
    else if (strcmp(key, "gid") == 0)
        return parse_id(value, len, &h->gid, &p->have_gid);
    else if (strcmp(key, "mtime") == 0)
        return p->have_mtime = true, parse_mtime(h, value, len);
    else if (strcmp(key, "SCHILY.acl.access") == 0)
        h->acl_access = value;
    else if (strcmp(key, "SCHILY.acl.default") == 0)
        h->acl_default = value;
    return true;
}

static enum dr_rc parse_records(struct parse *p, size_t size, struct dr_err *err)
{
    const uint8_t *raw;
    if (size > HEAD_RECORDS_MAX)
        return wire_bad(&p->w, err, "records of a head are beyond their limit");
    DR_TRY(wire_take(&p->w, head_padded(size), &raw, err));
    char *text = p->own->text = dr_memdup(raw, size);
    for (size_t at = 0; at < size;) {
        size_t digits = strspn(text + at, "0123456789");
        uint64_t len = 0;
        if (!decimal(text + at, digits, &len) || len > size - at || len < digits + 4 ||
            text[at + digits] != ' ' || text[at + len - 1] != '\n')
            return wire_bad(&p->w, err, "a record of a head is malformed");
        char *key = text + at + digits + 1, *end = text + at + len - 1;
        char *equal = memchr(key, '=', (size_t)(end - key));
        if (equal == NULL)
            return wire_bad(&p->w, err, "a record of a head has no value");
        *equal = *end = '\0';
        if (strlen(key) != (size_t)(equal - key) ||
            !take_record(p, key, equal + 1, (size_t)(end - equal - 1)))
            return wire_bad(&p->w, err, "a record of a head has a bad value");
        at += len;
    }
    return DR_OK;
}

static enum dr_rc read_block(struct parse *p, const uint8_t **ret, struct dr_err *err)
{
    const uint8_t *b;
    uint64_t want = 0;
    DR_TRY(wire_take(&p->w, BLOCK_SIZE, &b, err));
    DR_TRY(octal(p, b, 148, 7, &want, err));
    uint64_t sum = UINT64_C(8) * ' ';
    for (size_t i = 0; i < BLOCK_SIZE; i++)
        sum += i >= 148 && i < 156 ? 0 : b[i];
    if (sum != want || memcmp(b + 257, "ustar\00000", 8) != 0)
        return wire_bad(&p->w, err, "not a ustar header");
    *ret = b;
    return DR_OK;
}

static enum dr_rc map_number(struct parse *p, uint64_t *ret, struct dr_err *err)
{
    const char *at = (const char *)p->w.data + p->w.at;
    size_t left = wire_left(&p->w);
    const char *end =
        left > 0 ? memchr(at, '\n', left < MAP_NUMBER_MAX ? left : MAP_NUMBER_MAX) : NULL;
    if (end == NULL || !decimal(at, (size_t)(end - at), ret))
        return wire_bad(&p->w, err, "a number of a sparse map is malformed");
    p->w.at += (size_t)(end - at) + 1;
    return DR_OK;
}

static enum dr_rc parse_map(struct parse *p, struct dr_err *err)
{
    struct head *h = p->h;
    size_t start = p->w.at;
    uint64_t count = 0, at = 0, data = 0;
    const uint8_t *padding;
    DR_TRY(map_number(p, &count, err));
    if (count > HEAD_EXTENTS_MAX + 1 || count > wire_left(&p->w))
        return wire_bad(&p->w, err, "a sparse map is beyond its limit");
    h->extents = p->own->extents = dr_alloc(count + 1, sizeof *h->extents);
    for (size_t i = 0; i < count; i++) {
        struct head_extent *e = &p->own->extents[i];
        DR_TRY(map_number(p, &e->offset, err));
        DR_TRY(map_number(p, &e->len, err));
        if (e->offset < at || e->len > h->size || e->offset > h->size - e->len)
            return wire_bad(&p->w, err, "extents of a sparse map overlap or pass the end");
        at = e->offset + e->len;
        data += e->len;
        h->extent_count++;
    }
    size_t used = p->w.at - start;
    DR_TRY(wire_take(&p->w, head_padded(used) - used, &padding, err));
    if (p->stored != p->w.at - start + data)
        return wire_bad(&p->w, err, "a sparse map does not fit its size");
    h->data = data;
    return DR_OK;
}

static enum dr_rc set_names(struct parse *p, const uint8_t *b, struct dr_err *err)
{
    struct head *h = p->h;
    struct owned *own = p->own;
    bool links = h->type == '1' || h->type == '2';
    char *field = dr_memdup(b, NAME_FIELD);
    own->name = p->sparse_keys > 0 && p->sparse_name != NULL ? dr_strdup(p->sparse_name)
                : p->path != NULL                            ? dr_strdup(p->path)
                                                             : dr_strdup(field);
    free(field);
    size_t len = strlen(own->name);
    if ((h->type == '5') != (len > 0 && own->name[len - 1] == '/'))
        return wire_bad(&p->w, err, "only names of directories end with '/'");
    if (h->type == '5')
        own->name[--len] = '\0';
    if (h->type == '5' && strcmp(own->name, ".") == 0)
        own->name[--len] = '\0';
    else if (len == 0)
        return wire_bad(&p->w, err, "an entry without name");
    field = dr_memdup(b + LINK_AT, NAME_FIELD);
    own->link = p->link != NULL ? dr_strdup(p->link) : dr_strdup(field);
    free(field);
    size_t link_len = strlen(own->link);
    if (!path_is_valid(own->name, len) || links != (link_len > 0) || link_len > PATH_LEN_MAX ||
        (h->type == '1' && !path_is_valid(own->link, link_len)))
        return wire_bad(&p->w, err, "a path that must not be");
    h->path = own->name;
    h->link = links ? own->link : NULL;
    return DR_OK;
}

/* Numbers of the ustar header, unless a record said them. */
static enum dr_rc set_numbers(struct parse *p, const uint8_t *b, struct dr_err *err)
{
    enum { MODE, UID, GID, SIZE, MTIME, MAJOR, MINOR, NUMBERS };
    static const struct {
        size_t at, len;
    } fields[NUMBERS] = { { 100, 8 },  { 108, 8 }, { 116, 8 }, { SIZE_AT, 12 },
                          { 136, 12 }, { 329, 8 }, { 337, 8 } };
    struct head *h = p->h;
    uint64_t n[NUMBERS];
    for (size_t i = 0; i < NUMBERS; i++)
        DR_TRY(octal(p, b, fields[i].at, fields[i].len, &n[i], err));
    h->mode = (uint32_t)n[MODE] & 07777;
    h->uid = p->have_uid ? h->uid : (uint32_t)n[UID];
    h->gid = p->have_gid ? h->gid : (uint32_t)n[GID];
    h->mtime_s = p->have_mtime ? h->mtime_s : (int64_t)n[MTIME];
    h->major = (uint32_t)n[MAJOR];
    h->minor = (uint32_t)n[MINOR];
    p->stored = p->have_size ? p->stored : n[SIZE];
    if (h->type != '0' && (p->stored != 0 || p->sparse_keys != 0))
        return wire_bad(&p->w, err, "only files have data");
    return DR_OK;
}

/* The ustar header of the entry, its records taken before. */
static enum dr_rc read_blocks(struct parse *p, const uint8_t **ret, struct dr_err *err)
{
    uint64_t size = 0;
    DR_TRY(read_block(p, ret, err));
    if ((*ret)[156] != 'x')
        return DR_OK;
    DR_TRY(octal(p, *ret, SIZE_AT, 12, &size, err));
    DR_TRY(parse_records(p, size, err));
    return read_block(p, ret, err);
}

static enum dr_rc parse(struct parse *p, struct dr_err *err)
{
    const uint8_t *b;
    struct head *h = p->h;
    DR_TRY(read_blocks(p, &b, err));
    h->type = (char)b[156];
    if (h->type < '0' || h->type > '6')
        return wire_bad(&p->w, err, "an entry of an unknown type");
    DR_TRY(set_numbers(p, b, err));
    DR_TRY(set_names(p, b, err));
    h->xattrs = p->own->xattrs;
    if (p->sparse_keys == 0) {
        h->size = h->data = p->stored;
        return DR_OK;
    }
    if (p->sparse_keys != 4 || p->sparse_name == NULL)
        return wire_bad(&p->w, err, "records of a sparse file are not complete");
    h->sparse = true;
    return parse_map(p, err);
}

enum dr_rc head_parse(const char *what, const void *data, size_t len, struct head *ret,
                      size_t *ret_used, struct dr_err *err)
{
    struct head h = { .owned = dr_alloc(1, sizeof(struct owned)) };
    struct parse p = { .w = wire_of(what, data, len), .own = h.owned, .h = &h };
    enum dr_rc rc = parse(&p, err);
    if (rc != DR_OK) {
        head_fini(&h);
        return rc;
    }
    *ret = h;
    *ret_used = p.w.at;
    return DR_OK;
}
