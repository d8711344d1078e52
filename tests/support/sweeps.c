/*
 * sweeps.c - jobs on a site whose buckets lie anywhere.
 */
#include "tests/support/sweeps.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "backup/format/names.h"
#include "backup/work/prune.h"
#include "backup/work/repair.h"
#include "dr/base/clock.h"
#include "dr/base/mem.h"

enum { FILE_SIZE = 200000 };

const char *const sweeps_names[SWEEPS_JOBS] = { "full", "incremental", "prune", "repair" };

static const char *const regions[SITE_BUCKETS] = { "us-east-1", "eu-west-1" };

struct sweeps sweeps;

static struct sweeps_place place;
static char oldest[SNAPSHOT_ID_MAX];

/* -- the world ------------------------------------------------------------------------------- */

/* In the top directory of the site. */
static void shell(const char *script)
{
    DR_FREE char *line = dr_strf("cd '%s' && %s", sweeps.site.top, script);
    assert_int_equal(system(line), 0); /* NOLINT(cert-env33-c,concurrency-mt-unsafe): a test */
}

static void write_file(const char *name, uint64_t seed)
{
    static uint64_t bytes[FILE_SIZE / 8];
    uint64_t x = seed * 2654435769U + 1;
    for (size_t i = 0; i < DR_ARRAY_LEN(bytes); i++) {
        x ^= x << 13; /* xorshift64 (Marsaglia 2003) */
        x ^= x >> 7;
        x ^= x << 17;
        bytes[i] = x;
    }
    site_write(&sweeps.site, name, bytes, sizeof(bytes));
}

static enum dr_rc backup(struct repo *r, const char *kind, char id[SNAPSHOT_ID_MAX])
{
    struct backup_result result = { 0 };
    const struct backup_wish wish = { .source = &sweeps.site.config->sources[0],
                                      .kind = kind,
                                      .inline_work = true };
    enum dr_rc rc = backup_run(r, &wish, &sweeps.site.hooks, &result, &sweeps.err);
    if (rc == DR_OK) {
        sweeps.copies = result.copies;
        snprintf(sweeps.newest, sizeof(sweeps.newest), "%s", result.id);
        snprintf(id, SNAPSHOT_ID_MAX, "%s", result.id);
    }
    backup_result_fini(&result);
    return rc;
}

static void must_backup(const char *kind, char id[SNAPSHOT_ID_MAX])
{
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&sweeps.site);
    if (backup(r, kind, id) != DR_OK)
        fail_msg("%s", sweeps.err.msg);
    assert_int_equal(sweeps.copies, SITE_BUCKETS);
}

void sweeps_make(const struct sweeps_place *p)
{
    char second[SNAPSHOT_ID_MAX];
    place = *p;
    sweeps.err = (struct dr_err){ 0 };
    site_make_at(&sweeps.site, place.us, place.eu, place.more);
    write_file("a", 1);
    write_file("d/b", 2);
    if (repo_init(sweeps.site.config, &sweeps.err) != DR_OK)
        fail_msg("%s %s", sweeps.err.msg, sweeps.err.hint);
    must_backup("full", oldest);
    write_file("a", 3);
    must_backup("incremental", second);
    write_file("d/b", 4);
    site_write(&sweeps.site, "new", "new", 3);
}

void sweeps_drop(void)
{
    site_drop(&sweeps.site);
}

static void keep(void)
{
    if (place.keep == NULL)
        shell("rm -rf kept && mkdir kept && cp -al us eu kept && cp -a state kept");
    else {
        shell("rm -rf kept && mkdir kept && cp -a state kept");
        place.keep();
    }
}

void sweeps_reset(void)
{
    sweeps.newest[0] = '\0';
    if (place.reset == NULL)
        shell("rm -rf us eu state && cp -al kept/us kept/eu . && cp -a kept/state .");
    else {
        shell("rm -rf state && cp -a kept/state .");
        place.reset();
    }
}

static void forget_oldest(void)
{
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&sweeps.site);
    DR_CLEANUP(text_list_fini) struct text_list ids = { 0 };
    text_list_add(&ids, oldest);
    assert_int_equal(forget_run(r, &ids, true, &sweeps.err), DR_OK);
}

/* eu loses every snapshot, then every pack. */
static void lose_a_bucket(void)
{
    static const char *const prefixes[] = { NAMES_SNAPSHOTS, NAMES_PACKS };
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&sweeps.site);
    for (size_t i = 0; i < DR_ARRAY_LEN(prefixes); i++) {
        DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
        struct store *s = repo_bucket(r, 1)->store;
        assert_int_equal(store_list(s, prefixes[i], &names, &sweeps.err), DR_OK);
        assert_int_equal(store_remove_many(s, &names, &sweeps.err), DR_OK);
    }
}

void sweeps_prepare(enum sweeps_job job)
{
    if (job == SWEEPS_PRUNE)
        forget_oldest();
    if (job == SWEEPS_REPAIR)
        lose_a_bucket();
    keep();
}

/* -- jobs ------------------------------------------------------------------------------------ */

static enum dr_rc prune(struct repo *r)
{
    struct prune_result result = { 0 };
    const struct prune_options o = { .now_ns = clock_wall_ns() };
    enum dr_rc rc = prune_run(r, &o, &sweeps.site.hooks, &result, &sweeps.err);
    prune_result_fini(&result);
    return rc;
}

