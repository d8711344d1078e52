/*
 * test_audit.c - whatever is done to journals, ledger or anchors is found, and named where it was done.
 */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "dr/journal/journal.h"
#include "tests/support/evidence.h"
#include "tests/support/fault.h"

static struct evidence e;
static struct dr_err err;

static int setup(void **state)
{
    (void)state;
    evidence_make(&e);
    evidence_live(&e);
    assert_int_equal(evidence_anchor(&e, NULL, NULL), DR_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    evidence_drop(&e);
    return 0;
}

static void get(const char *name, struct buf *out)
{
    DR_FREE char *path = dr_strf("%s/%s", e.state, name);
    buf_clear(out);
    assert_int_equal(fs_read_file(path, 64 << 20, out, &err), DR_OK);
}

static void put(const char *name, const char *bytes, size_t len)
{
    DR_FREE char *path = dr_strf("%s/%s", e.state, name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static char *anchor_file(void)
{
    DR_CLEANUP(audit_free_ptr) struct audit *a = audit_new(e.state, NULL);
    assert_int_equal(audit_read(a, &err), DR_OK);
    DR_JSON json_t *o = audit_result(a);
    const json_t *ledger = json_object_get(o, "ledger");
    const char *book = json_string_value(json_object_get(ledger, "book"));
    DR_FREE char *command = dr_strf("%s/anchors/%s", e.state, book);
    DR_CLEANUP(buf_fini) struct buf found = { 0 };
    FILE *p = NULL;
    DR_FREE char *line = dr_strf("ls %s", command);
    p = popen(line, "re"); /* NOLINT(cert-env33-c): a test's own directory */
    assert_non_null(p);
    char name[256] = "";
    assert_non_null(fgets(name, sizeof(name), p));
    (void)pclose(p); /* only read from */
    name[strcspn(name, "\n")] = '\0';
    return dr_strf("anchors/%s/%s", book, name);
}

static const char first_month[] = "ledger/2026-10.jsonl", last_month[] = "ledger/2026-11.jsonl";
static const char journal[] = "runs/R-1/journal.jsonl", drill[] = "runs/D-2/journal.jsonl",
                  open_run[] = "runs/R-3/journal.jsonl";

/* -- whole ------------------------------------------------------------------------------------------- */

static void a_true_life_is_whole(void **state)
{
    (void)state;
    DR_JSON json_t *o = NULL;
    assert_int_equal(evidence_audit(e.state, &o), AUDIT_NOTE);
    assert_true(evidence_found(o, "note", open_run, "not over"));
    assert_int_equal(json_array_size(json_object_get(o, "findings")), 1);
}

static void a_copy_is_as_whole(void **state)
{
    (void)state;
    DR_FREE char *to = dr_strf("%s/copy", e.dir);
    size_t files = 0;
    assert_int_equal(audit_export(e.state, to, &files, &err), DR_OK);
    assert_int_equal(files, 3 + 1 + 2 + 1);
    assert_int_equal(evidence_audit(to, NULL), AUDIT_NOTE);
    assert_int_equal(audit_export(e.state, to, NULL, &err), DR_E_EXISTS);
}

/* -- bytes ------------------------------------------------------------------------------------------- */

static size_t line_of(const struct buf *b, size_t at)
{
    size_t line = 1;
    for (size_t i = 0; i < at; i++)
        line += b->data[i] == '\n';
    return line;
}

/* The finding that tells of a flip names the file, and its line: that of the byte, or none when the end of a journal is
 * damaged, and all that can be said is that. */
static bool is_named(const json_t *result, const char *file, size_t line)
{
    const json_t *all = json_object_get(result, "findings");
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *f = json_array_get(all, i);
        const json_t *at = json_object_get(f, "line");
        if (strcmp(json_string_value(json_object_get(f, "grade")), "broken") == 0 &&
            strcmp(json_string_value(json_object_get(f, "file")), file) == 0 &&
            (json_is_null(at) || json_integer_value(at) == (json_int_t)line))
            return true;
    }
    return false;
}

static void a_flip_of_any_byte_is_found_and_named(void **state)
{
    (void)state;
    enum { FLIPS = 60 };
    DR_FREE char *anchor = anchor_file();
    const char *const files[] = { first_month, last_month, journal, drill, open_run, anchor };
    uint32_t seed = 20261121;
    for (size_t f = 0; f < DR_ARRAY_LEN(files); f++) {
        DR_CLEANUP(buf_fini) struct buf good = { 0 };
        get(files[f], &good);
        for (int i = 0; i < FLIPS; i++) {
            seed = seed * 1664525 + 1013904223;
            size_t at = i == 0 ? good.len - 1 : (seed >> 8) % good.len;
            char bit = (char)(1 << (seed >> 4) % 8);
            DR_JSON json_t *o = NULL;
            good.data[at] = (char)(good.data[at] ^ bit);
            put(files[f], good.data, good.len);
            enum audit_grade worst = evidence_audit(e.state, &o);
            if (worst != AUDIT_BROKEN || !is_named(o, files[f], line_of(&good, at)))
                fail_msg("bit %d of byte %zu of %s", bit, at, files[f]);
            good.data[at] = (char)(good.data[at] ^ bit);
        }
        put(files[f], good.data, good.len);
    }
    assert_int_equal(evidence_audit(e.state, NULL), AUDIT_NOTE);
}

/* -- lines ------------------------------------------------------------------------------------------- */

struct lines {
    struct buf bytes;
    size_t at[64]; /* where each begins; one more behind the last */
    size_t count;
};

static void split(const char *name, struct lines *ret)
{
    get(name, &ret->bytes);
    ret->count = 0;
    ret->at[0] = 0;
    for (size_t i = 0; i < ret->bytes.len; i++)
        if (ret->bytes.data[i] == '\n')
            ret->at[++ret->count] = i + 1;
}

static void add(const struct lines *l, size_t i, struct buf *out)
{
    buf_add(out, l->bytes.data + l->at[i], l->at[i + 1] - l->at[i]);
}

/* The file without line `skip`, and with `swap` behind the one that follows it. */
static void spoil(const char *name, const struct lines *l, size_t skip, size_t swap)
{
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    for (size_t i = 0; i < l->count; i++) {
        if (i == swap && i + 1 < l->count) {
            add(l, i + 1, &out);
            add(l, i++, &out);
        } else if (i != skip)
            add(l, i, &out);
    }
    put(name, out.data != NULL ? out.data : "", out.len);
}

enum { NO_LINE = 1000 };

static void assert_broken(const char *name, const char *how, size_t at)
{
    DR_JSON json_t *o = NULL;
    if (evidence_audit(e.state, &o) != AUDIT_BROKEN)
        fail_msg("%s of line %zu of %s is not found", how, at + 1, name);
}

static void whatever_is_dropped_moved_or_cut_is_found(void **state)
{
    (void)state;
    static const char *const files[] = { first_month, last_month, journal, drill };
    for (size_t f = 0; f < DR_ARRAY_LEN(files); f++) {
        struct lines l = { 0 };
        split(files[f], &l);
        /* The line about the newest anchor is behind it: cut alone it may never have been there. */
        size_t last = files[f] == last_month ? l.count - 1 : l.count;
        for (size_t i = 0; i < last; i++) {
            spoil(files[f], &l, i, NO_LINE);
            assert_broken(files[f], "the drop", i);
            put(files[f], l.bytes.data, l.at[i]);
            assert_broken(files[f], "the cut", i);
        }
        for (size_t i = 0; i + 1 < l.count; i++) {
            spoil(files[f], &l, NO_LINE, i);
            assert_broken(files[f], "the swap", i);
        }
        put(files[f], l.bytes.data, l.bytes.len);
        buf_fini(&l.bytes);
    }
    assert_int_equal(evidence_audit(e.state, NULL), AUDIT_NOTE);
}

/* -- the storm: everything that can be done to a copy ------------------------------------------------------- */

static size_t storm_count;

static void assert_storm(const char *name, const char *how, size_t at)
{
    storm_count++;
    assert_broken(name, how, at);
}

/* AUDIT_STORM=all: every byte; else some hundred of them. */
static void storm_of_bytes(const char *name)
{
    DR_CLEANUP(buf_fini) struct buf good = { 0 };
    const char *word = getenv("AUDIT_STORM"); /* NOLINT(concurrency-mt-unsafe): one thread */
    get(name, &good);
    size_t step = word != NULL && strcmp(word, "all") == 0 ? 1 : good.len / 40 + 1;
    for (size_t at = 0; at < good.len; at += step) {
        good.data[at] = (char)(good.data[at] ^ 1);
        put(name, good.data, good.len);
        assert_storm(name, "the flip", at);
        good.data[at] = (char)(good.data[at] ^ 1);
    }
    put(name, good.data, good.len);
}

static void storm_of_lines(const char *name)
{
    struct lines l = { 0 };
    split(name, &l);
    for (size_t i = 0; i < l.count; i++) {
        DR_CLEANUP(buf_fini) struct buf out = { 0 };
        buf_add(&out, l.bytes.data, l.at[i + 1]);
        add(&l, i, &out);
        buf_add(&out, l.bytes.data + l.at[i + 1], l.bytes.len - l.at[i + 1]);
        put(name, out.data, out.len);
        assert_storm(name, "the double", i);
    }
    put(name, l.bytes.data, l.bytes.len);
    buf_fini(&l.bytes);
}

static void exchange(const char *a, const char *b)
{
    DR_FREE char *first = dr_strf("%s/%s", e.state, a), *second = dr_strf("%s/%s", e.state, b);
    DR_FREE char *between = dr_strf("%s/between", e.dir);
    assert_int_equal(rename(first, between), 0);
    assert_int_equal(rename(second, first), 0);
    assert_int_equal(rename(between, second), 0);
}

/* The same things, and the same names, of another host. */
static void storm_of_another_host(const char *const *files, size_t count)
{
    struct evidence ours = e;
    evidence_make(&e);
    evidence_live(&e);
    assert_int_equal(evidence_anchor(&e, NULL, NULL), DR_OK);
    struct evidence theirs = e;
    e = ours;
    for (size_t i = 0; i < count; i++) {
        DR_CLEANUP(buf_fini) struct buf good = { 0 }, other = { 0 };
        DR_FREE char *path = dr_strf("%s/%s", theirs.state, files[i]);
        get(files[i], &good);
        assert_int_equal(fs_read_file(path, 8 << 20, &other, &err), DR_OK);
        put(files[i], other.data, other.len);
        assert_storm(files[i], "another host's copy", 0);
        put(files[i], good.data, good.len);
    }
    evidence_drop(&theirs);
}

static void no_change_of_a_copy_survives(void **state)
{
    (void)state;
    DR_FREE char *anchor = anchor_file();
    const char *const files[] = { first_month, last_month, journal, drill, open_run, anchor };
    enum { PAST = 4 }; /* those that nobody writes to any more */
    storm_count = 0;
    for (size_t i = 0; i < DR_ARRAY_LEN(files); i++) {
        storm_of_bytes(files[i]);
        storm_of_lines(files[i]);
    }
    for (size_t i = 0; i < DR_ARRAY_LEN(files); i++)
        for (size_t k = i + 1; k < DR_ARRAY_LEN(files); k++) {
            exchange(files[i], files[k]);
            assert_storm(files[i], "the exchange", k);
            exchange(files[i], files[k]);
        }
    storm_of_another_host(files, PAST);
    assert_int_equal(evidence_audit(e.state, NULL), AUDIT_NOTE);
    print_message("%zu changes, all found\n", storm_count);
}

/* -- the key -------------------------------------------------------------------------------------------------- */

static void a_new_key_of_the_host_breaks_nothing(void **state)
{
    (void)state;
    DR_FREE char *keys = dr_strf("%s/keys", e.state);
    DR_JSON json_t *o = NULL;
    assert_int_equal(fs_remove_tree(keys, &err), DR_OK);
    evidence_line(&e, "backup");
    assert_int_equal(evidence_anchor(&e, NULL, NULL), DR_OK);
    evidence_line(&e, "verify");
    assert_int_equal(evidence_audit(e.state, &o), AUDIT_NOTE);
    const json_t *used = json_object_get(json_object_get(o, "ledger"), "keys");
    assert_int_equal(json_array_size(used), 2);
    for (size_t i = 0; i < 2; i++)
        assert_true(json_integer_value(json_object_get(json_array_get(used, i), "records")) > 2);
}

static void a_cut_tail_is_named_with_the_anchor_that_is_newer(void **state)
{
    (void)state;
    struct lines l = { 0 };
    DR_JSON json_t *o = NULL;
    split(last_month, &l);
    put(last_month, l.bytes.data, l.at[l.count - 3]);
    assert_int_equal(evidence_audit(e.state, &o), AUDIT_BROKEN);
    assert_true(evidence_found(o, "broken", "anchors/", "its tail is cut"));
    buf_fini(&l.bytes);
}

static void the_line_about_the_newest_anchor_is_missed_and_written_again(void **state)
{
    (void)state;
    struct lines l = { 0 };
    DR_JSON json_t *o = NULL;
    DR_JSON json_t *after = NULL;
    split(last_month, &l);
    put(last_month, l.bytes.data, l.at[l.count - 1]);
    buf_fini(&l.bytes);
    assert_int_equal(evidence_audit(e.state, &o), AUDIT_UNKNOWN);
    assert_true(evidence_found(o, "unknown", last_month, "without the line about that anchor"));
    assert_int_equal(evidence_anchor(&e, NULL, NULL), DR_OK);
    assert_int_equal(evidence_audit(e.state, &after), AUDIT_NOTE);
}

static void a_month_or_a_journal_that_is_gone_is_missed(void **state)
{
    (void)state;
    static const char *const files[] = { first_month, last_month, journal, drill };
    for (size_t f = 0; f < DR_ARRAY_LEN(files); f++) {
        DR_CLEANUP(buf_fini) struct buf good = { 0 };
        DR_FREE char *path = dr_strf("%s/%s", e.state, files[f]);
        get(files[f], &good);
        assert_int_equal(unlink(path), 0);
        assert_broken(files[f], "the end", 0);
        put(files[f], good.data, good.len);
    }
}

/* -- who has a key ------------------------------------------------------------------------------------ */

struct forging {
    const struct keys *key;
    struct buf out;
    char hash[HASH_HEX_SIZE];
};

/* All lines of November anew, by this key, each with another body. */
static bool forge(void *arg, const struct book_record *r)
{
    struct forging *g = arg;
    if (strcmp(r->file, last_month) != 0) {
        memcpy(g->hash, r->hash, sizeof(g->hash));
        return true;
    }
    struct book_record f = *r;
    DR_JSON json_t *o = json_deep_copy(r->body);
    if (strcmp(r->type, "run") != 0 && strcmp(r->type, "anchor") != 0)
        json_put_text(o, "why", "all went well");
    f.body = o;
    memcpy(f.prev, g->hash, sizeof(f.prev));
    book_print(&f, g->key, &g->out);
    memcpy(g->hash, f.hash, sizeof(g->hash));
    return true;
}

static void forge_with(const struct keys *key)
{
    struct forging g = { .key = key };
    assert_int_equal(book_each(e.state, 0, INT64_MAX, forge, &g, &err), DR_OK);
    put(last_month, g.out.data, g.out.len);
    buf_fini(&g.out);
}

static void a_strangers_signature_is_found(void **state)
{
    (void)state;
    DR_CLEANUP(keys_free_ptr) struct keys *stranger = keys_new();
    DR_JSON json_t *o = NULL;
    forge_with(stranger);
    assert_int_equal(evidence_audit(e.state, &o), AUDIT_BROKEN);
    assert_true(evidence_found(o, "broken", last_month, "stranger's key"));
    assert_true(evidence_found(o, "broken", last_month, keys_public(stranger)));
}

static void a_stranger_who_adds_his_key_is_found_by_the_anchors(void **state)
{
    (void)state;
    DR_CLEANUP(keys_free_ptr) struct keys *stranger = keys_new();
    DR_CLEANUP(buf_fini) struct buf known = { 0 };
    DR_JSON json_t *o = NULL;
    forge_with(stranger);
    get("ledger/keys.pub", &known);
    buf_addf(&known, "%s\n", keys_public(stranger));
    put("ledger/keys.pub", known.data, known.len);
    assert_int_equal(evidence_audit(e.state, &o), AUDIT_BROKEN);
    assert_true(evidence_found(o, "broken", last_month, "differs from what"));
}

static void the_hosts_own_key_changes_nothing_behind_an_anchor(void **state)
{
    (void)state;
    DR_CLEANUP(keys_free_ptr) struct keys *own = NULL;
    DR_JSON json_t *o = NULL;
    assert_int_equal(keys_open(e.state, false, &own, &err), DR_OK);
    forge_with(own);
    assert_int_equal(evidence_audit(e.state, &o), AUDIT_BROKEN);
    assert_true(evidence_found(o, "broken", last_month, "differs from what"));
}

static void the_buckets_know_when_anchors_were_removed_as_well(void **state)
{
    (void)state;
    struct lines l = { 0 };
    DR_FREE char *anchors = dr_strf("%s/anchors", e.state);
    split(last_month, &l);
    put(last_month, l.bytes.data, l.at[l.count - 3]);
    buf_fini(&l.bytes);
    assert_int_equal(fs_remove_tree(anchors, &err), DR_OK);
    assert_int_equal(evidence_audit(e.state, NULL), AUDIT_UNKNOWN);
    DR_CLEANUP(audit_free_ptr) struct audit *a = audit_new(e.state, NULL);
    assert_int_equal(audit_read(a, &err), DR_OK);
    audit_ask(a, &e.config, "us", AUDIT_ASK_MS);
    DR_JSON json_t *o = audit_result(a);
    assert_int_equal(audit_worst(a), AUDIT_BROKEN);
    assert_true(evidence_found(o, "broken", "eu:ledger/us/", "its tail is cut"));
}

/* -- buckets that are asked ------------------------------------------------------------------------------ */

static enum audit_grade ask(int64_t wait_ms, json_t **ret)
{
    DR_CLEANUP(audit_free_ptr) struct audit *a = audit_new(e.state, NULL);
    assert_int_equal(audit_read(a, &err), DR_OK);
    audit_ask(a, &e.config, "us", wait_ms);
    *ret = audit_result(a);
    return audit_worst(a);
}

/* It takes connections and never says a word. */
static void a_bucket_that_hangs_costs_its_time_and_nothing_else(void **state)
{
    (void)state;
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(at);
    DR_CLEANUP(dr_close_fd) int hole = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    DR_JSON json_t *o = NULL;
    char *url = e.buckets[1].url;
    assert_true(hole >= 0 && bind(hole, (struct sockaddr *)&at, sizeof(at)) == 0);
    assert_true(listen(hole, 8) == 0 && getsockname(hole, (struct sockaddr *)&at, &size) == 0);
    DR_FREE char *dead = dr_strf("s3://bucket?endpoint=http://127.0.0.1:%d", ntohs(at.sin_port));
    assert_int_equal(setenv("AWS_ACCESS_KEY_ID", "id", 1), 0);
    assert_int_equal(setenv("AWS_SECRET_ACCESS_KEY", "secret", 1), 0);
    e.buckets[1].url = dead;
    assert_int_equal(ask(2000, &o), AUDIT_UNKNOWN);
    e.buckets[1].url = url;
    assert_true(evidence_found(o, "unknown", "bucket 'eu'", "did not answer within 2 s"));
    const json_t *buckets = json_object_get(o, "buckets");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(buckets, 0), "read")), 1);
    assert_true(json_is_null(json_object_get(json_array_get(buckets, 1), "objects")));
}

