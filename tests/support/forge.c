/*
 * forge.c - snapshots that no honest writer makes: every byte chosen, digests and signature right.
 *
 * It builds objects from the norm (FORMAT.md) and from the encoders, not from a backup, so that a
 * reader meets lies that are well formed.
 */
#include "tests/support/forge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/format/codec.h"
#include "backup/format/head.h"
#include "backup/format/pack.h"
#include "backup/format/toc.h"
#include "dr/base/clock.h"
#include "dr/base/mem.h"

static void patch_bytes(const struct forge_patch *p, char *data, size_t len)
{
    for (size_t i = 0; p != NULL && i + p->len <= len; i++) {
        if (memcmp(data + i, p->from, p->len) == 0)
            memcpy(data + i, p->to, p->len);
    }
}

/* The ustar checksum counts its own field as spaces. */
static void fix_checksum(char *block)
{
    unsigned sum = 0;
    memset(block + 148, ' ', 8);
    for (int i = 0; i < BLOCK_SIZE; i++)
        sum += (unsigned char)block[i];
    snprintf(block + 148, 8, "%06o", sum);
    block[155] = ' ';
}

struct maker {
    const struct forge *forge;
    struct buf bundle, overlay, links, dirs; /* raw pieces */
    struct toc_writer *toc;
    struct pack pack;
    struct codec *codec;
    uint64_t files, bytes;
};

enum { AT_BUNDLE, AT_OVERLAY, AT_LINKS, AT_DIRS, PIECES };

static uint32_t index_of(const struct forge_entry *e)
{
    if (e->old != NULL)
        return AT_OVERLAY;
    return e->type == '5' ? AT_DIRS : e->type == '1' ? AT_LINKS : AT_BUNDLE;
}

static struct buf *piece_of(struct maker *m, uint32_t index)
{
    struct buf *const pieces[PIECES] = { &m->bundle, &m->overlay, &m->links, &m->dirs };
    return pieces[index];
}

static void write_entry(struct maker *m, const struct forge_entry *e, const struct head *h,
                        struct buf *out)
{
    size_t at = out->len;
    head_write(out, h);
    patch_bytes(m->forge->patch, out->data + at, out->len - at);
    fix_checksum(out->data + out->len - BLOCK_SIZE);
    if (h->data > 0) {
        buf_add(out, e->data, h->data);
        head_pad(out);
    }
}

static void add_entry(struct maker *m, const struct forge_entry *e)
{
    struct buf *out = piece_of(m, index_of(e));
    uint64_t size = e->data != NULL ? strlen(e->data) : 0;
    struct head h = { .type = e->type,
                      .path = e->path,
                      .link = e->link,
                      .mode = e->mode != 0 ? e->mode : 0755,
                      .uid = geteuid(),
                      .gid = getegid(),
                      .mtime_s = 1000000000,
                      .major = 1,
                      .minor = 3,
                      .size = size,
                      .data = size };
    if (e->old != NULL) {
        const struct forge_entry older = { .data = e->old };
        h.size = h.data = strlen(e->old);
        write_entry(m, &older, &h, &m->bundle);
        h.size = h.data = size;
    }
    const struct toc_record rec = { .path = e->path,
                                    .link = e->link,
                                    .path_len = strlen(e->path),
                                    .type = e->type,
                                    .mode = h.mode,
                                    .uid = h.uid,
                                    .gid = h.gid,
                                    .mtime_s = h.mtime_s,
                                    .major = 1,
                                    .minor = 3,
                                    .piece = index_of(e),
                                    .offset = out->len,
                                    .size = size };
    write_entry(m, e, &h, out);
    m->files += e->type == '0';
    m->bytes += size;
    toc_add_record(m->toc, &rec);
}

static struct toc_piece put_frame(struct maker *m, const struct buf *raw, enum frame_kind kind)
{
    DR_CLEANUP(buf_fini) struct buf frame = { 0 };
    struct pack_row row = { .raw = (uint32_t)raw->len, .kind = kind };
    hash_bytes(raw->data, raw->len, row.id);
    codec_pack(m->codec, raw->data, raw->len, &frame);
    row.stored = (uint32_t)frame.len;
    pack_add(&m->pack, &row, frame.data);
    struct toc_piece p = {
        .kind = kind, .offset = row.offset, .stored = row.stored, .raw = row.raw
    };
    memcpy(p.id, row.id, DIGEST_SIZE);
    return p;
}

