/*
 * test_review.c - `drctl check`'s second reading: what a good file cannot keep, and that the page, the example
 * and the loader know the same keys.
 *
 * tests/golden/check/NAME.yaml is a good configuration with one thing wrong: it has exactly one finding,
 * which must equal NAME.out (00-good has none). With GOLDEN_WRITE=1 in the environment the .out files are
 * written instead: look at the difference before it is committed.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/config/review.h"
#include "dr/data/yaml.h"

static const char golden_dir[] = "tests/golden/check";

struct read_file {
    struct diag d;
    struct config *c; /* NULL after an error */
};

static void unread(struct read_file *f)
{
    diag_fini(&f->d);
    config_free(f->c);
}

static struct read_file review_with(const char *path, const struct config_facts *facts)
{
    struct read_file f = { 0 };
    struct dr_err err;
    if (config_load(path, &f.d, &f.c, &err) == DR_OK)
        config_review(f.c, facts, &f.d);
    else
        assert_int_equal(err.rc, DR_E_CONFIG);
    return f;
}

static struct read_file review(const char *path)
{
    DR_CLEANUP(text_list_fini) struct text_list plans = { 0 };
    text_list_add(&plans, "primary_region_failure");
    text_list_add(&plans, "node_failure");
    return review_with(path, &(struct config_facts){ .plans = &plans });
}

static struct read_file review_text(const char *text, const struct config_facts *facts)
{
    char dir[64];
    const char *tmp = getenv("TMPDIR");
    struct dr_err err;
    snprintf(dir, sizeof(dir), "%s/review-XXXXXX", tmp != NULL && strlen(tmp) < 40 ? tmp : "/tmp");
    assert_non_null(mkdtemp(dir));
    assert_int_equal(fs_replace(dir, "dr.yaml", text, strlen(text), &err), DR_OK);
    DR_FREE char *path = dr_strf("%s/dr.yaml", dir);
    struct read_file f = review_with(path, facts);
    assert_int_equal(fs_remove_tree(dir, &err), DR_OK);
    f.d.file = NULL; /* path ends here; what was found has copies */
    return f;
}

/* ---- golden files ---------------------------------------------------------------------------- */

static int is_case(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot != NULL && strcmp(dot, ".yaml") == 0;
}

/* What differs is added to bad. */
static void try_golden(const char *name, struct buf *bad)
{
    struct read_file f = review(name);
    DR_CLEANUP(buf_fini) struct buf said = { 0 }, wanted = { 0 };
    buf_addf(&said, "%s", "");
    diag_print(&f.d, &said);
    size_t want = strcmp(name, "00-good.yaml") == 0 ? 0 : 1;
    if (f.d.count != want)
        buf_addf(bad, "%s has %zu findings\n%s", name, f.d.count, said.data);
    unread(&f);
    DR_FREE char *out = dr_strf("%.*s.out", (int)(strlen(name) - strlen(".yaml")), name);
    struct dr_err err;
    if (getenv("GOLDEN_WRITE") != NULL) {
        assert_int_equal(fs_replace(".", out, said.data, said.len, &err), DR_OK);
        assert_int_equal(chmod(out, 0644), 0);
        return;
    }
    if (fs_read_file(out, 1 << 20, &wanted, &err) != DR_OK)
        buf_addf(bad, "%s\n", err.msg);
    else if (said.len != wanted.len ||
             (said.len > 0 && memcmp(said.data, wanted.data, said.len) != 0))
        buf_addf(bad, "%s\n--- said\n%s--- wanted\n%s", name, said.data,
                 wanted.data != NULL ? wanted.data : "");
}

static void one_wrong_thing_is_one_finding_in_its_words_at_its_place(void **state)
{
    (void)state;
    DR_FREE char *cwd = getcwd(NULL, 0);
    DR_CLEANUP(buf_fini) struct buf bad = { 0 };
    struct dirent **cases;
    int count = scandir(golden_dir, &cases, is_case, alphasort);
    assert_true(count > 40);
    assert_int_equal(chdir(golden_dir), 0);
    for (int i = 0; i < count; i++) {
        try_golden(cases[i]->d_name, &bad);
        free(cases[i]);
    }
    free(cases);
    assert_int_equal(chdir(cwd), 0);
    if (bad.len > 0)
        fail_msg("%s", bad.data);
}

