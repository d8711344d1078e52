/*
 * wire.c - a letter as the bytes that Slack, PagerDuty, a webhook and a command get (NOTIFY.md).
 *
 * JSON is written in the canonical form, so that equal letters are equal bytes: a receiver may
 * compare them, and a test does. Texts were tidied when the letter was written (alerts.c).
 */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "dr/data/time.h"
#include "dr/notify/inside.h"

enum { DEDUP_MAX = 255 };

static bool is_kind(const struct letter *l, const char *kind)
{
    return strcmp(l->kind, kind) == 0;
}

void wire_headline(const struct letter *l, struct buf *out)
{
    if (is_kind(l, "resolved"))
        buf_adds(out, "RESOLVED");
    else if (is_kind(l, "acknowledged"))
        buf_addf(out, "ACKNOWLEDGED by %s", l->by != NULL ? l->by : "somebody");
    else
        for (const char *p = l->severity; *p != '\0'; p++)
            buf_addc(out, (char)toupper((unsigned char)*p));
    if (is_kind(l, "again"))
        buf_adds(out, ", again");
    if (is_kind(l, "escalated"))
        buf_adds(out, ", not acknowledged");
    if (l->contact != NULL)
        buf_addf(out, ", for %s", l->contact);
    buf_addf(out, ": %s", l->title);
}

static bool wants_somebody(const struct letter *l)
{
    return is_kind(l, "raised") || is_kind(l, "again") || is_kind(l, "escalated");
}

void wire_details(const struct letter *l, const char *host, struct buf *out)
{
    char at[TIME_TEXT_MAX];
    if (l->text[0] != '\0' && strcmp(l->text, l->title) != 0)
        buf_addf(out, "%s\n", l->text);
    if (l->hint[0] != '\0')
        buf_addf(out, "Next: %s\n", l->hint);
    if (l->contact != NULL)
        buf_addf(out, "For: %s%s%s\n", l->contact, l->phone != NULL ? ", " : "",
                 l->phone != NULL ? l->phone : "");
    buf_addf(out, "At: %s, from %s\n", time_print_s(l->wall, at), host);
    if (wants_somebody(l))
        buf_addf(out, "To take it: drctl alerts ack %s\n", l->key);
}

void wire_text(const struct letter *l, const char *host, struct buf *out)
{
    wire_headline(l, out);
    buf_adds(out, "\n\n");
    wire_details(l, host, out);
}

/* ---- Slack -------------------------------------------------------------------------------------- */

/* The three characters that Slack reads as its own. */
static void add_slack(struct buf *out, const struct buf *text)
{
    for (size_t i = 0; i < text->len; i++) {
        char c = text->data[i];
        if (c == '&')
            buf_adds(out, "&amp;");
        else if (c == '<')
            buf_adds(out, "&lt;");
        else if (c == '>')
            buf_adds(out, "&gt;");
        else
            buf_addc(out, c);
    }
}

void wire_slack(const struct letter *l, const char *host, struct buf *out)
{
    DR_CLEANUP(buf_fini) struct buf head = { 0 };
    DR_CLEANUP(buf_fini) struct buf rest = { 0 };
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    wire_headline(l, &head);
    wire_details(l, host, &rest);
    buf_addc(&text, '*');
    add_slack(&text, &head);
    buf_adds(&text, "*\n");
    add_slack(&text, &rest);
    DR_JSON json_t *o = json_object();
    json_put(o, "text", json_printable(text.data));
    json_add_canonical(out, o);
}

/* ---- PagerDuty ---------------------------------------------------------------------------------- */

static char *dedup_key(const struct letter *l)
{
    uint8_t digest[HASH_SIZE];
    char hex[HASH_HEX_SIZE];
    if (strlen(l->key) + strlen("drctl/") <= DEDUP_MAX)
        return dr_strf("drctl/%s", l->key);
    hash_bytes(l->key, strlen(l->key), digest);
    return dr_strf("drctl/%s", hex_encode(digest, sizeof(digest), hex));
}

