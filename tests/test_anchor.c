/*
 * test_anchor.c - the ledger in the buckets: each is brought up by itself, none holds up another, and nothing goes where a region
 * was given up. Runs under TSan: each bucket is written in a thread of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/store/store.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "tests/support/evidence.h"

static struct evidence e;
static struct dr_err err;

static int setup(void **state)
{
    (void)state;
    evidence_make(&e);
    evidence_live(&e);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    evidence_drop(&e);
    return 0;
}

/* The anchors of one bucket. */
static void list(size_t bucket, struct text_list *ret)
{
    const struct config_bucket *b = &e.buckets[bucket];
    DR_CLEANUP(store_close_ptr) struct store *s = NULL;
    assert_int_equal(store_open_url(b->name, b->region, b->url, &s, &err), DR_OK);
    assert_int_equal(store_list(s, NAMES_LEDGER, ret, &err), DR_OK);
}

static size_t count(size_t bucket)
{
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    list(bucket, &names);
    return names.count;
}

static void take_away(size_t bucket, bool away)
{
    DR_FREE char *path = dr_strf("%s/%s", e.dir, e.buckets[bucket].name);
    DR_FREE char *hidden = dr_strf("%s.away", path);
    assert_int_equal(away ? rename(path, hidden) : rename(hidden, path), 0);
}

static void every_bucket_gets_every_line_once(void **state)
{
    (void)state;
    struct anchor_report report = { 0 };
    assert_int_equal(evidence_anchor(&e, NULL, &report), DR_OK);
    assert_int_equal(report.fresh, 8);
    assert_int_equal(report.to, 8);
    assert_int_equal(report.put, 2);
    anchor_report_fini(&report);
    DR_CLEANUP(text_list_fini) struct text_list us = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list eu = { 0 };
    list(0, &us);
    list(1, &eu);
    assert_int_equal(us.count, 1);
    assert_string_equal(us.items[0], eu.items[0]);
    assert_true(text_starts(us.items[0], "ledger/us/"));
}

static void an_anchor_alone_asks_for_no_other(void **state)
{
    (void)state;
    struct anchor_report report = { 0 };
    assert_int_equal(evidence_anchor(&e, NULL, NULL), DR_OK);
    assert_int_equal(evidence_anchor(&e, NULL, &report), DR_OK);
    assert_int_equal(report.fresh, 0);
    assert_int_equal(report.put, 0);
    assert_int_equal(report.took.count, 2);
    anchor_report_fini(&report);
    evidence_line(&e, "backup");
    assert_int_equal(evidence_anchor(&e, NULL, &report), DR_OK);
    assert_int_equal(report.fresh, 2); /* the line about the first one goes with it */
    anchor_report_fini(&report);
}

static void a_bucket_that_was_away_is_brought_up(void **state)
{
    (void)state;
    struct anchor_report report = { 0 };
    take_away(1, true);
    assert_int_equal(evidence_anchor(&e, NULL, &report), DR_OK);
    assert_int_equal(report.took.count, 1);
    assert_int_equal(report.lacking.count, 1);
    assert_true(text_starts(report.lacking.items[0], "eu: "));
    anchor_report_fini(&report);
    evidence_line(&e, "backup");
    assert_int_equal(evidence_anchor(&e, NULL, NULL), DR_OK);
    take_away(1, false);
    assert_int_equal(count(1), 0);
    assert_int_equal(evidence_anchor(&e, NULL, &report), DR_OK);
    assert_int_equal(report.put, 2);
    anchor_report_fini(&report);
    assert_int_equal(count(0), 2);
    assert_int_equal(count(1), 2);
}

static void a_region_that_was_given_up_is_left_alone(void **state)
{
    (void)state;
    assert_int_equal(evidence_anchor(&e, "us-east-1", NULL), DR_OK);
    assert_int_equal(count(0), 0);
    assert_int_equal(count(1), 1);
    assert_int_equal(evidence_anchor(&e, NULL, NULL), DR_OK);
    assert_int_equal(count(0), 1);
}

