/*
 * httpfault.c - the sockets, the threads, the faults and the log of the small S3.
 *
 * One thread accepts, and each connection has its own, which reads a request, asks the plans, asks
 * httpfault_s3.c, answers, and logs. A thread that waits for bytes, or stalls on purpose, polls in
 * short steps, so that httpfault_stop() comes through.
 *
 * A child that the test forks must not hold our sockets: what we end would go on for the client. So
 * fork() waits until no socket is about to be made or ended, and the child closes them all.
 */
#include "tests/support/httpfault.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "tests/support/httpfault_s3.h"

enum {
    BUCKETS_MAX = 16,
    CONNECTIONS_MAX = 256,
    HEAD_MAX = 32 << 10,
    BODY_MAX = 256 << 20,
    STEP_MS = 20,
};

struct bucket {
    char name[64];
    struct memory *memory;
};

struct planned {
    struct httpfault_plan plan;
    unsigned seen; /* requests that matched */
};

struct httpfault {
    int fd;
    char url[48], virtual_url[48];
    pthread_t acceptor;
    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t gone;  /* a connection ended */
    pthread_cond_t quiet; /* awake fell, or forking ended */
    unsigned awake;       /* connections that may be inside of malloc() now */
    bool forking;
    bool stopping;
    unsigned stall_round; /* what began to stall in an older round ends */
    struct httpfault_kind kind;
    struct bucket buckets[BUCKETS_MAX];
    size_t bucket_count;
    struct planned plans[HTTPFAULT_PLANS];
    size_t plan_count;
    unsigned hits, living, connections, busy, most;
    int sockets[CONNECTIONS_MAX]; /* of living connections; 0: none */
    struct httpfault_entry *log;
    size_t log_count, log_cap;
};

struct connection {
    struct httpfault *h;
    int fd;
    unsigned number;
    struct buf in; /* what came and is not read yet */
};

/* One request as it is worked on. */
struct turn {
    struct connection *c;
    char *head; /* owned: the request line and the headers */
    struct s3_request request;
    struct s3_reply reply;
    struct httpfault_entry entry;
    struct httpfault_plan fault; /* valid when faulty */
    bool faulty;
};

/* -- buckets, plans, log --------------------------------------------------------------------- */

/* Caller holds the lock. */
static struct memory *find_bucket(struct httpfault *h, const char *name)
{
    for (size_t i = 0; i < h->bucket_count; i++) {
        if (strcmp(h->buckets[i].name, name) == 0)
            return h->buckets[i].memory;
    }
    return NULL;
}

static struct memory *bucket_of(void *arg, const char *name)
{
    struct httpfault *h = arg;
    pthread_mutex_lock(&h->lock);
    struct memory *m = find_bucket(h, name);
    pthread_mutex_unlock(&h->lock);
    return m;
}

struct memory *httpfault_bucket(struct httpfault *h, const char *name)
{
    pthread_mutex_lock(&h->lock);
    struct memory *m = find_bucket(h, name);
    if (m == NULL) {
        DR_ASSERT(h->bucket_count < BUCKETS_MAX);
        struct bucket *b = &h->buckets[h->bucket_count++];
        snprintf(b->name, sizeof(b->name), "%s", name);
        m = b->memory = memory_new();
    }
    pthread_mutex_unlock(&h->lock);
    return m;
}

void httpfault_plan(struct httpfault *h, const struct httpfault_plan *plan)
{
    pthread_mutex_lock(&h->lock);
    DR_ASSERT(h->plan_count < HTTPFAULT_PLANS);
    h->plans[h->plan_count++] = (struct planned){ .plan = *plan };
    pthread_mutex_unlock(&h->lock);
}

void httpfault_clear(struct httpfault *h)
{
    pthread_mutex_lock(&h->lock);
    h->plan_count = 0;
    h->stall_round++;
    pthread_mutex_unlock(&h->lock);
}

void httpfault_be(struct httpfault *h, const struct httpfault_kind *kind)
{
    pthread_mutex_lock(&h->lock);
    h->kind = *kind;
    pthread_mutex_unlock(&h->lock);
}

