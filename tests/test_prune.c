/*
 * Prune, one fact at a time: what goes, what stays, what stops it. Old snapshots are forged with
 * a time of long ago; the young one is a real backup. Kill sweeps are at the end; prunes that
 * meet backups are in test_storm.c.
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
#include "backup/work/lastrun.h"
#include "backup/work/pins.h"
#include "backup/work/process.h"
#include "backup/work/prune.h"
#include "backup/work/repair.h"
#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "tests/support/fault.h"
#include "tests/support/faultstore.h"
#include "tests/support/forge.h"
#include "tests/support/site.h"

#define DAY_NS (INT64_C(86400) * 1000000000)

static struct site site;
static char young[SNAPSHOT_ID_MAX]; /* a real backup of now */
static struct prune_result result;
static struct dr_err err;

static const struct forge_entry one_file[] = { { .type = '0', .path = "f", .data = "hello" } };

static int set_up(void **state)
{
    (void)state;
    struct snapshot_info info = { 0 };
    err = (struct dr_err){ 0 };
    site_make(&site);
    site_write(&site, "a", "alpha", 5);
    site_backup(&site, &info);
    snprintf(young, sizeof(young), "%s", info.id);
    snapshot_info_fini(&info);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    prune_result_fini(&result);
    site_drop(&site);
    return 0;
}

/* A snapshot of its own content, taken so many days ago. */
static void forge_old(double days, char id[SNAPSHOT_ID_MAX])
{
    const struct forge f = { .entries = one_file,
                             .count = 1,
                             .start_ns = clock_wall_ns() - (int64_t)(days * (double)DAY_NS) };
    forge_snapshot(&site, &f, id);
}

static struct prune_options options_of(void)
{
    return (struct prune_options){ .now_ns = clock_wall_ns() };
}

static enum dr_rc prune_with(const struct prune_options *o)
{
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    prune_result_fini(&result);
    return prune_run(r, o, &site.hooks, &result, &err);
}

static void must_prune(const struct prune_options *o)
{
    if (prune_with(o) != DR_OK)
        fail_msg("%s", err.msg);
}

static size_t count(int bucket, const char *prefix)
{
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    site_objects(&site, bucket, prefix, &names);
    return names.count;
}

static bool has_snapshot(int bucket, const char *id)
{
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    DR_FREE char *name = dr_strf("snapshots/%s", id);
    site_objects(&site, bucket, "snapshots/", &names);
    return text_list_has(&names, name);
}

static struct store *open_bucket(int bucket)
{
    DR_FREE char *url = dr_strf("file://%s", site.bucket[bucket]);
    struct store *s = NULL;
    assert_int_equal(store_open(site_bucket_names[bucket], NULL, url, &s, &err), DR_OK);
    return s;
}

static void put(int bucket, const char *name, const void *data, size_t len)
{
    DR_CLEANUP(store_close_ptr) struct store *s = open_bucket(bucket);
    assert_int_equal(store_put(s, name, data, len, &err), DR_OK);
}

/* A pack that nothing names. */
static void put_garbage(int bucket, const char *text, char name[NAMES_MAX])
{
    uint8_t id[DIGEST_SIZE];
    hash_bytes(text, strlen(text), id);
    put(bucket, names_pack(id, name), text, strlen(text));
}

static bool is_there(int bucket, const char *name)
{
    DR_CLEANUP(store_close_ptr) struct store *s = open_bucket(bucket);
    uint64_t size;
    return store_head(s, name, &size, &err) == DR_OK;
}

/* pending/ID that names this pack. owner: taken over, or NULL. */
static void put_pending(int bucket, const char *id, const char *pack_name, json_t *owner)
{
    DR_JSON json_t *body = json_object();
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    char name[NAMES_MAX];
    json_t *packs = json_array();
    json_array_append_new(packs, json_string(strrchr(pack_name, '/') + 1));
    json_put(body, "packs", packs);
    json_put_text(body, "snapshot", id);
    if (owner != NULL)
        json_put(body, "owner", owner);
    sealed_encode(body, "drctl-pending", &object);
    put(bucket, names_of(NAMES_PENDING, id, name), object.data, object.len);
}

