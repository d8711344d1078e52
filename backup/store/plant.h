/*
 * plant.h - a planted fault: a bucket that lies on purpose, while a drill looks whether it is caught.
 *
 * A drill that cannot fail proves nothing. So its own machinery is given faults of which it is known that they
 * are there (dr/drill/control.h), on the real path: a real step in a real child process, with the real driver
 * below. What is spoiled is what the driver has read, on its way to the reader; the bucket itself is never
 * touched, and through a store with a planted fault nothing can be written at all.
 *
 *     the run of a step's request                                          the child
 *     {"drill":true, "plant":{"kind":"flip","bucket":null,                 plant_read(), then
 *       "name":"packs/ab/abcd...","at":4711}}          -------------->     plant_store() around each bucket
 *
 *     kind        what is read                                              name        at       text
 *     part        as it is                                                  -           -        -
 *     flip        the byte at 'at' of the object is another one             object      byte     -
 *     flip-one    the same, in that bucket alone which is asked first       object      byte     -
 *     missing     the object is not there, and in no list                   object      -        -
 *     truncate    the object ends at 'at'                                   object      bytes    -
 *     hide        no object that begins with the first 'at' bytes of the    object      bytes    -
 *                 name, and does not sort before it
 *     object      under that name lies 'text', whatever really does         object      -        the bytes
 *     expired     nothing: each call is denied, the token has expired       -           -        -
 *     bucket      no other bucket than 'bucket' may be used (repo.h)        -           -        -
 *     full-disk   as it is; writes below the directory 'name' fail with     directory   -        -
 *                 ENOSPC (plugins/planted.h)
 *     stall       the object, until in the middle nothing more comes: the   object      -        -
 *                 time runs out
 *     tamper      as it is; after the restore one byte of 'only' is another -           -        -
 *                 one (plugins/planted.h)
 *     lose        the same, but 'only' is not there any more                -           -        -
 *
 * 'bucket' names the one that lies; null is all of them. 'only' is a path below the source's root: a restore and
 * a comparison are about that path alone, so that a control costs no more for a large source.
 *
 * The one rule: without `drill: true` in the run there is no plant. plant_read() refuses it, and a step
 * whose request has one is not begun (dr/step/step.c).
 */
#ifndef BACKUP_STORE_PLANT_H
#define BACKUP_STORE_PLANT_H

#include "backup/store/store.h"
#include "dr/data/json.h"

enum plant_kind {
    PLANT_NONE,
    PLANT_PART,
    PLANT_FLIP,
    PLANT_FLIP_ONE,
    PLANT_MISSING,
    PLANT_TRUNCATE,
    PLANT_HIDE,
    PLANT_OBJECT,
    PLANT_EXPIRED,
    PLANT_BUCKET,
    PLANT_FULL_DISK,
    PLANT_TAMPER,
    PLANT_STALL,
    PLANT_LOSE,
    PLANT_KINDS,
};

enum { PLANT_BITS = 0x5A }; /* those that a flipped byte has the other way round */

/* A zeroed struct is none. */
struct plant {
    enum plant_kind kind;
    char *bucket, *name, *text, *only; /* owned; NULL: not said */
    uint64_t at;
    atomic_uint met;               /* how often somebody came upon it, by any thread */
    _Atomic(struct store *) first; /* flip-one: the store that lies */
};

void plant_fini(struct plant *p);

/* The plant of a step's run; none is PLANT_NONE. DR_E_REFUSED outside of a drill, DR_E_USAGE when it is none
 * of the above. The caller finis ret. */
enum dr_rc plant_read(const json_t *run, struct plant *ret, struct dr_err *err) DR_MUST_USE;

/* The same as it travels: a new reference. */
json_t *plant_json(const struct plant *p) DR_MUST_USE;

/* A store around inner, which it owns and closes; p must outlive it. A plant of another bucket, or one that is
 * not about reading, gives a store that reads what inner reads. Nothing can be written: DR_E_REFUSED. */
struct store *plant_store(struct plant *p, struct store *inner) DR_MUST_USE;

/* Somebody came upon it. */
void plant_meet(struct plant *p);

#endif
