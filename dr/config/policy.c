/*
 * policy.c - the tables of strategy and backup_policy: where the service runs, how often what is taken,
 * how long it is kept, and how often it is proved and tidied up.
 */
#include <string.h>

#include "dr/base/mem.h"
#include "dr/config/load.h"

#define AT(type, field) .to = offsetof(struct type, field)
#define ROWS(list, n)   .to = offsetof(struct loaded, list), .count_to = offsetof(struct loaded, n)
#define OFTEN(type)     AT(type, frequency_ms), .count_to = offsetof(struct type, frequency_word)

enum { PRIORITY_MAX = 1000000 };

/* ---- strategy -------------------------------------------------------------------------------- */

static const struct config_key secondary_keys[] = {
    { "name", KEY_NAME, .required = true, AT(secondary, name) },
    { "role", KEY_TEXT, AT(secondary, role) },
    { "priority", KEY_INTEGER, AT(secondary, priority), .min = 1, .max = PRIORITY_MAX },
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
const struct config_block config_strategy_block = { "'strategy'", strategy_keys,
                                                    .at = KEY_NOWHERE };

/* ---- backup_policy ------------------------------------------------------------------------------ */

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
    { "frequency", KEY_FREQUENCY, OFTEN(config_policy) },
    { "retention", KEY_DURATION, AT(config_policy, retention_ms) },
    { "storage_locations", KEY_OWN, AT(config_policy, storage_locations), .read = read_locations,
      .fini = fini_list },
    { .name = NULL },
};

static void finish_policy(struct reader *r, struct yaml_node *map, void *out)
{
    (void)r;
    struct config_policy *policy = out;
    const struct yaml_node *frequency = reader_value(map, "frequency");
    const struct yaml_node *retention = reader_value(map, "retention");
    policy->given = true;
    policy->frequency_at = frequency != NULL ? reader_at(frequency) : policy->at;
    policy->retention_at = retention != NULL ? reader_at(retention) : policy->at;
}

#define POLICY(name)                                                                          \
    {                                                                                         \
        name, policy_keys, .at = offsetof(struct config_policy, at), .finish = finish_policy, \
    }
static const struct config_block full_policy = POLICY("'full_backup'");
static const struct config_block incremental_policy = POLICY("'incremental_backup'");
static const struct config_block snapshot_policy = POLICY("'config_snapshot'");

static void finish_chore(struct reader *r, struct yaml_node *map, void *out)
{
    (void)r;
    (void)map;
    ((struct config_chore *)out)->given = true;
}

static const struct config_key verification_keys[] = {
    { "frequency", KEY_FREQUENCY, OFTEN(config_chore) },
    { "budget", KEY_SIZE, AT(config_chore, budget_bytes) },
    { .name = NULL },
};
static const struct config_block verification = {
    "'verification'",
    verification_keys,
    .at = offsetof(struct config_chore, at),
    .finish = finish_chore,
};

static const struct config_key prune_keys[] = {
    { "frequency", KEY_FREQUENCY, OFTEN(config_chore) },
    { .name = NULL },
};
static const struct config_block prune = {
    "'prune'",
    prune_keys,
    .at = offsetof(struct config_chore, at),
    .finish = finish_chore,
};

static const struct config_key backup_policy_keys[] = {
    { "full_backup", KEY_BLOCK, AT(config, full), .block = &full_policy },
    { "incremental_backup", KEY_BLOCK, AT(config, incremental), .block = &incremental_policy },
    { "config_snapshot", KEY_BLOCK, AT(config, snapshot), .block = &snapshot_policy },
    { "verification", KEY_BLOCK, AT(config, verification), .block = &verification },
    { "prune", KEY_BLOCK, AT(config, prune), .block = &prune },
    { "require", KEY_OWN, AT(config, require), .read = config_read_require,
      .fini = config_fini_require },
    { .name = NULL },
};
const struct config_block config_policy_block = { "'backup_policy'", backup_policy_keys,
                                                  .at = KEY_NOWHERE };
