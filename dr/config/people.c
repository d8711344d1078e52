/*
 * people.c - incident_response: which plans there are, and who is asked and told, role by role.
 *
 * A person is a name, or a block with a name; the other words of the block (phone, email) are the
 * user's own and kept as they are.
 */
#include <string.h>

#include "dr/base/mem.h"
#include "dr/config/load.h"

static struct config_person *add_person(struct config *c, const char *name, const char *role)
{
    c->people = dr_realloc(c->people, c->person_count + 1, sizeof(*c->people));
    struct config_person *who = &c->people[c->person_count++];
    *who = (struct config_person){ .name = dr_strdup(name), .role = dr_strdup(role) };
    return who;
}

/* What the block says beside the name. What is no plain text (a list of numbers) stays out. */
static void read_details(struct reader *r, struct yaml_node *map, struct config_person *who)
{
    for (size_t i = 0; i < map->count; i++) {
        const struct yaml_node *key = map->keys[i];
        struct yaml_node *value = map->items[i];
        if (value->kind != YAML_SCALAR || value->reported || strcmp(key->text, "name") == 0)
            continue;
        if (strcmp(key->text, "channel") == 0) {
            if (who->channel == NULL && reader_is_name(r, value, "channel")) {
                who->channel = dr_strdup(value->text);
                reader_ref(r, KEY_CHANNEL, value);
            }
            continue;
        }
        who->fields = dr_realloc(who->fields, who->field_count + 1, sizeof(*who->fields));
        who->fields[who->field_count++] =
            (struct config_pair){ dr_strdup(key->text), dr_strdup(value->text), reader_at(key) };
    }
}

static void read_person(struct reader *r, struct yaml_node *node, const char *role,
                        struct config *c)
{
    const struct yaml_node *name = node;
    if (node->kind == YAML_MAP)
        name = reader_value(node, "name");
    if (node->reported)
        return;
    if (name == NULL || name->kind != YAML_SCALAR || name->len == 0) {
        reader_warning(r, node, "no-person", "'%s' names no person", role);
        diag_hint(r->d, "write {name: ana, phone: ...}");
        return;
    }
    struct config_person *who = add_person(c, name->text, role);
    if (node->kind == YAML_MAP)
        read_details(r, node, who);
}

static void read_people(struct reader *r, struct yaml_node *key, struct yaml_node *value, void *out)
{
    struct config *c = out;
    if (!reader_is(r, value, YAML_MAP, key->text))
        return;
    c->people_at = (struct config_place){ key->line, key->col };
    for (size_t i = 0; i < value->count; i++) {
        struct yaml_node *who = value->items[i];
        if (who->kind != YAML_LIST) {
            read_person(r, who, value->keys[i]->text, c);
            continue;
        }
        for (size_t k = 0; k < who->count; k++)
            read_person(r, who->items[k], value->keys[i]->text, c);
    }
}

static void fini_people(void *out)
{
    struct config *c = out;
    for (size_t i = 0; i < c->person_count; i++) {
        struct config_person *who = &c->people[i];
        free(who->name);
        free(who->role);
        free(who->channel);
        for (size_t k = 0; k < who->field_count; k++) {
            free(who->fields[k].name);
            free(who->fields[k].value);
        }
        free(who->fields);
    }
    free(c->people);
}

/* For the list of keys only: what read_person() looks for. */
static const struct config_key person_keys[] = {
    { "name", KEY_FREE, .to = KEY_NOWHERE },
    { "channel", KEY_CHANNEL, .to = KEY_NOWHERE },
    { .name = NULL },
};
static const struct config_block person = { "a person", person_keys, .at = KEY_NOWHERE };

static const struct config_key incident_keys[] = {
    { "runbooks", KEY_LIST, .to = offsetof(struct config, runbooks) },
    { "contact_information", KEY_OWN, .to = 0, .block = &person, .each = "ROLE",
      .read = read_people, .fini = fini_people },
    { .name = NULL },
};
const struct config_block config_incident_block = {
    "'incident_response'",
    incident_keys,
    .at = offsetof(struct config, incident_at),
};
