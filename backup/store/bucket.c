/*
 * From a row of the configuration to a store. Secrets live here for as long as the open takes.
 */
#include "backup/store/bucket.h"

#include <string.h>

#include "dr/base/mem.h"
#include "dr/config/rights.h"

/* The words that the names of secrets stand for; owned. */
struct words {
    char *access_key, *secret_key, *session_token;
};

static void wipe(char *word)
{
    if (word != NULL)
        explicit_bzero(word, strlen(word));
    free(word);
}

static void words_fini(struct words *w)
{
    wipe(w->access_key);
    wipe(w->secret_key);
    wipe(w->session_token);
}

static enum dr_rc read_words(const struct config *c, const struct config_credentials *from,
                             struct words *ret, struct dr_err *err)
{
    if (from->access_key != NULL)
        DR_TRY(config_secret(c, from->access_key, &ret->access_key, err));
    if (from->secret_key != NULL)
        DR_TRY(config_secret(c, from->secret_key, &ret->secret_key, err));
    if (from->session_token != NULL)
        DR_TRY(config_secret(c, from->session_token, &ret->session_token, err));
    return DR_OK;
}

enum dr_rc bucket_open(const struct config *c, const struct config_bucket *b,
                       const struct bucket_access *access, struct store **ret, struct dr_err *err)
{
    DR_ASSERT(c != NULL && b != NULL && ret != NULL && err != NULL);
    static const struct bucket_access usual = { 0 };
    const struct bucket_access *a = access != NULL ? access : &usual;
    const struct config_credentials *from = config_bucket_rights(c, b, a->guard);
    DR_FREE char *memory = c->state_dir != NULL ? dr_strf("%s/net", c->state_dir) : NULL;
    DR_CLEANUP(words_fini) struct words words = { 0 };
    if (read_words(c, from, &words, err) != DR_OK)
        return dr_context(err, "bucket '%s'", b->name);
    const struct store_credentials credentials = {
        .kind = from->kind,
        .access_key = words.access_key,
        .secret_key = words.secret_key,
        .session_token = words.session_token,
        .profile = from->profile,
    };
    const struct store_options o = {
        .name = b->name,
        .region = b->region,
        .url = b->url,
        .credentials = &credentials,
        .ca = b->ca,
        .lock_ms = b->lock.ms,
        .lock_mode = b->lock.mode,
        .gate = a->gate,
        .memory = memory,
    };
    DR_TRY(store_open(&o, ret, err));
    if (a->plant != NULL && a->plant->kind != PLANT_NONE)
        *ret = plant_store(a->plant, *ret);
    return DR_OK;
}
