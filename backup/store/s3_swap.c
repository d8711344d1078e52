/*
 * Compare-and-set by ETag.
 *
 * The ETag is a digest of the content, so equal bytes have equal tags: whoever swaps puts a nonce into
 * them. Among many who swap at once exactly one wins; of the losers some are told 412, and by some
 * stores 500 (radosgw 16 says it to two of five). A 500 is therefore no outcome: it is passed on as
 * "nobody knows", and never repeated here, for the repetition of a swap that had succeeded would
 * be told that it lost.
 */
#include <string.h>

#include "backup/store/s3_inside.h"
#include "dr/base/mem.h"

bool s3_etag(const struct transfer_reply *r, char tag[STORE_TAG_MAX])
{
    const char *etag = transfer_header(r, "etag");
    if (etag == NULL)
        return false;
    size_t len = strlen(etag);
    if (len >= 2 && etag[0] == '"' && etag[len - 1] == '"') {
        etag++;
        len -= 2;
    }
    if (len == 0 || len >= STORE_TAG_MAX || memchr(etag, '"', len) != NULL)
        return false;
    memcpy(tag, etag, len);
    tag[len] = '\0';
    return true;
}

char *s3_if_match(enum s3_swap_form form, const char *tag)
{
    const char *quote = form == S3_SWAP_QUOTED ? "\"" : "";
    return dr_strf("If-Match: %s%s%s", quote, tag, quote);
}

enum dr_rc s3_read_tagged(struct store *base, const char *name, struct buf *out,
                          char tag[STORE_TAG_MAX], struct dr_err *err)
{
    struct s3 *s = (struct s3 *)base;
    const struct s3_ask q = { .method = "GET",
                              .name = name,
                              .grow = out,
                              .grow_limit = STORE_SWAP_MAX,
                              .counter = STORE_GETS,
                              .what = "read",
                              .action = "s3:GetObject" };
    DR_CLEANUP(s3_answer_fini) struct s3_answer a = { 0 };
    (void)buf_reserve(out, 1); /* so that there is a place for the NUL */
    DR_TRY(s3_call(s, &q, &a, err));
    if (a.reply.status != 200) {
        (void)s3_fail(s, &q, &a, err); /* passed on, unless it is just not there */
        tag[0] = '\0';
        return err->rc == DR_E_NOTFOUND ? DR_OK : err->rc;
    }
    if (!s3_etag(&a.reply, tag))
        return dr_fail(err, DR_E_CORRUPT, "bucket '%s': object '%s' has no ETag that we read",
                       base->name, name);
    out->data[out->len] = '\0';
    return DR_OK;
}

enum dr_rc s3_swap(struct store *base, const char *name, const char *seen_tag, const void *data,
                   size_t len, struct dr_err *err)
{
    struct s3 *s = (struct s3 *)base;
    enum s3_swap_form form = S3_SWAP_NONE;
    DR_TRY(s3_know_swap(s, &form, err));
    if (form == S3_SWAP_NONE) {
        dr_fail(err, DR_E_CONFIG, "bucket '%s': this store cannot compare and set: no lease in it",
                base->name);
        return dr_hint(err, "Put the lease elsewhere: drctl doctor says what each bucket can do.");
    }
    DR_FREE char *match =
        seen_tag[0] == '\0' ? dr_strdup("If-None-Match: *") : s3_if_match(form, seen_tag);
    const struct s3_ask q = { .method = "PUT",
                              .name = name,
                              .headers = { match },
                              .body = data,
                              .body_len = len,
                              .counter = STORE_PUTS,
                              .once = true,
                              .what = "change",
                              .action = "s3:PutObject" };
    DR_CLEANUP(s3_answer_fini) struct s3_answer a = { 0 };
    DR_TRY(s3_call(s, &q, &a, err));
    if (a.reply.status == 200)
        return DR_OK;
    if (a.again) /* an attempt before this one may have won */
        return dr_fail(err, DR_E_TRANSIENT,
                       "bucket '%s': whether object '%s' was changed is unknown", base->name, name);
    if (a.reply.status == 412 || a.reply.status == 409 ||
        (a.reply.status == 404 && seen_tag[0] != '\0'))
        return dr_fail(err, DR_E_BUSY, "bucket '%s': object '%s' was changed by another",
                       base->name, name);
    return s3_fail(s, &q, &a, err);
}
