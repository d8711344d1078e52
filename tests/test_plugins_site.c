/*
 * Providers that work at a site: exec, exec.check, fence, lease.check, service.promote, wait. Commands
 * are real processes, the lease is a real file, the live tree is a real link.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/lease/lease.h"
#include "plugins/plugins.h"
#include "plugins/providers.h"
#include "tests/support/fault.h"
#include "tests/support/steps.h"

static char dir[160], config[200];

/* service VERB: notes what was asked; "start" fails halfway while DIR/broken is there. */
static const char service[] = "#!/bin/sh\n"
                              "echo \"$2 $3 $DRCTL_REGION\" >>\"$1/calls\"\n"
                              "case $2 in\n"
                              "start) : >\"$1/running\"\n"
                              "  [ ! -e \"$1/broken\" ] || { echo no disk >&2; exit 9; } ;;\n"
                              "stop) rm -f \"$1/running\" ;;\n"
                              "status) [ -e \"$1/running\" ] ;;\n"
                              "esac\n";

static void put(const char *name, const char *text)
{
    struct dr_err err = { 0 };
    assert_int_equal(fs_replace(dir, name, text, strlen(text), &err), DR_OK);
}

static int start(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe): one thread */
    char text[4096];
    snprintf(dir, sizeof(dir), "%s/test_plugins.XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(dir))
        return -1;
    snprintf(
        text, sizeof(text),
        "disaster_recovery:\n"
        "  strategy: {type: pilot_light, primary_region: us-east-1,\n"
        "    secondary_regions: [{name: eu-west-1, role: standby, priority: 1}]}\n"
        "  backup_policy:\n    full_backup: {frequency: daily, retention: 30d}\n"
        "sites:\n"
        "  - {name: us-1, region: us-east-1, reach: local}\n"
        "  - {name: eu-west-1, region: eu-west-1, reach: local}\n"
        "  - {name: ap-southeast-1, region: ap-southeast-1, reach: ssh, host: far.example.com}\n"
        "sources:\n  - {name: app, path: %s/app, class: data}\n"
        "buckets:\n  - {name: eu, url: \"file://%s/bucket\", region: eu-west-1}\n"
        "coordination:\n  lease: {driver: file, path: %s/leases, hold: 3s, take: 4s}\n"
        "providers:\n  service:\n"
        "    start: [sh, %s/service, %s, start, \"${unit}@${region}\"]\n"
        "    stop: [sh, %s/service, %s, stop, \"${unit}@${region}\"]\n"
        "    status: [sh, %s/service, %s, status, \"${unit}@${region}\"]\n"
        "state_dir: %s/state\n",
        dir, dir, dir, dir, dir, dir, dir, dir, dir, dir);
    put("dr.yaml", text);
    put("service", service);
    snprintf(config, sizeof(config), "%s/dr.yaml", dir);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    return fs_remove_tree(dir, &err) == DR_OK ? 0 : -1;
}

static char *path_of(const char *name)
{
    return dr_strf("%s/%s", dir, name);
}

/* -- exec, exec.check -------------------------------------------------------------------------- */

static struct tried run(const struct provider *provider, const char *script, const char *at,
                        const char *dark)
{
    struct step_ask ask = { .config = config, .dark = dark };
    json_t *with = json_pack("{s:[s,s,s]}", "argv", "sh", "-c", script);
    if (at)
        json_put_text(with, "at", at);
    return step_try(provider, provider == &provider_exec ? "apply" : "check", with, &ask);
}

static void exec_gives_output_and_lines(void **state)
{
    (void)state;
    struct tried t = run(&provider_exec, "echo one; echo; echo two; echo noise >&2", NULL, NULL);
    assert_int_equal(t.verdict, STEP_PASS);
    assert_string_equal(tried_text(t.outputs, "stdout"), "one\n\ntwo");
    const json_t *lines = json_object_get(t.outputs, "lines");
    assert_int_equal(json_array_size(lines), 3);
    assert_string_equal(json_string_value(json_array_get(lines, 2)), "two");
    tried_fini(&t);
    t = run(&provider_exec, "true", NULL, NULL);
    assert_string_equal(tried_text(t.outputs, "stdout"), "");
    assert_int_equal(json_array_size(json_object_get(t.outputs, "lines")), 0);
    tried_fini(&t);
}

