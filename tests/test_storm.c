/*
 * Backups, prunes and repairs that meet each other, sleep and die at any of their store operations. The one
 * promise: every visible snapshot has all its packs in its bucket, at every quiet moment; and one
 * undisturbed prune then leaves no garbage. First three sweeps in which each order is tried, then storms
 * of random ones (seed and rounds: STORM_SEED, STORM_ROUNDS), on directories and on S3 behind a bad network.
 *
 * Backups run with threads here, but each process of the sweeps makes its calls in one order.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/work/prune.h"
#include "backup/work/prune_view.h"
#include "backup/work/repair.h"
#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "tests/support/httpfault.h"
#include "tests/support/site.h"
#include "tests/support/stopstore.h"

enum {
    CHILD_OK,
    CHILD_BUSY,
    CHILD_OTHER,
    CHILD_WRONG,
    SOURCES = 2,
    SHARED_FILES = 4,
    FILE_SIZE = 300000
};

static struct site site;
static struct config_source sources[SOURCES];
static struct dr_err err;

/* -- a small generator: the same seed, the same storm ------------------------------------------ */

static uint64_t dice;

static uint64_t roll(uint64_t sides)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return dice % sides;
}

/* -- the world -------------------------------------------------------------------------------- */

/* The same seed gives the same bytes, whatever the file: sources share content. */
static void write_file(const char *dir, const char *name, uint64_t seed)
{
    static uint64_t bytes[FILE_SIZE / 8];
    uint64_t x = seed * 2654435769U + 1;
    for (size_t i = 0; i < DR_ARRAY_LEN(bytes); i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        bytes[i] = x;
    }
    assert_int_equal(fs_replace(dir, name, bytes, sizeof(bytes), &err), DR_OK);
}

static int set_up_at(const char *us, const char *eu, const char *more)
{
    err = (struct dr_err){ 0 };
    site_make_at(&site, us, eu, more);
    DR_FREE char *other = dr_strf("%s/src2", site.top);
    assert_int_equal(mkdir(other, 0755), 0);
    sources[0] = site.config->sources[0];
    sources[1] = site.config->sources[0];
    sources[1].name = dr_strdup("etc");
    sources[1].path = dr_strdup(other);
    for (int s = 0; s < SOURCES; s++) {
        for (uint64_t i = 0; i < SHARED_FILES; i++) {
            DR_FREE char *name = dr_strf("f%d", (int)i);
            write_file(sources[s].path, name, 100 + i);
        }
    }
    assert_int_equal(repo_init(site.config, &err), DR_OK);
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    return set_up_at(NULL, NULL, "");
}

static struct httpfault *server; /* only the storms on S3 have one */

static int set_up_s3(void **state)
{
    (void)state;
    server = httpfault_start();
    (void)httpfault_bucket(server, "backup-us"); /* made; we look into them as a client does */
    (void)httpfault_bucket(server, "backup-eu");
    DR_FREE char *us = dr_strf("s3://backup-us?endpoint=%s", httpfault_url(server));
    DR_FREE char *eu = dr_strf("s3://backup-eu?endpoint=%s", httpfault_url(server));
    return set_up_at(us, eu, ", credentials: environment");
}

static int tear_down(void **state)
{
    (void)state;
    httpfault_stop(server);
    server = NULL;
    free(sources[1].name);
    free(sources[1].path);
    site_drop(&site);
    return 0;
}

static enum dr_rc backup(struct repo *r, int source, const char *kind, bool threads,
                         char id[SNAPSHOT_ID_MAX])
{
    struct backup_result result = { 0 };
    const struct backup_wish wish = { .source = &sources[source],
                                      .kind = kind,
                                      .inline_work = !threads };
    enum dr_rc rc = backup_run(r, &wish, NULL, &result, &err);
    if (rc == DR_OK && id != NULL)
        snprintf(id, SNAPSHOT_ID_MAX, "%s", result.id);
    backup_result_fini(&result);
    return rc;
}

