/*
 * publish.c - the view for whoever holds no key. It is made again and again and never trusted by drctl itself, so
 * it is whole or the old one, but need not survive a power loss.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/status/status.h"

static const char name[] = "status.json";

/* systemd makes $RUNTIME_DIRECTORY, which others may enter; STATE_DIR itself is ours alone. */
static char *public_dir(const char *state_dir)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody sets it */
    const char *runtime = getenv("RUNTIME_DIRECTORY");
    bool given = runtime != NULL && runtime[0] == '/';
    return given ? dr_strdup(runtime) : dr_strf("%s/public", state_dir);
}

char *status_public_path(const char *state_dir)
{
    DR_FREE char *dir = public_dir(state_dir);
    return dr_strf("%s/%s", dir, name);
}

enum dr_rc status_publish(const char *state_dir, const json_t *view, struct dr_err *err)
{
    DR_FREE char *dir = public_dir(state_dir);
    DR_FREE char *path = dr_strf("%s/%s", dir, name), *new = dr_strf("%s/.%s.new", dir, name);
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    json_add_canonical(&text, view);
    buf_addc(&text, '\n');
    DR_TRY(fs_make_dirs(dir, 0755, err));
    (void)unlink(new); /* of one that was killed; O_EXCL follows no link */
    DR_CLEANUP(dr_close_fd) int fd = open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return dr_fail_sys(err, errno, "cannot make '%s'", new);
    DR_TRY(fs_write_all(fd, new, text.data, text.len, err));
    if (fchmod(fd, 0644) < 0 || rename(new, path) < 0)
        return dr_fail_sys(err, errno, "cannot write '%s'", path);
    return DR_OK;
}
