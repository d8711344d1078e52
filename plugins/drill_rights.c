/*
 * drill_rights.c - drill.rights: can what a drill reads by write? It is tried, not believed.
 *
 *     bucket     what is in it is read, then one small object is put under a name that nothing else reads
 *     haproxy    "show servers state", then a "set server" of names that no server can have
 *     powerdns   the server is asked for, then a PATCH of nothing in a zone below "invalid.", which no server has
 *
 * Reading comes first: a key that is wrong is refused for another reason, and proves nothing. Then the server checks
 * the right before it looks for what is meant, so the two questions to servers have no effect whatever the
 * answer is. The object of a bucket has one when it is accepted; so it stands in the drill's manifest before
 * (dr/drill/drill_rights.c), nothing is put that is not announced there, and the undo takes it away: by the
 * drill's own right, else by the usual one, else by the guard's.
 *
 * An answer is "refused", "accepted", "not tried" (and why), or "unknown": it was tried, and nobody can tell.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "backup/format/names.h"
#include "backup/store/bucket.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/config/rights.h"
#include "dr/net/http.h"
#include "plugins/providers.h"
#include "plugins/stage.h"

enum { REPOSITORY_MAX = 1 << 20, ANSWER_MAX = 1 << 20 };

static const char refused[] = "refused", accepted[] = "accepted", not_tried[] = "not tried",
                  unknown[] = "unknown";

/* One thing that is read by some right, as it goes out. */
struct item {
    const char *what, *name, *store; /* store: of a bucket "file" "s3" "exec"; else NULL */
    bool own;
    const char *writes;
    char why[DR_ERR_MSG_MAX];
};

static void add_item(json_t *list, const struct item *i)
{
    json_t *o = json_object();
    json_put_text(o, "what", i->what);
    json_put(o, "name", json_printable(i->name));
    if (i->store != NULL)
        json_put_text(o, "store", i->store);
    json_put(o, "own", json_boolean(i->own));
    json_put_text(o, "writes", i->writes);
    json_put(o, "why", json_printable(i->why));
    json_array_append_new(list, o);
}

DR_PRINTF(3, 4)
static void answer(struct item *i, const char *writes, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    i->writes = writes;
    (void)vsnprintf(i->why, sizeof(i->why), fmt, ap);
    va_end(ap);
}

/* What came of a try whose failure is in err. */
static void answer_of(struct item *i, const struct dr_err *err)
{
    if (err->rc == DR_E_DENIED)
        answer(i, refused, "%s", err->msg);
    else if (err->rc == DR_E_REFUSED) /* by us: it is dark */
        answer(i, not_tried, "%s", err->msg);
    else
        answer(i, unknown, "%s", err->msg);
}

/* -- buckets ----------------------------------------------------------------------------------- */

/* As it is, but that what is put is not locked: it has to go again. */
static enum dr_rc open_bucket(struct stage *p, const struct config_bucket *bucket, bool guard,
                              struct store **ret, struct dr_err *err)
{
    const struct bucket_access access = { .gate = p->gate, .guard = guard };
    struct config_bucket unlocked = *bucket;
    unlocked.lock = (struct config_lock){ 0 };
    return bucket_open(p->config, &unlocked, &access, ret, err);
}

static void put_object(struct stage *p, const struct config_bucket *bucket, const char *object,
                       struct item *i)
{
    DR_CLEANUP(store_close_ptr) struct store *s = NULL;
    DR_CLEANUP(buf_fini) struct buf repository = { 0 };
    struct dr_err err = { 0 };
    if (open_bucket(p, bucket, false, &s, &err) != DR_OK ||
        store_get_all(s, NAMES_REPOSITORY, REPOSITORY_MAX, &repository, &err) != DR_OK) {
        answer(i, unknown, "it cannot be read by them: %s", err.msg);
        return;
    }
    enum dr_rc rc = store_put(s, object, object, strlen(object), &err);
    if (rc == DR_OK || rc == DR_E_EXISTS) /* exists: ours, of a try whose answer was lost */
        answer(i, accepted, "object '%s' could be put", object);
    else
        answer_of(i, &err);
}

static bool is_announced(const struct stage *p, const char *bucket)
{
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    stage_list(p, "buckets", &names);
    return text_list_has(&names, bucket);
}

