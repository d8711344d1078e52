/*
 * Repair: set union to the byte, damage healed and named, nothing brought back that was expired, and death at
 * any call. Runs under TSan.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/work/repair.h"
#include "backup/work/suspects.h"
#include "backup/work/verify_budget.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "tests/support/faultstore.h"
#include "tests/support/prunes.h"
#include "tests/support/stopstore.h"

enum { LARGE = 3 << 20 };

static struct repair_report report;

static void fill_source(void)
{
    DR_FREE uint8_t *bytes = dr_alloc(LARGE, 1);
    uint32_t x = 12345;
    for (size_t i = 0; i < LARGE; i++) {
        x = x * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(x >> 24);
    }
    site_write(&prunes.site, "large.bin", bytes, LARGE);
    site_write(&prunes.site, "etc/small", "beta", 4);
}

static int set_up(void **state)
{
    report = (struct repair_report){ 0 };
    if (prunes_set_up(state) != 0)
        return -1;
    fill_source();
    struct repo *r = site_open(&prunes.site);
    struct backup_result result = { 0 };
    const struct backup_wish wish = { .source = &prunes.site.config->sources[0] };
    assert_int_equal(backup_run(r, &wish, &prunes.site.hooks, &result, &prunes.err), DR_OK);
    snprintf(prunes.young, sizeof(prunes.young), "%s", result.id);
    backup_result_fini(&result);
    repo_close(r);
    return 0;
}

static int tear_down(void **state)
{
    repair_report_fini(&report);
    return prunes_tear_down(state);
}

static enum dr_rc repair_in(struct repo *r, const struct repair_wish *wish)
{
    repair_report_fini(&report);
    return repair_run(r, wish, &prunes.site.hooks, &report, &prunes.err);
}

static void repair(const struct repair_wish *wish)
{
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&prunes.site);
    if (repair_in(r, wish) != DR_OK)
        fail_msg("%s", prunes.err.msg);
}

static uint64_t size_in(int bucket, const char *name)
{
    uint64_t size = 0;
    struct store *s = prunes_open_bucket(bucket);
    assert_int_equal(store_head(s, name, &size, &prunes.err), DR_OK);
    store_close(s);
    return size;
}

/* Remove every second object below prefix. Returns the bytes that are gone. */
static uint64_t thin_out(int bucket, const char *prefix, size_t from)
{
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    uint64_t gone = 0;
    site_objects(&prunes.site, bucket, prefix, &names);
    for (size_t i = from; i < names.count; i += 2) {
        gone += size_in(bucket, names.items[i]);
        site_damage(&prunes.site, bucket, names.items[i], SITE_DELETE, 0);
    }
    return gone;
}

static size_t packs_of(const struct repair_report *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->bucket_count; i++)
        n += r->buckets[i].packs;
    return n;
}

static void assert_as_it_should_be(void)
{
    prunes_assert_whole(4); /* two snapshots in two buckets */
    assert_int_equal(report.left, 0);
    assert_int_equal(report.lost, 0);
}

static struct store *watch(struct repo *r, int bucket)
{
    struct repo_bucket *b = repo_bucket(r, (size_t)bucket);
    b->store = faultstore_new(b->store);
    return b->store;
}

/* -- union --------------------------------------------------------------------------------- */

static void bytes_copied_are_the_bytes_missing(void **state)
{
    (void)state;
    uint64_t gone[SITE_BUCKETS];
    for (unsigned threads = 0; threads < 5; threads += 4) {
        gone[0] = thin_out(0, "packs/", 0);
        gone[1] = thin_out(1, "packs/", 1);
        assert_true(gone[0] > 0 && gone[1] > 0);
        DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&prunes.site);
        struct store *seen[SITE_BUCKETS] = { watch(r, 0), watch(r, 1) };
        assert_int_equal(repair_in(r, &(struct repair_wish){ .threads = threads }), DR_OK);
        for (int b = 0; b < SITE_BUCKETS; b++) {
            assert_int_equal(report.buckets[b].bytes, gone[b]);
            assert_int_equal(faultstore_bytes_put(seen[b]), gone[b]); /* and no snapshot, no list */
        }
        assert_as_it_should_be();
    }
}

