/*
 * book.c - the files of the ledger: found, locked, appended to (book_read.c reads them).
 *
 * Whoever appends looks at the last line and at nothing before it, so the cost does not grow with the years. The first
 * append of a book writes two lines at once: its title, of type `open`, and what it was asked to.
 */
#include "dr/audit/book.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/journal/journal.h"

enum { MONTH_LEN = 13, KEYS_FILE_MAX = 64 << 10, LOCK_POLL_MS = 5, HOST_SIZE = 256 };

static const char keys_name[] = "keys.pub";

static char *dir_of(const char *dir)
{
    return dr_strf("%s/ledger", dir);
}

/* -- names ---------------------------------------------------------------------------------------- */

bool book_is_month(const char *name)
{
    static const char form[] = "dddd-dd.jsonl";
    if (strlen(name) != MONTH_LEN)
        return false;
    for (size_t i = 0; i < MONTH_LEN; i++) {
        bool digit = name[i] >= '0' && name[i] <= '9';
        if (form[i] == 'd' ? !digit : name[i] != form[i])
            return false;
    }
    return true;
}

char *book_month_of(int64_t wall_ns)
{
    time_t seconds = (time_t)(wall_ns / 1000000000);
    struct tm tm;
    char text[MONTH_LEN + 8];
    DR_ASSERT(gmtime_r(&seconds, &tm) != NULL);
    DR_ASSERT(strftime(text, sizeof(text), "%Y-%m.jsonl", &tm) > 0);
    return dr_strdup(text);
}

enum dr_rc book_months(const char *dir, struct text_list *ret, struct dr_err *err)
{
    DR_FREE char *path = dir_of(dir);
    DIR *d = opendir(path);
    if (d == NULL && errno == ENOENT)
        return DR_OK;
    if (d == NULL)
        return dr_fail_sys(err, errno, "cannot open directory '%s'", path);
    const struct dirent *e = NULL;
    while ((e = readdir(d)) != NULL) /* NOLINT(concurrency-mt-unsafe): own stream */
        if (book_is_month(e->d_name))
            text_list_add(ret, e->d_name);
    (void)closedir(d); /* only read from */
    text_list_sort(ret);
    return DR_OK;
}

/* -- keys ----------------------------------------------------------------------------------------- */

enum dr_rc book_keys(const char *dir, struct text_list *ret, struct dr_err *err)
{
    DR_FREE char *path = dr_strf("%s/ledger/%s", dir, keys_name);
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    enum dr_rc rc = fs_read_file(path, KEYS_FILE_MAX, &text, err);
    if (rc == DR_E_NOTFOUND)
        return DR_OK;
    DR_TRY(rc);
    for (char *at = text.data, *line; at != NULL && (line = strsep(&at, "\n")) != NULL;)
        if (line[0] != '\0')
            text_list_add(ret, line);
    return DR_OK;
}

/* Before the first line that it signs, so that no line is ever without its key. */
static enum dr_rc note_key(const char *state_dir, const struct keys *k, struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list known = { 0 };
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    DR_FREE char *dir = dir_of(state_dir);
    DR_TRY(book_keys(state_dir, &known, err));
    if (text_list_has(&known, keys_public(k)))
        return DR_OK;
    for (size_t i = 0; i < known.count; i++)
        buf_addf(&text, "%s\n", known.items[i]);
    buf_addf(&text, "%s\n", keys_public(k));
    return fs_replace(dir, keys_name, text.data, text.len, err);
}

/* -- one writer at a time -------------------------------------------------------------------------- */

enum dr_rc book_lock(const char *dir, const char *name, int *ret_fd, struct dr_err *err)
{
    DR_FREE char *path = dr_strf("%s/ledger/%s", dir, name);
    DR_CLEANUP(dr_close_fd)
    int fd = sys_open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    const struct timespec pause = { .tv_nsec = (long)LOCK_POLL_MS * 1000000 };
    if (fd < 0)
        return dr_fail_sys(err, errno, "cannot open '%s'", path);
    for (int waited_ms = 0;; waited_ms += LOCK_POLL_MS) {
        struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        if (fcntl(fd, F_OFD_SETLK, &fl) == 0)
            break;
        if (errno != EAGAIN && errno != EACCES && errno != EINTR)
            return dr_fail_sys(err, errno, "cannot lock '%s'", path);
        if (waited_ms >= BOOK_WAIT_MS)
            return dr_fail(err, DR_E_BUSY, "another process holds '%s'", path);
        (void)nanosleep(&pause, NULL); /* shorter is no harm */
    }
    *ret_fd = dr_take_fd(&fd);
    return DR_OK;
}

