/*
 * check.c - what one key of the configuration cannot know alone.
 *
 * A region is known when the strategy or a site names it; where neither does, the buckets name
 * their own. That is strict on purpose: a bucket in a region with a typing error would stay
 * in use when that region is declared lost.
 */
#include <stdio.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/config/load.h"
#include "dr/config/s3_url.h"

/* ---- words that must be defined --------------------------------------------------------------- */

static void add_names(struct text_list *list, const char *name)
{
    if (name != NULL && !text_list_has(list, name))
        text_list_add(list, name);
}

void config_hint_known(struct reader *r, const char *word, const struct text_list *known,
                       const char *otherwise)
{
    if (reader_hint_near(r, word, (const char *const *)known->items, known->count))
        return;
    DR_FREE char *all = text_list_join(known, ", ");
    if (known->count == 0)
        diag_hint(r->d, "%s", otherwise);
    else
        diag_hint(r->d, "known: %s; %s", all, otherwise);
}

/* Regions that the strategy and the sites declare. */
static void declared_regions(const struct loaded *l, struct text_list *ret)
{
    add_names(ret, l->config.primary_region);
    for (size_t i = 0; i < l->secondary_count; i++)
        add_names(ret, l->secondaries[i].name);
    for (size_t i = 0; i < l->config.site_count; i++)
        add_names(ret, l->config.sites[i].region);
}

static void check_region(struct reader *r, struct yaml_node *node, const struct loaded *l)
{
    DR_CLEANUP(text_list_fini) struct text_list known = { 0 };
    declared_regions(l, &known);
    if (known.count == 0 || text_list_has(&known, node->text))
        return;
    reader_error(r, node, "unknown-region", "no region '%s' in the strategy or the sites",
                 node->text);
    config_hint_known(r, node->text, &known, "a further one is declared by a site: {region: NAME}");
}

static void check_site(struct reader *r, struct yaml_node *node, const struct loaded *l)
{
    DR_CLEANUP(text_list_fini) struct text_list known = { 0 };
    for (size_t i = 0; i < l->config.site_count; i++) {
        add_names(&known, l->config.sites[i].name);
        add_names(&known, l->config.sites[i].region);
    }
    declared_regions(l, &known);
    if (text_list_has(&known, node->text))
        return;
    reader_error(r, node, "unknown-site", "no site '%s'", node->text);
    config_hint_known(r, node->text, &known, "declare it under sites: {region: NAME}");
}

static void check_secret(struct reader *r, struct yaml_node *node, const struct loaded *l)
{
    DR_CLEANUP(text_list_fini) struct text_list known = { 0 };
    for (size_t i = 0; i < l->config.secret_count; i++)
        add_names(&known, l->config.secrets[i].name);
    if (text_list_has(&known, node->text))
        return;
    reader_error(r, node, "unknown-secret", "no secret '%s'", node->text);
    config_hint_known(r, node->text, &known, "define it under secrets: NAME: {file: /...}");
}

/* Without a notify block nobody is told at all: one warning for all channels (check_silence()). */
static void check_channel(struct reader *r, struct yaml_node *root, struct yaml_node *node,
                          const struct loaded *l)
{
    DR_CLEANUP(text_list_fini) struct text_list known = { 0 };
    if (yaml_get(root, "notify", NULL) == NULL)
        return;
    for (size_t i = 0; i < l->config.channel_count; i++)
        add_names(&known, l->config.channels[i].name);
    if (text_list_has(&known, node->text))
        return;
    reader_error(r, node, "unknown-channel", "no channel '%s'", node->text);
    config_hint_known(r, node->text, &known, "define it under notify: NAME: {kind: ...}");
}

