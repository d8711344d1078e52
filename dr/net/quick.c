/*
 * quick.c - which sockets are open, and which local port each has.
 */
#include "dr/net/quick.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

static int on_made(void *arg, curl_socket_t fd, curlsocktype purpose)
{
    struct quick *q = arg;
    (void)purpose;
    if (q->count < QUICK_MAX) {
        q->sockets[q->count].fd = fd;
        q->sockets[q->count++].port = 0;
    }
    return CURL_SOCKOPT_OK;
}

static int on_close(void *arg, curl_socket_t fd)
{
    struct quick *q = arg;
    for (size_t i = 0; i < q->count; i++)
        if (q->sockets[i].fd == fd) {
            q->sockets[i] = q->sockets[--q->count];
            break;
        }
    return close(fd);
}

bool quick_attach(struct quick *q, CURL *curl)
{
    return curl_easy_setopt(curl, CURLOPT_SOCKOPTFUNCTION, on_made) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_SOCKOPTDATA, q) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CLOSESOCKETFUNCTION, on_close) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CLOSESOCKETDATA, q) == CURLE_OK;
}

static int local_port(int fd)
{
    struct sockaddr_storage sa = { 0 };
    socklen_t len = sizeof(sa);
    if (getsockname(fd, (struct sockaddr *)&sa, &len) != 0)
        return 0;
    if (sa.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&sa)->sin6_port);
    return sa.ss_family == AF_INET ? ntohs(((struct sockaddr_in *)&sa)->sin_port) : 0;
}

int quick_find(struct quick *q, int port)
{
    for (size_t i = 0; i < q->count; i++) {
        if (q->sockets[i].port == 0)
            q->sockets[i].port = local_port(q->sockets[i].fd);
        if (q->sockets[i].port == port)
            return q->sockets[i].fd;
    }
    return -1;
}

void quick_acknowledge(int fd)
{
    int one = 1;
    if (fd >= 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof(one)); /* else it is slower */
}
