/*
 * step.c - the step's side of the protocol: read one request, let a provider do it, tell events.
 * Over a connection (watch.h) a worker does it, and the process that read the request watches.
 *
 * Everything goes out line by line, unbuffered, so that a death loses nothing that was said. When
 * the runner dies the kernel sends SIGHUP (child.c asked for it), and the whole process group ends:
 * no grandchild goes on changing the world for a runner that is no more.
 */
#include "dr/step/step.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backup/store/plant.h"
#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/step/watch.h"

enum { REQUEST_MAX = 8 << 20, EVENT_TEXT_MAX = 2000, PROGRESS_EVERY_MS = 200, LATE_MS = 1000 };

struct step_call {
    json_t *request;
    const json_t *with, *former, *run;
    json_t *nothing; /* an empty object */
    int64_t deadline_ms;
    int64_t progress_ms; /* when the last one was told */
    bool broken;         /* nobody listens any more */
    bool here;           /* it came over a connection */
    char *why, *proof;
    json_t *evidence;
};

static const char *field(const struct step_call *call, const char *name)
{
    const char *text = json_string_value(json_object_get(call->request, name));
    return text != NULL ? text : "";
}

const char *step_verb(const struct step_call *call)
{
    return field(call, "verb");
}

const char *step_key(const struct step_call *call)
{
    return field(call, "key");
}

const char *step_config(const struct step_call *call)
{
    return field(call, "config");
}

const json_t *step_with(const struct step_call *call)
{
    return call->with;
}

const json_t *step_former(const struct step_call *call)
{
    return call->former;
}

const json_t *step_run(const struct step_call *call)
{
    return call->run;
}

int64_t step_deadline_ms(const struct step_call *call)
{
    return call->deadline_ms;
}

const char *step_text(const struct step_call *call, const char *name, const char *fallback)
{
    const char *text = json_string_value(json_object_get(call->with, name));
    return text != NULL ? text : fallback;
}

int64_t step_int(const struct step_call *call, const char *name, int64_t fallback)
{
    const json_t *value = json_object_get(call->with, name);
    return json_is_integer(value) ? json_integer_value(value) : fallback;
}

double step_real(const struct step_call *call, const char *name, double fallback)
{
    const json_t *value = json_object_get(call->with, name);
    return json_is_number(value) ? json_number_value(value) : fallback;
}

bool step_is_dark(const struct step_call *call, const char *region)
{
    const json_t *dark = json_object_get(call->request, "dark");
    for (size_t i = 0; i < json_array_size(dark); i++) {
        const char *name = json_string_value(json_array_get(dark, i));
        if (name != NULL && strcmp(name, region) == 0)
            return true;
    }
    return false;
}

bool step_is_here(const struct step_call *call)
{
    return call->here;
}

const json_t *step_request(const struct step_call *call)
{
    return call->request;
}

/* -- events ------------------------------------------------------------------------------------ */

static void tell(struct step_call *call, json_t *event)
{
    DR_JSON json_t *owned = event;
    DR_FREE char *text = json_dumps(owned, JSON_COMPACT | JSON_SORT_KEYS);
    DR_ASSERT(text != NULL);
    size_t len = strlen(text);
    text[len] = '\n';
    for (size_t at = 0; at < len + 1 && !call->broken;) {
        ssize_t n = write(STDOUT_FILENO, text + at, len + 1 - at);
        if (n < 0 && errno != EINTR)
            call->broken = true;
        if (n > 0)
            at += (size_t)n;
    }
}

static json_t *event_of(const char *kind)
{
    json_t *o = json_object();
    json_put_text(o, "event", kind);
    return o;
}

static char *format(const char *fmt, va_list ap) DR_PRINTF(1, 0);

static char *format(const char *fmt, va_list ap)
{
    char text[EVENT_TEXT_MAX];
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    return dr_strdup(text);
}

void step_log(struct step_call *call, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    DR_FREE char *text = format(fmt, ap);
    va_end(ap);
    json_t *o = event_of("log");
    json_put_text(o, "text", text);
    tell(call, o);
}