static void second_repair_puts_nothing(void **state)
{
    (void)state;
    thin_out(1, "packs/", 0);
    thin_out(1, "snapshots/", 0);
    repair(&(struct repair_wish){ .threads = 2 });
    assert_int_equal(report.buckets[1].snapshots, 1);
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&prunes.site);
    struct store *seen[SITE_BUCKETS] = { watch(r, 0), watch(r, 1) };
    assert_int_equal(repair_in(r, &(struct repair_wish){ .threads = 2 }), DR_OK);
    for (int b = 0; b < SITE_BUCKETS; b++) {
        assert_int_equal(faultstore_calls(seen[b], FAULTSTORE_PUT), 0);
        assert_int_equal(faultstore_calls(seen[b], FAULTSTORE_REMOVE), 0);
    }
    assert_as_it_should_be();
}

static void bucket_that_lost_everything_is_filled_after_init(void **state)
{
    (void)state;
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    site_objects(&prunes.site, 1, "", &names);
    for (size_t i = 0; i < names.count; i++)
        site_damage(&prunes.site, 1, names.items[i], SITE_DELETE, 0);
    repair(&(struct repair_wish){ .threads = 0 });
    assert_true(report.buckets[1].failed); /* an empty directory might be one that is not mounted */
    assert_non_null(strstr(report.buckets[1].why.hint, "drctl init"));
    assert_int_equal(prunes_count(1, ""), 0);
    assert_int_equal(repo_init(prunes.site.config, &prunes.err), DR_OK);
    repair(&(struct repair_wish){ .threads = 2 });
    assert_int_equal(report.buckets[1].snapshots, 2);
    assert_as_it_should_be();
}

static void nothing_expired_comes_back_with_a_bucket_that_is_older(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX];
    DR_CLEANUP(text_list_fini) struct text_list one = { 0 }, before = { 0 }, gc = { 0 };
    prunes_forge_old(2, old);
    text_list_add(&one, old);
    DR_FREE char *name = dr_strf("snapshots/%s", old);
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    struct store *s = prunes_open_bucket(1);
    assert_int_equal(store_get_all(s, name, SNAPSHOT_SIZE_MAX, &object, &prunes.err), DR_OK);
    store_close(s);
    {
        DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&prunes.site);
        assert_int_equal(forget_run(r, &one, true, &prunes.err), DR_OK);
    }
    const struct prune_options o = prunes_options();
    prunes_must(&o);
    /* eu is as it was before: without the list, with the snapshot. */
    site_objects(&prunes.site, 1, "gc/", &gc);
    for (size_t i = 0; i < gc.count; i++)
        site_damage(&prunes.site, 1, gc.items[i], SITE_DELETE, 0);
    prunes_put(1, name, object.data, object.len);
    repair(&(struct repair_wish){ .dry_run = true });
    assert_int_equal(prunes_count(1, "gc/"), 0);
    assert_true(report.buckets[1].came_back);
    assert_int_equal(report.lost, 0); /* its packs are nobody's loss */
    repair(&(struct repair_wish){ .threads = 2 });
    assert_int_equal(prunes_count(1, "gc/"), gc.count);
    assert_false(prunes_has_snapshot(0, old));
    assert_int_equal(report.snapshots, 2);
    assert_int_equal(report.lost, 0);
}

static void dry_run_counts_the_same_and_writes_nothing(void **state)
{
    (void)state;
    DR_CLEANUP(buf_fini) struct buf before = { 0 }, after = { 0 };
    uint64_t gone = thin_out(1, "packs/", 0);
    thin_out(1, "snapshots/", 0);
    prunes_picture(&before);
    repair(&(struct repair_wish){ .dry_run = true });
    prunes_picture(&after);
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.data, after.data, after.len);
    assert_int_equal(report.buckets[1].bytes, gone);
    assert_int_equal(report.buckets[1].snapshots, 1);
}

static void from_and_to_and_one_snapshot_are_kept_to(void **state)
{
    (void)state;
    thin_out(0, "packs/", 0);
    uint64_t gone = thin_out(1, "packs/", 1);
    repair(&(struct repair_wish){ .from = "us", .to = "eu" });
    assert_int_equal(report.buckets[0].packs, 0);
    assert_int_equal(report.buckets[1].bytes, gone);
    repair(&(struct repair_wish){ .from = "us" });
    assert_int_equal(packs_of(&report), 0);
    assert_true(report.lost == 0);
    repair(&(struct repair_wish){ .snapshot = prunes.young });
    assert_int_equal(report.snapshots, 1);
    repair(&(struct repair_wish){ .threads = 1 });
    assert_as_it_should_be();
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&prunes.site);
    assert_int_equal(repair_in(r, &(struct repair_wish){ .to = "nowhere" }), DR_E_USAGE);
    assert_int_equal(repair_in(r, &(struct repair_wish){ .snapshot = "nothing" }), DR_E_NOTFOUND);
}

