/*
 * backup_data.h - the data of one open file, extents one behind another.
 *
 * What cannot be read becomes zeros, so that sizes stay as the head says; how much that was, and
 * why, is counted.
 */
#ifndef BACKUP_WORK_BACKUP_DATA_H
#define BACKUP_WORK_BACKUP_DATA_H

#include "backup/format/head.h"

struct data {
    int fd;
    const struct head *head; /* size, or the extents */
    uint64_t missing;        /* bytes that zeros stand for */
    int error;               /* errno of that; 0: the file was shorter */
    /* private */
    uint64_t at;      /* of the data */
    size_t extent;    /* the one at hand */
    uint64_t skipped; /* data before it */
};

/* The next len bytes; no more than head->data in all. */
void data_read(struct data *d, void *out, size_t len);

/* What to say of the missing bytes; the caller frees. */
char *data_fault(const struct data *d) DR_MUST_USE;

#endif
