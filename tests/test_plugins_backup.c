/*
 * Providers over the backup engine: backup.pick, backup.check, backup.now, backup.restore, data.check,
 * on two real directory buckets in two regions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/work/work.h"
#include "backup/work/writer_epoch.h"
#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/data/time.h"
#include "plugins/providers.h"
#include "tests/support/steps.h"

#define SENTINEL "2026-11-21T03:07:51.250000000Z"

static char dir[160], config[200];
static struct config *loaded;

static char *path_of(const char *name)
{
    return dr_strf("%s/%s", dir, name);
}

static void put(const char *name, const char *text)
{
    struct dr_err err = { 0 };
    DR_FREE char *path = path_of(name);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    assert_int_equal(fs_make_dirs(path, 0755, &err), DR_OK);
    assert_int_equal(fs_replace(path, slash + 1, text, strlen(text), &err), DR_OK);
}

/* A fresh world for each test: a source with a sentinel, two empty buckets made ours. */
static int start(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe): one thread */
    struct dr_err err = { 0 };
    struct diag d = { 0 };
    snprintf(dir, sizeof(dir), "%s/test_plugins.XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(dir))
        return -1;
    DR_FREE char *text =
        dr_strf("disaster_recovery:\n"
                "  strategy: {type: pilot_light, primary_region: us-east-1,\n"
                "    secondary_regions: [{name: eu-west-1, role: standby, priority: 1}]}\n"
                "  backup_policy:\n    full_backup: {frequency: daily, retention: 30d}\n"
                "sites:\n"
                "  - {name: us-east-1, region: us-east-1, reach: local}\n"
                "  - {name: eu-west-1, region: eu-west-1, reach: local}\n"
                "sources:\n  - {name: app, path: %s/app, class: data, sentinel: mark/sentinel}\n"
                "buckets:\n"
                "  - {name: us, url: \"file://%s/us\", region: us-east-1}\n"
                "  - {name: eu, url: \"file://%s/eu\", region: eu-west-1}\n"
                "state_dir: %s/state\n",
                dir, dir, dir, dir);
    put("dr.yaml", text);
    put("app/mark/sentinel", SENTINEL " 42\nsecond line\n");
    put("app/files/one", "one\n");
    DR_FREE char *us = path_of("us"), *eu = path_of("eu");
    snprintf(config, sizeof(config), "%s/dr.yaml", dir);
    bool made = mkdir(us, 0755) == 0 && mkdir(eu, 0755) == 0 &&
                config_load(config, &d, &loaded, &err) == DR_OK && repo_init(loaded, &err) == DR_OK;
    diag_fini(&d);
    if (!made)
        fprintf(stderr, "%s\n", err.msg);
    return made ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    config_free(loaded);
    loaded = NULL;
    return fs_remove_tree(dir, &err) == DR_OK ? 0 : -1;
}

static struct tried step(const struct provider *provider, const char *verb, json_t *with,
                         const char *dark)
{
    struct step_ask ask = { .config = config, .dark = dark };
    return step_try(provider, verb, with, &ask);
}

/* A backup by the provider; its id, which the caller frees. */
static char *take(void)
{
    struct tried t = step(&provider_backup_now, "apply", json_pack("{s:s}", "source", "app"), NULL);
    assert_int_equal(t.verdict, STEP_PASS);
    char *id = dr_strdup(tried_text(t.outputs, "id"));
    assert_true(id[0] != '\0');
    tried_fini(&t);
    return id;
}

static void prove(const char *id)
{
    struct dr_err err = { 0 };
    struct repo_options none = { 0 };
    DR_CLEANUP(repo_close_ptr) struct repo *r = NULL;
    assert_int_equal(repo_open(loaded, &none, &r, &err), DR_OK);
    assert_int_equal(repo_mark_proved(r, id, &err), DR_OK);
}

/* Append a byte to each object of that name below a bucket. */
static void damage(const char *bucket, const char *name)
{
    DR_FREE char *cmd = dr_strf("find '%s/%s/snapshots' -name '*%s*' -type f -exec sh -c "
                                "'for f; do chmod u+w \"$f\"; echo x >>\"$f\"; done' sh {} +",
                                dir, bucket, name);
    assert_int_equal(system(cmd), 0); /* NOLINT(cert-env33-c,concurrency-mt-unsafe) */
}

