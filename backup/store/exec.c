/*
 * exec.c - the operations of store.h as questions to a program, and who asks which program.
 *
 *     thread ──┐                   idle      ┌── program 1
 *     thread ──┼── take, ask, give [ 3 | 1 ]─┼── program 2     (at most as many as hello says)
 *     thread ──┘                             └── program 3
 *
 * A thread has a program for itself while it asks. One that failed is killed and not given back; who
 * comes next starts another. A program that ended is no answer, so the question is put once
 * more, to a fresh one: all operations may be repeated, if a put that then finds its object there
 * compares. What hangs or breaks the protocol is not asked again, it would do the same.
 */
#include "backup/store/exec.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#include "backup/store/exec_start.h"
#include "backup/store/exec_talk.h"
#include "backup/store/store.h"
#include "dr/base/mem.h"
#include "dr/data/json.h"

enum {
    TRIES = 2,
    NAME_BYTES = 200,
    LINE_BYTES = NAME_BYTES + 24, /* "18446744073709551615 NAME\n" */
    WORDS_SHOWN = 300,
};

struct exec {
    struct store base;
    struct exec_start start;
    struct store_abilities can; /* of the first hello */
    bool can_remove_many;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t freed;
    struct talk *idle[EXEC_PARALLEL_MAX];
    unsigned idle_count, running, parallel;
};

/* -- errors ------------------------------------------------------------------------------------ */

/* A word of the program's, for people: one line, nothing that moves a cursor. The caller frees. */
static char *words_of(const json_t *line, const char *key)
{
    const char *text = json_string_value(json_object_get(line, key));
    size_t len = text != NULL ? strlen(text) : 0;
    struct buf out = { 0 };
    text_add_printable(&out, text != NULL ? text : "", len > WORDS_SHOWN ? WORDS_SHOWN : len);
    return out.len > 0 ? buf_take(&out) : dr_strdup("");
}

static enum dr_rc kind_of(const char *word)
{
    static const struct {
        const char *word;
        enum dr_rc rc;
    } kinds[] = {
        { "notfound", DR_E_NOTFOUND }, { "exists", DR_E_EXISTS },   { "busy", DR_E_BUSY },
        { "denied", DR_E_DENIED },     { "nospace", DR_E_NOSPACE }, { "transient", DR_E_TRANSIENT },
        { "timeout", DR_E_TIMEOUT },   { "corrupt", DR_E_CORRUPT }, { "unsupported", DR_E_CONFIG },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(kinds); i++) {
        if (strcmp(kinds[i].word, word) == 0)
            return kinds[i].rc;
    }
    return DR_E_IO;
}

/* The program said no. */
static enum dr_rc told(const json_t *line, struct dr_err *err)
{
    DR_FREE char *word = words_of(line, "error");
    DR_FREE char *message = words_of(line, "message");
    DR_FREE char *hint = words_of(line, "hint");
    dr_fail(err, kind_of(word), "%s", message[0] != '\0' ? message : word);
    return hint[0] != '\0' ? dr_hint(err, "%s", hint) : err->rc;
}

/* -- programs ---------------------------------------------------------------------------------- */

/* Does the list of its abilities have the word? */
static bool has_word(const json_t *list, const char *word)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *item = json_string_value(json_array_get(list, i));
        if (item != NULL && strcmp(item, word) == 0)
            return true;
    }
    return false;
}