static pid_t parent;

/* For the children it is an hour later. */
static int64_t late_boot(void)
{
    return e.real.boot_ns() + (getpid() == parent ? 0 : (int64_t)3600 * 1000000000);
}

static void what_is_not_read_in_time_is_compared_by_name(void **state)
{
    (void)state;
    DR_CLEANUP(keys_free_ptr) struct keys *own = NULL;
    DR_FREE char *anchors = dr_strf("%s/anchors", e.state);
    DR_JSON json_t *before = NULL, *after = NULL;
    parent = getpid();
    dr_clock.boot_ns = late_boot;
    assert_int_equal(ask(AUDIT_ASK_MS, &before), AUDIT_UNKNOWN);
    assert_true(evidence_found(before, "unknown", "bucket 'us'", "0 of 1 anchors were read"));
    assert_int_equal(keys_open(e.state, false, &own, &err), DR_OK);
    forge_with(own);
    assert_int_equal(fs_remove_tree(anchors, &err), DR_OK);
    assert_int_equal(ask(AUDIT_ASK_MS, &after), AUDIT_BROKEN);
    assert_true(
        evidence_found(after, "broken", "eu:ledger/us/", "not the one that this anchor names"));
}

static void a_line_without_a_signature_is_doubtful_until_it_is_anchored(void **state)
{
    (void)state;
    const struct book_place p = { .state_dir = e.state };
    DR_FREE char *pem = dr_strf("%s/keys/writer.pem", e.state), *away = dr_strf("%s/pem", e.dir);
    DR_JSON json_t *o = NULL;
    assert_int_equal(rename(pem, away), 0);
    assert_int_equal(book_append(&p, "backup", json_object(), &err), DR_OK);
    assert_int_equal(rename(away, pem), 0);
    assert_int_equal(evidence_audit(e.state, &o), AUDIT_UNKNOWN);
    assert_true(evidence_found(o, "unknown", last_month, "not signed"));
    assert_int_equal(evidence_anchor(&e, NULL, NULL), DR_OK);
    assert_int_equal(evidence_audit(e.state, NULL), AUDIT_NOTE);
}

