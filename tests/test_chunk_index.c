/*
 * The index of pieces: what was put in is found, by any number of threads; what is damaged, foreign or lost is made
 * anew from the buckets; death at any call leaves the old one or the new one. Runs under TSan.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/format/keys.h"
#include "backup/format/names.h"
#include "backup/work/backup_forward.h"
#include "backup/work/backup_packs.h"
#include "backup/work/chunk_index.h"
#include "dr/base/fs.h"
#include "dr/base/hash.h"
#include "dr/base/mem.h"
#include "dr/base/sys.h"
#include "tests/support/fault.h"
#include "tests/support/site.h"

#define REPOSITORY "00112233445566778899aabbccddeeff"

static char dir[64];

static int set_up(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/test_index.XXXXXX");
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    return fs_remove_tree(dir, &err) == DR_OK ? 0 : -1;
}

/* The id of piece n, and where it lies: in pack n / 100. */
static void id_of(uint32_t n, uint8_t id[DIGEST_SIZE])
{
    hash_bytes(&n, sizeof(n), id);
}

static struct chunk_place place_of(uint32_t n)
{
    return (struct chunk_place){ .pack = n / 100,
                                 .offset = n % 100 * 3000000,
                                 .stored = n % (32 << 20) + 1,
                                 .raw = (32 << 20) - n % 1000,
                                 .behind = n % 3 == 0 ? 8 + 32 * (1 + n % 16383) : 0 };
}

/* Merge pieces from .. to - 1 into the index on disk; their packs are named by pack_id(). */
static void pack_id(uint32_t n, uint8_t id[DIGEST_SIZE])
{
    char text[32];
    (void)snprintf(text, sizeof(text), "pack %u", n);
    hash_bytes(text, strlen(text), id);
}

static enum dr_rc merge_range(uint32_t from, uint32_t to, const struct pack_names *without,
                              struct dr_err *err)
{
    DR_CLEANUP(chunk_index_close_ptr) struct chunk_index *x = NULL;
    DR_CLEANUP(chunk_table_free_ptr) struct chunk_table *t = chunk_table_new(dir);
    DR_CLEANUP(pack_names_fini) struct pack_names names = { 0 };
    uint8_t id[DIGEST_SIZE];
    for (uint32_t n = 0; n <= to / 100; n++) {
        pack_id(n, id);
        assert_int_equal(pack_names_add(&names, id), n);
    }
    for (uint32_t n = from; n < to; n++) {
        struct chunk_place place = place_of(n);
        id_of(n, id);
        DR_TRY(chunk_table_add(t, id, &place, err));
    }
    struct dr_err none = { 0 };
    if (chunk_index_open(dir, REPOSITORY, &x, &none) != DR_OK)
        x = chunk_index_new(dir, REPOSITORY);
    return chunk_index_merge(
        x, &(struct chunk_index_news){ .table = t, .names = &names, .without = without }, err);
}

static void must_merge(uint32_t from, uint32_t to, const struct pack_names *without)
{
    struct dr_err err = { 0 };
    if (merge_range(from, to, without, &err) != DR_OK)
        fail_msg("%s", err.msg);
}

static struct chunk_index *must_open(void)
{
    struct chunk_index *x = NULL;
    struct dr_err err = { 0 };
    if (chunk_index_open(dir, REPOSITORY, &x, &err) != DR_OK)
        fail_msg("%s", err.msg);
    return x;
}

static bool holds(const struct chunk_index *x, uint32_t n)
{
    uint8_t id[DIGEST_SIZE], pack[DIGEST_SIZE];
    struct chunk_place got, want = place_of(n);
    id_of(n, id);
    if (!chunk_index_find(x, id, &got))
        return false;
    pack_id(n / 100, pack);
    assert_memory_equal(chunk_index_pack(x, got.pack), pack, DIGEST_SIZE);
    assert_int_equal(got.offset, want.offset);
    assert_int_equal(got.stored, want.stored);
    assert_int_equal(got.raw, want.raw);
    assert_int_equal(got.behind, want.behind);
    return true;
}

