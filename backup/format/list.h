/*
 * list.h - lists of lines: TOC, recipe, pack names, removed paths (FORMAT.md, chapter 7).
 *
 * A short list stands in the snapshot object (depth 0). A long one is text in frames of packs,
 * and the snapshot has the lines that name these frames (depth 1), and so on. Lines of frames
 * carry the id of what they name, so that the signature of the snapshot reaches all.
 */
#ifndef BACKUP_FORMAT_LIST_H
#define BACKUP_FORMAT_LIST_H

#include "backup/format/limits.h"
#include "dr/base/buf.h"
#include "dr/base/err.h"
#include "dr/base/text.h"

struct list {
    unsigned depth;
    struct text_list lines;
};

void list_fini(struct list *l);

struct list_base { /* "packs/AB/PACK OFFSET STORED RAW ID": the whole segment below a patch */
    uint8_t pack[DIGEST_SIZE];
    uint64_t offset, stored, raw;
    uint8_t id[DIGEST_SIZE];
};

struct list_frame { /* the same, and of segments " ENTRIES FIRST", of patches " BASE" behind it */
    uint8_t pack[DIGEST_SIZE];
    uint64_t offset, stored, raw;
    uint8_t id[DIGEST_SIZE];
    uint64_t entries;
    struct buf first;      /* path of a segment's first record */
    bool patched;          /* the frame is a patch (patch.h) of base */
    struct list_base base; /* when patched */
};

struct list_run { /* "packs/AB/PACK OFFSET LENGTH" of a recipe */
    uint8_t pack[DIGEST_SIZE];
    uint64_t offset, len;
};

/* Append the line, without newline. segment: with entries and first, and the base if patched. */
void list_add_frame_line(struct buf *out, const struct list_frame *f, bool segment);
void list_add_run_line(struct buf *out, const struct list_run *r);

/* Parse a line; f: zeroed, or used before. DR_E_CORRUPT when it is not such a line. */
enum dr_rc list_parse_frame(const char *line, bool segment, struct list_frame *f,
                            struct dr_err *err) DR_MUST_USE;
enum dr_rc list_parse_run(const char *line, struct list_run *ret, struct dr_err *err) DR_MUST_USE;
void list_frame_fini(struct list_frame *f);

/* Get a frame from a bucket, open it (codec_open) and append its raw bytes to out. */
typedef enum dr_rc list_fetch(void *arg, const struct list_frame *frame, struct buf *out,
                              struct dr_err *err);

/* All lines of the list, whatever its depth. fetch is called only when the depth is above 0. */
enum dr_rc list_expand(const struct list *l, list_fetch *fetch, void *arg, struct text_list *ret,
                       struct dr_err *err) DR_MUST_USE;

#endif
