/*
 * keys.c - the tables of the whole file: what stands at its left margin, and in disaster_recovery.
 *
 * The blocks below have files of their own (load.h). Where leaving a key unused could surprise its
 * author, 'later' says what does not happen.
 */
#include "dr/config/load.h"

#define AT(type, field) .to = offsetof(struct type, field)
#define ROWS(list, n)   .to = offsetof(struct loaded, list), .count_to = offsetof(struct loaded, n)

static const struct config_key disaster_keys[] = {
    { "strategy", KEY_BLOCK, .to = KEY_NOWHERE, .block = &config_strategy_block },
    { "backup_policy", KEY_BLOCK, .to = KEY_NOWHERE, .block = &config_policy_block },
    { "rto", KEY_OWN, .to = 0, .each = "PLAN", .read = config_read_rto, .fini = config_fini_rto },
    { "rpo", KEY_OWN, .to = 0, .each = "PLAN", .read = config_read_rpo, .fini = config_fini_rpo },
    { "drill_schedule", KEY_BLOCK, AT(config, drill), .block = &config_drill_block },
    { "findings", KEY_BLOCK, AT(config, findings), .block = &config_findings_block },
    { "monitoring", KEY_BLOCK, .to = KEY_NOWHERE, .block = &config_monitoring_block },
    { "incident_response", KEY_BLOCK, .to = KEY_NOWHERE, .block = &config_incident_block },
    { .name = NULL },
};
static const struct config_block disaster = { "'disaster_recovery'", disaster_keys,
                                              .at = KEY_NOWHERE };

/* ADDRESS:PORT: who listens has an address of this host, never a name that somebody else answers for. */
static void finish_serve(struct reader *r, struct yaml_node *map, void *out)
{
    struct config *c = out;
    struct yaml_node *listen = reader_value(map, "listen");
    c->serve.at = reader_at(listen != NULL ? listen : map);
    if (listen != NULL)
        config_check_port(r, listen);
}

static const struct config_key serve_keys[] = {
    { "listen", KEY_TEXT, AT(config, serve.listen) },
    { "hosts", KEY_LIST, AT(config, serve.hosts) },
    { .name = NULL },
};
static const struct config_block serve = { "'serve'", serve_keys, .at = KEY_NOWHERE,
                                           .finish = finish_serve };

/* One a line, so that two people can add one each. */
static const struct config_key file_keys[] = {
    { "disaster_recovery", KEY_BLOCK, .to = KEY_NOWHERE, .block = &disaster },
    { "sites", KEY_ROWS, ROWS(config.sites, config.site_count), .block = &config_site_block },
    { "here", KEY_SITE, AT(config, here) },
    { "sources", KEY_ROWS, ROWS(config.sources, config.source_count),
      .block = &config_source_block },
    { "buckets", KEY_ROWS, ROWS(config.buckets, config.bucket_count),
      .block = &config_bucket_block },
    { "health", KEY_ROWS, ROWS(config.probes, config.probe_count), .block = &config_probe_block },
    { "coordination", KEY_BLOCK, .to = KEY_NOWHERE, .block = &config_coordination_block },
    { "notify", KEY_OWN, .to = 0, .each = "CHANNEL", .block = &config_channel_block,
      .read = config_read_notify, .fini = config_fini_notify },
    { "serve", KEY_BLOCK, .to = KEY_NOWHERE, .block = &serve },
    { "trusted_writers", KEY_OWN, .to = 0, .each = "SOURCE", .read = config_read_trust,
      .fini = config_fini_trust },
    { "secrets", KEY_OWN, .to = 0, .each = "NAME", .block = &config_secret_block,
      .read = config_read_secrets, .fini = config_fini_secrets },
    { "providers", KEY_BLOCK, .to = KEY_NOWHERE, .block = &config_providers_block },
    { "prices", KEY_BLOCK, AT(loaded, config.prices), .block = &config_prices_block },
    { "state_dir", KEY_PATH, AT(loaded, config.state_dir) },
    { .name = NULL },
};
const struct config_block config_file = { "the configuration", file_keys,   sizeof(struct loaded),
                                          KEY_NOWHERE,         KEY_NOWHERE, NULL };
