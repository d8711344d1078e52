/*
 * find.h - in which snapshots is it? One pattern against the tables of contents of many.
 *
 * Snapshots share the segments of their tables: each segment is fetched and decoded once, whatever the
 * number of snapshots that have it. Each version of a path is told once, with the first and
 * the last snapshot that holds it so; a version is what ls shows: type, mode, owner, size, time,
 * link, and of a large file its digest. Memory: one segment, and each version found.
 */
#ifndef BACKUP_WORK_FIND_H
#define BACKUP_WORK_FIND_H

#include "backup/work/work.h"

enum { FIND_MATCHES_MAX = 1000000 };

struct find_wish {
    const struct snapshot_info *snapshots; /* oldest first; refused ones are passed over */
    size_t count;
    const char *pattern; /* as in exclude.h: a name, or with '/' a path from the root */
    char type;           /* only these, as in tar ('0' also finds hard links); 0: all */
};

struct find_match {
    char *path, *link; /* owned by the result; link may be NULL */
    char type;
    uint32_t mode, uid, gid;
    uint64_t size;
    int64_t mtime_s;
    uint32_t mtime_ns;
    uint8_t digest[32];
    const struct snapshot_info *first, *last; /* of wish->snapshots */
    size_t count;                             /* of snapshots that have it so */
};

struct find_result {
    struct find_match **matches; /* owned; by path, then by first snapshot */
    size_t count;
    size_t decoded, shared; /* segments */
};
void find_result_fini(struct find_result *r);

/* DR_E_USAGE: no such pattern. DR_E_NOMEM: more than FIND_MATCHES_MAX. ret is finished by the caller in every case. */
enum dr_rc find_run(struct repo *r, const struct find_wish *wish, const struct work_hooks *hooks,
                    struct find_result *ret, struct dr_err *err) DR_MUST_USE;

#endif
