/*
 * bucket.c - the record as an object: names, the exchange, and what was the outcome.
 *
 * The tag of what was read is the tag of exactly that nonce, as every change has a new one. So compare-and-set
 * by tag is compare-and-set by nonce, and the driver's callers need not know of tags.
 */
#include "dr/lease/bucket.h"

#include <stdatomic.h>
#include <string.h>

#include "dr/base/mem.h"

static const char prefix[] = "leases/";

enum { NAME_MAX_BYTES = 200, LOOKS = 3 };

struct lease_shared {
    struct store *store;
    atomic_uint users;
};

struct lease_shared *lease_shared_take(struct lease_shared *s)
{
    if (s != NULL)
        (void)atomic_fetch_add(&s->users, 1);
    return s;
}

void lease_shared_drop(struct lease_shared *s)
{
    if (s == NULL || atomic_fetch_sub(&s->users, 1) != 1)
        return;
    store_close(s->store);
    free(s);
}

void lease_bucket_place(struct store *store, struct lease_place *ret)
{
    struct lease_shared *s = dr_alloc(1, sizeof(*s));
    s->store = store;
    atomic_init(&s->users, 1);
    ret->driver = &lease_bucket;
    ret->bucket = s;
}

char *lease_bucket_tell(const struct lease_place *p)
{
    const struct store *s = p->bucket->store;
    return dr_strf("bucket '%s' in region '%s'", s->name, s->region);
}

/* -- names ------------------------------------------------------------------------------------ */

static enum dr_rc name_of(const char *key, char **ret, struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    size_t len = strnlen(key, LEASE_KEY_MAX + 1);
    buf_adds(&b, prefix);
    for (const char *c = key; *c != '\0' && len <= LEASE_KEY_MAX; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '-' ||
                     (*c == '.' && c != key);
        if (plain)
            buf_addc(&b, *c);
        else
            buf_addf(&b, "_%02x", (unsigned char)*c);
    }
    if (len == 0 || len > LEASE_KEY_MAX || b.len > NAME_MAX_BYTES)
        return dr_fail(err, DR_E_USAGE, "'%.140s' is not the key of a lease", key);
    *ret = buf_take(&b);
    return DR_OK;
}

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "leases/writer_2fapp" back to "writer/app". The caller frees. */
static char *key_of(const char *name)
{
    struct buf b = { 0 };
    for (const char *c = name + strlen(prefix); *c != '\0'; c++) {
        int high = *c == '_' ? hex_of(c[1]) : -1;
        int low = high >= 0 ? hex_of(c[2]) : -1;
        unsigned char byte = (unsigned char)*c;
        if (low >= 0) {
            byte = (unsigned char)(high * 16 + low);
            c += 2;
        }
        buf_add(&b, &byte, 1);
    }
    return b.len > 0 ? buf_take(&b) : dr_strdup("");
}

/* -- the object -------------------------------------------------------------------------------- */

/* lease.c reads DR_E_TRANSIENT as "somebody changed it". */
static enum dr_rc not_now(const struct lease_place *p, struct dr_err *err)
{
    const struct store *s = p->bucket->store;
    if (err->rc == DR_E_TRANSIENT)
        err->rc = DR_E_TIMEOUT;
    if (err->rc == DR_E_TIMEOUT && err->hint[0] == '\0')
        return dr_hint(err,
                       "The lease lies in bucket '%s' (%s): without it nobody takes or keeps"
                       " it.",
                       s->name, s->region);
    return err->rc;
}

static enum dr_rc look(const struct lease_place *p, const char *key, struct lease_record *ret,
                       char tag[STORE_TAG_MAX], struct dr_err *err)
{
    DR_FREE char *name = NULL;
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    DR_TRY(name_of(key, &name, err));
    if (store_read_tagged(p->bucket->store, name, &b, tag, err) != DR_OK)
        return not_now(p, err);
    if (tag[0] == '\0') {
        lease_record_empty(key, ret);
        return DR_OK;
    }
    return lease_record_parse(key, p->bucket->store->url, &b, ret, err);
}

static enum dr_rc bucket_read(const struct lease_place *p, const char *key,
                              struct lease_record *ret, struct dr_err *err)
{
    char tag[STORE_TAG_MAX];
    return look(p, key, ret, tag, err);
}

/* What became of it? err: what the exchange said, and stays when nobody knows. */
static enum dr_rc settle(const struct lease_place *p, const char *seen,
                         const struct lease_record *r, struct dr_err *err)
{
    for (int i = 0; i < LOOKS; i++) {
        char tag[STORE_TAG_MAX];
        struct dr_err blind = { 0 };
        DR_CLEANUP(lease_record_fini) struct lease_record now = { 0 };
        if (look(p, r->key, &now, tag, &blind) != DR_OK)
            continue;
        if (strcmp(now.nonce, r->nonce) == 0)
            return DR_OK;
        if (strcmp(now.nonce, seen) != 0)
            return lease_record_changed(&now, err);
        break; /* as before: refused, or it may land yet */
    }
    return err->rc == DR_E_BUSY ? dr_fail(err, DR_E_TIMEOUT,
                                          "the outcome of a change of lease '%s'"
                                          " is unknown",
                                          r->key)
                                : not_now(p, err);
}

static enum dr_rc bucket_swap(const struct lease_place *p, const char *seen,
                              const struct lease_record *r, struct dr_err *err)
{
    DR_ASSERT(strcmp(seen, r->nonce) != 0 && r->epoch > 0);
    char tag[STORE_TAG_MAX];
    DR_FREE char *name = NULL;
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    DR_CLEANUP(lease_record_fini) struct lease_record now = { 0 };
    DR_TRY(name_of(r->key, &name, err));
    DR_TRY(look(p, r->key, &now, tag, err));
    if (strcmp(now.nonce, seen) != 0)
        return lease_record_changed(&now, err);
    lease_record_print(r, &b);
    enum dr_rc rc = store_swap(p->bucket->store, name, tag, b.data, b.len, err);
    switch (rc) {
    case DR_OK:
        return DR_OK;
    case DR_E_CONFIG: /* nothing was sent */
    case DR_E_DENIED:
        return rc;
    default:
        return settle(p, seen, r, err);
    }
}

static enum dr_rc bucket_keys(const struct lease_place *p, struct text_list *ret,
                              struct dr_err *err)
{
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    if (store_list(p->bucket->store, prefix, &names, err) != DR_OK)
        return not_now(p, err);
    for (size_t i = 0; i < names.count; i++) {
        DR_FREE char *key = key_of(names.items[i]);
        text_list_add(ret, key);
    }
    text_list_sort(ret);
    return DR_OK;
}

const struct lease_driver lease_bucket = {
    .read = bucket_read,
    .swap = bucket_swap,
    .keys = bucket_keys,
};
