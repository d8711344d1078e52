/*
 * ssh.h - the command line of ssh(1) for one step at a site: pure, text in, words out.
 *
 *     ssh OPTIONS -- HOST 'drctl step --remote'
 *
 * Nothing of the step stands on it: the request goes through standard input, as it does here, so
 * that no shell over there ever sees an argument of a plan. What does stand on it comes from the
 * configuration, and is checked again: a host or user that could be an option, or holds anything
 * beyond the letters of names and addresses, is refused; the program is quoted for a POSIX shell.
 *
 * Always: a known host key (StrictHostKeyChecking=yes), no question, no terminal, nothing forwarded,
 * no shared connection (its end must be the end of ours), and a silent peer is given up after
 * SSH_ALIVE_S * SSH_ALIVE_COUNT seconds. Everything else (jump hosts, agents, aliases) is the user's
 * own ssh_config(5).
 */
#ifndef DR_STEP_SSH_H
#define DR_STEP_SSH_H

#include "dr/base/err.h"
#include "dr/base/text.h"
#include "dr/config/config.h"

enum { SSH_ALIVE_S = 5, SSH_ALIVE_COUNT = 3, SSH_FAILED = 255 };

/* The words, argv[0] first. DR_E_CONFIG names what cannot stand on a command line. ret: added to. */
enum dr_rc ssh_command(const struct config_ssh *ssh, struct text_list *ret, struct dr_err *err)
    DR_MUST_USE;

/* Append one word so that a POSIX shell reads exactly these bytes. */
void ssh_quote(struct buf *out, const char *word);

/* What to do about ssh's last words, one sentence; NULL: nothing is known to help. Static. */
const char *ssh_hint(const char *words);

#endif
