/*
 * resolve.c - one question to one name server, by libresolv.
 *
 * The resolver state is our own and lives for one question (res_ninit ... res_nclose), so
 * nothing is shared and no file of the system decides when a server is given. libresolv waits in
 * whole seconds and tries several times: both are derived from the deadline.
 */
#include "dr/net/resolve.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "dr/base/clock.h"
#include "dr/base/mem.h"

enum { ANSWER_MAX = 65535, VALUES_MAX = 1000, TRIES_MAX = 4 };

static const struct {
    const char *name;
    ns_type type;
} known_types[] = {
    { "A", ns_t_a },   { "AAAA", ns_t_aaaa }, { "CNAME", ns_t_cname },
    { "NS", ns_t_ns }, { "TXT", ns_t_txt },
};

static int type_of(const char *name)
{
    for (size_t i = 0; i < DR_ARRAY_LEN(known_types); i++)
        if (strcasecmp(known_types[i].name, name) == 0)
            return (int)known_types[i].type;
    return -1;
}

bool resolve_knows_type(const char *type)
{
    return type_of(type) >= 0;
}

void resolve_answer_fini(struct resolve_answer *a)
{
    text_list_fini(&a->values);
}

static void state_close(struct __res_state *state)
{
    res_nclose(state);
}

/* Only this server. libresolv frees the copy of an IPv6 address in res_nclose(). */
static void use_server(struct __res_state *state, const struct net_addr *addr)
{
    state->nscount = 1;
    if (addr->sa.ss_family == AF_INET) {
        memcpy(&state->nsaddr_list[0], &addr->sa, sizeof(struct sockaddr_in));
        return;
    }
    struct sockaddr_in6 *copy = dr_alloc(1, sizeof(*copy));
    memcpy(copy, &addr->sa, sizeof(*copy));
    state->nsaddr_list[0].sin_family = 0;
    free(state->_u._ext.nsaddrs[0]);
    state->_u._ext.nsaddrs[0] = copy;
}

/* The servers of the system pass the gate as well. The first one is named in messages. */
static enum dr_rc pass_servers(struct __res_state *state, struct gate *g,
                               char text[NET_ADDR_TEXT_MAX], struct dr_err *err)
{
    for (int i = 0; i < state->nscount; i++) {
        const struct sockaddr *sa = (const struct sockaddr *)&state->nsaddr_list[i];
        if (state->nsaddr_list[i].sin_family == 0)
            sa = (const struct sockaddr *)state->_u._ext.nsaddrs[i];
        if (!sa)
            continue;
        DR_TRY(gate_pass(g, sa, err));
        if (i == 0)
            net_addr_print(sa, text);
    }
    return DR_OK;
}

static enum dr_rc set_up(struct __res_state *state, const struct resolve_options *options,
                         char text[NET_ADDR_TEXT_MAX], struct dr_err *err)
{
    if (options->server) {
        struct net_addr addr;
        if (!net_addr_parse(options->server, NS_DEFAULTPORT, &addr) || addr.sa.ss_family == AF_UNIX)
            return dr_fail(err, DR_E_CONFIG, "name server '%s' is not ADDRESS:PORT",
                           options->server);
        use_server(state, &addr);
    }
    DR_TRY(pass_servers(state, options->gate, text, err));
    int64_t left_ms = options->deadline_ms - clock_boot_ms();
    if (left_ms <= 0)
        return dr_fail(err, DR_E_TIMEOUT, "no time left to ask name server %s", text);
    int64_t tries = left_ms / 2000 / (state->nscount > 0 ? state->nscount : 1);
    state->retry = tries < 1 ? 1 : tries > TRIES_MAX ? TRIES_MAX : (int)tries;
    int64_t wait_s = left_ms / 1000 / state->retry / (state->nscount > 0 ? state->nscount : 1);
    state->retrans = wait_s < 1 ? 1 : wait_s > 5 ? 5 : (int)wait_s;
    return DR_OK;
}

static enum dr_rc no_answer(const struct __res_state *state, const char *name, const char *type,
                            const char *server, struct dr_err *err)
{
    int why = errno;
    switch (state->res_h_errno) {
    case HOST_NOT_FOUND:
        return dr_fail(err, DR_E_NOTFOUND, "name server %s: there is no name '%s'", server, name);
    case NO_DATA:
        return dr_fail(err, DR_E_NOTFOUND, "name server %s: '%s' has no %s record", server, name,
                       type);
    case NO_RECOVERY:
        return dr_fail(err, DR_E_TRANSIENT, "name server %s refused to answer for '%s'", server,
                       name);
    default:
        if (why == ECONNREFUSED || why == ETIMEDOUT)
            return dr_fail(err, DR_E_TRANSIENT, "name server %s does not answer: %s", server,
                           strerrordesc_np(why));
        return dr_fail(err, DR_E_TRANSIENT, "name server %s gives no answer for '%s'", server,
                       name);
    }
}

