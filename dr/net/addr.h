/*
 * addr.h - where to connect: numeric addresses, written and compared in one way.
 *
 * Nothing here asks a name service: in a recovery the name service may be what is lost.
 * "127.0.0.1:5300", "[::1]:53", "10.0.0.9", "::1" are addresses; "/run/haproxy.sock" is a
 * Unix socket; everything else is a name and is refused by net_addr_parse().
 */
#ifndef DR_NET_ADDR_H
#define DR_NET_ADDR_H

#include <sys/socket.h>

#include "dr/base/err.h"

struct net_addr {
    struct sockaddr_storage sa;
    socklen_t len;
};

enum { NET_ADDR_TEXT_MAX = 128 };

/* Read text; a missing port becomes default_port. False when it is not an address. */
bool net_addr_parse(const char *text, uint16_t default_port, struct net_addr *ret);

/* "127.0.0.1:5300", "[::1]:53", or the path of a Unix socket. Returns out. */
char *net_addr_print(const struct sockaddr *sa, char out[NET_ADDR_TEXT_MAX]);

/* 0 for what has no port. */
uint16_t net_addr_port(const struct sockaddr *sa);

/* The same host? Ports do not count; an IPv4 address mapped into IPv6 is that IPv4 address. */
bool net_addr_same_host(const struct sockaddr *a, const struct sockaddr *b);

#endif
