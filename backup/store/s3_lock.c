/*
 * Buckets with object lock: the oldest version is the object.
 *
 * A retention protects a version, not a name. Whoever steals the keys of the source can put a new version
 * of each name, or a delete marker, and every plain GET then gives that or nothing. Names are
 * put once by those who mean well, so what came later is never the object; and before it nobody can
 * have come, for names hold digests and random numbers.
 *
 * To know it costs a list of versions. A few names are asked for one by one; when it is more of one
 * folder, its versions are read once, a thousand a request, and those names are remembered
 * whose newest version is not the object: in a bucket that nobody attacked there are none. What is put
 * on top after that is seen by the digests, and by the next process.
 */
#include <string.h>

#include "backup/store/s3_inside.h"
#include "backup/store/s3_xml.h"
#include "dr/base/mem.h"
#include "dr/data/time.h"

enum { ASK_ONE_BY_ONE = 8 };

static const int64_t SECOND_NS = 1000000000;

bool s3_is_lasting(const struct s3 *s, const char *name)
{
    static const char *const passing[] = {
        "pending/", "pins/", "proofs/", "leases/", "doctor-", "."
    };
    if (s->lock_ms == 0)
        return false;
    for (size_t i = 0; i < DR_ARRAY_LEN(passing); i++)
        if (text_starts(name, passing[i]))
            return false;
    return true;
}

/* -- one name ---------------------------------------------------------------------------------------- */

struct looking {
    const char *name;
    char id[S3_VERSION_MAX];
    uint64_t size;
    bool found;
    struct text_list all; /* ids of all its versions and markers */
};

static enum dr_rc look(void *arg, const struct s3_version *v, struct dr_err *err)
{
    struct looking *l = arg;
    (void)err;
    if (strcmp(v->name, l->name) != 0)
        return DR_OK; /* a longer name */
    text_list_add(&l->all, v->id);
    if (v->marker)
        return DR_OK;
    l->found = true;
    l->size = v->size;
    memcpy(l->id, v->id, strlen(v->id) + 1);
    return DR_OK;
}

enum dr_rc s3_oldest(struct s3 *s, const char *name, char ret[S3_VERSION_MAX], uint64_t *ret_size,
                     struct dr_err *err)
{
    struct looking l = { .name = name };
    enum dr_rc rc = s3_versions(s, name, look, &l, err);
    text_list_fini(&l.all);
    if (rc == DR_OK && !l.found)
        rc = dr_fail(err, DR_E_NOTFOUND, "bucket '%s': cannot look at object '%s': it is not there",
                     s->base.name, name);
    if (rc != DR_OK)
        return rc;
    memcpy(ret, l.id, sizeof(l.id));
    *ret_size = l.size;
    return DR_OK;
}

/* -- one folder --------------------------------------------------------------------------------------- */

static struct s3_folder *folder_of(struct s3 *s, const char *name)
{
    size_t len = strcspn(name, "/");
    len += name[len] == '/';
    len = name[len == 0 ? 0 : len - 1] == '/' ? len : 0;
    for (size_t i = 0; i < s->folder_count; i++)
        if (strlen(s->folders[i].name) == len && strncmp(s->folders[i].name, name, len) == 0)
            return &s->folders[i];
    s->folders = dr_realloc(s->folders, s->folder_count + 1, sizeof(*s->folders));
    struct s3_folder *f = &s->folders[s->folder_count++];
    *f = (struct s3_folder){ .name = dr_memdup(name, len) };
    return f;
}

struct survey {
    struct text_list names, ids;
    char *name; /* of the group at hand; owned */
    char *newest, *oldest;
};

static void end_group(struct survey *u)
{
    bool odd = u->oldest != NULL && strcmp(u->newest, u->oldest) != 0;
    if (u->name != NULL && odd) {
        text_list_add(&u->names, u->name);
        text_list_add(&u->ids, u->oldest);
    }
    free(u->name);
    free(u->newest);
    free(u->oldest);
    u->name = u->newest = u->oldest = NULL;
}