/* A journal that got another end is no new end of the run. */
static void a_run_ends_once(void **state)
{
    (void)state;
    struct book_place p = evidence_place(&e);
    DR_CLEANUP(journal_close_ptr) struct journal *j = NULL;
    size_t added = 0;
    DR_JSON json_t *o = json_object(), *found = NULL;
    json_put_text(o, "run", "recovered");
    assert_int_equal(journal_open(e.state, "D-2", &j, &err), DR_OK);
    assert_int_equal(journal_append(j, "end", json_incref(o), &err), DR_OK);
    assert_int_equal(book_add_runs(&p, NULL, &added, &err), DR_OK);
    assert_int_equal(added, 0);
    assert_int_equal(evidence_audit(e.state, &found), AUDIT_BROKEN);
    assert_true(evidence_found(found, "broken", drill, "added after the run had ended"));
}

static void a_run_that_ended_without_a_line_gets_one_with_the_next_anchor(void **state)
{
    (void)state;
    DR_CLEANUP(journal_close_ptr) struct journal *j = NULL;
    json_t *o = json_object();
    DR_JSON json_t *found = NULL;
    json_put_text(o, "run", "aborted");
    assert_int_equal(journal_open(e.state, "R-3", &j, &err), DR_OK);
    assert_int_equal(journal_append(j, "abort", o, &err), DR_OK);
    assert_int_equal(evidence_audit(e.state, &found), AUDIT_UNKNOWN);
    assert_true(evidence_found(found, "unknown", open_run, "no line about it"));
    assert_int_equal(evidence_anchor(&e, NULL, NULL), DR_OK);
    DR_JSON json_t *after = NULL;
    assert_int_equal(evidence_audit(e.state, &after), AUDIT_NOTE);
    assert_int_equal(json_array_size(json_object_get(after, "findings")), 0);
}

