/*
 * world.c - a plan held against the configuration: regions, fields, roles, buckets, secrets.
 */
#include <stdio.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/base/text.h"
#include "dr/plan/reading.h"

static const struct plan_world_site *find_site(const struct plan_world *w, const char *name)
{
    for (size_t i = 0; i < w->site_count; i++)
        if (strcmp(w->sites[i].name, name) == 0)
            return &w->sites[i];
    for (size_t i = 0; i < w->site_count; i++)
        if (w->sites[i].region != NULL && strcmp(w->sites[i].region, name) == 0)
            return &w->sites[i];
    return NULL;
}

static bool is_in(const char *const *words, const char *word)
{
    for (size_t i = 0; words != NULL && words[i] != NULL; i++)
        if (strcmp(words[i], word) == 0)
            return true;
    return false;
}

void check_region(struct reading *r, struct yaml_node *node, const char *name)
{
    const struct plan_world *w = r->world;
    if (w == NULL || is_in(w->regions, name) || find_site(w, name) != NULL)
        return;
    say(r, node, "unknown-region", "no region '%s' in %s", name, w->file);
    DR_CLEANUP(text_list_fini) struct text_list known = { 0 };
    for (size_t i = 0; w->regions != NULL && w->regions[i] != NULL; i++)
        text_list_add(&known, w->regions[i]);
    for (size_t i = 0; i < w->site_count; i++)
        if (!text_list_has(&known, w->sites[i].name))
            text_list_add(&known, w->sites[i].name);
    const char *near = text_nearest(name, (const char *const *)known.items, known.count);
    DR_FREE char *all = text_list_join(&known, ", ");
    if (near != NULL)
        diag_hint(r->d, "did you mean '%s'?", near);
    else if (known.count > 0)
        diag_hint(r->d, "known: %s", all);
}

/* ---- fields of regions -------------------------------------------------------------------------- */

static size_t region_count(const struct reading *r)
{
    size_t count = 0;
    if (r->p->region_count > 0)
        return r->p->region_count;
    while (r->world->regions != NULL && r->world->regions[count] != NULL)
        count++;
    return count;
}

static const char *region_at(const struct reading *r, size_t i)
{
    return r->p->region_count > 0 ? r->p->regions[i] : r->world->regions[i];
}

static bool lacks_field(struct reading *r, const struct ref *ref, const char *region,
                        const char *field)
{
    const struct plan_world_site *site = find_site(r->world, region);
    if (site == NULL || is_in(site->fields, field))
        return false;
    diag_error(r->d, ref->at.line, ref->at.col, "no-field", "region '%s' has no '%s'", region,
               field);
    size_t count = 0;
    while (site->fields != NULL && site->fields[count] != NULL)
        count++;
    const char *near = count == 0 ? NULL : text_nearest(field, site->fields, count);
    if (near != NULL)
        diag_hint(r->d, "did you mean '%s'? sites: in %s, line %d", near, r->world->file,
                  site->line);
    else
        diag_hint(r->d, "sites: in %s, line %d", r->world->file, site->line);
    return true;
}

/* Any region may become failed, active or target; standbys are looked at first. */
static void check_fields(struct reading *r)
{
    static const char *const regions[] = { "target", "failed", "active" };
    for (size_t k = 0; k < r->ref_count; k++) {
        const struct ref *ref = &r->refs[k];
        const char *field = NULL;
        for (size_t i = 0; i < DR_ARRAY_LEN(regions); i++)
            if (ref_is(ref->name, regions[i]) && ref->name[strlen(regions[i])] == '.')
                field = ref->name + strlen(regions[i]) + 1;
        size_t count = region_count(r);
        bool first = ref_is(ref->name, "target") && count > 1;
        for (size_t i = 0; field != NULL && i < count; i++)
            if (lacks_field(r, ref, region_at(r, (i + first) % count), field))
                break;
    }
}

/* ---- people, buckets, secrets, sources ---------------------------------------------------------- */

static const struct plan_value *argument(const struct plan_call *call, const char *name)
{
    for (size_t i = 0; i < call->arg_count; i++)
        if (strcmp(call->args[i]->name, name) == 0)
            return call->values[i];
    return NULL;
}

static const char *literal(const struct plan_value *v)
{
    return v == NULL || v->fixed == NULL ? NULL : json_string_value(v->fixed);
}

