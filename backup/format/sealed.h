/*
 * sealed.h - objects of two lines: canonical JSON, and what vouches for it.
 *
 * Sealed objects (repository, pending, gc, members, proofs, pins) end with the SHA-256 of their first
 * line, snapshot objects (snapshot.h) with a signature. A flipped, cut or foreign object is
 * DR_E_CORRUPT; what names it in the error.
 */
#ifndef BACKUP_FORMAT_SEALED_H
#define BACKUP_FORMAT_SEALED_H

#include "backup/format/limits.h"
#include "dr/data/json.h"

/* Append the object. Sets "format" and "version" in body. */
void sealed_encode(json_t *body, const char *format, struct buf *out);

/* Check everything (form, digest, format, version) and give the body. The caller drops it. */
enum dr_rc sealed_parse(const char *what, const char *format, const void *data, size_t len,
                        json_t **ret, struct dr_err *err) DR_MUST_USE;

/* The two lines of any such object: lengths without their newlines. */
struct sealed_lines {
    const char *body, *seal;
    size_t body_len, seal_len;
};
enum dr_rc sealed_split(const char *what, const void *data, size_t len, struct sealed_lines *ret,
                        struct dr_err *err) DR_MUST_USE;

/* Parse the body line, which must be canonical, and check format and version. */
enum dr_rc sealed_body(const char *what, const char *format, const struct sealed_lines *lines,
                       json_t **ret, struct dr_err *err) DR_MUST_USE;

/* "epochs/SOURCE/N": its bytes are made of its name (FORMAT.md, chapter 9). */
void epoch_encode(const char *source, int64_t epoch, struct buf *out);

/* -- the repository object (FORMAT.md, chapter 3) --------------------------------------------- */

enum { REPOSITORY_ID_SIZE = 33 };

struct repository {
    char id[REPOSITORY_ID_SIZE]; /* 32 hexadecimal digits */
    uint64_t seed;
    uint64_t pack_bytes;
    int64_t created_ns;
};

/* A new one: random id and seed. */
void repository_make(struct repository *ret);
void repository_encode(const struct repository *r, struct buf *out);
enum dr_rc repository_parse(const char *what, const void *data, size_t len, struct repository *ret,
                            struct dr_err *err) DR_MUST_USE;

#endif
