/*
 * Status between hosts: rows are written into real buckets and read by a host that has only keys and buckets;
 * what is not signed by a trusted key is not believed, and a bucket that hangs holds up nobody.
 */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/work/measure.h"
#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/run/health.h"
#include "dr/status/rows.h"
#include "dr/status/status.h"
#include "tests/support/site.h"

enum { WAIT_MS = 60000, SECOND = 1000000000 };

static struct site site;
static struct snapshot_info taken;

/* -- hosts ------------------------------------------------------------------------------------ */

/* A host of its own (TOP/NAME-state) with the buckets of the site; more: further lines of its configuration. */
static struct config *host(const char *name, const char *us, const char *eu, const char *more)
{
    DR_FREE char *text = dr_strf("disaster_recovery:\n"
                                 "  backup_policy:\n"
                                 "    full_backup: {frequency: daily, retention: 30d}\n"
                                 "sites:\n"
                                 "  - {name: us, region: us-east-1, address: 127.0.0.1}\n"
                                 "  - {name: eu, region: eu-west-1, address: 127.0.0.2}\n"
                                 "sources:\n"
                                 "  - {name: app, site: us, path: %s}\n"
                                 "buckets:\n"
                                 "  - {name: us, url: \"%s\", region: us-east-1}\n"
                                 "  - {name: eu, url: \"%s\", region: eu-west-1}\n"
                                 "%s\n"
                                 "state_dir: %s/%s-state\n",
                                 site.src, us, eu, more, site.top, name);
    DR_FREE char *file = dr_strf("%s.yaml", name);
    DR_FREE char *path = dr_strf("%s/%s", site.top, file);
    DR_CLEANUP(diag_fini) struct diag d = { 0 };
    struct config *c = NULL;
    struct dr_err err = { 0 };
    assert_int_equal(fs_replace(site.top, file, text, strlen(text), &err), DR_OK);
    if (config_load(path, &d, &c, &err) != DR_OK) {
        DR_CLEANUP(buf_fini) struct buf out = { 0 };
        diag_print(&d, &out);
        fail_msg("%s", out.len > 0 ? out.data : err.msg);
    }
    return c;
}

static char *url_of(int bucket)
{
    return dr_strf("file://%s", site.bucket[bucket]);
}

/* A host that believes the writers of these state directories. */
static struct config *host_that_trusts(const char *name, const char *const *state_dirs)
{
    DR_FREE char *us = url_of(0), *eu = url_of(1);
    DR_CLEANUP(buf_fini) struct buf more = { 0 };
    buf_adds(&more, "trusted_writers: {app: [");
    for (size_t i = 0; state_dirs[i] != NULL; i++) {
        char key[KEYS_TEXT_MAX];
        struct dr_err err = { 0 };
        DR_CLEANUP(keys_free_ptr) struct keys *made = NULL;
        assert_int_equal(keys_open(state_dirs[i], true, &made, &err), DR_OK);
        assert_int_equal(keys_read_public(state_dirs[i], key, &err), DR_OK);
        buf_addf(&more, "%s\"%s\"", i > 0 ? ", " : "", key);
    }
    buf_adds(&more, "]}");
    return host(name, us, eu, more.data);
}

static struct status_writer *writer(const struct config *c, const char *name)
{
    const struct status_writer_options o = { .site = name, .version = "0.1.0" };
    struct status_writer *w = NULL;
    struct dr_err err = { 0 };
    assert_int_equal(status_writer_open(c, &o, &w, &err), DR_OK);
    return w;
}

static json_t *look_from(const struct config *c, int64_t ask_ms)
{
    const struct status_options o = { .by = "laptop", .ask_ms = ask_ms };
    DR_CLEANUP(status_close_ptr) struct status *s = NULL;
    struct dr_err err = { 0 };
    assert_int_equal(status_open(c, &o, &s, &err), DR_OK);
    return status_view(s);
}

static const json_t *named(const json_t *view, const char *list, const char *key, const char *value)
{
    const json_t *all = json_object_get(view, list);
    for (size_t i = 0; i < json_array_size(all); i++) {
        const char *text = json_string_value(json_object_get(json_array_get(all, i), key));
        if (text != NULL && strcmp(text, value) == 0)
            return json_array_get(all, i);
    }
    return NULL;
}

static const char *text(const json_t *o, const char *key)
{
    const char *value = json_string_value(json_object_get(o, key));
    return value != NULL ? value : "";
}

