/*
 * sites.c - the table of one site: a host that stands for a region, and how steps get there.
 *
 * What goes to ssh(1) is told apart from its options here, once: no host, user or program begins
 * with '-' or holds a blank, so nobody who uses them has to ask again.
 */
#include <string.h>

#include "dr/base/mem.h"
#include "dr/config/load.h"

#define AT(type, field) .to = offsetof(struct type, field)

enum { PORT_MAX = 65535, CONNECT_MS = 10000 };

static void read_fields(struct reader *r, struct yaml_node *key, struct yaml_node *value, void *out)
{
    struct config_site *site = out;
    if (!reader_is(r, value, YAML_MAP, key->text))
        return;
    for (size_t i = 0; i < value->count; i++) {
        char *text = NULL;
        if (!reader_text(r, value->items[i], value->keys[i]->text, &text))
            continue;
        site->fields = dr_realloc(site->fields, site->field_count + 1, sizeof(*site->fields));
        site->fields[site->field_count++] = (struct config_pair){
            dr_strdup(value->keys[i]->text), text, { value->keys[i]->line, value->keys[i]->col }
        };
    }
}

static void fini_fields(void *out)
{
    struct config_site *site = out;
    for (size_t i = 0; i < site->field_count; i++) {
        free(site->fields[i].name);
        free(site->fields[i].value);
    }
    free(site->fields);
}

/* ---- ssh ------------------------------------------------------------------------------------- */

static void check_ssh_word(struct reader *r, struct yaml_node *node, const char *key)
{
    const char *t = node->text;
    bool plain = t[0] != '-';
    for (const char *p = t; *p != '\0'; p++)
        plain = plain && (unsigned char)*p > ' ' && *p != 0x7f;
    if (plain && strpbrk(t, "@") == NULL)
        return;
    reader_error(r, node, "ssh", "'%s' cannot be a %s for ssh", t, key);
    diag_hint(r->d, strchr(t, '@') != NULL ? "write {user: NAME, host: NAME}"
                                           : "one word that does not begin with '-'");
}

static void finish_ssh(struct reader *r, struct yaml_node *map, void *out)
{
    static const char *const words[] = { "host", "user", "program" };
    (void)out;
    for (size_t i = 0; i < DR_ARRAY_LEN(words); i++) {
        struct yaml_node *node = reader_value(map, words[i]);
        if (node != NULL && node->kind == YAML_SCALAR)
            check_ssh_word(r, node, words[i]);
    }
}

static const struct config_key ssh_keys[] = {
    { "host", KEY_TEXT, AT(config_ssh, host) },
    { "user", KEY_TEXT, AT(config_ssh, user) },
    { "port", KEY_INTEGER, AT(config_ssh, port), .min = 1, .max = PORT_MAX },
    { "identity", KEY_PATH, AT(config_ssh, identity) },
    { "known_hosts", KEY_PATH, AT(config_ssh, known_hosts) },
    { "program", KEY_TEXT, AT(config_ssh, program) },
    { "timeout", KEY_DURATION, AT(config_ssh, timeout_ms) },
    { .name = NULL },
};
static const struct config_block ssh = { "'ssh'", ssh_keys, .at = KEY_NOWHERE,
                                         .finish = finish_ssh };

/* ---- the site -------------------------------------------------------------------------------- */

/* The name that ssh is to connect to, where the ssh block has none: it stands elsewhere, and is
 * looked at as if it stood there. */
static void default_host(struct reader *r, struct yaml_node *map, struct config_site *site)
{
    static const char *const keys[] = { "address", "host", "name", "region" };
    for (size_t i = 0; i < DR_ARRAY_LEN(keys); i++) {
        struct yaml_node *node = reader_value(map, keys[i]);
        if (node == NULL || node->kind != YAML_SCALAR)
            continue;
        check_ssh_word(r, node, "host");
        site->ssh.host = dr_strdup(node->text);
        return;
    }
}

static void finish_reach(struct reader *r, struct yaml_node *map, struct config_site *site)
{
    struct yaml_node *key = NULL;
    bool block = yaml_get(map, "ssh", &key) != NULL;
    if (site->reach == NULL)
        site->reach = dr_strdup(block ? "ssh" : "local");
    if (strcmp(site->reach, "ssh") != 0) {
        if (block)
            reader_warning(r, key, "no-effect", "'ssh' has no effect: the site is reached locally");
        return;
    }
    if (site->ssh.host == NULL)
        default_host(r, map, site);
    if (site->ssh.program == NULL)
        site->ssh.program = dr_strdup("drctl");
    if (site->ssh.timeout_ms == 0)
        site->ssh.timeout_ms = CONNECT_MS;
}

static void finish_site(struct reader *r, struct yaml_node *map, void *out)
{
    struct config_site *site = out;
    if (site->name == NULL && site->region != NULL && yaml_get(map, "name", NULL) == NULL)
        site->name = dr_strdup(site->region);
    finish_reach(r, map, site);
}

static const char *const reaches[] = { "local", "ssh", NULL };

static const struct config_key site_keys[] = {
    { "region", KEY_NAME, .required = true, AT(config_site, region) },
    { "name", KEY_NAME, AT(config_site, name) },
    { "host", KEY_TEXT, AT(config_site, host) },
    { "reach", KEY_CHOICE, AT(config_site, reach), .choices = reaches },
    { "address", KEY_TEXT, AT(config_site, address) },
    { "ssh", KEY_BLOCK, AT(config_site, ssh), .block = &ssh },
    { "fields", KEY_OWN, .to = 0, .each = "FIELD", .read = read_fields, .fini = fini_fields },
    { .name = NULL },
};
const struct config_block config_site_block = {
    "a site",
    site_keys,
    sizeof(struct config_site),
    offsetof(struct config_site, at),
    .name_to = offsetof(struct config_site, name),
    .finish = finish_site,
};
