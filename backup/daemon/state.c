/*
 * state.c - the schedule's history, to a file and back.
 *
 * All of the file is read before any of it is believed.
 */
#include "backup/daemon/state.h"

#include <string.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/cli/cli.h"

static const char file_name[] = "schedule.json", schema[] = "drctl-schedule-1";

/* Empty where the kernel does not say: then no two boots are the same. */
static void boot_id(struct buf *ret)
{
    struct dr_err ignored;
    if (fs_read_file("/proc/sys/kernel/random/boot_id", 64, ret, &ignored) != DR_OK)
        buf_clear(ret);
    while (ret->len > 0 && ret->data[ret->len - 1] == '\n')
        ret->data[--ret->len] = '\0';
    if (ret->data == NULL)
        buf_adds(ret, "");
}

/* ---- saving ------------------------------------------------------------------------------------ */

static json_t *row_json(const struct schedule_row *row)
{
    json_t *o = json_object();
    json_put_text(o, "what", schedule_word(row->what));
    json_put(o, "subject", row->subject != NULL ? json_printable(row->subject) : json_null());
    json_put_int(o, "since_ns", row->since_ns);
    json_put_int(o, "start_ns", row->start_ns);
    json_put_int(o, "end_ns", row->end_ns);
    json_put_int(o, "good_ns", row->good_ns);
    json_put_int(o, "took_ms", row->took_ms);
    json_put_int(o, "exit", row->exit);
    json_put_int(o, "failures", row->failures);
    json_put_int(o, "wanted_ns", row->wanted_ns);
    json_put(o, "running", json_boolean(row->running));
    json_put(o, "interrupted", json_boolean(row->interrupted));
    return o;
}

enum dr_rc state_save(const char *state_dir, const struct schedule *s, struct dr_err *err)
{
    DR_JSON json_t *root = json_object();
    DR_CLEANUP(buf_fini) struct buf boot = { 0 }, text = { 0 };
    json_t *rows = json_array();
    for (size_t i = 0; i < s->count; i++)
        if (json_array_append_new(rows, row_json(&s->rows[i])) != 0)
            dr_out_of_memory();
    boot_id(&boot);
    json_put_text(root, "schema", schema);
    json_put_text(root, "boot_id", boot.data);
    json_put_int(root, "boot_ns", s->boot_ns);
    json_put_int(root, "wall_ns", s->wall_ns);
    json_put(root, "rows", rows);
    json_add_canonical(&text, root);
    buf_addc(&text, '\n');
    return fs_replace(state_dir, file_name, text.data, text.len, err);
}

/* ---- loading ----------------------------------------------------------------------------------- */

static enum dr_rc get_bool(const json_t *o, const char *key, bool *ret, struct dr_err *err)
{
    const json_t *value = json_object_get(o, key);
    if (!json_is_boolean(value))
        return dr_fail(err, DR_E_CORRUPT, "'%s' is missing", key);
    *ret = json_is_true(value);
    return DR_OK;
}

static enum dr_rc get_small(const json_t *o, const char *key, int least, int most, int *ret,
                            struct dr_err *err)
{
    int64_t number = 0;
    DR_TRY(json_get_int(o, key, &number, err));
    if (number < least || number > most)
        return dr_fail(err, DR_E_CORRUPT, "'%s' is out of bounds", key);
    *ret = (int)number;
    return DR_OK;
}

static enum dr_rc read_row(const json_t *o, struct schedule_row *ret, struct dr_err *err)
{
    const struct {
        const char *key;
        int64_t *to;
    } numbers[] = { { "since_ns", &ret->since_ns }, { "start_ns", &ret->start_ns },
                    { "end_ns", &ret->end_ns },     { "good_ns", &ret->good_ns },
                    { "took_ms", &ret->took_ms },   { "wanted_ns", &ret->wanted_ns } };
    size_t count = DR_ARRAY_LEN(numbers);
    count -= json_object_get(o, "wanted_ns") == NULL;
    for (size_t i = 0; i < count; i++) {
        DR_TRY(json_get_int(o, numbers[i].key, numbers[i].to, err));
        if (*numbers[i].to < 0)
            return dr_fail(err, DR_E_CORRUPT, "'%s' is out of bounds", numbers[i].key);
    }
    DR_TRY(get_small(o, "exit", -1, 255, &ret->exit, err));
    DR_TRY(get_small(o, "failures", 0, STATE_FAILURES_MAX, &ret->failures, err));
    DR_TRY(get_bool(o, "running", &ret->running, err));
    return get_bool(o, "interrupted", &ret->interrupted, err);
}

