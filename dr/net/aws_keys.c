/*
 * Keys that are given, or stand in the environment: the first two kinds of aws_credentials.h, alone.
 * Any other kind is refused in words.
 */
#include <string.h>

#include "dr/base/mem.h"
#include "dr/net/aws_credentials.h"

struct aws_credentials {
    char *access_key, *secret_key, *session_token; /* NULL: of the environment, when asked */
    bool given;
};

static void wipe(char *word)
{
    if (word != NULL)
        explicit_bzero(word, strlen(word));
    free(word);
}

static char *copy(const char *word)
{
    return word != NULL ? dr_strdup(word) : NULL;
}

void aws_keys_fini(struct aws_keys *k)
{
    free(k->access_key);
    wipe(k->secret_key);
    wipe(k->session_token);
    *k = (struct aws_keys){ 0 };
}

enum dr_rc aws_credentials_new(const struct aws_credentials_options *o,
                               struct aws_credentials **ret, struct dr_err *err)
{
    bool given = o->kind != NULL && strcmp(o->kind, "keys") == 0;
    if (o->kind != NULL && !given && strcmp(o->kind, "environment") != 0)
        return dr_fail(err, DR_E_CONFIG, "credentials of kind '%s' are not available yet", o->kind);
    if (given && (o->access_key == NULL || o->secret_key == NULL))
        return dr_fail(err, DR_E_CONFIG, "an access key and a secret key are needed");
    struct aws_credentials *c = dr_alloc(1, sizeof(*c));
    c->given = given;
    c->access_key = copy(o->access_key);
    c->secret_key = copy(o->secret_key);
    c->session_token = copy(o->session_token);
    *ret = c;
    return DR_OK;
}

void aws_credentials_free(struct aws_credentials *c)
{
    if (c == NULL)
        return;
    free(c->access_key);
    wipe(c->secret_key);
    wipe(c->session_token);
    free(c);
}

enum dr_rc aws_credentials_get(struct aws_credentials *c, struct aws_keys *ret, struct dr_err *err)
{
    const char *id = c->access_key, *secret = c->secret_key, *token = c->session_token;
    if (!c->given) {                              /* nobody sets the environment */
        id = getenv("AWS_ACCESS_KEY_ID");         /* NOLINT(concurrency-mt-unsafe) */
        secret = getenv("AWS_SECRET_ACCESS_KEY"); /* NOLINT(concurrency-mt-unsafe) */
        token = getenv("AWS_SESSION_TOKEN");      /* NOLINT(concurrency-mt-unsafe) */
    }
    if (id == NULL || secret == NULL) {
        dr_fail(err, DR_E_DENIED,
                "no credentials: AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY is not set");
        return dr_hint(err, "Set them, or write credentials: {access_key: ..., secret_key: ...}");
    }
    *ret = (struct aws_keys){ .access_key = dr_strdup(id),
                              .secret_key = dr_strdup(secret),
                              .session_token = copy(token) };
    return DR_OK;
}

void aws_credentials_distrust(struct aws_credentials *c, const char *access_key)
{
    (void)c; /* they are read anew each time */
    (void)access_key;
}
