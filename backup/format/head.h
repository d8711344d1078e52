/*
 * head.h - the head of one entry of the tar stream: pax records, ustar header, sparse map.
 *
 * Written and read by ourselves, since names must come back byte for byte and heads must be the
 * same for ever. head_write() makes what FORMAT.md, chapter 4, describes; head_parse() accepts
 * nothing else. What follows a head in the stream is h->data bytes, padded to 512.
 */
#ifndef BACKUP_FORMAT_HEAD_H
#define BACKUP_FORMAT_HEAD_H

#include "dr/base/buf.h"
#include "dr/base/err.h"

struct head_extent { /* of a sparse file */
    uint64_t offset, len;
};

struct head_xattr {
    const char *name; /* "user.k" */
    const void *value;
    size_t len;
};

struct head {
    char type;        /* '0' to '6', as in tar */
    const char *path; /* without the '/' of directories and './' of the root */
    const char *link; /* types '1' and '2'; else NULL */
    uint32_t mode;    /* lower 12 bits */
    uint32_t uid, gid;
    int64_t mtime_s; /* time = mtime_s + mtime_ns / 10^9, also when negative */
    uint32_t mtime_ns;
    uint32_t major, minor; /* types '3' and '4' */
    uint64_t size;         /* type '0': of the file */
    uint64_t data; /* type '0': bytes of data in the stream (all extents); without a map = size */
    bool sparse;   /* has a map: extents, ascending, the last one (size, 0) if it ends in a hole */
    const struct head_extent *extents;
    size_t extent_count;
    const char *acl_access, *acl_default; /* numeric text joined by ',', or NULL */
    const struct head_xattr *xattrs;      /* sorted by name, without the ACLs */
    size_t xattr_count;
    bool exported; /* not of a snapshot: names that are UTF-8 carry no hdrcharset (head_write) */
    void *owned;   /* of parsed heads: holds everything above */
};

/*
 * Append the head. Asserts that h is within the limits.
 *
 * In a snapshot each name with a byte above 0x7F is marked hdrcharset=BINARY, so that every tool
 * in every locale gives back the very bytes; GNU tar warns of the mark. An exported archive is for
 * other people's tools: there only names that are not UTF-8 are marked.
 */
void head_write(struct buf *out, const struct head *h);

/*
 * Parse the head at the start of data, which may be longer. ret_used: its length, a multiple of
 * 512. ret owns copies of all; head_fini() frees them. what is named in errors (DR_E_CORRUPT).
 */
enum dr_rc head_parse(const char *what, const void *data, size_t len, struct head *ret,
                      size_t *ret_used, struct dr_err *err) DR_MUST_USE;
void head_fini(struct head *h);

/* Length of data with its padding. */
static inline uint64_t head_padded(uint64_t data)
{
    return (data + 511) / 512 * 512;
}

/* Append zeros up to the next multiple of 512. */
void head_pad(struct buf *out);

#endif
