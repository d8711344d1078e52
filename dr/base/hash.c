/*
 * hash.c - SHA-256 by libcrypto, hexadecimal digits, random bytes.
 *
 * libcrypto fails here only when memory has run out or the library is broken: both end the process.
 */
#include "dr/base/hash.h"

#include <openssl/evp.h>
#include <string.h>
#include <sys/random.h>

#include "dr/base/mem.h"

struct hash {
    EVP_MD_CTX *ctx;
};

struct hash *hash_new(void)
{
    struct hash *h = dr_alloc(1, sizeof(*h));
    h->ctx = EVP_MD_CTX_new();
    if (h->ctx == NULL)
        dr_out_of_memory();
    hash_start(h);
    return h;
}

void hash_free(struct hash *h)
{
    if (h == NULL)
        return;
    EVP_MD_CTX_free(h->ctx);
    free(h);
}

/* Fetched once: EVP_sha256() in each start would look the algorithm up again (OpenSSL 3). */
static const EVP_MD *algorithm(void)
{
    static EVP_MD *fetched;
    EVP_MD *md = __atomic_load_n(&fetched, __ATOMIC_ACQUIRE);
    if (md != NULL)
        return md;
    md = EVP_MD_fetch(NULL, "SHA256", NULL);
    DR_ASSERT(md != NULL);
    EVP_MD *expected = NULL;
    if (!__atomic_compare_exchange_n(&fetched, &expected, md, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE)) {
        EVP_MD_free(md);
        md = expected;
    }
    return md;
}

void hash_start(struct hash *h)
{
    DR_ASSERT(EVP_DigestInit_ex(h->ctx, algorithm(), NULL) == 1);
}

void hash_add(struct hash *h, const void *data, size_t len)
{
    DR_ASSERT(EVP_DigestUpdate(h->ctx, data, len) == 1);
}

void hash_end(struct hash *h, uint8_t out[HASH_SIZE])
{
    DR_ASSERT(EVP_DigestFinal_ex(h->ctx, out, NULL) == 1);
    hash_start(h);
}

void hash_bytes(const void *data, size_t len, uint8_t out[HASH_SIZE])
{
    DR_ASSERT(EVP_Digest(data, len, out, NULL, algorithm(), NULL) == 1);
}

char *hex_encode(const void *data, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = data;
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    out[2 * len] = '\0';
    return out;
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

bool hex_decode(const char *text, size_t text_len, void *out, size_t len)
{
    if (text_len != 2 * len)
        return false;
    for (size_t i = 0; i < text_len; i++)
        if (digit_value(text[i]) < 0)
            return false;
    uint8_t *p = out;
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(digit_value(text[2 * i]) * 16 + digit_value(text[2 * i + 1]));
    return true;
}

void random_bytes(void *out, size_t len)
{
    char *at = out;
    while (len > 0) {
        ssize_t n = getrandom(at, len, 0);
        if (n < 0)
            continue; /* EINTR only: the buffer is ours, the flags are none */
        at += n;
        len -= (size_t)n;
    }
}
