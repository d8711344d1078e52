/*
 * config.c - read the file, complete it, check it; then answer questions about it.
 *
 * Reading never stops at the first mistake: an operator who edits this file during an outage gets all
 * of them in one go. Only a configuration without an error is handed out.
 */
#include "dr/config/config.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/config/load.h"

enum { CONFIG_MAX_BYTES = 1 << 20, SECRET_MAX_BYTES = 64 << 10 };

static const int64_t SECOND_MS = 1000;
static const uint64_t BUDGET_BYTES = UINT64_C(10) << 30;

_Static_assert(offsetof(struct loaded, config) == 0, "config_free() casts back");

/* ---- completing ------------------------------------------------------------------------------ */

static void add_region(struct text_list *list, const char *region)
{
    if (region != NULL && !text_list_has(list, region))
        text_list_add(list, region);
}

static int by_priority(const void *a, const void *b)
{
    const struct secondary *x = *(const struct secondary *const *)a;
    const struct secondary *y = *(const struct secondary *const *)b;
    if (x->priority != y->priority)
        return x->priority < y->priority ? -1 : 1;
    return x < y ? -1 : x > y; /* both lie in one array: the order of the file */
}

/* The primary, then the standbys by priority; those without one come last, as they are written. */
static void order_regions(struct loaded *l)
{
    struct config *c = &l->config;
    add_region(&c->regions, c->primary_region);
    DR_FREE struct secondary **order = dr_alloc(l->secondary_count + 1, sizeof(struct secondary *));
    for (size_t i = 0; i < l->secondary_count; i++) {
        order[i] = &l->secondaries[i];
        if (order[i]->priority == 0)
            order[i]->priority = INT32_MAX;
    }
    qsort(order, l->secondary_count, sizeof(struct secondary *), by_priority);
    for (size_t i = 0; i < l->secondary_count; i++)
        add_region(&c->regions, order[i]->name);
    if (c->regions.count > 0)
        return;
    for (size_t i = 0; i < c->site_count; i++)
        add_region(&c->regions, c->sites[i].region);
    for (size_t i = 0; i < c->bucket_count; i++)
        add_region(&c->regions, c->buckets[i].region);
}

static int64_t first_set(int64_t a, int64_t b, int64_t otherwise)
{
    return a != 0 ? a : b != 0 ? b : otherwise;
}

static void complete_probes(struct loaded *l)
{
    for (size_t i = 0; i < l->config.probe_count; i++) {
        struct config_probe *p = &l->config.probes[i];
        p->interval_ms = first_set(p->interval_ms, l->probe_interval_ms, 5 * SECOND_MS);
        p->timeout_ms = first_set(p->timeout_ms, l->probe_timeout_ms, 2 * SECOND_MS);
        p->expect = p->expect != 0 ? p->expect : 200;
        p->times = p->times != 0 ? p->times : 3;
    }
}

static void complete_chore(struct config_chore *chore, int64_t days, const char *word)
{
    if (chore->frequency_ms == 0) {
        chore->frequency_ms = days * 24 * 3600 * SECOND_MS;
        chore->frequency_word = word;
    }
    if (chore->budget_bytes == 0)
        chore->budget_bytes = BUDGET_BYTES;
}

static void complete_watch(struct config *c)
{
    c->preflight_ms = first_set(c->preflight_ms, 0, SECOND_MS * 60 * 30);
    c->status_ms = first_set(c->status_ms, 0, SECOND_MS * 60);
    if (c->failure_threshold == 0)
        c->failure_threshold = 3;
    if (c->serve.listen == NULL)
        c->serve.listen = dr_strdup("127.0.0.1:9188");
    if (!c->drill.given)
        c->drill.time_min = -1;
}

void config_complete(struct reader *r, struct yaml_node *root, struct loaded *l)
{
    struct config *c = &l->config;
    if (c->state_dir == NULL)
        c->state_dir = dr_strdup("/var/lib/drctl");
    c->self = (struct config_source){ .name = dr_strdup(CONFIG_SELF),
                                      .path = dr_strf("%s/self", c->state_dir),
                                      .class = dr_strdup("config"),
                                      .timeout_ms = CONFIG_JOB_MS };
    if (c->lease.driver == NULL)
        c->lease.driver = dr_strdup(c->lease.bucket != NULL ? "bucket" : "file");
    if (c->lease.path == NULL)
        c->lease.path = dr_strf("%s/leases", c->state_dir);
    c->lease.hold_ms = first_set(c->lease.hold_ms, 0, 20 * SECOND_MS);
    c->lease.take_ms = first_set(c->lease.take_ms, 0, 30 * SECOND_MS);
    complete_probes(l);
    complete_chore(&c->verification, 7, "weekly");
    complete_chore(&c->prune, 1, "daily");
    complete_watch(c);
    order_regions(l);
    if (yaml_get(root, "buckets", NULL) == NULL)
        config_buckets_from_locations(r, root, l);
}

