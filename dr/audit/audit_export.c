/*
 * audit_export.c - the evidence as a folder that can be carried away.
 *
 * The ledger is copied before the journals: a run that it names was over by then, and its journal does not grow any more.
 */
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "dr/audit/audit_inside.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

static enum dr_rc is_free(const char *to, struct dr_err *err)
{
    DIR *d = opendir(to);
    bool empty = true;
    if (d == NULL && errno == ENOENT)
        return DR_OK;
    if (d == NULL)
        return dr_fail_sys(err, errno, "cannot open directory '%s'", to);
    const struct dirent *e = NULL;
    while ((e = readdir(d)) != NULL) /* NOLINT(concurrency-mt-unsafe): own stream */
        empty = empty && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0);
    (void)closedir(d); /* only read from */
    if (empty)
        return DR_OK;
    dr_fail(err, DR_E_EXISTS, "'%s' is not empty", to);
    return dr_hint(err, "Name a directory that is not there yet.");
}

struct copying {
    struct audit *from; /* whose files are listed */
    const char *to;
    size_t files;
};

static enum dr_rc copy(struct copying *c, const char *name, size_t limit, struct dr_err *err)
{
    DR_FREE char *path = dr_strf("%s/%s", c->from->dir, name);
    const char *last = strrchr(name, '/') + 1;
    DR_FREE char *dir = dr_strf("%s/%.*s", c->to, (int)(last - name), name);
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    enum dr_rc rc = fs_read_file(path, limit, &bytes, err);
    if (rc == DR_E_NOTFOUND)
        return DR_OK;
    DR_TRY(rc);
    DR_TRY(fs_make_dirs(dir, 0700, err));
    c->files++;
    return fs_replace(dir, last, bytes.len > 0 ? bytes.data : "", bytes.len, err);
}

static enum dr_rc copy_ledger(struct copying *c, struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list books = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list months = { 0 };
    audit_list(c->from, "anchors", &books);
    for (size_t i = 0; i < books.count; i++) {
        DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
        DR_FREE char *dir = dr_strf("anchors/%s", books.items[i]);
        audit_list(c->from, dir, &names);
        for (size_t k = 0; k < names.count; k++) {
            DR_FREE char *name = dr_strf("%s/%s", dir, names.items[k]);
            DR_TRY(copy(c, name, ANCHOR_OBJECT_MAX, err));
        }
    }
    DR_TRY(book_months(c->from->dir, &months, err));
    for (size_t i = 0; i < months.count; i++) {
        DR_FREE char *name = dr_strf("ledger/%s", months.items[i]);
        DR_TRY(copy(c, name, BOOK_FILE_MAX, err));
    }
    return copy(c, "ledger/keys.pub", BOOK_LINE_MAX, err);
}

static enum dr_rc copy_all(struct copying *c, struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list runs = { 0 };
    DR_FREE char *ledger = dr_strf("%s/ledger", c->from->dir);
    DR_CLEANUP(dr_close_fd) int lock = -1;
    DR_TRY(fs_make_dirs(ledger, 0700, err));
    DR_TRY(book_lock(c->from->dir, ".lock", &lock, err));
    DR_TRY(copy_ledger(c, err));
    dr_close_fd(&lock);
    DR_TRY(journal_runs(c->from->dir, &runs, err));
    for (size_t i = 0; i < runs.count; i++) {
        DR_FREE char *name = dr_strf("runs/%s/journal.jsonl", runs.items[i]);
        DR_TRY(copy(c, name, JOURNAL_FILE_MAX, err));
    }
    return DR_OK;
}

enum dr_rc audit_export(const char *state_dir, const char *to, size_t *ret_files,
                        struct dr_err *err)
{
    DR_CLEANUP(audit_free_ptr) struct audit *from = audit_new(state_dir, NULL);
    struct copying c = { .from = from, .to = to };
    DR_TRY(is_free(to, err));
    DR_TRY(fs_make_dirs(to, 0700, err));
    DR_TRY(copy_all(&c, err));
    if (ret_files != NULL)
        *ret_files = c.files;
    return DR_OK;
}
