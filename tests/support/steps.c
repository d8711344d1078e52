/*
 * steps.c - a provider at work, as the engine sees it: a process, one request, lines of events.
 */
#include "tests/support/steps.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static json_t *request_of(const struct provider *provider, const char *verb, json_t *with,
                          const struct step_ask *ask)
{
    json_t *run = json_object(), *dark = json_array(), *root = json_object();
    json_put_text(run, "id", "R-7");
    json_put_text(run, "mode", "failover");
    json_put_int(run, "epoch", 18);
    json_put(run, "drill", json_boolean(ask->drill));
    if (ask->plant != NULL)
        json_put(run, "plant", json_deep_copy(ask->plant));
    json_put_text(run, "target", ask->target ? ask->target : "eu-west-1");
    if (ask->scratch) {
        json_put(run, "isolated", json_true());
        json_put_text(run, "scratch", ask->scratch);
    }
    if (ask->restored)
        json_put_text(run, "restored", ask->restored);
    if (ask->dark)
        json_array_append_new(dark, json_string(ask->dark));
    json_put_int(root, "v", 1);
    json_put_text(root, "verb", verb);
    json_put_text(root, "type", provider->type);
    json_put_text(root, "step", "it");
    json_put_text(root, "key", "R-7/it/-/1");
    json_put(root, "with", with);
    json_put(root, "former", ask->former ? json_deep_copy(ask->former) : json_object());
    json_put(root, "run", run);
    json_put(root, "dark", dark);
    json_put_text(root, "config", ask->config ? ask->config : "");
    json_put_int(root, "timeout_ms", ask->timeout_ms ? ask->timeout_ms : 20000);
    return root;
}

static void take_result(struct tried *t, const json_t *event)
{
    const char *verdict = tried_text(event, "verdict");
    t->verdict = strcmp(verdict, "pass") == 0   ? STEP_PASS
                 : strcmp(verdict, "fail") == 0 ? STEP_FAIL
                                                : STEP_UNKNOWN;
    t->refused = tried_int(event, "refused");
    snprintf(t->why, sizeof(t->why), "%s", tried_text(event, "why"));
    snprintf(t->proof, sizeof(t->proof), "%s", tried_text(event, "proof"));
    t->evidence = json_incref(json_object_get(event, "evidence"));
}

/* One line; true when it was the result. */
static bool take_event(struct tried *t, const char *line)
{
    DR_JSON json_t *event = json_loads(line, 0, NULL);
    assert_non_null(event);
    const char *kind = tried_text(event, "event");
    if (strcmp(kind, "log") == 0) {
        size_t len = strlen(t->log);
        snprintf(t->log + len, sizeof(t->log) - len, "%s\n", tried_text(event, "text"));
    } else if (strcmp(kind, "progress") == 0) {
        t->progress++;
    } else if (strcmp(kind, "output") == 0) {
        json_put(t->outputs, tried_text(event, "name"),
                 json_incref(json_object_get(event, "value")));
    } else if (strcmp(kind, "former") == 0) {
        json_decref(t->former);
        t->former = json_incref(json_object_get(event, "value"));
    } else {
        assert_string_equal(kind, "result");
        take_result(t, event);
        return true;
    }
    return false;
}

struct tried step_try(const struct provider *provider, const char *verb, json_t *with,
                      const struct step_ask *ask)
{
    struct tried t = { .verdict = STEP_UNKNOWN, .outputs = json_object() };
    DR_JSON json_t *request = request_of(provider, verb, with, ask);
    FILE *in = tmpfile();
    int out[2];
    assert_non_null(in);
    assert_int_equal(json_dumpf(request, in, JSON_COMPACT), 0);
    rewind(in);
    assert_int_equal(pipe(out), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        const struct provider *const providers[] = { provider, NULL };
        dup2(fileno(in), 0);
        dup2(out[1], 1);
        close(out[0]);
        close(out[1]);
        const struct step_options options = { 0 };
        exit(step_main(providers, 1, &options)); /* NOLINT(concurrency-mt-unsafe): one thread */
    }
    close(out[1]);
    FILE *events = fdopen(out[0], "r");
    char *line = NULL;
    size_t size = 0;
    bool done = false;
    while (getline(&line, &size, events) > 0) {
        assert_false(done); /* the result is the last event */
        done = take_event(&t, line);
    }
    free(line);
    fclose(events);
    fclose(in);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    t.died = !done;
    bool ended =
        WIFEXITED(status) && (WEXITSTATUS(status) == 0 ||
                              (WEXITSTATUS(status) == STEP_EXIT_LATE && t.verdict == STEP_UNKNOWN));
    assert_true(ask->may_die || (done && ended));
    print_message("%s %s: %s\n", provider->type, verb, t.why); /* for whoever reads a failure */
    return t;
}

void tried_fini(struct tried *t)
{
    json_decref(t->outputs);
    json_decref(t->former);
    json_decref(t->evidence);
}

const char *tried_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

int64_t tried_int(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}
