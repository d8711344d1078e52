/*
 * Patches of segments: what was made comes back, whatever was changed; few changes make a short one;
 * and no patch, however spoiled or made to lie, reads outside of its base or gives more than it says.
 */
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "backup/format/list.h"
#include "backup/format/patch.h"
#include "backup/format/toc.h"
#include "backup/format/wire.h"
#include "backup/work/backup_lists.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "tests/support/spoil.h"
#include "tests/support/tree.h"

enum { SEEDS = 400, RECORDS = 2000, HEAD = 4 + DIGEST_SIZE };

static uint64_t next(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return *seed >> 33;
}

static enum dr_rc apply(const struct buf *base, const struct buf *patch, struct buf *out)
{
    struct dr_err err;
    uint8_t id[DIGEST_SIZE];
    hash_bytes(base->data, base->len, id);
    struct patch p = { .base = base, .patch = patch, .base_id = id };
    return patch_apply("patch", &p, out, &err);
}

/* The length of a patch that gives `now` back. */
static size_t round_trip(const struct buf *base, const struct buf *now)
{
    DR_CLEANUP(buf_fini) struct buf patch = { 0 };
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    uint8_t id[DIGEST_SIZE];
    hash_bytes(base->data, base->len, id);
    patch_make(base, id, now, &patch);
    buf_adds(&out, "before");
    assert_int_equal(apply(base, &patch, &out), DR_OK);
    assert_int_equal(out.len, now->len + 6);
    assert_memory_equal(out.data, "before", 6);
    assert_memory_equal(out.data + 6, now->data, now->len);
    return patch.len;
}

/* -- made and applied ---------------------------------------------------------------------- */

/* Runs of the base in any order, cut anywhere, with bytes between them. */
static void shuffle(const struct buf *base, struct buf *now, uint64_t *seed)
{
    buf_clear(now);
    for (uint64_t steps = 1 + next(seed) % 12; steps > 0; steps--) {
        size_t from = next(seed) % base->len, len = next(seed) % (base->len - from + 1);
        buf_add(now, base->data + from, len);
        for (uint64_t i = next(seed) % 20; i > 0; i--)
            buf_addc(now, (char)next(seed));
    }
    buf_addc(now, (char)next(seed));
}

static void any_bytes_come_back(void **state)
{
    (void)state;
    DR_CLEANUP(buf_fini) struct buf base = { 0 };
    DR_CLEANUP(buf_fini) struct buf now = { 0 };
    for (uint64_t i = 0; i < SEEDS; i++) {
        uint64_t seed = i, values = 1 + next(&seed) % 200;
        buf_clear(&base);
        for (uint64_t len = 1 + next(&seed) % 3000; len > 0; len--)
            buf_addc(&base, (char)(next(&seed) % values));
        shuffle(&base, &now, &seed);
        round_trip(&base, &now);
    }
}

static const uint8_t *no_name(void *arg, uint32_t pack)
{
    (void)arg;
    (void)pack;
    return NULL;
}

/* A segment of small files; every hundredth from `changed` on has another time, size and place. */
static void make_segment(struct buf *out, size_t changed)
{
    uint64_t seed = 7;
    struct toc_writer *w = toc_writer_new();
    struct toc_piece bundle = { .kind = FRAME_BUNDLE, .stored = 1 << 19, .raw = 4 << 20 };
    struct toc_piece overlay = { .kind = FRAME_OVERLAY, .stored = 9000, .raw = 1 << 20 };
    uint32_t row = toc_add_piece(w, &bundle), fresh = toc_add_piece(w, &overlay);
    toc_add_range(w, row + 1);
    for (size_t i = 0; i < RECORDS; i++) {
        DR_FREE char *path = dr_strf("directory/f%06zu", i);
        bool other = i % 100 == 99 && i >= changed;
        struct toc_record r = { .path = path,
                                .path_len = strlen(path),
                                .type = '0',
                                .piece = other ? fresh : row,
                                .offset = i * (size_t)BLOCK_SIZE,
                                .mtime_s = (int64_t)(1700000000 + next(&seed) % 10000000),
                                .mtime_ns = (uint32_t)(next(&seed) % 1000000000),
                                .size = next(&seed) % 3000 };
        if (other) {
            r.mtime_s += 5000000;
            r.size += 77;
        }
        toc_add_record(w, &r);
    }
    toc_encode(w, no_name, NULL, out);
    toc_writer_free(w);
}

