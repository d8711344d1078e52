/*
 * Ed25519 by OpenSSL. Signing keys are born in the process, written whole (fs_replace, 0600), and
 * never leave the host. Base64 is accepted in its one canonical form only.
 */
#include "backup/format/keys.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

enum { PEM_SIZE_MAX = 4096, BASE64_KEY = 44, INHERITED_SIZE_MAX = 64 << 10 };
static const char prefix[] = "ed25519:";
static const char pem_name[] = "writer.pem", pub_name[] = "writer.pub";

struct keys {
    EVP_PKEY *key;
    char text[KEYS_TEXT_MAX];
};

static struct keys *from_key(EVP_PKEY *key)
{
    uint8_t raw[KEYS_PUBLIC_SIZE];
    size_t len = sizeof raw;
    if (EVP_PKEY_get_raw_public_key(key, raw, &len) != 1 || len != sizeof raw)
        return NULL;
    struct keys *k = dr_alloc(1, sizeof *k);
    k->key = key;
    memcpy(k->text, prefix, sizeof prefix);
    EVP_EncodeBlock((uint8_t *)k->text + strlen(prefix), raw, sizeof raw);
    return k;
}

struct keys *keys_new(void)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    DR_ASSERT(key != NULL);
    struct keys *k = from_key(key);
    DR_ASSERT(k != NULL);
    return k;
}

void keys_free(struct keys *k)
{
    if (k == NULL)
        return;
    EVP_PKEY_free(k->key);
    free(k);
}

const char *keys_public(const struct keys *k)
{
    return k->text;
}

static enum dr_rc parse_pem(const char *path, const struct buf *pem, struct keys **ret,
                            struct dr_err *err)
{
    BIO *bio = BIO_new_mem_buf(pem->data, (int)pem->len);
    DR_ASSERT(bio != NULL);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    struct keys *k = NULL;
    if (key != NULL && EVP_PKEY_get_id(key) == EVP_PKEY_ED25519)
        k = from_key(key);
    if (k != NULL) {
        *ret = k;
        return DR_OK;
    }
    EVP_PKEY_free(key);
    dr_fail(err, DR_E_CORRUPT, "'%s' holds no Ed25519 key", path);
    return dr_hint(err, "Put the key back from a copy, or move the file away to get a new one.");
}

static enum dr_rc save(const char *dir, const struct keys *k, struct dr_err *err)
{
    BIO *bio = BIO_new(BIO_s_mem());
    DR_ASSERT(bio != NULL);
    int ok = PEM_write_bio_PrivateKey(bio, k->key, NULL, NULL, 0, NULL, NULL);
    char *pem = NULL;
    long len = BIO_get_mem_data(bio, &pem);
    DR_ASSERT(ok == 1 && len > 0);
    enum dr_rc rc = fs_replace(dir, pem_name, pem, (size_t)len, err);
    BIO_free(bio);
    return rc;
}

/* The public form is a courtesy to people: made again whenever it is missing. */
static enum dr_rc save_public(const char *dir, const struct keys *k, struct dr_err *err)
{
    DR_FREE char *path = dr_strf("%s/%s", dir, pub_name);
    DR_FREE char *line = dr_strf("%s\n", k->text);
    DR_CLEANUP(buf_fini) struct buf have = { 0 };
    struct dr_err ignored;
    if (fs_read_file(path, PEM_SIZE_MAX, &have, &ignored) == DR_OK && have.len == strlen(line) &&
        memcmp(have.data, line, have.len) == 0)
        return DR_OK;
    return fs_replace(dir, pub_name, line, strlen(line), err);
}

/* Two first backups at once must end with one key: what the key that lost has signed would be
 * refused ever after. Held for two small writes, and only while there is no key. */
static enum dr_rc lock_dir(const char *dir, int *ret_fd, struct dr_err *err)
{
    DR_TRY(fs_make_dirs(dir, 0700, err));
    DR_CLEANUP(dr_close_fd) int fd = sys_open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0)
        return dr_fail_sys(err, errno, "cannot open '%s'", dir);
    while (flock(fd, LOCK_EX) < 0)
        if (errno != EINTR)
            return dr_fail_sys(err, errno, "cannot lock '%s'", dir);
    *ret_fd = dr_take_fd(&fd);
    return DR_OK;
}

static bool lacks(const char *dir, const char *name)
{
    DR_FREE char *path = dr_strf("%s/%s", dir, name);
    return access(path, F_OK) < 0 && errno == ENOENT;
}

