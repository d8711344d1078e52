/*
 * Prune where something died or is missing: runs that left a pending, buckets that are away or
 * came back older, expiries left half done, and prunes that fail or die at any call. What goes and
 * what stays otherwise is in test_prune.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/work/gc.h"
#include "backup/work/process.h"
#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "tests/support/fault.h"
#include "tests/support/faultstore.h"
#include "tests/support/prunes.h"

/* -- pendings -------------------------------------------------------------------------------- */

static char *id_of_days_ago(double days)
{
    char id[NAMES_ID_MAX];
    const uint8_t nonce[NONCE_SIZE] = { 7 };
    const struct names_id of = { .source = "app",
                                 .start_ns =
                                     clock_wall_ns() - (int64_t)(days * (double)PRUNES_DAY_NS),
                                 .nonce = nonce };
    return dr_strdup(names_make_id(&of, id));
}

static void living_pending_keeps_its_packs(void **state)
{
    (void)state;
    char garbage[NAMES_MAX];
    prunes_put_garbage(0, "needed", garbage);
    DR_FREE char *id = id_of_days_ago(13.9);
    prunes_put_pending(1, id, garbage, process_mark());
    const struct prune_options o = prunes_options();
    prunes_must(&o);
    assert_true(prunes_is_there(0, garbage));
    assert_int_equal(prunes_count(1, "pending/"), 1);
    assert_int_equal(prunes.result.pendings, 0);
}

static void assert_entombed(const char *id)
{
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&prunes.site);
    for (int b = 0; b < SITE_BUCKETS; b++) {
        bool expired = false;
        assert_int_equal(prunes_count(b, "pending/"), 0);
        assert_int_equal(gc_is_expired(repo_bucket(r, (size_t)b)->store, id, &expired, &prunes.err),
                         DR_OK);
        assert_true(expired);
    }
}

static void pending_of_a_dead_process_goes_behind_a_tombstone(void **state)
{
    (void)state;
    char garbage[NAMES_MAX];
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        DR_JSON json_t *mark = process_mark();
        DR_CLEANUP(buf_fini) struct buf text = { 0 };
        json_add_canonical(&text, mark);
        ssize_t sent = write(ends[1], text.data, text.len);
        _exit(sent == (ssize_t)text.len ? 0 : 1);
    }
    char text[4096];
    int status;
    json_t *mark = NULL;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    ssize_t len = read(ends[0], text, sizeof(text));
    assert_true(len > 0);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(json_read("mark", text, (size_t)len, &mark, &prunes.err), DR_OK);
    prunes_put_garbage(0, "garbage", garbage);
    DR_FREE char *id = id_of_days_ago(0.001);
    prunes_put_pending(0, id, garbage, mark);
    const struct prune_options o = prunes_options();
    prunes_must(&o);
    assert_int_equal(prunes.result.pendings, 1);
    assert_entombed(id);
    assert_false(prunes_is_there(0, garbage));
}

static void pending_of_another_host_goes_after_14_days(void **state)
{
    (void)state;
    char garbage[NAMES_MAX];
    prunes_put_garbage(0, "garbage", garbage);
    DR_FREE char *id = id_of_days_ago(14.1);
    DR_FREE char *fresh = id_of_days_ago(1);
    prunes_put_pending(0, id, garbage, NULL);
    prunes_put_pending(0, fresh, "packs/aa/aa", NULL);
    const struct prune_options o = prunes_options();
    assert_int_equal(prunes_try(&o), DR_E_CORRUPT); /* it names what is no pack */
    assert_non_null(strstr(prunes.err.hint, "--abandon"));
    DR_CLEANUP(text_list_fini) struct text_list abandon = { 0 };
    text_list_add(&abandon, fresh);
    struct prune_options with = prunes_options();
    with.abandon = &abandon;
    prunes_must(&with);
    assert_entombed(id);
    assert_entombed(fresh);
    assert_false(prunes_is_there(0, garbage));
}

static void abandoning_what_is_not_pending_is_told(void **state)
{
    (void)state;
    DR_CLEANUP(text_list_fini) struct text_list abandon = { 0 };
    text_list_add(&abandon, "app-nothing");
    struct prune_options o = prunes_options();
    o.abandon = &abandon;
    assert_int_equal(prunes_try(&o), DR_E_NOTFOUND);
    assert_non_null(strstr(prunes.err.msg, "app-nothing"));
}

