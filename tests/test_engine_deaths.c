/*
 * test_engine_deaths.c - a runner may die after any record and at any call; the next one ends the same.
 *
 * For each plan the run is first done without a death. Then it dies after its first record, its second,
 * and so on (the journal takes no more, with and without a torn line; what was under way has
 * or has not taken effect), another runner takes it up, and the same must stand at the end, with
 * no effect repeated unasked. The second part lets every call of the syscall table fail, write short,
 * or be the last.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/run/begin.h"
#include "dr/run/engine.h"
#include "tests/support/fakestep.h"
#include "tests/support/fault.h"

static char dir[64];

struct tale { /* a plan and what goes wrong in it */
    const char *plan;
    const char *key, *words; /* or NULL */
    const char *end;
};

static const struct tale tales[] = {
    { "{\"steps\":[{\"id\":\"a\",\"use\":\"own\"},{\"id\":\"b\",\"use\":\"give\"},"
      "{\"id\":\"c\",\"use\":\"own\",\"verify\":[{}]},{\"id\":\"ok\",\"use\":\"check\"}]}",
      NULL, NULL, "recovered" },
    { "{\"steps\":[{\"id\":\"a\",\"use\":\"own\"},{\"id\":\"b\",\"use\":\"own\"},"
      "{\"id\":\"c\",\"use\":\"own\",\"on_error\":\"rollback\"}]}",
      "apply:c", "fail!", "undone" },
    { "{\"steps\":[{\"id\":\"a\",\"use\":\"own\"},"
      "{\"id\":\"b\",\"use\":\"own\",\"needs\":[\"a\"],\"on_error\":\"rollback\"},"
      "{\"id\":\"c\",\"use\":\"own\",\"needs\":[\"a\"]},{\"id\":\"d\",\"use\":\"own\"}]}",
      "apply:b", "hang!", "undone" },
    { "{\"steps\":[{\"id\":\"a\",\"use\":\"own\",\"on_error\":\"continue\"},"
      "{\"id\":\"b\",\"use\":\"own\"}]}",
      "apply:a", "fail!", "recovered" },
    { "{\"regions\":[\"us\",\"eu\",\"ap\"],\"preflight\":[{\"id\":\"up\",\"target\":true}],"
      "\"invariants\":[{\"id\":\"one\"}],\"steps\":["
      "{\"id\":\"pick\",\"use\":\"region.pick\",\"target\":true},{\"id\":\"fence\",\"use\":\"fence\"},"
      "{\"id\":\"start\",\"use\":\"own\",\"target\":true,\"on_error\":\"next_standby\"},"
      "{\"id\":\"restore\",\"use\":\"own\",\"target\":true,\"on_error\":\"next_standby\"},"
      "{\"id\":\"live\",\"use\":\"promote\",\"target\":true,\"ponr\":true},"
      "{\"id\":\"lb\",\"use\":\"own\",\"target\":true,\"needs\":[\"live\"]},"
      "{\"id\":\"dns\",\"use\":\"own\",\"target\":true,\"needs\":[\"live\"]},"
      "{\"id\":\"ok\",\"use\":\"check\",\"target\":true}]}",
      "apply:restore@eu", "fail!", "recovered" },
};

/* -- a journal that stops taking records ---------------------------------------------------------- */

static long writes_left = -1; /* -1: all are taken */
static bool torn;
static struct sys_ops real_sys;

static ssize_t stopping_write(int fd, const void *buf, size_t len)
{
    if (writes_left == 0) {
        if (torn && len > 2)
            (void)!real_sys.write(fd, buf, len / 2);
        errno = EIO;
        return -1;
    }
    if (writes_left > 0)
        writes_left--;
    return real_sys.write(fd, buf, len);
}

/* -- one run ---------------------------------------------------------------------------------------- */

