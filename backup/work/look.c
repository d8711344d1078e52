/*
 * Looking into a snapshot: what is in it (ls), and what is in one of its files (cat). Both read
 * only the segments that can hold the path, and cat only the pieces of that file.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/format/path.h"
#include "backup/work/reader.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/data/json.h"
#include "dr/data/time.h"

/* The user's "/a/b/" is the snapshot's "a/b". The caller frees. */
static char *plain_path(const char *path)
{
    const char *from = path + strspn(path, "/");
    size_t len = strlen(from);
    while (len > 0 && from[len - 1] == '/')
        len--;
    return dr_memdup(from, len);
}

static enum dr_rc no_such(const struct reader *r, const char *path, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf name = { 0 };
    text_add_printable(&name, path, strlen(path));
    dr_fail(err, DR_E_NOTFOUND, "snapshot '%s' holds no '%s'", reader_snapshot(r)->id,
            name.data != NULL ? name.data : "");
    return dr_hint(err, "Paths are below the source's root; 'drctl ls' shows them.");
}

/* -- ls ------------------------------------------------------------------------------------ */

struct lister {
    struct reader *reader;
    bool json;
    size_t count;
};

static void mode_text(const struct toc_record *rec, char out[11])
{
    static const char bits[] = "rwxrwxrwx";
    static const char types[] = "-hlcbdp"; /* of '0' to '6' */
    out[0] = types[rec->type - '0'];
    for (int i = 0; i < 9; i++)
        out[i + 1] = '-';
    for (int i = 0; i < 9; i++) {
        if ((rec->mode & (0400u >> i)) != 0)
            out[i + 1] = bits[i];
    }
    if ((rec->mode & 04000) != 0)
        out[3] = out[3] == 'x' ? 's' : 'S';
    if ((rec->mode & 02000) != 0)
        out[6] = out[6] == 'x' ? 's' : 'S';
    if ((rec->mode & 01000) != 0)
        out[9] = out[9] == 'x' ? 't' : 'T';
    out[10] = '\0';
}

static void owner_text(const struct lister *l, const char *table, uint32_t number, char *out,
                       size_t size)
{
    char key[16];
    snprintf(key, sizeof(key), "%u", number);
    const json_t *names = json_object_get(reader_snapshot(l->reader)->owners, table);
    const char *name = json_string_value(json_object_get(names, key));
    snprintf(out, size, "%s", name != NULL ? name : key);
}

static int64_t time_of(const struct toc_record *rec)
{
    int64_t ns = 0; /* beyond the years 1677 to 2262 the nearest end is shown */
    if (__builtin_mul_overflow(rec->mtime_s, INT64_C(1000000000), &ns))
        return rec->mtime_s < 0 ? INT64_MIN : INT64_MAX;
    if (__builtin_add_overflow(ns, (int64_t)rec->mtime_ns, &ns))
        return INT64_MAX;
    return ns;
}

static void print_json(struct lister *l, const struct toc_record *rec, const char *time)
{
    static const char *const types[] = { "file",         "hardlink",  "symlink", "char-device",
                                         "block-device", "directory", "fifo" };
    DR_JSON json_t *o = json_object();
    json_put(o, "path", json_printable(rec->path));
    json_put_text(o, "type", types[rec->type - '0']);
    json_put_int(o, "mode", rec->mode);
    json_put_int(o, "uid", rec->uid);
    json_put_int(o, "gid", rec->gid);
    json_put_int(o, "size", rec->type == '0' ? (int64_t)rec->size : 0);
    json_put_text(o, "mtime", time);
    if (rec->link != NULL)
        json_put(o, "link", json_printable(rec->link));
    DR_CLEANUP(buf_fini) struct buf line = { 0 };
    json_add_canonical(&line, o);
    printf("%s\n%s", l->count > 0 ? "," : "", line.data);
}

static enum dr_rc print_entry(void *arg, const struct segment *s, const struct toc_record *rec,
                              struct dr_err *err)
{
    (void)s;
    struct lister *l = arg;
    char time[TIME_TEXT_MAX], mode[11], user[64], group[64];
    time_print(time_of(rec), time);
    if (l->json) {
        print_json(l, rec, time);
    } else {
        mode_text(rec, mode);
        owner_text(l, "users", rec->uid, user, sizeof(user));
        owner_text(l, "groups", rec->gid, group, sizeof(group));
        time_print_s(time_of(rec), time);
        DR_CLEANUP(buf_fini) struct buf line = { 0 };
        buf_addf(&line, "%s %-8s %-8s %12" PRIu64 " %s ", mode, user, group,
                 rec->type == '0' ? rec->size : 0, time);
        text_add_printable(&line, rec->path_len > 0 ? rec->path : ".",
                           rec->path_len > 0 ? rec->path_len : 1);
        if (rec->link != NULL) {
            buf_adds(&line, rec->type == '1' ? " = " : " -> ");
            text_add_printable(&line, rec->link, strlen(rec->link));
        }
        puts(line.data);
    }
    l->count++;
    if (ferror(stdout))
        return dr_fail_sys(err, errno, "cannot write the list");
    return DR_OK;
}