static const char *pagerduty_severity(const struct letter *l)
{
    static const char *const known[] = { "critical", "error", "warning", "info" };
    for (size_t i = 0; i < DR_ARRAY_LEN(known); i++)
        if (strcmp(l->severity, known[i]) == 0)
            return known[i];
    return "info";
}

static json_t *pagerduty_payload(const struct letter *l, const char *host)
{
    char at[TIME_TEXT_MAX];
    DR_CLEANUP(buf_fini) struct buf summary = { 0 };
    wire_headline(l, &summary);
    json_t *details = json_object();
    json_put(details, "text", json_printable(l->text));
    json_put(details, "hint", json_printable(l->hint));
    json_put(details, "letter", json_printable(l->id));
    if (l->contact != NULL)
        json_put(details, "contact", json_printable(l->contact));
    json_t *payload = json_object();
    json_put(payload, "summary", json_printable(summary.data));
    json_put_text(payload, "severity", pagerduty_severity(l));
    json_put(payload, "source", json_printable(host));
    json_put_text(payload, "timestamp", time_print_s(l->wall, at));
    json_put(payload, "custom_details", details);
    return payload;
}

void wire_pagerduty(const struct letter *l, const char *routing_key, const char *host,
                    struct buf *out)
{
    DR_FREE char *dedup = dedup_key(l);
    bool ends = is_kind(l, "resolved"), acknowledges = is_kind(l, "acknowledged");
    DR_JSON json_t *o = json_object();
    json_put_text(o, "routing_key", routing_key);
    json_put(o, "dedup_key", json_printable(dedup));
    json_put_text(o, "event_action", ends ? "resolve" : acknowledges ? "acknowledge" : "trigger");
    if (!ends && !acknowledges) {
        json_put_text(o, "client", "drctl");
        json_put(o, "payload", pagerduty_payload(l, host));
    }
    json_add_canonical(out, o);
}

/* ---- webhook ------------------------------------------------------------------------------------ */

static json_t *text_or_null(const char *text)
{
    return text != NULL ? json_printable(text) : json_null();
}

void wire_webhook(const struct letter *l, const char *host, struct buf *out)
{
    char at[TIME_TEXT_MAX];
    DR_JSON json_t *o = json_object();
    json_put_text(o, "schema", "drctl-letter-1");
    json_put(o, "id", json_printable(l->id));
    json_put(o, "key", json_printable(l->key));
    json_put(o, "incident", json_printable(l->incident));
    json_put(o, "kind", json_printable(l->kind));
    json_put(o, "severity", json_printable(l->severity));
    json_put(o, "title", json_printable(l->title));
    json_put(o, "text", json_printable(l->text));
    json_put(o, "hint", json_printable(l->hint));
    json_put(o, "at", json_string(time_print_s(l->wall, at)));
    json_put(o, "host", json_printable(host));
    json_put(o, "acknowledged_by", text_or_null(l->by));
    json_put(o, "contact", text_or_null(l->contact));
    json_put(o, "phone", text_or_null(l->phone));
    json_add_canonical(out, o);
}

char *wire_signature(const char *secret, int64_t seconds, const struct buf *body)
{
    DR_CLEANUP(buf_fini) struct buf signed_bytes = { 0 };
    uint8_t mac[EVP_MAX_MD_SIZE];
    char hex[2 * sizeof(mac) + 1];
    unsigned len = 0;
    buf_addf(&signed_bytes, "%" PRId64 ".", seconds);
    buf_add(&signed_bytes, body->data, body->len);
    if (HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)signed_bytes.data,
             signed_bytes.len, mac, &len) == NULL)
        dr_out_of_memory();
    DR_ASSERT(len == HASH_SIZE);
    return dr_strf("v1=%s", hex_encode(mac, len, hex));
}
