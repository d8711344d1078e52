/*
 * Hooks: what runs around a backup, in which order, with which words, and that nothing which hangs or
 * fails keeps the application frozen. Each hook is a line of shell that writes into a log.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/work/hooks.h"
#include "backup/work/source_lock.h"
#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "tests/support/site.h"

enum { BOUND_MS = 60000, SHORT_MS = 300 };

static struct site site;
static char *log_path; /* TOP/log */

static struct config_source *source(void)
{
    return &site.config->sources[0];
}

static void set_hook(struct text_list *argv, const char *line)
{
    text_list_fini(argv);
    *argv = (struct text_list){ 0 };
    text_list_add(argv, "/bin/sh");
    text_list_add(argv, "-c");
    DR_FREE char *whole = dr_strf("log='%s'; %s", log_path, line);
    text_list_add(argv, whole);
}

static int set_up(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    site_make(&site);
    site_write(&site, "a", "one\n", 4);
    log_path = dr_strf("%s/log", site.top);
    struct config_hooks *h = &source()->hooks;
    h->timeout_ms = BOUND_MS;
    set_hook(&h->pre, "echo pre $DRCTL_SOURCE $DRCTL_KIND ${DRCTL_SNAPSHOT:-none} "
                      "${DRCTL_OUTCOME:-none} >>$log; cat >>$log; test -d \"$DRCTL_PATH\"");
    set_hook(&h->post, "echo post ${DRCTL_SNAPSHOT:-none} $DRCTL_OUTCOME >>$log");
    set_hook(&h->on_error, "echo on_error $DRCTL_OUTCOME $DRCTL_ERROR >>$log");
    return repo_init(site.config, &err) == DR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    free(log_path);
    site_drop(&site);
    return 0;
}

struct taken {
    enum dr_rc rc;
    struct dr_err err;
    char id[SNAPSHOT_ID_MAX];
};

static struct taken take_with(const struct backup_wish *wish, const struct work_hooks *hooks)
{
    struct taken t = { .err = { .rc = DR_OK } };
    struct backup_result result = { 0 };
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    t.rc = hooks_backup(r, wish, hooks, &result, &t.err);
    snprintf(t.id, sizeof(t.id), "%s", result.id);
    backup_result_fini(&result);
    return t;
}

static struct taken take(void)
{
    return take_with(&(struct backup_wish){ .source = source(), .kind = "full" }, &site.hooks);
}

static size_t snapshot_count(void)
{
    struct snapshot_list list = { 0 };
    struct dr_err err = { 0 };
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    if (repo_snapshots(r, NULL, &list, &err) != DR_OK)
        fail_msg("%s", err.msg);
    size_t count = list.count;
    snapshot_list_fini(&list);
    return count;
}

static void assert_log(const char *wanted)
{
    char is[4096] = "";
    FILE *f = fopen(log_path, "r");
    if (f != NULL) {
        is[fread(is, 1, sizeof(is) - 1, f)] = '\0';
        fclose(f);
    }
    assert_string_equal(is, wanted);
}

static void pre_runs_before_and_post_behind_with_their_words(void **state)
{
    (void)state;
    const struct taken t = take();
    if (t.rc != DR_OK)
        fail_msg("%s", t.err.msg);
    DR_FREE char *wanted = dr_strf("pre app full none none\npost %s done\n", t.id);
    assert_log(wanted);
}

static void what_pre_leaves_behind_is_what_is_read(void **state)
{
    (void)state;
    DR_FREE char *line = dr_strf("echo frozen >'%s/made'", site.src);
    set_hook(&source()->hooks.pre, line);
    line = (free(line), dr_strf("rm '%s/made'", site.src));
    set_hook(&source()->hooks.post, line);
    assert_int_equal(take().rc, DR_OK);
    struct dr_err err = { 0 };
    struct restore_result result;
    assert_int_equal(site_restore(&site, &result, &err), DR_OK);
    DR_FREE char *made = dr_strf("%s/made", site.target);
    DR_FREE char *gone = dr_strf("%s/made", site.src);
    assert_int_equal(access(made, F_OK), 0);
    assert_int_not_equal(access(gone, F_OK), 0);
}

static void a_failing_pre_reads_nothing_and_is_undone(void **state)
{
    (void)state;
    set_hook(&source()->hooks.pre, "echo one; echo two >&2; exit 3");
    const struct taken t = take();
    assert_int_equal(t.rc, DR_E_STEP);
    assert_string_equal(t.err.msg, "hook 'pre' of source 'app' ended with 3: one; two");
    assert_log("post none failed\n"
               "on_error failed hook 'pre' of source 'app' ended with 3: one; two\n");
    assert_int_equal(snapshot_count(), 0);
}