enum dr_rc list_run(struct repo *r, const struct snapshot_info *snapshot, const char *path,
                    bool json, struct dr_err *err)
{
    DR_CLEANUP(reader_close_ptr) struct reader *reader = NULL;
    DR_TRY(reader_open(r, snapshot, NULL, &reader, err));
    DR_FREE char *below = plain_path(path != NULL ? path : "");
    struct lister l = { .reader = reader, .json = json };
    if (json)
        printf("[");
    DR_TRY(reader_each(reader, below, print_entry, &l, err));
    if (json)
        printf("\n]\n");
    if (l.count == 0)
        return no_such(reader, below, err);
    return fflush(stdout) == 0 ? DR_OK : dr_fail_sys(err, errno, "cannot write the list");
}

/* -- cat ----------------------------------------------------------------------------------- */

struct finder {
    const char *path;
    struct reader *reader;
    int fd;
    char *link; /* owned: the file is a hard link to this */
    bool found;
    const struct head *head;
    size_t extent;
    uint64_t in_extent, at;
};

static enum dr_rc write_zeros(struct finder *f, uint64_t upto, struct dr_err *err)
{
    static const char zeros[64 << 10];
    while (f->at < upto) {
        uint64_t left = upto - f->at;
        size_t part = left < sizeof(zeros) ? (size_t)left : sizeof(zeros);
        DR_TRY(fs_write_all(f->fd, "the output", zeros, part, err));
        f->at += part;
    }
    return DR_OK;
}

static enum dr_rc write_out(void *arg, const uint8_t *data, size_t len, struct dr_err *err)
{
    struct finder *f = arg;
    while (len > 0) {
        size_t part = len;
        if (f->head->sparse) {
            if (f->extent == f->head->extent_count)
                return dr_fail(err, DR_E_CORRUPT, "a sparse file has more data than its map");
            const struct head_extent *e = &f->head->extents[f->extent];
            DR_TRY(write_zeros(f, e->offset + f->in_extent, err));
            part = e->len - f->in_extent < len ? (size_t)(e->len - f->in_extent) : len;
            f->in_extent += part;
            if (f->in_extent == e->len) {
                f->extent++;
                f->in_extent = 0;
            }
        }
        DR_TRY(fs_write_all(f->fd, "the output", data, part, err));
        f->at += part;
        data += part;
        len -= part;
    }
    return DR_OK;
}

static enum dr_rc cat_entry(void *arg, const struct segment *s, const struct toc_record *rec,
                            struct dr_err *err)
{
    struct finder *f = arg;
    if (strcmp(rec->path, f->path) != 0)
        return DR_OK;
    f->found = true;
    if (rec->type == '1') {
        f->link = dr_strdup(rec->link);
        return DR_OK;
    }
    if (rec->type != '0') {
        dr_fail(err, DR_E_USAGE, "'%s' is not a regular file", rec->path);
        return dr_hint(err, "'drctl restore' with --path brings back what is no file.");
    }
    DR_CLEANUP(head_fini) struct head h = { 0 };
    struct reader_file file = { .segment = s, .record = rec, .head = &h };
    DR_TRY(reader_head(f->reader, s, rec, &h, &file.data, err));
    f->head = &h;
    enum dr_rc rc = reader_data(f->reader, &file, write_out, f, err);
    if (rc == DR_OK)
        rc = write_zeros(f, rec->size, err);
    f->head = NULL;
    return rc;
}

enum dr_rc cat_run(struct repo *r, const struct snapshot_info *snapshot, const char *path, int fd,
                   struct dr_err *err)
{
    DR_CLEANUP(reader_close_ptr) struct reader *reader = NULL;
    DR_TRY(reader_open(r, snapshot, NULL, &reader, err));
    DR_FREE char *plain = plain_path(path);
    struct finder f = { .path = plain, .reader = reader, .fd = fd };
    DR_TRY(reader_each(reader, plain, cat_entry, &f, err));
    if (!f.found)
        return no_such(reader, plain, err);
    if (f.link == NULL)
        return DR_OK;
    DR_FREE char *first = DR_TAKE(f.link); /* a first name is never a link itself */
    f.path = first;
    f.found = false;
    enum dr_rc rc = reader_each(reader, first, cat_entry, &f, err);
    if (rc == DR_OK && (!f.found || f.link != NULL))
        rc = no_such(reader, first, err);
    free(f.link);
    return rc;
}
