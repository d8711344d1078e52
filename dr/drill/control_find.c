/*
 * Which file: the seed picks where to begin to look, and the first plain one is it. Small files come first, since
 * one is there whole or not at all; a name that would be written otherwise than it is, or fill half a
 * message, comes last.
 *
 * Which byte: not each one matters. A match of zeros may be told by two offsets, and then a frame with a flipped byte
 * unpacks to what it was; so it is tried here which byte makes the piece another.
 */
#include <string.h>

#include "backup/format/codec.h"
#include "backup/format/names.h"
#include "backup/work/costs.h"
#include "backup/work/reader.h"
#include "dr/base/mem.h"
#include "dr/drill/control_work.h"

enum { WISHES = 3, SHORT_PATH = 200 };

/* 1: such a file is taken at once; 0: never. */
static unsigned wish_of(const struct toc_record *rec)
{
    if (rec->type != '0' || rec->size == 0 || !text_is_utf8(rec->path, rec->path_len))
        return 0;
    bool plain = rec->path_len <= SHORT_PATH && (rec->mode & 0200) != 0;
    for (size_t i = 0; i < rec->path_len && plain; i++)
        plain = (unsigned char)rec->path[i] >= ' ' && rec->path[i] != '\\' && rec->path[i] != 0x7F;
    if (!plain)
        return 3;
    return rec->nhead == 0 ? 1 : 2;
}

/* A file that is all hole has no byte to spoil, and only its head tells. */
static enum dr_rc has_data(struct reader *r, const struct segment *s, const struct toc_record *rec,
                           bool *ret, struct dr_err *err)
{
    DR_CLEANUP(head_fini) struct head h = { 0 };
    const uint8_t *data = NULL;
    DR_TRY(reader_head(r, s, rec, &h, &data, err));
    *ret = h.data > 0 && !h.sparse;
    return DR_OK;
}

static bool unpacks(struct codec *codec, const struct fetch_piece *p, const struct buf *frame)
{
    DR_CLEANUP(buf_fini) struct buf raw = { 0 };
    struct dr_err ignored = { 0 };
    const struct codec_frame in = { .data = frame->data,
                                    .len = (size_t)p->stored,
                                    .raw_len = p->raw,
                                    .raw_max = p->raw_max,
                                    .id = p->id };
    return codec_open(codec, "frame", &in, &raw, &ignored) == DR_OK;
}

/* The frame as a bucket has it right. False: none has. */
static bool get_frame(struct repo *r, struct codec *codec, const struct fetch_piece *p,
                      struct buf *ret)
{
    char name[NAMES_MAX];
    names_pack(p->pack, name);
    for (size_t i = 0; i < repo_bucket_count(r); i++) {
        struct store *s = repo_bucket(r, i)->store;
        struct dr_err ignored = { 0 };
        char *at = buf_reserve(ret, (size_t)p->stored);
        if (s != NULL && store_get(s, name, p->offset, (size_t)p->stored, at, &ignored) == DR_OK &&
            unpacks(codec, p, ret))
            return true;
    }
    return false;
}

/* The byte nearest behind the middle that cannot be another; false: there is none. */
static bool find_byte(struct repo *r, const struct fetch_piece *p, uint64_t *ret)
{
    DR_CLEANUP(codec_free_ptr) struct codec *codec = codec_new(CODEC_LEVEL);
    DR_CLEANUP(buf_fini) struct buf frame = { 0 };
    if (p->stored > p->raw + FRAME_SLACK || p->raw > p->raw_max || !get_frame(r, codec, p, &frame))
        return false;
    for (uint64_t i = 0; i < p->stored; i++) {
        uint64_t at = (p->stored / 2 + i) % p->stored;
        frame.data[at] ^= PLANT_BITS;
        bool matters = !unpacks(codec, p, &frame);
        frame.data[at] ^= PLANT_BITS;
        if (matters) {
            *ret = p->offset + at;
            return true;
        }
    }
    return false;
}

/* Not taken when no byte of it matters. */
static void take(struct repo *repo, struct control_victim *v, const struct segment *s,
                 const struct toc_record *rec)
{
    char name[NAMES_MAX];
    const struct fetch_piece p = reader_place(s, rec->piece + rec->nhead);
    if (!find_byte(repo, &p, &v->offset))
        return;
    v->path = dr_strdup(rec->path);
    v->object = dr_strdup(names_pack(p.pack, name));
    v->small = rec->nhead == 0;
}

/* What is looked through. */
struct search {
    struct repo *repo;
    struct reader *reader;
    uint64_t seed;
    struct control_victim *victim;
};

static enum dr_rc look_in(const struct search *q, const struct segment *s, unsigned wish,
                          struct dr_err *err)
{
    uint64_t from = q->seed / (reader_segment_count(q->reader) + 1);
    for (size_t i = 0; i < s->count && q->victim->path == NULL; i++) {
        const struct toc_record *rec = &s->records[(i + from) % s->count];
        bool data = false;
        if (wish_of(rec) != wish)
            continue;
        DR_TRY(has_data(q->reader, s, rec, &data, err));
        if (data)
            take(q->repo, q->victim, s, rec);
    }
    return DR_OK;
}

static enum dr_rc look(const struct search *q, struct dr_err *err)
{
    size_t count = reader_segment_count(q->reader);
    for (unsigned wish = 1; wish <= WISHES; wish++) {
        for (size_t i = 0; i < count && q->victim->path == NULL; i++) {
            const struct segment *s = NULL;
            DR_TRY(reader_segment(q->reader, (i + q->seed) % count, &s, err));
            if (s->count > 0)
                DR_TRY(look_in(q, s, wish, err));
        }
    }
    return DR_OK;
}

enum dr_rc control_repo(const struct control_place *p, struct repo **ret, struct dr_err *err)
{
    const char *const dark[] = { p->failed };
    const struct repo_options o = { .dark = dark, .dark_count = p->failed != NULL };
    DR_TRY(repo_open(p->config, &o, ret, err));
    costs_keep(*ret, "step");
    return DR_OK;
}

/* Each control looks at another file: the name goes into the seed. */
static uint64_t seed_of(const struct control_job *j)
{
    uint64_t h = j->place->seed ^ 0xCBF29CE484222325u; /* FNV-1a (Fowler, Noll, Vo) */
    for (const char *c = j->control->name; *c != '\0'; c++)
        h = (h ^ (unsigned char)*c) * 0x100000001B3u;
    return h >> 1;
}

enum dr_rc job_victim(struct control_job *j, bool *ret_found, struct dr_err *err)
{
    const struct control_place *p = j->place;
    const struct work_hooks quiet = { 0 };
    DR_CLEANUP(repo_close_ptr) struct repo *repo = NULL;
    DR_CLEANUP(reader_close_ptr) struct reader *r = NULL;
    DR_CLEANUP(snapshot_info_fini) struct snapshot_info info = { 0 };
    DR_TRY(control_repo(p, &repo, err));
    DR_TRY(repo_find(repo, p->snapshot, p->source, &info, err));
    DR_TRY(reader_open(repo, &info, &quiet, &r, err));
    const struct search q = { .repo = repo, .reader = r, .seed = seed_of(j), .victim = &j->victim };
    DR_TRY(look(&q, err));
    j->victim.in_buckets = info.buckets.count;
    *ret_found = j->victim.path != NULL;
    return DR_OK;
}
