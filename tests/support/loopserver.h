/*
 * loopserver.h - an HTTP/1.1 server on loopback whose answers a test writes by hand, byte by byte.
 *
 *     struct loopserver *s = loopserver_start(answer, &world);
 *     static bool answer(void *arg, const struct loopserver_request *q)
 *     {
 *         return loopserver_say(q->fd, 200, "X-Odd: 1\r\n", "body", 4);
 *     }
 *
 * Each connection has a thread, in which the handler runs; it may wait, write half an answer, or none.
 * What it waits for must end before loopserver_stop(). Connections are kept for as long as the handler returns
 * true. "Expect: 100-continue" is answered before the body is read. A request with a header "x-early" is given
 * to the handler before its body is read, which then never is.
 */
#ifndef TESTS_SUPPORT_LOOPSERVER_H
#define TESTS_SUPPORT_LOOPSERVER_H

#include "dr/base/buf.h"

struct loopserver;

struct loopserver_request {
    char method[16];
    char target[1024]; /* as it stands in the request line */
    const char *head;  /* request line and headers, as they came */
    const char *body;
    size_t body_len;
    unsigned connection; /* 1 is the first that was accepted */
    unsigned nth;        /* of this connection, 1 is the first */
    int fd;
};

/* False: close the connection. */
typedef bool loopserver_handler(void *arg, const struct loopserver_request *q);

/* Asserts that it works. */
struct loopserver *loopserver_start(loopserver_handler *handler, void *arg);

/* Shuts all connections down, waits for their threads. */
void loopserver_stop(struct loopserver *s);

int loopserver_port(const struct loopserver *s);
unsigned loopserver_connections(const struct loopserver *s); /* accepted so far */
unsigned loopserver_requests(const struct loopserver *s);    /* read whole so far */

/* A whole answer with its length; headers: lines that end in CRLF, or "". False when the peer is gone. */
bool loopserver_say(int fd, int status, const char *headers, const void *body, size_t len);
bool loopserver_write(int fd, const void *data, size_t len);

/* End the connection as a crash would (RST). False, for the handler to return. */
bool loopserver_reset(int fd);

/* Copy a header's value of the request; "" when absent. */
void loopserver_header(const struct loopserver_request *q, const char *name, char *out,
                       size_t size);

#endif
