/*
 * The memory of unnamed packs: one line "PACK NANOSECONDS" each. Lines that are not right, and times of
 * a clock that went back since, are forgotten: that pack is seen for the first time again.
 */
#include "backup/work/prune_unnamed.h"

#include <inttypes.h>
#include <string.h>

#include "dr/base/fs.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"

enum { HEX_LEN = 64, FILE_MAX = 1 << 30 };

/* Where the packs were first seen, in the order of q->packs; 0: never. */
static void remember(const struct unnamed_question *q, const struct buf *text, int64_t *ret)
{
    for (size_t at = 0; at < text->len;) {
        const char *line = text->data + at;
        size_t len = strcspn(line, "\n");
        uint8_t id[DIGEST_SIZE];
        at += len + 1;
        if (len < HEX_LEN + 2 || line[HEX_LEN] != ' ' || !hex_decode(line, HEX_LEN, id, sizeof(id)))
            continue;
        int64_t ns = strtoll(line + HEX_LEN + 1, NULL, 10);
        size_t low = 0, high = q->packs->count;
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            if (memcmp(q->packs->items[middle], id, DIGEST_SIZE) < 0)
                low = middle + 1;
            else
                high = middle;
        }
        bool known = low < q->packs->count && memcmp(q->packs->items[low], id, DIGEST_SIZE) == 0;
        if (known && ns > 0 && ns <= q->now_ns)
            ret[low] = ns;
    }
}

enum dr_rc unnamed_ripe(const struct unnamed_question *q, struct idset *ret, struct dr_err *err)
{
    DR_FREE char *dir = dr_strf("%s/prune", q->state_dir);
    DR_FREE char *path = dr_strf("%s/unnamed", dir);
    DR_FREE int64_t *first = dr_alloc(q->packs->count + 1, sizeof(*first));
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    struct dr_err ignored = { 0 };
    if (fs_read_file(path, FILE_MAX, &text, &ignored) == DR_OK)
        remember(q, &text, first);
    bool had = text.len > 0;
    buf_clear(&text);
    for (size_t i = 0; i < q->packs->count; i++) {
        char hex[HASH_HEX_SIZE];
        if (first[i] == 0)
            first[i] = q->now_ns;
        if ((q->now_ns - first[i]) / 1000000 >= q->grace_ms)
            idset_add(ret, q->packs->items[i]);
        buf_addf(&text, "%s %" PRId64 "\n", hex_encode(q->packs->items[i], DIGEST_SIZE, hex),
                 first[i]);
    }
    if (q->read_only || (text.len == 0 && !had))
        return DR_OK;
    DR_TRY(fs_make_dirs(dir, 0700, err));
    return fs_replace(dir, "unnamed", text.len > 0 ? text.data : "", text.len, err);
}
