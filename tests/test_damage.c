/*
 * Damage: each kind of object, flipped, cut short and deleted. In one bucket: it is named, the
 * other bucket is used, and the tree is right. In both: a refusal that names it, and never a
 * wrong byte. Runs under TSan.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/work/reader.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "tests/support/faultstore.h"
#include "tests/support/forge.h"
#include "tests/support/site.h"

static struct site site;
static struct snapshot_info snapshot;

struct victim { /* an object, and where in it the interesting bytes are */
    char *name;
    uint64_t offset;
};

static int set_up(void **state)
{
    (void)state;
    site_make(&site);
    site_fill(&site);
    site_backup(&site, &snapshot);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    snapshot_info_fini(&snapshot);
    site_drop(&site);
    return 0;
}

static void copy_object(const char *name, int from, int to)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    DR_FREE char *path = dr_strf("%s/%s", site.bucket[from], name);
    assert_int_equal(fs_read_file(path, 1 << 30, &b, &err), DR_OK);
    DR_FREE char *dir = dr_strf("%s/%s", site.bucket[to], name);
    char *slash = strrchr(dir, '/');
    *slash = '\0';
    assert_int_equal(fs_replace(dir, slash + 1, b.data, b.len, &err), DR_OK);
}

/* The pack with the first segment, and where its frame is in it. */
static struct victim find_segment(void)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    DR_CLEANUP(reader_close_ptr) struct reader *reader = NULL;
    assert_int_equal(reader_open(r, &snapshot, NULL, &reader, &err), DR_OK);
    const struct list_frame *f = reader_segment_frame(reader, 0);
    char name[NAMES_MAX];
    names_pack(f->pack, name);
    return (struct victim){ .name = dr_strdup(name), .offset = f->offset + f->stored / 2 };
}

static struct victim find_pack(void)
{
    DR_CLEANUP(text_list_fini) struct text_list packs = { 0 };
    site_objects(&site, 0, "packs/", &packs);
    assert_true(packs.count > 0);
    return (struct victim){ .name = dr_strdup(packs.items[0]), .offset = 30000 };
}

static void assert_restores_naming(const char *bucket, const char *name)
{
    struct dr_err err = { 0 };
    struct restore_result result = { 0 };
    site_clear_target(&site);
    text_list_fini(&site.warnings);
    if (site_restore(&site, &result, &err) != DR_OK)
        fail_msg("%s", err.msg);
    site_assert_restored(&site);
    if (bucket == NULL)
        return;
    assert_true(result.warnings > 0);
    DR_FREE char *quoted = dr_strf("bucket '%s'", bucket);
    if (!site_warned(&site, quoted, name))
        fail_msg("'%s' of bucket '%s' is not named", name, bucket);
}

static void assert_refuses_naming(const char *name)
{
    struct dr_err err = { 0 };
    struct restore_result result = { 0 };
    site_clear_target(&site);
    enum dr_rc rc = site_restore(&site, &result, &err);
    assert_int_not_equal(rc, DR_OK);
    if (strstr(err.msg, name) == NULL)
        fail_msg("'%s' is not named: %s", name, err.msg);
    assert_int_equal(restore_is_done(site.target, snapshot.id, &err), 0);
}

static void damage_one_then_both(const struct victim *v)
{
    const char *last = strrchr(v->name, '/') + 1;
    for (int how = 0; how < SITE_DAMAGES; how++) {
        for (int bucket = 0; bucket < SITE_BUCKETS; bucket++) {
            site_damage_at(&site, bucket, v->name, (enum site_damage)how, v->offset);
            /* The second bucket is asked only when the first fails. */
            assert_restores_naming(bucket == 0 ? "us" : NULL, last);
            copy_object(v->name, 1 - bucket, bucket);
        }
        struct dr_err err = { 0 };
        DR_CLEANUP(buf_fini) struct buf b = { 0 };
        DR_FREE char *path = dr_strf("%s/%s", site.bucket[0], v->name);
        assert_int_equal(fs_read_file(path, 1 << 30, &b, &err), DR_OK);
        for (int bucket = 0; bucket < SITE_BUCKETS; bucket++)
            site_damage_at(&site, bucket, v->name, (enum site_damage)how, v->offset);
        assert_refuses_naming(last);
        for (int bucket = 0; bucket < SITE_BUCKETS; bucket++) {
            DR_FREE char *dir = dr_strf("%s/%s", site.bucket[bucket], v->name);
            *strrchr(dir, '/') = '\0';
            assert_int_equal(fs_replace(dir, last, b.data, b.len, &err), DR_OK);
        }
        assert_restores_naming(NULL, last);
    }
}

static void damaged_pack_is_named_and_replaced_by_the_other_bucket(void **state)
{
    (void)state;
    struct victim v = find_pack();
    damage_one_then_both(&v);
    free(v.name);
}

