/*
 * schedule.c - grids, jitter and backoff, as arithmetic on int64_t.
 */
#include "backup/daemon/schedule.h"

#include <string.h>
#include <time.h>

#include "dr/base/mem.h"
#include "dr/cli/cli.h"
#include "dr/data/time.h"

static const int64_t NS = 1000000, SECOND_NS = 1000000000; /* NS: in a millisecond */
static const int64_t S = 1000, MINUTE = 60000, HOUR = 3600000, DAY = 86400000;

/* 1970-01-04, a Sunday: slots of 7d begin with one, and those of 24h at midnight UTC. */
static const int64_t GRID_MS = 259200000;

static const char *const words[SCHEDULE_WHATS] = {
    [SCHEDULE_LOOK] = "look",
    [SCHEDULE_FULL] = "full",
    [SCHEDULE_INCREMENTAL] = "incremental",
    [SCHEDULE_CONFIG] = "config",
    [SCHEDULE_SENTINEL] = "sentinel",
    [SCHEDULE_REPAIR] = "repair",
    [SCHEDULE_PRUNE] = "prune",
    [SCHEDULE_VERIFY] = "verify",
    [SCHEDULE_PREFLIGHT] = "preflight",
    [SCHEDULE_DRILL] = "drill",
    [SCHEDULE_ANCHOR] = "anchor",
    [SCHEDULE_STATUS] = "status",
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

const char *schedule_word(enum schedule_what what)
{
    DR_ASSERT(what < SCHEDULE_WHATS);
    return words[what];
}

bool schedule_is_backup(enum schedule_what what)
{
    return what == SCHEDULE_FULL || what == SCHEDULE_INCREMENTAL || what == SCHEDULE_CONFIG;
}

bool schedule_is_inner(enum schedule_what what)
{
    return what == SCHEDULE_LOOK || what == SCHEDULE_STATUS;
}

/* Small and quick: it needs no room beside others. */
static bool is_quick(enum schedule_what what)
{
    return schedule_is_inner(what) || what == SCHEDULE_SENTINEL;
}

/* ---- rows -------------------------------------------------------------------------------------- */

void schedule_fini(struct schedule *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->rows[i].subject);
    free(s->rows);
    s->rows = NULL;
    s->count = 0;
}

static bool same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

struct schedule_row *schedule_find(const struct schedule *s, enum schedule_what what,
                                   const char *subject)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->rows[i].what == what && same(s->rows[i].subject, subject))
            return &s->rows[i];
    return NULL;
}

struct schedule_row *schedule_add(struct schedule *s, enum schedule_what what, const char *subject,
                                  const struct schedule_every *every)
{
    DR_ASSERT(schedule_find(s, what, subject) == NULL);
    s->rows = dr_realloc(s->rows, s->count + 1, sizeof(*s->rows));
    struct schedule_row *row = &s->rows[s->count++];
    *row = (struct schedule_row){ .what = what,
                                  .subject = subject != NULL ? dr_strdup(subject) : NULL,
                                  .every = *every,
                                  .exit = -1 };
    row->every.ms = most(every->ms, S);
    return row;
}

/* ---- time -------------------------------------------------------------------------------------- */

static void move(int64_t *ns, int64_t by_ns)
{
    if (*ns != 0)
        *ns = most(*ns + by_ns, 1);
}

static void forget_future(struct schedule_row *row, int64_t now_ns)
{
    int64_t *all[] = { &row->since_ns, &row->start_ns, &row->end_ns, &row->good_ns };
    for (size_t i = 0; i < DR_ARRAY_LEN(all); i++)
        if (*all[i] > now_ns)
            *all[i] = 0;
    row->wanted_ns = least(row->wanted_ns, now_ns);
}

void schedule_tick(struct schedule *s, int64_t wall_ns, int64_t boot_ns)
{
    bool first = s->wall_ns == 0;
    int64_t passed_ns = boot_ns - s->boot_ns;
    int64_t jump_ns = first ? 0 : wall_ns - s->wall_ns - passed_ns;
    for (size_t i = 0; i < s->count; i++) {
        struct schedule_row *row = &s->rows[i];
        int64_t *all[] = { &row->since_ns, &row->start_ns, &row->end_ns, &row->good_ns,
                           &row->wanted_ns };
        for (size_t k = 0; jump_ns != 0 && k < DR_ARRAY_LEN(all); k++)
            move(all[k], jump_ns);
        if (first)
            forget_future(row, wall_ns);
        if (row->since_ns == 0)
            row->since_ns = wall_ns;
    }
    move(&s->awake_ns, jump_ns);
    if (first || passed_ns > SCHEDULE_AWAKE_MS * NS)
        s->awake_ns = wall_ns;
    s->wall_ns = wall_ns;
    s->boot_ns = boot_ns;
}