static bool matches(const struct httpfault_plan *p, const struct httpfault_entry *e)
{
    bool reads = strcmp(e->method, "GET") == 0 || strcmp(e->method, "HEAD") == 0;
    return !(p->changes && reads) && (p->method == NULL || strcmp(p->method, e->method) == 0) &&
           (p->part == NULL || strstr(e->path, p->part) != NULL);
}

/* Every plan that matches counts; the first whose turn it is acts. Caller holds the lock. */
static void pick_fault(struct httpfault *h, struct turn *t)
{
    for (size_t i = 0; i < h->plan_count; i++) {
        struct planned *p = &h->plans[i];
        if (!matches(&p->plan, &t->entry))
            continue;
        unsigned first = p->plan.nth > 0 ? p->plan.nth : 1;
        unsigned times = p->plan.times > 0 ? p->plan.times : 1;
        p->seen++;
        if (t->faulty || p->seen < first || p->seen - first >= times)
            continue;
        t->faulty = true;
        t->fault = p->plan;
        h->hits++;
    }
}

static void begin_turn(struct httpfault *h, struct turn *t, struct httpfault_kind *ret_kind)
{
    pthread_mutex_lock(&h->lock);
    h->busy++;
    h->most = h->busy > h->most ? h->busy : h->most;
    pick_fault(h, t);
    *ret_kind = h->kind;
    pthread_mutex_unlock(&h->lock);
}

/* Before the answer is sent: whoever has it finds its request in the log. */
static void note(struct httpfault *h, const struct turn *t)
{
    pthread_mutex_lock(&h->lock);
    if (h->log_count == h->log_cap) {
        h->log_cap = h->log_cap == 0 ? 256 : h->log_cap * 2;
        h->log = dr_realloc(h->log, h->log_cap, sizeof(*h->log));
    }
    h->log[h->log_count++] = t->entry;
    pthread_mutex_unlock(&h->lock);
}

static void end_turn(struct httpfault *h)
{
    pthread_mutex_lock(&h->lock);
    h->busy--;
    pthread_mutex_unlock(&h->lock);
}

unsigned httpfault_hits(struct httpfault *h)
{
    pthread_mutex_lock(&h->lock);
    unsigned n = h->hits;
    pthread_mutex_unlock(&h->lock);
    return n;
}

size_t httpfault_count(struct httpfault *h, const char *method, const char *part)
{
    const struct httpfault_plan wanted = { .method = method, .part = part };
    size_t n = 0;
    pthread_mutex_lock(&h->lock);
    for (size_t i = 0; i < h->log_count; i++)
        n += matches(&wanted, &h->log[i]);
    pthread_mutex_unlock(&h->lock);
    return n;
}

bool httpfault_entry(struct httpfault *h, size_t index, struct httpfault_entry *ret)
{
    pthread_mutex_lock(&h->lock);
    bool there = index < h->log_count;
    if (there)
        *ret = h->log[index];
    pthread_mutex_unlock(&h->lock);
    return there;
}

unsigned httpfault_connections(struct httpfault *h)
{
    pthread_mutex_lock(&h->lock);
    unsigned n = h->connections;
    pthread_mutex_unlock(&h->lock);
    return n;
}

unsigned httpfault_most_at_once(struct httpfault *h)
{
    pthread_mutex_lock(&h->lock);
    unsigned n = h->most;
    pthread_mutex_unlock(&h->lock);
    return n;
}

void httpfault_forget(struct httpfault *h)
{
    pthread_mutex_lock(&h->lock);
    h->log_count = 0;
    h->connections = h->most = 0;
    pthread_mutex_unlock(&h->lock);
}

/* -- bytes ----------------------------------------------------------------------------------- */

static bool is_stopping(struct httpfault *h)
{
    pthread_mutex_lock(&h->lock);
    bool stopping = h->stopping;
    pthread_mutex_unlock(&h->lock);
    return stopping;
}

/*
 * A child must not find a lock of the allocator taken by a thread that it has not got: glibc sees to that, the
 * sanitizers' allocators do not. So a fork waits until every connection only waits for its client.
 */
