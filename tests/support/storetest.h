/*
 * storetest.h - what every driver of store.h must do, as a few functions.
 *
 * A driver's own test opens an empty bucket and hands it over; each promise of store.h is
 * asserted with cmocka. What a store says that it cannot do (store_abilities()) is not asked of it. What is special
 * to a driver (its errors, its files) stays in its test.
 *
 *     storetest_conforms()   one caller: names, ranges, lists, compare-and-set, counts
 *     storetest_bears()      more names than a page of any list, objects of 32 MiB
 *     storetest_races()      eight callers: each its own objects, and all the same one
 */
#ifndef TESTS_SUPPORT_STORETEST_H
#define TESTS_SUPPORT_STORETEST_H

#include "backup/store/store.h"

/* All: s is open and empty, borrowed, and empty again afterwards. */
void storetest_conforms(struct store *s);
void storetest_bears(struct store *s);
void storetest_races(struct store *s);

/* Everything goes. */
void storetest_empties(struct store *s);

#endif
