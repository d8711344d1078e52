/*
 * command.h - run a command of the operator's: no shell, a small environment, bounded output.
 *
 * The command stays in our process group, so the engine's deadline on the group takes it along; a
 * little before that deadline we end it ourselves, to be able to say so. Standard input is
 * empty. Of the output the first OUTPUT_MAX bytes are kept, the rest is read and dropped,
 * so that a flood neither blocks the command nor fills our memory; of standard error the last
 * line is kept.
 */
#ifndef PLUGINS_COMMAND_H
#define PLUGINS_COMMAND_H

#include "dr/base/text.h"
#include "plugins/stage.h"

enum { COMMAND_OUTPUT_MAX = 64 * 1024, COMMAND_ARGS_MAX = 256 };

struct command_result {
    int code;          /* exit code, or -1 */
    int signal;        /* that killed it, or 0 */
    bool late;         /* it was killed because the time was over */
    struct buf output; /* of standard output, at most COMMAND_OUTPUT_MAX */
    bool cut;          /* there was more */
    char last[256];    /* last line of standard error, printable */
};
void command_result_fini(struct command_result *r);

/*
 * Run argv (argv[0] by the PATH /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin) and wait.
 * Environment: that PATH, HOME (ours), LANG=C.UTF-8, DRCTL_RUN, DRCTL_STEP_KEY, DRCTL_REGION (of the site, or
 * empty), DRCTL_CONFIG, then env ("NAME=value"). DR_E_NOTFOUND and DR_E_DENIED: it could not be
 * started, nothing was done.
 */
enum dr_rc command_run(struct stage *p, const struct config_site *at, const struct text_list *argv,
                       const struct text_list *env, struct command_result *ret, struct dr_err *err)
    DR_MUST_USE;

/* "'/bin/x' ended with exit code 3: last words". Returns out. */
char *command_tell(const struct command_result *r, const char *command, char out[DR_ERR_MSG_MAX]);

#endif
