/*
 * Names of objects: made in one place and taken apart in one place.
 */
#include "backup/format/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "dr/base/hash.h"
#include "dr/base/mem.h"

enum { SOURCE_IN_ID_MAX = 100, AB_LEN = 3 }; /* "ab/" */

char *names_pack(const uint8_t id[DIGEST_SIZE], char out[NAMES_MAX])
{
    char hex[HASH_HEX_SIZE];
    hex_encode(id, DIGEST_SIZE, hex);
    (void)snprintf(out, NAMES_MAX, NAMES_PACKS "%.2s/%s", hex, hex); /* fits by its parts */
    return out;
}

bool names_parse_pack(const char *name, uint8_t ret[DIGEST_SIZE])
{
    size_t prefix = strlen(NAMES_PACKS);
    if (strncmp(name, NAMES_PACKS, prefix) != 0)
        return false;
    const char *ab = name + prefix;
    if (strnlen(ab, AB_LEN + 1) <= AB_LEN || ab[2] != '/' || strncmp(ab, ab + AB_LEN, 2) != 0)
        return false;
    const char *hex = ab + AB_LEN;
    return hex_decode(hex, strnlen(hex, HASH_HEX_SIZE), ret, DIGEST_SIZE);
}

char *names_of(const char *prefix, const char *id, char out[NAMES_MAX])
{
    int len = snprintf(out, NAMES_MAX, "%s%s", prefix, id);
    DR_ASSERT(len > 0 && len < NAMES_MAX);
    return out;
}

static bool is_id_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

static size_t add_source(const char *source, char *out)
{
    size_t len = 0;
    for (; source[len] != '\0' && len < SOURCE_IN_ID_MAX; len++) {
        char c = source[len];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c | 0x20); /* ASCII: to lower case */
        bool keep = is_id_char(c) && (len > 0 || c != '.');
        out[len] = '-';
        if (keep)
            out[len] = c;
    }
    return len;
}

char *names_make_id(const struct names_id *of, char out[NAMES_ID_MAX])
{
    DR_ASSERT(of->source != NULL && of->start_ns >= 0);
    char nonce[2 * NONCE_SIZE + 1], hash[HASH_HEX_SIZE];
    uint8_t digest[DIGEST_SIZE];
    DR_FREE char *text = dr_strf("%s\n%" PRId64 "\n%" PRId64 "\n%s\n", of->source, of->epoch,
                                 of->start_ns, hex_encode(of->nonce, NONCE_SIZE, nonce));
    hash_bytes(text, strlen(text), digest);
    hex_encode(digest, DIGEST_SIZE, hash);

    time_t seconds = (time_t)(of->start_ns / 1000000000);
    struct tm tm;
    DR_ASSERT(gmtime_r(&seconds, &tm) != NULL);
    size_t len = add_source(of->source, out);
    len += strftime(out + len, NAMES_ID_MAX - len, "-%Y%m%dt%H%M%Sz-", &tm);
    (void)snprintf(out + len, NAMES_ID_MAX - len, "%.6s", hash); /* fits: 100 + 25 */
    return out;
}

bool names_is_id(const char *text)
{
    size_t len = strnlen(text, NAMES_ID_MAX);
    if (len == 0 || len == NAMES_ID_MAX || text[0] == '.')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!is_id_char(text[i]))
            return false;
    return true;
}
