/*
 * evidence.c - a small true life of a host, made by the same calls as the real one.
 */
#include "tests/support/evidence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/store/store.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/data/time.h"
#include "dr/journal/journal.h"

static int64_t now_ns;

static int64_t fake_wall(void)
{
    return now_ns += 1000000000;
}

void evidence_set_time(const char *text)
{
    assert_true(time_parse(text, &now_ns));
    dr_clock.wall_ns = fake_wall;
}

static void make_bucket(struct evidence *e, size_t at, const char *name, const char *region)
{
    struct dr_err err = { 0 };
    DR_FREE char *path = dr_strf("%s/%s", e->dir, name);
    DR_CLEANUP(store_close_ptr) struct store *s = NULL;
    assert_int_equal(fs_make_dirs(path, 0700, &err), DR_OK);
    e->buckets[at] = (struct config_bucket){ .name = dr_strdup(name),
                                             .region = dr_strdup(region),
                                             .url = dr_strf("file://%s", path) };
    assert_int_equal(store_open_url(name, region, e->buckets[at].url, &s, &err), DR_OK);
    assert_int_equal(store_put(s, NAMES_REPOSITORY, "x", 1, &err), DR_OK);
}

void evidence_make(struct evidence *e)
{
    struct dr_err err = { 0 };
    *e = (struct evidence){ .real = dr_clock };
    (void)snprintf(e->dir, sizeof(e->dir), "/tmp/dr-evidence-XXXXXX");
    assert_non_null(mkdtemp(e->dir));
    (void)snprintf(e->state, sizeof(e->state), "%s/state", e->dir);
    assert_int_equal(fs_make_dirs(e->state, 0700, &err), DR_OK);
    make_bucket(e, 0, "us", "us-east-1");
    make_bucket(e, 1, "eu", "eu-west-1");
    e->config.state_dir = e->state;
    e->config.buckets = e->buckets;
    e->config.bucket_count = 2;
    evidence_set_time("2026-10-31T23:59:50Z");
}

void evidence_drop(struct evidence *e)
{
    struct dr_err err = { 0 };
    dr_clock = e->real;
    for (size_t i = 0; i < 2; i++) {
        free(e->buckets[i].name);
        free(e->buckets[i].region);
        free(e->buckets[i].url);
    }
    assert_int_equal(fs_remove_tree(e->dir, &err), DR_OK);
}

struct book_place evidence_place(const struct evidence *e)
{
    return (struct book_place){
        .state_dir = e->state, .site = "us", .version = "0.1.0", .make_key = true
    };
}

void evidence_line(const struct evidence *e, const char *type)
{
    struct dr_err err = { 0 };
    struct book_place p = evidence_place(e);
    json_t *o = json_object();
    json_put_text(o, "source", "app");
    json_put_text(o, "why", "a \"quoted\" word, and a\nbreak");
    json_put_int(o, "exit", 0);
    assert_int_equal(book_append(&p, type, o, &err), DR_OK);
}

void evidence_run(const struct evidence *e, const char *run, int records, const char *state)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(journal_close_ptr) struct journal *j = NULL;
    assert_int_equal(journal_create(e->state, run, &j, &err), DR_OK);
    for (int i = 1; i <= records; i++) {
        json_t *o = json_object();
        json_put_int(o, "i", i);
        if (i == records && state != NULL)
            json_put_text(o, "run", state);
        assert_int_equal(journal_append(j, i == 1 ? "start" : "note", o, &err), DR_OK);
    }
    struct book_place p = evidence_place(e);
    assert_int_equal(book_add_runs(&p, run, NULL, &err), DR_OK);
}

void evidence_live(struct evidence *e)
{
    evidence_line(e, "backup"); /* with the title: lines 1 and 2 */
    evidence_run(e, "R-1", 4, "recovered");
    evidence_line(e, "verify");
    evidence_set_time("2026-11-02T12:00:00Z");
    evidence_line(e, "prune");
    evidence_run(e, "D-2", 3, "failed");
    evidence_run(e, "R-3", 3, NULL);
    evidence_line(e, "repair");
    evidence_line(e, "restore");
}

enum dr_rc evidence_anchor(const struct evidence *e, const char *dark, struct anchor_report *ret)
{
    struct dr_err err = { 0 };
    struct anchor_report report = { 0 };
    const struct anchor_wish wish = {
        .config = &e->config, .site = "us", .version = "0.1.0", .dark = dark, .wait_ms = 60000
    };
    enum dr_rc rc = anchor_run(&wish, &report, &err);
    if (ret != NULL)
        *ret = report;
    else
        anchor_report_fini(&report);
    return rc;
}

enum audit_grade evidence_audit(const char *dir, json_t **ret)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(audit_free_ptr) struct audit *a = audit_new(dir, NULL);
    assert_int_equal(audit_read(a, &err), DR_OK);
    if (ret != NULL)
        *ret = audit_result(a);
    return audit_worst(a);
}

static bool holds(const json_t *o, const char *key, const char *words)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text != NULL && strstr(text, words) != NULL;
}

bool evidence_found(const json_t *result, const char *grade, const char *file, const char *words)
{
    const json_t *all = json_object_get(result, "findings");
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *f = json_array_get(all, i);
        if (holds(f, "grade", grade) && holds(f, "file", file) && holds(f, "text", words))
            return true;
    }
    return false;
}
