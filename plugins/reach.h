/*
 * reach.h - a step whose `at` is another host is sent there.
 *
 * "drctl step" asks this before it looks for a provider: the site of `at` is found in the
 * configuration; where it is reached by ssh and is not this very host, the request goes over ssh(1) to
 * the drctl there (dr/step/remote.h), which has a configuration of its own. The gate is asked
 * first: the host of a dark region is refused here, before any packet, and counted in the evidence
 * ("refused_connects") like each other connect. What ssh's own configuration makes of a name (a jump
 * host, an alias) is not seen here.
 */
#ifndef PLUGINS_REACH_H
#define PLUGINS_REACH_H

#include "dr/step/step.h"

/* For step_options: true when the step was done (or refused) on behalf of another host. */
bool reach_elsewhere(struct step_call *call, enum step_verdict *ret);

#endif
