/*
 * The commit of a snapshot in many buckets: it becomes visible by the protocol, whatever prunes come
 * between two calls, and wherever its packs are. Runs under TSan. What a bucket that fails or
 * lags costs is in test_buckets.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "backup/work/process.h"
#include "dr/base/mem.h"
#include "tests/support/site.h"
#include "tests/support/spied.h"

/* -- what is there before, and what must have happened ------------------------------------ */

/* An old pack: put behind the back of the run, in one bucket. */
static void plant_pack(int bucket, unsigned n)
{
    struct spooled *pack = spied_make_pack(n);
    char name[NAMES_MAX];
    assert_int_equal(store_put(spied_inner(bucket), names_pack(pack->name, name), pack->data,
                               pack->len, &spied.err),
                     DR_OK);
    spooled_drop(pack);
}

/* A gc list in one bucket: pack n (or none, below 0) is condemned, snapshot id (or NULL) expired. */
static void plant_gc(int bucket, const char *name, int n, const char *id)
{
    DR_JSON json_t *body = json_object();
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    DR_FREE char *full = dr_strf(NAMES_GC "%s", name);
    json_t *packs = json_array(), *snapshots = json_array();
    if (n >= 0)
        assert_int_equal(json_array_append_new(packs, json_string(spied_hex_of_pack((unsigned)n))),
                         0);
    if (id != NULL)
        assert_int_equal(json_array_append_new(snapshots, json_string(id)), 0);
    json_put(body, "packs", packs);
    json_put(body, "snapshots", snapshots);
    sealed_encode(body, "drctl-gc", &object);
    assert_int_equal(store_put(spied_inner(bucket), full, object.data, object.len, &spied.err),
                     DR_OK);
}

static const char *must_find(const char *trace, const char *what)
{
    const char *at = trace != NULL ? strstr(trace, what) : NULL;
    if (at == NULL)
        fail_msg("no '%s' in '%s'", what, trace != NULL ? trace : "");
    return at;
}

/* -- packs and commit ---------------------------------------------------------------------- */

static void each_bucket_gets_packs_and_snapshot(bool inline_work)
{
    spied_begin(&(struct buckets_options){ .inline_work = inline_work });
    for (unsigned n = 0; n < 48; n++)
        assert_int_equal(spied_put_pack(n), DR_OK);
    assert_int_equal(spied_commit("s1", 0, 48), DR_OK);
    assert_int_equal(spied_copies(), SPIED_BUCKETS);
    for (int i = 0; i < SPIED_BUCKETS; i++) {
        spied_assert_holds(i, "s1", 0, 48);
        assert_false(spied_has(i, NAMES_PENDING, "s1"));
    }
}

static void snapshot_is_in_every_bucket(void **state)
{
    (void)state;
    each_bucket_gets_packs_and_snapshot(true);
}

static void snapshot_is_in_every_bucket_by_threads(void **state)
{
    (void)state;
    each_bucket_gets_packs_and_snapshot(false);
}

static void commit_goes_in_the_order_of_the_protocol(void **state)
{
    (void)state;
    spied_begin_inline();
    assert_int_equal(spied_put_pack(0), DR_OK);
    assert_int_equal(spied_commit("s1", 0, 1), DR_OK);
    const char *at = must_find(spied.traces[0].data, "put packs/");
    at = must_find(at, "put pending/s1;");
    at = must_find(at, "list gc/;");
    at = must_find(at, "head packs/");
    at = must_find(at, "put snapshots/s1;");
    at = must_find(at, "list gc/;");
    must_find(at, "remove pending/s1;");
    assert_null(strstr(spied.traces[1].data, "pending"));
    at = must_find(spied.traces[1].data, "put snapshots/s1;");
    must_find(at, "list gc/;");
}

/* Nothing of S may be in a further bucket before the check at home has passed. */
static enum dr_rc refuse_early(struct spy *s, const char *op, const char *name, struct dr_err *err)
{
    if (s->number == 0 && strcmp(op, "list") == 0 && strcmp(name, NAMES_GC) == 0 &&
        !spied_has(0, NAMES_SNAPSHOTS, "s1") &&
        (spied_has(1, NAMES_SNAPSHOTS, "s1") || spied_has(2, NAMES_SNAPSHOTS, "s1")))
        return dr_fail(err, DR_E_IO, "too early");
    return DR_OK;
}