static void check_silence(struct reader *r, struct yaml_node *root)
{
    DR_CLEANUP(text_list_fini) struct text_list named = { 0 };
    const struct yaml_node *first = NULL;
    if (yaml_get(root, "notify", NULL) != NULL || r->torn)
        return;
    for (size_t i = 0; i < r->ref_count; i++)
        if (r->refs[i].kind == KEY_CHANNEL) {
            add_names(&named, r->refs[i].node->text);
            if (first == NULL)
                first = r->refs[i].node;
        }
    if (first == NULL)
        return;
    DR_FREE char *all = text_list_join(&named, ", ");
    reader_warning(r, first, "no-channels", "no 'notify' says how to reach %s: nobody is told",
                   all);
    diag_hint(r->d, "notify: {%s: {kind: slack, url_file: /etc/drctl/%s.url}}", first->text,
              first->text);
}

/* A storage location is the name of a bucket; its url and its region mean it as well. */
static bool serves(const struct config_bucket *b, const char *location)
{
    return (b->name != NULL && strcmp(b->name, location) == 0) ||
           (b->url != NULL && strcmp(b->url, location) == 0) ||
           (b->region != NULL && strcmp(b->region, location) == 0);
}

static void check_location(struct reader *r, struct yaml_node *root, struct yaml_node *node,
                           const struct loaded *l)
{
    if (yaml_get(root, "buckets", NULL) == NULL)
        return; /* it has become one */
    DR_CLEANUP(text_list_fini) struct text_list known = { 0 };
    for (size_t i = 0; i < l->config.bucket_count; i++) {
        add_names(&known, l->config.buckets[i].name);
        if (serves(&l->config.buckets[i], node->text))
            return;
    }
    reader_error(r, node, "unknown-bucket", "no bucket '%s'", node->text);
    config_hint_known(r, node->text, &known, "a storage location is the name of a bucket");
}

static void check_refs(struct reader *r, struct yaml_node *root, const struct loaded *l)
{
    for (size_t i = 0; i < r->ref_count; i++) {
        struct yaml_node *node = r->refs[i].node;
        if (node->reported)
            continue;
        switch (r->refs[i].kind) {
        case KEY_REGION:
            check_region(r, node, l);
            break;
        case KEY_SITE:
            check_site(r, node, l);
            break;
        case KEY_SECRET:
            check_secret(r, node, l);
            break;
        case KEY_CHANNEL:
            check_channel(r, root, node, l);
            break;
        default:
            check_location(r, root, node, l);
        }
    }
}

/* ---- buckets ----------------------------------------------------------------------------------- */

/* Is 'inner' the directory 'outer' or below it? */
static bool lies_in(const char *inner, const char *outer)
{
    size_t len = strlen(outer);
    while (len > 1 && outer[len - 1] == '/')
        len--;
    return strncmp(inner, outer, len) == 0 && (inner[len] == '/' || inner[len] == '\0');
}

/* Would what is put into one be seen in the other? */
static bool is_one_place(const char *a, const char *b)
{
    struct s3_url x, y;
    struct dr_err ignored = { 0 };
    if (strcmp(a, b) == 0)
        return true;
    if (s3_url_parse(a, &x, &ignored) != DR_OK)
        return false;
    bool one = false;
    if (s3_url_parse(b, &y, &ignored) == DR_OK) {
        one = s3_url_overlap(&x, &y);
        s3_url_fini(&y);
    }
    s3_url_fini(&x);
    return one;
}

static void check_bucket(struct reader *r, struct yaml_node *list, size_t index,
                         const struct loaded *l)
{
    const struct config *c = &l->config;
    const struct config_bucket *b = &c->buckets[index];
    struct yaml_node *url = reader_value(list->items[index], "url");
    if (url == NULL || b->url == NULL)
        return;
    for (size_t i = 0; i < index; i++)
        if (c->buckets[i].url != NULL && is_one_place(c->buckets[i].url, b->url)) {
            reader_error(r, url, "same-bucket", "bucket '%s' is the same place as '%s'",
                         b->name != NULL ? b->name : "",
                         c->buckets[i].name != NULL ? c->buckets[i].name : c->buckets[i].url);
            diag_hint(r->d, "two copies in one place are one copy");
            return;
        }
    for (size_t i = 0; i < c->source_count; i++)
        if (c->sources[i].path != NULL && text_starts(b->url, "file://") &&
            lies_in(b->url + strlen("file://"), c->sources[i].path)) {
            reader_error(r, url, "bucket-in-source", "bucket '%s' lies inside of source '%s'",
                         b->name != NULL ? b->name : "",
                         c->sources[i].name != NULL ? c->sources[i].name : "");
            diag_hint(r->d, "each backup would hold all backups before it: put it elsewhere");
            return;
        }
}

