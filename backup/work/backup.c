/*
 * backup_run(): one snapshot of one source into every bucket. Scan, links, stream, packs and buckets are in
 * files of their own; here they are put together, with warnings, progress and the attempts: when a
 * prune condemns packs under our hands, everything is done once more without them.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/format/path.h"
#include "backup/work/backup_buckets.h"
#include "backup/work/backup_forward.h"
#include "backup/work/backup_links.h"
#include "backup/work/backup_merge.h"
#include "backup/work/backup_parent.h"
#include "backup/work/backup_stream.h"
#include "backup/work/chunk_index.h"
#include "backup/work/exclude.h"
#include "backup/work/writer_epoch.h"
#include "dr/base/clock.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "dr/base/pool.h"

enum {
    HOST_MAX = 256,
    PROGRESS_NS = 100 * 1000 * 1000,
    PROGRESS_ENTRIES = 64, /* between two looks at the clock */
    THREADS_MAX = 8,       /* that read and compress: each costs some ten megabytes */
    SCAN_THREADS = 2,
};

struct run {
    const struct backup_wish *wish;
    const struct config_source *source;
    const struct work_hooks *hooks;
    struct backup_result result;
    struct repo *repo;
    struct repository repository;
    struct keys *keys;       /* NULL in a dry run */
    struct exclude *exclude; /* of the source: owned */
    struct buckets *buckets;
    struct chunk_index *index; /* of earlier runs */
    struct pack_names avoid;   /* condemned */
    uint64_t bytes_read, entries_seen;
    int64_t progress_ns; /* boot time of the last call */
    size_t warned;       /* warnings before the attempt */
    bool has_parent;
    bool parent_is_asked; /* from memory, and the buckets said that they have it */
    struct snapshot_info parent;
    struct text_list parent_packs;
    /* the attempt */
    struct packs *packs;
    struct scan *scan;
    struct stream *stream;
    struct links *links;
    struct owners *owners;
    struct snapshot snapshot;
    struct prev *prev;
    struct prev_writer *cache;
    struct prev_identity identity; /* of the cache: of the parent, then of this snapshot */
};

void backup_result_fini(struct backup_result *r)
{
    text_list_fini(&r->missing);
    text_list_fini(&r->lacking);
    *r = (struct backup_result){ .files = 0 };
}

static void attempt_fini(struct run *r)
{
    stream_free(r->stream); /* before the scan, whose root its threads use */
    prev_close(r->prev);
    prev_writer_free(r->cache);
    scan_free(r->scan);
    packs_free(r->packs);
    links_free(r->links);
    owners_free(r->owners);
    snapshot_fini(&r->snapshot);
    r->stream = NULL;
    r->prev = NULL;
    r->cache = NULL;
    r->scan = NULL;
    r->packs = NULL;
    r->links = NULL;
    r->owners = NULL;
    r->snapshot = (struct snapshot){ .epoch = 0 };
}

static void run_fini(struct run *r)
{
    attempt_fini(r);
    buckets_free(r->buckets);
    chunk_index_close(r->index);
    keys_free(r->keys);
    snapshot_info_fini(&r->parent);
    text_list_fini(&r->parent_packs);
    exclude_free(r->exclude);
    pack_names_fini(&r->avoid);
    backup_result_fini(&r->result);
}

/* -- hooks --------------------------------------------------------------------------------- */

static void warn_line(struct run *r, const char *line)
{
    r->result.warnings++;
    if (r->hooks != NULL && r->hooks->warning != NULL)
        r->hooks->warning(r->hooks->arg, line);
}

static void warn(void *arg, const char *path, const char *what)
{
    DR_CLEANUP(buf_fini) struct buf line = { 0 };
    buf_addc(&line, '\'');
    text_add_printable(&line, path, strlen(path));
    buf_addf(&line, "': %s", what);
    warn_line(arg, line.data);
}

static bool tell_progress(struct run *r)
{
    struct work_progress p = { .doing = "reading",
                               .bytes = r->bytes_read,
                               .entries = r->entries_seen };
    if (r->hooks == NULL || r->hooks->progress == NULL)
        return true;
    if (r->has_parent) /* an estimate; of an incremental most bytes are not read */
        p.entries_total = r->parent.entries;
    if (r->has_parent && strcmp(r->result.kind, "full") == 0)
        p.bytes_total = r->parent.bytes;
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
    struct run *r = arg;
    return r->wish->dry_run ? DR_OK : buckets_put(r->buckets, pack, err);
}

