/*
 * post.c - the queue of letters: which one is due, and what an answer means for it and its channel.
 *
 * Waits grow with the failures of the channel, not of the letter: a hundred letters for a dead server
 * ask it as seldom as one does. A refusal is the letter's own (its channel may take others); all
 * else keeps the whole channel waiting. Nothing is given up before a day has passed and twenty
 * attempts failed, so that neither a long sleep nor a jump of the clock throws letters away.
 */
#include <string.h>

#include "dr/base/mem.h"
#include "dr/net/retry.h"
#include "dr/notify/inside.h"

enum { ATTEMPTS_LEAST = 20 };

static const int64_t MS = 1000000;
static const int64_t DAY = INT64_C(86400) * 1000 * 1000000;

static const struct retry_policy waits = { .attempts = UINT32_MAX,
                                           .base_ms = 2000,
                                           .cap_ms = INT64_C(15) * 60 * 1000,
                                           .after_cap_ms = INT64_C(60) * 60 * 1000 };
static const struct retry_policy waits_refused = { .attempts = UINT32_MAX,
                                                   .base_ms = 60000,
                                                   .cap_ms = INT64_C(60) * 60 * 1000,
                                                   .after_cap_ms = INT64_C(60) * 60 * 1000 };

struct letter *alerts_letter(struct alerts *a, const char *id)
{
    for (size_t i = 0; i < a->letter_count; i++)
        if (strcmp(a->letters[i].id, id) == 0)
            return &a->letters[i];
    return NULL;
}

const struct channel_state *alerts_channel(const struct alerts *a, const char *name)
{
    for (size_t i = 0; i < a->channel_count; i++)
        if (strcmp(a->channels[i].name, name) == 0)
            return &a->channels[i];
    return NULL;
}

static struct channel_state *channel(struct alerts *a, const char *name)
{
    for (size_t i = 0; i < a->channel_count; i++)
        if (strcmp(a->channels[i].name, name) == 0)
            return &a->channels[i];
    a->channels = dr_realloc(a->channels, a->channel_count + 1, sizeof(*a->channels));
    struct channel_state *c = &a->channels[a->channel_count++];
    *c = (struct channel_state){ .name = dr_strdup(name), .failing_ns = -1 };
    return c;
}

/* Of one key and one address: they must arrive in the order in which they were written. */
static bool same_row(const struct letter *a, const struct letter *b)
{
    const char *x = a->to != NULL ? a->to : "";
    const char *y = b->to != NULL ? b->to : "";
    return strcmp(a->channel, b->channel) == 0 && strcmp(a->key, b->key) == 0 && strcmp(x, y) == 0;
}

static bool is_behind(const struct alerts *a, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (same_row(&a->letters[i], &a->letters[index]))
            return true;
    return false;
}

struct letter *alerts_due(struct alerts *a, const char *name)
{
    const struct channel_state *c = alerts_channel(a, name);
    if (c != NULL && a->now_ns < c->not_before_ns)
        return NULL;
    for (size_t i = 0; i < a->letter_count; i++)
        if (strcmp(a->letters[i].channel, name) == 0 && a->now_ns >= a->letters[i].next_ns &&
            !is_behind(a, i))
            return &a->letters[i];
    return NULL;
}

int64_t letters_next(const struct alerts *a, const struct setup *s)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < a->letter_count; i++) {
        const struct letter *l = &a->letters[i];
        const struct channel_state *c = alerts_channel(a, l->channel);
        int64_t at = c != NULL && c->not_before_ns > l->next_ns ? c->not_before_ns : l->next_ns;
        if (at < next && config_channel(s->config, l->channel) != NULL && !is_behind(a, i))
            next = at;
    }
    return next;
}

void alerts_drop(struct alerts *a, const char *id, bool dead)
{
    struct letter *l = alerts_letter(a, id);
    if (l == NULL)
        return;
    if (dead)
        channel(a, l->channel)->dead++;
    letter_fini(l);
    size_t index = (size_t)(l - a->letters);
    a->letter_count--;
    memmove(l, l + 1, (a->letter_count - index) * sizeof(*l));
    a->changed = true;
}

static void arrived(struct alerts *a, struct letter *l)
{
    struct channel_state *c = channel(a, l->channel);
    c->failures = 0;
    c->failing_ns = -1;
    c->failing_wall = 0;
    c->not_before_ns = 0;
    c->refused = 0;
    alerts_drop(a, l->id, false);
}

bool alerts_answered(struct alerts *a, const char *id, const struct letter_answer *answer,
                     uint64_t seed)
{
    struct letter *l = alerts_letter(a, id);
    if (l == NULL)
        return false;
    a->changed = true;
    if (answer->delivered) {
        arrived(a, l);
        return false;
    }
    struct channel_state *c = channel(a, l->channel);
    c->failures++;
    l->attempts++;
    if (c->failing_ns < 0) {
        c->failing_ns = a->now_ns;
        c->failing_wall = a->wall_ns;
    }
    free(c->why);
    c->why = dr_strdup(answer->why);
    free(l->why);
    l->why = dr_strdup(answer->why);

    struct retry r;
    retry_begin(&r, answer->refused ? &waits_refused : &waits, 0, 0, seed);
    r.made = (unsigned)(answer->refused ? l->attempts : c->failures);
    l->next_ns = a->now_ns + retry_next(&r, 0, answer->retry_after_ms) * MS;
    if (answer->refused)
        c->refused = 1;
    else
        c->not_before_ns = l->next_ns;
    return a->now_ns - l->created_ns >= DAY && c->failures >= ATTEMPTS_LEAST;
}
