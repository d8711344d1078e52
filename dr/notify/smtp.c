/*
 * smtp.c - one mail by libcurl: smtp:// with STARTTLS, or smtps://.
 *
 * One recipient a transaction, so that its answer is the answer for that one. TLS is required, unless the url
 * says "?starttls=never" (a server on this very host). Delivered is the 250 behind the message; what
 * is 5xx is refused, everything else may pass by.
 */
#include <string.h>

#include <curl/curl.h>

#include "dr/base/mem.h"
#include "dr/notify/inside.h"

enum { LINE_KEPT = 300 };

struct mailing {
    CURL *curl;
    struct curl_slist *to;
    struct buf message;
    size_t given; /* of it, to curl */
    char words[CURL_ERROR_SIZE];
    char last[LINE_KEPT]; /* what the server said last */
};

static const char *field(const json_t *target, const char *name)
{
    return json_string_value(json_object_get(target, name));
}

static size_t on_read(char *to, size_t size, size_t count, void *arg)
{
    struct mailing *m = arg;
    size_t len = m->message.len - m->given;
    if (len > size * count)
        len = size * count;
    memcpy(to, m->message.data + m->given, len);
    m->given += len;
    return len;
}

/* Each line of the server comes here; its goodbye says nothing. */
static size_t on_line(char *data, size_t size, size_t count, void *arg)
{
    struct mailing *m = arg;
    size_t len = size * count, keep = len;
    while (keep > 0 && (unsigned char)data[keep - 1] <= ' ')
        keep--;
    if (keep >= sizeof(m->last))
        keep = sizeof(m->last) - 1;
    if (keep > 0 && (keep < 3 || memcmp(data, "221", 3) != 0)) {
        memcpy(m->last, data, keep);
        m->last[keep] = '\0';
    }
    return len;
}

static bool set_options(struct mailing *m, const json_t *target, const char *url, bool plain)
{
    CURL *curl = m->curl;
    const char *user = field(target, "user");
    const char *password = field(target, "secret");
    const char *ca = field(target, "ca");
    DR_FREE char *from = dr_strf("<%s>", field(target, "from"));
    bool bad = false;
    bad |= curl_easy_setopt(curl, CURLOPT_URL, url);
    bad |= curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    bad |= curl_easy_setopt(curl, CURLOPT_PROXY, "");
    bad |= curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    bad |= curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)NOTIFY_ATTEMPT_MS);
    bad |= curl_easy_setopt(curl, CURLOPT_USE_SSL,
                            plain ? (long)CURLUSESSL_NONE : (long)CURLUSESSL_ALL);
    bad |= curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    bad |= curl_easy_setopt(curl, CURLOPT_MAIL_FROM, from);
    bad |= curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, m->to);
    bad |= curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    bad |= curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
    bad |= curl_easy_setopt(curl, CURLOPT_READDATA, m);
    bad |= curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_line);
    bad |= curl_easy_setopt(curl, CURLOPT_HEADERDATA, m);
    bad |= curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, m->words);
    if (ca != NULL)
        bad |= curl_easy_setopt(curl, CURLOPT_CAINFO, ca);
    if (user != NULL)
        bad |= curl_easy_setopt(curl, CURLOPT_USERNAME, user);
    if (user != NULL && password != NULL)
        bad |= curl_easy_setopt(curl, CURLOPT_PASSWORD, password);
    return !bad;
}

static void judge(struct mailing *m, CURLcode code, struct sent *ret)
{
    long status = 0;
    curl_easy_getinfo(m->curl, CURLINFO_RESPONSE_CODE, &status);
    ret->delivered = code == CURLE_OK && status == 250;
    ret->refused = !ret->delivered &&
                   ((status >= 500 && status < 600) || code == CURLE_USE_SSL_FAILED ||
                    code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
                    code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_URL_MALFORMAT);
    DR_CLEANUP(buf_fini) struct buf words = { 0 };
    if (code != CURLE_OK)
        buf_adds(&words, m->words[0] != '\0' ? m->words : curl_easy_strerror(code));
    if (code != CURLE_OK && m->last[0] != '\0')
        buf_adds(&words, "; the server said: ");
    DR_CLEANUP(buf_fini) struct buf line = { 0 };
    text_add_printable(&line, m->last, strlen(m->last));
    if (line.len > 0)
        buf_adds(&words, line.data);
    ret->why = buf_take(&words);
}

void send_mail(const json_t *target, const struct letter *l, struct sent *ret)
{
    static const char never[] = "?starttls=never";
    const char *from = field(target, "from");
    const char *to = l->to;
    if (from == NULL || to == NULL || !mail_is_address(from) || !mail_is_address(to)) {
        ret->refused = true;
        ret->why = dr_strf("'%s' is no plain mail address",
                           from == NULL || !mail_is_address(from) ? "from" : "to");
        return;
    }
    DR_FREE char *url = dr_strdup(field(target, "url") != NULL ? field(target, "url") : "");
    bool plain = text_starts(url, "smtp:") && text_ends(url, never);
    if (plain)
        url[strlen(url) - strlen(never)] = '\0';
    struct mailing m = { .curl = curl_easy_init() };
    DR_FREE char *recipient = dr_strf("<%s>", to);
    m.to = curl_slist_append(NULL, recipient);
    const struct mail_frame frame = { from, to, field(target, "host") };
    mail_write(l, &frame, &m.message);
    if (m.curl == NULL || m.to == NULL || !set_options(&m, target, url, plain))
        ret->why = dr_strdup("the mail cannot be prepared");
    else
        judge(&m, curl_easy_perform(m.curl), ret);
    curl_easy_cleanup(m.curl);
    curl_slist_free_all(m.to);
    buf_fini(&m.message);
}
