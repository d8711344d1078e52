/*
 * html_run.c - one run: the verdict, what it was, its figures, and at the end what is left and how it is checked.
 */
#include <inttypes.h>
#include <string.h>

#include "dr/proof/html_work.h"
#include "dr/proof/report_work.h"

/* ---- the head ---------------------------------------------------------------------------------- */

static bool is(const json_t *object, const char *key, const char *word)
{
    return strcmp(report_word(object, key), word) == 0;
}

/* Is every objective that there is proved met? */
static bool objectives_met(const json_t *r)
{
    static const char *const figures[] = { "recovery_time", "data_loss" };
    for (size_t i = 0; i < DR_ARRAY_LEN(figures); i++) {
        const json_t *figure = json_object_get(r, figures[i]);
        if (!is(figure, "verdict", "met") && !is(figure, "verdict", "none"))
            return false;
    }
    return true;
}

struct headline {
    struct buf words;
    const char *looks;
};

/* A drill is as good as its verdict; a run in earnest, as its state. */
static void add_state(struct buf *out, const json_t *r, bool back)
{
    const json_t *drill = json_object_get(r, "drill");
    bool held = back || json_is_false(json_object_get(drill, "passed")) || is(r, "state", "failed");
    const char *told = report_word(r, "state");
    DR_CLEANUP(buf_fini) struct buf state = { 0 };
    report_add_upper(&state, told[0] != '\0' ? told : "state not on record");
    if (json_is_true(json_object_get(r, "dry")))
        buf_adds(out, "DRY RUN");
    else if (json_is_true(json_object_get(drill, "died")))
        buf_adds(out, "DRILL NOT FINISHED");
    else if (json_is_object(drill) && held)
        buf_adds(out, back ? "DRILL PASSED" : "DRILL FAILED");
    else if (json_is_object(drill) && is(r, "state", "recovered"))
        buf_adds(out, "DRILL WITHOUT A VERDICT");
    else
        html_add_text(out, state.data);
}

static void make_headline(const json_t *r, struct headline *ret)
{
    const json_t *drill = json_object_get(r, "drill");
    bool dry = json_is_true(json_object_get(r, "dry"));
    bool back = is(r, "state", "recovered") &&
                (!json_is_object(drill) || json_is_true(json_object_get(drill, "passed")));
    bool short_of = back && !dry && !objectives_met(r);
    add_state(&ret->words, r, back);
    if (short_of)
        buf_adds(&ret->words, ", BUT NOT EVERY OBJECTIVE IS PROVED MET");
    ret->looks = dry || short_of ? "open" : back ? "good" : "bad";
}

static void add_head(struct html *h, const json_t *r)
{
    const json_t *drill = json_object_get(r, "drill"), *more = json_object_get(drill, "why");
    struct headline line = { 0 };
    make_headline(r, &line);
    html_head(h,
              json_is_object(drill) ? "Report of a disaster recovery drill"
                                    : "Report of a disaster recovery run, not a drill",
              report_has(r, "run") ? report_word(r, "run") : "Run not on record", line.words.data,
              line.looks);
    buf_fini(&line.words);
    if (report_has(r, "why")) {
        buf_adds(h->out, "<p class=\"why\">");
        html_add_text(h->out, report_word(r, "why"));
        buf_adds(h->out, "</p>\n");
    }
    if (json_array_size(more) > 1 || (json_array_size(more) == 1 && !report_has(r, "why")))
        html_texts(h, more, "");
    if (json_is_true(json_object_get(r, "dry")))
        buf_adds(h->out, "<p>Nothing was done: a dry run proves nothing.</p>\n");
}

static void figure_tile(struct html *h, const char *name, const json_t *figure)
{
    DR_CLEANUP(buf_fini) struct buf objective = { 0 };
    html_add_objective(&objective, figure, "objective_ms");
    html_tile(h, name);
    html_add_interval(h, figure);
    buf_addf(h->out, "<small>objective %s</small>", objective.data);
    const char *verdict = report_word(figure, "verdict");
    html_tile_end(h, strcmp(verdict, "none") == 0 ? "no objective" : verdict);
}

