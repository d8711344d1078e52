/*
 * What many snapshots tell together: diff says exactly what was done to the tree in between, find tells each
 * version once, stats counts each piece once. Snapshots are made by the engine itself.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/work/diff.h"
#include "backup/work/find.h"
#include "backup/work/stats.h"
#include "dr/base/mem.h"
#include "tests/support/site.h"
#include "tests/support/tree.h"

enum { SNAPSHOTS = 8, MANY = 8000 };

static struct site site;
static struct snapshot_info taken[SNAPSHOTS];
static size_t taken_count;

static int set_up(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    site_make(&site);
    taken_count = 0;
    return repo_init(site.config, &err) == DR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < taken_count; i++)
        snapshot_info_fini(&taken[i]);
    site_drop(&site);
    return 0;
}

static const struct snapshot_info *take(const char *kind)
{
    struct dr_err err = { 0 };
    struct backup_result result = { 0 };
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    const struct backup_wish wish = { .source = &site.config->sources[0], .kind = kind };
    assert_true(taken_count < SNAPSHOTS);
    if (backup_run(r, &wish, &site.hooks, &result, &err) != DR_OK ||
        repo_find(r, result.id, NULL, &taken[taken_count], &err) != DR_OK)
        fail_msg("%s", err.msg);
    backup_result_fini(&result);
    return &taken[taken_count++];
}

static void put(const char *path, const char *text)
{
    site_write(&site, path, text, strlen(text));
}

static char *at(const char *path)
{
    return dr_strf("%s/%s", site.src, path);
}

/* -- diff ---------------------------------------------------------------------------------- */

static void note(void *arg, const struct diff_change *c)
{
    static const char *const words[] = { "content", "mode", "owner", "time", "attributes" };
    struct buf *out = arg;
    buf_addf(out, "%c %s", "+-MT"[c->kind], c -> path);
    for (size_t i = 0; i < DR_ARRAY_LEN(words); i++)
        if ((c->what & (1u << i)) != 0)
            buf_addf(out, " %s", words[i]);
    if (c->kind == DIFF_TYPE)
        buf_addf(out, " %c>%c", c->type_before, c->type_after);
    buf_adds(out, "\n");
}

static struct diff_totals diff(const struct snapshot_info *a, const struct snapshot_info *b,
                               const char *wanted)
{
    struct dr_err err = { 0 };
    struct diff_totals totals = { 0 };
    DR_CLEANUP(buf_fini) struct buf told = { 0 };
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    if (diff_run(r, &(struct diff_wish){ a, b, note, &told }, &site.hooks, &totals, &err) != DR_OK)
        fail_msg("%s", err.msg);
    assert_string_equal(told.data != NULL ? told.data : "", wanted);
    return totals;
}

static void fill_for_diff(void)
{
    put("change", "same size 1\n");
    put("grow", "x");
    put("mode", "x");
    put("stay", "x");
    put("touch", "x");
    put("gone/a", "12345");
    put("shape", "x");
    put("d/first", "x");
    DR_FREE char *first = at("d/first");
    DR_FREE char *second = at("d/second");
    DR_FREE char *link_path = at("link");
    assert_int_equal(link(first, second), 0);
    assert_int_equal(symlink("d", link_path), 0);
    int dir = open(site.src, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    tree_write(dir, "large", 7, 3 << 20);
    tree_write(dir, "still", 8, 3 << 20);
    close(dir);
}

static void change_for_diff(void)
{
    struct timespec times[2] = { { .tv_sec = 5 }, { .tv_sec = 1000, .tv_nsec = 5 } };
    DR_FREE char *large = at("large");
    DR_FREE char *mode = at("mode");
    DR_FREE char *gone = at("gone/a");
    DR_FREE char *gone_dir = at("gone");
    DR_FREE char *shape = at("shape");
    DR_FREE char *link_path = at("link");
    DR_FREE char *change_path = at("change");
    DR_FREE char *touch = at("touch");
    struct stat st;
    /* the same size and the same time: only the bytes tell */
    assert_int_equal(stat(change_path, &st), 0);
    put("change", "same size 2\n");
    const struct timespec back[2] = { st.st_atim, st.st_mtim };
    assert_int_equal(utimensat(AT_FDCWD, change_path, back, 0), 0);
    put("grow", "xyz");
    put("new", "1234567");
    assert_int_equal(utimensat(AT_FDCWD, touch, times, 0), 0);
    assert_int_equal(chmod(mode, 0600), 0);
    assert_int_equal(unlink(gone), 0);
    assert_int_equal(rmdir(gone_dir), 0);
    assert_int_equal(unlink(shape), 0);
    assert_int_equal(mkdir(shape, 0755), 0);
    assert_int_equal(unlink(link_path), 0);
    assert_int_equal(symlink("elsewhere", link_path), 0);
    int fd = open(large, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "!", 1, 1000000), 1);
    close(fd);
}