static void exec_verdict_follows_the_exit_code(void **state)
{
    (void)state;
    const struct {
        const char *script;
        enum step_verdict apply, check;
        const char *why;
    } rows[] = {
        { "exit 0", STEP_PASS, STEP_PASS, "'sh' ended with exit code 0" },
        { "echo too full >&2; exit 1", STEP_FAIL, STEP_FAIL, "exit code 1: too full" },
        { "exit 2", STEP_FAIL, STEP_UNKNOWN, "exit code 2" },
        { "kill -9 $$", STEP_UNKNOWN, STEP_UNKNOWN, "'sh' was killed by signal 9" },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++) {
        struct tried t = run(&provider_exec, rows[i].script, NULL, NULL);
        assert_int_equal(t.verdict, rows[i].apply);
        assert_non_null(strstr(t.why, rows[i].why));
        tried_fini(&t);
        t = run(&provider_exec_check, rows[i].script, NULL, NULL);
        assert_int_equal(t.verdict, rows[i].check);
        tried_fini(&t);
    }
}

static void exec_uses_no_shell_and_a_small_environment(void **state)
{
    (void)state;
    struct step_ask ask = { .config = config };
    setenv("HOME", "/home/x", 1);             /* NOLINT(concurrency-mt-unsafe): one thread */
    setenv("SECRET_OF_THE_OPERATOR", "x", 1); /* NOLINT(concurrency-mt-unsafe) */
    json_t *with = json_pack("{s:[s,s],s:s,s:{s:s}}", "argv", "printf", "%s;$(id)", "at",
                             "eu-west-1", "env", "A", "b");
    struct tried t = step_try(&provider_exec, "apply", with, &ask);
    assert_string_equal(tried_text(t.outputs, "stdout"), ";$(id)");
    tried_fini(&t);
    with = json_pack("{s:[s],s:s,s:{s:s}}", "argv", "env", "at", "eu-west-1", "env", "A", "b");
    t = step_try(&provider_exec, "apply", with, &ask);
    char want[512];
    snprintf(
        want, sizeof(want),
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nHOME=/home/x\nLANG=C.UTF-8\n"
        "DRCTL_RUN=R-7\nDRCTL_STEP_KEY=R-7/it/-/1\nDRCTL_REGION=eu-west-1\nDRCTL_CONFIG=%s\n"
        "A=b",
        config);
    assert_string_equal(tried_text(t.outputs, "stdout"), want);
    tried_fini(&t);
}

static void exec_that_cannot_start_has_done_nothing(void **state)
{
    (void)state;
    struct step_ask ask = { .config = config };
    struct tried t =
        step_try(&provider_exec, "apply", json_pack("{s:[s]}", "argv", "/nonexistent/tool"), &ask);
    assert_int_equal(t.verdict, STEP_FAIL);
    assert_string_equal(t.why, "cannot start '/nonexistent/tool': No such file or directory");
    tried_fini(&t);
    t = step_try(&provider_exec_check, "check", json_pack("{s:[s]}", "argv", "/nonexistent/tool"),
                 &ask);
    assert_int_equal(t.verdict, STEP_UNKNOWN);
    tried_fini(&t);
    t = step_try(&provider_exec, "apply", json_pack("{s:[]}", "argv"), &ask);
    assert_int_equal(t.verdict, STEP_FAIL);
    tried_fini(&t);
}

static void exec_that_hangs_is_ended_and_unknown(void **state)
{
    (void)state;
    struct step_ask ask = { .config = config, .timeout_ms = 3000 };
    json_t *with = json_pack("{s:[s,s,s]}", "argv", "sh", "-c", "echo begun >&2; exec sleep 60");
    struct tried t = step_try(&provider_exec, "apply", with, &ask);
    assert_int_equal(t.verdict, STEP_UNKNOWN);
    assert_string_equal(t.why, "'sh' was not done in time: begun");
    tried_fini(&t);
}

static void exec_floods_without_filling_memory(void **state)
{
    (void)state;
    struct tried t =
        run(&provider_exec, "head -c 3000000 /dev/zero | tr '\\0' x; echo end >&2", NULL, NULL);
    assert_int_equal(t.verdict, STEP_PASS);
    assert_int_equal(strlen(tried_text(t.outputs, "stdout")), 64 * 1024);
    assert_non_null(strstr(t.log, "only the first 65536 bytes"));
    tried_fini(&t);
}

