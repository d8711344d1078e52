/*
 * Planted faults: what was planted is met, what was not is untouched, and nothing is ever planted
 * outside of a drill.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/store/plant.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "plugins/planted.h"
#include "tests/support/memstore.h"
#include "tests/support/steps.h"

#define PACK  "packs/ab/abcd"
#define OTHER "packs/ab/abce"
#define OLD   "snapshots/app-20261119t000000z-1"
#define NEW   "snapshots/app-20261121t000000z-1"
#define NEWER "snapshots/app-20261121t000000z-2"

static struct memory *memory;
static struct plant plant;
static struct store *store; /* named "eu", with the plant in it */

static int start(void **state)
{
    static const char *const names[] = { PACK, OTHER, OLD, NEW, NEWER };
    (void)state;
    memory = memory_new();
    for (size_t i = 0; i < DR_ARRAY_LEN(names); i++)
        if (memory_put(memory, names[i], "0123456789", 10, MEMORY_ABSENT, NULL) != DR_OK)
            return -1;
    return 0;
}

static int stop(void **state)
{
    (void)state;
    store_close(DR_TAKE(store));
    plant_fini(&plant);
    plant = (struct plant){ .kind = PLANT_NONE };
    memory_free(memory);
    return 0;
}

static struct store *wrap(const char *name)
{
    return plant_store(&plant, memstore_new(memory, name, "eu-west-1"));
}

static void lay(enum plant_kind kind, const char *name, uint64_t at)
{
    plant.kind = kind;
    plant.name = name != NULL ? dr_strdup(name) : NULL;
    plant.at = at;
    store = wrap("eu");
}

static const char *read_part(struct store *s, const char *name, uint64_t offset, size_t len)
{
    static char bytes[32];
    struct dr_err err = { 0 };
    memset(bytes, 0, sizeof(bytes));
    enum dr_rc rc = store_get(s, name, offset, len, bytes, &err);
    if (rc == DR_OK)
        return bytes;
    assert_non_null(strstr(err.msg, "'eu'"));
    assert_non_null(strstr(err.msg, name));
    return dr_rc_name(rc);
}

static const char *read_all(struct store *s, const char *name)
{
    static char bytes[64];
    struct dr_err err = { 0 };
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    enum dr_rc rc = store_get_all(s, name, 100, &b, &err);
    snprintf(bytes, sizeof(bytes), "%s", rc == DR_OK ? b.data : dr_rc_name(rc));
    return bytes;
}

static const char *list(struct store *s, const char *prefix)
{
    static char joined[400];
    struct dr_err err = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list some = { 0 };
    bool more = true;
    enum dr_rc rc = store_list(s, prefix, &names, &err);
    assert_int_equal(store_list_some(s, prefix, &some, &more, &err), rc);
    DR_FREE char *all = text_list_join(&names, " "), *first = text_list_join(&some, " ");
    assert_string_equal(all, first);
    snprintf(joined, sizeof(joined), "%s", rc == DR_OK ? all : dr_rc_name(rc));
    return joined;
}

static int64_t size_of(struct store *s, const char *name)
{
    struct dr_err err = { 0 };
    uint64_t size = 0;
    return store_head(s, name, &size, &err) == DR_OK ? (int64_t)size : -1;
}

/* -- what is read ------------------------------------------------------------------------------ */

static void a_flipped_byte_is_another_in_whatever_covers_it_and_in_nothing_else(void **state)
{
    (void)state;
    lay(PLANT_FLIP, PACK, 4);
    assert_string_equal(read_part(store, PACK, 0, 10), "0123n56789");
    assert_string_equal(read_part(store, PACK, 4, 1), "n");
    assert_string_equal(read_all(store, PACK), "0123n56789");
    assert_int_equal(plant.met, 3);
    assert_string_equal(read_part(store, PACK, 0, 4), "0123");
    assert_string_equal(read_part(store, PACK, 5, 5), "56789");
    assert_string_equal(read_part(store, OTHER, 0, 10), "0123456789");
    assert_int_equal(size_of(store, PACK), 10);
    assert_string_equal(list(store, "packs/"), PACK " " OTHER);
    assert_int_equal(plant.met, 3);
}

static void the_bucket_that_is_asked_first_is_the_one_that_flips(void **state)
{
    (void)state;
    lay(PLANT_FLIP_ONE, PACK, 4);
    DR_CLEANUP(store_close_ptr) struct store *second = wrap("ap");
    assert_string_equal(read_part(second, PACK, 0, 4), "0123"); /* does not cover it */
    assert_string_equal(read_part(store, PACK, 0, 10), "0123n56789");
    assert_string_equal(read_part(second, PACK, 0, 10), "0123456789");
    assert_string_equal(read_part(store, PACK, 4, 2), "n5");
    assert_int_equal(plant.met, 2);
}

