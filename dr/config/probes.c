/*
 * probes.c - the table of one health probe: what is asked, from where, how often.
 */
#include <string.h>

#include "dr/base/mem.h"
#include "dr/config/load.h"

#define AT(type, field) .to = offsetof(struct type, field)

static void read_from(struct reader *r, struct yaml_node *key, struct yaml_node *value, void *out)
{
    reader_refs(r, value, key->text, KEY_SITE, out);
}

static void fini_from(void *out)
{
    text_list_fini(out);
}

bool config_is_http(const char *url)
{
    return text_starts(url, "http://") || text_starts(url, "https://");
}

static bool url_fits(const char *kind, const char *url)
{
    if (strcmp(kind, "http") == 0)
        return config_is_http(url);
    if (strcmp(kind, "tcp") == 0)
        return strrchr(text_starts(url, "tcp://") ? url + strlen("tcp://") : url, ':') != NULL;
    return url[0] == '/';
}

/* Name servers are asked by address: there is nobody yet who could resolve a name. */
void config_check_port(struct reader *r, struct yaml_node *node)
{
    if (node->reported || node->kind != YAML_SCALAR)
        return;
    const char *colon = strrchr(node->text, ':');
    if (colon != NULL && strspn(colon + 1, "0123456789") == strlen(colon + 1) && colon[1] != '\0')
        return;
    reader_error(r, node, "address", "'%s' has no port", node->text);
    diag_hint(r->d, "write ADDRESS:PORT, such as 192.0.2.53:53");
}

static void finish_probe(struct reader *r, struct yaml_node *map, void *out)
{
    struct config_probe *probe = out;
    if (probe->kind == NULL)
        probe->kind = dr_strdup("http");
    struct yaml_node *url = reader_value(map, "url");
    if (url != NULL && probe->url != NULL && !url_fits(probe->kind, probe->url)) {
        reader_error(r, url, "url", "'%s' is not what a probe of kind %s asks", url->text,
                     probe->kind);
        diag_hint(r->d, "http: \"https://www.example.com/health\", tcp: \"tcp://HOST:PORT\", exec: "
                        "an absolute path");
    }
    struct yaml_node *resolver = reader_value(map, "resolver");
    if (resolver != NULL && probe->resolver != NULL)
        config_check_port(r, resolver);
}

static const char *const kinds[] = { "http", "tcp", "exec", NULL };

static const struct config_key probe_keys[] = {
    { "name", KEY_NAME, .required = true, AT(config_probe, name) },
    { "kind", KEY_CHOICE, AT(config_probe, kind), .choices = kinds },
    { "url", KEY_TEXT, .required = true, AT(config_probe, url) },
    { "expect", KEY_INTEGER, AT(config_probe, expect), .min = 100, .max = 599 },
    { "from", KEY_OWN, AT(config_probe, from), .read = read_from, .fini = fini_from },
    { "resolver", KEY_TEXT, AT(config_probe, resolver) },
    { "interval", KEY_DURATION, AT(config_probe, interval_ms) },
    { "timeout", KEY_DURATION, AT(config_probe, timeout_ms) },
    { "times", KEY_INTEGER, AT(config_probe, times), .min = 1, .max = 1000 },
    { .name = NULL },
};
const struct config_block config_probe_block = {
    "a health probe",
    probe_keys,
    sizeof(struct config_probe),
    offsetof(struct config_probe, at),
    .name_to = offsetof(struct config_probe, name),
    .finish = finish_probe,
};
