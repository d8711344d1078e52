/*
 * key.h - this host's key, looked at without its secret part: for `drctl key` and `drctl doctor`.
 *
 * Looking never makes a key: `drctl init` does, and a backup at first use.
 */
#ifndef DR_CLI_KEY_H
#define DR_CLI_KEY_H

#include "dr/config/config.h"

/* Where the secret part lies, and the public one as "ed25519:BASE64"; the caller frees both.
 * DR_E_NOTFOUND when there is no key yet. */
enum dr_rc key_look(const struct config *c, char **ret_path, char **ret_public, struct dr_err *err)
    DR_MUST_USE;

#endif
