/*
 * Many buckets, one run: each costs itself only, and a snapshot becomes visible by the protocol, whatever
 * prunes and failures come between two calls. Runs under TSan.
 *
 * The stores are wrapped: a test sees each call before it is made, and may do what another process would
 * do at that moment, make it fail, or hold it back.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/format/names.h"
#include "backup/work/backup_buckets.h"
#include "backup/work/backup_forward.h"
#include "backup/work/backup_pace.h"
#include "backup/work/process.h"
#include "backup/work/repo.h"
#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "tests/support/site.h"

enum { BUCKETS = 3, PACK_BYTES = 3000, WAIT_S = 60 };

static const char *const bucket_names[BUCKETS] = { "us", "eu", "ap" };

/* -- wrapped stores ------------------------------------------------------------------------ */

struct spy {
    struct store base;
    struct store *inner;
    int number;
};

/* Called before each call, by whichever thread makes it; what it returns is the call's failure. */
static enum dr_rc (*before)(struct spy *s, const char *op, const char *name, struct dr_err *err);
/* Likewise after a put that went well. */
static enum dr_rc (*after_put)(struct spy *s, const char *name, struct dr_err *err);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards traces */
static struct buf traces[BUCKETS];                       /* "put packs/..;list gc/;" */

static enum dr_rc see(struct store *s, const char *op, const char *name, struct dr_err *err)
{
    struct spy *spy = (struct spy *)s;
    pthread_mutex_lock(&lock);
    buf_addf(&traces[spy->number], "%s %s;", op, name);
    pthread_mutex_unlock(&lock);
    return before != NULL ? before(spy, op, name, err) : DR_OK;
}

static enum dr_rc spy_get(struct store *s, const char *name, uint64_t offset, size_t len, void *out,
                          struct dr_err *err)
{
    DR_TRY(see(s, "get", name, err));
    return store_get(((struct spy *)s)->inner, name, offset, len, out, err);
}

static enum dr_rc spy_put(struct store *s, const char *name, const void *data, size_t len,
                          struct dr_err *err)
{
    DR_TRY(see(s, "put", name, err));
    ((struct spy *)s)->inner->pace = s->pace;
    DR_TRY(store_put(((struct spy *)s)->inner, name, data, len, err));
    return after_put != NULL ? after_put((struct spy *)s, name, err) : DR_OK;
}

static enum dr_rc spy_head(struct store *s, const char *name, uint64_t *ret, struct dr_err *err)
{
    DR_TRY(see(s, "head", name, err));
    return store_head(((struct spy *)s)->inner, name, ret, err);
}

static enum dr_rc spy_list(struct store *s, const char *prefix, struct text_list *ret,
                           struct dr_err *err)
{
    DR_TRY(see(s, "list", prefix, err));
    return store_list(((struct spy *)s)->inner, prefix, ret, err);
}

static enum dr_rc spy_remove(struct store *s, const char *name, struct dr_err *err)
{
    DR_TRY(see(s, "remove", name, err));
    return store_remove(((struct spy *)s)->inner, name, err);
}

static void spy_close(struct store *s)
{
    store_close(((struct spy *)s)->inner);
    free(s->name);
    free(s->region);
    free(s->url);
    free(s);
}

static const struct store_ops spy_ops = { spy_get,  spy_put,    spy_head,
                                          spy_list, spy_remove, spy_close };

/* -- the world ----------------------------------------------------------------------------- */

static struct world {
    char dir[64];
    struct config *config;
    struct repo *repo;
    struct buckets *buckets;
    struct pack_names avoid;
    struct dr_err err;
} w;

static struct store *inner(int bucket)
{
    return ((struct spy *)repo_bucket(w.repo, (size_t)bucket)->store)->inner;
}

static void wrap(int bucket)
{
    struct store *s = repo_bucket(w.repo, (size_t)bucket)->store;
    struct spy *spy = dr_alloc(1, sizeof(*spy));
    spy->base = (struct store){ .ops = &spy_ops,
                                .name = dr_strdup(s->name),
                                .region = dr_strdup(s->region),
                                .url = dr_strdup(s->url) };
    spy->inner = s;
    spy->number = bucket;
    repo_bucket(w.repo, (size_t)bucket)->store = &spy->base;
}