static void must_backup(int source, char id[SNAPSHOT_ID_MAX])
{
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    if (backup(r, source, "full", false, id) != DR_OK)
        fail_msg("%s", err.msg);
}

static enum dr_rc prune(struct repo *r, const struct text_list *abandon)
{
    struct prune_result result;
    const struct prune_options o = { .now_ns = clock_wall_ns(), .abandon = abandon };
    enum dr_rc rc = prune_run(r, &o, NULL, &result, &err);
    prune_result_fini(&result);
    return rc;
}

/* What a person or retention might do at any time: away with it. */
static enum dr_rc expire_and_prune(struct repo *r, const char *id)
{
    DR_CLEANUP(text_list_fini) struct text_list ids = { 0 };
    if (id[0] != '\0') {
        text_list_add(&ids, id);
        enum dr_rc rc = forget_run(r, &ids, true, &err);
        if (rc != DR_OK && rc != DR_E_NOTFOUND)
            return rc;
    }
    return prune(r, NULL);
}

static void must_forget(const char *id)
{
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    DR_CLEANUP(text_list_fini) struct text_list ids = { 0 };
    text_list_add(&ids, id);
    assert_int_equal(forget_run(r, &ids, true, &err), DR_OK);
}

static void must_expire_and_prune(const char *id)
{
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    if (expire_and_prune(r, id) != DR_OK)
        fail_msg("%s", err.msg);
}

/* -- what must hold --------------------------------------------------------------------------- */

static const char *const regions[SITE_BUCKETS] = { "us-east-1", "eu-west-1" };

/* Each bucket alone: whatever is visible is complete there, and with data right. Returns how many. */
static size_t assert_visible_are_whole(bool data, const char *when)
{
    size_t seen = 0;
    for (int b = 0; b < SITE_BUCKETS; b++) {
        const struct repo_options one = { .dark = &regions[1 - b], .dark_count = 1 };
        DR_CLEANUP(repo_close_ptr) struct repo *r = NULL;
        DR_CLEANUP(snapshot_list_fini) struct snapshot_list list = { 0 };
        assert_int_equal(repo_open(site.config, &one, &r, &err), DR_OK);
        assert_int_equal(repo_snapshots(r, NULL, &list, &err), DR_OK);
        for (size_t i = 0; i < list.count; i++) {
            const struct snapshot_info *s = &list.items[i];
            if (s->state == SNAPSHOT_REFUSED && strcmp(s->why, "expired") == 0)
                continue;
            if (s->state != SNAPSHOT_GOOD)
                fail_msg("%s: '%s' in '%s': %s", when, s->id, site_bucket_names[b], s->why);
            const struct restore_options to = { .to = site.target };
            struct restore_result restored;
            seen++;
            if (!data)
                continue;
            site_clear_target(&site);
            if (restore_run(r, s, &to, NULL, &restored, &err) != DR_OK)
                fail_msg("%s: '%s' from '%s': %s", when, s->id, site_bucket_names[b], err.msg);
        }
    }
    return seen;
}

static void pendings_of(struct repo *r, struct text_list *ret)
{
    for (size_t b = 0; b < repo_bucket_count(r); b++) {
        DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
        assert_int_equal(store_list(repo_bucket(r, b)->store, NAMES_PENDING, &names, &err), DR_OK);
        for (size_t i = 0; i < names.count; i++) {
            const char *id = names.items[i] + strlen(NAMES_PENDING);
            if (!text_list_has(ret, id))
                text_list_add(ret, id);
        }
    }
}

/* Nobody is at work, and this host knows it: one prune, and there is nothing but what visible
 * snapshots need. */