static void pending_of_a_visible_snapshot_just_goes(void **state)
{
    (void)state;
    DR_CLEANUP(text_list_fini) struct text_list packs = { 0 };
    site_objects(&prunes.site, 0, "packs/", &packs);
    prunes_put_pending(0, prunes.young, packs.items[0], process_mark());
    const struct prune_options o = prunes_options();
    prunes_must(&o);
    assert_int_equal(prunes_count(0, "pending/"), 0);
    assert_int_equal(prunes_count(0, "gc/"), 0);
    prunes_assert_whole(2);
}

/* The home's PUT had an unknown outcome and the writer died: the copy in the other bucket is the
 * snapshot that was reported, and no tombstone may take it. */
static void stale_pending_of_a_snapshot_elsewhere_brings_it_home(void **state)
{
    (void)state;
    DR_CLEANUP(text_list_fini) struct text_list packs = { 0 };
    DR_FREE char *name = dr_strf("snapshots/%s", prunes.young);
    site_objects(&prunes.site, 0, "packs/", &packs);
    prunes_put_pending(0, prunes.young, packs.items[0], NULL);
    site_damage(&prunes.site, 0, name, SITE_DELETE, 0);
    site_damage(&prunes.site, 0, packs.items[0], SITE_DELETE, 0);
    struct prune_options o = prunes_options();
    DR_CLEANUP(text_list_fini) struct text_list abandon = { 0 };
    text_list_add(&abandon, prunes.young);
    o.abandon = &abandon;
    prunes_must(&o);
    assert_true(prunes_has_snapshot(0, prunes.young));
    assert_int_equal(prunes_count(0, "pending/"), 0);
    prunes_assert_whole(2);
}

static void late_snapshot_of_an_entombed_run_stays_invisible(void **state)
{
    (void)state;
    DR_CLEANUP(text_list_fini) struct text_list packs = { 0 }, abandon = { 0 };
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    DR_FREE char *name = dr_strf("snapshots/%s", prunes.young);
    DR_FREE char *path = dr_strf("%s/%s", prunes.site.bucket[0], name);
    site_objects(&prunes.site, 0, "packs/", &packs);
    assert_int_equal(fs_read_file(path, 1 << 20, &object, &prunes.err), DR_OK);
    for (int b = 0; b < SITE_BUCKETS; b++)
        site_damage(&prunes.site, b, name, SITE_DELETE, 0);
    prunes_put_pending(0, prunes.young, packs.items[0], NULL);
    text_list_add(&abandon, prunes.young);
    struct prune_options o = prunes_options();
    o.abandon = &abandon;
    prunes_must(&o);
    assert_false(prunes_is_there(0, packs.items[0]));
    prunes_put(0, name, object.data, object.len); /* the sleeping writer wakes */
    prunes_assert_whole(0);
    o.abandon = NULL;
    prunes_must(&o);
    assert_false(prunes_has_snapshot(0, prunes.young));
}

/* -- what stops it --------------------------------------------------------------------------- */

static void assert_stopped(const struct prune_options *o, enum dr_rc rc, const char *words)
{
    DR_CLEANUP(buf_fini) struct buf before = { 0 };
    DR_CLEANUP(buf_fini) struct buf after = { 0 };
    prunes_picture(&before);
    assert_int_equal(prunes_try(o), rc);
    prunes_picture(&after);
    assert_string_equal(before.data, after.data);
    if (strstr(prunes.err.msg, words) == NULL)
        fail_msg("'%s' is not in: %s", words, prunes.err.msg);
}

static void bucket_that_cannot_be_opened_stops_it(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX];
    prunes_forge_old(40, old);
    DR_FREE char *away = dr_strf("%s.away", prunes.site.bucket[1]);
    assert_int_equal(rename(prunes.site.bucket[1], away), 0);
    const struct prune_options o = prunes_options();
    assert_int_equal(prunes_try(&o), DR_E_REFUSED);
    assert_non_null(strstr(prunes.err.msg, "bucket 'eu'"));
    assert_true(prunes_has_snapshot(0, old));
    assert_int_equal(rename(away, prunes.site.bucket[1]), 0);
}

