/*
 * period_runs.c - runs and drills of a time: a row each, what each plan's last ones proved, and how it goes over months.
 */
#include <string.h>

#include "dr/base/mem.h"
#include "dr/proof/period_work.h"

enum { TREND_MAX = 60, SLACK = 10 }; /* a drill may be late by a tenth of its interval */

static const int64_t TREND_NS = 400 * 86400000000000LL;

static bool is(const char *text, const char *word)
{
    return strcmp(text, word) == 0;
}

/* --- one run --- */

const char *period_plan_of(const json_t *run)
{
    return report_word(json_object_get(run, "plan"), "name");
}

bool period_is_drill(const json_t *run)
{
    return json_is_object(json_object_get(run, "drill"));
}

bool period_is_dry(const json_t *run)
{
    return json_is_true(json_object_get(run, "dry"));
}

bool period_is_broken(const json_t *run)
{
    return report_has(run, "broken");
}

/* A drill whose runner was gone, and which somebody cleaned up. */
static bool has_died(const json_t *run)
{
    return json_is_true(json_object_get(json_object_get(run, "drill"), "died"));
}

bool period_is_held(const json_t *run)
{
    const char *state = report_word(run, "state");
    return !period_is_broken(run) && !period_is_dry(run) && report_has(run, "ended") &&
           !has_died(run) && (is(state, "recovered") || is(state, "failed"));
}

bool period_began(const struct period_facts *f, const json_t *run, int64_t *ret_ns)
{
    return period_time(run, "started", ret_ns) && *ret_ns < period_end_ns(f);
}

bool period_has(const struct period_facts *f, const json_t *run)
{
    int64_t began_ns;
    if (period_is_broken(run) && !report_has(run, "started"))
        return true; /* nobody can say that it does not belong here */
    return period_began(f, run, &began_ns) && began_ns >= f->from_ns;
}

/* The graver one of two words. */
static const char *graver(const char *a, const char *b)
{
    static const char *const order[] = { "missed", "not determinable", "not measured", "met" };
    for (size_t i = 0; i < DR_ARRAY_LEN(order); i++)
        if (is(a, order[i]) || is(b, order[i]))
            return order[i];
    return "none";
}

const char *period_verdict(const json_t *run)
{
    const char *state = report_word(run, "state");
    if (period_is_broken(run))
        return "broken journal";
    if (period_is_dry(run))
        return "dry run";
    if (!report_has(run, "ended"))
        return "not ended";
    if (has_died(run))
        return "not finished";
    if (!is(state, "recovered"))
        return state[0] != '\0' ? state : "not on record";
    const json_t *passed = json_object_get(json_object_get(run, "drill"), "passed");
    if (period_is_drill(run))
        return json_is_true(passed) ? "passed" : json_is_false(passed) ? "failed" : "no verdict";
    return graver(report_word(json_object_get(run, "recovery_time"), "verdict"),
                  report_word(json_object_get(run, "data_loss"), "verdict"));
}

static json_t *figure_of(const json_t *run, const char *key)
{
    const json_t *figure = json_object_get(run, key);
    json_t *one = json_object();
    report_copy(one, "lo_ms", figure, "lo_ms");
    report_copy(one, "hi_ms", figure, "hi_ms");
    report_copy(one, "verdict", figure, "verdict");
    return one;
}

static void put_figures(json_t *to, const json_t *run)
{
    json_put(to, "recovery", figure_of(run, "recovery_time"));
    json_put(to, "loss", figure_of(run, "data_loss"));
    json_put_text(to, "verdict", period_verdict(run));
}

/* --- rows --- */

static json_t *row_of(const json_t *run)
{
    json_t *one = json_object();
    const json_t *objectives = json_object_get(run, "objectives");
    report_copy(one, "id", run, "run");
    report_put_text(one, "plan", period_plan_of(run)[0] != '\0' ? period_plan_of(run) : NULL);
    json_put(one, "drill",
             period_is_broken(run) ? json_boolean(report_word(run, "run")[0] == 'D')
                                   : json_boolean(period_is_drill(run)));
    report_copy(one, "mode", run, "mode");
    report_copy(one, "state", run, "state");
    report_copy(one, "began", run, "started");
    report_copy(one, "ended", run, "ended");
    report_copy(one, "failed", run, "failed");
    report_copy(one, "target", run, "target");
    report_copy(one, "rto_ms", objectives, "rto_ms");
    report_copy(one, "rpo_ms", objectives, "rpo_ms");
    report_copy(one, "phases", run, "phases");
    put_figures(one, run);
    report_copy(one, "power", json_object_get(run, "drill"), "power");
    report_copy(one, "why", run, period_is_broken(run) ? "broken" : "why");
    return one;
}

json_t *period_rows(const struct period_facts *f)
{
    json_t *list = json_array();
    size_t i;
    const json_t *run;
    json_array_foreach(f->runs, i, run) if (period_has(f, run))
        json_array_append_new(list, row_of(run));
    return list;
}

