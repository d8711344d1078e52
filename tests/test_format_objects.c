/*
 * Objects that vouch for themselves: snapshots by their signature, the repository object by its digest.
 * No bit of them can be changed unseen, what a newer version wrote is refused, and the key that
 * signs is made once and kept.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stddef.h>

#include <cmocka.h>

#include "backup/format/sealed.h"
#include "backup/format/snapshot.h"
#include "dr/base/fs.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "tests/support/spoil.h"
#include "tests/support/tree.h"

static void make_snapshot(struct snapshot *s)
{
    *s = (struct snapshot){ .repository = dr_strdup("00112233445566778899aabbccddeeff"),
                            .source = dr_strdup("App"),
                            .class = dr_strdup("data"),
                            .host = dr_strdup("h\xc3\xb6st"),
                            .kind = dr_strdup("full"),
                            .epoch = 4,
                            .start_ns = 1795230700123456789,
                            .end_ns = 1795230800123456789,
                            .nonce = { 1 },
                            .entries = 3,
                            .files = 2,
                            .bytes = 1,
                            .owners = json_object() };
    struct names_id of = { s->source, s->epoch, s->start_ns, s->nonce };
    names_make_id(&of, s->id);
    text_list_add(&s->packs.lines, "abc");
}

struct snapshot_case {
    const char *id;
};

static bool accepts_snapshot(void *arg, const void *data, size_t len)
{
    const struct snapshot_case *c = arg;
    struct snapshot s;
    struct dr_err err = { .rc = DR_OK };
    if (snapshot_parse(c->id, data, len, &s, &err) != DR_OK)
        return false;
    snapshot_fini(&s);
    return true;
}

static void snapshots_come_back_and_no_spoiled_one_is_accepted(void **state)
{
    (void)state;
    struct snapshot s, back;
    struct buf object = { 0 };
    struct dr_err err = { .rc = DR_OK };
    struct keys *keys = keys_new(), *others = keys_new();
    make_snapshot(&s);
    assert_int_equal(strncmp(s.id, "app-20261121t", 13), 0);
    snapshot_encode(&s, keys, &object);
    if (snapshot_parse(s.id, object.data, object.len, &back, &err) != DR_OK)
        fail_msg("%s", err.msg);
    assert_string_equal(back.source, "App");
    assert_string_equal(back.writer, keys_public(keys));
    assert_true(back.start_ns == s.start_ns && back.epoch == 4 && back.parent == NULL);
    struct text_list trusted = { 0 };
    text_list_add(&trusted, keys_public(others));
    assert_false(snapshot_is_by(&back, &trusted));
    text_list_add(&trusted, keys_public(keys));
    assert_true(snapshot_is_by(&back, &trusted));
    snapshot_fini(&back);
    struct snapshot_case c = { .id = s.id };
    assert_int_equal(spoil_all(accepts_snapshot, &c, &object), 0);
    c.id = "app-20261121t000000z-000000";
    assert_false(accepts_snapshot(&c, object.data, object.len));
    text_list_fini(&trusted);
    snapshot_fini(&s);
    buf_fini(&object);
    keys_free(keys);
    keys_free(others);
}

static bool accepts_repository(void *arg, const void *data, size_t len)
{
    struct repository r;
    struct dr_err err = { .rc = DR_OK };
    (void)arg;
    return repository_parse("repository", data, len, &r, &err) == DR_OK;
}

static void repositories_come_back_and_no_spoiled_one_is_accepted(void **state)
{
    (void)state;
    struct repository r, back;
    struct buf object = { 0 };
    struct dr_err err = { .rc = DR_OK };
    repository_make(&r);
    repository_encode(&r, &object);
    assert_int_equal(repository_parse("repository", object.data, object.len, &back, &err), DR_OK);
    assert_true(back.seed == r.seed && strcmp(back.id, r.id) == 0);
    assert_int_equal(spoil_all(accepts_repository, NULL, &object), 0);
    buf_fini(&object);
}

/* The body with one member replaced, sealed anew. */
static enum dr_rc parse_with(const char *key, json_t *value)
{
    struct repository r;
    struct buf object = { 0 }, changed = { 0 };
    struct dr_err err = { .rc = DR_OK };
    repository_make(&r);
    repository_encode(&r, &object);
    DR_JSON json_t *body = json_loadb(object.data, object.len, JSON_DISABLE_EOF_CHECK, NULL);
    assert_non_null(body);
    json_put(body, key, value);
    json_add_canonical(&changed, body);
    buf_addc(&changed, '\n');
    uint8_t digest[DIGEST_SIZE];
    char hex[HASH_HEX_SIZE];
    hash_bytes(changed.data, changed.len, digest);
    buf_addf(&changed, "{\"sha256\":\"%s\"}\n", hex_encode(digest, sizeof digest, hex));
    enum dr_rc rc = repository_parse("repository", changed.data, changed.len, &r, &err);
    buf_fini(&object);
    buf_fini(&changed);
    return rc;
}