/* -- the end of the book --------------------------------------------------------------------------- */

struct tail {
    int64_t n; /* of the last line; 0: there is none */
    char hash[HASH_HEX_SIZE];
    char *newest; /* name of the last file; NULL: none; owned */
};

static void tail_fini(struct tail *t)
{
    free(t->newest);
}

/* The last lines of one file: at most two of the longest, read from its end. */
struct piece {
    struct buf bytes;
    off_t size, at; /* of the file; where bytes begin in it */
    size_t whole;   /* of bytes: up to the last newline */
};

static enum dr_rc read_end(int fd, const char *path, struct piece *ret, struct dr_err *err)
{
    const size_t most = (size_t)BOOK_LINE_MAX * 2;
    ret->size = lseek(fd, 0, SEEK_END);
    if (ret->size < 0)
        return dr_fail_sys(err, errno, "cannot tell the size of '%s'", path);
    size_t len = (size_t)ret->size < most ? (size_t)ret->size : most;
    ret->at = ret->size - (off_t)len;
    char *to = buf_reserve(&ret->bytes, len + 1);
    if (len > 0)
        DR_TRY(fs_pread_all(fd, path, to, len, ret->at, err));
    ret->bytes.len = len;
    const char *last = len > 0 ? memrchr(to, '\n', len) : NULL;
    ret->whole = last != NULL ? (size_t)(last - to) + 1 : 0;
    if (len == most && ret->whole == 0)
        return dr_fail(err, DR_E_CORRUPT, "the last line of '%s' is longer than a line may be",
                       path);
    return DR_OK;
}

/*
 * What follows the last newline: the beginning of a line whose writer died goes; a whole line whose newline is
 * another byte is damage of what was acknowledged, and stays as it is.
 */
static enum dr_rc cut(int fd, const char *path, const struct piece *p, struct dr_err *err)
{
    size_t len = p->bytes.len - p->whole;
    if (len == 0)
        return DR_OK;
    if (len >= 2 && len <= BOOK_LINE_MAX) {
        struct dr_err why = { 0 };
        DR_CLEANUP(book_record_fini) struct book_record r = { 0 };
        DR_FREE char *line = dr_memdup(p->bytes.data + p->whole, len);
        line[len - 1] = '\n';
        if (book_read_line(line, len, &r, &why) == DR_OK)
            return dr_fail(err, DR_E_CORRUPT, "the end of '%s' is damaged", path);
    }
    if (sys.ftruncate(fd, p->at + (off_t)p->whole) < 0)
        return dr_fail_sys(err, errno, "cannot cut the incomplete last line of '%s'", path);
    if (sys.fsync(fd) < 0)
        return dr_fail_sys(err, errno, "cannot sync '%s'", path);
    return DR_OK;
}

static enum dr_rc last_of(const char *path, const struct piece *p, struct tail *ret,
                          struct dr_err *err)
{
    DR_CLEANUP(book_record_fini) struct book_record r = { 0 };
    const char *end = p->bytes.data + p->whole;
    const char *before = p->whole > 1 ? memrchr(p->bytes.data, '\n', p->whole - 1) : NULL;
    const char *start = before != NULL ? before + 1 : p->bytes.data;
    if ((before == NULL && p->at > 0) ||
        book_read_line(start, (size_t)(end - start), &r, err) != DR_OK) {
        (void)dr_fail(err, DR_E_CORRUPT,
                      "the last line of '%s' is damaged: nothing is written "
                      "behind it",
                      path);
        return dr_hint(err, "drctl audit verify tells more. To begin a new ledger move the folder "
                            "'ledger', and 'anchors' beside it, away.");
    }
    ret->n = r.n;
    memcpy(ret->hash, r.hash, sizeof(ret->hash));
    return DR_OK;
}

/* Sets n when the file has a whole line. first: it is the newest file, which may have been torn. */
static enum dr_rc look_at(const char *path, bool newest, struct tail *ret, struct dr_err *err)
{
    DR_CLEANUP(dr_close_fd) int fd = sys_open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0);
    struct piece p = { 0 };
    if (fd < 0)
        return dr_fail_sys(err, errno, "cannot open '%s'", path);
    enum dr_rc rc = read_end(fd, path, &p, err);
    if (rc == DR_OK && newest)
        rc = cut(fd, path, &p, err);
    if (rc == DR_OK && p.whole > 0)
        rc = last_of(path, &p, ret, err);
    buf_fini(&p.bytes);
    return rc;
}

