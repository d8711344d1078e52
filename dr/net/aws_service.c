/*
 * aws_service.c - keys for a container or an instance, from the service that its platform runs beside it.
 *
 * Both answer one JSON object. The instance's service is asked in three steps: a token (version 2:
 * a request that a fooled proxy cannot make), the role, its keys. A container's address is only trusted with its
 * token when it is this host or the platform's own: an address in a variable must not carry it elsewhere.
 */
#include <string.h>
#include <strings.h>
#include <time.h>

#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "dr/base/text.h"
#include "dr/data/json.h"
#include "dr/data/time.h"
#include "dr/net/aws_source.h"
#include "dr/net/easy.h"
#include "dr/net/http.h"
#include "dr/net/retry.h"

enum { TOKEN_MAX = 16 << 10, CONNECT_MS = 1000, ROLE_MAX = 128 };

#define CONTAINER_HOST "http://169.254.170.2"
#define INSTANCE_HOST  "http://169.254.169.254"

/* Instances answer quickly or not at all. */
static const struct retry_policy policy = {
    .attempts = 3, .base_ms = 100, .cap_ms = 1000, .after_cap_ms = 2000
};

struct fetch {
    const struct aws_world *w;
    const char *what; /* "the metadata service" */
    int64_t deadline_ms;
    struct http_reply reply;
};

static void forget(struct fetch *f)
{
    if (f->reply.body.cap > 0)
        explicit_bzero(f->reply.body.data, f->reply.body.cap);
    http_reply_fini(&f->reply);
    f->reply = (struct http_reply){ 0 };
}

static void wait_ms(int64_t ms)
{
    struct timespec span = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &span, &span) != 0)
        ;
}

/* With any status, after as many attempts as it may have. */
static enum dr_rc ask(struct fetch *f, const char *method, const char *url, const char *header,
                      struct dr_err *err)
{
    const char *headers[] = { header, NULL };
    struct http_request q = { .method = method,
                              .url = url,
                              .headers = header != NULL ? headers : NULL,
                              .gate = f->w->gate,
                              .connect_ms = CONNECT_MS,
                              .deadline_ms = f->deadline_ms };
    struct retry r;
    uint64_t seed;
    random_bytes(&seed, sizeof(seed));
    retry_begin(&r, &policy, clock_boot_ms(), f->deadline_ms, seed);
    for (;;) {
        forget(f);
        enum dr_rc rc = http_do(&q, &f->reply, err);
        bool never = rc != DR_OK && !f->reply.sent; /* nobody is there: the chain must not wait */
        int64_t wait = -1;
        if (!never && retry_may(rc, f->reply.status, f->reply.sent, true))
            wait = retry_next(&r, clock_boot_ms(), -1);
        if (wait < 0)
            return rc == DR_OK ? DR_OK : dr_context(err, "%s", f->what);
        wait_ms(wait);
    }
}

static enum dr_rc expect_200(struct fetch *f, struct dr_err *err)
{
    int status = f->reply.status;
    if (status == 200)
        return DR_OK;
    bool passes = retry_may(DR_OK, status, true, true);
    return dr_fail(err, passes ? DR_E_TRANSIENT : DR_E_DENIED, "%s answers \"%s\"", f->what,
                   f->reply.line);
}

/* -- the object ---------------------------------------------------------------------------- */

static void wipe_json(json_t *root)
{
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value)
    {
        const char *text = json_is_string(value) ? json_string_value(value) : "";
        char *ours; /* nobody else holds the object, so its bytes are ours to destroy */
        memcpy(&ours, &text, sizeof(ours));
        if (text[0] != '\0')
            explicit_bzero(ours, strlen(ours));
    }
    json_decref(root);
}

static enum dr_rc take_keys(const char *what, const json_t *root, struct aws_keys *ret,
                            struct dr_err *err)
{
    const char *access_key, *secret_key, *token, *expiration, *code = NULL;
    int64_t expires_ns;
    struct dr_err ignored = { 0 }; /* not every service says it */
    if (json_get_text(root, "Code", &code, &ignored) == DR_OK && strcmp(code, "Success") != 0)
        return dr_fail(err, DR_E_DENIED, "%s has no keys for us", what);
    DR_TRY(json_get_text(root, "AccessKeyId", &access_key, err));
    DR_TRY(json_get_text(root, "SecretAccessKey", &secret_key, err));
    DR_TRY(json_get_text(root, "Token", &token, err));
    DR_TRY(json_get_text(root, "Expiration", &expiration, err));
    if (access_key[0] == '\0' || secret_key[0] == '\0' || !time_parse(expiration, &expires_ns) ||
        expires_ns <= 0)
        return dr_fail(err, DR_E_CORRUPT, "a key is empty or 'Expiration' is no time");
    *ret = (struct aws_keys){ .access_key = dr_strdup(access_key),
                              .secret_key = dr_strdup(secret_key),
                              .session_token = token[0] != '\0' ? dr_strdup(token) : NULL,
                              .expires_ns = expires_ns };
    return DR_OK;
}

