/*
 * limits.h - every number of the format that has a name (FORMAT.md, chapter 12).
 *
 * A parser refuses what exceeds them before it allocates; the writer stays below them. Kinds
 * of frames are here as well, since packs, segments and lists all speak of them.
 */
#ifndef BACKUP_FORMAT_LIMITS_H
#define BACKUP_FORMAT_LIMITS_H

#include "dr/base/base.h"

enum frame_kind {
    FRAME_BUNDLE = 0,      /* small entries */
    FRAME_HEAD = 1,        /* head of a large file */
    FRAME_CHUNK = 2,       /* data of a large file */
    FRAME_OVERLAY = 3,     /* entries that replace older ones */
    FRAME_DIRECTORIES = 4, /* directories: last in the stream */
    FRAME_LINKS = 5,       /* hard links */
    FRAME_PIECE_KINDS = 6, /* kinds below are pieces of the tar stream */
    FRAME_SEGMENT = 16,    /* a TOC segment */
    FRAME_LIST = 17,       /* text of a list */
    FRAME_PATCH = 18,      /* TOC segment, told by an older one */
};

enum {
    FORMAT_VERSION = 1,
    BLOCK_SIZE = 512,         /* of tar */
    WINDOW_LOG_MAX = 23,      /* 8 MiB */
    PIECE_RAW_MAX = 32 << 20, /* of a piece and of a frame of list text */
    SEGMENT_RAW_MAX = 256 << 20,
    PATCH_RAW_MAX = 4 << 20, /* of a patch, its base, and what is made of both */
    FRAME_SLACK = 64 << 10,  /* stored <= raw + this */
    PACK_SIZE_MAX = 1 << 30,
    PACK_ROWS_MAX = 1 << 20,
    SEGMENT_RECORDS_MAX = 65536,
    SEGMENT_PIECES_MAX = 4 << 20,
    SEGMENT_PACKS_MAX = 65536,
    PATH_LEN_MAX = 65535, /* paths and links */
    PATH_PART_MAX = 255,
    PATH_DEPTH_MAX = 4096,
    HEAD_RECORDS_MAX = 8 << 20, /* pax records of one entry */
    HEAD_EXTENTS_MAX = 1 << 20,
    HEAD_PIECE_SIZE = 1 << 20, /* a longer head is cut */
    LARGE_SIZE = 256 << 10,    /* data from here on: a large file */
    LARGE_EXTENTS = 1000,      /* more extents: a large file */
    SNAPSHOT_SIZE_MAX = 64 << 20,
    SEALED_SIZE_MAX = 16 << 20,
    SNAPSHOT_TAGS_MAX = 64,
    LIST_DEPTH_MAX = 3,
    LIST_LINES_MAX = 16 << 20,
    LIST_LINE_MAX = 200000,
    DIGEST_SIZE = 32,
    NONCE_SIZE = 16,
};

#endif