static void what_is_missing_is_in_no_list_either(void **state)
{
    (void)state;
    lay(PLANT_MISSING, PACK, 0);
    assert_string_equal(read_part(store, PACK, 0, 1), "not-found");
    assert_string_equal(read_all(store, PACK), "not-found");
    assert_int_equal(size_of(store, PACK), -1);
    assert_string_equal(list(store, "packs/"), OTHER);
    assert_string_equal(read_all(store, OTHER), "0123456789");
}

static void what_is_cut_short_ends_there_for_everybody(void **state)
{
    (void)state;
    lay(PLANT_TRUNCATE, PACK, 6);
    assert_string_equal(read_part(store, PACK, 0, 6), "012345");
    assert_string_equal(read_part(store, PACK, 5, 2), "corrupt");
    assert_string_equal(read_all(store, PACK), "012345");
    assert_int_equal(size_of(store, PACK), 6);
    assert_int_equal(size_of(store, OTHER), 10);
}

static void hidden_is_all_that_does_not_sort_before_the_name(void **state)
{
    (void)state;
    lay(PLANT_HIDE, NEW, strlen("snapshots/app-"));
    assert_string_equal(list(store, "snapshots/"), OLD);
    assert_string_equal(read_all(store, NEW), "not-found");
    assert_string_equal(read_all(store, NEWER), "not-found");
    assert_string_equal(read_all(store, OLD), "0123456789");
    assert_string_equal(list(store, "packs/"), PACK " " OTHER);
}

static void an_object_that_is_put_in_is_read_and_listed_in_its_place(void **state)
{
    (void)state;
    lay(PLANT_OBJECT, "snapshots/app-20261120t000000z-9", 0);
    plant.text = dr_strdup("forged");
    assert_string_equal(list(store, "snapshots/"),
                        OLD " snapshots/app-20261120t000000z-9 " NEW " " NEWER);
    assert_string_equal(list(store, "snapshots/app-20261121"), NEW " " NEWER);
    assert_string_equal(read_all(store, plant.name), "forged");
    assert_string_equal(read_part(store, plant.name, 3, 3), "ged");
    assert_string_equal(read_part(store, plant.name, 3, 4), "corrupt");
    assert_int_equal(size_of(store, plant.name), 6);
    assert_string_equal(read_all(store, NEW), "0123456789");
}

static void an_object_that_is_there_is_replaced_by_the_one_that_is_put_in(void **state)
{
    (void)state;
    lay(PLANT_OBJECT, NEW, 0);
    plant.text = dr_strdup("forged");
    assert_string_equal(list(store, "snapshots/"), OLD " " NEW " " NEWER);
    assert_string_equal(read_all(store, NEW), "forged");
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    assert_true(memory_get(memory, NEW, &b, NULL));
    assert_string_equal(b.data, "0123456789");
}

static void with_an_expired_token_nothing_is_answered_and_nothing_is_to_be_retried(void **state)
{
    struct dr_err err = { 0 };
    struct store_abilities abilities;
    (void)state;
    lay(PLANT_EXPIRED, NULL, 0);
    assert_string_equal(read_part(store, PACK, 0, 1), "denied");
    assert_string_equal(read_all(store, PACK), "denied");
    assert_string_equal(list(store, "packs/"), "denied");
    assert_int_equal(size_of(store, PACK), -1);
    assert_int_equal(store_abilities(store, &abilities, &err), DR_E_DENIED);
    assert_non_null(strstr(err.msg, "ExpiredToken"));
}

static void another_bucket_reads_what_is_there(void **state)
{
    (void)state;
    plant.bucket = dr_strdup("ap");
    lay(PLANT_MISSING, PACK, 0);
    assert_string_equal(read_all(store, PACK), "0123456789");
    assert_string_equal(list(store, "packs/"), PACK " " OTHER);
    assert_int_equal(plant.met, 0);
}

