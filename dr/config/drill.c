/*
 * drill.c - the table of drill_schedule: how often, at what time of the day, with whom, and when not.
 *
 * A blackout says days of the calendar, days of the week, or hours; what it says holds together. Its
 * dates are read here so strictly (a day that there is, in ten letters) that they compare as text.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "dr/config/load.h"

#define AT(type, field) .to = offsetof(struct type, field)

enum { DATE_BYTES = 10, CLOCK_BYTES = 5 }; /* 2026-12-20, 22:00 */

/* ---- blackout ---------------------------------------------------------------------------------- */

static bool is_date(const char *text, size_t len)
{
    static const char shape[] = "dddd-dd-dd";
    if (len != DATE_BYTES)
        return false;
    for (size_t i = 0; i < DATE_BYTES; i++)
        if (shape[i] == '-' ? text[i] != '-' : (text[i] < '0' || text[i] > '9'))
            return false;
    int part[3] = { 0 };
    for (size_t i = 0, k = 0; i < DATE_BYTES; i++)
        if (text[i] == '-')
            k++;
        else
            part[k] = part[k] * 10 + (text[i] - '0');
    struct tm tm = { .tm_year = part[0] - 1900, .tm_mon = part[1] - 1, .tm_mday = part[2] };
    (void)timegm(&tm); /* for what it does to tm: the 31st of June becomes the 1st of July */
    return tm.tm_mon == part[1] - 1 && tm.tm_mday == part[2];
}

static void check_dates(struct reader *r, const struct yaml_node *map,
                        const struct config_blackout *b)
{
    struct yaml_node *nodes[] = { reader_value(map, "from"), reader_value(map, "to") };
    for (size_t i = 0; i < DR_ARRAY_LEN(nodes); i++) {
        if (nodes[i] == NULL || nodes[i]->kind != YAML_SCALAR ||
            is_date(nodes[i]->text, nodes[i]->len))
            continue;
        reader_error(r, nodes[i], "date", "'%s' is not a day", nodes[i]->text);
        diag_hint(r->d, "write year, month and day: 2026-12-20");
        return;
    }
    if (b->from == NULL || b->to == NULL || nodes[1] == NULL || strcmp(b->from, b->to) <= 0)
        return;
    reader_error(r, nodes[1], "date", "the blackout ends on %s, before it begins on %s", b->to,
                 b->from);
}

