/*
 * Negative controls: on a good build each planted fault is caught, and by a machinery that does not look, or fails
 * for a reason of its own, none is. Three directory buckets in three regions, one of them dark; the steps are
 * real children: this program, started again as "test_control step".
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/work/work.h"
#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "dr/drill/control_ask.h"
#include "plugins/plugins.h"
#include "tests/support/httpfault.h"

#define YESTERDAY "2026-11-20T03:00:00Z 1111"
#define FRESH     "2026-11-21T03:00:00Z 8c41"

static char dir[160], self[400];
static struct config *config;
static char *old_id, *new_id; /* snapshots */
static size_t judged;         /* how often the sentinel was looked at */

/* -- the world --------------------------------------------------------------------------------- */

static char *path_of(const char *name)
{
    return dr_strf("%s/%s", dir, name);
}

static void put(const char *name, const char *data, size_t len)
{
    struct dr_err err = { 0 };
    DR_FREE char *path = path_of(name);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    assert_int_equal(fs_make_dirs(path, 0755, &err), DR_OK);
    assert_int_equal(fs_replace(path, slash + 1, data, len, &err), DR_OK);
}

static void put_text(const char *name, const char *text)
{
    put(name, text, strlen(text));
}

/* ap: is there a third bucket? s3: they are of that server, else directories. */
static struct config *load(const char *name, bool ap, const char *s3)
{
    static const char *const buckets[] = { "us", "eu", "ap" };
    static const char *const regions[] = { "us-east-1", "eu-west-1", "ap-southeast-1" };
    struct dr_err err = { 0 };
    DR_CLEANUP(diag_fini) struct diag d = { 0 };
    DR_CLEANUP(buf_fini) struct buf rows = { 0 };
    struct config *c = NULL;
    for (size_t i = 0; i < (ap ? 3 : 2); i++) {
        buf_addf(&rows, "  - {name: %s, region: %s, url: \"", buckets[i], regions[i]);
        if (s3 != NULL)
            buf_addf(&rows, "s3://backups-%s?endpoint=%s\", credentials: environment}\n",
                     buckets[i], s3);
        else
            buf_addf(&rows, "file://%s/%s\"}\n", dir, buckets[i]);
    }
    DR_FREE char *text =
        dr_strf("disaster_recovery:\n"
                "  strategy: {type: pilot_light, primary_region: us-east-1, secondary_regions:\n"
                "    [{name: eu-west-1, role: standby, priority: 1},\n"
                "     {name: ap-southeast-1, role: standby, priority: 2}]}\n"
                "  backup_policy:\n    full_backup: {frequency: daily, retention: 30d}\n"
                "sites:\n"
                "  - {name: us-east-1, region: us-east-1, reach: local}\n"
                "  - {name: eu-west-1, region: eu-west-1, reach: local}\n"
                "sources:\n  - {name: app, path: %s/app, class: data, sentinel: mark/sentinel}\n"
                "buckets:\n%sstate_dir: %s/state-%s\n",
                dir, rows.data, dir, name);
    DR_FREE char *path = path_of(name);
    put_text(name, text);
    if (config_load(path, &d, &c, &err) != DR_OK)
        fail_msg("%s", err.msg);
    return c;
}

static char *take(const struct config *c, const char *sentinel)
{
    struct dr_err err = { 0 };
    const struct repo_options none = { 0 };
    DR_CLEANUP(repo_close_ptr) struct repo *r = NULL;
    DR_CLEANUP(backup_result_fini) struct backup_result result = { 0 };
    const struct work_hooks quiet = { 0 };
    put_text("app/mark/sentinel", sentinel);
    assert_int_equal(repo_open(c, &none, &r, &err), DR_OK);
    const struct backup_wish wish = { .source = &c->sources[0], .kind = "full" };
    if (backup_run(r, &wish, &quiet, &result, &err) != DR_OK)
        fail_msg("%s", err.msg);
    return dr_strdup(result.id);
}

/* Small files, and one of several chunks. */
static void fill(void)
{
    static char large[1 << 20];
    for (size_t i = 0; i < sizeof(large); i++)
        large[i] = (char)((i * i * 31 + i / 7) >> 3);
    put("app/large", large, sizeof(large));
    for (int i = 0; i < 20; i++) {
        DR_FREE char *name = dr_strf("app/files/%02d", i);
        DR_FREE char *text = dr_strf("file %d of twenty, by itself %d\n", i, i * 7919);
        put_text(name, text);
    }
}