enum dr_rc aws_service_parse(const char *what, const char *bytes, size_t len, struct aws_keys *ret,
                             struct dr_err *err)
{
    json_t *root = NULL;
    struct dr_err secret = { 0 }; /* the parser's message repeats what it read */
    if (json_read(what, bytes, len, &root, &secret) != DR_OK || !json_is_object(root)) {
        json_decref(root);
        explicit_bzero(&secret, sizeof(secret));
        return dr_fail(err, DR_E_CORRUPT, "what %s answered is not the JSON object of keys", what);
    }
    enum dr_rc rc = take_keys(what, root, ret, err);
    wipe_json(root);
    if (rc == DR_E_CORRUPT)
        return dr_context(err, "what %s answered is not the JSON object of keys", what);
    return rc;
}

static enum dr_rc take_answer(struct fetch *f, struct aws_found *ret, struct dr_err *err)
{
    DR_TRY(expect_200(f, err));
    const struct buf *b = &f->reply.body;
    return aws_service_parse(f->what, b->len > 0 ? b->data : "", b->len, &ret->keys, err);
}

/* -- container ----------------------------------------------------------------------------- */

static bool is_trusted(const struct easy *e, const char *url)
{
    static const char *const hosts[] = { "localhost", "[::1]", "169.254.170.2", "169.254.170.23",
                                         "[fd00:ec2::23]" };
    struct net_addr addr;
    if (strncasecmp(url, "https:", 6) == 0)
        return true;
    for (size_t i = 0; i < DR_ARRAY_LEN(hosts); i++)
        if (strcasecmp(e->host, hosts[i]) == 0)
            return true;
    return strncmp(e->host, "127.", 4) == 0 && net_addr_parse(e->host, 0, &addr);
}

static enum dr_rc check_url(const struct aws_world *w, const char *url, struct dr_err *err)
{
    struct easy e = { 0 };
    enum dr_rc rc = easy_init(&e, url, w->gate, err);
    if (rc == DR_OK && !is_trusted(&e, url))
        rc = dr_fail(
            err, DR_E_CONFIG,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor an address of this host "
            "('%s')",
            e.host);
    easy_fini(&e);
    if (rc == DR_E_USAGE) {
        err->rc = DR_E_CONFIG;
        return dr_context(err, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
    }
    return rc;
}

/* One line that may be sent as a header. */
static bool is_token(const char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 127)
            return false;
    return len > 0 && len <= TOKEN_MAX;
}