/* --- plans --- */

/* The newest held drill (or run) of a plan that began before the end of the facts. */
static const json_t *newest(const struct period_facts *f, const char *plan, bool drill)
{
    const json_t *found = NULL;
    int64_t found_ns = INT64_MIN, began_ns;
    size_t i;
    const json_t *run;
    json_array_foreach(f->runs, i, run)
    {
        if (!period_is_held(run) || period_is_drill(run) != drill ||
            !period_same_plan(period_plan_of(run), plan) || !period_began(f, run, &began_ns) ||
            began_ns < found_ns)
            continue;
        found = run;
        found_ns = began_ns;
    }
    return found;
}

static json_t *last_json(const struct period_facts *f, const json_t *run)
{
    int64_t began_ns;
    if (run == NULL || !period_began(f, run, &began_ns))
        return json_null();
    json_t *one = json_object();
    report_copy(one, "run", run, "run");
    report_copy(one, "at", run, "started");
    json_put_int(one, "age_days", (period_end_ns(f) - began_ns) / PERIOD_DAY_NS);
    json_put_text(one, "verdict", period_verdict(run));
    if (period_is_drill(run))
        report_copy(one, "power", json_object_get(json_object_get(run, "drill"), "power"),
                    "percent");
    return one;
}

static json_t *trend_of(const struct period_facts *f, const char *plan)
{
    json_t *list = json_array();
    size_t i;
    const json_t *run;
    json_array_foreach(f->runs, i, run)
    {
        int64_t began_ns;
        if (!period_is_held(run) || !period_same_plan(period_plan_of(run), plan) ||
            !period_began(f, run, &began_ns) || began_ns < period_end_ns(f) - TREND_NS)
            continue;
        json_t *one = json_object();
        report_copy(one, "run", run, "run");
        report_copy(one, "at", run, "started");
        json_put(one, "drill", json_boolean(period_is_drill(run)));
        put_figures(one, run);
        json_array_append_new(list, one);
        if (json_array_size(list) > TREND_MAX)
            json_array_remove(list, 0);
    }
    return list;
}

static void put_due(json_t *to, const struct period_facts *f, const json_t *drill, int64_t every_ms)
{
    int64_t began_ns;
    if (every_ms <= 0) {
        json_put(to, "overdue", json_false());
        json_put(to, "due", json_null());
        return;
    }
    bool held = drill != NULL && period_began(f, drill, &began_ns);
    int64_t due_ns = held ? began_ns + every_ms * PERIOD_MS : 0;
    json_put(to, "overdue",
             json_boolean(!held || period_end_ns(f) > due_ns + every_ms * PERIOD_MS / SLACK));
    report_put_time(to, "due", held, due_ns);
}

static json_t *plan_json(const struct period_facts *f, const char *name, const json_t *told)
{
    const json_t *drill = newest(f, name, true);
    json_t *one = json_object();
    report_put_text(one, "name", name);
    report_copy(one, "rto_ms", told, "rto_ms");
    report_copy(one, "rpo_ms", told, "rpo_ms");
    json_put(one, "last_drill", last_json(f, drill));
    json_put(one, "last_run", last_json(f, newest(f, name, false)));
    put_due(one, f, drill, body_int(told, "drill_every_ms", 0));
    json_put(one, "trend", trend_of(f, name));
    return one;
}

static bool has_plan(const json_t *list, const char *name)
{
    size_t i;
    const json_t *one;
    json_array_foreach(list, i,
                       one) if (period_same_plan(report_word(one, "name"), name)) return true;
    return false;
}

json_t *period_plans(const struct period_facts *f)
{
    json_t *list = json_array();
    size_t i;
    const json_t *one;
    json_array_foreach(f->plans, i, one)
    {
        const char *name = report_word(one, "name");
        if (!has_plan(list, name))
            json_array_append_new(list, plan_json(f, name, one));
    }
    json_array_foreach(f->runs, i,
                       one) /* of plans that the configuration does not name (any more) */
    {
        const char *name = period_plan_of(one);
        if (period_has(f, one) && name[0] != '\0' && !has_plan(list, name))
            json_array_append_new(list, plan_json(f, name, NULL));
    }
    return list;
}

/* --- drills --- */

static json_t *month_of(json_t *months, const char *name)
{
    size_t i;
    json_t *one;
    json_array_foreach(months, i, one) if (is(report_word(one, "month"), name)) return one;
    return NULL;
}