static bool found(const json_t *view, const char *key)
{
    return named(view, "findings", "key", key) != NULL;
}

static char *state_of(const char *name)
{
    return dr_strf("%s/%s", site.top, name);
}

/* -- rows ------------------------------------------------------------------------------------- */

/* site_make() took the snapshots with the key of TOP/state: the laptop must know that one, and the host of the row. */
static struct config *laptop(const char *name)
{
    DR_FREE char *taker = state_of("state"), *row_host = state_of("us-state");
    return host_that_trusts(name, (const char *const[]){ taker, row_host, NULL });
}

static void a_host_with_keys_and_buckets_alone_knows_as_much(void **state)
{
    (void)state;
    DR_FREE char *us = url_of(0), *eu = url_of(1);
    DR_CLEANUP(config_free_ptr)
    struct config *c = host(
        "us", us, eu,
        "health: [{name: front, kind: tcp, url: \"tcp://127.0.0.1:1\", interval: 1s, timeout: 500ms}]");
    DR_CLEANUP(config_free_ptr) struct config *other = laptop("laptop");
    DR_CLEANUP(health_log_close_ptr) struct health_log *log = NULL;
    struct dr_err err = { 0 };
    enum health_result result;
    const char *why;
    assert_int_equal(health_log_open(c->state_dir, "front", &log, &err), DR_OK);
    for (int i = 0; i < c->failure_threshold; i++)
        assert_int_equal(health_log_ask(log, &c->probes[0], &result, &why, &err), DR_OK);
    measure_add(c->state_dir, &(struct measure){ "app", "app-1", taken.bytes, 5000 });

    DR_CLEANUP(status_writer_close_ptr) struct status_writer *w = writer(c, "us");
    DR_JSON json_t *jobs = json_pack(
        "[{s:s,s:n,s:i,s:b},{s:s,s:n,s:s,s:i,s:b},{s:s,s:n,s:s,s:n,s:b}]", "what", "verify",
        "source", "exit", 1, "overdue", 0, "what", "preflight", "source", "plan", "fire", "exit", 3,
        "overdue", 0, "what", "drill", "source", "plan", "fire", "exit", "overdue", 1);
    assert_true(status_write_now(w, jobs));

    DR_JSON json_t *view = look_from(other, 0);
    const json_t *one = named(view, "sites", "name", "us");
    assert_string_equal(text(one, "state"), "alive");
    assert_string_equal(text(one, "version"), "0.1.0");
    assert_true(json_equal(json_object_get(one, "jobs"), jobs));
    const json_t *probe = json_array_get(json_object_get(one, "probes"), 0);
    assert_string_equal(text(probe, "name"), "front");
    assert_string_equal(text(probe, "state"), "down");
    assert_true(json_is_string(json_object_get(probe, "first_bad")));
    assert_true(json_is_null(json_object_get(probe, "last_good")));
    assert_true(found(view, "probe/us/front"));
    assert_true(found(view, "job/us/verify"));
    assert_true(found(view, "job/us/preflight/fire"));
    assert_true(found(view, "job/us/drill/fire"));
    assert_true(found(view, "never/eu"));

    const json_t *app = named(view, "sources", "name", "app");
    const json_t *newest = json_object_get(app, "newest");
    assert_string_equal(text(newest, "id"), taken.id);
    assert_int_equal(json_integer_value(json_object_get(app, "copies")), 2);
    assert_int_equal(json_integer_value(json_object_get(newest, "bytes")), taken.bytes);
    const json_t *forecast = named(view, "forecast", "source", "app");
    assert_int_equal(json_integer_value(json_object_get(forecast, "n")), 1);
    assert_int_equal(json_integer_value(json_object_get(forecast, "max_s")), 6);
    for (int i = 0; i < SITE_BUCKETS; i++) {
        const json_t *bucket = named(view, "buckets", "name", site_bucket_names[i]);
        const json_t *loss = json_array_get(json_object_get(bucket, "if_region_died"), 0);
        assert_string_equal(text(bucket, "state"), "ok");
        assert_true(json_is_integer(json_object_get(loss, "loss_s")));
        assert_int_equal(json_is_true(json_object_get(loss, "lives_there")), i == 0);
    }
}