static void dark_bucket_stops_it(void **state)
{
    (void)state;
    const char *dark[] = { "eu-west-1" };
    const struct repo_options one = { .dark = dark, .dark_count = 1 };
    DR_CLEANUP(repo_close_ptr) struct repo *r = NULL;
    assert_int_equal(repo_open(prunes.site.config, &one, &r, &prunes.err), DR_OK);
    const struct prune_options o = prunes_options();
    assert_int_equal(prune_run(r, &o, NULL, &prunes.result, &prunes.err), DR_E_REFUSED);
    assert_non_null(strstr(prunes.err.msg, "'eu'"));
}

static void unlistable_bucket_stops_it(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX];
    prunes_forge_old(40, old);
    for (unsigned n = 1;; n++) {
        DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&prunes.site);
        struct repo_bucket *b = repo_bucket(r, 1);
        b->store = faultstore_new(b->store);
        faultstore_fail(b->store, FAULTSTORE_LIST, n, DR_E_IO);
        struct prune_options o = prunes_options();
        o.dry_run = true;
        prune_result_fini(&prunes.result);
        enum dr_rc rc = prune_run(r, &o, NULL, &prunes.result, &prunes.err);
        if (rc == DR_OK) {
            assert_true(n > 5);
            return;
        }
    }
}

static void bucket_that_the_configuration_does_not_name_stops_it(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX];
    prunes_forge_old(40, old);
    const struct prune_options o = prunes_options();
    size_t all = prunes.site.config->bucket_count;
    prunes.site.config->bucket_count = all - 1;
    assert_stopped(&o, DR_E_REFUSED, "bucket 'eu' belongs to this repository");
    struct prune_options without = prunes_options();
    without.retire = "eu";
    prunes_must(&without);
    assert_false(prunes_has_snapshot(0, old));
    prunes_must(&o);
    prunes.site.config->bucket_count = all;
}

static void snapshot_that_does_not_tell_its_packs_stops_it_until_forgotten(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX];
    const char *bad = "snapshots/app-20260101t000000z-aaaaaa", *id = strchr(bad, '/') + 1;
    prunes_forge_old(40, old);
    prunes_put(0, bad, "nonsense\n", 9);
    const struct prune_options o = prunes_options();
    assert_stopped(&o, DR_E_CORRUPT, id);
    assert_non_null(strstr(prunes.err.hint, "forget --force"));
    {
        DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&prunes.site);
        DR_CLEANUP(text_list_fini) struct text_list ids = { 0 };
        text_list_add(&ids, id);
        assert_int_equal(forget_run(r, &ids, true, &prunes.err), DR_OK);
    }
    prunes_must(&o);
    assert_false(prunes_is_there(0, bad));
    assert_false(prunes_has_snapshot(0, old));
}

static void good_copy_speaks_for_a_damaged_one(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX];
    prunes_forge_old(40, old);
    DR_FREE char *name = dr_strf("snapshots/%s", prunes.young);
    site_damage(&prunes.site, 0, name, SITE_TRUNCATE, 50);
    const struct prune_options o = prunes_options();
    prunes_must(&o);
    assert_int_equal(prunes.result.expired, 0); /* the newest one lags */
    DR_CLEANUP(text_list_fini) struct text_list packs = { 0 };
    site_objects(&prunes.site, 0, "packs/", &packs);
    assert_int_equal(packs.count, 2);
}

/* -- gc lists -------------------------------------------------------------------------------- */

static void expiry_that_was_left_half_done_is_carried_on(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX];
    prunes_forge_old(5, old); /* too young for retention */
    {
        DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&prunes.site);
        DR_CLEANUP(text_list_fini) struct text_list ids = { 0 };
        const struct gc_all none = { 0 };
        text_list_add(&ids, old);
        struct repo_bucket *b = repo_bucket(r, 1);
        b->store = faultstore_new(b->store);
        faultstore_fail(b->store, FAULTSTORE_PUT, 1, DR_E_IO);
        assert_int_equal(gc_publish(r, NULL, &ids, &none, &prunes.err), DR_E_IO);
    }
    assert_int_equal(prunes_count(0, "gc/"), 1);
    assert_int_equal(prunes_count(1, "gc/"), 0);
    const struct prune_options o = prunes_options();
    prunes_must(&o);
    assert_int_equal(prunes.result.expired, 1);
    for (int b = 0; b < SITE_BUCKETS; b++) {
        assert_false(prunes_has_snapshot(b, old));
        assert_int_equal(prunes_count(b, "packs/"), 1);
        assert_int_equal(prunes_count(b, "gc/"), 2);
    }
}