static void further_buckets_wait_for_the_check(void **state)
{
    (void)state;
    spied.before = refuse_early;
    spied_begin(&(struct buckets_options){ .upload_limit = 0 });
    assert_int_equal(spied_put_pack(0), DR_OK);
    assert_int_equal(spied_commit("s1", 0, 1), DR_OK);
    assert_int_equal(spied_copies(), SPIED_BUCKETS);
}

static void many_packs_are_looked_for_in_one_list(void **state)
{
    (void)state;
    spied_begin_inline();
    for (unsigned n = 0; n < 40; n++)
        assert_int_equal(spied_put_pack(n), DR_OK);
    assert_int_equal(spied_commit("s1", 0, 40), DR_OK);
    for (int i = 0; i < SPIED_BUCKETS; i++) {
        must_find(spied.traces[i].data, "list packs/;");
        assert_null(strstr(spied.traces[i].data, "head packs/"));
    }
}

/* -- prunes between two calls -------------------------------------------------------------- */

/* A prune's list appears in all buckets right behind the pending of s1. */
static enum dr_rc condemn_0(struct spy *s, const char *name, struct dr_err *err)
{
    (void)err;
    if (s->number == 0 && strcmp(name, NAMES_PENDING "s1") == 0)
        for (int i = 0; i < SPIED_BUCKETS; i++)
            plant_gc(i, "p1", 0, NULL);
    return DR_OK;
}

static void condemned_pack_is_named_and_the_next_attempt_goes_without(void **state)
{
    (void)state;
    uint8_t id[DIGEST_SIZE];
    spied.after_put = condemn_0;
    spied_begin_inline();
    assert_int_equal(spied_put_pack(0), DR_OK);
    assert_int_equal(spied_put_pack(1), DR_OK);
    assert_int_equal(spied_commit("s1", 0, 2), DR_E_BUSY);
    assert_int_equal(spied.avoid.count, 1);
    assert_true(names_parse_pack(spied_pack_name(0), id));
    assert_memory_equal(pack_names_of(&spied.avoid, 0), id, DIGEST_SIZE);
    for (int i = 0; i < SPIED_BUCKETS; i++)
        assert_false(spied_has(i, NAMES_SNAPSHOTS, "s1"));
    /* It protects pack 1 until the pending of the next attempt does. */
    assert_true(spied_has(0, NAMES_PENDING, "s1"));
    assert_false(spied_has(1, NAMES_PENDING, "s1") || spied_has(2, NAMES_PENDING, "s1"));

    assert_int_equal(spied_put_pack(2), DR_OK);
    assert_int_equal(spied_commit("s2", 1, 3), DR_OK);
    assert_int_equal(spied_copies(), SPIED_BUCKETS);
    must_find(must_find(spied.traces[0].data, "put pending/s2;"), "remove pending/s1;");
    for (int i = 0; i < SPIED_BUCKETS; i++) {
        assert_false(spied_has(i, NAMES_PENDING, "s1") || spied_has(i, NAMES_PENDING, "s2"));
        spied_assert_holds(i, "s2", 1, 3);
    }
}

static enum dr_rc read_pending(struct spy *s, const char *name, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    DR_JSON json_t *body = NULL;
    if (!text_starts(name, NAMES_PENDING))
        return DR_OK;
    DR_TRY(store_get_all(s->inner, name, 1 << 20, &object, err));
    DR_TRY(sealed_parse(name, "drctl-pending", object.data, object.len, &body, err));
    assert_string_equal(json_string_value(json_object_get(body, "snapshot")), "s1");
    assert_int_equal(json_array_size(json_object_get(body, "packs")), 2);
    assert_false(process_is_dead(json_object_get(body, "owner")));
    assert_true(json_is_object(json_object_get(body, "owner")));
    return DR_OK;
}

static void pending_names_packs_and_process(void **state)
{
    (void)state;
    spied.after_put = read_pending;
    spied_begin_inline();
    assert_int_equal(spied_put_pack(0), DR_OK);
    assert_int_equal(spied_put_pack(1), DR_OK);
    assert_int_equal(spied_commit("s1", 0, 2), DR_OK);
    assert_int_equal(spied_copies(), SPIED_BUCKETS);
}

