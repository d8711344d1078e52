/*
 * step.c - "drctl step": one step at work, started by the engine (and by nobody else).
 *
 * The request comes on standard input, the events go to standard output (dr/step/step.h). It is a
 * hidden verb: its options are those of the request. With --remote it was started by ssh, for the engine
 * of another host, and uses the configuration of this one.
 */
#include <limits.h>

#include "dr/cli/verbs.h"
#include "plugins/plugins.h"
#include "plugins/reach.h"

static int run_step(struct cli *cli)
{
    bool remote = false;
    const struct cli_option options[] = { { "remote", .flag = &remote } };
    if (!cli_options(cli, options, DR_ARRAY_LEN(options), 0, 0))
        return EXIT_USAGE;
    size_t count = 0;
    const struct provider *const *providers = plugin_all(&count);
    char path[PATH_MAX];
    const struct step_options o = {
        .remote = remote,
        .version = DRCTL_VERSION,
        .config = cli->config_path != NULL ? realpath(cli->config_path, path) : NULL,
        .elsewhere = reach_elsewhere,
    };
    return step_main(providers, count, &o);
}

const struct cli_verb verb_step = {
    .name = "step",
    .usage =
        "drctl step [--remote]      One step at work: a request on standard input, events on\n"
        "                           standard output. --remote: for the engine of another host\n",
    .run = run_step,
};
