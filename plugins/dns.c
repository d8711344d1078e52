/*
 * dns.c - dns.check and dns.ttl: what the world's name servers say.
 *
 * dns.check asks each resolver of the list and wants a share of them to answer exactly the
 * wanted values, no more and no less. A resolver that gives no answer does not agree; when none
 * answers at all, nothing was observed, and that is unknown. Resolvers in a dark region
 * are not asked and do not count.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "dr/base/clock.h"
#include "dr/data/duration.h"
#include "dr/net/resolve.h"
#include "plugins/providers.h"
#include "plugins/stage.h"

enum { QUERY_MS = 5000, RESOLVERS_MAX = 1000 };

/* Addresses compare as addresses, names without case and last dot, text as it is. */
static bool same_value(const char *type, const char *a, const char *b)
{
    struct net_addr addr_a, addr_b;
    if (net_addr_parse(a, 0, &addr_a) && net_addr_parse(b, 0, &addr_b))
        return net_addr_same_host((struct sockaddr *)&addr_a.sa, (struct sockaddr *)&addr_b.sa);
    if (strcasecmp(type, "TXT") == 0)
        return strcmp(a, b) == 0;
    size_t len_a = strlen(a), len_b = strlen(b);
    len_a -= len_a > 0 && a[len_a - 1] == '.';
    len_b -= len_b > 0 && b[len_b - 1] == '.';
    return len_a == len_b && strncasecmp(a, b, len_a) == 0;
}

static bool has_value(const char *type, const struct text_list *list, const char *value)
{
    for (size_t i = 0; i < list->count; i++)
        if (same_value(type, list->items[i], value))
            return true;
    return false;
}

static bool same_set(const char *type, const struct text_list *a, const struct text_list *b)
{
    for (size_t i = 0; i < a->count; i++)
        if (!has_value(type, b, a->items[i]))
            return false;
    for (size_t i = 0; i < b->count; i++)
        if (!has_value(type, a, b->items[i]))
            return false;
    return true;
}

struct survey {
    const char *name, *type;
    const struct text_list *want;
    size_t asked, answered, agree;
    char other[DR_ERR_MSG_MAX]; /* one that does not agree, in words */
    struct dr_err dark;         /* of the last resolver that was refused */
};

/* One name server's opinion. A second or more is left for each of those that follow. */
static void ask(struct stage *p, struct survey *s, const char *server, size_t left)
{
    int64_t now_ms = clock_boot_ms(), end_ms = step_deadline_ms(p->call);
    int64_t share_ms = (end_ms - now_ms) / (int64_t)(left > 0 ? left : 1);
    struct resolve_options options = { .server = server,
                                       .gate = p->gate,
                                       .deadline_ms =
                                           now_ms + (share_ms < QUERY_MS ? share_ms : QUERY_MS) };
    struct resolve_answer answer = { 0 };
    struct dr_err err = { 0 };
    enum dr_rc rc = resolve_query(s->name, s->type, &options, &answer, &err);
    if (rc == DR_E_REFUSED) {
        s->dark = err;
        return;
    }
    s->asked++;
    s->answered += rc == DR_OK || rc == DR_E_NOTFOUND;
    if (rc == DR_OK && same_set(s->type, &answer.values, s->want)) {
        s->agree++;
    } else if (rc == DR_OK) {
        DR_FREE char *values = text_list_join(&answer.values, ", ");
        snprintf(s->other, sizeof(s->other), "%s says %s",
                 server ? server : "the system's resolver", values);
    } else {
        snprintf(s->other, sizeof(s->other), "%s", err.msg);
    }
    resolve_answer_fini(&answer);
}

/* The plan's list, else the configuration's, else one NULL: the system's. */
static void resolvers_of(struct stage *p, struct text_list *ret)
{
    stage_list(p, "resolvers", ret);
    const char *one = step_text(p->call, "resolver", NULL);
    if (one)
        text_list_add(ret, one);
    for (size_t i = 0; ret->count == 0 && p->config && i < p->config->providers.dns_resolvers.count;
         i++)
        text_list_add(ret, p->config->providers.dns_resolvers.items[i]);
}

