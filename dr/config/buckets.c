/*
 * buckets.c - the keys of one bucket: its url, by whose right it is used, and how long what lies
 * in it cannot be removed.
 *
 * Which of them mean something hangs on the url: a directory has no certificate and no keys
 * (told as a warning), and it cannot lock anything (an error: whoever writes 'lock' relies on it).
 */
#include <string.h>

#include "dr/base/mem.h"
#include "dr/config/load.h"
#include "dr/config/s3_url.h"

#define AT(type, field) .to = offsetof(struct type, field)

/* ---- url ------------------------------------------------------------------------------------- */

static const char *const schemes[] = { "file", "s3", "exec" };

static bool check_s3(struct reader *r, struct yaml_node *node)
{
    struct s3_url u;
    struct dr_err err = { 0 };
    if (s3_url_parse(node->text, &u, &err) == DR_OK) {
        s3_url_fini(&u);
        return true;
    }
    reader_error(r, node, "url", "%s", err.msg);
    diag_hint(r->d, "%s", err.hint);
    return false;
}

bool config_check_url(struct reader *r, struct yaml_node *node)
{
    const char *url = node->text;
    size_t len = strcspn(url, ":");
    DR_FREE char *scheme = dr_memdup(url, len);
    bool known = false;
    for (size_t i = 0; i < DR_ARRAY_LEN(schemes); i++)
        known = known || (strcmp(schemes[i], scheme) == 0 && url[len] == ':');
    if (!known) {
        reader_error(r, node, "url", "'%s' is not the url of a bucket", url);
        if (url[0] == '/')
            diag_hint(r->d, "write \"file://%s\"", url);
        else if (url[len] != ':' || !reader_hint_near(r, scheme, schemes, DR_ARRAY_LEN(schemes)))
            diag_hint(r->d, "write \"s3://BUCKET\", or \"file:///DIRECTORY\"");
        return false;
    }
    if (strcmp(scheme, "s3") == 0)
        return check_s3(r, node);
    const char *path = url + len + 1;
    if (!text_starts(path, "///") || path[3] == '\0' || path[3] == '?') {
        bool exec = strcmp(scheme, "exec") == 0;
        reader_error(r, node, "url", "'%s' does not name a %s from the root", url,
                     exec ? "program" : "directory");
        diag_hint(r->d, "write \"%s:///%s\", with three slashes", scheme,
                  exec ? "PROGRAM" : "DIRECTORY");
        return false;
    }
    return true;
}

/* ---- credentials ------------------------------------------------------------------------------- */

static const char *const kinds[] = { "environment", "container", "instance" };

static void finish_credentials(struct reader *r, struct yaml_node *map, void *out)
{
    struct config_credentials *c = out;
    bool profile = yaml_get(map, "profile", NULL) != NULL;
    bool access = yaml_get(map, "access_key", NULL) != NULL;
    bool secret = yaml_get(map, "secret_key", NULL) != NULL;
    bool token = yaml_get(map, "session_token", NULL) != NULL;
    if (profile && !access && !secret && !token) {
        c->kind = dr_strdup("profile");
        return;
    }
    if (access && secret && !profile) {
        c->kind = dr_strdup("keys");
        return;
    }
    if (map->reported)
        return;
    reader_error(r, map, "credentials",
                 profile ? "credentials have both a profile and keys"
                         : "credentials need an access_key and a secret_key");
    diag_hint(r->d, "write {access_key: SECRET, secret_key: SECRET}, or {profile: NAME}");
}

static const struct config_key credential_keys[] = {
    { "profile", KEY_TEXT, AT(config_credentials, profile) },
    { "access_key", KEY_SECRET, AT(config_credentials, access_key) },
    { "secret_key", KEY_SECRET, AT(config_credentials, secret_key) },
    { "session_token", KEY_SECRET, AT(config_credentials, session_token) },
    { .name = NULL },
};
static const struct config_block credentials = { "'credentials'", credential_keys,
                                                 .at = KEY_NOWHERE, .finish = finish_credentials };

