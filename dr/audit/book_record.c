/*
 * book_record.c - the bytes of a line: what is hashed, what is signed, and what makes it broken.
 *
 * A line is read as it stands (book_line.c), and base64 has one form only; so each flipped byte changes what was hashed, or the
 * digest, or the signature, or the form, or the line's end. The key is a part of what is signed.
 */
#include <openssl/evp.h>
#include <string.h>

#include "dr/audit/book.h"
#include "dr/base/mem.h"
#include "dr/data/time.h"
#include "dr/journal/journal.h"

enum { BASE64_SIGNATURE = 88 };

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

bool book_line_is_signed(const struct book_line *l, struct dr_err *err)
{
    uint8_t raw[BASE64_SIGNATURE / 4 * 3 + 1];
    char again[BASE64_SIGNATURE + 1], key[KEYS_TEXT_MAX];
    DR_CLEANUP(buf_fini) struct buf content = { 0 };
    DR_FREE char *sig = dr_memdup(l->sig.len > 0 ? l->sig.at : "", l->sig.len);
    if (l->sig.len != BASE64_SIGNATURE ||
        EVP_DecodeBlock(raw, (const uint8_t *)sig, BASE64_SIGNATURE) < KEYS_SIGNATURE_SIZE) {
        (void)dr_fail(err, DR_E_CORRUPT, "its signature is malformed");
        return false;
    }
    EVP_EncodeBlock((uint8_t *)again, raw, KEYS_SIGNATURE_SIZE);
    book_line_key(l, key);
    book_line_content(l, &content);
    if (strcmp(again, sig) == 0 && keys_verify(key, content.data, content.len, raw))
        return true;
    (void)dr_fail(err, DR_E_CORRUPT, "its signature does not fit its content");
    return false;
}

enum dr_rc book_parse(const struct book_line *l, struct book_record *ret, struct dr_err *err)
{
    DR_JSON json_t *body = NULL;
    struct book_record r = {
        .n = l->n, .boot_ns = l->boot_ns, .text = l->text.at, .text_len = l->text.len
    };
    DR_FREE char *time = dr_memdup(l->time.at, l->time.len);
    if (!time_parse(time, &r.wall_ns))
        return dr_fail(err, DR_E_CORRUPT, "the time '%.60s' is none", time);
    enum dr_rc rc = json_read("the body", l->body.at, l->body.len, &body, err);
    if (rc == DR_OK && !json_is_object(body))
        rc = dr_fail(err, DR_E_CORRUPT, "the body is no object");
    if (rc != DR_OK) {
        err->rc = DR_E_CORRUPT;
        return DR_E_CORRUPT;
    }
    memcpy(r.prev, l->prev, sizeof(r.prev));
    memcpy(r.hash, l->hash, sizeof(r.hash));
    book_line_key(l, r.key);
    r.type = dr_memdup(l->type.at, l->type.len);
    r.body = DR_TAKE(body);
    *ret = r;
    return DR_OK;
}

enum dr_rc book_read_line(const char *line, size_t len, struct book_record *ret, struct dr_err *err)
{
    DR_CLEANUP(hash_free_ptr) struct hash *h = hash_new();
    struct book_line l = { 0 };
    DR_TRY(book_split(h, line, len, &l, err));
    if (l.key.at != NULL && !book_line_is_signed(&l, err))
        return DR_E_CORRUPT;
    return book_parse(&l, ret, err);
}

char *book_id(const char *first_hash, char out[BOOK_ID_SIZE])
{
    memcpy(out, first_hash, BOOK_ID_SIZE - 1);
    out[BOOK_ID_SIZE - 1] = '\0';
    return out;
}
