/*
 * backup_forward.h - which packs a full backup leaves behind by writing what lives in them afresh.
 *
 * There is no repack: a pack is never changed. A full backup avoids some old packs instead
 * (packs_avoid()), so that their living pieces go into new ones and the old fall free with the snapshots that
 * name them. A pure function of sizes says which:
 *
 *     more than half dead                  always
 *     below a quarter of the target size   together with others, when it is worth it
 *
 * Worth it: small packs are merged from the smallest on, and one joins only if those before it are
 * together at least half as large. So each merge makes the pack that a byte lies in half as large
 * again, and no byte is rewritten more than a few dozen times, however many months pass. A source
 * whose data fit one small pack keeps it; its daily crumbs become one pack beside it until they are half its
 * size. What remains trebles in size from one to the next, so there are few of them.
 */
#ifndef BACKUP_WORK_BACKUP_FORWARD_H
#define BACKUP_WORK_BACKUP_FORWARD_H

#include "backup/work/pack_names.h"
#include "backup/work/work.h"

struct forward_pack {
    uint8_t name[DIGEST_SIZE];
    uint64_t size; /* of the object */
    uint64_t live; /* bytes of it that the newest snapshot uses: frames with what is behind them */
    bool avoid;    /* set by forward_choose() */
};

/* Sets avoid of each. Returns the bytes that will be written afresh. The order does not matter. */
uint64_t forward_choose(struct forward_pack *packs, size_t count, uint64_t target);

/*
 * The same for the packs of one snapshot, the newest of its source: those to be avoided are added to avoid. Live are the
 * frames of its pieces and segments, each once, bundles without the share that overlays
 * superseded; what other sources use of a pack is not seen, and costs a second copy of it at most. A pack that is
 * in no open bucket is left to the commit. Reads the segments; memory for names and sizes of packs.
 */
enum dr_rc forward_find(struct repo *repo, const struct snapshot_info *newest, uint64_t target,
                        struct pack_names *avoid, struct dr_err *err) DR_MUST_USE;

#endif