static void bucket_that_went_back_stops_it_until_readmitted(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX], older[SNAPSHOT_ID_MAX];
    prunes_forge_old(40, old);
    DR_FREE char *save = dr_strf("cp -a %s %s.saved", prunes.site.bucket[1], prunes.site.bucket[1]);
    DR_FREE char *bring = dr_strf("rm -rf %s && mv %s.saved %s", prunes.site.bucket[1],
                                  prunes.site.bucket[1], prunes.site.bucket[1]);
    assert_int_equal(system(save), 0); /* NOLINT(cert-env33-c,concurrency-mt-unsafe): a test */
    const struct prune_options o = prunes_options();
    prunes_must(&o);
    prunes_forge_old(50, older);
    prunes_must(&o); /* its list knows that the first one stood everywhere */
    assert_int_equal(prunes_count(0, "gc/"), 2);
    assert_int_equal(system(bring), 0); /* NOLINT(cert-env33-c,concurrency-mt-unsafe): a test */
    assert_true(prunes_has_snapshot(1, old));
    assert_stopped(&o, DR_E_REFUSED, "bucket 'eu' came back older");
    assert_non_null(strstr(prunes.err.hint, "--readmit eu"));
    struct prune_options with = prunes_options();
    with.readmit = "eu";
    prunes_must(&with);
    assert_int_equal(prunes_count(1, "gc/"), 3);
    assert_false(prunes_has_snapshot(1, old));
    prunes_must(&o);
    prunes_assert_whole(2);
}

static void new_bucket_gets_the_gc_lists_before_it_is_opened(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX];
    prunes_forge_old(40, old);
    const struct prune_options o = prunes_options();
    prunes_must(&o);
    assert_int_equal(fs_remove_tree(prunes.site.bucket[1], &prunes.err), DR_OK);
    assert_int_equal(mkdir(prunes.site.bucket[1], 0755), 0);
    assert_int_equal(prunes_try(&o), DR_E_REFUSED);
    /* An init that dies behind any call is repeated. */
    int status = 99 << 8;
    for (unsigned n = 1; WEXITSTATUS(status) == 99; n++) {
        pid_t pid = fork();
        if (pid == 0) {
            fault_arm(FAULT_DIE_AFTER, n);
            _exit(repo_init(prunes.site.config, &prunes.err) == DR_OK ? 0 : 1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (prunes_is_there(1, "repository"))
            assert_int_equal(prunes_count(1, "gc/"), 1);
    }
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(repo_init(prunes.site.config, &prunes.err), DR_OK);
    prunes_must(&o);
}

/* -- sweeps ---------------------------------------------------------------------------------- */

/* An expired snapshot, a young one, garbage, and the pending of a dead run: made once, and kept
 * beside the buckets. Objects are never changed, so a hard link of each is as good as a copy. */
static void make_mess(void)
{
    char old[SNAPSHOT_ID_MAX], garbage[NAMES_MAX];
    prunes_forge_old(40, old);
    prunes_put_garbage(1, "garbage", garbage);
    DR_FREE char *id = id_of_days_ago(20);
    prunes_put_pending(0, id, garbage, NULL);
    for (int b = 0; b < SITE_BUCKETS; b++) {
        DR_FREE char *kept = dr_strf("%s.mess", prunes.site.bucket[b]);
        assert_int_equal(rename(prunes.site.bucket[b], kept), 0);
    }
}

static void link_object(const char *from, const char *to)
{
    DR_FREE char *folder = dr_memdup(to, (size_t)(strrchr(to, '/') - to));
    assert_int_equal(fs_make_dirs(folder, 0755, &prunes.err), DR_OK);
    assert_int_equal(link(from, to), 0);
}

static void fresh_mess(void)
{
    DR_FREE char *memory = dr_strf("%s/prune", prunes.site.config->state_dir);
    assert_int_equal(fs_remove_tree(memory, &prunes.err), DR_OK);
    for (int b = 0; b < SITE_BUCKETS; b++) {
        DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
        DR_CLEANUP(store_close_ptr) struct store *s = NULL;
        DR_FREE char *url = dr_strf("file://%s.mess", prunes.site.bucket[b]);
        assert_int_equal(store_open_url("mess", NULL, url, &s, &prunes.err), DR_OK);
        assert_int_equal(store_list(s, "", &names, &prunes.err), DR_OK);
        assert_int_equal(fs_remove_tree(prunes.site.bucket[b], &prunes.err), DR_OK);
        for (size_t i = 0; i < names.count; i++) {
            DR_FREE char *from = dr_strf("%s.mess/%s", prunes.site.bucket[b], names.items[i]);
            DR_FREE char *to = dr_strf("%s/%s", prunes.site.bucket[b], names.items[i]);
            link_object(from, to);
        }
    }
}

static void assert_no_garbage_after_one_more(void)
{
    const struct prune_options o = prunes_options();
    prunes_assert_whole(2);
    prunes_must(&o);
    prunes_assert_whole(2);
    for (int b = 0; b < SITE_BUCKETS; b++) {
        assert_int_equal(prunes_count(b, "packs/"), 1);
        assert_int_equal(prunes_count(b, "snapshots/"), 1);
        assert_int_equal(prunes_count(b, "pending/"), 0);
        assert_true(prunes_count(b, "gc/") > 0);
    }
}

static void prune_survives_every_failing_call(void **state)
{
    (void)state;
    const enum fault_kind kinds[] = { FAULT_ERRNO, FAULT_SHORT };
    make_mess();
    for (size_t k = 0; k < DR_ARRAY_LEN(kinds); k++) {
        bool fired = true;
        unsigned n = 1;
        for (; fired; n++) {
            fresh_mess();
            DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&prunes.site);
            const struct prune_options o = prunes_options();
            prune_result_fini(&prunes.result);
            fault_arm(kinds[k], n);
            enum dr_rc rc = prune_run(r, &o, &prunes.site.hooks, &prunes.result, &prunes.err);
            fired = fault_disarm();
            if (rc == DR_OK) /* a copy of the newest one that cannot be read holds retention */
                assert_true(prunes.result.buckets[0].packs > 0 || prunes.result.hold_count > 0);
            assert_no_garbage_after_one_more();
        }
        print_message("  swept %u calls\n", n - 1);
    }
}

