/*
 * The format's own promises, object by object: what was written comes back; what was changed by one
 * bit, or cut anywhere, is refused and never crashes the parser. Sweeps go over every byte
 * and every length of small objects, so they are the same in each run.
 */
#include <stdio.h>
#include <string.h>
#include <zstd.h>

#include <setjmp.h>
#include <stddef.h>

#include <cmocka.h>
#include <xxhash.h>

#include "backup/format/codec.h"
#include "backup/format/cut.h"
#include "backup/format/head.h"
#include "backup/format/list.h"
#include "backup/format/pack.h"
#include "backup/format/path.h"
#include "backup/format/toc.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "tests/support/spoil.h"

/* -- numbers and paths --------------------------------------------------------------------- */

static void numbers_come_back_and_long_forms_are_refused(void **state)
{
    (void)state;
    static const uint64_t numbers[] = { 0,     1,          127,        128,        16383,
                                        16384, UINT32_MAX, 1ULL << 62, UINT64_MAX, 255 };
    struct buf b = { 0 };
    struct dr_err err;
    for (size_t i = 0; i < DR_ARRAY_LEN(numbers); i++) {
        wire_add_varint(&b, numbers[i]);
        wire_add_svarint(&b, -(int64_t)(numbers[i] >> 1));
    }
    struct wire w = wire_of("numbers", b.data, b.len);
    for (size_t i = 0; i < DR_ARRAY_LEN(numbers); i++) {
        uint64_t n;
        int64_t s;
        assert_int_equal(wire_varint(&w, UINT64_MAX, &n, &err), DR_OK);
        assert_int_equal(wire_svarint(&w, &s, &err), DR_OK);
        assert_true(n == numbers[i] && s == -(int64_t)(numbers[i] >> 1));
    }
    static const char longer[] = { (char)0x81, 0 },
                      eleven[] = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02";
    uint64_t n;
    w = wire_of("longer", longer, 2);
    assert_int_equal(wire_varint(&w, UINT64_MAX, &n, &err), DR_E_CORRUPT);
    w = wire_of("beyond 2^64", eleven, 10);
    assert_int_equal(wire_varint(&w, UINT64_MAX, &n, &err), DR_E_CORRUPT);
    buf_fini(&b);
}

static void a_directory_is_followed_by_what_it_contains(void **state)
{
    (void)state;
    static const char *const order[] = { "",      "a",   "a/b", "a/b/c", "a/b.c",
                                         "a\x01", "a.b", "b",   "\xff" };
    for (size_t i = 0; i < DR_ARRAY_LEN(order); i++)
        for (size_t k = 0; k < DR_ARRAY_LEN(order); k++) {
            int c = path_compare(order[i], order[k]);
            assert_int_equal((c > 0) - (c < 0), (i > k) - (i < k));
        }
}

