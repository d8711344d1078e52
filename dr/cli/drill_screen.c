/*
 * drill_screen.c - a drill's own lines.
 */
#include "dr/cli/drill_screen.h"

#include <inttypes.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/proof/report_work.h"
#include "dr/run/drill.h"

enum { NONCE_SHOWN = 4, DIGITS_SHOWN = 6 };

static const char *text(const json_t *o, const char *key)
{
    const char *t = json_string_value(json_object_get(o, key));
    return t != NULL ? t : "";
}

static bool is_yes(const json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}

/* "  " or ", ": what stands before the next item of a line. */
static void add(struct buf *line, const char *item)
{
    buf_addf(line, "%s%s", line->len > 0 ? ", " : "", item);
}

/* -- before ------------------------------------------------------------------------------------ */

/* more: what is to be said of all of them, or "". */
static void tell_differs(const struct run_screen *s, const struct drill_table *t, enum step_how how,
                         const char *front, const char *more)
{
    static const char *const words[] = {
        [HOW_RUN] = "as in earnest", [HOW_ISOLATED] = "isolated",
        [HOW_SIMULATE] = "simulate", [HOW_SKIP] = "skip",
        [HOW_WITH] = "other names",  [HOW_NOT_MEASURED] = "not measured",
    };
    DR_CLEANUP(buf_fini) struct buf line = { 0 };
    for (size_t i = 0; i < t->count; i++)
        if (t->rows[i].how == how)
            add(&line, t->rows[i].step);
    if (line.len > 0)
        run_screen_say(s, "%-8s %-13s %s%s", front, words[how], line.data, more);
}

void drill_tell_start(const struct run_screen *s, const struct script *script, const char *failed,
                      const char *scratch)
{
    static const enum step_how order[] = { HOW_ISOLATED, HOW_SIMULATE,     HOW_WITH,
                                           HOW_SKIP,     HOW_NOT_MEASURED, HOW_RUN };
    DR_CLEANUP(drill_table_fini) struct drill_table t = { 0 };
    DR_FREE char *place = dr_strf(" (below %s)", scratch);
    if (s->cli->json)
        return;
    script_drill_table(script, false, &t);
    run_screen_say(s, "DRILL    %s, plan %.*s     production is not touched%s%s%s", script->name,
                   DIGITS_SHOWN, script->sha256, failed != NULL ? "; " : "",
                   failed != NULL ? failed : "", failed != NULL ? " is DARK for this run" : "");
    for (size_t i = 0; i < DR_ARRAY_LEN(order); i++)
        tell_differs(s, &t, order[i], i == 0 ? "DIFFERS" : "",
                     order[i] == HOW_ISOLATED       ? place
                     : order[i] == HOW_NOT_MEASURED ? ": what comes after a simulated switch"
                                                    : "");
}

void drill_tell_planted(const struct run_screen *s, const json_t *planted)
{
    DR_CLEANUP(buf_fini) struct buf marked = { 0 };
    DR_CLEANUP(buf_fini) struct buf faults = { 0 };
    const json_t *sentinels = json_object_get(planted, "sentinels");
    const json_t *controls = json_object_get(planted, "controls");
    if (s->cli->json)
        return;
    for (size_t i = 0; i < json_array_size(sentinels); i++) {
        const json_t *row = json_array_get(sentinels, i);
        const char *nonce = text(row, "nonce");
        DR_FREE char *one =
            nonce[0] != '\0'
                ? dr_strf("fresh sentinel %.*s in %s", NONCE_SHOWN, nonce, text(row, "source"))
            : text(row, "by")[0] != '\0'
                ? dr_strf("the sentinel of %s is its application's own", text(row, "source"))
                : dr_strf("%s has no sentinel", text(row, "source"));
        add(&marked, one);
    }
    for (size_t i = 0; i < json_array_size(controls); i++)
        add(&faults, text(json_array_get(controls, i), "title"));
    size_t count = json_array_size(controls);
    run_screen_say(s, "PLANTED  %s%s; %zu fault%s%s%s", marked.len > 0 ? marked.data : "no source",
                   marked.len > 0 ? ", then a backup" : "", count, CLI_S(count),
                   count > 0 ? ": " : "", count > 0 ? faults.data : "");
    run_screen_say(s, "         seed %s", text(planted, "seed"));
}

