/*
 * step.c - "drctl step": one step at work, started by the engine (and by nobody else).
 *
 * The request comes on standard input, the events go to standard output (dr/step/step.h). It is a
 * hidden verb: its options are those of the request.
 */
#include "dr/cli/verbs.h"
#include "plugins/plugins.h"

static int run_step(struct cli *cli)
{
    if (cli->argc > 1)
        return cli_usage(cli, "'step' takes no arguments: the request comes on standard input");
    size_t count = 0;
    const struct provider *const *providers = plugin_all(&count);
    return step_main(providers, count);
}

const struct cli_verb verb_step = {
    .name = "step",
    .usage =
        "drctl step      One step at work: a request on standard input, events on standard output\n",
    .run = run_step,
};