static void a_hundredth_that_changed_costs_its_rows(void **state)
{
    (void)state;
    DR_CLEANUP(buf_fini) struct buf base = { 0 };
    DR_CLEANUP(buf_fini) struct buf now = { 0 };
    make_segment(&base, RECORDS);
    make_segment(&now, 0);
    assert_true(base.len > (size_t)20 * RECORDS);
    size_t rows = RECORDS / 100;
    assert_true(round_trip(&base, &now) < HEAD + 100 + rows * 40);
    assert_true(round_trip(&base, &base) < HEAD + 20);
}

/* -- spoiled ------------------------------------------------------------------------------- */

static bool accepts(void *arg, const void *data, size_t len)
{
    DR_CLEANUP(buf_fini) struct buf patch = { 0 };
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    DR_CLEANUP(buf_fini) struct buf exact = { 0 };
    const struct buf *base = arg;
    buf_add(&patch, data, len);
    buf_add(&exact, base->data, base->len); /* its end is the end of what may be read */
    bool ok = apply(&exact, &patch, &out) == DR_OK;
    assert_true(ok ? out.len <= PATCH_RAW_MAX : out.len == 0);
    return ok;
}

static void spoiled_patches_crash_nothing(void **state)
{
    (void)state;
    DR_CLEANUP(buf_fini) struct buf base = { 0 };
    DR_CLEANUP(buf_fini) struct buf now = { 0 };
    DR_CLEANUP(buf_fini) struct buf patch = { 0 };
    uint8_t id[DIGEST_SIZE];
    make_segment(&base, RECORDS);
    make_segment(&now, RECORDS / 2);
    hash_bytes(base.data, base.len, id);
    patch_make(&base, id, &now, &patch);
    spoil_all(accepts, &base, &patch);
    for (size_t len = 0; len < patch.len; len++)
        assert_false(spoil_try(accepts, &base, patch.data, len));
    buf_addc(&patch, 0);
    assert_false(spoil_try(accepts, &base, patch.data, patch.len));
}

/* One step of a patch that makes `len` bytes of the base "0123456789". */
static bool step_is_accepted(uint64_t len, const char *fresh, uint64_t copied, int64_t distance)
{
    DR_CLEANUP(buf_fini) struct buf base = { 0 };
    DR_CLEANUP(buf_fini) struct buf patch = { 0 };
    uint8_t id[DIGEST_SIZE];
    buf_adds(&base, "0123456789");
    hash_bytes(base.data, base.len, id);
    buf_adds(&patch, "DTD1");
    buf_add(&patch, id, DIGEST_SIZE);
    wire_add_varint(&patch, len);
    wire_add_varint(&patch, strlen(fresh));
    buf_adds(&patch, fresh);
    wire_add_varint(&patch, copied);
    wire_add_svarint(&patch, distance);
    return spoil_try(accepts, &base, patch.data, patch.len);
}

static void patches_that_lie_are_refused(void **state)
{
    (void)state;
    assert_true(step_is_accepted(5, "ab", 3, 7));
    assert_true(step_is_accepted(12, "ab", 10, 0));
    assert_true(step_is_accepted(2, "ab", 0, 10));
    assert_false(step_is_accepted(5, "ab", 3, 8)); /* behind the end of the base */
    assert_false(step_is_accepted(5, "ab", 3, -1));
    assert_false(step_is_accepted(2, "ab", 0, 11));
    assert_false(step_is_accepted(13, "ab", 11, 0));
    assert_false(step_is_accepted(5, "ab", 3, INT64_MAX));
    assert_false(step_is_accepted(5, "ab", 3, INT64_MIN));
    assert_false(step_is_accepted(6, "ab", 3, 0)); /* other lengths than said */
    assert_false(step_is_accepted(4, "ab", 3, 0));
    assert_false(step_is_accepted(1, "ab", 0, 0));
    assert_false(step_is_accepted(0, "", 0, 0)); /* a step that gives nothing */
    assert_false(step_is_accepted(PATCH_RAW_MAX + 1, "ab", 3, 0));
}