/* -- after ------------------------------------------------------------------------------------- */

void drill_tell_looked(const struct run_screen *s, const struct journal_records *all)
{
    if (s->cli->json)
        return;
    for (size_t i = 0; i < all->count; i++) {
        const json_t *b = all->items[i].body;
        if (strcmp(all->items[i].type, "sentinel") != 0)
            continue;
        if (is_yes(b, "ok"))
            run_screen_say(s, "  %-12s sentinel of %s: %s found", text(b, "of"), text(b, "source"),
                           text(b, "found"));
        else
            run_screen_say(s, "! %-12s sentinel of %s: wanted %s, found %s", text(b, "of"),
                           text(b, "source"), text(b, "wanted"),
                           text(b, "found")[0] != '\0' ? text(b, "found") : text(b, "why"));
    }
}

/* A line a fault: what it was, and why it counts as it does. */
static void tell_fault(const struct run_screen *s, const json_t *b)
{
    enum { WHY_LETTERS = 110 };
    bool planted = is_yes(b, "planted"), caught = is_yes(b, "caught");
    DR_CLEANUP(buf_fini) struct buf why = { 0 };
    report_add_gist(&why, text(b, "why"), planted && !caught ? 0 : WHY_LETTERS);
    run_screen_say(s, "         %s%s: %s",
                   caught    ? ""
                   : planted ? "MISSED: "
                             : "not planted: ",
                   text(b, "title"), why.len > 0 ? why.data : "no reason on record");
    if (planted && !caught)
        run_screen_say(s, "           it had to be so: %s", text(b, "expected"));
}

void drill_tell_caught(const struct run_screen *s, const struct journal_records *all)
{
    size_t planted = 0, good = 0;
    if (s->cli->json)
        return;
    for (size_t i = 0; i < all->count; i++) {
        const json_t *b = all->items[i].body;
        if (strcmp(all->items[i].type, "control") != 0)
            continue;
        planted += is_yes(b, "planted");
        good += is_yes(b, "planted") && is_yes(b, "caught");
    }
    if (planted == 0)
        run_screen_say(s, "CAUGHT   no fault could be planted: drill power is not measured");
    else
        run_screen_say(s, "CAUGHT   %zu of %zu", good, planted);
    for (int missed = 0; missed < 2;
         missed++) /* what was missed stands last, next to the verdict */
        for (size_t i = 0; i < all->count; i++)
            if (strcmp(all->items[i].type, "control") == 0 &&
                is_yes(all->items[i].body, "caught") == (missed == 0))
                tell_fault(s, all->items[i].body);
}

static const char *proof_word(const json_t *equal)
{
    return json_is_true(equal) ? "equal" : json_is_false(equal) ? "NOT EQUAL" : "not measured";
}

static void tell_production(const struct run_screen *s, const json_t *after)
{
    const json_t *differs = json_object_get(after, "differs");
    const json_t *unread = json_object_get(after, "unread");
    for (size_t i = 0; i < json_array_size(differs); i++) {
        const json_t *d = json_array_get(differs, i);
        const char *was = json_string_value(json_object_get(d, "before"));
        const char *now = json_string_value(json_object_get(d, "after"));
        run_screen_say(s, "!        %s: was %s, is %s", text(d, "name"),
                       was != NULL ? was : "not there", now != NULL ? now : "not there");
    }
    for (size_t i = 0; i < json_array_size(unread); i++)
        run_screen_say(s, "!        %s could not be read",
                       json_string_value(json_array_get(unread, i)));
}

