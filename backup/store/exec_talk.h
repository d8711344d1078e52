/*
 * exec_talk.h - one running store program, and one question to it at a time.
 *
 *     talk_start()   the program runs, in a process group of its own
 *     talk_ask()     a line and perhaps bytes go in, a line and perhaps bytes come back
 *     talk_end()     its input is closed; what does not end by itself is killed with its group
 *
 * This knows lines, lengths and time, and no operation: exec.c knows those. Each wait and the whole
 * question have a deadline (EXEC.md, "Time"). While it is asked, what the program says on its
 * standard error is taken as well, and the last of it kept.
 *
 * A question that failed has left the program in a state that nobody knows: only
 * talk_kill() may follow. One thread at a time.
 */
#ifndef BACKUP_STORE_EXEC_TALK_H
#define BACKUP_STORE_EXEC_TALK_H

#include <jansson.h>

#include "backup/store/store.h"

enum {
    TALK_LINE_MAX = 64 << 10, /* of an answer */
    TALK_WORDS_MAX = 2048,    /* kept of standard error */
    TALK_END_MS = 2000,       /* to end by itself */
};

struct talk_options {
    const char *program; /* absolute */
    char *const *argv;   /* argv[0] is the program; ends with NULL */
    char *const *env;    /* ends with NULL */
    int64_t timeout_ms;
};

struct talk;

enum dr_rc talk_start(const struct talk_options *options, struct talk **ret, struct dr_err *err)
    DR_MUST_USE;
void talk_end(struct talk *t);  /* NULL is fine */
void talk_kill(struct talk *t); /* the same at once: after a failure */

struct talk_question {
    const char *op;
    const char *rest; /* members of its line behind op: ",\"name\":\"a\""; or "" */
    const void *body; /* NULL: it has none */
    size_t body_len;
    const struct store_pace *pace; /* of the body; or NULL */
    void *out;                     /* where the answer's body goes, at most so many bytes */
    size_t out_max;
};

struct talk_answer {
    json_t *line; /* an object; the caller drops it */
    size_t body_len;
};

/*
 * Ask. DR_OK: a whole answer came, be it an error of the program's. DR_E_TRANSIENT: the program
 * ended before; DR_E_TIMEOUT; DR_E_IO: it broke the protocol. What a pace says (DR_E_CANCELLED) comes
 * back as it is. The message has the program's last words.
 */
enum dr_rc talk_ask(struct talk *t, const struct talk_question *q, struct talk_answer *ret,
                    struct dr_err *err) DR_MUST_USE;

/* The question is wrong by our side's rules: say what was seen (and with it the last words). */
enum dr_rc(talk_breach)(struct talk *t, struct dr_err *err, const char *fmt, ...) DR_PRINTF(3, 4)
    DR_COLD;
#define talk_breach(...) dr_not_ok((talk_breach)(__VA_ARGS__))

#endif
