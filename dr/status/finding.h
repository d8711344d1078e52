/*
 * finding.h - one thing that is not as it should be: {"severity","key","text","hint"}.
 *
 * The key is stable as long as the thing is the same ("overdue/app"), so that whoever tells people tells each
 * once. A key stands in a list once: what comes second is the same thing seen from another side.
 *
 * Critical is what is lost, or not kept, or not seen; a warning is what will become so. The text says what is
 * wrong with names and figures, the hint what a tired person types next.
 */
#ifndef DR_STATUS_FINDING_H
#define DR_STATUS_FINDING_H

#include "dr/data/json.h"

enum finding_severity { FINDING_WARNING, FINDING_CRITICAL };

enum { FINDING_KEY_PARTS = 5 };

struct finding {
    enum finding_severity severity;
    const char *key[FINDING_KEY_PARTS]; /* ends at the first NULL; joined by slashes */
    const char *hint;                   /* a sentence: what to do next; NULL or "": none */
};

/* Append it, with this text. */
void finding_add(json_t *list, const struct finding *f, const char *fmt, ...) DR_PRINTF(3, 4);

/* The critical ones first, else as they came. A new list; the reference to list is taken over. */
json_t *finding_sort(json_t *list) DR_MUST_USE;

/* Does its key begin so ("overdue/")? */
bool finding_is(const json_t *finding, const char *prefix);
bool finding_is_critical(const json_t *finding);

#endif