static enum dr_rc read_hello(struct exec *e, struct talk *t, const json_t *line, struct dr_err *err)
{
    int64_t version = 0;
    struct dr_err ignored = { 0 };
    if (json_get_int(line, "version", &version, &ignored) != DR_OK)
        return talk_breach(t, err, "its hello names no version");
    if (version != EXEC_VERSION) {
        dr_fail(err, DR_E_CONFIG, "the program '%s' speaks version %" PRId64 ", this drctl %d",
                e->start.program, version, EXEC_VERSION);
        return dr_hint(err, "Take a program of the version that EXEC.md tells.");
    }
    const json_t *parallel = json_object_get(line, "parallel"), *can = json_object_get(line, "can");
    int64_t most = parallel == NULL ? 1 : json_integer_value(parallel);
    if (most < 1 || (can != NULL && !json_is_array(can)))
        return talk_breach(t, err, "'parallel' or 'can' of its hello is none");
    if (e->parallel > 0) /* the first one told it for all */
        return DR_OK;
    e->parallel = most > EXEC_PARALLEL_MAX ? EXEC_PARALLEL_MAX : (unsigned)most;
    e->base.parallel = e->parallel;
    e->can_remove_many = has_word(can, "remove_many");
    e->can = (struct store_abilities){
        .conditional_put = has_word(can, "conditional_put"),
        .conditional_swap = has_word(can, "conditional_swap"),
        .versioning = has_word(can, "versioning"),
        .object_lock = has_word(can, "object_lock"),
    };
    return DR_OK;
}

static enum dr_rc say_hello(struct exec *e, struct talk *t, struct dr_err *err)
{
    const struct talk_question q = { .op = "hello", .rest = ",\"version\":1" };
    struct talk_answer a = { 0 };
    DR_TRY(talk_ask(t, &q, &a, err));
    DR_JSON json_t *line = a.line;
    if (!json_is_true(json_object_get(line, "ok")))
        return told(line, err);
    return read_hello(e, t, line, err);
}

static enum dr_rc start_one(struct exec *e, struct talk **ret, struct dr_err *err)
{
    const struct talk_options o = { .program = e->start.program,
                                    .argv = e->start.argv,
                                    .env = e->start.env,
                                    .timeout_ms = e->start.timeout_ms };
    struct talk *t = NULL;
    DR_TRY(talk_start(&o, &t, err));
    enum dr_rc rc = say_hello(e, t, err);
    if (rc != DR_OK) {
        talk_kill(t);
        return rc;
    }
    *ret = t;
    return DR_OK;
}

static void give_up(struct exec *e)
{
    pthread_mutex_lock(&e->lock);
    e->running--;
    pthread_cond_signal(&e->freed);
    pthread_mutex_unlock(&e->lock);
}

/* A program of our own. fresh: one that was not asked before. */
static enum dr_rc take(struct exec *e, bool fresh, struct talk **ret, struct dr_err *err)
{
    pthread_mutex_lock(&e->lock);
    while (e->idle_count == 0 && e->running >= e->parallel)
        pthread_cond_wait(&e->freed, &e->lock); /* bounded: each call that has one is */
    struct talk *t = NULL;
    if (e->idle_count > 0)
        t = e->idle[--e->idle_count];
    else
        e->running++;
    pthread_mutex_unlock(&e->lock);
    if (t != NULL && !fresh) {
        *ret = t;
        return DR_OK;
    }
    talk_kill(t); /* it may have died with the other */
    enum dr_rc rc = start_one(e, ret, err);
    if (rc != DR_OK)
        give_up(e);
    return rc;
}

static void give(struct exec *e, struct talk *t)
{
    pthread_mutex_lock(&e->lock);
    DR_ASSERT(e->idle_count < e->running && e->idle_count < EXEC_PARALLEL_MAX);
    e->idle[e->idle_count++] = t;
    pthread_cond_signal(&e->freed);
    pthread_mutex_unlock(&e->lock);
}

/* -- asking ------------------------------------------------------------------------------------ */

/* What an operation makes of a good answer, while the program is still ours: a breach ends it. */
typedef enum dr_rc (*reader)(struct talk *t, const struct talk_answer *a, void *arg,
                             struct dr_err *err);

struct ask {
    struct talk_question q;
    reader read; /* or NULL: "ok" is all */
    void *arg;
    bool again; /* out: it was asked more than once */
};

