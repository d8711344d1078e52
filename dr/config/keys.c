/*
 * keys.c - every key that the configuration may hold, as tables.
 *
 * Read from the bottom up: the last table is the file. A key that this version checks but does not use
 * has no place to go (KEY_NOWHERE); where leaving it unused could surprise its author, 'later'
 * says what does not happen.
 */
#include <string.h>

#include "dr/base/mem.h"
#include "dr/config/load.h"

#define AT(type, field) .to = offsetof(struct type, field)
#define ROWS(list, n)   .to = offsetof(struct loaded, list), .count_to = offsetof(struct loaded, n)

enum { MANY = 1000000 };

/* ---- disaster_recovery: strategy, policy ----------------------------------------------------- */

static const struct config_key secondary_keys[] = {
    { "name", KEY_NAME, .required = true, AT(secondary, name) },
    { "role", KEY_TEXT, AT(secondary, role) },
    { "priority", KEY_INTEGER, AT(secondary, priority), .min = 1, .max = MANY },
    { .name = NULL },
};
static const struct config_block secondary = {
    "a secondary region",
    secondary_keys,
    sizeof(struct secondary),
    offsetof(struct secondary, at),
    .name_to = offsetof(struct secondary, name),
};

static const struct config_key strategy_keys[] = {
    { "type", KEY_TEXT, AT(loaded, config.strategy_type) },
    { "primary_region", KEY_NAME, AT(loaded, config.primary_region) },
    { "secondary_regions", KEY_ROWS, ROWS(secondaries, secondary_count), .block = &secondary },
    { .name = NULL },
};
static const struct config_block strategy = { "'strategy'", strategy_keys, .at = KEY_NOWHERE };

static void read_locations(struct reader *r, struct yaml_node *key, struct yaml_node *value,
                           void *out)
{
    if (!reader_list(r, value, key->text, out))
        return;
    for (size_t i = 0; i < value->count; i++)
        if (!value->items[i]->reported)
            reader_ref(r, KEY_LIST, value->items[i]);
}

static void fini_list(void *out)
{
    text_list_fini(out);
}

static const struct config_key policy_keys[] = {
    { "frequency", KEY_FREQUENCY, AT(config_policy, frequency_ms) },
    { "retention", KEY_DURATION, AT(config_policy, retention_ms) },
    { "storage_locations", KEY_OWN, AT(config_policy, storage_locations), .read = read_locations,
      .fini = fini_list },
    { .name = NULL },
};

static void policy_given(struct reader *r, struct yaml_node *map, void *out)
{
    (void)r;
    (void)map;
    ((struct config_policy *)out)->given = true;
}

static const struct config_block full_policy = {
    "'full_backup'",
    policy_keys,
    .at = KEY_NOWHERE,
    .finish = policy_given,
};
static const struct config_block incremental_policy = {
    "'incremental_backup'",
    policy_keys,
    .at = KEY_NOWHERE,
    .finish = policy_given,
};
static const struct config_block snapshot_policy = {
    "'config_snapshot'",
    policy_keys,
    .at = KEY_NOWHERE,
    .finish = policy_given,
};

static const struct config_key backup_policy_keys[] = {
    { "full_backup", KEY_BLOCK, AT(config, full), .block = &full_policy },
    { "incremental_backup", KEY_BLOCK, AT(config, incremental), .block = &incremental_policy },
    { "config_snapshot", KEY_BLOCK, AT(config, snapshot), .block = &snapshot_policy },
    { .name = NULL },
};
static const struct config_block backup_policy = { "'backup_policy'", backup_policy_keys,
                                                   .at = KEY_NOWHERE };

/* ---- disaster_recovery: objectives ------------------------------------------------------------ */

/* A plan's name as the plan itself writes it: '-' and '_' are equal here. */
static char *plan_name(const char *text)
{
    char *name = dr_strdup(text);
    for (char *p = name; *p != '\0'; p++)
        if (*p == '-')
            *p = '_';
    return name;
}