/* -- damage -------------------------------------------------------------------------------- */

static char *pack_with_large(void)
{
    DR_CLEANUP(text_list_fini) struct text_list packs = { 0 };
    site_objects(&prunes.site, 0, "packs/", &packs);
    for (size_t i = 0; i < packs.count; i++)
        if (size_in(0, packs.items[i]) > LARGE / 2)
            return dr_strdup(packs.items[i]);
    fail_msg("no pack is large");
    return NULL;
}

static void damage_that_verify_met_is_healed_and_named(void **state)
{
    (void)state;
    DR_FREE char *pack = pack_with_large();
    struct verify_result verified;
    site_damage(&prunes.site, 1, pack, SITE_FLIP, 50);
    {
        DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&prunes.site);
        assert_int_equal(verify_run(r, NULL, &(struct verify_wish){ .data = true },
                                    &prunes.site.hooks, &verified, &prunes.err),
                         DR_OK);
    }
    assert_int_equal(verified.damaged, 1);
    repair(&(struct repair_wish){ .threads = 2 });
    assert_int_equal(report.damage_count, 1);
    assert_string_equal(report.damage[0].bucket, "eu");
    assert_string_equal(report.damage[0].object, pack);
    assert_true(report.damage[0].healed);
    assert_int_equal(report.damage[0].files.count, 1); /* the small file beside it is not hurt */
    assert_non_null(strstr(report.damage[0].files.items[0], ": large.bin"));
    assert_non_null(strstr(report.damage[0].files.items[0], prunes.young));
    assert_int_equal(report.buckets[1].healed, 1);
    assert_as_it_should_be();
    repair(&(struct repair_wish){ .threads = 0 });
    assert_int_equal(report.damage_count, 0); /* it is a suspect no longer */
}

static void truncated_object_is_found_by_its_length(void **state)
{
    (void)state;
    DR_FREE char *pack = pack_with_large();
    site_damage(&prunes.site, 0, pack, SITE_TRUNCATE, 50);
    repair(&(struct repair_wish){ .threads = 2 });
    assert_int_equal(report.damage_count, 1);
    assert_true(report.damage[0].healed);
    assert_as_it_should_be();
}

static void data_finds_what_nobody_has_met(void **state)
{
    (void)state;
    DR_FREE char *pack = pack_with_large();
    site_damage(&prunes.site, 0, pack, SITE_FLIP, 50);
    repair(&(struct repair_wish){ .threads = 0 });
    assert_int_equal(report.damage_count, 0);
    repair(&(struct repair_wish){ .data = true, .dry_run = true });
    assert_int_equal(report.damage_count, 1);
    assert_int_equal(report.buckets[0].healed, 0);
    repair(&(struct repair_wish){ .data = true });
    assert_int_equal(report.buckets[0].healed, 1);
    assert_as_it_should_be();
}

static void damaged_object_of_a_snapshot_is_replaced(void **state)
{
    (void)state;
    DR_FREE char *name = dr_strf("snapshots/%s", prunes.young);
    site_damage(&prunes.site, 0, name, SITE_FLIP, 50);
    repair(&(struct repair_wish){ .threads = 0 });
    assert_int_equal(report.damage_count, 1);
    assert_int_equal(report.buckets[0].healed, 1);
    assert_as_it_should_be();
}

static void suspect_that_is_right_is_left_alone(void **state)
{
    (void)state;
    DR_FREE char *pack = pack_with_large();
    DR_FREE char *line = suspects_line("eu", pack);
    DR_CLEANUP(text_list_fini) struct text_list lines = { 0 }, after = { 0 };
    text_list_add(&lines, line);
    suspects_add(prunes.site.config->state_dir, &lines);
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&prunes.site);
    struct store *seen = watch(r, 1);
    assert_int_equal(repair_in(r, &(struct repair_wish){ .threads = 0 }), DR_OK);
    assert_int_equal(faultstore_calls(seen, FAULTSTORE_REMOVE), 0);
    assert_int_equal(report.damage_count, 0);
    suspects_read(prunes.site.config->state_dir, &after);
    assert_int_equal(after.count, 0);
}

