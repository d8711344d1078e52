/*
 * period_backups.c - sources and buckets over a time: what was backed up, what was proved, what would have been lost.
 *
 *     loss    /|    /|      /|     A bucket loses what was written since the newest snapshot that was durable
 *            / |  /  |    /  |     in it: time goes by, a backup takes the loss back to its own duration. One
 *          /   |/    |  /    |/    point before and one after each; between them it rises with time.
 */
#include <stdlib.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/proof/period_work.h"

/* Exit codes in the ledger: another one was at work, so this one did nothing; all well but for a warning. */
enum { EXIT_OF_BUSY = 6, EXIT_OF_WARNINGS = 8 };

static bool is(const char *text, const char *word)
{
    return strcmp(text, word) == 0;
}

/* --- one backup --- */

struct backup {
    const json_t *body;
    const char *source;
    int64_t began_ns, ended_ns;
    bool done; /* there is a snapshot */
};

static bool backup_of(const json_t *line, struct backup *ret)
{
    const json_t *body = json_object_get(line, "body");
    if (!is(report_word(line, "type"), "backup") || !report_has(body, "source") ||
        body_int(body, "exit", 0) == EXIT_OF_BUSY)
        return false;
    *ret = (struct backup){ .body = body,
                            .source = report_word(body, "source"),
                            .done = report_has(body, "snapshot") };
    if (!period_time(body, "ended", &ret->ended_ns) && !period_time(line, "time", &ret->ended_ns))
        return false;
    if (!period_time(body, "began", &ret->began_ns))
        ret->began_ns = ret->ended_ns;
    return true;
}

static bool is_degraded(const struct backup *b)
{
    size_t i;
    const json_t *bucket;
    json_array_foreach(report_list(b->body, "buckets"), i,
                       bucket) if (!is(report_word(bucket, "state"), "durable")) return true;
    return false;
}

/* --- sources --- */

struct proof {
    int64_t at_ns;
    const char *kind, *by;
    bool pass;
};

static void take_proof(struct proof *best, const struct proof *one)
{
    if (best->kind == NULL || one->at_ns >= best->at_ns)
        *best = *one;
}

static void proofs_of_runs(const struct period_facts *f, const char *source, struct proof *best)
{
    size_t i, k;
    const json_t *run, *one;
    json_array_foreach(f->runs, i, run) json_array_foreach(report_list(run, "restored"), k, one)
    {
        struct proof p = { .kind = "restore",
                           .by = report_word(run, "run"),
                           .pass = is(report_word(one, "verdict"), "pass") };
        if (is(report_word(one, "source"), source) && period_time(one, "time", &p.at_ns) &&
            p.at_ns < period_end_ns(f))
            take_proof(best, &p);
    }
}

/* Well done: without anything to say, or with a warning. */
static bool went_well(const json_t *body)
{
    int64_t exit = body_int(body, "exit", -1);
    return exit == 0 || exit == EXIT_OF_WARNINGS;
}

/* Does a verify or a restore of the ledger prove something of this source, for or against it? */
static bool is_proof(const json_t *line, const char *source)
{
    const char *type = report_word(line, "type");
    const json_t *body = json_object_get(line, "body");
    bool of_it = is(report_word(body, "source"), source);
    bool of_all = !report_has(body, "source") && !report_has(body, "snapshot");
    if (is(type, "restore"))
        return of_it;
    if (!is(type, "verify") || body_int(body, "exit", 0) == EXIT_OF_BUSY || (!of_it && !of_all))
        return false;
    return is(report_word(body, "depth"), "data") ||
           !went_well(body); /* a look reads nothing back */
}

static void proofs_of_book(const struct period_facts *f, const char *source, struct proof *best)
{
    size_t i;
    const json_t *line;
    json_array_foreach(f->book, i, line)
    {
        bool verify = is(report_word(line, "type"), "verify");
        struct proof p = { .kind = verify ? "verify" : "restore",
                           .by = verify ? "verify" : "restore",
                           .pass = went_well(json_object_get(line, "body")) };
        if (is_proof(line, source) && period_time(line, "time", &p.at_ns) &&
            p.at_ns < period_end_ns(f))
            take_proof(best, &p);
    }
}