static void assert_one_prune_leaves_no_garbage(const char *when)
{
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    DR_CLEANUP(view_fini) struct view v = { 0 };
    DR_CLEANUP(idset_fini) struct idset needed = { 0 };
    const struct text_list none = { 0 };
    const struct view_options all = { .packs = true };
    if (prune(r, NULL) != DR_OK)
        fail_msg("%s: %s", when, err.msg);
    assert_int_equal(view_take(r, &all, &v, &err), DR_OK);
    assert_int_equal(view_name(&v, &none, NULL, &needed, &err), DR_OK);
    size_t objects = 0;
    for (size_t b = 0; b < v.count; b++) {
        if (v.places[b].pending_count != 0)
            fail_msg("%s: pending '%s' is left", when, v.places[b].pendings[0].id);
        for (size_t i = 0; i < v.places[b].packs.count; i++)
            if (!idset_has(&needed, v.places[b].packs.items[i]))
                fail_msg("%s: a pack that nothing needs is left in '%s'", when,
                         site_bucket_names[b]);
        objects += v.places[b].snapshots.count;
    }
    assert_int_equal(objects, assert_visible_are_whole(false, when)); /* and none is hidden */
}

/* -- processes -------------------------------------------------------------------------------- */

enum job { JOB_BACKUP, JOB_PRUNE, JOB_REPAIR };

struct task {
    enum job job;
    int source;
    const char *kind;
    bool threads;
    bool reversed; /* its configuration names the buckets in the other order: another home */
    bool abandon;  /* a prune that wrongly calls every backup dead */
    char id[SNAPSHOT_ID_MAX]; /* to expire, or to repair */
    struct stopper stopper;
    pid_t pid;
};

static enum dr_rc work(struct repo *r, const struct task *t)
{
    struct repair_result repaired;
    DR_CLEANUP(text_list_fini) struct text_list dead = { 0 };
    if (t->job == JOB_BACKUP)
        return backup(r, t->source, t->kind, t->threads, NULL);
    if (t->job == JOB_REPAIR)
        return repair_snapshot(r, t->id, (size_t)t->source, (size_t)(1 - t->source), &repaired,
                               &err);
    if (t->abandon) {
        pendings_of(r, &dead);
        return prune(r, &dead);
    }
    return expire_and_prune(r, t->id);
}

static void start(struct task *t)
{
    fflush(stdout);
    fflush(stderr);
    t->pid = fork();
    assert_true(t->pid >= 0);
    if (t->pid > 0)
        return;
    if (t->reversed) {
        const struct config_bucket first = site.config->buckets[0];
        site.config->buckets[0] = site.config->buckets[1];
        site.config->buckets[1] = first;
    }
    struct repo *r = site_open(&site);
    stopstore_wrap(r, &t->stopper);
    enum dr_rc rc = work(r, t);
    repo_close(r);
    if (rc != DR_OK && rc != DR_E_BUSY)
        (void)fprintf(stderr, "  %d: %s\n", (int)t->job, err.msg);
    if (t->job == JOB_PRUNE && rc == DR_E_REFUSED)
        _exit(CHILD_WRONG); /* no bucket is away, and none went back */
    _exit(rc == DR_OK ? CHILD_OK : rc == DR_E_BUSY ? CHILD_BUSY : CHILD_OTHER);
}

/* Until it stops or ends: true when it stopped. */
static bool wait_stop(const struct task *t, int *ret_exit)
{
    int status = 0;
    assert_int_equal(waitpid(t->pid, &status, WUNTRACED), t->pid);
    *ret_exit = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return WIFSTOPPED(status);
}

static int wake(const struct task *t)
{
    int exit;
    assert_int_equal(kill(t->pid, SIGCONT), 0);
    assert_false(wait_stop(t, &exit));
    return exit;
}

/* -- the buckets as they were ------------------------------------------------------------------ */

/* In the top directory of the world. */
static void shell(const char *script)
{
    DR_FREE char *line = dr_strf("cd '%s' && %s", site.top, script);
    assert_int_equal(system(line), 0); /* NOLINT(cert-env33-c,concurrency-mt-unsafe): a test */
}

static void keep_world(void)
{
    shell("rm -rf kept && mkdir kept && cp -al us eu kept && cp -a state src kept");
}

