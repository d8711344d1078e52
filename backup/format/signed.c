/*
 * The form of the second line is fixed to the byte, and base64 is accepted only in its one canonical form: an
 * object has one signature line, so nothing can hide in a second spelling of it.
 */
#include "backup/format/signed.h"

#include <openssl/evp.h>
#include <string.h>

#include "dr/base/mem.h"

enum { BASE64_SIGNATURE = 88 };

void signed_encode(const json_t *body, const struct keys *signer, struct buf *out)
{
    size_t start = out->len;
    json_add_canonical(out, body);
    buf_addc(out, '\n');
    signed_add_last(out, start, signer);
}

void signed_add_last(struct buf *out, size_t start, const struct keys *signer)
{
    uint8_t signature[KEYS_SIGNATURE_SIZE];
    char text[BASE64_SIGNATURE + 1];
    keys_sign(signer, out->data + start, out->len - start, signature);
    EVP_EncodeBlock((uint8_t *)text, signature, sizeof signature);
    buf_addf(out, "{\"key\":\"%s\",\"signature\":\"%s\"}\n", keys_public(signer), text);
}

enum dr_rc signed_check(const char *name, const struct sealed_lines *lines,
                        char writer[KEYS_TEXT_MAX], struct dr_err *err)
{
    static const char start[] = "{\"key\":\"", middle[] = "\",\"signature\":\"", end[] = "\"}";
    DR_FREE char *seal = dr_memdup(lines->seal, lines->seal_len);
    char *key = seal + strlen(start), *between = strstr(seal, middle);
    uint8_t signature[BASE64_SIGNATURE / 4 * 3 + 1];
    char again[BASE64_SIGNATURE + 1];
    if (strlen(seal) != lines->seal_len || strncmp(seal, start, strlen(start)) != 0 ||
        between == NULL || (size_t)(between - key) >= KEYS_TEXT_MAX)
        return dr_fail(err, DR_E_CORRUPT, "%s: not signed", name);
    *between = '\0';
    char *text = between + strlen(middle);
    if (strlen(text) != BASE64_SIGNATURE + strlen(end) ||
        strcmp(text + BASE64_SIGNATURE, end) != 0 ||
        EVP_DecodeBlock(signature, (uint8_t *)text, BASE64_SIGNATURE) < KEYS_SIGNATURE_SIZE)
        return dr_fail(err, DR_E_CORRUPT, "%s: its signature is malformed", name);
    EVP_EncodeBlock((uint8_t *)again, signature, KEYS_SIGNATURE_SIZE);
    if (strncmp(again, text, BASE64_SIGNATURE) != 0 ||
        !keys_verify(key, lines->body, lines->body_len + 1, signature))
        return dr_fail(err, DR_E_CORRUPT, "%s: its signature does not match", name);
    memcpy(writer, key, strlen(key) + 1);
    return DR_OK;
}

enum dr_rc signed_parse(const char *name, const char *format, const struct buf *object,
                        json_t **ret, char writer[KEYS_TEXT_MAX], struct dr_err *err)
{
    struct sealed_lines lines;
    DR_TRY(sealed_split(name, object->data, object->len, &lines, err));
    DR_TRY(signed_check(name, &lines, writer, err));
    return sealed_body(name, format, &lines, ret, err);
}

enum dr_rc signed_check_last(const char *name, const struct buf *object, char writer[KEYS_TEXT_MAX],
                             size_t *ret_len, struct dr_err *err)
{
    const char *data = object->data;
    size_t len = object->len;
    const char *end = len > 2 && data[len - 1] == '\n' ? memrchr(data, '\n', len - 1) : NULL;
    if (end == NULL)
        return dr_fail(err, DR_E_CORRUPT, "%s: not of whole lines", name);
    size_t body_len = (size_t)(end - data);
    const struct sealed_lines lines = { data, end + 1, body_len, len - body_len - 2 };
    DR_TRY(signed_check(name, &lines, writer, err));
    *ret_len = body_len + 1;
    return DR_OK;
}