static void a_pre_that_cannot_be_started_is_named(void **state)
{
    (void)state;
    struct text_list *argv = &source()->hooks.pre;
    text_list_fini(argv);
    *argv = (struct text_list){ 0 };
    text_list_add(argv, "/no/such/program");
    const struct taken t = take();
    assert_int_equal(t.rc, DR_E_STEP);
    assert_non_null(strstr(t.err.msg, "cannot start '/no/such/program': No such file"));
}

/* It and what it started: the pipe of the second sleep would otherwise be open for an hour. */
static void a_hanging_pre_is_ended_with_its_group(void **state)
{
    (void)state;
    source()->hooks.timeout_ms = SHORT_MS;
    DR_FREE char *pid_path = dr_strf("%s/pid", site.top);
    DR_FREE char *line =
        dr_strf("trap '' TERM; sh -c 'trap \"\" TERM; echo $$ >%s; exec sleep 3600' & "
                "until test -s %s; do :; done; wait; sleep 3600",
                pid_path, pid_path);
    set_hook(&source()->hooks.pre, line);
    const struct taken t = take();
    assert_int_equal(t.rc, DR_E_TIMEOUT);
    assert_non_null(strstr(t.err.msg, "hook 'pre' of source 'app' did not end within 300ms"));
    assert_int_equal(snapshot_count(), 0);
    FILE *f = fopen(pid_path, "r");
    int pid = 0;
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%d", &pid), 1);
    fclose(f);
    int64_t until = clock_boot_ms() + BOUND_MS; /* SIGKILL was sent; the end is the kernel's */
    DR_FREE char *stat = dr_strf("/proc/%d/stat", pid);
    for (bool alive = true; alive;) {
        char form = 'Z';
        FILE *s = fopen(stat, "r");
        alive = s != NULL && fscanf(s, "%*d (%*[^)]) %c", &form) == 1 && form != 'Z';
        if (s != NULL)
            fclose(s);
        assert_true(clock_boot_ms() < until);
    }
}

static void a_hanging_post_fails_the_backup_whose_snapshot_stays(void **state)
{
    (void)state;
    source()->hooks.timeout_ms = SHORT_MS;
    set_hook(&source()->hooks.post, "echo thawing; sleep 3600");
    const struct taken t = take();
    assert_int_equal(t.rc, DR_E_TIMEOUT);
    assert_non_null(strstr(t.err.msg, "was taken, but hook 'post' of source 'app' did not end"));
    assert_non_null(strstr(t.err.msg, "thawing"));
    assert_int_equal(snapshot_count(), 1);
}

static void post_runs_behind_a_backup_that_failed(void **state)
{
    (void)state;
    DR_FREE char *away = dr_strf("%s/nowhere", site.top);
    free(source()->path);
    source()->path = dr_strdup(away);
    set_hook(&source()->hooks.pre, "true");
    const struct taken t = take();
    assert_int_not_equal(t.rc, DR_OK);
    DR_FREE char *wanted = dr_strf("post none failed\non_error failed %s\n", t.err.msg);
    assert_log(wanted);
}

static bool stop(void *arg, const struct work_progress *p)
{
    (void)arg;
    (void)p;
    return false;
}

static void post_runs_behind_a_backup_that_was_stopped(void **state)
{
    (void)state;
    const struct work_hooks hooks = { .progress = stop };
    const struct backup_wish wish = { .source = source(), .kind = "full" };
    set_hook(&source()->hooks.pre, "true");
    assert_int_equal(take_with(&wish, &hooks).rc, DR_E_CANCELLED);
    assert_int_equal(snapshot_count(), 0);
    FILE *f = fopen(log_path, "r");
    char line[64] = "";
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof(line), f));
    fclose(f);
    assert_string_equal(line, "post none cancelled\n");
}

static void stopping_ends_a_pre_that_would_take_long(void **state)
{
    (void)state;
    const struct work_hooks hooks = { .progress = stop };
    const struct backup_wish wish = { .source = source(), .kind = "full" };
    set_hook(&source()->hooks.pre, "sleep 3600");
    const struct taken t = take_with(&wish, &hooks);
    assert_int_equal(t.rc, DR_E_CANCELLED);
    assert_string_equal(t.err.msg, "hook 'pre' of source 'app' was stopped");
}

static void a_failing_on_error_is_a_warning(void **state)
{
    (void)state;
    set_hook(&source()->hooks.pre, "exit 1");
    set_hook(&source()->hooks.on_error, "exit 9");
    assert_int_equal(take().rc, DR_E_STEP);
    assert_true(site_warned(&site, "hook 'on_error'", "ended with 9"));
}

