/*
 * http.c - http.check: does the service answer as it should?
 *
 * One try a call; "times" in a row and "every" are the engine's. A try is over after TRY_MS even
 * if the step has longer, since a service that is being switched over answers the next
 * question and never the one that hangs. What cannot be reached is a failed check, whatever the
 * cause (refused, timed out, no such name, bad certificate, dark region): users cannot reach it
 * either. Unknown is only what we could not even try: no socket, an unreadable URL or
 * configuration.
 */
#include <stdio.h>
#include <string.h>

#include "dr/base/clock.h"
#include "dr/net/http.h"
#include "plugins/providers.h"
#include "plugins/stage.h"

enum { TRY_MS = 10000, CONNECT_MS = 3000 };

static bool body_contains(const struct http_reply *reply, const char *text)
{
    return strlen(text) == 0 ||
           (reply->body.data && memmem(reply->body.data, reply->body.len, text, strlen(text)));
}

static enum step_verdict judge(struct stage *p, const struct http_reply *reply)
{
    const char *url = step_text(p->call, "url", "");
    const char *contains = step_text(p->call, "contains", "");
    int64_t status = step_int(p->call, "status", 200);
    json_put_int(p->evidence, "status", reply->status);
    json_put_int(p->evidence, "took_ms", reply->took_ms);
    if (reply->status != status)
        return stage_says(p, STEP_FAIL, "%s: %s, wanted %d", url, reply->line, (int)status);
    if (!body_contains(reply, contains))
        return stage_says(p, STEP_FAIL, "%s: %s, but the answer does not contain '%s'", url,
                          reply->line, contains);
    return stage_says(p, STEP_PASS, "%s: %s", url, reply->line);
}

static enum step_verdict cannot(struct stage *p, const struct dr_err *err)
{
    bool ours = err->rc == DR_E_NOMEM || err->rc == DR_E_USAGE || err->rc == DR_E_CONFIG;
    return stage_says(p, ours ? STEP_UNKNOWN : STEP_FAIL, "%s", err->msg);
}

static enum step_verdict http_check(struct step_call *call)
{
    DR_CLEANUP(stage_fini) struct stage p = { 0 };
    struct dr_err err = { 0 };
    if (stage_init(&p, call, &err) != DR_OK)
        return stage_cannot_tell(&p, &err);
    int64_t deadline_ms = clock_boot_ms() + TRY_MS;
    if (deadline_ms > step_deadline_ms(call))
        deadline_ms = step_deadline_ms(call);
    struct http_request request = { .url = step_text(call, "url", ""),
                                    .resolver = step_text(call, "resolver", NULL),
                                    .gate = p.gate,
                                    .connect_ms = CONNECT_MS,
                                    .deadline_ms = deadline_ms };
    struct http_reply reply = { 0 };
    enum step_verdict verdict =
        http_do(&request, &reply, &err) == DR_OK ? judge(&p, &reply) : cannot(&p, &err);
    http_reply_fini(&reply);
    return verdict;
}

const struct provider provider_http_check = { .type = "http.check", .check = http_check };