/* A start script leaves a server behind that holds its streams open: its own end is what counts. */
static void exec_does_not_wait_for_a_server_that_it_started(void **state)
{
    (void)state;
    DR_FREE char *pid_file = path_of("server.pid");
    DR_FREE char *script = dr_strf("setsid sleep 50 & echo $! >'%s'; echo up", pid_file);
    struct tried t = run(&provider_exec, script, NULL, NULL);
    assert_int_equal(t.verdict, STEP_PASS);
    assert_string_equal(tried_text(t.outputs, "stdout"), "up");
    tried_fini(&t);
    FILE *fp = fopen(pid_file, "r");
    int pid = 0;
    assert_int_equal(fscanf(fp, "%d", &pid), 1); // NOLINT
    fclose(fp);
    assert_int_equal(kill(pid, SIGKILL), 0);
}

static void exec_at_a_dark_or_a_far_site_is_refused(void **state)
{
    (void)state;
    DR_FREE char *mark = path_of("touched");
    DR_FREE char *script = dr_strf(": >'%s'", mark);
    const struct {
        const char *at, *dark, *why;
    } rows[] = {
        { "us-east-1", "us-east-1", "refused: us-east-1 is dark" },
        { "us-1", "us-east-1", "refused: us-east-1 is dark" },
        { "ap-southeast-1", NULL, "is another host: the step was not sent there" },
        { "mars", NULL, "'mars' is no site of the configuration" },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++) {
        struct tried t = run(&provider_exec, script, rows[i].at, rows[i].dark);
        assert_int_equal(t.verdict, STEP_FAIL);
        assert_non_null(strstr(t.why, rows[i].why));
        tried_fini(&t);
        assert_int_not_equal(access(mark, F_OK), 0);
    }
}

/* -- fence, lease.check ------------------------------------------------------------------------ */

static struct lease_place leases(void)
{
    static char path[200];
    snprintf(path, sizeof(path), "%s/leases", dir);
    return (struct lease_place){ .path = path, .hold_ms = 3000, .take_ms = 4000 };
}

static struct lease *hold(const char *key, const char *region)
{
    struct lease_place where = leases();
    struct lease_wish wish = { .key = key, .holder = "writer", .region = region };
    struct lease *lease = NULL;
    struct dr_err err = { 0 };
    assert_int_equal(lease_acquire(&where, &wish, &lease, &err), DR_OK);
    return lease;
}

static struct tried fence(const char *verb, const char *key, const json_t *former)
{
    struct step_ask ask = { .config = config, .former = former, .dark = "us-east-1" };
    json_t *with = json_pack("{s:s,s:[{s:s,s:{s:s}},{s:s,s:{s:s,s:i}}]}", "region", "us-east-1",
                             "methods", "use", "fence.ipmi", "with", "bmc", "10.0.0.9", "use",
                             "fence.lease", "with", "key", key, "margin", 10);
    return step_try(&provider_fence, verb, with, &ask);
}

static void fence_takes_the_lease_of_a_silent_writer_and_gives_the_proof(void **state)
{
    (void)state;
    struct lease *old = hold("writer/a", "us-east-1");
    struct tried t = fence("check", "writer/a", NULL);
    assert_int_equal(t.verdict, STEP_FAIL);
    assert_string_equal(t.why, "us-east-1 is not fenced");
    assert_string_equal(t.proof, "");
    tried_fini(&t);

    struct tried done = fence("apply", "writer/a", NULL);
    assert_int_equal(done.verdict, STEP_PASS);
    assert_string_equal(done.proof, "lease_expired");
    assert_string_equal(tried_text(done.outputs, "proof"), "lease_expired");
    assert_non_null(strstr(done.log, "fence.ipmi: no provider for it"));
    struct dr_err err = { 0 };
    assert_int_equal(lease_renew(old, &err), DR_E_REFUSED);
    lease_free(old);
    t = fence("check", "writer/a", NULL);
    assert_int_equal(t.verdict, STEP_PASS);
    assert_string_equal(t.proof, "lease_expired");
    tried_fini(&t);

    t = fence("undo", "writer/a", done.former);
    assert_int_equal(t.verdict, STEP_PASS);
    tried_fini(&t);
    lease_free(hold("writer/a", "us-east-1")); /* it may again */
    tried_fini(&done);
}

