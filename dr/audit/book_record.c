/*
 * book_record.c - the bytes of a line: what is hashed, what is signed, and what makes it broken.
 *
 * As in a journal a line must be exactly the canonical form of what it says, and base64 has one form only; so each flipped
 * byte changes a value (the digest differs), or the form, or the line's end. The key is a part of what is signed.
 */
#include <inttypes.h>
#include <openssl/evp.h>
#include <string.h>

#include "dr/audit/book.h"
#include "dr/base/mem.h"
#include "dr/data/time.h"
#include "dr/journal/journal.h"

enum { BASE64_SIGNATURE = 88 };

static const char no_hash[] = "0000000000000000000000000000000000000000000000000000000000000000";

void book_record_fini(struct book_record *r)
{
    free(r->type);
    json_decref(r->body);
    *r = (struct book_record){ 0 };
}

static json_t *content_of(const struct book_record *r)
{
    char time[TIME_TEXT_MAX];
    json_t *o = json_object();
    json_put(o, "body", json_incref(r->body));
    json_put_int(o, "boot", r->boot_ns);
    json_put(o, "key", r->key[0] != '\0' ? json_string(r->key) : json_null());
    json_put_int(o, "n", r->n);
    json_put_text(o, "prev", r->prev);
    json_put_text(o, "time", time_print(r->wall_ns, time));
    json_put_text(o, "type", r->type);
    return o;
}

void book_add_content(const struct book_record *r, struct buf *out)
{
    DR_JSON json_t *o = content_of(r);
    json_add_canonical(out, o);
}

/* sig: base64, or NULL. content: of this record. */
static void print(struct book_record *r, const struct buf *content, const char *sig,
                  struct buf *out)
{
    uint8_t raw[HASH_SIZE];
    DR_JSON json_t *o = content_of(r);
    hash_bytes(content->data, content->len, raw);
    hex_encode(raw, sizeof(raw), r->hash);
    json_put_text(o, "hash", r->hash);
    json_put(o, "sig", sig != NULL ? json_string(sig) : json_null());
    json_add_canonical(out, o);
    buf_addc(out, '\n');
}

void book_print(struct book_record *r, const struct keys *signer, struct buf *out)
{
    uint8_t signature[KEYS_SIGNATURE_SIZE];
    char text[BASE64_SIGNATURE + 1];
    DR_CLEANUP(buf_fini) struct buf content = { 0 };
    DR_ASSERT(r->n > 0 && r->type != NULL && r->body != NULL);
    r->key[0] = '\0';
    if (signer != NULL) {
        DR_ASSERT(strlen(keys_public(signer)) < sizeof(r->key));
        memcpy(r->key, keys_public(signer), strlen(keys_public(signer)) + 1);
    }
    book_add_content(r, &content);
    if (signer != NULL) {
        keys_sign(signer, content.data, content.len, signature);
        EVP_EncodeBlock((uint8_t *)text, signature, sizeof(signature));
    }
    print(r, &content, signer != NULL ? text : NULL, out);
}

static enum dr_rc read_text(const json_t *o, const char *key, char *ret, size_t size,
                            struct dr_err *err)
{
    const char *text = NULL;
    DR_TRY(json_get_text(o, key, &text, err));
    if (strlen(text) >= size)
        return dr_fail(err, DR_E_CORRUPT, "'%s' is too long", key);
    memcpy(ret, text, strlen(text) + 1);
    return DR_OK;
}

static enum dr_rc read_fields(const json_t *o, struct book_record *r, struct dr_err *err)
{
    const char *text = NULL;
    const json_t *body = NULL;
    DR_TRY(json_get_int(o, "n", &r->n, err));
    DR_TRY(json_get_int(o, "boot", &r->boot_ns, err));
    DR_TRY(json_get_text(o, "time", &text, err));
    if (!time_parse(text, &r->wall_ns))
        return dr_fail(err, DR_E_CORRUPT, "the time '%.60s' is none", text);
    DR_TRY(read_text(o, "prev", r->prev, sizeof(r->prev), err));
    if (!json_is_null(json_object_get(o, "key")))
        DR_TRY(read_text(o, "key", r->key, sizeof(r->key), err));
    DR_TRY(json_get_object(o, "body", &body, err));
    DR_TRY(json_get_text(o, "type", &text, err));
    r->type = dr_strdup(text);
    r->body = json_incref(json_object_get(o, "body"));
    if (r->n < 1)
        return dr_fail(err, DR_E_CORRUPT, "it carries number %" PRId64, r->n);
    return DR_OK;
}

