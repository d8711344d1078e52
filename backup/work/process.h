/*
 * process.h - who wrote this, and is he gone? A mark that a process leaves in what it has begun.
 *
 *     json_put(body, "owner", process_mark());          the writer, in pending/ID
 *     if (process_is_dead(json_object_get(body, "owner")))   anybody, later
 *
 * The mark names host, boot, name space of process ids, process id and start time (FORMAT.md, chapter
 * 9). Only the same host can tell that the process is gone, by its own kernel; for all others,
 * and wherever something is missing or unknown, nobody is dead. A reused process id has another start.
 * Being wrong costs a living writer its run, never a snapshot: a tombstone comes first.
 */
#ifndef BACKUP_WORK_PROCESS_H
#define BACKUP_WORK_PROCESS_H

#include "dr/data/json.h"

/* Of this process. A new reference. */
json_t *process_mark(void) DR_MUST_USE;

/* Is the process of this mark gone for certain? mark may be NULL, or anything that was read. */
bool process_is_dead(const json_t *mark);

#endif