/* One record's data as text; false when it is not what its type says. */
static bool record_text(const ns_msg *msg, const ns_rr *rr, char *out, size_t size)
{
    char host[NS_MAXDNAME];
    switch ((int)ns_rr_type(*rr)) {
    case ns_t_a: {
        struct sockaddr_in in = { .sin_family = AF_INET };
        if (ns_rr_rdlen(*rr) != sizeof(in.sin_addr))
            return false;
        memcpy(&in.sin_addr, ns_rr_rdata(*rr), sizeof(in.sin_addr));
        return getnameinfo((struct sockaddr *)&in, sizeof(in), out, (socklen_t)size, NULL, 0,
                           NI_NUMERICHOST) == 0;
    }
    case ns_t_aaaa: {
        struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
        if (ns_rr_rdlen(*rr) != sizeof(in6.sin6_addr))
            return false;
        memcpy(&in6.sin6_addr, ns_rr_rdata(*rr), sizeof(in6.sin6_addr));
        return getnameinfo((struct sockaddr *)&in6, sizeof(in6), out, (socklen_t)size, NULL, 0,
                           NI_NUMERICHOST) == 0;
    }
    case ns_t_cname:
    case ns_t_ns:
        if (ns_name_uncompress(ns_msg_base(*msg), ns_msg_end(*msg), ns_rr_rdata(*rr), host,
                               sizeof(host)) < 0)
            return false;
        return (size_t)snprintf(out, size, "%s.", host) < size;
    case ns_t_txt: { /* the first string of the record is enough for marks and sentinels */
        size_t len = ns_rr_rdlen(*rr) ? ns_rr_rdata(*rr)[0] : 0;
        if (ns_rr_rdlen(*rr) < len + 1 || len >= size)
            return false;
        memcpy(out, ns_rr_rdata(*rr) + 1, len);
        out[len] = '\0';
        return true;
    }
    default:
        return false;
    }
}

static enum dr_rc read_answer(const unsigned char *bytes, int len, int type,
                              struct resolve_answer *ret, struct dr_err *err)
{
    ns_msg msg;
    if (ns_initparse(bytes, len, &msg) != 0)
        return dr_fail(err, DR_E_CORRUPT, "the answer is not a DNS message");
    int count = ns_msg_count(msg, ns_s_an);
    for (int i = 0; i < count && i < VALUES_MAX; i++) {
        ns_rr rr;
        char text[NS_MAXDNAME + 2];
        if (ns_parserr(&msg, ns_s_an, i, &rr) != 0)
            return dr_fail(err, DR_E_CORRUPT, "record %d of the answer is damaged", i + 1);
        if ((int64_t)ns_rr_ttl(rr) > ret->ttl_s)
            ret->ttl_s = ns_rr_ttl(rr);
        if ((int)ns_rr_type(rr) != type)
            continue;
        if (!record_text(&msg, &rr, text, sizeof(text)))
            return dr_fail(err, DR_E_CORRUPT, "record %d of the answer is damaged", i + 1);
        text_list_add(&ret->values, text);
    }
    text_list_sort(&ret->values);
    return DR_OK;
}

enum dr_rc resolve_query(const char *name, const char *type, const struct resolve_options *options,
                         struct resolve_answer *ret, struct dr_err *err)
{
    int want = type_of(type);
    if (want < 0)
        return dr_fail(err, DR_E_CONFIG, "record type '%s' is not known here", type);
    DR_CLEANUP(state_close) struct __res_state state = { 0 };
    if (res_ninit(&state) != 0)
        return dr_fail(err, DR_E_NOMEM, "cannot set up the resolver");
    char server[NET_ADDR_TEXT_MAX] = "of the system";
    DR_TRY(set_up(&state, options, server, err));

    DR_FREE unsigned char *bytes = dr_alloc(1, ANSWER_MAX);
    errno = 0;
    int len = res_nquery(&state, name, ns_c_in, want, bytes, ANSWER_MAX);
    if (len < 0)
        return no_answer(&state, name, type, server, err);
    struct resolve_answer answer = { .ttl_s = -1 };
    if (read_answer(bytes, len < ANSWER_MAX ? len : ANSWER_MAX, want, &answer, err) != DR_OK) {
        resolve_answer_fini(&answer);
        return dr_context(err, "name server %s, '%s'", server, name);
    }
    if (answer.values.count == 0) {
        resolve_answer_fini(&answer);
        return dr_fail(err, DR_E_NOTFOUND, "name server %s: '%s' has no %s record", server, name,
                       type);
    }
    *ret = answer;
    return DR_OK;
}
