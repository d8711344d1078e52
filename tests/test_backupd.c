/*
 * test_backupd.c - the parts of backupd that are not the schedule: memory, jobs, rows, the word to systemd.
 *
 * Jobs are real processes (/bin/sh). A FIFO whose other end every process of a job has open says when the last of
 * them is gone.
 */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/daemon/job.h"
#include "backup/daemon/rows.h"
#include "backup/daemon/sdnotify.h"
#include "backup/daemon/state.h"
#include "backup/daemon/teller.h"
#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/data/time.h"
#include "tests/support/fault.h"

static char dir[64];
static const struct schedule_every daily = { .ms = 86400000, .word = "daily" };

static int make_dir(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof(dir), "/tmp/dr-backupd-XXXXXX");
    return mkdtemp(dir) != NULL ? 0 : -1;
}

/* The job of a test that failed must not outlive it. */
static struct job at_work;

static void end_at_work(void)
{
    struct job_result result = { 0 };
    int64_t until_ms = clock_boot_ms() + 60000;
    if (at_work.guard == 0)
        return;
    job_stop(&at_work, true);
    while (!job_ended(&at_work, &result) && clock_boot_ms() < until_ms)
        (void)poll(NULL, 0, 5);
    job_result_fini(&result);
}

static int drop_dir(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    end_at_work();
    return fs_remove_tree(dir, &err) == DR_OK ? 0 : -1;
}

/* ---- memory -------------------------------------------------------------------------------------- */

static void make_rows(struct schedule *s)
{
    (void)schedule_add(s, SCHEDULE_FULL, "app", &daily);
    (void)schedule_add(s, SCHEDULE_PRUNE, NULL, &daily);
}

/* A history: the full ran well, the prune failed twice. */
static void make_history(struct schedule *s, int64_t wall_ns, int64_t boot_ns)
{
    make_rows(s);
    schedule_tick(s, wall_ns, boot_ns);
    schedule_started(s, &s->rows[0]);
    schedule_tick(s, wall_ns + 5000000000, boot_ns + 5000000000);
    schedule_ended(s, &s->rows[0], 0);
    for (int i = 0; i < 2; i++) {
        schedule_started(s, &s->rows[1]);
        schedule_ended(s, &s->rows[1], 5);
    }
}

static void the_history_survives(void **state)
{
    (void)state;
    DR_CLEANUP(schedule_fini) struct schedule s = { 0 }, t = { 0 };
    struct dr_err err = { 0 };
    make_history(&s, clock_wall_ns(), clock_boot_ns());
    assert_int_equal(state_save(dir, &s, &err), DR_OK);
    make_rows(&t);
    assert_int_equal(state_load(dir, &t, &err), DR_OK);
    assert_int_equal(t.rows[0].good_ns, s.rows[0].good_ns);
    assert_int_equal(t.rows[0].took_ms, 5000);
    assert_int_equal(t.rows[0].exit, 0);
    assert_int_equal(t.rows[1].failures, 2);
    assert_int_equal(t.rows[1].exit, 5);
    assert_false(t.rows[1].running);
}

static void what_was_running_failed_with_its_backupd(void **state)
{
    (void)state;
    DR_CLEANUP(schedule_fini) struct schedule s = { 0 }, t = { 0 };
    struct dr_err err = { 0 };
    make_rows(&s);
    schedule_tick(&s, clock_wall_ns(), clock_boot_ns());
    schedule_started(&s, &s.rows[0]);
    assert_int_equal(state_save(dir, &s, &err), DR_OK);
    make_rows(&t);
    assert_int_equal(state_load(dir, &t, &err), DR_OK);
    assert_false(t.rows[0].running);
    assert_int_equal(t.rows[0].failures, 1);
    assert_int_equal(t.rows[0].exit, 7);
}

