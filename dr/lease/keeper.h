/*
 * keeper.h - a lease that is renewed whatever else its holder is doing.
 *
 * A thread renews each third of HOLD. Whoever works under the lease may be in a slow write, in a bucket that
 * does not answer, or in a long fsync meanwhile: none of that makes it forget the lease. When it
 * is lost (somebody else has it, or it could not be renewed before the belief ended) whoever asked for it is
 * told once.
 *
 *     keeper_new(lease, &k, &err)          the lease is the keeper's from here on
 *     keeper_on_loss(k, tell, arg)
 *     keeper_left_ms(k)                    any thread, at any time; <= 0: act no more
 *     keeper_free(k)                       ends the thread, gives the lease back
 */
#ifndef DR_LEASE_KEEPER_H
#define DR_LEASE_KEEPER_H

#include "dr/lease/lease.h"

enum { KEEPER_PARTS = 3 }; /* renewals in a HOLD */

struct keeper;

/* Takes the lease over, also when it fails (DR_E_TRANSIENT: no thread can be made). */
enum dr_rc keeper_new(struct lease *lease, struct keeper **ret, struct dr_err *err) DR_MUST_USE;

/* tell is called once when the lease is lost, in the keeper's thread (it may do what is safe there, as
 * uv_async_send()); here and now when that was before. */
void keeper_on_loss(struct keeper *k, void (*tell)(void *arg), void *arg);

/* Its key, holder and epoch, which do not change; the rest is the keeper's. NULL of NULL. */
const struct lease *keeper_lease(const struct keeper *k);

/* How long the lease may be believed in, by the clock of now; 0 once it is lost. */
int64_t keeper_left_ms(struct keeper *k);

/* Is it gone for good? ret_why (or NULL) says in words what happened. */
bool keeper_is_lost(struct keeper *k, struct dr_err *ret_why);

/* Waits for a renewal that is under way, and releases the lease unless it is lost. NULL is fine. */
void keeper_free(struct keeper *k);
DR_DEFINE_CLEANUP(struct keeper, keeper_free)

#endif
