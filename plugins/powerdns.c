/*
 * powerdns.c - point a name to other addresses, by the HTTP API of PowerDNS.
 *
 * One rrset (name and type) is replaced by PATCH and read back. The API has no compare-and-set, so
 * the provider is guarded: it reads first, and when what stands there is neither the former
 * content (kept by the first look of this round) nor the wanted one, somebody else is at
 * work and nothing is written. The same holds for the undo, which puts the former rrset back, or
 * deletes the name when there was none.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/config/rights.h"
#include "dr/net/http.h"
#include "plugins/providers.h"
#include "plugins/stage.h"

struct rrset {
    bool exists;
    int64_t ttl_s;
    struct text_list values; /* of the enabled records, sorted */
    json_t *records;         /* as the API gave them, disabled ones too; or NULL */
};

struct target {
    char *url;  /* of the zone; owned */
    char *key;  /* "X-API-Key: ..."; owned, wiped */
    char *name; /* canonical, with the last dot; owned */
    char *zone; /* likewise */
    const char *type;
    struct rrset want, now;
};

static void rrset_fini(struct rrset *r)
{
    text_list_fini(&r->values);
    json_decref(r->records);
    *r = (struct rrset){ 0 };
}

static void target_fini(struct target *t)
{
    free(t->url);
    if (t->key)
        explicit_bzero(t->key, strlen(t->key));
    free(t->key);
    free(t->name);
    free(t->zone);
    rrset_fini(&t->want);
    rrset_fini(&t->now);
}

static bool same(const struct rrset *a, const struct rrset *b)
{
    if (a->exists != b->exists)
        return false;
    if (!a->exists)
        return true;
    if (a->ttl_s != b->ttl_s || a->values.count != b->values.count)
        return false;
    for (size_t i = 0; i < a->values.count; i++)
        if (strcmp(a->values.items[i], b->values.items[i]) != 0)
            return false;
    return true;
}

/* "127.0.0.1, TTL 60s" or "no record". The caller frees. */
static char *tell(const struct rrset *r)
{
    if (!r->exists)
        return dr_strdup("no record");
    DR_FREE char *values = text_list_join(&r->values, ", ");
    return dr_strf("%s, TTL %llds", values, (long long)r->ttl_s);
}

static char *canonical(const char *name)
{
    return text_ends(name, ".") ? dr_strdup(name) : dr_strf("%s.", name);
}

/* Letters, digits and the few signs of host names: the name goes into a URL. */
static bool good_name(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && len < 255 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-*") ==
               len;
}

static enum dr_rc read_key(struct stage *p, struct target *t, struct dr_err *err)
{
    const char *given = step_text(p->call, "key", NULL);
    if (given) {
        t->key = dr_strf("X-API-Key: %s", given);
        return DR_OK;
    }
    const char *name = p->config ? config_powerdns_rights(p->config) : NULL;
    if (!name)
        return dr_fail(err, DR_E_CONFIG, "providers.powerdns.key names no secret");
    char *secret = NULL;
    DR_TRY(config_secret(p->config, name, &secret, err));
    t->key = dr_strf("X-API-Key: %s", secret);
    explicit_bzero(secret, strlen(secret));
    free(secret);
    return DR_OK;
}

static enum dr_rc open_target(struct stage *p, struct target *t, struct dr_err *err)
{
    const char *url =
        step_text(p->call, "url", p->config ? p->config->providers.powerdns_url : NULL);
    const char *server = p->config ? p->config->providers.powerdns_server : NULL;
    const char *zone = step_text(p->call, "zone", ""), *name = step_text(p->call, "name", "");
    if (!url)
        return dr_fail(err, DR_E_CONFIG, "where is PowerDNS? providers.powerdns.url is not set");
    if (!good_name(zone) || !good_name(name))
        return dr_fail(err, DR_E_CONFIG, "'%s' or '%s' is no DNS name", zone, name);
    DR_TRY(read_key(p, t, err));
    t->zone = canonical(zone);
    t->name = canonical(name);
    t->type = step_text(p->call, "type", "A");
    if (!good_name(t->type))
        return dr_fail(err, DR_E_CONFIG, "'%s' is no record type", t->type);
    int len = (int)strlen(url);
    while (len > 0 && url[len - 1] == '/')
        len--;
    t->url = dr_strf("%.*s/api/v1/servers/%s/zones/%s", len, url, server ? server : "localhost",
                     t->zone);
    t->want.exists = true;
    t->want.ttl_s = step_int(p->call, "ttl", 60000) / 1000;
    stage_list(p, "to", &t->want.values);
    text_list_sort(&t->want.values);
    if (t->want.values.count == 0)
        return dr_fail(err, DR_E_CONFIG, "'to' is empty: a name needs at least one value");
    return DR_OK;
}