static void what_was_merged_is_found_and_nothing_else(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    must_merge(0, 7000, NULL);
    must_merge(5000, COUNT, NULL); /* in part known already */
    DR_CLEANUP(chunk_index_close_ptr) struct chunk_index *x = must_open();
    assert_int_equal(chunk_index_count(x), COUNT);
    assert_int_equal(chunk_index_packs(x), COUNT / 100);
    for (uint32_t n = 0; n < COUNT; n++)
        assert_true(holds(x, n));
    for (uint32_t n = COUNT; n < 2 * COUNT; n++)
        assert_false(holds(x, n));
    assert_true(chunk_index_bytes(x) <= 48 * COUNT);
}

static void places_at_their_limits_come_back(void **state)
{
    (void)state;
    static const struct chunk_place limits[] = {
        { .pack = UINT32_MAX - 1, .offset = (1 << 30) - 1, .stored = (1 << 26) - 1, .raw = 1 },
        { .pack = 0, .offset = 0, .stored = 1, .raw = (1 << 26) - 1, .behind = 8 + 32 * 16383 },
        { .pack = 1, .offset = 1, .stored = 1, .raw = 32 << 20, .behind = 8 + 32 * 4096 },
    };
    uint8_t id[DIGEST_SIZE] = { 1 };
    struct chunk_row row;
    for (size_t i = 0; i < DR_ARRAY_LEN(limits); i++) {
        assert_true(chunk_row_make(id, &limits[i], &row));
        struct chunk_place got = chunk_row_place(&row);
        assert_memory_equal(&got, &limits[i], sizeof(got));
    }
    struct chunk_place beyond = { .stored = 1, .raw = 1, .behind = 8 + 32 * 16384 };
    assert_false(chunk_row_make(id, &beyond, &row));
    beyond = (struct chunk_place){ .stored = 1, .raw = 1 << 26 };
    assert_false(chunk_row_make(id, &beyond, &row));
    assert_int_equal(sizeof(row), 40);
}

static void packs_that_are_avoided_leave_the_index(void **state)
{
    (void)state;
    DR_CLEANUP(pack_names_fini) struct pack_names without = { 0 };
    uint8_t id[DIGEST_SIZE];
    must_merge(0, 1000, NULL);
    pack_id(3, id);
    pack_names_add(&without, id);
    must_merge(1000, 1000, &without);
    DR_CLEANUP(chunk_index_close_ptr) struct chunk_index *x = must_open();
    assert_int_equal(chunk_index_count(x), 900);
    assert_int_equal(chunk_index_packs(x), 9);
    for (uint32_t n = 0; n < 1000; n++)
        assert_int_equal(holds(x, n), n / 100 != 3);
}

/* The rows of a pack that was copied forward are superseded by those of the new one. */
static void newer_place_of_a_piece_wins(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    uint8_t id[DIGEST_SIZE];
    DR_CLEANUP(pack_names_fini) struct pack_names names = { 0 };
    DR_CLEANUP(chunk_table_free_ptr) struct chunk_table *t = chunk_table_new(dir);
    must_merge(0, 100, NULL);
    pack_id(77, id);
    pack_names_add(&names, id);
    id_of(5, id);
    struct chunk_place place = { .pack = 0, .offset = 42, .stored = 43, .raw = 44 }, got;
    assert_int_equal(chunk_table_add(t, id, &place, &err), DR_OK);
    DR_CLEANUP(chunk_index_close_ptr) struct chunk_index *x = must_open();
    assert_int_equal(
        chunk_index_merge(x, &(struct chunk_index_news){ .table = t, .names = &names }, &err),
        DR_OK);
    DR_CLEANUP(chunk_index_close_ptr) struct chunk_index *now = must_open();
    assert_int_equal(chunk_index_count(now), 100);
    assert_true(chunk_index_find(now, id, &got));
    assert_int_equal(got.offset, 42);
    pack_id(77, id);
    assert_memory_equal(chunk_index_pack(now, got.pack), id, DIGEST_SIZE);
}

static ino_t inode_of_index(void)
{
    struct stat st;
    DR_FREE char *path = dr_strf("%s/index/chunks", dir);
    assert_int_equal(stat(path, &st), 0);
    return st.st_ino;
}

static void run_that_adds_nothing_rewrites_nothing(void **state)
{
    (void)state;
    must_merge(0, 500, NULL);
    ino_t before = inode_of_index();
    must_merge(500, 500, NULL);
    assert_int_equal(inode_of_index(), before);
    must_merge(500, 501, NULL);
    assert_true(inode_of_index() != before);
}

