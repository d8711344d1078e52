/*
 * s3_inside.h - what the files of the S3 driver share.
 *
 *     s3.c        open and close, get, put, head, remove
 *     s3_list.c   lists of names, of versions; many removals
 *     s3_lock.c   the oldest version is the object; retention
 *     s3_swap.c   compare-and-set by ETag
 *     s3_probe.c  what the store can do, found out and remembered
 *     s3_call.c   one request, signed, repeated where that is right, counted
 *     s3_words.c  from a status and an XML of the server to what a person can do about it
 *     s3_xml.c    that XML
 *
 * A request is a struct s3_ask on the caller's stack; s3_call() gives back the whole answer, of any
 * status, and whoever asked judges it: s3_fail() makes the error out of all that it did not expect.
 */
#ifndef BACKUP_STORE_S3_INSIDE_H
#define BACKUP_STORE_S3_INSIDE_H

#include <pthread.h>

#include "backup/store/s3.h"
#include "dr/config/s3_url.h"
#include "dr/net/aws_credentials.h"
#include "dr/net/transfer.h"

enum {
    S3_LIST_MAX = 16 << 20, /* bytes of one page */
    S3_PAGE = 1000,         /* rows of one page, names of one removal */
    S3_PAGES_MAX = 1 << 20,
    S3_HEADERS_MAX = 8,
    S3_KEY_MAX = 132,
    S3_VERSION_MAX = 1024, /* bytes of a version's id: AWS's limit */
};

/* How the store wants an ETag in If-Match. radosgw 16 takes it only bare, others as they gave it. */
enum s3_swap_form { S3_SWAP_NONE, S3_SWAP_BARE, S3_SWAP_QUOTED };

struct s3_known { /* by probe or from memory; each half may be unknown */
    bool put_known, conditional_put;
    bool swap_known;
    enum s3_swap_form swap;
    bool lock_known, object_lock, versioning;
};

/* Objects of one folder whose newest version is not the object: name -> the id of the one that is. */
struct s3_folder {
    char *name; /* "packs/", "" for those outside of all */
    unsigned asked;
    bool loaded;
    struct text_list names, ids; /* parallel; names sorted */
};

struct s3 {
    struct store base;
    struct s3_url url;
    char *place;  /* "https://HOST/BUCKET/" or "https://BUCKET.HOST/" */
    char *region; /* of signatures */
    char *ca, *memory;
    struct gate *gate;
    int64_t lock_ms;
    const char *lock_mode; /* as S3 spells it */
    struct aws_credentials *credentials;
    atomic_int_fast64_t clock_offset_ms;
    atomic_bool answered; /* at least once */
    atomic_int_fast64_t
        away_until_ms;         /* nothing answered lately: one attempt is enough till then */
    pthread_mutex_t lock;      /* guards what is below */
    struct transfer *transfer; /* made for the first request: it does not survive fork() */
    struct s3_known known;
    bool recalled; /* known was looked up in memory */
    struct s3_folder *folders;
    size_t folder_count;
};

struct s3_ask {
    const char *method;
    const char *name;  /* of the object; NULL: the bucket itself */
    const char *query; /* sorted, encoded, each name with a '='; or NULL */
    const char *headers[S3_HEADERS_MAX];
    const void *body;
    size_t body_len;
    void *out; /* as in transfer.h */
    size_t out_len;
    struct buf *grow;
    size_t grow_limit;
    enum store_counter counter;
    bool once;          /* its effect must not come twice: no repetition once it was sent */
    const char *what;   /* "put", for messages */
    const char *action; /* "s3:PutObject": the right that it takes */
};

struct s3_answer {
    struct transfer_reply reply;
    unsigned attempts;
    bool again;                  /* an attempt before the last may have had its effect */
    char access_key[S3_KEY_MAX]; /* by whose right; "" before there was one */
};

void s3_answer_fini(struct s3_answer *a);

/* Any status is DR_OK. ret must be zeroed and is finished by the caller in every case. */
enum dr_rc s3_call(struct s3 *s, const struct s3_ask *q, struct s3_answer *ret, struct dr_err *err)
    DR_MUST_USE;