/* FNV-1a; the last multiplications spread what differs in one letter over all bits (splitmix64). */
static uint64_t add_text(uint64_t hash, const char *text)
{
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3U;
    return (hash ^ 0xffU) * 0x100000001b3U;
}

/* The same number on each day for the same host and row. */
static uint64_t hash_of(const struct schedule *s, const struct schedule_row *row, const char *salt,
                        int number)
{
    uint64_t hash = (0xcbf29ce484222325U ^ s->host) * 0x100000001b3U;
    hash = add_text(hash, schedule_word(row->what));
    hash = add_text(hash, row->subject != NULL ? row->subject : "");
    hash = add_text(hash, salt) + (uint64_t)number;
    hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9U;
    hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebU;
    return hash ^ (hash >> 31);
}

static int64_t part_of(uint64_t number, int64_t max_ms)
{
    return (int64_t)(number % (uint64_t)(max_ms + 1));
}

int64_t schedule_jitter_max_ms(int64_t every_ms)
{
    return least(every_ms / 4, 6 * HOUR);
}

int64_t schedule_jitter_ms(const struct schedule *s, const struct schedule_row *row)
{
    return part_of(hash_of(s, row, "slot", 0), schedule_jitter_max_ms(row->every.ms));
}

/* After a power failure all hosts of a room come back together. */
static int64_t catch_up_ms(const struct schedule *s, const struct schedule_row *row)
{
    if (s->at_once)
        return 0;
    return part_of(hash_of(s, row, "late", 0), least(row->every.ms / 20, 5 * MINUTE));
}

/* Days, months: what a word means, from the midnight of a local day. */
static bool is_calendar(const struct schedule_every *every)
{
    return every->word != NULL && strcmp(every->word, "hourly") != 0;
}

/* The period of the calendar that t is in, or the one so many behind it; its midnight, or its minute. */
static int64_t period_s(const struct schedule_every *every, int64_t t, int behind)
{
    time_t then = (time_t)t;
    struct tm tm;
    localtime_r(&then, &tm);
    tm.tm_hour = every->at ? every->minute / 60 : 0;
    tm.tm_min = every->at ? every->minute % 60 : 0;
    tm.tm_sec = 0;
    tm.tm_isdst = -1;
    if (strcmp(every->word, "daily") == 0) {
        tm.tm_mday += behind;
    } else if (strcmp(every->word, "weekly") == 0) {
        tm.tm_mday += 7 * behind - tm.tm_wday;
    } else {
        int months = strcmp(every->word, "monthly") == 0 ? 1 : 12;
        months = strcmp(every->word, "quarterly") == 0 ? 3 : months;
        tm.tm_mday = 1;
        tm.tm_mon += months * behind - tm.tm_mon % months;
    }
    return (int64_t)mktime(&tm);
}

static int64_t floor_s(int64_t ns)
{
    return ns / SECOND_NS - (ns % SECOND_NS < 0);
}

static void calendar_slot(const struct schedule *s, const struct schedule_row *row, int64_t *ret_ns,
                          int64_t *ret_next_ns)
{
    int64_t jitter_ns = row->every.at ? 0 : schedule_jitter_ms(s, row) * NS;
    int64_t now_s = floor_s(s->wall_ns - jitter_ns);
    int64_t from_s = period_s(&row->every, now_s, 0);
    int behind = from_s > now_s ? -1 : 0; /* before the minute of its first day */
    *ret_ns = period_s(&row->every, now_s, behind) * SECOND_NS + jitter_ns;
    *ret_next_ns = period_s(&row->every, now_s, behind + 1) * SECOND_NS + jitter_ns;
}

void schedule_slot_ns(const struct schedule *s, const struct schedule_row *row, int64_t *ret_ns,
                      int64_t *ret_next_ns)
{
    if (is_calendar(&row->every)) {
        calendar_slot(s, row, ret_ns, ret_next_ns);
        return;
    }
    int64_t every_ns = row->every.ms * NS;
    int64_t into_ns = (s->wall_ns - (GRID_MS + schedule_jitter_ms(s, row)) * NS) % every_ns;
    if (into_ns < 0)
        into_ns += every_ns;
    *ret_ns = s->wall_ns - into_ns;
    *ret_next_ns = *ret_ns + every_ns;
}

