/*
 * Locks of what stays are extended, by the one who may: the guard.
 *
 * An object is put with a retention and keeps being needed: the packs of a first full backup, for years.
 * When its lock has ended, whoever steals the source's keys may destroy it. So a prune, which knows what
 * stays, locks that anew in each bucket with 'lock': everything but what it has just condemned or
 * expired. That is one request an object, so it happens once in a quarter of the lock's time; when it
 * did last is a file in the state directory, and to lose that costs the requests once more.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/work/prune_work.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"

enum { TIMES_A_LOCK = 4, FILE_MAX = 64 };

static const int64_t MS_NS = 1000000;

static char *folder_of(const struct prune *p)
{
    return dr_strf("%s/locks", repo_config(p->repo)->state_dir);
}

/* When all locks of the bucket were extended last; 0: never, as far as is known here. */
static int64_t last_time(const struct prune *p, const struct config_bucket *b)
{
    DR_CLEANUP(buf_fini) struct buf file = { 0 };
    DR_FREE char *folder = folder_of(p);
    DR_FREE char *path = dr_strf("%s/%s", folder, b->name);
    struct dr_err ignored = { 0 };
    if (fs_read_file(path, FILE_MAX, &file, &ignored) != DR_OK || file.len == 0)
        return 0;
    return strtoll(file.data, NULL, 10);
}

static enum dr_rc note_time(const struct prune *p, const struct config_bucket *b,
                            struct dr_err *err)
{
    DR_FREE char *folder = folder_of(p);
    DR_FREE char *text = dr_strf("%" PRId64 "\n", p->options->now_ns);
    DR_TRY(fs_make_dirs(folder, 0700, err));
    return fs_replace(folder, b->name, text, strlen(text), err);
}

/* What this prune lets go needs no lock. */
static bool goes(const struct prune *p, const char *name)
{
    uint8_t id[DIGEST_SIZE];
    if (names_parse_pack(name, id))
        return idset_has(&p->condemn, id);
    return text_starts(name, NAMES_SNAPSHOTS) &&
           text_list_has_sorted(&p->expire, name + strlen(NAMES_SNAPSHOTS));
}

static enum dr_rc extend_in(struct prune *p, size_t at, struct dr_err *err)
{
    const struct config_bucket *b = repo_bucket(p->repo, at)->config;
    struct store *s = p->view.places[at].store;
    int64_t until_ns = p->options->now_ns + b->lock.ms * MS_NS;
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    DR_TRY(store_list(s, "", &names, err));
    for (size_t i = 0; i < names.count; i++) {
        if (goes(p, names.items[i]))
            continue;
        enum dr_rc rc = store_lock_until(s, names.items[i], until_ns, err);
        if (rc == DR_E_CONFIG || rc == DR_E_NOTFOUND)
            continue; /* of a kind that is not locked, or gone by now */
        DR_TRY(rc);
        p->result->buckets[at].extended++;
    }
    return note_time(p, b, err);
}

enum dr_rc locks_extend(struct prune *p, struct dr_err *err)
{
    for (size_t i = 0; i < p->view.count; i++) {
        const struct config_bucket *b = repo_bucket(p->repo, i)->config;
        int64_t age_ns = p->options->now_ns - last_time(p, b);
        if (b->lock.ms == 0 || (age_ns >= 0 && age_ns < b->lock.ms * MS_NS / TIMES_A_LOCK))
            continue;
        if (extend_in(p, i, err) != DR_OK)
            return dr_context(err, "extending the locks of bucket '%s'", b->name);
    }
    return DR_OK;
}
