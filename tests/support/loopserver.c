/*
 * loopserver.c - accept, read a head and a body, ask the handler; a thread for each connection.
 */
#include "tests/support/loopserver.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dr/base/mem.h"

enum { CONNECTIONS_MAX = 512, HEAD_MAX = 64 << 10 };

struct connection {
    struct loopserver *server;
    pthread_t thread;
    unsigned number;
    int fd;
};

struct loopserver {
    loopserver_handler *handler;
    void *arg;
    int fd, port;
    pthread_t thread;
    atomic_uint accepted, requests;
    struct connection connections[CONNECTIONS_MAX];
};

bool loopserver_write(int fd, const void *data, size_t len)
{
    const char *at = data;
    while (len > 0) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

bool loopserver_say(int fd, int status, const char *headers, const void *body, size_t len)
{
    DR_FREE char *head =
        dr_strf("HTTP/1.1 %d Said\r\nContent-Length: %zu\r\n%s\r\n", status, len, headers);
    return loopserver_write(fd, head, strlen(head)) && loopserver_write(fd, body, len);
}

bool loopserver_reset(int fd)
{
    struct linger now = { .l_onoff = 1, .l_linger = 0 };
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    dup2(null, fd); /* closes the socket; its number stays ours */
    close(null);
    return false;
}

void loopserver_header(const struct loopserver_request *q, const char *name, char *out, size_t size)
{
    size_t len = strlen(name);
    out[0] = '\0';
    for (const char *line = strstr(q->head, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, len) != 0 || line[len] != ':')
            continue;
        line += len + 1;
        line += strspn(line, " ");
        snprintf(out, size, "%.*s", (int)strcspn(line, "\r"), line);
        return;
    }
}

/* Whatever came goes into in; the length of the head, or 0 at the end. */
static size_t read_head(int fd, struct buf *in)
{
    for (;;) {
        char *end = in->len > 0 ? strstr(in->data, "\r\n\r\n") : NULL;
        if (end != NULL)
            return (size_t)(end - in->data) + 4;
        if (in->len > HEAD_MAX)
            return 0;
        ssize_t n = recv(fd, buf_reserve(in, 4096), 4096, 0);
        if (n <= 0)
            return 0;
        in->len += (size_t)n;
        in->data[in->len] = '\0';
    }
}

static bool read_body(struct loopserver_request *q, struct buf *in, struct buf *body, size_t head)
{
    char value[64];
    loopserver_header(q, "content-length", value, sizeof(value));
    size_t want = strtoul(value, NULL, 10), have = in->len - head;
    have = have < want ? have : want;
    loopserver_header(q, "expect", value, sizeof(value));
    if (value[0] != '\0' && have < want &&
        !loopserver_write(q->fd, "HTTP/1.1 100 Continue\r\n\r\n", 25))
        return false;
    buf_add(body, in->data + head, have);
    while (body->len < want) {
        size_t room = want - body->len < 65536 ? want - body->len : 65536;
        ssize_t n = recv(q->fd, buf_reserve(body, room), room, 0);
        if (n <= 0)
            return false;
        body->len += (size_t)n;
    }
    size_t used = head + have;
    memmove(in->data, in->data + used, in->len - used + 1);
    in->len -= used;
    q->body = body->data;
    q->body_len = body->len;
    return true;
}

static void *serve(void *arg)
{
    struct connection *c = arg;
    struct loopserver *s = c->server;
    DR_CLEANUP(buf_fini) struct buf in = { 0 };
    for (unsigned nth = 1;; nth++) {
        size_t len = read_head(c->fd, &in);
        if (len == 0)
            break;
        DR_FREE char *head = dr_memdup(in.data, len);
        DR_CLEANUP(buf_fini) struct buf body = { 0 };
        struct loopserver_request q = {
            .head = head, .fd = c->fd, .connection = c->number, .nth = nth
        };
        char early[8];
        loopserver_header(&q, "x-early", early, sizeof(early));
        if (sscanf(head, "%15s %1023s", q.method, q.target) != 2 ||
            (early[0] == '\0' && !read_body(&q, &in, &body, len)))
            break;
        atomic_fetch_add(&s->requests, 1);
        if (!s->handler(s->arg, &q) || early[0] != '\0')
            break;
    }
    shutdown(c->fd, SHUT_RDWR); /* closed at the end: its number must stay ours until then */
    return NULL;
}

static void *listen_on(void *arg)
{
    struct loopserver *s = arg;
    for (;;) {
        int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            return NULL;
        unsigned n = atomic_load(&s->accepted);
        DR_ASSERT(n < CONNECTIONS_MAX);
        struct connection *c = &s->connections[n];
        *c = (struct connection){ .server = s, .number = n + 1, .fd = fd };
        DR_ASSERT(pthread_create(&c->thread, NULL, serve, c) == 0);
        atomic_store(&s->accepted, n + 1);
    }
}

struct loopserver *loopserver_start(loopserver_handler *handler, void *arg)
{
    struct loopserver *s = dr_alloc(1, sizeof(*s));
    s->handler = handler;
    s->arg = arg;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(in);
    DR_ASSERT(s->fd >= 0 && bind(s->fd, (struct sockaddr *)&in, len) == 0);
    DR_ASSERT(listen(s->fd, 128) == 0);
    DR_ASSERT(getsockname(s->fd, (struct sockaddr *)&in, &len) == 0);
    s->port = ntohs(in.sin_port);
    DR_ASSERT(pthread_create(&s->thread, NULL, listen_on, s) == 0);
    return s;
}

void loopserver_stop(struct loopserver *s)
{
    if (s == NULL)
        return;
    shutdown(s->fd, SHUT_RDWR);
    DR_ASSERT(pthread_join(s->thread, NULL) == 0);
    for (unsigned i = 0; i < s->accepted; i++) {
        shutdown(s->connections[i].fd, SHUT_RDWR);
        DR_ASSERT(pthread_join(s->connections[i].thread, NULL) == 0);
        close(s->connections[i].fd);
    }
    close(s->fd);
    free(s);
}

int loopserver_port(const struct loopserver *s)
{
    return s->port;
}

unsigned loopserver_connections(const struct loopserver *s)
{
    return s->accepted;
}

unsigned loopserver_requests(const struct loopserver *s)
{
    return s->requests;
}
