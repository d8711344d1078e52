/*
 * vault.c - a stage with the buckets open: what the backup providers share.
 */
#include "plugins/vault.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backup/work/costs.h"
#include "backup/work/hedge_keep.h"
#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/data/time.h"
#include "plugins/planted.h"

enum { WARNINGS_MAX = 50, SENTINEL_MAX = 1 << 20 };

enum dr_rc vault_open_repo(struct vault *v, struct dr_err *err)
{
    struct repo_options options = { .dark = (const char *const *)v->p.dark.items,
                                    .dark_count = v->p.dark.count,
                                    .plant = &v->plant };
    DR_TRY(plant_read(step_run(v->p.call), &v->plant, err));
    v->p.plant = &v->plant;
    if (v->plant.kind == PLANT_FULL_DISK)
        planted_full_disk(&v->plant);
    DR_TRY(repo_open(v->p.config, &options, &v->repo, err));
    costs_keep(v->repo, "step");
    if (v->plant.kind == PLANT_NONE) /* how a bucket lies is no way to know how fast it is */
        hedge_keep(v->repo);
    for (size_t i = 0; i < repo_bucket_count(v->repo); i++) {
        const struct repo_bucket *bucket = repo_bucket(v->repo, i);
        if (bucket->error.rc != DR_OK)
            step_log(v->p.call, "bucket %s: %s", bucket->config->name, bucket->error.msg);
    }
    return DR_OK;
}

enum dr_rc vault_find(struct vault *v, const char *snapshot, struct snapshot_info *ret,
                      struct dr_err *err)
{
    DR_TRY(vault_open_repo(v, err));
    return repo_find(v->repo, snapshot, NULL, ret, err);
}

void vault_fini(struct vault *v)
{
    repo_close(v->repo);
    planted_make_room();
    plant_fini(&v->plant);
    stage_fini(&v->p);
}

static bool on_progress(void *arg, const struct work_progress *progress)
{
    struct vault *v = arg;
    step_progress(v->p.call, (int64_t)progress->bytes, (int64_t)progress->bytes_total, "bytes");
    return clock_boot_ms() < step_deadline_ms(v->p.call);
}

static void on_warning(void *arg, const char *line)
{
    struct vault *v = arg;
    if (v->warnings++ < WARNINGS_MAX)
        step_log(v->p.call, "%s", line);
}

struct work_hooks vault_hooks(struct vault *v)
{
    return (struct work_hooks){ .progress = on_progress, .warning = on_warning, .arg = v };
}

void vault_put_evidence(struct vault *v, const struct snapshot_info *info)
{
    char text[TIME_TEXT_MAX];
    json_put_text(v->p.evidence, "id", info->id);
    json_put_text(v->p.evidence, "started_at", time_print(info->start_ns, text));
    json_put_text(v->p.evidence, "taken_at", time_print(info->end_ns, text));
    json_put_int(v->p.evidence, "bytes", (int64_t)info->bytes);
    json_put_int(v->p.evidence, "files", (int64_t)info->files);
    int64_t proved_ns = info->proved_ns != 0 || v->repo == NULL ? info->proved_ns
                                                                : repo_proved_ns(v->repo, info->id);
    if (proved_ns != 0)
        json_put_text(v->p.evidence, "proved", time_print(proved_ns, text));
}

static bool is_loopback(const char *host)
{
    return text_starts(host, "127.") || strcmp(host, "::1") == 0 || strcmp(host, "localhost") == 0;
}

/* The host of a site, seen from this one; what is not reached by ssh is here, whatever it is called. */
static const char *host_of(const struct config *c, const struct config_site *site, const char *here)
{
    bool ssh = site->reach != NULL && strcmp(site->reach, "ssh") == 0;
    bool known = ssh && site->ssh.host != NULL && !is_loopback(site->ssh.host);
    return known && config_here(c, here) != site ? site->ssh.host : here;
}

void vault_put_place(struct vault *v, const struct snapshot_info *info)
{
    char here[256] = "";
    const struct config_source *source = config_source(v->p.config, info->source);
    const struct config_site *site = NULL;
    if (source != NULL && source->site != NULL)
        site = config_site(v->p.config, source->site);
    json_put_text(v->p.evidence, "source", info->source);
    if (gethostname(here, sizeof(here) - 1) != 0 || here[0] == '\0')
        return;
    json_put_text(v->p.evidence, "host", here);
    if (site != NULL)
        json_put_text(v->p.evidence, "source_host", host_of(v->p.config, site, here));
}

void vault_put_sentinel(struct vault *v, const char *source, const char *tree)
{
    const struct config_source *from = source ? config_source(v->p.config, source) : NULL;
    if (!from || !from->sentinel)
        return;
    DR_FREE char *path = dr_strf("%s/%s", tree, from->sentinel);
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    struct dr_err err = { 0 };
    int64_t ns = 0;
    if (fs_read_file(path, SENTINEL_MAX, &text, &err) != DR_OK || text.len == 0) {
        step_log(v->p.call, "no sentinel at %s", path);
        return;
    }
    text.data[strcspn(text.data, " \t\r\n")] = '\0';
    if (time_parse(text.data, &ns))
        step_output(v->p.call, "sentinel", json_string(text.data));
    else
        step_log(v->p.call, "the sentinel at %s does not begin with a time", path);
}