/* ---- due --------------------------------------------------------------------------------------- */

static int64_t backoff_ms(const struct schedule *s, const struct schedule_row *row)
{
    int64_t first = most(least(row->every.ms / 16, MINUTE), S);
    int64_t top = least(row->every.ms, schedule_is_backup(row->what) ? HOUR : 6 * HOUR);
    int64_t ms = first;
    for (int i = 1; i < row->failures && ms < top; i++)
        ms *= 2;
    ms = least(ms, top * 3 / 4);
    return ms + part_of(hash_of(s, row, "again", row->failures), ms / 4);
}

static bool tries_again(const struct schedule_row *row)
{
    return row->what != SCHEDULE_DRILL || row->exit == EXIT_BUSY;
}

/* Not at once: a bucket that was away for a moment is back in a minute. */
static int64_t repair_due_ns(const struct schedule *s, const struct schedule_row *row)
{
    if (row->wanted_ns == 0)
        return INT64_MAX;
    if (row->hurry)
        return s->awake_ns;
    if (row->failures > 0 && !s->at_once)
        return row->end_ns + backoff_ms(s, row) * NS;
    return row->wanted_ns + MINUTE * NS;
}

/* A prune waits for a full that runs, and follows one that has ended, unless it has just been. Before the first
 * full there is nothing to prune. */
static int64_t prune_due_ns(const struct schedule *s, const struct schedule_row *row,
                            int64_t due_ns)
{
    bool any = false, good = false;
    for (size_t i = 0; i < s->count; i++) {
        const struct schedule_row *full = &s->rows[i];
        if (full->what != SCHEDULE_FULL)
            continue;
        if (full->running)
            return INT64_MAX;
        any = true;
        good = good || full->good_ns != 0;
        if (full->good_ns > row->start_ns)
            due_ns = least(due_ns, most(full->good_ns, row->start_ns + row->every.ms / 2 * NS));
    }
    return any && !good ? INT64_MAX : due_ns;
}

static bool look_is_missing(const struct schedule *s)
{
    const struct schedule_row *look = schedule_find(s, SCHEDULE_LOOK, NULL);
    return s->look_first && look != NULL && look->end_ns == 0;
}

static int64_t begun_of(const struct schedule_row *row)
{
    return most(row->start_ns, row->good_ns);
}

/* As if we had been there all the time. */
static int64_t natural_due_ns(const struct schedule *s, const struct schedule_row *row)
{
    if (row->what == SCHEDULE_REPAIR)
        return repair_due_ns(s, row);
    if (row->failures > 0 && tries_again(row))
        return s->at_once ? s->wall_ns : row->end_ns + backoff_ms(s, row) * NS;
    if (row->interrupted)
        return row->start_ns;
    int64_t slot_ns, next_ns;
    schedule_slot_ns(s, row, &slot_ns, &next_ns);
    int64_t due_ns = begun_of(row) >= slot_ns ? next_ns : slot_ns;
    return row->what == SCHEDULE_PRUNE ? prune_due_ns(s, row, due_ns) : due_ns;
}

/* What is due, not before we are there, and not all hosts at once. */
static int64_t plain_due_ns(const struct schedule *s, const struct schedule_row *row)
{
    int64_t due_ns = natural_due_ns(s, row);
    return due_ns < s->awake_ns ? s->awake_ns + catch_up_ms(s, row) * NS : due_ns;
}

/* Where a full is to be caught up, too, it is the one that is done: the lesser rows wait for it. */
static int64_t full_due_ns(const struct schedule *s, const struct schedule_row *row)
{
    const struct schedule_row *full = schedule_find(s, SCHEDULE_FULL, row->subject);
    bool lesser = row->what == SCHEDULE_INCREMENTAL || row->what == SCHEDULE_CONFIG;
    if (!lesser || full == NULL || full->running || full->failures > 0 ||
        (s->at_once && full->ran) || natural_due_ns(s, full) > s->awake_ns)
        return 0;
    return plain_due_ns(s, full);
}

int64_t schedule_due_ns(const struct schedule *s, const struct schedule_row *row)
{
    if (row->running || row->held)
        return INT64_MAX;
    if (schedule_is_backup(row->what) && begun_of(row) == 0 && look_is_missing(s))
        return INT64_MAX;
    if (row->what == SCHEDULE_LOOK && !row->ran)
        return s->awake_ns;
    return most(plain_due_ns(s, row), full_due_ns(s, row));
}