/* The API's own words out of {"error": "..."}. */
static enum dr_rc refused(const struct target *t, const struct http_reply *reply,
                          struct dr_err *err)
{
    struct dr_err ignored = { 0 };
    DR_JSON json_t *root = NULL;
    const char *words = NULL;
    if (reply->body.len > 0 &&
        json_read("answer", reply->body.data, reply->body.len, &root, &ignored) == DR_OK)
        words = json_string_value(json_object_get(root, "error"));
    if (reply->status == 401 || reply->status == 403)
        return dr_fail(err, DR_E_DENIED, "PowerDNS refuses the key (%s)", reply->line);
    return dr_fail(err, reply->status == 404 ? DR_E_NOTFOUND : DR_E_DENIED,
                   "PowerDNS, zone '%s': %s%s%s", t->zone, reply->line, words ? ": " : "",
                   words ? words : "");
}

/* One call of the API. ret_sent (may be NULL): whether the server may have seen it. */
static enum dr_rc call_api(struct stage *p, const struct target *t, struct http_request *request,
                           struct http_reply *reply, struct dr_err *err)
{
    const char *headers[] = { t->key, "Content-Type: application/json", NULL };
    request->headers = headers;
    request->gate = p->gate;
    request->deadline_ms = step_deadline_ms(p->call);
    enum dr_rc rc = http_do(request, reply, err);
    request->headers = NULL;
    if (rc != DR_OK)
        return dr_context(err, "PowerDNS");
    return reply->status / 100 == 2 ? DR_OK : refused(t, reply, err);
}

static void add_records(struct rrset *r, const json_t *records)
{
    for (size_t i = 0; i < json_array_size(records); i++) {
        const json_t *record = json_array_get(records, i);
        const char *content = json_string_value(json_object_get(record, "content"));
        if (content && !json_is_true(json_object_get(record, "disabled")))
            text_list_add(&r->values, content);
    }
}

/* One rrset object of the API (or of our own memory of it), in our words. */
static void rrset_from(struct rrset *r, const json_t *object)
{
    r->exists = true;
    r->ttl_s = json_integer_value(json_object_get(object, "ttl"));
    r->records = json_deep_copy(json_object_get(object, "records"));
    add_records(r, r->records);
    text_list_sort(&r->values);
}

static json_t *rrset_object(const struct target *t, const struct rrset *r)
{
    json_t *object = json_object();
    json_t *records = r->records ? json_deep_copy(r->records) : json_array();
    for (size_t i = 0; !r->records && i < r->values.count; i++) {
        json_t *record = json_object();
        json_put_text(record, "content", r->values.items[i]);
        json_put(record, "disabled", json_false());
        json_array_append_new(records, record);
    }
    json_put_text(object, "name", t->name);
    json_put_text(object, "type", t->type);
    json_put_text(object, "changetype", r->exists ? "REPLACE" : "DELETE");
    if (r->exists) {
        json_put_int(object, "ttl", r->ttl_s);
        json_put(object, "records", records);
    } else {
        json_decref(records);
    }
    return object;
}

/* t->now becomes what stands there. Older servers ignore the filter: we look ourselves. */
static enum dr_rc read_now(struct stage *p, struct target *t, struct dr_err *err)
{
    DR_FREE char *url = dr_strf("%s?rrset_name=%s&rrset_type=%s", t->url, t->name, t->type);
    struct http_request request = { .url = url };
    DR_CLEANUP(http_reply_fini) struct http_reply reply = { 0 };
    DR_TRY(call_api(p, t, &request, &reply, err));
    DR_JSON json_t *root = NULL;
    const json_t *list = NULL;
    DR_TRY(json_read("the answer of PowerDNS", reply.body.data ? reply.body.data : "",
                     reply.body.len, &root, err));
    DR_TRY(json_get_list(root, "rrsets", &list, err));
    rrset_fini(&t->now);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *object = json_array_get(list, i);
        const char *name = json_string_value(json_object_get(object, "name"));
        const char *type = json_string_value(json_object_get(object, "type"));
        if (name && type && strcasecmp(name, t->name) == 0 && strcmp(type, t->type) == 0)
            rrset_from(&t->now, object);
    }
    return DR_OK;
}

/* ret_sent: the server may have seen it, so a failure does not mean that nothing was done. */
static enum dr_rc write_rrset(struct stage *p, const struct target *t, const struct rrset *r,
                              bool *ret_sent, struct dr_err *err)
{
    DR_JSON json_t *root = json_object();
    json_t *list = json_array();
    json_array_append_new(list, rrset_object(t, r));
    json_put(root, "rrsets", list);
    DR_FREE char *body = json_dumps(root, JSON_COMPACT);
    struct http_request request = {
        .method = "PATCH", .url = t->url, .body = body, .body_len = body ? strlen(body) : 0
    };
    DR_CLEANUP(http_reply_fini) struct http_reply reply = { 0 };
    enum dr_rc rc = call_api(p, t, &request, &reply, err);
    *ret_sent = reply.sent && reply.status == 0;
    return rc;
}

static void keep_former(struct stage *p, const struct target *t)
{
    if (json_object_size(step_former(p->call)) > 0)
        return;
    json_t *former = json_object();
    json_put_text(former, "zone", t->zone);
    json_put_text(former, "name", t->name);
    json_put_text(former, "type", t->type);
    json_put_int(former, "ttl_s", t->now.exists ? t->now.ttl_s : 0);
    json_put(former, "rrset", t->now.exists ? rrset_object(t, &t->now) : json_null());
    step_keep(p->call, former);
}

