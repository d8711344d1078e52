/*
 * load.h - what the room's files share while a configuration is being read.
 *
 *     reader.c      tables of keys -> structs, one mistake one message
 *     keys.c        the tables of the file itself; the blocks below it have one file each:
 *                   policy objectives drill findings monitoring people sites sources buckets probes
 *                   providers notify secrets prices require; s3_url.c is the url of a bucket on S3
 *     config.c      defaults, and the order: read, complete, check
 *     check.c       what one key alone cannot know: names that must exist, regions, buckets
 *     locations.c   buckets of a file that names only storage locations
 *     paths.c       the list of all keys, for the page and its test
 *     review.c      not while reading: what `drctl check` has to say about a good file
 *
 * struct loaded is the struct config that callers see, followed by what only the checks need.
 */
#ifndef DR_CONFIG_LOAD_H
#define DR_CONFIG_LOAD_H

#include "dr/config/reader.h"

struct secondary { /* of strategy.secondary_regions */
    char *name;
    char *role;
    int priority; /* 1 is first; 0: not given, then the order of the file */
    struct config_place at;
};

struct loaded {
    struct config config; /* first: config_free() gets its address */
    struct secondary *secondaries;
    size_t secondary_count;
    int64_t probe_interval_ms, probe_timeout_ms; /* monitoring.health_checks, 0: not given */
};

/* The whole file (keys.c). */
extern const struct config_block config_file;

/* Blocks below it, each in the file of its name. */
extern const struct config_block config_strategy_block, config_policy_block; /* policy.c */
extern const struct config_block config_drill_block;
extern const struct config_block config_monitoring_block;
extern const struct config_block config_findings_block;
extern const struct config_block config_incident_block; /* people.c */
extern const struct config_block config_coordination_block,
    config_providers_block; /* providers.c */

/* One row of each list. */
extern const struct config_block config_site_block, config_source_block, config_bucket_block;
extern const struct config_block config_probe_block;

/* Maps whose keys are the user's own words, with the block of each. out: the struct config. */
extern const struct config_block config_channel_block, config_secret_block;
void config_read_rto(struct reader *r, struct yaml_node *key, struct yaml_node *value, void *out);
void config_read_rpo(struct reader *r, struct yaml_node *key, struct yaml_node *value, void *out);
void config_read_notify(struct reader *r, struct yaml_node *key, struct yaml_node *value,
                        void *out);
void config_read_secrets(struct reader *r, struct yaml_node *key, struct yaml_node *value,
                         void *out);
void config_read_trust(struct reader *r, struct yaml_node *key, struct yaml_node *value, void *out);
void config_fini_rto(void *out);
void config_fini_rpo(void *out);
void config_fini_notify(void *out);
void config_fini_secrets(void *out);
void config_fini_trust(void *out);

/* Complete what was left out: regions in order, defaults of probes and leases (config.c), and
 * buckets for storage locations (locations.c). */
void config_complete(struct reader *r, struct yaml_node *root, struct loaded *l);
void config_buckets_from_locations(struct reader *r, struct yaml_node *root, struct loaded *l);

/* Names that nothing defines, and blocks that contradict each other. */
void config_check(struct reader *r, struct yaml_node *root, struct loaded *l);

/* "http://" or "https://"? And: a node without ":PORT" is told as an error (probes.c). */
bool config_is_http(const char *url);
void config_check_port(struct reader *r, struct yaml_node *node);

/* The nearest of the known words, or all of them, as a hint (check.c). */
void config_hint_known(struct reader *r, const char *word, const struct text_list *known,
                       const char *otherwise);

/* The block `prices` (prices.c), and backup_policy.require (require.c): what they name must exist. */
extern const struct config_block config_prices_block;
void config_check_prices(struct reader *r, struct yaml_node *root, const struct config *c);
void config_read_require(struct reader *r, struct yaml_node *key, struct yaml_node *value,
                         void *out);
void config_fini_require(void *out);
void config_check_require(struct reader *r, struct yaml_node *root, const struct config *c);

/* The owner of findings is somebody, or there is a warning (findings.c). */
void config_check_findings(struct reader *r, struct yaml_node *root, const struct config *c);

/* May url be a bucket's? False: what is wrong was told at node (buckets.c). */
bool config_check_url(struct reader *r, struct yaml_node *node);

#endif
