/*
 * Growing by half at least, so that a long list moves a few times only.
 */
#include "backup/work/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "backup/work/spool.h"
#include "dr/base/sys.h"

enum { START = 64 << 10 };

void spill_init(struct spill *s)
{
    *s = (struct spill){ .fd = -1 };
}

void spill_fini(struct spill *s)
{
    if (s->data != NULL)
        (void)munmap(s->data, s->len); /* our own mapping: cannot fail */
    dr_close_fd(&s->fd);
    spill_init(s);
}

enum dr_rc spill_grow(struct spill *s, const char *state_dir, size_t len, struct dr_err *err)
{
    if (len <= s->len)
        return DR_OK;
    size_t wanted = s->len == 0 ? START : s->len + s->len / 2;
    wanted = wanted > len ? wanted : len;
    if (s->fd < 0)
        DR_TRY(spool_file(state_dir, &s->fd, err));
    int rc = posix_fallocate(s->fd, 0, (off_t)wanted);
    if (rc != 0)
        return dr_fail_sys(err, rc, "cannot make room in '%s/spool'", state_dir);
    void *at = s->data == NULL ? mmap(NULL, wanted, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0)
                               : mremap(s->data, s->len, wanted, MREMAP_MAYMOVE);
    if (at == MAP_FAILED)
        return dr_fail_sys(err, errno, "cannot map a file of '%s/spool'", state_dir);
    s->data = at;
    s->len = wanted;
    return DR_OK;
}
