/*
 * storetest.h - what every driver of store.h must do, as a few functions.
 *
 * A driver's own test opens an empty bucket and hands it over. The promises of store.h are those that
 * `drctl store test` asks (promises.h): one table for the suite, for whoever writes a program and for whoever
 * rents a store. What only our own drivers have to do (words of errors, counts) is asserted beside it. What a store says that it cannot do (store_abilities()) is not asked of it. What is special
 * to a driver (its errors, its files) stays in its test.
 *
 *     storetest_conforms()   the promises; names, words, counts
 *     storetest_bears()      the promises with more names than a page of any list; objects of 32 MiB
 *     storetest_races()      eight callers, each with its own objects
 */
#ifndef TESTS_SUPPORT_STORETEST_H
#define TESTS_SUPPORT_STORETEST_H

#include "backup/store/store.h"

/* All: s is open and empty, borrowed, and empty again afterwards. */
void storetest_conforms(struct store *s);
void storetest_bears(struct store *s);
void storetest_races(struct store *s);

/* Each promise that s claims, with so many objects in the long list. */
void storetest_keeps_promises(struct store *s, unsigned many);

/* Everything goes. */
void storetest_empties(struct store *s);

#endif