static enum dr_rc survey_version(void *arg, const struct s3_version *v, struct dr_err *err)
{
    struct survey *u = arg;
    (void)err;
    if (u->name == NULL || strcmp(u->name, v->name) != 0) {
        end_group(u);
        u->name = dr_strdup(v->name);
        u->newest = dr_strdup(v->id);
    }
    if (!v->marker) {
        free(u->oldest);
        u->oldest = dr_strdup(v->id);
    }
    return DR_OK;
}

/* Two threads may read one folder at once: the second is the same. */
static enum dr_rc load_folder(struct s3 *s, const char *name, const char *folder,
                              struct dr_err *err)
{
    struct survey u = { 0 };
    enum dr_rc rc = s3_versions(s, folder, survey_version, &u, err);
    if (rc == DR_OK)
        end_group(&u);
    pthread_mutex_lock(&s->lock);
    struct s3_folder *f = folder_of(s, name);
    if (rc == DR_OK && !f->loaded) {
        f->names = u.names;
        f->ids = u.ids;
        u.names = u.ids = (struct text_list){ 0 };
        f->loaded = true;
    }
    pthread_mutex_unlock(&s->lock);
    free(u.name);
    free(u.newest);
    free(u.oldest);
    text_list_fini(&u.names);
    text_list_fini(&u.ids);
    return rc;
}