/* What is visible is complete in each bucket alone, and its data are right. */
static void assert_all_visible_are_whole(size_t at_least)
{
    const char *const regions[] = { "us-east-1", "eu-west-1" };
    size_t seen = 0;
    for (int b = 0; b < SITE_BUCKETS; b++) {
        const struct repo_options one = { .dark = &regions[1 - b], .dark_count = 1 };
        DR_CLEANUP(repo_close_ptr) struct repo *r = NULL;
        DR_CLEANUP(snapshot_list_fini) struct snapshot_list list = { 0 };
        struct verify_result verified;
        assert_int_equal(repo_open(site.config, &one, &r, &err), DR_OK);
        assert_int_equal(repo_snapshots(r, NULL, &list, &err), DR_OK);
        for (size_t i = 0; i < list.count; i++) {
            const struct snapshot_info *s = &list.items[i];
            bool expired = s->why != NULL && strcmp(s->why, "expired") == 0;
            if (s->state != SNAPSHOT_GOOD && !expired)
                fail_msg("'%s' in '%s': %s", s->id, site_bucket_names[b], s->why);
            seen += s->state == SNAPSHOT_GOOD;
        }
        if (list.count == 0)
            continue;
        assert_int_equal(verify_run(r, NULL, false, &site.hooks, &verified, &err), DR_OK);
    }
    assert_true(seen >= at_least);
}

/* -- what goes and what stays --------------------------------------------------------------- */

static void expired_snapshot_goes_with_its_packs(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX], middle[SNAPSHOT_ID_MAX];
    forge_old(40, old);
    forge_old(20, middle);
    size_t packs = count(0, "packs/");
    const struct prune_options o = options_of();
    must_prune(&o);
    assert_int_equal(result.expired, 1);
    assert_int_equal(result.buckets[0].packs, 1);
    assert_true(result.buckets[0].bytes > 0);
    for (int b = 0; b < SITE_BUCKETS; b++) {
        assert_false(has_snapshot(b, old));
        assert_true(has_snapshot(b, middle));
        assert_true(has_snapshot(b, young));
        assert_int_equal(count(b, "packs/"), packs - 1);
        assert_int_equal(count(b, "gc/"), 1);
    }
    assert_all_visible_are_whole(4);
}

static void second_prune_finds_nothing_and_writes_nothing(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX];
    forge_old(40, old);
    const struct prune_options o = options_of();
    must_prune(&o);
    must_prune(&o);
    assert_int_equal(result.expired, 0);
    assert_int_equal(count(0, "gc/"), 1);
}

static void every_snapshot_has_a_reason(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX];
    forge_old(40, old);
    struct prune_options o = options_of();
    o.dry_run = true;
    must_prune(&o);
    assert_int_equal(result.snapshot_count, 2);
    assert_string_equal(result.snapshots[0].id, old);
    assert_true(result.snapshots[0].expires);
    assert_non_null(strstr(result.snapshots[0].why, "kept for 30d"));
    assert_false(result.snapshots[1].expires);
    assert_non_null(strstr(result.snapshots[1].why, "not older than 30d"));
}

/* Every name and every byte count below the top. */
static void picture(struct buf *out)
{
    for (int b = 0; b < SITE_BUCKETS; b++) {
        DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
        site_objects(&site, b, "", &names);
        for (size_t i = 0; i < names.count; i++)
            buf_addf(out, "%d %s\n", b, names.items[i]);
    }
    DR_FREE char *memory = dr_strf("%s/prune", site.config->state_dir);
    buf_addf(out, "%d\n", access(memory, F_OK));
}

static void dry_run_changes_nothing_and_tells_all(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX], garbage[NAMES_MAX];
    DR_CLEANUP(buf_fini) struct buf before = { 0 };
    DR_CLEANUP(buf_fini) struct buf after = { 0 };
    forge_old(40, old);
    put_garbage(0, "garbage", garbage);
    put_pending(1, "app-20200101t000000z-abcdef", garbage, NULL);
    picture(&before);
    struct prune_options o = options_of();
    o.dry_run = true;
    must_prune(&o);
    picture(&after);
    assert_string_equal(before.data, after.data);
    assert_int_equal(result.expired, 1);
    assert_int_equal(result.buckets[0].packs, 2); /* the stale pending does not keep its pack */
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
    forge_old(40, old);
    const struct prune_options dry = { .now_ns = clock_wall_ns(), .approve = say_no };
    struct prune_options o = options_of();
    o.grace_ms = PRUNE_GRACE_MS;
    o.dry_run = true;
    must_prune(&o); /* the members are written by the first real one only */
    picture(&before);
    must_prune(&dry);
    picture(&after);
    assert_true(result.refused);
    assert_true(has_snapshot(0, old));
    assert_int_equal(count(0, "gc/"), 0);
}

