/*
 * aws_credentials.c - the chain of sources, and the keys that one of them gave.
 *
 * Keys are fetched by one thread; others take the old ones while these hold, and wait only when there
 * are none. A source that worked once is asked again and no other: if it fails later, that failure is what the
 * caller should hear about, not that other sources are not set up.
 */
#include "dr/net/aws_credentials.h"

#include <pthread.h>
#include <string.h>

#include "dr/base/buf.h"
#include "dr/base/clock.h"
#include "dr/base/mem.h"
#include "dr/data/time.h"
#include "dr/net/aws_source.h"

enum { FETCH_MS = 5000, AGAIN_MS = 10000 };

static const int64_t early_ns = INT64_C(300) * 1000000000;

static const struct source {
    const char *kind;
    aws_find *find;
} sources[] = {
    { "environment", aws_find_environment },
    { "profile", aws_find_profile },
    { "container", aws_find_container },
    { "instance", aws_find_instance },
};

struct aws_credentials {
    struct aws_world world;
    bool fixed;                 /* the keys were given */
    const struct source *asked; /* the only one; NULL: the chain */

    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t changed;
    struct aws_found now;        /* keys that are NULL: none yet */
    const struct source *worked; /* it gave the keys; or NULL */
    bool fetching, distrusted;
    struct dr_err failed; /* the last fetch, when it did */
    int64_t again_ms;     /* while the old keys hold, no fetch before that */
};

/* -- small things of aws_source.h ---------------------------------------------------------- */

