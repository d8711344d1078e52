/*
 * forge.h - snapshots made by hand, byte by byte, and correctly signed.
 *
 * A writer of ours never writes a path that leads out, or a link to what it did not store. A
 * stolen key could sign such a thing. forge_snapshot() puts one pack and one snapshot object
 * into both buckets of a site: valid in every digest and in its signature, and wrong in what it
 * says, by patches that are applied before the digests are taken:
 *
 *     { .type = '0', .path = "xx/evil", .data = "x" }   with patch "xx/evil" -> "../evil"
 */
#ifndef TESTS_SUPPORT_FORGE_H
#define TESTS_SUPPORT_FORGE_H

#include "backup/format/keys.h"
#include "tests/support/site.h"

struct forge_entry {
    char type; /* as in tar */
    const char *path;
    const char *link; /* types '1' and '2' */
    const char *data; /* type '0' */
    uint32_t mode;    /* 0: 0755 */
    const char *old;  /* type '0': an older copy with this content lies in the bundle, and the one
                         above in an overlay; or NULL */
};

struct forge_patch { /* every 'from' in heads and records becomes 'to': len bytes each */
    const char *from, *to;
    size_t len;
};

struct forge {
    const struct forge_entry *entries; /* in path order; the root first is added */
    size_t count;
    const struct forge_patch *patch; /* or NULL */
    bool deep; /* lists are not in the snapshot object but in frames of a pack of their own */
    const struct keys *signer; /* NULL: the site's own key */
    const char *repository;    /* NULL: the site's own */
    bool short_recipe;         /* it ends in the middle of the last piece */
    int64_t start_ns;          /* 0: now */
    int64_t epoch;
};

/* The site has been initialised. id: of the new snapshot. */
void forge_snapshot(const struct site *s, const struct forge *f, char id[SNAPSHOT_ID_MAX]);

#endif
