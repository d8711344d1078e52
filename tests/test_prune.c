/*
 * Prune, one fact at a time: what goes, what stays, what is forgotten and repaired. What died or
 * broke before is in test_prune_deaths.c; prunes that meet backups are in test_storm.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/work/lastrun.h"
#include "backup/work/pins.h"
#include "backup/work/process.h"
#include "backup/work/repair.h"
#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "tests/support/forge.h"
#include "tests/support/prunes.h"

static const struct forge_entry one_file[] = { { .type = '0', .path = "f", .data = "hello" } };

/* -- what goes and what stays --------------------------------------------------------------- */

static void expired_snapshot_goes_with_its_packs(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX], middle[SNAPSHOT_ID_MAX];
    prunes_forge_old(40, old);
    prunes_forge_old(20, middle);
    size_t packs = prunes_count(0, "packs/");
    const struct prune_options o = prunes_options();
    prunes_must(&o);
    assert_int_equal(prunes.result.expired, 1);
    assert_int_equal(prunes.result.buckets[0].packs, 1);
    assert_true(prunes.result.buckets[0].bytes > 0);
    for (int b = 0; b < SITE_BUCKETS; b++) {
        assert_false(prunes_has_snapshot(b, old));
        assert_true(prunes_has_snapshot(b, middle));
        assert_true(prunes_has_snapshot(b, prunes.young));
        assert_int_equal(prunes_count(b, "packs/"), packs - 1);
        assert_int_equal(prunes_count(b, "gc/"), 1);
    }
    prunes_assert_whole(4);
}

static void second_prune_finds_nothing_and_writes_nothing(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX];
    prunes_forge_old(40, old);
    const struct prune_options o = prunes_options();
    prunes_must(&o);
    prunes_must(&o);
    assert_int_equal(prunes.result.expired, 0);
    assert_int_equal(prunes_count(0, "gc/"), 1);
}

static void every_snapshot_has_a_reason(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX];
    prunes_forge_old(40, old);
    struct prune_options o = prunes_options();
    o.dry_run = true;
    prunes_must(&o);
    assert_int_equal(prunes.result.snapshot_count, 2);
    assert_string_equal(prunes.result.snapshots[0].id, old);
    assert_true(prunes.result.snapshots[0].expires);
    assert_non_null(strstr(prunes.result.snapshots[0].why, "kept for 30d"));
    assert_false(prunes.result.snapshots[1].expires);
    assert_non_null(strstr(prunes.result.snapshots[1].why, "not older than 30d"));
}

static void dry_run_changes_nothing_and_tells_all(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX], garbage[NAMES_MAX];
    DR_CLEANUP(buf_fini) struct buf before = { 0 };
    DR_CLEANUP(buf_fini) struct buf after = { 0 };
    prunes_forge_old(40, old);
    prunes_put_garbage(0, "garbage", garbage);
    prunes_put_pending(1, "app-20200101t000000z-abcdef", garbage, NULL);
    prunes_picture(&before);
    struct prune_options o = prunes_options();
    o.dry_run = true;
    prunes_must(&o);
    prunes_picture(&after);
    assert_string_equal(before.data, after.data);
    assert_int_equal(prunes.result.expired, 1);
    assert_int_equal(prunes.result.buckets[0].packs,
                     2); /* the stale pending does not keep its pack */
}

static void no_is_no(void **state);
static bool say_no(void *arg, const struct prune_result *so_far)
{
    (void)arg;
    assert_int_equal(so_far->expired, 1);
    return false;
}

static void no_is_no(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX];
    DR_CLEANUP(buf_fini) struct buf before = { 0 };
    DR_CLEANUP(buf_fini) struct buf after = { 0 };
    prunes_forge_old(40, old);
    const struct prune_options dry = { .now_ns = clock_wall_ns(), .approve = say_no };
    struct prune_options o = prunes_options();
    o.grace_ms = PRUNE_GRACE_MS;
    o.dry_run = true;
    prunes_must(&o); /* the members are written by the first real one only */
    prunes_picture(&before);
    prunes_must(&dry);
    prunes_picture(&after);
    assert_true(prunes.result.refused);
    assert_true(prunes_has_snapshot(0, old));
    assert_int_equal(prunes_count(0, "gc/"), 0);
}

