/*
 * drill.h - what the files of a drill's own steps share; nobody else includes it.
 *
 *     drill.c            drill.plant and drill.clean: the two that change something
 *     drill_sentinel.c   the sentinel of a source, and that of a restored tree (drill.tree)
 *     drill_look.c       what production is now (drill.look)
 *     drill_rights.c     whether what a drill reads by can write (drill.rights)
 *
 * Their answers travel as outputs of the step, as texts; what could not be read is an output
 * of null with a note beside it, never a guess and never an empty text.
 */
#ifndef PLUGINS_DRILL_H
#define PLUGINS_DRILL_H

#include "plugins/stage.h"

/*
 * Put a fresh sentinel into the source where backupd is the one who writes it; where the application
 * does, read the one that is there. Outputs "by", "sentinel" (the line), "time", "nonce"; none of
 * them for a source without a sentinel.
 */
enum dr_rc drill_sentinel_plant(struct stage *p, const struct config_source *source,
                                struct dr_err *err) DR_MUST_USE;

/* Behind the backup: an application has gone on meanwhile; how far is the output "until". */
enum dr_rc drill_sentinel_after(struct stage *p, const struct config_source *source,
                                struct dr_err *err) DR_MUST_USE;

#endif