static json_t *last_proof(const struct period_facts *f, const char *source)
{
    struct proof best = { 0 };
    proofs_of_book(f, source, &best);
    proofs_of_runs(f, source, &best);
    if (best.kind == NULL)
        return json_null();
    json_t *one = json_object();
    json_put_text(one, "kind", best.kind);
    report_put_text(one, "by", best.by);
    report_put_time(one, "at", true, best.at_ns);
    json_put_int(one, "age_days", (period_end_ns(f) - best.at_ns) / PERIOD_DAY_NS);
    json_put_text(one, "result", best.pass ? "pass" : "fail");
    return one;
}

static json_t *source_json(const struct period_facts *f, const json_t *told)
{
    const char *name = report_word(told, "name");
    int64_t done = 0, degraded = 0, failed = 0, last_ns = INT64_MIN, first_ns = INT64_MAX;
    size_t i;
    const json_t *line;
    json_array_foreach(f->book, i, line)
    {
        struct backup b;
        if (!backup_of(line, &b) || !is(b.source, name) || b.ended_ns >= period_end_ns(f))
            continue;
        last_ns = b.done && b.began_ns > last_ns ? b.began_ns : last_ns;
        first_ns = b.began_ns < first_ns ? b.began_ns : first_ns;
        if (b.ended_ns < f->from_ns)
            continue;
        done += b.done;
        degraded += b.done && is_degraded(&b);
        failed += !b.done;
    }
    int64_t every_ms = body_int(told, "every_ms", 0);
    /* A host that came in the middle of the period owes none from before; without any backup all are owed. */
    int64_t from_ns = first_ns != INT64_MAX && first_ns > f->from_ns ? first_ns : f->from_ns;
    int64_t long_ms = (period_end_ns(f) - from_ns) / PERIOD_MS;
    json_t *backups = json_object();
    json_put(backups, "wanted", every_ms > 0 ? json_integer(long_ms / every_ms) : json_null());
    /* Of another host's source no line and no debt: nobody counted, which is not none. */
    bool counted = first_ns != INT64_MAX || every_ms > 0;
    json_put(backups, "done", counted ? json_integer(done) : json_null());
    json_put(backups, "degraded", counted ? json_integer(degraded) : json_null());
    json_put(backups, "failed", counted ? json_integer(failed) : json_null());
    json_t *one = json_object();
    report_copy(one, "name", told, "name");
    report_copy(one, "class", told, "class");
    report_put_time(one, "last_snapshot", last_ns != INT64_MIN, last_ns);
    json_put(one, "last_proof", last_proof(f, name));
    json_put(one, "backups", backups);
    return one;
}

json_t *period_sources(const struct period_facts *f)
{
    json_t *list = json_array();
    size_t i;
    const json_t *told;
    json_array_foreach(f->sources, i, told) json_array_append_new(list, source_json(f, told));
    return list;
}

/* --- buckets --- */

struct point {
    int64_t at_ns;
    int64_t loss_ms; /* -1: not known, since some source has nothing there */
};

struct series {
    const struct period_facts *f;
    const char *bucket;
    int64_t *newest_ns; /* of each source; INT64_MIN: none */
    struct point *points;
    size_t count, cap;
};

/* The worst of all sources. */
static int64_t loss_ms(const struct series *s, int64_t at_ns)
{
    int64_t worst = -1;
    for (size_t i = 0; i < json_array_size(s->f->sources); i++) {
        if (json_is_false(json_object_get(json_array_get(s->f->sources, i), "mine")))
            continue; /* what another host backs up stands in its own ledger */
        if (s->newest_ns[i] == INT64_MIN)
            return -1;
        int64_t loss = (at_ns - s->newest_ns[i]) / PERIOD_MS;
        worst = loss > worst ? loss : worst;
    }
    return worst;
}

static void add_point(struct series *s, int64_t at_ns)
{
    if (s->count == s->cap) {
        s->cap = s->cap == 0 ? 64 : 2 * s->cap;
        s->points = dr_realloc(s->points, s->cap, sizeof(*s->points));
    }
    s->points[s->count++] = (struct point){ .at_ns = at_ns, .loss_ms = loss_ms(s, at_ns) };
}

