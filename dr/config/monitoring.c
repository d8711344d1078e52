/*
 * monitoring.c - health_checks, alerting, preflight, status: what is watched, and whom it is told.
 */
#include "dr/config/load.h"

#define AT(type, field) .to = offsetof(struct type, field)

enum { THRESHOLD_MAX = 1000 };

static const struct config_key health_checks_keys[] = {
    { "interval", KEY_DURATION, AT(loaded, probe_interval_ms) },
    { "timeout", KEY_DURATION, AT(loaded, probe_timeout_ms) },
    { "failure_threshold", KEY_INTEGER, AT(loaded, config.failure_threshold), .min = 1,
      .max = THRESHOLD_MAX },
    { .name = NULL },
};
static const struct config_block health_checks = { "'health_checks'", health_checks_keys,
                                                   .at = KEY_NOWHERE };

static void read_channels(struct reader *r, struct yaml_node *key, struct yaml_node *value,
                          void *out)
{
    reader_refs(r, value, key->text, KEY_CHANNEL, out);
}

static void fini_list(void *out)
{
    text_list_fini(out);
}

static const struct config_key alerts_keys[] = {
    { "channels", KEY_OWN, AT(config_alerts, channels), .read = read_channels, .fini = fini_list },
    { "escalation_time", KEY_DURATION, AT(config_alerts, escalation_ms) },
    { .name = NULL },
};
static const struct config_block critical_alerts = {
    "'critical_alerts'",
    alerts_keys,
    .at = offsetof(struct config_alerts, at),
};

static const struct config_block warning_alerts = {
    "'warning_alerts'",
    alerts_keys,
    .at = offsetof(struct config_alerts, at),
};

static const struct config_key alerting_keys[] = {
    { "critical_alerts", KEY_BLOCK, AT(config, critical), .block = &critical_alerts },
    { "warning_alerts", KEY_BLOCK, AT(config, warning), .block = &warning_alerts },
    { .name = NULL },
};
static const struct config_block alerting = { "'alerting'", alerting_keys, .at = KEY_NOWHERE };

static const struct config_key preflight_keys[] = {
    { "interval", KEY_DURATION, AT(config, preflight_ms) },
    { .name = NULL },
};
static const struct config_block preflight = { "'preflight'", preflight_keys, .at = KEY_NOWHERE };

static const struct config_key status_keys[] = {
    { "interval", KEY_DURATION, AT(config, status_ms) },
    { .name = NULL },
};
static const struct config_block status = { "'status'", status_keys, .at = KEY_NOWHERE };

static const struct config_key monitoring_keys[] = {
    { "health_checks", KEY_BLOCK, .to = KEY_NOWHERE, .block = &health_checks },
    { "alerting", KEY_BLOCK, .to = KEY_NOWHERE, .block = &alerting },
    { "preflight", KEY_BLOCK, .to = KEY_NOWHERE, .block = &preflight },
    { "status", KEY_BLOCK, .to = KEY_NOWHERE, .block = &status },
    { .name = NULL },
};
const struct config_block config_monitoring_block = { "'monitoring'", monitoring_keys,
                                                      .at = KEY_NOWHERE };
