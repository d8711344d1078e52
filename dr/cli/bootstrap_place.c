/*
 * bootstrap_place.c - look whether there is room, then write, dr.yaml last.
 *
 * Names come from the restored tree, which a trusted writer signed; they are read from its directories and
 * never hold a slash.
 */
#include "dr/cli/bootstrap_place.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/cli/self.h"

enum { MARK_MAX = 4096, KEY_MAX = 64 << 10, STATE_MODE = 0700, DIR_MODE = 0755 };

static const char mark_name[] = "bootstrap.json";

void placed_fini(struct placed *p)
{
    text_list_fini(&p->plans);
    text_list_fini(&p->runs);
}

/* Names in a directory, sorted, without those that begin with a dot. DR_E_NOTFOUND: it is not there. */
static enum dr_rc list_dir(const char *dir, struct text_list *ret, struct dr_err *err)
{
    DIR *d = opendir(dir);
    if (d == NULL)
        return dr_fail_sys(err, errno, "cannot read '%s'", dir);
    const struct dirent *e;
    while ((e = readdir(d)) != NULL) /* NOLINT(concurrency-mt-unsafe): own stream */
        if (e->d_name[0] != '.')
            text_list_add(ret, e->d_name);
    (void)closedir(d); /* nothing was written */
    text_list_sort(ret);
    return DR_OK;
}

/* -- is there room? ---------------------------------------------------------------------------- */

static enum dr_rc refuse(const char *path, const char *why, struct dr_err *err)
{
    (void)dr_fail(err, DR_E_REFUSED, "'%s' %s: nothing was changed", path, why);
    return dr_hint(err,
                   "Bootstrap overwrites nothing. Move it away, or name another place: --to DIR.");
}

/* Absent, or the same already. */
static enum dr_rc check_file(const char *from, const char *to, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf ours = { 0 };
    DR_CLEANUP(buf_fini) struct buf theirs = { 0 };
    enum dr_rc rc = fs_read_file(to, SELF_FILE_MAX, &theirs, err);
    if (rc == DR_E_NOTFOUND)
        return DR_OK;
    DR_TRY(rc);
    DR_TRY(fs_read_file(from, SELF_FILE_MAX, &ours, err));
    if (ours.len == theirs.len && (ours.len == 0 || memcmp(ours.data, theirs.data, ours.len) == 0))
        return DR_OK;
    return refuse(to, "is there already, and is another one", err);
}

/* Is the mark there, of this snapshot, and not done? */
static bool is_begun(const struct place *p)
{
    DR_FREE char *path = dr_strf("%s/%s", p->state_dir, mark_name);
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    DR_JSON json_t *mark = NULL;
    struct dr_err ignored = { 0 };
    const char *snapshot = NULL;
    return fs_read_file(path, MARK_MAX, &text, &ignored) == DR_OK &&
           json_read(path, text.data != NULL ? text.data : "", text.len, &mark, &ignored) ==
               DR_OK &&
           json_get_text(mark, "snapshot", &snapshot, &ignored) == DR_OK &&
           strcmp(snapshot, p->snapshot) == 0 && !json_is_true(json_object_get(mark, "done"));
}

enum dr_rc place_check(const struct place *p, struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list there = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list plans = { 0 };
    DR_FREE char *from = dr_strf("%s/" SELF_CONFIG, p->tree);
    DR_FREE char *to = dr_strf("%s/" SELF_CONFIG, p->to);
    DR_FREE char *dir = dr_strf("%s/" SELF_PLANS, p->tree);
    enum dr_rc rc = list_dir(p->state_dir, &there, err);
    if (rc != DR_OK && rc != DR_E_NOTFOUND)
        return rc;
    if (there.count > 0 && !is_begun(p))
        return refuse(p->state_dir, "is not empty", err);
    DR_TRY(check_file(from, to, err));
    rc = list_dir(dir, &plans, err);
    for (size_t i = 0; rc == DR_OK && i < plans.count; i++) {
        DR_FREE char *plan = dr_strf("%s/%s", dir, plans.items[i]);
        DR_FREE char *place = dr_strf("%s/" SELF_PLANS "/%s", p->to, plans.items[i]);
        DR_TRY(check_file(plan, place, err));
    }
    return rc == DR_E_NOTFOUND ? DR_OK : rc;
}

/* -- placing ----------------------------------------------------------------------------------- */