/* ---- sums ---------------------------------------------------------------------------------------- */

static const char hourly[] =
    "disaster_recovery:\n"
    "  backup_policy: {full_backup: {frequency: daily}, incremental_backup: {frequency: 40m}}\n"
    "  rpo: {a-plan: 1h}\n"
    "  rto: {a-plan: 30m}\n"
    "sources: [{name: app, path: /srv/app}, {name: big, path: /srv/big}]\n"
    "buckets: [{name: a, url: \"file:///a\", region: x}, {name: b, url: \"file:///b\", region: y}]\n";

static void an_rpo_is_held_against_what_the_slowest_source_was_measured_to_take(void **state)
{
    (void)state;
    struct config_took took[] = { { "app", 60000, 0 }, { "big", 900000, 360000 } };
    struct config_facts facts = { .took = took, .took_count = DR_ARRAY_LEN(took) };
    struct read_file f = review_text(hourly, &facts);
    assert_int_equal(f.d.count, 1); /* 40m + 15m + 6m = 1h1m */
    assert_string_equal(f.d.items[0].what,
                        "the rpo of 'a_plan' is 1h and cannot hold: incremental_backup every 40m + "
                        "15m to read + 6m to upload (measured of 'big') = 1h1m");
    assert_int_equal(f.d.items[0].line, 3);
    unread(&f);
    took[1].upload_ms = 300000; /* exactly 1h */
    f = review_text(hourly, &facts);
    assert_int_equal(f.d.count, 0);
    unread(&f);
    took[1] = (struct config_took){ "big", 1260000, 0 };
    f = review_text(hourly, &facts);
    assert_int_equal(f.d.count, 1);
    assert_non_null(
        strstr(f.d.items[0].what, "every 40m + 21m to take it (measured of 'big') = 1h1m"));
    unread(&f);
}

static void an_rto_is_held_against_its_forecast(void **state)
{
    (void)state;
    struct config_forecast forecast = { "a_plan", INT64_C(30) * 60000, 4 };
    struct config_facts facts = { .forecasts = &forecast, .forecast_count = 1 };
    struct read_file f = review_text(hourly, &facts);
    assert_int_equal(f.d.count, 0);
    unread(&f);
    forecast.ms += 1000;
    f = review_text(hourly, &facts);
    assert_int_equal(f.d.count, 1);
    assert_string_equal(
        f.d.items[0].what,
        "the rto of 'a_plan' is 30m, and its forecast is 30m1s (from 4 measured runs)");
    unread(&f);
}

static void without_facts_about_plans_nothing_is_said_of_them(void **state)
{
    (void)state;
    struct read_file f = review_text(hourly, &(struct config_facts){ 0 });
    assert_int_equal(f.d.count, 0);
    unread(&f);
    struct text_list none = { 0 };
    f = review_text(hourly, &(struct config_facts){ .plans = &none });
    assert_int_equal(f.d.count, 1); /* once for rto and rpo */
    assert_string_equal(f.d.items[0].code, "unknown-plan");
    unread(&f);
}

/* ---- the keys ------------------------------------------------------------------------------------ */

static void add_missing(struct buf *bad, const struct text_list *in, const struct text_list *of,
                        const char *what)
{
    for (size_t i = 0; i < of->count; i++)
        if (!text_list_has(in, of->items[i]))
            buf_addf(bad, "%s %s\n", of->items[i], what);
}