static void lose(const char *name)
{
    struct dr_err err = { 0 };
    DR_FREE char *path = path_of(name);
    assert_int_equal(fs_remove_tree(path, &err), DR_OK);
}

/* -- backup.pick, backup.check ---------------------------------------------------------------- */

static void pick_takes_the_newest_and_tells_its_age_and_times(void **state)
{
    (void)state;
    DR_FREE char *old = take(), *new = take();
    assert_string_not_equal(old, new);
    struct tried t =
        step(&provider_backup_pick, "apply", json_pack("{s:s}", "source", "app"), NULL);
    int64_t point = 0, taken = 0;
    assert_int_equal(t.verdict, STEP_PASS);
    assert_string_equal(tried_text(t.outputs, "id"), new);
    assert_true(json_is_integer(json_object_get(t.outputs, "age")));
    assert_true(time_parse(tried_text(t.outputs, "recovery_point"), &point));
    assert_true(time_parse(tried_text(t.evidence, "taken_at"), &taken));
    assert_string_equal(tried_text(t.evidence, "started_at"),
                        tried_text(t.outputs, "recovery_point"));
    assert_true(point <= taken && taken <= clock_wall_ns());
    assert_non_null(strstr(t.why, "never proved"));
    tried_fini(&t);
}

static void pick_passes_over_what_is_damaged_and_says_why(void **state)
{
    (void)state;
    DR_FREE char *old = take(), *new = take();
    damage("us", new);
    damage("eu", new);
    struct tried t =
        step(&provider_backup_pick, "apply", json_pack("{s:s}", "source", "app"), NULL);
    assert_int_equal(t.verdict, STEP_PASS);
    assert_string_equal(tried_text(t.outputs, "id"), old);
    DR_FREE char *told = dr_strf("passed over %s: refused: ", new);
    assert_non_null(strstr(t.log, told));
    tried_fini(&t);
}

static void pick_takes_only_a_proved_one_when_the_plan_says_so(void **state)
{
    (void)state;
    DR_FREE char *old = take(), *new = take();
    json_t *with = json_pack("{s:s,s:i}", "source", "app", "verified_within", 3600000);
    struct tried t = step(&provider_backup_pick, "apply", json_incref(with), NULL);
    assert_int_equal(t.verdict, STEP_FAIL);
    assert_non_null(strstr(t.why, "never proved, wanted within 1h"));
    tried_fini(&t);
    prove(old);
    t = step(&provider_backup_pick, "apply", with, NULL);
    assert_int_equal(t.verdict, STEP_PASS);
    assert_string_equal(tried_text(t.outputs, "id"), old);
    assert_non_null(strstr(t.log, new));
    assert_non_null(strstr(tried_text(t.evidence, "passed_over"), new));
    tried_fini(&t);
}

/* The newest lost a pack in every bucket: it is listed, but it cannot be restored. */
static void pick_passes_over_what_is_incomplete(void **state)
{
    (void)state;
    DR_FREE char *old = take();
    put("app/files/two", "only the newer snapshot has this\n");
    DR_FREE char *list = dr_strf("cd '%s' && ls us/packs/* us/packs/*/* >packs 2>&1", dir);
    assert_int_equal(system(list), 0); /* NOLINT(cert-env33-c,concurrency-mt-unsafe) */
    DR_FREE char *new = take();
    DR_FREE char *drop = dr_strf("cd '%s' && find us/packs eu/packs -type f | while read -r p; do"
                                 " grep -q \"$(basename \"$p\")\" packs || rm -f \"$p\"; done",
                                 dir);
    assert_int_equal(system(drop), 0); /* NOLINT(cert-env33-c,concurrency-mt-unsafe) */
    struct tried t =
        step(&provider_backup_pick, "apply", json_pack("{s:s}", "source", "app"), NULL);
    assert_int_equal(t.verdict, STEP_PASS);
    assert_string_equal(tried_text(t.outputs, "id"), old);
    DR_FREE char *told = dr_strf("passed over %s: incomplete: ", new);
    assert_non_null(strstr(t.log, told));
    tried_fini(&t);
}