static enum dr_rc find_tail(const char *state_dir, struct tail *ret, struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list months = { 0 };
    DR_TRY(book_months(state_dir, &months, err));
    for (size_t i = months.count; i-- > 0 && ret->n == 0;) {
        DR_FREE char *path = dr_strf("%s/ledger/%s", state_dir, months.items[i]);
        DR_TRY(look_at(path, i + 1 == months.count, ret, err));
    }
    if (months.count > 0)
        ret->newest = dr_strdup(months.items[months.count - 1]);
    return DR_OK;
}

/* -- appending ------------------------------------------------------------------------------------ */

/* Without a key, or with one that cannot be read, the line is written all the same. */
static struct keys *open_key(const struct book_place *p)
{
    struct keys *k = NULL;
    struct dr_err ignored = { 0 };
    if (keys_open(p->state_dir, p->make_key, &k, &ignored) != DR_OK)
        return NULL;
    return k;
}

static json_t *text_or_null(const char *text)
{
    return text != NULL ? json_printable(text) : json_null();
}

static json_t *title_of(const struct book_place *p)
{
    char host[HOST_SIZE] = "";
    json_t *o = json_object();
    (void)gethostname(host, sizeof(host) - 1); /* for people: it may be empty */
    json_put(o, "host", json_printable(host));
    json_put(o, "site", text_or_null(p->site));
    json_put(o, "drctl", text_or_null(p->version));
    return o;
}

struct sheet { /* what is about to be written */
    struct tail tail;
    const struct keys *key;
    int64_t wall_ns;
    struct buf lines;
};

/* body is borrowed. */
static enum dr_rc add_line(struct sheet *s, const char *type, const json_t *body,
                           struct dr_err *err)
{
    DR_CLEANUP(book_record_fini)
    struct book_record r = { .n = s->tail.n + 1,
                             .wall_ns = s->wall_ns,
                             .boot_ns = clock_boot_ns(),
                             .type = dr_strdup(type),
                             .body = journal_pack(body) };
    size_t before = s->lines.len;
    if (s->tail.n > 0)
        memcpy(r.prev, s->tail.hash, sizeof(r.prev));
    else
        memset(r.prev, '0', HASH_HEX_SIZE - 1);
    book_print(&r, s->key, &s->lines);
    if (s->lines.len - before > BOOK_LINE_MAX)
        return dr_fail(err, DR_E_NOMEM, "a line of %zu bytes is too long for the ledger",
                       s->lines.len - before);
    s->tail.n = r.n;
    memcpy(s->tail.hash, r.hash, sizeof(r.hash));
    return DR_OK;
}

static enum dr_rc write_sheet(const char *state_dir, const struct sheet *s, struct dr_err *err)
{
    DR_FREE char *dir = dir_of(state_dir);
    DR_FREE char *month = book_month_of(s->wall_ns);
    bool old = s->tail.newest != NULL && strcmp(s->tail.newest, month) >= 0;
    DR_FREE char *path = dr_strf("%s/%s", dir, old ? s->tail.newest : month);
    DR_CLEANUP(dr_close_fd)
    int fd =
        sys_open(path, O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC | (old ? 0 : O_CREAT), 0600);
    if (fd < 0)
        return dr_fail_sys(err, errno, "cannot open '%s'", path);
    DR_TRY(fs_write_all(fd, path, s->lines.data, s->lines.len, err));
    if (sys.fsync(fd) < 0)
        return dr_fail_sys(err, errno, "cannot sync '%s'", path);
    return old ? DR_OK : fs_sync_dir(dir, err);
}

enum dr_rc book_append(const struct book_place *p, const char *type, json_t *body,
                       struct dr_err *err)
{
    DR_JSON json_t *owned = body;
    DR_JSON json_t *title = title_of(p);
    DR_CLEANUP(keys_free_ptr) struct keys *key = open_key(p);
    DR_CLEANUP(dr_close_fd) int lock = -1;
    DR_FREE char *dir = dir_of(p->state_dir);
    struct sheet s = { .key = key };
    DR_TRY(fs_make_dirs(dir, 0700, err));
    DR_TRY(book_lock(p->state_dir, ".lock", &lock, err));
    enum dr_rc rc = find_tail(p->state_dir, &s.tail, err);
    s.wall_ns = clock_wall_ns();
    if (rc == DR_OK && key != NULL)
        rc = note_key(p->state_dir, key, err);
    if (rc == DR_OK && s.tail.n == 0)
        rc = add_line(&s, "open", title, err);
    if (rc == DR_OK)
        rc = add_line(&s, type, owned, err);
    if (rc == DR_OK)
        rc = write_sheet(p->state_dir, &s, err);
    buf_fini(&s.lines);
    tail_fini(&s.tail);
    return rc;
}
