/*
 * audit.c - the findings, and the order in which things are read.
 *
 * Of a STATE_DIR in use it is noted under the ledger's lock how long the files are, so that a line just being written is no
 * finding, and nothing behind that is read.
 */
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dr/audit/audit_inside.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"

struct audit *audit_new(const char *dir, const struct text_list *keys)
{
    struct audit *a = dr_alloc(1, sizeof(*a));
    a->dir = dr_strdup(dir);
    a->findings = json_array();
    a->buckets = json_array();
    a->hash = hash_new();
    for (size_t i = 0; keys != NULL && i < keys->count; i++)
        text_list_add(&a->keys, keys->items[i]);
    return a;
}

void audit_free(struct audit *a)
{
    if (a == NULL)
        return;
    for (size_t i = 0; i < a->run_count; i++)
        free(a->runs[i].id);
    free(a->runs);
    free(a->marks);
    free(a->ranges);
    free(a->lines);
    free(a->used);
    text_list_fini(&a->files);
    text_list_fini(&a->signers);
    text_list_fini(&a->keys);
    hash_free(a->hash);
    json_decref(a->findings);
    json_decref(a->buckets);
    free(a->dir);
    free(a);
}

/* -- findings ------------------------------------------------------------------------------------- */

void audit_find(struct audit *a, enum audit_grade grade, const char *file, size_t line,
                const char *fmt, ...)
{
    static const char *const grades[] = {
        [AUDIT_NOTE] = "note", [AUDIT_UNKNOWN] = "unknown", [AUDIT_BROKEN] = "broken"
    };
    char text[DR_ERR_MSG_MAX];
    va_list args;
    if (grade > a->worst)
        a->worst = grade;
    if (json_array_size(a->findings) >= AUDIT_FINDINGS_MAX) {
        a->more++;
        return;
    }
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    json_t *o = json_object();
    json_put_text(o, "grade", grades[grade]);
    json_put(o, "file", file != NULL ? json_printable(file) : json_null());
    json_put(o, "line", line > 0 ? json_integer((json_int_t)line) : json_null());
    json_put(o, "text", json_printable(text));
    DR_ASSERT(json_array_append_new(a->findings, o) == 0);
}

bool audit_believes(struct audit *a, const char *key, const char *file, size_t line)
{
    for (size_t i = 0; i < a->keys.count; i++)
        if (strcmp(a->keys.items[i], key) == 0) {
            a->used[i] += line > 0;
            return true;
        }
    if (a->keys.count > 0)
        audit_find(a, AUDIT_BROKEN, file, line, "it is signed by a stranger's key (%s)", key);
    return a->keys.count == 0; /* told once, for all */
}

char *audit_place(const struct audit *a, size_t at)
{
    const struct audit_line *l = &a->lines[at];
    return dr_strf("%s:%u", a->files.items[l->file], l->line);
}

/* -- files ---------------------------------------------------------------------------------------- */

void audit_files_fini(struct audit_files *f)
{
    for (size_t i = 0; i < f->count; i++) {
        free(f->items[i].name);
        buf_fini(&f->items[i].bytes);
    }
    free(f->items);
    *f = (struct audit_files){ 0 };
}

void audit_list(const struct audit *a, const char *path, struct text_list *ret)
{
    DR_FREE char *full = dr_strf("%s/%s", a->dir, path);
    DIR *d = opendir(full);
    if (d == NULL)
        return;
    const struct dirent *e = NULL;
    while ((e = readdir(d)) != NULL) /* NOLINT(concurrency-mt-unsafe): own stream */
        if (e->d_name[0] != '.')
            text_list_add(ret, e->d_name);
    (void)closedir(d); /* only read from */
    text_list_sort(ret);
}

bool audit_load(struct audit *a, const char *name, size_t limit, struct audit_files *ret)
{
    DR_FREE char *path = dr_strf("%s/%s", a->dir, name);
    struct audit_file f = { 0 };
    struct dr_err err = { 0 };
    if (fs_read_file(path, limit, &f.bytes, &err) != DR_OK) {
        buf_fini(&f.bytes);
        audit_find(a, AUDIT_UNKNOWN, name, 0, "%s", err.msg);
        return false;
    }
    f.name = dr_strdup(name);
    ret->items = dr_realloc(ret->items, ret->count + 1, sizeof(f));
    ret->items[ret->count++] = f;
    return true;
}

void audit_plan_fini(struct audit_plan *p)
{
    text_list_fini(&p->months);
    text_list_fini(&p->anchors);
    free(p->sizes);
}

static void plan_anchors(const struct audit *a, struct text_list *ret)
{
    DR_CLEANUP(text_list_fini) struct text_list books = { 0 };
    audit_list(a, "anchors", &books);
    for (size_t i = 0; i < books.count; i++) {
        DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
        DR_FREE char *dir = dr_strf("anchors/%s", books.items[i]);
        audit_list(a, dir, &names);
        for (size_t k = 0; k < names.count; k++) {
            DR_FREE char *name = dr_strf("%s/%s", dir, names.items[k]);
            text_list_add(ret, name);
        }
    }
}

/* The lock is held for as long as it takes to look at names: years of lines are read without it. Where it cannot be had the
 * worst is a line that looks unfinished. */