/* -- reading ------------------------------------------------------------------------------- */

static enum dr_rc compile_excludes(struct run *r, struct dr_err *err)
{
    const struct text_list *patterns = &r->source->exclude;
    if (r->wish->exclude != NULL)
        return DR_OK;
    r->exclude = exclude_new();
    for (size_t i = 0; i < patterns->count; i++)
        if (exclude_add(r->exclude, patterns->items[i], err) != DR_OK)
            return dr_context(err, "exclude of source '%s'", r->source->name);
    return DR_OK;
}

static enum dr_rc start_scan(struct run *r, struct dr_err *err)
{
    const struct backup_wish *wish = r->wish;
    struct scan_options so = {
        .root = r->source->path,
        .exclude = wish->exclude != NULL ? wish->exclude : r->exclude,
        .state_dir = repo_config(r->repo)->state_dir,
        .one_file_system = wish->one_file_system,
        .exclude_caches = wish->exclude_caches,
        .threads = wish->inline_work ? 0 : SCAN_THREADS,
        .warning = warn,
        .arg = r,
    };
    if (scan_new(&so, &r->scan, err) != DR_OK)
        return dr_hint(err, "Correct the path of source '%s', or mount what belongs there.",
                       r->source->name);
    return DR_OK;
}

static unsigned threads(const struct run *r)
{
    unsigned n = pool_processors();
    if (r->wish->inline_work)
        return 0;
    return n < THREADS_MAX ? n : THREADS_MAX;
}

static enum dr_rc start_stream(struct run *r, struct dr_err *err)
{
    struct stream_options so = { .seed = r->repository.seed,
                                 .packs = r->packs,
                                 .state_dir = repo_config(r->repo)->state_dir,
                                 .root = r->scan != NULL ? scan_root(r->scan) : -1,
                                 .threads = threads(r),
                                 .start_ns = r->snapshot.start_ns,
                                 .owners = r->owners,
                                 .cache = r->cache,
                                 .warning = warn,
                                 .progress = on_progress,
                                 .arg = r };
    return stream_new(&so, &r->stream, err);
}

static enum dr_rc read_tree(struct run *r, struct dr_err *err)
{
    struct stream_entry e = { .entry = NULL };
    for (;;) {
        DR_TRY(scan_next(r->scan, &e.entry, err));
        if (e.entry == NULL)
            return DR_OK;
        DR_TRY(links_first(r->links, e.entry, &e.link_to, err));
        DR_TRY(stream_add(r->stream, &e, err));
        if (++r->entries_seen % PROGRESS_ENTRIES == 0 && !on_progress(r, 0))
            return dr_fail(err, DR_E_CANCELLED, "the backup was cancelled");
    }
}

/* Patterns and options that leave out entries: with others the cache knows too little. */
static uint64_t hash_of_excludes(const struct run *r)
{
    const struct exclude *x = r->wish->exclude != NULL ? r->wish->exclude : r->exclude;
    return exclude_hash(x) * 4 + (r->wish->one_file_system ? 2 : 0) +
           (r->wish->exclude_caches ? 1 : 0);
}

/* What is known of the snapshot before, and a place for what will be known of this one. */
static enum dr_rc start_cache(struct run *r, struct dr_err *err)
{
    const char *state_dir = repo_config(r->repo)->state_dir;
    struct stat st;
    if (fstat(scan_root(r->scan), &st) != 0)
        return dr_fail_sys(err, errno, "cannot look at '%s'", r->source->path);
    r->identity = (struct prev_identity){ .repository = r->repository.id,
                                          .snapshot = r->parent.id,
                                          .excludes = hash_of_excludes(r),
                                          .root_dev = st.st_dev,
                                          .root_ino = st.st_ino };
    struct prev_options po = { .state_dir = state_dir,
                               .source = r->source->name,
                               .identity = &r->identity,
                               .repo = r->repo,
                               .parent = &r->parent,
                               .hooks = r->hooks };
    if (r->has_parent && prev_open(&po, &r->prev, err) != DR_OK)
        return dr_context(err, "reading the snapshot before, '%s'", r->parent.id);
    if (!r->wish->dry_run)
        r->cache = prev_writer_new(state_dir, r->source->name);
    return DR_OK;
}

static bool on_seen(void *arg, uint64_t entries)
{
    struct run *r = arg;
    r->entries_seen += entries;
    return on_progress(r, 0);
}

