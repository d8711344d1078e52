/*
 * run_screen_live.c - the part of the screen that is drawn again: the clock, the steps, the question.
 *
 * It never has more lines than the terminal has rows, and no line as wide as the terminal: else moving the
 * cursor up would miss its beginning. What does not fit is told as a number ("5 done") or as names
 * in a row; the steps that run, and the point of no return, always stand there.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/cli/run_screen.h"
#include "dr/data/duration.h"

enum {
    BAR_CELLS = 30,
    BAR_MIN = 5,
    DONE_CELLS = 15,
    MIDDLE_MAX = 44,
    MIDDLE_MIN = 20,
    ROWS_MIN = 6
};
enum { ID_COLUMNS = 11, STATE_COLUMNS = 9 };

/* -- the clock -------------------------------------------------------------------------------------- */

static void add_bar(struct buf *out, int64_t done, int64_t total, int cells)
{
    int64_t full = total <= 0 || done >= total ? cells : done * cells / total;
    buf_addc(out, '[');
    for (int i = 0; i < cells; i++)
        buf_addc(out, i < full ? '#' : '-');
    buf_addc(out, ']');
}

/* "RTO [#####------] 5m 20s of 30m"; the bar has what is left of columns. */
static void add_clock(const struct run_screen *s, int columns, struct buf *out)
{
    char gone[DURATION_TEXT_MAX];
    char most[DURATION_TEXT_MAX];
    char told[2 * DURATION_TEXT_MAX + 16];
    int64_t ms = (clock_wall_ns() - s->impact_ns) / 1000000;
    if (s->impact_ns == 0)
        return;
    if (s->rto_ms <= 0) {
        buf_addf(out, "%s since it broke", duration_tell(ms, gone));
        return;
    }
    if (ms > s->rto_ms)
        (void)snprintf(told, sizeof(told), "OVER by %s", duration_tell(ms - s->rto_ms, gone));
    else
        (void)snprintf(told, sizeof(told), "%s of %s", duration_tell(ms, gone),
                       duration_print(s->rto_ms, most));
    int cells = columns - (int)strlen(told) - 7; /* "RTO [] " */
    buf_adds(out, "RTO ");
    if (cells >= BAR_MIN) {
        add_bar(out, ms, s->rto_ms, cells < BAR_CELLS ? cells : BAR_CELLS);
        buf_addc(out, ' ');
    }
    buf_adds(out, told);
}

static void add_head(const struct run_screen *s, int columns, struct text_list *out)
{
    const struct run_state *st = &s->state;
    DR_CLEANUP(buf_fini) struct buf head = { 0 };
    DR_CLEANUP(buf_fini) struct buf clock = { 0 };
    buf_addf(&head, "%s %s%s", st->id, st->dry ? "dry run " : "", st->mode);
    if (st->failed != NULL)
        buf_addf(&head, " %s -> %s", st->failed, st->target != NULL ? st->target : "...");
    int used = screen_columns(head.data);
    if (used + 48 <= columns) {
        buf_addf(&head, "   epoch %" PRId64 "   ", st->epoch);
        add_clock(s, columns - screen_columns(head.data), &head);
        text_list_add(out, head.data);
        return;
    }
    add_clock(s, columns, &clock);
    text_list_add(out, head.data);
    if (clock.len > 0)
        text_list_add(out, clock.data);
}

/* -- a step ----------------------------------------------------------------------------------------- */

static bool is_now(const struct state_step *st)
{
    return st->at == AT_RUNNING || st->at == AT_CHECKING || st->at == AT_UNDOING ||
           st->at == AT_WAITING;
}

static void add_amount(const struct screen_step *p, struct buf *out)
{
    char a[DURATION_TEXT_MAX];
    char b[DURATION_TEXT_MAX];
    bool bytes = strcmp(p->unit, "bytes") == 0;
    if (bytes && p->total > 0)
        buf_addf(out, "%s of %s  ", text_size(a, sizeof(a), (uint64_t)p->done),
                 text_size(b, sizeof(b), (uint64_t)p->total));
    else if (strcmp(p->unit, "ms") == 0)
        buf_addf(out, "%s of %s  ", duration_tell(p->done, a), duration_tell(p->total, b));
    else if (bytes)
        buf_addf(out, "%s", text_size(a, sizeof(a), (uint64_t)p->done));
    else if (p->total > 0)
        buf_addf(out, "%" PRId64 " of %" PRId64 " %s  ", p->done, p->total, p->unit);
    else
        buf_addf(out, "%" PRId64 " %s", p->done, p->unit);
    if (p->total > 0) {
        add_bar(out, p->done, p->total, DONE_CELLS);
        buf_addf(out, " %" PRId64 "%%", p->done >= p->total ? 100 : p->done * 100 / p->total);
    }
}