static void check_buckets(struct reader *r, struct yaml_node *root, const struct loaded *l)
{
    struct yaml_node *list = reader_value(root, "buckets");
    if (list == NULL || list->kind != YAML_LIST)
        return;
    for (size_t i = 0; i < list->count && i < l->config.bucket_count; i++)
        if (list->items[i]->kind == YAML_MAP)
            check_bucket(r, list, i, l);
}

/* ---- blocks against each other ---------------------------------------------------------------------- */

static void check_strategy(struct reader *r, const struct loaded *l)
{
    const struct config *c = &l->config;
    for (size_t i = 0; i < l->secondary_count; i++) {
        const struct secondary *s = &l->secondaries[i];
        if (s->name != NULL && c->primary_region != NULL &&
            strcmp(s->name, c->primary_region) == 0) {
            diag_error(r->d, s->at.line, s->at.col, "duplicate-region",
                       "'%s' is the primary region and cannot be its own standby", s->name);
            continue;
        }
        for (size_t k = 0; k < i; k++)
            if (s->priority != INT32_MAX && s->priority == l->secondaries[k].priority) {
                diag_warning(r->d, s->at.line, s->at.col, "same-priority",
                             "two standbys have priority %d: the one written first is tried first",
                             s->priority);
                break;
            }
    }
}

/* With sites at all, a region of the strategy without one is most likely a typing error. */
static void check_sites(struct reader *r, struct yaml_node *root, const struct loaded *l)
{
    const struct config *c = &l->config;
    struct yaml_node *list = reader_value(root, "sites");
    if (list == NULL || c->site_count == 0)
        return;
    DR_CLEANUP(text_list_fini) struct text_list known = { 0 };
    for (size_t i = 0; i < c->site_count; i++)
        add_names(&known, c->sites[i].region);
    for (size_t i = 0; i < c->regions.count; i++) {
        const char *region = c->regions.items[i];
        if (text_list_has(&known, region))
            continue;
        reader_warning(r, list, "region-without-site", "region '%s' of the strategy has no site",
                       region);
        diag_hint(r->d, "add {region: %s}", region);
    }
}

static void check_trust(struct reader *r, struct yaml_node *root, const struct loaded *l)
{
    struct yaml_node *map = reader_value(root, "trusted_writers");
    if (map == NULL || map->kind != YAML_MAP)
        return;
    DR_CLEANUP(text_list_fini) struct text_list known = { 0 };
    for (size_t i = 0; i < l->config.source_count; i++)
        add_names(&known, l->config.sources[i].name);
    add_names(&known, CONFIG_SELF);
    for (size_t i = 0; i < map->count; i++) {
        struct yaml_node *name = map->keys[i];
        if (name->reported || text_list_has(&known, name->text))
            continue;
        reader_error(r, name, "unknown-source", "no source '%s'", name->text);
        config_hint_known(r, name->text, &known, "declare it under sources");
    }
}

