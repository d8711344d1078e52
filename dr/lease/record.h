/*
 * record.h - the bytes of a lease's record, and what one place has to be able to do with them.
 *
 * All places keep the same JSON (lease.h shows it), canonical, with a newline. What is read back is checked
 * member by member: a damaged record is an error and never a free lease.
 *
 * A driver reads, exchanges and lists; lease.c knows everything about time and about who may
 * write. What it asks of an exchange:
 *
 *   DR_OK            the record is the new one
 *   DR_E_TRANSIENT   it is not, as it was no longer the one seen: look again, somebody changed it
 *   all others       it is not known or not possible; the next look tells
 *
 * So a driver never says DR_E_TRANSIENT of a network; and an exchange whose answer was lost it settles by
 * reading back, if it can.
 */
#ifndef DR_LEASE_RECORD_H
#define DR_LEASE_RECORD_H

#include "dr/base/buf.h"
#include "dr/lease/lease.h"

enum { LEASE_RECORD_MAX = 64 << 10 };

struct lease_driver {
    /* A key that was never written: an empty record, epoch 0, nonce "". The caller finis ret. */
    enum dr_rc (*read)(const struct lease_place *p, const char *key, struct lease_record *ret,
                       struct dr_err *err);
    /* Write r when the record there still carries the nonce 'seen' ("": there is none). */
    enum dr_rc (*swap)(const struct lease_place *p, const char *seen, const struct lease_record *r,
                       struct dr_err *err);
    /* Every key that has a record, sorted. */
    enum dr_rc (*keys)(const struct lease_place *p, struct text_list *ret, struct dr_err *err);
};

void lease_record_empty(const char *key, struct lease_record *ret);
void lease_record_print(const struct lease_record *r, struct buf *out);

/* where: of the record, for the error. DR_E_CORRUPT with a hint when it is none. */
enum dr_rc lease_record_parse(const char *key, const char *where, const struct buf *bytes,
                              struct lease_record *ret, struct dr_err *err) DR_MUST_USE;

/* Somebody else changed it since it was seen: DR_E_TRANSIENT. now: the record as it is. */
enum dr_rc lease_record_changed(const struct lease_record *now, struct dr_err *err);

#endif
