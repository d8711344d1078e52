/*
 * alerts.c - findings become alerts, alerts become letters.
 *
 * The one rule behind the numbers: an alarm is never held back, only its end is. So what flaps is
 * told at once the first times, and afterwards its silence, not its noise, has to prove itself.
 */
#include "dr/notify/alerts.h"

#include <string.h>

#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "dr/notify/inside.h"

enum {
    RAISES_MOST = 3,
    OWN_MOST = 100,
    TITLE_MAX = 200,
    TEXT_MAX = 4000,
    KEY_MAX = 500,
    DOUBLINGS_MOST = 10
};

static const int64_t SECOND = 1000000000;
static const int64_t WINDOW = 3600 * SECOND;
static const int64_t CALM = 900 * SECOND;
static const int64_t EVENT_KEPT = INT64_C(7) * 86400 * SECOND;
static const int64_t FAILING_TOLD = 300 * SECOND;

/* ---- lists ------------------------------------------------------------------------------------ */

static struct alert *find(const struct alerts *a, const char *key)
{
    for (size_t i = 0; i < a->alert_count; i++)
        if (strcmp(a->alerts[i].key, key) == 0)
            return &a->alerts[i];
    return NULL;
}

static void forget(struct alerts *a, size_t index)
{
    alert_fini(&a->alerts[index]);
    a->alert_count--;
    memmove(&a->alerts[index], &a->alerts[index + 1],
            (a->alert_count - index) * sizeof(*a->alerts));
    a->changed = true;
}

/* Room for one more: what is over is forgotten first, the oldest of it. NULL: all is open. There is always some
 * for what we have to say ourselves. */
static struct alert *add(struct alerts *a, const char *key, bool own)
{
    size_t most = NOTIFY_ALERTS_MAX + (own ? OWN_MOST : 0);
    size_t oldest = a->alert_count;
    for (size_t i = 0; i < a->alert_count; i++)
        if (a->alerts[i].state >= ALERT_RESOLVED &&
            (oldest == a->alert_count || a->alerts[i].until_ns < a->alerts[oldest].until_ns))
            oldest = i;
    if (a->alert_count >= most) {
        if (oldest == a->alert_count)
            return NULL;
        forget(a, oldest);
    }
    a->alerts = dr_realloc(a->alerts, a->alert_count + 1, sizeof(*a->alerts));
    struct alert *al = &a->alerts[a->alert_count++];
    *al = (struct alert){ .key = dr_strdup(key), .window_ns = a->now_ns, .escalate_ns = -1 };
    return al;
}

/* ---- letters ---------------------------------------------------------------------------------- */

static char *random_name(size_t bytes)
{
    uint8_t raw[16];
    char hex[2 * sizeof(raw) + 1];
    DR_ASSERT(bytes <= sizeof(raw));
    random_bytes(raw, bytes);
    return dr_strdup(hex_encode(raw, bytes, hex));
}

struct post { /* one telling of an alert */
    const struct alert *alert;
    const char *kind;
    const struct setup_contact *contact; /* or NULL */
};

static char *copy(const char *text)
{
    return text != NULL ? dr_strdup(text) : NULL;
}

static void write_letter(struct alerts *a, const struct post *p, const char *to_channel,
                         const char *to)
{
    if (a->letter_count >= NOTIFY_LETTERS_MAX) {
        a->left_out++;
        a->changed = true;
        return;
    }
    const struct alert *al = p->alert;
    const struct setup_contact *c = p->contact;
    a->letters = dr_realloc(a->letters, a->letter_count + 1, sizeof(*a->letters));
    a->letters[a->letter_count++] = (struct letter){
        .id = random_name(16),
        .key = dr_strdup(al->key),
        .incident = dr_strdup(al->incident),
        .channel = dr_strdup(to_channel),
        .to = copy(to),
        .kind = dr_strdup(p->kind),
        .severity = dr_strdup(al->severity),
        .title = dr_strdup(al->title),
        .text = dr_strdup(al->text),
        .hint = dr_strdup(al->hint),
        .by = copy(al->acked_by),
        .contact = c == NULL         ? NULL
                   : c->role != NULL ? dr_strf("%s (%s)", c->name, c->role)
                                     : dr_strdup(c->name),
        .phone = c != NULL ? copy(c->phone) : NULL,
        .wall = a->wall_ns,
        .created_ns = a->now_ns,
        .next_ns = a->now_ns,
    };
    a->changed = true;
}