static int64_t (*real_wall_ns)(void);

/* Long enough to be another second, and short enough for a server that looks at our clock. */
static int64_t earlier_ns(void)
{
    return real_wall_ns() - 120LL * 1000000000;
}

/* The snapshot before, and the drill's. */
static void take_both(const struct config *c, char **ret_old, char **ret_new)
{
    struct dr_err err = { 0 };
    const struct clock_ops real = dr_clock;
    if (repo_init(c, &err) != DR_OK)
        fail_msg("%s", err.msg);
    real_wall_ns = real.wall_ns;
    dr_clock.wall_ns = earlier_ns;
    *ret_old = take(c, YESTERDAY);
    dr_clock = real;
    *ret_new = take(c, FRESH);
}

static int start_world(void **state)
{
    static const char *const names[] = { "us", "eu", "ap", "scratch" };
    (void)state;
    const char *tmp = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe): one thread */
    snprintf(dir, sizeof(dir), "%s/test_control.XXXXXX", tmp != NULL ? tmp : "/tmp");
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (len <= 0 || mkdtemp(dir) == NULL)
        return -1;
    for (size_t i = 0; i < DR_ARRAY_LEN(names); i++) {
        DR_FREE char *path = path_of(names[i]);
        if (mkdir(path, 0755) != 0)
            return -1;
    }
    config = load("dr.yaml", true, NULL);
    fill();
    take_both(config, &old_id, &new_id);
    return 0;
}

static int stop_world(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    config_free(config);
    free(old_id);
    free(new_id);
    return fs_remove_tree(dir, &err) == DR_OK ? 0 : -1;
}

/* -- the drill that looks ---------------------------------------------------------------------- */

static enum control_sentinel is_fresh(void *arg, const char *tree, const json_t *outputs,
                                      char **ret_found)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    DR_FREE char *path = dr_strf("%s/mark/sentinel", tree);
    (void)arg;
    (void)outputs;
    judged++;
    if (fs_read_file(path, 1000, &text, &err) != DR_OK)
        return CONTROL_NOT_TOLD;
    *ret_found = dr_strdup(text.data);
    return strcmp(text.data, FRESH) == 0 ? CONTROL_FRESH : CONTROL_OTHER;
}

static enum control_sentinel is_always_fresh(void *arg, const char *tree, const json_t *outputs,
                                             char **ret_found)
{
    (void)arg;
    (void)tree;
    (void)outputs;
    (void)ret_found;
    judged++;
    return CONTROL_FRESH;
}

static enum control_sentinel is_never_told(void *arg, const char *tree, const json_t *outputs,
                                           char **ret_found)
{
    (void)arg;
    (void)tree;
    (void)outputs;
    *ret_found = dr_strdup("the connection was lost");
    judged++;
    return CONTROL_NOT_TOLD;
}

static void httpfault_stop_ptr(struct httpfault **h)
{
    httpfault_stop(*h);
}

static struct control_place place(void)
{
    static char scratch[200];
    snprintf(scratch, sizeof(scratch), "%s/scratch/D-7", dir);
    return (struct control_place){ .config = config,
                                   .run = "D-7",
                                   .failed = "us-east-1",
                                   .at = "eu-west-1",
                                   .source = "app",
                                   .snapshot = new_id,
                                   .scratch = scratch,
                                   .epoch = 3,
                                   .seed = 42,
                                   .timeout_ms = 60000,
                                   .sentinel = is_fresh };
}

static struct control_result run(const char *name, const struct control_place *p)
{
    struct dr_err err = { 0 };
    struct control_result r = { 0 };
    const struct control *c = control_find(name);
    assert_non_null(c);
    if (control_run(c, p, &r, &err) != DR_OK)
        fail_msg("%s: %s", name, err.msg);
    print_message("%-20s %s %4lld ms  %s\n", name,
                  !r.planted ? "-     "
                  : r.caught ? "caught"
                             : "MISSED",
                  (long long)r.dur_ms, r.why);
    return r;
}

static bool is_caught(const char *name, const struct control_place *p)
{
    struct control_result r = run(name, p);
    bool caught = r.planted && r.caught;
    control_result_fini(&r);
    return caught;
}

/* Each of the catalogue, with this place, but the ones in 'but': none is caught. */
static void assert_all_missed(const struct control_place *p)
{
    size_t count = 0;
    const struct control *const *all = control_all(&count);
    for (size_t i = 0; i < count; i++) {
        struct control_result r = run(all[i]->name, p);
        if (!r.planted || r.caught)
            fail_msg("%s: planted %d, caught %d", all[i]->name, r.planted, r.caught);
        control_result_fini(&r);
    }
}