/* The row of the schedule that is meant; NULL when it has none. */
static enum dr_rc find_row(const json_t *o, const struct schedule *s, struct schedule_row **ret,
                           struct dr_err *err)
{
    const char *word = NULL;
    const json_t *subject = json_object_get(o, "subject");
    DR_TRY(json_get_text(o, "what", &word, err));
    *ret = NULL;
    for (int what = 0; what < SCHEDULE_WHATS && *ret == NULL; what++)
        if (strcmp(schedule_word((enum schedule_what)what), word) == 0)
            *ret = schedule_find(s, (enum schedule_what)what, json_string_value(subject));
    return DR_OK;
}

static void died(struct schedule_row *row, int64_t wall_ns)
{
    row->running = false;
    row->end_ns = wall_ns; /* the last time that is known */
    row->exit = EXIT_UNKNOWN;
    row->failures += row->failures < STATE_FAILURES_MAX;
}

static void remember(struct schedule_row *row, const struct schedule_row *past, int64_t wall_ns)
{
    row->since_ns = past->since_ns;
    row->start_ns = past->start_ns;
    row->end_ns = past->end_ns;
    row->good_ns = past->good_ns;
    row->took_ms = past->took_ms;
    row->exit = past->exit;
    row->failures = past->failures;
    row->wanted_ns = past->wanted_ns;
    row->running = past->running;
    row->interrupted = past->interrupted;
    if (row->running)
        died(row, wall_ns);
}

/* Two rounds: the first only looks whether all is well. */
static enum dr_rc read_rows(const json_t *rows, int64_t wall_ns, bool believe, struct schedule *s,
                            struct dr_err *err)
{
    size_t i;
    const json_t *o;
    json_array_foreach(rows, i, o)
    {
        struct schedule_row past = { 0 }, *row = NULL;
        DR_TRY(read_row(o, &past, err));
        DR_TRY(find_row(o, s, &row, err));
        if (believe && row != NULL)
            remember(row, &past, wall_ns);
    }
    return DR_OK;
}

static enum dr_rc read_state(const json_t *root, struct schedule *s, struct dr_err *err)
{
    const char *word = NULL, *boot_then = NULL;
    const json_t *rows = NULL;
    int64_t boot_ns = 0, wall_ns = 0;
    DR_TRY(json_get_text(root, "schema", &word, err));
    if (strcmp(word, schema) != 0)
        return dr_fail(err, DR_E_CORRUPT, "its schema is '%s', and '%s' is known", word, schema);
    DR_TRY(json_get_text(root, "boot_id", &boot_then, err));
    DR_TRY(json_get_int(root, "boot_ns", &boot_ns, err));
    DR_TRY(json_get_int(root, "wall_ns", &wall_ns, err));
    DR_TRY(json_get_list(root, "rows", &rows, err));
    DR_TRY(read_rows(rows, wall_ns, false, s, err));
    DR_TRY(read_rows(rows, wall_ns, true, s, err));
    DR_CLEANUP(buf_fini) struct buf boot_now = { 0 };
    boot_id(&boot_now);
    if (boot_then[0] != '\0' && strcmp(boot_then, boot_now.data) == 0 && boot_ns > 0) {
        s->wall_ns = wall_ns; /* the next tick sees what the clocks did meanwhile */
        s->boot_ns = boot_ns;
    }
    return DR_OK;
}

enum dr_rc state_load(const char *state_dir, struct schedule *s, struct dr_err *err)
{
    DR_FREE char *path = dr_strf("%s/%s", state_dir, file_name);
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    DR_JSON json_t *root = NULL;
    DR_TRY(fs_read_file(path, STATE_FILE_MAX, &text, err));
    DR_TRY(json_read(path, text.data != NULL ? text.data : "", text.len, &root, err));
    if (read_state(root, s, err) != DR_OK)
        return dr_context(err, "'%s'", path);
    return DR_OK;
}