void step_progress(struct step_call *call, int64_t done, int64_t total, const char *unit)
{
    int64_t now = clock_boot_ms();
    if (done != total && now - call->progress_ms < PROGRESS_EVERY_MS)
        return;
    call->progress_ms = now;
    json_t *o = event_of("progress");
    json_put_int(o, "done", done);
    json_put_int(o, "total", total);
    json_put_text(o, "unit", unit);
    tell(call, o);
}

void step_keep(struct step_call *call, json_t *former)
{
    json_t *o = event_of("former");
    json_put(o, "value", former);
    tell(call, o);
}

void step_output(struct step_call *call, const char *name, json_t *value)
{
    json_t *o = event_of("output");
    json_put_text(o, "name", name);
    json_put(o, "value", value);
    tell(call, o);
}

void step_pass_on(struct step_call *call, const json_t *event)
{
    tell(call, json_deep_copy(event));
}

enum step_verdict step_says(struct step_call *call, enum step_verdict verdict, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    free(call->why);
    call->why = format(fmt, ap);
    va_end(ap);
    return verdict;
}

enum step_verdict step_says_err(struct step_call *call, const struct dr_err *err)
{
    bool doubt = err->rc == DR_E_TRANSIENT || err->rc == DR_E_TIMEOUT || err->rc == DR_E_UNKNOWN;
    return step_says(call, doubt ? STEP_UNKNOWN : STEP_FAIL, "%s", err->msg);
}

void step_proof(struct step_call *call, const char *kind)
{
    char *copy = dr_strdup(kind);
    free(call->proof);
    call->proof = copy;
}

void step_evidence(struct step_call *call, json_t *evidence)
{
    json_decref(call->evidence);
    call->evidence = evidence;
}

/* -- the process ------------------------------------------------------------------------------- */

static void end_group(int signal)
{
    (void)signal;
    (void)kill(0, SIGKILL);
}

static void tell_result(struct step_call *call, enum step_verdict verdict)
{
    static const char *const words[] = { "pass", "fail", "unknown" };
    json_t *o = event_of("result");
    json_put_text(o, "verdict", words[verdict]);
    json_put_text(o, "why", call->why != NULL ? call->why : "");
    if (call->proof != NULL)
        json_put_text(o, "proof", call->proof);
    if (call->evidence != NULL)
        json_put(o, "evidence", json_incref(call->evidence));
    json_t *refused = json_object_get(call->evidence, "refused_connects"); /* also of a far end */
    if (refused != NULL)
        json_put(o, "refused", json_incref(refused));
    tell(call, o);
}

/* To the end of the stream; over a connection to the end of the line, as the stream stays open. */
static enum dr_rc read_bytes(bool line, struct buf *b, struct dr_err *err)
{
    for (;;) {
        ssize_t n = read(STDIN_FILENO, buf_reserve(b, 64 << 10), 64 << 10);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return dr_fail_sys(err, errno, "cannot read the request");
        b->len += (size_t)n;
        if (b->len > REQUEST_MAX)
            return dr_fail(err, DR_E_USAGE, "the request is too long");
        if (n == 0 && line)
            return dr_fail(err, DR_E_CANCELLED, "the connection ended before the request did");
        if (n == 0 || (line && b->data[b->len - 1] == '\n'))
            return DR_OK;
    }
}

/* Outside of a drill nobody spoils anything, whatever the type does with it. */
static enum dr_rc check_plant(const json_t *run, struct dr_err *err)
{
    DR_CLEANUP(plant_fini) struct plant plant = { .kind = PLANT_NONE };
    if (plant_read(run, &plant, err) != DR_OK)
        return dr_context(err, "the request breaks the protocol");
    return DR_OK;
}

