/*
 * test_engine_room.c - a drill makes room for a recovery, and for nobody else.
 *
 * These are real runs in a real state directory: the drill is a process of its own that waits in a slow step, and
 * the recovery begins beside it. Whoever waited for a lease to run out would wait ten minutes here.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/plan/plan.h"
#include "dr/run/plan.h"
#include "dr/run/run.h"

enum { PATIENCE_MS = 60000, LOOK_MS = 20, CODE_YIELDED = 6, CODE_LOST = 9, CODE_OTHER = 99 };

static char dir[160];
static struct config *config;

#define SLOW \
    "plan: slow\nregions: [us-east-1, eu-west-1]\nsteps:\n  - {id: slow, use: wait, with: {for: 10m}}\n"
#define QUICK \
    "plan: quick\nregions: [us-east-1, eu-west-1]\nsteps:\n  - {id: now, use: wait, with: {for: 1ms}}\n"

static int start(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe): one thread */
    struct dr_err err = { 0 };
    DR_CLEANUP(diag_fini) struct diag d = { 0 };
    (void)snprintf(dir, sizeof(dir), "%s/test_room.XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(dir) == NULL)
        return -1;
    DR_FREE char *text =
        dr_strf("disaster_recovery:\n"
                "  strategy: {type: pilot_light, primary_region: us-east-1,\n"
                "    secondary_regions: [{name: eu-west-1, role: standby, priority: 1}]}\n"
                "  backup_policy:\n    full_backup: {frequency: daily, retention: 30d}\n"
                "coordination: {lease: {hold: 2s, take: 10m}}\n"
                "sites:\n"
                "  - {name: us-east-1, region: us-east-1, reach: local}\n"
                "  - {name: eu-west-1, region: eu-west-1, reach: local}\n"
                "sources:\n  - {name: app, path: %s/app, class: data}\n"
                "buckets:\n  - {name: eu, url: \"file://%s/eu\", region: eu-west-1}\n"
                "state_dir: %s/state\n",
                dir, dir, dir);
    DR_FREE char *path = dr_strf("%s/dr.yaml", dir);
    DR_FREE char *bucket = dr_strf("%s/eu", dir);
    bool made = fs_make_dirs(bucket, 0755, &err) == DR_OK &&
                fs_replace(dir, "dr.yaml", text, strlen(text), &err) == DR_OK &&
                config_load(path, &d, &config, &err) == DR_OK;
    if (!made)
        (void)fprintf(stderr, "%s %s\n", err.msg, d.count > 0 ? d.items[0].what : "");
    return made ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    config_free(config);
    config = NULL;
    return fs_remove_tree(dir, &err) == DR_OK ? 0 : -1;
}

static enum dr_rc begin(const char *text, bool drill, struct run **ret, struct dr_err *err)
{
    DR_CLEANUP(diag_fini) struct diag d = { 0 };
    struct plan *p = plan_read("t.yaml", text, strlen(text), NULL, &d);
    DR_ASSERT(p != NULL);
    struct run_begin b = { .mode = "run",
                           .by = "ana",
                           .active = "us-east-1",
                           .file = "t.yaml",
                           .remote = true,
                           .drill = drill };
    struct engine_options o = { .config = config, .config_path = config->path, .operator= "ana" };
    *err = (struct dr_err){ 0 };
    return run_begin(config, script_of_plan(p, text, config), &b, &o, ret, err);
}

/* -- a drill as a process ----------------------------------------------------------------------------- */

static int hold_drill(void)
{
    struct run *r = NULL;
    struct dr_err err = { 0 };
    if (begin(SLOW, true, &r, &err) != DR_OK) {
        (void)fprintf(stderr, "%s\n", err.msg);
        return CODE_OTHER;
    }
    enum dr_rc rc = engine_go(r->engine, &err);
    bool yields = engine_yields(r->engine);
    run_close(r);
    return rc == DR_E_REFUSED ? CODE_LOST : rc == DR_OK && yields ? CODE_YIELDED : CODE_OTHER;
}

static bool has_record(const char *run, const char *type)
{
    DR_CLEANUP(journal_records_fini) struct journal_records all = { 0 };
    struct dr_err err = { 0 };
    if (journal_load(config->state_dir, run, &all, &err) != DR_OK)
        return false;
    for (size_t i = 0; i < all.count; i++)
        if (strcmp(all.items[i].type, type) == 0)
            return true;
    return false;
}

