/*
 * audit_query.h - `drctl audit query`: filters and SQL over the ledger (dr/audit/query.h), as text, JSON or CSV.
 *
 * The words are as they stand on the command line; audit_query_run() judges them. NULL: not given.
 */
#ifndef DR_CLI_AUDIT_QUERY_H
#define DR_CLI_AUDIT_QUERY_H

#include "dr/cli/cli.h"

struct audit_query {
    const char *type, *run, *plan, *source, *since, *until, *limit, *sql;
    bool csv;
};

/* Was anything of it given? */
bool audit_query_given(const struct audit_query *q);

/* dir: a state directory or a copy. Returns the exit code: EXIT_UNKNOWN when something there is broken, after what could be
 * read was told. */
int audit_query_run(struct cli *cli, const struct audit_query *q, const char *dir);

#endif
