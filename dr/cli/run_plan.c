#include "dr/cli/run_plan.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/text.h"

enum { PLAN_BYTES_MAX = 1 << 20 };

static char *find_file(const struct config *c, const char *word)
{
    if (strchr(word, '/') != NULL || text_ends(word, ".yaml"))
        return dr_strdup(word);
    DR_FREE char *base = dr_strdup(c->path != NULL ? c->path : "./dr.yaml");
    char *slash = strrchr(base, '/');
    if (slash != NULL)
        *slash = '\0';
    const char *dirs[] = { ".", "./runbooks", slash != NULL ? base : ".", NULL,
                           "/etc/drctl/runbooks" };
    DR_FREE char *beside = dr_strf("%s/runbooks", slash != NULL ? base : ".");
    dirs[3] = beside;
    for (size_t i = 0; i < DR_ARRAY_LEN(dirs); i++) {
        char *path = dr_strf("%s/%s.yaml", dirs[i], word);
        if (access(path, F_OK) == 0)
            return path;
        free(path);
    }
    return dr_strf("%s.yaml", word);
}

/* Everything that the plan's reader may ask about the configuration; owned by this struct. */
struct known {
    struct plan_world world;
    const char **regions, **sources, **secrets;
    struct plan_world_site *sites;
    const char **fields; /* all lists of fields, one behind the other */
    struct plan_world_role *roles;
    struct plan_world_bucket *buckets;
    struct text_list names;
};

static void known_fini(struct known *k)
{
    free(k->regions);
    free(k->sources);
    free(k->secrets);
    free(k->sites);
    free(k->fields);
    free(k->roles);
    free(k->buckets);
    text_list_fini(&k->names);
}

static void fill_sites(struct known *k, const struct config *c)
{
    size_t total = 0;
    for (size_t i = 0; i < c->site_count; i++)
        total += c->sites[i].field_count + 3;
    k->fields = dr_alloc(total + 1, sizeof(*k->fields));
    k->sites = dr_alloc(c->site_count + 1, sizeof(*k->sites));
    const char **at = k->fields;
    for (size_t i = 0; i < c->site_count; i++) {
        const struct config_site *s = &c->sites[i];
        k->sites[i] = (struct plan_world_site){
            .name = s->name, .region = s->region, .fields = at, .line = s->at.line
        };
        if (s->address != NULL)
            *at++ = "address";
        if (s->host != NULL)
            *at++ = "host";
        for (size_t f = 0; f < s->field_count; f++)
            *at++ = s->fields[f].name;
        *at++ = NULL;
    }
}

static void fill_roles(struct known *k, const struct config *c)
{
    k->roles = dr_alloc(c->person_count + 1, sizeof(*k->roles));
    for (size_t i = 0; i < c->person_count; i++) {
        size_t r = 0;
        while (r < k->world.role_count && strcmp(k->roles[r].name, c->people[i].role) != 0)
            r++;
        if (r == k->world.role_count)
            k->roles[k->world.role_count++] = (struct plan_world_role){ c->people[i].role, 0 };
        k->roles[r].people++;
    }
    k->world.roles = k->roles;
    k->world.roles_line = c->people_at.line;
}

static void fill_known(struct known *k, const struct config *c)
{
    struct plan_world *w = &k->world;
    config_known_regions(c, &k->names);
    k->regions = dr_alloc(k->names.count + c->regions.count + 1, sizeof(*k->regions));
    size_t n = 0;
    for (size_t i = 0; i < c->regions.count; i++)
        k->regions[n++] = c->regions.items[i];
    for (size_t i = 0; i < k->names.count; i++)
        if (!text_list_has(&c->regions, k->names.items[i]))
            k->regions[n++] = k->names.items[i];
    k->sources = dr_alloc(c->source_count + 1, sizeof(*k->sources));
    for (size_t i = 0; i < c->source_count; i++)
        k->sources[i] = c->sources[i].name;
    k->secrets = dr_alloc(c->secret_count + 1, sizeof(*k->secrets));
    for (size_t i = 0; i < c->secret_count; i++)
        k->secrets[i] = c->secrets[i].name;
    k->buckets = dr_alloc(c->bucket_count + 1, sizeof(*k->buckets));
    for (size_t i = 0; i < c->bucket_count; i++)
        k->buckets[i] = (struct plan_world_bucket){ c->buckets[i].name, c->buckets[i].region };
    fill_sites(k, c);
    fill_roles(k, c);
    w->file = c->path;
    w->regions = k->regions;
    w->sites = k->sites;
    w->site_count = c->site_count;
    w->buckets = k->buckets;
    w->bucket_count = c->bucket_count;
    w->sources = k->sources;
    w->secrets = k->secrets;
    w->rto_ms = w->rpo_ms = -1;
}

struct plan *run_plan_load(struct cli *cli, const struct config *c, const char *word,
                           char **ret_text, int *ret_exit)
{
    struct dr_err err = { 0 };
    DR_FREE char *path = find_file(c, word);
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    DR_CLEANUP(diag_fini) struct diag d = { .file = path };
    DR_CLEANUP(known_fini) struct known known = { 0 };
    *ret_exit = EXIT_USAGE;
    if (fs_read_file(path, PLAN_BYTES_MAX, &bytes, &err) != DR_OK) {
        if (err.rc == DR_E_NOTFOUND) {
            (void)dr_fail(&err, DR_E_USAGE, "there is no plan '%s'", word);
            (void)dr_hint(&err, "Plans are looked for here, in ./runbooks, and beside the "
                                "configuration.");
        }
        *ret_exit = cli_fail(cli, &err);
        return NULL;
    }
    fill_known(&known, c);
    known.world.rto_ms = config_rto_ms(c, word);
    known.world.rpo_ms = config_rpo_ms(c, word);
    struct plan *p =
        plan_read(path, bytes.data != NULL ? bytes.data : "", bytes.len, &known.world, &d);
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    diag_print(&d, &out);
    if (out.len > 0 && (p == NULL || !cli->quiet))
        (void)fputs(out.data, stderr);
    if (p == NULL)
        return NULL;
    *ret_text = buf_take(&bytes);
    return p;
}
