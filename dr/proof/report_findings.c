/*
 * report_findings.c - what somebody has to see to after a run, from its report and from nothing else.
 *
 * A finding is a fact that falls short of what was promised, planned, or looked for. Its id comes from the plan, from
 * whether it was a drill, from its kind and its subject: so the next drill that finds the same tells the same
 * finding, on every host, and whoever closes one closes it everywhere. Its owner and its date are those that were
 * fixed when the run began; where none was, there is none.
 */
#include <inttypes.h>
#include <string.h>

#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "dr/data/time.h"
#include "dr/proof/report_work.h"

enum { ID_DIGITS = 8 };

static const char CRITICAL[] = "critical", WARNING[] = "warning";

struct findings {
    const json_t *report;
    const json_t *rule; /* {owner, due_ms} of the start, or NULL */
    char *scope;        /* owned */
    json_t *list;       /* owned by the caller of report_findings() */
};

static bool is(const char *text, const char *word)
{
    return strcmp(text, word) == 0;
}

void report_finding_id(const char *scope, const char *kind, const char *subject,
                       char out[REPORT_FINDING_ID_SIZE])
{
    DR_FREE char *text = dr_strf("%s\n%s\n%s", scope, kind, subject);
    uint8_t digest[HASH_SIZE];
    char hex[HASH_HEX_SIZE];
    hash_bytes(text, strlen(text), digest);
    hex_encode(digest, sizeof(digest), hex);
    snprintf(out, REPORT_FINDING_ID_SIZE, "F-%.*s", ID_DIGITS, hex);
}

json_t *report_finding(const char *scope, const char *kind, const char *subject,
                       const char *severity, const char *text)
{
    char id[REPORT_FINDING_ID_SIZE];
    json_t *one = json_object();
    report_finding_id(scope, kind, subject, id);
    json_put_text(one, "id", id);
    json_put_text(one, "kind", kind);
    report_put_text(one, "subject", subject);
    json_put_text(one, "severity", severity);
    report_put_text(one, "text", text);
    json_put(one, "owner", json_null());
    json_put(one, "due", json_null());
    return one;
}

char *report_finding_scope(const char *plan, bool drill)
{
    char *scope = dr_strf("%s %s", drill ? "drill" : "run", plan);
    for (char *at = scope; *at != '\0'; at++)
        if (*at == '-')
            *at = '_';
    return scope;
}

void report_put_due(json_t *finding, int64_t from_ns, int64_t due_ms)
{
    static const int64_t ms_ns = 1000000;
    report_put_time(finding, "due",
                    from_ns > 0 && due_ms > 0 && due_ms < INT64_MAX / ms_ns - from_ns / ms_ns,
                    from_ns + due_ms * ms_ns);
}

/* Whose it is, and until when: counted from the end of the run. */
static void put_rule(const struct findings *f, json_t *one, const char *severity)
{
    const char *ended = report_word(f->report, "ended");
    int64_t end_ns = 0;
    bool known = time_parse(ended, &end_ns);
    report_copy(one, "owner", f->rule, "owner");
    report_put_due(one, known ? end_ns : 0,
                   body_int(json_object_get(f->rule, "due_ms"), severity, 0));
}

/* text is taken over. One finding a kind and subject: the first words stand. */
static void find(struct findings *f, const char *kind, const char *subject, const char *severity,
                 char *text)
{
    json_t *one = report_finding(f->scope, kind, subject, severity, text);
    free(text);
    put_rule(f, one, severity);
    size_t i;
    const json_t *other;
    bool known = false;
    json_array_foreach(f->list, i, other) known =
        known || is(report_word(other, "id"), report_word(one, "id"));
    if (known)
        json_decref(one);
    else
        json_array_append_new(f->list, one);
}

static const char *word_or(const json_t *object, const char *key, const char *fallback)
{
    return report_has(object, key) ? report_word(object, key) : fallback;
}

/* --- of any run --- */

static void find_figure(struct findings *f, const char *key, const char *name)
{
    const json_t *figure = json_object_get(f->report, key);
    const char *verdict = report_word(figure, "verdict");
    if (is(verdict, "none") || is(verdict, "met") || !report_has(figure, "objective_ms"))
        return;
    if (!report_has(f->report, "ended") && !is(verdict, "missed"))
        return; /* what is not known yet may be known in the end */
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    buf_addf(&text, "%s ", name);
    if (is(verdict, "missed")) {
        report_add_interval(&text, figure);
        buf_adds(&text, ": the objective of ");
        report_add_objective(&text, figure, "objective_ms");
        buf_adds(&text, " was missed");
        find(f, "objective", key, CRITICAL, buf_take(&text));
        return;
    }
    buf_addf(&text, "is %s: %s", verdict, word_or(figure, "why", "nothing on record says why"));
    find(f, "objective", key, WARNING, buf_take(&text));
}