static void pinned_snapshot_stays_until_it_is_unpinned(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX];
    forge_old(40, old);
    const struct prune_options o = options_of();
    {
        DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
        assert_int_equal(pins_put(r, old, true, "the audit", &err), DR_OK);
    }
    must_prune(&o);
    assert_true(has_snapshot(0, old));
    assert_string_equal(result.snapshots[0].why, "pinned");
    {
        DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
        DR_CLEANUP(pins_fini) struct pins pins = { 0 };
        assert_int_equal(pins_read(r, &pins, &err), DR_OK);
        assert_string_equal(pins_find(&pins, old)->reason, "the audit");
        assert_int_equal(pins_put(r, old, false, "", &err), DR_OK);
    }
    must_prune(&o);
    assert_false(has_snapshot(0, old));
    assert_int_equal(count(0, "pins/"), 0);
}

static void unreadable_pin_counts_as_pinned(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX];
    forge_old(40, old);
    DR_FREE char *name = dr_strf("pins/%s/00000001-aa", old);
    put(0, name, "nonsense", 8);
    const struct prune_options o = options_of();
    must_prune(&o);
    assert_true(has_snapshot(0, old));
}

static void proofs_go_with_their_snapshot(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX];
    forge_old(40, old);
    {
        DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
        assert_int_equal(repo_mark_proved(r, old, &err), DR_OK);
        assert_int_equal(repo_mark_proved(r, young, &err), DR_OK);
    }
    const struct prune_options o = options_of();
    must_prune(&o);
    assert_false(has_snapshot(0, old));
    assert_int_equal(count(0, "proofs/"), 1);
}

static void refused_snapshot_keeps_its_packs(void **state)
{
    (void)state;
    char theirs[SNAPSHOT_ID_MAX];
    DR_CLEANUP(keys_free_ptr) struct keys *stranger = keys_new();
    const struct forge f = { .entries = one_file,
                             .count = 1,
                             .signer = stranger,
                             .start_ns = clock_wall_ns() - 100 * DAY_NS };
    forge_snapshot(&site, &f, theirs);
    size_t packs = count(0, "packs/");
    const struct prune_options o = options_of();
    must_prune(&o);
    assert_true(has_snapshot(0, theirs));
    assert_int_equal(count(0, "packs/"), packs);
}

static void packs_of_deep_lists_stay(void **state)
{
    (void)state;
    char deep[SNAPSHOT_ID_MAX];
    const struct forge f = { .entries = one_file, .count = 1, .deep = true };
    forge_snapshot(&site, &f, deep);
    size_t packs = count(0, "packs/");
    const struct prune_options o = options_of();
    must_prune(&o);
    assert_int_equal(count(0, "packs/"), packs);
}

static void clock_far_ahead_expires_nothing_and_says_so(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX];
    forge_old(40, old);
    struct prune_options o = options_of();
    o.now_ns += 1000 * DAY_NS;
    must_prune(&o);
    assert_int_equal(result.expired, 0);
    assert_int_equal(result.hold_count, 1);
    assert_string_equal(result.holds[0].source, "app");
    assert_non_null(strstr(result.holds[0].why, "the clock is wrong"));
    o.now_ns = clock_wall_ns() - DAY_NS;
    must_prune(&o);
    assert_non_null(strstr(result.holds[0].why, "behind the newest snapshot"));
}

static void failed_run_holds_until_one_succeeds(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX];
    forge_old(40, old);
    const struct prune_options o = options_of();
    lastrun_end(site.config->state_dir, "app", "disk on fire");
    must_prune(&o);
    assert_int_equal(result.expired, 0);
    assert_non_null(strstr(result.holds[0].why, "disk on fire"));
    lastrun_begin(site.config->state_dir, "app"); /* runs: we are alive */
    lastrun_end(site.config->state_dir, "app", NULL);
    must_prune(&o);
    assert_int_equal(result.expired, 1);
}

static void run_that_was_killed_holds(void **state)
{
    (void)state;
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        lastrun_begin(site.config->state_dir, "app");
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    char old[SNAPSHOT_ID_MAX];
    forge_old(40, old);
    const struct prune_options o = options_of();
    must_prune(&o);
    assert_non_null(strstr(result.holds[0].why, "interrupted"));
}

/* -- packs that nothing names --------------------------------------------------------------- */

static void unnamed_pack_waits_for_its_grace_and_losing_the_memory_only_delays(void **state)
{
    (void)state;
    char garbage[NAMES_MAX];
    put_garbage(0, "garbage", garbage);
    struct prune_options o = options_of();
    o.grace_ms = PRUNE_GRACE_MS;
    must_prune(&o);
    assert_int_equal(result.young, 1);
    o.now_ns += DAY_NS - 1000000000;
    must_prune(&o);
    assert_true(is_there(0, garbage));
    DR_FREE char *memory = dr_strf("%s/prune", site.config->state_dir);
    assert_int_equal(fs_remove_tree(memory, &err), DR_OK);
    o.now_ns += 2 * INT64_C(1000000000);
    must_prune(&o);
    assert_true(is_there(0, garbage));
    o.now_ns += DAY_NS;
    must_prune(&o);
    assert_false(is_there(0, garbage));
    assert_int_equal(result.buckets[0].packs, 1);
    assert_int_equal(result.buckets[1].packs, 0);
}