/* Months from the first drill to the end of the facts, the empty ones, too. */
static json_t *months_of(const struct period_facts *f)
{
    json_t *list = json_array();
    char name[PERIOD_NAME_MAX], last[PERIOD_NAME_MAX];
    int64_t first_ns = INT64_MAX, began_ns, from_ns, to_ns;
    size_t i;
    const json_t *run;
    json_array_foreach(f->runs, i, run) if (period_is_drill(run) && period_is_held(run) &&
                                            period_began(f, run, &began_ns) && began_ns < first_ns)
        first_ns = began_ns;
    period_month_of(period_end_ns(f) - 1, last);
    while (first_ns < period_end_ns(f)) {
        if (!period_month(period_month_of(first_ns, name), &from_ns, &to_ns))
            break;
        json_t *one = json_object();
        json_put_text(one, "month", name);
        json_put_int(one, "planted", 0);
        json_put_int(one, "caught", 0);
        json_array_append_new(list, one);
        if (json_array_size(list) > PERIOD_MONTHS)
            json_array_remove(list, 0);
        first_ns = to_ns;
    }
    return list;
}

static json_t *powers_of(const struct period_facts *f)
{
    json_t *months = months_of(f);
    char name[PERIOD_NAME_MAX];
    size_t i;
    const json_t *run;
    json_array_foreach(f->runs, i, run)
    {
        int64_t began_ns;
        const json_t *power = json_object_get(json_object_get(run, "drill"), "power");
        if (!json_is_object(power) || !period_is_held(run) || !period_began(f, run, &began_ns))
            continue;
        json_t *month = month_of(months, period_month_of(began_ns, name));
        if (month == NULL)
            continue;
        json_put_int(month, "planted",
                     body_int(month, "planted", 0) + body_int(power, "planted", 0));
        json_put_int(month, "caught", body_int(month, "caught", 0) + body_int(power, "caught", 0));
    }
    return months;
}

json_t *period_drills(const struct period_facts *f, const json_t *plans)
{
    int64_t held = 0, passed = 0, overdue = 0;
    size_t i;
    const json_t *one;
    json_array_foreach(f->runs, i, one)
    {
        if (!period_is_drill(one) || !period_is_held(one) || !period_has(f, one))
            continue;
        held++;
        passed += is(period_verdict(one), "passed");
    }
    json_array_foreach(plans, i, one) overdue += json_is_true(json_object_get(one, "overdue"));
    json_t *drills = json_object();
    json_put_int(drills, "held", held);
    json_put_int(drills, "passed", passed);
    json_put_int(drills, "failed", held - passed);
    json_put_int(drills, "overdue", overdue);
    json_put(drills, "power", powers_of(f));
    return drills;
}

/* --- forecast, and mean times --- */

/* Its worst: the upper end, else the lower; -1: not measured. */
static int64_t worst_ms(const json_t *run)
{
    const json_t *figure = json_object_get(run, "recovery_time");
    return body_int(figure, "hi_ms", body_int(figure, "lo_ms", -1));
}

json_t *period_forecast(const struct period_facts *f)
{
    json_t *list = json_array();
    size_t i, k;
    const json_t *run, *before;
    json_array_foreach(f->runs, i, run)
    {
        int64_t told_ms = -1;
        if (!period_is_held(run) || !period_has(f, run) || worst_ms(run) < 0)
            continue;
        json_array_foreach(f->runs, k, before)
        {
            if (k >= i)
                break;
            bool counts = period_is_held(before) && worst_ms(before) >= 0 &&
                          period_same_plan(period_plan_of(before), period_plan_of(run));
            told_ms = counts ? worst_ms(before) : told_ms;
        }
        if (told_ms < 0)
            continue;
        json_t *one = json_object();
        report_copy(one, "run", run, "run");
        json_put_text(one, "plan", period_plan_of(run));
        json_put_int(one, "forecast_ms", told_ms);
        json_put_int(one, "measured_ms", worst_ms(run));
        json_array_append_new(list, one);
    }
    return list;
}

/* How long nobody knew; -1: not measured. */
static int64_t detect_ms(const json_t *run)
{
    const json_t *impact = json_object_get(run, "impact");
    size_t i;
    const json_t *one;
    if (!report_has(impact, "from") && !report_has(impact, "to"))
        return -1;
    json_array_foreach(report_list(json_object_get(run, "phases"), "list"), i,
                       one) if (is(report_word(one, "phase"), "detect")) return body_int(one, "ms",
                                                                                         -1);
    return -1;
}

static void put_mean(json_t *to, const char *key, int64_t sum, int64_t count)
{
    json_put(to, key, count > 0 ? json_integer(sum / count) : json_null());
}

void period_put_means(json_t *to, const struct period_facts *f)
{
    int64_t detect = 0, detected = 0, recover = 0, recovered = 0;
    size_t i;
    const json_t *run;
    json_array_foreach(f->runs, i, run)
    {
        const json_t *phases = json_object_get(run, "phases");
        if (!period_is_held(run) || period_is_drill(run) || !period_has(f, run) ||
            !is(report_word(run, "mode"), "failover"))
            continue;
        if (detect_ms(run) >= 0) {
            detect += detect_ms(run);
            detected++;
        }
        if (body_is(phases, "ends_recovered")) {
            recover += body_int(phases, "whole_ms", 0);
            recovered++;
        }
    }
    put_mean(to, "mttd_ms", detect, detected);
    put_mean(to, "mttr_ms", recover, recovered);
}