static int set_up(void **state)
{
    (void)state;
    w = (struct world){ .dir = "/tmp/test_buckets.XXXXXX" };
    assert_non_null(mkdtemp(w.dir));
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    buf_addf(&text,
             "sources:\n  - {name: app, path: /usr, class: data}\nstate_dir: %s/state\nbuckets:\n",
             w.dir);
    for (int i = 0; i < BUCKETS; i++) {
        DR_FREE char *path = dr_strf("%s/%s", w.dir, bucket_names[i]);
        assert_int_equal(mkdir(path, 0755), 0);
        buf_addf(&text, "  - {name: %s, url: \"file://%s\", region: r%d}\n", bucket_names[i], path,
                 i);
    }
    assert_int_equal(fs_replace(w.dir, "dr.yaml", text.data, text.len, &w.err), DR_OK);
    DR_FREE char *path = dr_strf("%s/dr.yaml", w.dir);
    struct diag d = { 0 };
    if (config_load(path, &d, &w.config, &w.err) != DR_OK)
        fail_msg("%s", w.err.msg);
    diag_fini(&d);
    assert_int_equal(repo_init(w.config, &w.err), DR_OK);
    assert_int_equal(
        repo_open(w.config, &(struct repo_options){ .dark_count = 0 }, &w.repo, &w.err), DR_OK);
    for (int i = 0; i < BUCKETS; i++)
        wrap(i);
    before = NULL;
    after_put = NULL;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buckets_free(w.buckets);
    repo_close(w.repo);
    config_free(w.config);
    pack_names_fini(&w.avoid);
    for (int i = 0; i < BUCKETS; i++)
        buf_fini(&traces[i]);
    return fs_remove_tree(w.dir, &w.err) == DR_OK ? 0 : -1;
}

static void begin(const struct buckets_options *o)
{
    if (buckets_new(w.repo, o, &w.buckets, &w.err) != DR_OK)
        fail_msg("%s", w.err.msg);
}

static void begin_inline(void)
{
    begin(&(struct buckets_options){ .inline_work = true });
}

/* Pack number n: the same bytes each time. */
static struct spooled *make_pack(unsigned n)
{
    static uint8_t bytes[PACK_BYTES];
    struct spool *spool = NULL;
    struct spooled *pack = NULL;
    DR_FREE char *state = dr_strf("%s/state", w.dir);
    memset(bytes, (int)n, sizeof(bytes));
    memcpy(bytes, &n, sizeof(n));
    assert_int_equal(spool_open(state, &spool, &w.err), DR_OK);
    spool_append(spool, bytes, sizeof(bytes));
    assert_int_equal(spool_seal(spool, &pack, &w.err), DR_OK);
    spool_free(spool);
    return pack;
}

static enum dr_rc put_pack(unsigned n)
{
    struct spooled *pack = make_pack(n);
    enum dr_rc rc = buckets_put(w.buckets, pack, &w.err);
    spooled_drop(pack);
    return rc;
}

/* "packs/AB/..." of pack n. Valid until the next call. */
static const char *pack_name(unsigned n)
{
    static char name[NAMES_MAX];
    struct spooled *pack = make_pack(n);
    names_pack(pack->name, name);
    spooled_drop(pack);
    return name;
}

/* An old pack: put behind the back of the run, in one bucket. */
static void plant_pack(int bucket, unsigned n)
{
    struct spooled *pack = make_pack(n);
    char name[NAMES_MAX];
    assert_int_equal(
        store_put(inner(bucket), names_pack(pack->name, name), pack->data, pack->len, &w.err),
        DR_OK);
    spooled_drop(pack);
}

static const char *hex_of_pack(unsigned n)
{
    return strrchr(pack_name(n), '/') + 1;
}

/* A gc list in one bucket: pack n (or none, below 0) is condemned, snapshot id (or NULL) expired. */
static void plant_gc(int bucket, const char *name, int n, const char *id)
{
    DR_JSON json_t *body = json_object();
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    DR_FREE char *full = dr_strf(NAMES_GC "%s", name);
    json_t *packs = json_array(), *snapshots = json_array();
    if (n >= 0)
        assert_int_equal(json_array_append_new(packs, json_string(hex_of_pack((unsigned)n))), 0);
    if (id != NULL)
        assert_int_equal(json_array_append_new(snapshots, json_string(id)), 0);
    json_put(body, "packs", packs);
    json_put(body, "snapshots", snapshots);
    sealed_encode(body, "drctl-gc", &object);
    assert_int_equal(store_put(inner(bucket), full, object.data, object.len, &w.err), DR_OK);
}

/* Commit a snapshot of packs from .. to - 1. Its object's bytes do not matter here. */
static enum dr_rc commit(const char *id, unsigned from, unsigned to)
{
    struct snapshot s = { .epoch = 0 };
    struct buf object = { 0 };
    strcpy(s.id, id);
    for (unsigned n = from; n < to; n++)
        text_list_add(&s.packs.lines, hex_of_pack(n));
    buf_addf(&object, "object of %s", id);
    enum dr_rc rc = buckets_commit(w.buckets, &s, &object, &w.avoid, &w.err);
    snapshot_fini(&s);
    buf_fini(&object);
    return rc;
}

static bool has(int bucket, const char *prefix, const char *rest)
{
    struct dr_err err = { 0 };
    uint64_t size;
    DR_FREE char *name = dr_strf("%s%s", prefix, rest);
    return store_head(inner(bucket), name, &size, &err) == DR_OK;
}

static size_t copies(void)
{
    struct backup_result r = { .files = 0 };
    buckets_report(w.buckets, &r);
    size_t n = r.copies;
    backup_result_fini(&r);
    return n;
}

