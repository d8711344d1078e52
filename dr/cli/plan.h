/*
 * plan.h - what all verbs that take a PLAN share: where it lies, and what it is held against.
 *
 *     DR_CLEANUP(plan_free_ptr) struct plan *p = NULL;
 *     int exit = cli_plan_read(cli, config, cli->argv[1], &text, &p);
 *     if (exit != EXIT_DONE)
 *         return exit;
 */
#ifndef DR_CLI_PLAN_H
#define DR_CLI_PLAN_H

#include "dr/cli/cli.h"
#include "dr/plan/plan.h"

/*
 * The file that a person means: a word with '/' or ending in .yaml is a path; a bare NAME is looked for as
 * NAME.yaml here, in ./runbooks, beside the configuration and in runbooks/ there, and in runbooks/ of
 * /etc/drctl, /usr/local/share/drctl and /usr/share/drctl. config_path may be NULL. The caller frees ret.
 */
enum dr_rc plan_find_file(const char *config_path, const char *name, char **ret, struct dr_err *err)
    DR_MUST_USE;

/* The configuration as the plan room wants it. Borrows from c, which must live longer; its
 * own memory is freed by cli_world_fini(). file: the configuration as people know it. */
struct cli_world {
    struct plan_world world;
    struct text_list regions, sources, secrets;
    const char **fields; /* all sites' names of fields, each ended by NULL */
    struct plan_world_site *sites;
    struct plan_world_role *roles;
    struct plan_world_bucket *buckets;
};
void cli_world_init(struct cli_world *w, const struct config *c, const char *file,
                    const char *plan_name);
void cli_world_fini(struct cli_world *w);

/* One file, read and linted: its bytes, what is to be said about it, and the plan when there was no
 * error. A zeroed struct is empty. */
struct cli_linted {
    struct buf text;
    struct diag findings;
    struct plan *plan;
};
void cli_linted_fini(struct cli_linted *l);
enum dr_rc cli_plan_lint(const struct cli *cli, const struct config *c, const char *path,
                         struct cli_linted *l, struct dr_err *err) DR_MUST_USE;

/*
 * Find, read and lint a plan; findings go to stderr. c may be NULL. text (if not NULL) gets the bytes of the
 * file. Returns EXIT_DONE with a plan, or the exit code of a failure that was told.
 */
int cli_plan_read(struct cli *cli, const struct config *c, const char *name, struct buf *text,
                  struct plan **ret);

/* `drctl plan run PLAN ...` (dr/cli/failover.c). */
int cli_plan_run(struct cli *cli);

/* `drctl plan preflight PLAN ...` (dr/cli/preflight.c). */
int cli_plan_preflight(struct cli *cli);

#endif
