/*
 * remember.h - the addresses from which endpoints answered, for the day when no name service does.
 *
 * A recovery must not need what may be lost with the region: a name that was looked up and
 * answered before is reached again by the addresses it had. They are hints: whoever uses them still checks the
 * certificate by the name and asks the gate for each connect.
 *
 * One file an endpoint, "DIR/HOST,PORT", replaced as a whole:
 *
 *     drctl addresses 1
 *     192.0.2.7
 *     2001:db8::7
 *
 * newest first, at most REMEMBER_MAX. A file that is anything else counts as absent and is replaced.
 * It is written when an unknown address answers, but not more often than every REMEMBER_WRITE_MS
 * once there are some: large services have thousands. Several processes may share a directory; of two
 * that write at the same moment one does not. Any thread may call.
 */
#ifndef DR_NET_REMEMBER_H
#define DR_NET_REMEMBER_H

#include "dr/base/err.h"
#include "dr/base/text.h"

enum { REMEMBER_MAX = 8, REMEMBER_WRITE_MS = 10 * 60 * 1000 };

struct remember;

/* dir is copied and made when it is needed; NULL: nothing is remembered beyond this process. */
struct remember *remember_new(const char *dir) DR_MUST_USE;
void remember_free(struct remember *r);
DR_DEFINE_CLEANUP(struct remember, remember_free)

/* A verified answer came from that address. DR_OK: it is remembered, durably when it was written. A
 * failure (the disk) may be ignored: the next answer tries again. Hosts that are addresses are not noted. */
enum dr_rc remember_note(struct remember *r, const char *host, const char *port,
                         const char *address, struct dr_err *err) DR_MUST_USE;

/* Append what is known, newest first. Nothing known: nothing appended. */
void remember_recall(struct remember *r, const char *host, const char *port, struct text_list *ret);

#endif
