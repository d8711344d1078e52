/*
 * inside.h - what the files of this room share and nobody else needs.
 *
 *     setup.c    the configuration's words as channels, lists and contacts
 *     alerts.c   findings and events -> alerts -> letters          } pure
 *     post.c     the queue of letters: which is due, what an answer means  }
 *     record.c   alerts and letters as JSON                        }
 *     wire.c     a letter as the bytes of Slack, PagerDuty, a webhook, a command   } pure
 *     mail.c     ... and of a mail                                 }
 *     send.c     one attempt, in a child of its own; smtp.c: that of a mail
 *     keep.c     STATE_DIR/alerts: lock, clock, read, write, dead letters
 *     notify.c   findings, events, acknowledgements; deliver.c: notify_step(); look.c: for people
 */
#ifndef DR_NOTIFY_INSIDE_H
#define DR_NOTIFY_INSIDE_H

#include "dr/notify/alerts.h"
#include "dr/notify/notify.h"
#include "dr/step/child.h"

void alert_fini(struct alert *al);
void channel_state_fini(struct channel_state *c);

/* ---- wire.c, mail.c: bytes ---------------------------------------------------------------------- */

/* "CRITICAL, again: the title" on one line; what follows it, in lines that end in "\n"; both. host: ours. */
void wire_headline(const struct letter *l, struct buf *out);
void wire_details(const struct letter *l, const char *host, struct buf *out);
void wire_text(const struct letter *l, const char *host, struct buf *out);

void wire_slack(const struct letter *l, const char *host, struct buf *out);
void wire_pagerduty(const struct letter *l, const char *routing_key, const char *host,
                    struct buf *out);
void wire_webhook(const struct letter *l, const char *host, struct buf *out);

/* "v1=HEX": HMAC-SHA-256 over "SECONDS.BODY". The caller frees. */
char *wire_signature(const char *secret, int64_t seconds, const struct buf *body) DR_MUST_USE;

struct mail_frame {
    const char *from, *to; /* mail_is_address() */
    const char *host;      /* ours */
};
bool mail_is_address(const char *text); /* "name@host" of plain ASCII */
void mail_write(const struct letter *l, const struct mail_frame *f, struct buf *out);

/* ---- send.c: one attempt -------------------------------------------------------------------------- */

struct sent {
    bool delivered, refused;
    int64_t retry_after_ms; /* -1: none */
    char *why;              /* what the server answered, or what failed; owned */
};
void sent_fini(struct sent *s);

/* target: of setup_target(). Waits at most NOTIFY_ATTEMPT_MS, or the command's own timeout. */
void send_letter(const json_t *target, const struct letter *l, struct sent *ret);

void send_mail(const json_t *target, const struct letter *l, struct sent *ret); /* smtp.c */

/* ---- keep.c: durable ------------------------------------------------------------------------------ */

enum { KEEP_BOOT_ID_MAX = 64 };

struct keep_mark { /* the alerts' clock at one point of the others; boot_id "": it begins now */
    int64_t at_ns, boot_ns, wall_ns;
    char boot_id[KEEP_BOOT_ID_MAX];
};

struct keep {
    char *dir;           /* STATE_DIR/alerts; owned */
    const char *boot_id; /* of this boot; shorter than KEEP_BOOT_ID_MAX */
    int lock_fd;         /* between keep_begin() and keep_end(), else -1 */
    struct alerts alerts;
    struct keep_mark mark;
    bool unsaved; /* memory knows more than the file: that could not be written, or not be read */
    bool was_corrupt; /* the file was put aside; for the caller to tell and to clear */
};
void keep_fini(struct keep *k);

/* Lock, read, and set the clock of the alerts. DR_E_BUSY: another had the lock for two seconds: no keep_end().
 * After any other failure the alerts are those in memory, and keep_end() is due as after success. */
enum dr_rc keep_begin(struct keep *k, struct dr_err *err) DR_MUST_USE;

/* Write what changed (save), and unlock. */
enum dr_rc keep_end(struct keep *k, bool save, struct dr_err *err) DR_MUST_USE;

/* Read without lock and without writing: for those who only look. */
enum dr_rc keep_look(struct keep *k, struct dr_err *err) DR_MUST_USE;

/* The letter into alerts/dead, durable. */
enum dr_rc keep_bury(const struct keep *k, const struct letter *l, struct dr_err *err) DR_MUST_USE;

/* ---- notify.c, deliver.c: the object ------------------------------------------------------------------ */

struct sending {         /* one child, or a free place (channel NULL) */
    char *channel, *id;  /* of the letter */
    json_t *target;      /* before it is started; else NULL */
    struct child *child; /* while it runs */
    bool delivered, refused;
    int64_t retry_after_ms;
    char *why;
};

struct notify {
    struct setup setup;
    struct keep keep;
    int sender_fd; /* the lock of the one who sends; -1: not ours */
    uv_loop_t loop;
    struct sending sendings[NOTIFY_AT_ONCE];
};

/* keep_begin() and keep_end() for those who tell: a state that cannot be kept is no reason to be silent, so only
 * DR_E_BUSY stops. notify_end() returns the first trouble. */
enum dr_rc notify_begin(struct notify *n, struct dr_err *trouble) DR_MUST_USE;
enum dr_rc notify_end(struct notify *n, const struct dr_err *trouble, struct dr_err *err)
    DR_MUST_USE;

/* End all children; what arrived is noted. */
void deliver_stop(struct notify *n);

#endif