static void a_row_by_an_unknown_key_is_told_and_not_believed(void **state)
{
    (void)state;
    DR_FREE char *us = url_of(0), *eu = url_of(1), *taker = state_of("state");
    DR_CLEANUP(config_free_ptr) struct config *stranger = host("stranger", us, eu, "");
    DR_CLEANUP(config_free_ptr)
    struct config *other = host_that_trusts("careful", (const char *const[]){ taker, NULL });
    DR_CLEANUP(status_writer_close_ptr) struct status_writer *w = writer(stranger, "eu");
    assert_true(status_write_now(w, NULL));
    DR_JSON json_t *view = look_from(other, 0);
    assert_string_equal(text(named(view, "sites", "name", "eu"), "state"), "never");
    assert_true(found(view, "refused/eu"));
    assert_true(found(view, "never/eu"));
}

static void replace_object(int bucket, const char *name, const struct buf *content)
{
    DR_FREE char *dir = dr_strf("%s/status", site.bucket[bucket]);
    struct dr_err err = { 0 };
    assert_int_equal(fs_replace(dir, name, content->data, content->len, &err), DR_OK);
}

static void read_object(int bucket, const char *name, struct buf *out)
{
    DR_FREE char *path = dr_strf("%s/status/%s", site.bucket[bucket], name);
    struct dr_err err = { 0 };
    buf_clear(out);
    assert_int_equal(fs_read_file(path, 1 << 20, out, &err), DR_OK);
}

static void a_flipped_or_moved_row_is_not_believed(void **state)
{
    (void)state;
    DR_FREE char *us = url_of(0), *eu = url_of(1);
    DR_CLEANUP(config_free_ptr) struct config *c = host("us", us, eu, "");
    DR_CLEANUP(config_free_ptr) struct config *other = laptop("flipped");
    DR_CLEANUP(status_writer_close_ptr) struct status_writer *w = writer(c, "us");
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    assert_true(status_write_now(w, NULL));
    read_object(0, "us.json", &object);
    replace_object(0, "eu.json", &object); /* as if it were eu's */
    replace_object(1, "eu.json", &object);
    char *at = strstr(object.data, "us-east-1");
    assert_non_null(at);
    at[0] = 'x';
    replace_object(0, "us.json", &object);
    DR_JSON json_t *view = look_from(other, 0);
    assert_true(found(view, "refused/us"));
    assert_true(found(view, "refused/eu"));
    /* The copy in the other bucket is whole. */
    assert_string_equal(text(named(view, "sites", "name", "us"), "state"), "alive");
    assert_string_equal(text(named(view, "sites", "name", "eu"), "state"), "never");
    DR_FREE char *moved = dr_strf("%s/status/eu.json", site.bucket[0]);
    DR_FREE char *twin = dr_strf("%s/status/eu.json", site.bucket[1]);
    assert_int_equal(unlink(moved) + unlink(twin), 0);
}

static void a_lagging_bucket_costs_nothing_and_a_replay_is_noticed(void **state)
{
    (void)state;
    DR_FREE char *us = url_of(0), *eu = url_of(1);
    DR_CLEANUP(config_free_ptr) struct config *c = host("us", us, eu, "");
    DR_CLEANUP(config_free_ptr) struct config *other = laptop("watcher");
    DR_CLEANUP(status_writer_close_ptr) struct status_writer *w = writer(c, "us");
    DR_CLEANUP(buf_fini) struct buf old = { 0 };
    DR_JSON json_t *jobs = json_pack("[{s:s,s:i}]", "what", "prune", "exit", 0);
    assert_true(status_write_now(w, NULL));
    read_object(0, "us.json", &old);
    assert_true(status_write_now(w, jobs));
    replace_object(0, "us.json", &old);
    DR_JSON json_t *lagging = look_from(other, 0);
    assert_true(json_equal(json_object_get(named(lagging, "sites", "name", "us"), "jobs"), jobs));
    assert_false(found(lagging, "replay/us"));
    replace_object(1, "us.json", &old);
    DR_JSON json_t *replayed = look_from(other, 0);
    assert_true(found(replayed, "replay/us"));
    /* One who has not seen the newer one cannot know. */
    DR_CLEANUP(config_free_ptr) struct config *fresh = laptop("fresh");
    DR_JSON json_t *unaware = look_from(fresh, 0);
    assert_false(found(unaware, "replay/us"));
}