static void a_jump_while_nobody_was_there_is_seen_in_the_same_boot(void **state)
{
    (void)state;
    DR_CLEANUP(schedule_fini) struct schedule s = { 0 }, t = { 0 };
    struct dr_err err = { 0 };
    int64_t wall_ns = clock_wall_ns(), boot_ns = clock_boot_ns();
    make_history(&s, wall_ns, boot_ns);
    assert_int_equal(state_save(dir, &s, &err), DR_OK);
    make_rows(&t);
    assert_int_equal(state_load(dir, &t, &err), DR_OK);
    schedule_tick(&t, s.wall_ns + 3600000000000,
                  s.boot_ns); /* an hour on the wall, none since boot */
    assert_int_equal(t.rows[0].good_ns, s.rows[0].good_ns + 3600000000000);
}

static void a_spoilt_history_is_refused_whole(void **state)
{
    (void)state;
    DR_CLEANUP(schedule_fini) struct schedule s = { 0 };
    DR_CLEANUP(buf_fini) struct buf good = { 0 };
    DR_FREE char *path = dr_strf("%s/schedule.json", dir);
    struct dr_err err = { 0 };
    make_history(&s, clock_wall_ns(), clock_boot_ns());
    assert_int_equal(state_save(dir, &s, &err), DR_OK);
    assert_int_equal(fs_read_file(path, STATE_FILE_MAX, &good, &err), DR_OK);
    for (size_t len = 0; len + 1 < good.len; len += 7) {
        DR_CLEANUP(schedule_fini) struct schedule t = { 0 };
        make_rows(&t);
        assert_int_equal(fs_replace(dir, "schedule.json", good.data, len, &err), DR_OK);
        assert_int_equal(state_load(dir, &t, &err), DR_E_CORRUPT);
        assert_int_equal(t.rows[0].good_ns, 0);
        assert_int_equal(t.wall_ns, 0);
    }
    static const char *const wrong[] = { "\"failures\":2",   "\"failures\":-2",
                                         "\"took_ms\":5000", "\"took_ms\":\"x\"",
                                         "drctl-schedule-1", "drctl-schedule-9" };
    for (size_t i = 0; i < DR_ARRAY_LEN(wrong); i += 2) {
        DR_CLEANUP(schedule_fini) struct schedule t = { 0 };
        DR_CLEANUP(buf_fini) struct buf bad = { 0 };
        const char *at = strstr(good.data, wrong[i]);
        assert_non_null(at);
        buf_add(&bad, good.data, (size_t)(at - good.data));
        buf_adds(&bad, wrong[i + 1]);
        buf_adds(&bad, at + strlen(wrong[i]));
        make_rows(&t);
        assert_int_equal(fs_replace(dir, "schedule.json", bad.data, bad.len, &err), DR_OK);
        assert_int_equal(state_load(dir, &t, &err), DR_E_CORRUPT);
        assert_int_equal(t.rows[0].good_ns, 0);
    }
}

static void no_history_is_no_mistake(void **state)
{
    (void)state;
    DR_CLEANUP(schedule_fini) struct schedule s = { 0 };
    struct dr_err err = { 0 };
    make_rows(&s);
    assert_int_equal(state_load(dir, &s, &err), DR_E_NOTFOUND);
}

/* Each call fails, or is the last one: what is read afterwards is the old history or the new one. */
static void the_history_is_old_or_new_whatever_fails(void **state)
{
    (void)state;
    const enum fault_kind kinds[] = { FAULT_ERRNO, FAULT_SHORT, FAULT_DIE_BEFORE, FAULT_DIE_AFTER };
    DR_CLEANUP(schedule_fini) struct schedule old = { 0 }, new = { 0 };
    int64_t wall_ns = clock_wall_ns(), boot_ns = clock_boot_ns();
    make_rows(&old);
    schedule_tick(&old, wall_ns, boot_ns);
    make_history(&new, wall_ns, boot_ns);
    for (size_t k = 0; k < DR_ARRAY_LEN(kinds); k++) {
        bool done = false;
        for (unsigned n = 1; !done; n++) {
            struct dr_err err = { 0 };
            int status;
            assert_int_equal(state_save(dir, &old, &err), DR_OK);
            pid_t pid = fork();
            if (pid == 0) {
                fault_arm(kinds[k], n);
                enum dr_rc rc = state_save(dir, &new, &err);
                bool fired = fault_disarm();
                _exit(rc != DR_OK ? 1 : fired ? 2 : 0);
            }
            assert_int_equal(waitpid(pid, &status, 0), pid);
            assert_true(WIFEXITED(status));
            done = WEXITSTATUS(status) == 0;
            DR_CLEANUP(schedule_fini) struct schedule t = { 0 };
            make_rows(&t);
            assert_int_equal(state_load(dir, &t, &err), DR_OK);
            bool is_new = t.rows[0].good_ns == new.rows[0].good_ns &&t.rows[1].failures == 2;
            bool is_old = t.rows[0].good_ns == 0 && t.rows[1].failures == 0;
            assert_true(is_new || is_old);
            if (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 2)
                assert_true(is_new);
        }
    }
}

