/*
 * The repo: one bad bucket or one bad object never hides what is good elsewhere, and what nobody
 * vouches for is listed as refused and never chosen.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/store/plant.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "tests/support/forge.h"

static struct site site;
static char id[SNAPSHOT_ID_MAX];

static const struct forge_entry entries[] = { { .type = '0', .path = "a", .data = "hello" } };
static const struct forge honest = { .entries = entries, .count = 1, .start_ns = 1000000000 };

static int set_up(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    site_make(&site);
    assert_int_equal(repo_init(site.config, &err), DR_OK);
    forge_snapshot(&site, &honest, id);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    site_drop(&site);
    return 0;
}

static char *object_path(int bucket, const char *name)
{
    return dr_strf("%s/%s", site.bucket[bucket], name);
}

static void list(struct snapshot_list *ret)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    assert_int_equal(repo_snapshots(r, "app", ret, &err), DR_OK);
}

/* Exactly one is listed, in this state; why holds the text. */
static void assert_only(enum snapshot_state state, const char *why)
{
    DR_CLEANUP(snapshot_list_fini) struct snapshot_list l = { 0 };
    list(&l);
    assert_int_equal(l.count, 1);
    assert_int_equal(l.items[0].state, state);
    if (why != NULL && strstr(l.items[0].why, why) == NULL)
        fail_msg("'%s' does not say '%s'", l.items[0].why, why);
}

static void rewrite_object(int bucket, const char *what, const char *from, const char *to)
{
    struct dr_err err = { 0 };
    DR_FREE char *name = dr_strf("snapshots/%s", what);
    DR_FREE char *path = object_path(bucket, name);
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    assert_int_equal(fs_read_file(path, 1 << 20, &b, &err), DR_OK);
    char *at = strstr(b.data, from);
    assert_non_null(at);
    DR_FREE char *text = dr_strf("%.*s%s%s", (int)(at - b.data), b.data, to, at + strlen(from));
    DR_FREE char *dir = dr_strf("%s/snapshots", site.bucket[bucket]);
    assert_int_equal(fs_replace(dir, what, text, strlen(text), &err), DR_OK);
}

static void good_snapshot_is_told_with_its_figures(void **state)
{
    (void)state;
    DR_CLEANUP(snapshot_list_fini) struct snapshot_list l = { 0 };
    list(&l);
    assert_int_equal(l.count, 1);
    const struct snapshot_info *info = &l.items[0];
    assert_string_equal(info->id, id);
    assert_string_equal(info->source, "app");
    assert_string_equal(info->kind, "full");
    assert_int_equal(info->state, SNAPSHOT_GOOD);
    assert_null(info->why);
    assert_int_equal(info->files, 1);
    assert_int_equal(info->bytes, 5);
    assert_int_equal(info->entries, 2);
    assert_int_equal(info->buckets.count, 2);
    assert_int_equal(info->proved_ns, 0);
    assert_int_equal(info->start_ns, 1000000000);
}

static void init_may_be_repeated_and_takes_in_a_replaced_bucket(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    assert_int_equal(repo_init(site.config, &err), DR_OK);
    assert_int_equal(fs_remove_tree(site.bucket[0], &err), DR_OK);
    assert_int_equal(mkdir(site.bucket[0], 0755), 0);
    {
        DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
        assert_null(repo_bucket(r, 0)->store);
        assert_non_null(strstr(repo_bucket(r, 0)->error.msg, "holds no repository"));
        assert_non_null(strstr(repo_bucket(r, 0)->error.hint, "init"));
    }
    assert_only(SNAPSHOT_GOOD, NULL);
    assert_int_equal(repo_init(site.config, &err), DR_OK);
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    assert_non_null(repo_bucket(r, 0)->store);
    assert_only(SNAPSHOT_GOOD, NULL); /* an empty bucket among full ones */
}

static void init_refuses_a_directory_with_something_else(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    assert_int_equal(fs_remove_tree(site.bucket[1], &err), DR_OK);
    assert_int_equal(mkdir(site.bucket[1], 0755), 0);
    assert_int_equal(fs_replace(site.bucket[1], "photo", "x", 1, &err), DR_OK);
    assert_int_equal(repo_init(site.config, &err), DR_E_REFUSED);
    assert_non_null(strstr(err.msg, "bucket 'eu'"));
    assert_non_null(strstr(err.msg, "photo"));
}