/* Everything below a directory: names and bytes. The caller frees. */
static char *digest_of(const char *name)
{
    char line[200] = "";
    DR_FREE char *cmd =
        dr_strf("cd '%s/%s' && find . -type f -print0 | sort -z | xargs -0r sha256sum | "
                "sha256sum; find . | sort | sha256sum",
                dir, name);
    FILE *out = popen(cmd, "r"); /* NOLINT(cert-env33-c) */
    assert_non_null(out);
    struct buf all = { 0 };
    while (fgets(line, sizeof(line), out) != NULL)
        buf_adds(&all, line);
    assert_int_equal(pclose(out), 0);
    return buf_take(&all);
}

/* A program in place of the step. Returns its path; the caller frees. */
static char *program(const char *name, const char *script)
{
    DR_FREE char *text = dr_strf("#!/bin/sh\n%s\n", script);
    put_text(name, text);
    char *path = path_of(name);
    assert_int_equal(chmod(path, 0755), 0);
    return path;
}

/* -- caught -------------------------------------------------------------------------------------- */

static void each_fault_is_caught_and_nothing_stays_behind(void **state)
{
    static const char *const whole[] = { "us", "eu", "ap", "scratch" };
    char *before[DR_ARRAY_LEN(whole)];
    const struct control_place p = place();
    size_t count = 0;
    const struct control *const *all = control_all(&count);
    DR_FREE char *suspects = path_of("state-dr.yaml/suspects"),
                 *restores = path_of("state-dr.yaml/restores");
    (void)state;
    for (size_t i = 0; i < DR_ARRAY_LEN(whole); i++)
        before[i] = digest_of(whole[i]);
    assert_true(count >= 10);
    int64_t from_ms = clock_boot_ms();
    for (size_t i = 0; i < count; i++)
        assert_true(is_caught(all[i]->name, &p));
    print_message("%zu controls in %lld ms\n", count, (long long)(clock_boot_ms() - from_ms));
    for (size_t i = 0; i < DR_ARRAY_LEN(whole); i++) {
        DR_FREE char *after = digest_of(whole[i]);
        assert_string_equal(before[i], after);
        free(before[i]);
    }
    assert_int_not_equal(access(suspects, F_OK), 0); /* repair is not sent after a planted fault */
    assert_int_not_equal(access(restores, F_OK), 0); /* and no forecast made of it */
}

static void whichever_file_the_seed_picks_it_is_caught(void **state)
{
    static const char *const names[] = { "flipped-byte",  "flipped-one", "full-disk",
                                         "tampered-tree", "lost-file",   "stalled-bucket" };
    struct control_place p = place();
    (void)state;
    for (p.seed = 0; p.seed < 3; p.seed++)
        for (size_t i = 0; i < DR_ARRAY_LEN(names); i++)
            assert_true(is_caught(names[i], &p));
}

/* No snapshot but the newest: then there is no older one to be taken. */
static void a_first_snapshot_has_no_yesterday(void **state)
{
    struct control_place p = place();
    (void)state;
    p.snapshot = old_id;
    struct control_result r = run("yesterdays-sentinel", &p);
    assert_false(r.planted);
    assert_string_equal(r.why, "there is no older snapshot of 'app'");
    control_result_fini(&r);
    judged = 0;
    assert_true(is_caught("stale-snapshot", &p));
    assert_int_equal(judged, 0); /* backup.pick itself had none */
}

static void an_older_snapshot_without_a_sentinel_cannot_be_mistaken(void **state)
{
    struct control_place p = place();
    char *sentinel = config->sources[0].sentinel;
    DR_FREE char *why = dr_strf("the older snapshot %s has no sentinel to be mistaken", old_id);
    DR_FREE char *later = dr_strdup("mark/added-later");
    (void)state;
    config->sources[0].sentinel = later;
    struct control_result r = run("yesterdays-sentinel", &p);
    config->sources[0].sentinel = sentinel;
    assert_false(r.planted);
    assert_string_equal(r.why, why);
    control_result_fini(&r);
}

