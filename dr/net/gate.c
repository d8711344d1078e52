/*
 * gate.c - dark regions are refused here, before the first packet.
 *
 * The rules are few (the addresses of one or two regions), so a list is searched. Connecting is
 * non-blocking with poll() up to the deadline: a host that swallows packets costs what the
 * caller allowed, not what the kernel would wait.
 */
#include "dr/net/gate.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

enum { GATE_RULES_MAX = 1024 };

struct rule {
    char *region;
    char *text;           /* as it was given: a name is compared with this */
    bool numeric;         /* addr is valid */
    bool any_port;        /* no port was given */
    struct net_addr addr; /* of a numeric address */
};

struct gate {
    struct rule *rules;
    size_t count;
    atomic_uint refused; /* connects are made by several threads */
};

struct gate *gate_new(void)
{
    return dr_alloc(1, sizeof(struct gate));
}

void gate_free(struct gate *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->count; i++) {
        free(g->rules[i].region);
        free(g->rules[i].text);
    }
    free(g->rules);
    free(g);
}

void gate_dark(struct gate *g, const char *region, const char *address)
{
    DR_ASSERT(g->count < GATE_RULES_MAX);
    g->rules = dr_realloc(g->rules, g->count + 1, sizeof(*g->rules));
    struct rule *rule = &g->rules[g->count++];
    *rule = (struct rule){ .region = dr_strdup(region), .text = dr_strdup(address) };
    rule->numeric = net_addr_parse(address, 0, &rule->addr);
    rule->any_port = rule->numeric && net_addr_port((struct sockaddr *)&rule->addr.sa) == 0;
}

static enum dr_rc refuse(struct gate *g, const struct rule *rule, const char *what,
                         struct dr_err *err)
{
    g->refused++;
    return dr_fail(err, DR_E_REFUSED, "refused: %s is dark (%s)", rule->region, what);
}

enum dr_rc gate_pass(struct gate *g, const struct sockaddr *to, struct dr_err *err)
{
    for (size_t i = 0; g && i < g->count; i++) {
        const struct rule *rule = &g->rules[i];
        const struct sockaddr *dark = (const struct sockaddr *)&rule->addr.sa;
        if (!rule->numeric || !net_addr_same_host(dark, to))
            continue;
        if (rule->any_port || net_addr_port(dark) == net_addr_port(to)) {
            char text[NET_ADDR_TEXT_MAX];
            return refuse(g, rule, net_addr_print(to, text), err);
        }
    }
    return DR_OK;
}

/* DNS names: letters of either case, with or without the root's dot. */
static bool same_name(const char *a, const char *b)
{
    size_t len_a = strlen(a), len_b = strlen(b);
    len_a -= len_a > 0 && a[len_a - 1] == '.';
    len_b -= len_b > 0 && b[len_b - 1] == '.';
    return len_a == len_b && strncasecmp(a, b, len_a) == 0;
}

enum dr_rc gate_pass_name(struct gate *g, const char *host, struct dr_err *err)
{
    for (size_t i = 0; g && i < g->count; i++)
        if (!g->rules[i].numeric && same_name(g->rules[i].text, host))
            return refuse(g, &g->rules[i], host, err);
    return DR_OK;
}

unsigned gate_refused(const struct gate *g)
{
    return g ? g->refused : 0;
}

/* Wait until fd is ready for events; DR_E_TIMEOUT at the deadline. */
static enum dr_rc wait_ready(int fd, short events, int64_t deadline_ms, struct dr_err *err)
{
    for (;;) {
        int64_t left_ms = deadline_ms - clock_boot_ms();
        if (left_ms <= 0)
            return dr_fail(err, DR_E_TIMEOUT, "no answer in time");
        struct pollfd pfd = { .fd = fd, .events = events };
        int n = poll(&pfd, 1, left_ms > 60000 ? 60000 : (int)left_ms);
        if (n > 0)
            return DR_OK;
        if (n < 0 && errno != EINTR)
            return dr_fail_sys(err, errno, "cannot wait for a socket");
    }
}

static enum dr_rc connect_to(const struct net_addr *addr, int64_t deadline_ms, int *ret_fd,
                             struct dr_err *err)
{
    const struct sockaddr *sa = (const struct sockaddr *)&addr->sa;
    DR_CLEANUP(dr_close_fd)
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return dr_fail_sys(err, errno, "cannot make a socket");
    if (connect(fd, sa, addr->len) != 0) {
        if (errno != EINPROGRESS)
            return dr_fail(err, DR_E_TRANSIENT, "%s", strerrordesc_np(errno));
        DR_TRY(wait_ready(fd, POLLOUT, deadline_ms, err));
        int failed = 0;
        socklen_t len = sizeof(failed);
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &len) != 0)
            return dr_fail_sys(err, errno, "cannot ask a socket");
        if (failed)
            return dr_fail(err, DR_E_TRANSIENT, "%s", strerrordesc_np(failed));
    }
    *ret_fd = dr_take_fd(&fd);
    return DR_OK;
}

enum dr_rc gate_connect(struct gate *g, const char *address, int64_t deadline_ms, int *ret_fd,
                        struct dr_err *err)
{
    struct net_addr addr;
    if (!net_addr_parse(address, 0, &addr) ||
        (addr.sa.ss_family != AF_UNIX && net_addr_port((struct sockaddr *)&addr.sa) == 0))
        return dr_fail(err, DR_E_CONFIG, "'%s' is neither ADDRESS:PORT nor the path of a socket",
                       address);
    DR_TRY(gate_pass(g, (struct sockaddr *)&addr.sa, err));
    if (connect_to(&addr, deadline_ms, ret_fd, err) != DR_OK)
        return dr_context(err, "cannot connect to '%s'", address);
    return DR_OK;
}

static enum dr_rc send_all(int fd, const char *data, int64_t deadline_ms, struct dr_err *err)
{
    size_t len = strlen(data);
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            DR_TRY(wait_ready(fd, POLLOUT, deadline_ms, err));
        } else if (n < 0 && errno != EINTR) {
            return dr_fail(err, DR_E_TRANSIENT, "cannot send: %s", strerrordesc_np(errno));
        } else if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
    }
    return DR_OK;
}

enum dr_rc gate_ask(int fd, const char *question, size_t limit, int64_t deadline_ms,
                    struct buf *answer, struct dr_err *err)
{
    enum { PIECE = 16384 };
    DR_TRY(send_all(fd, question, deadline_ms, err));
    for (;;) {
        if (answer->len > limit)
            return dr_fail(err, DR_E_CORRUPT, "the answer is longer than %zu bytes", limit);
        ssize_t n = recv(fd, buf_reserve(answer, PIECE), PIECE - 1, 0);
        if (n == 0)
            return DR_OK;
        if (n > 0) {
            answer->len += (size_t)n;
            answer->data[answer->len] = '\0';
        } else if (errno == EAGAIN) {
            DR_TRY(wait_ready(fd, POLLIN, deadline_ms, err));
        } else if (errno != EINTR) {
            return dr_fail(err, DR_E_TRANSIENT, "cannot receive: %s", strerrordesc_np(errno));
        }
    }
}