/* A drill that is in its slow step. */
static pid_t slow_drill(const char *id)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(hold_drill());
    assert_true(pid > 0);
    int64_t end_ms = clock_boot_ms() + PATIENCE_MS;
    while (!has_record(id, "begin")) {
        const struct timespec ts = { .tv_nsec = LOOK_MS * 1000000L };
        assert_true(clock_boot_ms() < end_ms);
        (void)nanosleep(&ts, NULL);
    }
    return pid;
}

static int end_of(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : CODE_OTHER;
}

static void recovers(struct run *r)
{
    struct dr_err err = { 0 };
    assert_int_equal(engine_go(r->engine, &err), DR_OK);
    assert_string_equal(run_phase_name(engine_state(r->engine)->phase), "recovered");
}

static void assert_drill(const char *id, const char *phase, const char *then)
{
    DR_CLEANUP(run_state_fini) struct run_state s = { 0 };
    assert_true(run_peek(config, id, &s));
    assert_true(s.drill);
    assert_string_equal(run_phase_name(s.phase), phase);
    if (then != NULL)
        assert_string_equal(s.then, then);
}

/* -- facts ------------------------------------------------------------------------------------------- */

static void a_recovery_that_finds_a_drill_at_work_goes_on_at_once_and_the_drill_says_why(
    void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    pid_t drill = slow_drill("D-1");
    DR_CLEANUP(run_close_ptr) struct run *r = NULL;
    if (begin(QUICK, false, &r, &err) != DR_OK)
        fail_msg("%s", err.msg);
    assert_string_equal(r->id, "R-2"); /* one row of numbers */
    assert_int_equal(end_of(drill), CODE_YIELDED);
    assert_drill("D-1", "cleaning", "aborted");
    recovers(r);
}

/* Stopped, it neither listens nor renews: the next epoch goes over it, and it notices when it wakes. */
static void a_drill_that_does_not_listen_loses_the_lease(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    pid_t drill = slow_drill("D-1");
    assert_int_equal(kill(drill, SIGSTOP), 0);
    DR_CLEANUP(run_close_ptr) struct run *r = NULL;
    assert_int_equal(begin(QUICK, false, &r, &err), DR_OK);
    recovers(r);
    assert_int_equal(kill(drill, SIGCONT), 0);
    int code = end_of(drill);
    assert_true(code == CODE_LOST || code == CODE_YIELDED); /* whichever it sees first */
    assert_false(has_record("D-1", "end"));
}

static void a_drill_of_another_host_is_not_waited_for(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(lease_place_fini) struct lease_place place = { 0 };
    DR_CLEANUP(lease_free_ptr) struct lease *far = NULL;
    struct lease_wish wish = { .key = "run", .holder = "drill/bo@far:1" };
    assert_int_equal(lease_place_of(config, NULL, &place, &err), DR_OK);
    assert_int_equal(lease_acquire(&place, &wish, &far, &err), DR_OK);
    DR_CLEANUP(run_close_ptr) struct run *r = NULL;
    assert_int_equal(begin(QUICK, false, &r, &err), DR_OK);
    assert_int_equal(lease_renew(far, &err),
                     DR_E_REFUSED); /* its keeper stops all that is under way */
    recovers(r);
}

static void of_two_drills_the_second_is_busy(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    struct run *r = NULL;
    pid_t drill = slow_drill("D-1");
    assert_int_equal(begin(QUICK, true, &r, &err), DR_E_BUSY);
    assert_non_null(strstr(err.msg, "D-1"));
    assert_drill("D-1", "running", NULL);
    assert_int_equal(kill(drill, SIGKILL), 0);
    (void)end_of(drill);
}

static void a_drill_takes_the_lease_from_no_recovery(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    struct run *drill = NULL;
    DR_CLEANUP(run_close_ptr) struct run *r = NULL;
    assert_int_equal(begin(SLOW, false, &r, &err), DR_OK);
    assert_int_equal(begin(QUICK, true, &drill, &err), DR_E_BUSY);
    assert_non_null(strstr(err.msg, "R-1"));
}

