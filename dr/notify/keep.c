/*
 * keep.c - STATE_DIR/alerts: what must survive, and the clock that goes with it.
 *
 *     lock            held (flock) while the state is read, changed and written: milliseconds
 *     sender          held by the one process that sends (notify.c)
 *     state.json      alerts, letters, channels, and the clock: replaced as a whole
 *     state.corrupt   one that could not be read; everything is told again
 *     dead/ID.json    a letter that was given up, with its last answer
 *
 * A disk that is full silences nobody: when the state cannot be written, the process goes on with what it
 * has in memory ('unsaved') until it can, and says so.
 */
#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/notify/inside.h"

enum { STATE_BYTES_MAX = 64 << 20, LOCK_TRIES = 200 };

static const int64_t LOCK_PAUSE_NS = 10000000;
static const int64_t WEEK = INT64_C(7) * 86400 * 1000000000;
static const char state_name[] = "state.json";

void keep_fini(struct keep *k)
{
    dr_close_fd(&k->lock_fd);
    alerts_fini(&k->alerts);
    free(k->dir);
    *k = (struct keep){ .lock_fd = -1 };
}

/* ---- the clock --------------------------------------------------------------------------------- */

static void set_clock(struct keep *k)
{
    const struct keep_mark *m = &k->mark;
    int64_t boot = clock_boot_ns(), wall = clock_wall_ns();
    int64_t past = boot - m->boot_ns;
    bool same_boot = m->boot_id[0] != '\0' && strcmp(m->boot_id, k->boot_id) == 0;
    if (!same_boot && m->boot_id[0] != '\0') {
        past = wall - m->wall_ns;
        past = past > WEEK ? WEEK : past < boot ? boot : past; /* it was off at least that long */
    }
    k->alerts.now_ns = m->at_ns + (past > 0 ? past : 0);
    k->alerts.wall_ns = wall;
    if (!same_boot)
        k->alerts.changed = true; /* from now on this boot's clock counts */
    k->mark = (struct keep_mark){ .at_ns = k->alerts.now_ns, .boot_ns = boot, .wall_ns = wall };
    memcpy(k->mark.boot_id, k->boot_id, strlen(k->boot_id) + 1);
}

static json_t *mark_json(const struct keep_mark *m)
{
    json_t *o = json_object();
    json_put_int(o, "at_ns", m->at_ns);
    json_put_int(o, "boot_ns", m->boot_ns);
    json_put_int(o, "wall_ns", m->wall_ns);
    json_put_text(o, "boot_id", m->boot_id);
    return o;
}

static enum dr_rc read_mark(const json_t *root, struct keep_mark *ret, struct dr_err *err)
{
    const json_t *o = NULL;
    const char *id = NULL;
    struct keep_mark m = { 0 };
    DR_TRY(json_get_object(root, "clock", &o, err));
    DR_TRY(json_get_int(o, "at_ns", &m.at_ns, err));
    DR_TRY(json_get_int(o, "boot_ns", &m.boot_ns, err));
    DR_TRY(json_get_int(o, "wall_ns", &m.wall_ns, err));
    DR_TRY(json_get_text(o, "boot_id", &id, err));
    if (strlen(id) >= sizeof(m.boot_id))
        return dr_fail(err, DR_E_CORRUPT, "'boot_id' is too long");
    memcpy(m.boot_id, id, strlen(id));
    *ret = m;
    return DR_OK;
}

/* ---- reading ----------------------------------------------------------------------------------- */

/* DR_E_NOTFOUND: there is none yet. k is changed on success only. */
static enum dr_rc read_state(struct keep *k, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    DR_JSON json_t *root = NULL;
    struct alerts fresh = { 0 };
    struct keep_mark mark = { 0 };
    DR_FREE char *path = dr_strf("%s/%s", k->dir, state_name);
    DR_TRY(fs_read_file(path, STATE_BYTES_MAX, &bytes, err));
    DR_TRY(json_read(path, bytes.data != NULL ? bytes.data : "", bytes.len, &root, err));
    DR_TRY(read_mark(root, &mark, err));
    DR_TRY(alerts_read(root, &fresh, err));
    alerts_fini(&k->alerts);
    k->alerts = fresh;
    k->mark = mark;
    return DR_OK;
}

