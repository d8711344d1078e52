/*
 * self.h - the built-in source "drctl-self": what drctl needs to be itself again.
 *
 *     STATE_DIR/self/
 *         dr.yaml                   the configuration, as it is
 *         runbooks/NAME.yaml        the plans that a person may name
 *         keys/writer.pub           the public key of this host
 *         keys/inherited.pub        public keys of hosts that this one has followed, if there are any
 *         runs/R-1/journal.jsonl    journals of runs that are over (open ones are in the buckets already)
 *         schedule.json             what backupd did when
 *         self.json                 of which host, and which files are not in here
 *
 * self_stage() brings that directory up to date right before it is backed up as any other source of
 * class config. A file that has not changed is not touched, so an unchanged state costs nothing. It is made
 * anew from what it was made of: losing it loses nothing.
 *
 * Never in it: secret keys and the files of secrets, which would make every bucket a thief's aim. The
 * configuration names them, and self.json lists them, for whoever has to bring them (bootstrap.c).
 */
#ifndef DR_CLI_SELF_H
#define DR_CLI_SELF_H

#include "dr/config/config.h"
#include "dr/data/json.h"

enum { SELF_FILE_MAX = 256 << 20 };

#define SELF_CONFIG "dr.yaml"
#define SELF_FACTS  "self.json"
#define SELF_PLANS  "runbooks"

enum dr_rc self_stage(const struct config *c, struct dr_err *err) DR_MUST_USE;

/* Files that the configuration names and that are not in it, absolute, each once; added to ret. */
void self_missing(const struct config *c, struct text_list *ret);

#endif
