/*
 * signed.h - objects whose last line is a signature: snapshots and rows of status (two lines), anchors (more).
 *
 *     {"format":"drctl-snapshot", ... ,"version":1}
 *     {"key":"ed25519:BASE64","signature":"BASE64"}
 *
 * The first line is canonical JSON (sealed.h), and the signature is taken of it with its newline. An
 * object that parses proves that it is whole and which key signed it. Whether that key is trusted for what the
 * object says is the reader's question: the key comes back as text.
 */
#ifndef BACKUP_FORMAT_SIGNED_H
#define BACKUP_FORMAT_SIGNED_H

#include "backup/format/keys.h"
#include "backup/format/sealed.h"

/* Append the object. body is written as it is: format and version are its own. */
void signed_encode(const json_t *body, const struct keys *signer, struct buf *out);

/* Does the second line sign the first? writer: by which key. DR_E_CORRUPT when not; name stands in the error. */
enum dr_rc signed_check(const char *name, const struct sealed_lines *lines,
                        char writer[KEYS_TEXT_MAX], struct dr_err *err) DR_MUST_USE;

/* All of it: form, signature, format and version. The caller drops ret. */
enum dr_rc signed_parse(const char *name, const char *format, const struct buf *object,
                        json_t **ret, char writer[KEYS_TEXT_MAX], struct dr_err *err) DR_MUST_USE;

/* The same for an object of any number of lines whose last one signs all before it. ret_len: how many bytes these have,
 * with their newlines. */
enum dr_rc signed_check_last(const char *name, const struct buf *object, char writer[KEYS_TEXT_MAX],
                             size_t *ret_len, struct dr_err *err) DR_MUST_USE;

/* Sign all that out holds from start on. */
void signed_add_last(struct buf *out, size_t start, const struct keys *signer);

#endif
