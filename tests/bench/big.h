#ifndef TESTS_BENCH_BIG_H
#define TESTS_BENCH_BIG_H
/* big.h - the data set BIG: four large files of four kinds, 2.1 GB at full size.
 *
 *     heap.db      768 MiB   pages of 8 KiB with records from the end, as the heap of a database
 *     noise.bin    256 MiB   does not compress
 *     records.db   480 MiB   pages of 4 KiB with cells of text, in order, as an embedded database
 *     archive.tar  512 MiB   an archive of programs, texts and pictures, none of them real
 *
 * All sizes are divided by DIVISOR, for short runs. big_change() writes another 64 MiB (divided, too) of
 * heap.db anew in each ROUND, in place: the size stays.
 */
#include <stddef.h>

/* Make the four files in the directory DIR, which is there. Ends the process on any failure. */
void big_make(const char *dir, unsigned divisor);

/* Change one region of heap.db, and print the file's name, as bench_gen mutate does. */
void big_change(const char *dir, unsigned divisor, unsigned round);

#endif
