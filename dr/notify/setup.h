/*
 * setup.h - what the configuration says about telling: who gets which severity, and who is called.
 *
 * Everything is borrowed from the struct config. Secrets are read when a letter is sent and never
 * earlier, so that one may change while backupd runs, and so that none stands in a file of ours: they go
 * to the child on its standard input, and nowhere else.
 */
#ifndef DR_NOTIFY_SETUP_H
#define DR_NOTIFY_SETUP_H

#include "dr/config/config.h"
#include "dr/data/json.h"

struct setup_text { /* what is told: of a finding or an event */
    const char *severity, *key, *title, *text, *hint;
    const struct text_list *channels; /* of an event: who hears it; NULL: by its severity */
};

struct setup_contact { /* somebody of contact_information; each name once */
    const char *name, *role;
    const char *phone, *email, *channel; /* or NULL */
};

struct setup {
    const struct config *config;
    struct setup_contact *contacts; /* owned; in the order of the file */
    size_t contact_count;
};

void setup_init(struct setup *s, const struct config *c);
void setup_fini(struct setup *s);

/* What is said for a severity: critical_alerts, or warning_alerts for all others. */
const struct config_alerts *setup_alerts(const struct setup *s, const char *severity);

/* Everything that one attempt needs, secrets included:
 * {"kind","url","secret","user","from","ca","command":[],"host"}. The caller drops it. */
enum dr_rc setup_target(const struct setup *s, const char *channel, json_t **ret,
                        struct dr_err *err) DR_MUST_USE;

/* This host, as receivers see it. Borrowed for ever. */
const char *setup_host(void);

#endif
