/*
 * sure.h - "are you sure?" of the verbs that delete.
 *
 * --yes answers it. Without it a person at a terminal is asked; where nobody can be asked nothing is done,
 * and the usage error says which option is missing.
 */
#ifndef DR_CLI_SURE_H
#define DR_CLI_SURE_H

#include "dr/cli/cli.h"

enum sure { SURE_YES, SURE_NO, SURE_NOBODY };

/* what: "delete 2 snapshots", without a question mark. SURE_NOBODY was told. */
enum sure cli_sure(struct cli *cli, const char *what);

#endif