static void fence_without_a_method_that_gives_proof_fails(void **state)
{
    (void)state;
    struct step_ask ask = { .config = config };
    json_t *with = json_pack("{s:s,s:[{s:s,s:{}},{s:s,s:{}}]}", "region", "us-east-1", "methods",
                             "use", "fence.ipmi", "with", "use", "fence.lease", "with");
    struct tried t = step_try(&provider_fence, "apply", with, &ask);
    assert_int_equal(t.verdict, STEP_FAIL);
    assert_string_equal(t.why, "no proof that us-east-1 is fenced: fence.ipmi: no provider for it "
                               "in this drctl; fence.lease: 'key' is missing");
    assert_string_equal(t.proof, "");
    tried_fini(&t);
}

static void lease_check_counts_who_may_write(void **state)
{
    (void)state;
    struct lease *held = hold("writer/b", "us-east-1");
    const struct {
        const char *key;
        int holders;
        enum step_verdict verdict;
    } rows[] = {
        { "writer/b", 1, STEP_PASS },
        { "writer/b", 0, STEP_FAIL },
        { "writer/nobody", 0, STEP_PASS },
        { "writer/nobody", 1, STEP_FAIL },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++) {
        struct step_ask ask = { .config = config };
        json_t *with = json_pack("{s:s,s:i}", "key", rows[i].key, "holders", rows[i].holders);
        struct tried t = step_try(&provider_lease_check, "check", with, &ask);
        assert_int_equal(t.verdict, rows[i].verdict);
        tried_fini(&t);
    }
    lease_free(held);
}

/* -- service.promote --------------------------------------------------------------------------- */

static struct tried promote(const char *verb, const char *data, const char *key,
                            const json_t *former)
{
    struct step_ask ask = { .config = config, .former = former };
    DR_FREE char *data_path = path_of(data), *live = path_of("live");
    json_t *with = json_pack("{s:s,s:s,s:s,s:s,s:s}", "at", "eu-west-1", "unit", "app", "data",
                             data_path, "live", live, "lease", key);
    return step_try(&provider_service_promote, verb, with, &ask);
}

static void assert_live_is(const char *want)
{
    char target[512] = "";
    DR_FREE char *live = path_of("live");
    ssize_t n = readlink(live, target, sizeof(target) - 1);
    if (!want) {
        assert_int_equal(n, -1);
        assert_int_equal(errno, ENOENT);
        return;
    }
    DR_FREE char *path = path_of(want);
    assert_true(n > 0);
    target[n] = '\0';
    assert_string_equal(target, path);
}

static bool is_running(void)
{
    DR_FREE char *path = path_of("running");
    return access(path, F_OK) == 0;
}

/* A fresh world: generations 1 and 2, live absent or at 1, the lease fenced from us-east-1. */
static void make_world(const char *key, const char *live_is)
{
    static const char *const leftovers[] = {
        "live", "running", "broken", "calls", "gen-1", "gen-2"
    };
    struct dr_err err = { 0 };
    for (size_t i = 0; i < DR_ARRAY_LEN(leftovers); i++) {
        DR_FREE char *path = path_of(leftovers[i]);
        assert_int_equal(fs_remove_tree(path, &err), DR_OK);
    }
    DR_FREE char *one = path_of("gen-1"), *two = path_of("gen-2"), *live = path_of("live");
    assert_int_equal(mkdir(one, 0755), 0);
    assert_int_equal(mkdir(two, 0755), 0);
    if (live_is) {
        DR_FREE char *to = path_of(live_is);
        assert_int_equal(symlink(to, live), 0);
    }
    struct lease_place where = leases();
    struct lease_record record = { 0 };
    struct lease *old = hold(key, "us-east-1");
    assert_int_equal(lease_release(old, &err), DR_OK); /* released: the fence need not wait */
    lease_free(old);
    struct lease_fence wish = {
        .key = key, .region = "us-east-1", .by = "R-7", .deadline_ms = clock_boot_ms() + 10000
    };
    assert_int_equal(lease_fence(&where, &wish, &record, &err), DR_OK);
    lease_record_fini(&record);
}

static bool is_granted(const char *key)
{
    struct lease_place where = leases();
    struct lease_record record = { 0 };
    struct dr_err err = { 0 };
    assert_int_equal(lease_read(&where, key, &record, &err), DR_OK);
    bool granted = strcmp(record.granted, "eu-west-1") == 0;
    lease_record_fini(&record);
    return granted;
}

