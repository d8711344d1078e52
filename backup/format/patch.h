/*
 * patch.h - a segment told as what differs from an older one (FORMAT.md, chapter 6.1).
 *
 * When a hundredth of all entries changes, scattered over a tree, nearly every segment has a few
 * new rows. Stored whole they would cost as much as the changed entries themselves; as patches
 * they cost their new rows. A patch knows nothing of segments: it copies runs of bytes from its base
 * and has the others in it. The base is named by its id, so the id of a patch stands for what
 * comes out of it; a base is never a patch, so two frames give any segment.
 *
 *     patch_make(&base, id, &now, &patch);        writer
 *     patch_apply("segment", &p, &now, err);      reader
 */
#ifndef BACKUP_FORMAT_PATCH_H
#define BACKUP_FORMAT_PATCH_H

#include "backup/format/limits.h"
#include "dr/base/buf.h"
#include "dr/base/err.h"

/* Append to out the patch that makes now of base; both at most PATCH_RAW_MAX bytes. The same bytes
 * give the same patch. It may be longer than now: the caller looks what is worth it. */
void patch_make(const struct buf *base, const uint8_t base_id[DIGEST_SIZE], const struct buf *now,
                struct buf *out);

/*
 * Append to out what the patch makes of the base. Nothing in the patch is believed; whatever is
 * wrong is DR_E_CORRUPT and names what. On failure out is as before. Nothing is owned.
 */
struct patch {
    const struct buf *base, *patch;
    const uint8_t *base_id; /* of the base that is given: the patch must be for it */
};
enum dr_rc patch_apply(const char *what, const struct patch *p, struct buf *out, struct dr_err *err)
    DR_MUST_USE;

#endif