static size_t place_in(const struct text_list *names, const char *name)
{
    size_t low = 0, high = names->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(names->items[middle], name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Known? Then ret is set. Else *ret_folder is what to load, or NULL: ask for the one name. */
static bool is_known(struct s3 *s, const char *name, char ret[S3_VERSION_MAX], char **ret_folder)
{
    pthread_mutex_lock(&s->lock);
    struct s3_folder *f = folder_of(s, name);
    bool known = f->loaded;
    ret[0] = '\0';
    *ret_folder =
        !known && f->name[0] != '\0' && ++f->asked > ASK_ONE_BY_ONE ? dr_strdup(f->name) : NULL;
    size_t at = known ? place_in(&f->names, name) : 0;
    if (known && at < f->names.count && strcmp(f->names.items[at], name) == 0)
        memcpy(ret, f->ids.items[at], strlen(f->ids.items[at]) + 1);
    pthread_mutex_unlock(&s->lock);
    return known;
}

enum dr_rc s3_object_version(struct s3 *s, const char *name, char ret[S3_VERSION_MAX],
                             struct dr_err *err)
{
    DR_FREE char *folder = NULL;
    DR_FREE char *none = NULL;
    uint64_t size = 0;
    ret[0] = '\0';
    if (!s3_is_lasting(s, name) || is_known(s, name, ret, &folder))
        return DR_OK;
    if (folder == NULL)
        return s3_oldest(s, name, ret, &size, err);
    DR_TRY(load_folder(s, name, folder, err));
    (void)is_known(s, name, ret, &none); /* it is, now */
    return DR_OK;
}

/* -- removal ------------------------------------------------------------------------------------------ */

static enum dr_rc remove_version(struct s3 *s, const char *name, const char *id,
                                 struct s3_answer *ret, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf query = { 0 };
    buf_adds(&query, "versionId=");
    s3_encode(&query, id);
    const struct s3_ask q = { .method = "DELETE",
                              .name = name,
                              .query = id[0] != '\0' ? query.data : NULL,
                              .counter = STORE_REMOVES,
                              .what = "remove",
                              .action = "s3:DeleteObjectVersion" };
    DR_TRY(s3_call(s, &q, ret, err));
    return ret->reply.status / 100 == 2 || ret->reply.status == 404 ? DR_OK
                                                                    : s3_fail(s, &q, ret, err);
}

/* Removed is what no list shows any more. A marker does that for passing names, and whoever may not
 * remove versions may set it; of a lasting name each version has to go, and the retention decides. */
enum dr_rc s3_remove_versions(struct s3 *s, const char *name, struct dr_err *err)
{
    struct looking l = { .name = name };
    enum dr_rc rc = s3_versions(s, name, look, &l, err);
    for (size_t i = 0; rc == DR_OK && i < l.all.count; i++) {
        DR_CLEANUP(s3_answer_fini) struct s3_answer a = { 0 };
        rc = remove_version(s, name, l.all.items[i], &a, err);
        if (rc == DR_E_DENIED && s3_is_lasting(s, name)) {
            rc = dr_fail(err, DR_E_REFUSED,
                         "bucket '%s': object '%s' is locked: its retention has not ended",
                         s->base.name, name);
            (void)dr_hint(err, "It can be removed when its lock has ended, by the guard."); /* rc */
        } else if (rc == DR_E_DENIED) {
            DR_CLEANUP(s3_answer_fini) struct s3_answer marked = { 0 };
            rc = remove_version(s, name, "", &marked, err);
            break;
        }
    }
    text_list_fini(&l.all);
    return rc;
}

/* -- retention ---------------------------------------------------------------------------------------- */

static enum dr_rc take_until(void *arg, const char *path, const char *text, struct dr_err *err)
{
    (void)err;
    int64_t until_ns = 0;
    if (strcmp(path, "Retention/RetainUntilDate") == 0 && time_parse(text, &until_ns))
        *(int64_t *)arg = until_ns;
    return DR_OK;
}

/* Until when it is locked by now; 0 when that cannot be told. */
static int64_t locked_until(struct s3 *s, const char *name, const char *query)
{
    DR_CLEANUP(buf_fini) struct buf body = { 0 };
    int64_t until_ns = 0;
    const struct s3_ask q = { .method = "GET",
                              .name = name,
                              .query = query,
                              .grow = &body,
                              .grow_limit = S3_LIST_MAX,
                              .counter = STORE_GETS,
                              .what = "look at the lock of",
                              .action = "s3:GetObjectRetention" };
    DR_CLEANUP(s3_answer_fini) struct s3_answer a = { 0 };
    struct dr_err ignored = { 0 };
    if (s3_call(s, &q, &a, &ignored) != DR_OK || a.reply.status != 200 ||
        s3_xml_read(body.data, body.len, take_until, &until_ns, &ignored) != DR_OK)
        return 0;
    return until_ns;
}

enum dr_rc s3_lock_until(struct store *base, const char *name, int64_t until_ns, struct dr_err *err)
{
    struct s3 *s = (struct s3 *)base;
    char id[S3_VERSION_MAX], until[TIME_TEXT_MAX];
    if (!s3_is_lasting(s, name))
        return dr_fail(err, DR_E_CONFIG, "bucket '%s': object '%s' is not locked here", base->name,
                       name);
    DR_TRY(s3_object_version(s, name, id, err));
    DR_CLEANUP(buf_fini) struct buf body = { 0 };
    DR_CLEANUP(buf_fini) struct buf query = { 0 };
    buf_adds(&query, "retention=");
    if (id[0] != '\0') {
        buf_adds(&query, "&versionId=");
        s3_encode(&query, id);
    }
    buf_addf(&body,
             "<Retention xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Mode>%s</Mode>"
             "<RetainUntilDate>%s</RetainUntilDate></Retention>",
             s->lock_mode, time_print_s(until_ns, until));
    DR_FREE char *md5 = s3_md5_header(body.data, body.len);
    const struct s3_ask q = { .method = "PUT",
                              .name = name,
                              .query = query.data,
                              .headers = { md5 },
                              .body = body.data,
                              .body_len = body.len,
                              .counter = STORE_PUTS,
                              .what = "lock",
                              .action = "s3:PutObjectRetention" };
    DR_CLEANUP(s3_answer_fini) struct s3_answer a = { 0 };
    DR_TRY(s3_call(s, &q, &a, err));
    if (a.reply.status == 200)
        return DR_OK;
    /* what is locked for longer refuses to be locked for less, in the words of "access denied" */
    if (a.reply.status == 403 &&
        locked_until(s, name, query.data) >= until_ns / SECOND_NS * SECOND_NS)
        return DR_OK;
    return s3_fail(s, &q, &a, err);
}