static const char the_changes[] = "M change content\n"
                                  "- gone\n"
                                  "- gone/a\n"
                                  "M grow content time\n"
                                  "M large content time\n"
                                  "M link content time\n"
                                  "M mode mode\n"
                                  "+ new\n"
                                  "T shape 0>5\n"
                                  "M touch time\n";

static void each_change_is_told_and_nothing_else(void **state)
{
    (void)state;
    fill_for_diff();
    const struct snapshot_info *a = take("full");
    change_for_diff();
    const struct snapshot_info *b = take("full");
    const struct diff_totals t = diff(a, b, the_changes);
    assert_int_equal(t.of[DIFF_ADDED], 1);
    assert_int_equal(t.of[DIFF_REMOVED], 2);
    assert_int_equal(t.of[DIFF_CHANGED], 6);
    assert_int_equal(t.of[DIFF_TYPE], 1);
    assert_int_equal(t.times, 1); /* of the root */
    assert_int_equal(t.bytes_added, 12 + 3 + (3 << 20) + 7);
    assert_int_equal(t.bytes_removed, 12 + 1 + (3 << 20) + 5 + 1);
    assert_int_equal(t.unchanged + t.times + 8, b->entries);
}

static void an_incremental_differs_from_its_parent_in_the_same_words(void **state)
{
    (void)state;
    fill_for_diff();
    const struct snapshot_info *a = take("full");
    change_for_diff();
    const struct snapshot_info *b = take("incremental");
    diff(a, b, the_changes);
}

static void the_other_way_round_added_is_removed(void **state)
{
    (void)state;
    put("a", "x");
    const struct snapshot_info *a = take("full");
    put("b/c", "x");
    const struct snapshot_info *b = take("incremental");
    diff(a, b, "+ b\n+ b/c\n");
    diff(b, a, "- b\n- b/c\n");
}

static void attributes_differ_where_nothing_else_does(void **state)
{
    (void)state;
    put("a", "x");
    put("b", "x");
    const struct snapshot_info *a = take("full");
    DR_FREE char *path = at("a");
    assert_int_equal(setxattr(path, "user.colour", "red", 3, 0), 0);
    const struct snapshot_info *b = take("full");
    diff(a, b, "M a attributes\n");
}

/* Files enough for several segments; one of them changes. */
static void segments_that_both_share_are_passed_over(void **state)
{
    (void)state;
    tree_make_many(site.src, MANY, 10);
    put("zz", "before");
    const struct snapshot_info *a = take("full");
    put("zz", "behind!");
    const struct snapshot_info *b = take("incremental");
    const struct diff_totals t = diff(a, b, "M zz content time\n");
    assert_true(t.segments > 2);
    assert_true(t.segments_shared + 2 >= t.segments);
    assert_true(t.segments_shared > 0);
}

/* -- find ---------------------------------------------------------------------------------- */

static struct find_result find(const char *pattern, char type)
{
    struct dr_err err = { 0 };
    struct find_result result = { 0 };
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    const struct find_wish wish = {
        .snapshots = taken, .count = taken_count, .pattern = pattern, .type = type
    };
    if (find_run(r, &wish, &site.hooks, &result, &err) != DR_OK)
        fail_msg("%s", err.msg);
    return result;
}

static void assert_found(const struct find_result *f, size_t i, const char *path, size_t first,
                         size_t last)
{
    assert_true(i < f->count);
    assert_string_equal(f->matches[i]->path, path);
    assert_ptr_equal(f->matches[i]->first, &taken[first]);
    assert_ptr_equal(f->matches[i]->last, &taken[last]);
    assert_int_equal(f->matches[i]->count, last - first + 1);
}

