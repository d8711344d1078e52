/*
 * The url of an S3 bucket. What a bucket may be called is what AWS allows; others allow more,
 * but a name with a capital letter or an underscore is a different bucket for some clients, and
 * none at all for host names.
 */
#include "dr/config/s3_url.h"

#include <string.h>

#include "dr/base/mem.h"
#include "dr/base/text.h"

enum { BUCKET_MIN = 3, BUCKET_MAX = 63, PREFIX_MAX = 200, ENDPOINT_MAX = 255 };

#define SCHEME "s3://"

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_bucket(const char *name)
{
    size_t len = strlen(name);
    if (len < BUCKET_MIN || len > BUCKET_MAX || !is_alnum(name[0]) || !is_alnum(name[len - 1]))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!is_alnum(name[i]) && name[i] != '-' && (name[i] != '.' || name[i + 1] == '.'))
            return false;
    return true;
}

/* The rule of store.h for names: no hidden part, no empty one. */
static bool is_prefix(const char *prefix)
{
    size_t len = strlen(prefix);
    for (size_t i = 0; i < len; i++) {
        bool first = i == 0 || prefix[i - 1] == '/';
        bool fits = is_alnum(prefix[i]) || strchr("._-/", prefix[i]) != NULL;
        if (!fits || (first && (prefix[i] == '.' || prefix[i] == '/')))
            return false;
    }
    return len <= PREFIX_MAX;
}

char *s3_url_host(const char *endpoint)
{
    const char *host = strstr(endpoint, "://") + strlen("://");
    size_t len = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/");
    size_t all = strlen(host);
    return dr_memdup(host, len < all ? len : all);
}

bool s3_url_is_address(const char *host)
{
    return host[0] == '[' || strspn(host, "0123456789.") == strlen(host);
}

/* A scheme, a host, perhaps a port, and nothing behind it. */
static bool is_endpoint(const char *text)
{
    const char *host = text_starts(text, "https://")  ? text + strlen("https://")
                       : text_starts(text, "http://") ? text + strlen("http://")
                                                      : NULL;
    if (host == NULL || strlen(text) > ENDPOINT_MAX)
        return false;
    const char *port = host[0] == '[' ? strchr(host, ']') : host + strcspn(host, ":");
    if (port == NULL || port == host)
        return false;
    size_t len = (size_t)(port - host);
    if (host[0] == '[') {
        if (strspn(host + 1, "0123456789abcdefABCDEF:.") != len - 1 || len < 3)
            return false;
        port++;
    } else if (strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                            "0123456789.-") != len) {
        return false;
    }
    size_t digits = port[0] == ':' ? strspn(port + 1, "0123456789") : 0;
    return port[0] == '\0' || (digits > 0 && digits <= 5 && port[digits + 1] == '\0');
}

static enum dr_rc fail(const char *url, struct dr_err *err, const char *what, const char *hint)
{
    dr_fail(err, DR_E_CONFIG, "'%s' %s", url, what);
    return dr_hint(err, "%s", hint);
}

static enum dr_rc set_once(const char *url, char **field, const char *value, struct dr_err *err)
{
    if (*field != NULL)
        return fail(url, err, "says one thing twice", "Each of endpoint, style, region once.");
    *field = dr_strdup(value);
    return DR_OK;
}