static void add_objective(struct reader *r, struct yaml_node *key, struct yaml_node *value,
                          struct config_objective **list, size_t *count)
{
    int64_t ms = 0;
    if (!reader_is_name(r, key, "a plan's name") || !reader_is(r, value, YAML_SCALAR, key->text) ||
        !reader_duration(r, value, &ms))
        return;
    char *plan = plan_name(key->text);
    for (size_t i = 0; i < *count; i++)
        if (strcmp((*list)[i].plan, plan) == 0) {
            reader_error(r, key, "duplicate-key", "'%s' is given twice in this block", key->text);
            diag_hint(r->d, "first given on line %d; '-' and '_' are equal here",
                      (*list)[i].at.line);
            free(plan);
            return;
        }
    *list = dr_realloc(*list, *count + 1, sizeof(**list));
    (*list)[(*count)++] = (struct config_objective){ plan, ms, { key->line, key->col } };
}

static void read_rto(struct reader *r, struct yaml_node *key, struct yaml_node *value, void *out)
{
    struct config *c = out;
    if (reader_is(r, value, YAML_MAP, key->text))
        for (size_t i = 0; i < value->count; i++)
            add_objective(r, value->keys[i], value->items[i], &c->rto, &c->rto_count);
}

static void read_rpo(struct reader *r, struct yaml_node *key, struct yaml_node *value, void *out)
{
    struct config *c = out;
    if (reader_is(r, value, YAML_MAP, key->text))
        for (size_t i = 0; i < value->count; i++)
            add_objective(r, value->keys[i], value->items[i], &c->rpo, &c->rpo_count);
}

static void fini_objectives(struct config_objective *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(list[i].plan);
    free(list);
}

static void fini_rto(void *out)
{
    struct config *c = out;
    fini_objectives(c->rto, c->rto_count);
}

static void fini_rpo(void *out)
{
    struct config *c = out;
    fini_objectives(c->rpo, c->rpo_count);
}

/* ---- disaster_recovery: drills, monitoring, people --------------------------------------------- */

static const struct config_key drill_keys[] = {
    { "frequency", KEY_FREQUENCY, .to = KEY_NOWHERE },
    { "participants", KEY_LIST, .to = KEY_NOWHERE },
    { "notification_channels", KEY_LIST, .to = KEY_NOWHERE },
    { .name = NULL },
};
static const struct config_block drill = { "'drill_schedule'", drill_keys, .at = KEY_NOWHERE };

static const struct config_key health_checks_keys[] = {
    { "interval", KEY_DURATION, AT(loaded, probe_interval_ms) },
    { "timeout", KEY_DURATION, AT(loaded, probe_timeout_ms) },
    { "failure_threshold", KEY_INTEGER, .to = KEY_NOWHERE, .min = 1, .max = MANY },
    { .name = NULL },
};
static const struct config_block health_checks = { "'health_checks'", health_checks_keys,
                                                   .at = KEY_NOWHERE };

static const struct config_key alerts_keys[] = {
    { "channels", KEY_LIST, .to = KEY_NOWHERE },
    { "escalation_time", KEY_DURATION, .to = KEY_NOWHERE },
    { .name = NULL },
};
static const struct config_block critical_alerts = { "'critical_alerts'", alerts_keys,
                                                     .at = KEY_NOWHERE };
static const struct config_block warning_alerts = { "'warning_alerts'", alerts_keys,
                                                    .at = KEY_NOWHERE };

static const struct config_key alerting_keys[] = {
    { "critical_alerts", KEY_BLOCK, .to = KEY_NOWHERE, .block = &critical_alerts },
    { "warning_alerts", KEY_BLOCK, .to = KEY_NOWHERE, .block = &warning_alerts },
    { .name = NULL },
};
static const struct config_block alerting = { "'alerting'", alerting_keys, .at = KEY_NOWHERE };