/* "Authorization: TOKEN", or NULL without one. The caller wipes it. */
static enum dr_rc read_token(const struct aws_environment *env, char **ret, struct dr_err *err)
{
    char *token = NULL;
    if (env->token_file != NULL) {
        struct buf text = { 0 };
        enum dr_rc rc = fs_read_file(env->token_file, TOKEN_MAX, &text, err);
        token = buf_take(&text);
        if (rc != DR_OK) {
            aws_wipe(token);
            err->rc = DR_E_CONFIG;
            return dr_context(err, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
        }
        token[strcspn(token, "\r\n")] = '\0';
    } else if (env->token != NULL) {
        token = dr_strdup(env->token);
    }
    bool good = token == NULL || is_token(token);
    *ret = token != NULL && good ? dr_strf("Authorization: %s", token) : NULL;
    aws_wipe(token);
    if (!good)
        return dr_fail(err, DR_E_CONFIG,
                       "the authorization token of the container is empty or no line of text");
    return DR_OK;
}

enum dr_rc aws_find_container(const struct aws_world *w, struct aws_found *ret, struct dr_err *err)
{
    const struct aws_environment *env = &w->env;
    if (env->relative_uri == NULL && env->full_uri == NULL)
        return dr_fail(err, DR_E_NOTFOUND,
                       "neither AWS_CONTAINER_CREDENTIALS_RELATIVE_URI nor _FULL_URI is set");
    if (env->relative_uri != NULL && env->relative_uri[0] != '/')
        return dr_fail(err, DR_E_CONFIG,
                       "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI does not begin with '/'");
    DR_FREE char *url = env->relative_uri != NULL ? dr_strf(CONTAINER_HOST "%s", env->relative_uri)
                                                  : dr_strdup(env->full_uri);
    DR_TRY(check_url(w, url, err));
    char *header = NULL;
    DR_TRY(read_token(env, &header, err));
    struct fetch f = { .w = w,
                       .what = "the container's credentials service",
                       .deadline_ms = clock_boot_ms() + w->fetch_ms };
    enum dr_rc rc = ask(&f, "GET", url, header, err);
    if (rc == DR_OK)
        rc = take_answer(&f, ret, err);
    aws_wipe(header);
    forget(&f);
    if (rc == DR_OK)
        ret->source = dr_strdup(f.what);
    return rc;
}

/* -- instance ------------------------------------------------------------------------------ */

static enum dr_rc get_metadata_token(struct fetch *f, const char *host, char **ret_header,
                                     struct dr_err *err)
{
    DR_FREE char *url = dr_strf("%s/latest/api/token", host);
    DR_TRY(ask(f, "PUT", url, "X-aws-ec2-metadata-token-ttl-seconds: 21600", err));
    DR_TRY(expect_200(f, err));
    if (f->reply.body.len == 0 || !is_token(f->reply.body.data))
        return dr_fail(err, DR_E_CORRUPT, "%s gave no token", f->what);
    *ret_header = dr_strf("X-aws-ec2-metadata-token: %s", f->reply.body.data);
    return DR_OK;
}

/* The role's name is the first line. */
static enum dr_rc get_role(struct fetch *f, const char *host, const char *header,
                           char role[ROLE_MAX], struct dr_err *err)
{
    DR_FREE char *url = dr_strf("%s/latest/meta-data/iam/security-credentials/", host);
    DR_TRY(ask(f, "GET", url, header, err));
    if (f->reply.status == 404)
        return dr_fail(err, DR_E_NOTFOUND, "this instance has no role");
    DR_TRY(expect_200(f, err));
    const char *text = f->reply.body.len > 0 ? f->reply.body.data : "";
    size_t len = strcspn(text, "\r\n");
    size_t good = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                               "+=,.@_-");
    if (len == 0 || len >= ROLE_MAX || good != len || text[0] == '.')
        return dr_fail(err, DR_E_CORRUPT, "%s gave no name of a role", f->what);
    memcpy(role, text, len);
    role[len] = '\0';
    return DR_OK;
}

static enum dr_rc get_keys(struct fetch *f, const char *host, struct aws_found *ret,
                           struct dr_err *err)
{
    char *header = NULL, role[ROLE_MAX];
    enum dr_rc rc = get_metadata_token(f, host, &header, err);
    if (rc == DR_OK)
        rc = get_role(f, host, header, role, err);
    if (rc == DR_OK) {
        DR_FREE char *url = dr_strf("%s/latest/meta-data/iam/security-credentials/%s", host, role);
        rc = ask(f, "GET", url, header, err);
    }
    if (rc == DR_OK)
        rc = take_answer(f, ret, err);
    if (rc == DR_OK)
        ret->source = dr_strf("role '%s' of this instance", role);
    aws_wipe(header);
    return rc;
}

enum dr_rc aws_find_instance(const struct aws_world *w, struct aws_found *ret, struct dr_err *err)
{
    const struct aws_environment *env = &w->env;
    if (env->disabled != NULL && strcasecmp(env->disabled, "true") == 0)
        return dr_fail(err, DR_E_NOTFOUND, "AWS_EC2_METADATA_DISABLED is 'true'");
    DR_FREE char *host = dr_strdup(env->endpoint != NULL ? env->endpoint : INSTANCE_HOST);
    size_t len = strlen(host);
    while (len > 0 && host[len - 1] == '/')
        host[--len] = '\0';
    struct fetch f = { .w = w,
                       .what = "the instance's metadata service",
                       .deadline_ms = clock_boot_ms() + w->fetch_ms };
    enum dr_rc rc = get_keys(&f, host, ret, err);
    bool elsewhere = f.reply.sent || env->endpoint != NULL;
    forget(&f);
    if (rc == DR_E_USAGE) {
        err->rc = DR_E_CONFIG;
        return dr_context(err, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
    }
    if ((rc == DR_E_TRANSIENT || rc == DR_E_TIMEOUT) && !elsewhere)
        (void)dr_hint(err, "Outside of EC2 there is none: give the keys in another way.");
    return rc;
}
