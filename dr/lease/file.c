/*
 * file.c - the record as a file: names, JSON, the lock, the exchange.
 *
 * The lock lies in a file of its own, because the record is replaced: a lock on it would be a lock on
 * something that is gone. What is read back is checked member by member; a damaged record is an
 * error and never a free lease.
 */
#include "dr/lease/file.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/data/json.h"

enum { RECORD_MAX = 64 << 10 };

static const char suffix[] = ".lease";

/* Letters, digits, '-', '_', '.' stand for themselves, all else as %XX. NULL: the key is not one. */
static char *file_name(const char *key)
{
    size_t len = strlen(key);
    if (len == 0 || len > LEASE_KEY_MAX)
        return NULL;
    struct buf b = { 0 };
    for (const char *c = key; *c != '\0'; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                     (*c >= '0' && *c <= '9') || *c == '-' || *c == '_' || (*c == '.' && c != key);
        if (plain)
            buf_addc(&b, *c);
        else
            buf_addf(&b, "%%%02X", (unsigned char)*c);
    }
    buf_adds(&b, suffix);
    return buf_take(&b);
}

static enum dr_rc name_of(const char *key, char **ret, struct dr_err *err)
{
    *ret = file_name(key);
    if (*ret == NULL)
        return dr_fail(err, DR_E_USAGE, "'%s' is not the key of a lease", key);
    return DR_OK;
}

static enum dr_rc read_json(const json_t *o, struct lease_record *r, struct dr_err *err)
{
    const char *text = NULL;
    const json_t *fenced = NULL;
    static const struct {
        const char *name;
        size_t at;
    } fields[] = {
        { "holder", offsetof(struct lease_record, holder) },
        { "region", offsetof(struct lease_record, region) },
        { "instance", offsetof(struct lease_record, instance) },
        { "granted", offsetof(struct lease_record, granted) },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(fields); i++) {
        DR_TRY(json_get_text(o, fields[i].name, &text, err));
        *(char **)((char *)r + fields[i].at) = dr_strdup(text);
    }
    DR_TRY(json_get_int(o, "epoch", &r->epoch, err));
    DR_TRY(json_get_text(o, "nonce", &text, err));
    if (strlen(text) != LEASE_NONCE_MAX - 1 || r->epoch < 1)
        return dr_fail(err, DR_E_CORRUPT, "nonce or epoch is none");
    memcpy(r->nonce, text, LEASE_NONCE_MAX);
    r->keeper = json_is_true(json_object_get(o, "keeper"));
    DR_TRY(json_get_list(o, "fenced", &fenced, err));
    for (size_t i = 0; i < json_array_size(fenced); i++) {
        const char *region = json_string_value(json_array_get(fenced, i));
        if (region == NULL)
            return dr_fail(err, DR_E_CORRUPT, "'fenced' holds something else than names");
        text_list_add(&r->fenced, region);
    }
    return DR_OK;
}

static void empty_record(const char *key, struct lease_record *r)
{
    *r = (struct lease_record){
        .key = dr_strdup(key),
        .holder = dr_strdup(""),
        .region = dr_strdup(""),
        .instance = dr_strdup(""),
        .granted = dr_strdup(""),
    };
}

enum dr_rc lease_file_read(const char *dir, const char *key, struct lease_record *ret,
                           struct dr_err *err)
{
    DR_FREE char *name = NULL;
    DR_TRY(name_of(key, &name, err));
    DR_FREE char *path = dr_strf("%s/%s", dir, name);
    if (access(path, F_OK) != 0 && errno == ENOENT) {
        empty_record(key, ret);
        return DR_OK;
    }
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    DR_JSON json_t *o = NULL;
    DR_TRY(fs_read_file(path, RECORD_MAX, &b, err));
    struct lease_record r = { .key = dr_strdup(key) };
    enum dr_rc rc = json_read("the record", b.data, b.len, &o, err);
    if (rc == DR_OK)
        rc = read_json(o, &r, err);
    if (rc != DR_OK) {
        lease_record_fini(&r);
        (void)dr_context(err, "lease '%s' in '%s'", key, path);
        return dr_hint(err, "A person has to restore it, with an epoch above any seen before.");
    }
    *ret = r;
    return DR_OK;
}

