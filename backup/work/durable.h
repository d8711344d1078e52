/*
 * durable.h - do these copies make a snapshot durable? Pure.
 *
 * Two rules, and both must hold: copies in W buckets (the majority of three or more; with one or two
 * buckets W is 1, and both are written), and one in each region that backup_policy.require names.
 * A set of buckets is an array of flags, in the order of the configuration.
 */
#ifndef BACKUP_WORK_DURABLE_H
#define BACKUP_WORK_DURABLE_H

#include "dr/config/config.h"

/* W. */
size_t durable_wanted(const struct config *c);

/* Both rules. has: a flag a bucket. */
bool durable_enough(const struct config *c, const bool *has);

/* The required regions in none of whose buckets there is a copy, each once, added to ret. */
void durable_lacks(const struct config *c, const bool *has, struct text_list *ret);

#endif
