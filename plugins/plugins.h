/*
 * plugins.h - the built-in providers, one file each.
 */
#ifndef PLUGINS_PLUGINS_H
#define PLUGINS_PLUGINS_H

#include "dr/step/step.h"

/* NULL when the type has no provider in this binary. */
const struct provider *plugin_find(const char *type);

/* All of them; the count in ret_count. */
const struct provider *const *plugin_all(size_t *ret_count);

#endif
