/*
 * providers.h - the rows of the providers' table, as their files define them.
 *
 * A provider is a constant struct in a file of its own; plugins.c puts them into one table. Whoever
 * adds a step type writes the file, declares its row here and adds it there.
 */
#ifndef PLUGINS_PROVIDERS_H
#define PLUGINS_PROVIDERS_H

#include "dr/step/step.h"

extern const struct provider provider_backup_check;
extern const struct provider provider_backup_now;
extern const struct provider provider_backup_pick;
extern const struct provider provider_backup_restore;
extern const struct provider provider_data_check;
extern const struct provider provider_dns_check;
extern const struct provider provider_dns_ttl;
extern const struct provider provider_drill_clean;
extern const struct provider provider_drill_look;
extern const struct provider provider_drill_plant;
extern const struct provider provider_drill_rights;
extern const struct provider provider_drill_tree;
extern const struct provider provider_exec;
extern const struct provider provider_exec_check;
extern const struct provider provider_fence;
extern const struct provider provider_haproxy;
extern const struct provider provider_http_check;
extern const struct provider provider_lease_check;
extern const struct provider provider_powerdns;
extern const struct provider provider_service_promote;
extern const struct provider provider_wait;

#endif