static void try_bucket(struct stage *p, const struct config_bucket *bucket, json_t *list)
{
    DR_FREE char *scheme = dr_memdup(bucket->url, strcspn(bucket->url, ":"));
    struct item i = { .what = "bucket", .name = bucket->name, .store = scheme };
    i.own = config_bucket_drills(bucket) && strcmp(scheme, "file") != 0;
    if (strcmp(scheme, "file") == 0)
        answer(&i, not_tried, "a directory has no credentials: the rights of the process hold");
    else if (!i.own)
        answer(&i, not_tried, "no credentials for drills are configured: the usual ones read");
    else if (step_is_dark(p->call, bucket->region))
        answer(&i, not_tried, "%s is dark", bucket->region);
    else if (!is_announced(p, bucket->name))
        answer(&i, not_tried, "the drill does not know of it: the configurations differ");
    else
        put_object(p, bucket, step_text(p->call, "object", ""), &i);
    add_item(list, &i);
}

/* -- HAProxy ----------------------------------------------------------------------------------- */

static enum dr_rc ask_haproxy(struct stage *p, const char *socket, const char *line,
                              struct buf *said, struct dr_err *err)
{
    DR_CLEANUP(dr_close_fd) int fd = -1;
    int64_t deadline_ms = step_deadline_ms(p->call);
    DR_TRY(gate_connect(p->gate, socket, deadline_ms, &fd, err));
    DR_TRY(gate_ask(fd, line, ANSWER_MAX, deadline_ms, said, err));
    buf_adds(said, "");
    while (said->len > 0 && said->data[said->len - 1] == '\n')
        said->data[--said->len] = '\0';
    return DR_OK;
}

static void try_socket(struct stage *p, struct item *i)
{
    DR_CLEANUP(buf_fini) struct buf states = { 0 };
    DR_CLEANUP(buf_fini) struct buf said = { 0 };
    struct dr_err err = { 0 };
    if (ask_haproxy(p, i->name, "show servers state\n", &states, &err) != DR_OK ||
        ask_haproxy(p, i->name, "set server ~/~ state ready\n", &said, &err) != DR_OK)
        answer(i, err.rc == DR_E_REFUSED ? not_tried : unknown, "%s", err.msg);
    else if (states.data[0] < '0' || states.data[0] > '9')
        answer(i, unknown, "it does not tell the states of its servers: %s", states.data);
    else if (strstr(said.data, "ermission denied") != NULL)
        answer(i, refused, "a command that sets a state is answered: %s", said.data);
    else
        answer(i, accepted, "a command that sets a state is let through: %.*s",
               (int)strcspn(said.data, "\n"), said.data);
}

static void try_haproxy(struct stage *p, json_t *list)
{
    const char *socket = config_haproxy_rights(p->config);
    struct item i = { .what = "haproxy", .name = socket };
    if (socket == NULL)
        return;
    i.own = p->config->providers.haproxy_drill_socket != NULL;
    if (i.own)
        try_socket(p, &i);
    else
        answer(&i, not_tried, "no socket for drills is configured: the usual one is read");
    add_item(list, &i);
}

/* -- PowerDNS ---------------------------------------------------------------------------------- */

static enum dr_rc call(struct stage *p, struct http_request *request, const char *key, int *ret,
                       struct dr_err *err)
{
    DR_CLEANUP(http_reply_fini) struct http_reply reply = { 0 };
    const char *headers[] = { key, "Content-Type: application/json", NULL };
    request->headers = headers;
    request->gate = p->gate;
    request->deadline_ms = step_deadline_ms(p->call);
    enum dr_rc rc = http_do(request, &reply, err);
    request->headers = NULL;
    *ret = reply.status;
    return rc;
}

static void try_key(struct stage *p, const char *key, struct item *i)
{
    static const char nothing[] = "{\"rrsets\":[]}";
    const char *server = p->config->providers.powerdns_server;
    size_t len = strlen(i->name);
    while (len > 0 && i->name[len - 1] == '/')
        len--;
    DR_FREE char *base = dr_strf("%.*s/api/v1/servers/%s", (int)len, i->name, server);
    DR_FREE char *zone = dr_strf("%s/zones/drctl-rehearsal.invalid.", base);
    struct http_request read = { .url = base };
    struct http_request write = {
        .method = "PATCH", .url = zone, .body = nothing, .body_len = strlen(nothing)
    };
    struct dr_err err = { 0 };
    int may = 0, can = 0;
    if (call(p, &read, key, &may, &err) != DR_OK || call(p, &write, key, &can, &err) != DR_OK)
        answer(i, err.rc == DR_E_REFUSED ? not_tried : unknown, "%s", err.msg);
    else if (may / 100 != 2)
        answer(i, unknown, "it cannot be read by the key: HTTP %d", may);
    else if (can == 401 || can == 403 || can == 405)
        answer(i, refused, "a change of a zone that does not exist is answered by HTTP %d", can);
    else if (can / 100 == 2 || can / 100 == 4)
        answer(i, accepted, "a change of a zone that does not exist is let through: HTTP %d", can);
    else
        answer(i, unknown, "a change of a zone that does not exist is answered by HTTP %d", can);
}