static void doze(struct httpfault *h)
{
    pthread_mutex_lock(&h->lock);
    h->awake--;
    pthread_cond_broadcast(&h->quiet);
    pthread_mutex_unlock(&h->lock);
}

static void wake(struct httpfault *h)
{
    pthread_mutex_lock(&h->lock);
    while (h->forking)
        pthread_cond_wait(&h->quiet, &h->lock);
    h->awake++;
    pthread_mutex_unlock(&h->lock);
}

/* Is there something to read? Negative: an error; 0: the server stops. */
static int wait_for_bytes(const struct connection *c)
{
    struct pollfd p = { .fd = c->fd, .events = POLLIN };
    int ready = 0;
    doze(c->h);
    while (ready == 0 && !is_stopping(c->h))
        ready = poll(&p, 1, STEP_MS);
    wake(c->h);
    return ready;
}

/* Some more bytes; false at the end of the connection or of the server. */
static bool receive(struct connection *c)
{
    enum { CHUNK = 64 << 10 };
    int ready = wait_for_bytes(c);
    if (ready <= 0)
        return ready < 0 && errno == EINTR;
    ssize_t n = recv(c->fd, buf_reserve(&c->in, CHUNK), CHUNK, 0);
    if (n <= 0)
        return false;
    c->in.len += (size_t)n;
    c->in.data[c->in.len] = '\0';
    return true;
}

static void drop_front(struct buf *b, size_t len)
{
    b->len -= len;
    memmove(b->data, b->data + len, b->len + 1);
}

static bool send_all(const struct connection *c, const char *data, size_t len)
{
    bool good = true;
    doze(c->h);
    while (good && len > 0) {
        ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);
        good = n >= 0 || errno == EINTR;
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
    }
    wake(c->h);
    return good;
}

/* The next close sends a reset. */
static void make_reset(const struct connection *c)
{
    const struct linger l = { .l_onoff = 1, .l_linger = 0 };
    (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)); /* else it is a plain end */
}

/* Say nothing until the other side goes away, the plans are cleared, or the server stops. */
static void stall(const struct connection *c, unsigned round)
{
    struct pollfd p = { .fd = c->fd, .events = POLLIN | POLLRDHUP };
    bool over = false;
    doze(c->h);
    while (!over) {
        pthread_mutex_lock(&c->h->lock);
        over = c->h->stopping || c->h->stall_round != round;
        pthread_mutex_unlock(&c->h->lock);
        over = over || poll(&p, 1, STEP_MS) != 0;
    }
    wake(c->h);
}

/* -- one request ----------------------------------------------------------------------------- */

/* The head up to the empty line, taken out of c->in; NULL: none came. The caller frees. */
static char *read_head(struct connection *c)
{
    const char *end;
    while (c->in.len == 0 || (end = strstr(c->in.data, "\r\n\r\n")) == NULL) {
        if (c->in.len > HEAD_MAX || !receive(c))
            return NULL;
    }
    size_t len = (size_t)(end - c->in.data) + 2;
    char *head = dr_memdup(c->in.data, len);
    drop_front(&c->in, len + 2);
    return head;
}

/* "GET /a?b HTTP/1.1\r\nName: value\r\n" in place; false: it is none. */
static bool parse_head(struct turn *t)
{
    char *line_end = strstr(t->head, "\r\n");
    char *blank = strchr(t->head, ' ');
    char *version = blank != NULL ? strstr(blank + 1, " HTTP/1.1\r\n") : NULL;
    if (line_end == NULL || version == NULL || version > line_end)
        return false;
    bool in_name = true;
    for (char *p = line_end; *p != '\0'; p++) {
        in_name = (in_name || *p == '\n') && *p != ':';
        if (in_name && *p >= 'A' && *p <= 'Z')
            *p = (char)(*p | 0x20);
    }
    *blank = *version = '\0';
    snprintf(t->entry.method, sizeof(t->entry.method), "%s", t->head);
    snprintf(t->entry.path, sizeof(t->entry.path), "%s", blank + 1);
    char *query = strchr(blank + 1, '?');
    t->request = (struct s3_request){ .method = t->head,
                                      .path = blank + 1,
                                      .query = query != NULL ? query + 1 : "",
                                      .headers = line_end };
    if (query != NULL)
        *query = '\0';
    (void)s3_header(&t->request, "range", t->entry.range, sizeof(t->entry.range));
    return blank[1] == '/';
}

