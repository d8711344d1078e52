/*
 * Export: the snapshot as one tar.zst, each path once, as a restore would make it. Segment by
 * segment its files, then its hard links, and all directories at the end, so that stock tools set
 * their times right. Heads are written anew from the parsed ones: the same bytes but for the mark
 * of names that are UTF-8 anyway (GNU tar warns of it), without what later snapshots have superseded.
 */
#include <string.h>

#include "backup/format/codec.h"
#include "backup/work/reader.h"
#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"

enum { FRAME_RAW = 1 << 20, PROGRESS_MS = 100 };

enum part { PART_FILES, PART_LINKS, PART_DIRECTORIES };

struct exporter {
    struct reader *reader;
    const struct work_hooks *hooks;
    int fd;
    struct codec *codec;
    struct buf raw;   /* not compressed yet */
    struct buf frame; /* compressed */
    struct work_progress progress;
    int64_t told_ms;
};

static void exporter_fini(struct exporter *e)
{
    reader_close(e->reader);
    codec_free(e->codec);
    buf_fini(&e->raw);
    buf_fini(&e->frame);
}

static enum dr_rc flush(struct exporter *e, struct dr_err *err)
{
    if (e->raw.len == 0)
        return DR_OK;
    buf_clear(&e->frame);
    codec_pack(e->codec, e->raw.data, e->raw.len, &e->frame);
    e->progress.bytes += e->raw.len;
    buf_clear(&e->raw);
    DR_TRY(fs_write_all(e->fd, "the archive", e->frame.data, e->frame.len, err));
    int64_t now = clock_boot_ms();
    if (e->hooks == NULL || e->hooks->progress == NULL || now - e->told_ms < PROGRESS_MS)
        return DR_OK;
    e->told_ms = now;
    if (!e->hooks->progress(e->hooks->arg, &e->progress))
        return dr_fail(err, DR_E_CANCELLED, "the export was stopped");
    return DR_OK;
}

static enum dr_rc add_data(void *arg, const uint8_t *data, size_t len, struct dr_err *err)
{
    struct exporter *e = arg;
    buf_add(&e->raw, data, len);
    return e->raw.len >= FRAME_RAW ? flush(e, err) : DR_OK;
}

static enum part part_of(const struct toc_record *rec)
{
    if (rec->type == '5')
        return PART_DIRECTORIES;
    return rec->type == '1' ? PART_LINKS : PART_FILES;
}

static enum dr_rc export_entry(struct exporter *e, const struct segment *s,
                               const struct toc_record *rec, struct dr_err *err)
{
    DR_CLEANUP(head_fini) struct head h = { 0 };
    struct reader_file file = { .segment = s, .record = rec, .head = &h };
    DR_TRY(reader_head(e->reader, s, rec, &h, &file.data, err));
    DR_CLEANUP(buf_fini) struct buf head = { 0 }; /* of its own: raw may end within a block */
    h.exported = true;
    head_write(&head, &h);
    buf_add(&e->raw, head.data, head.len);
    e->progress.entries++;
    if (rec->type != '0')
        return e->raw.len >= FRAME_RAW ? flush(e, err) : DR_OK;
    DR_TRY(reader_data(e->reader, &file, add_data, e, err));
    /* Frames are cut anywhere, so the buffer does not tell where the entry began; its size does. */
    static const char zeros[BLOCK_SIZE];
    buf_add(&e->raw, zeros, (size_t)(head_padded(h.data) - h.data));
    return e->raw.len >= FRAME_RAW ? flush(e, err) : DR_OK;
}

static enum dr_rc export_part(struct exporter *e, size_t segment, enum part part,
                              struct dr_err *err)
{
    const struct segment *s = NULL;
    DR_TRY(reader_segment(e->reader, segment, &s, err));
    for (size_t k = 0; k < s->count; k++) {
        const struct toc_record *rec = &s->records[k];
        if (part_of(rec) == part && export_entry(e, s, rec, err) != DR_OK) {
            DR_CLEANUP(buf_fini) struct buf name = { 0 };
            text_add_printable(&name, rec->path, rec->path_len);
            return dr_context(err, "exporting '%s'", name.data != NULL ? name.data : "");
        }
    }
    return DR_OK;
}

enum dr_rc export_run(struct repo *r, const struct snapshot_info *snapshot, int fd,
                      const struct work_hooks *hooks, struct dr_err *err)
{
    DR_CLEANUP(exporter_fini) struct exporter e = { .hooks = hooks, .fd = fd };
    DR_TRY(reader_open(r, snapshot, hooks, &e.reader, err));
    e.codec = codec_new(CODEC_LEVEL);
    e.progress = (struct work_progress){ .doing = "exporting",
                                         .entries_total = snapshot->entries,
                                         .bytes_total = snapshot->bytes };
    size_t count = reader_segment_count(e.reader);
    for (size_t i = 0; i < count; i++) {
        DR_TRY(export_part(&e, i, PART_FILES, err));
        DR_TRY(export_part(&e, i, PART_LINKS, err));
    }
    for (size_t i = 0; i < count; i++)
        DR_TRY(export_part(&e, i, PART_DIRECTORIES, err));
    return flush(&e, err);
}