/* Another run has added to it since this one opened it. */
static void runs_that_end_one_after_another_lose_nothing(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    uint8_t id[DIGEST_SIZE];
    DR_CLEANUP(pack_names_fini) struct pack_names names = { 0 };
    DR_CLEANUP(chunk_table_free_ptr) struct chunk_table *t = chunk_table_new(dir);
    must_merge(0, 100, NULL);
    DR_CLEANUP(chunk_index_close_ptr) struct chunk_index *x = must_open();
    must_merge(100, 200, NULL);
    for (uint32_t n = 0; n < 3; n++) {
        pack_id(n, id);
        pack_names_add(&names, id);
    }
    struct chunk_place place = place_of(250);
    id_of(250, id);
    assert_int_equal(chunk_table_add(t, id, &place, &err), DR_OK);
    assert_int_equal(
        chunk_index_merge(x, &(struct chunk_index_news){ .table = t, .names = &names }, &err),
        DR_OK);
    DR_CLEANUP(chunk_index_close_ptr) struct chunk_index *now = must_open();
    assert_int_equal(chunk_index_count(now), 201);
    assert_true(holds(now, 250) && holds(now, 150) && holds(now, 50));
}

static void any_flipped_or_missing_byte_is_found(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    struct stat st;
    struct chunk_index *x = NULL;
    must_merge(0, 120, NULL);
    DR_FREE char *path = dr_strf("%s/index/chunks", dir);
    assert_int_equal(stat(path, &st), 0);
    DR_CLEANUP(dr_close_fd) int fd = open(path, O_RDWR | O_CLOEXEC);
    for (off_t at = 0; at < st.st_size; at += at < 140 ? 1 : 61) {
        uint8_t byte, wrong;
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        wrong = byte ^ 0x20;
        assert_int_equal(pwrite(fd, &wrong, 1, at), 1);
        assert_int_equal(chunk_index_open(dir, REPOSITORY, &x, &err), DR_E_CORRUPT);
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    }
    chunk_index_close(must_open());
    assert_int_equal(ftruncate(fd, st.st_size - 1), 0);
    assert_int_equal(chunk_index_open(dir, REPOSITORY, &x, &err), DR_E_CORRUPT);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(chunk_index_open(dir, REPOSITORY, &x, &err), DR_E_CORRUPT);
}

static void index_of_another_repository_is_none(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    struct chunk_index *x = NULL;
    assert_int_equal(chunk_index_open(dir, REPOSITORY, &x, &err), DR_E_NOTFOUND);
    must_merge(0, 10, NULL);
    assert_int_equal(chunk_index_open(dir, "ff112233445566778899aabbccddeeff", &x, &err),
                     DR_E_CORRUPT);
}

/* Old: 300 pieces. New: 400. Whatever happens to the merge, the index is one of both. */
static void check_after_a_fault(bool died)
{
    DR_CLEANUP(chunk_index_close_ptr) struct chunk_index *x = must_open();
    size_t count = chunk_index_count(x);
    assert_true(count == 300 || count == 400);
    for (uint32_t n = 0; n < count; n++)
        assert_true(holds(x, n));
    must_merge(300, 400, NULL);
    DR_CLEANUP(chunk_index_close_ptr) struct chunk_index *now = must_open();
    assert_int_equal(chunk_index_count(now), 400);
    if (died)
        return;
    DR_FREE char *temp = dr_strf("%s/index/.chunks.tmp", dir);
    assert_int_equal(access(temp, F_OK), -1);
}

static void start_over(void)
{
    struct dr_err err = { 0 };
    DR_FREE char *path = dr_strf("%s/index", dir);
    assert_int_equal(fs_remove_tree(path, &err), DR_OK);
    must_merge(0, 300, NULL);
}

static void merge_survives_every_failing_call(void **state)
{
    (void)state;
    static const enum fault_kind kinds[] = { FAULT_ERRNO, FAULT_SHORT };
    unsigned n = 1;
    for (size_t k = 0; k < DR_ARRAY_LEN(kinds); k++) {
        bool fired = true;
        for (n = 1; fired; n++) {
            struct dr_err err = { 0 };
            start_over();
            fault_arm(kinds[k], n);
            enum dr_rc rc = merge_range(300, 400, NULL, &err);
            assert_int_equal(fault_open_fds(), 0);
            fired = fault_disarm();
            assert_true(rc == DR_OK || (kinds[k] == FAULT_ERRNO && err.msg[0] != '\0'));
            check_after_a_fault(false);
        }
    }
    assert_true(n > 10);
}