static void a_dry_run_runs_none(void **state)
{
    (void)state;
    const struct backup_wish wish = { .source = source(), .dry_run = true };
    assert_int_equal(take_with(&wish, &site.hooks).rc, DR_OK);
    assert_log("");
}

static void of_many_words_the_last_are_kept(void **state)
{
    (void)state;
    set_hook(&source()->hooks.pre,
             "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; exit 1");
    const struct taken t = take();
    assert_int_equal(t.rc, DR_E_STEP);
    assert_non_null(strstr(t.err.msg, "line 19998; line 19999"));
    assert_null(strstr(t.err.msg, "line 100;"));
}

/* The application stays frozen until somebody comes: the next backup, whose pre bears being repeated. */
static void after_a_kill_the_next_backup_works(void **state)
{
    (void)state;
    DR_FREE char *frozen = dr_strf("%s/frozen", site.top);
    DR_FREE char *pre = dr_strf("touch '%s'; echo pre >>$log; kill -9 $PPID", frozen);
    DR_FREE char *post = dr_strf("rm -f '%s'", frozen);
    set_hook(&source()->hooks.pre, pre);
    set_hook(&source()->hooks.post, post);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)take();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(access(frozen, F_OK), 0);
    pre = (free(pre), dr_strf("test -e '%s'", frozen));
    set_hook(&source()->hooks.pre, pre);
    const struct taken t = take();
    if (t.rc != DR_OK)
        fail_msg("%s", t.err.msg);
    assert_int_not_equal(access(frozen, F_OK), 0);
}

/* ---- two of them --------------------------------------------------------------------------------- */

/* Another process that has the source, until it is killed. */
static pid_t other;

static void start_other(void)
{
    int ends[2];
    char byte = 'n';
    assert_int_equal(pipe(ends), 0);
    other = fork();
    if (other == 0) {
        struct dr_err err = { 0 };
        int held = -1;
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        byte = source_lock(site.config->state_dir, "app", &held, &err) == DR_OK ? 'y' : 'n';
        (void)!write(ends[1], &byte, 1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    close(ends[0]);
    close(ends[1]);
}

static void end_other(void)
{
    kill(other, SIGKILL);
    assert_int_equal(waitpid(other, NULL, 0), other);
    other = 0;
}

static void beside_another_backup_of_the_source_nothing_is_begun(void **state)
{
    (void)state;
    start_other();
    const struct taken t = take();
    end_other();
    assert_int_equal(t.rc, DR_E_BUSY);
    assert_log("");
    assert_int_equal(snapshot_count(), 0);
    assert_int_equal(take().rc, DR_OK);
}

static bool release_when_waited_for(void *arg, const struct work_progress *p)
{
    int *waits = arg;
    if (strcmp(p->doing, "waiting") == 0 && ++*waits == 2)
        end_other();
    return true;
}

static bool stop_waiting(void *arg, const struct work_progress *p)
{
    (void)arg;
    return strcmp(p->doing, "waiting") != 0;
}

static void whoever_has_patience_waits_for_it(void **state)
{
    (void)state;
    int waits = 0;
    const struct backup_wish wish = { .source = source(), .kind = "full", .patience_ms = BOUND_MS };
    start_other();
    struct taken t = take_with(
        &wish, &(struct work_hooks){ .progress = release_when_waited_for, .arg = &waits });
    assert_int_equal(t.rc, DR_OK);
    assert_int_equal(waits, 2);
    start_other();
    t = take_with(&wish, &(struct work_hooks){ .progress = stop_waiting });
    end_other();
    assert_int_equal(t.rc, DR_E_CANCELLED);
    assert_int_equal(snapshot_count(), 1);
}

#define HOOK_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOOK_TEST(pre_runs_before_and_post_behind_with_their_words),
        HOOK_TEST(what_pre_leaves_behind_is_what_is_read),
        HOOK_TEST(a_failing_pre_reads_nothing_and_is_undone),
        HOOK_TEST(a_pre_that_cannot_be_started_is_named),
        HOOK_TEST(a_hanging_pre_is_ended_with_its_group),
        HOOK_TEST(a_hanging_post_fails_the_backup_whose_snapshot_stays),
        HOOK_TEST(post_runs_behind_a_backup_that_failed),
        HOOK_TEST(post_runs_behind_a_backup_that_was_stopped),
        HOOK_TEST(stopping_ends_a_pre_that_would_take_long),
        HOOK_TEST(a_failing_on_error_is_a_warning),
        HOOK_TEST(a_dry_run_runs_none),
        HOOK_TEST(of_many_words_the_last_are_kept),
        HOOK_TEST(after_a_kill_the_next_backup_works),
        HOOK_TEST(beside_another_backup_of_the_source_nothing_is_begun),
        HOOK_TEST(whoever_has_patience_waits_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