static void clock_that_went_back_starts_the_grace_anew(void **state)
{
    (void)state;
    char garbage[NAMES_MAX];
    put_garbage(0, "garbage", garbage);
    struct prune_options o = options_of();
    o.grace_ms = PRUNE_GRACE_MS;
    o.now_ns += 300 * DAY_NS;
    must_prune(&o);
    o.now_ns -= 300 * DAY_NS;
    must_prune(&o);
    o.now_ns += DAY_NS / 2;
    must_prune(&o);
    assert_true(is_there(0, garbage));
    o.now_ns += DAY_NS / 2;
    must_prune(&o);
    assert_false(is_there(0, garbage));
}

/* -- pendings -------------------------------------------------------------------------------- */

static char *id_of_days_ago(double days)
{
    char id[NAMES_ID_MAX];
    const uint8_t nonce[NONCE_SIZE] = { 7 };
    const struct names_id of = { .source = "app",
                                 .start_ns = clock_wall_ns() - (int64_t)(days * (double)DAY_NS),
                                 .nonce = nonce };
    return dr_strdup(names_make_id(&of, id));
}

static void living_pending_keeps_its_packs(void **state)
{
    (void)state;
    char garbage[NAMES_MAX];
    put_garbage(0, "needed", garbage);
    DR_FREE char *id = id_of_days_ago(13.9);
    put_pending(1, id, garbage, process_mark());
    const struct prune_options o = options_of();
    must_prune(&o);
    assert_true(is_there(0, garbage));
    assert_int_equal(count(1, "pending/"), 1);
    assert_int_equal(result.pendings, 0);
}