/* -- every fault, every death -------------------------------------------------------------------------- */

/* A new line is anchored; calls fail or are the last, all of the first ones and fewer of the later ones, which are alike. The
 * next anchor makes all of it whole. */
static void anchoring_survives_every_fault_and_death(void **state)
{
    (void)state;
    enum { CALLS_MAX = 4000 };
    for (int kind = FAULT_ERRNO; kind <= FAULT_DIE_AFTER; kind++) {
        bool fired = true;
        for (unsigned n = 1; fired && n < CALLS_MAX; n += 1 + n / 6) {
            int status = 0;
            evidence_line(&e, "backup");
            pid_t pid = fork();
            if (pid == 0) {
                fault_arm((enum fault_kind)kind, n);
                (void)evidence_anchor(&e, NULL, NULL); /* whatever comes of it */
                _exit(fault_disarm() ? 99 : 0);
            }
            assert_int_equal(waitpid(pid, &status, 0), pid);
            assert_true(WIFEXITED(status));
            fired = WEXITSTATUS(status) == 99;
            assert_true(evidence_audit(e.state, NULL) != AUDIT_BROKEN);
        }
        assert_false(fired);
        struct anchor_report report = { 0 };
        assert_int_equal(evidence_anchor(&e, NULL, &report), DR_OK);
        assert_int_equal(report.took.count, 2);
        anchor_report_fini(&report);
        DR_CLEANUP(audit_free_ptr) struct audit *a = audit_new(e.state, NULL);
        assert_int_equal(audit_read(a, &err), DR_OK);
        audit_ask(a, &e.config, "us", AUDIT_ASK_MS);
        assert_int_equal(audit_worst(a), AUDIT_NOTE);
    }
}