static void reset_world(void)
{
    shell("rm -rf us eu state src && cp -al kept/us kept/eu . && cp -a kept/state kept/src .");
}

/* An old snapshot; the source has changed a little since. */
static void make_history(char old[SNAPSHOT_ID_MAX])
{
    must_backup(0, old);
    write_file(sources[0].path, "f0", 7);
    write_file(sources[0].path, "new", 8);
    keep_world();
}

/* -- sweeps ----------------------------------------------------------------------------------- */

static void a_writer_may_sleep_before_each_of_its_operations(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX];
    unsigned busy = 0, n = 1;
    make_history(old);
    for (bool stopped = true; stopped; n++) {
        struct task writer = { .job = JOB_BACKUP, .kind = "full" };
        char when[64];
        int exit;
        snprintf(when, sizeof(when), "writer stopped at operation %u", n);
        writer.stopper = (struct stopper){ .at = n, .signal = SIGSTOP };
        reset_world();
        start(&writer);
        stopped = wait_stop(&writer, &exit);
        if (stopped) {
            must_expire_and_prune(old);
            must_expire_and_prune("");
            exit = wake(&writer);
        }
        if (exit != CHILD_OK && exit != CHILD_BUSY)
            fail_msg("%s: it ended with %d", when, exit);
        busy += exit == CHILD_BUSY;
        size_t seen = assert_visible_are_whole(true, when);
        assert_true(exit != CHILD_OK || seen >= SITE_BUCKETS);
        assert_one_prune_leaves_no_garbage(when);
    }
    print_message("  %u operations; the backup had to be run again after %u of them\n", n - 2,
                  busy);
}

static void a_prune_may_sleep_before_each_of_its_operations(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX];
    unsigned n = 1;
    make_history(old);
    for (bool stopped = true; stopped; n++) {
        struct task pruner = { .job = JOB_PRUNE };
        char when[64];
        int exit;
        snprintf(when, sizeof(when), "prune stopped at operation %u", n);
        snprintf(pruner.id, sizeof(pruner.id), "%s", old);
        pruner.stopper = (struct stopper){ .at = n, .signal = SIGSTOP };
        reset_world();
        start(&pruner);
        stopped = wait_stop(&pruner, &exit);
        if (stopped) {
            DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
            enum dr_rc rc = backup(r, 0, "full", false, NULL);
            assert_true(rc == DR_OK || rc == DR_E_BUSY);
            exit = wake(&pruner);
        }
        if (exit != CHILD_OK)
            fail_msg("%s: it ended with %d", when, exit);
        assert_visible_are_whole(true, when);
        assert_one_prune_leaves_no_garbage(when);
    }
    print_message("  %u operations\n", n - 2);
}

/*
 * The prune has chosen what to condemn and sleeps; the writer names its packs, finds them uncondemned, and
 * sleeps before its snapshot; the prune publishes and sleeps somewhere in its second look; the writer comes to
 * its end; the prune goes on. Only a look at pendings before snapshots sees the writer then.
 */
static bool sleep_around_the_commit(unsigned n, bool reversed)
{
    struct task writer = { .job = JOB_BACKUP, .kind = "full", .reversed = reversed };
    struct task pruner = { .job = JOB_PRUNE };
    char when[80];
    int ended, exit;
    snprintf(when, sizeof(when), "commit at operation %u after gc was published", n);
    writer.stopper = (struct stopper){ .put_of = NAMES_PENDING,
                                       .put_again = NAMES_SNAPSHOTS,
                                       .signal = SIGSTOP };
    pruner.stopper = (struct stopper){ .put_of = NAMES_GC, .again = n, .signal = SIGSTOP };
    reset_world();
    start(&writer);
    assert_true(wait_stop(&writer, &ended)); /* its packs are there, and nothing names them */
    start(&pruner);
    assert_true(wait_stop(&pruner, &exit));
    assert_int_equal(kill(writer.pid, SIGCONT), 0);
    assert_true(wait_stop(&writer, &ended));
    assert_int_equal(kill(pruner.pid, SIGCONT), 0);
    bool stopped = wait_stop(&pruner, &exit);
    ended = wake(&writer);
    if (stopped)
        exit = wake(&pruner);
    if (exit != CHILD_OK || ended != CHILD_OK)
        fail_msg("%s: ended with %d and %d", when, ended, exit);
    assert_true(assert_visible_are_whole(true, when) >= SITE_BUCKETS);
    assert_one_prune_leaves_no_garbage(when);
    return stopped;
}