static void the_sequence_grows_when_the_clock_goes_back(void **state)
{
    (void)state;
    DR_FREE char *us = url_of(0), *eu = url_of(1);
    DR_CLEANUP(config_free_ptr) struct config *c = host("seq", us, eu, "");
    DR_CLEANUP(keys_free_ptr) struct keys *keys = NULL;
    struct dr_err err = { 0 };
    assert_int_equal(keys_open(c->state_dir, true, &keys, &err), DR_OK);
    int64_t ahead = clock_wall_ns() / 1000000 + 3600 * 1000;
    const struct row_wish wish = { .config = c, .site = "us", .version = "0.1.0", .seq = ahead };
    DR_JSON json_t *body = row_gather(&wish);
    assert_int_equal(rows_keep_own(c, body, keys, &err), DR_OK);
    assert_int_equal(rows_next_seq(c, "us"), ahead + 1);
    assert_in_range(rows_next_seq(c, "eu"), 1, ahead - 1);
}

static void a_row_that_is_too_large_is_cut_and_says_so(void **state)
{
    (void)state;
    DR_FREE char *us = url_of(0), *eu = url_of(1);
    DR_CLEANUP(config_free_ptr) struct config *c = host("large", us, eu, "");
    DR_CLEANUP(keys_free_ptr) struct keys *keys = keys_new();
    DR_JSON json_t *jobs = json_array();
    for (int i = 0; i < 3000; i++)
        json_array_append_new(jobs, json_pack("{s:s,s:i}", "what", "incremental", "exit", i));
    const struct row_wish wish = { .config = c, .site = "us", .jobs = jobs, .seq = 1 };
    DR_JSON json_t *body = row_gather(&wish);
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    row_encode(body, "aa", keys, &object);
    assert_in_range(object.len, 1000, ROW_SIZE_MAX);
    const struct row_reading how = { .config = c,
                                     .own_key = keys_public(keys),
                                     .repository = "aa" };
    DR_CLEANUP(row_fini) struct row row = { 0 };
    struct dr_err err = { 0 };
    assert_int_equal(row_read("status/us.json", &object, &how, &row, &err), DR_OK);
    assert_true(json_is_true(json_object_get(row.body, "cut")));
    struct row unused;
    const struct row_reading elsewhere = { c, keys_public(keys), "bb" };
    assert_int_equal(row_read("status/us.json", &object, &elsewhere, &unused, &err), DR_E_REFUSED);
}

/* -- buckets ---------------------------------------------------------------------------------- */

/* A store that takes whatever is said to it and never answers. */
static char *hanging_store(void)
{
    static const char script[] = "#!/bin/sh\nexec sleep 600\n";
    DR_FREE char *path = dr_strf("%s/hang.sh", site.top);
    struct dr_err err = { 0 };
    assert_int_equal(fs_replace(site.top, "hang.sh", script, sizeof(script) - 1, &err), DR_OK);
    assert_int_equal(chmod(path, 0755), 0);
    return dr_strf("exec://%s?timeout=1h", path);
}

static void a_bucket_that_hangs_costs_its_own_answer_only(void **state)
{
    (void)state;
    DR_FREE char *us = url_of(0), *hang = hanging_store(), *taker = state_of("state");
    char key[KEYS_TEXT_MAX];
    struct dr_err err = { 0 };
    assert_int_equal(keys_read_public(taker, key, &err), DR_OK);
    DR_FREE char *trust = dr_strf("trusted_writers: {app: [\"%s\"]}", key);
    DR_CLEANUP(config_free_ptr) struct config *c = host("halved", us, hang, trust);
    int64_t start_ms = clock_boot_ms();
    DR_JSON json_t *view = look_from(c, 3000);
    assert_in_range(clock_boot_ms() - start_ms, 2900, WAIT_MS);
    assert_string_equal(text(named(view, "buckets", "name", "eu"), "state"), "unreachable");
    assert_true(found(view, "unreachable/eu"));
    assert_string_equal(text(named(view, "buckets", "name", "us"), "state"), "ok");
    assert_string_equal(
        text(json_object_get(named(view, "sources", "name", "app"), "newest"), "id"), taken.id);
    assert_true(found(view, "region/us-east-1/app"));
    assert_int_equal(status_exit(view), 9);
}

/* Bounded: until the row is there. */
static bool await_row(int bucket, const char *name)
{
    DR_FREE char *path = dr_strf("%s/status/%s", site.bucket[bucket], name);
    for (int64_t end_ms = clock_boot_ms() + WAIT_MS; clock_boot_ms() < end_ms; poll(NULL, 0, 20))
        if (access(path, F_OK) == 0)
            return true;
    return false;
}