static void check_fails_when_nothing_is_there_or_all_is_too_old(void **state)
{
    (void)state;
    struct tried t =
        step(&provider_backup_check, "check", json_pack("{s:s}", "source", "app"), NULL);
    assert_int_equal(t.verdict, STEP_FAIL);
    assert_string_equal(t.why, "there is no snapshot of 'app' in the open buckets");
    tried_fini(&t);
    free(take());
    t = step(&provider_backup_check, "check",
             json_pack("{s:s,s:i}", "source", "app", "max_age", 3600000), NULL);
    assert_int_equal(t.verdict, STEP_PASS);
    tried_fini(&t);
    t = step(&provider_backup_check, "check", json_pack("{s:s,s:i}", "source", "app", "max_age", 0),
             NULL);
    assert_int_equal(t.verdict, STEP_FAIL);
    assert_non_null(strstr(t.why, "old, wanted at most 0s"));
    tried_fini(&t);
    t = step(&provider_backup_check, "check", json_pack("{s:s}", "source", "shop"), NULL);
    assert_int_equal(t.verdict, STEP_UNKNOWN);
    assert_string_equal(t.why, "'shop' is no source of the configuration");
    tried_fini(&t);
}

static void dark_buckets_are_not_read(void **state)
{
    (void)state;
    DR_FREE char *id = take();
    struct tried t = step(&provider_backup_pick, "apply",
                          json_pack("{s:s,s:s}", "source", "app", "bucket", "us"), "us-east-1");
    assert_int_equal(t.verdict, STEP_FAIL);
    assert_string_equal(t.why, "refused: us-east-1 is dark");
    tried_fini(&t);
    lose("us");
    t = step(&provider_backup_pick, "apply", json_pack("{s:s}", "source", "app"), "us-east-1");
    assert_int_equal(t.verdict, STEP_PASS);
    assert_string_equal(tried_text(t.outputs, "id"), id);
    tried_fini(&t);
    t = step(&provider_backup_pick, "apply", json_pack("{s:s}", "source", "app"), "eu-west-1");
    assert_int_not_equal(t.verdict, STEP_PASS);
    tried_fini(&t);
}

/* -- backup.now -------------------------------------------------------------------------------- */

static void now_is_in_place_once_a_snapshot_of_this_round_is_there(void **state)
{
    (void)state;
    free(take()); /* of earlier: does not count */
    json_t *with = json_pack("{s:s,s:s}", "source", "app", "at", "eu-west-1");
    struct tried first = step(&provider_backup_now, "check", json_incref(with), NULL);
    assert_int_equal(first.verdict, STEP_FAIL);
    assert_non_null(first.former);
    DR_FREE char *id = take();
    struct step_ask ask = { .config = config, .former = first.former };
    struct tried t = step_try(&provider_backup_now, "check", with, &ask);
    assert_int_equal(t.verdict, STEP_PASS);
    assert_string_equal(tried_text(t.outputs, "id"), id);
    tried_fini(&t);
    tried_fini(&first);
}

static void now_refuses_what_it_cannot_keep(void **state)
{
    (void)state;
    struct tried t = step(&provider_backup_now, "apply",
                          json_pack("{s:s,s:i}", "source", "app", "hold", 1000), NULL);
    assert_int_equal(t.verdict, STEP_FAIL);
    assert_string_equal(t.why, "this drctl cannot hold a snapshot for a time");
    tried_fini(&t);
    t = step(&provider_backup_now, "apply",
             json_pack("{s:s,s:s}", "source", "app", "at", "us-east-1"), "us-east-1");
    assert_int_equal(t.verdict, STEP_FAIL);
    assert_string_equal(t.why, "refused: us-east-1 is dark");
    tried_fini(&t);
}

/* -- backup.restore, data.check ---------------------------------------------------------------- */

static struct tried restore(const char *verb, const char *id, const char *to, const char *dark)
{
    DR_FREE char *path = path_of(to);
    return step(&provider_backup_restore, verb,
                json_pack("{s:s,s:s,s:s}", "snapshot", id, "at", "eu-west-1", "to", path), dark);
}

static struct tried compare(const char *id, const char *path)
{
    DR_FREE char *full = path_of(path);
    return step(&provider_data_check, "check",
                json_pack("{s:s,s:s,s:s}", "at", "eu-west-1", "path", full, "against", id), NULL);
}