static void drill_tiles(struct html *h, const json_t *drill)
{
    const json_t *power = json_object_get(drill, "power");
    const json_t *equal = json_object_get(json_object_get(drill, "production"), "equal");
    html_tile(h, "Drill power");
    if (json_is_object(power) && body_int(power, "planted", 0) > 0) {
        int64_t caught = body_int(power, "caught", 0), planted = body_int(power, "planted", 0);
        buf_addf(h->out, "%" PRId64 " of %" PRId64 "<small>planted faults caught</small>", caught,
                 planted);
        html_tile_end(h, caught >= planted ? "passed" : "failed");
    } else {
        buf_adds(h->out,
                 "<span class=\"soft\">not measured</span><small>no fault was planted</small>");
        html_tile_end(h, "not measured");
    }
    html_tile(h, "Production");
    buf_adds(h->out, json_is_true(equal)    ? "as before"
                     : json_is_false(equal) ? "not as before"
                                            : "not measured");
    html_tile_end(h, json_is_true(equal)    ? "unchanged"
                     : json_is_false(equal) ? "changed"
                                            : "not measured");
}

static void add_tiles(struct html *h, const json_t *r)
{
    const json_t *drill = json_object_get(r, "drill");
    size_t findings = json_array_size(json_object_get(r, "findings"));
    size_t left = json_array_size(json_object_get(r, "left")) +
                  json_array_size(json_object_get(drill, "leftovers"));
    buf_adds(h->out, "<div class=\"tiles\">\n");
    figure_tile(h, "Recovery time", json_object_get(r, "recovery_time"));
    figure_tile(h, "Data loss", json_object_get(r, "data_loss"));
    if (json_is_object(drill))
        drill_tiles(h, drill);
    html_tile(h, "Findings");
    buf_addf(h->out, "%zu<small>and %zu to do</small>", findings,
             json_array_size(json_object_get(r, "to_do")));
    html_tile_end(h, NULL);
    html_tile(h, "Left behind");
    if (left == 0)
        buf_adds(h->out, "nothing on record");
    else
        buf_addf(h->out, "%zu thing%s", left, left == 1 ? "" : "s");
    html_tile_end(h, NULL);
    buf_adds(h->out, "</div>\n");
}

/* ---- what it was ------------------------------------------------------------------------------- */

static void word_fact(struct html *h, const char *name, const json_t *object, const char *key)
{
    html_fact(h, name);
    html_add_word(h, object, key);
}

static void scope_facts(struct html *h, const json_t *r)
{
    const json_t *plan = json_object_get(r, "plan");
    const json_t *scenario = json_object_get(r, "scenario");
    word_fact(h, "Plan", plan, "name");
    if (report_word(plan, "title")[0] != '\0') {
        buf_adds(h->out, ": ");
        html_add_word(h, plan, "title");
    }
    word_fact(h, "Mode", r, "mode");
    html_fact(h, "Failed region");
    html_add_word_or(h, r, "failed", "no region given up");
    html_fact(h, "Taken region");
    html_add_word_or(h, r, "target", "no region taken");
    if (report_has(scenario, "active"))
        word_fact(h, "Active before", scenario, "active");
    html_fact(h, "Regions in scope");
    html_add_list(h, json_object_get(r, "regions"));
    word_fact(h, "Started by", r, "by");
    buf_adds(h->out, " on host ");
    html_add_word(h, r, "host");
    html_fact(h, "Began");
    html_add_time(h, r, "started");
    html_fact(h, "Ended");
    html_add_time(h, r, "ended");
    html_fact(h, "Lease epoch");
    html_add_number(h, r, "epoch");
    html_fact(h, "Program");
    buf_adds(h->out, "drctl ");
    html_add_word(h, r, "version");
    html_fact(h, "Configuration");
    html_add_code(h, r, "config");
    if (json_object_size(json_object_get(r, "params")) > 0) {
        html_fact(h, "Parameters");
        html_add_params(h, json_object_get(r, "params"));
    }
}

