/*
 * keys.h - the writer's Ed25519 key, and checking what others signed.
 *
 * The key lies in STATE_DIR/keys/writer.pem (PKCS#8, mode 0600), its public form beside it in
 * writer.pub as "ed25519:BASE64". It is made at first use. Losing it harms no snapshot; a new one
 * must be added to trusted_writers. RFC 8032, by OpenSSL.
 */
#ifndef BACKUP_FORMAT_KEYS_H
#define BACKUP_FORMAT_KEYS_H

#include "dr/base/err.h"
#include "dr/base/text.h"

enum { KEYS_SIGNATURE_SIZE = 64, KEYS_PUBLIC_SIZE = 32, KEYS_TEXT_MAX = 64 };

struct keys;

/* Load the key; make: create it when there is none (else DR_E_NOTFOUND). The caller frees. */
enum dr_rc keys_open(const char *state_dir, bool make, struct keys **ret, struct dr_err *err)
    DR_MUST_USE;

/* A key that lies nowhere: for tests, and for what a drill forges. */
struct keys *keys_new(void) DR_MUST_USE;
void keys_free(struct keys *k);
DR_DEFINE_CLEANUP(struct keys, keys_free)

/* "ed25519:BASE64". Borrowed. */
const char *keys_public(const struct keys *k);

void keys_sign(const struct keys *k, const void *data, size_t len,
               uint8_t ret[KEYS_SIGNATURE_SIZE]);

/* Is the signature of these bytes by that public key good? A malformed key is false. */
bool keys_verify(const char *public_text, const void *data, size_t len,
                 const uint8_t signature[KEYS_SIGNATURE_SIZE]);

/*
 * Public keys of hosts that this one has followed (STATE_DIR/keys/inherited.pub, one a line): what they
 * signed is believed as what this host signs. Added to ret; no file is none. It is read as it is:
 * a line that is no key believes nobody.
 */
enum dr_rc keys_inherited(const char *state_dir, struct text_list *ret, struct dr_err *err)
    DR_MUST_USE;

/* Is this "ed25519:" and the one canonical base64 of a key? */
bool keys_is_public(const char *text);

/* The public key of STATE_DIR without its secret part, as text. DR_E_NOTFOUND without one. */
enum dr_rc keys_read_public(const char *state_dir, char ret[KEYS_TEXT_MAX], struct dr_err *err)
    DR_MUST_USE;

#endif