static void the_page_has_every_key_and_no_other(void **state)
{
    (void)state;
    DR_CLEANUP(buf_fini) struct buf page = { 0 }, bad = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list told = { 0 }, keys = { 0 };
    struct dr_err err;
    static const char item[] = ".It Va ";
    assert_int_equal(fs_read_file("dr.yaml.5", 1 << 20, &page, &err), DR_OK);
    for (char *rest = page.data, *line; (line = strsep(&rest, "\n")) != NULL;)
        if (text_starts(line, item))
            text_list_add(&told, line + sizeof(item) - 1);
    config_key_paths(&keys);
    assert_true(keys.count > 120);
    add_missing(&bad, &told, &keys, "is a key, and not in the page");
    add_missing(&bad, &keys, &told, "is in the page, and no key");
    if (bad.len > 0)
        fail_msg("%s", bad.data);
    assert_int_equal(told.count, keys.count); /* none twice */
}

/* Does the tree hold the path? What is in capitals stands for any key, [] for any item. */
static bool holds(const struct yaml_node *node, const char *path)
{
    if (*path == '\0')
        return true;
    if (text_starts(path, "[]")) {
        for (size_t i = 0; node->kind == YAML_LIST && i < node->count; i++)
            if (holds(node->items[i], path + 2))
                return true;
        return false;
    }
    if (node->kind == YAML_LIST) /* one or several of them: the people of a role */
        for (size_t i = 0; i < node->count; i++)
            if (holds(node->items[i], path))
                return true;
    path += *path == '.';
    size_t len = strcspn(path, ".[");
    bool any = path[0] >= 'A' && path[0] <= 'Z';
    for (size_t i = 0; node->kind == YAML_MAP && i < node->count; i++)
        if ((any || (node->keys[i]->len == len && strncmp(node->keys[i]->text, path, len) == 0)) &&
            holds(node->items[i], path + len))
            return true;
    return false;
}

static void the_example_has_every_key(void **state)
{
    (void)state;
    static const char *const told[] = { "here", "coordination.lease.bucket" }; /* in a comment */
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 }, bad = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list keys = { 0 };
    DR_CLEANUP(diag_fini) struct diag d = { .file = "dr.yaml" };
    struct dr_err err;
    assert_int_equal(fs_read_file("conf/dr.yaml", 1 << 20, &bytes, &err), DR_OK);
    DR_CLEANUP(yaml_doc_free_ptr) struct yaml_doc *doc = yaml_parse(bytes.data, bytes.len, &d);
    assert_non_null(doc);
    config_key_paths(&keys);
    for (size_t i = 0; i < keys.count; i++) {
        bool excused = false;
        for (size_t k = 0; k < DR_ARRAY_LEN(told); k++)
            excused = excused || strcmp(told[k], keys.items[i]) == 0;
        if (excused == holds(yaml_root(doc), keys.items[i]))
            buf_addf(&bad, "%s: %s\n", keys.items[i], excused ? "is there" : "is missing");
    }
    assert_non_null(strstr(bytes.data, "# here: "));
    assert_non_null(strstr(bytes.data, "with bucket: NAME"));
    if (bad.len > 0)
        fail_msg("%s", bad.data);
}

static void the_example_has_no_finding(void **state)
{
    (void)state;
    DR_CLEANUP(text_list_fini) struct text_list plans = { 0 };
    text_list_add(&plans, "primary_region_failure");
    text_list_add(&plans, "hello_failover");
    struct read_file f = review_with("conf/dr.yaml", &(struct config_facts){ .plans = &plans });
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    diag_print(&f.d, &out);
    if (f.d.count > 0)
        fail_msg("%s", out.data);
    unread(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_wrong_thing_is_one_finding_in_its_words_at_its_place),
        cmocka_unit_test(an_rpo_is_held_against_what_the_slowest_source_was_measured_to_take),
        cmocka_unit_test(an_rto_is_held_against_its_forecast),
        cmocka_unit_test(without_facts_about_plans_nothing_is_said_of_them),
        cmocka_unit_test(the_page_has_every_key_and_no_other),
        cmocka_unit_test(the_example_has_every_key),
        cmocka_unit_test(the_example_has_no_finding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
