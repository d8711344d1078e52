/*
 * findings.c - the table of `findings`: who owns what a run or a report finds, and by when it has to be seen to.
 *
 * An owner may be a team that stands nowhere else, so a word that nobody defines is a warning and no error; one
 * that is nearly the name of somebody gets that name as a hint.
 */
#include <string.h>

#include "dr/config/load.h"

#define AT(type, field) .to = offsetof(struct type, field)

static const struct config_key due_keys[] = {
    { "critical", KEY_DURATION, AT(config_findings, critical_ms) },
    { "warning", KEY_DURATION, AT(config_findings, warning_ms) },
    { .name = NULL },
};
static const struct config_block due = { "'due'", due_keys, .at = KEY_NOWHERE };

static const struct config_key findings_keys[] = {
    { "owner", KEY_TEXT, AT(config_findings, owner) },
    { "due", KEY_BLOCK, .to = 0, .block = &due },
    { .name = NULL },
};
const struct config_block config_findings_block = { "'findings'", findings_keys,
                                                    .at = KEY_NOWHERE };

static void add_name(struct text_list *list, const char *name)
{
    if (!text_list_has(list, name))
        text_list_add(list, name);
}

/* Everybody who may own a finding: contacts, their roles, and who takes part in drills. */
static void add_known(const struct config *c, struct text_list *ret)
{
    for (size_t i = 0; i < c->person_count; i++) {
        add_name(ret, c->people[i].name);
        add_name(ret, c->people[i].role);
    }
    for (size_t i = 0; i < c->drill.participants.count; i++)
        add_name(ret, c->drill.participants.items[i]);
}

bool config_is_somebody(const struct config *c, const char *name)
{
    DR_CLEANUP(text_list_fini) struct text_list known = { 0 };
    add_known(c, &known);
    return text_list_has(&known, name);
}

void config_check_findings(struct reader *r, struct yaml_node *root, const struct config *c)
{
    static const char *const path[] = { "disaster_recovery", "findings", "owner" };
    const struct yaml_node *node = root;
    for (size_t i = 0; i < DR_ARRAY_LEN(path) && node != NULL; i++)
        node = node->kind == YAML_MAP ? reader_value(node, path[i]) : NULL;
    if (node == NULL || node->kind != YAML_SCALAR || r->torn || c->findings.owner == NULL ||
        config_is_somebody(c, c->findings.owner))
        return;
    DR_CLEANUP(text_list_fini) struct text_list known = { 0 };
    add_known(c, &known);
    reader_warning(r, node, "unknown-owner",
                   "nobody is called '%s': no contact, no role, no "
                   "participant of drills",
                   c->findings.owner);
    config_hint_known(r, c->findings.owner, &known,
                      "name the owner under contact_information: ROLE: [NAME]");
}
