/*
 * source_lock.c - an flock, and the number of the process that has it.
 */
#include "backup/work/source_lock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

enum { NUMBER_BYTES = 16 }; /* "4711           \n": always as long, so that none is read half */

static enum dr_rc busy(int fd, const char *source, struct dr_err *err)
{
    char text[NUMBER_BYTES + 1] = "";
    long pid = sys.pread(fd, text, NUMBER_BYTES, 0) > 0 ? strtol(text, NULL, 10) : 0;
    DR_FREE char *who = pid > 0 ? dr_strf(" (process %ld)", pid) : dr_strdup("");
    dr_fail(err, DR_E_BUSY, "another backup of source '%s' is at work on this host%s", source, who);
    return dr_hint(err, "Nothing was begun. It may be backupd's: try again when it has ended.");
}

enum dr_rc source_lock(const char *state_dir, const char *source, int *ret_fd, struct dr_err *err)
{
    char text[NUMBER_BYTES + 1];
    DR_FREE char *dir = dr_strf("%s/sources", state_dir);
    DR_FREE char *path = dr_strf("%s/%s", dir, source);
    DR_TRY(fs_make_dirs(dir, 0700, err));
    DR_CLEANUP(dr_close_fd)
    int fd = sys_open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return dr_fail_sys(err, errno, "cannot open '%s'", path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? busy(fd, source, err)
                                    : dr_fail_sys(err, errno, "cannot lock '%s'", path);
    (void)snprintf(text, sizeof(text), "%-*d\n", NUMBER_BYTES - 1, (int)getpid());
    (void)sys.pwrite(fd, text, NUMBER_BYTES, 0); /* for the message alone */
    *ret_fd = dr_take_fd(&fd);
    return DR_OK;
}