static const struct config_key monitoring_keys[] = {
    { "health_checks", KEY_BLOCK, .to = KEY_NOWHERE, .block = &health_checks },
    { "alerting", KEY_BLOCK, .to = KEY_NOWHERE, .block = &alerting },
    { .name = NULL },
};
static const struct config_block monitoring = { "'monitoring'", monitoring_keys,
                                                .at = KEY_NOWHERE };

static void add_person(struct config *c, const char *name, const char *role)
{
    c->people = dr_realloc(c->people, c->person_count + 1, sizeof(*c->people));
    c->people[c->person_count++] = (struct config_person){ dr_strdup(name), dr_strdup(role) };
}

/* One person: a name, or a block that has one (the rest of it is the user's own). */
static void read_person(struct reader *r, struct yaml_node *node, const char *role,
                        struct config *c)
{
    const struct yaml_node *name = node;
    if (node->kind == YAML_MAP)
        name = reader_value(node, "name");
    if (node->reported)
        return;
    if (name != NULL && name->kind == YAML_SCALAR && name->len > 0)
        add_person(c, name->text, role);
    else {
        reader_warning(r, node, "no-person", "'%s' names no person", role);
        diag_hint(r->d, "write {name: ana, phone: ...}");
    }
}

static void read_people(struct reader *r, struct yaml_node *key, struct yaml_node *value, void *out)
{
    struct config *c = out;
    if (!reader_is(r, value, YAML_MAP, key->text))
        return;
    c->people_at = (struct config_place){ key->line, key->col };
    for (size_t i = 0; i < value->count; i++) {
        struct yaml_node *who = value->items[i];
        if (who->kind != YAML_LIST) {
            read_person(r, who, value->keys[i]->text, c);
            continue;
        }
        for (size_t k = 0; k < who->count; k++)
            read_person(r, who->items[k], value->keys[i]->text, c);
    }
}

static void fini_people(void *out)
{
    struct config *c = out;
    for (size_t i = 0; i < c->person_count; i++) {
        free(c->people[i].name);
        free(c->people[i].role);
    }
    free(c->people);
}

static const struct config_key incident_keys[] = {
    { "runbooks", KEY_LIST, .to = KEY_NOWHERE },
    { "contact_information", KEY_OWN, .to = 0, .read = read_people, .fini = fini_people },
    { .name = NULL },
};
static const struct config_block incident = { "'incident_response'", incident_keys,
                                              .at = KEY_NOWHERE };

static const struct config_key disaster_keys[] = {
    { "strategy", KEY_BLOCK, .to = KEY_NOWHERE, .block = &strategy },
    { "backup_policy", KEY_BLOCK, .to = KEY_NOWHERE, .block = &backup_policy },
    { "rto", KEY_OWN, .to = 0, .read = read_rto, .fini = fini_rto },
    { "rpo", KEY_OWN, .to = 0, .read = read_rpo, .fini = fini_rpo },
    { "drill_schedule", KEY_BLOCK, .to = KEY_NOWHERE, .block = &drill },
    { "monitoring", KEY_BLOCK, .to = KEY_NOWHERE, .block = &monitoring },
    { "incident_response", KEY_BLOCK, .to = KEY_NOWHERE, .block = &incident },
    { .name = NULL },
};
static const struct config_block disaster = { "'disaster_recovery'", disaster_keys,
                                              .at = KEY_NOWHERE };

/* ---- sites, sources, buckets, health ------------------------------------------------------------ */

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

static void finish_site(struct reader *r, struct yaml_node *map, void *out)
{
    struct config_site *site = out;
    if (site->name == NULL && site->region != NULL && yaml_get(map, "name", NULL) == NULL)
        site->name = dr_strdup(site->region);
    if (site->reach == NULL)
        site->reach = dr_strdup("local");
    else if (strcmp(site->reach, "ssh") == 0)
        reader_warning(r, yaml_get(map, "reach", NULL), "not-available",
                       "'ssh' is not available in this version: no step can run at this site");
}

