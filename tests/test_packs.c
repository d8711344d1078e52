/*
 * Packs of a run: equal pieces are stored once, unless a reader could tell the difference; the bytes
 * of a pack are on disk, not in memory, and a full disk is told by the name of its directory.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#undef BLOCK_SIZE /* of sys/mount.h; ours is that of tar */

#include "backup/format/names.h"
#include "backup/format/pack.h"
#include "backup/work/backup_packs.h"
#include "dr/base/fs.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "tests/support/fault.h"

enum { PIECE = 4096, KEPT_MAX = 64 };

static char dir[64];
static struct spooled *kept[KEPT_MAX]; /* what put() was given */
static size_t kept_count;

static int set_up(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/test_packs.XXXXXX");
    kept_count = 0;
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    for (size_t i = 0; i < kept_count; i++)
        spooled_drop(kept[i]);
    return fs_remove_tree(dir, &err) == DR_OK ? 0 : -1;
}

static enum dr_rc keep_put(void *arg, struct spooled *pack, struct dr_err *err)
{
    (void)arg;
    (void)err;
    assert_true(kept_count < KEPT_MAX);
    kept[kept_count++] = spooled_ref(pack);
    return DR_OK;
}

static struct packs *fresh(void)
{
    return packs_new(
        &(struct packs_options){ .target = 1 << 20, .state_dir = dir, .put = keep_put });
}

/* The frame of a piece is here whatever the test says: packs do not look into it. */
static struct packs_frame frame_of(enum frame_kind kind, uint8_t fill, const void *digest)
{
    static uint8_t raw[PIECE];
    memset(raw, fill, sizeof(raw));
    struct packs_frame f = { .kind = kind,
                             .raw_len = sizeof(raw),
                             .frame = raw,
                             .frame_len = sizeof(raw),
                             .digests = digest,
                             .digest_count = digest != NULL };
    hash_bytes(raw, sizeof(raw), f.id);
    return f;
}

