/*
 * What a store can do: asked of the store itself, never of its name or version.
 *
 * A server may honour a condition, refuse it (501), or read over it and overwrite. Only a put that must
 * fail tells the last two from the first. The objects of these probes have names with a dot in front,
 * which store.h knows as no objects; ".probe" stays, so that the next probe of puts is one request.
 *
 * What was found out holds for the bucket and is kept for a week in the memory directory, one line a
 * fact:
 *
 *     drctl s3 1
 *     found 1795100000
 *     put yes
 *     swap quoted
 *     lock yes versioning yes
 *
 * A file that is anything else counts as absent. To lose it costs a few requests.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/store/s3_inside.h"
#include "backup/store/s3_xml.h"
#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"

enum { MEMORY_MAX = 4096, KEPT_S = 7 * 24 * 3600, NONCE = 16 };

static const int64_t SECOND_NS = 1000000000;

static const char *const form_words[] = {
    [S3_SWAP_NONE] = "none", [S3_SWAP_BARE] = "bare", [S3_SWAP_QUOTED] = "quoted"
};

/* -- memory ------------------------------------------------------------------------------------------ */

static char *file_name(const struct s3 *s)
{
    enum { SHORT = 8 };
    uint8_t digest[HASH_SIZE];
    char hex[2 * SHORT + 1];
    hash_bytes(s->place, strlen(s->place), digest);
    return dr_strf("s3-%s", hex_encode(digest, SHORT, hex));
}

static bool read_fact(const char *line, struct s3_known *k, int64_t *found_s)
{
    char word[16], second[16];
    if (sscanf(line, "found %" SCNd64, found_s) == 1) /* NOLINT(cert-err34-c): bounded below */
        return true;
    if (sscanf(line, "put %15s", word) == 1) {
        k->put_known = true;
        k->conditional_put = strcmp(word, "yes") == 0;
        return true;
    }
    if (sscanf(line, "lock %15s versioning %15s", word, second) == 2) {
        k->lock_known = true;
        k->object_lock = strcmp(word, "yes") == 0;
        k->versioning = strcmp(second, "yes") == 0;
        return true;
    }
    if (sscanf(line, "swap %15s", word) != 1)
        return false;
    for (size_t i = 0; i < DR_ARRAY_LEN(form_words); i++)
        if (strcmp(word, form_words[i]) == 0) {
            k->swap_known = true;
            k->swap = (enum s3_swap_form)i;
            return true;
        }
    return false;
}

static void recall(struct s3 *s)
{
    DR_CLEANUP(buf_fini) struct buf file = { 0 };
    struct dr_err ignored = { 0 };
    if (s->recalled || s->memory == NULL)
        return;
    s->recalled = true;
    DR_FREE char *name = file_name(s);
    DR_FREE char *path = dr_strf("%s/%s", s->memory, name);
    if (fs_read_file(path, MEMORY_MAX, &file, &ignored) != DR_OK || file.len == 0)
        return;
    struct s3_known k = { 0 };
    int64_t found_s = 0;
    char *rest = NULL;
    const char *line = strtok_r(file.data, "\n", &rest);
    if (line == NULL || strcmp(line, "drctl s3 1") != 0)
        return;
    while ((line = strtok_r(NULL, "\n", &rest)) != NULL)
        if (!read_fact(line, &k, &found_s))
            return;
    int64_t age_s = clock_wall_ns() / SECOND_NS - found_s;
    if (age_s >= 0 && age_s < KEPT_S)
        s->known = k;
}

/* What cannot be written is found out again. */
static void remember(const struct s3 *s, const struct s3_known *k)
{
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    struct dr_err ignored = { 0 };
    if (s->memory == NULL)
        return;
    buf_addf(&b, "drctl s3 1\nfound %" PRId64 "\n", clock_wall_ns() / SECOND_NS);
    if (k->put_known)
        buf_addf(&b, "put %s\n", k->conditional_put ? "yes" : "no");
    if (k->swap_known)
        buf_addf(&b, "swap %s\n", form_words[k->swap]);
    if (k->lock_known)
        buf_addf(&b, "lock %s versioning %s\n", k->object_lock ? "yes" : "no",
                 k->versioning ? "yes" : "no");
    DR_FREE char *name = file_name(s);
    enum dr_rc rc = fs_make_dirs(s->memory, 0700, &ignored);
    if (rc == DR_OK)
        rc = fs_replace(s->memory, name, b.data, b.len, &ignored);
    (void)rc; /* see above */
}

static void get_known(struct s3 *s, struct s3_known *ret)
{
    pthread_mutex_lock(&s->lock);
    recall(s);
    *ret = s->known;
    pthread_mutex_unlock(&s->lock);
}