enum dr_rc keys_open(const char *state_dir, bool make, struct keys **ret, struct dr_err *err)
{
    DR_FREE char *dir = dr_strf("%s/keys", state_dir);
    DR_FREE char *path = dr_strf("%s/%s", dir, pem_name);
    DR_CLEANUP(dr_close_fd) int lock = -1;
    if (make && (lacks(dir, pem_name) || lacks(dir, pub_name)))
        DR_TRY(lock_dir(dir, &lock, err));
    DR_CLEANUP(buf_fini) struct buf pem = { 0 };
    DR_CLEANUP(keys_free_ptr) struct keys *k = NULL;
    enum dr_rc rc = fs_read_file(path, PEM_SIZE_MAX, &pem, err);
    if (rc == DR_OK)
        rc = parse_pem(path, &pem, &k, err);
    else if (rc == DR_E_NOTFOUND && make) {
        k = keys_new();
        rc = save(dir, k, err);
    }
    OPENSSL_cleanse(pem.data, pem.len);
    if (rc != DR_OK)
        return rc;
    if (make)
        DR_TRY(save_public(dir, k, err));
    *ret = DR_TAKE(k);
    return DR_OK;
}

enum dr_rc keys_read_public(const char *state_dir, char ret[KEYS_TEXT_MAX], struct dr_err *err)
{
    DR_CLEANUP(keys_free_ptr) struct keys *k = NULL;
    DR_FREE char *path = dr_strf("%s/keys/%s", state_dir, pub_name);
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    if (fs_read_file(path, PEM_SIZE_MAX, &text, err) == DR_OK) {
        if (text.len == 0 || text.data[text.len - 1] != '\n' || text.len > KEYS_TEXT_MAX)
            return dr_fail(err, DR_E_CORRUPT, "'%s' holds no public key", path);
        memcpy(ret, text.data, text.len);
        ret[text.len - 1] = '\0';
        return DR_OK;
    }
    DR_TRY(keys_open(state_dir, false, &k, err));
    memcpy(ret, k->text, KEYS_TEXT_MAX);
    return DR_OK;
}

void keys_sign(const struct keys *k, const void *data, size_t len, uint8_t ret[KEYS_SIGNATURE_SIZE])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t out = KEYS_SIGNATURE_SIZE;
    DR_ASSERT(ctx != NULL);
    DR_ASSERT(EVP_DigestSignInit(ctx, NULL, NULL, NULL, k->key) == 1);
    DR_ASSERT(EVP_DigestSign(ctx, ret, &out, data, len) == 1 && out == KEYS_SIGNATURE_SIZE);
    EVP_MD_CTX_free(ctx);
}

/* "ed25519:" and the one canonical base64 of 32 bytes. */
static EVP_PKEY *parse_public(const char *text)
{
    uint8_t raw[BASE64_KEY / 4 * 3 + 1];
    char again[BASE64_KEY + 1];
    if (strncmp(text, prefix, strlen(prefix)) != 0)
        return NULL;
    text += strlen(prefix);
    if (strnlen(text, BASE64_KEY + 1) != BASE64_KEY ||
        EVP_DecodeBlock(raw, (const uint8_t *)text, BASE64_KEY) < KEYS_PUBLIC_SIZE)
        return NULL;
    EVP_EncodeBlock((uint8_t *)again, raw, KEYS_PUBLIC_SIZE);
    if (strcmp(again, text) != 0)
        return NULL;
    return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw, KEYS_PUBLIC_SIZE);
}

bool keys_is_public(const char *text)
{
    EVP_PKEY *key = parse_public(text);
    EVP_PKEY_free(key);
    return key != NULL;
}

enum dr_rc keys_inherited(const char *state_dir, struct text_list *ret, struct dr_err *err)
{
    DR_FREE char *path = dr_strf("%s/keys/inherited.pub", state_dir);
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    enum dr_rc rc = fs_read_file(path, INHERITED_SIZE_MAX, &text, err);
    if (rc == DR_E_NOTFOUND)
        return DR_OK;
    DR_TRY(rc);
    for (char *at = text.data, *line; at != NULL && (line = strsep(&at, "\n")) != NULL;)
        if (line[0] != '\0')
            text_list_add(ret, line);
    return DR_OK;
}

bool keys_verify(const char *public_text, const void *data, size_t len,
                 const uint8_t signature[KEYS_SIGNATURE_SIZE])
{
    EVP_PKEY *key = parse_public(public_text);
    if (key == NULL)
        return false;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    DR_ASSERT(ctx != NULL);
    bool good = EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
                EVP_DigestVerify(ctx, signature, KEYS_SIGNATURE_SIZE, data, len) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    return good;
}
