/*
 * health.c - the lines of the probers: written one by one, read into facts.
 *
 * Writing keeps to two rules: a line is one write() on an O_APPEND descriptor, and a file that
 * ends in half a line (the machine died) gets a newline first. Reading keeps to one: what is
 * not a whole line of ours is as if nobody had looked.
 *
 * The questions themselves are in health_ask.c.
 */
#include "dr/run/health.h"

#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <sys/timex.h>

#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/data/time.h"

static const int64_t MS = 1000000;

const char *health_result_name(enum health_result result)
{
    static const char *const names[] = { "pass", "fail", "unknown" };
    DR_ASSERT(result <= HEALTH_UNKNOWN);
    return names[result];
}

const char *health_boot_id(void)
{
    static char id[HEALTH_BOOT_ID_SIZE];
    if (id[0] == '\0') {
        DR_CLEANUP(buf_fini) struct buf b = { 0 };
        struct dr_err err = { 0 };
        if (fs_read_file("/proc/sys/kernel/random/boot_id", 256, &b, &err) == DR_OK && b.len > 0)
            snprintf(id, sizeof(id), "%.*s", (int)strcspn(b.data, "\n"), b.data);
    }
    return id;
}

int64_t health_clock_error_ms(void)
{
    struct timex t = { 0 }; /* modes 0: only asked */
    int state = adjtimex(&t);
    if (state < 0 || state == TIME_ERROR || (t.status & STA_UNSYNC) != 0 || t.maxerror < 0)
        return -1;
    return (t.maxerror + 999) / 1000;
}

static struct health_mark mark_now(void)
{
    struct health_mark m = { .known = true,
                             .wall_ns = clock_wall_ns(),
                             .boot_ns = clock_boot_ns() };
    snprintf(m.boot_id, sizeof(m.boot_id), "%s", health_boot_id());
    return m;
}

/* a - b: by boot time within one boot, else by wall time. */
static int64_t apart_ns(const struct health_mark *a, const struct health_mark *b)
{
    bool same_boot = a->boot_id[0] != '\0' && strcmp(a->boot_id, b->boot_id) == 0;
    return same_boot ? a->boot_ns - b->boot_ns : a->wall_ns - b->wall_ns;
}

/* --- writing --- */

struct health_log {
    char *dir;
    char *name;  /* NAME.jsonl */
    char *older; /* NAME.1.jsonl */
    int lock_fd; /* flock: one writer */
    int fd;      /* the current file; -1: to be opened */
    char why[HEALTH_WHY_MAX];
};

void health_log_close(struct health_log *log)
{
    if (log == NULL)
        return;
    dr_close_fd(&log->fd);
    dr_close_fd(&log->lock_fd);
    free(log->dir);
    free(log->name);
    free(log->older);
    free(log);
}