static void nothing_is_put_behind_a_removal_without_an_answer(void **state)
{
    (void)state;
    DR_FREE char *pack = pack_with_large();
    site_damage(&prunes.site, 1, pack, SITE_TRUNCATE, 50);
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&prunes.site);
    struct store *seen = watch(r, 1);
    faultstore_fail(seen, FAULTSTORE_REMOVE, 1, DR_E_TIMEOUT);
    assert_int_equal(repair_in(r, &(struct repair_wish){ .threads = 0 }), DR_OK);
    assert_int_equal(faultstore_calls(seen, FAULTSTORE_PUT), 0);
    assert_int_equal(report.left, 1);
    assert_non_null(report.damage[0].why);
}

static void pack_that_is_damaged_everywhere_is_lost_and_spreads_nowhere(void **state)
{
    (void)state;
    DR_FREE char *pack = pack_with_large();
    DR_FREE char *name = dr_strf("snapshots/%s", prunes.young);
    site_damage(&prunes.site, 0, pack, SITE_FLIP, 50);
    site_damage(&prunes.site, 1, pack, SITE_DELETE, 0);
    site_damage(&prunes.site, 1, name, SITE_DELETE, 0);
    repair(&(struct repair_wish){ .threads = 2 });
    assert_int_equal(report.lost, 1);
    assert_false(prunes_is_there(1, pack));
    assert_false(prunes_is_there(1, name)); /* no bucket shows a snapshot without its packs */
    assert_true(site_warned(&prunes.site, pack, "whole in no bucket"));
}

/* -- failures ------------------------------------------------------------------------------ */

static void bucket_that_takes_nothing_costs_itself_only(void **state)
{
    (void)state;
    thin_out(0, "packs/", 0);
    uint64_t gone = thin_out(1, "packs/", 1);
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&prunes.site);
    faultstore_fail_from(watch(r, 0), FAULTSTORE_PUT, 1, DR_E_NOSPACE);
    assert_int_equal(repair_in(r, &(struct repair_wish){ .threads = 2 }), DR_OK);
    assert_true(report.buckets[0].failed);
    assert_false(report.buckets[1].failed);
    assert_int_equal(report.buckets[1].bytes, gone);
}

static void hurt_eu(void)
{
    DR_CLEANUP(text_list_fini) struct text_list packs = { 0 };
    thin_out(1, "packs/", 1);
    thin_out(1, "snapshots/", 0);
    site_objects(&prunes.site, 1, "packs/", &packs);
    site_damage(&prunes.site, 1, packs.items[0], SITE_TRUNCATE, 50);
}

/* The child is dead at that call; true when it came to its end instead. */
static bool dies_at(unsigned call, bool behind)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct stopper s = { .at = call, .signal = SIGKILL, .behind = behind };
        struct repo *r = site_open(&prunes.site);
        stopstore_wrap(r, &s);
        enum dr_rc rc = repair_in(r, &(struct repair_wish){ .threads = 0 });
        _exit(rc == DR_OK ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status))
        return false;
    assert_int_equal(WEXITSTATUS(status), 0);
    return true;
}

/* Each bucket alone: what it shows it has. */
static void assert_nothing_dangles(void)
{
    for (int b = 0; b < SITE_BUCKETS; b++)
        if (prunes_has_snapshot(b, prunes.young))
            assert_true(prunes_count(b, "packs/") > 0);
}

static void death_at_any_call_is_made_good_by_the_next(void **state)
{
    for (unsigned call = 1;; call++) {
        assert_int_equal(tear_down(state), 0);
        assert_int_equal(set_up(state), 0);
        thin_out(1, "packs/", 0);
        thin_out(1, "snapshots/", 0);
        DR_FREE char *pack = pack_with_large();
        if (prunes_is_there(1, pack))
            site_damage(&prunes.site, 1, pack, SITE_TRUNCATE, 50);
        bool ended = dies_at(call, call % 2 == 0);
        assert_nothing_dangles();
        repair(&(struct repair_wish){ .threads = 0 });
        assert_as_it_should_be();
        if (ended)
            return;
        assert_true(call < 500);
    }
}

