/*
 * Few owners own many files: what was looked up once is in a short list, searched from the front.
 */
#include "backup/work/restore_owner.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>

#include "dr/base/mem.h"

enum { NAME_BUF = 16 << 10 };

void owners_fini(struct owners *o)
{
    free(o->users);
    free(o->groups);
    o->users = o->groups = NULL;
}

static const char *name_of(const struct owners *o, const char *table, uint32_t number)
{
    char key[16];
    snprintf(key, sizeof(key), "%u", number);
    return o->is_root ? json_string_value(json_object_get(json_object_get(o->names, table), key))
                      : NULL;
}

static bool find(const struct owner_row *rows, size_t count, uint32_t number, uint32_t *ret)
{
    for (size_t i = 0; i < count; i++) {
        if (rows[i].from == number) {
            *ret = rows[i].to;
            return true;
        }
    }
    return false;
}

uid_t owners_user(struct owners *o, uint32_t number)
{
    uint32_t to = number;
    if (find(o->users, o->user_count, number, &to))
        return to;
    char space[NAME_BUF];
    struct passwd pw, *found = NULL;
    const char *name = name_of(o, "users", number);
    if (name != NULL && getpwnam_r(name, &pw, space, sizeof(space), &found) == 0 && found != NULL)
        to = found->pw_uid;
    o->users = dr_realloc(o->users, o->user_count + 1, sizeof(o->users[0]));
    o->users[o->user_count++] = (struct owner_row){ .from = number, .to = to };
    return to;
}

gid_t owners_group(struct owners *o, uint32_t number)
{
    uint32_t to = number;
    if (find(o->groups, o->group_count, number, &to))
        return to;
    char space[NAME_BUF];
    struct group gr, *found = NULL;
    const char *name = name_of(o, "groups", number);
    if (name != NULL && getgrnam_r(name, &gr, space, sizeof(space), &found) == 0 && found != NULL)
        to = found->gr_gid;
    o->groups = dr_realloc(o->groups, o->group_count + 1, sizeof(o->groups[0]));
    o->groups[o->group_count++] = (struct owner_row){ .from = number, .to = to };
    return to;
}