static void both_may_sleep_around_the_commit(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX];
    make_history(old);
    must_forget(old);
    keep_world();
    for (int reversed = 0; reversed < 2; reversed++) {
        unsigned n = 1;
        while (sleep_around_the_commit(n, reversed == 1))
            n++;
        print_message("  %u operations\n", n - 1);
    }
}

/* A person calls a living writer dead: it loses its run, and nobody loses a pack. */
static void a_living_writer_may_be_called_dead_at_each_of_its_operations(void **state)
{
    (void)state;
    char old[SNAPSHOT_ID_MAX];
    unsigned n = 1;
    make_history(old);
    for (bool stopped = true; stopped; n++) {
        struct task writer = { .job = JOB_BACKUP, .kind = "full" };
        char when[64];
        int exit;
        snprintf(when, sizeof(when), "called dead at operation %u", n);
        writer.stopper = (struct stopper){ .at = n, .signal = SIGSTOP };
        reset_world();
        start(&writer);
        stopped = wait_stop(&writer, &exit);
        if (stopped) {
            DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
            DR_CLEANUP(text_list_fini) struct text_list dead = { 0 };
            pendings_of(r, &dead);
            if (prune(r, &dead) != DR_OK)
                fail_msg("%s: %s", when, err.msg);
            exit = wake(&writer);
        }
        if (exit < 0)
            fail_msg("%s: it did not end by itself", when);
        assert_visible_are_whole(true, when);
        assert_one_prune_leaves_no_garbage(when);
    }
    print_message("  %u operations\n", n - 2);
}

/* -- storms ------------------------------------------------------------------------------------ */

static void any_snapshot(char ret[SNAPSHOT_ID_MAX])
{
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&site);
    DR_CLEANUP(snapshot_list_fini) struct snapshot_list list = { 0 };
    assert_int_equal(repo_snapshots(r, NULL, &list, &err), DR_OK);
    ret[0] = '\0';
    if (list.count > 0)
        snprintf(ret, SNAPSHOT_ID_MAX, "%s", list.items[roll(list.count)].id);
}

static struct task any_task(void)
{
    static const char *const kinds[] = { "full", "incremental" };
    static const enum job jobs[] = { JOB_BACKUP, JOB_BACKUP, JOB_PRUNE, JOB_PRUNE, JOB_REPAIR };
    struct task t = { .job = jobs[roll(DR_ARRAY_LEN(jobs))] };
    t.source = (int)roll(SOURCES);
    t.kind = kinds[roll(DR_ARRAY_LEN(kinds))];
    t.threads = roll(2) == 0;
    t.reversed = t.job != JOB_REPAIR && roll(2) == 0;
    t.abandon = t.job == JOB_PRUNE && roll(4) == 0;
    any_snapshot(t.id);
    if (t.job == JOB_REPAIR && t.id[0] == '\0')
        t.job = JOB_BACKUP;
    unsigned at = 1 + (unsigned)roll(60);
    if (roll(3) != 0)
        t.stopper = (struct stopper){ .at = at,
                                      .signal = roll(2) == 0 ? SIGKILL : SIGSTOP,
                                      .behind = roll(2) == 0 };
    return t;
}

static void change_sources(void)
{
    DR_FREE char *name = dr_strf("f%d", (int)roll(SHARED_FILES + 2));
    write_file(sources[roll(SOURCES)].path, name, roll(6));
}

