/*
 * gate.h - the one door through which every connect of ours goes.
 *
 * A failed region is dark: no step but its fence may touch it, because a half-dead server
 * that answers is worse than none, and because a recovery that needs the lost region is no
 * recovery. The gate knows the addresses of the dark regions; HTTP, DNS, HAProxy's socket and
 * plain TCP ask it before each connect. What is dark is refused, counted and named.
 *
 *     DR_CLEANUP(gate_free_ptr) struct gate *g = gate_new();
 *     gate_dark(g, "us-east-1", "10.1.0.5");          every port of that host
 *     gate_dark(g, "us-east-1", "127.0.0.1:8081");    that port only
 *     gate_dark(g, "us-east-1", "us.example.com");    that name, as it is written in a URL
 *
 * A NULL gate lets everything through. Any thread may ask, once all that is dark has been said. What cannot be enforced here are the connects of other
 * programs: a command that a plan runs has its own sockets.
 */
#ifndef DR_NET_GATE_H
#define DR_NET_GATE_H

#include "dr/base/buf.h"
#include "dr/net/addr.h"

struct gate;

struct gate *gate_new(void) DR_MUST_USE;
void gate_free(struct gate *g);
DR_DEFINE_CLEANUP(struct gate, gate_free)

/* Close the door to one address (or name) of a region. Both are copied. */
void gate_dark(struct gate *g, const char *region, const char *address);

/* May we connect there? If not, it is counted; DR_E_REFUSED "refused: REGION is dark (ADDRESS)". */
enum dr_rc gate_pass(struct gate *g, const struct sockaddr *to, struct dr_err *err) DR_MUST_USE;

/* The same for a host as it is written: asked before a name is looked up. */
enum dr_rc gate_pass_name(struct gate *g, const char *host, struct dr_err *err) DR_MUST_USE;

/* Connects refused so far. */
unsigned gate_refused(const struct gate *g);

/*
 * A connected stream socket to a numeric address or a Unix socket, through the gate, before
 * deadline_ms (on clock_boot_ms()). The descriptor is non-blocking; the caller closes it.
 * Refused by the peer: DR_E_TRANSIENT.
 */
enum dr_rc gate_connect(struct gate *g, const char *address, int64_t deadline_ms, int *ret_fd,
                        struct dr_err *err) DR_MUST_USE;

/* Write all of data; read to the end of the stream, at most limit bytes (more: DR_E_CORRUPT). For
 * protocols of one question and one answer on a descriptor of gate_connect(). */
enum dr_rc gate_ask(int fd, const char *question, size_t limit, int64_t deadline_ms,
                    struct buf *answer, struct dr_err *err) DR_MUST_USE;

#endif
