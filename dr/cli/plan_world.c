/*
 * plan_world.c - finding a plan's file, and the configuration as plans are held against it.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/text.h"
#include "dr/cli/plan.h"

enum { PLAN_FILE_MAX = 4 << 20 };

/* ---- the file ---------------------------------------------------------------------------------- */

/* Directory of the configuration, with its last slash; "" when there is none. */
static char *dir_of(const char *config_path)
{
    const char *slash = config_path == NULL ? NULL : strrchr(config_path, '/');
    return slash == NULL ? dr_strdup("")
                         : dr_memdup(config_path, (size_t)(slash - config_path) + 1);
}

enum dr_rc plan_find_file(const char *config_path, const char *name, char **ret, struct dr_err *err)
{
    if (strchr(name, '/') != NULL || text_ends(name, ".yaml") || text_ends(name, ".yml")) {
        *ret = dr_strdup(name);
        return DR_OK;
    }
    DR_FREE char *home = dir_of(config_path);
    DR_FREE char *beside = dr_strf("%srunbooks/", home);
    const char *const dirs[] = { "",
                                 "runbooks/",
                                 home,
                                 beside,
                                 "/etc/drctl/runbooks/",
                                 "/usr/local/share/drctl/runbooks/",
                                 "/usr/share/drctl/runbooks/" };
    for (size_t i = 0; i < DR_ARRAY_LEN(dirs); i++) {
        DR_FREE char *path = dr_strf("%s%s.yaml", dirs[i], name);
        if (access(path, F_OK) != 0)
            continue;
        *ret = DR_TAKE(path);
        return DR_OK;
    }
    (void)dr_fail(err, DR_E_USAGE, "no plan '%s'", name);
    return dr_hint(err,
                   "Looked for %s.yaml here, in runbooks, in %s, and where plans are installed.",
                   name, beside);
}

/* ---- the world ---------------------------------------------------------------------------------- */

/* NULL behind the last, as the plan room reads lists. */
static const char *const *ended(struct text_list *list)
{
    text_list_add(list, "");
    free(list->items[list->count - 1]);
    list->items[list->count - 1] = NULL;
    list->count--;
    return (const char *const *)list->items;
}

static void fill_sites(struct cli_world *w, const struct config *c)
{
    static const char *const own[] = { "name", "region", "host", "reach", "address" };
    size_t room = 1;
    for (size_t i = 0; i < c->site_count; i++)
        room += DR_ARRAY_LEN(own) + c->sites[i].field_count + 1;
    w->fields = dr_alloc(room, sizeof(char *));
    w->sites = dr_alloc(c->site_count + 1, sizeof(*w->sites));
    const char **at = w->fields;
    for (size_t i = 0; i < c->site_count; i++) {
        const struct config_site *site = &c->sites[i];
        w->sites[i] = (struct plan_world_site){ site->name, site->region, at, site->at.line };
        for (size_t k = 0; k < DR_ARRAY_LEN(own); k++)
            if (config_site_field(site, own[k]) != NULL)
                *at++ = own[k];
        for (size_t k = 0; k < site->field_count; k++)
            *at++ = site->fields[k].name;
        *at++ = NULL;
    }
    w->world.sites = w->sites;
    w->world.site_count = c->site_count;
}

static void fill_roles(struct cli_world *w, const struct config *c)
{
    w->roles = dr_alloc(c->person_count + 1, sizeof(*w->roles));
    for (size_t i = 0; i < c->person_count; i++) {
        size_t k = 0;
        while (k < w->world.role_count && strcmp(w->roles[k].name, c->people[i].role) != 0)
            k++;
        if (k == w->world.role_count)
            w->roles[w->world.role_count++].name = c->people[i].role;
        w->roles[k].people++;
    }
    w->world.roles = w->roles;
    w->world.roles_line = c->people_at.line;
}

static void fill_backups(struct cli_world *w, const struct config *c)
{
    const struct config_policy *p = c->incremental.given ? &c->incremental : &c->full;
    if (!p->given)
        return;
    w->world.backup_every_ms = p->frequency_ms;
    w->world.backup_key = p == &c->full ? "full_backup" : "incremental_backup";
}