/* Of a snapshot that was taken when the sentinel was there already nobody can say that it is too old. */
static void what_may_hold_the_sentinel_is_no_older_snapshot(void **state)
{
    struct control_place p = place();
    (void)state;
    p.planted = "2000-01-01T00:00:00.000000000Z";
    struct control_result r = run("yesterdays-sentinel", &p);
    assert_false(r.planted);
    assert_string_equal(r.why, "there is no older snapshot of 'app'");
    control_result_fini(&r);
    p.planted = "2999-01-01T00:00:00.000000000Z";
    assert_true(is_caught("yesterdays-sentinel", &p));
}

static void what_cannot_be_planted_is_not_counted_and_says_why(void **state)
{
    static const struct {
        const char *name, *why;
    } cases[] = {
        { "flipped-one", "it takes two buckets outside of us-east-1 to heal from one another" },
        { "wrong-region", "there is no bucket in nowhere" },
        { "stale-snapshot", "source 'app' has no sentinel that could tell" },
        { "yesterdays-sentinel", "source 'app' has no sentinel that could tell" },
    };
    struct config *two = load("two.yaml", false, NULL);
    (void)state;
    for (size_t i = 0; i < DR_ARRAY_LEN(cases); i++) {
        struct control_place p = place();
        p.config = two;
        if (i == 1)
            p.failed = "nowhere";
        if (i >= 2)
            p.sentinel = NULL;
        struct control_result r = run(cases[i].name, &p);
        assert_false(r.planted);
        assert_false(r.caught);
        assert_string_equal(r.why, cases[i].why);
        control_result_fini(&r);
    }
    config_free(two);
}

/* The same over a network, where buckets race for each piece; and nothing is asked of it but to read. */
static void buckets_behind_a_network_lie_as_well(void **state)
{
    static const char *const buckets[] = { "backups-us", "backups-eu", "backups-ap" };
    DR_CLEANUP(httpfault_stop_ptr) struct httpfault *h = httpfault_start();
    size_t count = 0;
    const struct control *const *all = control_all(&count);
    char *older = NULL, *newer = NULL;
    struct control_place p = place();
    (void)state;
    for (size_t i = 0; i < DR_ARRAY_LEN(buckets); i++)
        assert_non_null(httpfault_bucket(h, buckets[i]));
    struct config *far = load("far.yaml", true, httpfault_url(h));
    take_both(far, &older, &newer);
    p.config = far;
    p.snapshot = newer;
    httpfault_forget(h);
    for (size_t i = 0; i < count; i++)
        assert_true(is_caught(all[i]->name, &p));
    assert_true(httpfault_count(h, "GET", NULL) > 0);
    assert_int_equal(httpfault_count(h, "PUT", NULL), 0);
    assert_int_equal(httpfault_count(h, "POST", NULL), 0);
    assert_int_equal(httpfault_count(h, "DELETE", NULL), 0);
    assert_int_equal(httpfault_count(h, NULL, "/us"),
                     0); /* the dark one is not even connected to */
    /* What the plant says of an expired token is what the driver says of a real one. */
    httpfault_plan(h, &(struct httpfault_plan){ .how = HTTPFAULT_STATUS,
                                                .status = 403,
                                                .code = "ExpiredToken",
                                                .times = HTTPFAULT_ANY_TIMES });
    struct control_ask ask = { .type = "backup.pick",
                               .verb = "apply",
                               .with = json_pack("{s:s}", "source", "app") };
    DR_CLEANUP(control_answer_fini) struct control_answer a = { 0 };
    struct dr_err err = { 0 };
    assert_int_equal(control_ask(&p, &ask, &a, &err), DR_OK);
    assert_true(control_failed_as(&a, DR_E_DENIED));
    assert_non_null(strstr(a.outcome.why,
                           "bucket 'eu': cannot get object 'repository': the session "
                           "token has expired (403 ExpiredToken"));
    config_free(far);
    free(older);
    free(newer);
}

/* -- missed -------------------------------------------------------------------------------------- */

static void a_machinery_that_always_says_yes_catches_nothing(void **state)
{
    (void)state;
    DR_FREE char *script =
        dr_strf("cat >/dev/null\n"
                "echo '{\"event\":\"output\",\"name\":\"id\",\"value\":\"%s\"}'\n"
                "echo '{\"event\":\"result\",\"verdict\":\"pass\",\"why\":\"all is well\","
                "\"evidence\":{\"planted\":9,\"differ\":0}}'",
                new_id);
    DR_FREE char *yes = program("yes", script);
    struct control_place p = place();
    p.program = yes;
    p.sentinel = is_always_fresh;
    assert_all_missed(&p);
}

