/*
 * exec.h - the driver for a bucket that a program keeps: "exec:///PROGRAM?KEY=VALUE".
 *
 * The protocol, its limits and what a program is ended for are in EXEC.md beside this file; this is
 * drctl's side of it. The program is started when the bucket is opened, and kept; calls from several
 * threads get a program each, up to the number that it says in its hello. Every call ends within
 * a deadline, whatever the program does: what hangs, ends, floods or talks nonsense is killed with its
 * process group, told with its last words, and started anew for the next call.
 *
 * Nothing is believed but the answers, and of those only what can be checked: lengths, order, names.
 * Digests are the caller's. The process must ignore SIGPIPE, as drctl does.
 */
#ifndef BACKUP_STORE_EXEC_H
#define BACKUP_STORE_EXEC_H

#include "dr/base/err.h"

struct store;
struct store_options;

enum {
    EXEC_VERSION = 1,
    EXEC_PARALLEL_MAX = 32,
    EXEC_PAGE_MAX = 1000,      /* names in one page of a list, in one remove_many */
    EXEC_NAMES_MAX = 10000000, /* names in a whole list */
    EXEC_TIMEOUT_MS = 30000,   /* silence, when the url does not say */
    EXEC_TIMEOUT_MAX_MS = 3600000,
};

/*
 * Start the program of o->url and hear its hello. Keys of o->credentials and o->ca become its
 * environment. DR_E_CONFIG: the url or the program's version is wrong; DR_E_REFUSED: somebody else
 * could have written the program. The caller closes with store_close(), which ends all programs.
 */
enum dr_rc exec_open(const struct store_options *o, struct store **ret, struct dr_err *err)
    DR_MUST_USE;

#endif