/* Whoever leaves a bucket out of the storage locations may mean it. */
static void check_left_out(struct reader *r, struct yaml_node *root, const struct loaded *l)
{
    static const char *const path[] = { "disaster_recovery", "backup_policy", "full_backup",
                                        "storage_locations" };
    struct yaml_node *node = root;
    for (size_t i = 0; i < DR_ARRAY_LEN(path) && node != NULL; i++)
        node = node->kind == YAML_MAP ? reader_value(node, path[i]) : NULL;
    for (size_t i = 0; node != NULL && i < node->count; i++)
        if (node->items[i]->reported) /* most likely the one that is missing */
            return;
    const struct text_list *locations = &l->config.full.storage_locations;
    for (size_t i = 0; node != NULL && locations->count > 0 && i < l->config.bucket_count; i++) {
        const struct config_bucket *b = &l->config.buckets[i];
        bool named = b->name == NULL;
        for (size_t k = 0; k < locations->count; k++)
            named = named || serves(b, locations->items[k]);
        if (named)
            continue;
        reader_warning(r, node, "not-available",
                       "bucket '%s' is left out, but this version writes to every bucket", b->name);
        return;
    }
}

/* A lease in a bucket: there is one, and it is not lost together with what it is to move. */
static void check_lease_bucket(struct reader *r, struct yaml_node *node, const struct config *c)
{
    const struct config_bucket *b = config_bucket(c, c->lease.bucket);
    struct yaml_node *name = reader_value(node, "bucket");
    if (b == NULL) {
        reader_error(r, name != NULL ? name : node, "unknown-bucket", "there is no bucket '%s'",
                     c->lease.bucket);
        diag_hint(r->d, "one of those under 'buckets', best in a region that no plan gives up");
    } else if (c->primary_region != NULL && b->region != NULL &&
               strcmp(b->region, c->primary_region) == 0) {
        reader_warning(r, name != NULL ? name : node, "lease-region",
                       "the lease lies in the primary region '%s': when that is lost, nobody can"
                       " take it",
                       b->region);
        diag_hint(r->d, "put it into a bucket of another region: no failover begins without it");
    }
}

static void check_lease(struct reader *r, struct yaml_node *root, const struct loaded *l)
{
    const struct config *c = &l->config;
    struct yaml_node *node = reader_value(root, "coordination");
    if (node == NULL || node->kind != YAML_MAP)
        return;
    node = reader_value(node, "lease");
    if (node == NULL || node->kind != YAML_MAP)
        return;
    if (c->lease.bucket != NULL)
        check_lease_bucket(r, node, c);
    if (c->lease.take_ms > c->lease.hold_ms)
        return;
    struct yaml_node *take = reader_value(node, "take");
    reader_error(r, take != NULL ? take : node, "lease-times",
                 "'take' has to be longer than 'hold', or two holders could write at once");
    diag_hint(r->d, "hold: 20s, take: 30s");
}

static void check_self(struct reader *r, struct yaml_node *root, const struct loaded *l)
{
    struct yaml_node *list = reader_value(root, "sources");
    for (size_t i = 0; list != NULL && i < list->count && i < l->config.source_count; i++)
        if (l->config.sources[i].name != NULL &&
            strcmp(l->config.sources[i].name, CONFIG_SELF) == 0) {
            reader_error(r, list->items[i], "reserved", "'" CONFIG_SELF "' is always there");
            diag_hint(r->d, "it holds what drctl needs to be itself again; take another name");
        }
}

void config_check(struct reader *r, struct yaml_node *root, struct loaded *l)
{
    check_refs(r, root, l);
    check_silence(r, root);
    check_buckets(r, root, l);
    check_strategy(r, l);
    check_sites(r, root, l);
    check_trust(r, root, l);
    check_self(r, root, l);
    check_lease(r, root, l);
    config_check_prices(r, root, &l->config);
    config_check_require(r, root, &l->config);
    config_check_findings(r, root, &l->config);
    if (yaml_get(root, "buckets", NULL) != NULL)
        check_left_out(r, root, l);
    if (yaml_get(root, "sources", NULL) == NULL && !r->torn) {
        reader_warning(r, root, "no-sources", "no sources: nothing would be backed up");
        diag_hint(r->d, "sources: [{name: NAME, path: /DIRECTORY}]");
    }
}
