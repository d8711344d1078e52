/*
 * drill_sentinel.c - the sentinel of a source, before and behind a backup, and that of a restored tree.
 *
 * Where backupd writes it, the drill plants one with a nonce: the tree that is restored must hold that one
 * and no other. An application that writes its own goes on while the backup reads, so there are two of
 * its times, one before and one behind; what is restored must lie between them.
 */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "backup/work/sentinel.h"
#include "backup/work/source_lock.h"
#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/data/time.h"
#include "plugins/drill.h"
#include "plugins/providers.h"

/* The time in the first word of a file that somebody else writes; links inside the tree are not followed. */
static enum dr_rc read_theirs(const char *root, const char *file, int64_t *ret, struct dr_err *err)
{
    DR_CLEANUP(dr_close_fd) int dir = sys_open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    const struct open_how how = { .flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC,
                                  .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
    char word[TIME_TEXT_MAX * 2];
    if (dir < 0)
        return dr_fail_sys(err, errno, "cannot open '%s'", root);
    DR_CLEANUP(dr_close_fd) int fd = sys.openat2(dir, file, &how);
    if (fd < 0)
        return dr_fail_sys(err, errno, "cannot open the sentinel '%s/%s'", root, file);
    ssize_t n = sys.pread(fd, word, sizeof(word) - 1, 0);
    if (n < 0)
        return dr_fail_sys(err, errno, "cannot read the sentinel '%s/%s'", root, file);
    word[n] = '\0';
    word[strcspn(word, " \t\r\n")] = '\0';
    if (!time_parse(word, ret))
        return dr_fail(err, DR_E_CORRUPT, "the sentinel '%s/%s' does not begin with a time", root,
                       file);
    return DR_OK;
}

static void put_time(struct stage *p, const char *name, int64_t ns)
{
    char text[TIME_TEXT_MAX];
    step_output(p->call, name, json_string(time_print(ns, text)));
}

/* Nobody writes a sentinel while a tree is being read: a backup that is under way is waited for. */
static enum dr_rc lock_source(struct stage *p, const char *name, int *ret, struct dr_err *err)
{
    const struct timespec pause = { .tv_nsec = SOURCE_LOCK_AGAIN_MS * 1000000L };
    for (;;) {
        enum dr_rc rc = source_lock(p->config->state_dir, name, ret, err);
        if (rc != DR_E_BUSY || clock_boot_ms() > step_deadline_ms(p->call))
            return rc;
        (void)clock_nanosleep(CLOCK_BOOTTIME, 0, &pause, NULL); /* woken early: asked again */
    }
}

enum dr_rc drill_sentinel_plant(struct stage *p, const struct config_source *source,
                                struct dr_err *err)
{
    struct sentinel planted;
    int64_t ns = 0;
    if (source->sentinel == NULL)
        return DR_OK;
    step_output(p->call, "by", json_string(source->sentinel_is_theirs ? "application" : "backupd"));
    if (source->sentinel_is_theirs) {
        DR_TRY(read_theirs(source->path, source->sentinel, &ns, err));
        put_time(p, "time", ns);
        return DR_OK;
    }
    const struct sentinel_wish wish = { .root = source->path,
                                        .file = source->sentinel,
                                        .site = source->site,
                                        .nonce = step_text(p->call, "nonce", NULL) };
    DR_CLEANUP(dr_close_fd) int lock = -1;
    DR_TRY(lock_source(p, source->name, &lock, err));
    DR_TRY(sentinel_write(&wish, &planted, err));
    put_time(p, "time", planted.time_ns);
    step_output(p->call, "nonce", json_string(planted.nonce));
    return DR_OK;
}

enum dr_rc drill_sentinel_after(struct stage *p, const struct config_source *source,
                                struct dr_err *err)
{
    int64_t ns = 0;
    if (source->sentinel == NULL || !source->sentinel_is_theirs)
        return DR_OK;
    DR_TRY(read_theirs(source->path, source->sentinel, &ns, err));
    put_time(p, "until", ns);
    return DR_OK;
}

static enum dr_rc read_tree(struct stage *p, const struct config_source *source, const char *tree,
                            struct dr_err *err)
{
    struct sentinel found;
    int64_t ns = 0;
    if (source->sentinel == NULL)
        return DR_OK;
    if (source->sentinel_is_theirs) {
        DR_TRY(read_theirs(tree, source->sentinel, &ns, err));
        put_time(p, "time", ns);
        return DR_OK;
    }
    DR_TRY(sentinel_read(tree, source->sentinel, &found, err));
    put_time(p, "time", found.time_ns);
    step_output(p->call, "nonce", json_string(found.nonce));
    return DR_OK;
}

static enum step_verdict tree(struct step_call *call)
{
    DR_CLEANUP(stage_fini) struct stage p = { 0 };
    struct dr_err err = { 0 };
    const struct config_site *at = NULL;
    const char *name = step_text(call, "source", ""), *path = step_text(call, "path", "");
    if (stage_need_config(&p, call, &err) != DR_OK ||
        stage_at(&p, step_text(call, "at", NULL), &at, &err) != DR_OK)
        return stage_cannot_tell(&p, &err);
    const struct config_source *source = config_source(p.config, name);
    if (source == NULL)
        return stage_says(&p, STEP_UNKNOWN, "'%s' is no source of the configuration", name);
    if (read_tree(&p, source, path, &err) != DR_OK)
        return stage_says(&p, STEP_FAIL, "%s", err.msg);
    return stage_says(&p, STEP_PASS, "the sentinel in '%s' was read", path);
}

const struct provider provider_drill_tree = { .type = "drill.tree", .check = tree };