/* Those of one answer; a name stands once, however many hosts have it. own: as far as it matters. */
static void add_rights(struct buf *line, const json_t *items, const char *writes, bool own,
                       const char *word)
{
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *one = json_array_get(items, i);
        DR_FREE char *name = strcmp(text(one, "what"), "bucket") == 0
                                 ? dr_strf("bucket %s", text(one, "name"))
                                 : dr_strdup(text(one, "what"));
        if (strcmp(text(one, "writes"), writes) == 0 && is_yes(one, "own") == own &&
            !text_list_has(&names, name))
            text_list_add(&names, name);
    }
    DR_FREE char *all = text_list_join(&names, ", ");
    if (names.count > 0)
        buf_addf(line, "%s%s: %s", line->len > 0 ? "; " : "", word, all);
}

void drill_tell_rights(const struct run_screen *s, const struct journal_records *all)
{
    DR_CLEANUP(buf_fini) struct buf line = { 0 };
    const json_t *items = NULL;
    for (size_t i = 0; i < all->count; i++)
        if (strcmp(all->items[i].type, "credentials") == 0)
            items = json_object_get(all->items[i].body, "items");
    if (s->cli->json || json_array_size(items) == 0)
        return;
    add_rights(&line, items, "accepted", true, "OWN CREDENTIALS THAT CAN WRITE");
    add_rights(&line, items, "refused", true, "own credentials, which cannot write");
    add_rights(&line, items, "unknown", true,
               "own credentials, whether they can write is not known");
    add_rights(&line, items, "not tried", true, "own credentials, not tried");
    add_rights(&line, items, "not tried", false, "the usual rights");
    run_screen_say(s, "READ BY  %s", line.data);
}

/* Everything that is gone, by what it was. */
static size_t count_cleaned(const struct journal_records *all)
{
    size_t count = 0;
    for (size_t i = 0; i < all->count; i++)
        count += strcmp(all->items[i].type, "cleaned") == 0 && is_yes(all->items[i].body, "ok") &&
                 strcmp(text(all->items[i].body, "what"), "directory") == 0;
    return count;
}

void drill_tell_cleaned(const struct run_screen *s, const struct journal_records *all,
                        const struct drill_verdict *v)
{
    const json_t *after = NULL;
    if (s->cli->json)
        return;
    for (size_t i = 0; i < all->count; i++) {
        const struct journal_record *r = &all->items[i];
        if (strcmp(r->type, "production") == 0 && strcmp(text(r->body, "when"), "after") == 0)
            after = r->body;
    }
    size_t count = count_cleaned(all);
    run_screen_say(s, "CLEANED  %zu scratch place%s removed; %s; production before and after: %s",
                   count, CLI_S(count), v->leftovers.count == 0 ? "nothing left" : "LEFT BEHIND",
                   proof_word(json_object_get(after, "equal")));
    for (size_t i = 0; i < v->leftovers.count; i++)
        run_screen_say(s, "!        %s", v->leftovers.items[i]);
    tell_production(s, after);
}

/* -- the end ------------------------------------------------------------------------------------- */

/* Who wanted something of the region that is given up, and under which finding that stands. */
static void tell_refused(const struct run_screen *s, const json_t *report)
{
    size_t i, k;
    const json_t *one, *by, *f;
    json_array_foreach(json_object_get(json_object_get(report, "drill"), "refused"), i, one)
    {
        int64_t count = body_int(one, "count", 0);
        DR_CLEANUP(buf_fini) struct buf who = { 0 };
        const char *finding = "";
        json_array_foreach(json_object_get(one, "by"), k, by)
        {
            add(&who, text(by, "who"));
            buf_addf(&who, " (%" PRId64 ")", body_int(by, "count", 0));
        }
        json_array_foreach(json_object_get(report, "findings"), k,
                           f) if (strcmp(text(f, "kind"), "refused") == 0 &&
                                  strcmp(text(f, "subject"), text(one, "region")) == 0) finding =
            text(f, "id");
        if (count == 0)
            run_screen_say(s, "CONNECTIONS to %s: none was tried", text(one, "region"));
        else
            run_screen_say(s, "CONNECTIONS to %s: %" PRId64 " refused%s%s%s%s", text(one, "region"),
                           count, who.len > 0 ? ", by " : "", who.len > 0 ? who.data : "",
                           finding[0] != '\0' ? "    -> finding " : "", finding);
    }
}