static void paths_that_lead_elsewhere_are_none(void **state)
{
    (void)state;
    static const char *const bad[] = { "/", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a/." };
    static const char *const good[] = { "", "a", "a/b", "...", "a/..b", " ", "\n", "\xff" };
    for (size_t i = 0; i < DR_ARRAY_LEN(bad); i++)
        assert_false(path_is_valid(bad[i], strlen(bad[i])));
    for (size_t i = 0; i < DR_ARRAY_LEN(good); i++)
        assert_true(path_is_valid(good[i], strlen(good[i])));
    assert_false(path_is_valid("a\0b", 3));
    assert_true(path_is_within("a/b", "a") && path_is_within("a", "a") && path_is_within("a", ""));
    assert_false(path_is_within("ab", "a"));
}

static void encoded_paths_come_back(void **state)
{
    (void)state;
    static const char *const paths[] = { "", "a/b", "new\nline %41\xff\"],", "\xc3\xbc" };
    for (size_t i = 0; i < DR_ARRAY_LEN(paths); i++) {
        struct buf text = { 0 }, back = { 0 };
        path_add_encoded(&text, paths[i]);
        assert_null(strpbrk(text.data, "\n\"], "));
        assert_true(path_decode(text.data, &back));
        assert_string_equal(back.data, paths[i]);
        buf_fini(&text);
        buf_fini(&back);
    }
}

/* -- heads --------------------------------------------------------------------------------- */

static struct head full_head(void)
{
    static const struct head_extent extents[] = { { 4096, 100 }, { 8192, 1000 }, { 1 << 20, 0 } };
    static const struct head_xattr xattrs[] = { { "user.a%=b", "x\0y\n=", 5 },
                                                { "user.z", "", 0 } };
    return (struct head){ .type = '0',
                          .path = "dir/n\xc3\xa4me\nwith everything",
                          .mode = 06755,
                          .uid = 4000000000u,
                          .gid = 3000000,
                          .mtime_s = -625776833,
                          .mtime_ns = 250000000,
                          .size = 1 << 20,
                          .data = 1100,
                          .sparse = true,
                          .extents = extents,
                          .extent_count = 3,
                          .acl_access = "user::rw-,user:1234:rwx,group::r--,mask::rwx,other::---",
                          .acl_default = "user::rwx,group::r-x,other::---",
                          .xattrs = xattrs,
                          .xattr_count = 2 };
}

static void expect_same_head(const struct head *a, const struct head *b)
{
    struct buf x = { 0 }, y = { 0 };
    head_write(&x, a);
    head_write(&y, b);
    assert_int_equal(x.len, y.len);
    assert_memory_equal(x.data, y.data, x.len);
    buf_fini(&x);
    buf_fini(&y);
}

static void heads_come_back(void **state)
{
    (void)state;
    char longest[3000];
    memset(longest, 'p', sizeof longest);
    for (size_t i = 200; i < sizeof longest; i += 200)
        longest[i] = '/';
    longest[sizeof longest - 1] = '\0';
    const struct head heads[] = {
        full_head(),
        { .type = '5', .path = "", .mode = 0755 },
        { .type = '5', .path = "d\xff", .mode = 01777, .mtime_s = -1 },
        { .type = '2', .path = "s", .link = longest, .mode = 0777 },
        { .type = '1', .path = "h", .link = "t", .mtime_s = 10413792000 },
        { .type = '3', .path = "c", .major = 1, .minor = 1048575, .mtime_ns = 1 },
        { .type = '6', .path = longest, .mtime_s = -1, .mtime_ns = 999999999 },
        { .type = '0', .path = "big", .size = 9LL << 30, .data = 9LL << 30 },
        { .type = '0', .path = "empty" },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(heads); i++) {
        struct buf b = { 0 };
        struct head back;
        struct dr_err err = { .rc = DR_OK };
        size_t used = 0;
        head_write(&b, &heads[i]);
        size_t len = b.len;
        buf_adds(&b, "data of the entry");
        if (head_parse("head", b.data, b.len, &back, &used, &err) != DR_OK)
            fail_msg("%zu: %s", i, err.msg);
        assert_int_equal(used, len);
        assert_string_equal(back.path, heads[i].path);
        assert_true(back.size == heads[i].size && back.data == heads[i].data);
        expect_same_head(&heads[i], &back);
        head_fini(&back);
        buf_fini(&b);
    }
}

static bool accepts_head(void *arg, const void *data, size_t len)
{
    struct head h;
    struct dr_err err = { .rc = DR_OK };
    size_t used;
    (void)arg;
    if (head_parse("head", data, len, &h, &used, &err) != DR_OK) {
        assert_int_equal(err.rc, DR_E_CORRUPT);
        return false;
    }
    head_fini(&h);
    return true;
}

/* Heads have no digest of their own (their piece has): some changes only change a value. What must
 * hold is that nothing crashes and that no cut head passes. */
static void spoiled_heads_crash_nothing(void **state)
{
    (void)state;
    struct buf b = { 0 };
    struct head h = full_head();
    head_write(&b, &h);
    for (size_t len = 0; len < b.len; len++)
        assert_false(spoil_try(accepts_head, NULL, b.data, len));
    (void)spoil_all(accepts_head, NULL, &b);
    buf_fini(&b);
}

/* -- frames -------------------------------------------------------------------------------- */

struct frame_case {
    struct codec *codec;
    uint64_t raw_len;
    uint8_t id[DIGEST_SIZE];
};

static bool accepts_frame(void *arg, const void *data, size_t len)
{
    struct frame_case *c = arg;
    struct buf out = { 0 };
    struct dr_err err = { .rc = DR_OK };
    struct codec_frame f = {
        .data = data, .len = len, .raw_len = c->raw_len, .raw_max = PIECE_RAW_MAX, .id = c->id
    };
    enum dr_rc rc = codec_open(c->codec, "frame", &f, &out, &err);
    assert_true(rc == DR_OK || (rc == DR_E_CORRUPT && out.len == 0));
    if (rc == DR_OK) {
        uint8_t id[DIGEST_SIZE];
        hash_bytes(out.data, out.len, id);
        assert_memory_equal(id, c->id, DIGEST_SIZE);
    }
    buf_fini(&out);
    return rc == DR_OK;
}

static void make_random(struct buf *out, size_t len)
{
    uint64_t x = 88172645463325252u;
    for (size_t i = 0; i < len; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        buf_addc(out, (char)(x >> 32));
    }
}

static void a_spoiled_frame_gives_the_right_bytes_or_none(void **state)
{
    (void)state;
    struct frame_case c = { .codec = codec_new(CODEC_LEVEL) };
    struct buf raw = { 0 }, frame = { 0 };
    for (unsigned i = 0; i < 40; i++)
        buf_addf(&raw, "line %u of a text that compresses\n", i);
    c.raw_len = raw.len;
    hash_bytes(raw.data, raw.len, c.id);
    codec_pack(c.codec, raw.data, raw.len, &frame);
    assert_true(frame.len < raw.len);
    /* A few bits of a frame mean nothing (unused ones, the size of the window); what is accepted
     * has the right SHA-256 all the same. */
    assert_true(spoil_all(accepts_frame, &c, &frame) < frame.len / 4);
    for (size_t len = 0; len < frame.len; len++)
        assert_false(spoil_try(accepts_frame, &c, frame.data, len));
    codec_free(c.codec);
    buf_fini(&raw);
    buf_fini(&frame);
}

static void what_does_not_compress_is_a_frame_of_raw_blocks(void **state)
{
    (void)state;
    struct frame_case c = { .codec = codec_new(CODEC_LEVEL) };
    static const size_t sizes[] = { 64 << 10, (128 << 10) - 1, 128 << 10, (128 << 10) + 1,
                                    3 << 20 };
    for (size_t i = 0; i < DR_ARRAY_LEN(sizes); i++) {
        struct buf raw = { 0 }, frame = { 0 };
        make_random(&raw, sizes[i]);
        c.raw_len = raw.len;
        hash_bytes(raw.data, raw.len, c.id);
        codec_pack(c.codec, raw.data, raw.len, &frame);
        assert_true(frame.len > raw.len && frame.len < raw.len + 200);
        assert_true(accepts_frame(&c, frame.data, frame.len));
        frame.data[frame.len / 2] ^= 1;
        assert_false(accepts_frame(&c, frame.data, frame.len));
        buf_fini(&raw);
        buf_fini(&frame);
    }
    codec_free(c.codec);
}

static void a_window_above_the_limit_is_refused(void **state)
{
    (void)state;
    struct frame_case c = { .codec = codec_new(CODEC_LEVEL), .raw_len = 20 << 20 };
    struct buf raw = { 0 }, frame = { 0 };
    memset(buf_reserve(&raw, 20 << 20), 'w', 20 << 20);
    raw.len = 20 << 20;
    hash_bytes(raw.data, raw.len, c.id);
    ZSTD_CCtx *z = ZSTD_createCCtx();
    for (int log = 23; log <= 24; log++) {
        ZSTD_CCtx_setParameter(z, ZSTD_c_checksumFlag, 1);
        ZSTD_CCtx_setParameter(z, ZSTD_c_windowLog, log);
        char *p = buf_reserve(&frame, ZSTD_compressBound(raw.len));
        size_t n = ZSTD_compress2(z, p, ZSTD_compressBound(raw.len), raw.data, raw.len);
        assert_false(ZSTD_isError(n));
        assert_int_equal(accepts_frame(&c, p, n), log == 23);
    }
    ZSTD_freeCCtx(z);
    codec_free(c.codec);
    buf_fini(&raw);
    buf_fini(&frame);
}

/* -- packs --------------------------------------------------------------------------------- */

static bool accepts_table(void *arg, const void *data, size_t len)
{
    const struct pack *p = arg;
    const uint8_t *bytes = data;
    struct pack_table t;
    struct dr_err err = { .rc = DR_OK };
    uint64_t size = 0;
    if (len < PACK_TAIL_SIZE ||
        pack_table_size("pack", bytes + len - PACK_TAIL_SIZE, p->bytes.len, &size, &err) != DR_OK ||
        size != len || pack_table_parse("pack", data, len, p->bytes.len, &t, &err) != DR_OK)
        return false;
    assert_true(pack_table_find(&t, t.rows[0].id) == &t.rows[0]);
    pack_table_fini(&t);
    return true;
}

static void make_pack(struct pack *p)
{
    static const uint8_t nonce[NONCE_SIZE] = { 1, 2, 3 };
    uint8_t digests[2 * DIGEST_SIZE] = { 7 };
    pack_start(p, nonce);
    for (unsigned i = 0; i < 3; i++) {
        struct pack_row row = { .stored = 10 + i, .raw = 512, .kind = FRAME_BUNDLE };
        hash_bytes(&i, sizeof i, row.id);
        pack_add(p, &row, "0123456789ab");
        pack_add_digests(p, digests, 2);
    }
    pack_seal(p);
}

static void a_pack_is_found_from_its_end(void **state)
{
    (void)state;
    struct pack p = { .row_count = 0 };
    struct pack_table t;
    struct dr_err err;
    uint64_t size;
    make_pack(&p);
    const uint8_t *bytes = (const uint8_t *)p.bytes.data;
    assert_int_equal(
        pack_table_size("p", bytes + p.bytes.len - PACK_TAIL_SIZE, p.bytes.len, &size, &err),
        DR_OK);
    assert_int_equal(pack_table_parse("p", bytes + p.bytes.len - size, size, p.bytes.len, &t, &err),
                     DR_OK);
    assert_int_equal(t.count, 3);
    assert_memory_equal(t.nonce, p.nonce, NONCE_SIZE);
    for (unsigned i = 0; i < 3; i++) {
        uint8_t id[DIGEST_SIZE];
        hash_bytes(&i, sizeof i, id);
        assert_memory_equal(t.rows[i].id, id, DIGEST_SIZE);
        assert_true(t.rows[i].stored == 10 + i && t.rows[i].raw == 512 &&
                    t.rows[i].kind == FRAME_BUNDLE);
    }
    const uint8_t *digests;
    size_t count;
    size_t behind = t.rows[1].offset + t.rows[1].stored;
    assert_int_equal(
        pack_digests("p", bytes + behind, p.bytes.len - behind, &digests, &count, &err), DR_OK);
    assert_int_equal(count, 2);
    assert_int_equal(digests[0], 7);
    uint8_t name[DIGEST_SIZE];
    hash_bytes(p.bytes.data, p.bytes.len, name);
    assert_memory_equal(name, p.name, DIGEST_SIZE);
    pack_table_fini(&t);
    pack_fini(&p);
}

/* The name of the pack protects the table; a parser alone must only survive and refuse cuts. */
static void spoiled_tables_crash_nothing(void **state)
{
    (void)state;
    struct pack p = { .row_count = 0 };
    make_pack(&p);
    size_t size = 3 * 48 + 8 + 4 + NONCE_SIZE + 4 + PACK_TAIL_SIZE;
    struct buf table = { 0 };
    buf_add(&table, p.bytes.data + p.bytes.len - size, size);
    (void)spoil_all(accepts_table, &p, &table);
    for (size_t len = 0; len < table.len; len++)
        assert_false(spoil_try(accepts_table, &p, table.data, len));
    buf_fini(&table);
    pack_fini(&p);
}

/* -- segments ------------------------------------------------------------------------------ */

static const uint8_t *no_name(void *arg, uint32_t pack)
{
    static const uint8_t other[DIGEST_SIZE] = { 9 };
    (void)arg;
    return pack == 0 ? NULL : other;
}

static const struct toc_record sample[] = {
    { .path = "", .type = '5', .mode = 0755, .piece = 4, .mtime_s = 1431000000 },
    { .path = "a", .type = '0', .size = 5, .uid = 7, .offset = 1024, .mtime_s = -1 },
    { .path = "b",
      .type = '0',
      .size = 600000,
      .piece = 1,
      .nhead = 1,
      .nchunk = 1,
      .digest = { 5 } },
    { .path = "b.c", .type = '2', .link = "../x\xff", .mtime_ns = 999999999 },
    { .path = "b.d", .type = '3', .major = 1, .minor = 1048575 },
    { .path = "d", .type = '5', .piece = 4, .offset = 512 },
    { .path = "d/e", .type = '1', .link = "a", .piece = 3 },
};

static void make_segment(struct buf *out)
{
    static const enum frame_kind kinds[] = { FRAME_BUNDLE, FRAME_HEAD, FRAME_CHUNK, FRAME_LINKS,
                                             FRAME_DIRECTORIES };
    struct toc_writer *w = toc_writer_new();
    for (uint32_t i = 0; i < DR_ARRAY_LEN(kinds); i++) {
        struct toc_piece p = {
            .kind = kinds[i], .pack = i % 2, .offset = (uint64_t)i * 100, .stored = 90, .raw = 4096
        };
        hash_bytes(&i, sizeof i, p.id);
        assert_int_equal(toc_add_piece(w, &p), i);
    }
    toc_add_range(w, 1);
    for (size_t i = 0; i < DR_ARRAY_LEN(sample); i++) {
        struct toc_record r = sample[i];
        r.path_len = strlen(r.path);
        toc_add_record(w, &r);
    }
    toc_encode(w, no_name, NULL, out);
    toc_writer_free(w);
}

static const uint8_t self[DIGEST_SIZE] = { 1, 1 };

static void segments_come_back(void **state)
{
    (void)state;
    struct buf b = { 0 };
    struct toc_segment s;
    struct dr_err err = { .rc = DR_OK };
    make_segment(&b);
    assert_int_equal(toc_open("segment", b.data, b.len, self, &s, &err), DR_OK);
    assert_int_equal(s.piece_count, 5);
    assert_memory_equal(s.packs[s.pieces[0].pack], self, DIGEST_SIZE);
    assert_int_equal(s.packs[s.pieces[1].pack][0], 9);
    for (size_t i = 0; i < DR_ARRAY_LEN(sample); i++) {
        struct toc_record r;
        bool more = false;
        if (toc_next(&s, &r, &more, &err) != DR_OK || !more)
            fail_msg("%s", err.msg);
        assert_string_equal(r.path, sample[i].path);
        assert_string_equal(r.link != NULL ? r.link : "",
                            sample[i].link != NULL ? sample[i].link : "");
        assert_true(r.type == sample[i].type && r.mode == sample[i].mode &&
                    r.uid == sample[i].uid && r.mtime_s == sample[i].mtime_s &&
                    r.mtime_ns == sample[i].mtime_ns && r.piece == sample[i].piece &&
                    r.offset == sample[i].offset && r.size == sample[i].size &&
                    r.nchunk == sample[i].nchunk && r.minor == sample[i].minor);
    }
    struct toc_record r;
    bool more = true;
    assert_int_equal(toc_next(&s, &r, &more, &err), DR_OK);
    assert_false(more);
    toc_close(&s);
    buf_fini(&b);
}

static bool accepts_segment(void *arg, const void *data, size_t len)
{
    struct toc_segment s;
    struct dr_err err = { .rc = DR_OK };
    struct toc_record r;
    bool more = true;
    (void)arg;
    if (toc_open("segment", data, len, self, &s, &err) != DR_OK)
        return false;
    enum dr_rc rc = DR_OK;
    while (more && rc == DR_OK)
        rc = toc_next(&s, &r, &more, &err);
    assert_true(rc == DR_OK || rc == DR_E_CORRUPT);
    toc_close(&s);
    return rc == DR_OK;
}

/* Segments are protected by their id; the parser alone must survive, and refuse every cut. */
static void spoiled_segments_crash_nothing(void **state)
{
    (void)state;
    struct buf b = { 0 };
    make_segment(&b);
    (void)spoil_all(accepts_segment, NULL, &b);
    for (size_t len = 0; len < b.len; len++)
        assert_false(spoil_try(accepts_segment, NULL, b.data, len));
    buf_fini(&b);
}

/* -- lists --------------------------------------------------------------------------------- */

static void lines_of_lists_come_back(void **state)
{
    (void)state;
    struct list_frame f = { .pack = { 1 }, .offset = 7, .stored = 8, .raw = 9, .id = { 2 } };
    struct list_frame back = { .entries = 0 };
    struct list_run run = { .pack = { 3 }, .offset = 10, .len = 11 }, run_back;
    struct dr_err err;
    struct buf line = { 0 };
    f.entries = 5;
    buf_adds(&f.first, "odd\nname");
    list_add_frame_line(&line, &f, true);
    assert_int_equal(list_parse_frame(line.data, true, &back, &err), DR_OK);
    assert_string_equal(back.first.data, "odd\nname");
    assert_true(back.entries == 5 && back.raw == 9 && back.id[0] == 2);
    assert_int_equal(list_parse_frame(line.data, false, &back, &err), DR_E_CORRUPT);
    buf_clear(&line);
    list_add_run_line(&line, &run);
    assert_int_equal(list_parse_run(line.data, &run_back, &err), DR_OK);
    assert_true(run_back.len == 11 && run_back.pack[0] == 3);
    static const char *const behind[] = { " ", " 1", "x", "\n" };
    for (size_t i = 0; i < DR_ARRAY_LEN(behind); i++) {
        DR_FREE char *bad = dr_strf("%s%s", line.data, behind[i]);
        assert_int_equal(list_parse_run(bad, &run_back, &err), DR_E_CORRUPT);
    }
    list_frame_fini(&f);
    list_frame_fini(&back);
    buf_fini(&line);
}

static enum dr_rc fetch_text(void *arg, const struct list_frame *frame, struct buf *out,
                             struct dr_err *err)
{
    const char *const *texts = arg;
    (void)err;
    buf_add(out, texts[frame->offset], frame->raw);
    return DR_OK;
}

static void lists_of_lists_are_followed(void **state)
{
    (void)state;
    struct list l = { .depth = 2 };
    struct text_list lines = { 0 };
    struct dr_err err = { .rc = DR_OK };
    struct buf inner = { 0 }, line = { 0 };
    struct list_frame f = { .offset = 1, .stored = 1, .raw = 4 };
    list_add_frame_line(&inner, &f, false);
    buf_addc(&inner, '\n');
    const char *texts[] = { inner.data, "a\nb\n" };
    f.offset = 0;
    f.raw = inner.len;
    list_add_frame_line(&line, &f, false);
    text_list_add(&l.lines, line.data);
    assert_int_equal(list_expand(&l, fetch_text, texts, &lines, &err), DR_OK);
    assert_int_equal(lines.count, 2);
    assert_string_equal(lines.items[1], "b");
    text_list_fini(&lines);
    texts[1] = "a\nb!"; /* the last line has no end */
    assert_int_equal(list_expand(&l, fetch_text, texts, &lines, &err), DR_E_CORRUPT);
    list_fini(&l);
    buf_fini(&inner);
    buf_fini(&line);
}

/* -- cuts ---------------------------------------------------------------------------------- */

static void chunks_follow_the_content_and_keep_their_bounds(void **state)
{
    (void)state;
    struct buf data = { 0 };
    size_t cuts[64], count = 0, same = 0;
    make_random(&data, 24 << 20);
    const uint8_t *bytes = (const uint8_t *)data.data;
    for (size_t at = 0; at < data.len; count++) {
        size_t len = cut_chunk(bytes + at, data.len - at);
        assert_true(len <= CUT_CHUNK_MAX && (len >= CUT_CHUNK_MIN || at + len == data.len));
        assert_true(count < DR_ARRAY_LEN(cuts));
        cuts[count] = at += len;
    }
    assert_true(count >= 15 && count <= 40);   /* 1 MiB on average */
    for (size_t at = 100000; at < data.len;) { /* as if the first 100,000 bytes were cut off */
        at += cut_chunk(bytes + at, data.len - at);
        for (size_t i = 0; i < count; i++)
            same += cuts[i] == at;
    }
    assert_true(same + 4 >= count);
    buf_fini(&data);
}

/* The rule byte by byte, as the paper has it. */
static size_t cut_simply(const uint8_t *data, size_t len, const uint64_t *gear)
{
    uint64_t h = 0;
    size_t end = len < CUT_CHUNK_MAX ? len : CUT_CHUNK_MAX;
    for (size_t i = CUT_CHUNK_MIN - 64; i < end; i++) {
        h = (h << 1) + gear[data[i]];
        unsigned bits = i < CUT_CHUNK_TARGET ? 21 : 18;
        if (i >= CUT_CHUNK_MIN && h >> (64 - bits) == 0)
            return i + 1;
    }
    return end;
}

static void chunks_end_where_the_rule_says_to_the_byte(void **state)
{
    (void)state;
    struct buf data = { 0 };
    uint64_t gear[256];
    bool far = false, near = false;
    for (unsigned i = 0; i < 256; i++) {
        uint8_t byte = (uint8_t)i;
        gear[i] = XXH64(&byte, 1, 0x6472636c);
    }
    make_random(&data, 64 << 20);
    const uint8_t *bytes = (const uint8_t *)data.data;
    for (size_t at = 0, len; at < data.len; at += len) {
        size_t left = data.len - at;
        left -=
            left > CUT_CHUNK_TARGET + 8 ? at % 7 : 0; /* ends that are no multiple of anything */
        len = cut_chunk(bytes + at, left);
        if (left > CUT_CHUNK_MIN)
            assert_int_equal(len, cut_simply(bytes + at, left, gear));
        near = near || (len > CUT_CHUNK_MIN && len < CUT_CHUNK_TARGET);
        far = far || (len > CUT_CHUNK_TARGET && len < CUT_CHUNK_MAX);
    }
    assert_true(near && far);
    memset(data.data, 0, CUT_CHUNK_MAX + 5);
    assert_int_equal(cut_chunk(bytes, CUT_CHUNK_MAX + 5),
                     cut_simply(bytes, CUT_CHUNK_MAX + 5, gear));
    buf_fini(&data);
}

static void bundles_are_cut_by_paths_near_their_target(void **state)
{
    (void)state;
    uint64_t filled = 0;
    unsigned bundles = 0;
    for (unsigned i = 0; i < 100000; i++) {
        char path[32];
        (void)snprintf(path, sizeof path, "dir/file-%06u", i);
        filled += 4096;
        if (cut_bundle(42, path, filled, 4096)) {
            assert_true(filled >= CUT_BUNDLE_MIN && filled <= CUT_BUNDLE_MAX);
            bundles++;
            filled = 0;
        }
    }
    unsigned mean = 100000u * 4 / bundles; /* KiB */
    assert_true(mean > 800 && mean < 1200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_come_back_and_long_forms_are_refused),
        cmocka_unit_test(a_directory_is_followed_by_what_it_contains),
        cmocka_unit_test(paths_that_lead_elsewhere_are_none),
        cmocka_unit_test(encoded_paths_come_back),
        cmocka_unit_test(heads_come_back),
        cmocka_unit_test(spoiled_heads_crash_nothing),
        cmocka_unit_test(a_spoiled_frame_gives_the_right_bytes_or_none),
        cmocka_unit_test(what_does_not_compress_is_a_frame_of_raw_blocks),
        cmocka_unit_test(a_window_above_the_limit_is_refused),
        cmocka_unit_test(a_pack_is_found_from_its_end),
        cmocka_unit_test(spoiled_tables_crash_nothing),
        cmocka_unit_test(segments_come_back),
        cmocka_unit_test(spoiled_segments_crash_nothing),
        cmocka_unit_test(lines_of_lists_come_back),
        cmocka_unit_test(lists_of_lists_are_followed),
        cmocka_unit_test(chunks_follow_the_content_and_keep_their_bounds),
        cmocka_unit_test(chunks_end_where_the_rule_says_to_the_byte),
        cmocka_unit_test(bundles_are_cut_by_paths_near_their_target),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