/* ---- loading --------------------------------------------------------------------------------- */

static char *absolute(const char *path)
{
    if (path[0] == '/')
        return dr_strdup(path);
    DR_FREE char *cwd = getcwd(NULL, 0);
    return dr_strf("%s/%s", cwd != NULL ? cwd : ".", path);
}

static void read_tree(struct diag *d, bool torn, struct yaml_node *root, struct loaded *l)
{
    DR_CLEANUP(reader_fini) struct reader r = { .d = d, .torn = torn };
    block_read(&r, &config_file, root, l);
    if (root->kind != YAML_MAP)
        return;
    config_complete(&r, root, l);
    config_check(&r, root, l);
}

enum dr_rc config_load(const char *path, struct diag *d, struct config **ret, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    if (fs_read_file(path, CONFIG_MAX_BYTES, &bytes, err) != DR_OK) {
        if (err->rc == DR_E_NOTFOUND)
            dr_hint(err, "Name the configuration with -c FILE or $DRCTL_CONFIG.");
        return dr_context(err, "reading the configuration");
    }
    d->file = path;
    size_t before = d->errors;
    DR_CLEANUP(yaml_doc_free_ptr)
    struct yaml_doc *doc = yaml_parse(bytes.data != NULL ? bytes.data : "", bytes.len, d);
    struct loaded *l = dr_alloc(1, sizeof(*l));
    l->config.path = absolute(path);
    if (doc != NULL)
        read_tree(d, d->errors > before, yaml_root(doc), l);
    size_t errors = d->errors - before;
    if (doc == NULL && errors == 0) {
        diag_error(d, 1, 1, "empty", "the configuration is empty");
        errors = 1;
    }
    if (errors > 0) {
        config_free(&l->config);
        return dr_fail(err, DR_E_CONFIG, "'%s' has %zu %s", path, errors,
                       errors == 1 ? "mistake" : "mistakes");
    }
    *ret = &l->config;
    return DR_OK;
}

void config_free(struct config *c)
{
    if (c == NULL)
        return;
    struct loaded *l = (struct loaded *)(void *)c;
    block_fini(&config_file, l);
    text_list_fini(&c->regions);
    free(c->self.name);
    free(c->self.path);
    free(c->self.class);
    free(c->path);
    free(l);
}

/* ---- questions ------------------------------------------------------------------------------- */

/* Is it of that name? The checks ask while a file is being read, when a name may be missing. */
static bool is_named(const char *name, const char *wanted)
{
    return name != NULL && strcmp(name, wanted) == 0;
}

const struct config_site *config_site(const struct config *c, const char *name_or_region)
{
    for (size_t i = 0; i < c->site_count; i++)
        if (is_named(c->sites[i].name, name_or_region))
            return &c->sites[i];
    for (size_t i = 0; i < c->site_count; i++)
        if (is_named(c->sites[i].region, name_or_region))
            return &c->sites[i];
    return NULL;
}

const struct config_source *config_source(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->source_count; i++)
        if (is_named(c->sources[i].name, name))
            return &c->sources[i];
    return strcmp(name, CONFIG_SELF) == 0 ? &c->self : NULL;
}

const struct config_bucket *config_bucket(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->bucket_count; i++)
        if (is_named(c->buckets[i].name, name))
            return &c->buckets[i];
    return NULL;
}

const struct config_channel *config_channel(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->channel_count; i++)
        if (is_named(c->channels[i].name, name))
            return &c->channels[i];
    return NULL;
}

/* Is it the same host? Who has a domain may leave it out: "us-db-1" is "us-db-1.example.com"; but two
 * domains, or the first numbers of two addresses, are not one. */
static bool same_host(const char *written, const char *hostname)
{
    if (written == NULL || hostname == NULL || written[0] == '\0')
        return false;
    if (strcmp(written, hostname) == 0)
        return true;
    bool shorter = strlen(written) < strlen(hostname);
    const char *brief = shorter ? written : hostname, *full = shorter ? hostname : written;
    return strchr(brief, '.') == NULL && strspn(brief, "0123456789") < strlen(brief) &&
           text_starts(full, brief) && full[strlen(brief)] == '.';
}

