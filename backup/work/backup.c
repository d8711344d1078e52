/*
 * backup_run(): one snapshot of one source into every bucket. Walk, stream, commit are in files of
 * their own (backup_walk, backup_stream, backup_buckets); here they are put together, with the table of hard links,
 * the names of owners, warnings and progress.
 */
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backup/work/backup_buckets.h"
#include "backup/work/backup_stream.h"
#include "backup/work/backup_walk.h"
#include "dr/base/clock.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"

enum {
    LINKS_MAX = 4 << 20,     /* names with further links that are remembered */
    OWNERS_MAX = 4096,       /* names of users and of groups that are looked up */
    OWNER_BUFFER = 16 << 10, /* for one of them */
    HOST_MAX = 256,
    PROGRESS_NS = 100 * 1000 * 1000,
};

struct link { /* the first name of an inode that has several */
    dev_t dev;
    ino_t ino;
    int64_t mtime_s; /* and the rest: an inode that was freed and used again is another file */
    uint32_t mtime_ns;
    char type;
    uint64_t size;
    char *path; /* owned; NULL: free */
};

struct run {
    const struct config_source *source;
    const struct work_hooks *hooks;
    struct backup_result result;
    struct buckets *buckets;
    struct packs *packs;
    struct stream *stream;
    struct walk *walk;
    struct snapshot snapshot;
    struct link *links;
    size_t link_count, link_cap;
    json_t *users, *groups; /* borrowed from snapshot.owners */
    uint32_t last_uid, last_gid;
    bool asked_owner;
    uint64_t bytes_read;
    int64_t progress_ns; /* boot time of the last call */
};

void backup_result_fini(struct backup_result *r)
{
    text_list_fini(&r->missing);
    *r = (struct backup_result){ .files = 0 };
}

static void run_fini(struct run *r)
{
    walk_free(r->walk);
    stream_free(r->stream);
    packs_free(r->packs);
    buckets_free(r->buckets);
    snapshot_fini(&r->snapshot);
    for (size_t i = 0; i < r->link_cap; i++)
        free(r->links[i].path);
    free(r->links);
    backup_result_fini(&r->result);
}

/* -- hooks --------------------------------------------------------------------------------- */

static void warn(void *arg, const char *path, const char *what)
{
    struct run *r = arg;
    r->result.warnings++;
    if (r->hooks == NULL || r->hooks->warning == NULL)
        return;
    DR_CLEANUP(buf_fini) struct buf line = { 0 };
    buf_addc(&line, '\'');
    text_add_printable(&line, path, strlen(path));
    buf_addf(&line, "': %s", what);
    r->hooks->warning(r->hooks->arg, line.data);
}

static bool tell_progress(struct run *r)
{
    struct work_progress p = { .doing = "reading",
                               .bytes = r->bytes_read,
                               .entries = r->result.entries };
    if (r->hooks == NULL || r->hooks->progress == NULL)
        return true;
    r->progress_ns = clock_boot_ns();
    return r->hooks->progress(r->hooks->arg, &p);
}

static bool on_progress(void *arg, uint64_t bytes)
{
    struct run *r = arg;
    r->bytes_read += bytes;
    if (clock_boot_ns() - r->progress_ns < PROGRESS_NS)
        return true;
    return tell_progress(r);
}

static bool is_cancelled(void *arg)
{
    return !tell_progress(arg);
}

static enum dr_rc on_put(void *arg, struct spooled *pack, struct dr_err *err)
{
    return buckets_put(((struct run *)arg)->buckets, pack, err);
}

/* -- hard links ---------------------------------------------------------------------------- */

static struct link *find_link(struct link *links, size_t cap, dev_t dev, ino_t ino)
{
    size_t i = (size_t)((uint64_t)ino * 0x9E3779B97F4A7C15u >> 20 ^ (uint64_t)dev) & (cap - 1);
    while (links[i].path != NULL && (links[i].ino != ino || links[i].dev != dev))
        i = (i + 1) & (cap - 1);
    return &links[i];
}

static void grow_links(struct run *r)
{
    size_t cap = r->link_cap == 0 ? 256 : r->link_cap * 2;
    struct link *wider = dr_alloc(cap, sizeof *wider);
    for (size_t i = 0; i < r->link_cap; i++)
        if (r->links[i].path != NULL)
            *find_link(wider, cap, r->links[i].dev, r->links[i].ino) = r->links[i];
    free(r->links);
    r->links = wider;
    r->link_cap = cap;
}

