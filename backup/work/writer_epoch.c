/*
 * writer_epoch.c - one small file a source: its number in decimal digits.
 */
#include "backup/work/writer_epoch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "backup/format/names.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"

static const char directory[] = "epochs";

/* As the source begins the names of its snapshots: no slash is in it. The caller frees. */
static char *name_of(const char *source)
{
    char prefix[NAMES_MAX];
    names_epochs_of(source, prefix);
    prefix[strlen(prefix) - 1] = '\0'; /* "epochs/app/" */
    return dr_strdup(prefix + sizeof(directory));
}

int64_t writer_epoch(const struct config *c, const char *source)
{
    DR_FREE char *name = name_of(source);
    DR_FREE char *path = dr_strf("%s/%s/%s", c->state_dir, directory, name);
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    struct dr_err ignored;
    if (fs_read_file(path, 64, &text, &ignored) != DR_OK || text.len == 0)
        return 0;
    char *end = NULL;
    long long epoch = strtoll(text.data, &end, 10);
    return end != text.data && strcmp(end, "\n") == 0 && epoch > 0 ? epoch : 0;
}

enum dr_rc writer_epoch_raise(const struct config *c, const char *source, int64_t epoch,
                              struct dr_err *err)
{
    if (epoch <= writer_epoch(c, source))
        return DR_OK;
    DR_FREE char *name = name_of(source);
    DR_FREE char *dir = dr_strf("%s/%s", c->state_dir, directory);
    DR_FREE char *text = dr_strf("%" PRId64 "\n", epoch);
    DR_TRY(fs_make_dirs(dir, 0700, err));
    return fs_replace(dir, name, text, strlen(text), err);
}

/* The highest of all snapshots that are believed. */
static enum dr_rc highest(struct repo *r, const char *source, int64_t *ret, struct dr_err *err)
{
    DR_CLEANUP(snapshot_list_fini) struct snapshot_list list = { .count = 0 };
    DR_TRY(repo_snapshots(r, source, &list, err));
    *ret = 0;
    for (size_t i = 0; i < list.count; i++)
        if (list.items[i].state != SNAPSHOT_REFUSED && list.items[i].epoch > *ret)
            *ret = list.items[i].epoch;
    return DR_OK;
}

enum dr_rc writer_epoch_take_over(struct repo *r, const char *source, struct dr_err *err)
{
    int64_t epoch;
    DR_TRY(highest(r, source, &epoch, err));
    return writer_epoch_raise(repo_config(r), source, epoch + 1, err);
}

/* By the records of epochs, which anybody who may write to the bucket can forge. */
static int64_t rumoured(struct repo *r, const char *source, const char *bucket)
{
    char prefix[NAMES_MAX];
    int64_t epoch = 0;
    for (size_t i = 0; i < repo_bucket_count(r); i++) {
        const struct repo_bucket *b = repo_bucket(r, i);
        struct store *store = b->store;
        DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
        struct dr_err ignored;
        bool meant = bucket == NULL || strcmp(b->config->name, bucket) == 0;
        if (store == NULL || !meant ||
            store_list(store, names_epochs_of(source, prefix), &names, &ignored) != DR_OK)
            continue;
        for (size_t k = 0; k < names.count; k++) {
            int64_t one = names_parse_epoch(names.items[k]);
            epoch = one > epoch ? one : epoch;
        }
    }
    return epoch;
}

enum dr_rc writer_epoch_check(struct repo *r, const char *source, const char *bucket, int64_t epoch,
                              struct dr_err *err)
{
    int64_t there = 0;
    if (rumoured(r, source, bucket) <= epoch)
        return DR_OK;
    DR_TRY(highest(r, source, &there, err));
    if (there <= epoch)
        return DR_OK;
    dr_fail(err, DR_E_REFUSED,
            "another host is the writer of '%s' now: it writes under epoch %" PRId64
            ", this one under %" PRId64 "; what is taken here would never be restored",
            source, there, epoch);
    return dr_hint(
        err,
        "If this host is the writer again, restore the newest snapshot in its place, or say so: "
        "drctl backup --take-over.");
}