static void assert_entombed(const char *id)
{
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    for (int b = 0; b < SITE_BUCKETS; b++) {
        bool expired = false;
        assert_int_equal(count(b, "pending/"), 0);
        assert_int_equal(gc_is_expired(repo_bucket(r, (size_t)b)->store, id, &expired, &err),
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
    assert_int_equal(json_read("mark", text, (size_t)len, &mark, &err), DR_OK);
    put_garbage(0, "garbage", garbage);
    DR_FREE char *id = id_of_days_ago(0.001);
    put_pending(0, id, garbage, mark);
    const struct prune_options o = options_of();
    must_prune(&o);
    assert_int_equal(result.pendings, 1);
    assert_entombed(id);
    assert_false(is_there(0, garbage));
}

static void pending_of_another_host_goes_after_14_days(void **state)
{
    (void)state;
    char garbage[NAMES_MAX];
    put_garbage(0, "garbage", garbage);
    DR_FREE char *id = id_of_days_ago(14.1);
    DR_FREE char *fresh = id_of_days_ago(1);
    put_pending(0, id, garbage, NULL);
    put_pending(0, fresh, "packs/aa/aa", NULL);
    const struct prune_options o = options_of();
    assert_int_equal(prune_with(&o), DR_E_CORRUPT); /* it names what is no pack */
    assert_non_null(strstr(err.hint, "--abandon"));
    DR_CLEANUP(text_list_fini) struct text_list abandon = { 0 };
    text_list_add(&abandon, fresh);
    struct prune_options with = options_of();
    with.abandon = &abandon;
    must_prune(&with);
    assert_entombed(id);
    assert_entombed(fresh);
    assert_false(is_there(0, garbage));
}

static void abandoning_what_is_not_pending_is_told(void **state)
{
    (void)state;
    DR_CLEANUP(text_list_fini) struct text_list abandon = { 0 };
    text_list_add(&abandon, "app-nothing");
    struct prune_options o = options_of();
    o.abandon = &abandon;
    assert_int_equal(prune_with(&o), DR_E_NOTFOUND);
    assert_non_null(strstr(err.msg, "app-nothing"));
}

static void pending_of_a_visible_snapshot_just_goes(void **state)
{
    (void)state;
    DR_CLEANUP(text_list_fini) struct text_list packs = { 0 };
    site_objects(&site, 0, "packs/", &packs);
    put_pending(0, young, packs.items[0], process_mark());
    const struct prune_options o = options_of();
    must_prune(&o);
    assert_int_equal(count(0, "pending/"), 0);
    assert_int_equal(count(0, "gc/"), 0);
    assert_all_visible_are_whole(2);
}

/* The home's PUT had an unknown outcome and the writer died: the copy in the other bucket is the
 * snapshot that was reported, and no tombstone may take it. */
static void stale_pending_of_a_snapshot_elsewhere_brings_it_home(void **state)
{
    (void)state;
    DR_CLEANUP(text_list_fini) struct text_list packs = { 0 };
    DR_FREE char *name = dr_strf("snapshots/%s", young);
    site_objects(&site, 0, "packs/", &packs);
    put_pending(0, young, packs.items[0], NULL);
    site_damage(&site, 0, name, SITE_DELETE, 0);
    site_damage(&site, 0, packs.items[0], SITE_DELETE, 0);
    struct prune_options o = options_of();
    DR_CLEANUP(text_list_fini) struct text_list abandon = { 0 };
    text_list_add(&abandon, young);
    o.abandon = &abandon;
    must_prune(&o);
    assert_true(has_snapshot(0, young));
    assert_int_equal(count(0, "pending/"), 0);
    assert_all_visible_are_whole(2);
}

static void late_snapshot_of_an_entombed_run_stays_invisible(void **state)
{
    (void)state;
    DR_CLEANUP(text_list_fini) struct text_list packs = { 0 }, abandon = { 0 };
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    DR_FREE char *name = dr_strf("snapshots/%s", young);
    DR_FREE char *path = dr_strf("%s/%s", site.bucket[0], name);
    site_objects(&site, 0, "packs/", &packs);
    assert_int_equal(fs_read_file(path, 1 << 20, &object, &err), DR_OK);
    for (int b = 0; b < SITE_BUCKETS; b++)
        site_damage(&site, b, name, SITE_DELETE, 0);
    put_pending(0, young, packs.items[0], NULL);
    text_list_add(&abandon, young);
    struct prune_options o = options_of();
    o.abandon = &abandon;
    must_prune(&o);
    assert_false(is_there(0, packs.items[0]));
    put(0, name, object.data, object.len); /* the sleeping writer wakes */
    assert_all_visible_are_whole(0);
    o.abandon = NULL;
    must_prune(&o);
    assert_false(has_snapshot(0, young));
}

/* -- what stops it --------------------------------------------------------------------------- */

static void assert_stopped(const struct prune_options *o, enum dr_rc rc, const char *words)
{
    DR_CLEANUP(buf_fini) struct buf before = { 0 };
    DR_CLEANUP(buf_fini) struct buf after = { 0 };
    picture(&before);
    assert_int_equal(prune_with(o), rc);
    picture(&after);
    assert_string_equal(before.data, after.data);
    if (strstr(err.msg, words) == NULL)
        fail_msg("'%s' is not in: %s", words, err.msg);
}

static void bucket_that_cannot_be_opened_stops_it(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX];
    forge_old(40, old);
    DR_FREE char *away = dr_strf("%s.away", site.bucket[1]);
    assert_int_equal(rename(site.bucket[1], away), 0);
    const struct prune_options o = options_of();
    assert_int_equal(prune_with(&o), DR_E_REFUSED);
    assert_non_null(strstr(err.msg, "bucket 'eu'"));
    assert_true(has_snapshot(0, old));
    assert_int_equal(rename(away, site.bucket[1]), 0);
}

static void dark_bucket_stops_it(void **state)
{
    (void)state;
    const char *dark[] = { "eu-west-1" };
    const struct repo_options one = { .dark = dark, .dark_count = 1 };
    DR_CLEANUP(repo_close_ptr) struct repo *r = NULL;
    assert_int_equal(repo_open(site.config, &one, &r, &err), DR_OK);
    const struct prune_options o = options_of();
    assert_int_equal(prune_run(r, &o, NULL, &result, &err), DR_E_REFUSED);
    assert_non_null(strstr(err.msg, "'eu'"));
}

static void unlistable_bucket_stops_it(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX];
    forge_old(40, old);
    for (unsigned n = 1;; n++) {
        DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
        struct repo_bucket *b = repo_bucket(r, 1);
        b->store = faultstore_new(b->store);
        faultstore_fail(b->store, FAULTSTORE_LIST, n, DR_E_IO);
        struct prune_options o = options_of();
        o.dry_run = true;
        prune_result_fini(&result);
        enum dr_rc rc = prune_run(r, &o, NULL, &result, &err);
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
    forge_old(40, old);
    const struct prune_options o = options_of();
    size_t all = site.config->bucket_count;
    site.config->bucket_count = all - 1;
    assert_stopped(&o, DR_E_REFUSED, "bucket 'eu' belongs to this repository");
    struct prune_options without = options_of();
    without.retire = "eu";
    must_prune(&without);
    assert_false(has_snapshot(0, old));
    must_prune(&o);
    site.config->bucket_count = all;
}

static void snapshot_that_does_not_tell_its_packs_stops_it_until_forgotten(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX];
    const char *bad = "snapshots/app-20260101t000000z-aaaaaa", *id = strchr(bad, '/') + 1;
    forge_old(40, old);
    put(0, bad, "nonsense\n", 9);
    const struct prune_options o = options_of();
    assert_stopped(&o, DR_E_CORRUPT, id);
    assert_non_null(strstr(err.hint, "forget --force"));
    {
        DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
        DR_CLEANUP(text_list_fini) struct text_list ids = { 0 };
        text_list_add(&ids, id);
        assert_int_equal(forget_run(r, &ids, true, &err), DR_OK);
    }
    must_prune(&o);
    assert_false(is_there(0, bad));
    assert_false(has_snapshot(0, old));
}