/* Does the report say of this bucket that? */
static bool is_missing(const char *bucket, const char *why)
{
    struct backup_result r = { .files = 0 };
    bool said = false;
    buckets_report(w.buckets, &r);
    for (size_t i = 0; i < r.missing.count; i++)
        said |= text_starts(r.missing.items[i], bucket) && strstr(r.missing.items[i], why) != NULL;
    backup_result_fini(&r);
    return said;
}

static void assert_holds(int bucket, const char *id, unsigned from, unsigned to)
{
    assert_true(has(bucket, NAMES_SNAPSHOTS, id));
    for (unsigned n = from; n < to; n++) {
        DR_CLEANUP(buf_fini) struct buf got = { 0 };
        struct spooled *pack = make_pack(n);
        assert_int_equal(store_get_all(inner(bucket), pack_name(n), 1 << 20, &got, &w.err), DR_OK);
        assert_int_equal(got.len, pack->len);
        assert_memory_equal(got.data, pack->data, pack->len);
        spooled_drop(pack);
    }
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
    begin(&(struct buckets_options){ .inline_work = inline_work });
    for (unsigned n = 0; n < 3 * BUCKETS_SPOOL_MAX; n++)
        assert_int_equal(put_pack(n), DR_OK);
    assert_int_equal(commit("s1", 0, 3 * BUCKETS_SPOOL_MAX), DR_OK);
    assert_int_equal(copies(), BUCKETS);
    for (int i = 0; i < BUCKETS; i++) {
        assert_holds(i, "s1", 0, 3 * BUCKETS_SPOOL_MAX);
        assert_false(has(i, NAMES_PENDING, "s1"));
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
    begin_inline();
    assert_int_equal(put_pack(0), DR_OK);
    assert_int_equal(commit("s1", 0, 1), DR_OK);
    const char *at = must_find(traces[0].data, "put packs/");
    at = must_find(at, "put pending/s1;");
    at = must_find(at, "list gc/;");
    at = must_find(at, "head packs/");
    at = must_find(at, "put snapshots/s1;");
    at = must_find(at, "list gc/;");
    must_find(at, "remove pending/s1;");
    assert_null(strstr(traces[1].data, "pending"));
    at = must_find(traces[1].data, "put snapshots/s1;");
    must_find(at, "list gc/;");
}

/* Nothing of S may be in a further bucket before the check at home has passed. */
static enum dr_rc refuse_early(struct spy *s, const char *op, const char *name, struct dr_err *err)
{
    if (s->number == 0 && strcmp(op, "list") == 0 && strcmp(name, NAMES_GC) == 0 &&
        !has(0, NAMES_SNAPSHOTS, "s1") &&
        (has(1, NAMES_SNAPSHOTS, "s1") || has(2, NAMES_SNAPSHOTS, "s1")))
        return dr_fail(err, DR_E_IO, "too early");
    return DR_OK;
}

static void further_buckets_wait_for_the_check(void **state)
{
    (void)state;
    before = refuse_early;
    begin(&(struct buckets_options){ .upload_limit = 0 });
    assert_int_equal(put_pack(0), DR_OK);
    assert_int_equal(commit("s1", 0, 1), DR_OK);
    assert_int_equal(copies(), BUCKETS);
}

static void many_packs_are_looked_for_in_one_list(void **state)
{
    (void)state;
    begin_inline();
    for (unsigned n = 0; n < 40; n++)
        assert_int_equal(put_pack(n), DR_OK);
    assert_int_equal(commit("s1", 0, 40), DR_OK);
    for (int i = 0; i < BUCKETS; i++) {
        must_find(traces[i].data, "list packs/;");
        assert_null(strstr(traces[i].data, "head packs/"));
    }
}

/* -- prunes between two calls -------------------------------------------------------------- */

/* A prune's list appears in all buckets right behind the pending of s1. */
static enum dr_rc condemn_0(struct spy *s, const char *name, struct dr_err *err)
{
    (void)err;
    if (s->number == 0 && strcmp(name, NAMES_PENDING "s1") == 0)
        for (int i = 0; i < BUCKETS; i++)
            plant_gc(i, "p1", 0, NULL);
    return DR_OK;
}

static void condemned_pack_is_named_and_the_next_attempt_goes_without(void **state)
{
    (void)state;
    uint8_t id[DIGEST_SIZE];
    after_put = condemn_0;
    begin_inline();
    assert_int_equal(put_pack(0), DR_OK);
    assert_int_equal(put_pack(1), DR_OK);
    assert_int_equal(commit("s1", 0, 2), DR_E_BUSY);
    assert_int_equal(w.avoid.count, 1);
    assert_true(names_parse_pack(pack_name(0), id));
    assert_memory_equal(pack_names_of(&w.avoid, 0), id, DIGEST_SIZE);
    for (int i = 0; i < BUCKETS; i++)
        assert_false(has(i, NAMES_SNAPSHOTS, "s1"));
    /* It protects pack 1 until the pending of the next attempt does. */
    assert_true(has(0, NAMES_PENDING, "s1"));
    assert_false(has(1, NAMES_PENDING, "s1") || has(2, NAMES_PENDING, "s1"));

    assert_int_equal(put_pack(2), DR_OK);
    assert_int_equal(commit("s2", 1, 3), DR_OK);
    assert_int_equal(copies(), BUCKETS);
    must_find(must_find(traces[0].data, "put pending/s2;"), "remove pending/s1;");
    for (int i = 0; i < BUCKETS; i++) {
        assert_false(has(i, NAMES_PENDING, "s1") || has(i, NAMES_PENDING, "s2"));
        assert_holds(i, "s2", 1, 3);
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
    after_put = read_pending;
    begin_inline();
    assert_int_equal(put_pack(0), DR_OK);
    assert_int_equal(put_pack(1), DR_OK);
    assert_int_equal(commit("s1", 0, 2), DR_OK);
    assert_int_equal(copies(), BUCKETS);
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
    after_put = condemn_0;
    begin_inline();
    assert_int_equal(put_pack(0), DR_OK);
    assert_int_equal(commit("s1", 0, 1), DR_E_BUSY);
    assert_int_equal(commit("s2", 0, 1), DR_E_BUSY);
    assert_false(has(0, NAMES_PENDING, "s1"));
    assert_true(has(0, NAMES_PENDING, "s2"));
    must_find(must_find(traces[0].data, "put pending/s2;"), "remove pending/s1;");
}

static void pending_of_an_attempt_that_was_given_up_is_removed(void **state)
{
    (void)state;
    after_put = condemn_0;
    begin_inline();
    assert_int_equal(put_pack(0), DR_OK);
    assert_int_equal(commit("s1", 0, 1), DR_E_BUSY);
    buckets_free(w.buckets);
    w.buckets = NULL;
    assert_false(has(0, NAMES_PENDING, "s1"));
}

static void condemned_packs_are_told_before_the_run(void **state)
{
    (void)state;
    DR_CLEANUP(pack_names_fini) struct pack_names condemned = { 0 };
    uint8_t id[DIGEST_SIZE];
    plant_gc(0, "p1", 5, NULL);
    begin_inline();
    buckets_condemned(w.buckets, &condemned);
    assert_int_equal(condemned.count, 1);
    assert_true(names_parse_pack(pack_name(5), id));
    assert_memory_equal(pack_names_of(&condemned, 0), id, DIGEST_SIZE);
}

/* Of a prune that stopped after its first bucket: that one is no home, but gets the snapshot. */
static void bucket_that_alone_condemns_is_filled_from_another_home(void **state)
{
    (void)state;
    plant_gc(0, "p1", 0, NULL);
    begin_inline();
    assert_int_equal(put_pack(0), DR_OK);
    assert_int_equal(commit("s1", 0, 1), DR_OK);
    assert_int_equal(copies(), BUCKETS);
    must_find(traces[1].data, "put pending/s1;");
    for (int i = 0; i < BUCKETS; i++) {
        assert_holds(i, "s1", 0, 1);
        assert_false(has(i, NAMES_PENDING, "s1"));
    }
}

/* What is condemned once the check has passed is nobody's business: the pruner sees the pending. */
static enum dr_rc condemn_late(struct spy *s, const char *name, struct dr_err *err)
{
    (void)err;
    if (s->number == 0 && strcmp(name, NAMES_SNAPSHOTS "s1") == 0)
        for (int i = 0; i < BUCKETS; i++)
            plant_gc(i, "p1", 0, NULL);
    return DR_OK;
}

static void packs_condemned_after_the_check_do_not_matter(void **state)
{
    (void)state;
    after_put = condemn_late;
    begin_inline();
    assert_int_equal(put_pack(0), DR_OK);
    assert_int_equal(commit("s1", 0, 1), DR_OK);
    assert_int_equal(copies(), BUCKETS);
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
    after_put = expire_early;
    begin_inline();
    assert_int_equal(put_pack(0), DR_OK);
    assert_int_equal(commit("s1", 0, 1), DR_OK);
    assert_int_equal(copies(), BUCKETS - 1);
    assert_true(is_missing("eu", "expired"));
    assert_false(has(1, NAMES_SNAPSHOTS, "s1"));
}

static void bucket_where_it_is_expired_at_once_does_not_count(void **state)
{
    (void)state;
    after_put = expire_late;
    begin_inline();
    assert_int_equal(put_pack(0), DR_OK);
    assert_int_equal(commit("s1", 0, 1), DR_OK);
    assert_int_equal(copies(), BUCKETS - 1);
    assert_true(is_missing("eu", "expired"));
}

/* A list is merged away between LIST and GET: listed anew. */
static enum dr_rc merge_lists(struct spy *s, const char *op, const char *name, struct dr_err *err)
{
    if (s->number != 0 || strcmp(op, "get") != 0 || strcmp(name, NAMES_GC "p1") != 0)
        return DR_OK;
    plant_gc(0, "p2", 0, NULL);
    return store_remove(inner(0), name, err);
}

static void gc_list_that_is_merged_away_is_read_in_its_union(void **state)
{
    (void)state;
    plant_gc(0, "p1", 0, NULL);
    plant_gc(1, "p1", 0, NULL);
    plant_gc(2, "p1", 0, NULL);
    before = merge_lists;
    begin_inline();
    assert_int_equal(put_pack(0), DR_OK);
    assert_int_equal(commit("s1", 0, 1), DR_E_BUSY);
    assert_int_equal(w.avoid.count, 1);
    assert_true(has(0, NAMES_PENDING, "s1")); /* us told so itself, and did not drop out */
}

/* -- packs that are not everywhere --------------------------------------------------------- */

static void pack_that_is_nowhere_is_named(void **state)
{
    (void)state;
    uint8_t id[DIGEST_SIZE];
    begin_inline();
    assert_int_equal(put_pack(0), DR_OK);
    assert_int_equal(commit("s1", 0, 2), DR_E_BUSY); /* pack 1 is known from an index only */
    assert_int_equal(w.avoid.count, 1);
    assert_true(names_parse_pack(pack_name(1), id));
    assert_memory_equal(pack_names_of(&w.avoid, 0), id, DIGEST_SIZE);
}

static void old_packs_are_copied_to_where_they_lack(void **state)
{
    (void)state;
    for (unsigned n = 10; n < 13; n++)
        plant_pack(1, n);
    plant_pack(2, 11);
    begin(&(struct buckets_options){ .upload_limit = 0 });
    assert_int_equal(put_pack(13), DR_OK);
    assert_int_equal(commit("s1", 10, 14), DR_OK);
    assert_int_equal(copies(), BUCKETS);
    must_find(traces[1].data, "remove pending/s1;"); /* home: the first that has all */
    for (int i = 0; i < BUCKETS; i++)
        assert_holds(i, "s1", 10, 14);
}

static void damage_pack(int bucket, unsigned n)
{
    DR_FREE char *path = dr_strf("%s/%s/%s", w.dir, bucket_names[bucket], pack_name(n));
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
    begin_inline();
    assert_int_equal(commit("s1", 10, 11), DR_OK);
    assert_int_equal(copies(), BUCKETS);
    assert_holds(2, "s1", 10, 11); /* out of eu */
}

static void pack_that_is_right_nowhere_keeps_the_snapshot_out(void **state)
{
    (void)state;
    plant_pack(0, 10);
    damage_pack(0, 10);
    begin_inline();
    assert_int_equal(commit("s1", 10, 11), DR_OK); /* home has it, as far as a list can tell */
    assert_int_equal(copies(), 1);
    assert_true(is_missing("eu", "damaged"));
    assert_false(has(1, NAMES_SNAPSHOTS, "s1") || has(1, "", pack_name(10)));
}

/* -- failures ------------------------------------------------------------------------------ */

static const char *fail_op, *fail_prefix;
static int fail_bucket;
static unsigned fail_times; /* guarded by lock */
static enum dr_rc fail_rc;

static enum dr_rc fail_some(struct spy *s, const char *op, const char *name, struct dr_err *err)
{
    bool hit =
        s->number == fail_bucket && strcmp(op, fail_op) == 0 && text_starts(name, fail_prefix);
    pthread_mutex_lock(&lock);
    hit = hit && fail_times > 0;
    fail_times -= hit;
    pthread_mutex_unlock(&lock);
    return hit ? dr_fail(err, fail_rc, "failed on purpose") : DR_OK;
}

static void plan(int bucket, const char *op, const char *prefix, unsigned times, enum dr_rc rc)
{
    fail_bucket = bucket;
    fail_op = op;
    fail_prefix = prefix;
    fail_times = times;
    fail_rc = rc;
    before = fail_some;
}

static void bucket_that_fails_anywhere_costs_itself_only(void **state)
{
    static const struct {
        const char *op, *prefix;
    } rows[] = {
        { "put", "packs/" },  { "put", "pending/" },   { "list", "gc/" },
        { "head", "packs/" }, { "put", "snapshots/" },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++)
        for (int bucket = 0; bucket < BUCKETS; bucket++) {
            bool not_home = strcmp(rows[i].prefix, "pending/") == 0 && bucket > 0;
            assert_int_equal(tear_down(state), 0);
            assert_int_equal(set_up(state), 0);
            plan(bucket, rows[i].op, rows[i].prefix, UINT32_MAX, DR_E_IO);
            begin(&(struct buckets_options){ .inline_work = (i + (size_t)bucket) % 2 == 0 });
            assert_int_equal(put_pack(0), DR_OK);
            assert_int_equal(put_pack(1), DR_OK);
            assert_int_equal(commit("s1", 0, 2), DR_OK);
            assert_int_equal(copies(), not_home ? BUCKETS : BUCKETS - 1);
            assert_true(not_home || is_missing(bucket_names[bucket], "on purpose"));
            before = NULL;
            for (int b = 0; b < BUCKETS; b++) /* a visible snapshot has its packs */
                if (has(b, NAMES_SNAPSHOTS, "s1"))
                    assert_holds(b, "s1", 0, 2);
        }
}

static enum dr_rc no_answer(struct spy *s, const char *name, struct dr_err *err)
{
    bool hit = s->number == 0 && text_starts(name, NAMES_SNAPSHOTS) && fail_times > 0;
    fail_times -= hit;
    return hit ? dr_fail(err, DR_E_TIMEOUT, "no answer") : DR_OK;
}

static void put_without_an_answer_is_repeated(void **state)
{
    (void)state;
    after_put = no_answer;
    fail_times = 1;
    begin_inline();
    assert_int_equal(put_pack(0), DR_OK);
    assert_int_equal(commit("s1", 0, 1), DR_OK);
    assert_int_equal(copies(), BUCKETS);
    assert_false(has(0, NAMES_PENDING, "s1"));
}

static void pending_stays_where_the_home_never_answers(void **state)
{
    (void)state;
    plan(0, "put", NAMES_SNAPSHOTS, UINT32_MAX, DR_E_TIMEOUT);
    begin_inline();
    assert_int_equal(put_pack(0), DR_OK);
    assert_int_equal(commit("s1", 0, 1), DR_OK);
    assert_int_equal(copies(), BUCKETS - 1);
    assert_true(has(0, NAMES_PENDING, "s1"));
}

static void run_without_any_bucket_fails_with_the_first_reason(void **state)
{
    (void)state;
    begin_inline();
    plan(0, "put", "packs/", 1, DR_E_NOSPACE);
    assert_int_equal(put_pack(0), DR_OK);
    plan(1, "put", "packs/", 1, DR_E_IO);
    assert_int_equal(put_pack(1), DR_OK);
    plan(2, "put", "packs/", 1, DR_E_IO);
    assert_int_equal(put_pack(2), DR_E_NOSPACE);
}

/* -- a bucket that lags -------------------------------------------------------------------- */

static pthread_cond_t opened = PTHREAD_COND_INITIALIZER, passed = PTHREAD_COND_INITIALIZER;
static bool gate_open;       /* guarded by lock */
static unsigned packs_in_us; /* likewise */

static void deadline(struct timespec *end)
{
    (void)clock_gettime(CLOCK_REALTIME, end);
    end->tv_sec += WAIT_S;
}

/* Puts into eu wait for the gate. */
static enum dr_rc hold_back(struct spy *s, const char *op, const char *name, struct dr_err *err)
{
    int rc = 0;
    struct timespec end;
    if (s->number != 1 || strcmp(op, "put") != 0)
        return DR_OK;
    deadline(&end);
    pthread_mutex_lock(&lock);
    while (!gate_open && rc == 0)
        rc = pthread_cond_timedwait(&opened, &lock, &end);
    pthread_mutex_unlock(&lock);
    return rc == 0 ? DR_OK : dr_fail(err, DR_E_TIMEOUT, "the gate stayed shut for '%s'", name);
}

static enum dr_rc count_us(struct spy *s, const char *name, struct dr_err *err)
{
    (void)name;
    (void)err;
    pthread_mutex_lock(&lock);
    packs_in_us += s->number == 0;
    pthread_cond_broadcast(&passed);
    pthread_mutex_unlock(&lock);
    return DR_OK;
}

static bool wait_for_us(unsigned count)
{
    int rc = 0;
    struct timespec end;
    deadline(&end);
    pthread_mutex_lock(&lock);
    while (packs_in_us < count && rc == 0)
        rc = pthread_cond_timedwait(&passed, &lock, &end);
    pthread_mutex_unlock(&lock);
    return rc == 0;
}

static void open_gate(bool open)
{
    pthread_mutex_lock(&lock);
    gate_open = open;
    packs_in_us = open ? packs_in_us : 0;
    pthread_cond_broadcast(&opened);
    pthread_mutex_unlock(&lock);
}

static unsigned asked; /* how often; the run is cancelled from cancel_at on */
static unsigned cancel_at;

static bool is_cancelled(void *arg)
{
    (void)arg;
    return ++asked >= cancel_at;
}

static void lagging_bucket_stops_nobody_before_the_spool_is_full(void **state)
{
    (void)state;
    open_gate(false);
    before = hold_back;
    after_put = count_us;
    asked = 0;
    cancel_at = UINT32_MAX;
    begin(&(struct buckets_options){ .cancelled = is_cancelled });
    for (unsigned n = 0; n < BUCKETS_SPOOL_MAX; n++)
        assert_int_equal(put_pack(n), DR_OK);
    assert_true(wait_for_us(BUCKETS_SPOOL_MAX)); /* eu has none yet */
    assert_false(has(1, "", pack_name(0)));
    cancel_at = asked + 3; /* the next one waits; somebody presses a key */
    assert_int_equal(put_pack(BUCKETS_SPOOL_MAX), DR_E_CANCELLED);
    open_gate(true);
}

static void lagging_bucket_is_waited_for(void **state)
{
    (void)state;
    open_gate(false);
    before = hold_back;
    after_put = count_us;
    begin(&(struct buckets_options){ .upload_limit = 0 });
    for (unsigned n = 0; n < BUCKETS_SPOOL_MAX; n++)
        assert_int_equal(put_pack(n), DR_OK);
    assert_true(wait_for_us(BUCKETS_SPOOL_MAX));
    open_gate(true);
    for (unsigned n = BUCKETS_SPOOL_MAX; n < 2 * BUCKETS_SPOOL_MAX; n++)
        assert_int_equal(put_pack(n), DR_OK);
    assert_int_equal(commit("s1", 0, 2 * BUCKETS_SPOOL_MAX), DR_OK);
    assert_int_equal(copies(), BUCKETS);
}

/* -- pace ---------------------------------------------------------------------------------- */

static int64_t fake_now;
static int64_t longest_wait;
static unsigned waits_left;

static int64_t fake_ns(void)
{
    return fake_now;
}

static bool fake_wait(void *arg, int64_t ns)
{
    (void)arg;
    longest_wait = ns > longest_wait ? ns : longest_wait;
    fake_now += ns;
    return waits_left-- > 0;
}

static void upload_is_paced_in_slices(void **state)
{
    (void)state;
    static const uint64_t rates[] = { 5000, 100 << 10, 3 << 20, 100 << 20 };
    const struct clock_ops real = dr_clock;
    for (size_t i = 0; i < DR_ARRAY_LEN(rates); i++) {
        struct pace p = { .rate = rates[i], .wait = fake_wait };
        struct dr_err err = { 0 };
        size_t slice = pace_slice(&p);
        uint64_t sent = 0;
        fake_now = 1000;
        longest_wait = 0;
        waits_left = UINT32_MAX;
        dr_clock.boot_ns = fake_ns;
        for (unsigned n = 0; n < 200; n++) {
            assert_int_equal(pace_take(&p, slice, &err), DR_OK);
            sent += slice;
            /* Never ahead of the rate by more than one slice, at no moment. */
            double allowed = (double)rates[i] * (double)(fake_now - 1000) / 1e9 + (double)slice;
            assert_true((double)sent <= allowed * 1.001);
        }
        /* And not behind it. */
        double seconds = (double)(fake_now - 1000) / 1e9;
        assert_true((double)sent >= (double)rates[i] * seconds);
        assert_true(longest_wait <= 1000000000LL * (int64_t)slice / (int64_t)rates[i] + 1);
        assert_true(slice <= PACE_SLICE_MAX);
        /* An idle hour is not saved up. */
        fake_now += 3600LL * 1000000000;
        int64_t then = fake_now;
        for (unsigned n = 0; n < 5; n++)
            assert_int_equal(pace_take(&p, slice, &err), DR_OK);
        assert_true(fake_now - then >= 3 * (1000000000LL * (int64_t)slice / (int64_t)rates[i]));
        /* Whoever stops waiting stops at once. */
        waits_left = 0;
        assert_int_equal(pace_take(&p, slice, &err), DR_E_CANCELLED);
        dr_clock = real;
    }
}

static void no_limit_asks_nobody(void **state)
{
    (void)state;
    struct pace p = { .rate = 0 };
    struct dr_err err = { 0 };
    for (unsigned n = 0; n < 100; n++)
        assert_int_equal(pace_take(&p, PACE_SLICE_MAX, &err), DR_OK);
}

/* A byte a second: the second pack would take an hour. */
static void cancel_ends_the_waiting_for_a_paced_upload(void **state)
{
    for (int inline_work = 0; inline_work < 2; inline_work++) {
        asked = 0;
        cancel_at = 6;
        begin(&(struct buckets_options){
            .inline_work = inline_work != 0, .upload_limit = 1, .cancelled = is_cancelled });
        enum dr_rc rc = DR_OK;
        for (unsigned n = 0; n < 3 && rc == DR_OK; n++)
            rc = put_pack(n);
        if (rc == DR_OK)
            rc = commit("s1", 0, 3);
        assert_int_equal(rc, DR_E_CANCELLED);
        for (int i = 0; i < BUCKETS; i++)
            assert_false(has(i, NAMES_SNAPSHOTS, "s1"));
        assert_int_equal(tear_down(state), 0);
        assert_int_equal(set_up(state), 0);
    }
}

static void paced_upload_arrives_whole(void **state)
{
    (void)state;
    begin(&(struct buckets_options){ .upload_limit = 1 << 30 });
    for (unsigned n = 0; n < 4; n++)
        assert_int_equal(put_pack(n), DR_OK);
    assert_int_equal(commit("s1", 0, 4), DR_OK);
    for (int i = 0; i < BUCKETS; i++)
        assert_holds(i, "s1", 0, 4);
}

/* -- copy forward -------------------------------------------------------------------------- */

enum { MAX_PACKS = 8, TARGET = 3200 };

static const struct forward_row {
    const char *what;
    uint64_t size[MAX_PACKS], live[MAX_PACKS];
    const char *avoid; /* one character a pack: '1' is copied forward */
} forward_rows[] = {
    { "nothing", { 0 }, { 0 }, "" },
    { "full packs that live", { 3200, 3100, 3000 }, { 3200, 3000, 1600 }, "000" },
    { "more than half dead", { 3200, 3200, 3200 }, { 1599, 1600, 0 }, "101" },
    { "one small pack stays for ever", { 400 }, { 400 }, "0" },
    { "one small pack beside full ones", { 3200, 400 }, { 3200, 400 }, "00" },
    { "two crumbs become one", { 10, 12 }, { 10, 12 }, "11" },
    { "a month of crumbs leaves the base alone",
      { 700, 10, 12, 9, 11, 10 },
      { 700, 10, 12, 9, 11, 10 },
      "011111" },
    { "crumbs half as large as the base take it along",
      { 100, 20, 20, 20 },
      { 100, 20, 20, 20 },
      "1111" },
    { "each three times the other: they stay",
      { 2, 7, 22, 70, 220 },
      { 2, 7, 22, 70, 220 },
      "00000" },
    { "a quarter of the target is not small",
      { 800, 800, 799, 799 },
      { 800, 800, 799, 799 },
      "0011" },
    { "what is copied anyway takes small ones along", { 3200, 700 }, { 1500, 700 }, "11" },
    { "a small one half dead, another whole", { 100, 10 }, { 40, 10 }, "11" },
};

static void forward_takes_what_is_worth_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < DR_ARRAY_LEN(forward_rows); i++) {
        const struct forward_row *row = &forward_rows[i];
        struct forward_pack packs[MAX_PACKS];
        size_t count = strlen(row->avoid);
        uint64_t bytes = 0;
        for (size_t k = 0; k < count; k++) {
            packs[k] = (struct forward_pack){ .size = row->size[k], .live = row->live[k] };
            packs[k].name[0] = (uint8_t)k;
        }
        uint64_t told = forward_choose(packs, count, TARGET);
        for (size_t k = 0; k < count; k++) {
            if (packs[k].avoid != (row->avoid[k] == '1'))
                fail_msg("%s: pack %zu", row->what, k);
            bytes += packs[k].avoid ? packs[k].live : 0;
        }
        assert_int_equal(told, bytes);
    }
}

