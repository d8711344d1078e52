/*
 * How many requests a bucket gets: on a store that charges for each and takes 30 ms to answer, that is what a
 * small run costs, and what a restore waits for. Counted by the stores themselves for directories
 * (store_counts), and by the server for S3; beside many snapshots, prunes and packs.
 *
 * And what the requests that are not made any more would have found out is found out all the same.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/format/names.h"
#include "backup/format/sealed.h"
#include "backup/work/repair.h"
#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "tests/support/forge.h"
#include "tests/support/httpfault.h"

enum {
    OLD = 33,       /* snapshots that are there before */
    PRUNES = 5,     /* gc lists */
    PACKS = 10000,  /* of others */
    BACKUP_MAX = 6, /* requests a bucket */
    RESTORE_MAX = 10,
};

static struct site site;
static struct clock_ops real_clock;
static struct httpfault *server; /* NULL: directories */
static const char *const s3_names[SITE_BUCKETS] = { "backup-us", "backup-eu" };

/* Each run is in another second: what names tell. */
static int64_t next_second(void)
{
    static int64_t ns = 1800000000LL * 1000000000LL;
    ns += 1000000000;
    return ns;
}

/* -- two worlds ---------------------------------------------------------------------------- */

static void begin(int64_t (*wall_ns)(void))
{
    struct snapshot_info info = { 0 };
    real_clock = dr_clock;
    site_fill(&site);
    dr_clock.wall_ns = wall_ns;
    site_backup(&site, &info);
    snapshot_info_fini(&info);
}

static int set_up(void **state)
{
    (void)state;
    site_make(&site);
    begin(next_second);
    return 0;
}

static int set_up_s3(void **state)
{
    (void)state;
    server = httpfault_start();
    for (int i = 0; i < SITE_BUCKETS; i++)
        (void)httpfault_bucket(server, s3_names[i]); /* made */
    DR_FREE char *us = dr_strf("s3://%s?endpoint=%s", s3_names[0], httpfault_url(server));
    DR_FREE char *eu = dr_strf("s3://%s?endpoint=%s", s3_names[1], httpfault_url(server));
    site_make_at(&site, us, eu, ", credentials: environment");
    begin(dr_clock.wall_ns); /* signatures are of now */
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dr_clock = real_clock;
    site_drop(&site);
    httpfault_stop(server);
    server = NULL;
    return 0;
}

static struct memory *memory_of(int bucket)
{
    return httpfault_bucket(server, s3_names[bucket]);
}

static struct repo *open_remembered(void)
{
    struct dr_err err = { 0 };
    struct repo *r = NULL;
    const struct repo_options o = { .remembered = true };
    if (repo_open(site.config, &o, &r, &err) != DR_OK)
        fail_msg("%s", err.msg);
    return r;
}

static void counted(struct repo *r, const char *what, size_t ret[SITE_BUCKETS])
{
    for (size_t i = 0; i < SITE_BUCKETS; i++) {
        struct store_counts c = { 0 };
        ret[i] = 0;
        if (repo_bucket(r, i)->store == NULL)
            continue;
        store_counts(repo_bucket(r, i)->store, &c);
        ret[i] = c.gets + c.puts + c.heads + c.lists + c.removes;
        printf("# %s, %s: %d gets %d puts %d heads %d lists %d removes\n", what,
               site_bucket_names[i], (int)c.gets, (int)c.puts, (int)c.heads, (int)c.lists,
               (int)c.removes);
        if (server != NULL) { /* who counts on the other side has seen the same */
            DR_FREE char *path = dr_strf("/%s", s3_names[i]);
            assert_int_equal(httpfault_count(server, NULL, path), ret[i]);
        }
    }
}

/* One run with all its requests, the open too. */
static void back_up(const char *what, int64_t epoch, struct backup_result *result,
                    size_t ret[SITE_BUCKETS])
{
    struct dr_err err = { 0 };
    const struct backup_wish wish = { .source = &site.config->sources[0], .epoch = epoch };
    if (server != NULL)
        httpfault_forget(server);
    DR_CLEANUP(repo_close_ptr) struct repo *r = open_remembered();
    if (backup_run(r, &wish, &site.hooks, result, &err) != DR_OK)
        fail_msg("%s", err.msg);
    counted(r, what, ret);
}

static void back_up_well(const char *what, int64_t epoch, size_t ret[SITE_BUCKETS])
{
    DR_CLEANUP(backup_result_fini) struct backup_result result = { 0 };
    back_up(what, epoch, &result, ret);
    assert_string_equal(result.kind, "incremental");
    assert_int_equal(result.copies, SITE_BUCKETS);
}

