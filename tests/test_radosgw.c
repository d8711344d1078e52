/*
 * The radosgw that tests start: it is up, it is a region of its own, and its policies hold. What
 * these facts say of the server, other tests build on.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/store/store.h"
#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "tests/support/radosgw.h"
#include "tests/support/tree.h"

static struct radosgw region;
static char *top;

static int set_up(void **state)
{
    (void)state;
    top = tree_temp();
    int64_t from = clock_boot_ms();
    bool up = radosgw_start(&region, top, "eu");
    print_message("  up after %d ms\n", (int)(clock_boot_ms() - from));
    return up ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    radosgw_stop(&region);
    tree_remove(top);
    free(top);
    return 0;
}

static int ask(const struct radosgw_user *user, const char *what, const char *body)
{
    return radosgw_request(&region, user, what, NULL, body, NULL);
}

static void source_writes_but_deletes_pendings_only(void **state)
{
    (void)state;
    assert_true(radosgw_make_bucket(&region, "policy", RADOSGW_PLAIN));
    assert_int_equal(ask(&radosgw_source, "PUT /policy/packs/a", "x"), 200);
    assert_int_equal(ask(&radosgw_source, "PUT /policy/pending/a", "x"), 200);
    assert_int_equal(ask(&radosgw_source, "GET /policy/packs/a", NULL), 200);
    assert_int_equal(ask(&radosgw_source, "GET /policy?list-type=2", NULL), 200);
    assert_int_equal(ask(&radosgw_source, "DELETE /policy/packs/a", NULL), 403);
    assert_int_equal(ask(&radosgw_source, "DELETE /policy/pending/a", NULL), 204);
    assert_int_equal(ask(&radosgw_source, "GET /policy?policy=", NULL), 403);
    assert_int_equal(ask(&radosgw_guard, "DELETE /policy/packs/a", NULL), 204);
}

static const char once[] = "If-None-Match: *";

static int put_once(const char *what, const char *body)
{
    return radosgw_request(&region, &radosgw_owner, what, once, body, NULL);
}

/* In a versioned bucket this server takes each put, whatever the condition: a driver has to look. */
static void condition_of_a_put_holds_in_a_plain_bucket_only(void **state)
{
    (void)state;
    assert_true(radosgw_make_bucket(&region, "plain", RADOSGW_PLAIN));
    assert_true(radosgw_make_bucket(&region, "versioned", RADOSGW_VERSIONED));
    assert_int_equal(put_once("PUT /plain/a", "x"), 200);
    assert_int_equal(put_once("PUT /plain/a", "y"), 412);
    assert_int_equal(put_once("PUT /versioned/a", "x"), 200);
    assert_int_equal(put_once("PUT /versioned/a", "y"), 200);
}

static void locked_version_outlives_its_owner(void **state)
{
    (void)state;
    static const char until[] =
        "<Retention><Mode>COMPLIANCE</Mode>"
        "<RetainUntilDate>2099-01-01T00:00:00Z</RetainUntilDate></Retention>";
    assert_true(radosgw_make_bucket(&region, "locked", RADOSGW_LOCKED));
    assert_int_equal(ask(&radosgw_owner, "PUT /locked/a", "x"), 200);
    assert_int_equal(ask(&radosgw_guard, "PUT /locked/a?retention=", until), 200);
    DR_CLEANUP(buf_fini) struct buf reply = { 0 };
    assert_int_equal(
        radosgw_request(&region, &radosgw_owner, "GET /locked?versions=", NULL, NULL, &reply), 200);
    const char *id = strstr(reply.data, "<VersionId>");
    assert_non_null(id);
    id += strlen("<VersionId>");
    DR_FREE char *gone =
        dr_strf("DELETE /locked/a?versionId=%.*s", (int)(strchr(id, '<') - id), id);
    assert_int_equal(ask(&radosgw_owner, gone, NULL), 403);
    assert_int_equal(ask(&radosgw_owner, "DELETE /locked/a", NULL), 204); /* a mark, no more */
}

