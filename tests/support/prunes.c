/*
 * prunes.c - a site whose backups grew old, prunes of it, and looks into its buckets.
 */
#include "tests/support/prunes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/format/names.h"
#include "backup/format/sealed.h"
#include "dr/base/clock.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "tests/support/forge.h"

struct prunes prunes;

static const struct forge_entry one_file[] = { { .type = '0', .path = "f", .data = "hello" } };

int prunes_set_up(void **state)
{
    (void)state;
    struct snapshot_info info = { 0 };
    prunes.err = (struct dr_err){ 0 };
    site_make(&prunes.site);
    site_write(&prunes.site, "a", "alpha", 5);
    site_backup(&prunes.site, &info);
    snprintf(prunes.young, sizeof(prunes.young), "%s", info.id);
    snapshot_info_fini(&info);
    return 0;
}

int prunes_tear_down(void **state)
{
    (void)state;
    prune_result_fini(&prunes.result);
    site_drop(&prunes.site);
    return 0;
}

void prunes_forge_old(double days, char id[SNAPSHOT_ID_MAX])
{
    const struct forge f = { .entries = one_file,
                             .count = 1,
                             .start_ns =
                                 clock_wall_ns() - (int64_t)(days * (double)PRUNES_DAY_NS) };
    forge_snapshot(&prunes.site, &f, id);
}

struct prune_options prunes_options(void)
{
    return (struct prune_options){ .now_ns = clock_wall_ns() };
}

enum dr_rc prunes_try(const struct prune_options *o)
{
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(&prunes.site);
    prune_result_fini(&prunes.result);
    return prune_run(r, o, &prunes.site.hooks, &prunes.result, &prunes.err);
}

void prunes_must(const struct prune_options *o)
{
    if (prunes_try(o) != DR_OK)
        fail_msg("%s", prunes.err.msg);
}

size_t prunes_count(int bucket, const char *prefix)
{
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    site_objects(&prunes.site, bucket, prefix, &names);
    return names.count;
}

bool prunes_has_snapshot(int bucket, const char *id)
{
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    DR_FREE char *name = dr_strf("snapshots/%s", id);
    site_objects(&prunes.site, bucket, "snapshots/", &names);
    return text_list_has(&names, name);
}

struct store *prunes_open_bucket(int bucket)
{
    DR_FREE char *url = dr_strf("file://%s", prunes.site.bucket[bucket]);
    struct store *s = NULL;
    assert_int_equal(store_open_url(site_bucket_names[bucket], NULL, url, &s, &prunes.err), DR_OK);
    return s;
}

void prunes_put(int bucket, const char *name, const void *data, size_t len)
{
    DR_CLEANUP(store_close_ptr) struct store *s = prunes_open_bucket(bucket);
    assert_int_equal(store_put(s, name, data, len, &prunes.err), DR_OK);
}

void prunes_put_garbage(int bucket, const char *text, char name[NAMES_MAX])
{
    uint8_t id[DIGEST_SIZE];
    hash_bytes(text, strlen(text), id);
    prunes_put(bucket, names_pack(id, name), text, strlen(text));
}

bool prunes_is_there(int bucket, const char *name)
{
    DR_CLEANUP(store_close_ptr) struct store *s = prunes_open_bucket(bucket);
    uint64_t size;
    return store_head(s, name, &size, &prunes.err) == DR_OK;
}

void prunes_put_pending(int bucket, const char *id, const char *pack_name, json_t *owner)
{
    DR_JSON json_t *body = json_object();
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    char name[NAMES_MAX];
    json_t *packs = json_array();
    json_array_append_new(packs, json_string(strrchr(pack_name, '/') + 1));
    json_put(body, "packs", packs);
    json_put_text(body, "snapshot", id);
    if (owner != NULL)
        json_put(body, "owner", owner);
    sealed_encode(body, "drctl-pending", &object);
    prunes_put(bucket, names_of(NAMES_PENDING, id, name), object.data, object.len);
}

void prunes_assert_whole(size_t at_least)
{
    const char *const regions[] = { "us-east-1", "eu-west-1" };
    size_t seen = 0;
    for (int b = 0; b < SITE_BUCKETS; b++) {
        const struct repo_options one = { .dark = &regions[1 - b], .dark_count = 1 };
        DR_CLEANUP(repo_close_ptr) struct repo *r = NULL;
        DR_CLEANUP(snapshot_list_fini) struct snapshot_list list = { 0 };
        struct verify_result verified;
        assert_int_equal(repo_open(prunes.site.config, &one, &r, &prunes.err), DR_OK);
        assert_int_equal(repo_snapshots(r, NULL, &list, &prunes.err), DR_OK);
        for (size_t i = 0; i < list.count; i++) {
            const struct snapshot_info *s = &list.items[i];
            bool expired = s->why != NULL && strcmp(s->why, "expired") == 0;
            if (s->state != SNAPSHOT_GOOD && !expired)
                fail_msg("'%s' in '%s': %s", s->id, site_bucket_names[b], s->why);
            seen += s->state == SNAPSHOT_GOOD;
        }
        if (list.count == 0)
            continue;
        assert_int_equal(verify_run(r, NULL, &(struct verify_wish){ .data = false },
                                    &prunes.site.hooks, &verified, &prunes.err),
                         DR_OK);
    }
    assert_true(seen >= at_least);
}

void prunes_picture(struct buf *out)
{
    for (int b = 0; b < SITE_BUCKETS; b++) {
        DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
        site_objects(&prunes.site, b, "", &names);
        for (size_t i = 0; i < names.count; i++)
            buf_addf(out, "%d %s\n", b, names.items[i]);
    }
    DR_FREE char *memory = dr_strf("%s/prune", prunes.site.config->state_dir);
    buf_addf(out, "%d\n", access(memory, F_OK));
}