/* The bucket of a virtual host is put in front of the path. The caller frees what comes back. */
static char *whole_path(const struct turn *t)
{
    char host[256];
    (void)s3_header(&t->request, "host", host, sizeof(host)); /* without one it is path style */
    const char *tail = strstr(host, ".s3.localhost");
    if (tail == NULL)
        return dr_strdup(t->request.path);
    return dr_strf("/%.*s%s", (int)(tail - host), host, t->request.path);
}

static bool read_body(struct turn *t)
{
    struct connection *c = t->c;
    char text[64];
    (void)s3_header(&t->request, "content-length", text,
                    sizeof(text)); /* without one it is empty */
    size_t len = strtoull(text, NULL, 10);
    if (s3_header(&t->request, "expect", text, sizeof(text)) &&
        !send_all(c, "HTTP/1.1 100 Continue\r\n\r\n", 25))
        return false;
    if (len > BODY_MAX || s3_header(&t->request, "transfer-encoding", text, sizeof(text)))
        return false;
    while (c->in.len < len) {
        if (!receive(c))
            return false;
    }
    buf_add(&t->request.body, c->in.data, len);
    drop_front(&c->in, len);
    t->entry.in = len;
    return true;
}

static const char *code_for(int status)
{
    switch (status) {
    case 500:
        return "InternalError";
    case 503:
        return "SlowDown";
    case 403:
        return "AccessDenied";
    case 404:
        return "NoSuchKey";
    case 409:
        return "ConditionalRequestConflict";
    default:
        return "TestError";
    }
}

/* What a fault says instead of the effect; true: the effect takes place. */
static bool before_effect(struct turn *t)
{
    const struct httpfault_plan *f = &t->fault;
    t->reply.head = strcmp(t->entry.method, "HEAD") == 0;
    switch (f->how) {
    case HTTPFAULT_STATUS:
        s3_error(&t->reply, f->status, f->code != NULL ? f->code : code_for(f->status), "");
        if (f->retry_after_s > 0)
            buf_addf(&t->reply.headers, "Retry-After: %u\r\n", f->retry_after_s);
        return false;
    case HTTPFAULT_REDIRECT: {
        DR_FREE char *more =
            dr_strf("<Region>%s</Region><Endpoint>elsewhere</Endpoint>", f->region);
        s3_error(&t->reply, 301, "PermanentRedirect", more);
        buf_addf(&t->reply.headers, "x-amz-bucket-region: %s\r\n", f->region);
        return false;
    }
    case HTTPFAULT_RESET:
    case HTTPFAULT_GARBAGE:
        return false;
    default:
        return true;
    }
}

static void answer_it(struct turn *t, const struct httpfault_kind *kind, const char *path)
{
    struct s3_request r = t->request;
    r.path = path;
    bool effect = !t->faulty || before_effect(t);
    if (effect)
        s3_answer(kind, &r, bucket_of, t->c->h, &t->reply);
    if (effect && t->faulty && t->fault.how == HTTPFAULT_TWICE) {
        s3_reply_fini(&t->reply);
        t->reply = (struct s3_reply){ 0 };
        s3_answer(kind, &r, bucket_of, t->c->h, &t->reply);
    }
}

/* The reply's head; announced: the length that it tells. */
static void make_head(const struct turn *t, const struct httpfault_kind *kind, size_t announced,
                      struct buf *out)
{
    char date[64];
    struct tm tm;
    time_t now = (time_t)(clock_wall_ns() / 1000000000 + kind->clock_offset_s);
    (void)gmtime_r(&now, &tm);
    (void)strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
    buf_addf(out, "HTTP/1.1 %d Answer\r\nDate: %s\r\nServer: httpfault\r\n", t->reply.status, date);
    buf_add(out, t->reply.headers.data != NULL ? t->reply.headers.data : "", t->reply.headers.len);
    if (t->reply.status != 204)
        buf_addf(out, "Content-Length: %zu\r\n", announced);
    buf_adds(out, "\r\n");
}

