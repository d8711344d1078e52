/*
 * tell.h - people hear that a run or a drill began, waits for them, and ended.
 *
 *     struct tell *t = tell_open(config);                 NULL where nobody is to be told
 *     tell_run(t, state, TELL_BEGUN);
 *     ... at each turn of a loop: tell_step(t);           never waits
 *     tell_run(t, state, TELL_ENDED);
 *     tell_close(t);                                      waits a moment for what is on its way
 *
 * Each event is one letter a channel, durable before it is sent (notify.h). So what does not get out while the run
 * lasts is sent by backupd, or by the next drctl that tells something. That nobody can be told stops no run: it
 * is a warning, once.
 *
 * A run is told as critical, to the channels of critical_alerts: it is the day. A drill is told to
 * drill_schedule.notification_channels and to the participants that have a channel of their own; where there are none, to
 * those of warning_alerts. A dry run is nobody's business.
 */
#ifndef DR_CLI_TELL_H
#define DR_CLI_TELL_H

#include "dr/config/config.h"
#include "dr/run/state.h"

enum { TELL_CLOSE_MS = 3000 };

enum tell_what { TELL_BEGUN, TELL_HELD, TELL_ENDED };

struct tell;

struct tell *tell_open(const struct config *c) DR_MUST_USE;
void tell_close(struct tell *t); /* NULL is fine, here and below */
DR_DEFINE_CLEANUP(struct tell, tell_close)

/* Where this run, or drill, stands; each of these is told once, a hold each time. */
void tell_run(struct tell *t, const struct run_state *state, enum tell_what what);

/* The same for a drill as a whole. key: the same for the same event ("D-7/begun"); passed: nobody has to do anything. */
void tell_drill(struct tell *t, const char *key, bool passed, const char *title, const char *text);

void tell_step(struct tell *t);

/* Whom a drill is told to, by their channels. Empty: those of warning_alerts. */
void tell_drill_channels(const struct config *c, struct text_list *ret);

#endif
