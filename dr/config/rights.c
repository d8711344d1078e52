/*
 * rights.c - the choice, and nothing around it.
 */
#include "dr/config/rights.h"

struct config config_rehearsing(const struct config *c)
{
    struct config copy = *c;
    copy.rehearsal = true;
    return copy;
}

bool config_bucket_drills(const struct config_bucket *b)
{
    return b->drill.kind != NULL;
}

const struct config_credentials *config_bucket_rights(const struct config *c,
                                                      const struct config_bucket *b, bool guard)
{
    if (c->rehearsal)
        return config_bucket_drills(b) ? &b->drill : &b->credentials;
    return guard && b->guard.kind != NULL ? &b->guard : &b->credentials;
}

static const char *one_of(const struct config *c, const char *usual, const char *drill)
{
    return c->rehearsal && drill != NULL ? drill : usual;
}

const char *config_powerdns_rights(const struct config *c)
{
    return one_of(c, c->providers.powerdns_key, c->providers.powerdns_drill_key);
}

const char *config_haproxy_rights(const struct config *c)
{
    return one_of(c, c->providers.haproxy_socket, c->providers.haproxy_drill_socket);
}
