/*
 * Reading. One call for a small file: its size is known, and a second look at the stat tells more than
 * a read that finds the end.
 */
#include "backup/work/backup_data.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/base/sys.h"

static void read_at(struct data *d, uint8_t *out, size_t len, uint64_t offset)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = sys.pread(d->fd, out + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            d->error = n < 0 ? errno : d->error;
            d->missing += len - done;
            memset(out + done, 0, len - done);
            return;
        }
        done += (size_t)n;
    }
}

void data_read(struct data *d, void *to, size_t len)
{
    uint8_t *out = to;
    DR_ASSERT(d->at + len <= d->head->data);
    if (!d->head->sparse) {
        read_at(d, out, len, d->at);
        d->at += len;
        return;
    }
    while (len > 0) {
        const struct head_extent *x = &d->head->extents[d->extent];
        uint64_t in = d->at - d->skipped, left = x->len - in;
        size_t n = left < len ? (size_t)left : len;
        read_at(d, out, n, x->offset + in);
        out += n;
        len -= n;
        d->at += n;
        if (n == left) {
            d->skipped += x->len;
            d->extent++;
        }
    }
}

char *data_fault(const struct data *d)
{
    if (d->error != 0)
        return dr_strf("%" PRIu64 " bytes could not be read (%s), zeros stand for them", d->missing,
                       strerrordesc_np(d->error));
    return dr_strf("became shorter while it was read, zeros stand for %" PRIu64 " bytes",
                   d->missing);
}