static struct packs_place add(struct packs *p, enum frame_kind kind, const void *digest)
{
    struct packs_place place;
    struct dr_err err = { 0 };
    struct packs_frame f = frame_of(kind, 7, digest);
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
    assert_int_equal(kept_count, 1);
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

/* What put() gets is a pack by the norm: digest, table, frames where the places say. */
static void sealed_pack_is_what_its_name_and_table_say(void **state)
{
    (void)state;
    static const uint8_t digest[HASH_SIZE] = { 1 };
    struct dr_err err = { 0 };
    uint8_t name[HASH_SIZE];
    uint64_t table_size = 0;
    struct pack_table table;
    struct packs *p = fresh();
    struct packs_place places[3] = { add(p, FRAME_CHUNK, NULL), add(p, FRAME_BUNDLE, digest) };
    struct packs_frame other = frame_of(FRAME_CHUNK, 9, NULL);
    assert_int_equal(packs_add(p, &other, &places[2], &err), DR_OK);
    assert_null(packs_name(p, places[0].pack));
    assert_int_equal(packs_flush(p, &err), DR_OK);
    assert_int_equal(kept_count, 1);
    const struct spooled *s = kept[0];
    hash_bytes(s->data, s->len, name);
    assert_memory_equal(s->name, name, HASH_SIZE);
    assert_memory_equal(packs_name(p, places[0].pack), name, HASH_SIZE);
    assert_int_equal(
        pack_table_size("pack", s->data + s->len - PACK_TAIL_SIZE, s->len, &table_size, &err),
        DR_OK);
    assert_int_equal(
        pack_table_parse("pack", s->data + s->len - table_size, table_size, s->len, &table, &err),
        DR_OK);
    assert_int_equal(table.count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(table.rows[i].offset, places[i].offset);
        assert_int_equal(table.rows[i].stored, PIECE);
        assert_memory_equal(table.rows[i].id, places[i].id, HASH_SIZE);
        assert_int_equal(s->data[places[i].offset], i == 2 ? 9 : 7);
    }
    assert_int_equal(packs_stored(p), s->len);
    pack_table_fini(&table);
    packs_free(p);
}

static struct packs *sealing; /* of add_segment() */

static void add_segment(void *arg)
{
    struct packs_place place;
    struct packs_frame f = frame_of(FRAME_SEGMENT, 3, NULL);
    packs_add_here(sealing, &f, &place);
    *(uint32_t *)arg = place.pack;
}

static void what_before_seal_adds_lies_in_that_pack(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    uint32_t number = 99;
    sealing = fresh();
    packs_before_seal(sealing, add_segment, &number);
    struct packs_place first = add(sealing, FRAME_CHUNK, NULL);
    assert_int_equal(packs_flush(sealing, &err), DR_OK);
    assert_int_equal(number, first.pack);
    assert_int_equal(packs_flush(sealing, &err), DR_OK); /* nothing but the segment in it */
    assert_int_equal(number, first.pack + 1);
    assert_int_equal(kept_count, 2);
    packs_free(sealing);
}

static void full_pack_is_sealed_at_its_target(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    struct packs_place place = { .pack = 0 };
    struct packs *p = packs_new(
        &(struct packs_options){ .target = 3 * PIECE, .state_dir = dir, .put = keep_put });
    for (uint8_t i = 0; i < 10; i++) {
        struct packs_frame f = frame_of(FRAME_CHUNK, i, NULL);
        assert_int_equal(packs_add(p, &f, &place, &err), DR_OK);
        assert_int_equal(place.pack, i / 3);
    }
    assert_int_equal(kept_count, 3);
    packs_free(p);
}

static void numbers_of_older_packs_and_own_ones_do_not_meet(void **state)
{
    (void)state;
    static const uint8_t old[HASH_SIZE] = { 5 }, older[HASH_SIZE] = { 6 };
    struct dr_err err = { 0 };
    struct packs *p = fresh();
    uint32_t first = packs_number(p, old);
    struct packs_place place = add(p, FRAME_CHUNK, NULL);
    uint32_t second = packs_number(p, older);
    assert_int_equal(packs_number(p, old), first);
    assert_true(first != second && first != place.pack && second != place.pack);
    assert_int_equal(packs_flush(p, &err), DR_OK);
    assert_memory_equal(packs_name(p, first), old, HASH_SIZE);
    assert_memory_equal(packs_name(p, second), older, HASH_SIZE);
    assert_memory_equal(packs_name(p, place.pack), kept[0]->name, HASH_SIZE);
    assert_int_equal(packs_number(p, kept[0]->name), place.pack);
    packs_free(p);
}

static enum dr_rc fill_one(struct packs *p, struct dr_err *err)
{
    struct packs_place place;
    struct packs_frame f = frame_of(FRAME_CHUNK, 1, NULL);
    DR_TRY(packs_add(p, &f, &place, err));
    return packs_flush(p, err);
}

/* Each call of the kernel says "no space" in turn. */
static void full_spool_is_named_and_nothing_is_put(void **state)
{
    (void)state;
    bool more = true;
    for (unsigned n = 1; more; n++) {
        struct dr_err err = { 0 };
        struct packs *p = fresh();
        kept_count = 0;
        fault_errno = ENOSPC;
        fault_arm(FAULT_ERRNO, n);
        enum dr_rc rc = fill_one(p, &err);
        more = fault_disarm();
        fault_errno = EIO;
        packs_free(p);
        if (rc != DR_OK) {
            assert_int_equal(rc, DR_E_NOSPACE);
            assert_int_equal(kept_count, 0);
            assert_non_null(strstr(err.msg, "/spool'"));
        }
        struct packs *again = fresh();
        assert_int_equal(fill_one(again, &err), DR_OK);
        packs_free(again);
        spooled_drop(kept[--kept_count]);
        if (kept_count > 0)
            spooled_drop(kept[--kept_count]);
    }
}

/* A file system of one MiB of our own: as root, or where ordinary users may make name spaces. */
static bool mount_small(const char *at)
{
    if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        return false;
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("small", at, "tmpfs", 0, "size=1m") == 0;
}

/* Pieces into a pack that is larger than its file system: 0 told as it should be, 3 cannot be tried here. */
static int fill_small_disk(void)
{
    static uint8_t big[300 << 10];
    struct dr_err err = { 0 };
    enum dr_rc rc = DR_OK;
    if (!mount_small(dir))
        return 3;
    struct packs *p =
        packs_new(&(struct packs_options){ .target = 8 << 20, .state_dir = dir, .put = keep_put });
    for (uint8_t i = 0; i < 8 && rc == DR_OK; i++) {
        struct packs_place place;
        struct packs_frame f = frame_of(FRAME_CHUNK, i, NULL);
        f.frame = big;
        f.frame_len = sizeof(big);
        rc = packs_add(p, &f, &place, &err);
    }
    packs_free(p);
    if (rc != DR_E_NOSPACE || strstr(err.msg, "/spool'") == NULL ||
        strstr(err.hint, "Free space") == NULL || kept_count > 0)
        return 1;
    p = fresh(); /* nothing is left there: the next run has all the room */
    rc = fill_one(p, &err);
    packs_free(p);
    return rc == DR_OK && kept_count == 1 ? 0 : 2;
}

static void full_disk_is_told_and_leaves_no_trace(void **state)
{
    (void)state;
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(fill_small_disk());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 3)
        printf("  no mount for this user: the table of faults alone tells of a full spool\n");
    else
        assert_int_equal(WEXITSTATUS(status), 0);
}

/* Where the file system knows no O_TMPFILE; and what a dead writer left there is swept. */
static void spool_without_unnamed_files_leaves_no_name(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_FREE char *spool = dr_strf("%s/spool", dir);
    DR_FREE char *left = dr_strf("%s/unnamed-00", spool);
    assert_int_equal(fs_make_dirs(spool, 0700, &err), DR_OK);
    assert_int_equal(fs_replace(spool, "unnamed-00", "x", 1, &err), DR_OK);
    struct packs *p = fresh();
    fault_errno = EOPNOTSUPP;
    fault_arm(FAULT_ERRNO, 1);
    assert_int_equal(fill_one(p, &err), DR_OK);
    assert_true(fault_disarm());
    fault_errno = EIO;
    assert_int_equal(kept_count, 1);
    assert_int_equal(access(left, F_OK), -1);
    assert_int_equal(rmdir(spool), 0); /* empty */
    packs_free(p);
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        FRESH(equal_pieces_share_a_frame),
        FRESH(bundle_keeps_its_digests_when_a_chunk_has_its_bytes),
        FRESH(sealed_pack_is_what_its_name_and_table_say),
        FRESH(what_before_seal_adds_lies_in_that_pack),
        FRESH(full_pack_is_sealed_at_its_target),
        FRESH(numbers_of_older_packs_and_own_ones_do_not_meet),
        FRESH(full_spool_is_named_and_nothing_is_put),
        FRESH(full_disk_is_told_and_leaves_no_trace),
        FRESH(spool_without_unnamed_files_leaves_no_name),
    };
    return cmocka_run_group_tests_name("packs", tests, NULL, NULL);
}