/* "91 MiB/s, 3m 40s left" */
static void add_rate(const struct screen_step *p, struct buf *out)
{
    char text[DURATION_TEXT_MAX];
    int64_t ms = p->heard_ms - p->first_ms;
    int64_t moved = p->done - p->first_done;
    if (strcmp(p->unit, "bytes") != 0 || ms <= 0 || moved <= 0)
        return;
    double rate = (double)moved * 1000.0 / (double)ms;
    buf_addf(out, "  %s/s", text_size(text, sizeof(text), (uint64_t)rate));
    if (p->total > p->done)
        buf_addf(out, ", %s left",
                 duration_tell((int64_t)((double)(p->total - p->done) * 1000.0 / rate), text));
}

static void add_stall(const struct screen_step *p, const struct state_step *st, struct buf *out)
{
    char text[DURATION_TEXT_MAX];
    int64_t silent = clock_boot_ms() - p->heard_ms;
    if (st->at == AT_WAITING || p->heard_ms == 0 || silent < STALLED_MS)
        return;
    buf_addf(out, "  no progress for %s: waits for %s", duration_tell(silent, text), st->use);
    if (p->timeout_ms > 0)
        buf_addf(out, ", at most %s", duration_print(p->timeout_ms, text));
}

static void pad(struct buf *out, int columns)
{
    for (int have = screen_columns(out->data); have < columns; have++)
        buf_addc(out, ' ');
}

static void add_middle(const struct run_screen *s, size_t i, int columns, struct buf *out)
{
    const struct state_step *st = &s->state.steps[i];
    DR_CLEANUP(buf_fini) struct buf middle = { 0 };
    if (is_now(st) && s->steps[i].unit[0] != '\0')
        add_amount(&s->steps[i], &middle);
    else
        buf_adds(&middle, st->title != NULL ? st->title : "");
    DR_FREE char *clean = screen_clean(middle.data);
    buf_clear(&middle);
    buf_adds(&middle, clean);
    screen_cut(&middle, columns);
    buf_addf(out, "%s", middle.data);
}

static void add_step(const struct run_screen *s, size_t i, int columns, struct buf *out)
{
    char text[DURATION_TEXT_MAX];
    const struct state_step *st = &s->state.steps[i];
    const struct screen_step *p = &s->steps[i];
    bool now = is_now(st);
    int middle = columns - 2 - ID_COLUMNS - STATE_COLUMNS - 8;
    buf_addf(out, "%s %-*s", now ? ">" : " ", ID_COLUMNS - 1, st->id);
    buf_addc(out, ' ');
    int from = screen_columns(out->data);
    middle = middle > MIDDLE_MAX ? MIDDLE_MAX : middle;
    if (middle >= MIDDLE_MIN) {
        add_middle(s, i, middle, out);
        pad(out, from + middle);
        buf_addc(out, ' ');
    }
    bool ahead = st->ponr && st->at == AT_PENDING;
    if (ahead)
        buf_adds(out, "NO WAY BACK after it");
    else if (st->at != AT_PENDING)
        buf_addf(out, "%-*s", STATE_COLUMNS - 1, step_at_name(st->at));
    if (now)
        buf_addf(out, " %-7s",
                 duration_tell((clock_boot_ns() - st->since_boot_ns) / 1000000, text));
    else if (st->dur_ms > 0)
        buf_addf(out, " %s", duration_tell(st->dur_ms, text));
    if (now && middle < MIDDLE_MIN && p->unit[0] != '\0') {
        buf_addc(out, ' ');
        add_amount(p, out);
    }
    if (now && p->unit[0] != '\0')
        add_rate(p, out);
    if (now)
        add_stall(p, st, out);
    if (now && p->words != NULL && p->unit[0] == '\0')
        buf_addf(out, "  %s", p->words);
    if (st->ponr && now)
        buf_adds(out, "  NO WAY BACK after it");
}

