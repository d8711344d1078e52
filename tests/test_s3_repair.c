/*
 * Two regions of real S3, and things that happen at the same time: a repair while a backup is about to commit, a
 * region that stops answering in the middle of a restore, and one that lags in the middle of a backup and
 * is caught up to the byte.
 *
 * A region that hangs is one whose front was stopped (SIGSTOP): connections are taken, nothing comes.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backup/format/names.h"
#include "backup/work/repair.h"
#include "dr/base/mem.h"
#include "tests/support/radosgw.h"
#include "tests/support/sweeps.h"
#include "tests/support/tree.h"

static struct radosgw regions[SITE_BUCKETS];
static char *top;
static unsigned made; /* buckets of each region */

static int start_regions(void **state)
{
    (void)state;
    top = tree_temp();
    return radosgw_start(&regions[0], top, "us") && radosgw_start(&regions[1], top, "eu") ? 0 : -1;
}

static int stop_regions(void **state)
{
    (void)state;
    for (int b = 0; b < SITE_BUCKETS; b++)
        radosgw_stop(&regions[b]);
    tree_remove(top);
    free(top);
    return 0;
}

static void nothing(void)
{
}

static int set_up(void **state)
{
    (void)state;
    char *urls[SITE_BUCKETS];
    DR_FREE char *name = dr_strf("repair-%u", ++made);
    for (int b = 0; b < SITE_BUCKETS; b++) {
        assert_true(radosgw_make_bucket(&regions[b], name, RADOSGW_PLAIN));
        urls[b] = dr_strf("s3://%s?endpoint=%s", name, regions[b].http);
    }
    sweeps_make(&(struct sweeps_place){ .us = urls[0],
                                        .eu = urls[1],
                                        .more = ", credentials: environment",
                                        .keep = nothing,
                                        .reset = nothing });
    for (int b = 0; b < SITE_BUCKETS; b++)
        free(urls[b]);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sweeps_drop();
    return 0;
}

/* -- a store that lets something happen before a call ------------------------------------------- */

struct eventful {
    struct store base;
    struct store *inner;
};

static struct event {
    const char *op, *prefix;
    void (*happen)(void);
    atomic_bool done;
} event;

static struct store *inner_of(struct store *s)
{
    return ((struct eventful *)s)->inner;
}

static void before(const char *op, const char *name)
{
    if (strcmp(op, event.op) == 0 && text_starts(name, event.prefix) &&
        !atomic_exchange(&event.done, true))
        event.happen();
}

static enum dr_rc event_get(struct store *s, const char *name, uint64_t offset, size_t len,
                            void *out, struct dr_err *err)
{
    before("get", name);
    return store_get(inner_of(s), name, offset, len, out, err);
}

static enum dr_rc event_put(struct store *s, const char *name, const void *data, size_t len,
                            struct dr_err *err)
{
    before("put", name);
    return store_put(inner_of(s), name, data, len, err);
}

static enum dr_rc event_head(struct store *s, const char *name, uint64_t *ret_size,
                             struct dr_err *err)
{
    return store_head(inner_of(s), name, ret_size, err);
}

static enum dr_rc event_list(struct store *s, const char *prefix, struct text_list *ret,
                             struct dr_err *err)
{
    return store_list(inner_of(s), prefix, ret, err);
}

static enum dr_rc event_remove(struct store *s, const char *name, struct dr_err *err)
{
    return store_remove(inner_of(s), name, err);
}

static void event_close(struct store *s)
{
    store_close(inner_of(s));
    store_fini(s);
    free(s);
}

static const struct store_ops event_ops = {
    .get = event_get,
    .put = event_put,
    .head = event_head,
    .list = event_list,
    .remove = event_remove,
    .close = event_close,
};

/* Before the first such call to this bucket. */
static void arm(struct repo *r, size_t bucket, const char *op, const char *prefix,
                void (*happen)(void))
{
    struct repo_bucket *b = repo_bucket(r, bucket);
    const struct store_options o = { .name = b->store->name,
                                     .region = b->store->region,
                                     .url = b->store->url };
    struct eventful *e = dr_alloc(1, sizeof(*e));
    store_init(&e->base, &event_ops, &o);
    e->base.parallel = b->store->parallel;
    e->inner = b->store;
    b->store = &e->base;
    event.op = op;
    event.prefix = prefix;
    event.happen = happen;
    atomic_store(&event.done, false);
}

/* -- what lies there ------------------------------------------------------------------------------ */

static void list(size_t bucket, const char *prefix, struct store_entries *ret)
{
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&sweeps.site);
    struct dr_err err = { 0 };
    if (store_list_sizes(repo_bucket(r, bucket)->store, prefix, ret, &err) != DR_OK)
        fail_msg("%s", err.msg);
}

static size_t count(size_t bucket, const char *prefix)
{
    DR_CLEANUP(store_entries_fini) struct store_entries e = { 0 };
    list(bucket, prefix, &e);
    return e.count;
}

static uint64_t bytes_in(size_t bucket, const char *prefix)
{
    DR_CLEANUP(store_entries_fini) struct store_entries e = { 0 };
    uint64_t sum = 0;
    list(bucket, prefix, &e);
    for (size_t i = 0; i < e.count; i++)
        sum += e.items[i].size;
    return sum;
}

static void repair(struct repair_report *ret)
{
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&sweeps.site);
    const struct repair_wish wish = { .threads = 4 };
    struct dr_err err = { 0 };
    if (repair_run(r, &wish, &sweeps.site.hooks, ret, &err) != DR_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(ret->lost, 0);
}