/* Several at once; those that stop sleep until the others have ended. */
static void blow(unsigned round)
{
    enum { TASKS_MAX = 4 };
    struct task tasks[TASKS_MAX];
    bool asleep[TASKS_MAX] = { false };
    size_t count = 2 + roll(TASKS_MAX - 1);
    int exits[TASKS_MAX];
    for (size_t i = 0; i < count; i++) {
        tasks[i] = any_task();
        start(&tasks[i]);
    }
    for (size_t i = 0; i < count; i++)
        asleep[i] = wait_stop(&tasks[i], &exits[i]);
    for (size_t i = 0; i < count; i++) {
        if (asleep[i])
            exits[i] = wake(&tasks[i]); /* killed, or however it ends, but for this: */
        assert_int_not_equal(exits[i], CHILD_WRONG);
    }
    DR_FREE char *when = dr_strf("round %u", round);
    assert_visible_are_whole(round % 4 == 0, when);
    if (round % 3 == 0)
        assert_one_prune_leaves_no_garbage(when);
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name); /* NOLINT(concurrency-mt-unsafe): one thread */
    return text != NULL && text[0] != '\0' ? strtoull(text, NULL, 10) : otherwise;
}

static void storm(uint64_t usual_rounds, void (*weather)(void))
{
    uint64_t seed = number_of("STORM_SEED", (uint64_t)clock_wall_ns() / 1000 % 1000000);
    uint64_t rounds = number_of("STORM_ROUNDS", usual_rounds);
    print_message("  STORM_SEED=%llu STORM_ROUNDS=%llu\n", (unsigned long long)seed,
                  (unsigned long long)rounds);
    dice = seed * 2654435769U + 88172645463325252U;
    for (uint64_t i = 1; i <= rounds; i++) {
        change_sources();
        if (weather != NULL)
            weather();
        blow((unsigned)i);
    }
    if (server != NULL)
        httpfault_clear(server);
    assert_visible_are_whole(true, "the end");
    assert_one_prune_leaves_no_garbage("the end");
}

static void storms_leave_visible_snapshots_whole(void **state)
{
    (void)state;
    storm(60, NULL);
}

/* Some requests of the round are answered badly; what a driver repeats for is no reason to fail. */
static void bad_network(void)
{
    static const struct httpfault_plan kinds[] = {
        { .how = HTTPFAULT_STATUS, .status = 500 },
        { .how = HTTPFAULT_STATUS, .status = 503 },
        { .how = HTTPFAULT_RESET },
        { .how = HTTPFAULT_LOST },
        { .how = HTTPFAULT_TWICE },
        { .how = HTTPFAULT_CUT, .at = 3 },
    };
    httpfault_clear(server);
    for (int i = 0; i < 4; i++) {
        struct httpfault_plan p = kinds[roll(DR_ARRAY_LEN(kinds))];
        p.nth = 1 + (unsigned)roll(150);
        httpfault_plan(server, &p);
    }
}

static void storms_on_s3_leave_visible_snapshots_whole(void **state)
{
    (void)state;
    storm(12, bad_network);
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    site_without_waiting();
    setenv("AWS_ACCESS_KEY_ID", "key", 1);        /* NOLINT(concurrency-mt-unsafe): one thread */
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1); /* NOLINT(concurrency-mt-unsafe) */
    const struct CMUnitTest tests[] = {
        FRESH(a_writer_may_sleep_before_each_of_its_operations),
        FRESH(a_prune_may_sleep_before_each_of_its_operations),
        FRESH(both_may_sleep_around_the_commit),
        FRESH(a_living_writer_may_be_called_dead_at_each_of_its_operations),
        FRESH(storms_leave_visible_snapshots_whole),
        cmocka_unit_test_setup_teardown(storms_on_s3_leave_visible_snapshots_whole, set_up_s3,
                                        tear_down),
    };
    return cmocka_run_group_tests_name("storm", tests, NULL, NULL);
}