static void a_patch_is_for_one_base_only(void **state)
{
    (void)state;
    DR_CLEANUP(buf_fini) struct buf base = { 0 };
    DR_CLEANUP(buf_fini) struct buf other = { 0 };
    DR_CLEANUP(buf_fini) struct buf patch = { 0 };
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    uint8_t id[DIGEST_SIZE];
    make_segment(&base, RECORDS);
    make_segment(&other, 0);
    hash_bytes(base.data, base.len, id);
    patch_make(&base, id, &other, &patch);
    assert_int_equal(apply(&base, &patch, &out), DR_OK);
    assert_int_equal(apply(&other, &patch, &out), DR_E_CORRUPT);
}

/* -- lines --------------------------------------------------------------------------------- */

static bool line_is_good(const char *line, struct list_frame *f)
{
    struct dr_err err;
    return list_parse_frame(line, true, f, &err) == DR_OK;
}

static void lines_of_patches_name_their_base(void **state)
{
    (void)state;
    struct list_frame f = { .pack = { 1 }, .offset = 7, .stored = 8, .raw = 9, .id = { 2 } };
    struct list_frame back = { .entries = 0 };
    DR_CLEANUP(buf_fini) struct buf line = { 0 };
    f.entries = 5;
    f.patched = true;
    f.base = (struct list_base){
        .pack = { 3 }, .offset = 10, .stored = 11, .raw = PATCH_RAW_MAX, .id = { 4 }
    };
    buf_adds(&f.first, "odd\nname");
    list_add_frame_line(&line, &f, true);
    assert_true(line_is_good(line.data, &back));
    assert_true(back.patched && back.entries == 5 && back.raw == 9 && back.id[0] == 2);
    assert_memory_equal(&back.base, &f.base, sizeof f.base);
    assert_string_equal(back.first.data, "odd\nname");
    for (size_t len = line.len; len > 0; len--) { /* cut: no line, or one without a base */
        DR_FREE char *cut = dr_strf("%.*s", (int)len - 1, line.data);
        if (line_is_good(cut, &back))
            assert_false(back.patched);
    }
    DR_FREE char *more = dr_strf("%s x", line.data), *space = dr_strf("%s ", line.data);
    assert_false(line_is_good(more, &back) || line_is_good(space, &back));
    f.base.raw++;
    buf_clear(&line);
    list_add_frame_line(&line, &f, true);
    assert_false(line_is_good(line.data, &back));
    f.base.raw--;
    f.raw = PATCH_RAW_MAX + 1;
    buf_clear(&line);
    list_add_frame_line(&line, &f, true);
    assert_false(line_is_good(line.data, &back));
    list_frame_fini(&f);
    list_frame_fini(&back);
}

static enum dr_rc no_put(void *arg, struct spooled *pack, struct dr_err *err)
{
    (void)arg;
    (void)pack;
    return dr_fail(err, DR_E_CORRUPT, "there is nothing to store");
}

/* Else a prune frees what the next reader needs. */
static void a_snapshot_needs_the_packs_of_its_bases(void **state)
{
    (void)state;
    struct dr_err err;
    DR_FREE char *dir = tree_temp();
    struct packs *packs =
        packs_new(&(struct packs_options){ .target = 1, .state_dir = dir, .put = no_put });
    struct lists *lists = lists_new(packs);
    struct snapshot s = { 0 };
    struct packs_place patch = { .pack = packs_number(packs, (uint8_t[DIGEST_SIZE]){ 1 }) };
    struct packs_place base = { .pack = packs_number(packs, (uint8_t[DIGEST_SIZE]){ 2 }) };
    lists_add_segment(lists, &patch, &base, 1, "");
    assert_int_equal(lists_finish(lists, &s, &err), DR_OK);
    assert_int_equal(s.packs.lines.count, 2);
    assert_memory_equal(s.packs.lines.items[0], "01", 2);
    assert_memory_equal(s.packs.lines.items[1], "02", 2);
    snapshot_fini(&s);
    lists_free(lists);
    packs_free(packs);
    tree_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_bytes_come_back),
        cmocka_unit_test(a_hundredth_that_changed_costs_its_rows),
        cmocka_unit_test(spoiled_patches_crash_nothing),
        cmocka_unit_test(patches_that_lie_are_refused),
        cmocka_unit_test(a_patch_is_for_one_base_only),
        cmocka_unit_test(lines_of_patches_name_their_base),
        cmocka_unit_test(a_snapshot_needs_the_packs_of_its_bases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
