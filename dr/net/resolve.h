/*
 * resolve.h - what a given name server says about a name.
 *
 * The question goes to the server that the caller names, by address: "the world sees the new
 * address" is asked of the resolvers that users ask, and an outage of the local resolver must
 * not look like one of the service. libresolv packs, sends and repeats; the answer is parsed
 * here, with limits. No search list, no hosts file, no cache.
 */
#ifndef DR_NET_RESOLVE_H
#define DR_NET_RESOLVE_H

#include "dr/base/text.h"
#include "dr/net/gate.h"

struct resolve_options {
    const char *server;  /* "ADDRESS:PORT" or "ADDRESS" (port 53); NULL: those of the system */
    struct gate *gate;   /* or NULL */
    int64_t deadline_ms; /* on clock_boot_ms() */
};

struct resolve_answer {
    struct text_list values; /* of the type asked for, as text, sorted */
    int64_t ttl_s; /* the longest of the answer: CNAMEs on the way count; -1 without any */
};

void resolve_answer_fini(struct resolve_answer *a);

/* "A", "AAAA", "CNAME", "NS", "TXT": the types that resolve_query() reads. */
bool resolve_knows_type(const char *type);

/*
 * Ask for name. DR_E_NOTFOUND: the server answered that there is no such name, or no record of
 * that type; DR_E_TRANSIENT: no server answered, or it refused or failed; DR_E_REFUSED: the
 * server is in a dark region. Each message names the server.
 */
enum dr_rc resolve_query(const char *name, const char *type, const struct resolve_options *options,
                         struct resolve_answer *ret, struct dr_err *err) DR_MUST_USE;

#endif
