/*
 * mail.c - a letter as a message of RFC 5322, with MIME (RFC 2045, 2047) where ASCII does not do.
 *
 * Lines end in CRLF and are at most 76 bytes long. Dots at the beginning of a line are the transport's
 * business (libcurl doubles them). The Message-ID is made of the letter's id: what is sent twice is the
 * same message for a reader; the incident is the thread.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

#include "dr/base/mem.h"
#include "dr/notify/inside.h"

enum { LINE_MAX_ = 76, WORD_RAW = 39, WORD_B64 = 64, FOLD_AT = 70 };

bool mail_is_address(const char *text)
{
    const char *at = strchr(text, '@');
    if (at == NULL || at == text || at[1] == '\0' || strchr(at + 1, '@') != NULL ||
        strlen(text) > 254)
        return false;
    for (const char *p = text; *p != '\0'; p++)
        if (*p <= ' ' || (unsigned char)*p >= 127 || strchr("<>()[]\\,;:\"", *p) != NULL)
            return false;
    return true;
}

/* ---- headers ------------------------------------------------------------------------------------ */

/* Words of ASCII that may stand as they are, none of them too long to be folded. */
static bool is_plain(const char *text)
{
    size_t run = 0;
    for (const char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p < ' ' || (unsigned char)*p >= 127)
            return false;
        run = *p == ' ' ? 0 : run + 1;
        if (run > LINE_MAX_ / 2)
            return false;
    }
    return strstr(text, "=?") == NULL && text[0] != ' ';
}

/* used: bytes of the header's name. Folded before a word that would be too long. */
static void add_folded(struct buf *out, size_t used, const char *text)
{
    size_t line = used;
    while (*text != '\0') {
        size_t blanks = strspn(text, " ");
        size_t word = strcspn(text + blanks, " ");
        if (line + blanks + word > FOLD_AT && blanks > 0 && word > 0) {
            buf_adds(out, "\r\n");
            line = 0;
        }
        buf_add(out, text, blanks + word);
        line += blanks + word;
        text += blanks + word;
    }
}

/* =?UTF-8?B?...?= words of whole characters, one a line. */
static void add_encoded(struct buf *out, const char *text)
{
    size_t left = strlen(text);
    for (bool first = true; left > 0; first = false) {
        size_t take = left < WORD_RAW ? left : WORD_RAW;
        while (take < left && take > 1 && ((unsigned char)text[take] & 0xc0) == 0x80)
            take--;
        unsigned char b64[WORD_B64 + 1];
        int len = EVP_EncodeBlock(b64, (const unsigned char *)text, (int)take);
        buf_addf(out, "%s=?UTF-8?B?%.*s?=", first ? "" : "\r\n ", len, b64);
        text += take;
        left -= take;
    }
}

static void add_header(struct buf *out, const char *name, const char *text)
{
    buf_addf(out, "%s: ", name);
    if (is_plain(text))
        add_folded(out, strlen(name) + 2, text);
    else
        add_encoded(out, text);
    buf_adds(out, "\r\n");
}

static void add_date(struct buf *out, int64_t wall_ns)
{
    static const char days[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    time_t seconds = (time_t)(wall_ns / 1000000000);
    struct tm tm = { 0 };
    if (gmtime_r(&seconds, &tm) == NULL)
        return; /* not within the years that there are: a server adds a date of its own */
    buf_addf(out, "Date: %s, %02d %s %04d %02d:%02d:%02d +0000\r\n", days[tm.tm_wday], tm.tm_mday,
             months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* What may stand right of the @ of a message id. */
static char *id_host(const char *host)
{
    char *name = dr_strdup(host);
    for (char *p = name; *p != '\0'; p++)
        if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-", *p) == NULL)
            *p = '-';
    return name;
}

/* ---- body: quoted-printable ----------------------------------------------------------------------- */

static void add_quoted_line(struct buf *out, const char *text, size_t len)
{
    size_t line = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        bool last = i + 1 == len;
        bool plain = (c > ' ' && c < 127 && c != '=') || (c == ' ' && !last);
        size_t width = plain ? 1 : 3;
        if (line + width > LINE_MAX_ - 1) {
            buf_adds(out, "=\r\n");
            line = 0;
        }
        if (plain)
            buf_addc(out, (char)c);
        else
            buf_addf(out, "=%02X", c);
        line += width;
    }
    buf_adds(out, "\r\n");
}

static void add_quoted(struct buf *out, const struct buf *text)
{
    for (size_t at = 0; at < text->len;) {
        size_t len = strcspn(text->data + at, "\n");
        add_quoted_line(out, text->data + at, len);
        at += len + 1;
    }
}

/* ---- the message ---------------------------------------------------------------------------------- */

void mail_write(const struct letter *l, const struct mail_frame *f, struct buf *out)
{
    DR_ASSERT(mail_is_address(f->from) && mail_is_address(f->to));
    DR_CLEANUP(buf_fini) struct buf subject = { 0 };
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    DR_FREE char *host = id_host(f->host);
    wire_headline(l, &subject);
    wire_text(l, f->host, &text);
    add_date(out, l->wall);
    buf_addf(out, "Message-ID: <%s@%s>\r\n", l->id, host);
    buf_addf(out, "References: <%s@%s>\r\n", l->incident, host);
    buf_addf(out, "From: <%s>\r\nTo: <%s>\r\n", f->from, f->to);
    add_header(out, "Subject", subject.data);
    buf_adds(out, "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
                  "Content-Transfer-Encoding: quoted-printable\r\n"
                  "Auto-Submitted: auto-generated\r\n\r\n");
    add_quoted(out, &text);
}
