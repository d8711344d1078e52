/*
 * secrets.c - secrets and trusted_writers: where what is not written here lies, and who is believed.
 */
#include <string.h>

#include "dr/base/mem.h"
#include "dr/config/load.h"

#define AT(type, field) .to = offsetof(struct type, field)

static void finish_secret(struct reader *r, struct yaml_node *map, void *out)
{
    (void)out;
    bool file = yaml_get(map, "file", NULL) != NULL, env = yaml_get(map, "env", NULL) != NULL;
    if (file != env)
        return;
    reader_error(r, map, "secret",
                 file ? "a secret has both a file and an env"
                      : "a secret says neither a file nor an env");
    diag_hint(r->d, "write {file: /etc/drctl/NAME} or {env: NAME}");
}

static const struct config_key secret_keys[] = {
    { "file", KEY_PATH, AT(config_secret, file) },
    { "env", KEY_TEXT, AT(config_secret, env) },
    { .name = NULL },
};
const struct config_block config_secret_block = { "a secret", secret_keys, .at = KEY_NOWHERE,
                                                  .finish = finish_secret };

void config_read_secrets(struct reader *r, struct yaml_node *key, struct yaml_node *value,
                         void *out)
{
    struct config *c = out;
    if (!reader_is(r, value, YAML_MAP, key->text))
        return;
    for (size_t i = 0; i < value->count; i++) {
        struct yaml_node *node = value->items[i];
        if (node->kind == YAML_SCALAR && !node->reported) {
            reader_error(r, node, "plain-secret", "a secret in plain text");
            diag_hint(r->d, "put it into a file of mode 0600 and write {file: /...}");
            continue;
        }
        c->secrets = dr_realloc(c->secrets, c->secret_count + 1, sizeof(*c->secrets));
        struct config_secret *row = &c->secrets[c->secret_count++];
        *row = (struct config_secret){ .name = dr_strdup(value->keys[i]->text) };
        block_read(r, &config_secret_block, node, row);
    }
}

void config_fini_secrets(void *out)
{
    struct config *c = out;
    for (size_t i = 0; i < c->secret_count; i++) {
        free(c->secrets[i].name);
        block_fini(&config_secret_block, &c->secrets[i]);
    }
    free(c->secrets);
}

/* 32 bytes in base64 are 43 letters and one '='. */
static bool is_public_key(const char *text)
{
    enum { LETTERS = 43 };
    static const char prefix[] = "ed25519:";
    if (!text_starts(text, prefix))
        return false;
    text += sizeof(prefix) - 1;
    return strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") ==
               LETTERS &&
           strcmp(text + LETTERS, "=") == 0;
}

void config_read_trust(struct reader *r, struct yaml_node *key, struct yaml_node *value, void *out)
{
    struct config *c = out;
    if (!reader_is(r, value, YAML_MAP, key->text))
        return;
    for (size_t i = 0; i < value->count; i++) {
        struct yaml_node *keys = value->items[i];
        c->trusts = dr_realloc(c->trusts, c->trust_count + 1, sizeof(*c->trusts));
        struct config_trust *row = &c->trusts[c->trust_count++];
        *row = (struct config_trust){ .source = dr_strdup(value->keys[i]->text) };
        if (!reader_list(r, keys, value->keys[i]->text, &row->keys))
            continue;
        for (size_t k = 0; k < keys->count; k++)
            if (!keys->items[k]->reported && !is_public_key(keys->items[k]->text)) {
                reader_error(r, keys->items[k], "public-key", "'%s' is not a public key",
                             keys->items[k]->text);
                diag_hint(r->d, "drctl key show, on the host that writes, prints the line");
            }
    }
}

void config_fini_trust(void *out)
{
    struct config *c = out;
    for (size_t i = 0; i < c->trust_count; i++) {
        free(c->trusts[i].source);
        text_list_fini(&c->trusts[i].keys);
    }
    free(c->trusts);
}