static const uint8_t *own_pack(void *arg, uint32_t pack)
{
    (void)arg;
    (void)pack;
    return NULL;
}

/* Fill pieces and segment; the segment's place comes back. */
static struct toc_piece make_pack(struct maker *m)
{
    const struct forge_entry root = { .type = '5', .path = "" };
    const struct toc_piece none = { .raw = BLOCK_SIZE };
    struct toc_writer *draft = m->toc;
    toc_add_piece(draft, &none); /* gives the records a table while the pieces are made */
    add_entry(m, &root);
    for (size_t i = 0; i < m->forge->count; i++)
        add_entry(m, &m->forge->entries[i]);

    /* An empty piece is none: a block of an entry nobody points at stands in for it. */
    const enum frame_kind kinds[] = { FRAME_BUNDLE, FRAME_OVERLAY, FRAME_LINKS, FRAME_DIRECTORIES };
    m->toc = toc_writer_new();
    for (uint32_t i = 0; i < PIECES; i++) {
        struct buf *raw = piece_of(m, i);
        if (raw->len == 0)
            head_write(raw, &(struct head){ .type = '5', .path = "" });
        struct toc_piece p = put_frame(m, raw, kinds[i]);
        toc_add_piece(m->toc, &p);
    }
    toc_writer_free(draft);
    toc_add_range(m->toc, 1);
    /* The records again, now behind the real table; the pieces' bytes are made already. */
    m->bundle.len = m->overlay.len = m->links.len = m->dirs.len = 0;
    m->files = m->bytes = 0;
    add_entry(m, &root);
    for (size_t i = 0; i < m->forge->count; i++)
        add_entry(m, &m->forge->entries[i]);
    DR_CLEANUP(buf_fini) struct buf segment = { 0 };
    toc_encode(m->toc, own_pack, NULL, &segment);
    patch_bytes(m->forge->patch, segment.data, segment.len);
    return put_frame(m, &segment, FRAME_SEGMENT);
}

static void add_lists(struct maker *m, struct snapshot *s, const struct toc_piece *segment)
{
    struct list_frame f = { .offset = segment->offset,
                            .stored = segment->stored,
                            .raw = segment->raw,
                            .entries = m->forge->count + 1 };
    memcpy(f.pack, m->pack.name, DIGEST_SIZE);
    memcpy(f.id, segment->id, DIGEST_SIZE);
    buf_adds(&f.first, "");
    DR_CLEANUP(buf_fini) struct buf line = { 0 };
    list_add_frame_line(&line, &f, true);
    text_list_add(&s->toc.lines, line.data);
    list_frame_fini(&f);
    buf_clear(&line);
    struct list_run run = { .len = segment->offset - m->forge->short_recipe };
    memcpy(run.pack, m->pack.name, DIGEST_SIZE);
    list_add_run_line(&line, &run);
    text_list_add(&s->recipe.lines, line.data);
    char hex[HASH_HEX_SIZE];
    text_list_add(&s->packs.lines, hex_encode(m->pack.name, DIGEST_SIZE, hex));
}

static void deepen(struct maker *m, struct pack *pack, struct list *l, struct list_frame *ret)
{
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    DR_CLEANUP(buf_fini) struct buf frame = { 0 };
    for (size_t i = 0; i < l->lines.count; i++)
        buf_addf(&text, "%s\n", l->lines.items[i]);
    struct pack_row row = { .raw = (uint32_t)text.len, .kind = FRAME_LIST };
    hash_bytes(text.data, text.len, row.id);
    codec_pack(m->codec, text.data, text.len, &frame);
    row.stored = (uint32_t)frame.len;
    pack_add(pack, &row, frame.data);
    *ret = (struct list_frame){ .offset = row.offset, .stored = row.stored, .raw = row.raw };
    memcpy(ret->id, row.id, DIGEST_SIZE);
}

/* The lines of toc, recipe and packs become frames of one more pack. The pack of the lists cannot
 * name itself in a list that it holds: the list of packs names the first pack only. */
