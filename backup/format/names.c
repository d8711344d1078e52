/*
 * Names of objects: made in one place and taken apart in one place.
 */
#include "backup/format/names.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
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

/* -- by source ----------------------------------------------------------------------------- */

static char *of_source(const char *prefix, const char *source, const char *end, char *out)
{
    char part[SOURCE_IN_ID_MAX + 1];
    part[add_source(source, part)] = '\0';
    int len = snprintf(out, NAMES_MAX, "%s%s%s", prefix, part, end);
    DR_ASSERT(len > 0 && len < NAMES_MAX);
    return out;
}

char *names_snapshots_of(const char *source, char out[NAMES_MAX])
{
    return of_source(NAMES_SNAPSHOTS, source, "-", out);
}

char *names_epochs_of(const char *source, char out[NAMES_MAX])
{
    return of_source(NAMES_EPOCHS, source, "/", out);
}

char *names_epoch(const char *source, int64_t epoch, char out[NAMES_MAX])
{
    char number[32];
    (void)snprintf(number, sizeof number, "/%020" PRId64, epoch); /* fits */
    return of_source(NAMES_EPOCHS, source, number, out);
}

int64_t names_parse_epoch(const char *name)
{
    enum { DIGITS = 20 };
    const char *digits = strrchr(name, '/');
    if (digits == NULL || strlen(++digits) != DIGITS || strspn(digits, "0123456789") != DIGITS)
        return -1;
    errno = 0;
    long long epoch = strtoll(digits, NULL, 10);
    return errno == 0 ? (int64_t)epoch : -1;
}

const char *names_time_of(const char *id)
{
    static const char form[] = "ddddddddtddddddz-xxxxxx";
    size_t len = strlen(id), want = sizeof form - 1;
    if (len <= want + 1 || id[len - want - 1] != '-')
        return NULL;
    const char *at = id + len - want;
    for (size_t i = 0; i < want; i++) {
        bool digit = at[i] >= '0' && at[i] <= '9';
        bool fits = form[i] == 'd'   ? digit
                    : form[i] == 'x' ? digit || (at[i] >= 'a' && at[i] <= 'f')
                                     : at[i] == form[i];
        if (!fits)
            return NULL;
    }
    return at;
}