/* -- what lies there besides --------------------------------------------------------------- */

static void put(int bucket, const char *name, const struct buf *bytes)
{
    struct dr_err err = { 0 };
    if (server != NULL) {
        assert_int_equal(
            memory_put(memory_of(bucket), name, bytes->data, bytes->len, MEMORY_ALWAYS, NULL),
            DR_OK);
        return;
    }
    DR_FREE char *path = dr_strf("%s/%s", site.bucket[bucket], name);
    *strrchr(path, '/') = '\0';
    assert_int_equal(fs_make_dirs(path, 0755, &err), DR_OK);
    path[strlen(path)] = '/';
    DR_CLEANUP(dr_close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(fs_write_all(fd, path, bytes->data, bytes->len, &err), DR_OK);
}

/* forge puts into directories; from there it goes wherever the buckets are. */
static void forge(int64_t start_ns, int64_t epoch, char id[SNAPSHOT_ID_MAX])
{
    static const struct forge_entry entries[] = { { .type = '0', .path = "a", .data = "hello" } };
    const struct forge f = { .entries = entries, .count = 1, .start_ns = start_ns, .epoch = epoch };
    forge_snapshot(&site, &f, id);
    for (int i = 0; server != NULL && i < SITE_BUCKETS; i++) {
        DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
        site_objects(&site, i, "", &names);
        for (size_t k = 0; k < names.count; k++) {
            struct dr_err err = { 0 };
            DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
            DR_FREE char *path = dr_strf("%s/%s", site.bucket[i], names.items[k]);
            assert_int_equal(fs_read_file(path, 1 << 20, &bytes, &err), DR_OK);
            put(i, names.items[k], &bytes);
            assert_int_equal(unlink(path), 0);
        }
    }
}

static void forge_many(void)
{
    for (int i = 0; i < OLD; i++) {
        char id[SNAPSHOT_ID_MAX];
        forge(1000000000LL * (1000 + i), 0, id);
    }
}

/* One a day, the last one now; each but the last is known to have been everywhere. */
static void publish_prunes(void)
{
    const int64_t day_ns = 86400LL * 1000000000LL;
    for (int i = 0; i < PRUNES; i++) {
        json_t *body = json_object(), *seen = json_array();
        int64_t made_ns = clock_wall_ns() - (PRUNES - 1 - i) * day_ns;
        DR_FREE char *name = dr_strf(NAMES_GC "%020lld-%016d", (long long)made_ns, i);
        static char before[NAMES_MAX];
        DR_FREE char *expired = dr_strf("app-2020010%dt000000z-000000", i);
        DR_CLEANUP(buf_fini) struct buf object = { 0 };
        if (i > 0)
            assert_int_equal(json_array_append_new(seen, json_string(before)), 0);
        (void)snprintf(before, sizeof(before), "%s", name + strlen(NAMES_GC)); /* fits */
        json_put(body, "packs", json_array());
        json_put(body, "seen", seen);
        json_put(body, "snapshots", json_pack("[s]", expired));
        sealed_encode(body, "drctl-gc", &object);
        json_decref(body);
        for (int b = 0; b < SITE_BUCKETS; b++)
            put(b, name, &object);
    }
}

static void put_packs(void)
{
    char text[] = "pack";
    const struct buf some = { .data = text, .len = strlen(text) };
    for (int i = 0; i < PACKS; i++) {
        uint8_t id[HASH_SIZE];
        char name[NAMES_MAX];
        hash_bytes(&i, sizeof(i), id);
        names_pack(id, name);
        for (int b = 0; b < SITE_BUCKETS; b++)
            put(b, name, &some);
    }
}

/* -- backup -------------------------------------------------------------------------------- */

static void assert_few(const size_t n[SITE_BUCKETS], size_t most)
{
    for (int i = 0; i < SITE_BUCKETS; i++)
        if (n[i] > most)
            fail_msg("%s got %zu requests", site_bucket_names[i], n[i]);
}

static void snapshot_without_change_costs_six_requests_a_bucket(void **state)
{
    (void)state;
    size_t n[SITE_BUCKETS], many[SITE_BUCKETS];
    back_up_well("first after the full one", 0, n);
    back_up_well("no change", 0, n);
    assert_few(n, BACKUP_MAX);
    forge_many();
    publish_prunes();
    put_packs();
    back_up_well("new gc lists", 0, many);
    back_up_well("no change beside many", 0, many);
    for (int i = 0; i < SITE_BUCKETS; i++)
        assert_int_equal(many[i], n[i]);
    back_up_well("a new epoch", 3, many);
    back_up_well("no change under it", 3, many);
    assert_few(many, BACKUP_MAX);
}

static void forget_all(void)
{
    struct dr_err err = { 0 };
    DR_FREE char *known = dr_strf("%s/known", site.config->state_dir);
    assert_int_equal(fs_remove_tree(known, &err), DR_OK);
}

static void lost_memory_costs_requests_and_no_copy(void **state)
{
    (void)state;
    size_t n[SITE_BUCKETS], lost[SITE_BUCKETS];
    back_up_well("first", 0, n);
    back_up_well("no change", 0, n);
    forget_all();
    back_up_well("without memory", 0, lost);
    for (int i = 0; i < SITE_BUCKETS; i++)
        assert_true(lost[i] > n[i]);
    back_up_well("with memory again", 0, lost);
    for (int i = 0; i < SITE_BUCKETS; i++)
        assert_int_equal(lost[i], n[i]);
}

static void assert_eu_is_no_copy(const char *why)
{
    size_t n[SITE_BUCKETS];
    DR_CLEANUP(backup_result_fini) struct backup_result result = { 0 };
    back_up("eu is not what it was", 0, &result, n);
    assert_int_equal(result.copies, 1);
    assert_int_equal(result.missing.count, 1);
    assert_true(text_starts(result.missing.items[0], "eu: "));
    if (strstr(result.missing.items[0], why) == NULL)
        fail_msg("'%s' does not say '%s'", result.missing.items[0], why);
}

static void repair(void)
{
    struct dr_err err = { 0 };
    struct repair_report report = { 0 };
    const struct repair_wish all = { .threads = 0 };
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    if (repair_run(r, &all, &site.hooks, &report, &err) != DR_OK)
        fail_msg("%s", err.msg);
    repair_report_fini(&report);
}

static void remembered_bucket_that_is_another_now_is_noticed(void **state)
{
    (void)state;
    struct site other;
    struct dr_err err = { 0 };
    size_t n[SITE_BUCKETS];
    back_up_well("first", 0, n);
    struct memory *ours = memory_copy(memory_of(1));
    site_make(&other);
    assert_int_equal(repo_init(other.config, &err), DR_OK);
    DR_FREE char *path = dr_strf("%s/repository", other.bucket[1]);
    DR_CLEANUP(buf_fini) struct buf theirs = { 0 };
    assert_int_equal(fs_read_file(path, 1 << 20, &theirs, &err), DR_OK);
    site_drop(&other);
    memory_empty(memory_of(1));
    assert_eu_is_no_copy("holds no repository");
    put(1, "repository", &theirs);
    assert_eu_is_no_copy("another repository");
    memory_become(memory_of(1), ours);
    memory_free(ours);
    back_up_well("as it was when it took part last", 0, n);
}

static void bucket_that_went_back_is_no_copy_until_it_is_repaired(void **state)
{
    (void)state;
    size_t n[SITE_BUCKETS];
    struct memory *old = memory_copy(memory_of(1));
    back_up_well("one more", 0, n);
    memory_become(memory_of(1), old);
    assert_eu_is_no_copy("drctl repair");
    assert_eu_is_no_copy("older"); /* and stays so */
    repair();
    back_up_well("after the repair", 0, n);
    memory_become(memory_of(1), old); /* ... and what it lost is lost everywhere */
    memory_become(memory_of(0), old);
    memory_free(old);
    struct dr_err err = { 0 };
    struct backup_result result = { 0 };
    const struct backup_wish wish = { .source = &site.config->sources[0] };
    struct repo *r = open_remembered();
    assert_int_equal(backup_run(r, &wish, &site.hooks, &result, &err), DR_E_REFUSED);
    assert_non_null(strstr(err.msg, "older"));
    assert_non_null(strstr(err.msg, "drctl repair"));
    repo_close(r);
    repair(); /* a person has seen to it */
    back_up_well("after the second repair", 0, n);
}

static void bucket_that_lost_its_gc_lists_is_no_copy(void **state)
{
    (void)state;
    size_t n[SITE_BUCKETS];
    publish_prunes();
    back_up_well("reads the gc lists", 0, n);
    DR_CLEANUP(store_entries_fini) struct store_entries lists = { 0 };
    assert_false(memory_list(memory_of(1), NAMES_GC, "", SIZE_MAX, &lists));
    assert_int_equal(lists.count, PRUNES);
    assert_int_equal(memory_remove(memory_of(1), lists.items[0].name), DR_OK);
    assert_eu_is_no_copy("older");
    repair();
    back_up_well("after the repair", 0, n);
}

/* -- restore ------------------------------------------------------------------------------- */

static struct repo *restoring; /* no byte has been written yet */
static size_t at_first_byte[SITE_BUCKETS];

static ssize_t pwrite_noted(int fd, const void *buf, size_t len, off_t offset)
{
    if (restoring != NULL)
        counted(restoring, "first byte", at_first_byte);
    restoring = NULL;
    return pwrite(fd, buf, len, offset);
}

/* What a restore of the newest has asked for when it writes its first byte. */
static void restore_latest(const char *what, const char *id, size_t ret[SITE_BUCKETS])
{
    struct dr_err err = { 0 };
    DR_CLEANUP(snapshot_info_fini) struct snapshot_info info = { 0 };
    struct restore_result result = { 0 };
    const struct restore_options to = { .to = site.target };
    if (server != NULL)
        httpfault_forget(server);
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    restoring = r;
    const struct sys_ops real = sys;
    sys.pwrite = sys.pwrite_past = pwrite_noted;
    if (repo_find(r, "latest", "app", &info, &err) != DR_OK ||
        restore_run(r, &info, &to, &site.hooks, &result, &err) != DR_OK)
        fail_msg("%s", err.msg);
    if (id != NULL)
        assert_string_equal(info.id, id);
    sys = real;
    assert_int_equal(result.warnings, 0);
    assert_null(restoring);
    memcpy(ret, at_first_byte, sizeof(at_first_byte));
    counted(r, what, at_first_byte);
    site_clear_target(&site);
}

static void restore_of_the_newest_costs_ten_requests_beside_ten_thousand_packs(void **state)
{
    (void)state;
    size_t n[SITE_BUCKETS];
    char id[SNAPSHOT_ID_MAX];
    forge_many();
    publish_prunes();
    put_packs();
    back_up_well("the newest real one", 0, n);
    forget_all();
    restore_latest("restore of a real one", NULL, n);
    assert_few(n, RESTORE_MAX);
    forge(1900000000LL * 1000000000LL, 0, id);
    restore_latest("restore", id, n);
    assert_few(n, RESTORE_MAX);
}

static void fenced_writer_is_not_believed_by_name(void **state)
{
    (void)state;
    size_t n[SITE_BUCKETS];
    char late[SNAPSHOT_ID_MAX];
    struct dr_err err = { 0 };
    DR_CLEANUP(backup_result_fini) struct backup_result result = { 0 };
    back_up("under epoch 5", 5, &result, n);
    forge(1900000000LL * 1000000000LL, 4, late);
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    DR_CLEANUP(snapshot_info_fini) struct snapshot_info info = { 0 };
    DR_CLEANUP(snapshot_info_fini) struct snapshot_info named = { 0 };
    assert_int_equal(repo_find(r, "latest", "app", &info, &err), DR_OK);
    assert_string_equal(info.id, result.id);
    assert_int_equal(repo_find(r, late, "app", &named, &err), DR_OK);
    assert_int_equal(named.state, SNAPSHOT_REFUSED);
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define S3(test)    { #test " (s3)", test, set_up_s3, tear_down, NULL }
    site_without_waiting();
    setenv("AWS_ACCESS_KEY_ID", "key", 1);        /* NOLINT(concurrency-mt-unsafe): one thread */
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1); /* NOLINT(concurrency-mt-unsafe) */
    const struct CMUnitTest tests[] = {
        FRESH(snapshot_without_change_costs_six_requests_a_bucket),
        S3(snapshot_without_change_costs_six_requests_a_bucket),
        FRESH(lost_memory_costs_requests_and_no_copy),
        S3(lost_memory_costs_requests_and_no_copy),
        S3(remembered_bucket_that_is_another_now_is_noticed),
        S3(bucket_that_went_back_is_no_copy_until_it_is_repaired),
        S3(bucket_that_lost_its_gc_lists_is_no_copy),
        FRESH(restore_of_the_newest_costs_ten_requests_beside_ten_thousand_packs),
        S3(restore_of_the_newest_costs_ten_requests_beside_ten_thousand_packs),
        FRESH(fenced_writer_is_not_believed_by_name),
        S3(fenced_writer_is_not_believed_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