/* ret_dead: the program cannot be used any more. */
static enum dr_rc ask_one(struct talk *t, const struct ask *k, bool *ret_dead, struct dr_err *err)
{
    struct talk_answer a = { 0 };
    *ret_dead = true;
    DR_TRY(talk_ask(t, &k->q, &a, err));
    DR_JSON json_t *line = a.line;
    const json_t *ok = json_object_get(line, "ok");
    if (!json_is_boolean(ok))
        return talk_breach(t, err, "its answer has no 'ok'");
    if (json_is_true(ok) && k->read != NULL)
        DR_TRY(k->read(t, &a, k->arg, err));
    *ret_dead = false;
    return json_is_true(ok) ? DR_OK : told(line, err);
}

static enum dr_rc ask(struct exec *e, struct ask *k, struct dr_err *err)
{
    for (int try = 1;; try++) {
        struct talk *t = NULL;
        bool dead = true;
        enum dr_rc rc = take(e, try > 1, &t, err);
        if (rc == DR_OK) {
            rc = ask_one(t, k, &dead, err);
            if (!dead) {
                give(e, t);
                return rc;
            }
            talk_kill(t);
            give_up(e);
        }
        if (rc != DR_E_TRANSIENT || try == TRIES)
            return rc;
        k->again = true;
        store_count(&e->base, STORE_RETRIES, 1);
    }
}

/* "bucket 'eu': cannot read object 'a': ..." */
static enum dr_rc scene(const struct exec *e, const char *what, const char *name,
                        struct dr_err *err)
{
    return dr_context(err, "bucket '%s': cannot %s object '%s'", e->base.name, what, name);
}

/* -- operations ----------------------------------------------------------------------------------- */

static enum dr_rc read_bytes(struct talk *t, const struct talk_answer *a, void *arg,
                             struct dr_err *err)
{
    if (json_object_get(a->line, "body") == NULL)
        return talk_breach(t, err, "its answer has no 'body'");
    *(size_t *)arg = a->body_len;
    return DR_OK;
}

static enum dr_rc exec_get(struct store *s, const char *name, uint64_t offset, size_t len,
                           void *out, struct dr_err *err)
{
    struct exec *e = (struct exec *)s;
    size_t got = 0;
    char nothing;
    DR_FREE char *rest =
        dr_strf(",\"name\":\"%s\",\"offset\":%" PRIu64 ",\"length\":%zu", name, offset, len);
    struct ask k = {
        .q = { .op = "get", .rest = rest, .out = len > 0 ? out : &nothing, .out_max = len },
        .read = read_bytes,
        .arg = &got
    };
    if (offset > INT64_MAX || len > INT64_MAX - offset)
        return dr_fail(err, DR_E_CORRUPT,
                       "bucket '%s': object '%s' is truncated: no object is so"
                       " long",
                       s->name, name);
    if (ask(e, &k, err) != DR_OK)
        return scene(e, "read", name, err);
    if (got < len)
        return dr_fail(err, DR_E_CORRUPT,
                       "bucket '%s': object '%s' is truncated: %zu bytes came, %zu are needed",
                       s->name, name, got, len);
    return DR_OK;
}

static enum dr_rc read_size(struct talk *t, const struct talk_answer *a, void *arg,
                            struct dr_err *err)
{
    const json_t *size = json_object_get(a->line, "size");
    if (!json_is_integer(size) || json_integer_value(size) < 0)
        return talk_breach(t, err, "its answer has no 'size'");
    *(uint64_t *)arg = (uint64_t)json_integer_value(size);
    return DR_OK;
}

static enum dr_rc exec_head(struct store *s, const char *name, uint64_t *ret_size,
                            struct dr_err *err)
{
    struct exec *e = (struct exec *)s;
    DR_FREE char *rest = dr_strf(",\"name\":\"%s\"", name);
    struct ask k = { .q = { .op = "head", .rest = rest }, .read = read_size, .arg = ret_size };
    return ask(e, &k, err) == DR_OK ? DR_OK : scene(e, "look at", name, err);
}