/* One fact more; the others stay as they are by now. */
static void add_known(struct s3 *s, const struct s3_known *k)
{
    pthread_mutex_lock(&s->lock);
    struct s3_known *all = &s->known;
    if (k->put_known) {
        all->put_known = true;
        all->conditional_put = k->conditional_put;
    }
    if (k->swap_known) {
        all->swap_known = true;
        all->swap = k->swap;
    }
    if (k->lock_known) {
        all->lock_known = true;
        all->object_lock = k->object_lock;
        all->versioning = k->versioning;
    }
    remember(s, all);
    pthread_mutex_unlock(&s->lock);
}

/* -- a conditional put -------------------------------------------------------------------------------- */

struct put {
    const char *name;
    const char *condition;
    const char *body;
};

/* Its status: 200 done, 412 the condition was compared, 501 it is not known there; else an error. */
static enum dr_rc try_put(struct s3 *s, const struct put *p, int *ret, char tag[STORE_TAG_MAX],
                          struct dr_err *err)
{
    const struct s3_ask q = { .method = "PUT",
                              .name = p->name,
                              .headers = { p->condition },
                              .body = p->body,
                              .body_len = strlen(p->body),
                              .counter = STORE_PUTS,
                              .what = "put",
                              .action = "s3:PutObject" };
    DR_CLEANUP(s3_answer_fini) struct s3_answer a = { 0 };
    char code[S3_CODE_MAX];
    DR_TRY(s3_call(s, &q, &a, err));
    *ret = a.reply.status;
    tag[0] = '\0';
    if (a.reply.status == 200) {
        (void)s3_etag(&a.reply, tag); /* none: told by "" */
        return DR_OK;
    }
    s3_code(&a.reply, code);
    bool unknown = a.reply.status == 501 || strcmp(code, "NotImplemented") == 0;
    if (a.reply.status == 412 || (a.reply.status == 404 && strcmp(code, "NoSuchKey") == 0))
        *ret = 412;
    else if (unknown)
        *ret = 501;
    else
        return s3_fail(s, &q, &a, err);
    return DR_OK;
}

static enum dr_rc probe_put(struct s3 *s, struct s3_known *ret, struct dr_err *err)
{
    const struct put p = { ".probe", "If-None-Match: *", "drctl" };
    char tag[STORE_TAG_MAX];
    int status = 0;
    DR_TRY(try_put(s, &p, &status, tag, err));
    if (status == 200) /* it was not there, or nobody looked */
        DR_TRY(try_put(s, &p, &status, tag, err));
    *ret = (struct s3_known){ .put_known = true, .conditional_put = status == 412 };
    return DR_OK;
}

enum dr_rc s3_know_put(struct s3 *s, bool *ret_conditional, struct dr_err *err)
{
    struct s3_known k;
    get_known(s, &k);
    if (!k.put_known) {
        DR_TRY(probe_put(s, &k, err));
        add_known(s, &k);
    }
    *ret_conditional = k.conditional_put;
    return DR_OK;
}

/* -- compare and set ----------------------------------------------------------------------------------- */

/* A wrong tag must be refused, the right one taken: in which form? */
static enum dr_rc probe_forms(struct s3 *s, const char *name, enum s3_swap_form *ret,
                              struct dr_err *err)
{
    static const char wrong[] = "00000000000000000000000000000000";
    static const enum s3_swap_form forms[] = { S3_SWAP_QUOTED, S3_SWAP_BARE };
    char tag[STORE_TAG_MAX], ignored[STORE_TAG_MAX];
    int status = 0;
    *ret = S3_SWAP_NONE;
    const struct put first = { name, "If-None-Match: *", "1" };
    DR_TRY(try_put(s, &first, &status, tag, err));
    if (status != 200 || tag[0] == '\0')
        return DR_OK;
    const struct put again = { name, "If-None-Match: *", "2" };
    DR_TRY(try_put(s, &again, &status, ignored, err));
    if (status != 412)
        return DR_OK;
    for (size_t i = 0; i < DR_ARRAY_LEN(forms); i++) {
        DR_FREE char *miss = s3_if_match(forms[i], wrong);
        DR_FREE char *match = s3_if_match(forms[i], tag);
        const struct put losing = { name, miss, "3" };
        const struct put winning = { name, match, "4" };
        DR_TRY(try_put(s, &losing, &status, ignored, err));
        if (status != 412)
            return DR_OK; /* not compared at all */
        DR_TRY(try_put(s, &winning, &status, ignored, err));
        if (status == 200) {
            *ret = forms[i];
            return DR_OK;
        }
    }
    return DR_OK;
}