static void merge_survives_death_at_every_call(void **state)
{
    (void)state;
    static const enum fault_kind kinds[] = { FAULT_DIE_BEFORE, FAULT_DIE_AFTER };
    for (size_t k = 0; k < DR_ARRAY_LEN(kinds); k++) {
        int status = 99 << 8;
        for (unsigned n = 1; WEXITSTATUS(status) == 99; n++) {
            start_over();
            pid_t pid = fork();
            assert_true(pid >= 0);
            if (pid == 0) {
                struct dr_err err = { 0 };
                fault_arm(kinds[k], n);
                _exit(merge_range(300, 400, NULL, &err) == DR_OK ? 0 : 1);
            }
            assert_int_equal(waitpid(pid, &status, 0), pid);
            check_after_a_fault(true);
        }
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

/* -- with packs ---------------------------------------------------------------------------- */

static uint8_t sealed_name[DIGEST_SIZE]; /* of the last pack */
static unsigned sealed_count;

static enum dr_rc note_put(void *arg, struct spooled *pack, struct dr_err *err)
{
    (void)arg;
    (void)err;
    memcpy(sealed_name, pack->name, DIGEST_SIZE);
    sealed_count++;
    return DR_OK;
}

static struct packs *packs_with(struct chunk_index *x)
{
    struct packs_options o = { .target = 1 << 20, .state_dir = dir, .index = x, .put = note_put };
    random_bytes(o.nonce, sizeof(o.nonce));
    sealed_count = 0;
    return packs_new(&o);
}

static struct packs_place add_piece(struct packs *p, uint32_t n, bool digests)
{
    static uint8_t frame[500], digest[DIGEST_SIZE];
    struct packs_place place;
    struct dr_err err = { 0 };
    struct packs_frame f = { .kind = digests ? FRAME_BUNDLE : FRAME_CHUNK,
                             .raw_len = 1000,
                             .frame_len = sizeof(frame) };
    id_of(n, f.id);
    if (!packs_know(p, f.id, digests))
        f.frame = frame;
    f.digests = digests ? digest : NULL;
    f.digest_count = digests;
    if (packs_add(p, &f, &place, &err) != DR_OK)
        fail_msg("%s", err.msg);
    return place;
}

static void end_run(struct packs *p)
{
    struct dr_err err = { 0 };
    assert_int_equal(packs_flush(p, &err), DR_OK);
    if (packs_commit(p, &err) != DR_OK)
        fail_msg("%s", err.msg);
    packs_free(p);
}

static void pieces_of_an_earlier_run_are_not_stored_again(void **state)
{
    (void)state;
    uint8_t first[DIGEST_SIZE];
    DR_CLEANUP(chunk_index_close_ptr) struct chunk_index *x = chunk_index_new(dir, REPOSITORY);
    struct packs *p = packs_with(x);
    struct packs_place places[4];
    for (uint32_t n = 0; n < 4; n++)
        places[n] = add_piece(p, n, n == 3);
    end_run(p);
    assert_int_equal(sealed_count, 1);
    memcpy(first, sealed_name, DIGEST_SIZE);

    DR_CLEANUP(chunk_index_close_ptr) struct chunk_index *again = must_open();
    p = packs_with(again);
    for (uint32_t n = 0; n < 4; n++) {
        struct packs_place now = add_piece(p, n, n == 3);
        assert_memory_equal(packs_name(p, now.pack), first, DIGEST_SIZE);
        assert_int_equal(now.offset, places[n].offset);
        assert_int_equal(now.stored, places[n].stored);
        assert_int_equal(now.raw, places[n].raw);
        assert_int_equal(now.behind, places[n].behind);
        assert_memory_equal(now.id, places[n].id, DIGEST_SIZE);
    }
    assert_int_equal(add_piece(p, 0, true).behind, 40); /* a bundle needs digests behind it */
    end_run(p);
    assert_int_equal(sealed_count, 1);
}

static void pieces_of_avoided_packs_are_stored_again(void **state)
{
    (void)state;
    uint8_t first[DIGEST_SIZE], id[DIGEST_SIZE];
    DR_CLEANUP(chunk_index_close_ptr) struct chunk_index *x = chunk_index_new(dir, REPOSITORY);
    struct packs *p = packs_with(x);
    (void)add_piece(p, 1, false);
    end_run(p);
    memcpy(first, sealed_name, DIGEST_SIZE);

    DR_CLEANUP(chunk_index_close_ptr) struct chunk_index *again = must_open();
    p = packs_with(again);
    packs_avoid(p, first);
    assert_true(packs_avoided(p, first));
    id_of(1, id);
    assert_false(packs_know(p, id, false));
    struct packs_place now = add_piece(p, 1, false);
    assert_true(packs_know(p, id, false));
    assert_null(packs_name(p, now.pack));
    end_run(p);
    assert_int_equal(sealed_count, 1);

    DR_CLEANUP(chunk_index_close_ptr) struct chunk_index *third = must_open();
    assert_int_equal(chunk_index_count(third), 1);
    assert_memory_equal(chunk_index_pack(third, 0), sealed_name, DIGEST_SIZE);
}

/* -- threads ------------------------------------------------------------------------------- */

enum { LOOKERS = 3, PIECES = 3000 };

struct looker {
    pthread_t thread;
    struct packs *packs;
    uint32_t seed;
    unsigned wrong;
};

/* What is known stays known; pieces below PIECES / 2 are in the index from the start. */
static void *look(void *arg)
{
    struct looker *l = arg;
    bool known[PIECES] = { false };
    for (uint32_t i = 0; i < 4 * PIECES; i++) {
        uint32_t n = (i * 7919 + l->seed) % PIECES;
        uint8_t id[DIGEST_SIZE];
        id_of(n, id);
        bool now = packs_know(l->packs, id, false);
        l->wrong += (known[n] || n < PIECES / 2) && !now;
        known[n] = now;
    }
    return NULL;
}

static void lookups_from_threads_see_what_is_added_meanwhile(void **state)
{
    (void)state;
    DR_CLEANUP(chunk_index_close_ptr) struct chunk_index *x = chunk_index_new(dir, REPOSITORY);
    struct packs *p = packs_with(x);
    for (uint32_t n = 0; n < PIECES / 2; n++)
        (void)add_piece(p, n, false);
    end_run(p);
    DR_CLEANUP(chunk_index_close_ptr) struct chunk_index *again = must_open();
    p = packs_with(again);
    struct looker lookers[LOOKERS];
    for (uint32_t i = 0; i < LOOKERS; i++) {
        lookers[i] = (struct looker){ .packs = p, .seed = i * 1000 };
        assert_int_equal(pthread_create(&lookers[i].thread, NULL, look, &lookers[i]), 0);
    }
    for (uint32_t n = 0; n < PIECES; n++)
        (void)add_piece(p, n, false);
    for (uint32_t i = 0; i < LOOKERS; i++) {
        assert_int_equal(pthread_join(lookers[i].thread, NULL), 0);
        assert_int_equal(lookers[i].wrong, 0);
    }
    end_run(p);
}

/* -- size and speed ------------------------------------------------------------------------ */

static long anon_kib(void)
{
    char line[256];
    long kib = -1;
    FILE *f = fopen("/proc/self/status", "re");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f) != NULL)
        if (sscanf(line, "RssAnon: %ld", &kib) == 1) /* NOLINT(cert-err34-c): the kernel's own */
            break;
    (void)fclose(f);
    return kib;
}