static void read_days(struct reader *r, struct yaml_node *key, struct yaml_node *value, void *out)
{
    static const char *const words[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat" };
    unsigned *days = out;
    struct text_list names = { 0 };
    if (reader_list(r, value, key->text, &names))
        for (size_t i = 0; i < value->count; i++) {
            struct yaml_node *node = value->items[i];
            size_t d = 0;
            while (d < DR_ARRAY_LEN(words) && !node->reported && strcmp(words[d], node->text) != 0)
                d++;
            if (node->reported)
                continue;
            if (d < DR_ARRAY_LEN(words)) {
                *days |= 1u << d;
                continue;
            }
            reader_error(r, node, "day", "'%s' is not a day of the week", node->text);
            if (!reader_hint_near(r, node->text, words, DR_ARRAY_LEN(words)))
                diag_hint(r->d, "sun, mon, tue, wed, thu, fri, sat");
        }
    text_list_fini(&names);
}

static void read_hours(struct reader *r, struct yaml_node *key, struct yaml_node *value, void *out)
{
    struct config_blackout *b = out;
    int start = 0, end = 0;
    if (!reader_is(r, value, YAML_SCALAR, key->text))
        return;
    bool good = value->len == 2 * CLOCK_BYTES + 1 && value->text[CLOCK_BYTES] == '-' &&
                reader_clock(value->text, CLOCK_BYTES, &start) &&
                reader_clock(value->text + CLOCK_BYTES + 1, CLOCK_BYTES, &end) && start != end &&
                start < 24 * 60;
    if (good) {
        b->start_min = start;
        b->end_min = end;
        return;
    }
    reader_error(r, value, "time", "'%s' does not say from when to when", value->text);
    diag_hint(r->d, "write \"22:00-06:00\"");
}

static void finish_blackout(struct reader *r, struct yaml_node *map, void *out)
{
    static const char *const any[] = { "from", "to", "days", "hours" };
    check_dates(r, map, out);
    for (size_t i = 0; i < DR_ARRAY_LEN(any); i++)
        if (yaml_get(map, any[i], NULL) != NULL)
            return;
    reader_error(r, map, "blackout", "a blackout that does not say when would hold always");
    diag_hint(r->d, "write {from: 2026-12-20, to: 2027-01-02}, {days: [sat, sun]}, or "
                    "{hours: \"08:00-18:00\"}");
}

static const struct config_key blackout_keys[] = {
    { "from", KEY_TEXT, AT(config_blackout, from) },
    { "to", KEY_TEXT, AT(config_blackout, to) },
    { "days", KEY_OWN, AT(config_blackout, days), .read = read_days },
    { "hours", KEY_OWN, .to = 0, .read = read_hours },
    { "reason", KEY_TEXT, AT(config_blackout, reason) },
    { .name = NULL },
};
static const struct config_block blackout = {
    "a blackout",      blackout_keys,          sizeof(struct config_blackout),
    .at = KEY_NOWHERE, .name_to = KEY_NOWHERE, .finish = finish_blackout,
};

/* ---- drill_schedule ------------------------------------------------------------------------------ */

static void read_channels(struct reader *r, struct yaml_node *key, struct yaml_node *value,
                          void *out)
{
    reader_refs(r, value, key->text, KEY_CHANNEL, out);
}

static void fini_channels(void *out)
{
    text_list_fini(out);
}

static void finish_drill(struct reader *r, struct yaml_node *map, void *out)
{
    struct config_drill *drill = out;
    (void)r;
    drill->given = true;
    if (yaml_get(map, "time", NULL) == NULL)
        drill->time_min = -1;
}

static const struct config_key drill_keys[] = {
    { "frequency", KEY_FREQUENCY, AT(config_drill, frequency_ms),
      .count_to = offsetof(struct config_drill, frequency_word) },
    { "time", KEY_TIME, AT(config_drill, time_min) },
    { "plans", KEY_LIST, AT(config_drill, plans) },
    { "participants", KEY_LIST, AT(config_drill, participants) },
    { "notification_channels", KEY_OWN, AT(config_drill, channels), .read = read_channels,
      .fini = fini_channels },
    { "blackout", KEY_ROWS, AT(config_drill, blackouts),
      .count_to = offsetof(struct config_drill, blackout_count), .block = &blackout },
    { .name = NULL },
};
const struct config_block config_drill_block = {
    "'drill_schedule'",
    drill_keys,
    .at = offsetof(struct config_drill, at),
    .finish = finish_drill,
};

/* ---- questions ----------------------------------------------------------------------------------- */

static bool holds(const struct config_blackout *b, const struct tm *local)
{
    int min = local->tm_hour * 60 + local->tm_min;
    bool all_day = b->start_min == 0 && b->end_min == 0, night = b->start_min > b->end_min;
    bool early = night && min < b->end_min; /* what began on the day before */
    if (!all_day && !night && (min < b->start_min || min >= b->end_min))
        return false;
    if (night && !early && min < b->start_min)
        return false;
    struct tm day = { .tm_year = local->tm_year,
                      .tm_mon = local->tm_mon,
                      .tm_mday = local->tm_mday - (early ? 1 : 0) };
    (void)timegm(&day); /* the 0th of a month becomes a date, with its day of the week */
    char date[32];
    if (strftime(date, sizeof(date), "%Y-%m-%d", &day) == 0)
        return false;
    return (b->from == NULL || strcmp(b->from, date) <= 0) &&
           (b->to == NULL || strcmp(date, b->to) <= 0) &&
           (b->days == 0 || (b->days >> day.tm_wday & 1) != 0);
}

const struct config_blackout *config_blackout(const struct config *c, const struct tm *local)
{
    for (size_t i = 0; i < c->drill.blackout_count; i++)
        if (holds(&c->drill.blackouts[i], local))
            return &c->drill.blackouts[i];
    return NULL;
}