static void add_standbys(struct html *h, const json_t *list)
{
    static const char *const columns[] = { "Standby", "~Result", "=Why", NULL };
    size_t i;
    const json_t *one;
    if (json_array_size(list) == 0)
        return;
    struct html_table t = html_table(h, "Standby regions, in the order of their priority", columns);
    json_array_foreach(list, i, one)
    {
        html_row(&t);
        html_cell(&t);
        html_add_word(h, one, "region");
        html_cell(&t);
        html_add_badge(h, report_word(one, "result"), "not on record");
        html_cell(&t);
        html_add_word_or(h, one, "why", "-");
    }
    html_table_end(&t);
}

static void add_scope(struct html *h, const json_t *r)
{
    html_section(h, "scope", "Scope and scenario");
    html_facts(h);
    scope_facts(h, r);
    html_facts_end(h);
    add_standbys(h, json_object_get(r, "standbys"));
}

/* ---- figures ----------------------------------------------------------------------------------- */

static void figure_row(struct html_table *t, const char *name, const json_t *figure)
{
    struct html *h = t->h;
    const char *verdict = report_word(figure, "verdict");
    html_row(t);
    html_cell(t);
    buf_adds(h->out, name);
    html_cell(t);
    html_add_interval(h, figure);
    html_cell(t);
    html_add_objective(h->out, figure, "objective_ms");
    html_cell(t);
    html_add_badge(h, strcmp(verdict, "none") == 0 ? "no objective" : verdict, "not measured");
    html_cell(t);
    html_add_word_or(h, figure, "method", "no method: it was not measured");
    if (report_has(figure, "why")) {
        buf_adds(h->out, "; <br>");
        html_add_word(h, figure, "why");
    }
}

static void add_figures(struct html *h, const json_t *r)
{
    static const char *const columns[] = { "Figure",   "~Measured", "+Objective",
                                           "~Verdict", "=Method",   NULL };
    const json_t *objectives = json_object_get(r, "objectives");
    const json_t *loss = json_object_get(r, "data_loss");
    const json_t *clock = json_object_get(r, "clock");
    html_section(h, "figures", "Objectives and figures");
    struct html_table t = html_table(
        h,
        "A figure is an interval: met when all of it is within the objective, missed when none of it is",
        columns);
    figure_row(&t, "Recovery time", json_object_get(r, "recovery_time"));
    figure_row(&t, "Data loss", loss);
    html_table_end(&t);
    html_facts(h);
    html_fact(h, "Objectives fixed");
    html_add_time(h, objectives, "fixed_at");
    buf_adds(h->out, ", before the first step");
    html_fact(h, "Objectives, SHA-256");
    html_add_code(h, objectives, "sha256");
    html_fact(h, "Last write kept");
    if (report_has(loss, "sentinel"))
        html_add_time(h, loss, "sentinel");
    else
        buf_adds(h->out, "<span class=\"soft\">no sentinel in the restored data</span>");
    html_fact(h, "Clock error, at most");
    html_add_ms(h, clock, "max_error_ms");
    if (body_int(clock, "joins", 0) > 0)
        buf_addf(h->out, "; durations cross %" PRId64 " change of boot or host by wall time",
                 body_int(clock, "joins", 0));
    if (body_int(clock, "jump_ms", 0) != 0) {
        buf_adds(h->out, "; the wall clock moved by ");
        html_add_ms(h, clock, "jump_ms");
    }
    html_facts_end(h);
    buf_adds(h->out, "<div class=\"plots\">\n");
    html_plot_phases(h, r);
    html_plot_samples(h, r);
    buf_adds(h->out, "</div>\n");
}

/* ---- what is left, and how it is checked -------------------------------------------------------- */

