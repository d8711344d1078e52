/*
 * Which file: the seed picks where to begin to look, and the first plain one is it. Small files come first, since
 * one is there whole or not at all; a name that would be written otherwise than it is, or fill half a
 * message, comes last.
 */
#include <string.h>

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

static void take(struct control_victim *v, const struct segment *s, const struct toc_record *rec)
{
    char name[NAMES_MAX];
    const struct fetch_piece p = reader_place(s, rec->piece + rec->nhead);
    v->path = dr_strdup(rec->path);
    v->object = dr_strdup(names_pack(p.pack, name));
    v->offset = p.offset + p.stored / 2;
    v->small = rec->nhead == 0;
}

static enum dr_rc look_in(struct reader *r, const struct segment *s, uint64_t seed, unsigned wish,
                          struct control_victim *v, struct dr_err *err)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct toc_record *rec = &s->records[(i + seed) % s->count];
        bool data = false;
        if (wish_of(rec) != wish)
            continue;
        DR_TRY(has_data(r, s, rec, &data, err));
        if (data) {
            take(v, s, rec);
            return DR_OK;
        }
    }
    return DR_OK;
}

static enum dr_rc look(struct reader *r, uint64_t seed, struct control_victim *v,
                       struct dr_err *err)
{
    size_t count = reader_segment_count(r);
    for (unsigned wish = 1; wish <= WISHES; wish++) {
        for (size_t i = 0; i < count && v->path == NULL; i++) {
            const struct segment *s = NULL;
            DR_TRY(reader_segment(r, (i + seed) % count, &s, err));
            if (s->count > 0)
                DR_TRY(look_in(r, s, seed / (count + 1), wish, v, err));
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
    DR_TRY(look(r, seed_of(j), &j->victim, err));
    j->victim.in_buckets = info.buckets.count;
    *ret_found = j->victim.path != NULL;
    return DR_OK;
}