static void restore_brings_the_data_and_the_sentinel_back_and_its_undo_removes_them(void **state)
{
    (void)state;
    DR_FREE char *id = take(), *path = path_of("gen-1");
    lose("us");
    struct tried t = restore("check", id, "gen-1", "us-east-1");
    assert_int_equal(t.verdict, STEP_FAIL);
    tried_fini(&t);
    struct tried done = restore("apply", id, "gen-1", "us-east-1");
    assert_int_equal(done.verdict, STEP_PASS);
    assert_string_equal(tried_text(done.outputs, "path"), path);
    assert_string_equal(tried_text(done.outputs, "sentinel"), SENTINEL);
    assert_true(tried_int(done.outputs, "bytes") > 0);
    assert_string_not_equal(tried_text(done.evidence, "taken_at"), "");
    assert_string_equal(tried_text(done.evidence, "source"), "app");
    assert_string_not_equal(tried_text(done.evidence, "host"), "");
    assert_null(json_object_get(done.evidence, "source_host")); /* the source has no site */
    assert_true(done.progress > 0);
    t = restore("check", id, "gen-1", "us-east-1");
    assert_int_equal(t.verdict, STEP_PASS);
    assert_string_equal(tried_text(t.outputs, "sentinel"), SENTINEL);
    tried_fini(&t);

    struct step_ask ask = { .config = config, .former = done.former, .dark = "us-east-1" };
    for (int twice = 0; twice < 2; twice++) {
        t = step_try(&provider_backup_restore, "undo",
                     json_pack("{s:s,s:s,s:s}", "snapshot", id, "at", "eu-west-1", "to", path),
                     &ask);
        assert_int_equal(t.verdict, STEP_PASS);
        assert_int_not_equal(access(path, F_OK), 0);
        tried_fini(&t);
    }
    tried_fini(&done);
}

static void whoever_restores_in_earnest_is_the_writer_from_then_on(void **state)
{
    (void)state;
    DR_FREE char *id = take(), *path = path_of("gen-2");
    assert_int_equal(writer_epoch(loaded, "app"), 18); /* of the run that took it */
    const struct step_ask drill = { .config = config, .drill = true };
    struct tried t =
        step_try(&provider_backup_restore, "apply",
                 json_pack("{s:s,s:s,s:s}", "snapshot", id, "at", "eu-west-1", "to", path), &drill);
    assert_int_equal(t.verdict, STEP_PASS);
    tried_fini(&t);
    assert_int_equal(writer_epoch(loaded, "app"), 18);
    for (int twice = 0; twice < 2; twice++) {
        t = restore(twice ? "check" : "apply", id, "gen-3", NULL);
        assert_int_equal(t.verdict, STEP_PASS);
        tried_fini(&t);
        assert_int_equal(writer_epoch(loaded, "app"), 19); /* the run's 18 is the snapshot's, too */
    }
    struct dr_err err = { 0 };
    assert_int_equal(writer_epoch_raise(loaded, "app", 7, &err), DR_OK);
    assert_int_equal(writer_epoch(loaded, "app"), 19);
}

static void restore_refuses_a_full_target_and_its_undo_leaves_it(void **state)
{
    (void)state;
    DR_FREE char *id = take(), *kept = path_of("precious/file");
    put("precious/file", "ours");
    struct tried t = restore("apply", id, "precious", NULL);
    assert_int_equal(t.verdict, STEP_FAIL);
    assert_non_null(strstr(t.why, "precious"));
    struct step_ask ask = { .config = config, .former = t.former };
    DR_FREE char *path = path_of("precious");
    struct tried undo =
        step_try(&provider_backup_restore, "undo",
                 json_pack("{s:s,s:s,s:s}", "snapshot", id, "at", "eu-west-1", "to", path), &ask);
    assert_int_equal(access(kept, F_OK), 0);
    tried_fini(&undo);
    tried_fini(&t);
}

static void restore_of_nothing_or_into_the_dark_fails(void **state)
{
    (void)state;
    DR_FREE char *id = take();
    struct tried t = restore("apply", "nonsense", "gen-1", NULL);
    assert_int_equal(t.verdict, STEP_FAIL);
    tried_fini(&t);
    t = restore("apply", id, "gen-1", "eu-west-1");
    assert_int_equal(t.verdict, STEP_FAIL);
    assert_string_equal(t.why, "refused: eu-west-1 is dark");
    tried_fini(&t);
}