static void nothing_is_ever_written_through_a_plant(void **state)
{
    (void)state;
    for (int kind = PLANT_NONE + 1; kind < PLANT_KINDS; kind++) {
        struct dr_err err = { 0 };
        struct plant p = { .kind = (enum plant_kind)kind };
        p.name = p.text = p.bucket = p.only = dr_strdup("packs/x");
        struct store *s = plant_store(&p, memstore_new(memory, "eu", "eu-west-1"));
        DR_CLEANUP(text_list_fini) struct text_list names = { 0 };
        char tag[STORE_TAG_MAX] = "";
        const struct store_file file = { .fd = -1, .data = "x", .len = 1 };
        text_list_add(&names, PACK);
        assert_int_equal(store_put(s, "packs/new", "x", 1, &err), DR_E_REFUSED);
        assert_int_equal(store_put_file(s, "packs/new", &file, &err), DR_E_REFUSED);
        assert_int_equal(store_remove(s, PACK, &err), DR_E_REFUSED);
        assert_int_equal(store_remove_many(s, &names, &err), DR_E_REFUSED);
        assert_int_not_equal(store_swap(s, "lease/x", tag, "x", 1, &err), DR_OK);
        assert_int_not_equal(store_lock_until(s, PACK, 1, &err), DR_OK);
        store_close(s);
        free(p.name);
    }
    store = memstore_new(memory, "eu", "eu-west-1");
    assert_string_equal(list(store, ""), PACK " " OTHER " " OLD " " NEW " " NEWER);
}

static void whoever_cancels_the_wrapper_cancels_the_driver(void **state)
{
    (void)state;
    plant.kind = PLANT_EXPIRED;
    struct store *inner = memstore_new(memory, "eu", "eu-west-1");
    store = plant_store(&plant, inner);
    store_cancel(store);
    assert_true(inner->cancelled);
}

/* -- on its way ---------------------------------------------------------------------------------- */

static enum dr_rc read_text(const char *text, struct plant *ret)
{
    struct dr_err err = { 0 };
    DR_JSON json_t *run = json_loads(text, 0, NULL);
    assert_non_null(run);
    return plant_read(run, ret, &err);
}

