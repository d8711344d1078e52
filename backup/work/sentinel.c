/*
 * sentinel.c - one line, replaced whole, below a directory that others may be changing.
 *
 * The new file is born beside the old one under a hidden name; one that was left by a death is removed first. It gets
 * the time of its last moment before it takes the name, so that a file whose status changed later than its content
 * is known to have come by a restore.
 */
#include "backup/work/sentinel.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/base/text.h"
#include "dr/data/time.h"

enum { MODE = 0644, SLOW_RENAME_MS = 5000, TIME_MS_CHARS = 23 }; /* "2026-11-21T03:07:51.250" */

static const int64_t MS = 1000000;

/* ---- the line ---------------------------------------------------------------------------------- */

/* "seq=": the text behind it, up to a blank. False: the word is another, empty or too long. */
static bool take_word(const char **at, const char *key, char *out, size_t size)
{
    size_t key_len = strlen(key), len = strcspn(*at, " \r\n");
    if (len <= key_len || len - key_len >= size || strncmp(*at, key, key_len) != 0)
        return false;
    memcpy(out, *at + key_len, len - key_len);
    out[len - key_len] = '\0';
    *at += len;
    *at += **at == ' ';
    return true;
}

bool sentinel_parse(const char *text, struct sentinel *ret)
{
    struct sentinel s = { .seq = 0 };
    char when[TIME_TEXT_MAX], number[32], *end = NULL;
    const char *at = text;
    if (!take_word(&at, "", when, sizeof(when)) || !time_parse(when, &s.time_ns) ||
        !take_word(&at, "seq=", number, sizeof(number)) ||
        !take_word(&at, "site=", s.site, sizeof(s.site)))
        return false;
    errno = 0;
    s.seq = strtoll(number, &end, 10);
    if (errno != 0 || *end != '\0' || s.seq < 1 || s.seq == INT64_MAX)
        return false;
    if (*at != '\0' && *at != '\n' && !take_word(&at, "nonce=", s.nonce, sizeof(s.nonce)))
        return false;
    if (strcmp(at, "") != 0 && strcmp(at, "\n") != 0)
        return false;
    *ret = s;
    return true;
}

static bool is_nonce(const char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)text[i]) && text[i] != '-')
            return false;
    return len > 0 && len <= SENTINEL_NONCE_MAX;
}

static char *line_of(const struct sentinel *s)
{
    char when[TIME_TEXT_MAX];
    (void)time_print(s->time_ns, when);
    return dr_strf("%.*sZ seq=%" PRId64 " site=%s%s%s\n", TIME_MS_CHARS, when, s->seq, s->site,
                   s->nonce[0] != '\0' ? " nonce=" : "", s->nonce);
}

/* ---- the place --------------------------------------------------------------------------------- */

struct place {
    int root, dir;
    const char *name; /* borrowed of the wish */
    char *path;       /* for messages */
};

static void place_fini(struct place *p)
{
    dr_close_fd(&p->dir);
    dr_close_fd(&p->root);
    free(p->path);
}

static enum dr_rc place_open(const char *root, const char *file, struct place *ret,
                             struct dr_err *err)
{
    const char *slash = strrchr(file, '/');
    DR_FREE char *above = slash != NULL ? dr_memdup(file, (size_t)(slash - file)) : dr_strdup(".");
    const struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
                                  .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
    ret->name = slash != NULL ? slash + 1 : file;
    ret->path = dr_strf("%s/%s", root, file);
    if (ret->name[0] == '\0')
        return dr_fail(err, DR_E_CONFIG, "the sentinel '%s' is no name of a file", file);
    ret->root = sys_open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (ret->root < 0)
        return dr_fail_sys(err, errno, "cannot open '%s'", root);
    ret->dir = sys.openat2(ret->root, above, &how);
    if (ret->dir < 0)
        return dr_fail_sys(err, errno, "cannot open '%s/%s'", root, above);
    return DR_OK;
}

static enum dr_rc not_ours(const struct place *p, const char *what, struct dr_err *err)
{
    dr_fail(err, DR_E_REFUSED, "'%s' is %s: it is left as it is", p->path, what);
    return dr_hint(err, "If the application writes it, say so: sentinel: {file: ..., by: "
                        "application}. Else move it away.");
}