/* Encode for a query: all but A-Za-z0-9-._~ as %XX. Appended. */
void s3_encode(struct buf *out, const char *text);
char *s3_md5_header(const void *data, size_t len); /* "Content-MD5: ..."; the caller frees */

/* The first error of the answer's XML: its <Code>, "" when there is none. */
enum { S3_CODE_MAX = 64 };
void s3_code(const struct transfer_reply *r, char ret[S3_CODE_MAX]);

/* An answer that nobody expected: never DR_OK. */
enum dr_rc s3_fail(struct s3 *s, const struct s3_ask *q, const struct s3_answer *a,
                   struct dr_err *err);

/* The same for one row of an answer about many. */
enum dr_rc s3_fail_code(struct s3 *s, const struct s3_ask *q, const char *code, const char *message,
                        struct dr_err *err);

/* -- the parts ----------------------------------------------------------------------------------- */

struct s3_version {
    const char *name; /* below the bucket's prefix; borrowed for the call */
    const char *id;
    uint64_t size;
    bool marker; /* a removal */
    bool latest;
};

/* Every version under a prefix: names ascending, of one name the newest first. */
typedef enum dr_rc s3_version_fn(void *arg, const struct s3_version *v, struct dr_err *err);
enum dr_rc s3_versions(struct s3 *s, const char *prefix, s3_version_fn *fn, void *arg,
                       struct dr_err *err) DR_MUST_USE;

enum dr_rc s3_list_sizes(struct store *base, const char *prefix, struct store_entries *ret,
                         struct dr_err *err) DR_MUST_USE;
enum dr_rc s3_list_some(struct store *base, const char *prefix, struct text_list *ret,
                        bool *ret_more, struct dr_err *err) DR_MUST_USE;
enum dr_rc s3_remove_many(struct store *base, const struct text_list *names, struct dr_err *err)
    DR_MUST_USE;

/* Does this name's oldest version count (and a put of it carry a retention)? */
bool s3_is_lasting(const struct s3 *s, const char *name);

/* Which version is the object: "" for the newest, as it is in most cases. */
enum dr_rc s3_object_version(struct s3 *s, const char *name, char ret[S3_VERSION_MAX],
                             struct dr_err *err) DR_MUST_USE;
/* The oldest version of one lasting name; DR_E_NOTFOUND. */
enum dr_rc s3_oldest(struct s3 *s, const char *name, char ret[S3_VERSION_MAX], uint64_t *ret_size,
                     struct dr_err *err) DR_MUST_USE;
enum dr_rc s3_remove_versions(struct s3 *s, const char *name, struct dr_err *err) DR_MUST_USE;
enum dr_rc s3_lock_until(struct store *base, const char *name, int64_t until_ns, struct dr_err *err)
    DR_MUST_USE;

enum dr_rc s3_read_tagged(struct store *base, const char *name, struct buf *out,
                          char tag[STORE_TAG_MAX], struct dr_err *err) DR_MUST_USE;
enum dr_rc s3_swap(struct store *base, const char *name, const char *seen_tag, const void *data,
                   size_t len, struct dr_err *err) DR_MUST_USE;
/* "If-Match: TAG" as that form wants it. The caller frees. */
char *s3_if_match(enum s3_swap_form form, const char *tag) DR_MUST_USE;
/* The ETag of an answer, bare; false when it has none that fits. */
bool s3_etag(const struct transfer_reply *r, char tag[STORE_TAG_MAX]);

/* Find out (once) what is asked for; each may cost requests. */
enum dr_rc s3_know_put(struct s3 *s, bool *ret_conditional, struct dr_err *err) DR_MUST_USE;
enum dr_rc s3_know_swap(struct s3 *s, enum s3_swap_form *ret, struct dr_err *err) DR_MUST_USE;
enum dr_rc s3_know_lock(struct s3 *s, struct s3_known *ret, struct dr_err *err) DR_MUST_USE;
enum dr_rc s3_abilities(struct store *base, struct store_abilities *ret, struct dr_err *err)
    DR_MUST_USE;

#endif
