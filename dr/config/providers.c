/*
 * providers.c - coordination and providers: where the one writer is written down, and the servers that
 * the built-in step types talk to.
 */
#include <string.h>

#include "dr/base/mem.h"
#include "dr/config/load.h"

#define AT(type, field) .to = offsetof(struct type, field)

/* ---- coordination ---------------------------------------------------------------------------- */

static void finish_lease(struct reader *r, struct yaml_node *map, void *out)
{
    struct config *c = &((struct loaded *)out)->config;
    struct yaml_node *driver = reader_value(map, "driver");
    bool in_bucket = c->lease.driver != NULL && strcmp(c->lease.driver, "bucket") == 0;
    if (driver != NULL && c->lease.driver != NULL && strcmp(c->lease.driver, "etcd") == 0) {
        reader_error(r, driver, "not-available",
                     "lease driver '%s' is not available in this version", driver->text);
        diag_hint(r->d, "driver: bucket, or driver: file with a path that all hosts share");
    } else if (in_bucket && c->lease.bucket == NULL) {
        reader_error(r, driver, "lease-place", "driver 'bucket' needs the name of a 'bucket'");
        diag_hint(r->d, "lease: {driver: bucket, bucket: NAME}");
    } else if (c->lease.driver != NULL && !in_bucket && c->lease.bucket != NULL) {
        reader_error(r, driver, "lease-place", "'bucket' goes with driver 'bucket' only");
    } else if (c->lease.path != NULL && c->lease.bucket != NULL) {
        reader_error(r, map, "lease-place",
                     "a lease lies in a 'path' or in a 'bucket', not in both");
    }
}

static const char *const drivers[] = { "file", "bucket", "etcd", NULL };

static const struct config_key lease_keys[] = {
    { "driver", KEY_CHOICE, AT(loaded, config.lease.driver), .choices = drivers },
    { "path", KEY_PATH, AT(loaded, config.lease.path) },
    { "bucket", KEY_NAME, AT(loaded, config.lease.bucket) },
    { "hold", KEY_DURATION, AT(loaded, config.lease.hold_ms) },
    { "take", KEY_DURATION, AT(loaded, config.lease.take_ms) },
    { .name = NULL },
};
static const struct config_block lease = { "'lease'", lease_keys, .at = KEY_NOWHERE,
                                           .finish = finish_lease };

static const struct config_key coordination_keys[] = {
    { "lease", KEY_BLOCK, .to = KEY_NOWHERE, .block = &lease },
    { .name = NULL },
};
const struct config_block config_coordination_block = { "'coordination'", coordination_keys,
                                                        .at = KEY_NOWHERE };

/* ---- providers ------------------------------------------------------------------------------- */

static void check_socket(struct reader *r, const struct yaml_node *map, const char *key,
                         const char *read)
{
    struct yaml_node *node = reader_value(map, key);
    if (node == NULL || read == NULL || node->text[0] == '/' || strrchr(node->text, ':') != NULL)
        return;
    reader_error(r, node, "address", "'%s' is neither a socket's absolute path nor HOST:PORT",
                 node->text);
}

static void finish_haproxy(struct reader *r, struct yaml_node *map, void *out)
{
    const struct config *c = &((struct loaded *)out)->config;
    check_socket(r, map, "socket", c->providers.haproxy_socket);
    check_socket(r, map, "drill_socket", c->providers.haproxy_drill_socket);
}

static const struct config_key haproxy_keys[] = {
    { "socket", KEY_TEXT, .required = true, AT(loaded, config.providers.haproxy_socket) },
    { "drill_socket", KEY_TEXT, AT(loaded, config.providers.haproxy_drill_socket) },
    { .name = NULL },
};
static const struct config_block haproxy = { "'haproxy'", haproxy_keys, .at = KEY_NOWHERE,
                                             .finish = finish_haproxy };

static void finish_powerdns(struct reader *r, struct yaml_node *map, void *out)
{
    struct config *c = &((struct loaded *)out)->config;
    struct yaml_node *url = reader_value(map, "url");
    if (url != NULL && c->providers.powerdns_url != NULL && !config_is_http(url->text)) {
        reader_error(r, url, "url", "'%s' is not the address of an API", url->text);
        diag_hint(r->d, "write http://HOST:PORT");
    }
    if (c->providers.powerdns_server == NULL)
        c->providers.powerdns_server = dr_strdup("localhost");
}

static const struct config_key powerdns_keys[] = {
    { "url", KEY_TEXT, .required = true, AT(loaded, config.providers.powerdns_url) },
    { "key", KEY_SECRET, .required = true, AT(loaded, config.providers.powerdns_key) },
    { "drill_key", KEY_SECRET, AT(loaded, config.providers.powerdns_drill_key) },
    { "server", KEY_TEXT, AT(loaded, config.providers.powerdns_server) },
    { .name = NULL },
};
static const struct config_block powerdns = { "'powerdns'", powerdns_keys, .at = KEY_NOWHERE,
                                              .finish = finish_powerdns };

static void finish_dns(struct reader *r, struct yaml_node *map, void *out)
{
    (void)out;
    struct yaml_node *list = reader_value(map, "resolvers");
    for (size_t i = 0; list != NULL && list->kind == YAML_LIST && i < list->count; i++)
        config_check_port(r, list->items[i]);
}

static const struct config_key dns_keys[] = {
    { "resolvers", KEY_LIST, .required = true, AT(loaded, config.providers.dns_resolvers) },
    { .name = NULL },
};
static const struct config_block dns = { "'dns'", dns_keys, .at = KEY_NOWHERE,
                                         .finish = finish_dns };

static const struct config_key service_keys[] = {
    { "start", KEY_ARGV, AT(loaded, config.providers.service_start) },
    { "stop", KEY_ARGV, AT(loaded, config.providers.service_stop) },
    { "status", KEY_ARGV, AT(loaded, config.providers.service_status) },
    { .name = NULL },
};
static const struct config_block service = { "'service'", service_keys, .at = KEY_NOWHERE };

static const struct config_key provider_keys[] = {
    { "haproxy", KEY_BLOCK, .to = KEY_NOWHERE, .block = &haproxy },
    { "powerdns", KEY_BLOCK, .to = KEY_NOWHERE, .block = &powerdns },
    { "dns", KEY_BLOCK, .to = KEY_NOWHERE, .block = &dns },
    { "service", KEY_BLOCK, .to = KEY_NOWHERE, .block = &service },
    { .name = NULL },
};
const struct config_block config_providers_block = { "'providers'", provider_keys,
                                                     .at = KEY_NOWHERE };
