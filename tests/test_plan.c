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

/* The names in dir that end with end, in the alphabet's order. */
static void list_files(const char *dir, const char *end, struct text_list *ret)
{
    struct dirent **entries = NULL;
    int count = scandir(dir, &entries, NULL, alphasort);
    if (count < 0)
        fail_msg("cannot list '%s'", dir);
    for (int i = 0; i < count; i++) {
        if (text_ends(entries[i]->d_name, end))
            text_list_add(ret, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
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

/* ---- whatever a file holds --------------------------------------------------------------------- */

/* Either a plan or an error; lint() asserts it. */
static void try_text(const char *text, size_t len)
{
    DR_FREE char *got = lint("mutant.yaml", text, len, &world, NULL);
    assert_non_null(got);
}

static void try_every_cut(const char *text, size_t len, size_t stride)
{
    for (size_t i = 0; i < len; i += stride)
        try_text(text, i);
}

/* A fixed generator: the same mutants on each run (Marsaglia 2003, xorshift64). */
static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void try_mutants(const char *text, size_t len, size_t count, uint64_t seed)
{
    static const char marks[] = "{}[]:,\"'${}|>&*!#%-\n \t\0\x80\xff";
    for (size_t i = 0; len > 0 && i < count; i++) {
        DR_FREE char *copy = dr_memdup(text, len);
        size_t changes = 1 + next_random(&seed) % 3;
        for (size_t k = 0; k < changes; k++) {
            size_t at = next_random(&seed) % len;
            if (next_random(&seed) % 2 == 0)
                copy[at] = (char)(copy[at] ^ (1 << next_random(&seed) % 8));
            else
                copy[at] = marks[next_random(&seed) % (sizeof(marks) - 1)];
        }
        try_text(copy, len);
    }
}

static void mutate_dir(const char *dir, size_t stride, size_t count)
{
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    list_files(dir, ".yaml", &names);
    for (size_t i = 0; i < names.count; i++) {
        size_t len;
        DR_FREE char *path = dr_strf("%s/%s", dir, names.items[i]);
        DR_FREE char *text = slurp(path, &len);
        try_every_cut(text, len, stride);
        try_mutants(text, len, count, 88172645463325252u + i);
    }
}

static void no_cut_and_no_flip_brings_the_reader_down(void **state)
{
    (void)state;
    mutate_dir(GOLDEN, 1, 60);
    mutate_dir(RUNBOOKS, 7, 100);
}

/* The same words in another order: each line of a plan left out, and each one given twice. */
static void no_missing_and_no_doubled_line_brings_the_reader_down(void **state)
{
    (void)state;
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    list_files(RUNBOOKS, ".yaml", &names);
    for (size_t i = 0; i < names.count; i++) {
        size_t len;
        DR_FREE char *path = dr_strf("%s/%s", RUNBOOKS, names.items[i]);
        DR_FREE char *text = slurp(path, &len);
        for (char *line = text; *line != '\0';) {
            char *end = strchr(line, '\n');
            size_t line_len = end == NULL ? strlen(line) : (size_t)(end - line) + 1;
            DR_CLEANUP(buf_fini) struct buf without = { 0 }, twice = { 0 };
            buf_add(&without, text, (size_t)(line - text));
            buf_adds(&without, line + line_len);
            buf_add(&twice, text, (size_t)(line - text) + line_len);
            buf_adds(&twice, line);
            try_text(without.data, without.len);
            try_text(twice.data, twice.len);
            line += line_len;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_wrong_plan_gets_exactly_its_message),
        cmocka_unit_test(the_runbooks_are_sound_without_a_configuration),
        cmocka_unit_test(no_cut_and_no_flip_brings_the_reader_down),
        cmocka_unit_test(no_missing_and_no_doubled_line_brings_the_reader_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
