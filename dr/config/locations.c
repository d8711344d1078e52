/*
 * locations.c - buckets for a file that has none: each storage location of a policy becomes one.
 *
 * A url or an absolute path says where the bucket lies. Of a bare word nobody knows; its bucket counts
 * all the same, so that what cannot be written there is told as a missing copy, and not as if two were
 * all that were wanted.
 */
#include <string.h>

#include "dr/base/mem.h"
#include "dr/config/load.h"
#include "dr/config/s3_url.h"

/* The longest known region whose name occurs in the location, or NULL. */
static const char *region_in(const struct loaded *l, const char *location)
{
    const char *best = NULL;
    for (size_t i = 0; i < l->config.regions.count; i++) {
        const char *region = l->config.regions.items[i];
        if (strstr(location, region) != NULL && (best == NULL || strlen(region) > strlen(best)))
            best = region;
    }
    return best;
}

/* A name of the allowed letters that no other bucket has. The caller frees. */
static char *bucket_name(const struct config *c, const char *location)
{
    char base[48];
    size_t len = 0;
    size_t skip = strlen(location) > 40 ? strlen(location) - 40 : 0;
    for (const char *p = location + skip; *p != '\0'; p++) {
        int lower = *p >= 'A' && *p <= 'Z' ? *p - 'A' + 'a' : *p;
        if ((lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9'))
            base[len++] = (char)lower;
        else if (len > 0 && base[len - 1] != '-')
            base[len++] = '-';
    }
    while (len > 0 && base[len - 1] == '-')
        len--;
    base[len] = '\0';
    char *name = dr_strdup(len > 0 ? base : "bucket");
    for (int n = 2; config_bucket(c, name) != NULL; n++) {
        free(name);
        name = dr_strf("%s-%d", len > 0 ? base : "bucket", n);
    }
    return name;
}

static void bucket_from(struct reader *r, struct yaml_node *node, struct loaded *l)
{
    struct config *c = &l->config;
    const char *text = node->text;
    char *url = text[0] == '/' ? dr_strf("file://%s", text) : dr_strdup(text);
    for (size_t i = 0; i < c->bucket_count; i++)
        if (strcmp(c->buckets[i].url, url) == 0) { /* named by two policies */
            free(url);
            return;
        }
    const char *region = region_in(l, text);
    const char *guess = c->primary_region != NULL ? c->primary_region : "local";
    char *name = bucket_name(c, region != NULL ? region : text);
    struct s3_url s3 = { 0 };
    struct dr_err ignored = { 0 };
    bool usable = (text_starts(url, "file:///") && url[8] != '\0') ||
                  s3_url_parse(url, &s3, &ignored) == DR_OK;
    s3_url_fini(&s3);
    reader_warning(
        r, node, "no-buckets", "storage location '%s' becomes bucket '%s' in region %s%s", text,
        name, region != NULL ? region : guess, usable ? "" : ", which this version cannot open");
    diag_hint(r->d, "buckets: [{name: %s, url: \"%s\", region: %s}]", name,
              usable ? url : "file:///DIRECTORY", region != NULL ? region : guess);
    c->buckets = dr_realloc(c->buckets, c->bucket_count + 1, sizeof(*c->buckets));
    c->buckets[c->bucket_count++] = (struct config_bucket){
        .name = name,
        .url = url,
        .region = dr_strdup(region != NULL ? region : guess),
        .at = { node->line, node->col },
    };
}

void config_buckets_from_locations(struct reader *r, struct yaml_node *root, struct loaded *l)
{
    for (size_t i = 0; i < r->ref_count; i++)
        if (r->refs[i].kind == KEY_LIST && !r->refs[i].node->reported)
            bucket_from(r, r->refs[i].node, l);
    if (l->config.bucket_count > 0 || r->torn)
        return;
    reader_warning(r, root, "no-buckets", "no buckets: there is no place for a backup");
    diag_hint(r->d, "buckets: [{name: NAME, url: \"file:///DIRECTORY\", region: REGION}]");
}