static void damaged_segment_is_named_and_replaced_by_the_other_bucket(void **state)
{
    (void)state;
    struct victim v = find_segment();
    damage_one_then_both(&v);
    free(v.name);
}

static void damaged_snapshot_object_is_named_and_replaced_by_the_other_bucket(void **state)
{
    (void)state;
    struct victim v = { .name = dr_strf("snapshots/%s", snapshot.id), .offset = 300 };
    struct dr_err err = { 0 };
    for (int how = 0; how < SITE_DAMAGES; how++) {
        for (int bucket = 0; bucket < SITE_BUCKETS; bucket++) {
            site_damage_at(&site, bucket, v.name, (enum site_damage)how, v.offset);
            assert_restores_naming(site_bucket_names[bucket], snapshot.id);
            copy_object(v.name, 1 - bucket, bucket);
        }
    }
    for (int bucket = 0; bucket < SITE_BUCKETS; bucket++)
        site_damage_at(&site, bucket, v.name, SITE_FLIP, v.offset);
    assert_refuses_naming(snapshot.id);
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    DR_CLEANUP(snapshot_list_fini) struct snapshot_list l = { 0 };
    assert_int_equal(repo_snapshots(r, NULL, &l, &err), DR_OK);
    assert_int_equal(l.count, 1); /* it is listed all the same */
    assert_int_equal(l.items[0].state, SNAPSHOT_REFUSED);
    free(v.name);
}

static void damaged_recipe_is_named_and_replaced_by_the_other_bucket(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_FREE char *name = dr_strf("snapshots/%s", snapshot.id);
    DR_FREE char *path = dr_strf("%s/%s", site.bucket[0], name);
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    assert_int_equal(fs_read_file(path, 1 << 20, &b, &err), DR_OK);
    const char *recipe = strstr(b.data, "\"recipe\":");
    assert_non_null(recipe);
    for (int how = 0; how < SITE_DAMAGES; how++) {
        site_damage_at(&site, 0, name, (enum site_damage)how, (uint64_t)(recipe - b.data) + 40);
        assert_restores_naming("us", snapshot.id);
        copy_object(name, 1, 0);
    }
}

static void damaged_repository_object_is_named_and_the_other_bucket_is_used(void **state)
{
    (void)state;
    for (int how = 0; how < SITE_DAMAGES; how++) {
        for (int bucket = 0; bucket < SITE_BUCKETS; bucket++) {
            site_damage(&site, bucket, "repository", (enum site_damage)how, 50);
            {
                DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
                const struct repo_bucket *b = repo_bucket(r, (size_t)bucket);
                assert_null(b->store);
                assert_non_null(strstr(b->error.msg, site_bucket_names[bucket]));
                assert_non_null(strstr(b->error.msg, "repository"));
            }
            assert_restores_naming(NULL, "");
            copy_object("repository", 1 - bucket, bucket);
        }
    }
    for (int bucket = 0; bucket < SITE_BUCKETS; bucket++)
        site_damage(&site, bucket, "repository", SITE_TRUNCATE, 50);
    assert_refuses_naming("repository");
}

static void packs_damaged_in_different_places_make_one_that_is_whole(void **state)
{
    (void)state;
    struct victim v = find_pack();
    site_damage(&site, 0, v.name, SITE_TRUNCATE, 60);
    site_damage(&site, 1, v.name, SITE_FLIP, 2);
    struct dr_err err = { 0 };
    struct restore_result result = { 0 };
    enum dr_rc rc = site_restore(&site, &result, &err);
    if (rc == DR_OK)
        site_assert_restored(&site);
    else /* the two damages met in one frame */
        assert_int_equal(rc, DR_E_CORRUPT);
    free(v.name);
}

/* At each of its calls in turn, the first bucket goes away for good. */
static void bucket_that_fails_in_the_middle_is_replaced_by_the_other(void **state)
{
    (void)state;
    unsigned calls = 1;
    for (unsigned n = 1; n <= calls; n++) {
        struct dr_err err = { 0 };
        struct restore_result result = { 0 };
        site_clear_target(&site);
        text_list_fini(&site.warnings);
        DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
        struct store *bad = faultstore_new(repo_bucket(r, 0)->store);
        repo_bucket(r, 0)->store = bad;
        faultstore_fail_from(bad, FAULTSTORE_ANY, n, DR_E_TRANSIENT);
        const struct restore_options to = { .to = site.target };
        if (restore_run(r, &snapshot, &to, &site.hooks, &result, &err) != DR_OK)
            fail_msg("call %u: %s", n, err.msg);
        site_assert_restored(&site);
        assert_true(site_warned(&site, "bucket 'us'", "failed on purpose"));
        assert_true(result.warnings > 0);
        calls = faultstore_calls(bad, FAULTSTORE_GET) + faultstore_calls(bad, FAULTSTORE_HEAD);
        if (n == calls)
            break;
    }
    assert_in_range(calls, 2, 100);
}