static void try_powerdns(struct stage *p, json_t *list)
{
    struct item i = { .what = "powerdns", .name = p->config->providers.powerdns_url };
    char *secret = NULL;
    struct dr_err err = { 0 };
    if (i.name == NULL)
        return;
    i.own = p->config->providers.powerdns_drill_key != NULL;
    if (!i.own)
        answer(&i, not_tried, "no key for drills is configured: the usual one reads");
    else if (config_secret(p->config, config_powerdns_rights(p->config), &secret, &err) != DR_OK)
        answer(&i, unknown, "%s", err.msg);
    if (secret != NULL) {
        char *key = dr_strf("X-API-Key: %s", secret);
        try_key(p, key, &i);
        explicit_bzero(key, strlen(key));
        explicit_bzero(secret, strlen(secret));
        free(key);
        free(secret);
    }
    add_item(list, &i);
}

/* -- the step ---------------------------------------------------------------------------------- */

static enum step_verdict rights(struct step_call *call)
{
    DR_CLEANUP(stage_fini) struct stage p = { 0 };
    const struct config_site *at = NULL;
    struct dr_err err = { 0 };
    if (stage_need_config(&p, call, &err) != DR_OK ||
        stage_at(&p, step_text(call, "at", NULL), &at, &err) != DR_OK)
        return stage_says(&p, STEP_FAIL, "%s", err.msg);
    if (!p.config->rehearsal)
        return stage_says(&p, STEP_FAIL, "refused: only a drill asks what its rights are");
    json_t *list = json_array();
    for (size_t i = 0; i < p.config->bucket_count; i++)
        try_bucket(&p, &p.config->buckets[i], list);
    try_haproxy(&p, list);
    try_powerdns(&p, list);
    size_t count = json_array_size(list);
    step_output(call, "items", list);
    return stage_says(&p, STEP_PASS, "by whose right a drill reads was looked at in %zu place%s",
                      count, count == 1 ? "" : "s");
}

/* DR_OK: it is not there (any more). */
static enum dr_rc remove_by(struct stage *p, const struct config_bucket *bucket, bool guard,
                            const char *object, struct dr_err *err)
{
    DR_CLEANUP(store_close_ptr) struct store *s = NULL;
    uint64_t size = 0;
    DR_TRY(open_bucket(p, bucket, guard, &s, err));
    enum dr_rc rc = store_head(s, object, &size, err);
    if (rc == DR_OK)
        rc = store_remove(s, object, err);
    return rc == DR_E_NOTFOUND ? DR_OK : rc;
}

static enum step_verdict take_away(struct step_call *call)
{
    DR_CLEANUP(stage_fini) struct stage p = { 0 };
    const struct config_site *at = NULL;
    struct dr_err err = { 0 };
    const char *object = step_text(call, "object", "");
    if (stage_need_config(&p, call, &err) != DR_OK ||
        stage_at(&p, step_text(call, "at", NULL), &at, &err) != DR_OK)
        return stage_says(&p, STEP_FAIL, "%s", err.msg);
    const struct config_bucket *bucket = config_bucket(p.config, step_text(call, "bucket", ""));
    if (bucket == NULL || !text_starts(object, "rehearsal-"))
        return stage_says(&p, STEP_FAIL, "'%s' is no object that a drill puts", object);
    enum dr_rc rc = remove_by(&p, bucket, false, object, &err);
    p.config->rehearsal =
        false; /* who may write at all was wrong, and who may delete has to mend it */
    if (rc != DR_OK)
        rc = remove_by(&p, bucket, false, object, &err);
    if (rc != DR_OK && bucket->guard.kind != NULL)
        rc = remove_by(&p, bucket, true, object, &err);
    if (rc != DR_OK)
        return stage_says(&p, STEP_FAIL, "%s", err.msg);
    return stage_says(&p, STEP_PASS, "'%s' is not in bucket '%s'", object, bucket->name);
}

const struct provider provider_drill_rights = { .type = "drill.rights",
                                                .apply = rights,
                                                .undo = take_away };
