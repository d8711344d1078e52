/*
 * spied.c - stores around stores that tell of each call, and a run that puts packs into them.
 */
#include "tests/support/spied.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "dr/base/fs.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"

const char *const spied_names[SPIED_BUCKETS] = { "us", "eu", "ap" };

struct spied spied;

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER; /* of spied.traces */

/* -- wrapped stores ------------------------------------------------------------------------ */

static enum dr_rc see(struct store *s, const char *op, const char *name, struct dr_err *err)
{
    struct spy *spy = (struct spy *)s;
    pthread_mutex_lock(&guard);
    buf_addf(&spied.traces[spy->number], "%s %s;", op, name);
    pthread_mutex_unlock(&guard);
    return spied.before != NULL ? spied.before(spy, op, name, err) : DR_OK;
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
    pthread_mutex_lock(&guard); /* several puts at once: the first sets it for all */
    if (((struct spy *)s)->inner->pace != s->pace)
        ((struct spy *)s)->inner->pace = s->pace;
    pthread_mutex_unlock(&guard);
    DR_TRY(store_put(((struct spy *)s)->inner, name, data, len, err));
    return spied.after_put != NULL ? spied.after_put((struct spy *)s, name, err) : DR_OK;
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
    store_fini(s);
    free(s);
}

static const struct store_ops spy_ops = {
    .get = spy_get,
    .put = spy_put,
    .head = spy_head,
    .list = spy_list,
    .remove = spy_remove,
    .close = spy_close,
};

/* -- the buckets --------------------------------------------------------------------------- */

struct store *spied_inner(int bucket)
{
    return ((struct spy *)repo_bucket(spied.repo, (size_t)bucket)->store)->inner;
}

static void wrap(int bucket)
{
    struct store *s = repo_bucket(spied.repo, (size_t)bucket)->store;
    struct spy *spy = dr_alloc(1, sizeof(*spy));
    spy->base = (struct store){ .ops = &spy_ops,
                                .name = dr_strdup(s->name),
                                .region = dr_strdup(s->region),
                                .url = dr_strdup(s->url) };
    spy->inner = s;
    spy->number = bucket;
    repo_bucket(spied.repo, (size_t)bucket)->store = &spy->base;
}

int spied_set_up(void **state)
{
    (void)state;
    spied = (struct spied){ .dir = "/tmp/test_buckets.XXXXXX" };
    assert_non_null(mkdtemp(spied.dir));
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    buf_addf(&text,
             "sources:\n  - {name: app, path: /usr, class: data}\nstate_dir: %s/state\nbuckets:\n",
             spied.dir);
    for (int i = 0; i < SPIED_BUCKETS; i++) {
        DR_FREE char *path = dr_strf("%s/%s", spied.dir, spied_names[i]);
        assert_int_equal(mkdir(path, 0755), 0);
        buf_addf(&text, "  - {name: %s, url: \"file://%s\", region: r%d}\n", spied_names[i], path,
                 i);
    }
    assert_int_equal(fs_replace(spied.dir, "dr.yaml", text.data, text.len, &spied.err), DR_OK);
    DR_FREE char *path = dr_strf("%s/dr.yaml", spied.dir);
    struct diag d = { 0 };
    if (config_load(path, &d, &spied.config, &spied.err) != DR_OK)
        fail_msg("%s", spied.err.msg);
    diag_fini(&d);
    assert_int_equal(repo_init(spied.config, &spied.err), DR_OK);
    assert_int_equal(
        repo_open(spied.config, &(struct repo_options){ .dark_count = 0 }, &spied.repo, &spied.err),
        DR_OK);
    for (int i = 0; i < SPIED_BUCKETS; i++)
        wrap(i);
    return 0;
}

