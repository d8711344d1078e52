/*
 * Two regions of real S3, and the front of one is killed with SIGKILL in the middle of a backup: the run
 * ends with a copy less and says so, the other region has everything, and the next repair or
 * run brings the killed one to the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backup/format/names.h"
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
    DR_FREE char *name = dr_strf("backup-%u", ++made);
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

/* -- a store that kills its own server --------------------------------------------------------- */

struct killer {
    struct store base;
    struct store *inner;
};

static const char *deadly; /* the first put of such a name kills its server first */

static struct store *inner_of(struct store *s)
{
    return ((struct killer *)s)->inner;
}

static enum dr_rc kill_get(struct store *s, const char *name, uint64_t offset, size_t len,
                           void *out, struct dr_err *err)
{
    return inner_of(s)->ops->get(inner_of(s), name, offset, len, out, err);
}

static enum dr_rc kill_put(struct store *s, const char *name, const void *data, size_t len,
                           struct dr_err *err)
{
    if (text_starts(name, deadly))
        radosgw_kill(&regions[1]);
    return inner_of(s)->ops->put(inner_of(s), name, data, len, err);
}

static enum dr_rc kill_head(struct store *s, const char *name, uint64_t *ret_size,
                            struct dr_err *err)
{
    return inner_of(s)->ops->head(inner_of(s), name, ret_size, err);
}

static enum dr_rc kill_list(struct store *s, const char *prefix, struct text_list *ret,
                            struct dr_err *err)
{
    return inner_of(s)->ops->list(inner_of(s), prefix, ret, err);
}

static enum dr_rc kill_remove(struct store *s, const char *name, struct dr_err *err)
{
    return inner_of(s)->ops->remove(inner_of(s), name, err);
}

static void kill_close(struct store *s)
{
    store_close(inner_of(s));
    store_fini(s);
    free(s);
}

static const struct store_ops kill_ops = {
    .get = kill_get,
    .put = kill_put,
    .head = kill_head,
    .list = kill_list,
    .remove = kill_remove,
    .close = kill_close,
};

static void wrap_eu(struct repo *r)
{
    struct repo_bucket *b = repo_bucket(r, 1);
    const struct store_options o = { .name = b->store->name,
                                     .region = b->store->region,
                                     .url = b->store->url };
    struct killer *k = dr_alloc(1, sizeof(*k));
    store_init(&k->base, &kill_ops, &o);
    k->inner = b->store;
    b->store = &k->base;
}

/* -- facts ------------------------------------------------------------------------------------- */

static void backup_with_a_death(const char *prefix)
{
    deadly = prefix;
    if (sweeps_work(SWEEPS_INCREMENTAL, wrap_eu) != DR_OK)
        fail_msg("killed at '%s': %s", prefix, sweeps.err.msg);
    assert_int_equal(regions[1].rgw, 0); /* it came so far */
    assert_int_equal(sweeps.copies, 1);  /* which is what exit code 9 tells */
    assert_true(radosgw_again(&regions[1]));
    (void)sweeps_assert_whole(true, prefix); /* how many there are is told below */
}

static void killed_at_the_first_pack_the_next_run_catches_up(void **state)
{
    (void)state;
    backup_with_a_death(NAMES_PACKS);
    sweeps_assert_goes_on(SWEEPS_INCREMENTAL, true, "after the kill at a pack");
}

static void killed_at_the_snapshot_repair_catches_up(void **state)
{
    (void)state;
    backup_with_a_death(NAMES_SNAPSHOTS);
    sweeps_assert_goes_on(SWEEPS_REPAIR, true, "after the kill at the snapshot");
}

static void dead_region_costs_a_restore_nothing_but_time(void **state)
{
    (void)state;
    struct restore_result restored;
    radosgw_kill(&regions[0]);
    if (site_restore(&sweeps.site, &restored, &sweeps.err) != DR_OK)
        fail_msg("%s", sweeps.err.msg);
    assert_true(radosgw_again(&regions[0]));
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct radosgw_user *o = &radosgw_owner;
    site_without_waiting();
    setenv("AWS_ACCESS_KEY_ID", o->access_key, 1); /* NOLINT(concurrency-mt-unsafe): one thread */
    setenv("AWS_SECRET_ACCESS_KEY", o->secret_key, 1); /* NOLINT(concurrency-mt-unsafe) */
    const struct CMUnitTest tests[] = {
        FRESH(killed_at_the_first_pack_the_next_run_catches_up),
        FRESH(killed_at_the_snapshot_repair_catches_up),
        FRESH(dead_region_costs_a_restore_nothing_but_time),
    };
    return cmocka_run_group_tests_name("s3_kill", tests, start_regions, stop_regions);
}