static void read_credentials(struct reader *r, struct yaml_node *key, struct yaml_node *value,
                             void *out)
{
    struct config_credentials *c = out;
    if (value->kind == YAML_MAP) {
        block_read(r, &credentials, value, c);
        return;
    }
    char *word = NULL;
    if (!reader_text(r, value, key->text, &word))
        return;
    for (size_t i = 0; i < DR_ARRAY_LEN(kinds) && c->kind == NULL; i++)
        if (strcmp(kinds[i], word) == 0)
            c->kind = dr_strdup(word);
    if (c->kind == NULL) {
        reader_error(r, value, "credentials", "'%s' says not where the keys are", word);
        if (!reader_hint_near(r, word, kinds, DR_ARRAY_LEN(kinds)))
            diag_hint(r->d, "environment, container, instance, {profile: NAME}, or "
                            "{access_key: SECRET, secret_key: SECRET}");
    }
    free(word);
}

static void fini_credentials(void *out)
{
    struct config_credentials *c = out;
    free(c->kind);
    block_fini(&credentials, c);
}

/* ---- lock ------------------------------------------------------------------------------------- */

static const char *const modes[] = { "compliance", "governance", NULL };

static const struct config_key lock_keys[] = {
    { "mode", KEY_CHOICE, AT(config_lock, mode), .choices = modes },
    { "for", KEY_DURATION, .required = true, AT(config_lock, ms) },
    { .name = NULL },
};
static const struct config_block lock = { "'lock'", lock_keys, .at = KEY_NOWHERE };

static void read_lock(struct reader *r, struct yaml_node *key, struct yaml_node *value, void *out)
{
    struct config_lock *l = out;
    if (value->kind == YAML_MAP)
        block_read(r, &lock, value, l);
    else if (reader_is(r, value, YAML_SCALAR, key->text))
        (void)reader_duration(r, value, &l->ms); /* a mistake was told there */
    if (l->mode == NULL)
        l->mode = dr_strdup("compliance");
}

static void fini_lock(void *out)
{
    block_fini(&lock, out);
}

/* ---- the bucket ------------------------------------------------------------------------------- */

static void warn_unused(struct reader *r, const struct yaml_node *map, const char *name,
                        const char *why)
{
    struct yaml_node *key = NULL;
    if (yaml_get(map, name, &key) != NULL)
        reader_warning(r, key, "no-effect", "'%s' %s", name, why);
}

static void finish_bucket(struct reader *r, struct yaml_node *map, void *out)
{
    const struct config_bucket *b = out;
    struct yaml_node *url = reader_value(map, "url");
    if (b->url == NULL || url == NULL || !config_check_url(r, url) || !text_starts(b->url, "file:"))
        return;
    warn_unused(r, map, "credentials",
                "have no effect: a directory is opened as the user who runs drctl");
    warn_unused(r, map, "guard", "has no effect: a directory is opened as the user who runs drctl");
    warn_unused(r, map, "drill", "has no effect: a directory is opened as the user who runs drctl");
    warn_unused(r, map, "ca", "has no effect: a directory has no certificate");
    struct yaml_node *locked = reader_value(map, "lock");
    if (locked == NULL)
        return;
    reader_error(r, locked, "lock", "a directory cannot lock its objects");
    diag_hint(r->d, "an S3 bucket with object lock can");
}

static const struct config_key bucket_keys[] = {
    { "name", KEY_NAME, .required = true, AT(config_bucket, name) },
    { "url", KEY_TEXT, .required = true, AT(config_bucket, url) },
    { "region", KEY_REGION, .required = true, AT(config_bucket, region) },
    { "credentials", KEY_OWN, AT(config_bucket, credentials), .block = &credentials,
      .read = read_credentials, .fini = fini_credentials },
    { "guard", KEY_OWN, AT(config_bucket, guard), .block = &credentials, .read = read_credentials,
      .fini = fini_credentials },
    { "drill", KEY_OWN, AT(config_bucket, drill), .block = &credentials, .read = read_credentials,
      .fini = fini_credentials },
    { "ca", KEY_PATH, AT(config_bucket, ca) },
    { "lock", KEY_OWN, AT(config_bucket, lock), .block = &lock, .read = read_lock,
      .fini = fini_lock },
    { .name = NULL },
};
const struct config_block config_bucket_block = {
    "a bucket",
    bucket_keys,
    sizeof(struct config_bucket),
    offsetof(struct config_bucket, at),
    .name_to = offsetof(struct config_bucket, name),
    .finish = finish_bucket,
};
