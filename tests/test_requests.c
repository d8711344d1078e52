/*
 * How many requests a bucket gets: on a store that charges for each and takes 30 ms to answer, that is what a
 * small run costs. Counted by the stores themselves (store_counts).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "tests/support/forge.h"
#include "tests/support/site.h"

enum { OLD = 30 }; /* snapshots that are there before */

static struct site site;
static struct clock_ops real_clock;

/* Each run is in another second: what names tell. */
static int64_t next_second(void)
{
    static int64_t ns = 1800000000LL * 1000000000LL;
    ns += 1000000000;
    return ns;
}

static int set_up(void **state)
{
    (void)state;
    struct snapshot_info info = { 0 };
    real_clock = dr_clock;
    dr_clock.wall_ns = next_second;
    site_make(&site);
    site_fill(&site);
    site_backup(&site, &info);
    snapshot_info_fini(&info);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    site_drop(&site);
    dr_clock = real_clock;
    return 0;
}

static void forge_old(void)
{
    static const struct forge_entry entries[] = { { .type = '0', .path = "a", .data = "hello" } };
    for (int i = 0; i < OLD; i++) {
        char id[SNAPSHOT_ID_MAX];
        const struct forge f = { .entries = entries,
                                 .count = 1,
                                 .start_ns = 1000000000LL * (1000 + i) };
        forge_snapshot(&site, &f, id);
    }
}

static uint64_t sum(const struct store_counts *c)
{
    return c->gets + c->puts + c->heads + c->lists + c->removes;
}

static void told(struct repo *r, const char *what, uint64_t ret[SITE_BUCKETS])
{
    for (size_t i = 0; i < SITE_BUCKETS; i++) {
        struct store_counts c;
        store_counts(repo_bucket(r, i)->store, &c);
        ret[i] = sum(&c);
        printf("# %s, %s: %d gets %d puts %d heads %d lists %d removes\n", what,
               site_bucket_names[i], (int)c.gets, (int)c.puts, (int)c.heads, (int)c.lists,
               (int)c.removes);
    }
}

static void back_up(struct repo *r)
{
    struct backup_result result = { 0 };
    struct dr_err err;
    const struct backup_wish wish = { .source = &site.config->sources[0] };
    if (backup_run(r, &wish, &site.hooks, &result, &err) != DR_OK)
        fail_msg("%s", err.msg);
    assert_string_equal(result.kind, "incremental");
    assert_int_equal(result.copies, SITE_BUCKETS);
    backup_result_fini(&result);
}

/* An object read whole is a head and a get here; S3 gives both with one GET. */
static void snapshot_without_change_costs_the_same_beside_many_others(void **state)
{
    (void)state;
    uint64_t few[SITE_BUCKETS], many[SITE_BUCKETS];
    struct repo *r = site_open(&site);
    back_up(r); /* what the first full one left to do */
    repo_close(r);
    r = site_open(&site);
    back_up(r);
    told(r, "no change", few);
    repo_close(r);
    forge_old();
    r = site_open(&site);
    back_up(r);
    told(r, "no change beside others", many);
    repo_close(r);
    for (int i = 0; i < SITE_BUCKETS; i++)
        assert_int_equal(few[i], many[i]);
    assert_true(many[0] <= 12);
    assert_true(many[1] <= 8);
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    site_without_waiting();
    const struct CMUnitTest tests[] = {
        FRESH(snapshot_without_change_costs_the_same_beside_many_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