static void good_copy_speaks_for_a_damaged_one(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX];
    forge_old(40, old);
    DR_FREE char *name = dr_strf("snapshots/%s", young);
    site_damage(&site, 0, name, SITE_TRUNCATE, 50);
    const struct prune_options o = options_of();
    must_prune(&o);
    assert_int_equal(result.expired, 0); /* the newest one lags */
    DR_CLEANUP(text_list_fini) struct text_list packs = { 0 };
    site_objects(&site, 0, "packs/", &packs);
    assert_int_equal(packs.count, 2);
}

/* -- gc lists -------------------------------------------------------------------------------- */

static void expiry_that_was_left_half_done_is_carried_on(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX];
    forge_old(5, old); /* too young for retention */
    {
        DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
        DR_CLEANUP(text_list_fini) struct text_list ids = { 0 };
        const struct gc_all none = { 0 };
        text_list_add(&ids, old);
        struct repo_bucket *b = repo_bucket(r, 1);
        b->store = faultstore_new(b->store);
        faultstore_fail(b->store, FAULTSTORE_PUT, 1, DR_E_IO);
        assert_int_equal(gc_publish(r, NULL, &ids, &none, &err), DR_E_IO);
    }
    assert_int_equal(count(0, "gc/"), 1);
    assert_int_equal(count(1, "gc/"), 0);
    const struct prune_options o = options_of();
    must_prune(&o);
    assert_int_equal(result.expired, 1);
    for (int b = 0; b < SITE_BUCKETS; b++) {
        assert_false(has_snapshot(b, old));
        assert_int_equal(count(b, "packs/"), 1);
        assert_int_equal(count(b, "gc/"), 2);
    }
}

static void bucket_that_went_back_stops_it_until_readmitted(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX], older[SNAPSHOT_ID_MAX];
    forge_old(40, old);
    DR_FREE char *save = dr_strf("cp -a %s %s.saved", site.bucket[1], site.bucket[1]);
    DR_FREE char *bring =
        dr_strf("rm -rf %s && mv %s.saved %s", site.bucket[1], site.bucket[1], site.bucket[1]);
    assert_int_equal(system(save), 0); /* NOLINT(cert-env33-c,concurrency-mt-unsafe): a test */
    const struct prune_options o = options_of();
    must_prune(&o);
    forge_old(50, older);
    must_prune(&o); /* its list knows that the first one stood everywhere */
    assert_int_equal(count(0, "gc/"), 2);
    assert_int_equal(system(bring), 0); /* NOLINT(cert-env33-c,concurrency-mt-unsafe): a test */
    assert_true(has_snapshot(1, old));
    assert_stopped(&o, DR_E_REFUSED, "bucket 'eu' came back older");
    assert_non_null(strstr(err.hint, "--readmit eu"));
    struct prune_options with = options_of();
    with.readmit = "eu";
    must_prune(&with);
    assert_int_equal(count(1, "gc/"), 3);
    assert_false(has_snapshot(1, old));
    must_prune(&o);
    assert_all_visible_are_whole(2);
}