int main(void)
{
#define FACT(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        FACT(a_true_life_is_whole),
        FACT(a_copy_is_as_whole),
        FACT(a_flip_of_any_byte_is_found_and_named),
        FACT(whatever_is_dropped_moved_or_cut_is_found),
        FACT(no_change_of_a_copy_survives),
        FACT(a_new_key_of_the_host_breaks_nothing),
        FACT(a_cut_tail_is_named_with_the_anchor_that_is_newer),
        FACT(the_line_about_the_newest_anchor_is_missed_and_written_again),
        FACT(a_month_or_a_journal_that_is_gone_is_missed),
        FACT(a_strangers_signature_is_found),
        FACT(a_stranger_who_adds_his_key_is_found_by_the_anchors),
        FACT(the_hosts_own_key_changes_nothing_behind_an_anchor),
        FACT(the_buckets_know_when_anchors_were_removed_as_well),
        FACT(a_bucket_that_hangs_costs_its_time_and_nothing_else),
        FACT(what_is_not_read_in_time_is_compared_by_name),
        FACT(a_line_without_a_signature_is_doubtful_until_it_is_anchored),
        FACT(a_run_ends_once),
        FACT(a_run_that_ended_without_a_line_gets_one_with_the_next_anchor),
        FACT(anchoring_survives_every_fault_and_death),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