static void pinned_snapshot_stays_until_it_is_unpinned(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX];
    prunes_forge_old(40, old);
    const struct prune_options o = prunes_options();
    {
        DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&prunes.site);
        assert_int_equal(pins_put(r, old, true, "the audit", &prunes.err), DR_OK);
    }
    prunes_must(&o);
    assert_true(prunes_has_snapshot(0, old));
    assert_string_equal(prunes.result.snapshots[0].why, "pinned");
    {
        DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&prunes.site);
        DR_CLEANUP(pins_fini) struct pins pins = { 0 };
        assert_int_equal(pins_read(r, &pins, &prunes.err), DR_OK);
        assert_string_equal(pins_find(&pins, old)->reason, "the audit");
        assert_int_equal(pins_put(r, old, false, "", &prunes.err), DR_OK);
    }
    prunes_must(&o);
    assert_false(prunes_has_snapshot(0, old));
    assert_int_equal(prunes_count(0, "pins/"), 0);
}

static void unreadable_pin_counts_as_pinned(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX];
    prunes_forge_old(40, old);
    DR_FREE char *name = dr_strf("pins/%s/00000001-aa", old);
    prunes_put(0, name, "nonsense", 8);
    const struct prune_options o = prunes_options();
    prunes_must(&o);
    assert_true(prunes_has_snapshot(0, old));
}

static void proofs_go_with_their_snapshot(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX];
    prunes_forge_old(40, old);
    {
        DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&prunes.site);
        assert_int_equal(repo_mark_proved(r, old, &prunes.err), DR_OK);
        assert_int_equal(repo_mark_proved(r, prunes.young, &prunes.err), DR_OK);
    }
    const struct prune_options o = prunes_options();
    prunes_must(&o);
    assert_false(prunes_has_snapshot(0, old));
    assert_int_equal(prunes_count(0, "proofs/"), 1);
}

static void refused_snapshot_keeps_its_packs(void **state)
{
    (void)state;
    char theirs[SNAPSHOT_ID_MAX];
    DR_CLEANUP(keys_free_ptr) struct keys *stranger = keys_new();
    const struct forge f = { .entries = one_file,
                             .count = 1,
                             .signer = stranger,
                             .start_ns = clock_wall_ns() - 100 * PRUNES_DAY_NS };
    forge_snapshot(&prunes.site, &f, theirs);
    size_t packs = prunes_count(0, "packs/");
    const struct prune_options o = prunes_options();
    prunes_must(&o);
    assert_true(prunes_has_snapshot(0, theirs));
    assert_int_equal(prunes_count(0, "packs/"), packs);
}

static void packs_of_deep_lists_stay(void **state)
{
    (void)state;
    char deep[SNAPSHOT_ID_MAX];
    const struct forge f = { .entries = one_file, .count = 1, .deep = true };
    forge_snapshot(&prunes.site, &f, deep);
    size_t packs = prunes_count(0, "packs/");
    const struct prune_options o = prunes_options();
    prunes_must(&o);
    assert_int_equal(prunes_count(0, "packs/"), packs);
}

static void clock_far_ahead_expires_nothing_and_says_so(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX];
    prunes_forge_old(40, old);
    struct prune_options o = prunes_options();
    o.now_ns += 1000 * PRUNES_DAY_NS;
    prunes_must(&o);
    assert_int_equal(prunes.result.expired, 0);
    assert_int_equal(prunes.result.hold_count, 1);
    assert_string_equal(prunes.result.holds[0].source, "app");
    assert_non_null(strstr(prunes.result.holds[0].why, "the clock is wrong"));
    o.now_ns = clock_wall_ns() - PRUNES_DAY_NS;
    prunes_must(&o);
    assert_non_null(strstr(prunes.result.holds[0].why, "behind the newest snapshot"));
}

static void failed_run_holds_until_one_succeeds(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX];
    prunes_forge_old(40, old);
    const struct prune_options o = prunes_options();
    lastrun_end(prunes.site.config->state_dir, "app", "disk on fire");
    prunes_must(&o);
    assert_int_equal(prunes.result.expired, 0);
    assert_non_null(strstr(prunes.result.holds[0].why, "disk on fire"));
    lastrun_begin(prunes.site.config->state_dir, "app"); /* runs: we are alive */
    lastrun_end(prunes.site.config->state_dir, "app", NULL);
    prunes_must(&o);
    assert_int_equal(prunes.result.expired, 1);
}

static void run_that_was_killed_holds(void **state)
{
    (void)state;
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        lastrun_begin(prunes.site.config->state_dir, "app");
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    char old[SNAPSHOT_ID_MAX];
    prunes_forge_old(40, old);
    const struct prune_options o = prunes_options();
    prunes_must(&o);
    assert_non_null(strstr(prunes.result.holds[0].why, "interrupted"));
}

/* -- packs that nothing names --------------------------------------------------------------- */

