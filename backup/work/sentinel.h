/*
 * sentinel.h - a line with the time of day, written into a source so that a restored tree tells how old it is.
 *
 *     2026-11-21T03:07:51.250Z seq=4711 site=us-east-1
 *     2026-11-21T03:07:58.003Z seq=4712 site=us-east-1 nonce=7c2f9e01b4d85a36        of a drill
 *
 * In normal life backupd writes one each minute, and one directly before each backup (`sources[].sentinel`); a drill
 * plants one with a nonce, and the tree that it restores must hold exactly that one. Whoever reads a restored
 * tree knows: all that was written before this time is in it. So nobody may write while a snapshot is being
 * taken (source_lock.h), or the line would promise more than the tree holds.
 *
 * The file lies below the source's path; no link is followed on the way there. It is replaced as a whole: whoever
 * reads it sees the old line or the new one. What is there and is none of ours (a directory, a link, a
 * file that says something else) is never replaced: DR_E_REFUSED. A failure is the caller's to
 * tell; it must never stop a backup.
 *
 * Two are left alone, unless a nonce is planted: one with a nonce, for SENTINEL_PLANTED_MS, so that the drill finds
 * what it planted; and one that a restore has brought, for SENTINEL_RESTORED_MS, so that the run which brought
 * it can compare the tree with its snapshot. (A restored file has the time of its writing, but became
 * what it is later: that is how it is known.)
 */
#ifndef BACKUP_WORK_SENTINEL_H
#define BACKUP_WORK_SENTINEL_H

#include "dr/config/config.h"

enum {
    SENTINEL_NONCE_MAX = 64,
    SENTINEL_SITE_MAX = 64,
    SENTINEL_LINE_MAX = 4096, /* of what is there; a longer one is none of ours */
    SENTINEL_PLANTED_MS = 10 * 60 * 1000,
    SENTINEL_RESTORED_MS = 60 * 60 * 1000,
};

struct sentinel {
    int64_t time_ns;
    int64_t seq; /* grows by one with each */
    char site[SENTINEL_SITE_MAX + 1];
    char nonce[SENTINEL_NONCE_MAX + 1]; /* "": none */
    bool left_alone; /* of sentinel_write(): this is what was there, and it stays for now */
};

struct sentinel_wish {
    const char *root;  /* the source's path */
    const char *file;  /* below it */
    const char *site;  /* who writes; NULL: nobody has a name */
    const char *nonce; /* letters and digits; or NULL */
};

/* Write the next one. ret: what the file holds now. */
enum dr_rc sentinel_write(const struct sentinel_wish *wish, struct sentinel *ret,
                          struct dr_err *err) DR_MUST_USE;

/* The same for the sentinel of a source that has one, in the name of this host's site. */
enum dr_rc sentinel_write_of(const struct config *c, const struct config_source *source,
                             struct sentinel *ret, struct dr_err *err) DR_MUST_USE;

/* What a tree holds. DR_E_NOTFOUND: no such file. DR_E_REFUSED: it is none of ours. */
enum dr_rc sentinel_read(const char *root, const char *file, struct sentinel *ret,
                         struct dr_err *err) DR_MUST_USE;

/* Pure. text ends with a zero byte. False: it is none of ours. */
bool sentinel_parse(const char *text, struct sentinel *ret) DR_MUST_USE;

#endif