/* ---- jobs ---------------------------------------------------------------------------------------- */

static void block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

static void start_shell(const char *script, int64_t deadline_ms, int64_t grace_ms, struct job *ret)
{
    const char *argv[] = { "sh", "-c", script, dir, NULL };
    const struct job_order order = { "/bin/sh", argv, deadline_ms, grace_ms, -1 };
    struct dr_err err = { 0 };
    block_signals();
    assert_int_equal(job_start(&order, ret, &err), DR_OK);
    at_work = *ret;
}

static struct job_result await(struct job *job)
{
    struct job_result result = { 0 };
    int64_t until_ms = clock_boot_ms() + 60000;
    while (!job_ended(job, &result)) {
        assert_true(clock_boot_ms() < until_ms);
        (void)poll(NULL, 0, 5);
    }
    at_work = (struct job){ .guard = 0 };
    return result;
}

static void await_file(const char *name)
{
    DR_FREE char *path = dr_strf("%s/%s", dir, name);
    int64_t until_ms = clock_boot_ms() + 60000;
    while (access(path, F_OK) != 0) {
        assert_true(clock_boot_ms() < until_ms);
        (void)poll(NULL, 0, 5);
    }
}

static void a_job_has_its_exit_code_and_its_last_word(void **state)
{
    (void)state;
    struct job job;
    start_shell("echo '{\"a\":1}'; echo '{\"why\":\"so\"}'; exit 9", 60000, 1000, &job);
    struct job_result r = await(&job);
    assert_int_equal(r.how, JOB_EXITED);
    assert_int_equal(r.exit, 9);
    assert_string_equal(json_string_value(json_object_get(r.said, "why")), "so");
    job_result_fini(&r);
    start_shell("echo no json", 60000, 1000, &job);
    r = await(&job);
    assert_int_equal(r.exit, 0);
    assert_null(r.said);
}

static void a_job_that_cannot_be_started_is_told(void **state)
{
    (void)state;
    const char *argv[] = { "none", NULL };
    const struct job_order order = { "/nonexistent/program", argv, 60000, 1000, -1 };
    struct dr_err err = { 0 };
    struct job job;
    block_signals();
    assert_int_equal(job_start(&order, &job, &err), DR_OK);
    struct job_result r = await(&job);
    assert_int_equal(r.how, JOB_KILLED);
    assert_int_equal(r.exit, 1);
}

static void a_job_reads_nothing_and_holds_nothing_of_ours(void **state)
{
    (void)state;
    struct job job;
    int fd = open("/dev/null", O_RDONLY); /* without O_CLOEXEC */
    assert_true(fd > 2);
    DR_FREE char *script = dr_strf("read line && exit 3; [ ! -e /proc/self/fd/%d ] || exit 4", fd);
    start_shell(script, 60000, 1000, &job);
    struct job_result r = await(&job);
    assert_int_equal(r.exit, 0);
    close(fd);
}

static void a_job_behind_its_deadline_is_ended(void **state)
{
    (void)state;
    struct job job;
    start_shell("exec sleep 600", 50, 60000, &job);
    struct job_result r = await(&job);
    assert_int_equal(r.how, JOB_LATE);
    assert_int_equal(r.exit, 1);
}