static void start_journal(const struct script *script)
{
    struct dr_err err = { 0 };
    struct run_begin b = { .id = "R-1",
                           .mode = "failover",
                           .by = "ana",
                           .host = "op-1",
                           .failed = "us",
                           .active = "us",
                           .remote = true };
    DR_CLEANUP(journal_close_ptr) struct journal *j = NULL;
    assert_int_equal(fs_remove_tree(dir, &err), DR_OK);
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(journal_create(dir, "R-1", &j, &err), DR_OK);
    assert_int_equal(journal_append(j, "start", run_begin_body(script, &b), &err), DR_OK);
}

/* One runner, until it ends or dies. resume: it is not the first. Returns its code; phase by pointer. */
static enum dr_rc one_runner(const struct script *script, struct fake_world *w, bool resume,
                             enum run_phase *ret_phase)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(journal_close_ptr) struct journal *j = NULL;
    struct engine_options o = { .operator= "ana" };
    DR_TRY(journal_open(dir, "R-1", &j, &err));
    DR_CLEANUP(engine_free_ptr) struct engine *e = engine_new(script, j, &w->world, &o);
    *ret_phase = engine_state(e)->phase;
    if (run_is_final(*ret_phase))
        return DR_OK;
    if (resume)
        DR_TRY(engine_resume(e, "bo", "op-2", false, &err));
    enum dr_rc rc = engine_go(e, &err);
    *ret_phase = engine_state(e)->phase;
    return rc;
}

static void open_world(struct fake_world *w, const struct tale *t, bool late)
{
    fake_world_init(w);
    w->late_deaths = late;
    if (t->key != NULL)
        fake_say(w, t->key, t->words);
}

static char *places_of(const struct fake_world *w)
{
    struct buf b = { 0 };
    json_add_canonical(&b, w->in_place);
    return buf_take(&b);
}

/* The tale with a death after `writes` records; false: it did not come to that. */
static bool die_and_go_on(const struct tale *t, const struct script *script, long writes,
                          const char *expected)
{
    struct fake_world w;
    enum run_phase phase = RUN_NONE;
    open_world(&w, t, writes % 2 == 0);
    torn = writes % 3 == 0;
    start_journal(script);
    writes_left = writes;
    bool died = one_runner(script, &w, false, &phase) != DR_OK;
    writes_left = -1;
    for (int runners = 0; died && !run_is_final(phase) && runners < 3; runners++)
        assert_int_equal(one_runner(script, &w, true, &phase), DR_OK);
    DR_FREE char *places = places_of(&w);
    if (strcmp(run_phase_name(phase), t->end) != 0 || strcmp(places, expected) != 0 || w.twice > 0)
        print_message("died after %ld records: %s, %s\n", writes, run_phase_name(phase), places);
    assert_string_equal(run_phase_name(phase), t->end);
    assert_string_equal(places, expected);
    assert_int_equal(w.twice, 0);
    fake_world_fini(&w);
    return died;
}

static void a_run_ends_the_same_after_a_death_at_every_record(void **state)
{
    (void)state;
    real_sys = sys;
    sys.write = stopping_write;
    for (size_t i = 0; i < DR_ARRAY_LEN(tales); i++) {
        const struct tale *t = &tales[i];
        DR_CLEANUP(script_free_ptr) struct script *script = fake_script(t->plan);
        struct fake_world w;
        enum run_phase phase = RUN_NONE;
        open_world(&w, t, false);
        start_journal(script);
        assert_int_equal(one_runner(script, &w, false, &phase), DR_OK);
        assert_string_equal(run_phase_name(phase), t->end);
        DR_FREE char *expected = places_of(&w);
        fake_world_fini(&w);
        long writes = 0;
        while (die_and_go_on(t, script, writes, expected))
            writes++;
        assert_true(writes > 8);
    }
    sys = real_sys;
}

/* -- every call ------------------------------------------------------------------------------------- */