static void a_failure_for_another_reason_catches_nothing(void **state)
{
    (void)state;
    DR_FREE char *no = program("no", "cat >/dev/null\n"
                                     "echo '{\"event\":\"result\",\"verdict\":\"fail\",\"why\":"
                                     "\"cannot make target: Input/output error\",\"evidence\":"
                                     "{\"planted\":9,\"error\":\"io\"}}'");
    DR_FREE char *dead = program("dead", "cat >/dev/null\nexit 3");
    struct control_place p = place();
    p.program = no;
    assert_all_missed(&p);
    p.program = dead;
    assert_all_missed(&p);
}

/* The same steps, but nobody plants anything: whatever passes then was not looked for. */
static void a_fault_that_is_not_there_is_not_caught(void **state)
{
    (void)state;
    DR_FREE char *script = dr_strf("sed 's/\"plant\":/\"nothing\":/' | exec '%s' step", self);
    DR_FREE char *honest = program("honest", script);
    struct control_place p = place();
    p.program = honest;
    assert_all_missed(&p);
}

static void a_gate_that_is_open_misses_the_wrong_region(void **state)
{
    (void)state;
    DR_FREE char *script =
        dr_strf("sed 's/\"dark\":\\[[^]]*\\]/\"dark\":[]/' | exec '%s' step", self);
    DR_FREE char *open = program("open", script);
    struct control_place p = place();
    p.program = open;
    assert_false(is_caught("wrong-region", &p));
}

static void a_drill_that_does_not_read_the_sentinel_misses_what_is_old(void **state)
{
    struct control_place p = place();
    (void)state;
    judged = 0;
    for (int i = 0; i < 2; i++) {
        p.sentinel = i == 0 ? is_always_fresh : is_never_told;
        assert_false(is_caught("stale-snapshot", &p));
        assert_false(is_caught("yesterdays-sentinel", &p));
    }
    assert_int_equal(judged, 4);
}

/* A choice that looks at the time and not at the epoch takes what the fenced writer took. */
static void a_choice_by_the_clock_alone_misses_the_fenced_writer(void **state)
{
    (void)state;
    DR_FREE char *script =
        dr_strf("cat >/dev/null\n"
                "echo '{\"event\":\"output\",\"name\":\"id\",\"value\":\"%s\"}'\n"
                "echo '{\"event\":\"result\",\"verdict\":\"pass\",\"why\":\"the "
                "newest\",\"evidence\":{\"planted\":2}}'",
                new_id);
    DR_FREE char *newest = program("newest", script);
    struct control_place p = place();
    p.program = newest;
    assert_false(is_caught("fenced-writer", &p));
}

/* The scratch directory cannot be made: these restores fail, but not over the fault. */
static void a_restore_without_a_directory_catches_nothing(void **state)
{
    static const char *const names[] = { "flipped-byte",  "flipped-one", "full-disk",
                                         "tampered-tree", "lost-file",   "stalled-bucket" };
    struct control_place p = place();
    DR_FREE char *file = path_of("file"), *below = path_of("file/scratch");
    (void)state;
    put_text("file", "in the way");
    p.scratch = below;
    for (size_t i = 0; i < DR_ARRAY_LEN(names); i++)
        assert_false(is_caught(names[i], &p));
    assert_int_equal(unlink(file), 0);
}

/* What is needed is said, and the digest of the object is not what is missing: the name is. */
static void a_failure_that_does_not_name_the_object_is_half_a_failure(void **state)
{
    (void)state;
    DR_FREE char *vague =
        program("vague", "cat >/dev/null\n"
                         "echo '{\"event\":\"result\",\"verdict\":\"fail\",\"why\":"
                         "\"something is damaged\",\"evidence\":"
                         "{\"planted\":1,\"error\":\"corrupt\",\"left\":null}}'");
    struct control_place p = place();
    p.program = vague;
    assert_false(is_caught("flipped-byte", &p));
    assert_false(is_caught("forged-signature", &p));
}

/* -- the rest ------------------------------------------------------------------------------------ */

static bool say_stop(void *arg)
{
    (void)arg;
    return true;
}

static void a_drill_that_gives_way_waits_for_no_control(void **state)
{
    struct dr_err err = { 0 };
    struct control_result r = { 0 };
    (void)state;
    DR_FREE char *slow = program("slow", "exec sleep 50");
    struct control_place p = place();
    p.program = slow;
    p.stop = say_stop;
    assert_int_equal(control_run(control_find("expired-credential"), &p, &r, &err), DR_E_CANCELLED);
    assert_null(r.why);
}