static void what_no_bucket_took_counts_as_nothing(void **state)
{
    (void)state;
    struct anchor_report report = { 0 };
    take_away(0, true);
    take_away(1, true);
    assert_int_equal(evidence_anchor(&e, NULL, &report), DR_OK);
    assert_int_equal(report.to, 0);
    assert_int_equal(report.fresh, 0);
    anchor_report_fini(&report);
    assert_int_equal(evidence_audit(e.state, NULL), AUDIT_UNKNOWN);
    take_away(0, false);
    take_away(1, false);
    assert_int_equal(evidence_anchor(&e, NULL, &report), DR_OK);
    assert_int_equal(report.fresh, 8);
    anchor_report_fini(&report);
    assert_int_equal(evidence_audit(e.state, NULL), AUDIT_NOTE);
}

static void a_bucket_of_no_repository_stays_empty(void **state)
{
    (void)state;
    struct anchor_report report = { 0 };
    DR_FREE char *path = dr_strf("%s/eu", e.dir);
    assert_int_equal(fs_remove_tree(path, &err), DR_OK);
    assert_int_equal(fs_make_dirs(path, 0700, &err), DR_OK);
    assert_int_equal(evidence_anchor(&e, NULL, &report), DR_OK);
    assert_int_equal(report.lacking.count, 1);
    anchor_report_fini(&report);
    assert_int_equal(count(1), 0);
}

static void a_broken_ledger_is_anchored_nowhere(void **state)
{
    (void)state;
    DR_FREE char *path = dr_strf("%s/ledger/2026-11.jsonl", e.state);
    FILE *f = fopen(path, "r+e");
    assert_non_null(f);
    assert_int_equal(fseek(f, 30, SEEK_SET), 0);
    assert_int_equal(fputc('~', f), '~');
    assert_int_equal(fclose(f), 0);
    assert_int_equal(evidence_anchor(&e, NULL, NULL), DR_E_CORRUPT);
    assert_int_equal(count(0), 0);
}

static void many_lines_make_several_objects_and_all_are_whole(void **state)
{
    (void)state;
    DR_CLEANUP(keys_free_ptr) struct keys *key = NULL;
    DR_CLEANUP(buf_fini) struct buf lines = { 0 };
    DR_FREE char *dir = dr_strf("%s/ledger", e.state);
    assert_int_equal(fs_remove_tree(dir, &err), DR_OK);
    evidence_line(&e, "backup");
    assert_int_equal(fs_remove_tree(dir, &err), DR_OK);
    assert_int_equal(fs_make_dirs(dir, 0700, &err), DR_OK);
    assert_int_equal(keys_open(e.state, true, &key, &err), DR_OK);
    char prev[HASH_HEX_SIZE] = "";
    memset(prev, '0', HASH_HEX_SIZE - 1);
    for (int n = 1; n <= ANCHOR_LINES_MAX + 5; n++) {
        DR_CLEANUP(book_record_fini)
        struct book_record r = { .n = n,
                                 .wall_ns = clock_wall_ns(),
                                 .boot_ns = n,
                                 .type = dr_strdup("backup"),
                                 .body = json_object() };
        memcpy(r.prev, prev, sizeof(r.prev));
        book_print(&r, key, &lines);
        memcpy(prev, r.hash, sizeof(prev));
    }
    DR_FREE char *line = dr_strf("%s\n", keys_public(key));
    assert_int_equal(fs_replace(dir, "keys.pub", line, strlen(line), &err), DR_OK);
    assert_int_equal(fs_replace(dir, "2026-11.jsonl", lines.data, lines.len, &err), DR_OK);
    struct anchor_report report = { 0 };
    assert_int_equal(evidence_anchor(&e, NULL, &report), DR_OK);
    assert_int_equal(report.put, 4);
    anchor_report_fini(&report);
    DR_JSON json_t *o = NULL;
    assert_true(evidence_audit(e.state, &o) != AUDIT_BROKEN);
}

int main(void)
{
#define FACT(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        FACT(every_bucket_gets_every_line_once),
        FACT(an_anchor_alone_asks_for_no_other),
        FACT(a_bucket_that_was_away_is_brought_up),
        FACT(a_region_that_was_given_up_is_left_alone),
        FACT(what_no_bucket_took_counts_as_nothing),
        FACT(a_bucket_of_no_repository_stays_empty),
        FACT(a_broken_ledger_is_anchored_nowhere),
        FACT(many_lines_make_several_objects_and_all_are_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
