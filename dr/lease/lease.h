/*
 * lease.h - who may write, under which epoch: one record in one declared place.
 *
 *     {"epoch":18, "fenced":["us-east-1"], "granted":"", "holder":"writer@eu-1", "instance":"<32 hex>",
 *      "keeper":false, "nonce":"<32 hex>", "region":"eu-west-1", "v":1}
 *
 * Every change is a compare-and-set against what was seen, with a new nonce. The epoch
 * only grows, and the record is never deleted: a released lease has no holder. A holder believes
 * in its lease for HOLD on CLOCK_BOOTTIME, counted from before it wrote; another may take it
 * after it saw the record unchanged for TAKE on its own clock. HOLD must be shorter than TAKE by more
 * than the clocks drift. Clocks of two hosts are never compared.
 *
 * Three further things lie in the record:
 *
 *   fenced   regions that may not acquire the lease, whoever asks (DR_E_REFUSED)
 *   keeper   the holder does not renew and is not to be taken by waiting: a recovery run
 *            that fenced the old writer keeps the place until it grants it
 *   granted  the region that may acquire next, at once; all others find it busy
 *
 * Life of a writer lease through a failover: held by the old writer; lease_fence() (keeper: the
 * run, the old region fenced); lease_grant() (granted: target); lease_acquire() by the new writer.
 *
 * There are two drivers. "file": one file per key below a directory, flock around read, compare and
 * fs_replace(); it survives the death of a process, and of a host when the file
 * system is shared and its locks are real. "bucket": one object per key in one declared bucket, changed by
 * compare-and-set; it survives the loss of any host, and not that of the bucket or its region.
 */
#ifndef DR_LEASE_LEASE_H
#define DR_LEASE_LEASE_H

#include "dr/base/err.h"
#include "dr/base/text.h"
#include "dr/config/config.h"

enum { LEASE_NONCE_MAX = 33, LEASE_KEY_MAX = 128, LEASE_CLOCK_MARGIN_MS = 500 };

struct gate;
struct lease_driver;
struct lease_shared;

/* Where leases live and how long they last. Borrowed texts. */
struct lease_place {
    const struct lease_driver *driver; /* NULL: files in path */
    const char *path;                  /* directory, made at first use */
    struct lease_shared *bucket;       /* of the driver "bucket"; shared, counted */
    int64_t hold_ms;
    int64_t take_ms;
    void (*pause)(int64_t ms); /* how waiting is done; NULL: sleep. Tests move a clock instead */
    bool (*stop)(void *arg);   /* asked while waiting; true: DR_E_CANCELLED; NULL: never */
    void *stop_arg;
};

/*
 * The place that the configuration declares. DR_E_CONFIG when hold and take do not fit. A bucket is
 * opened through the gate (or NULL), which must outlive the place. The caller finis.
 */
enum dr_rc lease_place_of(const struct config *c, struct gate *gate, struct lease_place *ret,
                          struct dr_err *err) DR_MUST_USE;
void lease_place_fini(struct lease_place *p);

/* In words: "'/var/lib/drctl/leases'", "bucket 'eu' in region 'eu-west-1'". The caller frees. */
char *lease_place_tell(const struct lease_place *p) DR_MUST_USE;

struct lease_record {
    char *key;
    char *holder;   /* "" when nobody holds it */
    char *region;   /* of the holder; "" unknown */
    char *instance; /* random per acquisition: two processes of one name differ */
    char *granted;  /* "" or a region */
    bool keeper;
    int64_t epoch; /* 0: the lease was never taken */
    char nonce[LEASE_NONCE_MAX];
    struct text_list fenced;
};
void lease_record_fini(struct lease_record *r);

/* Read it; a lease that never was is an empty record with epoch 0. DR_E_CORRUPT when unreadable. */
enum dr_rc lease_read(const struct lease_place *p, const char *key, struct lease_record *ret,
                      struct dr_err *err) DR_MUST_USE;

/* All keys below the place, sorted. */
enum dr_rc lease_keys(const struct lease_place *p, struct text_list *ret, struct dr_err *err)
    DR_MUST_USE;