static const char *const reaches[] = { "local", "ssh", NULL };

static const struct config_key site_keys[] = {
    { "region", KEY_NAME, .required = true, AT(config_site, region) },
    { "name", KEY_NAME, AT(config_site, name) },
    { "host", KEY_TEXT, AT(config_site, host) },
    { "reach", KEY_CHOICE, AT(config_site, reach), .choices = reaches },
    { "address", KEY_TEXT, AT(config_site, address) },
    { "fields", KEY_OWN, .to = 0, .read = read_fields, .fini = fini_fields },
    { .name = NULL },
};
static const struct config_block site = {
    "a site",
    site_keys,
    sizeof(struct config_site),
    offsetof(struct config_site, at),
    .name_to = offsetof(struct config_site, name),
    .finish = finish_site,
};

static const char *const classes[] = { "data", "config", NULL };

/* A command: a list of words, or one line for the shell. */
static void read_command(struct reader *r, struct yaml_node *key, struct yaml_node *value,
                         void *out)
{
    struct text_list *argv = out;
    if (value->kind == YAML_LIST) {
        if (reader_list(r, value, key->text, argv) && value->count == 0)
            reader_error(r, value, "empty", "'%s' is a command without a word", key->text);
        return;
    }
    char *line = NULL;
    if (!reader_text(r, value, key->text, &line))
        return;
    text_list_add(argv, "/bin/sh");
    text_list_add(argv, "-c");
    text_list_add(argv, line);
    free(line);
}

static void fini_command(void *out)
{
    text_list_fini(out);
}

static void finish_hooks(struct reader *r, struct yaml_node *map, void *out)
{
    struct config_hooks *hooks = out;
    (void)r;
    (void)map;
    if (hooks->timeout_ms == 0)
        hooks->timeout_ms = CONFIG_HOOK_MS;
}

static const struct config_key hook_keys[] = {
    { "pre", KEY_OWN, AT(config_hooks, pre), .read = read_command, .fini = fini_command },
    { "post", KEY_OWN, AT(config_hooks, post), .read = read_command, .fini = fini_command },
    { "on_error", KEY_OWN, AT(config_hooks, on_error), .read = read_command, .fini = fini_command },
    { "timeout", KEY_DURATION, AT(config_hooks, timeout_ms) },
    { .name = NULL },
};
static const struct config_block hooks = { "'hooks'", hook_keys, sizeof(struct config_hooks),
                                           .at = KEY_NOWHERE, .finish = finish_hooks };

/* The sentinel is a path below the source: never outside of it. */
static void finish_source(struct reader *r, struct yaml_node *map, void *out)
{
    struct config_source *source = out;
    if (source->class == NULL)
        source->class = dr_strdup("data");
    struct yaml_node *node = reader_value(map, "sentinel");
    if (source->sentinel == NULL || node == NULL)
        return;
    const char *t = node->text;
    bool up = strcmp(t, "..") == 0 || text_starts(t, "../") || strstr(t, "/../") != NULL ||
              text_ends(t, "/..");
    if (t[0] == '/' || up) {
        reader_error(r, node, "sentinel", "'%s' is not below the source's path", t);
        diag_hint(r->d, "write it as seen from there: sentinel.json");
    }
}

static const struct config_key source_keys[] = {
    { "name", KEY_NAME, .required = true, AT(config_source, name) },
    { "site", KEY_SITE, AT(config_source, site) },
    { "path", KEY_PATH, .required = true, AT(config_source, path) },
    { "class", KEY_CHOICE, AT(config_source, class), .choices = classes },
    { "exclude", KEY_LIST, AT(config_source, exclude) },
    { "hooks", KEY_BLOCK, AT(config_source, hooks), .block = &hooks },
    { "sentinel", KEY_TEXT, AT(config_source, sentinel) },
    { .name = NULL },
};
static const struct config_block source = {
    "a source",
    source_keys,
    sizeof(struct config_source),
    offsetof(struct config_source, at),
    .name_to = offsetof(struct config_source, name),
    .finish = finish_source,
};

