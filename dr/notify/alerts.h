/*
 * alerts.h - which alerts are open, what of them is told to whom, and when. Pure: no clock, no file.
 *
 *                   finding                        gone
 *     (nothing) ───────────────> OPEN ──────────────────────────> RESOLVED ──an hour──> (nothing)
 *                                 │ ^    the third time in an        ^  │
 *                            gone │ │ finding       hour             │  │ finding: OPEN, "again"
 *                                 v │                                │
 *                               CALMING ─────15 minutes of calm──────┘
 *
 * Each arrow into OPEN from the left and the top, and each one into RESOLVED, writes letters; the pair between
 * OPEN and CALMING is silent. An alert that is OPEN and not acknowledged escalates.
 *
 * A letter is one message for one channel (and one mail address): it is what must arrive, with the texts
 * of the moment in which it was written. Letters of one key go to a channel in their order. A
 * channel that fails waits as a whole; one that refuses a letter goes on with those of other keys.
 *
 * All times named _ns are on the alerts' own clock (notify.h), which the caller puts into now_ns; _wall is
 * for people. Texts are owned copies. The functions set 'changed' when there is something to write down.
 */
#ifndef DR_NOTIFY_ALERTS_H
#define DR_NOTIFY_ALERTS_H

#include "dr/notify/setup.h"

enum alert_state { ALERT_OPEN, ALERT_CALMING, ALERT_RESOLVED, ALERT_EVENT };

struct alert {
    char *key, *severity, *title, *text, *hint;
    char *incident; /* of this time; a new one for "again" */
    char *acked_by; /* or NULL */
    int64_t state;  /* enum alert_state */
    int64_t own;    /* 1: ours, of a channel or of limits; no finding of the caller */
    int64_t since_wall, acked_wall;
    int64_t window_ns;   /* when raises began to be counted */
    int64_t raises;      /* since then */
    int64_t until_ns;    /* CALMING: resolved then; RESOLVED, EVENT: forgotten then */
    int64_t escalate_ns; /* -1: never */
    int64_t level;       /* escalations so far */
    int64_t seen;        /* while findings are compared; not written down */
};

struct letter {
    char *id;                            /* the same for all attempts */
    char *key, *incident, *channel, *to; /* to: a mail address, or NULL */
    char *kind;                          /* raised again resolved acknowledged escalated event */
    char *severity, *title, *text, *hint, *by, *contact, *phone; /* the last three: or NULL */
    char *why;                                                   /* the last failure, or NULL */
    int64_t wall;                                                /* written then */
    int64_t created_ns, next_ns, attempts;
};

struct channel_state { /* what is known of a channel from its answers */
    char *name;
    char *why;          /* the last failure, or NULL */
    int64_t failures;   /* in a row */
    int64_t failing_ns; /* since when; -1: it works, as far as is known */
    int64_t failing_wall;
    int64_t not_before_ns; /* the whole channel waits */
    int64_t refused;       /* 1: it said no to a letter, and none arrived since */
    int64_t dead;          /* letters given up so far */
};

struct alerts { /* zeroed: nothing known */
    struct alert *alerts;
    size_t alert_count;
    struct letter *letters;
    size_t letter_count;
    struct channel_state *channels;
    size_t channel_count;
    int64_t left_out;          /* letters that were not written: too many */
    int64_t left_out_findings; /* findings of the last call that had no room */
    int64_t now_ns, wall_ns;   /* set by the caller */
    bool changed;
};

void alerts_fini(struct alerts *a);
void letter_fini(struct letter *l);

/* As notify.h says. */
void alerts_findings(struct alerts *a, const struct setup *s, const json_t *findings);
void alerts_event(struct alerts *a, const struct setup *s, const struct setup_text *what);
enum dr_rc alerts_acknowledge(struct alerts *a, const struct setup *s, const char *key,
                              const char *who, struct dr_err *err) DR_MUST_USE;

/* What time alone brings: escalation, calm, what is forgotten, channels that fail for too long. */
void alerts_tick(struct alerts *a, const struct setup *s);

/* When tick or due have something to do; INT64_MAX: never. */
int64_t alerts_next(const struct alerts *a, const struct setup *s);

/* When the first letter of a known channel is due. */
int64_t letters_next(const struct alerts *a, const struct setup *s);

/* The letter that this channel may send now, or NULL. Borrowed until the next call. */
struct letter *alerts_due(struct alerts *a, const char *channel);

/* What came of one attempt. */
struct letter_answer {
    bool delivered;
    bool refused;           /* the server said no for good: the channel is told to be broken */
    int64_t retry_after_ms; /* of the server; -1: it named none */
    const char *why;
};

/* True: it is given up; it stays in the list until alerts_drop(). */
bool alerts_answered(struct alerts *a, const char *id, const struct letter_answer *answer,
                     uint64_t seed);
void alerts_drop(struct alerts *a, const char *id, bool dead);

struct letter *alerts_letter(struct alerts *a, const char *id);
const struct channel_state *alerts_channel(const struct alerts *a, const char *name);

/* The JSON of all of it, and back. DR_E_CORRUPT. */
json_t *alerts_json(const struct alerts *a) DR_MUST_USE;
json_t *letter_json(const struct letter *l) DR_MUST_USE;
enum dr_rc alerts_read(const json_t *root, struct alerts *ret, struct dr_err *err) DR_MUST_USE;
enum dr_rc letter_read(const json_t *root, struct letter *ret, struct dr_err *err) DR_MUST_USE;

#endif