static void deepen_lists(struct maker *m, struct snapshot *s, struct pack *pack)
{
    struct list *lists[] = { &s->toc, &s->recipe, &s->packs };
    struct list_frame frames[DR_ARRAY_LEN(lists)];
    pack_start(pack, s->nonce);
    for (size_t i = 0; i < DR_ARRAY_LEN(lists); i++)
        deepen(m, pack, lists[i], &frames[i]);
    pack_seal(pack);
    for (size_t i = 0; i < DR_ARRAY_LEN(lists); i++) {
        DR_CLEANUP(buf_fini) struct buf line = { 0 };
        memcpy(frames[i].pack, pack->name, DIGEST_SIZE);
        list_add_frame_line(&line, &frames[i], false);
        list_fini(lists[i]);
        lists[i]->depth = 1;
        text_list_add(&lists[i]->lines, line.data);
    }
}

static void put_everywhere(const struct site *s, const char *name, const struct buf *bytes)
{
    for (int i = 0; i < SITE_BUCKETS; i++) {
        struct dr_err err = { 0 };
        DR_FREE char *url = dr_strf("file://%s", s->bucket[i]);
        DR_CLEANUP(store_close_ptr) struct store *store = NULL;
        assert_int_equal(store_open_url(site_bucket_names[i], NULL, url, &store, &err), DR_OK);
        assert_int_equal(store_put(store, name, bytes->data, bytes->len, &err), DR_OK);
    }
}

static void sign_and_put(const struct site *s, const struct forge *f, struct snapshot *snap)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(keys_free_ptr) struct keys *own = NULL;
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    char name[NAMES_MAX];
    assert_int_equal(keys_open(s->config->state_dir, true, &own, &err), DR_OK);
    snapshot_encode(snap, f->signer != NULL ? f->signer : own, &object);
    put_everywhere(s, names_of(NAMES_SNAPSHOTS, snap->id, name), &object);
}

void forge_snapshot(const struct site *s, const struct forge *f, char id[SNAPSHOT_ID_MAX])
{
    DR_CLEANUP(repo_close_ptr) struct repo *r = site_open(s);
    struct maker m = { .forge = f, .codec = codec_new(CODEC_LEVEL), .toc = toc_writer_new() };
    struct snapshot snap = { .epoch = f->epoch };
    random_bytes(snap.nonce, NONCE_SIZE);
    pack_start(&m.pack, snap.nonce);
    const struct toc_piece segment = make_pack(&m);
    pack_seal(&m.pack);
    char name[NAMES_MAX];
    put_everywhere(s, names_pack(m.pack.name, name), &m.pack.bytes);

    snap.start_ns = f->start_ns != 0 ? f->start_ns : clock_wall_ns();
    snap.end_ns = snap.start_ns + 1;
    const struct names_id parts = {
        .source = "app", .epoch = f->epoch, .start_ns = snap.start_ns, .nonce = snap.nonce
    };
    names_make_id(&parts, snap.id);
    snap.repository = dr_strdup(f->repository != NULL ? f->repository : repo_repository(r)->id);
    snap.source = dr_strdup("app");
    snap.class = dr_strdup("data");
    snap.host = dr_strdup("forge");
    snap.kind = dr_strdup("full");
    snap.owners = json_pack("{s:{},s:{}}", "groups", "users");
    snap.entries = f->count + 1;
    snap.files = m.files;
    snap.bytes = m.bytes;
    add_lists(&m, &snap, &segment);
    struct pack lists = { 0 };
    if (f->deep) {
        deepen_lists(&m, &snap, &lists);
        put_everywhere(s, names_pack(lists.name, name), &lists.bytes);
    }
    pack_fini(&lists);
    sign_and_put(s, f, &snap);
    snprintf(id, SNAPSHOT_ID_MAX, "%s", snap.id);
    snapshot_fini(&snap);
    toc_writer_free(m.toc);
    codec_free(m.codec);
    pack_fini(&m.pack);
    buf_fini(&m.bundle);
    buf_fini(&m.overlay);
    buf_fini(&m.links);
    buf_fini(&m.dirs);
}