/* The first name of this inode; NULL when this is it, and from now on it is known. */
static const char *first_name(struct run *r, const struct backup_entry *e)
{
    if (e->head.type == '5' || e->nlink < 2)
        return NULL;
    if (r->link_count * 2 >= r->link_cap)
        grow_links(r);
    struct link *l = find_link(r->links, r->link_cap, e->dev, e->ino);
    const struct head *h = &e->head;
    if (l->path != NULL) {
        bool same = l->type == h->type && l->size == h->size && l->mtime_s == h->mtime_s &&
                    l->mtime_ns == h->mtime_ns;
        return same ? l->path : NULL;
    }
    if (r->link_count == LINKS_MAX) {
        warn(r, e->head.path, "stored as a file of its own: too many hard links");
        return NULL;
    }
    *l = (struct link){ .dev = e->dev,
                        .ino = e->ino,
                        .mtime_s = h->mtime_s,
                        .mtime_ns = h->mtime_ns,
                        .type = h->type,
                        .size = h->size,
                        .path = dr_strdup(h->path) };
    r->link_count++;
    return NULL;
}

/* -- owners -------------------------------------------------------------------------------- */

static void put_owner(json_t *table, uint32_t id, const char *name)
{
    char key[16];
    (void)snprintf(key, sizeof key, "%" PRIu32, id); /* at most ten digits */
    if (name != NULL && text_is_utf8(name, strlen(name)))
        json_put_text(table, key, name);
}

static bool knows_owner(const json_t *table, uint32_t id)
{
    char key[16];
    (void)snprintf(key, sizeof key, "%" PRIu32, id);
    return json_object_get(table, key) != NULL || json_object_size(table) >= OWNERS_MAX;
}

/* Names are looked up once for each run of equal numbers that is not known yet. */
static void note_owner(struct run *r, uint32_t uid, uint32_t gid)
{
    char buffer[OWNER_BUFFER];
    struct passwd user, *have_user = NULL;
    struct group group, *have_group = NULL;
    bool same_uid = r->asked_owner && r->last_uid == uid;
    bool same_gid = r->asked_owner && r->last_gid == gid;
    if (!same_uid && !knows_owner(r->users, uid) &&
        getpwuid_r(uid, &user, buffer, sizeof buffer, &have_user) == 0 && have_user != NULL)
        put_owner(r->users, uid, have_user->pw_name);
    if (!same_gid && !knows_owner(r->groups, gid) &&
        getgrgid_r(gid, &group, buffer, sizeof buffer, &have_group) == 0 && have_group != NULL)
        put_owner(r->groups, gid, have_group->gr_name);
    r->last_uid = uid;
    r->last_gid = gid;
    r->asked_owner = true;
}

/* -- the run ------------------------------------------------------------------------------- */

static void tell_damage(struct run *r, const struct backup_entry *e, const struct stream_fed *fed)
{
    if (fed->missing > 0) {
        DR_FREE char *what =
            fed->error != 0
                ? dr_strf("%" PRIu64 " bytes could not be read (%s), zeros stand for them",
                          fed->missing, strerrordesc_np(fed->error))
                : dr_strf("became shorter while it was read, zeros stand for %" PRIu64 " bytes",
                          fed->missing);
        warn(r, e->head.path, what);
    } else if (walk_has_changed(r->walk, e)) {
        warn(r, e->head.path, "changed while it was read");
    }
}

static enum dr_rc take_entry(struct run *r, const struct backup_entry *e, struct dr_err *err)
{
    struct stream_fed fed;
    struct stream_entry in = { .entry = e, .link_to = first_name(r, e) };
    note_owner(r, e->head.uid, e->head.gid);
    DR_TRY(stream_feed(r->stream, &in, &fed, err));
    r->result.entries++;
    if (in.link_to != NULL || e->head.type != '0')
        return DR_OK;
    r->result.files++;
    r->result.bytes += e->head.size;
    tell_damage(r, e, &fed);
    return DR_OK;
}

static enum dr_rc read_source(struct run *r, struct dr_err *err)
{
    struct walk_options wo = {
        .root = r->source->path, .exclude = &r->source->exclude, .warning = warn, .arg = r
    };
    bool more = true;
    if (walk_new(&wo, &r->walk, err) != DR_OK)
        return dr_hint(err, "Correct the path of source '%s', or mount what belongs there.",
                       r->source->name);
    while (more) {
        struct backup_entry *e = NULL;
        DR_TRY(walk_next(r->walk, &e, &more, err));
        if (e != NULL)
            DR_TRY(take_entry(r, e, err));
    }
    return DR_OK;
}

static void describe(struct run *r, const char *kind, int64_t epoch,
                     const struct repository *repository)
{
    struct snapshot *s = &r->snapshot;
    char host[HOST_MAX] = "";
    (void)gethostname(host, sizeof host - 1); /* an unknown host has an empty name */
    s->repository = dr_strdup(repository->id);
    s->source = dr_strdup(r->source->name);
    s->class = dr_strdup(r->source->class != NULL ? r->source->class : "data");
    s->host = dr_strdup(text_is_utf8(host, strlen(host)) ? host : "");
    s->kind = dr_strdup(kind);
    s->epoch = epoch;
    s->start_ns = clock_wall_ns();
    random_bytes(s->nonce, sizeof s->nonce);
    s->owners = json_object();
    r->users = json_object();
    r->groups = json_object();
    json_put(s->owners, "users", r->users);
    json_put(s->owners, "groups", r->groups);
    struct names_id of = { s->source, epoch, s->start_ns, s->nonce };
    names_make_id(&of, s->id);
}