void cli_world_init(struct cli_world *w, const struct config *c, const char *file,
                    const char *plan_name)
{
    *w = (struct cli_world){ .world = { .file = file } };
    config_known_regions(c, &w->regions);
    w->world.regions = ended(&w->regions);
    for (size_t i = 0; i < c->source_count; i++)
        text_list_add(&w->sources, c->sources[i].name);
    w->world.sources = ended(&w->sources);
    for (size_t i = 0; i < c->secret_count; i++)
        text_list_add(&w->secrets, c->secrets[i].name);
    w->world.secrets = ended(&w->secrets);
    fill_sites(w, c);
    fill_roles(w, c);
    fill_backups(w, c);
    w->buckets = dr_alloc(c->bucket_count + 1, sizeof(*w->buckets));
    for (size_t i = 0; i < c->bucket_count; i++)
        w->buckets[i] = (struct plan_world_bucket){ c->buckets[i].name, c->buckets[i].region };
    w->world.buckets = w->buckets;
    w->world.bucket_count = c->bucket_count;
    w->world.rto_ms = config_rto_ms(c, plan_name);
    w->world.rpo_ms = config_rpo_ms(c, plan_name);
}

void cli_world_fini(struct cli_world *w)
{
    text_list_fini(&w->regions);
    text_list_fini(&w->sources);
    text_list_fini(&w->secrets);
    free(w->fields);
    free(w->sites);
    free(w->roles);
    free(w->buckets);
    *w = (struct cli_world){ 0 };
}

/* ---- reading ------------------------------------------------------------------------------------ */

/* The plan's name as the file says it: NAME.yaml. The caller frees. */
static char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash == NULL ? path : slash + 1;
    return dr_strf("%.*s", (int)strcspn(base, "."), base);
}

void cli_linted_fini(struct cli_linted *l)
{
    buf_fini(&l->text);
    diag_fini(&l->findings);
    plan_free(l->plan);
    *l = (struct cli_linted){ 0 };
}

enum dr_rc cli_plan_lint(const struct cli *cli, const struct config *c, const char *path,
                         struct cli_linted *l, struct dr_err *err)
{
    if (fs_read_file(path, PLAN_FILE_MAX, &l->text, err) != DR_OK)
        return err->rc == DR_E_NOTFOUND ? dr_fail(err, DR_E_USAGE, "no plan '%s'", path) : err->rc;
    DR_FREE char *name = name_of(path);
    struct cli_world w = { 0 };
    if (c != NULL)
        cli_world_init(&w, c, cli->config_path != NULL ? cli->config_path : c->path, name);
    l->plan = plan_read(path, l->text.data == NULL ? "" : l->text.data, l->text.len,
                        c == NULL ? NULL : &w.world, &l->findings);
    cli_world_fini(&w);
    return DR_OK;
}

int cli_plan_read(struct cli *cli, const struct config *c, const char *name, struct buf *text,
                  struct plan **ret)
{
    struct dr_err err;
    DR_FREE char *path = NULL;
    DR_CLEANUP(cli_linted_fini) struct cli_linted l = { 0 };
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    if (plan_find_file(cli->config_path, name, &path, &err) != DR_OK ||
        cli_plan_lint(cli, c, path, &l, &err) != DR_OK)
        return cli_fail(cli, &err);
    diag_print(&l.findings, &out);
    if (out.len > 0 && (l.plan == NULL || !cli->quiet))
        fwrite(out.data, 1, out.len, stderr);
    if (l.plan == NULL) {
        if (cli->json)
            (void)cli_result_json(json_object(), EXIT_USAGE,
                                  "the plan has errors"); /* exit is known */
        return EXIT_USAGE;
    }
    if (text != NULL)
        buf_add(text, l.text.data, l.text.len);
    *ret = DR_TAKE(l.plan);
    return EXIT_DONE;
}