static void a_job_that_does_not_listen_is_killed_with_its_group(void **state)
{
    (void)state;
    struct job job;
    DR_FREE char *fifo = dr_strf("%s/fifo", dir);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    int fd = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    start_shell("exec 7>$0/fifo; trap '' TERM; touch $0/up; sleep 600 & sleep 600; wait", 600000,
                50, &job);
    await_file("up");
    job_stop(&job, false);
    struct job_result r = await(&job);
    assert_int_equal(r.how, JOB_STOPPED);
    assert_int_equal(r.exit, 1);
    struct pollfd pfd = { .fd = fd, .events = POLLIN };
    assert_int_equal(poll(&pfd, 1, 60000), 1);
    assert_true(pfd.revents & POLLHUP);
    close(fd);
}

static void a_job_that_is_stopped_may_tidy_up(void **state)
{
    (void)state;
    struct job job;
    start_shell("trap 'touch $0/thawed; exit 1' TERM; touch $0/up; while :; do sleep 0.05; done",
                600000, 60000, &job);
    await_file("up");
    job_stop(&job, false);
    struct job_result r = await(&job);
    assert_int_equal(r.how, JOB_STOPPED);
    await_file("thawed");
}

static void hurry_needs_no_grace(void **state)
{
    (void)state;
    struct job job;
    start_shell("trap '' TERM; touch $0/up; while :; do sleep 0.05; done", 600000, 600000, &job);
    await_file("up");
    job_stop(&job, false);
    job_stop(&job, true);
    struct job_result r = await(&job);
    assert_int_equal(r.how, JOB_STOPPED);
}

/* Whoever started it is killed: nothing of it goes on. */
static void no_job_outlives_its_backupd(void **state)
{
    (void)state;
    DR_FREE char *fifo = dr_strf("%s/fifo", dir);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    int fd = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    pid_t pid = fork();
    if (pid == 0) {
        struct job job;
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* of a test that failed */
        start_shell("exec 7>$0/fifo; trap '' TERM; touch $0/up; sleep 600 & sleep 600; wait",
                    600000, 50, &job);
        for (;;)
            pause();
    }
    await_file("up");
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    struct pollfd pfd = { .fd = fd, .events = POLLIN };
    assert_int_equal(poll(&pfd, 1, 60000), 1);
    assert_true(pfd.revents & POLLHUP);
    close(fd);
}

/* Nobody is left who could end it but the kernel. */
static void a_job_whose_guard_is_killed_is_told_to_end(void **state)
{
    (void)state;
    struct job job;
    DR_FREE char *fifo = dr_strf("%s/fifo", dir);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    int fd = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    start_shell("exec 7>$0/fifo; trap 'touch $0/thawed; exit 0' TERM; touch $0/up; "
                "while :; do sleep 0.05; done",
                600000, 600000, &job);
    await_file("up");
    kill(job.guard, SIGKILL);
    struct job_result r = await(&job);
    assert_int_equal(r.how, JOB_KILLED);
    await_file("thawed");
    struct pollfd pfd = { .fd = fd, .events = POLLIN };
    assert_int_equal(poll(&pfd, 1, 60000), 1);
    assert_true(pfd.revents & POLLHUP);
    close(fd);
}

/* ---- rows ---------------------------------------------------------------------------------------- */

static struct config *load(const char *text)
{
    DR_FREE char *path = dr_strf("%s/dr.yaml", dir);
    struct dr_err err = { 0 };
    struct config *c = NULL;
    DR_CLEANUP(diag_fini) struct diag d = { 0 };
    DR_CLEANUP(buf_fini) struct buf findings = { 0 };
    assert_int_equal(fs_replace(dir, "dr.yaml", text, strlen(text), &err), DR_OK);
    enum dr_rc rc = config_load(path, &d, &c, &err);
    diag_print(&d, &findings);
    if (rc != DR_OK)
        fail_msg("%s", findings.data);
    return c;
}

