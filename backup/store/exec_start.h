/*
 * exec_start.h - which program a url means, with which words, and may it be trusted to run.
 *
 * "exec:///usr/libexec/store-tape?drive=nst0&timeout=2m" is the program with the argument "drive=nst0";
 * timeout is ours. The file and its directory must belong to root or to this user and be writable by
 * nobody else: a bucket gets every byte of a backup and sometimes its credentials.
 */
#ifndef BACKUP_STORE_EXEC_START_H
#define BACKUP_STORE_EXEC_START_H

#include "backup/store/store.h"

/* A zeroed struct is empty. */
struct exec_start {
    char *program; /* the real path, links resolved; owned */
    char **argv;   /* owned with all in it; ends with NULL */
    char **env;    /* likewise */
    int64_t timeout_ms;
};

/* DR_E_CONFIG: the url is wrong; DR_E_NOTFOUND, DR_E_REFUSED. The caller finis ret. */
enum dr_rc exec_start_of(const struct store_options *o, struct exec_start *ret, struct dr_err *err)
    DR_MUST_USE;
void exec_start_fini(struct exec_start *p);

#endif
