/*
 * haproxy.c - send a backend's traffic to one region, by HAProxy's runtime API.
 *
 * One server line per site, named as its region; the switch sets states only (the target "ready",
 * all others "maint"), never addresses: HAProxy's state file restores a changed port without its
 * changed address. The target is opened before the others are closed, so that no moment is without
 * a server. The API takes one command a connection and reports failure by text only; so
 * each command must answer with nothing, and the states are read back.
 *
 * "show servers state" is "be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state ...";
 * of the admin state only forced maintenance (0x1) and forced drain (0x8) are ours to set: others say
 * what the configuration file wished.
 *
 * Honours the epoch: guarded (read, write, read back).
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/config/rights.h"
#include "plugins/providers.h"
#include "plugins/stage.h"

enum {
    ANSWER_MAX = 1 << 20,
    SERVERS_MAX = 256,
    NAME_MAX_BYTES = 64,
    ADMIN_MAINT = 0x1,
    ADMIN_DRAIN = 0x8,
    ADMIN_OURS = ADMIN_MAINT | ADMIN_DRAIN,
    OP_STOPPED = 0,
};

struct member { /* one server line */
    char name[NAME_MAX_BYTES];
    int op;    /* 0 stopped, 1 starting, 2 running, 3 stopping */
    int admin; /* masked */
};

struct pool { /* one backend */
    const char *socket, *backend;
    char *target; /* owned */
    struct member members[SERVERS_MAX];
    size_t count;
};

/* Names stand inside a command: what HAProxy allows in them, and nothing else. */
static bool good_name(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && len < NAME_MAX_BYTES &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:-") ==
               len;
}

static enum dr_rc command(struct stage *p, const struct pool *pool, const char *line,
                          struct buf *answer, struct dr_err *err)
{
    DR_CLEANUP(dr_close_fd) int fd = -1;
    DR_FREE char *text = dr_strf("%s\n", line);
    int64_t deadline_ms = step_deadline_ms(p->call);
    DR_TRY(gate_connect(p->gate, pool->socket, deadline_ms, &fd, err));
    if (gate_ask(fd, text, ANSWER_MAX, deadline_ms, answer, err) != DR_OK)
        return dr_context(err, "haproxy at '%s'", pool->socket);
    buf_adds(answer, "");
    while (answer->len > 0 && answer->data[answer->len - 1] == '\n')
        answer->data[--answer->len] = '\0';
    return DR_OK;
}

static enum dr_rc parse_line(struct pool *pool, const char *line, struct dr_err *err)
{
    char backend[128], name[128];
    int op = 0, admin = 0;
    if (line[0] == '#' || strchr(line, ' ') == NULL)
        return DR_OK; /* the version, the names of the columns */
    if (sscanf(line, "%*d %127s %*d %127s %*s %d %d", backend, name, &op, &admin) != 4 || // NOLINT
        strlen(name) >= NAME_MAX_BYTES)
        return dr_fail(err, DR_E_CORRUPT, "haproxy at '%s' answers '%.80s'", pool->socket, line);
    if (strcmp(backend, pool->backend) != 0)
        return DR_OK;
    if (pool->count == SERVERS_MAX)
        return dr_fail(err, DR_E_CORRUPT, "backend '%s' has more than %d servers", pool->backend,
                       SERVERS_MAX);
    struct member *m = &pool->members[pool->count++];
    memcpy(m->name, name, strlen(name) + 1);
    m->op = op;
    m->admin = admin & ADMIN_OURS;
    return DR_OK;
}

