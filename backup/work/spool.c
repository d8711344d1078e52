/*
 * Spool files. Small frames are gathered so that they cost no system call each; what is larger than
 * the buffer goes straight to the file. The digest is computed here, while the bytes are in
 * the cache of the processor, so that a pack has its name the moment it is sealed.
 */
#include "backup/work/spool.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dr/base/fs.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/base/text.h"

#define SPOOL_DIR    "spool"
#define SPOOL_PREFIX "unnamed-"

enum { GATHER_SIZE = 64 << 10, NOISE_SIZE = 12 };

struct spool {
    int fd;
    char *dir; /* owned; named in errors */
    struct hash *hash;
    uint8_t *gather; /* not yet written */
    size_t gathered;
    uint64_t size; /* with them */
    struct dr_err failed;
};

/* -- the file ------------------------------------------------------------------------------ */

static enum dr_rc fail_dir(const char *dir, int errnum, const char *what, struct dr_err *err)
{
    dr_fail_sys(err, errnum, "cannot %s the spool directory '%s'", what, dir);
    if (errnum == ENOSPC || errnum == EDQUOT)
        return dr_hint(err, "Free space there, or move state_dir to a larger file system.");
    return err->rc;
}

/* Names of writers that died between making and unlinking; those of living ones are as good as gone. */
static void sweep(const char *dir)
{
    DIR *list = opendir(dir);
    const struct dirent *e;
    if (list == NULL)
        return;
    while ((e = readdir(list)) != NULL) { /* NOLINT(concurrency-mt-unsafe): own stream */
        DR_FREE char *path = dr_strf("%s/%s", dir, e->d_name);
        if (text_starts(e->d_name, SPOOL_PREFIX))
            (void)sys_unlink(path); /* the next one tries again */
    }
    closedir(list);
}

/* Some file systems (overlay, NFS) know no files without a name. */
static int open_and_unlink(const char *dir)
{
    uint8_t noise[NOISE_SIZE];
    char hex[2 * NOISE_SIZE + 1];
    sweep(dir);
    random_bytes(noise, sizeof noise);
    DR_FREE char *path =
        dr_strf("%s/" SPOOL_PREFIX "%s", dir, hex_encode(noise, sizeof noise, hex));
    int fd = sys_open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0)
        (void)sys_unlink(path); /* swept by the next */
    return fd;
}

static enum dr_rc open_unnamed(const char *dir, int *ret_fd, struct dr_err *err)
{
    /* A bucket may take it as it is: with the mode of an object. Nobody can open it before that. */
    int fd = sys_open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0640);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL))
        fd = open_and_unlink(dir);
    if (fd < 0)
        return fail_dir(dir, errno, "make a file in", err);
    *ret_fd = fd;
    return DR_OK;
}

static enum dr_rc make_dir(const char *state_dir, char **ret, struct dr_err *err)
{
    DR_FREE char *dir = dr_strf("%s/" SPOOL_DIR, state_dir);
    DR_TRY(fs_make_dirs(dir, 0700, err));
    *ret = DR_TAKE(dir);
    return DR_OK;
}

enum dr_rc spool_file(const char *state_dir, int *ret_fd, struct dr_err *err)
{
    DR_FREE char *dir = NULL;
    DR_TRY(make_dir(state_dir, &dir, err));
    return open_unnamed(dir, ret_fd, err);
}

enum dr_rc spool_open(const char *state_dir, struct spool **ret, struct dr_err *err)
{
    DR_ASSERT(state_dir != NULL && ret != NULL);
    DR_CLEANUP(spool_free_ptr) struct spool *s = dr_alloc(1, sizeof *s);
    s->fd = -1;
    DR_TRY(make_dir(state_dir, &s->dir, err));
    DR_TRY(open_unnamed(s->dir, &s->fd, err));
    s->hash = hash_new();
    s->gather = dr_alloc(GATHER_SIZE, 1);
    *ret = DR_TAKE(s);
    return DR_OK;
}

void spool_free(struct spool *s)
{
    if (s == NULL)
        return;
    dr_close_fd(&s->fd);
    hash_free(s->hash);
    free(s->gather);
    free(s->dir);
    free(s);
}

/* -- writing ------------------------------------------------------------------------------- */

static void write_out(struct spool *s, const void *data, size_t len)
{
    if (s->failed.rc != DR_OK || len == 0)
        return;
    if (fs_write_all(s->fd, s->dir, data, len, &s->failed) != DR_OK)
        fail_dir(s->dir, s->failed.sys, "write to", &s->failed);
}

void spool_append(struct spool *s, const void *data, size_t len)
{
    DR_ASSERT(s->fd >= 0 && s->size + len <= PACK_SIZE_MAX);
    hash_add(s->hash, data, len);
    s->size += len;
    if (len > GATHER_SIZE - s->gathered) {
        write_out(s, s->gather, s->gathered);
        s->gathered = 0;
    }
    if (len > GATHER_SIZE) {
        write_out(s, data, len);
        return;
    }
    memcpy(s->gather + s->gathered, data, len);
    s->gathered += len;
}

uint64_t spool_size(const struct spool *s)
{
    return s->size;
}

enum dr_rc spool_error(const struct spool *s, struct dr_err *err)
{
    if (s->failed.rc != DR_OK)
        *err = s->failed;
    return s->failed.rc;
}

/* -- sealed -------------------------------------------------------------------------------- */

enum dr_rc spool_seal(struct spool *s, struct spooled **ret, struct dr_err *err)
{
    DR_ASSERT(s->fd >= 0 && s->size > 0);
    write_out(s, s->gather, s->gathered);
    s->gathered = 0;
    DR_TRY(spool_error(s, err));
    /* All pages are in memory, just written: taking them at once saves a fault for each few. */
    void *data = mmap(NULL, (size_t)s->size, PROT_READ, MAP_SHARED | MAP_POPULATE, s->fd, 0);
    if (data == MAP_FAILED)
        return fail_dir(s->dir, errno, "map a file of", err);
    struct spooled *p = dr_alloc(1, sizeof *p);
    hash_end(s->hash, p->name);
    p->mapping = data;
    p->data = data;
    p->len = (size_t)s->size;
    p->holders = 1;
    p->fd = dr_take_fd(&s->fd);
    *ret = p;
    return DR_OK;
}

struct spooled *spooled_ref(struct spooled *p)
{
    unsigned before = __atomic_fetch_add(&p->holders, 1, __ATOMIC_RELAXED);
    DR_ASSERT(before > 0);
    return p;
}

void spooled_drop(struct spooled *p)
{
    if (p == NULL || __atomic_sub_fetch(&p->holders, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    (void)munmap(p->mapping, p->len); /* of our own mapping: cannot fail */
    dr_close_fd(&p->fd);
    free(p);
}