/* Of counts on CLOCK_PROCESS_CPUTIME_ID: other processes do not matter. */
static double cpu_s(void)
{
    struct timespec t;
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t), 0);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { MANY = 20000, SANITIZED = 1 };
#else
enum { MANY = 1000000, SANITIZED = 0 };
#endif

static void a_million_pieces_are_mapped_and_not_on_the_heap(void **state)
{
    (void)state;
    must_merge(0, 100, NULL);
    long before = anon_kib();
    must_merge(100, MANY, NULL);
    DR_CLEANUP(chunk_index_close_ptr) struct chunk_index *x = must_open();
    double start = cpu_s();
    unsigned found = 0;
    for (uint32_t n = 0; n < MANY; n += 1 + MANY / 100000) {
        uint8_t id[DIGEST_SIZE];
        struct chunk_place place;
        id_of(n, id);
        found += chunk_index_find(x, id, &place);
    }
    double each = (cpu_s() - start) / found;
    printf("  %d pieces: %.1f bytes each, %.0f ns to find one (hash of its id included), %ld KiB "
           "more on the heap\n",
           MANY, (double)chunk_index_bytes(x) / MANY, each * 1e9, anon_kib() - before);
    assert_int_equal(found, (MANY + MANY / 100000) / (1 + MANY / 100000));
    assert_true(chunk_index_bytes(x) <= 48ULL * MANY);
    /* Names of the packs (44 bytes for each of 10,000) and buffers, nothing for a piece. */
    assert_true(SANITIZED || anon_kib() - before < 4096);
}