static void prune_survives_death_at_every_call(void **state)
{
    (void)state;
    int status = 99 << 8;
    make_mess();
    for (unsigned n = 1; WEXITSTATUS(status) == 99; n++) {
        fresh_mess();
        pid_t pid = fork();
        if (pid == 0) {
            struct repo *r = site_open(&prunes.site);
            const struct prune_options o = prunes_options();
            fault_arm(FAULT_DIE_AFTER, n);
            _exit(prune_run(r, &o, NULL, &prunes.result, &prunes.err) == DR_OK ? 0 : 1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_no_garbage_after_one_more();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, prunes_set_up, prunes_tear_down)
    site_without_waiting();
    const struct CMUnitTest tests[] = {
        FRESH(living_pending_keeps_its_packs),
        FRESH(pending_of_a_dead_process_goes_behind_a_tombstone),
        FRESH(pending_of_another_host_goes_after_14_days),
        FRESH(abandoning_what_is_not_pending_is_told),
        FRESH(pending_of_a_visible_snapshot_just_goes),
        FRESH(stale_pending_of_a_snapshot_elsewhere_brings_it_home),
        FRESH(late_snapshot_of_an_entombed_run_stays_invisible),
        FRESH(bucket_that_cannot_be_opened_stops_it),
        FRESH(dark_bucket_stops_it),
        FRESH(unlistable_bucket_stops_it),
        FRESH(bucket_that_the_configuration_does_not_name_stops_it),
        FRESH(snapshot_that_does_not_tell_its_packs_stops_it_until_forgotten),
        FRESH(good_copy_speaks_for_a_damaged_one),
        FRESH(expiry_that_was_left_half_done_is_carried_on),
        FRESH(bucket_that_went_back_stops_it_until_readmitted),
        FRESH(new_bucket_gets_the_gc_lists_before_it_is_opened),
        FRESH(prune_survives_every_failing_call),
        FRESH(prune_survives_death_at_every_call),
    };
    return cmocka_run_group_tests_name("prune_deaths", tests, NULL, NULL);
}
