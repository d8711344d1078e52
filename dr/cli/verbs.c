/*
 * verbs.c - the table of verbs, in the order in which `drctl --help` tells them.
 *
 * One line for each verb, and nothing else in this file.
 */
#include "dr/cli/verbs.h"

const struct cli_verb *const cli_verbs[] = {
    &verb_check,
    &verb_help,
    NULL,
};
