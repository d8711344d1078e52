/*
 * verbs.c - the table of verbs.
 *
 * One line for each, in the order of the alphabet; help.c groups those it shows.
 */
#include "dr/cli/verbs.h"

const struct cli_verb *const cli_verbs[] = {
    &verb_check, &verb_daemon, &verb_doctor,    &verb_help, &verb_init,
    &verb_key,   &verb_report, &verb_snapshots, NULL,
};
