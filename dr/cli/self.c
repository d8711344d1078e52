/*
 * self.c - gather what makes this host a drctl: configuration, plans, public keys, journals, schedule.
 *
 * Each file is compared and replaced whole (fs_replace), and what belongs to it no more is removed, so the
 * tree is right whenever this returns, wherever the one before died.
 */
#include "dr/cli/self.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "dr/base/fs.h"
#include "dr/base/log.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/cli/plan.h"
#include "dr/run/state.h"

enum { PLAN_MAX = 1 << 20, HOST_SIZE = 256 };

struct staging {
    const struct config *config;
    const char *root;      /* STATE_DIR/self */
    struct text_list kept; /* paths below root that belong to it */
};

static void staging_fini(struct staging *s)
{
    text_list_fini(&s->kept);
}

/* The directory of a path, or the name in it. The caller frees. */
static char *part_of(const char *path, bool directory)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return dr_strdup(directory ? "." : path);
    return directory ? dr_memdup(path, (size_t)(slash - path)) : dr_strdup(slash + 1);
}

/* Put these bytes at root/path, unless they are there. */
static enum dr_rc put(struct staging *s, const char *path, const void *data, size_t len,
                      struct dr_err *err)
{
    DR_FREE char *full = dr_strf("%s/%s", s->root, path);
    DR_FREE char *dir = part_of(full, true);
    DR_FREE char *name = part_of(full, false);
    DR_CLEANUP(buf_fini) struct buf have = { 0 };
    struct dr_err ignored = { 0 };
    text_list_add(&s->kept, path);
    if (fs_read_file(full, SELF_FILE_MAX, &have, &ignored) == DR_OK && have.len == len &&
        (len == 0 || memcmp(have.data, data, len) == 0))
        return DR_OK;
    DR_TRY(fs_make_dirs(dir, 0700, err));
    return fs_replace(dir, name, len > 0 ? data : "", len, err);
}

/* A file as it is; one that is not there is passed over. */
static enum dr_rc copy(struct staging *s, const char *from, const char *path, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    enum dr_rc rc = fs_read_file(from, SELF_FILE_MAX, &bytes, err);
    if (rc == DR_E_NOTFOUND)
        return DR_OK;
    DR_TRY(rc);
    return put(s, path, bytes.data, bytes.len, err);
}

/* Names in a directory, but for "." and "..", with this end; none when it is not there. */
static void list_dir(const char *dir, const char *end, struct text_list *ret)
{
    DIR *d = opendir(dir);
    if (d == NULL)
        return;
    const struct dirent *e;
    while ((e = readdir(d)) != NULL) /* NOLINT(concurrency-mt-unsafe): own stream */
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            text_ends(e->d_name, end))
            text_list_add(ret, e->d_name);
    (void)closedir(d); /* nothing was written */
    text_list_sort(ret);
}

/* -- plans ------------------------------------------------------------------------------------- */

/* A plan says so in a line of its own: "plan: NAME". */
static bool is_plan(const struct buf *text)
{
    static const char key[] = "plan:";
    const char *at = text->data;
    while (at != NULL) {
        if (strncmp(at, key, strlen(key)) == 0)
            return true;
        at = strchr(at, '\n');
        at = at != NULL ? at + 1 : NULL;
    }
    return false;
}

/* The first of a name is the one that a person gets who types it. */
static enum dr_rc add_plan(struct staging *s, const char *file, struct dr_err *err)
{
    DR_FREE char *name = part_of(file, false);
    DR_FREE char *path = dr_strf(SELF_PLANS "/%s", name);
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    struct dr_err why = { 0 };
    if (text_list_has(&s->kept, path))
        return DR_OK;
    if (fs_read_file(file, PLAN_MAX, &text, &why) != DR_OK) {
        log_warning("%s: it is not kept in " CONFIG_SELF, why.msg);
        return DR_OK;
    }
    return is_plan(&text) ? put(s, path, text.data, text.len, err) : DR_OK;
}

/* NAME.yaml of one directory, in the order of their names. */
static enum dr_rc add_plans_of(struct staging *s, const char *dir, struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    list_dir(dir, ".yaml", &names);
    for (size_t i = 0; i < names.count; i++) {
        DR_FREE char *file = dr_strf("%s/%s", dir, names.items[i]);
        if (names.items[i][0] != '.' && strcmp(file, s->config->path) != 0)
            DR_TRY(add_plan(s, file, err));
    }
    return DR_OK;
}

/* Those named by incident_response.runbooks first, then where plan_find_file() looks. */
static enum dr_rc add_plans(struct staging *s, struct dr_err *err)
{
    const struct config *c = s->config;
    DR_FREE char *beside = part_of(c->path, true);
    DR_FREE char *below = dr_strf("%s/runbooks", beside);
    const char *const places[] = { below, beside, "/etc/drctl/runbooks",
                                   "/usr/local/share/drctl/runbooks" };
    for (size_t i = 0; i < c->runbooks.count; i++) {
        const char *word = c->runbooks.items[i];
        bool is_path = strchr(word, '/') != NULL || text_ends(word, ".yaml");
        DR_FREE char *near = dr_strf("%s/%s", beside, word);
        DR_FREE char *file = NULL;
        struct dr_err why = { 0 };
        if (word[0] != '/' && is_path && access(near, F_OK) == 0)
            file = dr_strdup(near);
        else if (plan_find_file(c->path, word, &file, &why) != DR_OK)
            file = NULL;
        if (file != NULL)
            DR_TRY(add_plan(s, file, err));
        else
            log_warning("%s: it is not kept in " CONFIG_SELF, why.msg);
    }
    for (size_t i = 0; i < DR_ARRAY_LEN(places); i++)
        DR_TRY(add_plans_of(s, places[i], err));
    return DR_OK;
}