enum dr_rc keep_look(struct keep *k, struct dr_err *err)
{
    enum dr_rc rc = read_state(k, err);
    if (rc != DR_OK && rc != DR_E_NOTFOUND && rc != DR_E_CORRUPT)
        return rc;
    set_clock(k);
    return DR_OK;
}

/* Not ours to judge: it is put aside, and everything is told again. */
static enum dr_rc put_aside(struct keep *k, struct dr_err *err)
{
    DR_FREE char *from = dr_strf("%s/%s", k->dir, state_name);
    DR_FREE char *to = dr_strf("%s/state.corrupt", k->dir);
    if (sys_rename(from, to) != 0)
        return dr_fail_sys(err, errno, "cannot put aside '%s'", from);
    DR_TRY(fs_sync_dir(k->dir, err));
    alerts_fini(&k->alerts);
    k->mark = (struct keep_mark){ 0 };
    k->alerts.changed = true;
    k->was_corrupt = true;
    return DR_OK;
}

static enum dr_rc lock(struct keep *k, struct dr_err *err)
{
    static const struct timespec pause = { .tv_nsec = LOCK_PAUSE_NS };
    DR_TRY(fs_make_dirs(k->dir, 0700, err));
    DR_FREE char *path = dr_strf("%s/lock", k->dir);
    DR_CLEANUP(dr_close_fd)
    int fd = sys_open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return dr_fail_sys(err, errno, "cannot open '%s'", path);
    for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; i++) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return dr_fail_sys(err, errno, "cannot lock '%s'", path);
        if (i >= LOCK_TRIES)
            return dr_fail(err, DR_E_BUSY, "'%s' is locked by another process", path);
        nanosleep(&pause, NULL);
    }
    k->lock_fd = dr_take_fd(&fd);
    return DR_OK;
}

static enum dr_rc lock_and_read(struct keep *k, struct dr_err *err)
{
    DR_TRY(lock(k, err));
    if (k->unsaved)
        return DR_OK; /* memory knows more than the file */
    struct dr_err why = { 0 };
    enum dr_rc rc = read_state(k, &why);
    if (rc == DR_E_CORRUPT)
        return put_aside(k, err);
    if (rc == DR_OK || rc == DR_E_NOTFOUND)
        return DR_OK;
    *err = why;
    return rc;
}

enum dr_rc keep_begin(struct keep *k, struct dr_err *err)
{
    DR_ASSERT(k->lock_fd < 0);
    enum dr_rc rc = lock_and_read(k, err);
    if (rc == DR_E_BUSY)
        return rc;
    set_clock(k);
    if (rc != DR_OK) {
        k->unsaved = true;
        dr_close_fd(&k->lock_fd);
    }
    return rc;
}

/* ---- writing ----------------------------------------------------------------------------------- */

static enum dr_rc write_state(struct keep *k, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    DR_JSON json_t *root = alerts_json(&k->alerts);
    json_put(root, "clock", mark_json(&k->mark));
    json_add_canonical(&bytes, root);
    buf_addc(&bytes, '\n');
    return fs_replace(k->dir, state_name, bytes.data, bytes.len, err);
}

enum dr_rc keep_end(struct keep *k, bool save, struct dr_err *err)
{
    enum dr_rc rc = DR_OK;
    if (save && k->lock_fd >= 0 && (k->alerts.changed || k->unsaved)) {
        rc = write_state(k, err);
        k->unsaved = rc != DR_OK;
        k->alerts.changed = rc != DR_OK;
    }
    dr_close_fd(&k->lock_fd);
    return rc;
}

enum dr_rc keep_bury(const struct keep *k, const struct letter *l, struct dr_err *err)
{
    DR_FREE char *dir = dr_strf("%s/dead", k->dir);
    DR_FREE char *name = dr_strf("%s.json", l->id);
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    DR_JSON json_t *o = letter_json(l);
    json_add_canonical(&bytes, o);
    buf_addc(&bytes, '\n');
    DR_TRY(fs_make_dirs(dir, 0700, err));
    return fs_replace(dir, name, bytes.data, bytes.len, err);
}