/* DIR/NAME from TREE/FILE; what the tree does not have is passed over. */
static enum dr_rc place_file(const struct place *p, const char *file, const char *dir, mode_t mode,
                             struct dr_err *err)
{
    DR_FREE char *from = dr_strf("%s/%s", p->tree, file);
    const char *slash = strrchr(file, '/');
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    enum dr_rc rc = fs_read_file(from, SELF_FILE_MAX, &bytes, err);
    if (rc == DR_E_NOTFOUND)
        return DR_OK;
    DR_TRY(rc);
    DR_TRY(fs_make_dirs(dir, mode, err));
    return fs_replace(dir, slash != NULL ? slash + 1 : file, bytes.len > 0 ? bytes.data : "",
                      bytes.len, err);
}

static enum dr_rc write_mark(const struct place *p, bool done, struct dr_err *err)
{
    DR_JSON json_t *mark = json_object();
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    json_put_text(mark, "snapshot", p->snapshot);
    json_put(mark, "done", json_boolean(done));
    json_add_canonical(&out, mark);
    buf_addc(&out, '\n');
    DR_TRY(fs_make_dirs(p->state_dir, STATE_MODE, err));
    return fs_replace(p->state_dir, mark_name, out.data, out.len, err);
}

static void add_keys(const struct place *p, const char *file, struct text_list *keys)
{
    DR_FREE char *path = dr_strf("%s/keys/%s", p->tree, file);
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    struct dr_err ignored = { 0 };
    if (fs_read_file(path, KEY_MAX, &text, &ignored) != DR_OK)
        return; /* most hosts have followed nobody */
    for (char *at = text.data, *line; at != NULL && (line = strsep(&at, "\n")) != NULL;)
        if (line[0] != '\0' && !text_list_has(keys, line))
            text_list_add(keys, line);
}

/* Its secret key, if we were given it; and whom it believed, itself first. */
static enum dr_rc place_keys(const struct place *p, struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list keys = { 0 };
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    DR_CLEANUP(buf_fini) struct buf pem = { 0 };
    DR_FREE char *dir = dr_strf("%s/keys", p->state_dir);
    text_list_add(&keys, p->key);
    add_keys(p, "writer.pub", &keys);
    add_keys(p, "inherited.pub", &keys);
    for (size_t i = 0; i < keys.count; i++)
        buf_addf(&out, "%s\n", keys.items[i]);
    DR_TRY(fs_make_dirs(dir, STATE_MODE, err));
    DR_TRY(fs_replace(dir, "inherited.pub", out.data, out.len, err));
    if (p->pem == NULL)
        return DR_OK;
    DR_TRY(fs_read_file(p->pem, KEY_MAX, &pem, err));
    enum dr_rc rc = fs_replace(dir, "writer.pem", pem.data, pem.len, err);
    OPENSSL_cleanse(pem.data, pem.len);
    return rc;
}

static enum dr_rc place_runs(const struct place *p, struct text_list *ret, struct dr_err *err)
{
    DR_FREE char *dir = dr_strf("%s/runs", p->tree);
    enum dr_rc rc = list_dir(dir, ret, err);
    for (size_t i = 0; rc == DR_OK && i < ret->count; i++) {
        DR_FREE char *file = dr_strf("runs/%s/journal.jsonl", ret->items[i]);
        DR_FREE char *to = dr_strf("%s/runs/%s", p->state_dir, ret->items[i]);
        rc = place_file(p, file, to, STATE_MODE, err);
    }
    return rc == DR_E_NOTFOUND ? DR_OK : rc;
}

static enum dr_rc place_plans(const struct place *p, struct text_list *ret, struct dr_err *err)
{
    DR_FREE char *dir = dr_strf("%s/" SELF_PLANS, p->tree);
    DR_FREE char *to = dr_strf("%s/" SELF_PLANS, p->to);
    enum dr_rc rc = list_dir(dir, ret, err);
    for (size_t i = 0; rc == DR_OK && i < ret->count; i++) {
        DR_FREE char *file = dr_strf(SELF_PLANS "/%s", ret->items[i]);
        rc = place_file(p, file, to, DIR_MODE, err);
    }
    return rc == DR_E_NOTFOUND ? DR_OK : rc;
}

enum dr_rc place_all(const struct place *p, struct placed *ret, struct dr_err *err)
{
    DR_CLEANUP(placed_fini) struct placed placed = { 0 };
    DR_TRY(write_mark(p, false, err));
    DR_TRY(place_keys(p, err));
    DR_TRY(place_runs(p, &placed.runs, err));
    DR_TRY(place_file(p, "schedule.json", p->state_dir, STATE_MODE, err));
    DR_TRY(place_plans(p, &placed.plans, err));
    DR_TRY(place_file(p, SELF_CONFIG, p->to, DIR_MODE, err));
    DR_TRY(write_mark(p, true, err));
    *ret = placed;
    placed = (struct placed){ .plans = { 0 } };
    return DR_OK;
}
