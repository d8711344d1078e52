/*
 * drill_ask.c - one request, one loop, one outcome.
 */
#include "dr/drill/drill_ask.h"

#include <string.h>
#include <strings.h>

#include "dr/base/mem.h"
#include "dr/run/run.h"

enum { UNSET_TIMEOUT_MS = 60 * 1000 };

struct asked {
    struct step_outcome *outcome;
    bool done;
};

static void on_done(void *arg, struct step_outcome *outcome)
{
    struct asked *a = arg;
    *a->outcome = *outcome;
    *outcome = (struct step_outcome){ 0 };
    a->done = true;
}

/* A secret travels only on the child's descriptor. */
static enum dr_rc fill_secrets(const struct config *c, json_t *with, struct dr_err *err)
{
    const char *name = NULL;
    json_t *value = NULL;
    void *next = NULL;
    json_object_foreach_safe(with, next, name, value)
    {
        const char *secret = json_string_value(json_object_get(value, "secret"));
        char *text = NULL;
        if (secret == NULL)
            continue;
        DR_TRY(config_secret(c, secret, &text, err));
        json_put_text(with, name, text);
        explicit_bzero(text, strlen(text));
        free(text);
    }
    return DR_OK;
}

static enum dr_rc request_of(const struct drill_ask *ask, json_t **ret, struct dr_err *err)
{
    DR_JSON json_t *with = json_deep_copy(ask->with);
    DR_TRY(fill_secrets(ask->config, with, err));
    json_t *o = json_object(), *run = json_object(), *dark = json_array();
    DR_FREE char *key = dr_strf("%s/%s/-/1", ask->run != NULL ? ask->run : "drill", ask->type);
    json_put_text(run, "id", ask->run != NULL ? ask->run : "");
    json_put(run, "drill", json_true());
    json_put_int(run, "epoch", 0);
    if (ask->dark != NULL)
        json_array_append_new(dark, json_printable(ask->dark));
    json_put_int(o, "v", 1);
    json_put_text(o, "verb", ask->verb);
    json_put_text(o, "type", ask->type);
    json_put_text(o, "step", ask->type);
    json_put_text(o, "key", key);
    json_put(o, "with", json_incref(with));
    json_put(o, "former", json_object());
    json_put(o, "run", run);
    json_put(o, "dark", dark);
    json_put_text(o, "config", ask->config->path);
    json_put_int(o, "timeout_ms", ask->timeout_ms);
    *ret = o;
    return DR_OK;
}

static void close_loop(uv_loop_t *loop)
{
    (void)uv_run(loop, UV_RUN_DEFAULT); /* the child's handles finish closing */
    int rc = uv_loop_close(loop);
    DR_ASSERT(rc == 0);
}

enum dr_rc drill_ask(const struct drill_ask *ask, struct step_outcome *ret, struct dr_err *err)
{
    static const char *const argv[] = { "/proc/self/exe", "step", NULL };
    struct drill_ask with_limit = *ask;
    DR_JSON json_t *request = NULL;
    struct step_outcome outcome = { 0 };
    struct asked asked = { .outcome = &outcome };
    const struct step_hooks hooks = { .done = on_done, .arg = &asked };
    struct child *child = NULL;
    uv_loop_t loop;
    if (with_limit.timeout_ms <= 0)
        with_limit.timeout_ms = UNSET_TIMEOUT_MS;
    DR_TRY(request_of(&with_limit, &request, err));
    const struct child_options o = { .argv = argv,
                                     .request = request,
                                     .timeout_ms = with_limit.timeout_ms,
                                     .speaks_for_group = true };
    if (uv_loop_init(&loop) != 0)
        return dr_fail(err, DR_E_NOMEM, "cannot make an event loop");
    enum dr_rc rc = child_start(&loop, &o, &hooks, &child, err);
    while (rc == DR_OK && !asked.done)
        (void)uv_run(&loop, UV_RUN_ONCE);
    close_loop(&loop);
    if (rc == DR_OK)
        *ret = outcome;
    return rc;
}

char *drill_site(const struct config *c, const char *at)
{
    const struct config_site *site = NULL;
    if (at != NULL && at[0] != '\0') {
        site = config_site(c, at);
        return dr_strdup(site != NULL ? site->name : at);
    }
    DR_FREE char *host = run_host();
    site = config_here(c, host);
    return dr_strdup(site != NULL ? site->name : "");
}

char *drill_host_site(const struct config *c, const char *at)
{
    DR_FREE char *host = run_host();
    const struct config_site *here = config_here(c, host);
    const struct config_site *site = at != NULL && at[0] != '\0' ? config_site(c, at) : NULL;
    bool away =
        site != NULL && site != here && site->reach != NULL && strcmp(site->reach, "ssh") == 0;
    return away ? dr_strdup(site->name) : drill_site(c, NULL);
}
