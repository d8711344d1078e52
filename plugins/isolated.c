/*
 * A second repository under the first one's configuration: a copy of the struct with one bucket and another
 * state directory. It borrows everything else, so it is never freed as a configuration.
 */
#include "plugins/isolated.h"

#include <string.h>
#include <unistd.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"

enum { DIR_MODE = 0700 };

static const char *run_text(const struct step_call *call, const char *name)
{
    const char *text = json_string_value(json_object_get(step_run(call), name));
    return text ? text : "";
}

bool isolated_is(const struct step_call *call)
{
    return json_is_true(json_object_get(step_run(call), "isolated"));
}

enum dr_rc isolated_want_below(const struct step_call *call, const char *path, struct dr_err *err)
{
    const char *scratch = run_text(call, "scratch");
    size_t len = strlen(scratch);
    bool below = scratch[0] == '/' && len > 1 && strncmp(path, scratch, len) == 0 &&
                 path[len] == '/' && path[len + 1] != '\0' && !strstr(path, "/../") &&
                 !text_ends(path, "/..");
    if (below)
        return DR_OK;
    return dr_fail(err, DR_E_REFUSED,
                   "refused: an isolated step of a drill writes below '%s' only, not to '%s'",
                   scratch, path);
}

void isolated_fini(struct isolated *i)
{
    free(i->dir);
    free(i->url);
    free(i->state_dir);
    *i = (struct isolated){ 0 };
}

/* SCRATCH/STEP. The caller frees. */
static char *dir_of(const struct step_call *call)
{
    const char *step = json_string_value(json_object_get(step_request(call), "step"));
    char *dir = dr_strf("%s/%s", run_text(call, "scratch"), step ? step : "step");
    for (char *at = dir + strlen(run_text(call, "scratch")) + 1; *at != '\0'; at++)
        if (*at == '/')
            *at = '-';
    return dir;
}

static void fill(struct isolated *i, const struct vault *v, const struct config_source *from)
{
    static char name[] = "scratch";
    const char *restored = run_text(v->p.call, "restored");
    i->url = dr_strf("file://%s/bucket", i->dir);
    i->state_dir = dr_strf("%s/state", i->dir);
    i->bucket = (struct config_bucket){ .name = name, .url = i->url, .region = name };
    i->config = *v->p.config;
    i->config.buckets = &i->bucket;
    i->config.bucket_count = 1;
    i->config.require = (struct text_list){ 0 };
    i->config.state_dir = i->state_dir;
    i->source = *from;
    if (restored[0] == '\0')
        return;
    memcpy(&i->source.path, &restored, sizeof(i->source.path)); /* read only, as all of the copy */
    i->source.hooks = (struct config_hooks){ 0 };
}

enum dr_rc isolated_open(struct isolated *i, struct vault *v, const struct config_source *from,
                         bool make, struct dr_err *err)
{
    static const struct repo_options all = { 0 };
    const char *restored = run_text(v->p.call, "restored");
    i->dir = dir_of(v->p.call);
    DR_TRY(isolated_want_below(v->p.call, i->dir, err));
    if (restored[0] != '\0')
        DR_TRY(isolated_want_below(v->p.call, restored, err));
    fill(i, v, from);
    DR_FREE char *bucket = dr_strf("%s/bucket", i->dir);
    if (!make && access(bucket, F_OK) != 0)
        return dr_fail(err, DR_E_NOTFOUND, "nothing was taken to '%s'", i->dir);
    if (make) {
        DR_TRY(fs_make_dirs(bucket, DIR_MODE, err));
        DR_TRY(fs_make_dirs(i->state_dir, DIR_MODE, err));
        DR_TRY(repo_init(&i->config, err));
    }
    return repo_open(&i->config, &all, &v->repo, err);
}

void isolated_leave(const struct step_call *call)
{
    const char *scratch = run_text(call, "scratch");
    if (scratch[0] == '/')
        (void)rmdir(scratch); /* while something else is in it, it stays */
}

enum dr_rc isolated_remove(const struct step_call *call, struct dr_err *err)
{
    DR_FREE char *dir = dir_of(call);
    DR_TRY(isolated_want_below(call, dir, err));
    enum dr_rc rc = fs_remove_tree(dir, err);
    if (rc != DR_OK && rc != DR_E_NOTFOUND)
        return rc;
    isolated_leave(call);
    return DR_OK;
}
