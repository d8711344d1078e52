/*
 * The local cache: what was written comes back word for word; whatever is wrong with it (another snapshot,
 * other exclusions, another root, a bit, a missing end) it is not believed, and never does harm.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "backup/work/prev.h"
#include "dr/base/fs.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "tests/support/tree.h"

enum { RECORDS = 3 };

static struct prev_identity identity(void)
{
    return (struct prev_identity){
        .repository = "r1", .snapshot = "s1", .excludes = UINT64_MAX, .root_dev = 5, .root_ino = 6
    };
}

static const uint8_t *no_name(void *arg, uint32_t pack)
{
    (void)arg;
    (void)pack;
    return NULL;
}

/* The root and two links: a piece of directories and a bundle. */
static void make_segment(struct buf *raw)
{
    struct toc_writer *w = toc_writer_new();
    struct toc_piece bundle = { .kind = FRAME_BUNDLE, .stored = 10, .raw = 1024 };
    struct toc_piece directories = { .kind = FRAME_DIRECTORIES, .stored = 10, .raw = 512 };
    uint32_t row = toc_add_piece(w, &bundle);
    struct toc_record records[RECORDS] = {
        { .path = "", .type = '5', .piece = toc_add_piece(w, &directories) },
        { .path = "a", .path_len = 1, .type = '2', .link = "x", .piece = row },
        { .path = "b", .path_len = 1, .type = '2', .link = "y", .piece = row, .offset = 512 },
    };
    toc_add_range(w, row + 1);
    for (size_t i = 0; i < RECORDS; i++)
        toc_add_record(w, &records[i]);
    toc_encode(w, no_name, NULL, raw);
    toc_writer_free(w);
}

/* patched: as if it were stored as a patch of these bytes; or NULL. */
static void write_patched(const char *dir, bool commit, const char *patched)
{
    DR_CLEANUP(buf_fini) struct buf raw = { 0 };
    DR_CLEANUP(buf_fini) struct buf line = { 0 };
    struct prev_extra extras[RECORDS] = { { .dev = 1 },
                                          { .ino = 2, .head = 77 },
                                          { .ctime_s = -3 } };
    struct list_frame f = { .offset = 7, .stored = 9, .entries = RECORDS };
    DR_CLEANUP(buf_fini) struct buf base = { 0 };
    struct buf removed = { .data = (char[]){ 'q', '\0' }, .len = 2 };
    struct prev_identity id = identity();
    struct dr_err err;
    make_segment(&raw);
    f.raw = raw.len;
    hash_bytes(raw.data, raw.len, f.id);
    buf_adds(&f.first, "");
    f.patched = patched != NULL;
    buf_adds(&base, patched != NULL ? patched : "");
    f.base.raw = base.len;
    list_add_frame_line(&line, &f, true);
    struct prev_writer *w = prev_writer_new(dir, "app");
    assert_non_null(w);
    assert_null(prev_writer_new(dir, "app")); /* one at a time */
    prev_writer_segment(w, &raw, &base, extras, RECORDS);
    prev_writer_line(w, line.data);
    prev_writer_removed(w, &removed);
    if (commit)
        assert_int_equal(prev_writer_commit(w, &id, &err), DR_OK);
    prev_writer_free(w);
    list_frame_fini(&f);
}

static void write_cache(const char *dir, bool commit)
{
    write_patched(dir, commit, NULL);
}

/* Believed? Without a repository there are no buckets to fall back to. */
static bool is_believed(const char *dir, const struct prev_identity *id, struct prev **ret)
{
    struct snapshot_info refused = { .state = SNAPSHOT_REFUSED };
    struct prev_options o = {
        .state_dir = dir, .source = "app", .identity = id, .parent = &refused
    };
    struct dr_err err;
    return prev_open(&o, ret, &err) == DR_OK;
}