/* In a child: run under a fault. 0: the fault did not fire; 1: it did, or the process died of it. */
static bool run_under_fault(const struct script *script, enum fault_kind kind, unsigned n)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct fake_world w;
        enum run_phase phase = RUN_NONE;
        open_world(&w, &tales[0], false);
        fault_arm(kind, n);
        enum dr_rc rc = one_runner(script, &w, false, &phase);
        bool fired = fault_disarm();
        if (!fired && rc != DR_OK)
            _exit(3);
        _exit(fired ? 1 : 0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_not_equal(WEXITSTATUS(status), 3);
    return WEXITSTATUS(status) != 0;
}

/* The world of the dead runner died with it: its effects are unknown, so each is repeatable here. */
static void a_run_is_resumed_after_every_fault_and_death(void **state)
{
    (void)state;
    DR_CLEANUP(script_free_ptr)
    struct script *script =
        fake_script("{\"steps\":[{\"id\":\"a\",\"use\":\"own\"},{\"id\":\"b\",\"use\":\"own\"}]}");
    for (int kind = FAULT_ERRNO; kind <= FAULT_DIE_AFTER; kind++) {
        bool fired = true;
        for (unsigned n = 1; fired && n < 500; n++) {
            struct fake_world w;
            enum run_phase phase = RUN_NONE;
            start_journal(script);
            fired = run_under_fault(script, (enum fault_kind)kind, n);
            open_world(&w, &tales[0], false);
            for (int runners = 0; !run_is_final(phase) && runners < 3; runners++)
                assert_int_equal(one_runner(script, &w, true, &phase), DR_OK);
            assert_string_equal(run_phase_name(phase), "recovered");
            fake_world_fini(&w);
        }
        assert_false(fired);
    }
}

/* -- a drill ---------------------------------------------------------------------------------------- */

static const char drill_plan[] =
    "{\"steps\":[{\"id\":\"fence\",\"use\":\"fence\"},{\"id\":\"restore\",\"use\":\"backup.restore\"},"
    "{\"id\":\"data_ok\",\"use\":\"check\"},"
    "{\"id\":\"dns\",\"use\":\"traffic\",\"drill\":{\"with\":{\"name\":\"drill\"}}},"
    "{\"id\":\"live\",\"use\":\"promote\",\"ponr\":true},{\"id\":\"ok\",\"use\":\"check\"},"
    "{\"id\":\"protect\",\"use\":\"backup.now\"}]}";

static void start_drill(const struct script *script)
{
    struct dr_err err = { 0 };
    struct run_begin b = { .id = "D-1",
                           .mode = "failover",
                           .by = "ana",
                           .host = "op-1",
                           .failed = "us",
                           .active = "us",
                           .scratch = "/scratch/D-1",
                           .remote = true,
                           .drill = true };
    DR_CLEANUP(journal_close_ptr) struct journal *j = NULL;
    assert_int_equal(fs_remove_tree(dir, &err), DR_OK);
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(journal_create(dir, "D-1", &j, &err), DR_OK);
    assert_int_equal(journal_append(j, "start", run_begin_body(script, &b), &err), DR_OK);
}

static enum dr_rc to_the_end(struct engine *e, bool passed)
{
    struct dr_err err = { 0 };
    DR_TRY(engine_go(e, &err));
    DR_TRY(engine_note(e, "sentinel", json_object(), &err));
    DR_TRY(engine_clean(e, &err));
    DR_TRY(engine_note(e, "cleaned", json_object(), &err));
    return engine_end_drill(e, passed, passed ? "passed" : "its runner died", &err);
}

