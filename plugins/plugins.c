/*
 * plugins.c - the table of the built-in providers: a row for each type that works here.
 *
 * Types of the language that are missing here (region.pick, approve) are the engine's own; others
 * belong to plans that this drctl refuses to run. Those of drill.* are no types of the language: a drill's own.
 */
#include "plugins/plugins.h"

#include <string.h>

#include "plugins/providers.h"

static const struct provider *const table[] = {
    &provider_backup_check,   &provider_backup_now,      &provider_backup_pick,
    &provider_backup_restore, &provider_data_check,      &provider_dns_check,
    &provider_dns_ttl,        &provider_drill_clean,     &provider_drill_look,
    &provider_drill_plant,    &provider_drill_rights,    &provider_drill_tree,
    &provider_exec,           &provider_exec_check,      &provider_fence,
    &provider_haproxy,        &provider_http_check,      &provider_lease_check,
    &provider_powerdns,       &provider_service_promote, &provider_wait,
};

const struct provider *plugin_find(const char *type)
{
    for (size_t i = 0; i < DR_ARRAY_LEN(table); i++)
        if (strcmp(table[i]->type, type) == 0)
            return table[i];
    return NULL;
}

const struct provider *const *plugin_all(size_t *ret_count)
{
    *ret_count = DR_ARRAY_LEN(table);
    return table;
}