static void what_was_written_comes_back(void **state)
{
    (void)state;
    DR_FREE char *dir = tree_temp();
    struct prev_identity id = identity();
    struct prev *p = NULL;
    const struct prev_segment *s = NULL;
    struct dr_err err;
    write_cache(dir, true);
    assert_true(is_believed(dir, &id, &p));
    assert_true(prev_is_cached(p));
    assert_int_equal(prev_count(p), 1);
    assert_string_equal(prev_first(p, 0), "");
    assert_int_equal(prev_removed(p)->len, 2);
    assert_int_equal(prev_segment(p, 0, &s, &err), DR_OK);
    assert_int_equal(s->count, RECORDS);
    assert_int_equal(s->toc.range_count, 1);
    assert_int_equal(s->toc.ranges[0].bundle, 1);
    assert_string_equal(s->records[2].path, "b");
    assert_string_equal(s->records[1].link, "x");
    assert_true(s->extras[0].dev == 1 && s->extras[1].head == 77 && s->extras[2].ctime_s == -3);
    prev_close(p);
    tree_remove(dir);
}

static void the_base_of_a_patch_comes_back(void **state)
{
    (void)state;
    DR_FREE char *dir = tree_temp();
    struct prev_identity id = identity();
    struct prev *p = NULL;
    const struct prev_segment *s = NULL;
    struct dr_err err;
    write_patched(dir, true, "the bytes of an older segment");
    assert_true(is_believed(dir, &id, &p));
    assert_int_equal(prev_segment(p, 0, &s, &err), DR_OK);
    assert_int_equal(s->count, RECORDS);
    assert_true(s->frame->patched);
    assert_int_equal(s->base.len, s->frame->base.raw);
    assert_memory_equal(s->base.data, "the bytes of an older segment", s->base.len);
    assert_true(s->extras[1].head == 77 && s->extras[2].ctime_s == -3);
    prev_close(p);
    tree_remove(dir);
}

static void another_identity_is_not_believed(void **state)
{
    (void)state;
    DR_FREE char *dir = tree_temp();
    struct prev_identity id = identity(), others[5] = { id, id, id, id, id };
    struct prev *p = NULL;
    others[0].repository = "r2";
    others[1].snapshot = "s10";
    others[2].excludes--;
    others[3].root_dev++;
    others[4].root_ino++;
    assert_false(is_believed(dir, &id, &p)); /* there is none */
    write_cache(dir, true);
    for (size_t i = 0; i < DR_ARRAY_LEN(others); i++)
        assert_false(is_believed(dir, &others[i], &p));
    tree_remove(dir);
}

static void no_bit_can_change_and_no_byte_be_missing_unseen(void **state)
{
    (void)state;
    DR_FREE char *dir = tree_temp();
    DR_FREE char *path = dr_strf("%s/toc/app", dir);
    DR_CLEANUP(buf_fini) struct buf good = { 0 };
    struct prev_identity id = identity();
    struct prev *p = NULL;
    struct dr_err err;
    write_cache(dir, true);
    assert_int_equal(fs_read_file(path, 1 << 20, &good, &err), DR_OK);
    DR_FREE char *folder = dr_strf("%s/toc", dir);
    for (size_t i = 0; i < good.len * 2; i++) {
        DR_FREE char *bad = dr_memdup(good.data, good.len);
        size_t len = i < good.len ? good.len : i - good.len;
        if (i < good.len)
            bad[i] = (char)(bad[i] ^ 1 << i % 8);
        assert_int_equal(fs_replace(folder, "app", bad, len, &err), DR_OK);
        if (is_believed(dir, &id, &p))
            fail_msg("byte %zu", i);
    }
    tree_remove(dir);
}

static void without_a_commit_the_old_one_stays(void **state)
{
    (void)state;
    DR_FREE char *dir = tree_temp();
    struct prev_identity id = identity();
    struct prev *p = NULL;
    write_cache(dir, false);
    assert_false(is_believed(dir, &id, &p));
    write_cache(dir, true);
    write_cache(dir, false);
    assert_true(is_believed(dir, &id, &p));
    prev_close(p);
    tree_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_comes_back),
        cmocka_unit_test(the_base_of_a_patch_comes_back),
        cmocka_unit_test(another_identity_is_not_believed),
        cmocka_unit_test(no_bit_can_change_and_no_byte_be_missing_unseen),
        cmocka_unit_test(without_a_commit_the_old_one_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
