/*
 * verbs.h - the names of all verbs, so that the table can be written.
 *
 * Each is defined in the file of its name: dr/cli/backup.c has verb_backup (ls and cat are in
 * look.c, unpin in pin.c; config in config_new.c, notify-send in alerts.c). A hidden verb (its summary is NULL) is
 * one that drctl itself starts. The order here is the alphabet's; the order that people see is that of
 * the groups in help.c.
 */
#ifndef DR_CLI_VERBS_H
#define DR_CLI_VERBS_H

#include "dr/cli/cli.h"

extern const struct cli_verb verb_alerts;
extern const struct cli_verb verb_audit;
extern const struct cli_verb verb_backup;
extern const struct cli_verb verb_bootstrap;
extern const struct cli_verb verb_cat;
extern const struct cli_verb verb_check;
extern const struct cli_verb verb_config;
extern const struct cli_verb verb_completion;
extern const struct cli_verb verb_daemon;
extern const struct cli_verb verb_diff;
extern const struct cli_verb verb_doctor;
extern const struct cli_verb verb_drill;
extern const struct cli_verb verb_drill_turn;
extern const struct cli_verb verb_export;
extern const struct cli_verb verb_failover;
extern const struct cli_verb verb_find;
extern const struct cli_verb verb_findings;
extern const struct cli_verb verb_forget;
extern const struct cli_verb verb_help;
extern const struct cli_verb verb_init;
extern const struct cli_verb verb_key;
extern const struct cli_verb verb_lease;
extern const struct cli_verb verb_ls;
extern const struct cli_verb verb_notify_send;
extern const struct cli_verb verb_pin;
extern const struct cli_verb verb_plan;
extern const struct cli_verb verb_prune;
extern const struct cli_verb verb_repair;
extern const struct cli_verb verb_report;
extern const struct cli_verb verb_restore;
extern const struct cli_verb verb_runs;
extern const struct cli_verb verb_sentinel;
extern const struct cli_verb verb_snapshots;
extern const struct cli_verb verb_stats;
extern const struct cli_verb verb_status;
extern const struct cli_verb verb_serve;
extern const struct cli_verb verb_step;
extern const struct cli_verb verb_store;
extern const struct cli_verb verb_unpin;
extern const struct cli_verb verb_verify;

#endif