static void bucket_of_another_repository_is_not_mixed_in(void **state)
{
    (void)state;
    struct site other;
    struct dr_err err = { 0 };
    site_make(&other);
    assert_int_equal(repo_init(other.config, &err), DR_OK);
    DR_FREE char *from = dr_strf("%s/repository", other.bucket[0]);
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    assert_int_equal(fs_read_file(from, 1 << 20, &b, &err), DR_OK);
    assert_int_equal(fs_replace(site.bucket[1], "repository", b.data, b.len, &err), DR_OK);
    site_drop(&other);
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    assert_null(repo_bucket(r, 1)->store);
    assert_non_null(strstr(repo_bucket(r, 1)->error.msg, "another repository"));
    assert_int_equal(repo_init(site.config, &err), DR_E_REFUSED);
}

static void dark_buckets_are_not_opened(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    const char *dark[] = { "us-east-1", "eu-west-1" };
    struct repo_options o = { .dark = dark, .dark_count = 1 };
    struct repo *r = NULL;
    assert_int_equal(repo_open(site.config, &o, &r, &err), DR_OK);
    assert_true(repo_bucket(r, 0)->dark);
    assert_null(repo_bucket(r, 0)->store);
    assert_non_null(repo_bucket(r, 1)->store);
    DR_CLEANUP(snapshot_list_fini) struct snapshot_list l = { 0 };
    assert_int_equal(repo_snapshots(r, NULL, &l, &err), DR_OK);
    assert_int_equal(l.items[0].buckets.count, 1);
    assert_string_equal(l.items[0].buckets.items[0], "eu");
    repo_close(r);
    o.dark_count = 2;
    assert_int_equal(repo_open(site.config, &o, &r, &err), DR_E_REFUSED);
}

static void missing_bucket_does_not_stop_the_other(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    assert_int_equal(fs_remove_tree(site.bucket[0], &err), DR_OK);
    assert_only(SNAPSHOT_GOOD, NULL);
    assert_int_equal(fs_remove_tree(site.bucket[1], &err), DR_OK);
    struct repo *r = NULL;
    const struct repo_options o = { 0 };
    assert_int_equal(repo_open(site.config, &o, &r, &err), DR_E_NOTFOUND);
    assert_non_null(strstr(err.msg, "no bucket can be used"));
    for (size_t i = 0; i < 2; i++)
        assert_non_null(strstr(err.msg, site.bucket[i]));
    assert_non_null(strstr(err.hint, site.bucket[0]));
}

static void a_right_that_is_wrong_is_told_before_a_bucket_that_is_gone(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    struct plant plant = { .kind = PLANT_EXPIRED };
    const struct repo_options o = { .plant = &plant };
    struct repo *r = NULL;
    assert_int_equal(fs_remove_tree(site.bucket[0], &err), DR_OK);
    assert_int_equal(repo_open(site.config, &o, &r, &err), DR_E_DENIED);
    assert_non_null(strstr(err.msg, site.bucket[0]));
    assert_non_null(strstr(err.msg, "ExpiredToken"));
}

static void damaged_copy_does_not_hide_the_good_one(void **state)
{
    (void)state;
    DR_FREE char *name = dr_strf("snapshots/%s", id);
    for (int bucket = 0; bucket < SITE_BUCKETS; bucket++) {
        for (int how = 0; how < SITE_DAMAGES; how++) {
            DR_FREE char *copy = object_path(1 - bucket, name);
            site_damage(&site, bucket, name, (enum site_damage)how, 40);
            DR_CLEANUP(snapshot_list_fini) struct snapshot_list l = { 0 };
            list(&l);
            assert_int_equal(l.count, 1);
            assert_int_equal(l.items[0].state, SNAPSHOT_GOOD);
            assert_int_equal(l.items[0].buckets.count, 1);
            assert_string_equal(l.items[0].buckets.items[0], site_bucket_names[1 - bucket]);
            struct dr_err err = { 0 };
            DR_CLEANUP(buf_fini) struct buf b = { 0 };
            DR_FREE char *dir = dr_strf("%s/snapshots", site.bucket[bucket]);
            assert_int_equal(fs_read_file(copy, 1 << 20, &b, &err), DR_OK);
            assert_int_equal(fs_replace(dir, id, b.data, b.len, &err), DR_OK);
        }
    }
}