static const char config_text[] =
    "disaster_recovery:\n"
    "  backup_policy:\n"
    "    full_backup: {frequency: daily, retention: 30d}\n"
    "    incremental_backup: {frequency: 1h, retention: 7d}\n"
    "    config_snapshot: {frequency: 15m, retention: 1d}\n"
    "  rto: {fire: 30m}\n"
    "  rpo: {fire: 2h, flood: 2h}\n"
    "sites:\n"
    "  - {name: us, region: us-east-1, host: us-db-1}\n"
    "  - {name: eu, region: eu-west-1, host: eu-db-1}\n"
    "sources:\n"
    "  - {name: app, path: /srv/app, site: us, sentinel: time}\n"
    "  - {name: etc, path: /etc, class: config, site: us}\n"
    "  - {name: far, path: /srv/far, site: eu, sentinel: {file: time, by: application}}\n"
    "buckets:\n"
    "  - {name: a, url: \"file:///b/a\", region: us-east-1}\n"
    "  - {name: b, url: \"file:///b/b\", region: eu-west-1}\n"
    "  - {name: c, url: \"file:///b/c\", region: eu-west-1}\n";

static void rows_are_those_of_the_policy_and_of_this_host(void **state)
{
    (void)state;
    DR_CLEANUP(config_free_ptr) struct config *c = load(config_text);
    DR_CLEANUP(schedule_fini) struct schedule s = { 0 };
    const struct rows_here here = { .site = config_here(c, "us-db-1") };
    rows_make(c, &here, &s);
    assert_non_null(schedule_find(&s, SCHEDULE_FULL, "app"));
    assert_non_null(schedule_find(&s, SCHEDULE_INCREMENTAL, "app"));
    assert_null(schedule_find(&s, SCHEDULE_CONFIG, "app"));
    assert_non_null(schedule_find(&s, SCHEDULE_FULL, "etc"));
    assert_non_null(schedule_find(&s, SCHEDULE_CONFIG, "etc"));
    assert_null(schedule_find(&s, SCHEDULE_INCREMENTAL, "etc"));
    assert_null(schedule_find(&s, SCHEDULE_FULL, "far"));
    assert_non_null(schedule_find(&s, SCHEDULE_PRUNE, NULL));
    assert_non_null(schedule_find(&s, SCHEDULE_VERIFY, NULL));
    assert_non_null(schedule_find(&s, SCHEDULE_PREFLIGHT, "fire"));
    assert_non_null(schedule_find(&s, SCHEDULE_PREFLIGHT, "flood"));
    assert_null(schedule_find(&s, SCHEDULE_DRILL, "fire"));
    assert_int_equal(schedule_find(&s, SCHEDULE_CONFIG, "etc")->every.ms, 15 * 60 * 1000);
    assert_int_equal(schedule_find(&s, SCHEDULE_CONFIG, CONFIG_SELF)->every.ms, 15 * 60 * 1000);
    assert_null(schedule_find(&s, SCHEDULE_FULL, CONFIG_SELF));
    assert_int_equal(schedule_find(&s, SCHEDULE_SENTINEL, NULL)->every.ms, 60000);
}

static void no_sentinel_is_written_where_the_application_does(void **state)
{
    (void)state;
    DR_CLEANUP(config_free_ptr) struct config *c = load(config_text);
    DR_CLEANUP(schedule_fini) struct schedule s = { 0 };
    const struct rows_here here = { .site = config_here(c, "eu-db-1") };
    rows_make(c, &here, &s);
    assert_non_null(schedule_find(&s, SCHEDULE_FULL, "far"));
    assert_null(schedule_find(&s, SCHEDULE_SENTINEL, NULL));
}

static void assert_words(const struct config *c, const struct schedule *s, enum schedule_what what,
                         const char *subject, const char *want)
{
    struct rows_argv argv;
    DR_CLEANUP(text_list_fini) struct text_list words = { 0 };
    const struct schedule_row *row = schedule_find(s, what, subject);
    assert_non_null(row);
    rows_argv(c, s, row, "/copy", &argv);
    for (size_t i = 0; argv.words[i] != NULL; i++)
        text_list_add(&words, argv.words[i]);
    DR_FREE char *line = text_list_join(&words, " ");
    assert_string_equal(line, want);
}