static void writing_never_waits_for_a_bucket(void **state)
{
    (void)state;
    DR_FREE char *us = url_of(0), *hang = hanging_store();
    DR_CLEANUP(config_free_ptr) struct config *c = host("hindered", us, hang, "");
    struct status_writer *w = writer(c, "hindered");
    DR_JSON json_t *jobs = json_pack("[{s:s,s:i}]", "what", "prune", "exit", 0);
    int64_t start_ns = clock_boot_ns(), next_ns = 0;
    status_write(w, NULL, &next_ns);
    assert_in_range(next_ns - start_ns, (int64_t)STATUS_INTERVAL_S * SECOND,
                    (int64_t)(STATUS_INTERVAL_S + 30) * SECOND);
    assert_true(await_row(0, "hindered.json"));
    status_write(w, jobs, &next_ns); /* news, while the first still hangs: soon, not now */
    assert_in_range(next_ns - clock_boot_ns(), 0, (int64_t)10 * SECOND);
    status_writer_close(w);
}

static void a_store_that_cannot_compare_gets_its_row_too(void **state)
{
    (void)state;
    DR_FREE char *us = url_of(0);
    DR_FREE char *here = realpath("backup/store/exec-example.sh", NULL);
    assert_non_null(here);
    DR_FREE char *eu = dr_strf("exec://%s?dir=%s", here, site.bucket[1]);
    DR_CLEANUP(config_free_ptr) struct config *c = host("plain", us, eu, "");
    DR_CLEANUP(status_writer_close_ptr) struct status_writer *w = writer(c, "plain");
    DR_CLEANUP(buf_fini) struct buf first = { 0 };
    DR_CLEANUP(buf_fini) struct buf second = { 0 };
    assert_true(status_write_now(w, NULL));
    read_object(1, "plain.json", &first);
    assert_true(status_write_now(w, NULL));
    read_object(1, "plain.json", &second);
    assert_string_not_equal(first.data, second.data);
}

static void a_bucket_without_a_repository_stays_empty(void **state)
{
    (void)state;
    DR_FREE char *us = url_of(0), *dir = state_of("empty");
    DR_FREE char *empty = dr_strf("file://%s", dir);
    assert_int_equal(mkdir(dir, 0755), 0);
    DR_CLEANUP(config_free_ptr) struct config *c = host("fresh-bucket", us, empty, "");
    DR_CLEANUP(status_writer_close_ptr) struct status_writer *w = writer(c, "us");
    assert_false(status_write_now(w, NULL));
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(mkdir(dir, 0755), 0);
    DR_JSON json_t *view = look_from(c, 0);
    assert_string_equal(text(named(view, "buckets", "name", "eu"), "state"), "foreign");
}

static void what_a_host_wrote_it_knows_without_any_bucket(void **state)
{
    (void)state;
    DR_FREE char *nowhere = dr_strf("file://%s/nowhere", site.top);
    DR_FREE char *neither = dr_strf("file://%s/neither", site.top);
    DR_CLEANUP(config_free_ptr) struct config *c = host("alone", nowhere, neither, "");
    DR_CLEANUP(status_writer_close_ptr) struct status_writer *w = writer(c, "us");
    assert_false(status_write_now(w, NULL));
    DR_JSON json_t *view = look_from(c, 0);
    assert_string_equal(text(view, "verdict"), "cannot tell");
    assert_string_equal(text(named(view, "sites", "name", "us"), "state"), "alive");
    assert_true(json_is_null(json_object_get(named(view, "sources", "name", "app"), "newest")));
    assert_true(json_is_null(json_object_get(named(view, "sources", "name", "app"), "copies")));
    assert_int_equal(status_exit(view), 7);
}

static void a_copy_that_is_lost_is_counted(void **state)
{
    (void)state;
    DR_CLEANUP(config_free_ptr) struct config *other = laptop("counter");
    DR_CLEANUP(text_list_fini) struct text_list packs = { 0 };
    site_objects(&site, 1, "packs/", &packs);
    assert_true(packs.count > 0);
    DR_FREE char *path = dr_strf("%s/%s", site.bucket[1], packs.items[0]);
    DR_FREE char *away = state_of("away");
    assert_int_equal(rename(path, away), 0);
    DR_JSON json_t *view = look_from(other, 0);
    assert_int_equal(rename(away, path), 0);
    const json_t *app = named(view, "sources", "name", "app");
    assert_int_equal(json_integer_value(json_object_get(app, "copies")), 1);
    assert_true(found(view, "region/us-east-1/app"));
}