static void killed_front_comes_back_with_its_objects(void **state)
{
    (void)state;
    assert_true(radosgw_make_bucket(&region, "stays", RADOSGW_VERSIONED));
    assert_int_equal(ask(&radosgw_owner, "PUT /stays/a", "x"), 200);
    radosgw_kill(&region);
    assert_int_equal(ask(&radosgw_owner, "GET /stays/a", NULL), -1);
    assert_true(radosgw_again(&region));
    assert_int_equal(ask(&radosgw_owner, "GET /stays/a", NULL), 200);
}

/* Its digest is taken from its name, so the server holds both to each other. */
static void pack_whose_bytes_are_not_its_names_is_refused(void **state)
{
    (void)state;
    static const char name[] =
        "packs/ba/ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; /* "abc" */
    struct dr_err err = { 0 };
    DR_FREE char *url = dr_strf("s3://names?endpoint=%s", region.http);
    const struct store_credentials by = { .kind = "keys",
                                          .access_key = radosgw_owner.access_key,
                                          .secret_key = radosgw_owner.secret_key };
    const struct store_options o = { .name = "eu", .url = url, .credentials = &by };
    DR_CLEANUP(store_close_ptr) struct store *s = NULL;
    assert_true(radosgw_make_bucket(&region, "names", RADOSGW_PLAIN));
    assert_int_equal(store_open(&o, &s, &err), DR_OK);
    assert_int_not_equal(store_put(s, name, "abd", 3, &err), DR_OK);
    assert_non_null(strstr(err.msg, "the bytes were changed on their way"));
    assert_int_equal(store_put(s, name, "abc", 3, &err), DR_OK);
}

static void second_region_is_another_world(void **state)
{
    (void)state;
    struct radosgw other;
    assert_true(radosgw_start(&other, top, "us"));
    assert_true(radosgw_make_bucket(&region, "here", RADOSGW_PLAIN));
    int there = radosgw_request(&other, &radosgw_owner, "GET /here", NULL, NULL, NULL);
    radosgw_stop(&other);
    assert_int_equal(there, 404);
    assert_int_equal(ask(&radosgw_owner, "GET /here", NULL), 200);
}

/* Whoever started it may crash: nothing stays behind. */
static void processes_die_with_the_one_that_started_them(void **state)
{
    (void)state;
    int ends[2];
    pid_t pids[3];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        struct radosgw r;
        bool up = radosgw_start(&r, top, "orphan");
        pids[0] = r.mon;
        pids[1] = r.osd;
        pids[2] = r.rgw;
        if (up && write(ends[1], pids, sizeof(pids)) == sizeof(pids))
            (void)raise(SIGKILL);
        _exit(1);
    }
    assert_int_equal(read(ends[0], pids, sizeof(pids)), sizeof(pids));
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(ends[0]);
    close(ends[1]);
    int64_t end_ms = clock_boot_ms() + 60000;
    for (size_t i = 0; i < DR_ARRAY_LEN(pids);) {
        char path[64], text[64] = "";
        snprintf(path, sizeof(path), "/proc/%d/stat", (int)pids[i]);
        FILE *fp = fopen(path, "re");
        size_t len = fp != NULL ? fread(text, 1, sizeof(text) - 1, fp) : 0;
        text[len] = '\0';
        if (fp != NULL)
            (void)fclose(fp);
        const char *after = strrchr(text, ')');
        if (after == NULL || after[2] == 'Z') /* gone, or only its name is left */
            i++;
        assert_true(clock_boot_ms() < end_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(source_writes_but_deletes_pendings_only),
        cmocka_unit_test(condition_of_a_put_holds_in_a_plain_bucket_only),
        cmocka_unit_test(locked_version_outlives_its_owner),
        cmocka_unit_test(killed_front_comes_back_with_its_objects),
        cmocka_unit_test(pack_whose_bytes_are_not_its_names_is_refused),
        cmocka_unit_test(second_region_is_another_world),
        cmocka_unit_test(processes_die_with_the_one_that_started_them),
    };
    return cmocka_run_group_tests_name("radosgw", tests, set_up, tear_down);
}