int spied_tear_down(void **state)
{
    (void)state;
    buckets_free(spied.buckets);
    repo_close(spied.repo);
    config_free(spied.config);
    pack_names_fini(&spied.avoid);
    for (int i = 0; i < SPIED_BUCKETS; i++)
        buf_fini(&spied.traces[i]);
    return fs_remove_tree(spied.dir, &spied.err) == DR_OK ? 0 : -1;
}

void spied_begin(const struct buckets_options *o)
{
    if (buckets_new(spied.repo, o, &spied.buckets, &spied.err) != DR_OK)
        fail_msg("%s", spied.err.msg);
}

void spied_begin_inline(void)
{
    spied_begin(&(struct buckets_options){ .inline_work = true });
}

struct spooled *spied_make_pack(unsigned n)
{
    static uint8_t bytes[SPIED_PACK_BYTES];
    struct spool *spool = NULL;
    struct spooled *pack = NULL;
    DR_FREE char *state = dr_strf("%s/state", spied.dir);
    memset(bytes, (int)n, sizeof(bytes));
    memcpy(bytes, &n, sizeof(n));
    assert_int_equal(spool_open(state, &spool, &spied.err), DR_OK);
    spool_append(spool, bytes, sizeof(bytes));
    assert_int_equal(spool_seal(spool, &pack, &spied.err), DR_OK);
    spool_free(spool);
    return pack;
}

enum dr_rc spied_put_pack(unsigned n)
{
    struct spooled *pack = spied_make_pack(n);
    enum dr_rc rc = buckets_put(spied.buckets, pack, &spied.err);
    spooled_drop(pack);
    return rc;
}

const char *spied_pack_name(unsigned n)
{
    static char name[NAMES_MAX];
    struct spooled *pack = spied_make_pack(n);
    names_pack(pack->name, name);
    spooled_drop(pack);
    return name;
}

const char *spied_hex_of_pack(unsigned n)
{
    return strrchr(spied_pack_name(n), '/') + 1;
}

enum dr_rc spied_commit(const char *id, unsigned from, unsigned to)
{
    struct snapshot s = { .epoch = 0 };
    struct buf object = { 0 };
    strcpy(s.id, id);
    for (unsigned n = from; n < to; n++)
        text_list_add(&s.packs.lines, spied_hex_of_pack(n));
    buf_addf(&object, "object of %s", id);
    enum dr_rc rc = buckets_commit(spied.buckets, &s, &object, &spied.avoid, &spied.err);
    snapshot_fini(&s);
    buf_fini(&object);
    return rc;
}

bool spied_has(int bucket, const char *prefix, const char *rest)
{
    struct dr_err err = { 0 };
    uint64_t size;
    DR_FREE char *name = dr_strf("%s%s", prefix, rest);
    return store_head(spied_inner(bucket), name, &size, &err) == DR_OK;
}

size_t spied_copies(void)
{
    struct backup_result r = { .files = 0 };
    buckets_report(spied.buckets, &r);
    size_t n = r.copies;
    backup_result_fini(&r);
    return n;
}

bool spied_is_missing(const char *bucket, const char *why)
{
    struct backup_result r = { .files = 0 };
    bool said = false;
    buckets_report(spied.buckets, &r);
    for (size_t i = 0; i < r.missing.count; i++)
        said |= text_starts(r.missing.items[i], bucket) && strstr(r.missing.items[i], why) != NULL;
    backup_result_fini(&r);
    return said;
}

void spied_assert_holds(int bucket, const char *id, unsigned from, unsigned to)
{
    assert_true(spied_has(bucket, NAMES_SNAPSHOTS, id));
    for (unsigned n = from; n < to; n++) {
        DR_CLEANUP(buf_fini) struct buf got = { 0 };
        struct spooled *pack = spied_make_pack(n);
        assert_int_equal(
            store_get_all(spied_inner(bucket), spied_pack_name(n), 1 << 20, &got, &spied.err),
            DR_OK);
        assert_int_equal(got.len, pack->len);
        assert_memory_equal(got.data, pack->data, pack->len);
        spooled_drop(pack);
    }
}