/* -- all of it --------------------------------------------------------------------------------------- */

static void add_names(const struct run_screen *s, size_t first, int columns, struct text_list *out)
{
    DR_CLEANUP(buf_fini) struct buf names = { 0 };
    buf_adds(&names, " ");
    for (size_t i = first; i < s->state.step_count; i++) {
        const struct state_step *st = &s->state.steps[i];
        buf_addf(&names, " %s%s%s", st->id,
                 st->ponr && st->at == AT_PENDING ? " (NO WAY BACK after it)" : "",
                 i + 1 < s->state.step_count ? "," : "");
    }
    screen_cut(&names, columns);
    text_list_add(out, names.data);
}

/* As many steps as there are rows: the settled ones above become a number, the last ones a row. */
static void add_steps(const struct run_screen *s, int columns, size_t rows, struct text_list *out)
{
    size_t count = s->state.step_count;
    size_t first = 0;
    if (count > rows)
        while (first + 1 < count && count - first + 1 > rows &&
               state_settled(&s->state.steps[first]))
            first++;
    if (first > 0) {
        DR_FREE char *line = dr_strf("  ... %zu done", first);
        text_list_add(out, line);
        rows--;
    }
    size_t shown = count - first <= rows ? count - first : rows - 1;
    for (size_t i = first; i < first + shown; i++) {
        DR_CLEANUP(buf_fini) struct buf line = { 0 };
        add_step(s, i, columns, &line);
        text_list_add(out, line.data);
    }
    if (first + shown < count)
        add_names(s, first + shown, columns, out);
}

void run_screen_rest(struct run_screen *s)
{
    if (s->standing && s->drawn > 0)
        printf("\r\x1b[%dA\x1b[J", s->drawn);
    else if (s->standing)
        (void)fputs("\r\x1b[J", stdout);
    s->drawn = 0;
    s->standing = false;
    (void)fflush(stdout);
}

static void add_prompt(const struct run_screen *s, int columns, struct text_list *out)
{
    for (size_t i = 0; i < s->prompt.count; i++) {
        DR_FREE char *whole = dr_strf("%s%s", s->prompt.items[i],
                                      i + 1 == s->prompt.count && s->typed != NULL ? s->typed : "");
        DR_FREE char *clean = screen_clean(whole);
        screen_wrap(clean, columns, out);
    }
}

void run_screen_draw(struct run_screen *s)
{
    if (!s->live || run_is_final(s->state.phase) || s->state.id == NULL)
        return;
    int columns = run_screen_width() - 1;
    DR_CLEANUP(text_list_fini) struct text_list lines = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list prompt = { 0 };
    add_head(s, columns, &lines);
    add_prompt(s, columns, &prompt);
    size_t rows = (size_t)run_screen_rows() - 1;
    size_t taken = lines.count + prompt.count;
    add_steps(s, columns, rows > taken + 3 ? rows - taken : 3, &lines);
    size_t total = lines.count + prompt.count;
    run_screen_rest(s);
    for (size_t i = 0; i < total; i++) {
        bool asks = i >= lines.count;
        const char *line = asks ? prompt.items[i - lines.count] : lines.items[i];
        if (total > rows && i < total - rows)
            continue; /* a very low terminal: its end is what counts */
        DR_FREE char *clean = screen_clean(line);
        DR_CLEANUP(buf_fini) struct buf cut = { 0 };
        buf_adds(&cut, clean);
        screen_cut(&cut, columns);
        bool last = asks && i + 1 == total;
        printf("%s%s", cut.data != NULL ? cut.data : "", last ? "" : "\n");
        s->drawn += !last;
    }
    s->standing = true;
    s->drawn_ms = clock_boot_ms();
    (void)fflush(stdout);
}

void run_screen_ask(struct run_screen *s, const struct text_list *lines)
{
    run_screen_rest(s);
    text_list_fini(&s->prompt);
    free(s->typed);
    s->typed = NULL;
    s->prompt = (struct text_list){ 0 };
    for (size_t i = 0; lines != NULL && i < lines->count; i++) {
        text_list_add(&s->prompt, lines->items[i]);
        if (!s->live && i + 1 < lines->count)
            run_screen_say(s, "%s", lines->items[i]);
        else if (!s->live)
            (void)fputs(lines->items[i], stdout);
    }
    (void)fflush(stdout);
    run_screen_draw(s);
}
