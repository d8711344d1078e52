/*
 * remote.h - one step carried out at a site: the near end of "ssh HOST drctl step --remote".
 *
 *     engine ──> drctl step (here) ──ssh──> drctl step --remote (there) ──> provider
 *
 * The request is withheld until the far end has said "ready". So each end of the connection has one
 * of three meanings, and none is guessed:
 *
 *     before the request was sent whole     nothing was begun: apply and undo have failed, a check is unknown
 *     behind it, without a result           unknown: it may have done anything; its check is asked
 *     behind the result                     the verdict that it gave
 *
 * ssh belongs to our process group, so that the engine's deadline takes it along; a little before that
 * we end it ourselves, to be able to say which of the three it was. When we die, ssh loses its
 * standard input, and the far end kills its step (watch.h).
 */
#ifndef DR_STEP_REMOTE_H
#define DR_STEP_REMOTE_H

#include "dr/base/text.h"
#include "dr/step/step.h"

enum { REMOTE_LINE_MAX = 1 << 20, REMOTE_TAIL_MAX = 4096, REMOTE_MARGIN_MS = 500 };

struct remote {
    const char *site;             /* its name, for people */
    const struct text_list *argv; /* ssh_command(); argv[0] by PATH */
    json_t *evidence;             /* an object: facts of the connection are added */
};

/* The verdict; why, proof, evidence and events go to the call. */
enum step_verdict remote_step(struct step_call *call, const struct remote *r) DR_MUST_USE;

#endif
