/*
 * The journal of a restore. It only ever saves work: a line that is lost costs writing an item
 * again, so lines are appended without waiting for the medium; "synced" is written after the data it
 * speaks of are there.
 */
#include "backup/work/restore_journal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/work/restore_item.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

enum { JOURNAL_LIMIT = 64 << 20, LINE_MAX_ = 80, PLAN = 1 };

static char *journal_path(const struct restore_target *t)
{
    return dr_strf("%s/.%s.drctl-restore.journal", t->parent, t->name);
}

/* A whole line "word N"? */
static bool is_line(const char *line, const char *word, size_t *ret)
{
    size_t len = strlen(word);
    if (strncmp(line, word, len) != 0 || line[len] != ' ')
        return false;
    char *end = NULL;
    uint64_t n = strtoull(line + len + 1, &end, 10);
    *ret = (size_t)n;
    return *end == '\n';
}

static void read_lines(struct restore_journal *j, const char *text, const char *boot)
{
    bool same_boot = false;
    for (const char *line = text; strchr(line, '\n') != NULL; line = strchr(line, '\n') + 1) {
        size_t n = 0;
        if (strncmp(line, "boot ", 5) == 0)
            same_boot = boot[0] != '\0' && strncmp(line + 5, boot, strlen(boot)) == 0;
        else if (same_boot && is_line(line, "done", &n))
            j->done = n > j->done ? n : j->done;
        else if (is_line(line, "synced", &n))
            j->synced = n > j->synced ? n : j->synced;
        else if (is_line(line, "back", &n)) {
            j->done = n < j->done ? n : j->done;
            j->synced = n < j->synced ? n : j->synced;
        }
    }
    j->done = j->synced > j->done ? j->synced : j->done;
}

enum dr_rc restore_journal_open(const struct restore_target *t, bool fresh,
                                struct restore_journal *ret, struct dr_err *err)
{
    struct restore_journal j = { .fd = -1 };
    DR_FREE char *path = journal_path(t);
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    DR_CLEANUP(buf_fini) struct buf boot = { 0 };
    char plan[LINE_MAX_];
    snprintf(plan, sizeof(plan), "plan %d %d %d\n", PLAN, FETCH_WINDOW, RESTORE_ITEM_ENTRIES);
    restore_boot_id(&boot);
    struct dr_err unread = { 0 };
    bool known = !fresh && fs_read_file(path, JOURNAL_LIMIT, &text, &unread) == DR_OK &&
                 text.len > 0 && text_starts(text.data, plan);
    int flags = O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC | (known ? 0 : O_TRUNC);
    j.fd = sys_open(path, flags, 0600);
    if (j.fd < 0)
        return dr_fail_sys(err, errno, "cannot open '%s'", path);
    if (known)
        read_lines(&j, text.data, boot.data);
    buf_clear(&text);
    /* In front of a last line that was cut short a newline does no harm. */
    buf_addf(&text, "%s\nboot %s\n", known ? "" : plan, boot.data);
    enum dr_rc rc = fs_write_all(j.fd, path, text.data, text.len, err);
    if (rc != DR_OK) {
        restore_journal_close(&j);
        return rc;
    }
    *ret = j;
    return DR_OK;
}

void restore_journal_close(struct restore_journal *j)
{
    dr_close_fd(&j->fd);
}

static enum dr_rc note(const struct restore_journal *j, const char *word, size_t n,
                       struct dr_err *err)
{
    char line[LINE_MAX_];
    int len = snprintf(line, sizeof(line), "%s %zu\n", word, n);
    return fs_write_all(j->fd, "the journal of the restore", line, (size_t)len, err);
}

enum dr_rc restore_journal_done(struct restore_journal *j, size_t items, struct dr_err *err)
{
    return note(j, "done", items, err);
}

enum dr_rc restore_journal_synced(struct restore_journal *j, size_t items, struct dr_err *err)
{
    return note(j, "synced", items, err);
}

enum dr_rc restore_journal_back(struct restore_journal *j, size_t item, struct dr_err *err)
{
    j->done = item < j->done ? item : j->done;
    j->synced = item < j->synced ? item : j->synced;
    return note(j, "back", item, err);
}

void restore_journal_remove(const struct restore_target *t)
{
    DR_FREE char *path = journal_path(t);
    (void)sys_unlink(path); /* see the header */
}