static void read_from(struct reader *r, struct yaml_node *key, struct yaml_node *value, void *out)
{
    (void)out;
    if (!reader_is(r, value, YAML_LIST, key->text))
        return;
    for (size_t i = 0; i < value->count; i++)
        if (reader_is_name(r, value->items[i], key->text))
            reader_ref(r, KEY_SITE, value->items[i]);
}

static bool url_fits(const char *kind, const char *url)
{
    if (strcmp(kind, "http") == 0)
        return text_starts(url, "http://") || text_starts(url, "https://");
    if (strcmp(kind, "tcp") == 0)
        return strrchr(text_starts(url, "tcp://") ? url + strlen("tcp://") : url, ':') != NULL;
    return url[0] == '/';
}

/* Name servers are asked by address: there is nobody yet who could resolve a name. */
static void check_port(struct reader *r, struct yaml_node *node)
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
        check_port(r, resolver);
}

static const char *const kinds[] = { "http", "tcp", "exec", NULL };

static const struct config_key probe_keys[] = {
    { "name", KEY_NAME, .required = true, AT(config_probe, name) },
    { "kind", KEY_CHOICE, AT(config_probe, kind), .choices = kinds },
    { "url", KEY_TEXT, .required = true, AT(config_probe, url) },
    { "expect", KEY_INTEGER, AT(config_probe, expect), .min = 100, .max = 599 },
    { "from", KEY_OWN, .to = KEY_NOWHERE, .read = read_from },
    { "resolver", KEY_TEXT, AT(config_probe, resolver) },
    { "interval", KEY_DURATION, AT(config_probe, interval_ms) },
    { "timeout", KEY_DURATION, AT(config_probe, timeout_ms) },
    { "times", KEY_INTEGER, AT(config_probe, times), .min = 1, .max = 1000 },
    { .name = NULL },
};
static const struct config_block probe = {
    "a health probe",
    probe_keys,
    sizeof(struct config_probe),
    offsetof(struct config_probe, at),
    .name_to = offsetof(struct config_probe, name),
    .finish = finish_probe,
};

/* ---- coordination, providers, secrets, trust ------------------------------------------------------ */

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
static const struct config_block coordination = { "'coordination'", coordination_keys,
                                                  .at = KEY_NOWHERE };

static void finish_haproxy(struct reader *r, struct yaml_node *map, void *out)
{
    const struct config *c = &((struct loaded *)out)->config;
    struct yaml_node *node = reader_value(map, "socket");
    if (node == NULL || c->providers.haproxy_socket == NULL || node->text[0] == '/' ||
        strrchr(node->text, ':') != NULL)
        return;
    reader_error(r, node, "address", "'%s' is neither a socket's absolute path nor HOST:PORT",
                 node->text);
}

static const struct config_key haproxy_keys[] = {
    { "socket", KEY_TEXT, .required = true, AT(loaded, config.providers.haproxy_socket) },
    { .name = NULL },
};
static const struct config_block haproxy = { "'haproxy'", haproxy_keys, .at = KEY_NOWHERE,
                                             .finish = finish_haproxy };

static void finish_powerdns(struct reader *r, struct yaml_node *map, void *out)
{
    struct config *c = &((struct loaded *)out)->config;
    struct yaml_node *url = reader_value(map, "url");
    if (url != NULL && c->providers.powerdns_url != NULL && !url_fits("http", url->text)) {
        reader_error(r, url, "url", "'%s' is not the address of an API", url->text);
        diag_hint(r->d, "write http://HOST:PORT");
    }
    if (c->providers.powerdns_server == NULL)
        c->providers.powerdns_server = dr_strdup("localhost");
}

