/*
 * verbs.h - the names of all verbs, so that the table can be written.
 *
 * Each is defined in the file of its name: dr/cli/backup.c has verb_backup. A hidden verb (its
 * summary is NULL) is one that drctl itself starts. The order here is the alphabet's; the order
 * that people see is that of the table in verbs.c.
 */
#ifndef DR_CLI_VERBS_H
#define DR_CLI_VERBS_H

#include "dr/cli/cli.h"

extern const struct cli_verb verb_help;

#endif