static void unnamed_pack_waits_for_its_grace_and_losing_the_memory_only_delays(void **state)
{
    (void)state;
    char garbage[NAMES_MAX];
    prunes_put_garbage(0, "garbage", garbage);
    struct prune_options o = prunes_options();
    o.grace_ms = PRUNE_GRACE_MS;
    prunes_must(&o);
    assert_int_equal(prunes.result.young, 1);
    o.now_ns += PRUNES_DAY_NS - 1000000000;
    prunes_must(&o);
    assert_true(prunes_is_there(0, garbage));
    DR_FREE char *memory = dr_strf("%s/prune", prunes.site.config->state_dir);
    assert_int_equal(fs_remove_tree(memory, &prunes.err), DR_OK);
    o.now_ns += 2 * INT64_C(1000000000);
    prunes_must(&o);
    assert_true(prunes_is_there(0, garbage));
    o.now_ns += PRUNES_DAY_NS;
    prunes_must(&o);
    assert_false(prunes_is_there(0, garbage));
    assert_int_equal(prunes.result.buckets[0].packs, 1);
    assert_int_equal(prunes.result.buckets[1].packs, 0);
}

static void clock_that_went_back_starts_the_grace_anew(void **state)
{
    (void)state;
    char garbage[NAMES_MAX];
    prunes_put_garbage(0, "garbage", garbage);
    struct prune_options o = prunes_options();
    o.grace_ms = PRUNE_GRACE_MS;
    o.now_ns += 300 * PRUNES_DAY_NS;
    prunes_must(&o);
    o.now_ns -= 300 * PRUNES_DAY_NS;
    prunes_must(&o);
    o.now_ns += PRUNES_DAY_NS / 2;
    prunes_must(&o);
    assert_true(prunes_is_there(0, garbage));
    o.now_ns += PRUNES_DAY_NS / 2;
    prunes_must(&o);
    assert_false(prunes_is_there(0, garbage));
}

/* -- between the two looks ------------------------------------------------------------------- */

struct meddler {
    const char *pack;
    int bucket;
};

static bool commit_meanwhile(void *arg, const struct prune_result *so_far)
{
    (void)so_far;
    const struct meddler *m = arg;
    prunes_put_pending(m->bucket, "app-20990101t000000z-abcdef", m->pack, process_mark());
    return true;
}

static void what_is_named_since_the_first_look_is_struck(void **state)
{
    (void)state;
    for (int bucket = 0; bucket < SITE_BUCKETS; bucket++) {
        char garbage[NAMES_MAX];
        struct meddler m = { .pack = garbage, .bucket = bucket };
        DR_FREE char *text = dr_strf("garbage %d", bucket);
        prunes_put_garbage(0, text, garbage);
        struct prune_options o = prunes_options();
        o.approve = commit_meanwhile;
        o.arg = &m;
        prunes_must(&o);
        assert_int_equal(prunes.result.struck, 1);
        assert_true(prunes_is_there(0, garbage));
        DR_CLEANUP(store_close_ptr) struct store *s = prunes_open_bucket(bucket);
        assert_int_equal(store_remove(s, "pending/app-20990101t000000z-abcdef", &prunes.err),
                         DR_OK);
    }
    const struct prune_options o = prunes_options();
    prunes_must(&o);
    assert_int_equal(prunes.result.buckets[0].packs,
                     1); /* the first one went in the second round */
}

/* -- forget ---------------------------------------------------------------------------------- */

static enum dr_rc forget(const char *id, bool force)
{
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&prunes.site);
    DR_CLEANUP(text_list_fini) struct text_list ids = { 0 };
    text_list_add(&ids, id);
    return forget_run(r, &ids, force, &prunes.err);
}

static void forgotten_snapshot_is_invisible_and_freed_by_prune(void **state)
{
    (void)state;
    char other[SNAPSHOT_ID_MAX];
    prunes_forge_old(2, other);
    assert_int_equal(forget(other, false), DR_OK);
    assert_true(prunes_has_snapshot(0, other));
    {
        DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&prunes.site);
        struct snapshot_info info = { 0 };
        assert_int_equal(repo_find(r, other, NULL, &info, &prunes.err), DR_OK);
        assert_string_equal(info.why, "expired");
        snapshot_info_fini(&info);
    }
    const struct prune_options o = prunes_options();
    prunes_must(&o);
    assert_false(prunes_has_snapshot(0, other) || prunes_has_snapshot(1, other));
    assert_int_equal(prunes_count(0, "packs/"), 1);
}