const struct config_site *config_here(const struct config *c, const char *hostname)
{
    const struct config_site *found = NULL;
    size_t count = 0;
    if (c->here != NULL)
        return config_site(c, c->here);
    for (size_t i = 0; i < c->site_count; i++) {
        const struct config_site *site = &c->sites[i];
        if (!same_host(site->host, hostname) && !same_host(site->address, hostname) &&
            !same_host(site->name, hostname))
            continue;
        found = site;
        count++;
    }
    if (count == 1)
        return found;
    bool alone = c->site_count == 1 && strcmp(c->sites[0].reach, "local") == 0;
    return alone ? &c->sites[0] : NULL;
}

bool config_is_asked_here(const struct config_site *here, const struct config_probe *probe)
{
    return here == NULL || probe->from.count == 0 || text_list_has(&probe->from, here->name) ||
           text_list_has(&probe->from, here->region);
}

bool config_is_mine(const struct config *c, const struct config_site *here,
                    const struct config_source *source)
{
    return source->site == NULL || here == NULL || config_site(c, source->site) == here;
}

const char *config_site_field(const struct config_site *site, const char *field)
{
    const struct {
        const char *name, *value;
    } own[] = { { "name", site->name },
                { "region", site->region },
                { "host", site->host },
                { "reach", site->reach },
                { "address", site->address } };
    for (size_t i = 0; i < DR_ARRAY_LEN(own); i++)
        if (strcmp(own[i].name, field) == 0)
            return own[i].value;
    for (size_t i = 0; i < site->field_count; i++)
        if (strcmp(site->fields[i].name, field) == 0)
            return site->fields[i].value;
    return NULL;
}

void config_known_regions(const struct config *c, struct text_list *ret)
{
    for (size_t i = 0; i < c->regions.count; i++)
        add_region(ret, c->regions.items[i]);
    for (size_t i = 0; i < c->site_count; i++)
        add_region(ret, c->sites[i].region);
    for (size_t i = 0; i < c->bucket_count; i++)
        add_region(ret, c->buckets[i].region);
}

bool config_is_region(const struct config *c, const char *name)
{
    DR_CLEANUP(text_list_fini) struct text_list all = { 0 };
    config_known_regions(c, &all);
    return text_list_has(&all, name);
}

bool config_trusts_key(const struct config *c, const char *key)
{
    for (size_t i = 0; i < c->trust_count; i++)
        if (text_list_has(&c->trusts[i].keys, key))
            return true;
    return false;
}

static enum dr_rc secret_from_file(const char *path, char **ret, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    DR_TRY(fs_read_file(path, SECRET_MAX_BYTES, &bytes, err));
    *ret = dr_memdup(bytes.data != NULL ? bytes.data : "", bytes.len);
    if (bytes.data != NULL)
        explicit_bzero(bytes.data, bytes.len);
    return DR_OK;
}

enum dr_rc config_secret(const struct config *c, const char *name, char **ret, struct dr_err *err)
{
    const struct config_secret *secret = NULL;
    for (size_t i = 0; i < c->secret_count && secret == NULL; i++)
        if (strcmp(c->secrets[i].name, name) == 0)
            secret = &c->secrets[i];
    if (secret == NULL)
        return dr_fail(err, DR_E_NOTFOUND, "no secret '%s' in the configuration", name);

    char *value = NULL;
    if (secret->file != NULL) {
        if (secret_from_file(secret->file, &value, err) != DR_OK)
            return dr_context(err, "secret '%s'", name);
    } else {
        const char *text = getenv(secret->env); /* NOLINT(concurrency-mt-unsafe): nobody sets it */
        if (text == NULL)
            return dr_fail(err, DR_E_NOTFOUND, "secret '%s': the environment has no '%s'", name,
                           secret->env);
        value = dr_strdup(text);
    }
    size_t len = strlen(value);
    while (len > 0 && (value[len - 1] == '\n' || value[len - 1] == '\r'))
        value[--len] = '\0';
    if (len == 0) {
        free(value);
        return dr_fail(err, DR_E_CONFIG, "secret '%s' is empty", name);
    }
    *ret = value;
    return DR_OK;
}

/* A plan is asked for by its own name, in which there is no '-'; a person may write one. */
static bool same_plan(const char *stored, const char *asked)
{
    for (; *stored != '\0' && *asked != '\0'; stored++, asked++)
        if (*stored != (*asked == '-' ? '_' : *asked))
            return false;
    return *stored == *asked;
}

static int64_t find_objective(const struct config_objective *list, size_t count, const char *plan)
{
    for (size_t i = 0; i < count; i++)
        if (same_plan(list[i].plan, plan))
            return list[i].ms;
    return -1;
}

int64_t config_rto_ms(const struct config *c, const char *plan)
{
    return find_objective(c->rto, c->rto_count, plan);
}

int64_t config_rpo_ms(const struct config *c, const char *plan)
{
    return find_objective(c->rpo, c->rpo_count, plan);
}
