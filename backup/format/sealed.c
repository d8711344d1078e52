/*
 * Two lines: a body in canonical JSON, and a seal. The body is accepted only when writing it again
 * gives the same bytes, so that one meaning has one form and nothing can hide in white space.
 */
#include "backup/format/sealed.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/format/names.h"
#include "dr/base/clock.h"
#include "dr/base/hash.h"

enum { SEAL_MAX = 96, SEED_HEX = 16, PACK_BYTES = 32 << 20 };

static int print_seal(const char *body, size_t len, char out[SEAL_MAX])
{
    uint8_t digest[DIGEST_SIZE];
    char hex[HASH_HEX_SIZE];
    hash_bytes(body, len, digest);
    return snprintf(out, SEAL_MAX, "{\"sha256\":\"%s\"}", hex_encode(digest, DIGEST_SIZE, hex));
}

void sealed_encode(json_t *body, const char *format, struct buf *out)
{
    json_put_text(body, "format", format);
    json_put_int(body, "version", FORMAT_VERSION);
    size_t start = out->len;
    json_add_canonical(out, body);
    buf_addc(out, '\n');
    char seal[SEAL_MAX];
    print_seal(out->data + start, out->len - start, seal);
    buf_addf(out, "%s\n", seal);
}

enum dr_rc sealed_split(const char *what, const void *data, size_t len, struct sealed_lines *ret,
                        struct dr_err *err)
{
    const char *text = data;
    const char *end = len > 0 ? memchr(text, '\n', len) : NULL;
    size_t body_len = end == NULL ? 0 : (size_t)(end - text);
    size_t left = end == NULL ? 0 : len - body_len - 1;
    if (body_len == 0 || left < 2 || memchr(end + 1, '\n', left) != text + len - 1)
        return dr_fail(err, DR_E_CORRUPT, "%s: not two whole lines", what);
    *ret = (struct sealed_lines){ text, end + 1, body_len, left - 1 };
    return DR_OK;
}

static enum dr_rc check_version(const char *what, const char *format, const json_t *body,
                                struct dr_err *err)
{
    const char *have;
    int64_t version;
    DR_TRY(json_get_text(body, "format", &have, err));
    if (strcmp(have, format) != 0)
        return dr_fail(err, DR_E_CORRUPT, "%s: not a %s", what, format);
    DR_TRY(json_get_int(body, "version", &version, err));
    const json_t *encryption = json_object_get(body, "encryption");
    const json_t *needs = json_object_get(body, "needs");
    if (version != FORMAT_VERSION || json_array_size(needs) > 0 ||
        (needs != NULL && !json_is_array(needs)))
        return dr_fail(err, DR_E_REFUSED, "%s: written for a newer version of drctl", what);
    if (encryption != NULL &&
        (!json_is_string(encryption) || strcmp(json_string_value(encryption), "none") != 0))
        return dr_fail(err, DR_E_REFUSED, "%s: encrypted: needs a newer version of drctl", what);
    return DR_OK;
}

enum dr_rc sealed_body(const char *what, const char *format, const struct sealed_lines *lines,
                       json_t **ret, struct dr_err *err)
{
    DR_JSON json_t *body = NULL;
    DR_TRY(json_read(what, lines->body, lines->body_len, &body, err));
    if (!json_is_object(body))
        return dr_fail(err, DR_E_CORRUPT, "%s: no object", what);
    if (check_version(what, format, body, err) != DR_OK)
        return err->rc == DR_E_CORRUPT ? dr_context(err, "%s", what) : err->rc;
    *ret = DR_TAKE(body);
    return DR_OK;
}

enum dr_rc sealed_parse(const char *what, const char *format, const void *data, size_t len,
                        json_t **ret, struct dr_err *err)
{
    struct sealed_lines lines;
    char seal[SEAL_MAX];
    if (len > SEALED_SIZE_MAX)
        return dr_fail(err, DR_E_CORRUPT, "%s: larger than its limit", what);
    DR_TRY(sealed_split(what, data, len, &lines, err));
    int seal_len = print_seal(lines.body, lines.body_len + 1, seal);
    if ((size_t)seal_len != lines.seal_len || memcmp(seal, lines.seal, lines.seal_len) != 0)
        return dr_fail(err, DR_E_CORRUPT, "%s: its SHA-256 is not what it should be", what);
    return sealed_body(what, format, &lines, ret, err);
}

void repository_make(struct repository *ret)
{
    uint8_t id[(REPOSITORY_ID_SIZE - 1) / 2];
    random_bytes(id, sizeof id);
    hex_encode(id, sizeof id, ret->id);
    random_bytes(&ret->seed, sizeof ret->seed);
    ret->pack_bytes = PACK_BYTES;
    ret->created_ns = clock_wall_ns();
}

void epoch_encode(const char *source, int64_t epoch, struct buf *out)
{
    DR_JSON json_t *body = json_object();
    char name[NAMES_MAX];
    names_epochs_of(source, name);
    name[strlen(name) - 1] = '\0'; /* its slash */
    json_put_int(body, "epoch", epoch);
    json_put_text(body, "source", name + strlen(NAMES_EPOCHS));
    sealed_encode(body, "drctl-epoch", out);
}

void repository_encode(const struct repository *r, struct buf *out)
{
    DR_JSON json_t *body = json_object();
    char seed[SEED_HEX + 1];
    (void)snprintf(seed, sizeof seed, "%016" PRIx64, r->seed); /* always 16 digits */
    json_put_int(body, "created_ns", r->created_ns);
    json_put_text(body, "encryption", "none");
    json_put_text(body, "id", r->id);
    json_put(body, "needs", json_array());
    json_put_int(body, "pack_bytes", (int64_t)r->pack_bytes);
    json_put_text(body, "seed", seed);
    sealed_encode(body, "drctl-repository", out);
}

enum dr_rc repository_parse(const char *what, const void *data, size_t len, struct repository *ret,
                            struct dr_err *err)
{
    DR_JSON json_t *body = NULL;
    const char *id = "", *seed = "";
    int64_t pack_bytes = 0, created_ns = 0;
    uint8_t raw_id[(REPOSITORY_ID_SIZE - 1) / 2], raw_seed[SEED_HEX / 2];
    DR_TRY(sealed_parse(what, "drctl-repository", data, len, &body, err));
    if (json_get_text(body, "id", &id, err) != DR_OK ||
        json_get_text(body, "seed", &seed, err) != DR_OK ||
        json_get_int(body, "created_ns", &created_ns, err) != DR_OK ||
        json_get_int(body, "pack_bytes", &pack_bytes, err) != DR_OK)
        return dr_context(err, "%s", what);
    if (!hex_decode(id, strlen(id), raw_id, sizeof raw_id) ||
        !hex_decode(seed, strlen(seed), raw_seed, sizeof raw_seed))
        return dr_fail(err, DR_E_CORRUPT, "%s: its id or seed is not hexadecimal", what);
    if (pack_bytes < 1 || pack_bytes > PACK_SIZE_MAX / 2)
        return dr_fail(err, DR_E_CORRUPT, "%s: impossible size of packs", what);
    struct repository r = { .pack_bytes = (uint64_t)pack_bytes, .created_ns = created_ns };
    memcpy(r.id, id, sizeof r.id);
    for (size_t i = 0; i < sizeof raw_seed; i++)
        r.seed = r.seed << 8 | raw_seed[i];
    *ret = r;
    return DR_OK;
}