/* "name=value" behind the question mark. style is kept for later: its default hangs on the rest. */
static enum dr_rc take_parameter(const char *url, char *text, struct s3_url *u, char **style,
                                 struct dr_err *err)
{
    char *value = strchr(text, '=');
    if (value == NULL || value[1] == '\0')
        return fail(url, err, "has a parameter without a value",
                    "write ?endpoint=URL&style=path&region=NAME");
    *value++ = '\0';
    if (strcmp(text, "endpoint") == 0) {
        size_t len = strlen(value);
        if (value[len - 1] == '/')
            value[len - 1] = '\0';
        if (!is_endpoint(value))
            return fail(url, err, "has an endpoint that is no http://HOST[:PORT]",
                        "write ?endpoint=https://HOST:PORT, without a path");
        return set_once(url, &u->endpoint, value, err);
    }
    if (strcmp(text, "region") == 0) {
        if (strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789-_") != strlen(value))
            return fail(url, err, "has a region that is no name", "write &region=eu-west-1");
        return set_once(url, &u->region, value, err);
    }
    if (strcmp(text, "style") == 0) {
        if (strcmp(value, "path") != 0 && strcmp(value, "virtual") != 0)
            return fail(url, err, "has an unknown style", "style=path or style=virtual");
        return set_once(url, style, value, err);
    }
    static const char *const known[] = { "endpoint", "region", "style" };
    const char *near = text_nearest(text, known, DR_ARRAY_LEN(known));
    dr_fail(err, DR_E_CONFIG, "'%s' has the unknown parameter '%s'", url, text);
    return near != NULL ? dr_hint(err, "did you mean '%s'?", near)
                        : dr_hint(err, "known: endpoint, style, region");
}

static enum dr_rc take_parameters(const char *url, char *query, struct s3_url *u, char **style,
                                  struct dr_err *err)
{
    char *rest = NULL;
    for (char *p = strtok_r(query, "&", &rest); p != NULL; p = strtok_r(NULL, "&", &rest))
        DR_TRY(take_parameter(url, p, u, style, err));
    return DR_OK;
}

static enum dr_rc take_place(const char *url, const char *place, struct s3_url *u,
                             struct dr_err *err)
{
    size_t len = strcspn(place, "/");
    u->bucket = dr_memdup(place, len);
    if (!is_bucket(u->bucket))
        return fail(url, err, "names no bucket",
                    "write s3://BUCKET: 3 to 63 of a-z, 0-9, '-' and '.'");
    DR_FREE char *prefix = dr_strdup(place[len] == '/' ? place + len + 1 : "");
    len = strlen(prefix);
    if (len > 0 && prefix[len - 1] == '/')
        prefix[--len] = '\0';
    if (!is_prefix(prefix))
        return fail(url, err, "has a prefix that cannot be one",
                    "parts of a-z, 0-9, '.', '_', '-' with '/' between, none beginning with '.'");
    u->prefix = dr_strf("%s%s", prefix, len > 0 ? "/" : "");
    return DR_OK;
}

static enum dr_rc settle_style(const char *url, struct s3_url *u, const char *style,
                               struct dr_err *err)
{
    bool dots = strchr(u->bucket, '.') != NULL;
    u->virtual_host = style != NULL ? style[0] == 'v' : u->endpoint == NULL && !dots;
    if (!u->virtual_host)
        return DR_OK;
    bool tls = u->endpoint == NULL || text_starts(u->endpoint, "https://");
    DR_FREE char *host = s3_url_host(u->endpoint != NULL ? u->endpoint : "https://aws");
    if (s3_url_is_address(host))
        return fail(url, err, "wants the bucket in front of an address",
                    "write style=path, or an endpoint that is a name");
    if (dots && tls)
        return fail(url, err, "wants a bucket with a dot in front of the host",
                    "write style=path: no certificate covers that name");
    return DR_OK;
}

static enum dr_rc parse(const char *url, struct s3_url *u, struct dr_err *err)
{
    DR_FREE char *copy = dr_strdup(url + strlen(SCHEME));
    DR_FREE char *style = NULL;
    char *query = strchr(copy, '?');
    if (query != NULL)
        *query++ = '\0';
    DR_TRY(take_place(url, copy, u, err));
    if (query != NULL)
        DR_TRY(take_parameters(url, query, u, &style, err));
    return settle_style(url, u, style, err);
}

enum dr_rc s3_url_parse(const char *url, struct s3_url *ret, struct dr_err *err)
{
    DR_ASSERT(url != NULL && ret != NULL);
    if (!text_starts(url, SCHEME))
        return fail(url, err, "is not the url of an S3 bucket", "write s3://BUCKET");
    struct s3_url u = { 0 };
    enum dr_rc rc = parse(url, &u, err);
    if (rc == DR_OK)
        *ret = u;
    else
        s3_url_fini(&u);
    return rc;
}

void s3_url_fini(struct s3_url *u)
{
    free(u->bucket);
    free(u->prefix);
    free(u->endpoint);
    free(u->region);
    *u = (struct s3_url){ 0 };
}

bool s3_url_overlap(const struct s3_url *a, const struct s3_url *b)
{
    const char *ea = a->endpoint != NULL ? a->endpoint : "";
    const char *eb = b->endpoint != NULL ? b->endpoint : "";
    return strcmp(a->bucket, b->bucket) == 0 && strcasecmp(ea, eb) == 0 &&
           (text_starts(a->prefix, b->prefix) || text_starts(b->prefix, a->prefix));
}
