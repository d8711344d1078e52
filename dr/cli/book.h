/*
 * book.h - what the verbs write into the ledger when they end (dr/audit/book.h).
 *
 * The work was done whether the ledger shows it or not, so a line that cannot be written is a warning: a verb over data ends with
 * EXIT_WARNINGS if it would have ended well, and a run with the exit code that it has. Dry runs are not in the ledger.
 *
 *     int64_t began_ns = clock_wall_ns();
 *     ... exit = the outcome, before it is told ...
 *     json_t *body = cli_book_body(began_ns, exit, why);
 *     json_put_text(body, "source", name);
 *     exit = cli_gravest(exit, cli_book(config, "verify", body));
 */
#ifndef DR_CLI_BOOK_H
#define DR_CLI_BOOK_H

#include "dr/cli/cli.h"

/* {"began", "ended": now, "exit", "why": or null}. A new reference. */
json_t *cli_book_body(int64_t began_ns, int exit, const char *why) DR_MUST_USE;

/* One line. body is taken over. EXIT_DONE, or EXIT_WARNINGS after a warning. */
int cli_book(const struct config *c, const char *type, json_t *body);

enum { BOOK_FINDINGS_DAYS = 400 }; /* so far back the ledger is asked what is open */

/* The region that an open failover of this host has given up, or NULL: nothing is written there. The caller frees. */
char *cli_book_dark(const struct config *c) DR_MUST_USE;

/* One line that is the work itself, and an anchor at once, so that other hosts see it. body is taken over. */
enum dr_rc cli_book_now(const struct config *c, const char *type, json_t *body, struct dr_err *err)
    DR_MUST_USE;

/* Findings of runs that are over and have not told theirs: the runner died in between, or was of an older version. */
void cli_book_findings(const struct config *c);

/*
 * A run that is over (else nothing is done): its line, what it found (findings.h), and an anchor in every bucket but those of the region that it gave up,
 * waited for a few seconds. Whoever ends a drill calls it after the drill's last record.
 */
void cli_book_run(const struct config *c, const char *run);

#endif
