/*
 * Lists. Depth is a bound loop, not recursion: each round turns frame lines into the text that
 * they name. Lines are strict: one space between fields, no sign, no leading zero.
 */
#include "backup/format/list.h"

#include <inttypes.h>
#include <string.h>

#include "backup/format/names.h"
#include "backup/format/path.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"

void list_fini(struct list *l)
{
    text_list_fini(&l->lines);
    l->depth = 0;
}

void list_frame_fini(struct list_frame *f)
{
    buf_fini(&f->first);
}

static void add_place(struct buf *out, const struct list_base *b)
{
    char name[NAMES_MAX], id[HASH_HEX_SIZE];
    buf_addf(out, "%s %" PRIu64 " %" PRIu64 " %" PRIu64 " %s", names_pack(b->pack, name), b->offset,
             b->stored, b->raw, hex_encode(b->id, DIGEST_SIZE, id));
}

void list_add_frame_line(struct buf *out, const struct list_frame *f, bool segment)
{
    struct list_base place = { .offset = f->offset, .stored = f->stored, .raw = f->raw };
    memcpy(place.pack, f->pack, DIGEST_SIZE);
    memcpy(place.id, f->id, DIGEST_SIZE);
    add_place(out, &place);
    if (!segment)
        return;
    buf_addf(out, " %" PRIu64 " ", f->entries);
    path_add_encoded(out, f->first.data != NULL ? f->first.data : "");
    if (f->patched) {
        buf_addc(out, ' ');
        add_place(out, &f->base);
    }
}

void list_add_run_line(struct buf *out, const struct list_run *r)
{
    char name[NAMES_MAX];
    buf_addf(out, "%s %" PRIu64 " %" PRIu64, names_pack(r->pack, name), r->offset, r->len);
}

/* The next field and its length; false at the end of the line. */
static bool next_field(const char **at, const char **ret, size_t *ret_len)
{
    if (**at == '\0')
        return false;
    size_t len = strcspn(*at, " ");
    *ret = *at;
    *ret_len = len;
    *at += len;
    if (**at == ' ')
        *at += (*at)[1] == '\0' ? 0 : 1; /* a space at the end stays, and is no field */
    return len > 0;
}

static bool parse_pack(const char **at, uint8_t ret[DIGEST_SIZE])
{
    const char *field;
    size_t len;
    char name[NAMES_MAX];
    if (!next_field(at, &field, &len) || len >= sizeof name)
        return false;
    memcpy(name, field, len);
    name[len] = '\0';
    return names_parse_pack(name, ret);
}