/* "  RTO  9.9s to 12.4s, objective 30m  MET", and below it how much of that was not measured here. */
static void tell_figure(const struct run_screen *s, const char *name, const json_t *figure)
{
    DR_CLEANUP(buf_fini) struct buf line = { 0 };
    report_add_interval(&line, figure);
    buf_adds(&line, ", objective ");
    report_add_objective(&line, figure, "objective_ms");
    buf_adds(&line, "   ");
    report_add_verdict(&line, figure);
    run_screen_say(s, "         %s  %s", name, line.data);
    if (text(figure, "why")[0] != '\0')
        run_screen_say(s, "              %s", text(figure, "why"));
}

static void tell_assumed(const struct run_screen *s, const json_t *assumed)
{
    DR_CLEANUP(buf_fini) struct buf line = { 0 };
    if (!json_is_object(assumed))
        return;
    report_add_assumed(&line, assumed);
    run_screen_say(s, "              %s", line.data);
}

/* What a person does now, by what speaks against the drill most. */
static void tell_next(const struct run_screen *s, const json_t *report,
                      const struct drill_verdict *v)
{
    const char *plan = s->state.plan, *id = s->state.id;
    const json_t *production = json_object_get(json_object_get(report, "drill"), "production");
    const char *open = text(json_object_get(report, "recovery_time"), "verdict");
    if (v->leftovers.count > 0)
        run_screen_say(s, "  next: drctl drill --clean %s, and look at what is left", id);
    else if (json_is_false(json_object_get(production, "equal")))
        run_screen_say(s,
                       "  next: see what changed in production beside the drill, then   drctl "
                       "drill %s",
                       plan);
    else if (v->missed.count > 0)
        run_screen_say(s, "  next: make sure that '%s' is noticed, then   drctl drill %s",
                       v->missed.items[0], plan);
    else if (!v->passed)
        run_screen_say(s, "  next: mend what is said above, then   drctl drill %s", plan);
    else if (strcmp(open, "missed") == 0)
        run_screen_say(s, "  next: find what takes so long: drctl report --run %s, PHASES", id);
    else if (strcmp(open, "not determinable") == 0)
        run_screen_say(s,
                       "  next: nothing has to be mended. Once %s was run in earnest, drills know "
                       "how long the simulated steps take",
                       plan);
}

/* By what name each of them can be given to somebody, or closed; connections stand above with theirs. */
static void tell_findings(const struct run_screen *s, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        if (strcmp(text(one, "kind"), "refused") != 0)
            run_screen_say(s, "         -> finding %s: %s", text(one, "id"), text(one, "text"));
    }
}

void drill_tell_verdict(const struct run_screen *s, const json_t *report,
                        const struct drill_verdict *v)
{
    int power = drill_power(v);
    if (s->cli->json)
        return;
    DR_FREE char *caught =
        power >= 0 ? dr_strf("drill power %d %%", power) : dr_strdup("drill power not measured");
    tell_refused(s, report);
    run_screen_say(s, "%s", "");
    if (v->passed)
        run_screen_say(s, "PASSED   %s; nothing left, production as before", caught);
    for (size_t i = 0; i < v->whys.count; i++)
        run_screen_say(s, "%-8s %s", i == 0 ? "FAILED" : "", v->whys.items[i]);
    tell_findings(s, json_object_get(report, "findings"));
    tell_figure(s, "RTO", json_object_get(report, "recovery_time"));
    tell_assumed(s, json_object_get(json_object_get(report, "drill"), "assumed"));
    tell_figure(s, "RPO", json_object_get(report, "data_loss"));
    tell_next(s, report, v);
    run_screen_say(s, "  report: drctl report --run %s", s->state.id);
}