static size_t source_at(const struct period_facts *f, const char *name)
{
    size_t i;
    const json_t *told;
    json_array_foreach(f->sources, i, told) if (is(report_word(told, "name"), name)) break;
    return i;
}

static bool durable_in(const struct backup *b, const char *bucket)
{
    size_t i;
    const json_t *one;
    json_array_foreach(report_list(b->body, "buckets"), i,
                       one) if (is(report_word(one, "name"),
                                   bucket)) return is(report_word(one, "state"), "durable");
    return false;
}

static void take_backup(struct series *s, const struct backup *b)
{
    const struct period_facts *f = s->f;
    size_t at = source_at(f, b->source);
    if (at == json_array_size(f->sources) || b->ended_ns >= period_end_ns(f))
        return;
    bool here = b->done && durable_in(b, s->bucket);
    bool inside = b->ended_ns >= f->from_ns;
    if (inside && s->count == 0)
        add_point(s, f->from_ns);
    if (inside)
        add_point(s, b->ended_ns);
    if (here && b->began_ns > s->newest_ns[at])
        s->newest_ns[at] = b->began_ns;
    if (inside && here)
        add_point(s, b->ended_ns);
}

/* Of many points those that a picture needs: the lowest and the highest of each slice; a gap counts as highest. */
static void thin(struct series *s)
{
    if (s->count <= PERIOD_POINTS)
        return;
    size_t kept = 0;
    size_t slice = (2 * s->count + PERIOD_POINTS - 1) / PERIOD_POINTS;
    for (size_t i = 0; i < s->count; i += slice) {
        size_t low = i, high = i;
        for (size_t k = i; k < i + slice && k < s->count; k++) {
            uint64_t loss = (uint64_t)s->points[k].loss_ms; /* -1 is above all */
            low = loss < (uint64_t)s->points[low].loss_ms ? k : low;
            high = loss > (uint64_t)s->points[high].loss_ms ? k : high;
        }
        struct point first = s->points[low < high ? low : high];
        struct point second = s->points[low < high ? high : low];
        s->points[kept++] = first;
        if (low != high)
            s->points[kept++] = second;
    }
    s->count = kept;
}

static json_t *series_json(const struct series *s)
{
    json_t *list = json_array();
    for (size_t i = 0; i < s->count; i++) {
        const struct point *p = &s->points[i];
        json_t *one = json_object();
        report_put_time(one, "at", true, p->at_ns);
        json_put(one, "loss_ms", p->loss_ms >= 0 ? json_integer(p->loss_ms) : json_null());
        json_array_append_new(list, one);
    }
    return list;
}

static json_t *bucket_json(const struct period_facts *f, const json_t *told)
{
    size_t sources = json_array_size(f->sources);
    DR_FREE int64_t *newest_ns = dr_alloc(sources + 1, sizeof(*newest_ns));
    struct series s = { .f = f, .bucket = report_word(told, "name"), .newest_ns = newest_ns };
    for (size_t i = 0; i < sources; i++)
        newest_ns[i] = INT64_MIN;
    size_t i;
    const json_t *line;
    json_array_foreach(f->book, i, line)
    {
        struct backup b;
        if (backup_of(line, &b))
            take_backup(&s, &b);
    }
    if (s.count > 0 || loss_ms(&s, period_end_ns(f)) >= 0) {
        if (s.count == 0)
            add_point(&s, f->from_ns);
        add_point(&s, period_end_ns(f));
    }
    thin(&s);
    json_t *one = json_object();
    report_copy(one, "name", told, "name");
    report_copy(one, "region", told, "region");
    json_put(one, "series", series_json(&s));
    free(s.points);
    return one;
}

json_t *period_buckets(const struct period_facts *f)
{
    json_t *list = json_array();
    size_t i;
    const json_t *told;
    json_array_foreach(f->buckets, i, told) json_array_append_new(list, bucket_json(f, told));
    return list;
}
