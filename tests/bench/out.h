#ifndef TESTS_BENCH_OUT_H
#define TESTS_BENCH_OUT_H
/* out.h - writing the files of a data set; whoever cannot write says so and exits with 1.
 *
 * A file that is made gets one fixed time of modification and one fixed mode, whatever the umask, so that
 * two generations are equal in all that a backup keeps except owner and change time. A file that is changed
 * keeps the time the kernel gives it: that is how programs that look for changes find it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Say what there is none of, with the cause, and exit. */
_Noreturn void out_of(const char *what);

/* Open NAME below DIR for writing: made afresh, or as it is. */
int out_open(const char *dir, const char *name, bool make);

/* Write all SIZE bytes at OFFSET. */
void out_write(int fd, const char *bytes, size_t size, uint64_t offset);

/* Close a file that was made, with its fixed time. */
void out_close(int fd);

/* Close a file that was changed. */
void out_changed(int fd);

#endif