static enum dr_rc read_request(struct step_call *call, const struct step_options *options,
                               struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    DR_TRY(read_bytes(options->remote, &b, err));
    DR_TRY(json_read("the request", b.data != NULL ? b.data : "", b.len, &call->request, err));
    const json_t *version = json_object_get(call->request, "v");
    if (json_integer_value(version) != 1)
        return dr_fail(err, DR_E_USAGE, "the request is not of version 1");
    call->here = options->remote;
    if (call->here)
        json_put_text(call->request, "config", options->config != NULL ? options->config : "");
    call->nothing = json_object();
    const json_t *with = json_object_get(call->request, "with");
    const json_t *former = json_object_get(call->request, "former");
    const json_t *run = json_object_get(call->request, "run");
    call->with = json_is_object(with) ? with : call->nothing;
    call->former = json_is_object(former) ? former : call->nothing;
    call->run = json_is_object(run) ? run : call->nothing;
    DR_TRY(check_plant(call->run, err));
    call->deadline_ms =
        clock_boot_ms() + json_integer_value(json_object_get(call->request, "timeout_ms"));
    return DR_OK;
}

static enum step_verdict perform(struct step_call *call, const struct provider *const *providers,
                                 size_t count)
{
    const char *type = field(call, "type");
    const char *verb = step_verb(call);
    for (size_t i = 0; i < count && providers[i] != NULL; i++) {
        const struct provider *p = providers[i];
        if (strcmp(p->type, type) != 0)
            continue;
        enum step_verdict (*work)(struct step_call *) = NULL;
        if (strcmp(verb, "check") == 0 || strcmp(verb, "verify") == 0)
            work = p->check;
        else if (strcmp(verb, "apply") == 0)
            work = p->apply;
        else if (strcmp(verb, "undo") == 0)
            work = p->undo;
        if (work == NULL)
            return step_says(call, STEP_UNKNOWN, "the type '%s' has no '%s'", type, verb);
        return work(call);
    }
    return step_says(call, STEP_UNKNOWN, "there is no provider for the type '%s'", type);
}

/* Returns the exit code. */
static int carry_out(struct step_call *call, const struct provider *const *providers, size_t count,
                     const struct step_options *options)
{
    enum step_verdict verdict = STEP_UNKNOWN;
    if (options->remote || options->elsewhere == NULL || !options->elsewhere(call, &verdict))
        verdict = perform(call, providers, count);
    tell_result(call, verdict);
    bool late = clock_boot_ms() + LATE_MS >= call->deadline_ms;
    return verdict == STEP_UNKNOWN && late ? STEP_EXIT_LATE : 0;
}

static void tell_ready(struct step_call *call, const struct step_options *options)
{
    char host[256] = "";
    (void)gethostname(host, sizeof(host) - 1); /* for people: the step works without it */
    json_t *o = event_of("ready");
    json_put_int(o, "v", 1);
    json_put_text(o, "host", host);
    json_put_text(o, "version", options->version != NULL ? options->version : "");
    tell(call, o);
}

/* Over a connection: true in the worker, which does the step; false: all is done, with this code. */
static bool become_worker(struct step_call *call, int *ret_code)
{
    struct dr_err err = { 0 };
    bool worker = false;
    int64_t left_ms = call->deadline_ms - clock_boot_ms();
    *ret_code = 0;
    if (watch_lock(step_key(call), &err) == DR_OK &&
        watch_begin(left_ms, &worker, ret_code, &err) == DR_OK)
        return worker;
    tell_result(call, step_says(call, STEP_UNKNOWN, "%s", err.msg));
    return false;
}

static void call_fini(struct step_call *call)
{
    json_decref(call->request);
    json_decref(call->nothing);
    json_decref(call->evidence);
    free(call->why);
    free(call->proof);
}

int step_main(const struct provider *const *providers, size_t count,
              const struct step_options *options)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(call_fini) struct step_call call = { 0 };
    int code = 0;
    (void)signal(SIGHUP, end_group);
    (void)signal(SIGPIPE, SIG_IGN);
    if (options->remote)
        tell_ready(&call, options);
    if (read_request(&call, options, &err) != DR_OK)
        tell_result(&call, step_says(&call, STEP_UNKNOWN, "%s", err.msg));
    else if (!options->remote || become_worker(&call, &code))
        code = carry_out(&call, providers, count, options);
    return call.broken ? 1 : code;
}