static void assert_refused_everywhere(const char *why)
{
    struct dr_err err = { 0 };
    assert_only(SNAPSHOT_REFUSED, why);
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    struct snapshot_info info = { 0 };
    assert_int_equal(repo_find(r, "latest", NULL, &info, &err), DR_E_NOTFOUND);
    assert_non_null(strstr(err.msg, "refused"));
    struct restore_result result;
    const struct restore_options to = { .to = site.target };
    assert_int_equal(repo_find(r, "app-", NULL, &info, &err), DR_OK);
    assert_int_equal(restore_run(r, &info, &to, &site.hooks, &result, &err), DR_E_REFUSED);
    assert_int_equal(access(site.target, F_OK), -1);
    snapshot_info_fini(&info);
}

static void unsigned_snapshot_is_refused_and_listed(void **state)
{
    (void)state;
    for (int i = 0; i < SITE_BUCKETS; i++)
        rewrite_object(i, id, "\"signature\":\"", "\"unsigned\":\"");
    assert_refused_everywhere("not signed");
}

static void forged_snapshot_is_refused_and_listed(void **state)
{
    (void)state;
    for (int i = 0; i < SITE_BUCKETS; i++)
        rewrite_object(i, id, "\"files\":1", "\"files\":2");
    assert_refused_everywhere("signature");
}

static void snapshot_under_another_name_is_refused(void **state)
{
    (void)state;
    for (int i = 0; i < SITE_BUCKETS; i++) {
        DR_FREE char *from = dr_strf("%s/snapshots/%s", site.bucket[i], id);
        DR_FREE char *to = dr_strf("%s/snapshots/app-20990101t000000z-000000", site.bucket[i]);
        assert_int_equal(rename(from, to), 0);
    }
    assert_only(SNAPSHOT_REFUSED, NULL);
}

static void unknown_writer_is_refused_until_trusted(void **state)
{
    (void)state;
    DR_CLEANUP(keys_free_ptr) struct keys *stranger = keys_new();
    struct forge f = honest;
    char theirs[SNAPSHOT_ID_MAX];
    f.signer = stranger;
    f.start_ns = 2000000000;
    forge_snapshot(&site, &f, theirs);
    DR_CLEANUP(snapshot_list_fini) struct snapshot_list l = { 0 };
    list(&l);
    assert_int_equal(l.count, 2);
    for (size_t i = 0; i < l.count; i++) {
        bool ours = strcmp(l.items[i].id, id) == 0;
        assert_int_equal(l.items[i].state, ours ? SNAPSHOT_GOOD : SNAPSHOT_REFUSED);
        if (!ours)
            assert_non_null(strstr(l.items[i].why, "unknown writer"));
    }
    snapshot_list_fini(&l);

    /* A list of trusted writers is the whole truth: our own key is not on it. */
    char app[] = "app";
    struct config_trust trust = { .source = app };
    text_list_add(&trust.keys, keys_public(stranger));
    struct config *c = site.config;
    struct config_trust *before = c->trusts;
    size_t before_count = c->trust_count;
    c->trusts = &trust;
    c->trust_count = 1;
    list(&l);
    for (size_t i = 0; i < l.count; i++) {
        bool ours = strcmp(l.items[i].id, id) == 0;
        assert_int_equal(l.items[i].state, ours ? SNAPSHOT_REFUSED : SNAPSHOT_GOOD);
    }
    c->trusts = before;
    c->trust_count = before_count;
    text_list_fini(&trust.keys);
}

static void snapshot_of_another_repository_is_refused(void **state)
{
    (void)state;
    struct forge f = honest;
    char theirs[SNAPSHOT_ID_MAX];
    f.repository = "00112233445566778899aabbccddeeff";
    forge_snapshot(&site, &f, theirs);
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    struct snapshot_info info = { 0 };
    struct dr_err err = { 0 };
    assert_int_equal(repo_find(r, theirs, NULL, &info, &err), DR_OK);
    assert_int_equal(info.state, SNAPSHOT_REFUSED);
    assert_non_null(strstr(info.why, "another repository"));
    snapshot_info_fini(&info);
}

static void fenced_writer_is_refused_but_the_past_is_kept(void **state)
{
    (void)state;
    struct forge f = honest;
    char newer[SNAPSHOT_ID_MAX], late[SNAPSHOT_ID_MAX];
    f.epoch = 5;
    f.start_ns = 2000000000;
    forge_snapshot(&site, &f, newer);
    f.epoch = 4; /* fenced, and went on */
    f.start_ns = 3000000000;
    forge_snapshot(&site, &f, late);
    DR_CLEANUP(snapshot_list_fini) struct snapshot_list l = { 0 };
    list(&l);
    assert_int_equal(l.count, 3);
    assert_string_equal(l.items[0].id, id);
    assert_int_equal(l.items[0].state, SNAPSHOT_GOOD);
    assert_string_equal(l.items[1].id, late);
    assert_int_equal(l.items[1].state, SNAPSHOT_REFUSED);
    assert_non_null(strstr(l.items[1].why, "epoch 4"));
    assert_string_equal(l.items[2].id, newer);
    assert_int_equal(l.items[2].state, SNAPSHOT_GOOD);
}

