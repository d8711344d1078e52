#ifndef TESTS_BENCH_TEXT_H
#define TESTS_BENCH_TEXT_H
/* text.h - bytes that look like what people back up, from a seed.
 *
 * A benchmark is repeatable when its data is. Everything here is computed from a 64-bit seed with integer
 * arithmetic alone: no clock, no locale, no floating point, no file of the machine. The same seed gives the
 * same bytes with any compiler on any machine; tests/bench.sh holds a digest of some of them.
 *
 * How well the bytes compress matters as much as how many there are, because compression is most of what
 * a first backup does. Source code comes from templates of statements whose slots are filled with names:
 * some are common to the whole tree, some to a directory, some to a file, and the more common ones are
 * picked more often. So repetition is near, far and none, as in code.
 *
 *     struct rng r;
 *     rng_seed(&r, 7);
 *     text_code(&r, directory_seed, buffer, 5000);
 */
#include <stddef.h>
#include <stdint.h>

/* A stream of random numbers; its state is one number, so a stream for each file costs nothing. */
struct rng {
    uint64_t state;
};

/* Start at SEED. Seeds that differ by one give unrelated streams. */
void rng_seed(struct rng *r, uint64_t seed);

/* 64 random bits. */
uint64_t rng_next(struct rng *r);

/* A number in [0, LIMIT); LIMIT is at least 1 and below 2^32. */
uint32_t rng_below(struct rng *r, uint32_t limit);

/* The same, small numbers more often: the product of three draws. */
uint32_t rng_skewed(struct rng *r, uint32_t limit);

/* One word of the common vocabulary; static storage. */
const char *text_word(struct rng *r);

/* Each fills exactly SIZE bytes at OUT. */

/* Statements, comments and declarations of C; AREA is the seed of the directory whose names are used. */
void text_code(struct rng *r, uint64_t area, char *out, size_t size);

/* A header of register definitions: long, and alike line by line. */
void text_registers(struct rng *r, uint64_t area, char *out, size_t size);

/* Paragraphs of words. */
void text_prose(struct rng *r, char *out, size_t size);

/* Settings: sections, keys, values, comments. */
void text_settings(struct rng *r, char *out, size_t size);

/* Bytes like machine code: few instructions often, with operands of any value. */
void text_machine(struct rng *r, char *out, size_t size);

/* Bytes that do not compress. */
void text_noise(struct rng *r, char *out, size_t size);

#endif