/* The object that is there: is it what we meant to put? */
static bool is_same(struct store *s, const char *name, const void *data, size_t len)
{
    struct dr_err ignored = { 0 };
    uint64_t size = 0;
    if (exec_head(s, name, &size, &ignored) != DR_OK || size != len)
        return false;
    DR_FREE char *there = dr_alloc(len + 1, 1);
    return exec_get(s, name, 0, len, there, &ignored) == DR_OK &&
           (data == NULL || memcmp(there, data, len) == 0);
}

static enum dr_rc exec_put(struct store *s, const char *name, const void *data, size_t len,
                           struct dr_err *err)
{
    struct exec *e = (struct exec *)s;
    DR_FREE char *rest = dr_strf(",\"name\":\"%s\"", name);
    struct ask k = { .q = { .op = "put",
                            .rest = rest,
                            .body = data != NULL ? data : "",
                            .body_len = len,
                            .pace = s->pace } };
    enum dr_rc rc = ask(e, &k, err);
    if (rc == DR_OK || (rc == DR_E_EXISTS && k.again && is_same(s, name, data, len)))
        return DR_OK;
    return scene(e, "put", name, err);
}

static enum dr_rc exec_remove(struct store *s, const char *name, struct dr_err *err)
{
    struct exec *e = (struct exec *)s;
    DR_FREE char *rest = dr_strf(",\"name\":\"%s\"", name);
    struct ask k = { .q = { .op = "remove", .rest = rest } };
    enum dr_rc rc = ask(e, &k, err);
    return rc == DR_OK || rc == DR_E_NOTFOUND ? DR_OK : scene(e, "remove", name, err);
}

static enum dr_rc exec_remove_many(struct store *s, const struct text_list *names,
                                   struct dr_err *err)
{
    struct exec *e = (struct exec *)s;
    for (size_t at = 0, n; at < names->count; at += n) {
        if (!e->can_remove_many) {
            n = 1;
            DR_TRY(exec_remove(s, names->items[at], err));
            continue;
        }
        n = names->count - at < EXEC_PAGE_MAX ? names->count - at : EXEC_PAGE_MAX;
        DR_CLEANUP(buf_fini) struct buf body = { 0 };
        for (size_t i = at; i < at + n; i++)
            buf_addf(&body, "%s\n", names->items[i]);
        struct ask k = {
            .q = { .op = "remove_many", .rest = "", .body = body.data, .body_len = body.len }
        };
        if (ask(e, &k, err) != DR_OK)
            return dr_context(err, "bucket '%s': cannot remove %zu objects", s->name, n);
    }
    return DR_OK;
}

/* -- lists ------------------------------------------------------------------------------------ */

struct page {
    const char *prefix;
    char *body; /* what came */
    char last[NAME_BYTES + 1];
    bool more;
    struct store_entries *ret;
};

static bool is_plain(const char *text, size_t len)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789._/-";
    return len <= NAME_BYTES && strspn(text, plain) >= len;
}

/* "SIZE NAME"; false when it is not that. */
static bool read_entry(struct page *p, char *line)
{
    char *end = NULL;
    errno = 0;
    uint64_t size = strtoull(line, &end, 10);
    bool number = line[0] >= '0' && line[0] <= '9' && *end == ' ' && errno == 0;
    const char *name = number ? end + 1 : "";
    size_t len = strlen(name);
    if (len == 0 || !is_plain(name, len) || !text_starts(name, p->prefix) ||
        strcmp(name, p->last) <= 0)
        return false;
    memcpy(p->last, name, len + 1);
    store_entries_add(p->ret, name, size);
    return true;
}