static void last_complete_and_last_proved_are_not_forgotten_lightly(void **state)
{
    (void)state;
    char other[SNAPSHOT_ID_MAX];
    assert_int_equal(forget(prunes.young, false), DR_E_REFUSED);
    assert_non_null(strstr(prunes.err.msg, "no complete full snapshot of 'app' would be left"));
    prunes_forge_old(2, other);
    {
        DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&prunes.site);
        DR_CLEANUP(text_list_fini) struct text_list both = { 0 };
        text_list_add(&both, prunes.young);
        text_list_add(&both, other);
        assert_int_equal(forget_run(r, &both, false, &prunes.err), DR_E_REFUSED);
        assert_int_equal(repo_mark_proved(r, other, &prunes.err), DR_OK);
    }
    assert_int_equal(forget(other, false), DR_E_REFUSED);
    assert_non_null(strstr(prunes.err.msg, "no proved"));
    assert_int_equal(prunes_count(0, "gc/"), 0);
    assert_int_equal(forget(other, true), DR_OK);
    assert_int_equal(forget(prunes.young, true), DR_OK);
    assert_int_equal(forget("app-nothing", true), DR_E_NOTFOUND);
}

static void pinned_snapshot_is_not_forgotten_even_by_force(void **state)
{
    (void)state;
    char other[SNAPSHOT_ID_MAX];
    prunes_forge_old(2, other);
    {
        DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&prunes.site);
        assert_int_equal(pins_put(r, other, true, "legal hold", &prunes.err), DR_OK);
    }
    assert_int_equal(forget(other, true), DR_E_REFUSED);
    assert_non_null(strstr(prunes.err.msg, "legal hold"));
}

/* -- repair ---------------------------------------------------------------------------------- */

static void repair_brings_a_snapshot_into_a_bucket_that_lacks_it(void **state)
{
    (void)state;
    DR_CLEANUP(text_list_fini) struct text_list packs = { 0 };
    DR_FREE char *name = dr_strf("snapshots/%s", prunes.young);
    site_objects(&prunes.site, 0, "packs/", &packs);
    site_damage(&prunes.site, 1, name, SITE_DELETE, 0);
    site_damage(&prunes.site, 1, packs.items[0], SITE_DELETE, 0);
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&prunes.site);
    struct repair_result repaired;
    assert_int_equal(repair_snapshot(r, prunes.young, 0, 1, &repaired, &prunes.err), DR_OK);
    assert_int_equal(repaired.packs, 1);
    prunes_assert_whole(2);
    assert_int_equal(repair_snapshot(r, prunes.young, 0, 1, &repaired, &prunes.err), DR_OK);
    assert_int_equal(repaired.packs, 0);
}

static void repair_copies_no_damage_and_revives_nothing_expired(void **state)
{
    (void)state;
    char other[SNAPSHOT_ID_MAX];
    DR_CLEANUP(text_list_fini) struct text_list packs = { 0 };
    site_objects(&prunes.site, 0, "packs/", &packs);
    site_damage(&prunes.site, 1, packs.items[0], SITE_DELETE, 0);
    site_damage(&prunes.site, 0, packs.items[0], SITE_FLIP, 30);
    prunes_forge_old(2, other);
    assert_int_equal(forget(other, false), DR_OK);
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&prunes.site);
    struct repair_result repaired;
    assert_int_equal(repair_snapshot(r, prunes.young, 0, 1, &repaired, &prunes.err), DR_E_CORRUPT);
    assert_false(prunes_is_there(1, packs.items[0]));
    assert_int_equal(repair_snapshot(r, other, 0, 1, &repaired, &prunes.err), DR_E_REFUSED);
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, prunes_set_up, prunes_tear_down)
    site_without_waiting();
    const struct CMUnitTest tests[] = {
        FRESH(expired_snapshot_goes_with_its_packs),
        FRESH(second_prune_finds_nothing_and_writes_nothing),
        FRESH(every_snapshot_has_a_reason),
        FRESH(dry_run_changes_nothing_and_tells_all),
        FRESH(no_is_no),
        FRESH(pinned_snapshot_stays_until_it_is_unpinned),
        FRESH(unreadable_pin_counts_as_pinned),
        FRESH(proofs_go_with_their_snapshot),
        FRESH(refused_snapshot_keeps_its_packs),
        FRESH(packs_of_deep_lists_stay),
        FRESH(clock_far_ahead_expires_nothing_and_says_so),
        FRESH(failed_run_holds_until_one_succeeds),
        FRESH(run_that_was_killed_holds),
        FRESH(unnamed_pack_waits_for_its_grace_and_losing_the_memory_only_delays),
        FRESH(clock_that_went_back_starts_the_grace_anew),
        FRESH(what_is_named_since_the_first_look_is_struck),
        FRESH(forgotten_snapshot_is_invisible_and_freed_by_prune),
        FRESH(last_complete_and_last_proved_are_not_forgotten_lightly),
        FRESH(pinned_snapshot_is_not_forgotten_even_by_force),
        FRESH(repair_brings_a_snapshot_into_a_bucket_that_lacks_it),
        FRESH(repair_copies_no_damage_and_revives_nothing_expired),
    };
    return cmocka_run_group_tests_name("prune", tests, NULL, NULL);
}