static void each_row_has_its_command(void **state)
{
    (void)state;
    DR_CLEANUP(config_free_ptr) struct config *c = load(config_text);
    DR_CLEANUP(schedule_fini) struct schedule s = { 0 };
    const struct rows_here here = { .site = NULL };
    rows_make(c, &here, &s);
    assert_words(c, &s, SCHEDULE_FULL, "app",
                 "drctl -c /copy -q --json --yes backup --kind full --source app");
    assert_words(c, &s, SCHEDULE_CONFIG, "etc",
                 "drctl -c /copy -q --json --yes backup --kind config --source etc");
    assert_words(c, &s, SCHEDULE_PRUNE, NULL, "drctl -c /copy -q --json --yes prune");
    assert_words(c, &s, SCHEDULE_VERIFY, NULL,
                 "drctl -c /copy -q --json --yes verify --data --budget 10737418240B");
    assert_words(c, &s, SCHEDULE_LOOK, NULL, "drctl -c /copy -q --json --yes snapshots");
    DR_FREE char *self = dr_strf(
        "drctl -c %s/dr.yaml -q --json --yes backup --kind config --source drctl-self", dir);
    assert_words(c, &s, SCHEDULE_CONFIG, CONFIG_SELF, self);
    DR_FREE char *ask = dr_strf("drctl -c %s/dr.yaml -q --json --yes plan preflight fire", dir);
    assert_words(c, &s, SCHEDULE_PREFLIGHT, "fire", ask);
    assert_words(c, &s, SCHEDULE_REPAIR, NULL, "drctl -c /copy -q --json --yes repair");
    assert_words(c, &s, SCHEDULE_ANCHOR, NULL, "drctl -c /copy -q --json --yes audit anchor");
    assert_words(c, &s, SCHEDULE_SENTINEL, NULL, "drctl -c /copy -q --json --yes sentinel");
}

static void a_drill_is_called_with_the_time_at_which_it_was_due(void **state)
{
    (void)state;
    DR_FREE char *text = dr_strf("%s%s", config_text, "notify: {desk: {command: [cat]}}\n");
    DR_FREE char *with = dr_strf("disaster_recovery:\n  drill_schedule: {frequency: monthly, time: "
                                 "\"03:30\", plans: [fire]}\n%s",
                                 text + strlen("disaster_recovery:\n"));
    DR_CLEANUP(config_free_ptr) struct config *c = load(with);
    DR_CLEANUP(schedule_fini) struct schedule s = { 0 };
    const struct rows_here here = { .can_drill = true };
    int64_t now_ns = 0;
    setenv("TZ", "UTC", 1);
    tzset();
    rows_make(c, &here, &s);
    assert_true(time_parse("2026-11-21T12:00:00Z", &now_ns));
    schedule_tick(&s, now_ns, 1);
    DR_FREE char *want = dr_strf("drctl -c %s/dr.yaml -q --json --yes drill-turn --since "
                                 "2026-11-01T03:30:00Z fire",
                                 dir);
    assert_words(c, &s, SCHEDULE_DRILL, "fire", want);
    unsetenv("TZ");
    tzset();
}

static void a_backup_that_some_bucket_lacks_wants_a_repair(void **state)
{
    (void)state;
    DR_JSON json_t *all = json_pack("{s:[],s:[]}", "missing", "required_missing");
    DR_JSON json_t *some = json_pack("{s:[s],s:[]}", "missing", "eu: gone", "required_missing");
    DR_JSON json_t *must = json_pack("{s:[],s:[s]}", "missing", "required_missing", "eu");
    assert_false(rows_left(0, all));
    assert_false(rows_left(8, all)); /* a file was skipped: no bucket's business */
    assert_true(rows_left(8, some));
    assert_true(rows_left(9, must));
    assert_true(rows_left(9, NULL));
    assert_false(rows_left(1, NULL));
}