static void find_fences(struct findings *f)
{
    size_t i;
    const json_t *one;
    json_array_foreach(report_list(f->report, "fencing"), i, one)
    {
        const char *region = word_or(one, "region", word_or(one, "step", "a region"));
        if (report_has(one, "skipped_by"))
            find(f, "fence", region, CRITICAL,
                 dr_strf("nothing proves that %s cannot write: its fence was skipped by %s", region,
                         report_word(one, "skipped_by")));
        else if (is(report_word(one, "proof"), "operator"))
            find(f, "fence", region, CRITICAL,
                 dr_strf("that %s cannot write is a person's word, and no proof", region));
    }
}

static void find_step(struct findings *f, const json_t *step, bool drill)
{
    const char *id = report_word(step, "id"), *state = report_word(step, "state");
    const char *why = word_or(step, "why", "no words on record");
    if (drill && json_is_true(json_object_get(step, "not_measured")))
        find(f, "not measured", id, WARNING,
             dr_strf("%s was not measured: it comes after a simulated switch", id));
    else if (report_has(step, "skipped_by") && !is(report_word(step, "class"), "fence"))
        find(f, "skipped", id, WARNING,
             dr_strf("%s was skipped by %s", id, report_word(step, "skipped_by")));
    else if (is(state, "failed") || is(state, "unknown"))
        find(f, "step", id, CRITICAL, dr_strf("%s: %s: %s", id, state, why));
    else if (is(state, "tolerated"))
        find(f, "step", id, WARNING, dr_strf("%s failed, and the run went on: %s", id, why));
    int64_t refused = body_int(step, "refused", 0);
    if (refused > 0 && !drill) /* of a drill one record has them all */
        find(f, "refused", id, WARNING,
             dr_strf("%" PRId64 " connections of %s to the region that was given up were refused",
                     refused, id));
}

static void find_preflight(struct findings *f)
{
    size_t i;
    const json_t *one;
    json_array_foreach(report_list(f->report, "preflight"), i, one)
    {
        const char *check = word_or(one, "check", "a check");
        const char *region = report_word(one, "region");
        const char *verdict = report_word(one, "verdict");
        if (verdict[0] == '\0' || is(verdict, "pass"))
            continue;
        if (is(check, "standby") &&
            region[0] == '\0') { /* the engine's own: nothing can take over */
            find(f, "standby", check, CRITICAL, dr_strdup(word_or(one, "why", verdict)));
            continue;
        }
        DR_FREE char *subject = dr_strf("%s%s%s", check, region[0] != '\0' ? " " : "", region);
        find(f, "preflight", subject, WARNING,
             dr_strf("preflight %s: %s", subject, word_or(one, "why", verdict)));
    }
}

/* Was it told as what came of the step? */
static bool has_step(const struct findings *f, const char *step)
{
    size_t i;
    const json_t *one;
    json_array_foreach(f->list, i, one) if (is(report_word(one, "kind"), "step") &&
                                            is(report_word(one, "subject"), step)) return true;
    return false;
}

static void find_left(struct findings *f)
{
    size_t i;
    const json_t *one;
    json_array_foreach(report_list(f->report, "left"), i,
                       one) if (!has_step(f, report_word(one, "step")))
        find(f, "leftover", report_word(one, "step"), WARNING,
             dr_strf("%s: %s", report_word(one, "step"), report_word(one, "what")));
}

/* --- of a drill --- */

static void find_controls(struct findings *f, const json_t *drill, bool ended)
{
    size_t i;
    const json_t *one;
    json_array_foreach(report_list(drill, "controls"), i, one)
    {
        if (!json_is_true(json_object_get(one, "planted")) ||
            json_is_true(json_object_get(one, "caught")))
            continue;
        const char *name = word_or(one, "name", "a control");
        find(f, "control", name, CRITICAL,
             dr_strf("a planted fault was not caught: %s: %s", word_or(one, "title", name),
                     word_or(one, "why", "no words on record")));
    }
    const json_t *power = json_object_get(drill, "power");
    int64_t lost = body_int(power, "planted", 0) - body_int(power, "caught", 0);
    json_array_foreach(report_list(drill, "controls"), i, one) lost -=
        json_is_true(json_object_get(one, "planted")) &&
        !json_is_true(json_object_get(one, "caught"));
    if (lost > 0)
        find(f, "control", "unanswered", CRITICAL,
             dr_strf("%" PRId64 " announced faults have no result on record", lost));
    if (!json_is_object(power) && ended)
        find(f, "control", "none", WARNING,
             dr_strdup("drill power was not measured: no fault was planted"));
}