static void what_a_newer_version_wrote_is_refused_not_guessed(void **state)
{
    (void)state;
    json_t *needs = json_array();
    json_array_append_new(needs, json_string("wings"));
    assert_int_equal(parse_with("unknown", json_true()), DR_OK); /* may be ignored */
    assert_int_equal(parse_with("needs", needs), DR_E_REFUSED);
    assert_int_equal(parse_with("encryption", json_string("age")), DR_E_REFUSED);
    assert_int_equal(parse_with("seed", json_string("xyz")), DR_E_CORRUPT);
    assert_int_equal(parse_with("pack_bytes", json_integer(-1)), DR_E_CORRUPT);
}

/* A child that opens the key of the host, made at first use, and tells which it is. */
static pid_t start_opening(const char *dir, int out)
{
    pid_t child = fork();
    if (child != 0)
        return child;
    struct dr_err err;
    struct keys *k = NULL;
    bool good = keys_open(dir, true, &k, &err) == DR_OK &&
                write(out, keys_public(k), KEYS_TEXT_MAX) == KEYS_TEXT_MAX;
    _exit(good ? 0 : 1);
}

static void processes_that_begin_at_once_share_one_key(void **state)
{
    (void)state;
    enum { CHILDREN = 8, ROUNDS = 8 };
    for (int round = 0; round < ROUNDS; round++) {
        DR_FREE char *dir = tree_temp();
        pid_t children[CHILDREN];
        char text[KEYS_TEXT_MAX], told[KEYS_TEXT_MAX];
        struct dr_err err;
        int ends[2], status;
        assert_int_equal(pipe(ends), 0);
        for (int i = 0; i < CHILDREN; i++)
            children[i] = start_opening(dir, ends[1]);
        for (int i = 0; i < CHILDREN; i++) {
            assert_int_equal(waitpid(children[i], &status, 0), children[i]);
            assert_int_equal(status, 0);
        }
        assert_int_equal(keys_read_public(dir, text, &err), DR_OK);
        for (int i = 0; i < CHILDREN; i++) {
            assert_int_equal(read(ends[0], told, sizeof told), sizeof told);
            assert_string_equal(told, text);
        }
        close(ends[0]);
        close(ends[1]);
        tree_remove(dir);
    }
}

static void the_writers_key_is_made_once_and_kept_private(void **state)
{
    (void)state;
    DR_FREE char *dir = tree_temp();
    DR_FREE char *pem = dr_strf("%s/keys/writer.pem", dir);
    struct dr_err err = { .rc = DR_OK };
    struct keys *first = NULL, *again = NULL;
    char text[KEYS_TEXT_MAX];
    struct stat st;
    assert_int_equal(keys_open(dir, false, &first, &err), DR_E_NOTFOUND);
    assert_int_equal(keys_open(dir, true, &first, &err), DR_OK);
    assert_int_equal(keys_open(dir, true, &again, &err), DR_OK);
    assert_string_equal(keys_public(first), keys_public(again));
    assert_int_equal(keys_read_public(dir, text, &err), DR_OK);
    assert_string_equal(text, keys_public(first));
    assert_int_equal(stat(pem, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    uint8_t signature[KEYS_SIGNATURE_SIZE];
    keys_sign(first, "text", 4, signature);
    assert_true(keys_verify(text, "text", 4, signature));
    assert_false(keys_verify(text, "tex", 3, signature));
    signature[0] ^= 1;
    assert_false(keys_verify(text, "text", 4, signature));
    assert_false(keys_verify("ed25519:", "text", 4, signature));
    DR_FREE char *keys_dir = dr_strf("%s/keys", dir);
    assert_int_equal(fs_replace(keys_dir, "writer.pem", "no key", 6, &err), DR_OK);
    struct keys *none = NULL;
    assert_int_equal(keys_open(dir, true, &none, &err), DR_E_CORRUPT);
    keys_free(first);
    keys_free(again);
    tree_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(snapshots_come_back_and_no_spoiled_one_is_accepted),
        cmocka_unit_test(repositories_come_back_and_no_spoiled_one_is_accepted),
        cmocka_unit_test(what_a_newer_version_wrote_is_refused_not_guessed),
        cmocka_unit_test(processes_that_begin_at_once_share_one_key),
        cmocka_unit_test(the_writers_key_is_made_once_and_kept_private),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