void aws_wipe(char *secret)
{
    if (secret != NULL)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

void aws_keys_fini(struct aws_keys *k)
{
    aws_wipe(k->access_key);
    aws_wipe(k->secret_key);
    aws_wipe(k->session_token);
    *k = (struct aws_keys){ 0 };
}

void aws_found_fini(struct aws_found *f)
{
    aws_keys_fini(&f->keys);
    free(f->source);
    free(f->warning);
    f->source = f->warning = NULL;
}

static char *copy(const char *text)
{
    return text != NULL && text[0] != '\0' ? dr_strdup(text) : NULL;
}

static char *variable(const char *name)
{
    return copy(getenv(name)); /* NOLINT(concurrency-mt-unsafe): read once, nobody writes it */
}

void aws_environment_read(struct aws_environment *env)
{
    *env = (struct aws_environment){
        .access_key = variable("AWS_ACCESS_KEY_ID"),
        .secret_key = variable("AWS_SECRET_ACCESS_KEY"),
        .session_token = variable("AWS_SESSION_TOKEN"),
        .profile = variable("AWS_PROFILE"),
        .file = variable("AWS_SHARED_CREDENTIALS_FILE"),
        .home = variable("HOME"),
        .relative_uri = variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
        .full_uri = variable("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
        .token = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
        .token_file = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
        .endpoint = variable("AWS_EC2_METADATA_SERVICE_ENDPOINT"),
        .disabled = variable("AWS_EC2_METADATA_DISABLED"),
    };
}

void aws_environment_fini(struct aws_environment *env)
{
    char *all[] = { env->access_key, env->secret_key, env->session_token, env->profile,
                    env->file,       env->home,       env->relative_uri,  env->full_uri,
                    env->token,      env->token_file, env->endpoint,      env->disabled };
    for (size_t i = 0; i < DR_ARRAY_LEN(all); i++)
        aws_wipe(all[i]);
    *env = (struct aws_environment){ 0 };
}

enum dr_rc aws_find_environment(const struct aws_world *w, struct aws_found *ret,
                                struct dr_err *err)
{
    const struct aws_environment *env = &w->env;
    if (env->access_key == NULL && env->secret_key == NULL)
        return dr_fail(err, DR_E_NOTFOUND, "AWS_ACCESS_KEY_ID is not set");
    if (env->access_key == NULL || env->secret_key == NULL)
        return dr_fail(err, DR_E_CONFIG, "%s is set and %s is not",
                       env->access_key != NULL ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
                       env->access_key != NULL ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
    ret->keys = (struct aws_keys){ .access_key = dr_strdup(env->access_key),
                                   .secret_key = dr_strdup(env->secret_key),
                                   .session_token = copy(env->session_token) };
    ret->source = dr_strdup("the environment");
    return DR_OK;
}

/* -- life ---------------------------------------------------------------------------------- */

static pthread_mutex_t *lock(struct aws_credentials *c)
{
    DR_ASSERT(pthread_mutex_lock(&c->lock) == 0);
    return &c->lock;
}

static void unlock(pthread_mutex_t **held)
{
    DR_ASSERT(pthread_mutex_unlock(*held) == 0);
}
#define HOLD(c) DR_CLEANUP(unlock) pthread_mutex_t *held = lock(c)

static enum dr_rc take_kind(struct aws_credentials *c, const struct aws_credentials_options *o,
                            struct dr_err *err)
{
    if (o->kind == NULL)
        return DR_OK;
    if (strcmp(o->kind, "keys") == 0) {
        c->fixed = true;
        c->now.keys = (struct aws_keys){ .access_key = copy(o->access_key),
                                         .secret_key = copy(o->secret_key),
                                         .session_token = copy(o->session_token) };
        c->now.source = dr_strdup("the configuration");
        if (c->now.keys.access_key == NULL || c->now.keys.secret_key == NULL)
            return dr_fail(err, DR_E_CONFIG, "credentials without an access key or its secret");
        return DR_OK;
    }
    for (size_t i = 0; i < DR_ARRAY_LEN(sources); i++)
        if (strcmp(o->kind, sources[i].kind) == 0)
            c->asked = &sources[i];
    if (c->asked == NULL)
        return dr_fail(err, DR_E_CONFIG,
                       "credentials of kind '%s' are not known: keys, environment, profile, "
                       "container, instance",
                       o->kind);
    return DR_OK;
}

enum dr_rc aws_credentials_new(const struct aws_credentials_options *o,
                               struct aws_credentials **ret, struct dr_err *err)
{
    DR_CLEANUP(aws_credentials_free_ptr) struct aws_credentials *c = dr_alloc(1, sizeof(*c));
    DR_ASSERT(pthread_mutex_init(&c->lock, NULL) == 0);
    DR_ASSERT(pthread_cond_init(&c->changed, NULL) == 0);
    aws_environment_read(&c->world.env);
    c->world.profile = copy(o->profile);
    c->world.gate = o->gate;
    c->world.fetch_ms = o->fetch_ms > 0 ? o->fetch_ms : FETCH_MS;
    DR_TRY(take_kind(c, o, err));
    *ret = DR_TAKE(c);
    return DR_OK;
}

void aws_credentials_free(struct aws_credentials *c)
{
    if (c == NULL)
        return;
    DR_ASSERT(!c->fetching);
    (void)pthread_cond_destroy(&c->changed); /* nobody waits */
    (void)pthread_mutex_destroy(&c->lock);
    aws_found_fini(&c->now);
    aws_environment_fini(&c->world.env);
    free(c->world.profile);
    free(c);
}

/* -- finding ------------------------------------------------------------------------------- */

static enum dr_rc ask_one(struct aws_credentials *c, const struct source *s, struct aws_found *ret,
                          struct dr_err *err)
{
    struct aws_found found = { 0 };
    DR_TRY(s->find(&c->world, &found, err));
    if (found.keys.expires_ns == 0 || found.keys.expires_ns > clock_wall_ns()) {
        *ret = found;
        return DR_OK;
    }
    char at[TIME_TEXT_MAX];
    time_print_s(found.keys.expires_ns, at);
    (void)dr_fail(err, DR_E_DENIED, "%s gave keys that expired at %s", found.source, at);
    aws_found_fini(&found);
    return dr_hint(err, "Is the clock of this machine right?");
}

/* A source that is the only one speaks for itself; not set up is a refusal then. */
static enum dr_rc ask_only(struct aws_credentials *c, const struct source *s, struct aws_found *ret,
                           struct dr_err *err)
{
    enum dr_rc rc = ask_one(c, s, ret, err);
    if (rc == DR_OK)
        return DR_OK;
    if (rc == DR_E_NOTFOUND)
        err->rc = DR_E_DENIED;
    return dr_context(err, "no credentials from '%s'", s->kind);
}

/* Nobody is at the address of the instance's service: as good as not set up. */
static bool passes_on(enum dr_rc rc, const struct source *s)
{
    bool last = s->find == aws_find_instance;
    return rc == DR_E_NOTFOUND || (last && (rc == DR_E_TRANSIENT || rc == DR_E_TIMEOUT));
}

static enum dr_rc ask_chain(struct aws_credentials *c, const struct source **ret_worked,
                            struct aws_found *ret, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf said = { 0 };
    for (size_t i = 0; i < DR_ARRAY_LEN(sources); i++) {
        struct dr_err why = { 0 };
        enum dr_rc rc = ask_one(c, &sources[i], ret, &why);
        if (rc == DR_OK) {
            *ret_worked = &sources[i];
            return DR_OK;
        }
        if (!passes_on(rc, &sources[i])) {
            *err = why;
            return dr_context(err, "credentials from '%s'", sources[i].kind);
        }
        buf_addf(&said, "%s%s: %s", i > 0 ? "; " : "", sources[i].kind, why.msg);
    }
    (void)dr_fail(err, DR_E_DENIED, "no credentials found (%s)", said.data);
    return dr_hint(err,
                   "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, write ~/.aws/credentials, "
                   "or name the keys in the configuration.");
}

static enum dr_rc find(struct aws_credentials *c, const struct source **worked,
                       struct aws_found *ret, struct dr_err *err)
{
    const struct source *only = c->asked != NULL ? c->asked : *worked;
    if (only == NULL)
        return ask_chain(c, worked, ret, err);
    return ask_only(c, only, ret, err);
}

/* -- keeping, all under the lock ----------------------------------------------------------- */

static bool holds(const struct aws_credentials *c)
{
    const struct aws_keys *k = &c->now.keys;
    return k->access_key != NULL && (k->expires_ns == 0 || clock_wall_ns() < k->expires_ns) &&
           (!c->distrusted || c->fixed);
}

static bool is_fresh(const struct aws_credentials *c)
{
    if (!holds(c))
        return false;
    int64_t expires_ns = c->now.keys.expires_ns;
    return expires_ns == 0 || clock_wall_ns() < expires_ns - early_ns ||
           clock_boot_ms() < c->again_ms;
}

static enum dr_rc hand_out(const struct aws_credentials *c, struct aws_keys *ret)
{
    const struct aws_keys *k = &c->now.keys;
    *ret = (struct aws_keys){ .access_key = dr_strdup(k->access_key),
                              .secret_key = dr_strdup(k->secret_key),
                              .session_token = copy(k->session_token),
                              .expires_ns = k->expires_ns };
    return DR_OK;
}

/* Lets go of the lock while the source is asked. */
static void fetch(struct aws_credentials *c)
{
    struct aws_found found = { 0 };
    struct dr_err err = { 0 };
    const struct source *worked = c->worked;
    c->fetching = true;
    DR_ASSERT(pthread_mutex_unlock(&c->lock) == 0);
    enum dr_rc rc = find(c, &worked, &found, &err);
    DR_ASSERT(pthread_mutex_lock(&c->lock) == 0);
    c->fetching = false;
    c->again_ms = clock_boot_ms() + AGAIN_MS;
    if (rc == DR_OK) {
        aws_found_fini(&c->now);
        c->now = found;
        c->worked = worked;
        c->distrusted = false;
    }
    c->failed = err; /* of no failure: DR_OK */
    (void)pthread_cond_broadcast(&c->changed);
}

enum dr_rc aws_credentials_get(struct aws_credentials *c, struct aws_keys *ret, struct dr_err *err)
{
    HOLD(c);
    if (is_fresh(c) || (holds(c) && c->fetching))
        return hand_out(c, ret);
    if (!c->fetching)
        fetch(c);
    while (c->fetching)
        (void)pthread_cond_wait(&c->changed, held); /* fails only when misused */
    if (holds(c))
        return hand_out(c, ret);
    if (c->failed.rc == DR_OK)
        return dr_fail(err, DR_E_TRANSIENT, "the keys of %s ended just now", c->now.source);
    *err = c->failed;
    return dr_not_ok(err->rc);
}

void aws_credentials_distrust(struct aws_credentials *c, const char *access_key)
{
    HOLD(c);
    if (c->now.keys.access_key != NULL && strcmp(c->now.keys.access_key, access_key) == 0)
        c->distrusted = true;
}

char *aws_credentials_source(struct aws_credentials *c)
{
    HOLD(c);
    return dr_strdup(c->now.source != NULL ? c->now.source : "");
}

char *aws_credentials_warning(struct aws_credentials *c)
{
    HOLD(c);
    return dr_strdup(c->now.warning != NULL ? c->now.warning : "");
}