/* Send what the fault leaves of the reply; true: the connection goes on. */
static bool send_reply(struct turn *t, const struct httpfault_kind *kind, unsigned round)
{
    struct buf *body = &t->reply.body;
    size_t announced = body->len, sent = t->reply.head || t->reply.status == 204 ? 0 : body->len;
    enum httpfault_how how = t->faulty ? t->fault.how : HTTPFAULT_STATUS;
    size_t at = t->faulty ? t->fault.at : 0;
    bool keep = true;
    if (how == HTTPFAULT_LONGER)
        announced += at;
    if (how == HTTPFAULT_SHORTER)
        announced -= at < announced ? at : announced;
    if ((how == HTTPFAULT_CUT || how == HTTPFAULT_STALL) && at < sent)
        sent = at;
    if (how == HTTPFAULT_CUT || how == HTTPFAULT_LONGER || how == HTTPFAULT_SHORTER)
        keep = false;
    if (how == HTTPFAULT_FLIP && at < sent)
        body->data[at] ^= 0x20;
    DR_CLEANUP(buf_fini) struct buf head = { 0 };
    make_head(t, kind, announced, &head);
    bool silent = how == HTTPFAULT_STALL && at == 0;
    t->entry.status = silent ? 0 : t->reply.status;
    t->entry.out = silent ? 0 : sent;
    note(t->c->h, t);
    if (!silent && (!send_all(t->c, head.data, head.len) ||
                    !send_all(t->c, body->data != NULL ? body->data : "", sent)))
        return false;
    if (how == HTTPFAULT_STALL) {
        stall(t->c, round);
        make_reset(t->c);
        return false;
    }
    return keep;
}

/* Without a reply; false: there is one to send. */
static bool end_without_reply(const struct turn *t)
{
    bool garbage = t->faulty && t->fault.how == HTTPFAULT_GARBAGE;
    bool reset = t->faulty && (t->fault.how == HTTPFAULT_RESET || t->fault.how == HTTPFAULT_LOST);
    if (garbage || reset)
        note(t->c->h, t);
    if (garbage)
        (void)send_all(t->c, "neither HTTP nor anything\r\n\r\n", 29); /* the end is as good */
    if (reset)
        make_reset(t->c);
    return garbage || reset;
}

/* One request and its answer; true: the connection goes on. */
static bool serve(struct connection *c)
{
    struct httpfault *h = c->h;
    struct httpfault_kind kind;
    struct turn t = { .c = c, .head = read_head(c), .entry.connection = c->number };
    bool keep = t.head != NULL && parse_head(&t) && read_body(&t);
    if (keep) {
        DR_FREE char *path = whole_path(&t);
        pthread_mutex_lock(&h->lock);
        unsigned round = h->stall_round;
        pthread_mutex_unlock(&h->lock);
        begin_turn(h, &t, &kind);
        answer_it(&t, &kind, path);
        keep = !end_without_reply(&t) && send_reply(&t, &kind, round);
        end_turn(h);
    }
    buf_fini(&t.request.body);
    s3_reply_fini(&t.reply);
    free(t.head);
    return keep;
}

/* -- connections ----------------------------------------------------------------------------- */

/* Caller holds the lock. */
static void keep_socket(struct httpfault *h, int old, int new)
{
    size_t i = 0;
    while (i < CONNECTIONS_MAX && h->sockets[i] != old)
        i++;
    DR_ASSERT(i < CONNECTIONS_MAX);
    h->sockets[i] = new;
}