static void data_check_compares_the_tree_also_through_a_link(void **state)
{
    (void)state;
    DR_FREE char *id = take(), *gen = path_of("gen-1"), *live = path_of("live");
    struct tried t = restore("apply", id, "gen-1", NULL);
    assert_int_equal(t.verdict, STEP_PASS);
    tried_fini(&t);
    assert_int_equal(symlink(gen, live), 0);
    static const char *const paths[] = { "gen-1", "live", "app" };
    for (size_t i = 0; i < DR_ARRAY_LEN(paths); i++) {
        t = compare(id, paths[i]);
        assert_int_equal(t.verdict, STEP_PASS);
        assert_string_equal(tried_text(t.outputs, "sentinel"), SENTINEL);
        tried_fini(&t);
    }
    put("gen-1/files/one", "two\n");
    t = compare(id, "live");
    assert_int_equal(t.verdict, STEP_FAIL);
    assert_non_null(strstr(t.log, "files/one"));
    assert_true(tried_int(t.evidence, "differ") > 0);
    tried_fini(&t);
    t = compare(id, "nowhere");
    assert_int_equal(t.verdict, STEP_FAIL);
    tried_fini(&t);
}

/* -- a drill's own place ------------------------------------------------------------------------- */

static struct tried isolated(const struct provider *provider, const char *verb, json_t *with,
                             const char *restored, const json_t *former)
{
    DR_FREE char *scratch = path_of("scratch");
    struct step_ask ask = {
        .config = config, .drill = true, .scratch = scratch, .restored = restored, .former = former
    };
    return step_try(provider, verb, with, &ask);
}

/* All that lies in the buckets and in the state directory, by name and content. The caller frees. */
static char *production(void)
{
    DR_FREE char *cmd =
        dr_strf("cd '%s' && find us eu state -type f ! -path '*/net/*' ! -name '*cost*' "
                "! -name '*hedge*' -exec sha256sum {} + | sort -k2 >seen",
                dir);
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    DR_FREE char *seen = path_of("seen");
    struct dr_err err = { 0 };
    assert_int_equal(system(cmd), 0); /* NOLINT(cert-env33-c,concurrency-mt-unsafe) */
    assert_int_equal(fs_read_file(seen, 1 << 20, &b, &err), DR_OK);
    return buf_take(&b);
}

static json_t *restore_to(const char *id, const char *path)
{
    return json_pack("{s:s,s:s,s:s}", "snapshot", id, "at", "eu-west-1", "to", path);
}

static void an_isolated_restore_goes_below_the_scratch_directory_and_nowhere_else(void **state)
{
    (void)state;
    DR_FREE char *id = take(), *good = path_of("scratch/restore"), *scratch = path_of("scratch");
    const char *const bad[] = { "gen-1", "scratch", "scratch/../gen-1", "scratchy/restore" };
    for (size_t i = 0; i < DR_ARRAY_LEN(bad); i++) {
        DR_FREE char *path = path_of(bad[i]);
        struct tried t =
            isolated(&provider_backup_restore, "apply", restore_to(id, path), NULL, NULL);
        assert_int_equal(t.verdict, STEP_FAIL);
        assert_non_null(strstr(t.why, "refused"));
        assert_int_not_equal(access(path, F_OK), 0);
        tried_fini(&t);
    }
    struct tried done =
        isolated(&provider_backup_restore, "apply", restore_to(id, good), NULL, NULL);
    assert_int_equal(done.verdict, STEP_PASS);
    assert_string_equal(tried_text(done.outputs, "path"), good);
    struct tried t =
        isolated(&provider_backup_restore, "undo", restore_to(id, good), NULL, done.former);
    assert_int_equal(t.verdict, STEP_PASS);
    assert_int_not_equal(access(scratch, F_OK), 0); /* nothing at all is left at the site */
    tried_fini(&t);
    tried_fini(&done);
}

