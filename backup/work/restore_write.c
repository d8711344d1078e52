/*
 * Past the cache or through it. A kernel that does not know the flag, and a file system that does
 * not keep it, say EOPNOTSUPP (or EINVAL) and write nothing; the answer does not change within a
 * restore, so it is asked once for each thread.
 */
#include "backup/work/restore_write.h"

#include <errno.h>
#include <fcntl.h>

#include "dr/base/sys.h"

static ssize_t put_some(struct writer *w, int fd, const void *data, size_t len, off_t offset)
{
    if (len >= WRITER_PAST_CACHE && !w->refused) {
        ssize_t n = sys.pwrite_past(fd, data, len, offset);
        if (n >= 0 || (errno != EOPNOTSUPP && errno != EINVAL && errno != ENOSYS))
            return n;
        w->refused = true;
    }
    return sys.pwrite(fd, data, len, offset);
}

enum dr_rc writer_put(struct writer *w, int fd, const void *data, size_t len, uint64_t offset,
                      struct dr_err *err)
{
    const char *at = data;
    while (len > 0) {
        ssize_t n = put_some(w, fd, at, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            dr_fail_sys(err, errno, "cannot write");
            return errno == ENOSPC || errno == EDQUOT
                       ? dr_hint(err,
                                 "Free space there and run the same command again: it goes on.")
                       : err->rc;
        }
        at += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return DR_OK;
}

void writer_begin(const struct writer *w, int fd, uint64_t from, uint64_t len)
{
    if (w->refused)
        (void)sync_file_range(fd, (off_t)from, (off_t)len, SYNC_FILE_RANGE_WRITE);
}