static void each_version_is_told_once_with_its_first_and_last_snapshot(void **state)
{
    (void)state;
    put("etc/app.conf", "one");
    put("etc/other", "x");
    take("full");
    take("incremental");
    put("etc/app.conf", "three");
    take("incremental");
    put("sub/app.conf", "x");
    take("full");
    DR_CLEANUP(find_result_fini) struct find_result all = find("app.conf", '\0');
    assert_int_equal(all.count, 3);
    assert_found(&all, 0, "etc/app.conf", 0, 1);
    assert_found(&all, 1, "etc/app.conf", 2, 3);
    assert_found(&all, 2, "sub/app.conf", 3, 3);
    assert_true(all.shared > 0); /* nothing changed between the first two */
    DR_CLEANUP(find_result_fini) struct find_result rooted = find("/etc/*", '\0');
    assert_int_equal(rooted.count, 3);
    DR_CLEANUP(find_result_fini) struct find_result directories = find("*", '5');
    assert_int_equal(directories.matches[0]->type, '5');
    assert_string_equal(directories.matches[0]->path, "etc");
}

static void what_is_no_pattern_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "", "!a", "#a" };
    put("a", "x");
    take("full");
    for (size_t i = 0; i < DR_ARRAY_LEN(bad); i++) {
        struct dr_err err = { 0 };
        DR_CLEANUP(find_result_fini) struct find_result result = { 0 };
        DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
        const struct find_wish wish = { .snapshots = taken, .count = 1, .pattern = bad[i] };
        assert_int_equal(find_run(r, &wish, NULL, &result, &err), DR_E_USAGE);
    }
}

/* -- stats --------------------------------------------------------------------------------- */

static void count(struct stats *ret)
{
    struct dr_err err = { 0 };
    struct snapshot_list list = { 0 };
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    if (repo_snapshots(r, NULL, &list, &err) != DR_OK ||
        stats_run(r, &list, &site.hooks, ret, &err) != DR_OK)
        fail_msg("%s", err.msg);
    snapshot_list_fini(&list);
}

static void stats_count_each_piece_once(void **state)
{
    (void)state;
    DR_CLEANUP(stats_fini) struct stats one = { 0 };
    DR_CLEANUP(stats_fini) struct stats two = { 0 };
    fill_for_diff();
    take("full");
    count(&one);
    take("incremental");
    count(&two);
    assert_int_equal(one.snapshots, 1);
    assert_int_equal(two.snapshots, 2);
    assert_int_equal(two.bytes, 2 * one.bytes);
    assert_true(two.pieces == one.pieces);
    assert_true(one.raw >= one.bytes); /* heads and padding */
    assert_int_equal(one.bucket_count, SITE_BUCKETS);
    for (size_t i = 0; i < SITE_BUCKETS; i++) {
        const struct stats_bucket *b = &one.buckets[i];
        assert_true(b->open);
        assert_int_equal(b->unused_packs, 0);
        assert_true(b->needed <= b->pack_bytes && b->pack_bytes <= b->bytes);
        assert_true(b->needed >= b->pack_bytes - b->pack_bytes / 50); /* the rest: tables */
        assert_int_equal(b->needed, one.stored);
    }
}

static void what_only_a_removed_snapshot_needed_is_dead(void **state)
{
    (void)state;
    int dir = open(site.src, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    put("keep", "x");
    tree_write(dir, "once", 9, 4 << 20);
    take("full");
    assert_int_equal(unlinkat(dir, "once", 0), 0);
    close(dir);
    take("incremental");
    for (int i = 0; i < SITE_BUCKETS; i++) {
        DR_FREE char *name = dr_strf("snapshots/%s", taken[0].id);
        site_damage(&site, i, name, SITE_DELETE, 0);
    }
    DR_CLEANUP(stats_fini) struct stats s = { 0 };
    count(&s);
    assert_int_equal(s.snapshots, 1);
    for (size_t i = 0; i < SITE_BUCKETS; i++)
        assert_true(s.buckets[i].pack_bytes - s.buckets[i].needed >= 4 << 20);
}

#define DIFF_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    site_without_waiting();
    const struct CMUnitTest tests[] = {
        DIFF_TEST(each_change_is_told_and_nothing_else),
        DIFF_TEST(an_incremental_differs_from_its_parent_in_the_same_words),
        DIFF_TEST(the_other_way_round_added_is_removed),
        DIFF_TEST(attributes_differ_where_nothing_else_does),
        DIFF_TEST(segments_that_both_share_are_passed_over),
        DIFF_TEST(each_version_is_told_once_with_its_first_and_last_snapshot),
        DIFF_TEST(what_is_no_pattern_is_refused),
        DIFF_TEST(stats_count_each_piece_once),
        DIFF_TEST(what_only_a_removed_snapshot_needed_is_dead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