static void a_snapshot_counts_when_it_is_in_most_buckets(void **state)
{
    (void)state;
    DR_CLEANUP(config_free_ptr) struct config *c = load(config_text);
    DR_CLEANUP(schedule_fini) struct schedule s = { 0 };
    const struct rows_here here = { .site = NULL };
    static const char said[] =
        "[{\"state\":\"good\",\"source\":\"app\",\"kind\":\"full\",\"buckets\":[\"a\",\"b\"],"
        "\"started_at\":\"2026-11-20T10:00:00Z\",\"taken_at\":\"2026-11-20T11:00:00Z\"},"
        "{\"state\":\"good\",\"source\":\"app\",\"kind\":\"full\",\"buckets\":[\"a\"],"
        "\"started_at\":\"2026-11-20T20:00:00Z\",\"taken_at\":\"2026-11-20T21:00:00Z\"},"
        "{\"state\":\"good\",\"source\":\"drctl-self\",\"kind\":\"config\",\"buckets\":[\"a\",\"b\"],"
        "\"started_at\":\"2026-11-20T20:00:00Z\",\"taken_at\":\"2026-11-20T20:00:01Z\"},"
        "{\"state\":\"refused\",\"source\":\"app\",\"kind\":\"full\",\"buckets\":[\"a\",\"b\"],"
        "\"started_at\":\"2026-11-20T22:00:00Z\",\"taken_at\":\"2026-11-20T23:00:00Z\"}]";
    struct dr_err err = { 0 };
    DR_JSON json_t *list = NULL;
    assert_int_equal(json_read("test", said, strlen(said), &list, &err), DR_OK);
    rows_make(c, &here, &s);
    schedule_tick(&s, 1795220000LL * 1000000000, 1000); /* 2026-11-21 */
    rows_seen(c, list, &s);
    int64_t want_ns = 1795168800LL * 1000000000; /* 2026-11-20T10:00:00Z */
    assert_int_equal(schedule_find(&s, SCHEDULE_FULL, "app")->good_ns, want_ns);
    assert_int_equal(schedule_find(&s, SCHEDULE_INCREMENTAL, "app")->good_ns, want_ns);
    assert_int_equal(schedule_find(&s, SCHEDULE_FULL, "etc")->good_ns, 0);
    /* It may be another host's: all of them have this name. */
    assert_int_equal(schedule_find(&s, SCHEDULE_CONFIG, CONFIG_SELF)->good_ns, 0);
}

static void a_reload_keeps_the_history_of_what_stays(void **state)
{
    (void)state;
    DR_CLEANUP(schedule_fini) struct schedule s = { 0 }, t = { 0 };
    const struct schedule_every weekly = { .ms = 7 * 86400000LL, .word = "weekly" };
    make_history(&s, clock_wall_ns(), clock_boot_ns());
    (void)schedule_add(&t, SCHEDULE_FULL, "app", &weekly);
    (void)schedule_add(&t, SCHEDULE_FULL, "other", &weekly);
    rows_carry(&t, &s);
    assert_int_equal(t.rows[0].good_ns, s.rows[0].good_ns);
    assert_int_equal(t.rows[0].every.ms, weekly.ms);
    assert_int_equal(t.rows[1].good_ns, 0);
    assert_int_equal(t.boot_ns, s.boot_ns);
}

/* ---- findings ------------------------------------------------------------------------------------ */

static void each_finding_is_told_by_one_living_site(void **state)
{
    (void)state;
    static const char view_text[] =
        "{\"sites\":[{\"name\":\"ap\",\"state\":\"silent\"},{\"name\":\"eu\",\"state\":\"alive\"},"
        "{\"name\":\"us\",\"state\":\"alive\"}],"
        "\"sources\":[{\"name\":\"app\",\"site\":\"us\"},{\"name\":\"far\",\"site\":\"ap\"},"
        "{\"name\":\"any\",\"site\":null}],"
        "\"findings\":[{\"key\":\"overdue/app\"},{\"key\":\"overdue/far\"},{\"key\":\"none/any\"},"
        "{\"key\":\"silent/ap\"},{\"key\":\"job/us/full/app\"},{\"key\":\"probe/eu/front\"},"
        "{\"key\":\"region/us-east-1/app\"},{\"key\":\"unreachable/us\"},{\"key\":\"state\"},"
        "{\"key\":\"late/F-1\"}]}";
    static const struct {
        const char *own, *want;
    } cases[] = {
        { "us", "overdue/app job/us/full/app region/us-east-1/app state late/F-1" },
        { "eu", "overdue/far none/any silent/ap probe/eu/front unreachable/us state late/F-1" },
        /* It lives, whatever the others say of it, and is the first. */
        { "ap", "overdue/far none/any silent/ap unreachable/us state late/F-1" },
    };
    struct dr_err err = { 0 };
    DR_JSON json_t *view = NULL;
    assert_int_equal(json_read("test", view_text, strlen(view_text), &view, &err), DR_OK);
    for (size_t n = 0; n < DR_ARRAY_LEN(cases); n++) {
        DR_JSON json_t *ours = teller_findings(view, cases[n].own);
        DR_CLEANUP(text_list_fini) struct text_list keys = { 0 };
        size_t i;
        const json_t *o;
        json_array_foreach(ours, i, o)
            text_list_add(&keys, json_string_value(json_object_get(o, "key")));
        DR_FREE char *line = text_list_join(&keys, " ");
        assert_string_equal(line, cases[n].want);
    }
}

