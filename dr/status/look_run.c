/*
 * The records of a run are not read as a journal here: one bucket may lack some, and the screen only
 * needs the first (what it is) and the last that changed its state.
 */
#include "dr/status/look_run.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/data/time.h"
#include "dr/journal/journal.h"
#include "dr/run/table.h"
#include "dr/status/look.h"

static const char runs[] = "runs/r-";

static int64_t newest_number(const struct text_list *names)
{
    int64_t newest = 0;
    for (size_t i = 0; i < names->count; i++) {
        const char *at = names->items[i] + strlen(runs);
        size_t digits = strspn(at, "0123456789");
        int64_t n = digits > 0 && digits < 10 && at[digits] == '/' ? strtoll(at, NULL, 10) : 0;
        newest = n > newest ? n : newest;
    }
    return newest;
}

static bool read_record(struct store *s, const char *name, struct journal_record *ret)
{
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    struct dr_err ignored = { 0 };
    return store_get_all(s, name, JOURNAL_RECORD_MAX, &b, &ignored) == DR_OK && b.len > 0 &&
           journal_read_one(b.data, b.len, ret, &ignored) == DR_OK;
}

static void copy_text(json_t *to, const char *key, const json_t *from, const char *member)
{
    const char *text = json_string_value(json_object_get(from, member));
    json_put(to, key, text != NULL ? json_printable(text) : json_null());
}

/* What the first record says; false: it is none. */
static bool take_start(struct store *s, const char *name, json_t *o)
{
    struct journal_record r = { 0 };
    if (!read_record(s, name, &r))
        return false;
    const json_t *plan = json_object_get(r.body, "plan");
    char text[TIME_TEXT_MAX];
    bool good = strcmp(r.type, "start") == 0 && !json_is_true(json_object_get(r.body, "dry"));
    copy_text(o, "id", r.body, "id");
    copy_text(o, "plan", plan, "name");
    copy_text(o, "mode", r.body, "mode");
    copy_text(o, "from", r.body, "failed");
    json_put(o, "to", json_null());
    json_put(o, "held_at", json_null());
    json_put(o, "live", json_null());
    json_put_text(o, "started_at", time_print_s(r.wall_ns, text));
    journal_record_fini(&r);
    return good;
}

/* The state after the last record that changed it. */
static enum run_phase last_phase(struct store *s, const struct text_list *names)
{
    enum run_phase phase = RUN_NONE;
    for (size_t i = 0; i < names->count && i < LOOK_RECORDS && phase == RUN_NONE; i++) {
        struct journal_record r = { 0 };
        if (!read_record(s, names->items[names->count - 1 - i], &r))
            continue;
        const char *word = json_string_value(json_object_get(r.body, "run"));
        if (word != NULL && !run_phase_read(word, &phase))
            phase = RUN_NONE;
        journal_record_fini(&r);
    }
    return phase;
}

json_t *look_run(struct store *s)
{
    DR_CLEANUP(text_list_fini) struct text_list all = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    struct dr_err ignored = { 0 };
    if (store_list(s, runs, &all, &ignored) != DR_OK)
        return NULL;
    DR_FREE char *prefix = dr_strf("%s%" PRId64 "/", runs, newest_number(&all));
    for (size_t i = 0; i < all.count; i++)
        if (text_starts(all.items[i], prefix))
            text_list_add(&names, all.items[i]);
    DR_JSON json_t *o = json_object();
    if (names.count == 0 || !take_start(s, names.items[0], o))
        return NULL;
    enum run_phase phase = last_phase(s, &names);
    if (run_is_final(phase))
        return NULL;
    json_put(o, "state", phase == RUN_NONE ? json_null() : json_string(run_phase_name(phase)));
    return DR_TAKE(o);
}