static void add_undone(struct html *h, const json_t *r)
{
    static const char *const columns[] = { "Step", "~Became", "+Standby", "~When", NULL };
    const json_t *list = json_object_get(r, "undone");
    size_t i;
    const json_t *one;
    if (json_array_size(list) == 0)
        return;
    struct html_table t = html_table(h, "Steps that were undone", columns);
    json_array_foreach(list, i, one)
    {
        html_row(&t);
        html_cell(&t);
        html_add_word(h, one, "step");
        html_cell(&t);
        html_add_word(h, one, "state");
        if (json_is_true(json_object_get(one, "left_behind")))
            buf_adds(h->out, ", <b class=\"bad\">left behind</b>");
        html_cell(&t);
        html_add_word_or(h, one, "standby", "-");
        html_cell(&t);
        html_add_time(h, one, "time");
    }
    html_table_end(&t);
}

static void add_left(struct html *h, const json_t *r)
{
    const json_t *left = json_object_get(r, "left");
    size_t i;
    const json_t *one;
    html_section(h, "left", "Findings, and what is left to do");
    html_findings(h, json_object_get(r, "findings"));
    html_part(h, "To do");
    html_texts(h, json_object_get(r, "to_do"), "Nothing is left to do.");
    html_part(h, "Left behind");
    if (json_array_size(left) == 0)
        html_nothing(h, "Nothing is on record that the run left behind.");
    else
        buf_adds(h->out, "<ul>\n");
    json_array_foreach(left, i, one)
    {
        buf_adds(h->out, "<li>");
        html_add_word(h, one, "step");
        buf_adds(h->out, ": ");
        html_add_word(h, one, "what");
        buf_adds(h->out, "</li>\n");
    }
    if (json_array_size(left) > 0)
        buf_adds(h->out, "</ul>\n");
    add_undone(h, r);
    if (json_array_size(json_object_get(r, "notes")) > 0) {
        html_part(h, "Notes");
        html_texts(h, json_object_get(r, "notes"), "");
    }
}

static void add_commands(struct html *h, const json_t *list)
{
    size_t i;
    const json_t *one;
    if (json_array_size(list) == 0) {
        html_nothing(h, "No command is on record.");
        return;
    }
    buf_adds(h->out, "<p>On a host that has the run's files:</p>\n<pre>");
    json_array_foreach(list, i, one)
    {
        const char *text = json_string_value(one);
        buf_adds(h->out, i > 0 ? "\n" : "");
        html_add_text(h->out, text != NULL ? text : "(no text)");
    }
    buf_adds(h->out, "</pre>\n");
}

static void add_evidence(struct html *h, const json_t *r)
{
    const json_t *evidence = json_object_get(r, "evidence");
    const json_t *plan = json_object_get(r, "plan");
    html_section(h, "evidence", "Evidence, and how to verify it");
    add_commands(h, json_object_get(r, "verify"));
    html_facts(h);
    html_fact(h, "Records");
    html_add_number(h, evidence, "records");
    buf_adds(h->out, ", each with the hash of the one before; this report read the whole chain");
    html_fact(h, "Head of the chain");
    html_add_code(h, evidence, "head");
    html_fact(h, "Object in a bucket");
    if (json_is_true(json_object_get(evidence, "remote")))
        html_add_code(h, evidence, "object");
    else
        buf_adds(h->out,
                 "<span class=\"soft\">the run's records were not copied to a bucket</span>");
    html_fact(h, "Plan, SHA-256");
    html_add_code(h, plan, "sha256");
    html_fact(h, "Plan file");
    html_add_code(h, plan, "file");
    if (body_int(evidence, "torn_bytes", 0) > 0) {
        html_fact(h, "Torn end");
        buf_addf(h->out,
                 "%" PRId64
                 " bytes of an incomplete record stand behind the last one; it was never "
                 "acknowledged",
                 body_int(evidence, "torn_bytes", 0));
    }
    html_facts_end(h);
}

void html_run(struct html *h, const json_t *report)
{
    add_head(h, report);
    add_tiles(h, report);
    html_head_end(h);
    add_scope(h, report);
    add_figures(h, report);
    html_run_timeline(h, report);
    html_run_steps(h, report);
    if (json_is_object(json_object_get(report, "drill")))
        html_run_drill(h, report);
    add_left(h, report);
    add_evidence(h, report);
}