static enum dr_rc probe_swap(struct s3 *s, struct s3_known *ret, struct dr_err *err)
{
    uint8_t nonce[NONCE];
    char hex[2 * NONCE + 1];
    random_bytes(nonce, sizeof(nonce));
    DR_FREE char *name = dr_strf(".swap-%s", hex_encode(nonce, sizeof(nonce), hex));
    enum s3_swap_form form = S3_SWAP_NONE;
    enum dr_rc rc = probe_forms(s, name, &form, err);
    const struct s3_ask q = { .method = "DELETE",
                              .name = name,
                              .counter = STORE_REMOVES,
                              .what = "remove",
                              .action = "s3:DeleteObject" };
    DR_CLEANUP(s3_answer_fini) struct s3_answer a = { 0 };
    struct dr_err ignored = { 0 };
    enum dr_rc cleaned = s3_call(s, &q, &a, &ignored);
    (void)cleaned; /* what may stay is one byte under a name that nobody lists */
    *ret = (struct s3_known){ .swap_known = true, .swap = form };
    return rc;
}

enum dr_rc s3_know_swap(struct s3 *s, enum s3_swap_form *ret, struct dr_err *err)
{
    struct s3_known k;
    get_known(s, &k);
    if (!k.swap_known) {
        DR_TRY(probe_swap(s, &k, err));
        add_known(s, &k);
    }
    *ret = k.swap;
    return DR_OK;
}

/* -- versions and locks ---------------------------------------------------------------------------------- */

struct setting {
    const char *path; /* the element that says "Enabled" */
    bool on;
};

static enum dr_rc take_setting(void *arg, const char *path, const char *text, struct dr_err *err)
{
    struct setting *x = arg;
    (void)err;
    if (strcmp(path, x->path) == 0)
        x->on = strcmp(text, "Enabled") == 0;
    return DR_OK;
}

/* A bucket without the setting says so by 404, a store without it by 501 or 405. */
static enum dr_rc ask_setting(struct s3 *s, const struct s3_ask *q, struct setting *x,
                              struct dr_err *err)
{
    DR_CLEANUP(s3_answer_fini) struct s3_answer a = { 0 };
    char code[S3_CODE_MAX];
    DR_TRY(s3_call(s, q, &a, err));
    s3_code(&a.reply, code);
    if (a.reply.status == 200) {
        if (s3_xml_read(q->grow->data, q->grow->len, take_setting, x, err) != DR_OK)
            return dr_context(err, "bucket '%s': reading its settings", s->base.name);
        return DR_OK;
    }
    if (a.reply.status == 501 || a.reply.status == 405 || a.reply.status == 409 ||
        (a.reply.status == 404 && strcmp(code, "NoSuchBucket") != 0))
        return DR_OK;
    return s3_fail(s, q, &a, err);
}

static enum dr_rc probe_lock(struct s3 *s, struct s3_known *ret, struct dr_err *err)
{
    struct setting versioning = { .path = "VersioningConfiguration/Status" };
    struct setting locks = { .path = "ObjectLockConfiguration/ObjectLockEnabled" };
    DR_CLEANUP(buf_fini) struct buf first = { 0 };
    DR_CLEANUP(buf_fini) struct buf second = { 0 };
    const struct s3_ask ask_versioning = { .method = "GET",
                                           .query = "versioning=",
                                           .grow = &first,
                                           .grow_limit = S3_LIST_MAX,
                                           .counter = STORE_GETS,
                                           .what = "look whether it keeps versions",
                                           .action = "s3:GetBucketVersioning" };
    const struct s3_ask ask_locks = { .method = "GET",
                                      .query = "object-lock=",
                                      .grow = &second,
                                      .grow_limit = S3_LIST_MAX,
                                      .counter = STORE_GETS,
                                      .what = "look whether it can lock",
                                      .action = "s3:GetBucketObjectLockConfiguration" };
    DR_TRY(ask_setting(s, &ask_versioning, &versioning, err));
    DR_TRY(ask_setting(s, &ask_locks, &locks, err));
    *ret = (struct s3_known){ .lock_known = true,
                              .object_lock = locks.on,
                              .versioning = versioning.on };
    return DR_OK;
}

enum dr_rc s3_know_lock(struct s3 *s, struct s3_known *ret, struct dr_err *err)
{
    get_known(s, ret);
    if (ret->lock_known)
        return DR_OK;
    DR_TRY(probe_lock(s, ret, err));
    add_known(s, ret);
    return DR_OK;
}

/* Whoever asks for all wants to know how it is now. */
enum dr_rc s3_abilities(struct store *base, struct store_abilities *ret, struct dr_err *err)
{
    struct s3 *s = (struct s3 *)base;
    struct s3_known put, swap, lock;
    DR_TRY(probe_put(s, &put, err));
    add_known(s, &put);
    DR_TRY(probe_swap(s, &swap, err));
    add_known(s, &swap);
    DR_TRY(probe_lock(s, &lock, err));
    add_known(s, &lock);
    *ret = (struct store_abilities){
        .conditional_put = put.conditional_put,
        .conditional_swap = swap.swap != S3_SWAP_NONE,
        .versioning = lock.versioning,
        .object_lock = lock.object_lock,
        .clock_offset_ms = s->clock_offset_ms,
    };
    return DR_OK;
}
