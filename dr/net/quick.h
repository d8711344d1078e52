/*
 * quick.h - answers in two pieces without the wait between them.
 *
 * A server that writes head and body apart and keeps the body back until the head is acknowledged (Nagle;
 * radosgw does so by default) costs each small answer the 40 ms of a delayed acknowledgement. So
 * the head is acknowledged at once. Linux forgets that wish (TCP_QUICKACK) with the next request, and curl
 * does not say which socket a request uses: the sockets of an engine are noted here when they are made, and
 * found again by their local port.
 *
 * For one thread, that of curl_multi. All of it is an optimisation: what fails costs time only.
 */
#ifndef DR_NET_QUICK_H
#define DR_NET_QUICK_H

#include <curl/curl.h>

#include "dr/base/base.h"

enum { QUICK_MAX = 512 };

struct quick { /* zeroed is empty */
    struct {
        int fd, port; /* port 0: not asked for yet */
    } sockets[QUICK_MAX];
    size_t count;
};

/* Note the sockets of this handle from now on. q outlives the connection, not only the handle. */
bool quick_attach(struct quick *q, CURL *curl) DR_MUST_USE;

/* The socket with this local port, or -1. */
int quick_find(struct quick *q, int local_port);

/* A head came: acknowledge it. fd: of quick_find(). */
void quick_acknowledge(int fd);

#endif
