/*
 * teller.c - one row out, findings on.
 */
#include "backup/daemon/teller.h"

#include <string.h>

#include "dr/base/clock.h"
#include "dr/base/log.h"
#include "dr/base/mem.h"
#include "dr/notify/notify.h"
#include "dr/status/status.h"

enum { WAIT_MOST_MS = 60 * 1000 };

struct teller {
    const char *state_dir;        /* borrowed of the configuration */
    char *own;                    /* the name of our site */
    struct status_writer *writer; /* or NULL */
    struct notify *notify;        /* or NULL */
    bool deaf;                    /* the last step of notify failed, and that was told */
};

/* ---- whose finding ----------------------------------------------------------------------------- */

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text != NULL ? text : "";
}

static const json_t *named(const json_t *view, const char *list, const char *name)
{
    size_t i;
    const json_t *o;
    json_array_foreach(json_object_get(view, list), i,
                       o) if (strcmp(text_of(o, "name"), name) == 0) return o;
    return NULL;
}

/* We are, whatever the buckets have of us. */
static bool lives(const json_t *view, const char *site, const char *own)
{
    return strcmp(site, own) == 0 ||
           strcmp(text_of(named(view, "sites", site), "state"), "alive") == 0;
}

/* The first living site. */
static const char *speaker(const json_t *view, const char *own)
{
    size_t i;
    const json_t *o;
    json_array_foreach(json_object_get(view, "sites"), i,
                       o) if (lives(view, text_of(o, "name"), own)) return text_of(o, "name");
    return own;
}

/* The part of "job/us/full/app" so many slashes behind the beginning; the caller frees. */
static char *part_of(const char *key, int behind)
{
    for (; behind > 0; behind--) {
        const char *slash = strchr(key, '/');
        if (slash == NULL)
            return dr_strdup("");
        key = slash + 1;
    }
    return dr_memdup(key, strcspn(key, "/"));
}

/* The site that a key is about; "": all of them. The caller frees. */
static char *site_of(const json_t *view, const char *key, const char *own)
{
    static const struct {
        const char *word;
        int source; /* the part that names a source; 0: none */
        int site;   /* the part that names a site; 0: none */
    } words[] = { { "job", 0, 1 },    { "probe", 0, 1 },    { "overdue", 1, 0 }, { "none", 1, 0 },
                  { "copies", 1, 0 }, { "unproved", 1, 0 }, { "region", 2, 0 } };
    DR_FREE char *word = part_of(key, 0);
    if (strcmp(word, "state") == 0 || strcmp(word, "late") == 0)
        return dr_strdup(own);
    for (size_t i = 0; i < DR_ARRAY_LEN(words); i++) {
        if (strcmp(words[i].word, word) != 0)
            continue;
        if (words[i].site > 0)
            return part_of(key, words[i].site);
        DR_FREE char *source = part_of(key, words[i].source);
        return dr_strdup(text_of(named(view, "sources", source), "site"));
    }
    return dr_strdup("");
}

json_t *teller_findings(const json_t *view, const char *own)
{
    json_t *ours = json_array();
    size_t i;
    json_t *finding;
    json_array_foreach(json_object_get(view, "findings"), i, finding)
    {
        DR_FREE char *site = site_of(view, text_of(finding, "key"), own);
        bool theirs = site[0] != '\0' && lives(view, site, own);
        if (strcmp(theirs ? site : speaker(view, own), own) != 0)
            continue;
        if (json_array_append(ours, finding) != 0)
            dr_out_of_memory();
    }
    return ours;
}

/* ---- the teller -------------------------------------------------------------------------------- */

struct teller *teller_open(const struct config *c, const char *version)
{
    struct teller *t = dr_alloc(1, sizeof(*t));
    const struct status_writer_options options = { .version = version };
    struct dr_err err = { 0 };
    t->own = status_own_site(c);
    t->state_dir = c->state_dir;
    if (c->bucket_count > 0 && status_writer_open(c, &options, &t->writer, &err) != DR_OK) {
        log_warning("other hosts will not know how this one is: %s", err.msg);
        t->writer = NULL;
    }
    if (c->channel_count > 0 && notify_open(c, &t->notify, &err) != DR_OK) {
        log_warning("nobody will be told of what is wrong: %s", err.msg);
        t->notify = NULL;
    }
    return t;
}

void teller_close(struct teller *t)
{
    if (t == NULL)
        return;
    status_writer_close(t->writer);
    notify_close(t->notify);
    free(t->own);
    free(t);
}

static int64_t sooner(int64_t wait_ms, int64_t next_ns)
{
    int64_t left_ms = next_ns == INT64_MAX ? wait_ms : (next_ns - clock_boot_ns()) / 1000000 + 1;
    left_ms = left_ms > 0 ? left_ms : 1;
    return left_ms < wait_ms ? left_ms : wait_ms;
}

/* Told when it begins and when it ends. DR_E_BUSY: somebody else sends. */
static void hear(struct teller *t, enum dr_rc rc, const struct dr_err *err)
{
    bool deaf = rc != DR_OK && rc != DR_E_BUSY;
    if (deaf && !t->deaf)
        log_warning("what is wrong cannot be told: %s; it is tried again", err->msg);
    else if (!deaf && t->deaf)
        log_notice("what is wrong can be told again");
    t->deaf = deaf;
}

int64_t teller_step(struct teller *t, const json_t *jobs)
{
    int64_t wait_ms = WAIT_MOST_MS, next_ns = INT64_MAX;
    struct dr_err err = { 0 };
    if (t->writer != NULL) {
        status_write(t->writer, jobs, &next_ns);
        wait_ms = sooner(wait_ms, next_ns);
    }
    if (t->notify == NULL)
        return wait_ms;
    next_ns = INT64_MAX;
    hear(t, notify_step(t->notify, &next_ns, &err), &err);
    return sooner(wait_ms, next_ns);
}

void teller_write_now(struct teller *t, const json_t *jobs)
{
    if (t->writer != NULL && !status_write_now(t->writer, jobs))
        log_warning("not every bucket has taken what other hosts are to know of this one");
}

void teller_view(struct teller *t, const json_t *view)
{
    struct dr_err err = { 0 };
    if (status_publish(t->state_dir, view, &err) != DR_OK)
        log_warning("the status page shows an old status: %s", err.msg);
    if (t->notify == NULL || !json_is_array(json_object_get(view, "findings")))
        return;
    DR_JSON json_t *ours = teller_findings(view, t->own);
    hear(t, notify_findings(t->notify, ours, &err), &err);
}