static enum dr_rc commit(struct run *r, const struct keys *keys, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    struct snapshot *s = &r->snapshot;
    s->entries = r->result.entries;
    s->files = r->result.files;
    s->bytes = r->result.bytes;
    s->warnings = r->result.warnings;
    snapshot_encode(s, keys, &object);
    if (object.len > SNAPSHOT_SIZE_MAX)
        return dr_fail(err, DR_E_NOMEM, "the snapshot object would be larger than its limit");
    DR_CLEANUP(pack_names_fini) struct pack_names avoid = { 0 };
    return buckets_commit(r->buckets, s, &object, &avoid, err);
}

/* Whoever restores by this configuration would refuse what we sign. The data are worth keeping
 * all the same: the key may have been lost and made anew. */
static void warn_if_distrusted(struct run *r, const struct config *c, const char *public)
{
    for (size_t i = 0; i < c->trust_count; i++) {
        if (strcmp(c->trusts[i].source, r->source->name) != 0 ||
            text_list_has(&c->trusts[i].keys, public))
            continue;
        DR_FREE char *line =
            dr_strf("trusted_writers of '%s' does not name this host's key, so restores refuse "
                    "this snapshot until '%s' is added to it",
                    r->source->name, public);
        r->result.warnings++;
        if (r->hooks != NULL && r->hooks->warning != NULL)
            r->hooks->warning(r->hooks->arg, line);
    }
}

static enum dr_rc run_all(struct run *r, struct repo *repo, const struct backup_wish *wish,
                          struct dr_err *err)
{
    DR_CLEANUP(keys_free_ptr) struct keys *keys = NULL;
    struct repository repository;
    DR_TRY(keys_open(repo_config(repo)->state_dir, true, &keys, err));
    struct buckets_options bo = {
        .upload_limit = wish->upload_limit, .inline_work = wish->inline_work, .cancelled = is_cancelled, .arg = r
    };
    DR_TRY(buckets_new(repo, &bo, &r->buckets, err));
    DR_TRY(buckets_repository(r->buckets, &repository, err));
    describe(r, wish->kind, wish->epoch, &repository);
    struct packs_options po = { .target = repository.pack_bytes,
                                .state_dir = repo_config(repo)->state_dir,
                                .put = on_put,
                                .arg = r };
    memcpy(po.nonce, r->snapshot.nonce, NONCE_SIZE);
    r->packs = packs_new(&po);
    struct stream_options so = {
        .seed = repository.seed, .packs = r->packs, .progress = on_progress, .arg = r
    };
    warn_if_distrusted(r, repo_config(repo), keys_public(keys));
    r->stream = stream_new(&so);
    DR_TRY(read_source(r, err));
    int64_t now = clock_wall_ns(); /* the clock may have been set back meanwhile */
    r->snapshot.end_ns = now > r->snapshot.start_ns ? now : r->snapshot.start_ns;
    DR_TRY(stream_finish(r->stream, &r->snapshot, err));
    if (!tell_progress(r))
        return dr_fail(err, DR_E_CANCELLED, "the backup was cancelled");
    return commit(r, keys, err);
}

static void give_result(struct run *r, struct backup_result *ret)
{
    memcpy(r->result.id, r->snapshot.id, sizeof r->result.id);
    r->result.stored = r->snapshot.stored;
    r->result.start_ns = r->snapshot.start_ns;
    r->result.end_ns = r->snapshot.end_ns;
    buckets_report(r->buckets, &r->result);
    *ret = r->result;
    r->result = (struct backup_result){ .files = 0 };
}

enum dr_rc backup_run(struct repo *repo, const struct backup_wish *wish,
                      const struct work_hooks *hooks, struct backup_result *ret, struct dr_err *err)
{
    DR_ASSERT(repo != NULL && wish->source != NULL && wish->kind != NULL && ret != NULL);
    if (strcmp(wish->kind, "full") != 0) {
        dr_fail(err, DR_E_USAGE, "kind '%s' is not available in this version", wish->kind);
        return dr_hint(err, "Use --kind full.");
    }
    DR_CLEANUP(run_fini) struct run r = { .source = wish->source, .hooks = hooks };
    enum dr_rc rc = run_all(&r, repo, wish, err);
    if (rc != DR_OK)
        return rc == DR_E_CANCELLED ? rc : dr_context(err, "backup of '%s'", wish->source->name);
    give_result(&r, ret);
    return DR_OK;
}