static enum dr_rc merge_tree(struct run *r, struct dr_err *err)
{
    struct merge_options mo = { .scan = r->scan,
                                .links = r->links,
                                .stream = r->stream,
                                .packs = r->packs,
                                .prev = r->prev,
                                .full = strcmp(r->result.kind, "full") == 0,
                                .seen = on_seen,
                                .arg = r };
    struct merge_counts c = { .added = 0 };
    DR_TRY(merge_run(&mo, &c, err));
    r->result.added = c.added;
    r->result.changed = c.changed;
    r->result.removed = c.removed;
    r->result.unchanged = c.unchanged;
    return DR_OK;
}

static enum dr_rc read_source(struct run *r, struct dr_err *err)
{
    const char *name = r->wish->stdin_as;
    if (name == NULL) {
        DR_TRY(start_scan(r, err));
        DR_TRY(start_cache(r, err));
    }
    DR_TRY(start_stream(r, err));
    if (name != NULL)
        return stream_add_stdin(r->stream, name, err);
    return r->prev != NULL ? merge_tree(r, err) : read_tree(r, err);
}

/* -- the run ------------------------------------------------------------------------------- */

static void describe(struct run *r)
{
    struct snapshot *s = &r->snapshot;
    char host[HOST_MAX] = "";
    (void)gethostname(host, sizeof host - 1); /* an unknown host has an empty name */
    s->repository = dr_strdup(r->repository.id);
    s->source = dr_strdup(r->source->name);
    s->class = dr_strdup(r->source->class != NULL ? r->source->class : "data");
    s->host = dr_strdup(text_is_utf8(host, strlen(host)) ? host : "");
    s->kind = dr_strdup(r->result.kind);
    if (r->has_parent)
        s->parent = dr_strdup(r->parent.id);
    s->epoch = r->wish->epoch;
    s->start_ns = clock_wall_ns();
    for (size_t i = 0; r->wish->tags != NULL && i < r->wish->tags->count; i++)
        text_list_add(&s->tags, r->wish->tags->items[i]);
    random_bytes(s->nonce, sizeof s->nonce);
    struct names_id of = { s->source, s->epoch, s->start_ns, s->nonce };
    names_make_id(&of, s->id);
}

/* Without it the next run reads every file once. */
static void keep_cache(struct run *r)
{
    struct dr_err err;
    r->identity.snapshot = r->snapshot.id;
    if (prev_writer_commit(r->cache, &r->identity, &err) == DR_OK)
        return;
    DR_FREE char *line = dr_strf("what is known of the files was not kept: %s", err.msg);
    warn_line(r, line);
}

static enum dr_rc commit(struct run *r, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    struct snapshot *s = &r->snapshot;
    if (r->wish->dry_run)
        return DR_OK;
    snapshot_encode(s, r->keys, &object);
    if (object.len > SNAPSHOT_SIZE_MAX)
        return dr_fail(err, DR_E_NOMEM, "the snapshot object would be larger than its limit");
    DR_TRY(buckets_commit(r->buckets, s, &object, &r->avoid, err));
    buckets_remember(r->buckets, s, &object);
    struct dr_err ignored = { 0 }; /* the snapshot stands; the next run stores some pieces twice */
    if (packs_commit(r->packs, &ignored) != DR_OK)
        warn_line(r, ignored.msg);
    keep_cache(r);
    return DR_OK;
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
        warn_line(r, line);
    }
}

static void start_attempt(struct run *r)
{
    struct packs_options po = { .target = r->repository.pack_bytes,
                                .state_dir = repo_config(r->repo)->state_dir,
                                .index = r->index,
                                .put = on_put,
                                .arg = r };
    attempt_fini(r);
    r->result.warnings = r->warned;
    r->bytes_read = r->entries_seen = 0;
    describe(r);
    memcpy(po.nonce, r->snapshot.nonce, NONCE_SIZE);
    r->packs = packs_new(&po);
    for (size_t i = 0; i < r->avoid.count; i++)
        packs_avoid(r->packs, pack_names_of(&r->avoid, (uint32_t)i));
    r->links = links_new(po.state_dir);
    r->owners = owners_new();
}

