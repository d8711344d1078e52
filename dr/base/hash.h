/*
 * hash.h - SHA-256, random bytes, and their hexadecimal form.
 *
 * SHA-256 (FIPS 180-4) by OpenSSL EVP. A hash object may be used again after its
 * end. Random bytes come from getrandom(2) and cannot fail once the kernel has booted.
 */
#ifndef DR_BASE_HASH_H
#define DR_BASE_HASH_H

#include "dr/base/base.h"

enum { HASH_SIZE = 32, HASH_HEX_SIZE = 65 };

struct hash; /* one running SHA-256 */

struct hash *hash_new(void) DR_MUST_USE;
void hash_free(struct hash *h);
DR_DEFINE_CLEANUP(struct hash, hash_free)

void hash_start(struct hash *h);
void hash_add(struct hash *h, const void *data, size_t len);
void hash_end(struct hash *h, uint8_t out[HASH_SIZE]);

/* One piece at once. */
void hash_bytes(const void *data, size_t len, uint8_t out[HASH_SIZE]);

/* Lower-case hexadecimal and a NUL: out has 2 * len + 1 bytes. Returns out. */
char *hex_encode(const void *data, size_t len, char *out);

/* Exactly 2 * len lower-case digits; false and out untouched otherwise. */
bool hex_decode(const char *text, size_t text_len, void *out, size_t len);

void random_bytes(void *out, size_t len);

#endif