static void an_isolated_backup_changes_no_bucket_and_nothing_that_this_host_remembers(void **state)
{
    (void)state;
    DR_FREE char *id = take(), *tree = path_of("scratch/restore"), *scratch = path_of("scratch");
    struct tried r = isolated(&provider_backup_restore, "apply", restore_to(id, tree), NULL, NULL);
    assert_int_equal(r.verdict, STEP_PASS);
    put("app/files/one", "production went on\n");
    DR_FREE char *before = production();
    json_t *with = json_pack("{s:s,s:s}", "source", "app", "at", "eu-west-1");
    struct tried first = isolated(&provider_backup_now, "check", json_incref(with), tree, NULL);
    assert_int_equal(first.verdict, STEP_FAIL);
    struct tried done =
        isolated(&provider_backup_now, "apply", json_incref(with), tree, first.former);
    assert_int_equal(done.verdict, STEP_PASS);
    assert_int_equal(tried_int(done.evidence, "copies"), 1);
    struct tried t = isolated(&provider_backup_now, "check", json_incref(with), tree, first.former);
    assert_int_equal(t.verdict, STEP_PASS);
    assert_string_equal(tried_text(t.outputs, "id"), tried_text(done.outputs, "id"));
    tried_fini(&t);
    DR_FREE char *after = production();
    assert_string_equal(after, before);
    assert_int_equal(tried_int(done.evidence, "bytes"),
                     tried_int(r.outputs, "bytes")); /* the tree's */

    t = isolated(&provider_backup_now, "undo", with, tree, done.former);
    assert_int_equal(t.verdict, STEP_PASS);
    tried_fini(&t);
    t = isolated(&provider_backup_restore, "undo", restore_to(id, tree), NULL, r.former);
    assert_int_equal(t.verdict, STEP_PASS);
    assert_int_not_equal(access(scratch, F_OK), 0);
    tried_fini(&t);
    tried_fini(&first);
    tried_fini(&done);
    tried_fini(&r);
}

/* Nothing was restored before it: it is the source that is read, and still only the scratch place is written. */
static void an_isolated_backup_without_a_restore_reads_the_source(void **state)
{
    (void)state;
    free(take());
    DR_FREE char *before = production();
    struct tried t =
        isolated(&provider_backup_now, "apply", json_pack("{s:s}", "source", "app"), NULL, NULL);
    assert_int_equal(t.verdict, STEP_PASS);
    tried_fini(&t);
    DR_FREE char *after = production();
    assert_string_equal(after, before);
    DR_FREE char *elsewhere = path_of("app");
    t = isolated(&provider_backup_now, "apply", json_pack("{s:s}", "source", "app"), elsewhere,
                 NULL);
    assert_int_equal(t.verdict, STEP_FAIL); /* what it is told to read was no isolated restore */
    tried_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pick_takes_the_newest_and_tells_its_age_and_times, start,
                                        stop),
        cmocka_unit_test_setup_teardown(pick_passes_over_what_is_damaged_and_says_why, start, stop),
        cmocka_unit_test_setup_teardown(pick_passes_over_what_is_incomplete, start, stop),
        cmocka_unit_test_setup_teardown(pick_takes_only_a_proved_one_when_the_plan_says_so, start,
                                        stop),
        cmocka_unit_test_setup_teardown(check_fails_when_nothing_is_there_or_all_is_too_old, start,
                                        stop),
        cmocka_unit_test_setup_teardown(dark_buckets_are_not_read, start, stop),
        cmocka_unit_test_setup_teardown(now_is_in_place_once_a_snapshot_of_this_round_is_there,
                                        start, stop),
        cmocka_unit_test_setup_teardown(now_refuses_what_it_cannot_keep, start, stop),
        cmocka_unit_test_setup_teardown(
            restore_brings_the_data_and_the_sentinel_back_and_its_undo_removes_them, start, stop),
        cmocka_unit_test_setup_teardown(whoever_restores_in_earnest_is_the_writer_from_then_on,
                                        start, stop),
        cmocka_unit_test_setup_teardown(restore_refuses_a_full_target_and_its_undo_leaves_it, start,
                                        stop),
        cmocka_unit_test_setup_teardown(restore_of_nothing_or_into_the_dark_fails, start, stop),
        cmocka_unit_test_setup_teardown(data_check_compares_the_tree_also_through_a_link, start,
                                        stop),
        cmocka_unit_test_setup_teardown(
            an_isolated_restore_goes_below_the_scratch_directory_and_nowhere_else, start, stop),
        cmocka_unit_test_setup_teardown(
            an_isolated_backup_changes_no_bucket_and_nothing_that_this_host_remembers, start, stop),
        cmocka_unit_test_setup_teardown(an_isolated_backup_without_a_restore_reads_the_source,
                                        start, stop),
    };
    return cmocka_run_group_tests_name("plugins_backup", tests, NULL, NULL);
}