enum dr_rc health_log_open(const char *state_dir, const char *probe, struct health_log **ret,
                           struct dr_err *err)
{
    DR_CLEANUP(health_log_close_ptr) struct health_log *log = dr_alloc(1, sizeof(*log));
    log->fd = log->lock_fd = -1;
    log->dir = dr_strf("%s/health", state_dir);
    log->name = dr_strf("%s.jsonl", probe);
    log->older = dr_strf("%s.1.jsonl", probe);
    DR_TRY(fs_make_dirs(log->dir, 0755, err));
    DR_FREE char *lock = dr_strf("%s/%s.lock", log->dir, probe);
    log->lock_fd = sys_open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (log->lock_fd < 0)
        return dr_fail_sys(err, errno, "cannot open '%s'", lock);
    if (flock(log->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            return dr_fail(err, DR_E_BUSY, "another process writes down probe '%s' in '%s'", probe,
                           log->dir);
        return dr_fail_sys(err, errno, "cannot lock '%s'", lock);
    }
    *ret = DR_TAKE(log);
    return DR_OK;
}

/* Open the current file; a torn last line is closed, so that ours begins on a line of its own. */
static enum dr_rc open_current(struct health_log *log, off_t *ret_size, struct dr_err *err)
{
    DR_FREE char *path = dr_strf("%s/%s", log->dir, log->name);
    int flags = O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW;
    bool fresh = log->fd < 0;
    if (fresh)
        log->fd = sys_open(path, flags, 0644);
    struct stat st;
    if (log->fd < 0 || fstat(log->fd, &st) < 0)
        return dr_fail_sys(err, errno, "cannot open '%s'", path);
    char last = '\n';
    if (fresh && st.st_size > 0)
        DR_TRY(fs_pread_all(log->fd, path, &last, 1, st.st_size - 1, err));
    if (last != '\n')
        DR_TRY(fs_write_all(log->fd, path, "\n", 1, err));
    *ret_size = st.st_size;
    return DR_OK;
}

static enum dr_rc append(struct health_log *log, const struct buf *line, struct dr_err *err)
{
    off_t size = 0;
    DR_TRY(open_current(log, &size, err));
    DR_FREE char *path = dr_strf("%s/%s", log->dir, log->name);
    if (size > 0 && (size_t)size + line->len > HEALTH_FILE_MAX) {
        DR_FREE char *older = dr_strf("%s/%s", log->dir, log->older);
        if (sys_rename(path, older) < 0)
            return dr_fail_sys(err, errno, "cannot rename '%s' to '%s'", path, older);
        dr_close_fd(&log->fd);
        DR_TRY(open_current(log, &size, err));
    }
    enum dr_rc rc = fs_write_all(log->fd, path, line->data, line->len, err);
    if (rc != DR_OK)
        dr_close_fd(&log->fd); /* perhaps half a line is there: look again before the next */
    return rc;
}

enum dr_rc health_log_ask(struct health_log *log, const struct config_probe *probe,
                          enum health_result *ret_result, const char **ret_why, struct dr_err *err)
{
    struct health_mark begin = mark_now();
    enum health_result result = health_ask(probe, log->why);
    char time[TIME_TEXT_MAX];
    DR_JSON json_t *line = json_object();
    json_put_text(line, "time", time_print(begin.wall_ns, time));
    json_put_int(line, "boot_ns", begin.boot_ns);
    json_put_text(line, "boot_id", begin.boot_id);
    json_put_text(line, "result", health_result_name(result));
    json_put_text(line, "why", log->why);
    json_put_int(line, "ms", (clock_boot_ns() - begin.boot_ns) / MS);
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    json_add_canonical(&b, line);
    buf_addc(&b, '\n');
    DR_ASSERT(b.len <= HEALTH_LINE_MAX);
    *ret_result = result;
    *ret_why = log->why;
    return append(log, &b, err);
}

/* --- reading --- */

struct scan {
    struct health_facts *facts;
    const struct health_mark *since; /* or NULL */
    int64_t silence_ns;              /* longer than this between two lines: nobody looked */
    struct health_mark streak;       /* the first pass of those in a row */
    struct health_mark pass;         /* the last pass */
    int fails;                       /* in a row, up to now */
};

static bool line_read(const char *bytes, size_t len, struct health_mark *ret,
                      enum health_result *ret_result, const char **ret_why, json_t **ret_value)
{
    struct dr_err ignored = { 0 };
    const char *time, *result, *boot_id;
    if (len > HEALTH_LINE_MAX || json_read("line", bytes, len, ret_value, &ignored) != DR_OK ||
        !json_is_object(*ret_value))
        return false;
    const json_t *value = *ret_value;
    *ret = (struct health_mark){ .known = true };
    bool whole = json_get_text(value, "time", &time, &ignored) == DR_OK &&
                 time_parse(time, &ret->wall_ns) &&
                 json_get_int(value, "boot_ns", &ret->boot_ns, &ignored) == DR_OK &&
                 json_get_text(value, "boot_id", &boot_id, &ignored) == DR_OK &&
                 json_get_int(value, "ms", &ret->took_ms, &ignored) == DR_OK &&
                 json_get_text(value, "result", &result, &ignored) == DR_OK &&
                 json_get_text(value, "why", ret_why, &ignored) == DR_OK;
    if (!whole)
        return false;
    snprintf(ret->boot_id, sizeof(ret->boot_id), "%s", boot_id);
    for (enum health_result r = HEALTH_PASS; r <= HEALTH_UNKNOWN; r++) {
        if (strcmp(result, health_result_name(r)) == 0) {
            *ret_result = r;
            return true;
        }
    }
    return false;
}

static void take_pass(struct scan *s, const struct health_mark *at)
{
    struct health_facts *f = s->facts;
    s->fails = 0;
    bool in_a_row = f->passes > 0 && apart_ns(at, &f->newest) <= s->silence_ns;
    if (!in_a_row) {
        f->passes = 0;
        s->streak = *at;
    }
    f->passes++;
    if (s->pass.known) {
        int64_t gap_ms = apart_ns(at, &s->pass) / MS + at->took_ms;
        f->gap_ms = gap_ms > f->gap_ms ? gap_ms : f->gap_ms;
    }
    s->pass = *at;
    if (!f->first_bad.known) {
        f->last_good = *at;
        return;
    }
    if (f->first_good.known || f->passes < f->times)
        return;
    f->first_good = s->streak;
    if (s->since == NULL) { /* over: not the outage that was asked about */
        f->last_good = *at;
        f->first_bad.known = f->last_bad.known = f->first_good.known = false;
        f->bad_why[0] = '\0';
        f->fails = 0;
    }
}

static void take_fail(struct scan *s, const struct health_mark *at, const char *why)
{
    struct health_facts *f = s->facts;
    f->passes = 0;
    f->first_good.known = false;
    f->last_bad = *at;
    s->fails++;
    f->fails = s->fails > f->fails ? s->fails : f->fails;
    if (!f->first_bad.known) {
        f->first_bad = *at;
        snprintf(f->bad_why, sizeof(f->bad_why), "%s", why);
    }
}

static void take_line(struct scan *s, const char *bytes, size_t len)
{
    DR_JSON json_t *value = NULL;
    struct health_mark at;
    enum health_result result;
    const char *why;
    if (!line_read(bytes, len, &at, &result, &why, &value))
        return;
    if (s->since != NULL && apart_ns(&at, s->since) < 0) {
        if (result == HEALTH_PASS)
            s->facts->last_good = at;
    } else if (result == HEALTH_PASS) {
        take_pass(s, &at);
    } else if (result == HEALTH_FAIL) {
        take_fail(s, &at, why);
    } else {
        s->facts->passes = 0;
    }
    s->facts->newest = at;
}

static void take_file(struct scan *s, const struct buf *b)
{
    const char *at = b->data;
    const char *end = b->data + b->len;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (stop == NULL)
            return; /* torn, or being written just now */
        take_line(s, at, (size_t)(stop - at));
        at = stop + 1;
    }
}