static void *run_connection(void *arg)
{
    struct connection *c = arg;
    struct httpfault *h = c->h;
    wake(h);
    while (serve(c)) {
    }
    pthread_mutex_lock(&h->lock);
    keep_socket(h, c->fd, 0);
    close(c->fd);
    buf_fini(&c->in);
    free(c);
    h->living--;
    h->awake--;
    pthread_cond_signal(&h->gone);
    pthread_cond_broadcast(&h->quiet);
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

/* Caller holds the lock. */
static void take_connection(struct httpfault *h)
{
    pthread_t thread;
    int fd = accept4(h->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    const int on = 1; /* head and body are two writes: the second must not wait for an answer */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* else it is slow */
    struct connection *c = dr_alloc(1, sizeof(*c));
    *c = (struct connection){ .h = h, .fd = fd, .number = ++h->connections };
    h->living++;
    keep_socket(h, 0, fd);
    DR_ASSERT(pthread_create(&thread, NULL, run_connection, c) == 0);
    DR_ASSERT(pthread_detach(thread) == 0);
}

static void *run_acceptor(void *arg)
{
    struct httpfault *h = arg;
    struct pollfd p = { .fd = h->fd, .events = POLLIN };
    while (!is_stopping(h)) {
        if (poll(&p, 1, STEP_MS) <= 0)
            continue;
        pthread_mutex_lock(&h->lock);
        take_connection(h);
        pthread_mutex_unlock(&h->lock);
    }
    return NULL;
}

static struct httpfault *running; /* one at a time, for fork() */

static void before_fork(void)
{
    if (running == NULL)
        return;
    pthread_mutex_lock(&running->lock);
    running->forking = true;
    while (running->awake > 0)
        pthread_cond_wait(&running->quiet, &running->lock);
}

static void after_fork(void)
{
    if (running == NULL)
        return;
    running->forking = false;
    pthread_cond_broadcast(&running->quiet);
    pthread_mutex_unlock(&running->lock);
}

static void in_child(void)
{
    for (size_t i = 0; running != NULL && i < CONNECTIONS_MAX; i++) {
        if (running->sockets[i] != 0)
            close(running->sockets[i]);
    }
    if (running == NULL)
        return;
    close(running->fd);
    running->forking = false; /* nobody waits here: those threads are the parent's */
    pthread_mutex_unlock(&running->lock);
}

struct httpfault *httpfault_start(void)
{
    static bool told;
    struct httpfault *h = dr_alloc(1, sizeof(*h));
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(in);
    h->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (h->fd < 0 || bind(h->fd, (struct sockaddr *)&in, len) != 0 || listen(h->fd, 64) != 0 ||
        getsockname(h->fd, (struct sockaddr *)&in, &len) != 0) {
        perror("httpfault");
        abort();
    }
    snprintf(h->url, sizeof(h->url), "http://127.0.0.1:%d", ntohs(in.sin_port));
    snprintf(h->virtual_url, sizeof(h->virtual_url), "http://s3.localhost:%d", ntohs(in.sin_port));
    DR_ASSERT(pthread_mutex_init(&h->lock, NULL) == 0);
    DR_ASSERT(pthread_cond_init(&h->gone, NULL) == 0);
    DR_ASSERT(pthread_cond_init(&h->quiet, NULL) == 0);
    DR_ASSERT(told || pthread_atfork(before_fork, after_fork, in_child) == 0);
    told = true;
    DR_ASSERT(running == NULL);
    running = h;
    DR_ASSERT(pthread_create(&h->acceptor, NULL, run_acceptor, h) == 0);
    return h;
}

void httpfault_stop(struct httpfault *h)
{
    if (h == NULL)
        return;
    pthread_mutex_lock(&h->lock);
    h->stopping = true;
    pthread_mutex_unlock(&h->lock);
    DR_ASSERT(pthread_join(h->acceptor, NULL) == 0);
    pthread_mutex_lock(&h->lock);
    while (h->living > 0)
        pthread_cond_wait(&h->gone, &h->lock);
    pthread_mutex_unlock(&h->lock);
    running = NULL;
    close(h->fd);
    for (size_t i = 0; i < h->bucket_count; i++)
        memory_free(h->buckets[i].memory);
    pthread_mutex_destroy(&h->lock);
    pthread_cond_destroy(&h->gone);
    pthread_cond_destroy(&h->quiet);
    free(h->log);
    free(h);
}

const char *httpfault_url(const struct httpfault *h)
{
    return h->url;
}

const char *httpfault_virtual_url(const struct httpfault *h)
{
    return h->virtual_url;
}