/* Who takes a drill up only cleans up after it, and holds a note at each turn as its owner does. */
static enum dr_rc one_owner(const struct script *script, struct fake_world *w, bool first,
                            enum run_phase *ret_phase)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(journal_close_ptr) struct journal *j = NULL;
    struct engine_options o = { .operator= "ana" };
    DR_TRY(journal_open(dir, "D-1", &j, &err));
    DR_CLEANUP(engine_free_ptr) struct engine *e = engine_new(script, j, &w->world, &o);
    *ret_phase = engine_state(e)->phase;
    if (run_is_final(*ret_phase))
        return DR_OK;
    if (first)
        DR_TRY(engine_note(e, "planted", json_object(), &err));
    else if (*ret_phase != RUN_CLEANING)
        DR_TRY(engine_drop_drill(e, "bo", "its runner is gone", &err));
    DR_TRY(to_the_end(e, first));
    *ret_phase = engine_state(e)->phase;
    return DR_OK;
}

static size_t applied(const struct fake_world *w)
{
    size_t n = 0;
    for (size_t i = 0; i < w->log.count; i++)
        n += strncmp(w->log.items[i], "apply", 5) == 0;
    return n;
}

/* A drill that dies after so many records; false: it did not come to that. */
static bool drill_dies(const struct script *script, long writes)
{
    struct fake_world w;
    enum run_phase phase = RUN_NONE;
    fake_world_init(&w);
    w.late_deaths = writes % 2 == 0;
    torn = writes % 3 == 0;
    start_drill(script);
    writes_left = writes;
    bool died = one_owner(script, &w, true, &phase) != DR_OK;
    writes_left = -1;
    size_t before = applied(&w);
    for (int owners = 0; died && !run_is_final(phase) && owners < 3; owners++)
        assert_int_equal(one_owner(script, &w, false, &phase), DR_OK);
    assert_true(run_is_final(phase));
    assert_int_equal(json_object_size(w.in_place), 0); /* nothing is left, whenever it died */
    assert_int_equal(applied(&w), before);             /* and no step went on */
    assert_int_equal(w.twice, 0);
    if (!died)
        assert_string_equal(run_phase_name(phase), "recovered");
    fake_world_fini(&w);
    return died;
}

static void a_drill_that_dies_at_any_record_is_cleaned_up_and_goes_no_further(void **state)
{
    (void)state;
    real_sys = sys;
    sys.write = stopping_write;
    DR_CLEANUP(script_free_ptr) struct script *script = fake_script(drill_plan);
    long writes = 0;
    while (drill_dies(script, writes))
        writes++;
    assert_true(writes > 25);
    sys = real_sys;
}

/* The cleaner may die as well: what it has not taken back, the one after it does. */
static void a_clean_up_that_dies_at_any_record_is_finished_by_the_next(void **state)
{
    (void)state;
    real_sys = sys;
    sys.write = stopping_write;
    DR_CLEANUP(script_free_ptr) struct script *script = fake_script(drill_plan);
    bool died = true;
    for (long writes = 0; died; writes++) {
        struct fake_world w;
        enum run_phase phase = RUN_NONE;
        fake_world_init(&w);
        start_drill(script);
        writes_left = 19; /* behind the restore */
        assert_int_not_equal(one_owner(script, &w, true, &phase), DR_OK);
        assert_true(json_object_size(w.in_place) > 0);
        writes_left = writes;
        died = one_owner(script, &w, false, &phase) != DR_OK;
        writes_left = -1;
        for (int owners = 0; !run_is_final(phase) && owners < 3; owners++)
            assert_int_equal(one_owner(script, &w, false, &phase), DR_OK);
        assert_string_equal(run_phase_name(phase), "failed");
        assert_int_equal(json_object_size(w.in_place), 0);
        fake_world_fini(&w);
    }
    sys = real_sys;
}

static int setup(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof(dir), "/tmp/dr-deaths-XXXXXX");
    return mkdtemp(dir) == NULL;
}

static int teardown(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    return fs_remove_tree(dir, &err) != DR_OK;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_run_ends_the_same_after_a_death_at_every_record, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_run_is_resumed_after_every_fault_and_death, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            a_drill_that_dies_at_any_record_is_cleaned_up_and_goes_no_further, setup, teardown),
        cmocka_unit_test_setup_teardown(a_clean_up_that_dies_at_any_record_is_finished_by_the_next,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