static void new_bucket_gets_the_gc_lists_before_it_is_opened(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX];
    forge_old(40, old);
    const struct prune_options o = options_of();
    must_prune(&o);
    assert_int_equal(fs_remove_tree(site.bucket[1], &err), DR_OK);
    assert_int_equal(mkdir(site.bucket[1], 0755), 0);
    assert_int_equal(prune_with(&o), DR_E_REFUSED);
    /* An init that dies behind any call is repeated. */
    int status = 99 << 8;
    for (unsigned n = 1; WEXITSTATUS(status) == 99; n++) {
        pid_t pid = fork();
        if (pid == 0) {
            fault_arm(FAULT_DIE_AFTER, n);
            _exit(repo_init(site.config, &err) == DR_OK ? 0 : 1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (is_there(1, "repository"))
            assert_int_equal(count(1, "gc/"), 1);
    }
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(repo_init(site.config, &err), DR_OK);
    must_prune(&o);
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
    put_pending(m->bucket, "app-20990101t000000z-abcdef", m->pack, process_mark());
    return true;
}

static void what_is_named_since_the_first_look_is_struck(void **state)
{
    (void)state;
    for (int bucket = 0; bucket < SITE_BUCKETS; bucket++) {
        char garbage[NAMES_MAX];
        struct meddler m = { .pack = garbage, .bucket = bucket };
        DR_FREE char *text = dr_strf("garbage %d", bucket);
        put_garbage(0, text, garbage);
        struct prune_options o = options_of();
        o.approve = commit_meanwhile;
        o.arg = &m;
        must_prune(&o);
        assert_int_equal(result.struck, 1);
        assert_true(is_there(0, garbage));
        DR_CLEANUP(store_close_ptr) struct store *s = open_bucket(bucket);
        assert_int_equal(store_remove(s, "pending/app-20990101t000000z-abcdef", &err), DR_OK);
    }
    const struct prune_options o = options_of();
    must_prune(&o);
    assert_int_equal(result.buckets[0].packs, 1); /* the first one went in the second round */
}

/* -- forget ---------------------------------------------------------------------------------- */

static enum dr_rc forget(const char *id, bool force)
{
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    DR_CLEANUP(text_list_fini) struct text_list ids = { 0 };
    text_list_add(&ids, id);
    return forget_run(r, &ids, force, &err);
}

static void forgotten_snapshot_is_invisible_and_freed_by_prune(void **state)
{
    (void)state;
    char other[SNAPSHOT_ID_MAX];
    forge_old(2, other);
    assert_int_equal(forget(other, false), DR_OK);
    assert_true(has_snapshot(0, other));
    {
        DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
        struct snapshot_info info = { 0 };
        assert_int_equal(repo_find(r, other, NULL, &info, &err), DR_OK);
        assert_string_equal(info.why, "expired");
        snapshot_info_fini(&info);
    }
    const struct prune_options o = options_of();
    must_prune(&o);
    assert_false(has_snapshot(0, other) || has_snapshot(1, other));
    assert_int_equal(count(0, "packs/"), 1);
}

static void last_complete_and_last_proved_are_not_forgotten_lightly(void **state)
{
    (void)state;
    char other[SNAPSHOT_ID_MAX];
    assert_int_equal(forget(young, false), DR_E_REFUSED);
    assert_non_null(strstr(err.msg, "no complete full snapshot of 'app' would be left"));
    forge_old(2, other);
    {
        DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
        DR_CLEANUP(text_list_fini) struct text_list both = { 0 };
        text_list_add(&both, young);
        text_list_add(&both, other);
        assert_int_equal(forget_run(r, &both, false, &err), DR_E_REFUSED);
        assert_int_equal(repo_mark_proved(r, other, &err), DR_OK);
    }
    assert_int_equal(forget(other, false), DR_E_REFUSED);
    assert_non_null(strstr(err.msg, "no proved"));
    assert_int_equal(count(0, "gc/"), 0);
    assert_int_equal(forget(other, true), DR_OK);
    assert_int_equal(forget(young, true), DR_OK);
    assert_int_equal(forget("app-nothing", true), DR_E_NOTFOUND);
}

static void pinned_snapshot_is_not_forgotten_even_by_force(void **state)
{
    (void)state;
    char other[SNAPSHOT_ID_MAX];
    forge_old(2, other);
    {
        DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
        assert_int_equal(pins_put(r, other, true, "legal hold", &err), DR_OK);
    }
    assert_int_equal(forget(other, true), DR_E_REFUSED);
    assert_non_null(strstr(err.msg, "legal hold"));
}

/* -- repair ---------------------------------------------------------------------------------- */

static void repair_brings_a_snapshot_into_a_bucket_that_lacks_it(void **state)
{
    (void)state;
    DR_CLEANUP(text_list_fini) struct text_list packs = { 0 };
    DR_FREE char *name = dr_strf("snapshots/%s", young);
    site_objects(&site, 0, "packs/", &packs);
    site_damage(&site, 1, name, SITE_DELETE, 0);
    site_damage(&site, 1, packs.items[0], SITE_DELETE, 0);
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    struct repair_result repaired;
    assert_int_equal(repair_snapshot(r, young, 0, 1, &repaired, &err), DR_OK);
    assert_int_equal(repaired.packs, 1);
    assert_all_visible_are_whole(2);
    assert_int_equal(repair_snapshot(r, young, 0, 1, &repaired, &err), DR_OK);
    assert_int_equal(repaired.packs, 0);
}

static void repair_copies_no_damage_and_revives_nothing_expired(void **state)
{
    (void)state;
    char other[SNAPSHOT_ID_MAX];
    DR_CLEANUP(text_list_fini) struct text_list packs = { 0 };
    site_objects(&site, 0, "packs/", &packs);
    site_damage(&site, 1, packs.items[0], SITE_DELETE, 0);
    site_damage(&site, 0, packs.items[0], SITE_FLIP, 30);
    forge_old(2, other);
    assert_int_equal(forget(other, false), DR_OK);
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    struct repair_result repaired;
    assert_int_equal(repair_snapshot(r, young, 0, 1, &repaired, &err), DR_E_CORRUPT);
    assert_false(is_there(1, packs.items[0]));
    assert_int_equal(repair_snapshot(r, other, 0, 1, &repaired, &err), DR_E_REFUSED);
}

/* -- sweeps ---------------------------------------------------------------------------------- */

/* An expired snapshot, a young one, garbage, and the pending of a dead run: made once, and kept
 * beside the buckets. Objects are never changed, so a hard link of each is as good as a copy. */
static void make_mess(void)
{
    char old[SNAPSHOT_ID_MAX], garbage[NAMES_MAX];
    forge_old(40, old);
    put_garbage(1, "garbage", garbage);
    DR_FREE char *id = id_of_days_ago(20);
    put_pending(0, id, garbage, NULL);
    for (int b = 0; b < SITE_BUCKETS; b++) {
        DR_FREE char *kept = dr_strf("%s.mess", site.bucket[b]);
        assert_int_equal(rename(site.bucket[b], kept), 0);
    }
}

static void link_object(const char *from, const char *to)
{
    DR_FREE char *folder = dr_memdup(to, (size_t)(strrchr(to, '/') - to));
    assert_int_equal(fs_make_dirs(folder, 0755, &err), DR_OK);
    assert_int_equal(link(from, to), 0);
}

static void fresh_mess(void)
{
    DR_FREE char *memory = dr_strf("%s/prune", site.config->state_dir);
    assert_int_equal(fs_remove_tree(memory, &err), DR_OK);
    for (int b = 0; b < SITE_BUCKETS; b++) {
        DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
        DR_CLEANUP(store_close_ptr) struct store *s = NULL;
        DR_FREE char *url = dr_strf("file://%s.mess", site.bucket[b]);
        assert_int_equal(store_open("mess", NULL, url, &s, &err), DR_OK);
        assert_int_equal(store_list(s, "", &names, &err), DR_OK);
        assert_int_equal(fs_remove_tree(site.bucket[b], &err), DR_OK);
        for (size_t i = 0; i < names.count; i++) {
            DR_FREE char *from = dr_strf("%s.mess/%s", site.bucket[b], names.items[i]);
            DR_FREE char *to = dr_strf("%s/%s", site.bucket[b], names.items[i]);
            link_object(from, to);
        }
    }
}

static void assert_no_garbage_after_one_more(void)
{
    const struct prune_options o = options_of();
    assert_all_visible_are_whole(2);
    must_prune(&o);
    assert_all_visible_are_whole(2);
    for (int b = 0; b < SITE_BUCKETS; b++) {
        assert_int_equal(count(b, "packs/"), 1);
        assert_int_equal(count(b, "snapshots/"), 1);
        assert_int_equal(count(b, "pending/"), 0);
        assert_true(count(b, "gc/") > 0);
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
            DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
            const struct prune_options o = options_of();
            prune_result_fini(&result);
            fault_arm(kinds[k], n);
            enum dr_rc rc = prune_run(r, &o, &site.hooks, &result, &err);
            fired = fault_disarm();
            if (rc == DR_OK) /* a copy of the newest one that cannot be read holds retention */
                assert_true(result.buckets[0].packs > 0 || result.hold_count > 0);
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
            struct repo *r = site_open(&site);
            const struct prune_options o = options_of();
            fault_arm(FAULT_DIE_AFTER, n);
            _exit(prune_run(r, &o, NULL, &result, &err) == DR_OK ? 0 : 1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_no_garbage_after_one_more();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
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
        FRESH(what_is_named_since_the_first_look_is_struck),
        FRESH(forgotten_snapshot_is_invisible_and_freed_by_prune),
        FRESH(last_complete_and_last_proved_are_not_forgotten_lightly),
        FRESH(pinned_snapshot_is_not_forgotten_even_by_force),
        FRESH(repair_brings_a_snapshot_into_a_bucket_that_lacks_it),
        FRESH(repair_copies_no_damage_and_revives_nothing_expired),
        FRESH(prune_survives_every_failing_call),
        FRESH(prune_survives_death_at_every_call),
    };
    return cmocka_run_group_tests_name("prune", tests, NULL, NULL);
}
