/*
 * Owners. Runs of equal numbers cost a comparison; others a look into a JSON object.
 */
#include "backup/work/backup_owners.h"

#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "dr/base/mem.h"
#include "dr/base/text.h"

enum {
    OWNERS_MAX = 4096,       /* names of users and of groups that are looked up */
    OWNER_BUFFER = 16 << 10, /* for one of them */
};

struct owners {
    json_t *users, *groups;
    json_t *unknown_users, *unknown_groups; /* asked for in vain */
    uint32_t last_uid, last_gid;
    bool asked;
};

struct owners *owners_new(void)
{
    struct owners *o = dr_alloc(1, sizeof *o);
    o->users = json_object();
    o->groups = json_object();
    o->unknown_users = json_object();
    o->unknown_groups = json_object();
    return o;
}

void owners_free(struct owners *o)
{
    if (o == NULL)
        return;
    json_decref(o->users);
    json_decref(o->groups);
    json_decref(o->unknown_users);
    json_decref(o->unknown_groups);
    free(o);
}

static bool is_known(const json_t *named, const json_t *unknown, const char *key)
{
    return json_object_get(named, key) != NULL || json_object_get(unknown, key) != NULL ||
           json_object_size(named) >= OWNERS_MAX || json_object_size(unknown) >= OWNERS_MAX;
}

static void note(json_t *named, json_t *unknown, const char *key, const char *name)
{
    if (name != NULL && text_is_utf8(name, strlen(name)))
        json_put_text(named, key, name);
    else
        json_put_text(unknown, key, "");
}

static void note_user(struct owners *o, uint32_t uid)
{
    char key[16], buffer[OWNER_BUFFER];
    struct passwd user, *have = NULL;
    (void)snprintf(key, sizeof key, "%" PRIu32, uid); /* at most ten digits */
    if (is_known(o->users, o->unknown_users, key))
        return;
    bool found = getpwuid_r(uid, &user, buffer, sizeof buffer, &have) == 0 && have != NULL;
    note(o->users, o->unknown_users, key, found ? user.pw_name : NULL);
}

static void note_group(struct owners *o, uint32_t gid)
{
    char key[16], buffer[OWNER_BUFFER];
    struct group group, *have = NULL;
    (void)snprintf(key, sizeof key, "%" PRIu32, gid);
    if (is_known(o->groups, o->unknown_groups, key))
        return;
    bool found = getgrgid_r(gid, &group, buffer, sizeof buffer, &have) == 0 && have != NULL;
    note(o->groups, o->unknown_groups, key, found ? group.gr_name : NULL);
}

void owners_note(struct owners *o, uint32_t uid, uint32_t gid)
{
    if (!o->asked || o->last_uid != uid)
        note_user(o, uid);
    if (!o->asked || o->last_gid != gid)
        note_group(o, gid);
    o->last_uid = uid;
    o->last_gid = gid;
    o->asked = true;
}

json_t *owners_json(const struct owners *o)
{
    json_t *all = json_object();
    json_put(all, "users", json_incref(o->users));
    json_put(all, "groups", json_incref(o->groups));
    return all;
}