static bool parse_number(const char **at, uint64_t most, uint64_t *ret)
{
    const char *field;
    size_t len;
    if (!next_field(at, &field, &len) || len > 18 || (len > 1 && field[0] == '0'))
        return false;
    uint64_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (field[i] < '0' || field[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(field[i] - '0');
    }
    *ret = n;
    return n <= most;
}

static bool parse_id(const char **at, uint8_t ret[DIGEST_SIZE])
{
    const char *field;
    size_t len;
    return next_field(at, &field, &len) && hex_decode(field, len, ret, DIGEST_SIZE);
}

static enum dr_rc bad_line(const char *line, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf shown = { 0 };
    text_add_printable(&shown, line, strnlen(line, 120));
    return dr_fail(err, DR_E_CORRUPT, "list: '%s' is not a line of it",
                   shown.data != NULL ? shown.data : "");
}

static bool parse_place(const char **at, uint64_t raw_max, struct list_base *b)
{
    return parse_pack(at, b->pack) && parse_number(at, PACK_SIZE_MAX, &b->offset) &&
           parse_number(at, raw_max + FRAME_SLACK, &b->stored) &&
           parse_number(at, raw_max, &b->raw) && parse_id(at, b->id);
}

static bool parse_first(const char **at, struct buf *ret)
{
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    const char *field;
    size_t len;
    if (!next_field(at, &field, &len))
        return false;
    buf_add(&text, field, len);
    return path_decode(text.data, ret);
}

/* What a line of a segment has behind the place of its frame. */
static bool parse_segment(const char **at, struct list_frame *f)
{
    if (!parse_number(at, SEGMENT_RECORDS_MAX, &f->entries) || !parse_first(at, &f->first))
        return false;
    f->patched = **at != '\0';
    return !f->patched || (f->raw <= PATCH_RAW_MAX && parse_place(at, PATCH_RAW_MAX, &f->base));
}

enum dr_rc list_parse_frame(const char *line, bool segment, struct list_frame *f,
                            struct dr_err *err)
{
    const char *at = line;
    struct list_base place;
    buf_clear(&f->first);
    f->entries = 0;
    f->patched = false;
    if (!parse_place(&at, segment ? SEGMENT_RAW_MAX : PIECE_RAW_MAX, &place))
        return bad_line(line, err);
    f->offset = place.offset;
    f->stored = place.stored;
    f->raw = place.raw;
    memcpy(f->pack, place.pack, DIGEST_SIZE);
    memcpy(f->id, place.id, DIGEST_SIZE);
    bool ok = (!segment || parse_segment(&at, f)) && *at == '\0';
    return ok ? DR_OK : bad_line(line, err);
}

enum dr_rc list_parse_run(const char *line, struct list_run *ret, struct dr_err *err)
{
    const char *at = line;
    if (parse_pack(&at, ret->pack) && parse_number(&at, PACK_SIZE_MAX, &ret->offset) &&
        parse_number(&at, PACK_SIZE_MAX, &ret->len) && *at == '\0')
        return DR_OK;
    return bad_line(line, err);
}

/* Cut text into lines; the last must end with its newline, too. */
static enum dr_rc cut_text(const struct buf *text, struct text_list *ret, struct dr_err *err)
{
    for (size_t at = 0; at < text->len;) {
        const char *p = memchr(text->data + at, '\n', text->len - at);
        if (p == NULL)
            return dr_fail(err, DR_E_CORRUPT, "list: the last line has no end");
        size_t len = (size_t)(p - text->data) - at;
        if (len > LIST_LINE_MAX || ret->count >= LIST_LINES_MAX ||
            memchr(text->data + at, '\0', len) != NULL)
            return dr_fail(err, DR_E_CORRUPT, "list: line %zu is beyond its limits", ret->count);
        text_list_addn(ret, text->data + at, len);
        at += len + 1;
    }
    return DR_OK;
}

static enum dr_rc fetch_all(const struct text_list *lines, list_fetch *fetch, void *arg,
                            struct buf *text, struct dr_err *err)
{
    for (size_t i = 0; i < lines->count; i++) {
        struct list_frame frame = { .entries = 0 };
        DR_TRY(list_parse_frame(lines->items[i], false, &frame, err));
        DR_TRY(fetch(arg, &frame, text, err));
    }
    return DR_OK;
}

enum dr_rc list_expand(const struct list *l, list_fetch *fetch, void *arg, struct text_list *ret,
                       struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list lines = { 0 };
    if (l->depth > LIST_DEPTH_MAX)
        return dr_fail(err, DR_E_CORRUPT, "list: deeper than %d", LIST_DEPTH_MAX);
    for (size_t i = 0; i < l->lines.count; i++)
        text_list_add(&lines, l->lines.items[i]);
    for (unsigned depth = l->depth; depth > 0; depth--) {
        DR_CLEANUP(buf_fini) struct buf text = { 0 };
        DR_TRY(fetch_all(&lines, fetch, arg, &text, err));
        text_list_fini(&lines);
        lines = (struct text_list){ 0 };
        DR_TRY(cut_text(&text, &lines, err));
    }
    *ret = lines;
    lines = (struct text_list){ 0 };
    return DR_OK;
}
