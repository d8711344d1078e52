/*
 * recorded.c - lines of a script into records of a journal.
 */
#include "tests/support/recorded.h"

#include <stdio.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/data/time.h"
#include "dr/run/health.h"

static const int64_t NS = 1000000000;

struct writer {
    int64_t wall0_ns, boot0_ns;
    char boot[HEALTH_BOOT_ID_SIZE];
    int64_t n;
    char prev[HASH_HEX_SIZE];
    struct buf *out;
};

/* Rounded to microseconds: 0.1 has no exact binary form. */
static int64_t ns_of(double seconds)
{
    double us = seconds * 1e6;
    return (int64_t)(us < 0 ? us - 0.5 : us + 0.5) * 1000;
}

static void mark_of(const struct writer *w, const json_t *at, size_t i, int64_t took_ms,
                    struct health_mark *ret)
{
    const json_t *second = json_array_get(at, i);
    if (!json_is_number(second))
        return;
    int64_t ns = ns_of(json_number_value(second));
    *ret = (struct health_mark){
        .known = true, .wall_ns = w->wall0_ns + ns, .boot_ns = w->boot0_ns + ns, .took_ms = took_ms
    };
    snprintf(ret->boot_id, sizeof(ret->boot_id), "%s", w->boot);
}

static int64_t number_or(const json_t *object, const char *key, int64_t fallback)
{
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) ? json_integer_value(value) : fallback;
}

static void write_out_health(const struct writer *w, json_t *body)
{
    const json_t *health = json_object_get(body, "health");
    const json_t *at = json_object_get(health, "at");
    if (at == NULL)
        return;
    int64_t took_ms = number_or(health, "ms", 20);
    struct health_facts f = { .probe = "front", .interval_ms = 1000 };
    f.times = (int)number_or(health, "times", 3);
    f.passes = (int)number_or(health, "passes", 3);
    f.gap_ms = number_or(health, "gap_ms", 0);
    f.stale = json_is_true(json_object_get(health, "stale"));
    mark_of(w, at, 0, took_ms, &f.last_good);
    mark_of(w, at, 1, took_ms, &f.first_bad);
    mark_of(w, at, 2, took_ms, &f.last_bad);
    mark_of(w, at, 3, took_ms, &f.first_good);
    for (size_t i = 0; i < 4; i++)
        if (json_is_number(json_array_get(at, i)))
            mark_of(w, at, i, took_ms, &f.newest);
    if (f.first_bad.known)
        snprintf(f.bad_why, sizeof(f.bad_why), "HTTP/1.1 503 Service Unavailable");
    json_t *facts = health_facts_json(&f);
    json_t *samples = json_object_get(health, "samples");
    if (samples != NULL)
        json_put(facts, "samples", json_incref(samples));
    json_put(body, "health", facts);
}

static void write_record(struct writer *w, const char *line, size_t len)
{
    DR_FREE char *text = dr_memdup(line, len);
    double second;
    char type[32];
    int used = 0;
    int words = sscanf(text, "%lf %31s %n", &second, type, &used); /* NOLINT(cert-err34-c) */
    DR_ASSERT(words == 2);                                         /* SECONDS TYPE {BODY} */
    struct dr_err err = { 0 };
    json_t *body = NULL;
    if (json_read(text, text + used, strlen(text + used), &body, &err) != DR_OK)
        fprintf(stderr, "%s\n", err.msg);
    DR_ASSERT(body != NULL);
    write_out_health(w, body);
    struct journal_record r = { .n = ++w->n,
                                .wall_ns = w->wall0_ns + ns_of(second),
                                .boot_ns = w->boot0_ns + ns_of(second),
                                .type = type,
                                .body = body };
    memcpy(r.prev, w->prev, sizeof(r.prev));
    journal_print(&r, w->out);
    memcpy(w->prev, r.hash, sizeof(r.hash));
    json_decref(body);
}

static void take_order(struct writer *w, const char *line)
{
    long long number;
    if (sscanf(line, "!wall %lld", &number) == 1) /* NOLINT(cert-err34-c) */
        w->wall0_ns += number * NS;
    else if (sscanf(line, "!boot %39s %lld", w->boot, &number) == 2) /* NOLINT(cert-err34-c) */
        w->boot0_ns = number * NS;
    else
        DR_ASSERT(line[0] != '!'); /* there is no other order */
}

/* The length of a line with those that go on with it. */
static size_t line_len(const char *at)
{
    const char *end = at;
    do {
        end = strchrnul(end + (*end == '\n'), '\n');
    } while (end[0] == '\n' && end[1] == ' ');
    return (size_t)(end - at);
}

void recorded_bytes(const char *script, struct buf *out)
{
    struct writer w = { .boot0_ns = 1000 * NS, .boot = "boot-1", .out = out };
    DR_ASSERT(time_parse("2026-11-21T03:16:00Z", &w.wall0_ns));
    memset(w.prev, '0', sizeof(w.prev) - 1);
    for (const char *at = script; *at != '\0';) {
        size_t len = line_len(at);
        if (at[0] == '!')
            take_order(&w, at);
        else if (len > 0 && at[0] != '#')
            write_record(&w, at, len);
        at += len + (at[len] == '\n');
    }
}

void recorded_run(const char *script, struct journal_records *ret)
{
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    recorded_bytes(script, &bytes);
    struct dr_err err = { 0 };
    size_t whole = 0;
    enum dr_rc rc = journal_parse(bytes.data, bytes.len, ret, &whole, &err);
    if (rc != DR_OK)
        fprintf(stderr, "%s\n", err.msg);
    DR_ASSERT(rc == DR_OK && whole == bytes.len);
}
