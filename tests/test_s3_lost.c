/*
 * A bucket on S3 that comes back empty, as another repository's, or as it was before: it is named, nothing is
 * pruned, and after what a person and repair do it is as the other one. Until then it does not count as a copy.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backup/format/names.h"
#include "dr/base/mem.h"
#include "tests/support/httpfault.h"
#include "tests/support/sweeps.h"

static struct httpfault *server;
static struct memory *us, *eu;

static char *url_of(const char *bucket)
{
    return dr_strf("s3://%s?endpoint=%s", bucket, httpfault_url(server));
}

static void nothing(void)
{
}

static int set_up(void **state)
{
    (void)state;
    server = httpfault_start();
    us = httpfault_bucket(server, "backup-us");
    eu = httpfault_bucket(server, "backup-eu");
    DR_FREE char *first = url_of("backup-us");
    DR_FREE char *second = url_of("backup-eu");
    sweeps_make(&(struct sweeps_place){ .us = first,
                                        .eu = second,
                                        .more = ", credentials: environment",
                                        .keep = nothing,
                                        .reset = nothing });
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sweeps_drop();
    httpfault_stop(server);
    return 0;
}

static size_t count(struct memory *m, const char *prefix)
{
    DR_CLEANUP(store_entries_fini) struct store_entries e = { 0 };
    assert_false(memory_list(m, prefix, "", SIZE_MAX, &e));
    return e.count;
}

/* A backup reaches us only, and says why. */
static void assert_eu_does_not_count(const char *why)
{
    struct backup_result result = { 0 };
    const struct backup_wish wish = { .source = &sweeps.site.config->sources[0],
                                      .inline_work = true };
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&sweeps.site);
    if (backup_run(r, &wish, &sweeps.site.hooks, &result, &sweeps.err) != DR_OK)
        fail_msg("%s", sweeps.err.msg);
    assert_int_equal(result.copies, 1);
    assert_int_equal(result.missing.count, 1);
    if (!text_starts(result.missing.items[0], "eu: ") ||
        strstr(result.missing.items[0], why) == NULL)
        fail_msg("'%s' does not say '%s'", result.missing.items[0], why);
    backup_result_fini(&result);
}

static void assert_prune_names_eu(void)
{
    size_t packs = count(us, NAMES_PACKS), snapshots = count(us, NAMES_SNAPSHOTS);
    assert_int_equal(sweeps_work(SWEEPS_PRUNE, NULL), DR_E_REFUSED);
    assert_non_null(strstr(sweeps.err.msg, "'eu'"));
    assert_int_equal(count(us, NAMES_PACKS), packs);
    assert_int_equal(count(us, NAMES_SNAPSHOTS), snapshots);
}

/* Repair, and both show the same, whole; prunes and backups go on. */
static void assert_healed(size_t snapshots)
{
    if (sweeps_work(SWEEPS_REPAIR, NULL) != DR_OK)
        fail_msg("%s", sweeps.err.msg);
    assert_int_equal(sweeps_assert_whole(true, "after the repair"), snapshots * SITE_BUCKETS);
    assert_int_equal(count(us, NAMES_GC), count(eu, NAMES_GC));
    sweeps_assert_goes_on(SWEEPS_PRUNE, false, "the prune after the repair");
    sweeps_assert_goes_on(SWEEPS_FULL, true, "the backup after the repair");
}

static void emptied_bucket_is_filled_after_init(void **state)
{
    (void)state;
    memory_empty(eu);
    assert_eu_does_not_count("");
    assert_prune_names_eu();
    assert_int_equal(count(eu, ""), 0); /* nobody makes a repository of it without being asked */
    assert_int_equal(repo_init(sweeps.site.config, &sweeps.err), DR_OK);
    assert_healed(3);
}

static void bucket_of_another_repository_is_never_written(void **state)
{
    (void)state;
    struct site other;
    struct dr_err err = { 0 };
    (void)httpfault_bucket(server, "other-us"); /* made */
    struct memory *theirs = httpfault_bucket(server, "other-eu");
    DR_FREE char *a = url_of("other-us");
    DR_FREE char *b = url_of("other-eu");
    site_make_at(&other, a, b, ", credentials: environment");
    assert_int_equal(repo_init(other.config, &err), DR_OK);
    site_drop(&other);

    memory_become(eu, theirs);
    size_t before = count(eu, "");
    assert_eu_does_not_count("repository");
    assert_prune_names_eu();
    assert_int_not_equal(repo_init(sweeps.site.config, &err), DR_OK);
    assert_non_null(strstr(err.msg, "'eu'"));
    assert_int_equal(count(eu, ""), before);
    memory_empty(eu); /* a person */
    assert_int_equal(repo_init(sweeps.site.config, &err), DR_OK);
    assert_healed(3);
}

static void rolled_back_bucket_shows_nothing_that_was_given_up(void **state)
{
    (void)state;
    struct memory *old = memory_copy(eu);
    sweeps_prepare(SWEEPS_PRUNE); /* the oldest is forgotten ... */
    assert_int_equal(sweeps_work(SWEEPS_PRUNE, NULL), DR_OK);
    assert_int_equal(count(eu, NAMES_SNAPSHOTS), 1);         /* ... and gone */
    assert_int_equal(sweeps_work(SWEEPS_FULL, NULL), DR_OK); /* and one more since */
    memory_become(eu, old);
    memory_free(old);
    assert_int_equal(count(eu, NAMES_SNAPSHOTS), 2);
    assert_eu_does_not_count("older");
    assert_prune_names_eu();
    assert_healed(3);
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    site_without_waiting();
    setenv("AWS_ACCESS_KEY_ID", "key", 1);        /* NOLINT(concurrency-mt-unsafe): one thread */
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1); /* NOLINT(concurrency-mt-unsafe) */
    const struct CMUnitTest tests[] = {
        FRESH(emptied_bucket_is_filled_after_init),
        FRESH(bucket_of_another_repository_is_never_written),
        FRESH(rolled_back_bucket_shows_nothing_that_was_given_up),
    };
    return cmocka_run_group_tests_name("s3_lost", tests, NULL, NULL);
}