static enum dr_rc read_page(struct talk *t, const struct talk_answer *a, void *arg,
                            struct dr_err *err)
{
    struct page *p = arg;
    size_t before = p->ret->count;
    if (json_object_get(a->line, "body") == NULL)
        return talk_breach(t, err, "its answer has no 'body'");
    p->body[a->body_len] = '\0';
    for (char *line = p->body, *end; line < p->body + a->body_len; line = end + 1) {
        end = strchr(line, '\n');
        if (end == NULL)
            return talk_breach(t, err, "its list ends within a line");
        *end = '\0';
        if (!read_entry(p, line)) {
            DR_CLEANUP(buf_fini) struct buf shown = { 0 };
            size_t len = strlen(line);
            text_add_printable(&shown, line, len > NAME_BYTES ? NAME_BYTES : len);
            return talk_breach(t, err, "its list has '%s', which is out of order or no SIZE NAME",
                               shown.len > 0 ? shown.data : "");
        }
    }
    p->more = json_is_true(json_object_get(a->line, "more"));
    if (p->more && p->ret->count == before)
        return talk_breach(t, err, "its list says that there is more, and gives nothing");
    return DR_OK;
}

static enum dr_rc exec_list_sizes(struct store *s, const char *prefix, struct store_entries *ret,
                                  struct dr_err *err)
{
    struct exec *e = (struct exec *)s;
    if (!is_plain(prefix, strlen(prefix)))
        return DR_OK; /* nothing can begin so */
    enum { PAGE_BYTES = EXEC_PAGE_MAX * LINE_BYTES };
    DR_FREE char *body = dr_alloc(PAGE_BYTES + 1, 1);
    struct page p = { .prefix = prefix, .body = body, .more = true, .ret = ret };
    for (size_t pages = 0; p.more; pages++) {
        DR_FREE char *rest = dr_strf(",\"prefix\":\"%s\",\"after\":\"%s\",\"limit\":%d", prefix,
                                     p.last, EXEC_PAGE_MAX);
        struct ask k = { .q = { .op = "list", .rest = rest, .out = body, .out_max = PAGE_BYTES },
                         .read = read_page,
                         .arg = &p };
        enum dr_rc rc = ask(e, &k, err);
        if (rc == DR_OK && ret->count > EXEC_NAMES_MAX)
            rc = dr_fail(err, DR_E_NOMEM, "there are more than %d objects", EXEC_NAMES_MAX);
        if (rc != DR_OK)
            return dr_context(err, "bucket '%s': cannot list '%s'", s->name, prefix);
        if (pages > 0)
            store_count(s, STORE_LISTS, 1);
    }
    return DR_OK;
}

static enum dr_rc exec_list(struct store *s, const char *prefix, struct text_list *ret,
                            struct dr_err *err)
{
    DR_CLEANUP(store_entries_fini) struct store_entries all = { 0 };
    DR_TRY(exec_list_sizes(s, prefix, &all, err));
    for (size_t i = 0; i < all.count; i++)
        text_list_add(ret, all.items[i].name);
    return DR_OK;
}

/* -- compare and set ------------------------------------------------------------------------------ */

struct tagged {
    size_t len;
    char *tag;
};

static bool is_tag(const char *tag)
{
    size_t len = strlen(tag);
    for (size_t i = 0; i < len; i++) {
        if (tag[i] < '!' || tag[i] > '~' || tag[i] == '"' || tag[i] == '\\')
            return false;
    }
    return len > 0 && len < STORE_TAG_MAX;
}

static enum dr_rc read_tag(struct talk *t, const struct talk_answer *a, void *arg,
                           struct dr_err *err)
{
    struct tagged *x = arg;
    const char *tag = json_string_value(json_object_get(a->line, "tag"));
    if (tag == NULL || !is_tag(tag))
        return talk_breach(t, err, "its answer has no 'tag'");
    memcpy(x->tag, tag, strlen(tag) + 1); /* is_tag() looked at the length */
    return read_bytes(t, a, &x->len, err);
}

static enum dr_rc no_swap(const struct exec *e, struct dr_err *err)
{
    dr_fail(err, DR_E_CONFIG, "bucket '%s': its program cannot hold an object that changes",
            e->base.name);
    return dr_hint(err, "conditional_swap is not among what its hello says that it can.");
}