static enum dr_rc attempt(struct run *r, struct dr_err *err)
{
    struct snapshot *s = &r->snapshot;
    start_attempt(r);
    DR_TRY(read_source(r, err));
    int64_t now = clock_wall_ns(); /* the clock may have been set back meanwhile */
    s->end_ns = now > s->start_ns ? now : s->start_ns;
    DR_TRY(stream_finish(r->stream, s, err));
    if (!tell_progress(r))
        return dr_fail(err, DR_E_CANCELLED, "the backup was cancelled");
    const struct stream_totals *t = stream_totals(r->stream);
    s->entries = t->entries;
    s->files = t->files;
    s->bytes = t->bytes;
    s->warnings = r->result.warnings;
    s->owners = owners_json(r->owners);
    r->result.read = t->read;
    return commit(r, err);
}

static enum dr_rc take_parent(struct run *r, const char *writer, struct dr_err *err)
{
    const char *source = r->source->name;
    DR_CLEANUP(text_list_fini) struct text_list in = { 0 };
    DR_CLEANUP(parent_fini) struct parent found = { .found = false };
    bool known = writer != NULL &&
                 parent_recall(r->repo, buckets_known(r->buckets), source, writer, &found) &&
                 !buckets_knows_expired(r->buckets, found.info.id);
    DR_TRY(buckets_prove(r->buckets, known ? found.info.id : NULL, &in, err));
    r->parent_is_asked = in.count > 0;
    for (size_t i = 0; i < in.count; i++)
        text_list_add(&found.info.buckets, in.items[i]);
    if (in.count == 0) {
        parent_fini(&found);
        buckets_condemned(r->buckets, true, &r->avoid);
    }
    if (in.count == 0 && writer != NULL)
        DR_TRY(parent_find(r->repo, r->buckets, source, writer, &found, err));
    r->has_parent = found.found;
    r->parent = found.info;
    r->parent_packs = found.packs;
    found = (struct parent){ .found = false };
    return DR_OK;
}

/*
 * Of the buckets that have just answered, one outside of the source's own region, if there is one: that of a
 * region that was given up is the last to hear of another writer.
 */
static const char *bucket_elsewhere(const struct run *r)
{
    const struct config *c = repo_config(r->repo);
    const struct text_list *in = &r->parent.buckets;
    const struct config_site *site =
        r->source->site != NULL ? config_site(c, r->source->site) : NULL;
    for (size_t i = in->count; i > 0; i--) {
        const struct config_bucket *b = config_bucket(c, in->items[i - 1]);
        if (b != NULL && (site == NULL || strcmp(b->region, site->region) != 0))
            return b->name;
    }
    return in->count > 0 ? in->items[in->count - 1] : NULL;
}

/* As it is taken: without a snapshot to build on, every kind is a full one. */
static enum dr_rc find_parent(struct run *r, struct dr_err *err)
{
    const char *kind = r->wish->kind != NULL ? r->wish->kind : "incremental";
    char writer[KEYS_TEXT_MAX];
    struct dr_err none; /* no key yet: nothing is by it */
    bool has_writer = r->wish->stdin_as == NULL &&
                      keys_read_public(repo_config(r->repo)->state_dir, writer, &none) == DR_OK;
    DR_TRY(take_parent(r, has_writer ? writer : NULL, err));
    r->result.kind = !r->has_parent                     ? "full"
                     : strcmp(kind, "config") == 0      ? "config"
                     : strcmp(kind, "incremental") == 0 ? "incremental"
                                                        : "full";
    memcpy(r->result.parent, r->parent.id, sizeof r->result.parent);
    bool full = strcmp(r->result.kind, "full") == 0; /* it asks for each pack */
    const char *ask = !full && r->parent_is_asked ? bucket_elsewhere(r) : NULL;
    DR_TRY(writer_epoch_check(r->repo, r->source->name, ask, r->wish->epoch, err));
    if (r->has_parent && !full)
        buckets_trust(r->buckets, r->parent.id, &r->parent_packs,
                      r->parent_is_asked ? NULL : &r->parent.buckets);
    if (r->parent_is_asked) /* an incremental needs little: when that is condemned it is made again */
        buckets_condemned(r->buckets, full, &r->avoid);
    return DR_OK;
}

/* The snapshot before cannot be read: better a full one now than none until somebody looks. */
static void give_up_parent(struct run *r, const struct dr_err *err)
{
    DR_FREE char *line = dr_strf("%s; everything is read and stored anew", err->msg);
    snapshot_info_fini(&r->parent);
    r->has_parent = false;
    r->result.kind = "full";
    r->result.parent[0] = '\0';
    r->result.changed = r->result.removed = r->result.unchanged = 0;
    warn_line(r, line);
    r->warned++;
}