static void promotion_swaps_grants_and_starts_and_its_undo_takes_all_back(void **state)
{
    (void)state;
    static const char *const before[] = { "gen-1", NULL };
    for (size_t i = 0; i < DR_ARRAY_LEN(before); i++) {
        DR_FREE char *key = dr_strf("writer/p%zu", i);
        make_world(key, before[i]);
        struct tried first = promote("check", "gen-2", key, NULL);
        assert_int_equal(first.verdict, STEP_FAIL);
        struct tried t = promote("apply", "gen-2", key, first.former);
        assert_int_equal(t.verdict, STEP_PASS);
        assert_live_is("gen-2");
        assert_true(is_running());
        assert_true(is_granted(key));
        tried_fini(&t);
        t = promote("check", "gen-2", key, NULL);
        assert_int_equal(t.verdict, STEP_PASS);
        tried_fini(&t);

        t = promote("undo", "gen-2", key, first.former);
        assert_int_equal(t.verdict, STEP_PASS);
        assert_live_is(before[i]);
        assert_false(is_running());
        assert_false(is_granted(key));
        tried_fini(&t);
        tried_fini(&first);
    }
}

static void promotion_fills_unit_and_region_into_the_commands(void **state)
{
    (void)state;
    make_world("writer/w", "gen-1");
    struct tried t = promote("apply", "gen-2", "writer/w", NULL);
    assert_int_equal(t.verdict, STEP_PASS);
    tried_fini(&t);
    DR_FREE char *calls = path_of("calls");
    struct buf text = { 0 };
    struct dr_err err = { 0 };
    assert_int_equal(fs_read_file(calls, 4096, &text, &err), DR_OK);
    assert_string_equal(text.data,
                        "start app@eu-west-1 eu-west-1\nstatus app@eu-west-1 eu-west-1\n");
    buf_fini(&text);
}

static void promotion_that_cannot_start_the_unit_leaves_nothing(void **state)
{
    (void)state;
    make_world("writer/f", "gen-1");
    put("broken", "");
    struct tried t = promote("apply", "gen-2", "writer/f", NULL);
    assert_int_equal(t.verdict, STEP_FAIL);
    assert_string_equal(t.why, "start app: 'sh' ended with exit code 9: no disk (taken back)");
    assert_live_is("gen-1");
    assert_false(is_running());
    assert_false(is_granted("writer/f"));
    tried_fini(&t);
}

static void promotion_is_refused_while_another_region_may_write(void **state)
{
    (void)state;
    make_world("writer/other", "gen-1");
    struct lease *held = hold("writer/busy", "us-east-1");
    struct tried t = promote("apply", "gen-2", "writer/busy", NULL);
    assert_int_equal(t.verdict, STEP_FAIL);
    assert_live_is("gen-1");
    assert_false(is_running());
    tried_fini(&t);
    lease_free(held);
}

static void promotion_does_not_replace_a_real_directory_nor_use_missing_data(void **state)
{
    (void)state;
    make_world("writer/d", NULL);
    DR_FREE char *live = path_of("live");
    struct tried t = promote("apply", "gen-3", "writer/d", NULL);
    assert_int_equal(t.verdict, STEP_FAIL);
    assert_non_null(strstr(t.why, "cannot open the data"));
    assert_live_is(NULL);
    tried_fini(&t);
    assert_int_equal(mkdir(live, 0755), 0);
    t = promote("apply", "gen-2", "writer/d", NULL);
    assert_int_equal(t.verdict, STEP_FAIL);
    assert_non_null(strstr(t.why, "is not a symbolic link"));
    tried_fini(&t);
}

static void promotion_undo_leaves_a_link_of_somebody_else(void **state)
{
    (void)state;
    make_world("writer/u", "gen-1");
    DR_FREE char *live = path_of("live");
    struct tried first = promote("check", "gen-2", "writer/u", NULL);
    assert_int_equal(unlink(live), 0);
    assert_int_equal(symlink("/somewhere/else", live), 0);
    struct tried t = promote("undo", "gen-2", "writer/u", first.former);
    assert_int_equal(t.verdict, STEP_FAIL);
    assert_non_null(strstr(t.why, "is neither the former nor ours: it is /somewhere/else"));
    tried_fini(&t);
    tried_fini(&first);
}

/* Every call of the system table fails, or is the last before death: the live tree is always one
 * generation, whole, and a second attempt of the same round succeeds. */
