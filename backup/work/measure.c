/*
 * A small file that is replaced whole. Two restores that end at the same time may lose one of the two notes:
 * a lock would cost more than it is worth.
 */
#include "backup/work/measure.h"

#include <string.h>

#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/data/time.h"

enum { FILE_MAX = 256 << 10 };

static const char file_name[] = "restores";

static bool is_measure(const json_t *o)
{
    struct dr_err ignored = { 0 };
    const char *text;
    int64_t bytes, ms;
    return json_is_object(o) && json_get_text(o, "source", &text, &ignored) == DR_OK &&
           json_get_text(o, "at", &text, &ignored) == DR_OK &&
           json_get_int(o, "bytes", &bytes, &ignored) == DR_OK && bytes > 0 &&
           json_get_int(o, "ms", &ms, &ignored) == DR_OK && ms > 0;
}

json_t *measure_read(const char *state_dir)
{
    DR_FREE char *path = dr_strf("%s/%s", state_dir, file_name);
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    struct dr_err ignored = { 0 };
    json_t *all = json_array();
    DR_ASSERT(all != NULL);
    if (fs_read_file(path, FILE_MAX, &text, &ignored) != DR_OK || text.len == 0)
        return all;
    for (char *at = text.data, *next = NULL; at != NULL && *at != '\0'; at = next) {
        DR_JSON json_t *o = NULL;
        next = strchr(at, '\n');
        size_t len = next != NULL ? (size_t)(next++ - at) : strlen(at);
        if (json_read(path, at, len, &o, &ignored) == DR_OK && is_measure(o))
            DR_ASSERT(json_array_append(all, o) == 0);
    }
    return all;
}

void measure_add(const char *state_dir, const struct measure *m)
{
    char at[TIME_TEXT_MAX];
    json_t *o = json_object();
    json_put_text(o, "at", time_print_s(clock_wall_ns(), at));
    json_put_text(o, "source", m->source);
    json_put_text(o, "snapshot", m->snapshot);
    json_put_int(o, "bytes", m->bytes > INT64_MAX ? INT64_MAX : (int64_t)m->bytes);
    json_put_int(o, "ms", m->ms > 0 ? m->ms : 1);
    DR_JSON json_t *all = measure_read(state_dir);
    DR_ASSERT(json_array_append_new(all, o) == 0);
    size_t count = json_array_size(all);
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    for (size_t i = count > MEASURE_KEPT ? count - MEASURE_KEPT : 0; i < count; i++) {
        json_add_canonical(&text, json_array_get(all, i));
        buf_addc(&text, '\n');
    }
    struct dr_err ignored = { 0 };
    enum dr_rc rc = fs_make_dirs(state_dir, 0700, &ignored);
    if (rc == DR_OK)
        rc = fs_replace(state_dir, file_name, text.data, text.len, &ignored);
    (void)rc; /* a forecast knows less, and the restore is as good as it was */
}