/* One letter, or one for each address: a server may take one recipient and refuse the other. */
static void write_letters(struct alerts *a, const struct post *p, const struct config_channel *c)
{
    const char *email = p->contact != NULL ? p->contact->email : NULL;
    if (strcmp(c->kind, "smtp") != 0)
        write_letter(a, p, c->name, NULL);
    else if (email != NULL)
        write_letter(a, p, c->name, email);
    else
        for (size_t i = 0; i < c->to.count; i++)
            write_letter(a, p, c->name, c->to.items[i]);
}

/* The channel that this alert is about cannot carry it. */
static bool may_carry(const struct alert *al, const char *name)
{
    return !al->own || !text_starts(al->key, "notify/") || strcmp(al->key + 7, name) != 0;
}

static bool post_to_list(struct alerts *a, const struct setup *s, const struct post *p,
                         const struct text_list *names)
{
    bool any = false;
    for (size_t i = 0; i < names->count; i++) {
        const struct config_channel *c = config_channel(s->config, names->items[i]);
        if (c == NULL || !may_carry(p->alert, c->name))
            continue;
        write_letters(a, p, c);
        any = true;
    }
    return any;
}

static const struct config_channel *first_mail(const struct setup *s)
{
    for (size_t i = 0; i < s->config->channel_count; i++)
        if (strcmp(s->config->channels[i].kind, "smtp") == 0)
            return &s->config->channels[i];
    return NULL;
}

/* A contact with an address, where none of the channels is one of mail: the first that is. */
static void post_by_mail(struct alerts *a, const struct setup *s, const struct post *p,
                         const struct text_list *names)
{
    const struct config_channel *mail = first_mail(s);
    for (size_t i = 0; i < s->config->channel_count; i++)
        if (strcmp(s->config->channels[i].kind, "smtp") == 0 &&
            text_list_has(names, s->config->channels[i].name))
            return;
    if (mail != NULL && may_carry(p->alert, mail->name))
        write_letters(a, p, mail);
}

static void post(struct alerts *a, const struct setup *s, const struct post *p)
{
    const struct setup_contact *contact = p->contact;
    const struct config_channel *own = contact != NULL && contact->channel != NULL
                                           ? config_channel(s->config, contact->channel)
                                           : NULL;
    if (own != NULL && may_carry(p->alert, own->name)) {
        write_letters(a, p, own);
        return;
    }
    const struct text_list *names = &setup_alerts(s, p->alert->severity)->channels;
    if (contact != NULL && contact->email != NULL)
        post_by_mail(a, s, p, names);
    if (post_to_list(a, s, p, names) || !p->alert->own)
        return;
    /* A broken channel that was the only one of its severity: any other will do. */
    for (size_t i = 0; i < s->config->channel_count; i++)
        if (may_carry(p->alert, s->config->channels[i].name))
            write_letters(a, p, &s->config->channels[i]);
}

static void tell(struct alerts *a, const struct setup *s, const struct alert *al, const char *kind)
{
    const struct post p = { .alert = al, .kind = kind };
    post(a, s, &p);
}

/* That it is over, or in hand, is told to whoever was called by a way of their own, too. */
static void tell_end(struct alerts *a, const struct setup *s, const struct alert *al,
                     const char *kind)
{
    const struct text_list *names = &setup_alerts(s, al->severity)->channels;
    tell(a, s, al, kind);
    for (size_t i = 0; i < s->contact_count && i < (size_t)al->level; i++) {
        const struct setup_contact *c = &s->contacts[i];
        const struct post p = { .alert = al, .kind = kind, .contact = c };
        const struct config_channel *own = c->channel != NULL
                                               ? config_channel(s->config, c->channel)
                                           : c->email != NULL ? first_mail(s)
                                                              : NULL;
        bool has_it = own != NULL && c->channel != NULL && text_list_has(names, own->name);
        if (own != NULL && !has_it && may_carry(al, own->name))
            write_letters(a, &p, own);
    }
}