void audit_plan_make(struct audit *a, struct audit_plan *ret)
{
    struct dr_err err = { 0 };
    DR_FREE char *lock_path = dr_strf("%s/ledger/.lock", a->dir);
    DR_CLEANUP(dr_close_fd) int lock = -1;
    if (access(lock_path, R_OK | W_OK) == 0 && book_lock(a->dir, ".lock", &lock, &err) != DR_OK)
        audit_find(a, AUDIT_NOTE, "ledger", 0, "read without its lock: %s", err.msg);
    plan_anchors(a, &ret->anchors);
    if (book_months(a->dir, &ret->months, &err) != DR_OK)
        audit_find(a, AUDIT_UNKNOWN, "ledger", 0, "%s", err.msg);
    ret->sizes = dr_alloc(ret->months.count + 1, sizeof(ret->sizes[0]));
    for (size_t i = 0; i < ret->months.count; i++) {
        DR_FREE char *path = dr_strf("%s/ledger/%s", a->dir, ret->months.items[i]);
        struct stat st;
        ret->sizes[i] = stat(path, &st) == 0 ? st.st_size : 0; /* reading it tells */
    }
}

static void load_keys(struct audit *a)
{
    static const char name[] = "ledger/keys.pub";
    struct dr_err err = { 0 };
    bool given = a->keys.count > 0;
    if (!given && book_keys(a->dir, &a->keys, &err) != DR_OK)
        audit_find(a, AUDIT_UNKNOWN, name, 0, "%s", err.msg);
    for (size_t i = 0; i < a->keys.count && !given; i++)
        if (!keys_is_public(a->keys.items[i]))
            audit_find(a, AUDIT_BROKEN, name, i + 1, "this is no public key");
    a->used = dr_alloc(a->keys.count + 1, sizeof(a->used[0]));
}

enum dr_rc audit_read(struct audit *a, struct dr_err *err)
{
    DR_CLEANUP(audit_plan_fini) struct audit_plan plan = { 0 };
    struct stat st;
    if (stat(a->dir, &st) != 0)
        return dr_fail_sys(err, errno, "cannot look at '%s'", a->dir);
    if (!S_ISDIR(st.st_mode))
        return dr_fail(err, DR_E_USAGE, "'%s' is no directory", a->dir);
    load_keys(a);
    audit_plan_make(a, &plan);
    audit_book(a, &plan);
    audit_anchors(a, &plan);
    audit_signatures(a);
    audit_journals(a);
    return DR_OK;
}

/* -- the end -------------------------------------------------------------------------------------- */

/* What could only be judged when everything had been seen. */
static void settle(struct audit *a)
{
    if (a->settled)
        return;
    a->settled = true;
    for (size_t i = 0; i < a->count; i++) {
        const struct audit_line *l = &a->lines[i];
        if (l->known && !l->is_signed && !l->anchored)
            audit_find(a, AUDIT_UNKNOWN, a->files.items[l->file], l->line,
                       "it is not signed, and no anchor holds it");
    }
    for (size_t i = 0; i < a->mark_count && a->to > 0; i++) {
        const struct audit_line *l = &a->lines[a->marks[i].at];
        int64_t to = a->marks[i].to;
        if (to < 1 || to > (int64_t)a->count || !a->lines[to - 1].anchored)
            audit_find(a, AUDIT_BROKEN, a->files.items[l->file], l->line,
                       "the anchor up to record %lld, which it names, is missing",
                       (long long)a->marks[i].to);
    }
    if (a->count == 0)
        audit_find(a, AUDIT_UNKNOWN, "ledger", 0, "there is no ledger");
    else if (a->to == 0)
        audit_find(a, AUDIT_UNKNOWN, "anchors", 0,
                   "nothing is anchored: whether the ledger's end is whole cannot be told");
    else if (a->to == (int64_t)a->count)
        audit_find(
            a, AUDIT_UNKNOWN, a->files.items[a->lines[a->count - 1].file], 0,
            "it ends where the newest anchor does, without the line about that anchor: cut, or its writer died "
            "then (drctl audit anchor writes it again)");
    if (a->keys.count == 0 && a->count > 0)
        audit_find(a, AUDIT_UNKNOWN, "ledger/keys.pub", 0,
                   "no key is known: whose signatures these are cannot be told");
}

enum audit_grade audit_worst(struct audit *a)
{
    settle(a);
    return a->worst;
}

static json_t *ledger_json(const struct audit *a)
{
    json_t *o = json_object(), *keys = json_array();
    for (size_t i = 0; i < a->keys.count; i++) {
        json_t *k = json_object();
        json_put(k, "key", json_printable(a->keys.items[i]));
        json_put_int(k, "records", (int64_t)a->used[i]);
        DR_ASSERT(json_array_append_new(keys, k) == 0);
    }
    json_put(o, "book", a->id[0] != '\0' ? json_string(a->id) : json_null());
    json_put_int(o, "records", (int64_t)a->count);
    json_put_int(o, "months", (int64_t)a->files.count);
    json_put(o, "head", a->head[0] != '\0' ? json_string(a->head) : json_null());
    json_put_int(o, "unsigned", (int64_t)a->unsigned_count);
    json_put(o, "keys", keys);
    return o;
}

json_t *audit_result(struct audit *a)
{
    settle(a);
    json_t *o = json_object(), *runs = json_object(), *anchors = json_object();
    int64_t newer = (int64_t)a->count - a->to;
    json_put_int(runs, "journals", (int64_t)a->journals);
    json_put_int(runs, "records", (int64_t)a->records);
    json_put_int(anchors, "objects", (int64_t)a->objects);
    json_put_int(anchors, "to", a->to);
    json_put_int(anchors, "newer", newer > 0 ? newer : 0);
    json_put(o, "dir", json_printable(a->dir));
    json_put(o, "findings", json_incref(a->findings));
    json_put_int(o, "more", (int64_t)a->more);
    json_put(o, "runs", runs);
    json_put(o, "ledger", ledger_json(a));
    json_put(o, "anchors", anchors);
    json_put(o, "buckets", json_incref(a->buckets));
    return o;
}