/* ---- the word to systemd --------------------------------------------------------------------------- */

static void the_manager_hears_each_word(void **state)
{
    (void)state;
    for (int abstract = 0; abstract < 2; abstract++) {
        struct sockaddr_un at = { .sun_family = AF_UNIX };
        DR_FREE char *name = dr_strf("%s%s/notify", abstract ? "@" : "", dir);
        memcpy(at.sun_path, name, strlen(name));
        if (abstract)
            at.sun_path[0] = '\0';
        socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&at, size), 0);
        setenv("NOTIFY_SOCKET", name, 1);
        setenv("WATCHDOG_USEC", "30000000", 1);
        struct sdnotify sd;
        sdnotify_init(&sd);
        assert_int_equal(sd.watchdog_ms, 30000);
        assert_null(getenv("NOTIFY_SOCKET")); /* no child speaks for us */
        sdnotify_say(&sd, "READY=1");
        char word[64] = "";
        assert_int_equal(recv(fd, word, sizeof(word), 0), 7);
        assert_string_equal(word, "READY=1");
        close(fd);
        sdnotify_say(&sd, "STOPPING=1"); /* nobody is there: no matter */
    }
}

static void without_a_manager_nothing_is_said(void **state)
{
    (void)state;
    struct sdnotify sd;
    setenv("WATCHDOG_USEC", "30000000", 1);
    sdnotify_init(&sd);
    assert_int_equal(sd.to_size, 0);
    assert_int_equal(sd.watchdog_ms, 0);
    sdnotify_say(&sd, "READY=1");
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, drop_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(the_history_survives),
        IN_DIR(what_was_running_failed_with_its_backupd),
        IN_DIR(a_jump_while_nobody_was_there_is_seen_in_the_same_boot),
        IN_DIR(a_spoilt_history_is_refused_whole),
        IN_DIR(no_history_is_no_mistake),
        IN_DIR(the_history_is_old_or_new_whatever_fails),
        IN_DIR(a_job_has_its_exit_code_and_its_last_word),
        IN_DIR(a_job_that_cannot_be_started_is_told),
        IN_DIR(a_job_reads_nothing_and_holds_nothing_of_ours),
        IN_DIR(a_job_behind_its_deadline_is_ended),
        IN_DIR(a_job_that_does_not_listen_is_killed_with_its_group),
        IN_DIR(a_job_that_is_stopped_may_tidy_up),
        IN_DIR(hurry_needs_no_grace),
        IN_DIR(no_job_outlives_its_backupd),
        IN_DIR(a_job_whose_guard_is_killed_is_told_to_end),
        IN_DIR(rows_are_those_of_the_policy_and_of_this_host),
        IN_DIR(no_sentinel_is_written_where_the_application_does),
        IN_DIR(each_row_has_its_command),
        IN_DIR(a_drill_is_called_with_the_time_at_which_it_was_due),
        IN_DIR(a_backup_that_some_bucket_lacks_wants_a_repair),
        IN_DIR(a_snapshot_counts_when_it_is_in_most_buckets),
        IN_DIR(a_reload_keeps_the_history_of_what_stays),
        IN_DIR(each_finding_is_told_by_one_living_site),
        IN_DIR(the_manager_hears_each_word),
        IN_DIR(without_a_manager_nothing_is_said),
    };
    return cmocka_run_group_tests_name("backupd", tests, NULL, NULL);
}