/* -- from the buckets ---------------------------------------------------------------------- */

static char *writer_of(const struct site *s)
{
    struct dr_err err = { 0 };
    DR_CLEANUP(keys_free_ptr) struct keys *keys = NULL;
    assert_int_equal(keys_open(s->config->state_dir, false, &keys, &err), DR_OK);
    return dr_strdup(keys_public(keys));
}

static struct chunk_index *get_index(const struct site *s, const char *writer)
{
    struct dr_err err = { 0 };
    struct chunk_index *x = NULL;
    DR_CLEANUP(repo_close_ptr) struct repo *repo = site_open(s);
    if (chunk_index_get(repo, writer, &x, &err) != DR_OK)
        fail_msg("%s", err.msg);
    return x;
}

/* Each row leads to bytes that are one zstd frame, in a pack of the bucket. */
static size_t count_good_rows(const struct site *s, const struct chunk_index *x,
                              const struct text_list *packs)
{
    size_t good = 0;
    struct dr_err err = { 0 };
    DR_CLEANUP(repo_close_ptr) struct repo *repo = site_open(s);
    for (size_t i = 0; i < packs->count; i++) {
        uint8_t id[DIGEST_SIZE];
        DR_CLEANUP(buf_fini) struct buf pack = { 0 };
        struct store *store = repo_bucket(repo, 0)->store;
        assert_true(names_parse_pack(packs->items[i], id));
        assert_int_equal(store_get_all(store, packs->items[i], 1 << 30, &pack, &err), DR_OK);
        size_t table = pack.len - ((uint8_t)pack.data[pack.len - 8] |
                                   (size_t)(uint8_t)pack.data[pack.len - 7] << 8);
        for (size_t at = table + 32; at + 48 <= pack.len; at += 48) {
            struct chunk_place place;
            if (!chunk_index_find(x, (const uint8_t *)pack.data + at, &place))
                continue;
            assert_memory_equal(chunk_index_pack(x, place.pack), id, DIGEST_SIZE);
            assert_memory_equal(pack.data + place.offset, "\x28\xb5\x2f\xfd", 4);
            if (place.behind > 0)
                assert_memory_equal(pack.data + place.offset + place.stored, "\x5e\x2a\x4d\x18", 4);
            good++;
        }
    }
    return good;
}

static void lost_index_is_made_anew_from_own_packs_only(void **state)
{
    (void)state;
    struct site s;
    struct snapshot_info info;
    DR_CLEANUP(text_list_fini) struct text_list packs = { 0 };
    struct stat st;
    site_make(&s);
    site_fill(&s);
    site_backup(&s, &info);
    DR_FREE char *writer = writer_of(&s);
    DR_FREE char *path = dr_strf("%s/index/chunks", s.config->state_dir);
    DR_FREE char *index_dir = dr_strf("%s/index", s.config->state_dir);
    struct dr_err err = { 0 };
    assert_int_equal(fs_remove_tree(index_dir, &err), DR_OK);

    DR_CLEANUP(chunk_index_close_ptr)
    struct chunk_index *foreign = get_index(&s, "ed25519:of-somebody-else");
    assert_int_equal(chunk_index_count(foreign), 0);
    assert_int_equal(fs_remove_tree(index_dir, &err), DR_OK);

    DR_CLEANUP(chunk_index_close_ptr) struct chunk_index *own = get_index(&s, writer);
    site_objects(&s, 0, NAMES_PACKS, &packs);
    assert_true(chunk_index_count(own) >= 3);
    assert_int_equal(count_good_rows(&s, own, &packs), chunk_index_count(own));

    /* Damaged: the same again. */
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size - 5), 0);
    DR_CLEANUP(chunk_index_close_ptr) struct chunk_index *again = get_index(&s, writer);
    assert_int_equal(chunk_index_count(again), chunk_index_count(own));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, chunk_index_bytes(again));
    snapshot_info_fini(&info);
    site_drop(&s);
}