static enum step_verdict judge(struct stage *p, const struct survey *s)
{
    double wanted = step_real(p->call, "share", 1.0);
    DR_CLEANUP(text_list_fini) struct text_list want = { 0 };
    stage_list(p, "want", &want);
    DR_FREE char *values = text_list_join(&want, ", ");
    json_put_int(p->evidence, "asked", (int64_t)s->asked);
    json_put_int(p->evidence, "agree", (int64_t)s->agree);
    if (s->asked == 0)
        return stage_says(p, STEP_FAIL, "%s", s->dark.msg);
    if (s->answered == 0)
        return stage_says(p, STEP_UNKNOWN, "no resolver answers: %s", s->other);
    double share = (double)s->agree / (double)s->asked;
    if (share + 1e-9 >= wanted)
        return stage_says(p, STEP_PASS, "%s is %s at %zu of %zu resolvers", s->name, values,
                          s->agree, s->asked);
    return stage_says(p, STEP_FAIL, "%s is %s at %zu of %zu resolvers, wanted %.4g%%: %s", s->name,
                      values, s->agree, s->asked, wanted * 100, s->other);
}

static enum step_verdict dns_check(struct step_call *call)
{
    DR_CLEANUP(stage_fini) struct stage p = { 0 };
    struct dr_err err = { 0 };
    if (stage_init(&p, call, &err) != DR_OK)
        return stage_cannot_tell(&p, &err);
    DR_CLEANUP(text_list_fini) struct text_list want = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list resolvers = { 0 };
    stage_list(&p, "want", &want);
    resolvers_of(&p, &resolvers);
    struct survey s = { .name = step_text(call, "name", ""),
                        .type = step_text(call, "type", "A"),
                        .want = &want };
    if (!resolve_knows_type(s.type))
        return stage_says(&p, STEP_UNKNOWN, "record type '%s' is not known here", s.type);
    if (resolvers.count > RESOLVERS_MAX)
        return stage_says(&p, STEP_UNKNOWN, "more than %d resolvers", RESOLVERS_MAX);
    if (resolvers.count == 0)
        ask(&p, &s, NULL, 1);
    for (size_t i = 0; i < resolvers.count; i++)
        ask(&p, &s, resolvers.items[i], resolvers.count - i);
    return judge(&p, &s);
}

static enum step_verdict dns_ttl(struct step_call *call)
{
    DR_CLEANUP(stage_fini) struct stage p = { 0 };
    struct dr_err err = { 0 };
    if (stage_init(&p, call, &err) != DR_OK)
        return stage_cannot_tell(&p, &err);
    DR_CLEANUP(text_list_fini) struct text_list resolvers = { 0 };
    resolvers_of(&p, &resolvers);
    const char *name = step_text(call, "name", "");
    struct resolve_options options = { .server = resolvers.count ? resolvers.items[0] : NULL,
                                       .gate = p.gate,
                                       .deadline_ms = step_deadline_ms(call) };
    struct resolve_answer answer = { 0 };
    enum dr_rc rc = resolve_query(name, step_text(call, "type", "A"), &options, &answer, &err);
    int64_t ttl_ms = answer.ttl_s * 1000, max_ms = step_int(call, "max", 0);
    resolve_answer_fini(&answer);
    if (rc != DR_OK && rc != DR_E_NOTFOUND)
        return stage_cannot_tell(&p, &err);
    if (rc != DR_OK)
        return stage_says(&p, STEP_FAIL, "%s", err.msg);
    char ttl[DURATION_TEXT_MAX], max[DURATION_TEXT_MAX];
    duration_print(ttl_ms, ttl);
    json_put_int(p.evidence, "ttl_ms", ttl_ms);
    if (ttl_ms <= max_ms)
        return stage_says(&p, STEP_PASS, "%s has TTL %s", name, ttl);
    return stage_says(&p, STEP_FAIL, "%s has TTL %s, wanted at most %s", name, ttl,
                      duration_print(max_ms, max));
}

const struct provider provider_dns_check = { .type = "dns.check", .check = dns_check };
const struct provider provider_dns_ttl = { .type = "dns.ttl", .check = dns_ttl };