/* ---- one alert -------------------------------------------------------------------------------- */

/* At most max bytes, never half a character; no control bytes but newlines, where those may be. */
static char *tidy(const char *text, size_t max, bool lines)
{
    size_t len = strlen(text);
    if (len > max) {
        len = max;
        while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
            len--;
    }
    char *out = dr_memdup(text, len);
    for (char *p = out; *p != '\0'; p++)
        if (((unsigned char)*p < ' ' && !(lines && *p == '\n')) || *p == 127)
            *p = ' ';
    return out;
}

static void replace(struct alerts *a, char **field, char *text)
{
    if (*field == NULL || strcmp(*field, text) != 0) {
        free(*field);
        *field = text;
        a->changed = true;
    } else
        free(text);
}

static void set_texts(struct alerts *a, struct alert *al, const struct setup_text *what)
{
    const char *text = what->text != NULL ? what->text : "";
    DR_FREE char *first = dr_memdup(text, strcspn(text, "\n"));
    const char *title = what->title != NULL && what->title[0] != '\0' ? what->title : first;
    replace(a, &al->severity, tidy(what->severity, TITLE_MAX, false));
    replace(a, &al->title, tidy(title[0] != '\0' ? title : what->key, TITLE_MAX, false));
    replace(a, &al->text, tidy(text, TEXT_MAX, true));
    replace(a, &al->hint, tidy(what->hint != NULL ? what->hint : "", TEXT_MAX, true));
}

static void arm(const struct alerts *a, const struct setup *s, struct alert *al)
{
    int64_t ms = setup_alerts(s, al->severity)->escalation_ms;
    al->escalate_ns = ms > 0 ? a->now_ns + ms * (SECOND / 1000) : -1;
    al->level = 0;
    free(DR_TAKE(al->acked_by));
    al->acked_wall = 0;
}

static void raise_alert(struct alerts *a, const struct setup *s, struct alert *al)
{
    if (a->now_ns - al->window_ns >= WINDOW) {
        al->window_ns = a->now_ns;
        al->raises = 0;
    }
    al->raises++;
    al->state = ALERT_OPEN;
    al->since_wall = a->wall_ns;
    free(al->incident);
    al->incident = random_name(8);
    arm(a, s, al);
    tell(a, s, al, al->raises > 1 ? "again" : "raised");
    a->changed = true;
}

/* It holds now. own: it is about ourselves. */
static void hold(struct alerts *a, const struct setup *s, const struct setup_text *what, bool own)
{
    DR_FREE char *key = tidy(what->key, KEY_MAX, false);
    struct alert *al = find(a, key);
    bool fresh = al == NULL || al->state >= ALERT_RESOLVED;
    if (al == NULL)
        al = add(a, key, own);
    if (al == NULL) {
        a->left_out_findings++;
        return;
    }
    bool graver =
        !fresh && strcmp(what->severity, "critical") == 0 && strcmp(al->severity, "critical") != 0;
    set_texts(a, al, what);
    al->own = own;
    al->seen = 1;
    if (fresh)
        raise_alert(a, s, al);
    else if (al->state == ALERT_CALMING) {
        al->state = ALERT_OPEN;
        a->changed = true;
    }
    if (graver) {
        arm(a, s, al);
        tell(a, s, al, "raised");
    }
}

static void resolve(struct alerts *a, const struct setup *s, struct alert *al)
{
    al->state = ALERT_RESOLVED;
    al->escalate_ns = -1;
    al->until_ns = a->now_ns + WINDOW;
    a->changed = true;
    tell_end(a, s, al, "resolved");
}