static void a_drill_that_died_is_cleaned_up_by_the_next_and_only_then_another_begins(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    struct run *r = NULL;
    pid_t drill = slow_drill("D-1");
    assert_int_equal(kill(drill, SIGKILL), 0);
    (void)end_of(drill);
    assert_int_equal(begin(QUICK, true, &r, &err), DR_E_BUSY);
    assert_non_null(strstr(err.hint, "drill --clean D-1"));
    DR_FREE char *open = run_open_drill(config);
    assert_string_equal(open, "D-1");

    struct engine_options o = { .config = config, .config_path = config->path, .operator= "bo" };
    config->lease.take_ms = config->lease.hold_ms + LEASE_CLOCK_MARGIN_MS; /* of a drill it waits */
    json_t *words = json_pack("{s:s,s:s,s:b}", "verb", "abort", "by", "cem", "give_way", 1);
    assert_int_equal(journal_tell(config->state_dir, open, words, &err), DR_OK);
    assert_int_equal(run_take_up(config, open, &o, NULL, &r, &err), DR_OK);
    assert_string_equal(run_phase_name(engine_state(r->engine)->phase), "cleaning");
    assert_false(engine_yields(r->engine)); /* that was said to the one that died */
    assert_int_equal(engine_clean(r->engine, &err), DR_OK);
    assert_int_equal(engine_end_drill(r->engine, false, "its runner died", &err), DR_OK);
    run_close(r);
    assert_null(run_open_drill(config));

    assert_int_equal(begin(QUICK, true, &r, &err), DR_OK);
    assert_string_equal(r->id, "D-2");
    DR_FREE char *scratch = dr_strf("%s/state/scratch/D-2", dir);
    assert_string_equal(engine_state(r->engine)->scratch, scratch);
    run_close(r);
}

/* Its host is lost with all that lay there: what the bucket has is enough to clean up, and to count on. */
static void a_drill_that_died_elsewhere_is_taken_up_from_the_buckets(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    struct run *r = NULL;
    pid_t drill = slow_drill("D-1");
    assert_int_equal(kill(drill, SIGKILL), 0);
    (void)end_of(drill);
    DR_FREE char *runs = dr_strf("%s/state/runs", dir);
    assert_int_equal(fs_remove_tree(runs, &err), DR_OK);
    DR_FREE char *open = run_open_drill(config);
    assert_non_null(open);
    assert_string_equal(open, "D-1");
    assert_int_equal(begin(QUICK, true, &r, &err), DR_E_BUSY);

    struct engine_options o = { .config = config, .config_path = config->path, .operator= "bo" };
    config->lease.take_ms = config->lease.hold_ms + LEASE_CLOCK_MARGIN_MS;
    assert_int_equal(run_take_up(config, open, &o, NULL, &r, &err), DR_OK);
    assert_non_null(r->from);
    assert_int_equal(engine_end_drill(r->engine, false, "its host is lost", &err), DR_OK);
    run_close(r);
    assert_int_equal(begin(QUICK, false, &r, &err), DR_OK);
    assert_string_equal(r->id, "R-2");
    run_close(r);
}

static void a_recovery_does_not_wait_for_a_dead_drill(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    pid_t drill = slow_drill("D-1");
    assert_int_equal(kill(drill, SIGKILL), 0);
    (void)end_of(drill);
    DR_CLEANUP(run_close_ptr) struct run *r = NULL;
    assert_int_equal(begin(QUICK, false, &r, &err), DR_OK);
    recovers(r);
    assert_drill("D-1", "running", NULL); /* its clean-up waits */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_recovery_that_finds_a_drill_at_work_goes_on_at_once_and_the_drill_says_why),
        TEST(a_drill_that_does_not_listen_loses_the_lease),
        TEST(a_drill_of_another_host_is_not_waited_for),
        TEST(of_two_drills_the_second_is_busy),
        TEST(a_drill_takes_the_lease_from_no_recovery),
        TEST(a_drill_that_died_is_cleaned_up_by_the_next_and_only_then_another_begins),
        TEST(a_drill_that_died_elsewhere_is_taken_up_from_the_buckets),
        TEST(a_recovery_does_not_wait_for_a_dead_drill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