/* Both files, the older first. One that is renamed under our hands is read again as what it became. */
static enum dr_rc read_both(const char *dir, const char *probe, struct buf *older,
                            struct buf *current, struct dr_err *err)
{
    DR_FREE char *path = dr_strf("%s/health/%s.jsonl", dir, probe);
    DR_FREE char *path_older = dr_strf("%s/health/%s.1.jsonl", dir, probe);
    for (int attempt = 0; attempt < 4; attempt++) {
        struct stat before = { 0 }, after = { 0 };
        bool was = stat(path, &before) == 0;
        buf_clear(older);
        buf_clear(current);
        enum dr_rc rc = fs_read_file(path_older, 2 * (size_t)HEALTH_FILE_MAX, older, err);
        if (rc != DR_OK && rc != DR_E_NOTFOUND)
            return rc;
        rc = fs_read_file(path, 2 * (size_t)HEALTH_FILE_MAX, current, err);
        if (rc != DR_OK && rc != DR_E_NOTFOUND)
            return rc;
        bool is = stat(path, &after) == 0;
        if (was == is && before.st_ino == after.st_ino)
            break;
    }
    return DR_OK;
}

enum dr_rc health_facts(const char *state_dir, const struct config_probe *probe,
                        const struct health_mark *since, struct health_facts *ret,
                        struct dr_err *err)
{
    DR_ASSERT(probe->interval_ms > 0 && probe->times > 0);
    DR_CLEANUP(buf_fini) struct buf older = { 0 };
    DR_CLEANUP(buf_fini) struct buf current = { 0 };
    DR_TRY(read_both(state_dir, probe->name, &older, &current, err));
    struct health_facts facts = { .interval_ms = probe->interval_ms, .times = probe->times };
    snprintf(facts.probe, sizeof(facts.probe), "%s", probe->name);
    struct scan s = { .facts = &facts,
                      .since = since != NULL && since->known ? since : NULL,
                      .silence_ns = (HEALTH_STALE * probe->interval_ms + probe->timeout_ms) * MS };
    take_file(&s, &older);
    take_file(&s, &current);
    struct health_mark now = mark_now();
    int64_t quiet_ns = facts.newest.known ? apart_ns(&now, &facts.newest) : 0;
    facts.stale = !facts.newest.known || quiet_ns > s.silence_ns || quiet_ns < -s.silence_ns;
    *ret = facts;
    return DR_OK;
}