/* A large file goes, another stays: its pack is more than half dead, and to be left. */
static void pack_with_little_life_is_found(void **state)
{
    (void)state;
    enum { LARGE = 1 << 20 };
    struct site s;
    struct snapshot_info info;
    struct backup_result result = { .files = 0 };
    struct dr_err err = { 0 };
    DR_CLEANUP(text_list_fini) struct text_list first = { 0 };
    DR_FREE uint8_t *bytes = dr_alloc(LARGE, 1);
    site_make(&s);
    for (uint32_t n = 0; n < LARGE / DIGEST_SIZE; n++)
        id_of(n, bytes + (size_t)n * DIGEST_SIZE);
    site_write(&s, "dead", bytes, LARGE);
    site_write(&s, "live", bytes + LARGE / 2, LARGE / 2 - 4096);
    site_backup(&s, &info);
    site_objects(&s, 0, NAMES_PACKS, &first);
    assert_int_equal(first.count, 1);

    struct repo *repo = site_open(&s);
    DR_CLEANUP(pack_names_fini) struct pack_names avoid = { 0 };
    if (forward_find(repo, &info, 32 << 20, &avoid, &err) != DR_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(avoid.count, 0); /* small, alone, and alive */
    snapshot_info_fini(&info);

    DR_FREE char *dead = dr_strf("%s/dead", s.src);
    assert_int_equal(unlink(dead), 0);
    const struct backup_wish wish = { .source = &s.config->sources[0], .kind = "full" };
    if (backup_run(repo, &wish, &s.hooks, &result, &err) != DR_OK ||
        repo_find(repo, "latest", "app", &info, &err) != DR_OK)
        fail_msg("%s", err.msg);
    assert_string_equal(info.id, result.id);
    if (forward_find(repo, &info, 32 << 20, &avoid, &err) != DR_OK)
        fail_msg("%s", err.msg);
    uint8_t id[DIGEST_SIZE];
    assert_true(names_parse_pack(first.items[0], id));
    assert_true(pack_names_find(&avoid, id) != PACK_NAMES_NONE);

    /* The next full one does without it, and the one after that writes nothing afresh. */
    for (int i = 0; i < 2; i++) {
        struct snapshot snap = { .epoch = 0 };
        struct restore_result restored = { .files = 0 };
        char hex[HASH_HEX_SIZE];
        backup_result_fini(&result);
        if (backup_run(repo, &wish, &s.hooks, &result, &err) != DR_OK ||
            repo_load(repo, result.id, NULL, NULL, &snap, &err) != DR_OK)
            fail_msg("%s", err.msg);
        assert_false(text_list_has(&snap.packs.lines, hex_encode(id, DIGEST_SIZE, hex)));
        assert_int_equal(result.stored > LARGE / 2 - 8192, i == 0);
        snapshot_fini(&snap);
        assert_int_equal(site_restore(&s, &restored, &err), DR_OK);
        site_assert_restored(&s);
        site_clear_target(&s);
    }
    backup_result_fini(&result);
    snapshot_info_fini(&info);
    repo_close(repo);
    site_drop(&s);
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    site_without_waiting();
    const struct CMUnitTest tests[] = {
        FRESH(what_was_merged_is_found_and_nothing_else),
        FRESH(places_at_their_limits_come_back),
        FRESH(packs_that_are_avoided_leave_the_index),
        FRESH(newer_place_of_a_piece_wins),
        FRESH(run_that_adds_nothing_rewrites_nothing),
        FRESH(runs_that_end_one_after_another_lose_nothing),
        FRESH(any_flipped_or_missing_byte_is_found),
        FRESH(index_of_another_repository_is_none),
        FRESH(merge_survives_every_failing_call),
        FRESH(merge_survives_death_at_every_call),
        FRESH(pieces_of_an_earlier_run_are_not_stored_again),
        FRESH(pieces_of_avoided_packs_are_stored_again),
        FRESH(lookups_from_threads_see_what_is_added_meanwhile),
        FRESH(a_million_pieces_are_mapped_and_not_on_the_heap),
        cmocka_unit_test(lost_index_is_made_anew_from_own_packs_only),
        cmocka_unit_test(pack_with_little_life_is_found),
    };
    return cmocka_run_group_tests_name("chunk_index", tests, NULL, NULL);
}
