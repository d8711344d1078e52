/*
 * servers.h - real servers for tests: nginx, HAProxy, PowerDNS, on loopback.
 *
 * Each starts in a directory that the test made, on ports that were free a moment ago, as
 * whoever runs the test (no root needed), and is up when the call returns: the first right
 * answer was seen, within 60 s. A server whose port was taken meanwhile is started again on
 * another. Each is one process, ends by server_stop(), and dies with the test.
 */
#ifndef TESTS_SUPPORT_SERVERS_H
#define TESTS_SUPPORT_SERVERS_H

#include <sys/types.h>

#include "dr/base/base.h"

struct server {
    pid_t pid;     /* 0: not running */
    char dir[192]; /* its own, below the test's */
    int port;      /* nginx, haproxy: HTTP; pdns: DNS */
    int admin;     /* haproxy: runtime API by TCP; pdns: HTTP API */
};

#define PDNS_KEY "the-test-key"

/* A loopback port that nobody listens on now. */
int server_free_port(void);

/*
 * Serves DIR/www ("/health" says "ok NAME"), "/status/503" (that status), "/moved" (301), and
 * whatever conf adds inside server { } (or NULL). port 0: any free one.
 */
bool nginx_start(struct server *s, const char *parent, const char *name, int port,
                 const char *conf);

/* One backend "web" with a server line for each name, the first ready, the others in maintenance;
 * runtime API at DIR/admin.sock and at the TCP port s->admin; DIR/user.sock only shows. ports: of the names. */
bool haproxy_start(struct server *s, const char *parent, const char *const *names, const int *ports,
                   size_t count);

/* Zone "example.test" with "app A 127.0.0.1 ttl 60", "www CNAME app ttl 300", "text TXT". */
bool pdns_start(struct server *s, const char *parent);

void server_stop(struct server *s);

/* "127.0.0.1:PORT" in a static buffer (four of them, in turn). */
const char *server_at(int port);

/* The body of http://127.0.0.1:PORT/PATH, at most size - 1 bytes; the status, or -1. */
int server_get(int port, const char *path, char *body, size_t size);

#endif
