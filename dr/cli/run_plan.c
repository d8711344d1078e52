/*
 * run_plan.c - the plan that is about to run: found, read and linted as `drctl plan lint` does.
 */
#include "dr/cli/run_plan.h"

#include "dr/cli/plan.h"

struct plan *run_plan_load(struct cli *cli, const struct config *c, const char *word,
                           char **ret_text, int *ret_exit)
{
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    struct plan *p = NULL;
    *ret_exit = cli_plan_read(cli, c, word, &text, &p);
    if (*ret_exit != EXIT_DONE)
        return NULL;
    *ret_text = buf_take(&text);
    return p;
}