/* -- journals ---------------------------------------------------------------------------------- */

static bool is_over(const struct config *c, const char *run)
{
    DR_CLEANUP(journal_records_fini) struct journal_records all = { 0 };
    DR_CLEANUP(run_state_fini) struct run_state state = { 0 };
    struct dr_err ignored = { 0 };
    if (journal_load(c->state_dir, run, &all, &ignored) != DR_OK || all.count == 0)
        return false;
    state_replay(&state, &all);
    return run_is_final(state.phase);
}

static enum dr_rc add_journals(struct staging *s, struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list runs = { 0 };
    DR_TRY(journal_runs(s->config->state_dir, &runs, err));
    for (size_t i = 0; i < runs.count; i++) {
        DR_FREE char *path = dr_strf("runs/%s/journal.jsonl", runs.items[i]);
        DR_FREE char *from = dr_strf("%s/%s", s->config->state_dir, path);
        if (is_over(s->config, runs.items[i]))
            DR_TRY(copy(s, from, path, err));
    }
    return DR_OK;
}

/* -- facts ------------------------------------------------------------------------------------- */

static void add_file(struct text_list *list, const char *path)
{
    if (path != NULL && path[0] == '/' && !text_list_has(list, path))
        text_list_add(list, path);
}

void self_missing(const struct config *c, struct text_list *ret)
{
    for (size_t i = 0; i < c->secret_count; i++)
        add_file(ret, c->secrets[i].file);
    for (size_t i = 0; i < c->bucket_count; i++)
        add_file(ret, c->buckets[i].ca);
    for (size_t i = 0; i < c->site_count; i++) {
        add_file(ret, c->sites[i].ssh.identity);
        add_file(ret, c->sites[i].ssh.known_hosts);
    }
    for (size_t i = 0; i < c->channel_count; i++) {
        add_file(ret, c->channels[i].url_file);
        add_file(ret, c->channels[i].ca);
    }
}

static enum dr_rc add_facts(struct staging *s, struct dr_err *err)
{
    const struct config *c = s->config;
    char host[HOST_SIZE] = "";
    (void)gethostname(host, sizeof(host) - 1); /* for people: it may be empty */
    DR_CLEANUP(text_list_fini) struct text_list missing = { 0 };
    DR_FREE char *key = dr_strf("%s/keys/writer.pem", c->state_dir);
    DR_JSON json_t *o = json_object();
    json_t *list = json_array();
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    add_file(&missing, key);
    self_missing(c, &missing);
    for (size_t i = 0; i < missing.count; i++)
        if (json_array_append_new(list, json_printable(missing.items[i])) != 0)
            dr_out_of_memory();
    json_put_int(o, "v", 1);
    json_put(o, "host", json_printable(host));
    json_put(o, "config", json_printable(c->path));
    json_put(o, "state_dir", json_printable(c->state_dir));
    json_put(o, "not_in_here", list);
    json_add_canonical(&out, o);
    buf_addc(&out, '\n');
    return put(s, SELF_FACTS, out.data, out.len, err);
}

/* -- the tree ---------------------------------------------------------------------------------- */

static bool is_kept(const struct staging *s, const char *path)
{
    DR_FREE char *below = dr_strf("%s/", path);
    for (size_t i = 0; i < s->kept.count; i++)
        if (strcmp(s->kept.items[i], path) == 0 || text_starts(s->kept.items[i], below))
            return true;
    return false;
}

/* Remove what was staged once and belongs to it no more. */
static enum dr_rc sweep(const struct staging *s, struct dr_err *err)
{
    static const char *const dirs[] = { "", "keys/", SELF_PLANS "/", "runs/" };
    for (size_t i = 0; i < DR_ARRAY_LEN(dirs); i++) {
        DR_FREE char *full = dr_strf("%s/%s", s->root, dirs[i]);
        DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
        list_dir(full, "", &names);
        for (size_t k = 0; k < names.count; k++) {
            DR_FREE char *path = dr_strf("%s%s", dirs[i], names.items[k]);
            DR_FREE char *at = dr_strf("%s/%s", s->root, path);
            if (!is_kept(s, path))
                DR_TRY(fs_remove_tree(at, err));
        }
    }
    return DR_OK;
}

static enum dr_rc fill(struct staging *s, struct dr_err *err)
{
    static const char *const files[][2] = { { "keys/writer.pub", "keys/writer.pub" },
                                            { "keys/inherited.pub", "keys/inherited.pub" },
                                            { "schedule.json", "schedule.json" } };
    DR_TRY(copy(s, s->config->path, SELF_CONFIG, err));
    for (size_t i = 0; i < DR_ARRAY_LEN(files); i++) {
        DR_FREE char *from = dr_strf("%s/%s", s->config->state_dir, files[i][0]);
        DR_TRY(copy(s, from, files[i][1], err));
    }
    DR_TRY(add_plans(s, err));
    DR_TRY(add_journals(s, err));
    DR_TRY(add_facts(s, err));
    return sweep(s, err);
}

enum dr_rc self_stage(const struct config *c, struct dr_err *err)
{
    DR_CLEANUP(staging_fini) struct staging s = { .config = c, .root = c->self.path };
    DR_TRY(fs_make_dirs(s.root, 0700, err));
    DR_CLEANUP(dr_close_fd) int fd = sys_open(s.root, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0)
        return dr_fail_sys(err, errno, "cannot open '%s'", s.root);
    while (flock(fd, LOCK_EX) != 0) /* two at once would sweep each other's files */
        if (errno != EINTR)
            return dr_fail_sys(err, errno, "cannot lock '%s'", s.root);
    if (fill(&s, err) != DR_OK)
        return dr_context(err, "gathering " CONFIG_SELF);
    return DR_OK;
}
