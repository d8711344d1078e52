/*
 * evidence.h - a host with a life behind it: journals, a ledger over two months, two buckets for its anchors.
 *
 *     static struct evidence e;
 *     evidence_make(&e);             a state directory, two buckets that are directories, no ledger
 *     evidence_live(&e);             R-1 and D-2 ended, R-3 did not; eight lines
 *     evidence_anchor(&e, NULL);     everything into both buckets
 *     ... audit_read() of e.state, or spoil a file first ...
 *     evidence_drop(&e);
 *
 * Time is fake while an evidence is made: each look at the wall clock is a second later than the one before.
 */
#ifndef TESTS_SUPPORT_EVIDENCE_H
#define TESTS_SUPPORT_EVIDENCE_H

#include "dr/audit/audit.h"
#include "dr/base/clock.h"

struct evidence {
    char dir[64], state[96];
    struct config config;
    struct config_bucket buckets[2]; /* us in us-east-1, eu in eu-west-1 */
    struct clock_ops real;
};

void evidence_make(struct evidence *e);
void evidence_live(struct evidence *e);
void evidence_drop(struct evidence *e);

/* The fake wall clock, as text. */
void evidence_set_time(const char *text);

struct book_place evidence_place(const struct evidence *e);

/* One line of that type. */
void evidence_line(const struct evidence *e, const char *type);

/* A journal of so many records; state NULL: it is not over. */
void evidence_run(const struct evidence *e, const char *run, int records, const char *state);

/* dark: a region, or NULL. Returns the rc; ret may be NULL. */
enum dr_rc evidence_anchor(const struct evidence *e, const char *dark, struct anchor_report *ret);

/* The worst grade of DIR, and the JSON of what was found: a new reference, or not wanted (NULL). */
enum audit_grade evidence_audit(const char *dir, json_t **ret);

/* Is there a finding of that grade whose file and text hold these words? */
bool evidence_found(const json_t *result, const char *grade, const char *file, const char *words);

#endif