static enum dr_rc exec_read_tagged(struct store *s, const char *name, struct buf *out,
                                   char tag[STORE_TAG_MAX], struct dr_err *err)
{
    struct exec *e = (struct exec *)s;
    char seen[STORE_TAG_MAX] = "";
    struct tagged x = { .tag = seen };
    if (!e->can.conditional_swap)
        return no_swap(e, err);
    DR_FREE char *rest = dr_strf(",\"name\":\"%s\"", name);
    struct ask k = { .q = { .op = "read_tagged", .rest = rest, .out_max = STORE_SWAP_MAX },
                     .read = read_tag,
                     .arg = &x };
    k.q.out = buf_reserve(out, STORE_SWAP_MAX);
    enum dr_rc rc = ask(e, &k, err);
    if (rc == DR_E_NOTFOUND) {
        tag[0] = '\0';
        return DR_OK;
    }
    if (rc != DR_OK)
        return scene(e, "read", name, err);
    out->len += x.len;
    out->data[out->len] = '\0';
    memcpy(tag, seen, sizeof(seen));
    return DR_OK;
}

/* A swap is not repeated: whether the first one took effect is the caller's to find out. */
static enum dr_rc exec_swap(struct store *s, const char *name, const char *seen_tag,
                            const void *data, size_t len, struct dr_err *err)
{
    struct exec *e = (struct exec *)s;
    if (!e->can.conditional_swap)
        return no_swap(e, err);
    DR_FREE char *rest = dr_strf(",\"name\":\"%s\",\"tag\":\"%s\"", name, seen_tag);
    const struct ask k = { .q = { .op = "swap", .rest = rest, .body = data, .body_len = len } };
    struct talk *t = NULL;
    bool dead = true;
    enum dr_rc rc = take(e, false, &t, err);
    if (rc == DR_OK) {
        rc = ask_one(t, &k, &dead, err);
        if (dead) {
            talk_kill(t);
            give_up(e);
        } else {
            give(e, t);
        }
    }
    return rc == DR_OK ? DR_OK : scene(e, "change", name, err);
}

static enum dr_rc exec_abilities(struct store *s, struct store_abilities *ret, struct dr_err *err)
{
    (void)err;
    *ret = ((struct exec *)s)->can;
    return DR_OK;
}

/* -- life -------------------------------------------------------------------------------------- */

static void exec_close(struct store *s)
{
    struct exec *e = (struct exec *)s;
    DR_ASSERT(e->idle_count == e->running);
    for (unsigned i = 0; i < e->idle_count; i++)
        talk_end(e->idle[i]);
    pthread_cond_destroy(&e->freed);
    pthread_mutex_destroy(&e->lock);
    exec_start_fini(&e->start);
    store_fini(s);
    free(e);
}

static const struct store_ops exec_ops = {
    .get = exec_get,
    .put = exec_put,
    .head = exec_head,
    .list = exec_list,
    .remove = exec_remove,
    .close = exec_close,
    .remove_many = exec_remove_many,
    .list_sizes = exec_list_sizes,
    .read_tagged = exec_read_tagged,
    .swap = exec_swap,
    .abilities = exec_abilities,
};

enum dr_rc exec_open(const struct store_options *o, struct store **ret, struct dr_err *err)
{
    struct exec_start start = { 0 };
    if (o->lock_ms > 0)
        return dr_fail(err, DR_E_CONFIG, "bucket '%s': a program cannot be told to lock objects",
                       o->name);
    DR_TRY(exec_start_of(o, &start, err));
    struct exec *e = dr_alloc(1, sizeof(*e));
    store_init(&e->base, &exec_ops, o);
    e->start = start;
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->freed, NULL);
    struct talk *first = NULL;
    enum dr_rc rc = DR_E_TRANSIENT;
    for (int try = 0; try < TRIES && rc == DR_E_TRANSIENT; try++)
        rc = start_one(e, &first, err);
    if (rc != DR_OK) {
        exec_close(&e->base);
        return dr_context(err, "bucket '%s'", o->name);
    }
    e->idle[e->idle_count++] = first;
    e->running = 1;
    *ret = &e->base;
    return DR_OK;
}