static void failure_at_any_call_loses_nothing(void **state)
{
    bool hit = true;
    for (unsigned call = 1; hit; call++) {
        assert_int_equal(tear_down(state), 0);
        assert_int_equal(set_up(state), 0);
        hurt_eu();
        DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&prunes.site);
        struct store *seen = watch(r, 1);
        faultstore_fail(seen, FAULTSTORE_ANY, call, call % 2 == 0 ? DR_E_IO : DR_E_TIMEOUT);
        enum dr_rc rc = repair_in(r, &(struct repair_wish){ .threads = 0 });
        (void)rc; /* with any outcome */
        unsigned calls = 0;
        for (int op = 0; op < FAULTSTORE_OPS; op++)
            calls += faultstore_calls(seen, (enum faultstore_op)op);
        hit = calls >= call;
        repair(&(struct repair_wish){ .threads = 0 });
        assert_as_it_should_be();
        assert_true(call < 500);
    }
}

/* -- a budget ------------------------------------------------------------------------------ */

static struct verify_round read_some(uint64_t budget)
{
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&prunes.site);
    struct verify_round round;
    assert_int_equal(verify_budget(r, budget, &prunes.site.hooks, &round, &prunes.err), DR_OK);
    return round;
}

static void budget_reads_each_pack_once_before_any_twice(void **state)
{
    (void)state;
    DR_FREE char *pack = pack_with_large();
    site_damage(&prunes.site, 1, pack, SITE_FLIP, 50);
    size_t damaged = 0, read = 0, runs = 0;
    struct verify_round round = read_some(1); /* one pack at least */
    assert_int_equal(round.result.objects, 1);
    for (; round.unread > 0; round = read_some(1)) {
        assert_int_equal(round.unread, round.packs - ++runs);
        read += round.result.objects;
        damaged += round.result.damaged;
    }
    read += round.result.objects;
    damaged += round.result.damaged;
    assert_int_equal(read, round.packs);
    assert_int_equal(damaged, 1);
    assert_int_equal(read_some(UINT64_MAX).result.objects, round.packs);
    repair(&(struct repair_wish){ .threads = 0 }); /* it was noted */
    assert_int_equal(report.buckets[1].healed, 1);
}

static void damaged_memory_of_what_was_read_begins_anew(void **state)
{
    (void)state;
    static const char bad[] = "eu\nus packs/aa x\n\n us packs/bb 99999999999999999999\n";
    size_t packs = read_some(UINT64_MAX).packs;
    assert_int_equal(
        fs_replace(prunes.site.config->state_dir, "verified", bad, sizeof(bad) - 1, &prunes.err),
        DR_OK);
    assert_int_equal(read_some(1).unread, packs - 1);
}

static void suspects_survive_a_damaged_file(void **state)
{
    (void)state;
    static const char bad[] = "eu packs/aa/bb\nus\n\x01 x\n no\nhalf line";
    DR_CLEANUP(text_list_fini) struct text_list lines = { 0 };
    const char *dir = prunes.site.config->state_dir;
    assert_int_equal(fs_replace(dir, "suspects", bad, sizeof(bad) - 1, &prunes.err), DR_OK);
    suspects_read(dir, &lines);
    assert_int_equal(lines.count, 1);
    repair(&(struct repair_wish){ .threads = 0 });
    assert_as_it_should_be();
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    site_without_waiting();
    const struct CMUnitTest tests[] = {
        FRESH(bytes_copied_are_the_bytes_missing),
        FRESH(second_repair_puts_nothing),
        FRESH(bucket_that_lost_everything_is_filled_after_init),
        FRESH(nothing_expired_comes_back_with_a_bucket_that_is_older),
        FRESH(dry_run_counts_the_same_and_writes_nothing),
        FRESH(from_and_to_and_one_snapshot_are_kept_to),
        FRESH(damage_that_verify_met_is_healed_and_named),
        FRESH(truncated_object_is_found_by_its_length),
        FRESH(data_finds_what_nobody_has_met),
        FRESH(damaged_object_of_a_snapshot_is_replaced),
        FRESH(suspect_that_is_right_is_left_alone),
        FRESH(nothing_is_put_behind_a_removal_without_an_answer),
        FRESH(pack_that_is_damaged_everywhere_is_lost_and_spreads_nowhere),
        FRESH(bucket_that_takes_nothing_costs_itself_only),
        FRESH(death_at_any_call_is_made_good_by_the_next),
        FRESH(failure_at_any_call_loses_nothing),
        FRESH(budget_reads_each_pack_once_before_any_twice),
        FRESH(damaged_memory_of_what_was_read_begins_anew),
        FRESH(suspects_survive_a_damaged_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
