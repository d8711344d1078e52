/*
 * Plans: each wrong one gets exactly its message, each runbook is sound, and nothing that a file can hold
 * brings the reader down.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/text.h"
#include "dr/plan/plan.h"

static const char GOLDEN[] = "tests/golden/plan";
static const char RUNBOOKS[] = "runbooks";

static char *slurp(const char *path, size_t *ret_len)
{
    struct buf b = { 0 };
    struct dr_err err;
    if (fs_read_file(path, 4 << 20, &b, &err) != DR_OK)
        fail_msg("%s", err.msg);
    if (ret_len != NULL)
        *ret_len = b.len;
    return buf_take(&b);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in dir that end with end, in the alphabet's order. */
static void list_files(const char *dir, const char *end, struct text_list *ret)
{
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d))
        if (text_ends(e->d_name, end))
            text_list_add(ret, e->d_name);
    closedir(d);
    qsort(ret->items, ret->count, sizeof(char *), by_name);
}

/* The configuration that cases 41 to 45 are held against. */
static const char *const site_fields[] = { "address", "host", "bmc", NULL };
static const struct plan_world_site sites[] = {
    { "us-east-1", "us-east-1", site_fields, 40 },
    { "eu-west-1", "eu-west-1", site_fields, 41 },
    { "ap-southeast-1", "ap-southeast-1", site_fields, 42 },
};
static const struct plan_world_role roles[] = { { "dba", 2 }, { "dr-commander", 1 } };
static const struct plan_world_bucket buckets[] = { { "us", "us-east-1" }, { "eu", "eu-west-1" } };
static const char *const regions[] = { "us-east-1", "eu-west-1", "ap-southeast-1", NULL };
static const char *const sources[] = { "db", NULL };
static const char *const secrets[] = { "pdns", NULL };
static const struct plan_world world = {
    .file = "conf/dr.yaml",
    .regions = regions,
    .sites = sites,
    .site_count = DR_ARRAY_LEN(sites),
    .roles = roles,
    .role_count = DR_ARRAY_LEN(roles),
    .roles_line = 88,
    .buckets = buckets,
    .bucket_count = DR_ARRAY_LEN(buckets),
    .sources = sources,
    .secrets = secrets,
    .rto_ms = -1,
    .rpo_ms = -1,
    .backup_every_ms = 3600000,
    .backup_run_ms = 240000,
    .backup_upload_ms = 120000,
    .backup_key = "incremental_backup",
};

/* What lint prints about a text; the caller frees. ret_plan: whether a plan came back. */
static char *lint(const char *file, const char *text, size_t len, const struct plan_world *w,
                  bool *ret_plan)
{
    DR_CLEANUP(diag_fini) struct diag d = { 0 };
    DR_CLEANUP(plan_free_ptr) struct plan *p = plan_read(file, text, len, w, &d);
    if ((p == NULL) != (d.errors > 0))
        fail_msg("%s: a plan and errors, or neither", file);
    if (ret_plan != NULL)
        *ret_plan = p != NULL;
    struct buf out = { 0 };
    buf_adds(&out, "");
    diag_print(&d, &out);
    return buf_take(&out);
}

/* Cases from 41 on need the configuration. */
static bool needs_world(const char *name)
{
    return strncmp(name, "w41", 3) >= 0 && strncmp(name, "w50", 3) < 0;
}

static void each_wrong_plan_gets_exactly_its_message(void **state)
{
    (void)state;
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    list_files(GOLDEN, ".yaml", &names);
    assert_true(names.count >= 44);
    size_t wrong = 0;
    for (size_t i = 0; i < names.count; i++) {
        size_t len;
        DR_FREE char *path = dr_strf("%s/%s", GOLDEN, names.items[i]);
        DR_FREE char *want_path = dr_strf("%.*s.out", (int)strlen(path) - 5, path);
        DR_FREE char *text = slurp(path, &len);
        DR_FREE char *want = slurp(want_path, NULL);
        DR_FREE char *got =
            lint(names.items[i], text, len, needs_world(names.items[i]) ? &world : NULL, NULL);
        if (strcmp(got, want) == 0)
            continue;
        print_message("%s: wanted\n%sgot\n%s", names.items[i], want, got);
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

static void the_runbooks_are_sound_without_a_configuration(void **state)
{
    (void)state;
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    list_files(RUNBOOKS, ".yaml", &names);
    assert_int_equal(names.count, 9);
    for (size_t i = 0; i < names.count; i++) {
        size_t len;
        bool plan = false;
        DR_FREE char *path = dr_strf("%s/%s", RUNBOOKS, names.items[i]);
        DR_FREE char *text = slurp(path, &len);
        DR_FREE char *got = lint(path, text, len, NULL, &plan);
        assert_string_equal(got, "");
        assert_true(plan);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_wrong_plan_gets_exactly_its_message),
        cmocka_unit_test(the_runbooks_are_sound_without_a_configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