/* -- measurements ----------------------------------------------------------------------------- */

static void a_restore_is_measured(void **state)
{
    (void)state;
    struct restore_result result;
    struct dr_err err = { 0 };
    assert_int_equal(site_restore(&site, &result, &err), DR_OK);
    site_clear_target(&site);
    DR_JSON json_t *all = measure_read(site.config->state_dir);
    assert_int_equal(json_array_size(all), 1);
    const json_t *one = json_array_get(all, 0);
    assert_string_equal(text(one, "source"), "app");
    assert_string_equal(text(one, "snapshot"), taken.id);
    assert_int_equal(json_integer_value(json_object_get(one, "bytes")), result.written);
    assert_true(json_integer_value(json_object_get(one, "ms")) > 0);
}

static void measurements_are_bounded_and_a_torn_line_is_passed_over(void **state)
{
    (void)state;
    DR_FREE char *dir = state_of("measured");
    for (int i = 0; i < MEASURE_KEPT + 5; i++)
        measure_add(dir, &(struct measure){ "app", "app-1", (uint64_t)i + 1, i });
    DR_FREE char *path = dr_strf("%s/restores", dir);
    FILE *fp = fopen(path, "a");
    assert_non_null(fp);
    fputs("{\"source\":\"app\",\"byt", fp);
    fclose(fp);
    DR_JSON json_t *all = measure_read(dir);
    assert_int_equal(json_array_size(all), MEASURE_KEPT);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(all, 0), "bytes")), 6);
    DR_JSON json_t *none = measure_read("/nowhere");
    assert_int_equal(json_array_size(none), 0);
}

static int make_site(void **state)
{
    (void)state;
    site_without_waiting();
    site_make(&site);
    site_fill(&site);
    site_backup(&site, &taken);
    return 0;
}

static int drop_site(void **state)
{
    (void)state;
    snapshot_info_fini(&taken);
    site_drop(&site);
    return 0;
}

static void what_is_published_can_be_read_by_all_and_replaces_the_last(void **state)
{
    (void)state;
    DR_FREE char *dir = dr_strf("%s/published", site.top), *run = dr_strf("%s/run", site.top);
    struct dr_err err = { 0 };
    for (int i = 0; i < 2; i++) {
        if (i == 1)
            assert_int_equal(setenv("RUNTIME_DIRECTORY", run, 1), 0);
        DR_FREE char *path = status_public_path(dir);
        for (int n = 1; n <= 2; n++) {
            DR_JSON json_t *view = json_pack("{s:i}", "n", n);
            assert_int_equal(status_publish(dir, view, &err), DR_OK);
            DR_CLEANUP(buf_fini) struct buf b = { 0 };
            assert_int_equal(fs_read_file(path, 100, &b, &err), DR_OK);
            assert_string_equal(b.data, n == 1 ? "{\"n\":1}\n" : "{\"n\":2}\n");
        }
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0644);
        assert_non_null(
            strstr(path, i == 0 ? "/published/public/status.json" : "/run/status.json"));
    }
    unsetenv("RUNTIME_DIRECTORY");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_restore_is_measured),
        cmocka_unit_test(a_host_with_keys_and_buckets_alone_knows_as_much),
        cmocka_unit_test(a_row_by_an_unknown_key_is_told_and_not_believed),
        cmocka_unit_test(a_flipped_or_moved_row_is_not_believed),
        cmocka_unit_test(a_lagging_bucket_costs_nothing_and_a_replay_is_noticed),
        cmocka_unit_test(the_sequence_grows_when_the_clock_goes_back),
        cmocka_unit_test(a_row_that_is_too_large_is_cut_and_says_so),
        cmocka_unit_test(a_bucket_that_hangs_costs_its_own_answer_only),
        cmocka_unit_test(writing_never_waits_for_a_bucket),
        cmocka_unit_test(a_store_that_cannot_compare_gets_its_row_too),
        cmocka_unit_test(a_bucket_without_a_repository_stays_empty),
        cmocka_unit_test(what_a_host_wrote_it_knows_without_any_bucket),
        cmocka_unit_test(a_copy_that_is_lost_is_counted),
        cmocka_unit_test(what_is_published_can_be_read_by_all_and_replaces_the_last),
        cmocka_unit_test(measurements_are_bounded_and_a_torn_line_is_passed_over),
    };
    return cmocka_run_group_tests(tests, make_site, drop_site);
}