static void a_plant_is_read_in_a_drill_only_and_comes_back_the_same(void **state)
{
    (void)state;
    static const char body[] = "\"plant\":{\"kind\":\"object\",\"bucket\":\"eu\",\"name\":\"a\","
                               "\"text\":\"b\",\"only\":\"c\",\"at\":7}}";
    DR_FREE char *drill = dr_strf("{\"drill\":true,%s", body);
    DR_FREE char *earnest = dr_strf("{\"drill\":false,%s", body), *silent = dr_strf("{%s", body);
    assert_int_equal(read_text(earnest, &plant), DR_E_REFUSED);
    assert_int_equal(read_text(silent, &plant), DR_E_REFUSED);
    assert_int_equal(plant.kind, PLANT_NONE);
    assert_int_equal(read_text("{\"drill\":true}", &plant), DR_OK);
    assert_int_equal(plant.kind, PLANT_NONE);
    assert_int_equal(read_text(drill, &plant), DR_OK);
    DR_JSON json_t *again = plant_json(&plant);
    DR_FREE char *text = json_dumps(again, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(text, "{\"at\":7,\"bucket\":\"eu\",\"kind\":\"object\",\"name\":\"a\","
                              "\"only\":\"c\",\"text\":\"b\"}");
}

static void half_a_plant_is_none(void **state)
{
    static const char *const bad[] = {
        "\"flip\"",
        "{}",
        "{\"kind\":\"rot\"}",
        "{\"kind\":\"flip\"}",
        "{\"kind\":\"flip\",\"name\":\"a\",\"at\":-1}",
        "{\"kind\":\"object\",\"name\":\"a\"}",
        "{\"kind\":\"bucket\"}",
        "{\"kind\":\"part\"}",
        "{\"kind\":\"tamper\"}",
        "{\"kind\":\"full-disk\"}",
    };
    (void)state;
    for (size_t i = 0; i < DR_ARRAY_LEN(bad); i++) {
        DR_FREE char *run = dr_strf("{\"drill\":true,\"plant\":%s}", bad[i]);
        assert_int_equal(read_text(run, &plant), DR_E_USAGE);
        assert_int_equal(plant.kind, PLANT_NONE);
    }
}

static enum step_verdict begin(struct step_call *call)
{
    step_log(call, "begun");
    return step_says(call, STEP_PASS, "done");
}

static void a_step_with_a_plant_outside_of_a_drill_is_not_begun(void **state)
{
    static const struct provider anything = { .type = "exec", .apply = begin };
    (void)state;
    for (int i = 0; i < 3; i++) {
        DR_JSON json_t *o = json_pack("{s:s}", "kind", i < 2 ? "expired" : "rot");
        const struct step_ask ask = { .drill = i > 0, .plant = o };
        struct tried t = step_try(&anything, "apply", json_object(), &ask);
        bool fine = i == 1;
        assert_int_equal(t.verdict, fine ? STEP_PASS : STEP_UNKNOWN);
        assert_string_equal(t.log, fine ? "begun\n" : "");
        if (!fine)
            assert_non_null(strstr(t.why, "the request breaks the protocol: "));
        tried_fini(&t);
    }
}

/* -- the disk ------------------------------------------------------------------------------------ */

static char *dir;

static int make_dir(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe): one thread */
    dir = dr_strf("%s/test_plant.XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(dir) == NULL)
        return -1;
    DR_FREE char *scratch = dr_strf("%s/scratch", dir), *twin = dr_strf("%s/scratch-2", dir);
    return mkdir(scratch, 0755) == 0 && mkdir(twin, 0755) == 0 ? 0 : -1;
}

static int drop_dir(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    enum dr_rc rc = fs_remove_tree(dir, &err);
    free(dir);
    plant_fini(&plant);
    plant = (struct plant){ .kind = PLANT_NONE };
    return rc == DR_OK ? 0 : -1;
}

static int put(const char *name)
{
    struct dr_err err = { 0 };
    DR_FREE char *where = dr_strf("%s/%s", dir, name);
    return fs_replace(where, "file", "0123456789", 10, &err) == DR_OK ? 0 : err.sys;
}

/* In a process of its own, since the disk stays full. */
static enum step_verdict fill(struct step_call *call)
{
    struct plant p = { .kind = PLANT_FULL_DISK };
    p.name = dr_strf("%s/scratch", dir);
    planted_full_disk(&p);
    int here = put("scratch"), beside = put("scratch-2"), above = put(".");
    unsigned met = p.met;
    planted_make_room();
    int again = put("scratch");
    plant_fini(&p);
    bool right = here == ENOSPC && beside == 0 && above == 0 && again == 0 && met == 1;
    return step_says(call, right ? STEP_PASS : STEP_FAIL, "%d %d %d %d, met %u", here, beside,
                     above, again, met);
}

static void a_full_disk_is_full_below_its_directory_and_nowhere_else(void **state)
{
    static const struct provider full = { .type = "exec", .apply = fill };
    const struct step_ask ask = { .drill = true };
    (void)state;
    struct tried t = step_try(&full, "apply", json_object(), &ask);
    assert_int_equal(t.verdict, STEP_PASS);
    tried_fini(&t);
}

static void a_tampered_file_is_another_of_the_same_size_and_time(void **state)
{
    struct dr_err err = { 0 };
    struct stat before, after;
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    DR_FREE char *tree = dr_strf("%s/scratch", dir), *path = dr_strf("%s/scratch/file", dir);
    (void)state;
    assert_int_equal(put("scratch"), 0);
    assert_int_equal(stat(path, &before), 0);
    plant.kind = PLANT_TAMPER;
    plant.only = dr_strdup("file");
    assert_int_equal(planted_tamper(&plant, tree, &err), DR_OK);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(fs_read_file(path, 100, &bytes, &err), DR_OK);
    assert_string_equal(bytes.data, "01234o6789");
    assert_int_equal(before.st_size, after.st_size);
    assert_int_equal(before.st_mtim.tv_sec, after.st_mtim.tv_sec);
    assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
    assert_int_equal(plant.met, 1);
    free(plant.only);
    plant.only = dr_strdup("../scratch-2/file");
    assert_int_equal(put("scratch-2"), 0);
    assert_int_not_equal(planted_tamper(&plant, tree, &err), DR_OK); /* never above the tree */
}

#define FACT(f) cmocka_unit_test_setup_teardown(f, start, stop)
#define DISK(f) cmocka_unit_test_setup_teardown(f, make_dir, drop_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FACT(a_flipped_byte_is_another_in_whatever_covers_it_and_in_nothing_else),
        FACT(the_bucket_that_is_asked_first_is_the_one_that_flips),
        FACT(what_is_missing_is_in_no_list_either),
        FACT(what_is_cut_short_ends_there_for_everybody),
        FACT(hidden_is_all_that_does_not_sort_before_the_name),
        FACT(an_object_that_is_put_in_is_read_and_listed_in_its_place),
        FACT(an_object_that_is_there_is_replaced_by_the_one_that_is_put_in),
        FACT(with_an_expired_token_nothing_is_answered_and_nothing_is_to_be_retried),
        FACT(another_bucket_reads_what_is_there),
        FACT(nothing_is_ever_written_through_a_plant),
        FACT(whoever_cancels_the_wrapper_cancels_the_driver),
        FACT(a_plant_is_read_in_a_drill_only_and_comes_back_the_same),
        FACT(half_a_plant_is_none),
        FACT(a_step_with_a_plant_outside_of_a_drill_is_not_begun),
        DISK(a_full_disk_is_full_below_its_directory_and_nowhere_else),
        DISK(a_tampered_file_is_another_of_the_same_size_and_time),
    };
    return cmocka_run_group_tests_name("plant", tests, NULL, NULL);
}