static const struct config_key powerdns_keys[] = {
    { "url", KEY_TEXT, .required = true, AT(loaded, config.providers.powerdns_url) },
    { "key", KEY_SECRET, .required = true, AT(loaded, config.providers.powerdns_key) },
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
        check_port(r, list->items[i]);
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
static const struct config_block providers = { "'providers'", provider_keys, .at = KEY_NOWHERE };

static void finish_secret(struct reader *r, struct yaml_node *map, void *out)
{
    struct config_secret *secret = out;
    bool file = yaml_get(map, "file", NULL) != NULL, env = yaml_get(map, "env", NULL) != NULL;
    if (file != env)
        return;
    reader_error(r, map, "secret",
                 file ? "a secret has both a file and an env"
                      : "a secret says neither a file nor an env");
    diag_hint(r->d, "write {file: /etc/drctl/NAME} or {env: NAME}");
    (void)secret;
}

static const struct config_key secret_keys[] = {
    { "file", KEY_PATH, AT(config_secret, file) },
    { "env", KEY_TEXT, AT(config_secret, env) },
    { .name = NULL },
};
static const struct config_block secret = { "a secret", secret_keys, .at = KEY_NOWHERE,
                                            .finish = finish_secret };

static void read_secrets(struct reader *r, struct yaml_node *key, struct yaml_node *value,
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
        block_read(r, &secret, node, row);
    }
}

static void fini_secrets(void *out)
{
    struct config *c = out;
    for (size_t i = 0; i < c->secret_count; i++) {
        free(c->secrets[i].name);
        block_fini(&secret, &c->secrets[i]);
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

static void read_trust(struct reader *r, struct yaml_node *key, struct yaml_node *value, void *out)
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

static void fini_trust(void *out)
{
    struct config *c = out;
    for (size_t i = 0; i < c->trust_count; i++) {
        free(c->trusts[i].source);
        text_list_fini(&c->trusts[i].keys);
    }
    free(c->trusts);
}

static void read_notify(struct reader *r, struct yaml_node *key, struct yaml_node *value, void *out)
{
    (void)out;
    if (!reader_is(r, value, YAML_MAP, key->text))
        return;
    for (size_t i = 0; i < value->count; i++)
        (void)reader_is(r, value->items[i], YAML_MAP, value->keys[i]->text); /* told there */
}

/* ---- the file --------------------------------------------------------------------------------------- */

static const struct config_key file_keys[] = {
    { "disaster_recovery", KEY_BLOCK, .to = KEY_NOWHERE, .block = &disaster },
    { "sites", KEY_ROWS, ROWS(config.sites, config.site_count), .block = &site },
    { "sources", KEY_ROWS, ROWS(config.sources, config.source_count), .block = &source },
    { "buckets", KEY_ROWS, ROWS(config.buckets, config.bucket_count),
      .block = &config_bucket_block },
    { "health", KEY_ROWS, ROWS(config.probes, config.probe_count), .block = &probe },
    { "coordination", KEY_BLOCK, .to = KEY_NOWHERE, .block = &coordination },
    { "notify", KEY_OWN, .to = KEY_NOWHERE, .read = read_notify,
      .later = "has no effect in this version: nobody is told but who runs drctl" },
    { "trusted_writers", KEY_OWN, .to = 0, .read = read_trust, .fini = fini_trust },
    { "secrets", KEY_OWN, .to = 0, .read = read_secrets, .fini = fini_secrets },
    { "providers", KEY_BLOCK, .to = KEY_NOWHERE, .block = &providers },
    { "state_dir", KEY_PATH, AT(loaded, config.state_dir) },
    { .name = NULL },
};
const struct config_block config_file = { "the configuration", file_keys,   sizeof(struct loaded),
                                          KEY_NOWHERE,         KEY_NOWHERE, NULL };
