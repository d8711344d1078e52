/*
 * pick.c - a scan for lines of one kind. The canonical form sorts the members of a line, so its type stands last.
 */
#include "dr/audit/pick.h"

#include <string.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/data/time.h"

struct picking {
    const char *type;
    int64_t from_ns;
    book_fn *fn;
    void *arg;
    struct text_list keys; /* of the book */
    const char *file;
    bool enough;
};

/* {...,"type":"finding_closed"}: does the type of the line [line, end) begin so? A body may hold the same words; what stands
 * last decides. */
static bool is_wanted(const char *type, const char *line, const char *end)
{
    static const char mark[] = "\"type\":\"";
    const size_t len = sizeof(mark) - 1;
    if ((size_t)(end - line) < len)
        return false;
    for (const char *at = end - len; at >= line; at--)
        if (memcmp(at, mark, len) == 0)
            return (size_t)(end - at) >= len + strlen(type) &&
                   memcmp(at + len, type, strlen(type)) == 0;
    return false;
}

static enum dr_rc take(struct picking *p, const char *line, size_t len, size_t number,
                       struct dr_err *err)
{
    struct book_record r = { 0 };
    enum dr_rc rc = book_read_line(line, len, &r, err);
    if (rc == DR_OK && r.key[0] != '\0' && !text_list_has(&p->keys, r.key))
        rc = dr_fail(err, DR_E_CORRUPT, "it is signed by %s, which the book does not know", r.key);
    if (rc != DR_OK) {
        book_record_fini(&r);
        return dr_context(err, "%s:%zu", p->file, number);
    }
    r.file = p->file;
    r.line = number;
    r.text = line;
    r.text_len = len;
    if (r.wall_ns >= p->from_ns && text_starts(r.type, p->type))
        p->enough = !p->fn(p->arg, &r);
    book_record_fini(&r);
    return DR_OK;
}

static enum dr_rc pick_month(struct picking *p, const struct buf *bytes, struct dr_err *err)
{
    const char *at = bytes->data, *end = bytes->data + bytes->len;
    for (size_t number = 1; at < end && !p->enough; number++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (stop == NULL)
            break;
        if (is_wanted(p->type, at, stop))
            DR_TRY(take(p, at, (size_t)(stop - at) + 1, number, err));
        at = stop + 1;
    }
    return DR_OK;
}

enum dr_rc book_pick(const char *state_dir, const char *type, int64_t from_ns, book_fn *fn,
                     void *arg, struct dr_err *err)
{
    struct picking p = { .type = type, .from_ns = from_ns, .fn = fn, .arg = arg };
    DR_CLEANUP(text_list_fini) struct text_list months = { 0 };
    DR_FREE char *first = book_month_of(from_ns > 0 ? from_ns : 0);
    enum dr_rc rc = book_months(state_dir, &months, err);
    if (rc == DR_OK)
        rc = book_keys(state_dir, &p.keys, err);
    for (size_t i = 0; i < months.count && rc == DR_OK && !p.enough; i++) {
        if (strcmp(months.items[i], first) < 0)
            continue;
        DR_FREE char *name = dr_strf("ledger/%s", months.items[i]);
        DR_FREE char *path = dr_strf("%s/%s", state_dir, name);
        DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
        p.file = name;
        rc = fs_read_file(path, BOOK_FILE_MAX, &bytes, err);
        if (rc == DR_OK && bytes.len > 0)
            rc = pick_month(&p, &bytes, err);
    }
    text_list_fini(&p.keys);
    return rc;
}

static bool add_json(void *arg, const struct book_record *r)
{
    char time[TIME_TEXT_MAX];
    json_t *list = arg, *one = json_object();
    json_put_text(one, "type", r->type);
    json_put_text(one, "time", time_print(r->wall_ns, time));
    json_put(one, "body", json_incref(r->body));
    if (json_array_append_new(list, one) != 0)
        dr_out_of_memory();
    return true;
}

enum dr_rc book_pick_json(const char *state_dir, const char *type, int64_t from_ns, json_t **ret,
                          struct dr_err *err)
{
    DR_JSON json_t *list = json_array();
    DR_TRY(book_pick(state_dir, type, from_ns, add_json, list, err));
    *ret = DR_TAKE(list);
    return DR_OK;
}