/* May the row begin beside those that run? */
static bool has_room(const struct schedule *s, const struct schedule_row *row)
{
    if (s->at_once && row->ran)
        return false;
    int backups = 0, others = 0;
    bool backup = schedule_is_backup(row->what);
    for (size_t i = 0; i < s->count; i++) {
        const struct schedule_row *r = &s->rows[i];
        if (!r->running)
            continue;
        backups += schedule_is_backup(r->what);
        others += !schedule_is_backup(r->what) && !is_quick(r->what);
        if (backup && schedule_is_backup(r->what) && same(r->subject, row->subject))
            return false;
    }
    /* Retention expires nothing of a source whose newest snapshot is not in all buckets yet. */
    if (row->what == SCHEDULE_PRUNE && backups > 0 && !schedule_overdue(s, row))
        return false;
    if (backup)
        return backups < SCHEDULE_BACKUPS;
    return is_quick(row->what) || others < 1;
}

struct schedule_row *schedule_next(const struct schedule *s)
{
    struct schedule_row *best = NULL;
    int64_t best_ns = 0;
    for (size_t i = 0; i < s->count; i++) {
        struct schedule_row *row = &s->rows[i];
        int64_t due_ns = schedule_due_ns(s, row);
        if (due_ns > s->wall_ns || !has_room(s, row))
            continue;
        if (best == NULL || row->what < best->what ||
            (row->what == best->what && due_ns < best_ns)) {
            best = row;
            best_ns = due_ns;
        }
    }
    return best;
}

/* What is due and has no room waits for the end of a job, which wakes us anyway. */
int64_t schedule_wait_ms(const struct schedule *s)
{
    int64_t wait_ns = SCHEDULE_WAIT_MS * NS;
    for (size_t i = 0; i < s->count; i++) {
        int64_t due_ns = schedule_due_ns(s, &s->rows[i]);
        if (due_ns > s->wall_ns)
            wait_ns = least(wait_ns, due_ns - s->wall_ns);
        else if (has_room(s, &s->rows[i]))
            return 0;
    }
    return (wait_ns + NS - 1) / NS;
}

/* ---- what came of it ----------------------------------------------------------------------------- */

void schedule_started(struct schedule *s, struct schedule_row *row)
{
    DR_ASSERT(!row->running);
    row->start_ns = s->wall_ns;
    row->running = row->ran = true;
    row->interrupted = false;
}

enum outcome {
    GOOD,
    POOR,
    BAD
}; /* POOR: nothing to be proud of, and trying again at once is no help */

static enum outcome judge(const struct schedule_row *row, int exit)
{
    if (exit == EXIT_DONE || exit == EXIT_WARNINGS)
        return GOOD;
    switch (row->what) {
    case SCHEDULE_FULL:
    case SCHEDULE_INCREMENTAL:
    case SCHEDULE_CONFIG:
        return exit == EXIT_DEGRADED ? POOR : BAD; /* fewer copies than wanted: not durable */
    case SCHEDULE_VERIFY:
        return exit == EXIT_DEGRADED ? GOOD : BAD; /* it looked, and found something */
    case SCHEDULE_STATUS:
        return exit == EXIT_FAILED || exit == EXIT_USAGE ? BAD : GOOD; /* it tells what it sees */
    case SCHEDULE_DRILL:
        return exit == EXIT_MISSED ? GOOD : BAD;
    case SCHEDULE_SENTINEL:
        return POOR; /* the next one comes in a minute */
    default:
        return BAD;
    }
}

static void stand_for(struct schedule *s, const char *source, int64_t begun_ns)
{
    static const enum schedule_what lesser[] = { SCHEDULE_INCREMENTAL, SCHEDULE_CONFIG };
    for (size_t i = 0; i < DR_ARRAY_LEN(lesser); i++) {
        struct schedule_row *row = schedule_find(s, lesser[i], source);
        if (row == NULL || row->good_ns >= begun_ns)
            continue;
        row->good_ns = begun_ns;
        row->failures = 0;
        row->interrupted = false;
    }
}

void schedule_ended(struct schedule *s, struct schedule_row *row, int exit)
{
    DR_ASSERT(row->running);
    enum outcome outcome = judge(row, exit);
    row->running = false;
    row->end_ns = s->wall_ns;
    row->exit = exit;
    row->failures = outcome == BAD ? row->failures + 1 : 0;
    row->hurry = false;
    if (outcome != GOOD)
        return;
    row->wanted_ns = 0;
    row->good_ns = most(row->good_ns, row->start_ns);
    row->took_ms = (row->end_ns - row->start_ns) / NS;
    if (row->what == SCHEDULE_FULL)
        stand_for(s, row->subject, row->start_ns);
}

