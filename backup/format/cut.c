/*
 * Cut rules. Constants were chosen by measuring bundles of real trees: with the weight by size and
 * the two slopes, bundles average 1 MiB whether a tree has files of 1 KiB or of 100 KiB.
 */
#include "backup/format/cut.h"

#include <string.h>
#include <xxhash.h>

bool cut_bundle(uint64_t seed, const char *path, uint64_t filled, uint64_t entry)
{
    if (filled >= CUT_BUNDLE_MAX)
        return true;
    if (filled < CUT_BUNDLE_MIN)
        return false;
    /* Chance = entry / (TARGET - MIN), halved before the target and fourfold behind it; in units
     * of 2^-20, so that all machines agree to the bit. */
    uint64_t chance = (entry << 20) / (CUT_BUNDLE_TARGET - CUT_BUNDLE_MIN);
    chance = filled < CUT_BUNDLE_TARGET ? chance / 2 : chance * 4;
    return XXH3_64bits_withSeed(path, strlen(path), seed) >> 44 < chance;
}

/* The gear table: XXH64 of the byte's value, the same for ever and for everybody. */
static uint64_t gear[256];

__attribute__((constructor)) static void make_gear(void)
{
    for (unsigned i = 0; i < 256; i++) {
        uint8_t byte = (uint8_t)i;
        gear[i] = XXH64(&byte, 1, 0x6472636c);
    }
}

/* Bits of the masks lie high, where the hash has seen the most bytes (64 of them). */
static const uint64_t mask_before = ((UINT64_C(1) << 21) - 1) << 43; /* 2 bits more than average */
static const uint64_t mask_behind = ((UINT64_C(1) << 18) - 1) << 46; /* fewer */

/*
 * The first byte from i on behind which the hash has none of the mask's bits; end when there is none. Each
 * hash depends on the one before it. Four bytes are taken at once, so that the chain from round to round has
 * two steps instead of four, and what hangs on the bytes alone is ready before its turn comes.
 */
static size_t find_cut(const uint8_t *data, size_t i, size_t end, uint64_t mask, uint64_t *hash)
{
    uint64_t h = *hash;
    for (; i + 4 <= end; i += 4) {
        uint64_t g1 = gear[data[i]], g2 = gear[data[i + 1]];
        uint64_t g3 = gear[data[i + 2]], g4 = gear[data[i + 3]];
        uint64_t first = (g1 << 1) + g2, second = (g3 << 1) + g4;
        uint64_t h1 = (h << 1) + g1, h2 = (h << 2) + first;
        if ((h1 & mask) == 0)
            return i;
        if ((h2 & mask) == 0)
            return i + 1;
        uint64_t h3 = (h2 << 1) + g3;
        h = (h2 << 2) + second;
        if ((h3 & mask) == 0)
            return i + 2;
        if ((h & mask) == 0)
            return i + 3;
    }
    for (; i < end; i++) {
        h = (h << 1) + gear[data[i]];
        if ((h & mask) == 0)
            return i;
    }
    *hash = h;
    return end;
}

size_t cut_chunk(const uint8_t *data, size_t len)
{
    if (len <= CUT_CHUNK_MIN)
        return len;
    size_t end = len < CUT_CHUNK_MAX ? len : CUT_CHUNK_MAX;
    size_t target = end < CUT_CHUNK_TARGET ? end : CUT_CHUNK_TARGET;
    uint64_t h = 0;
    for (size_t i = CUT_CHUNK_MIN - 64; i < CUT_CHUNK_MIN; i++)
        h = (h << 1) + gear[data[i]];
    size_t i = find_cut(data, CUT_CHUNK_MIN, target, mask_before, &h);
    if (i == target)
        i = find_cut(data, target, end, mask_behind, &h);
    return i < end ? i + 1 : end;
}
