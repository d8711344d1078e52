/*
 * Packs of a run: equal pieces are stored once, unless a reader could tell the difference.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "backup/work/backup_packs.h"
#include "dr/base/hash.h"

enum { PIECE = 4096 };

static unsigned puts_seen;

static enum dr_rc count_put(void *arg, const char *name, const void *data, size_t len,
                            struct dr_err *err)
{
    (void)arg;
    (void)data;
    (void)err;
    assert_true(len > 0 && strncmp(name, "packs/", 6) == 0);
    puts_seen++;
    return DR_OK;
}

static struct packs *fresh(void)
{
    puts_seen = 0;
    return packs_new(&(struct packs_options){ .target = 1 << 20, .put = count_put });
}

static struct packs_place add(struct packs *p, enum frame_kind kind, const void *digest)
{
    static uint8_t raw[PIECE];
    struct packs_place place;
    struct dr_err err = { 0 };
    memset(raw, 7, sizeof(raw));
    struct packs_frame f = { .kind = kind,
                             .raw = raw,
                             .len = sizeof(raw),
                             .digests = digest,
                             .digest_count = digest != NULL };
    assert_int_equal(packs_add(p, &f, &place, &err), DR_OK);
    return place;
}

static void equal_pieces_share_a_frame(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    struct packs *p = fresh();
    struct packs_place a = add(p, FRAME_CHUNK, NULL);
    struct packs_place b = add(p, FRAME_CHUNK, NULL);
    assert_int_equal(a.offset, b.offset);
    assert_int_equal(packs_flush(p, &err), DR_OK);
    assert_int_equal(puts_seen, 1);
    packs_free(p);
}

/* A file whose content is a bundle, byte for byte, must not spoil that bundle. */
static void bundle_keeps_its_digests_when_a_chunk_has_its_bytes(void **state)
{
    (void)state;
    static const uint8_t digest[HASH_SIZE] = { 1 };
    struct packs *p = fresh();
    struct packs_place chunk = add(p, FRAME_CHUNK, NULL);
    struct packs_place bundle = add(p, FRAME_BUNDLE, digest);
    struct packs_place again = add(p, FRAME_BUNDLE, digest);
    struct packs_place later = add(p, FRAME_CHUNK, NULL);
    assert_int_equal(chunk.behind, 0);
    assert_true(bundle.behind > 0 && bundle.offset != chunk.offset);
    assert_int_equal(again.offset, bundle.offset);
    assert_int_equal(later.offset, bundle.offset);
    packs_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_pieces_share_a_frame),
        cmocka_unit_test(bundle_keeps_its_digests_when_a_chunk_has_its_bytes),
    };
    return cmocka_run_group_tests_name("packs", tests, NULL, NULL);
}
