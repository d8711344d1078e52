/*
 * bootstrap_place.h - what came back of drctl-self is put where a drctl of this host looks for it.
 *
 *     TREE (self.h)                ->  DIR/dr.yaml, DIR/runbooks/       --to, /etc/drctl
 *                                      STATE_DIR/keys, runs, ...        where dr.yaml says
 *
 * Nothing is overwritten: a STATE_DIR that holds anything, or another file where one of ours belongs,
 * refuses the whole before the first byte. Each file is written whole, dr.yaml last, so a host has a
 * configuration only when all that it needs is there. Whoever died on the way left the mark
 * STATE_DIR/bootstrap.json, by which the next one goes on, if it is about the same snapshot.
 */
#ifndef DR_CLI_BOOTSTRAP_PLACE_H
#define DR_CLI_BOOTSTRAP_PLACE_H

#include "dr/base/err.h"
#include "dr/base/text.h"

struct place {
    const char *tree;      /* restored */
    const char *snapshot;  /* its id */
    const char *to;        /* DIR */
    const char *state_dir; /* of the configuration */
    const char *pem; /* secret key of the former host, a file; or NULL: a new one will be made */
    const char *key; /* public key that signed it */
};

struct placed {
    struct text_list plans; /* names of their files */
    struct text_list runs;  /* ids */
};
void placed_fini(struct placed *p);

/* DR_E_REFUSED: something is there already. */
enum dr_rc place_check(const struct place *p, struct dr_err *err) DR_MUST_USE;

/* After place_check(). The caller finis ret. */
enum dr_rc place_all(const struct place *p, struct placed *ret, struct dr_err *err) DR_MUST_USE;

#endif
