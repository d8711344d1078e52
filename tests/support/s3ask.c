/*
 * s3ask.c - a signed request by libcurl, as plain as it gets.
 */
#include "tests/support/s3ask.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "dr/base/mem.h"

static size_t keep(char *bytes, size_t size, size_t count, void *arg)
{
    if (arg != NULL)
        buf_add(arg, bytes, size * count);
    return size * count;
}

static void sign(CURL *c, const struct s3ask *a)
{
    if (a->access_key == NULL)
        return;
    curl_easy_setopt(c, CURLOPT_AWS_SIGV4, "aws:amz:us-east-1:s3");
    curl_easy_setopt(c, CURLOPT_USERNAME, a->access_key);
    curl_easy_setopt(c, CURLOPT_PASSWORD, a->secret_key);
}

int s3ask(const struct s3ask *a, const char *what, struct buf *reply)
{
    char method[16];
    const char *path = strchr(what, ' ') + 1;
    snprintf(method, sizeof(method), "%.*s", (int)(path - 1 - what), what);
    DR_FREE char *url = dr_strf("%s%s", a->endpoint, path);
    const char *body = a->body != NULL ? a->body : "";
    CURL *c = curl_easy_init();
    DR_ASSERT(c != NULL);
    /* A digest is wanted by every server, and libcurl 7 adds none by itself. */
    struct curl_slist *headers = curl_slist_append(NULL, "x-amz-content-sha256: UNSIGNED-PAYLOAD");
    if (a->header != NULL)
        headers = curl_slist_append(headers, a->header);
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
    if (strcmp(method, "PUT") == 0 || strcmp(method, "POST") == 0) {
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
        headers = curl_slist_append(headers, "Content-Type: application/octet-stream");
    }
    curl_easy_setopt(c, CURLOPT_NOBODY, strcmp(method, "HEAD") == 0 ? 1L : 0L);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, 30000L);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, keep);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, reply);
    sign(c, a);
    long status = -1;
    if (curl_easy_perform(c) == CURLE_OK)
        curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    curl_easy_cleanup(c);
    return (int)status;
}
