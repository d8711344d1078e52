/*
 * verbs.c - the table of verbs.
 *
 * One line for each, in the order of the alphabet; help.c groups those it shows.
 */
#include "dr/cli/verbs.h"

/* One a line, so that two people can add one each. */
/* clang-format off */
const struct cli_verb *const cli_verbs[] = {
    &verb_alerts,
    &verb_audit,
    &verb_backup,
    &verb_bootstrap,
    &verb_cat,
    &verb_check,
    &verb_config,
    &verb_completion,
    &verb_daemon,
    &verb_diff,
    &verb_doctor,
    &verb_drill,
    &verb_drill_turn,
    &verb_export,
    &verb_failover,
    &verb_find,
    &verb_findings,
    &verb_forget,
    &verb_help,
    &verb_init,
    &verb_key,
    &verb_lease,
    &verb_ls,
    &verb_notify_send,
    &verb_pin,
    &verb_plan,
    &verb_prune,
    &verb_repair,
    &verb_report,
    &verb_restore,
    &verb_runs,
    &verb_sentinel,
    &verb_snapshots,
    &verb_stats,
    &verb_status,
    &verb_serve,
    &verb_step,
    &verb_store,
    &verb_unpin,
    &verb_verify,
    NULL,
};
/* clang-format on */