/* Reads are few and long: what lies together in a pack is read together. */
static void neighbouring_pieces_are_read_with_one_call(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    struct restore_result result = { 0 };
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    struct store *counted = faultstore_new(repo_bucket(r, 0)->store);
    repo_bucket(r, 0)->store = counted;
    const struct restore_options to = { .to = site.target };
    assert_int_equal(restore_run(r, &snapshot, &to, &site.hooks, &result, &err), DR_OK);
    /* snapshot object, segment, bundles, heads and chunks of two large files, directories */
    assert_in_range(faultstore_calls(counted, FAULTSTORE_GET), 4, 8);
    assert_int_equal(faultstore_calls(counted, FAULTSTORE_LIST), 0);
}

/* An empty bucket among full ones costs one line. */
static void empty_bucket_among_full_ones_is_no_obstacle(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    struct restore_result result = { 0 };
    assert_int_equal(fs_remove_tree(site.bucket[0], &err), DR_OK);
    assert_int_equal(mkdir(site.bucket[0], 0755), 0);
    assert_int_equal(repo_init(site.config, &err), DR_OK);
    assert_int_equal(site_restore(&site, &result, &err), DR_OK);
    site_assert_restored(&site);
    assert_int_equal(site.warnings.count, 1);
    assert_true(site_warned(&site, "bucket 'us'", snapshot.id));
}

/* -- verify -------------------------------------------------------------------------------- */

static struct verify_result verify_with(bool data, unsigned threads)
{
    struct dr_err err = { 0 };
    struct verify_result result = { 0 };
    const struct verify_wish wish = { .data = data, .threads = threads };
    text_list_fini(&site.warnings);
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    if (verify_run(r, NULL, &wish, &site.hooks, &result, &err) != DR_OK)
        fail_msg("%s", err.msg);
    return result;
}

/* Nobody can tell by how many threads: the same figures, the same words in the same order. */
static struct verify_result verify(bool data)
{
    const struct verify_result many = verify_with(data, 3);
    DR_CLEANUP(text_list_fini) struct text_list said = site.warnings;
    site.warnings = (struct text_list){ 0 };
    const struct verify_result alone = verify_with(data, 0);
    assert_int_equal(alone.objects, many.objects);
    assert_int_equal(alone.damaged, many.damaged);
    assert_int_equal(alone.missing, many.missing);
    assert_int_equal(alone.lost, many.lost);
    assert_int_equal(alone.bytes, many.bytes);
    assert_int_equal(site.warnings.count, said.count);
    for (size_t i = 0; i < said.count; i++)
        assert_string_equal(site.warnings.items[i], said.items[i]);
    return alone;
}

static void verify_of_whole_buckets_finds_nothing_and_proves(void **state)
{
    (void)state;
    for (int data = 0; data < 2; data++) {
        const struct verify_result v = verify(data == 1);
        assert_int_equal(v.damaged + v.missing + v.lost, 0);
        assert_true(v.objects >= 6);
        assert_int_equal(site.warnings.count, 0);
    }
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    struct snapshot_info info = { 0 };
    struct dr_err err = { 0 };
    assert_int_equal(repo_find(r, "latest", NULL, &info, &err), DR_OK);
    assert_true(repo_proved_ns(r, info.id) > 0);
    snapshot_info_fini(&info);
}

static void assert_verify_names(const char *name, int bucket, enum site_damage how)
{
    site_damage(&site, bucket, name, how, 40);
    struct verify_result v = verify(true);
    assert_int_equal(v.damaged, how != SITE_DELETE);
    assert_int_equal(v.missing, how == SITE_DELETE);
    assert_int_equal(v.lost, 0);
    assert_true(site_warned(&site, site_bucket_names[bucket], name));
    if (how != SITE_FLIP || text_starts(name, "snapshots/")) {
        v = verify(false); /* a flip in a pack shows only when all is read */
        assert_int_equal(v.damaged + v.missing, 1);
    }
    copy_object(name, 1 - bucket, bucket);
}

/* Two snapshots of an unchanged tree: the second costs its own small object in each bucket. */
static void verify_reads_a_piece_once_however_many_snapshots_share_it(void **state)
{
    (void)state;
    struct verify_result one = verify(true);
    struct dr_err err = { 0 };
    DR_CLEANUP(backup_result_fini) struct backup_result again = { 0 };
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    struct backup_wish wish = { .source = &site.config->sources[0], .kind = "incremental" };
    assert_int_equal(backup_run(r, &wish, &site.hooks, &again, &err), DR_OK);
    assert_int_equal(again.stored, 0);
    struct verify_result two = verify(true);
    assert_int_equal(two.lost + two.damaged + two.missing, 0);
    assert_true(two.bytes > one.bytes);
    assert_true(two.bytes - one.bytes < one.bytes / 8);
}