static void find_production(struct findings *f, const json_t *drill, bool ended)
{
    const json_t *production = json_object_get(drill, "production");
    size_t i;
    const json_t *one;
    json_array_foreach(report_list(production, "differs"), i, one)
    {
        const char *name = word_or(one, "name", "a field");
        find(f, "production", name, CRITICAL,
             dr_strf("production differs after the drill: %s was '%s' and is '%s'", name,
                     word_or(one, "before", "not on record"),
                     word_or(one, "after", "not on record")));
    }
    if (json_is_false(json_object_get(production, "equal")) && i == 0)
        find(f, "production", "digest", CRITICAL,
             dr_strdup("production differs after the drill, and no record says in what"));
    else if (ended && !json_is_boolean(json_object_get(production, "equal")))
        find(f, "production", "not compared", WARNING,
             dr_strdup("what production was like before and after the drill was not compared"));
}

static void find_sentinels(struct findings *f, const json_t *drill, bool ended)
{
    size_t i;
    const json_t *one;
    json_array_foreach(report_list(drill, "sentinels"), i, one)
    {
        const char *source = word_or(one, "source", "a source");
        const json_t *ok = json_object_get(one, "ok");
        if (json_is_false(ok))
            find(f, "sentinel", source, CRITICAL,
                 dr_strf("the restored data of %s hold sentinel '%s', not the one planted, '%s'",
                         source, word_or(one, "found", "none"),
                         word_or(one, "wanted", "not on record")));
        else if (ended && !json_is_true(ok))
            find(f, "sentinel", source, WARNING,
                 dr_strf("nobody looked for the sentinel of %s in the restored data", source));
    }
}

static void find_things(struct findings *f, const json_t *drill)
{
    size_t i;
    const json_t *one;
    json_array_foreach(report_list(drill, "leftovers"), i, one)
    {
        const char *name = word_or(one, "name", "a thing");
        const char *at = report_word(one, "at");
        find(f, "leftover", name, CRITICAL,
             dr_strf("left behind: %s %s%s%s: %s", word_or(one, "what", "something"), name,
                     at[0] != '\0' ? " at " : "", at, word_or(one, "why", "no words on record")));
    }
    json_array_foreach(report_list(drill, "refused"), i, one)
    {
        if (body_int(one, "count", 0) <= 0)
            continue;
        DR_CLEANUP(buf_fini) struct buf who = { 0 };
        const char *region = word_or(one, "region", "the dark region");
        size_t k;
        const json_t *by;
        json_array_foreach(report_list(one, "by"), k, by)
            buf_addf(&who, "%s%s", k > 0 ? ", " : "", report_word(by, "who"));
        find(f, "refused", region, WARNING,
             dr_strf("%" PRId64 " connections to %s while it was dark%s%s",
                     body_int(one, "count", 0), region, who.len > 0 ? ", by " : "",
                     who.len > 0 ? who.data : ""));
    }
}

/* What a drill read by: that it can only read is either proved, or somebody has to see to it. */
static void find_credentials(struct findings *f, const json_t *drill)
{
    size_t i;
    const json_t *one;
    json_array_foreach(report_list(drill, "credentials"), i, one)
    {
        const char *writes = report_word(one, "writes");
        DR_FREE char *subject =
            dr_strf("%s %s", word_or(one, "what", "something"), word_or(one, "name", "?"));
        if (is(writes, "accepted"))
            find(f, "credentials", subject, CRITICAL,
                 dr_strf("the drill credentials of %s can write", subject));
        else if (is(writes, "unknown"))
            find(f, "credentials", subject, WARNING,
                 dr_strf("whether the drill credentials of %s can write is not known: %s", subject,
                         word_or(one, "why", "no words on record")));
        else if (is(report_word(one, "store"), "s3") && !json_is_true(json_object_get(one, "own")))
            find(f, "credentials", subject, WARNING,
                 dr_strf("the drill read %s by the usual credentials, which may write: it has none "
                         "for drills",
                         subject));
    }
}

static void find_drill(struct findings *f, const json_t *drill)
{
    bool ended = report_has(f->report, "ended");
    const json_t *apart = json_object_get(drill, "segregated");
    find_controls(f, drill, ended);
    find_sentinels(f, drill, ended);
    find_production(f, drill, ended);
    find_things(f, drill);
    find_credentials(f, drill);
    if (ended && !json_is_true(json_object_get(apart, "segregated")))
        find(f, "segregation", "restore", WARNING, dr_strdup(report_word(apart, "text")));
}

json_t *report_findings(const json_t *report, const json_t *rule)
{
    const json_t *drill = json_object_get(report, "drill");
    const char *plan = report_word(json_object_get(report, "plan"), "name");
    struct findings f = { .report = report, .rule = rule, .list = json_array() };
    if (json_is_true(json_object_get(report, "dry")))
        return f.list;
    f.scope = report_finding_scope(plan, json_is_object(drill));
    find_figure(&f, "recovery_time", "recovery time");
    find_figure(&f, "data_loss", "data loss");
    if (json_is_object(drill))
        find_drill(&f, drill);
    find_fences(&f);
    size_t i;
    const json_t *step;
    json_array_foreach(report_list(report, "steps"), i, step)
        find_step(&f, step, json_is_object(drill));
    find_preflight(&f);
    find_left(&f);
    free(f.scope);
    return f.list;
}
