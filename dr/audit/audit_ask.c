/*
 * audit_ask.c - the anchors in the buckets, each bucket asked by a process of its own.
 *
 * A child has all that the parent has read, so it compares what it gets and says only what it found. It reads the newest objects
 * first; of those for which the time does not suffice the names are compared, since each holds the hash of a line: a ledger that
 * was written anew is found by them alone, bytes that were put in an old object's place are not, and that is said.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backup/store/bucket.h"
#include "backup/work/costs.h"
#include "dr/audit/audit_inside.h"
#include "dr/base/clock.h"
#include "dr/base/crew.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"

enum { SAY_MS = 1500 }; /* a child ends by itself so long before it is ended */

struct asking {
    struct audit *a;
    const struct config *config;
    char *prefix; /* "ledger/us/"; owned */
    int64_t deadline_ms;
};

/* What one bucket has of this site. */
struct shelf {
    struct text_list names; /* of this book */
    size_t others;          /* objects of others */
    size_t read;
};

/* -- in the child ----------------------------------------------------------------------------------- */

/* "ledger/us/3f9c.../NAME": of which book. */
static bool is_of(const char *name, const char *prefix, const char *book)
{
    const char *id = name + strlen(prefix);
    return strncmp(id, book, strlen(book)) == 0 && id[strlen(book)] == '/';
}

static void compare_name(struct audit *a, const char *what, const char *name)
{
    int64_t from = 0, to = 0;
    uint8_t head[HASH_SIZE / 2];
    const char *last = strrchr(name, '/') + 1, *dash = strrchr(name, '-');
    if (!anchor_is_name(last, &from, &to) ||
        !hex_decode(dash + 1, strlen(dash + 1), head, sizeof(head)))
        audit_find(a, AUDIT_BROKEN, what, 0, "this is no anchor's name");
    else if (to > (int64_t)a->count)
        audit_find(a, AUDIT_BROKEN, what, 0,
                   "the ledger ends with record %zu, and this anchor's name says %" PRId64
                   ": its tail is cut",
                   a->count, to);
    else if (!a->lines[to - 1].known || memcmp(a->lines[to - 1].hash, head, sizeof(head)) != 0)
        audit_find(a, AUDIT_BROKEN, what, 0,
                   "record %" PRId64 " of the ledger is not the one that this anchor names", to);
}

static enum dr_rc compare_all(const struct asking *q, struct store *s, struct shelf *shelf,
                              struct dr_err *err)
{
    struct audit *a = q->a;
    for (size_t i = shelf->names.count; i-- > 0;) {
        const char *name = shelf->names.items[i];
        DR_CLEANUP(buf_fini) struct buf object = { 0 };
        DR_FREE char *what = dr_strf("%s:%s", s->name, name);
        if (clock_boot_ms() > q->deadline_ms - SAY_MS) {
            compare_name(a, what, name);
            continue;
        }
        DR_TRY(store_get_all(s, name, ANCHOR_OBJECT_MAX, &object, err));
        (void)audit_anchor(a, what, &object); /* a finding if not */
        shelf->read++;
    }
    return DR_OK;
}

static enum dr_rc ask(const struct asking *q, size_t index, struct shelf *shelf, struct dr_err *err)
{
    DR_CLEANUP(store_close_ptr) struct store *s = NULL;
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    DR_TRY(bucket_open(q->config, &q->config->buckets[index], NULL, &s, err));
    enum dr_rc rc = store_list(s, q->prefix, &names, err);
    for (size_t i = 0; i < names.count; i++)
        if (is_of(names.items[i], q->prefix, q->a->id))
            text_list_add(&shelf->names, names.items[i]);
        else
            shelf->others++;
    text_list_sort(&shelf->names);
    if (rc == DR_OK)
        rc = compare_all(q, s, shelf, err);
    costs_note(q->config, "audit", s);
    return rc;
}

static json_t *ranges_of(const struct audit *a)
{
    json_t *list = json_array();
    for (size_t i = 0; i < a->compared; i++)
        if (json_array_append_new(list, json_pack("[II]", (json_int_t)a->ranges[i][0],
                                                  (json_int_t)a->ranges[i][1])) != 0)
            dr_out_of_memory();
    return list;
}

