/*
 * load.h - what the rooms' three files share while a configuration is being read.
 *
 *     reader.c   tables of keys -> structs, one mistake one message
 *     buckets.c  the table of one bucket; s3_url.c its url, where it is on S3
 *     keys.c     the tables: every key of the file, its type and its place
 *     config.c   defaults, and the order: read, complete, check
 *     check.c    what one key alone cannot know: names that must exist, regions, buckets
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

/* One row of buckets (buckets.c). */
extern const struct config_block config_bucket_block;

/* Complete what was left out: regions in order, defaults of probes and leases (config.c), and
 * buckets for storage locations (check.c). */
void config_complete(struct reader *r, struct yaml_node *root, struct loaded *l);
void config_buckets_from_locations(struct reader *r, struct yaml_node *root, struct loaded *l);

/* Names that nothing defines, and blocks that contradict each other. */
void config_check(struct reader *r, struct yaml_node *root, struct loaded *l);

/* May url be a bucket's? False: what is wrong was told at node (buckets.c). */
bool config_check_url(struct reader *r, struct yaml_node *node);

#endif