static void a_snapshot_that_cannot_be_read_is_an_error_of_the_controls(void **state)
{
    struct dr_err err = { 0 };
    struct control_result r = { 0 };
    struct control_place p = place();
    (void)state;
    p.snapshot = "app-20200101t000000z-000000";
    assert_int_not_equal(control_run(control_find("flipped-byte"), &p, &r, &err), DR_OK);
    assert_null(r.why);
}

static bool same_draw(const struct control *const *a, const struct control *const *b, size_t count)
{
    bool same = true;
    for (size_t i = 0; i < count; i++)
        same &= a[i] == b[i];
    return same;
}

static void the_same_seed_draws_the_same_and_every_control_is_drawn_by_some(void **state)
{
    const struct control *a[CONTROLS_MAX], *b[CONTROLS_MAX];
    size_t count = 0, differ = 0;
    const struct control *const *all = control_all(&count);
    bool seen[CONTROLS_MAX] = { false };
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        assert_int_equal(controls_draw(seed, 8, a), 8);
        assert_int_equal(controls_draw(seed, 8, b), 8);
        assert_true(same_draw(a, b, 8));
        for (size_t i = 0; i < 8; i++) {
            for (size_t k = 0; k < i; k++)
                assert_ptr_not_equal(a[i], a[k]);
            for (size_t k = 0; k < count; k++)
                seen[k] |= all[k] == a[i];
        }
        controls_draw(seed + 1, 8, b);
        differ += !same_draw(a, b, 8);
    }
    for (size_t k = 0; k < count; k++)
        assert_true(seen[k]);
    assert_true(differ > 190);
    assert_int_equal(controls_draw(1, 0, a), count);
    assert_int_equal(controls_draw(1, 1000, a), count);
}

static void each_row_of_the_catalogue_has_a_name_of_its_own_and_says_what_it_expects(void **state)
{
    size_t count = 0;
    const struct control *const *all = control_all(&count);
    (void)state;
    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(control_find(all[i]->name), all[i]);
        assert_true(strlen(all[i]->plants) > 10 && strlen(all[i]->expects) > 10);
        assert_null(strchr(all[i]->title, ',')); /* they are listed in one line */
    }
    assert_null(control_find("nothing"));
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "step") == 0) {
        size_t count = 0;
        const struct provider *const *providers = plugin_all(&count);
        const struct step_options options = { 0 };
        return step_main(providers, count, &options);
    }
    setenv("AWS_ACCESS_KEY_ID", "key", 1);        /* NOLINT(concurrency-mt-unsafe): one thread */
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1); /* NOLINT(concurrency-mt-unsafe) */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_of_the_catalogue_has_a_name_of_its_own_and_says_what_it_expects),
        cmocka_unit_test(the_same_seed_draws_the_same_and_every_control_is_drawn_by_some),
        cmocka_unit_test(each_fault_is_caught_and_nothing_stays_behind),
        cmocka_unit_test(buckets_behind_a_network_lie_as_well),
        cmocka_unit_test(whichever_file_the_seed_picks_it_is_caught),
        cmocka_unit_test(a_first_snapshot_has_no_yesterday),
        cmocka_unit_test(an_older_snapshot_without_a_sentinel_cannot_be_mistaken),
        cmocka_unit_test(what_may_hold_the_sentinel_is_no_older_snapshot),
        cmocka_unit_test(what_cannot_be_planted_is_not_counted_and_says_why),
        cmocka_unit_test(a_machinery_that_always_says_yes_catches_nothing),
        cmocka_unit_test(a_failure_for_another_reason_catches_nothing),
        cmocka_unit_test(a_fault_that_is_not_there_is_not_caught),
        cmocka_unit_test(a_gate_that_is_open_misses_the_wrong_region),
        cmocka_unit_test(a_drill_that_does_not_read_the_sentinel_misses_what_is_old),
        cmocka_unit_test(a_choice_by_the_clock_alone_misses_the_fenced_writer),
        cmocka_unit_test(a_restore_without_a_directory_catches_nothing),
        cmocka_unit_test(a_failure_that_does_not_name_the_object_is_half_a_failure),
        cmocka_unit_test(a_drill_that_gives_way_waits_for_no_control),
        cmocka_unit_test(a_snapshot_that_cannot_be_read_is_an_error_of_the_controls),
    };
    return cmocka_run_group_tests_name("control", tests, start_world, stop_world);
}