static void promotion_survives_a_failure_and_a_death_at_every_call(void **state)
{
    (void)state;
    static const enum fault_kind kinds[] = { FAULT_DIE_BEFORE, FAULT_DIE_AFTER, FAULT_ERRNO };
    DR_FREE char *data = path_of("gen-2"), *live = path_of("live");
    unsigned calls = 1000;
    for (size_t k = 0; k < DR_ARRAY_LEN(kinds); k++) {
        for (unsigned n = 1; n <= calls; n++) {
            DR_FREE char *key = dr_strf("writer/s%zu-%u", k, n);
            make_world(key, "gen-1");
            struct tried first = promote("check", "gen-2", key, NULL);
            struct step_ask ask = { .config = config, .former = first.former, .may_die = true };
            fault_arm(kinds[k], n);
            struct tried t = step_try(&provider_service_promote, "apply",
                                      json_pack("{s:s,s:s,s:s,s:s,s:s}", "at", "eu-west-1", "unit",
                                                "app", "data", data, "live", live, "lease", key),
                                      &ask);
            (void)fault_disarm(); /* it fired in the child, if at all */
            if (k == 0 && !t.died)
                calls = n; /* the first sweep finds how many there are */
            tried_fini(&t);
            assert_true(calls > 20);
            char target[512] = "";
            assert_true(readlink(live, target, sizeof(target) - 1) > 0);
            assert_true(text_ends(target, "/gen-1") || text_ends(target, "/gen-2"));
            t = promote("apply", "gen-2", key, first.former);
            assert_int_equal(t.verdict, STEP_PASS);
            assert_live_is("gen-2");
            tried_fini(&t);
            t = promote("undo", "gen-2", key, first.former);
            assert_int_equal(t.verdict, STEP_PASS);
            assert_live_is("gen-1");
            tried_fini(&t);
            tried_fini(&first);
        }
    }
}

/* -- wait -------------------------------------------------------------------------------------- */

static void wait_lets_the_time_pass_or_says_that_it_does_not_fit(void **state)
{
    (void)state;
    struct step_ask ask = { .timeout_ms = 5000 };
    int64_t before_ms = clock_boot_ms();
    struct tried t = step_try(&provider_wait, "apply", json_pack("{s:i}", "for", 50), &ask);
    assert_int_equal(t.verdict, STEP_PASS);
    assert_true(clock_boot_ms() - before_ms >= 50);
    tried_fini(&t);
    t = step_try(&provider_wait, "apply", json_pack("{s:i}", "for", 60000), &ask);
    assert_int_equal(t.verdict, STEP_FAIL);
    assert_string_equal(t.why, "cannot wait 1m: the step's timeout is shorter");
    tried_fini(&t);
}

static void every_provider_is_found_by_its_own_type_alone(void **state)
{
    (void)state;
    size_t count = 0;
    const struct provider *const *all = plugin_all(&count);
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++)
        assert_ptr_equal(plugin_find(all[i]->type), all[i]);
    assert_ptr_equal(plugin_find("fence"), &provider_fence);
    assert_null(plugin_find("fenc"));
    assert_null(plugin_find(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exec_gives_output_and_lines),
        cmocka_unit_test(exec_verdict_follows_the_exit_code),
        cmocka_unit_test(exec_uses_no_shell_and_a_small_environment),
        cmocka_unit_test(exec_that_cannot_start_has_done_nothing),
        cmocka_unit_test(exec_that_hangs_is_ended_and_unknown),
        cmocka_unit_test(exec_floods_without_filling_memory),
        cmocka_unit_test(exec_does_not_wait_for_a_server_that_it_started),
        cmocka_unit_test(exec_at_a_dark_or_a_far_site_is_refused),
        cmocka_unit_test(fence_takes_the_lease_of_a_silent_writer_and_gives_the_proof),
        cmocka_unit_test(fence_without_a_method_that_gives_proof_fails),
        cmocka_unit_test(lease_check_counts_who_may_write),
        cmocka_unit_test(promotion_swaps_grants_and_starts_and_its_undo_takes_all_back),
        cmocka_unit_test(promotion_fills_unit_and_region_into_the_commands),
        cmocka_unit_test(promotion_that_cannot_start_the_unit_leaves_nothing),
        cmocka_unit_test(promotion_is_refused_while_another_region_may_write),
        cmocka_unit_test(promotion_does_not_replace_a_real_directory_nor_use_missing_data),
        cmocka_unit_test(promotion_survives_a_failure_and_a_death_at_every_call),
        cmocka_unit_test(promotion_undo_leaves_a_link_of_somebody_else),
        cmocka_unit_test(every_provider_is_found_by_its_own_type_alone),
        cmocka_unit_test(wait_lets_the_time_pass_or_says_that_it_does_not_fit),
    };
    return cmocka_run_group_tests_name("plugins_site", tests, start, stop);
}