/* --- samples --- */

struct sample {
    int64_t after_ms; /* since the mark */
    int64_t took_ms;
    enum health_result result;
};

struct samples {
    struct sample *items; /* owned */
    size_t count, cap;
    const struct health_mark *since;
};

static void sample_line(struct samples *s, const char *bytes, size_t len)
{
    DR_JSON json_t *value = NULL;
    struct health_mark at;
    struct sample one;
    const char *why;
    if (!line_read(bytes, len, &at, &one.result, &why, &value))
        return;
    one.after_ms = apart_ns(&at, s->since) / MS;
    one.took_ms = at.took_ms;
    if (one.after_ms < -HEALTH_SAMPLES_BEFORE_MS)
        return;
    if (s->count == s->cap) {
        s->cap = s->cap == 0 ? 256 : 2 * s->cap;
        s->items = dr_realloc(s->items, s->cap, sizeof(*s->items));
    }
    s->items[s->count++] = one;
}

static void sample_file(struct samples *s, const struct buf *b)
{
    const char *at = b->data;
    const char *end = b->data + b->len;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (stop == NULL)
            return;
        sample_line(s, at, (size_t)(stop - at));
        at = stop + 1;
    }
}

/* What a reader of a window must not miss: a fail before what nobody knows before a pass, then the slowest. */
static bool is_worse(const struct sample *a, const struct sample *b)
{
    static const int rank[] = { [HEALTH_PASS] = 0, [HEALTH_UNKNOWN] = 1, [HEALTH_FAIL] = 2 };
    return rank[a->result] != rank[b->result] ? rank[a->result] > rank[b->result]
                                              : a->took_ms > b->took_ms;
}

/* Of each group of neighbours the worst. */
static json_t *points_of(const struct samples *s)
{
    static const int shown[] = { [HEALTH_PASS] = 1, [HEALTH_UNKNOWN] = -1, [HEALTH_FAIL] = 0 };
    json_t *list = json_array();
    size_t group = (s->count + HEALTH_SAMPLES - 1) / HEALTH_SAMPLES;
    for (size_t i = 0; i < s->count; i += group) {
        const struct sample *worst = &s->items[i];
        for (size_t k = i + 1; k < i + group && k < s->count; k++)
            worst = is_worse(&s->items[k], worst) ? &s->items[k] : worst;
        json_t *point = json_array();
        json_array_append_new(point, json_integer(worst->after_ms));
        json_array_append_new(point, json_integer(shown[worst->result]));
        json_array_append_new(point, json_integer(worst->took_ms));
        json_array_append_new(list, point);
    }
    return list;
}

