/*
 * drill_screen.c - a drill's own lines.
 */
#include "dr/cli/drill_screen.h"

#include <inttypes.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/data/duration.h"
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

static void tell_differs(const struct run_screen *s, const struct drill_table *t, enum step_how how,
                         const char *word, const char *front)
{
    DR_CLEANUP(buf_fini) struct buf line = { 0 };
    for (size_t i = 0; i < t->count; i++)
        if (t->rows[i].how == how)
            add(&line, t->rows[i].step);
    if (line.len > 0)
        run_screen_say(s, "%-8s %-13s %s", front, word, line.data);
}

void drill_tell_start(const struct run_screen *s, const struct script *script, const char *failed)
{
    static const struct {
        enum step_how how;
        const char *word;
    } rows[] = {
        { HOW_ISOLATED, "isolated" },         { HOW_SIMULATE, "simulate" },
        { HOW_WITH, "other names" },          { HOW_SKIP, "skip" },
        { HOW_NOT_MEASURED, "not measured" }, { HOW_RUN, "as in earnest" },
    };
    DR_CLEANUP(drill_table_fini) struct drill_table t = { 0 };
    const char *front = "DIFFERS";
    if (s->cli->json)
        return;
    script_drill_table(script, false, &t);
    run_screen_say(s, "DRILL    %s, plan %.*s     production is not touched%s%s%s", script->name,
                   DIGITS_SHOWN, script->sha256, failed != NULL ? "; " : "",
                   failed != NULL ? failed : "", failed != NULL ? " is DARK for this run" : "");
    for (size_t i = 0; i < DR_ARRAY_LEN(rows); i++) {
        tell_differs(s, &t, rows[i].how, rows[i].word, front);
        front = "";
    }
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
            run_screen_say(s, "  %-12s %s: %s found", text(b, "of"), text(b, "source"),
                           text(b, "found"));
        else
            run_screen_say(s, "! %-12s %s: wanted %s, found %s", text(b, "of"), text(b, "source"),
                           text(b, "wanted"),
                           text(b, "found")[0] != '\0' ? text(b, "found") : text(b, "why"));
    }
}

void drill_tell_caught(const struct run_screen *s, const struct journal_records *all)
{
    DR_CLEANUP(buf_fini) struct buf caught = { 0 };
    size_t planted = 0, good = 0;
    if (s->cli->json)
        return;
    for (size_t i = 0; i < all->count; i++) {
        const json_t *b = all->items[i].body;
        if (strcmp(all->items[i].type, "control") != 0 || !is_yes(b, "planted"))
            continue;
        planted++;
        if (!is_yes(b, "caught"))
            continue;
        add(&caught, text(b, "title"));
        good++;
    }
    if (planted == 0)
        run_screen_say(s, "CAUGHT   no fault could be planted: drill power is not measured");
    else
        run_screen_say(s, "CAUGHT   %zu of %zu%s%s", good, planted, good > 0 ? ":  " : "",
                       good > 0 ? caught.data : "");
    for (size_t i = 0; i < all->count; i++) {
        const json_t *b = all->items[i].body;
        if (strcmp(all->items[i].type, "control") != 0 || is_yes(b, "caught"))
            continue;
        run_screen_say(s, "         %s: %s: %s", is_yes(b, "planted") ? "MISSED" : "not planted",
                       text(b, "title"), text(b, "why"));
    }
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

/* Everything that is gone, by what it was. */
static size_t count_cleaned(const struct journal_records *all)
{
    size_t count = 0;
    for (size_t i = 0; i < all->count; i++)
        count += strcmp(all->items[i].type, "cleaned") == 0 && is_yes(all->items[i].body, "ok");
    return count;
}

void drill_tell_cleaned(const struct run_screen *s, const struct journal_records *all,
                        const struct drill_verdict *v)
{
    const json_t *after = NULL, *refused = NULL;
    if (s->cli->json)
        return;
    for (size_t i = 0; i < all->count; i++) {
        const struct journal_record *r = &all->items[i];
        if (strcmp(r->type, "production") == 0 && strcmp(text(r->body, "when"), "after") == 0)
            after = r->body;
        if (strcmp(r->type, "refused") == 0)
            refused = r->body;
    }
    size_t count = count_cleaned(all);
    run_screen_say(s, "CLEANED  %zu scratch place%s removed; %s; production before and after: %s",
                   count, CLI_S(count), v->leftovers.count == 0 ? "nothing left" : "LEFT BEHIND",
                   proof_word(json_object_get(after, "equal")));
    for (size_t i = 0; i < v->leftovers.count; i++)
        run_screen_say(s, "!        %s", v->leftovers.items[i]);
    tell_production(s, after);
    if (refused == NULL)
        return;
    DR_CLEANUP(buf_fini) struct buf by = { 0 };
    const json_t *list = json_object_get(refused, "by");
    for (size_t i = 0; i < json_array_size(list); i++)
        add(&by, text(json_array_get(list, i), "who"));
    run_screen_say(s, "CONNECTIONS to %s: %" JSON_INTEGER_FORMAT " refused%s%s",
                   text(refused, "region"), json_integer_value(json_object_get(refused, "count")),
                   by.len > 0 ? ", by " : "", by.len > 0 ? by.data : "");
}

/* "9m 58s to 12m 20s of 30m  MET", or "not measured". The caller frees. */
static char *figure(const json_t *f)
{
    char lo[DURATION_TEXT_MAX], hi[DURATION_TEXT_MAX], of[DURATION_TEXT_MAX];
    const json_t *from = json_object_get(f, "lo_ms"), *to = json_object_get(f, "hi_ms");
    const json_t *objective = json_object_get(f, "objective_ms");
    struct buf out = { 0 };
    if (json_is_integer(from))
        buf_adds(&out, duration_tell(json_integer_value(from), lo));
    if (json_is_integer(to) && !json_equal(from, to))
        buf_addf(&out, "%s%s", json_is_integer(from) ? " to " : "at most ",
                 duration_tell(json_integer_value(to), hi));
    else if (!json_is_integer(to))
        buf_adds(&out, json_is_integer(from) ? " at least" : "not measured");
    if (json_is_integer(objective) && json_integer_value(objective) >= 0)
        buf_addf(&out, " of %s  %s", duration_tell(json_integer_value(objective), of),
                 text(f, "verdict"));
    return buf_take(&out);
}

void drill_tell_verdict(const struct run_screen *s, const json_t *report,
                        const struct drill_verdict *v)
{
    int power = drill_power(v);
    if (s->cli->json)
        return;
    DR_FREE char *rto = figure(json_object_get(report, "recovery_time"));
    DR_FREE char *rpo = figure(json_object_get(report, "data_loss"));
    DR_FREE char *caught =
        power >= 0 ? dr_strf("drill power %d %%", power) : dr_strdup("drill power not measured");
    run_screen_say(s, "%s", "");
    if (v->passed)
        run_screen_say(s, "PASSED   %s; nothing left, production as before", caught);
    for (size_t i = 0; i < v->whys.count; i++)
        run_screen_say(s, "%-8s %s", i == 0 ? "FAILED" : "", v->whys.items[i]);
    run_screen_say(s, "         RTO %s", rto);
    run_screen_say(s, "         RPO %s", rpo);
    if (!v->passed)
        run_screen_say(s, "  next: mend it, then   drctl drill %s", s->state.plan);
    run_screen_say(s, "  report: drctl report --run %s", s->state.id);
}