/* -- facts ------------------------------------------------------------------------------------------ */

static size_t shown; /* snapshots in us when the backup was about to show its own */

static void repair_meanwhile(void)
{
    struct repair_report report = { 0 };
    shown = count(0, NAMES_SNAPSHOTS);
    assert_int_equal(count(0, NAMES_PENDING), 1);
    repair(&report);
    assert_int_equal(report.left, 0);
    assert_int_equal(count(0, NAMES_PENDING), 1); /* its packs stay safe from every prune ... */
    assert_int_equal(count(1, NAMES_PENDING), 0);
    assert_int_equal(count(1, NAMES_SNAPSHOTS), shown); /* ... and it was shown by nobody else */
    repair_report_fini(&report);
}

static void pending_of_a_running_backup_stands_through_a_repair(void **state)
{
    (void)state;
    struct backup_result result = { 0 };
    const struct backup_wish wish = { .source = &sweeps.site.config->sources[0],
                                      .inline_work = true };
    struct repo *r = site_open(&sweeps.site);
    arm(r, 0, "put", NAMES_SNAPSHOTS, repair_meanwhile);
    if (backup_run(r, &wish, &sweeps.site.hooks, &result, &sweeps.err) != DR_OK)
        fail_msg("%s", sweeps.err.msg);
    repo_close(r);
    assert_true(atomic_load(&event.done));
    assert_int_equal(result.copies, SITE_BUCKETS);
    assert_int_equal(count(0, NAMES_PENDING), 0);
    for (size_t b = 0; b < SITE_BUCKETS; b++)
        assert_int_equal(count(b, NAMES_SNAPSHOTS), shown + 1);
    backup_result_fini(&result);
    (void)sweeps_assert_whole(true, "after the repair in between"); /* counted above */
}

static void hang_us(void)
{
    assert_int_equal(kill(regions[0].rgw, SIGSTOP), 0);
}

static void hang_eu(void)
{
    assert_int_equal(kill(regions[1].rgw, SIGSTOP), 0);
}

/* us hangs at the first byte that is asked of it; what was asked there is asked of eu as well, and that is
 * the end of waiting: us answers again only behind the restore. */
static void region_that_hangs_in_a_restore_is_overtaken(void **state)
{
    (void)state;
    struct snapshot_info latest = { 0 };
    struct restore_result result = { 0 };
    const struct restore_options o = { .to = sweeps.site.target, .threads = 2 };
    assert_int_equal(sweeps_work(SWEEPS_INCREMENTAL, NULL), DR_OK);
    struct repo *r = site_open(&sweeps.site);
    assert_int_equal(repo_find(r, "latest", NULL, &latest, &sweeps.err), DR_OK);
    arm(r, 0, "get", NAMES_PACKS, hang_us);
    enum dr_rc rc = restore_run(r, &latest, &o, &sweeps.site.hooks, &result, &sweeps.err);
    assert_int_equal(kill(regions[0].rgw, SIGCONT), 0);
    if (rc != DR_OK)
        fail_msg("%s", sweeps.err.msg);
    assert_true(atomic_load(&event.done));
    site_assert_restored(&sweeps.site);
    repo_close(r);
    snapshot_info_fini(&latest);
}

static void region_that_lags_is_left_and_caught_up_to_the_byte(void **state)
{
    (void)state;
    struct backup_result result = { 0 };
    struct repair_report report = { 0 };
    const struct backup_wish wish = { .source = &sweeps.site.config->sources[0], .kind = "full" };
    struct repo *r = site_open(&sweeps.site);
    arm(r, 1, "put", NAMES_PACKS, hang_eu);
    enum dr_rc rc = backup_run(r, &wish, &sweeps.site.hooks, &result, &sweeps.err);
    assert_int_equal(kill(regions[1].rgw, SIGCONT), 0);
    if (rc != DR_OK)
        fail_msg("%s", sweeps.err.msg);
    repo_close(r);
    assert_int_equal(result.copies, 1);
    assert_int_equal(result.missing.count, 1);
    assert_non_null(strstr(result.missing.items[0], "eu: it lags behind the others"));
    backup_result_fini(&result);

    uint64_t lacks = bytes_in(0, NAMES_PACKS) - bytes_in(1, NAMES_PACKS);
    size_t hidden = count(0, NAMES_SNAPSHOTS) - count(1, NAMES_SNAPSHOTS);
    assert_int_equal(hidden, 1);
    repair(&report);
    assert_int_equal(report.left, 0);
    assert_int_equal(report.buckets[0].bytes, 0);
    assert_int_equal(report.buckets[1].bytes, lacks);
    assert_int_equal(report.buckets[1].snapshots, hidden);
    assert_int_equal(bytes_in(0, NAMES_PACKS), bytes_in(1, NAMES_PACKS));
    repair_report_fini(&report);
    (void)sweeps_assert_whole(true, "after the repair"); /* counted above */
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct radosgw_user *o = &radosgw_owner;
    site_without_waiting();
    setenv("AWS_ACCESS_KEY_ID", o->access_key, 1); /* NOLINT(concurrency-mt-unsafe): one thread */
    setenv("AWS_SECRET_ACCESS_KEY", o->secret_key, 1); /* NOLINT(concurrency-mt-unsafe) */
    const struct CMUnitTest tests[] = {
        FRESH(pending_of_a_running_backup_stands_through_a_repair),
        FRESH(region_that_hangs_in_a_restore_is_overtaken),
        FRESH(region_that_lags_is_left_and_caught_up_to_the_byte),
    };
    return cmocka_run_group_tests_name("s3_repair", tests, start_regions, stop_regions);
}