static void missing_pack_makes_it_incomplete_only_if_nobody_has_it(void **state)
{
    (void)state;
    DR_CLEANUP(text_list_fini) struct text_list packs = { 0 };
    site_objects(&site, 0, "packs/", &packs);
    assert_int_equal(packs.count, 1);
    site_damage(&site, 0, packs.items[0], SITE_DELETE, 0);
    assert_only(SNAPSHOT_GOOD, NULL);
    site_damage(&site, 1, packs.items[0], SITE_DELETE, 0);
    assert_only(SNAPSHOT_INCOMPLETE, "1 of its 1 packs");
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    struct snapshot_info info = { 0 };
    struct dr_err err = { 0 };
    assert_int_equal(repo_find(r, "latest", NULL, &info, &err), DR_E_NOTFOUND);
    assert_non_null(strstr(err.msg, "incomplete"));
}

static void newest_good_one_is_found_by_name_or_beginning(void **state)
{
    (void)state;
    struct forge f = honest;
    char newer[SNAPSHOT_ID_MAX];
    f.start_ns = 1700000000000000000;
    forge_snapshot(&site, &f, newer);
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    struct snapshot_info info = { 0 };
    struct dr_err err = { 0 };
    assert_int_equal(repo_find(r, "latest", "app", &info, &err), DR_OK);
    assert_string_equal(info.id, newer);
    snapshot_info_fini(&info);
    assert_int_equal(repo_find(r, "app-2023", NULL, &info, &err), DR_OK);
    assert_string_equal(info.id, newer);
    snapshot_info_fini(&info);
    assert_int_equal(repo_find(r, id, NULL, &info, &err), DR_OK);
    assert_string_equal(info.id, id);
    snapshot_info_fini(&info);
    assert_int_equal(repo_find(r, "app", NULL, &info, &err), DR_E_USAGE);
    assert_non_null(strstr(err.msg, "2 snapshots"));
    assert_int_equal(repo_find(r, "nope", NULL, &info, &err), DR_E_NOTFOUND);
    assert_non_null(strstr(err.hint, newer));
}

static void proof_is_remembered_in_every_bucket(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    {
        DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
        assert_int_equal(repo_mark_proved(r, id, &err), DR_OK);
    }
    for (int i = 0; i < SITE_BUCKETS; i++) {
        DR_CLEANUP(text_list_fini) struct text_list proofs = { 0 };
        site_objects(&site, i, "proofs/", &proofs);
        assert_int_equal(proofs.count, 1);
    }
    DR_CLEANUP(snapshot_list_fini) struct snapshot_list l = { 0 };
    list(&l);
    assert_true(l.items[0].proved_ns > 1700000000000000000);
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        FRESH(good_snapshot_is_told_with_its_figures),
        FRESH(init_may_be_repeated_and_takes_in_a_replaced_bucket),
        FRESH(init_refuses_a_directory_with_something_else),
        FRESH(bucket_of_another_repository_is_not_mixed_in),
        FRESH(dark_buckets_are_not_opened),
        FRESH(missing_bucket_does_not_stop_the_other),
        FRESH(a_right_that_is_wrong_is_told_before_a_bucket_that_is_gone),
        FRESH(damaged_copy_does_not_hide_the_good_one),
        FRESH(unsigned_snapshot_is_refused_and_listed),
        FRESH(forged_snapshot_is_refused_and_listed),
        FRESH(snapshot_under_another_name_is_refused),
        FRESH(unknown_writer_is_refused_until_trusted),
        FRESH(snapshot_of_another_repository_is_refused),
        FRESH(fenced_writer_is_refused_but_the_past_is_kept),
        FRESH(missing_pack_makes_it_incomplete_only_if_nobody_has_it),
        FRESH(newest_good_one_is_found_by_name_or_beginning),
        FRESH(proof_is_remembered_in_every_bucket),
    };
    return cmocka_run_group_tests_name("repo", tests, NULL, NULL);
}