static void print_json(const struct lease_record *r, struct buf *out)
{
    DR_JSON json_t *o = json_object();
    json_t *fenced = json_array();
    for (size_t i = 0; i < r->fenced.count; i++)
        json_array_append_new(fenced, json_printable(r->fenced.items[i]));
    json_put_int(o, "v", 1);
    json_put_text(o, "holder", r->holder);
    json_put_text(o, "region", r->region);
    json_put_text(o, "instance", r->instance);
    json_put_text(o, "granted", r->granted);
    json_put_text(o, "nonce", r->nonce);
    json_put_int(o, "epoch", r->epoch);
    json_put(o, "keeper", json_boolean(r->keeper));
    json_put(o, "fenced", fenced);
    json_add_canonical(out, o);
    buf_addc(out, '\n');
}

static enum dr_rc lock_key(const char *dir, const char *name, int *ret, struct dr_err *err)
{
    DR_FREE char *path = dr_strf("%s/.%s.lock", dir, name);
    DR_CLEANUP(dr_close_fd)
    int fd = sys_open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return dr_fail_sys(err, errno, "cannot open '%s'", path);
    while (flock(fd, LOCK_EX) < 0)
        if (errno != EINTR)
            return dr_fail_sys(err, errno, "cannot lock '%s'", path);
    *ret = dr_take_fd(&fd);
    return DR_OK;
}

enum dr_rc lease_file_swap(const char *dir, const char *seen, const struct lease_record *r,
                           struct dr_err *err)
{
    DR_ASSERT(strcmp(seen, r->nonce) != 0 && r->epoch > 0);
    DR_FREE char *name = NULL;
    DR_TRY(name_of(r->key, &name, err));
    DR_TRY(fs_make_dirs(dir, 0700, err));
    DR_CLEANUP(dr_close_fd) int lock = -1;
    DR_TRY(lock_key(dir, name, &lock, err));

    DR_CLEANUP(lease_record_fini) struct lease_record now = { 0 };
    DR_TRY(lease_file_read(dir, r->key, &now, err));
    if (strcmp(now.nonce, seen) != 0)
        return dr_fail(err, DR_E_TRANSIENT, "lease '%s' was changed by %s", r->key,
                       now.holder[0] != '\0' ? now.holder : "somebody");
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    print_json(r, &b);
    return fs_replace(dir, name, b.data, b.len, err);
}

/* "writer%2Fapp.lease" back to "writer/app". */
static char *key_of(const char *name)
{
    struct buf b = { 0 };
    size_t len = strlen(name) - strlen(suffix);
    for (size_t i = 0; i < len; i++) {
        char c = 0;
        if (name[i] == '%' && i + 2 < len) {
            char hex[3] = { name[i + 1], name[i + 2], '\0' };
            c = (char)strtol(hex, NULL, 16);
            i += 2;
        } else {
            c = name[i];
        }
        buf_addc(&b, c);
    }
    return buf_take(&b);
}

enum dr_rc lease_file_keys(const char *dir, struct text_list *ret, struct dr_err *err)
{
    DIR *d = opendir(dir);
    if (d == NULL && errno == ENOENT)
        return DR_OK;
    if (d == NULL)
        return dr_fail_sys(err, errno, "cannot open directory '%s'", dir);
    const struct dirent *e = NULL;
    while ((e = readdir(d)) != NULL) { /* NOLINT(concurrency-mt-unsafe): own stream */
        if (e->d_name[0] == '.' || !text_ends(e->d_name, suffix))
            continue;
        DR_FREE char *key = key_of(e->d_name);
        text_list_add(ret, key);
    }
    closedir(d);
    text_list_sort(ret);
    return DR_OK;
}
