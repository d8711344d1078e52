/*
 * storetest.h - what every driver of store.h must do, as one function.
 *
 * A driver's own test opens an empty bucket and hands it over; each promise of store.h is
 * asserted with cmocka. What is special to a driver (its errors, its files) stays in its test.
 */
#ifndef TESTS_SUPPORT_STORETEST_H
#define TESTS_SUPPORT_STORETEST_H

#include "backup/store/store.h"

/* s: open and empty; borrowed. It is empty again afterwards. */
void storetest_conforms(struct store *s);

#endif