static void verify_names_each_damaged_object_in_each_bucket(void **state)
{
    (void)state;
    struct victim pack = find_pack();
    DR_FREE char *object = dr_strf("snapshots/%s", snapshot.id);
    for (int bucket = 0; bucket < SITE_BUCKETS; bucket++) {
        for (int how = 0; how < SITE_DAMAGES; how++) {
            assert_verify_names(pack.name, bucket, (enum site_damage)how);
            assert_verify_names(object, bucket, (enum site_damage)how);
        }
    }
    free(pack.name);
}

static void verify_finds_a_recipe_that_is_not_the_table_of_contents(void **state)
{
    (void)state;
    const struct forge_entry entry = { .type = '0', .path = "a", .data = "hello" };
    const struct forge f = { .entries = &entry, .count = 1, .short_recipe = true };
    char id[SNAPSHOT_ID_MAX];
    forge_snapshot(&site, &f, id);
    const struct verify_result v = verify(false);
    assert_int_equal(v.damaged + v.missing, 0);
    assert_int_equal(v.lost, 1);
    assert_true(site_warned(&site, id, "recipe"));
}

/* A long list lies in a pack; that one is damaged like any other. */
static void damaged_list_is_named_and_replaced_by_the_other_bucket(void **state)
{
    (void)state;
    const struct forge_entry entry = { .type = '0', .path = "a", .data = "hello" };
    const struct forge f = { .entries = &entry, .count = 1, .deep = true };
    char id[SNAPSHOT_ID_MAX];
    DR_CLEANUP(text_list_fini) struct text_list before = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list after = { 0 };
    site_objects(&site, 0, "packs/", &before);
    forge_snapshot(&site, &f, id);
    site_objects(&site, 0, "packs/", &after);
    for (size_t i = 0; i < after.count; i++) {
        for (int how = 0; how < SITE_DAMAGES && !text_list_has(&before, after.items[i]); how++) {
            struct dr_err err = { 0 };
            struct restore_result result = { 0 };
            site_clear_target(&site);
            text_list_fini(&site.warnings);
            site_damage_at(&site, 0, after.items[i], (enum site_damage)how, 20);
            if (site_restore(&site, &result, &err) != DR_OK)
                fail_msg("%s", err.msg);
            assert_int_equal(result.entries, 2);
            assert_true(site_warned(&site, "bucket 'us'", after.items[i]));
            copy_object(after.items[i], 1, 0);
        }
    }
    assert_int_equal(verify(true).lost, 0);
}

static void verify_tells_what_is_lost(void **state)
{
    (void)state;
    struct victim v = find_pack();
    for (int bucket = 0; bucket < SITE_BUCKETS; bucket++)
        site_damage_at(&site, bucket, v.name, SITE_FLIP, v.offset);
    const struct verify_result result = verify(true);
    assert_int_equal(result.damaged, 2);
    assert_true(result.lost >= 1);
    assert_true(site_warned(&site, snapshot.id, "cannot be restored"));
    free(v.name);
}

static void verify_names_a_bucket_without_its_repository_object(void **state)
{
    (void)state;
    site_damage(&site, 1, "repository", SITE_DELETE, 0);
    const struct verify_result result = verify(false);
    assert_int_equal(result.missing, 1);
    assert_true(site_warned(&site, "eu", "repository"));
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    site_without_waiting();
    const struct CMUnitTest tests[] = {
        FRESH(damaged_pack_is_named_and_replaced_by_the_other_bucket),
        FRESH(damaged_segment_is_named_and_replaced_by_the_other_bucket),
        FRESH(damaged_snapshot_object_is_named_and_replaced_by_the_other_bucket),
        FRESH(damaged_recipe_is_named_and_replaced_by_the_other_bucket),
        FRESH(damaged_list_is_named_and_replaced_by_the_other_bucket),
        FRESH(damaged_repository_object_is_named_and_the_other_bucket_is_used),
        FRESH(packs_damaged_in_different_places_make_one_that_is_whole),
        FRESH(bucket_that_fails_in_the_middle_is_replaced_by_the_other),
        FRESH(neighbouring_pieces_are_read_with_one_call),
        FRESH(empty_bucket_among_full_ones_is_no_obstacle),
        FRESH(verify_of_whole_buckets_finds_nothing_and_proves),
        FRESH(verify_reads_a_piece_once_however_many_snapshots_share_it),
        FRESH(verify_names_each_damaged_object_in_each_bucket),
        FRESH(verify_finds_a_recipe_that_is_not_the_table_of_contents),
        FRESH(verify_tells_what_is_lost),
        FRESH(verify_names_a_bucket_without_its_repository_object),
    };
    return cmocka_run_group_tests_name("damage", tests, NULL, NULL);
}
