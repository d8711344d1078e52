/* out.c - writing the files of a data set (see out.h). */
#include "tests/bench/out.h"

#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MADE_AT = 1600000000 };

void out_of(const char *what)
{
    err(1, "%s", what);
}

int out_open(const char *dir, const char *name, bool make)
{
    char path[4096];
    int fd;

    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    fd = open(path, O_WRONLY | O_CLOEXEC | (make ? O_CREAT | O_TRUNC : 0), 0644);
    if (fd < 0) {
        out_of(path);
    }
    return fd;
}

void out_write(int fd, const char *bytes, size_t size, uint64_t offset)
{
    while (size > 0) {
        ssize_t written = pwrite(fd, bytes, size, (off_t)offset);

        if (written < 0) {
            out_of("write");
        }
        bytes += written;
        size -= (size_t)written;
        offset += (uint64_t)written;
    }
}

void out_close(int fd)
{
    struct timespec times[2] = { { .tv_sec = MADE_AT }, { .tv_sec = MADE_AT } };

    if (futimens(fd, times) != 0 || close(fd) != 0) {
        out_of("close");
    }
}

void out_changed(int fd)
{
    if (close(fd) != 0) {
        out_of("close");
    }
}
