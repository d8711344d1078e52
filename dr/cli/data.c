/*
 * data.c - the common beginning of the verbs over backups.
 */
#include "dr/cli/data.h"

#include <string.h>
#include <unistd.h>

#include "backup/work/hedge_keep.h"
#include "dr/base/log.h"
#include "dr/base/mem.h"
#include "dr/data/time.h"

/* What the error says, and how to mend it: in an outage these lines are the to-do list. */
static void tell_bucket(const struct repo_bucket *b, const char *outcome)
{
    bool hint = b->error.hint[0] != '\0';
    log_warning("%s; %s%s%s", b->error.msg, outcome, hint ? ". " : "", hint ? b->error.hint : "");
}

void data_tell_unlisted(struct data *d)
{
    for (size_t i = 0; i < repo_bucket_count(d->repo); i++) {
        const struct repo_bucket *b = repo_bucket(d->repo, i);
        if (b->store != NULL && b->error.rc != DR_OK)
            tell_bucket(b, "what it holds is not counted");
    }
}

/* The region of the site that is this host; NULL: none says so. Its buckets are read first. */
static const char *own_region(const struct config *c)
{
    char host[256] = "";
    if (gethostname(host, sizeof(host) - 1) != 0)
        return NULL;
    for (size_t i = 0; i < c->site_count; i++)
        if (c->sites[i].host != NULL && strcmp(c->sites[i].host, host) == 0)
            return c->sites[i].region;
    return NULL;
}

static int open_all(struct cli *cli, struct data *ret, bool tell, struct repo_options options)
{
    *ret = (struct data){ .config = cli_config(cli) };
    if (ret->config == NULL)
        return EXIT_USAGE;
    struct dr_err err;
    options.near = own_region(ret->config);
    if (repo_open(ret->config, &options, &ret->repo, &err) != DR_OK)
        return cli_fail(cli, &err);
    costs_keep(ret->repo, cli->verb->name);
    hedge_keep(ret->repo);
    for (size_t i = 0; i < repo_bucket_count(ret->repo); i++) {
        const struct repo_bucket *b = repo_bucket(ret->repo, i);
        if (b->store != NULL)
            continue;
        ret->closed++;
        if (tell)
            tell_bucket(b, "it is left out");
    }
    return EXIT_DONE;
}

int data_open(struct cli *cli, struct data *ret)
{
    return open_all(cli, ret, true, (struct repo_options){ 0 });
}

int data_open_silently(struct cli *cli, struct data *ret)
{
    return open_all(cli, ret, false, (struct repo_options){ 0 });
}

int data_open_to_write(struct cli *cli, struct data *ret)
{
    return open_all(cli, ret, false, (struct repo_options){ .remembered = true });
}

int data_open_as_guard(struct cli *cli, struct data *ret)
{
    return open_all(cli, ret, false, (struct repo_options){ .guard = true });
}

void data_close(struct data *d)
{
    repo_close(d->repo);
    config_free(d->config);
    costs_fini(&d->told);
}

void data_costs(struct data *d, struct costs *ret)
{
    struct costs now = { 0 };
    costs_now(d->repo, ret);
    costs_now(d->repo, &now);
    costs_less(ret, &d->told);
    costs_fini(&d->told);
    d->told = now;
}

static int find(struct cli *cli, struct data *d, const char *source, struct snapshot_info *ret)
{
    struct dr_err err;
    if (repo_find(d->repo, cli->argv[1], source, ret, &err) == DR_OK)
        return EXIT_DONE;
    if (err.rc == DR_E_NOTFOUND && source != NULL && data_source(cli, d->config, source) == NULL)
        return EXIT_USAGE; /* the name is mistyped: that was told, and is why */
    return cli_fail(cli, &err);
}

int data_with_snapshot(struct cli *cli, const char *source, data_fn *fn, void *arg)
{
    struct data d;
    struct snapshot_info snapshot = { 0 };
    int exit = data_open(cli, &d);
    if (exit == EXIT_DONE)
        exit = find(cli, &d, source, &snapshot);
    if (exit == EXIT_DONE)
        exit = fn(cli, &d, &snapshot, arg);
    snapshot_info_fini(&snapshot);
    data_close(&d);
    return exit;
}

const struct config_source *data_source(struct cli *cli, const struct config *c, const char *name)
{
    const struct config_source *source = config_source(c, name);
    if (source != NULL)
        return source;
    DR_FREE const char **names = dr_alloc(c->source_count + 1, sizeof(*names));
    DR_CLEANUP(text_list_fini) struct text_list known = { 0 };
    for (size_t i = 0; i < c->source_count; i++) {
        names[i] = c->sources[i].name;
        text_list_add(&known, names[i]);
    }
    struct dr_err err;
    dr_fail(&err, DR_E_USAGE, "no source '%s' in '%s'", name, c->path);
    const char *near = text_nearest(name, names, c->source_count);
    DR_FREE char *all = text_list_join(&known, ", ");
    if (near != NULL)
        dr_hint(&err, "Did you mean '%s'?", near);
    else if (known.count > 0)
        dr_hint(&err, "The sources are: %s.", all);
    cli_fail(cli, &err);
    return NULL;
}

json_t *data_texts_json(const struct text_list *list)
{
    json_t *array = json_array();
    for (size_t i = 0; i < list->count; i++)
        cli_json_add(array, json_printable(list->items[i]));
    return array;
}

json_t *data_time_json(int64_t ns)
{
    char text[TIME_TEXT_MAX];
    return ns == 0 ? json_null() : json_string(time_print_s(ns, text));
}

json_t *data_snapshot_json(const struct snapshot_info *info)
{
    static const char *const states[] = { [SNAPSHOT_GOOD] = "good",
                                          [SNAPSHOT_INCOMPLETE] = "incomplete",
                                          [SNAPSHOT_REFUSED] = "refused" };
    json_t *o = json_object();
    json_put_text(o, "id", info->id);
    json_put_text(o, "source", info->source != NULL ? info->source : "");
    json_put_text(o, "kind", info->kind != NULL ? info->kind : "");
    json_put(o, "parent", info->parent != NULL ? json_printable(info->parent) : json_null());
    json_put(o, "tags", data_texts_json(&info->tags));
    json_put_text(o, "state", states[info->state]);
    if (info->why != NULL)
        json_put_text(o, "why", info->why);
    json_put(o, "started_at", data_time_json(info->start_ns));
    json_put(o, "taken_at", data_time_json(info->end_ns));
    json_put(o, "proved_at", data_time_json(info->proved_ns));
    json_put_int(o, "epoch", info->epoch);
    json_put_int(o, "files", (int64_t)info->files);
    json_put_int(o, "entries", (int64_t)info->entries);
    json_put_int(o, "bytes", (int64_t)info->bytes);
    json_put_int(o, "stored", (int64_t)info->stored);
    json_put(o, "buckets", data_texts_json(&info->buckets));
    return o;
}