/* False when nothing was kept. */
static bool read_former(struct stage *p, struct rrset *ret)
{
    const json_t *kept = json_object_get(step_former(p->call), "rrset");
    if (json_is_object(kept))
        rrset_from(ret, kept);
    return kept != NULL;
}

static void put_evidence(struct stage *p, const struct target *t)
{
    json_t *values = json_array();
    for (size_t i = 0; i < t->now.values.count; i++)
        json_array_append_new(values, json_string(t->now.values.items[i]));
    json_put(p->evidence, "values", values);
    json_put_int(p->evidence, "ttl_s", t->now.exists ? t->now.ttl_s : -1);
    json_put_text(p->evidence, "honours", "guarded");
}

static enum step_verdict powerdns_check(struct step_call *call)
{
    DR_CLEANUP(stage_fini) struct stage p = { 0 };
    struct dr_err err = { 0 };
    DR_CLEANUP(target_fini) struct target t = { 0 };
    if (stage_init(&p, call, &err) != DR_OK || open_target(&p, &t, &err) != DR_OK ||
        read_now(&p, &t, &err) != DR_OK)
        return err.rc == DR_E_NOTFOUND ? stage_cannot(&p, &err) : stage_cannot_tell(&p, &err);
    put_evidence(&p, &t);
    DR_FREE char *now = tell(&t.now);
    if (same(&t.now, &t.want))
        return stage_says(&p, STEP_PASS, "%s is %s", t.name, now);
    keep_former(&p, &t);
    return stage_says(&p, STEP_FAIL, "%s is %s", t.name, now);
}

/* Write r, read it back, judge. "now" may be former or want: the guard was asked before. */
static enum step_verdict put_in_place(struct stage *p, struct target *t, const struct rrset *r,
                                      const char *word)
{
    struct dr_err err = { 0 };
    bool sent = false;
    if (!same(&t->now, r) && write_rrset(p, t, r, &sent, &err) != DR_OK && !sent)
        return stage_says(p, STEP_FAIL, "%s", err.msg);
    struct dr_err again = { 0 };
    if (read_now(p, t, &again) != DR_OK)
        return stage_says(p, STEP_UNKNOWN, "%s", sent ? err.msg : again.msg);
    put_evidence(p, t);
    DR_FREE char *now = tell(&t->now);
    if (!same(&t->now, r))
        return stage_says(p, STEP_UNKNOWN, "read back, %s is not as it was set: %s", t->name, now);
    return stage_says(p, STEP_PASS, "%s%s is %s", t->name, word, now);
}

static enum step_verdict powerdns_apply(struct step_call *call)
{
    DR_CLEANUP(stage_fini) struct stage p = { 0 };
    struct dr_err err = { 0 };
    DR_CLEANUP(target_fini) struct target t = { 0 };
    DR_CLEANUP(rrset_fini) struct rrset former = { 0 };
    if (stage_init(&p, call, &err) != DR_OK || open_target(&p, &t, &err) != DR_OK ||
        read_now(&p, &t, &err) != DR_OK)
        return stage_says(&p, STEP_FAIL, "%s", err.msg);
    if (read_former(&p, &former) && !same(&t.now, &former) && !same(&t.now, &t.want)) {
        DR_FREE char *now = tell(&t.now), *was = tell(&former);
        return stage_says(&p, STEP_FAIL,
                          "%s is %s, which is neither the former (%s) nor ours: "
                          "somebody else changed it",
                          t.name, now, was);
    }
    keep_former(&p, &t);
    return put_in_place(&p, &t, &t.want, "");
}

static enum step_verdict powerdns_undo(struct step_call *call)
{
    DR_CLEANUP(stage_fini) struct stage p = { 0 };
    struct dr_err err = { 0 };
    DR_CLEANUP(target_fini) struct target t = { 0 };
    DR_CLEANUP(rrset_fini) struct rrset former = { 0 };
    if (stage_init(&p, call, &err) != DR_OK)
        return stage_cannot(&p, &err);
    if (!read_former(&p, &former))
        return stage_says(&p, STEP_PASS, "nothing was changed");
    if (open_target(&p, &t, &err) != DR_OK || read_now(&p, &t, &err) != DR_OK)
        return stage_says(&p, STEP_FAIL, "%s", err.msg);
    if (!same(&t.now, &former) && !same(&t.now, &t.want)) {
        DR_FREE char *now = tell(&t.now), *was = tell(&former);
        return stage_says(&p, STEP_FAIL,
                          "%s is %s, which is neither the former (%s) nor ours: "
                          "somebody else changed it",
                          t.name, now, was);
    }
    return put_in_place(&p, &t, &former, " as before:");
}

const struct provider provider_powerdns = {
    .type = "powerdns", .check = powerdns_check, .apply = powerdns_apply, .undo = powerdns_undo
};