/* A full one leaves packs behind that hold little. Economy: what fails here costs space alone, and if the
 * snapshot before cannot be read, reading the source finds that out. */
static void copy_forward(struct run *r)
{
    struct dr_err ignored = { 0 };
    if (!r->has_parent || r->wish->dry_run || strcmp(r->result.kind, "full") != 0)
        return;
    enum dr_rc rc =
        forward_find(r->repo, &r->parent, r->repository.pack_bytes, &r->avoid, &ignored);
    (void)rc;
}

static enum dr_rc run_all(struct run *r, struct dr_err *err)
{
    const struct backup_wish *wish = r->wish;
    struct buckets_options bo = { .upload_limit = wish->upload_limit,
                                  .inline_work = wish->inline_work,
                                  .source = r->source->name,
                                  .dry_run = wish->dry_run,
                                  .cancelled = is_cancelled,
                                  .arg = r };
    if (!wish->dry_run)
        DR_TRY(keys_open(repo_config(r->repo)->state_dir, true, &r->keys, err));
    DR_TRY(compile_excludes(r, err));
    DR_TRY(buckets_new(r->repo, &bo, &r->buckets, err));
    r->repository = *repo_repository(r->repo);
    if (!wish->dry_run)
        DR_TRY(chunk_index_get(r->repo, keys_public(r->keys), &r->index, err));
    DR_TRY(find_parent(r, err));
    copy_forward(r);
    if (r->keys != NULL)
        warn_if_distrusted(r, repo_config(r->repo), keys_public(r->keys));
    r->warned = r->result.warnings;
    enum dr_rc rc = attempt(r, err);
    for (int i = 1; i < BUCKETS_ATTEMPTS && rc == DR_E_BUSY; i++)
        rc = attempt(r, err);
    bool lost = rc == DR_E_BUSY && r->stream != NULL && stream_totals(r->stream)->lost_names > 0;
    if (r->has_parent && (rc == DR_E_CORRUPT || rc == DR_E_NOTFOUND || lost)) {
        give_up_parent(r, err);
        rc = attempt(r, err);
    }
    return rc;
}

static void give_result(struct run *r, struct backup_result *ret)
{
    const struct snapshot *s = &r->snapshot;
    if (!r->wish->dry_run)
        memcpy(r->result.id, s->id, sizeof r->result.id);
    r->result.files = s->files;
    r->result.entries = s->entries;
    r->result.bytes = s->bytes;
    if (!r->has_parent)
        r->result.added = s->entries;
    r->result.stored = s->stored;
    r->result.start_ns = s->start_ns;
    r->result.end_ns = s->end_ns;
    buckets_report(r->buckets, &r->result);
    *ret = r->result;
    r->result = (struct backup_result){ .files = 0 };
}

static enum dr_rc check_wish(const struct backup_wish *wish, struct dr_err *err)
{
    static const char *const kinds[] = { "full", "incremental", "config" };
    bool known = wish->kind == NULL;
    for (size_t i = 0; i < DR_ARRAY_LEN(kinds) && !known; i++)
        known = strcmp(wish->kind, kinds[i]) == 0;
    if (!known) {
        dr_fail(err, DR_E_USAGE, "no such kind of backup: '%s'", wish->kind);
        return dr_hint(err, "The kinds are full, incremental and config.");
    }
    if (wish->tags != NULL && wish->tags->count > SNAPSHOT_TAGS_MAX)
        return dr_fail(err, DR_E_USAGE, "more than %d tags", SNAPSHOT_TAGS_MAX);
    const char *name = wish->stdin_as;
    if (name != NULL &&
        (name[0] == '\0' || strchr(name, '/') != NULL || !path_is_valid(name, strlen(name))))
        return dr_fail(err, DR_E_USAGE, "'%s' is no name for a file", name);
    return DR_OK;
}

enum dr_rc backup_run(struct repo *repo, const struct backup_wish *wish,
                      const struct work_hooks *hooks, struct backup_result *ret, struct dr_err *err)
{
    DR_ASSERT(repo != NULL && wish->source != NULL && ret != NULL);
    DR_TRY(check_wish(wish, err));
    DR_CLEANUP(run_fini)
    struct run r = { .repo = repo, .wish = wish, .source = wish->source, .hooks = hooks };
    enum dr_rc rc = run_all(&r, err);
    if (rc != DR_OK)
        return rc == DR_E_CANCELLED ? rc : dr_context(err, "backup of '%s'", wish->source->name);
    give_result(&r, ret);
    return DR_OK;
}