/* st: of the file. */
static enum dr_rc place_read(const struct place *p, struct sentinel *ret, struct stat *st,
                             struct dr_err *err)
{
    const struct open_how how = { .flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
                                  .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
    char text[SENTINEL_LINE_MAX + 1] = "";
    DR_CLEANUP(dr_close_fd) int fd = sys.openat2(p->dir, p->name, &how);
    if (fd < 0 && errno == ELOOP)
        return not_ours(p, "a link", err);
    if (fd < 0 || fstat(fd, st) != 0)
        return dr_fail_sys(err, errno, "cannot open '%s'", p->path);
    if (!S_ISREG(st->st_mode))
        return not_ours(p, S_ISDIR(st->st_mode) ? "a directory" : "no file", err);
    if (st->st_size > SENTINEL_LINE_MAX)
        return not_ours(p, "no sentinel of ours", err);
    DR_TRY(fs_pread_all(fd, p->path, text, (size_t)st->st_size, 0, err));
    if (strlen(text) != (size_t)st->st_size || !sentinel_parse(text, ret))
        return not_ours(p, "no sentinel of ours", err);
    return DR_OK;
}

enum dr_rc sentinel_read(const char *root, const char *file, struct sentinel *ret,
                         struct dr_err *err)
{
    DR_CLEANUP(place_fini) struct place p = { .root = -1, .dir = -1 };
    struct stat st;
    DR_TRY(place_open(root, file, &p, err));
    return place_read(&p, ret, &st, err);
}

/* ---- writing ----------------------------------------------------------------------------------- */

static int64_t ns_of(const struct timespec *t)
{
    return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

static bool is_recent(int64_t ns, int64_t now_ns, int64_t ms)
{
    return ns <= now_ns && now_ns - ns < ms * MS;
}

static bool stays(const struct sentinel *s, const struct stat *st, int64_t now_ns)
{
    int64_t changed_ns = ns_of(&st->st_ctim);
    bool restored = changed_ns - ns_of(&st->st_mtim) > SLOW_RENAME_MS * MS;
    return (s->nonce[0] != '\0' && is_recent(s->time_ns, now_ns, SENTINEL_PLANTED_MS)) ||
           (restored && is_recent(changed_ns, now_ns, SENTINEL_RESTORED_MS));
}

/* A new file of this name that only we have. */
static int open_new(const struct place *p, const char *hidden)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    int fd = sys.openat(p->dir, hidden, flags, MODE);
    if (fd < 0 && errno == EEXIST && sys.unlinkat(p->dir, hidden, 0) == 0)
        fd = sys.openat(p->dir, hidden, flags, MODE);
    return fd;
}

static enum dr_rc fill(const struct place *p, const char *hidden, const char *line,
                       struct dr_err *err)
{
    DR_CLEANUP(dr_close_fd) int fd = open_new(p, hidden);
    if (fd < 0)
        return dr_fail_sys(err, errno, "cannot make a file beside '%s'", p->path);
    DR_TRY(fs_write_all(fd, p->path, line, strlen(line), err));
    if (sys.fchmod(fd, MODE) != 0 || sys.fsync(fd) != 0 || sys.futimens(fd, NULL) != 0)
        return dr_fail_sys(err, errno, "cannot write '%s'", p->path);
    return DR_OK;
}

static enum dr_rc place_write(const struct place *p, const char *line, struct dr_err *err)
{
    DR_FREE char *hidden = dr_strf(".%s.drctl", p->name);
    enum dr_rc rc = fill(p, hidden, line, err);
    if (rc == DR_OK && sys.renameat2(p->dir, hidden, p->dir, p->name, 0) != 0)
        rc = dr_fail_sys(err, errno, "cannot replace '%s'", p->path);
    if (rc != DR_OK)
        (void)sys.unlinkat(p->dir, hidden, 0); /* the next one removes it, too */
    return rc;
}

enum dr_rc sentinel_write(const struct sentinel_wish *wish, struct sentinel *ret,
                          struct dr_err *err)
{
    DR_CLEANUP(place_fini) struct place p = { .root = -1, .dir = -1 };
    struct sentinel there = { .seq = 0 };
    struct stat st = { 0 };
    DR_ASSERT(wish->nonce == NULL || is_nonce(wish->nonce));
    DR_TRY(place_open(wish->root, wish->file, &p, err));
    enum dr_rc rc = place_read(&p, &there, &st, err);
    if (rc != DR_OK && rc != DR_E_NOTFOUND)
        return rc;
    int64_t now_ns = clock_wall_ns();
    if (rc == DR_OK && wish->nonce == NULL && stays(&there, &st, now_ns)) {
        there.left_alone = true;
        *ret = there;
        return DR_OK;
    }
    struct sentinel next = { .time_ns = now_ns - now_ns % MS, .seq = there.seq + 1 };
    (void)snprintf(next.site, sizeof(next.site), "%s", wish->site != NULL ? wish->site : "-");
    (void)snprintf(next.nonce, sizeof(next.nonce), "%s", wish->nonce != NULL ? wish->nonce : "");
    DR_FREE char *line = line_of(&next);
    DR_TRY(place_write(&p, line, err));
    *ret = next;
    return DR_OK;
}

enum dr_rc sentinel_write_of(const struct config *c, const struct config_source *source,
                             struct sentinel *ret, struct dr_err *err)
{
    char host[256] = "";
    DR_ASSERT(source->sentinel != NULL);
    (void)gethostname(host, sizeof(host) - 1); /* a host without a name is at no site */
    const struct config_site *here = config_here(c, host);
    const struct sentinel_wish wish = { .root = source->path,
                                        .file = source->sentinel,
                                        .site = here != NULL ? here->name : source->site };
    return sentinel_write(&wish, ret, err);
}