enum dr_rc health_samples(const char *state_dir, const struct config_probe *probe,
                          const struct health_mark *since, json_t **ret, struct dr_err *err)
{
    DR_ASSERT(since->known);
    DR_CLEANUP(buf_fini) struct buf older = { 0 };
    DR_CLEANUP(buf_fini) struct buf current = { 0 };
    DR_TRY(read_both(state_dir, probe->name, &older, &current, err));
    struct samples s = { .since = since };
    sample_file(&s, &older);
    sample_file(&s, &current);
    char time[TIME_TEXT_MAX];
    *ret = NULL;
    if (s.count > 0) {
        *ret = json_object();
        json_put_text(*ret, "base", time_print(since->wall_ns, time));
        json_put(*ret, "points", points_of(&s));
    }
    free(s.items);
    return DR_OK;
}

/* --- the journalled form --- */

static void put_mark(json_t *object, const char *key, const struct health_mark *m)
{
    if (!m->known)
        return;
    char time[TIME_TEXT_MAX];
    json_t *value = json_object();
    json_put_text(value, "time", time_print(m->wall_ns, time));
    json_put_int(value, "boot_ns", m->boot_ns);
    json_put_text(value, "boot_id", m->boot_id);
    json_put_int(value, "ms", m->took_ms);
    json_put(object, key, value);
}

json_t *health_facts_json(const struct health_facts *facts)
{
    json_t *value = json_object();
    json_put_text(value, "probe", facts->probe);
    json_put_int(value, "interval_ms", facts->interval_ms);
    json_put_int(value, "times", facts->times);
    json_put_int(value, "passes", facts->passes);
    json_put_int(value, "gap_ms", facts->gap_ms);
    json_put(value, "stale", json_boolean(facts->stale));
    put_mark(value, "last_good", &facts->last_good);
    put_mark(value, "first_bad", &facts->first_bad);
    put_mark(value, "last_bad", &facts->last_bad);
    put_mark(value, "first_good", &facts->first_good);
    put_mark(value, "newest", &facts->newest);
    if (facts->bad_why[0] != '\0')
        json_put_text(value, "bad_why", facts->bad_why);
    return value;
}

static bool get_mark(const json_t *object, const char *key, struct health_mark *ret)
{
    const json_t *value = json_object_get(object, key);
    struct dr_err ignored = { 0 };
    const char *time, *boot_id;
    *ret = (struct health_mark){ 0 };
    if (value == NULL)
        return true;
    if (!json_is_object(value) || json_get_text(value, "time", &time, &ignored) != DR_OK ||
        !time_parse(time, &ret->wall_ns) ||
        json_get_int(value, "boot_ns", &ret->boot_ns, &ignored) != DR_OK ||
        json_get_int(value, "ms", &ret->took_ms, &ignored) != DR_OK ||
        json_get_text(value, "boot_id", &boot_id, &ignored) != DR_OK)
        return false;
    snprintf(ret->boot_id, sizeof(ret->boot_id), "%s", boot_id);
    ret->known = true;
    return true;
}

bool health_facts_read(const json_t *value, struct health_facts *ret)
{
    struct dr_err ignored = { 0 };
    struct health_facts f = { 0 };
    const char *probe;
    int64_t times, passes;
    bool ok = json_is_object(value) && json_get_text(value, "probe", &probe, &ignored) == DR_OK &&
              json_get_int(value, "interval_ms", &f.interval_ms, &ignored) == DR_OK &&
              json_get_int(value, "times", &times, &ignored) == DR_OK &&
              json_get_int(value, "passes", &passes, &ignored) == DR_OK &&
              json_get_int(value, "gap_ms", &f.gap_ms, &ignored) == DR_OK &&
              json_is_boolean(json_object_get(value, "stale")) &&
              get_mark(value, "last_good", &f.last_good) &&
              get_mark(value, "first_bad", &f.first_bad) &&
              get_mark(value, "last_bad", &f.last_bad) &&
              get_mark(value, "first_good", &f.first_good) && get_mark(value, "newest", &f.newest);
    if (!ok)
        return false;
    snprintf(f.probe, sizeof(f.probe), "%s", probe);
    f.times = (int)times;
    f.passes = (int)passes;
    f.stale = json_is_true(json_object_get(value, "stale"));
    const char *why = json_string_value(json_object_get(value, "bad_why"));
    snprintf(f.bad_why, sizeof(f.bad_why), "%s", why != NULL ? why : "");
    *ret = f;
    return true;
}