/* How many may write now by this record: a holder or a grant counts 1 (lease.check). */
int lease_holders(const struct lease_record *r);

/* -- holding -------------------------------------------------------------------------------- */

/* A lease we hold. */
struct lease {
    struct lease_place place;
    char *key, *holder, *region, *instance; /* owned */
    int64_t epoch;
    int64_t believed_ms; /* boot time until which we may believe */
};

struct lease_wish {
    const char *key;
    const char *holder;
    const char *region; /* "" or NULL: none (then fences and grants do not concern us) */
    bool wait;          /* a live holder: go on waiting instead of DR_E_BUSY */
    const char
        *over; /* a holder whose name begins so is not waited for: the lease is taken from it at
                           once, and it finds out at its next renewal; NULL: nobody */
};

/*
 * Acquire. A free or granted lease is taken at once; a held one is watched: it changes: DR_E_BUSY
 * (or wait on), it stays unchanged for TAKE: taken with epoch + 1. A fenced region: DR_E_REFUSED,
 * naming holder, epoch and fence. The caller releases ret.
 */
enum dr_rc lease_acquire(const struct lease_place *p, const struct lease_wish *wish,
                         struct lease **ret, struct dr_err *err) DR_MUST_USE;

/* Extend the belief. DR_E_REFUSED: somebody else has it now (stop at once); others may be retried
 * while lease_left_ms() is positive. */
enum dr_rc lease_renew(struct lease *l, struct dr_err *err) DR_MUST_USE;

/* How long we may still believe; <= 0: not at all. */
int64_t lease_left_ms(const struct lease *l);

/* Give it back: holder none; the epoch stays. NULL is fine. */
enum dr_rc lease_release(struct lease *l, struct dr_err *err) DR_MUST_USE;
void lease_free(struct lease *l); /* forget it without a word to the others */
DR_DEFINE_CLEANUP(struct lease, lease_free)

/* -- fencing, granting ----------------------------------------------------------------------- */

struct lease_fence {
    const char *key;
    const char *region;  /* to be shut out */
    int64_t margin_ms;   /* waited on top of TAKE */
    const char *by;      /* the new keeper: "R-31" */
    int64_t deadline_ms; /* on clock_boot_ms(); passed: DR_E_BUSY, nothing was changed */
};

/*
 * Shut region out of the lease for good. Waits until the holder cannot believe any more (the
 * record unchanged for TAKE + margin; no wait when nobody holds it, when a keeper does, or when
 * the holder belongs to another region), then takes it with epoch + 1 for 'by' and marks the
 * region; a holder of another region stays. A holder that still renews: DR_E_BUSY after the
 * deadline. A lease that nobody ever held: DR_E_NOTFOUND, as taking it proves nothing. Fenced
 * already: DR_OK. ret: the record as it is now; the caller finis. DR_OK is the proof
 * "lease_expired".
 */
enum dr_rc lease_fence(const struct lease_place *p, const struct lease_fence *f,
                       struct lease_record *ret, struct dr_err *err) DR_MUST_USE;

/* Take the mark off again (fence.lift, undo of a fence). The keeper 'by' is released when it still
 * has it, so that the region can acquire. */
enum dr_rc lease_lift(const struct lease_place *p, const char *key, const char *region,
                      const char *by, struct dr_err *err) DR_MUST_USE;

/*
 * Hand the lease to whoever asks next for region: epoch + 1. Nothing is waited for: DR_E_BUSY when a
 * holder of another region has it (fence first), DR_E_REFUSED when region is fenced. Granted
 * already, or held by that region: DR_OK. ret_epoch: of the grant (or of the holder).
 */
enum dr_rc lease_grant(const struct lease_place *p, const char *key, const char *region,
                       int64_t *ret_epoch, struct dr_err *err) DR_MUST_USE;

/*
 * The undo of a grant: 'by' keeps the lease again. A holder in the region that still renews is
 * waited for (it was stopped before): DR_E_BUSY at the deadline.
 */
enum dr_rc lease_revoke(const struct lease_place *p, const struct lease_fence *f,
                        struct dr_err *err) DR_MUST_USE;

#endif
