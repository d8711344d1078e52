/*
 * The outcome of the last run, as one canonical JSON object in a file that is replaced whole.
 */
#include "backup/work/lastrun.h"

#include <string.h>

#include "backup/work/process.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"

enum { FILE_MAX = 64 << 10 };

static void keep(const char *state_dir, const char *source, const char *state, const char *why)
{
    DR_JSON json_t *body = json_object();
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    DR_FREE char *dir = dr_strf("%s/backup", state_dir);
    struct dr_err ignored = { 0 };
    json_put_text(body, "state", state);
    json_put(body, "owner", process_mark());
    if (why != NULL)
        json_put(body, "why", json_printable(why));
    json_add_canonical(&text, body);
    buf_addc(&text, '\n');
    if (fs_make_dirs(dir, 0700, &ignored) != DR_OK)
        return;
    enum dr_rc rc = fs_replace(dir, source, text.data, text.len, &ignored);
    (void)rc; /* the next prune knows less, and the backup is as good as it was */
}

void lastrun_begin(const char *state_dir, const char *source)
{
    keep(state_dir, source, "running", NULL);
}

void lastrun_end(const char *state_dir, const char *source, const char *why)
{
    keep(state_dir, source, why == NULL ? "good" : "failed", why);
}

char *lastrun_failure(const char *state_dir, const char *source)
{
    DR_FREE char *path = dr_strf("%s/backup/%s", state_dir, source);
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    DR_JSON json_t *body = NULL;
    struct dr_err ignored = { 0 };
    const char *state = NULL;
    if (fs_read_file(path, FILE_MAX, &text, &ignored) != DR_OK ||
        json_read(path, text.data, text.len, &body, &ignored) != DR_OK ||
        json_get_text(body, "state", &state, &ignored) != DR_OK)
        return NULL;
    if (strcmp(state, "running") == 0 && process_is_dead(json_object_get(body, "owner")))
        return dr_strdup("it was interrupted");
    const char *why = json_string_value(json_object_get(body, "why"));
    return strcmp(state, "failed") == 0 ? dr_strdup(why != NULL ? why : "unknown why") : NULL;
}