static void gone(struct alerts *a, const struct setup *s, struct alert *al)
{
    if (al->state != ALERT_OPEN)
        return;
    if (al->raises < RAISES_MOST || a->now_ns - al->window_ns >= WINDOW) {
        resolve(a, s, al);
        return;
    }
    al->state = ALERT_CALMING;
    al->until_ns = a->now_ns + CALM;
    a->changed = true;
}

/* ---- what the caller says --------------------------------------------------------------------- */

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

void alerts_findings(struct alerts *a, const struct setup *s, const json_t *findings)
{
    size_t i;
    json_t *f;
    for (i = 0; i < a->alert_count; i++)
        a->alerts[i].seen = a->alerts[i].own;
    int64_t left_out = a->left_out_findings;
    a->left_out_findings = 0;
    json_array_foreach(findings, i, f)
    {
        const struct setup_text what = { text_of(f, "severity"), text_of(f, "key"),
                                         text_of(f, "title"),    text_of(f, "text"),
                                         text_of(f, "hint"),     NULL };
        if (what.key != NULL && what.severity != NULL)
            hold(a, s, &what, false);
    }
    a->changed = a->changed || a->left_out_findings != left_out;
    for (i = 0; i < a->alert_count; i++)
        if (!a->alerts[i].seen)
            gone(a, s, &a->alerts[i]);
}

void alerts_event(struct alerts *a, const struct setup *s, const struct setup_text *what)
{
    DR_FREE char *key = tidy(what->key, KEY_MAX, false);
    if (find(a, key) != NULL)
        return; /* told before, or the key of an alert */
    struct alert *al = add(a, key, false);
    struct alert lone = { .key = key }; /* no room to remember it: told all the same */
    struct alert *it = al != NULL ? al : &lone;
    set_texts(a, it, what);
    it->state = ALERT_EVENT;
    it->since_wall = a->wall_ns;
    it->escalate_ns = -1;
    it->until_ns = a->now_ns + EVENT_KEPT;
    it->incident = random_name(8);
    const struct post p = { .alert = it, .kind = "event" };
    if (what->channels == NULL || !post_to_list(a, s, &p, what->channels))
        post(a, s, &p);
    if (al == NULL) {
        lone.key = NULL;
        alert_fini(&lone);
    }
    a->changed = true;
}

enum dr_rc alerts_acknowledge(struct alerts *a, const struct setup *s, const char *key,
                              const char *who, struct dr_err *err)
{
    struct alert *al = find(a, key);
    if (al == NULL || al->state >= ALERT_RESOLVED) {
        (void)dr_fail(err, DR_E_NOTFOUND, "no alert '%s' is open", key);
        return dr_hint(err, "See 'drctl alerts' for those that are.");
    }
    if (al->acked_by != NULL && strcmp(al->acked_by, who) == 0)
        return DR_OK;
    if (al->acked_by != NULL)
        return dr_fail(err, DR_E_EXISTS, "alert '%s' was acknowledged by %s", key, al->acked_by);
    al->acked_by = tidy(who, TITLE_MAX, false);
    al->acked_wall = a->wall_ns;
    al->escalate_ns = -1;
    a->changed = true;
    tell_end(a, s, al, "acknowledged");
    return DR_OK;
}

/* ---- what time brings ------------------------------------------------------------------------- */

/* The next contact; behind the last the first again, after a longer time. */
static void escalate(struct alerts *a, const struct setup *s, struct alert *al)
{
    size_t people = s->contact_count > 0 ? s->contact_count : 1;
    size_t nth = (size_t)al->level % people;
    int64_t rounds = (al->level + 1) / (int64_t)people;
    int64_t wait = setup_alerts(s, al->severity)->escalation_ms * (SECOND / 1000);
    int64_t most = wait > WINDOW ? wait : WINDOW;
    for (int64_t i = 0; i < rounds && i < DOUBLINGS_MOST && wait < most; i++)
        wait *= 2;
    al->level++;
    al->escalate_ns = wait > 0 ? a->now_ns + (wait < most ? wait : most) : -1;
    const struct post p = { .alert = al,
                            .kind = "escalated",
                            .contact = s->contact_count > 0 ? &s->contacts[nth] : NULL };
    post(a, s, &p);
    a->changed = true;
}