/* ret: the text again, in its one form; NULL when there is neither key nor signature. */
static enum dr_rc check_signature(const struct book_record *r, const json_t *o,
                                  const struct buf *content, const char **ret, struct dr_err *err)
{
    uint8_t raw[BASE64_SIGNATURE / 4 * 3 + 1];
    char again[BASE64_SIGNATURE + 1];
    const json_t *sig = json_object_get(o, "sig");
    *ret = json_string_value(sig);
    if (r->key[0] == '\0' && json_is_null(sig))
        return DR_OK;
    if (r->key[0] == '\0' || *ret == NULL || strlen(*ret) != BASE64_SIGNATURE ||
        EVP_DecodeBlock(raw, (const uint8_t *)*ret, BASE64_SIGNATURE) < KEYS_SIGNATURE_SIZE)
        return dr_fail(err, DR_E_CORRUPT, "its signature is malformed");
    EVP_EncodeBlock((uint8_t *)again, raw, KEYS_SIGNATURE_SIZE);
    if (strcmp(again, *ret) != 0)
        return dr_fail(err, DR_E_CORRUPT, "its signature is malformed");
    if (!keys_verify(r->key, content->data, content->len, raw))
        return dr_fail(err, DR_E_CORRUPT, "its signature does not fit its content");
    return DR_OK;
}

static enum dr_rc read_line(const char *line, size_t len, struct book_record *r, struct dr_err *err)
{
    DR_JSON json_t *o = NULL;
    DR_CLEANUP(buf_fini) struct buf content = { 0 };
    DR_CLEANUP(buf_fini) struct buf again = { 0 };
    const char *sig = NULL, *hash = NULL;

    if (len < 2 || len > BOOK_LINE_MAX)
        return dr_fail(err, DR_E_CORRUPT, "a line of %zu bytes is none", len);
    DR_TRY(json_read("the line", line, len - 1, &o, err));
    if (!json_is_object(o))
        return dr_fail(err, DR_E_CORRUPT, "the line is no object");
    DR_TRY(read_fields(o, r, err));
    DR_TRY(json_get_text(o, "hash", &hash, err));
    book_add_content(r, &content);
    sig = json_string_value(json_object_get(o, "sig"));
    print(r, &content, sig, &again);
    if (strcmp(hash, r->hash) != 0 || again.len != len || memcmp(again.data, line, len) != 0)
        return dr_fail(err, DR_E_CORRUPT, "its digest does not fit its content");
    return check_signature(r, o, &content, &sig, err);
}

enum dr_rc book_read_line(const char *line, size_t len, struct book_record *ret, struct dr_err *err)
{
    struct book_record r = { 0 };
    if (read_line(line, len, &r, err) != DR_OK) {
        book_record_fini(&r);
        err->rc = DR_E_CORRUPT;
        return DR_E_CORRUPT;
    }
    *ret = r;
    return DR_OK;
}

enum dr_rc book_follows(const struct book_record *r, int64_t n, const char *hash,
                        struct dr_err *err)
{
    if (r->n != n + 1)
        return dr_fail(err, DR_E_CORRUPT, "record %" PRId64 " stands where %" PRId64 " should be",
                       r->n, n + 1);
    if (strcmp(r->prev, n == 0 ? no_hash : hash) != 0)
        return dr_fail(err, DR_E_CORRUPT, "record %" PRId64 " does not follow the one before it",
                       r->n);
    return DR_OK;
}

char *book_id(const char *first_hash, char out[BOOK_ID_SIZE])
{
    memcpy(out, first_hash, BOOK_ID_SIZE - 1);
    out[BOOK_ID_SIZE - 1] = '\0';
    return out;
}
