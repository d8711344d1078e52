/*
 * look.c - what people see of all this: the alerts, the channels, and a test of one.
 */
#include <string.h>

#include "dr/base/clock.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "dr/data/time.h"
#include "dr/notify/inside.h"

static json_t *time_or_null(int64_t wall_ns)
{
    char text[TIME_TEXT_MAX];
    return wall_ns > 0 ? json_string(time_print_s(wall_ns, text)) : json_null();
}

static int64_t waiting(const struct alerts *a, const char *channel, const char *key)
{
    int64_t count = 0;
    for (size_t i = 0; i < a->letter_count; i++)
        count += (channel == NULL || strcmp(a->letters[i].channel, channel) == 0) &&
                 (key == NULL || strcmp(a->letters[i].key, key) == 0);
    return count;
}

static json_t *alert_row(const struct alerts *a, const struct alert *al)
{
    static const char *const states[] = { "open", "calming", "resolved", "event" };
    json_t *o = json_object();
    bool known = al->state >= 0 && al->state < (int64_t)DR_ARRAY_LEN(states);
    json_put(o, "key", json_printable(al->key));
    json_put(o, "severity", json_printable(al->severity));
    json_put_text(o, "state", known ? states[al->state] : "open");
    json_put(o, "title", json_printable(al->title));
    json_put(o, "text", json_printable(al->text));
    json_put(o, "hint", json_printable(al->hint));
    json_put(o, "since", time_or_null(al->since_wall));
    json_put_int(o, "escalated", al->level);
    json_put_int(o, "waiting", waiting(a, NULL, al->key));
    json_t *acked = json_null();
    if (al->acked_by != NULL) {
        acked = json_object();
        json_put(acked, "by", json_printable(al->acked_by));
        json_put(acked, "at", time_or_null(al->acked_wall));
    }
    json_put(o, "acknowledged", acked);
    return o;
}

json_t *notify_list(const struct notify *n)
{
    const struct alerts *a = &n->keep.alerts;
    json_t *list = json_array();
    for (int64_t state = ALERT_OPEN; state <= ALERT_EVENT; state++)
        for (size_t i = 0; i < a->alert_count; i++)
            if (a->alerts[i].state == state &&
                json_array_append_new(list, alert_row(a, &a->alerts[i])) != 0)
                dr_out_of_memory();
    return list;
}

json_t *notify_channels(const struct notify *n)
{
    const struct config *c = n->setup.config;
    json_t *list = json_array();
    for (size_t i = 0; i < c->channel_count; i++) {
        const struct config_channel *ch = &c->channels[i];
        const struct channel_state *s = alerts_channel(&n->keep.alerts, ch->name);
        bool fails = s != NULL && s->failing_ns >= 0;
        json_t *o = json_object();
        json_put(o, "name", json_printable(ch->name));
        json_put(o, "kind", json_printable(ch->kind));
        json_put_int(o, "waiting", waiting(&n->keep.alerts, ch->name, NULL));
        json_put_int(o, "dead", s != NULL ? s->dead : 0);
        json_put(o, "failing_since", fails ? time_or_null(s->failing_wall) : json_null());
        json_put(o, "why", fails && s->why != NULL ? json_printable(s->why) : json_null());
        if (json_array_append_new(list, o) != 0)
            dr_out_of_memory();
    }
    return list;
}

/* ---- a test letter ---------------------------------------------------------------------------------- */

static void send_test(const json_t *target, const char *channel, const char *to, struct sent *ret)
{
    char id[] = "test-0123456789abcdef";
    uint8_t raw[8];
    random_bytes(raw, sizeof(raw));
    hex_encode(raw, sizeof(raw), id + strlen("test-"));
    DR_FREE char *key = dr_strf("test/%s", channel);
    DR_FREE char *kind = dr_strdup("event");
    DR_FREE char *severity = dr_strdup("info");
    DR_FREE char *title = dr_strdup("a test of this channel");
    DR_FREE char *text = dr_strdup("Somebody ran 'drctl alerts test'. Nothing has to be done.");
    DR_FREE char *hint = dr_strdup("");
    DR_FREE char *address = to != NULL ? dr_strdup(to) : NULL;
    const struct letter l = { .id = id,
                              .key = key,
                              .incident = id,
                              .kind = kind,
                              .severity = severity,
                              .title = title,
                              .text = text,
                              .hint = hint,
                              .to = address,
                              .wall = clock_wall_ns() };
    send_letter(target, &l, ret);
}

enum dr_rc notify_test(const struct config *c, const char *channel, char **ret, struct dr_err *err)
{
    DR_JSON json_t *target = NULL;
    const struct config_channel *ch = config_channel(c, channel);
    if (ch == NULL)
        return dr_fail(err, DR_E_NOTFOUND, "no channel '%s' in the configuration", channel);
    const struct setup s = { .config = c };
    DR_TRY(setup_target(&s, channel, &target, err));
    DR_CLEANUP(buf_fini) struct buf words = { 0 };
    size_t count = strcmp(ch->kind, "smtp") == 0 ? ch->to.count : 1;
    bool refused = false, failed = false;
    for (size_t i = 0; i < count; i++) {
        const char *to = i < ch->to.count ? ch->to.items[i] : NULL;
        struct sent sent;
        send_test(target, channel, to, &sent);
        buf_addf(&words, "%s%s%s%s", i > 0 ? "; " : "", to != NULL ? to : "",
                 to != NULL ? ": " : "", sent.why);
        refused = refused || sent.refused;
        failed = failed || !sent.delivered;
        sent_fini(&sent);
    }
    if (failed)
        return dr_fail(err, refused ? DR_E_DENIED : DR_E_TRANSIENT, "channel '%s': %s", channel,
                       words.data);
    *ret = buf_take(&words);
    return DR_OK;
}