static void ask_one(void *arg, size_t index, int fd)
{
    const struct asking *q = arg;
    struct audit *a = q->a;
    struct shelf shelf = { 0 };
    struct dr_err err = { 0 }, ignored = { 0 };
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    json_array_clear(a->findings); /* this process's own copy of all */
    a->compared = a->more = 0;
    a->keep_ranges = true;
    bool good = ask(q, index, &shelf, &err) == DR_OK;
    DR_JSON json_t *o = json_object();
    json_put(o, "findings", json_incref(a->findings));
    json_put_int(o, "more", (int64_t)a->more);
    json_put(o, "ranges", ranges_of(a));
    json_put_int(o, "objects", (int64_t)shelf.names.count);
    json_put_int(o, "others", (int64_t)shelf.others);
    json_put_int(o, "read", (int64_t)shelf.read);
    json_put(o, "why", good ? json_null() : json_printable(err.msg));
    json_add_canonical(&out, o);
    if (fs_write_all(fd, "the answer", out.data, out.len, &ignored) != DR_OK)
        _exit(1); /* then there is none */
}

/* -- what they said --------------------------------------------------------------------------------- */

static enum audit_grade grade_of(const char *word)
{
    return strcmp(word, "broken") == 0    ? AUDIT_BROKEN
           : strcmp(word, "unknown") == 0 ? AUDIT_UNKNOWN
                                          : AUDIT_NOTE;
}

static void take_findings(struct audit *a, const json_t *answer)
{
    const json_t *all = json_object_get(answer, "findings");
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *f = json_array_get(all, i);
        audit_find(a, grade_of(json_string_value(json_object_get(f, "grade"))),
                   json_string_value(json_object_get(f, "file")),
                   (size_t)json_integer_value(json_object_get(f, "line")), "%s",
                   json_string_value(json_object_get(f, "text")));
    }
    a->more += (size_t)json_integer_value(json_object_get(answer, "more"));
}

static void take_ranges(struct audit *a, const json_t *answer)
{
    const json_t *all = json_object_get(answer, "ranges");
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *r = json_array_get(all, i);
        audit_anchored(a, json_integer_value(json_array_get(r, 0)),
                       json_integer_value(json_array_get(r, 1)));
    }
}

static void tell_shelf(struct audit *a, const char *where, const json_t *answer)
{
    size_t count = (size_t)json_integer_value(json_object_get(answer, "objects"));
    size_t read = (size_t)json_integer_value(json_object_get(answer, "read"));
    size_t others = (size_t)json_integer_value(json_object_get(answer, "others"));
    const char *why = json_string_value(json_object_get(answer, "why"));
    if (others > 0)
        audit_find(a, AUDIT_UNKNOWN, where, 0,
                   "it holds %zu anchors of another ledger of this site, which is not here",
                   others);
    if (why != NULL)
        audit_find(a, AUDIT_UNKNOWN, where, 0, "%s", why);
    else if (read < count)
        audit_find(
            a, AUDIT_UNKNOWN, where, 0,
            "in that time %zu of %zu anchors were read; of the older ones the names fit, and "
            "no more is known: give it longer by --wait",
            read, count);
    else if (count < a->objects)
        audit_find(a, AUDIT_NOTE, where, 0,
                   "it holds %zu of %zu anchors: drctl audit anchor brings the others", count,
                   a->objects);
}

static void take_answer(struct audit *a, const char *name, const struct buf *bytes, int64_t wait_ms)
{
    DR_JSON json_t *answer = NULL;
    struct dr_err err = { 0 };
    DR_FREE char *where = dr_strf("bucket '%s'", name);
    json_t *o = json_object();
    json_put_text(o, "name", name);
    if (bytes->len == 0 || json_read(where, bytes->data, bytes->len, &answer, &err) != DR_OK) {
        audit_find(a, AUDIT_UNKNOWN, where, 0,
                   "it did not answer within %" PRId64 " s: what it holds was not compared",
                   wait_ms / 1000);
        json_put(o, "objects", json_null());
        json_put(o, "read", json_null());
    } else {
        take_findings(a, answer);
        take_ranges(a, answer);
        tell_shelf(a, where, answer);
        bool known = json_is_null(json_object_get(answer, "why"));
        json_put(o, "objects",
                 known ? json_incref(json_object_get(answer, "objects")) : json_null());
        json_put(o, "read", json_incref(json_object_get(answer, "read")));
    }
    DR_ASSERT(json_array_append_new(a->buckets, o) == 0);
}

void audit_ask(struct audit *a, const struct config *c, const char *site, int64_t wait_ms)
{
    DR_CLEANUP(crew_free_ptr) struct crew *crew = crew_new(c->bucket_count);
    DR_FREE struct buf *answers = dr_alloc(c->bucket_count + 1, sizeof(*answers));
    struct asking q = { .a = a, .config = c, .deadline_ms = clock_boot_ms() + wait_ms };
    q.prefix = dr_strf(NAMES_LEDGER "%s/", site);
    crew_run(crew, ask_one, &q, q.deadline_ms, answers);
    for (size_t i = 0; i < c->bucket_count; i++) {
        take_answer(a, c->buckets[i].name, &answers[i], wait_ms);
        buf_fini(&answers[i]);
    }
    free(q.prefix);
}