/* Ten years of daily crumbs and monthly fulls: few packs, and little is written twice. */
static void forward_over_years_writes_each_byte_few_times(void **state)
{
    (void)state;
    enum { DAYS = 3650, MONTH = 30, DAY_BYTES = 7, MOST = 200 };
    struct forward_pack packs[MOST];
    size_t count = 1, most = 0;
    uint64_t written = 0, total = 500;
    packs[0] = (struct forward_pack){ .size = total, .live = total };
    for (unsigned day = 1; day <= DAYS; day++) {
        assert_true(count < MOST);
        packs[count] = (struct forward_pack){ .size = DAY_BYTES, .live = DAY_BYTES };
        memcpy(packs[count++].name, &day, sizeof(day));
        total += DAY_BYTES;
        if (day % MONTH != 0)
            continue;
        uint64_t bytes = forward_choose(packs, count, 32 << 10);
        size_t kept = 0;
        for (size_t i = 0; i < count; i++)
            if (!packs[i].avoid)
                packs[kept++] = packs[i];
        if (bytes > 0) {
            packs[kept] = (struct forward_pack){ .size = bytes, .live = bytes };
            memcpy(packs[kept++].name, &day, sizeof(day));
        }
        count = kept;
        written += bytes;
        most = count > most ? count : most;
    }
    assert_true(most <= 12);
    assert_true(written <= 8 * total);
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
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
        FRESH(pack_that_is_nowhere_is_named),
        FRESH(old_packs_are_copied_to_where_they_lack),
        FRESH(damaged_copy_is_not_spread),
        FRESH(pack_that_is_right_nowhere_keeps_the_snapshot_out),
        FRESH(bucket_that_fails_anywhere_costs_itself_only),
        FRESH(put_without_an_answer_is_repeated),
        FRESH(pending_stays_where_the_home_never_answers),
        FRESH(run_without_any_bucket_fails_with_the_first_reason),
        FRESH(lagging_bucket_stops_nobody_before_the_spool_is_full),
        FRESH(lagging_bucket_is_waited_for),
        cmocka_unit_test(upload_is_paced_in_slices),
        cmocka_unit_test(no_limit_asks_nobody),
        FRESH(cancel_ends_the_waiting_for_a_paced_upload),
        FRESH(paced_upload_arrives_whole),
        cmocka_unit_test(forward_takes_what_is_worth_it),
        cmocka_unit_test(forward_over_years_writes_each_byte_few_times),
    };
    return cmocka_run_group_tests_name("buckets", tests, NULL, NULL);
}