static void check_people(struct reading *r, const struct plan_step *s)
{
    const struct plan_world *w = r->world;
    const struct plan_value *role = argument(&s->call, "role"),
                            *count = argument(&s->call, "count");
    const char *name = literal(role);
    if (strcmp(s->call.type->name, "approve") != 0 || name == NULL)
        return;
    const struct plan_world_role *found = NULL;
    for (size_t i = 0; i < w->role_count; i++)
        if (strcmp(w->roles[i].name, name) == 0)
            found = &w->roles[i];
    if (found == NULL) {
        diag_error(r->d, role->at.line, role->at.col, "unknown-role",
                   "nobody has the role '%s' in %s", name, w->file);
        DR_FREE const char **words = dr_alloc(w->role_count + 1, sizeof(char *));
        for (size_t i = 0; i < w->role_count; i++)
            words[i] = w->roles[i].name;
        (void)hint_near(r, name, words); /* whether there is one does not matter */
        return;
    }
    int64_t wanted = count == NULL || count->fixed == NULL ? 1 : json_integer_value(count->fixed);
    if (wanted <= found->people)
        return;
    struct plan_place at = count == NULL ? role->at : count->at;
    diag_error(r->d, at.line, at.col, "too-few-people",
               "%d approvals by '%s', but the role has %d %s", (int)wanted, name, found->people,
               found->people == 1 ? "person" : "people");
    diag_hint(r->d, "contacts in %s, line %d", w->file, w->roles_line);
}

static void check_bucket(struct reading *r, const struct plan_call *call)
{
    const struct plan_value *v = argument(call, "bucket");
    const char *name = literal(v);
    const struct plan_world_bucket *found = NULL;
    for (size_t i = 0; name != NULL && i < r->world->bucket_count; i++)
        if (strcmp(r->world->buckets[i].name, name) == 0)
            found = &r->world->buckets[i];
    if (name == NULL)
        return;
    if (found == NULL) {
        diag_error(r->d, v->at.line, v->at.col, "unknown-bucket", "no bucket '%s' in %s", name,
                   r->world->file);
        return;
    }
    bool gives_up = r->p->uses_failed || r->p->pick != PLAN_NO_STEP;
    if (!gives_up || region_count(r) == 0 || found->region == NULL ||
        strcmp(found->region, region_at(r, 0)) != 0 || strcmp(call->type->name, "backup.pick") != 0)
        return;
    diag_error(r->d, v->at.line, v->at.col, "failed-bucket",
               "bucket '%s' is in %s, the region this plan gives up by default", name,
               found->region);
    diag_hint(r->d, "leave bucket out: any bucket outside ${failed} is used");
}

static void check_source(struct reading *r, const struct plan_call *call)
{
    const struct plan_value *v = argument(call, "source");
    const char *name = literal(v);
    if (name == NULL || r->world->sources == NULL || is_in(r->world->sources, name))
        return;
    diag_error(r->d, v->at.line, v->at.col, "unknown-source", "no source '%s' in %s", name,
               r->world->file);
    (void)hint_near(r, name, r->world->sources); /* whether there is one does not matter */
}

static void check_secrets(struct reading *r)
{
    for (size_t k = 0; r->world->secrets != NULL && k < r->ref_count; k++) {
        const struct ref *ref = &r->refs[k];
        if (strncmp(ref->name, "secret.", 7) != 0 || is_in(r->world->secrets, ref->name + 7))
            continue;
        diag_error(r->d, ref->at.line, ref->at.col, "unknown-secret", "no secret '%s' in %s",
                   ref->name + 7, r->world->file);
        if (!hint_near(r, ref->name + 7, r->world->secrets))
            diag_hint(r->d, "define it: secrets: {%s: {file: PATH}}", ref->name + 7);
    }
}

static void check_call(struct reading *r, const struct plan_call *call)
{
    if (call == NULL || call->type == NULL)
        return;
    check_bucket(r, call);
    check_source(r, call);
}

void lint_world(struct reading *r)
{
    const struct plan *p = r->p;
    check_fields(r);
    check_secrets(r);
    for (size_t i = 0; i < p->preflight_count; i++)
        check_call(r, &p->preflight[i].call);
    for (size_t i = 0; i < p->step_count; i++) {
        const struct plan_step *s = &p->steps[i];
        check_call(r, &s->call);
        check_call(r, s->undo);
        for (size_t k = 0; k < s->verify_count; k++)
            check_call(r, &s->verify[k].call);
        if (s->call.type != NULL)
            check_people(r, s);
    }
}
