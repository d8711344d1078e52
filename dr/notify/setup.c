/*
 * setup.c - the configuration's people and channels, as this room asks for them.
 */
#include "dr/notify/setup.h"

#include <string.h>
#include <unistd.h>

#include "dr/base/mem.h"

static const char *field(const struct config_person *p, const char *name)
{
    for (size_t i = 0; i < p->field_count; i++)
        if (strcmp(p->fields[i].name, name) == 0)
            return p->fields[i].value;
    return NULL;
}

static bool has_contact(const struct setup *s, const char *name)
{
    for (size_t i = 0; i < s->contact_count; i++)
        if (strcmp(s->contacts[i].name, name) == 0)
            return true;
    return false;
}

void setup_init(struct setup *s, const struct config *c)
{
    *s = (struct setup){ .config = c };
    s->contacts = dr_alloc(c->person_count + 1, sizeof(*s->contacts));
    for (size_t i = 0; i < c->person_count; i++) {
        const struct config_person *p = &c->people[i];
        if (has_contact(s, p->name))
            continue; /* of two roles: called once a round */
        s->contacts[s->contact_count++] = (struct setup_contact){
            .name = p->name,
            .role = p->role,
            .phone = field(p, "phone"),
            .email = field(p, "email"),
            .channel = p->channel,
        };
    }
}

void setup_fini(struct setup *s)
{
    free(s->contacts);
    *s = (struct setup){ 0 };
}

const struct config_alerts *setup_alerts(const struct setup *s, const char *severity)
{
    return strcmp(severity, "critical") == 0 ? &s->config->critical : &s->config->warning;
}

static void put(json_t *o, const char *name, const char *value)
{
    if (value != NULL)
        json_put(o, name, json_printable(value));
}

/* The value, wiped after it was copied: only the request to the child has it. */
static void put_secret(json_t *o, const char *name, char *value)
{
    put(o, name, value);
    explicit_bzero(value, strlen(value));
    free(value);
}

enum dr_rc setup_target(const struct setup *s, const char *channel, json_t **ret,
                        struct dr_err *err)
{
    const struct config_channel *c = config_channel(s->config, channel);
    if (c == NULL)
        return dr_fail(err, DR_E_NOTFOUND, "no channel '%s' in the configuration", channel);
    DR_JSON json_t *o = json_object();
    put(o, "kind", c->kind);
    put(o, "from", c->from);
    put(o, "user", c->user);
    put(o, "ca", c->ca);
    put(o, "host", setup_host());
    if (c->url != NULL || c->url_file != NULL) {
        char *url = NULL;
        DR_TRY(config_channel_url(s->config, c, &url, err));
        put_secret(o, "url", url);
    }
    if (c->secret != NULL) {
        char *secret = NULL;
        DR_TRY(config_secret(s->config, c->secret, &secret, err));
        put_secret(o, "secret", secret);
    }
    json_t *argv = json_array();
    for (size_t i = 0; i < c->command.count; i++)
        if (json_array_append_new(argv, json_string(c->command.items[i])) != 0)
            dr_out_of_memory();
    json_put(o, "command", argv);
    *ret = DR_TAKE(o);
    return DR_OK;
}

const char *setup_host(void)
{
    static char name[256];
    if (name[0] == '\0' && (gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0'))
        memcpy(name, "localhost", sizeof("localhost"));
    return name;
}