void schedule_interrupted(struct schedule *s, struct schedule_row *row)
{
    DR_ASSERT(row->running);
    row->running = false;
    row->interrupted = true;
    row->end_ns = s->wall_ns;
}

void schedule_left(struct schedule *s, bool left)
{
    struct schedule_row *row = schedule_find(s, SCHEDULE_REPAIR, NULL);
    if (row == NULL)
        return;
    if (left && row->wanted_ns == 0)
        row->wanted_ns = s->wall_ns;
    else if (!left && row->wanted_ns != 0 && s->wall_ns - row->end_ns > MINUTE * NS)
        row->hurry = true;
}

void schedule_seen(struct schedule *s, const char *source, enum schedule_what kind,
                   int64_t begun_ns)
{
    struct schedule_row *row = schedule_find(s, kind, source);
    if (begun_ns > s->wall_ns)
        return;
    if (row != NULL && row->good_ns < begun_ns) {
        row->good_ns = begun_ns;
        if (row->end_ns < begun_ns)
            row->failures = 0;
    }
    if (kind == SCHEDULE_FULL)
        stand_for(s, source, begun_ns);
}

/* A healthy row is as old as its interval and the run that renews it. */
bool schedule_overdue(const struct schedule *s, const struct schedule_row *row)
{
    bool repair = row->what == SCHEDULE_REPAIR;
    if (schedule_is_inner(row->what) || (repair && row->wanted_ns == 0))
        return false;
    int64_t from_ns = row->good_ns != 0 ? row->good_ns : row->since_ns;
    int64_t slack_ms = most(row->every.ms / 2, 2 * row->took_ms) + 5 * S;
    if (repair)
        from_ns = row->wanted_ns;
    if (row->what == SCHEDULE_DRILL) /* a month and a week, not a month and a half */
        slack_ms = least(slack_ms, 7 * DAY);
    return s->wall_ns - from_ns > (row->every.ms + slack_ms) * NS;
}

int64_t schedule_deadline_ms(const struct schedule_row *row)
{
    if (row->deadline_ms > 0)
        return row->deadline_ms;
    switch (row->what) {
    case SCHEDULE_FULL:
    case SCHEDULE_INCREMENTAL:
    case SCHEDULE_CONFIG:
        /* The first one reads all that there is, over whatever line there is. */
        return most(most(4 * row->every.ms, HOUR), row->good_ns == 0 ? 7 * DAY : 0);
    case SCHEDULE_LOOK:
    case SCHEDULE_STATUS:
        return 5 * MINUTE;
    case SCHEDULE_SENTINEL:
        return MINUTE;
    case SCHEDULE_PREFLIGHT:
    case SCHEDULE_ANCHOR:
        return HOUR;
    default:
        return DAY;
    }
}

/* ---- telling ------------------------------------------------------------------------------------- */

static void put_time(json_t *o, const char *key, int64_t ns)
{
    char text[TIME_TEXT_MAX];
    json_put(o, key,
             ns == 0 || ns == INT64_MAX ? json_null() : json_string(time_print_s(ns, text)));
}

json_t *schedule_json(const struct schedule *s)
{
    json_t *list = json_array();
    for (size_t i = 0; i < s->count; i++) {
        const struct schedule_row *row = &s->rows[i];
        if (schedule_is_inner(row->what))
            continue;
        json_t *o = json_object();
        json_put_text(o, "what", schedule_word(row->what));
        bool plan = row->what == SCHEDULE_PREFLIGHT || row->what == SCHEDULE_DRILL;
        json_t *subject = row->subject != NULL ? json_printable(row->subject) : json_null();
        json_put(o, "source", plan ? json_null() : json_incref(subject));
        json_put(o, "plan", plan ? json_incref(subject) : json_null());
        json_decref(subject);
        put_time(o, "last_start", row->start_ns);
        put_time(o, "last_end", row->end_ns);
        json_put(o, "exit", row->exit >= 0 ? json_integer(row->exit) : json_null());
        put_time(o, "next", schedule_due_ns(s, row));
        json_put(o, "overdue", json_boolean(schedule_overdue(s, row)));
        if (json_array_append_new(list, o) != 0)
            dr_out_of_memory();
    }
    return list;
}