static void tick_one(struct alerts *a, const struct setup *s, struct alert *al)
{
    if (al->state == ALERT_CALMING && a->now_ns >= al->until_ns)
        resolve(a, s, al);
    else if (al->state == ALERT_OPEN && al->escalate_ns >= 0 && a->now_ns >= al->escalate_ns)
        escalate(a, s, al);
}

static bool is_broken(const struct alerts *a, const struct setup *s, const struct channel_state *c)
{
    bool late = c->failing_ns >= 0 && a->now_ns - c->failing_ns >= FAILING_TOLD;
    return (c->refused || late) && config_channel(s->config, c->name) != NULL;
}

static void tick_channel(struct alerts *a, const struct setup *s, size_t index)
{
    const struct channel_state *c = &a->channels[index];
    DR_FREE char *key = dr_strf("notify/%s", c->name);
    if (!is_broken(a, s, c)) {
        struct alert *al = find(a, key);
        if (al != NULL && al->own)
            gone(a, s, al);
        return;
    }
    DR_FREE char *title = dr_strf("channel '%s' does not deliver", c->name);
    DR_FREE char *text =
        dr_strf("channel '%s' does not deliver: %s%s", c->name, c->why != NULL ? c->why : "",
                c->dead > 0 ? "\nLetters were given up; they are kept in the state directory, "
                              "below alerts/dead."
                            : "");
    const struct setup_text what = { "critical",
                                     key,
                                     title,
                                     text,
                                     "Try 'drctl alerts test CHANNEL' after mending it; what waits "
                                     "is sent then.",
                                     NULL };
    hold(a, s, &what, true);
}

static void tick_limits(struct alerts *a, const struct setup *s)
{
    struct alert *al = find(a, "notify/full");
    if (a->left_out > 0 && a->letter_count < NOTIFY_LETTERS_MAX / 2) {
        a->left_out = 0;
        a->changed = true;
    }
    if (a->left_out_findings == 0 && a->left_out == 0) {
        if (al != NULL && al->own)
            gone(a, s, al);
        return;
    }
    if (al != NULL && al->state <= ALERT_CALMING)
        return;
    const struct setup_text what = {
        "critical",
        "notify/full",
        "more alerts than can be told",
        "There are more alerts, or more letters waiting, than are kept.",
        "See 'drctl status' for all findings.",
        NULL
    };
    hold(a, s, &what, true);
}

void alerts_tick(struct alerts *a, const struct setup *s)
{
    for (size_t i = 0; i < a->alert_count; i++)
        tick_one(a, s, &a->alerts[i]);
    for (size_t i = 0; i < a->channel_count; i++)
        tick_channel(a, s, i);
    tick_limits(a, s);
    for (size_t i = a->alert_count; i-- > 0;)
        if (a->alerts[i].state >= ALERT_RESOLVED && a->now_ns >= a->alerts[i].until_ns)
            forget(a, i);
}

static void sooner(int64_t *next, int64_t ns)
{
    if (ns >= 0 && ns < *next)
        *next = ns;
}

int64_t alerts_next(const struct alerts *a, const struct setup *s)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < a->alert_count; i++) {
        const struct alert *al = &a->alerts[i];
        if (al->state == ALERT_OPEN)
            sooner(&next, al->escalate_ns);
        else if (al->state == ALERT_CALMING)
            sooner(&next, al->until_ns);
    }
    for (size_t i = 0; i < a->channel_count; i++)
        if (a->channels[i].failing_ns >= 0 && !is_broken(a, s, &a->channels[i]))
            sooner(&next, a->channels[i].failing_ns + FAILING_TOLD);
    sooner(&next, letters_next(a, s));
    return next;
}