/* Its size changes all the time: that is no sign of death. */
static void growing_process_is_alive(void **state)
{
    (void)state;
    enum { MORE = 64 << 20 };
    DR_JSON json_t *mark = process_mark();
    void *more = mmap(NULL, MORE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(more != MAP_FAILED);
    bool dead = process_is_dead(mark);
    assert_int_equal(munmap(more, MORE), 0);
    assert_false(dead);
}

/* Each attempt's pending goes when the next one's stands, also when that fails its check too. */
static void second_attempt_that_fails_leaves_one_pending(void **state)
{
    (void)state;
    spied.after_put = condemn_0;
    spied_begin_inline();
    assert_int_equal(spied_put_pack(0), DR_OK);
    assert_int_equal(spied_commit("s1", 0, 1), DR_E_BUSY);
    assert_int_equal(spied_commit("s2", 0, 1), DR_E_BUSY);
    assert_false(spied_has(0, NAMES_PENDING, "s1"));
    assert_true(spied_has(0, NAMES_PENDING, "s2"));
    must_find(must_find(spied.traces[0].data, "put pending/s2;"), "remove pending/s1;");
}

static void pending_of_an_attempt_that_was_given_up_is_removed(void **state)
{
    (void)state;
    spied.after_put = condemn_0;
    spied_begin_inline();
    assert_int_equal(spied_put_pack(0), DR_OK);
    assert_int_equal(spied_commit("s1", 0, 1), DR_E_BUSY);
    buckets_free(spied.buckets);
    spied.buckets = NULL;
    assert_false(spied_has(0, NAMES_PENDING, "s1"));
}

static void condemned_packs_are_told_before_the_run(void **state)
{
    (void)state;
    DR_CLEANUP(pack_names_fini) struct pack_names condemned = { 0 };
    uint8_t id[DIGEST_SIZE];
    plant_gc(0, "p1", 5, NULL);
    spied_begin_inline();
    buckets_condemned(spied.buckets, true, &condemned);
    assert_int_equal(condemned.count, 1);
    assert_true(names_parse_pack(spied_pack_name(5), id));
    assert_memory_equal(pack_names_of(&condemned, 0), id, DIGEST_SIZE);
}

/* Of a prune that stopped after its first bucket: that one is no home, but gets the snapshot. */
static void bucket_that_alone_condemns_is_filled_from_another_home(void **state)
{
    (void)state;
    plant_gc(0, "p1", 0, NULL);
    spied_begin_inline();
    assert_int_equal(spied_put_pack(0), DR_OK);
    assert_int_equal(spied_commit("s1", 0, 1), DR_OK);
    assert_int_equal(spied_copies(), SPIED_BUCKETS);
    must_find(spied.traces[1].data, "put pending/s1;");
    for (int i = 0; i < SPIED_BUCKETS; i++) {
        spied_assert_holds(i, "s1", 0, 1);
        assert_false(spied_has(i, NAMES_PENDING, "s1"));
    }
}

/* What is condemned once the check has passed is nobody's business: the pruner sees the pending. */
static enum dr_rc condemn_late(struct spy *s, const char *name, struct dr_err *err)
{
    (void)err;
    if (s->number == 0 && strcmp(name, NAMES_SNAPSHOTS "s1") == 0)
        for (int i = 0; i < SPIED_BUCKETS; i++)
            plant_gc(i, "p1", 0, NULL);
    return DR_OK;
}

static void packs_condemned_after_the_check_do_not_matter(void **state)
{
    (void)state;
    spied.after_put = condemn_late;
    spied_begin_inline();
    assert_int_equal(spied_put_pack(0), DR_OK);
    assert_int_equal(spied_commit("s1", 0, 1), DR_OK);
    assert_int_equal(spied_copies(), SPIED_BUCKETS);
}

/* Somebody gave the run up for dead and expired it in one bucket, before or after its put there. */
static enum dr_rc expire_early(struct spy *s, const char *name, struct dr_err *err)
{
    (void)err;
    if (s->number == 0 && strcmp(name, NAMES_SNAPSHOTS "s1") == 0)
        plant_gc(1, "p1", -1, "s1");
    return DR_OK;
}

static enum dr_rc expire_late(struct spy *s, const char *name, struct dr_err *err)
{
    (void)err;
    if (s->number == 1 && strcmp(name, NAMES_SNAPSHOTS "s1") == 0)
        plant_gc(1, "p1", -1, "s1");
    return DR_OK;
}

static void bucket_where_it_is_expired_does_not_count(void **state)
{
    (void)state;
    spied.after_put = expire_early;
    spied_begin_inline();
    assert_int_equal(spied_put_pack(0), DR_OK);
    assert_int_equal(spied_commit("s1", 0, 1), DR_OK);
    assert_int_equal(spied_copies(), SPIED_BUCKETS - 1);
    assert_true(spied_is_missing("eu", "expired"));
    assert_false(spied_has(1, NAMES_SNAPSHOTS, "s1"));
}

static void bucket_where_it_is_expired_at_once_does_not_count(void **state)
{
    (void)state;
    spied.after_put = expire_late;
    spied_begin_inline();
    assert_int_equal(spied_put_pack(0), DR_OK);
    assert_int_equal(spied_commit("s1", 0, 1), DR_OK);
    assert_int_equal(spied_copies(), SPIED_BUCKETS - 1);
    assert_true(spied_is_missing("eu", "expired"));
}

/* A list is merged away between LIST and GET: listed anew. */
static enum dr_rc merge_lists(struct spy *s, const char *op, const char *name, struct dr_err *err)
{
    if (s->number != 0 || strcmp(op, "get") != 0 || strcmp(name, NAMES_GC "p1") != 0)
        return DR_OK;
    plant_gc(0, "p2", 0, NULL);
    return store_remove(spied_inner(0), name, err);
}

static void gc_list_that_is_merged_away_is_read_in_its_union(void **state)
{
    (void)state;
    plant_gc(0, "p1", 0, NULL);
    plant_gc(1, "p1", 0, NULL);
    plant_gc(2, "p1", 0, NULL);
    spied.before = merge_lists;
    spied_begin_inline();
    assert_int_equal(spied_put_pack(0), DR_OK);
    assert_int_equal(spied_commit("s1", 0, 1), DR_E_BUSY);
    assert_int_equal(spied.avoid.count, 1);
    assert_true(spied_has(0, NAMES_PENDING, "s1")); /* us told so itself, and did not drop out */
}

/* -- the snapshot before ---------------------------------------------------------------------- */

/* S0 of packs 0 and 1 is listed in us and eu, not in ap; the next run builds upon it. */
static void build_upon_s0(void)
{
    DR_CLEANUP(text_list_fini) struct text_list packs = { 0 }, names = { 0 };
    spied_begin_inline();
    for (unsigned n = 0; n < 3; n++)
        assert_int_equal(spied_put_pack(n), DR_OK);
    for (unsigned n = 0; n < 2; n++)
        text_list_add(&packs, spied_hex_of_pack(n));
    text_list_add(&names, "us");
    text_list_add(&names, "eu");
    buckets_trust(spied.buckets, "s0", &packs, &names);
}

static void packs_of_the_snapshot_before_are_not_asked_for_where_it_is_visible(void **state)
{
    (void)state;
    build_upon_s0();
    assert_int_equal(spied_commit("s1", 0, 3), DR_OK);
    assert_int_equal(spied_copies(), SPIED_BUCKETS);
    for (int i = 0; i < SPIED_BUCKETS; i++) {
        DR_FREE char *first = dr_strf("head %s;", spied_pack_name(0));
        DR_FREE char *own = dr_strf("head %s;", spied_pack_name(2));
        assert_int_equal(strstr(spied.traces[i].data, first) != NULL, i == 2);
        must_find(spied.traces[i].data, own); /* what this run put is looked for */
    }
}

static void packs_of_a_snapshot_before_that_expired_are_asked_for(void **state)
{
    (void)state;
    for (int i = 0; i < SPIED_BUCKETS; i++)
        plant_gc(i, "p1", -1, "s0");
    build_upon_s0();
    DR_FREE char *first = dr_strf("head %s;", spied_pack_name(0));
    assert_int_equal(spied_commit("s1", 0, 3), DR_OK);
    for (int i = 0; i < SPIED_BUCKETS; i++)
        must_find(spied.traces[i].data, first);
}

static void condemned_pack_of_the_snapshot_before_is_not_trusted(void **state)
{
    (void)state;
    for (int i = 0; i < SPIED_BUCKETS; i++)
        plant_gc(i, "p1", 1, NULL);
    build_upon_s0();
    assert_int_equal(spied_commit("s1", 0, 3), DR_E_BUSY);
    assert_int_equal(spied.avoid.count, 1);
}

/* -- packs that are not everywhere --------------------------------------------------------- */

static void pack_that_is_nowhere_is_named(void **state)
{
    (void)state;
    uint8_t id[DIGEST_SIZE];
    spied_begin_inline();
    assert_int_equal(spied_put_pack(0), DR_OK);
    assert_int_equal(spied_commit("s1", 0, 2), DR_E_BUSY); /* pack 1 is known from an index only */
    assert_int_equal(spied.avoid.count, 1);
    assert_true(names_parse_pack(spied_pack_name(1), id));
    assert_memory_equal(pack_names_of(&spied.avoid, 0), id, DIGEST_SIZE);
}

static void old_packs_are_copied_to_where_they_lack(void **state)
{
    (void)state;
    for (unsigned n = 10; n < 13; n++)
        plant_pack(1, n);
    plant_pack(2, 11);
    spied_begin(&(struct buckets_options){ .upload_limit = 0 });
    assert_int_equal(spied_put_pack(13), DR_OK);
    assert_int_equal(spied_commit("s1", 10, 14), DR_OK);
    assert_int_equal(spied_copies(), SPIED_BUCKETS);
    must_find(spied.traces[1].data, "remove pending/s1;"); /* home: the first that has all */
    for (int i = 0; i < SPIED_BUCKETS; i++)
        spied_assert_holds(i, "s1", 10, 14);
}

static void damage_pack(int bucket, unsigned n)
{
    DR_FREE char *path = dr_strf("%s/%s/%s", spied.dir, spied_names[bucket], spied_pack_name(n));
    FILE *f = fopen(path, "r+e");
    assert_non_null(f);
    assert_int_equal(fputc('x', f), 'x');
    assert_int_equal(fclose(f), 0);
}

static void damaged_copy_is_not_spread(void **state)
{
    (void)state;
    plant_pack(0, 10);
    plant_pack(1, 10);
    damage_pack(0, 10);
    spied_begin_inline();
    assert_int_equal(spied_commit("s1", 10, 11), DR_OK);
    assert_int_equal(spied_copies(), SPIED_BUCKETS);
    spied_assert_holds(2, "s1", 10, 11); /* out of eu */
}

static void pack_that_is_right_nowhere_keeps_the_snapshot_out(void **state)
{
    (void)state;
    plant_pack(0, 10);
    damage_pack(0, 10);
    spied_begin_inline();
    assert_int_equal(spied_commit("s1", 10, 11),
                     DR_OK); /* home has it, as far as a list can tell */
    assert_int_equal(spied_copies(), 1);
    assert_true(spied_is_missing("eu", "damaged"));
    assert_false(spied_has(1, NAMES_SNAPSHOTS, "s1") || spied_has(1, "", spied_pack_name(10)));
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, spied_set_up, spied_tear_down)
    site_without_waiting();
    const struct CMUnitTest tests[] = {
        FRESH(snapshot_is_in_every_bucket),
        FRESH(snapshot_is_in_every_bucket_by_threads),
        FRESH(commit_goes_in_the_order_of_the_protocol),
        FRESH(further_buckets_wait_for_the_check),
        FRESH(many_packs_are_looked_for_in_one_list),
        FRESH(condemned_pack_is_named_and_the_next_attempt_goes_without),
        FRESH(pending_names_packs_and_process),
        cmocka_unit_test(growing_process_is_alive),
        FRESH(second_attempt_that_fails_leaves_one_pending),
        FRESH(pending_of_an_attempt_that_was_given_up_is_removed),
        FRESH(condemned_packs_are_told_before_the_run),
        FRESH(bucket_that_alone_condemns_is_filled_from_another_home),
        FRESH(packs_condemned_after_the_check_do_not_matter),
        FRESH(bucket_where_it_is_expired_does_not_count),
        FRESH(bucket_where_it_is_expired_at_once_does_not_count),
        FRESH(gc_list_that_is_merged_away_is_read_in_its_union),
        FRESH(packs_of_the_snapshot_before_are_not_asked_for_where_it_is_visible),
        FRESH(packs_of_a_snapshot_before_that_expired_are_asked_for),
        FRESH(condemned_pack_of_the_snapshot_before_is_not_trusted),
        FRESH(pack_that_is_nowhere_is_named),
        FRESH(old_packs_are_copied_to_where_they_lack),
        FRESH(damaged_copy_is_not_spread),
        FRESH(pack_that_is_right_nowhere_keeps_the_snapshot_out),
    };
    return cmocka_run_group_tests_name("commit", tests, NULL, NULL);
}
