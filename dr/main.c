/*
 * main.c - where drctl and backupd begin: one program with two names.
 *
 * The rooms, from the ground up (dr/ARCHITECTURE.md has the ladder that `make layers` checks):
 *
 *     dr/base  dr/data         errors, memory, files, hashes; JSON, YAML, durations
 *     dr/config dr/net         the one configuration file; the one gate to other hosts
 *     backup/store .. work     buckets, the snapshot format, the jobs over them
 *     dr/lease dr/journal      one writer; what was intended and what came of it
 *     dr/step plugins          the step contract and the built-in providers
 *     dr/plan dr/run dr/proof  plans, the engine that runs them, the figures
 *     dr/cli backup/daemon     one file for each verb; the daemon
 *
 * This file only makes the process fit to work in, whatever started it: standard descriptors are
 * open (a file opened as number 2 would be filled with our error messages), a reader that goes
 * away is an error of write(2) and no sudden death, and new files are not writable by everybody.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dr/cli/cli.h"

static bool open_standard(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
            continue;
        /* The lowest free number is fd itself, for all below it are open. Reading from a closed
         * input gives an end; writing to a closed output must fail and not vanish. */
        int got = open(fd == 0 ? "/dev/null" : "/dev/full", fd == 0 ? O_RDONLY : O_WRONLY);
        if (got != fd)
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    if (!open_standard())
        return EXIT_FAILED;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit on file size is an error of write(2) as well */
    umask((mode_t)(umask(022) | 022));
    return cli_main(argc, argv);
}