static enum dr_rc repair(struct repo *r)
{
    struct repair_report report = { 0 };
    const struct repair_wish wish = { 0 };
    enum dr_rc rc = repair_run(r, &wish, &sweeps.site.hooks, &report, &sweeps.err);
    repair_report_fini(&report);
    return rc;
}

enum dr_rc sweeps_work(enum sweeps_job job, void (*wrap)(struct repo *r))
{
    char id[SNAPSHOT_ID_MAX];
    const struct repo_options none = { 0 };
    DR_CLEANUP(repo_close_ptr) struct repo *r = NULL;
    DR_TRY(repo_open(sweeps.site.config, &none, &r, &sweeps.err));
    if (wrap != NULL)
        wrap(r);
    if (job == SWEEPS_PRUNE)
        return prune(r);
    if (job == SWEEPS_REPAIR)
        return repair(r);
    return backup(r, sweeps_names[job], id);
}

/* -- what must hold -------------------------------------------------------------------------- */

static void restore(struct repo *r, const struct snapshot_info *s, const char *bucket,
                    const char *when)
{
    struct restore_result restored;
    const struct restore_options to = { .to = sweeps.site.target };
    site_clear_target(&sweeps.site);
    if (restore_run(r, s, &to, &sweeps.site.hooks, &restored, &sweeps.err) != DR_OK)
        fail_msg("%s: '%s' from '%s': %s", when, s->id, bucket, sweeps.err.msg);
}

size_t sweeps_assert_whole(bool restored, const char *when)
{
    size_t seen = 0, newest = 0;
    for (int b = 0; b < SITE_BUCKETS; b++) {
        const struct repo_options one = { .dark = &regions[1 - b], .dark_count = 1 };
        DR_CLEANUP(repo_close_ptr) struct repo *r = NULL;
        DR_CLEANUP(snapshot_list_fini) struct snapshot_list list = { 0 };
        if (repo_open(sweeps.site.config, &one, &r, &sweeps.err) != DR_OK ||
            repo_snapshots(r, NULL, &list, &sweeps.err) != DR_OK)
            fail_msg("%s: '%s': %s", when, site_bucket_names[b], sweeps.err.msg);
        for (size_t i = 0; i < list.count; i++) {
            const struct snapshot_info *s = &list.items[i];
            if (s->state == SNAPSHOT_REFUSED && strcmp(s->why, "expired") == 0)
                continue;
            if (s->state != SNAPSHOT_GOOD)
                fail_msg("%s: '%s' in '%s': %s", when, s->id, site_bucket_names[b], s->why);
            seen++;
            newest += strcmp(s->id, sweeps.newest) == 0;
            if (restored)
                restore(r, s, site_bucket_names[b], when);
        }
    }
    if (sweeps.newest[0] != '\0' && newest < sweeps.copies)
        fail_msg("%s: said to be in %zu buckets, seen in %zu", when, sweeps.copies, newest);
    return seen;
}

static void assert_newest_is_the_source(const char *when)
{
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&sweeps.site);
    DR_CLEANUP(snapshot_info_fini) struct snapshot_info info = { 0 };
    assert_int_equal(repo_find(r, "latest", "app", &info, &sweeps.err), DR_OK);
    restore(r, &info, "both", when);
    site_assert_restored(&sweeps.site);
}

static void assert_data_are_right(const char *when)
{
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&sweeps.site);
    struct verify_result v;
    if (verify_run(r, NULL, &(struct verify_wish){ .data = true }, &sweeps.site.hooks, &v,
                   &sweeps.err) != DR_OK)
        fail_msg("%s: %s", when, sweeps.err.msg);
    if (v.damaged + v.missing + v.lost > 0)
        fail_msg("%s: of %zu objects %zu are damaged, %zu missing, %zu lost", when, v.objects,
                 v.damaged, v.missing, v.lost);
}

void sweeps_assert_goes_on(enum sweeps_job job, bool restored, const char *when)
{
    enum dr_rc rc = sweeps_work(job, NULL);
    if (rc != DR_OK)
        fail_msg("%s: the next %s: %s", when, sweeps_names[job], sweeps.err.msg);
    bool taken = job == SWEEPS_FULL || job == SWEEPS_INCREMENTAL;
    if (taken && sweeps.copies != SITE_BUCKETS)
        fail_msg("%s: the next backup is in %zu buckets", when, sweeps.copies);
    if (taken && restored)
        assert_newest_is_the_source(when);
    if (job != SWEEPS_REPAIR && sweeps_work(SWEEPS_REPAIR, NULL) != DR_OK)
        fail_msg("%s: the repair: %s", when, sweeps.err.msg);
    size_t seen = sweeps_assert_whole(restored, when);
    if (!restored)
        assert_data_are_right(when);
    size_t least = job == SWEEPS_PRUNE ? 1 : job == SWEEPS_REPAIR ? 2 : 3;
    if (seen % SITE_BUCKETS != 0 || seen < least * SITE_BUCKETS)
        fail_msg("%s: %zu copies in %d buckets", when, seen, (int)SITE_BUCKETS);
}