/* The states as they are now. */
static enum dr_rc read_pool(struct stage *p, struct pool *pool, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf answer = { 0 };
    DR_FREE char *line = dr_strf("show servers state %s", pool->backend);
    DR_TRY(command(p, pool, line, &answer, err));
    pool->count = 0;
    if (!answer.data || answer.data[0] < '0' || answer.data[0] > '9')
        return dr_fail(err, DR_E_NOTFOUND, "haproxy at '%s': backend '%s': %s", pool->socket,
                       pool->backend, answer.data ? answer.data : "no answer");
    char *save = NULL;
    for (char *l = strtok_r(answer.data, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
        DR_TRY(parse_line(pool, l, err));
    if (pool->count == 0)
        return dr_fail(err, DR_E_NOTFOUND, "haproxy at '%s': backend '%s' has no servers",
                       pool->socket, pool->backend);
    return DR_OK;
}

static struct member *find(struct pool *pool, const char *name)
{
    for (size_t i = 0; i < pool->count; i++)
        if (strcmp(pool->members[i].name, name) == 0)
            return &pool->members[i];
    return NULL;
}

/* The server line of the argument 'to': of that name, else of that site's region. */
static enum dr_rc find_target(struct stage *p, struct pool *pool, const char *to,
                              struct dr_err *err)
{
    const struct config_site *site = p->config ? config_site(p->config, to) : NULL;
    const char *names[] = { to, site ? site->region : NULL, site ? site->name : NULL };
    for (size_t i = 0; i < DR_ARRAY_LEN(names); i++) {
        if (names[i] && find(pool, names[i])) {
            pool->target = dr_strdup(names[i]);
            return DR_OK;
        }
    }
    struct text_list have = { 0 };
    for (size_t i = 0; i < pool->count; i++)
        text_list_add(&have, pool->members[i].name);
    DR_FREE char *list = text_list_join(&have, ", ");
    text_list_fini(&have);
    return dr_fail(err, DR_E_NOTFOUND, "backend '%s' has no server '%s': it has %s", pool->backend,
                   to, list);
}

/* Finer ways to move traffic, which the language knows. */
static bool asks_for_more(const struct step_call *call)
{
    const json_t *with = step_with(call);
    return json_object_get(with, "share") || json_object_get(with, "server") ||
           json_object_get(with, "drain");
}

static enum dr_rc open_pool(struct stage *p, struct pool *pool, struct dr_err *err)
{
    const char *fallback = p->config ? config_haproxy_rights(p->config) : NULL;
    pool->socket = step_text(p->call, "socket", fallback);
    pool->backend = step_text(p->call, "backend", "");
    const char *to = step_text(p->call, "to", NULL);
    if (!pool->socket)
        return dr_fail(err, DR_E_CONFIG, "where is HAProxy? providers.haproxy.socket is not set");
    if (!to || asks_for_more(p->call))
        return dr_fail(err, DR_E_CONFIG,
                       "this drctl switches a backend wholly and at once, with 'to': 'share', "
                       "'server' and 'drain' are not built in");
    if (!good_name(pool->backend) || !good_name(to))
        return dr_fail(err, DR_E_CONFIG, "'%s' or '%s' is no name of HAProxy", pool->backend, to);
    const struct config_site *site = p->config ? config_site(p->config, to) : NULL;
    if (step_is_dark(p->call, to) || (site && step_is_dark(p->call, site->region)))
        return dr_fail(err, DR_E_REFUSED, "refused: %s is dark", site ? site->region : to);
    DR_TRY(read_pool(p, pool, err));
    return find_target(p, pool, to, err);
}

/* Is the target ready and every other in maintenance? */
static bool is_switched(const struct pool *pool)
{
    for (size_t i = 0; i < pool->count; i++) {
        const struct member *m = &pool->members[i];
        int want = strcmp(m->name, pool->target) == 0 ? 0 : ADMIN_MAINT;
        if (m->admin != want)
            return false;
    }
    return true;
}

static const char *state_name(int admin)
{
    return admin & ADMIN_MAINT ? "maint" : admin & ADMIN_DRAIN ? "drain" : "ready";
}

/* "eu-west-1 ready, us-east-1 maint". The caller frees. */
static char *tell_states(const struct pool *pool)
{
    struct buf b = { 0 };
    for (size_t i = 0; i < pool->count; i++)
        buf_addf(&b, "%s%s %s", i ? ", " : "", pool->members[i].name,
                 state_name(pool->members[i].admin));
    return buf_take(&b);
}

static enum dr_rc set_state(struct stage *p, const struct pool *pool, const char *name, int admin,
                            struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf answer = { 0 };
    DR_FREE char *line =
        dr_strf("set server %s/%s state %s", pool->backend, name, state_name(admin));
    DR_TRY(command(p, pool, line, &answer, err));
    if (answer.len > 0)
        return dr_fail(err, DR_E_DENIED, "haproxy refused '%s': %s", line, answer.data);
    return DR_OK;
}

/* Told once a round: what an earlier attempt kept is older, and is what an undo wants. */
static void keep_former(struct stage *p, const struct pool *pool)
{
    if (json_object_get(step_former(p->call), "servers"))
        return;
    json_t *servers = json_object();
    for (size_t i = 0; i < pool->count; i++)
        json_put_text(servers, pool->members[i].name, state_name(pool->members[i].admin));
    json_t *former = json_object();
    json_put_text(former, "backend", pool->backend);
    json_put_text(former, "socket", pool->socket);
    json_put(former, "servers", servers);
    step_keep(p->call, former);
}

static void put_evidence(struct stage *p, const struct pool *pool)
{
    json_t *servers = json_object();
    for (size_t i = 0; i < pool->count; i++)
        json_put_text(servers, pool->members[i].name, state_name(pool->members[i].admin));
    json_put(p->evidence, "servers", servers);
    json_put_text(p->evidence, "honours", "guarded");
}

static void farm_fini(struct pool *pool)
{
    free(pool->target);
}

static enum step_verdict haproxy_check(struct step_call *call)
{
    DR_CLEANUP(stage_fini) struct stage p = { 0 };
    struct dr_err err = { 0 };
    DR_CLEANUP(farm_fini) struct pool pool = { 0 };
    if (stage_init(&p, call, &err) != DR_OK || open_pool(&p, &pool, &err) != DR_OK)
        return err.rc == DR_E_NOTFOUND ? stage_cannot(&p, &err) : stage_cannot_tell(&p, &err);
    put_evidence(&p, &pool);
    DR_FREE char *states = tell_states(&pool);
    if (is_switched(&pool))
        return stage_says(&p, STEP_PASS, "backend %s: %s", pool.backend, states);
    keep_former(&p, &pool);
    return stage_says(&p, STEP_FAIL, "backend %s: %s", pool.backend, states);
}

/* Set what differs, in two rounds: first what shall be open, then what shall be closed. */
static enum dr_rc switch_over(struct stage *p, const struct pool *pool, struct dr_err *err)
{
    for (int closing = 0; closing < 2; closing++) {
        for (size_t i = 0; i < pool->count; i++) {
            const struct member *m = &pool->members[i];
            int want = strcmp(m->name, pool->target) == 0 ? 0 : ADMIN_MAINT;
            if ((want != 0) == (closing != 0) && m->admin != want)
                DR_TRY(set_state(p, pool, m->name, want, err));
        }
    }
    return DR_OK;
}

static enum step_verdict haproxy_apply(struct step_call *call)
{
    DR_CLEANUP(stage_fini) struct stage p = { 0 };
    struct dr_err err = { 0 };
    DR_CLEANUP(farm_fini) struct pool pool = { 0 };
    if (stage_init(&p, call, &err) != DR_OK || open_pool(&p, &pool, &err) != DR_OK) {
        /* Only looked so far: whatever it was, nothing has been done. */
        return stage_says(&p, STEP_FAIL, "%s", err.msg);
    }
    keep_former(&p, &pool);
    if (switch_over(&p, &pool, &err) != DR_OK || read_pool(&p, &pool, &err) != DR_OK)
        return stage_says(&p, STEP_UNKNOWN, "%s", err.msg);
    put_evidence(&p, &pool);
    DR_FREE char *states = tell_states(&pool);
    if (!is_switched(&pool))
        return stage_says(&p, STEP_UNKNOWN, "read back, backend %s is not as it was set: %s",
                          pool.backend, states);
    const struct member *target = find(&pool, pool.target);
    if (target && target->op == OP_STOPPED)
        step_log(call, "HAProxy still finds %s down", pool.target);
    return stage_says(&p, STEP_PASS, "backend %s: %s", pool.backend, states);
}

static int admin_of(const char *state)
{
    return strcmp(state, "maint") == 0   ? ADMIN_MAINT
           : strcmp(state, "drain") == 0 ? ADMIN_DRAIN
                                         : 0;
}

/* Former states, opened before others are closed; a server that is gone is an error. */
static enum dr_rc restore_states(struct stage *p, struct pool *pool, json_t *servers,
                                 struct dr_err *err)
{
    const char *name;
    json_t *state;
    for (int closing = 0; closing < 2; closing++) {
        json_object_foreach(servers, name, state)
        {
            const struct member *m = find(pool, name);
            if (!m || !good_name(name) || !json_is_string(state))
                return dr_fail(err, DR_E_NOTFOUND, "backend '%s' has no server '%s' any more",
                               pool->backend, name);
            int want = admin_of(json_string_value(state));
            if ((want != 0) == (closing != 0) && m->admin != want)
                DR_TRY(set_state(p, pool, name, want, err));
        }
    }
    return DR_OK;
}

static bool is_as_before(struct pool *pool, json_t *servers)
{
    const char *name;
    json_t *state;
    json_object_foreach(servers, name, state)
    {
        const struct member *m = find(pool, name);
        if (!m || m->admin != admin_of(json_string_value(state)))
            return false;
    }
    return true;
}

static enum step_verdict haproxy_undo(struct step_call *call)
{
    DR_CLEANUP(stage_fini) struct stage p = { 0 };
    struct dr_err err = { 0 };
    json_t *servers = json_object_get(step_former(call), "servers");
    if (stage_init(&p, call, &err) != DR_OK)
        return stage_cannot(&p, &err);
    if (json_object_size(servers) == 0)
        return stage_says(&p, STEP_PASS, "nothing was changed");
    struct pool pool = {
        .socket = json_string_value(json_object_get(step_former(call), "socket")),
        .backend = json_string_value(json_object_get(step_former(call), "backend")),
    };
    if (!pool.socket || !pool.backend || !good_name(pool.backend))
        return stage_says(&p, STEP_FAIL, "the former states name no backend");
    if (read_pool(&p, &pool, &err) != DR_OK)
        return stage_says(&p, STEP_FAIL, "%s", err.msg);
    if (restore_states(&p, &pool, servers, &err) != DR_OK || read_pool(&p, &pool, &err) != DR_OK)
        return stage_says(&p, err.rc == DR_E_NOTFOUND ? STEP_FAIL : STEP_UNKNOWN, "%s", err.msg);
    put_evidence(&p, &pool);
    DR_FREE char *states = tell_states(&pool);
    if (!is_as_before(&pool, servers))
        return stage_says(&p, STEP_UNKNOWN, "read back, backend %s is not as before: %s",
                          pool.backend, states);
    return stage_says(&p, STEP_PASS, "backend %s as before: %s", pool.backend, states);
}

const struct provider provider_haproxy = {
    .type = "haproxy", .check = haproxy_check, .apply = haproxy_apply, .undo = haproxy_undo
};
