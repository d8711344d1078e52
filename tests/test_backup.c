/*
 * The writer, proved with tools that are not ours: what backup_run() leaves in a bucket is checked
 * with sha256sum and zstd, read with libarchive, and extracted by GNU tar with the very shell lines
 * that FORMAT.md prints. Then what happens when buckets, files and operators misbehave.
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stddef.h>

#include <cmocka.h>

#include "backup/format/names.h"
#include "backup/format/sealed.h"
#include "backup/format/snapshot.h"
#include "backup/work/work.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "tests/support/fault.h"
#include "tests/support/faultstore.h"
#include "tests/support/tree.h"

struct bench { /* a source, two buckets, a configuration */
    char *dir, *source;
    struct config *config;
    struct repo *repo;
    struct dr_err err;
    struct text_list warnings;
    struct backup_result result;
};

static void on_warning(void *arg, const char *line)
{
    text_list_add(&((struct bench *)arg)->warnings, line);
}

static struct work_hooks hooks_of(struct bench *b)
{
    return (struct work_hooks){ .warning = on_warning, .arg = b };
}

static char *below(const struct bench *b, const char *name)
{
    return dr_strf("%s/%s", b->dir, name);
}

static void make_dir(const struct bench *b, const char *name)
{
    DR_FREE char *path = below(b, name);
    assert_int_equal(mkdir(path, 0755), 0);
}

static const char *const bucket_names[] = { "us", "eu", "ap" };

static void bench_init(struct bench *b, unsigned buckets)
{
    *b = (struct bench){ .dir = tree_temp() };
    b->source = below(b, "source");
    make_dir(b, "source");
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    buf_addf(&text,
             "disaster_recovery:\n  backup_policy:\n"
             "    full_backup: {frequency: daily, retention: 30d}\n"
             "sources:\n  - {name: app, path: %s, class: data, exclude: [\"*.skip\"]}\n"
             "state_dir: %s/state\nbuckets:\n",
             b->source, b->dir);
    for (unsigned i = 0; i < buckets; i++) {
        make_dir(b, bucket_names[i]);
        buf_addf(&text, "  - {name: %s, url: \"file://%s/%s\", region: r%u}\n", bucket_names[i],
                 b->dir, bucket_names[i], i);
    }
    assert_int_equal(fs_replace(b->dir, "dr.yaml", text.data, text.len, &b->err), DR_OK);
    DR_FREE char *path = below(b, "dr.yaml");
    struct diag d = { 0 };
    assert_int_equal(config_load(path, &d, &b->config, &b->err), DR_OK);
    diag_fini(&d);
    assert_int_equal(repo_init(b->config, &b->err), DR_OK);
    assert_int_equal(
        repo_open(b->config, &(struct repo_options){ .dark_count = 0 }, &b->repo, &b->err), DR_OK);
}

static void bench_fini(struct bench *b)
{
    repo_close(b->repo);
    config_free(b->config);
    text_list_fini(&b->warnings);
    backup_result_fini(&b->result);
    tree_remove(b->dir);
    free(b->source);
    free(b->dir);
}

static enum dr_rc backup(struct bench *b)
{
    struct work_hooks hooks = hooks_of(b);
    backup_result_fini(&b->result);
    return backup_run(b->repo,
                      &(struct backup_wish){
                          .source = &b->config->sources[0], .kind = "full", .inline_work = true },
                      &hooks, &b->result, &b->err);
}

static void must_backup(struct bench *b)
{
    if (backup(b) != DR_OK)
        fail_msg("%s", b->err.msg);
}

/* Run a shell script with these variables; its output must be empty. */
static void shell(const struct bench *b, const char *script)
{
    DR_FREE char *target = below(b, "target");
    DR_FREE char *bucket = below(b, "us");
    DR_FREE char *log = below(b, "log");
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        /* NOLINTBEGIN(concurrency-mt-unsafe): one thread */
        setenv("TARGET", target, 1);
        setenv("BUCKET", bucket, 1);
        setenv("SNAPSHOT", b->result.id, 1);
        setenv("LC_ALL", "C", 1);
        /* NOLINTEND(concurrency-mt-unsafe) */
        int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
            _exit(125);
        execl("/bin/sh", "sh", "-c", script, (char *)NULL);
        _exit(126);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    struct dr_err err;
    assert_int_equal(fs_read_file(log, 1 << 20, &out, &err), DR_OK);
    if (status != 0 || out.len > 0)
        fail_msg("status %d: %.800s", status, out.len > 0 ? out.data : "");
}

/* The first shell block of FORMAT.md's chapter 14. */
static char *recipe_of_the_page(void)
{
    DR_CLEANUP(buf_fini) struct buf page = { 0 };
    struct dr_err err;
    assert_int_equal(fs_read_file("backup/FORMAT.md", 1 << 20, &page, &err), DR_OK);
    const char *chapter = strstr(page.data, "## 14.");
    assert_non_null(chapter);
    const char *start = strstr(chapter, "```sh\n");
    assert_non_null(start);
    start += strlen("```sh\n");
    const char *end = strstr(start, "```");
    assert_non_null(end);
    return dr_memdup(start, (size_t)(end - start));
}

static void expect_equal(const char *a, const char *b)
{
    DR_CLEANUP(buf_fini) struct buf lines = { 0 };
    unsigned count = tree_diff(a, b, &lines);
    if (count != 0)
        fail_msg("%u differences:\n%s", count, lines.data);
}

static void extract_by_hand_and_compare(struct bench *b)
{
    DR_FREE char *target = below(b, "target");
    DR_FREE char *script = recipe_of_the_page();
    make_dir(b, "target");
    shell(b, script);
    expect_equal(b->source, target);
}

static void odd_tree_comes_back_by_the_shell_lines_of_the_page(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 2);
    tree_make(b.source, TREE_ODD);
    must_backup(&b);
    assert_int_equal(b.result.warnings, 0);
    assert_int_equal(b.result.copies, 2);
    extract_by_hand_and_compare(&b);
    bench_fini(&b);
}

static void many_files_come_back_from_several_packs_and_segments(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1);
    tree_make_many(b.source, 6000, 9000); /* 54 MB: two packs */
    must_backup(&b);
    assert_int_equal(b.result.files, 6000);
    extract_by_hand_and_compare(&b);
    bench_fini(&b);
}

/* The size that packs aim at is the repository's: as small as can be, each frame is a pack. */
static void use_tiny_packs(struct bench *b, unsigned buckets)
{
    DR_CLEANUP(buf_fini) struct buf object = { 0 }, changed = { 0 };
    struct repository r;
    assert_int_equal(
        store_get_all(repo_bucket(b->repo, 0)->store, NAMES_REPOSITORY, 4096, &object, &b->err),
        DR_OK);
    assert_int_equal(repository_parse("repository", object.data, object.len, &r, &b->err), DR_OK);
    r.pack_bytes = 1;
    repository_encode(&r, &changed);
    for (unsigned i = 0; i < buckets; i++) {
        DR_FREE char *bucket = below(b, bucket_names[i]);
        assert_int_equal(fs_replace(bucket, NAMES_REPOSITORY, changed.data, changed.len, &b->err),
                         DR_OK);
    }
    repo_close(b->repo); /* the object is read when a repository is opened */
    assert_int_equal(
        repo_open(b->config, &(struct repo_options){ .dark_count = 0 }, &b->repo, &b->err), DR_OK);
}

static void long_lists_lie_in_packs_and_are_followed(void **state)
{
    (void)state;
    struct bench b;
    struct snapshot s;
    struct snapshot_info info = { .epoch = 0 };
    struct restore_result restored = { 0 };
    bench_init(&b, 1);
    use_tiny_packs(&b, 1);
    int d = open(b.source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (unsigned i = 0; i < 150; i++) { /* equal data: two runs of the recipe each, few bytes */
        char name[32];
        (void)snprintf(name, sizeof name, "file-%03u", i);
        tree_write(d, name, 1, 256 << 10);
    }
    close(d);
    must_backup(&b);
    DR_CLEANUP(buf_fini) struct buf object = { 0 };
    char name[NAMES_MAX];
    names_of(NAMES_SNAPSHOTS, b.result.id, name);
    assert_int_equal(store_get_all(repo_bucket(b.repo, 0)->store, name, 1 << 20, &object, &b.err),
                     DR_OK);
    assert_int_equal(snapshot_parse(name, object.data, object.len, &s, &b.err), DR_OK);
    assert_int_equal(s.recipe.depth, 1);
    snapshot_fini(&s);
    extract_by_hand_and_compare(&b);
    DR_FREE char *target = below(&b, "restored");
    struct restore_options options = { .to = target };
    assert_int_equal(repo_find(b.repo, "latest", "app", &info, &b.err), DR_OK);
    assert_int_equal(restore_run(b.repo, &info, &options, NULL, &restored, &b.err), DR_OK);
    expect_equal(b.source, target);
    snapshot_info_fini(&info);
    bench_fini(&b);
}

static void stock_tools_accept_every_pack(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 2);
    tree_make(b.source, TREE_ODD);
    must_backup(&b);
    shell(&b, "for p in \"$BUCKET\"/packs/*/*; do zstd -tq \"$p\" || echo zstd;"
              " [ \"$(sha256sum <\"$p\")\" = \"${p##*/}  -\" ] || echo sum; done;"
              " cmp \"$BUCKET/snapshots/$SNAPSHOT\" \"$BUCKET/../eu/snapshots/$SNAPSHOT\"");
    bench_fini(&b);
}

static void openssl_accepts_the_signature_as_the_page_says(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1);
    tree_make(b.source, TREE_SMALL);
    must_backup(&b);
    shell(&b, "cd \"$BUCKET/..\"; s=us/snapshots/$SNAPSHOT; head -n 1 $s >body;"
              "sed -n '2s/.*\"signature\":\"\\([^\"]*\\)\".*/\\1/p' $s | base64 -d >sig;"
              "{ printf '\\060\\052\\060\\005\\006\\003\\053\\145\\160\\003\\041\\000';"
              "sed -n '2s/.*\"key\":\"ed25519:\\([^\"]*\\)\".*/\\1/p' $s | base64 -d; } >key.der;"
              "openssl pkeyutl -verify -rawin -in body -sigfile sig -pubin -inkey key.der"
              " -keyform DER | grep -v Verified.Successfully || true");
    bench_fini(&b);
}

/* The stream, put together by the recipe of the snapshot object. */
static char *write_stream(struct bench *b)
{
    DR_FREE char *page = recipe_of_the_page();
    char *tar = strstr(page, "cd \"$TARGET\"");
    assert_non_null(tar);
    *tar = '\0';
    DR_FREE char *script =
        dr_strf("%s\nlist recipe | rd | zstd -dcq >\"$BUCKET/../stream.tar\"", page);
    shell(b, script);
    return below(b, "stream.tar");
}

static void libarchive_reads_the_stream_to_its_end(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1);
    tree_make(b.source, TREE_ODD);
    must_backup(&b);
    DR_FREE char *path = write_stream(&b);
    struct archive *a = archive_read_new();
    struct archive_entry *e;
    assert_int_equal(archive_read_support_format_tar(a), ARCHIVE_OK);
    assert_int_equal(archive_read_open_filename(a, path, 1 << 16), ARCHIVE_OK);
    uint64_t entries = 0;
    int rc;
    bool directories = false;
    /* A warning: the C locale cannot show a name. */
    while ((rc = archive_read_next_header(a, &e)) == ARCHIVE_OK || rc == ARCHIVE_WARN) {
        entries++;
        bool directory = archive_entry_filetype(e) == AE_IFDIR;
        assert_false(directories && !directory); /* they come last */
        directories = directory;
    }
    if (rc != ARCHIVE_EOF)
        fail_msg("after %u entries: %s", (unsigned)entries, archive_error_string(a));
    assert_int_equal(entries, b.result.entries);
    archive_read_free(a);
    bench_fini(&b);
}

static void own_restore_equals_the_source(void **state)
{
    (void)state;
    struct bench b;
    struct snapshot_info info = { .epoch = 0 };
    struct restore_result restored = { 0 };
    bench_init(&b, 2);
    tree_make(b.source, TREE_DEEP);
    must_backup(&b);
    DR_FREE char *target = below(&b, "target");
    struct restore_options options = { .to = target };
    struct work_hooks hooks = hooks_of(&b);
    assert_int_equal(repo_find(b.repo, "latest", "app", &info, &b.err), DR_OK);
    assert_string_equal(info.id, b.result.id);
    if (restore_run(b.repo, &info, &options, &hooks, &restored, &b.err) != DR_OK)
        fail_msg("%s", b.err.msg);
    /* Set-id bits come back only as root: an ordinary user gets the warning and the rest. */
    assert_int_equal(restored.warnings > 0, geteuid() != 0);
    DR_FREE char *set_ids = dr_strf("%s/set-ids", target);
    assert_int_equal(chmod(set_ids, 06755), 0);
    expect_equal(b.source, target);
    snapshot_info_fini(&info);
    bench_fini(&b);
}

static void a_small_snapshot_is_one_pack_and_one_object(void **state)
{
    (void)state;
    struct bench b;
    struct text_list names = { 0 };
    bench_init(&b, 1);
    tree_make(b.source, TREE_SMALL);
    must_backup(&b);
    assert_int_equal(store_list(repo_bucket(b.repo, 0)->store, "", &names, &b.err), DR_OK);
    unsigned packs = 0, snapshots = 0, others = 0;
    for (size_t i = 0; i < names.count; i++) {
        packs += text_starts(names.items[i], NAMES_PACKS);
        snapshots += text_starts(names.items[i], NAMES_SNAPSHOTS);
        others += text_starts(names.items[i], NAMES_PENDING);
    }
    assert_int_equal(packs, 1);
    assert_int_equal(snapshots, 1);
    assert_int_equal(others, 0);
    text_list_fini(&names);
    bench_fini(&b);
}

static void equal_files_are_stored_once(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1);
    int d = open(b.source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    tree_write(d, "one", 7, 5 << 20);
    tree_write(d, "two", 7, 5 << 20);
    close(d);
    must_backup(&b);
    assert_int_equal(b.result.bytes, 10 << 20);
    assert_true(b.result.stored > 5 << 20 && b.result.stored < (5 << 20) + (64 << 10));
    bench_fini(&b);
}

static void a_second_run_uses_no_name_of_the_first(void **state)
{
    (void)state;
    struct bench b;
    struct text_list packs = { 0 };
    bench_init(&b, 1);
    tree_make(b.source, TREE_SMALL);
    must_backup(&b);
    char first[SNAPSHOT_ID_MAX];
    memcpy(first, b.result.id, sizeof first);
    int d = open(b.source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    tree_write(d, "new", 7, 10);
    close(d);
    must_backup(&b);
    assert_string_not_equal(first, b.result.id);
    assert_int_equal(store_list(repo_bucket(b.repo, 0)->store, NAMES_PACKS, &packs, &b.err), DR_OK);
    assert_int_equal(packs.count, 2);
    text_list_fini(&packs);
    bench_fini(&b);
}

static void excluded_names_and_sockets_stay_out_without_a_warning(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1);
    int d = open(b.source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    tree_write(d, "in", 1, 10);
    tree_write(d, "out.skip", 1, 10);
    assert_int_equal(mknodat(d, "socket", S_IFSOCK | 0600, 0), 0);
    close(d);
    must_backup(&b);
    assert_int_equal(b.result.entries, 2); /* the root and one file */
    assert_int_equal(b.result.warnings, 0);
    bench_fini(&b);
}

/* -- misfortune ---------------------------------------------------------------------------- */

static struct store *make_faulty(struct bench *b, size_t bucket)
{
    struct repo_bucket *rb = repo_bucket(b->repo, bucket);
    rb->store = faultstore_new(rb->store);
    return rb->store;
}

static void a_full_bucket_drops_out_and_is_named(void **state)
{
    (void)state;
    struct bench b;
    struct text_list names = { 0 };
    bench_init(&b, 3);
    tree_make(b.source, TREE_SMALL);
    faultstore_fail_from(make_faulty(&b, 1), FAULTSTORE_PUT, 1, DR_E_NOSPACE);
    must_backup(&b);
    assert_int_equal(b.result.copies, 2);
    assert_int_equal(b.result.wanted, 2);
    assert_int_equal(b.result.missing.count, 1);
    assert_true(text_starts(b.result.missing.items[0], "eu: "));
    assert_int_equal(store_list(repo_bucket(b.repo, 1)->store, NAMES_SNAPSHOTS, &names, &b.err),
                     DR_OK);
    assert_int_equal(names.count, 0);
    text_list_fini(&names);
    bench_fini(&b);
}

/* The place of the n-th write among the calls that were traced; 0: there are fewer. */
static unsigned nth_write(const char *trace, unsigned n)
{
    unsigned call = 1;
    for (const char *at = trace; *at != '\0'; at = strchr(at, ' ') + 1, call++)
        if (text_starts(at, "write ") && n-- == 1)
            return call;
    return 0;
}

/* One backup of a small tree in tiny packs, in which that call finds the disk full. */
static enum dr_rc backup_on_a_full_disk(struct bench *b, unsigned call)
{
    bench_init(b, 2);
    use_tiny_packs(b, 2);
    must_backup(b); /* the key is made */
    tree_make_many(b->source, 3, 300 * 1024);
    fault_errno = ENOSPC;
    fault_arm(call > 0 ? FAULT_ERRNO : FAULT_NONE, call);
    enum dr_rc rc = backup(b);
    assert_int_equal(fault_disarm(), call > 0);
    fault_errno = EIO;
    return rc;
}

static void a_bucket_full_at_any_write_is_named_and_the_other_has_all(void **state)
{
    (void)state;
    struct bench b;
    assert_int_equal(backup_on_a_full_disk(&b, 0), DR_OK);
    DR_FREE char *trace = dr_strdup(fault_trace());
    bench_fini(&b);
    unsigned call, n = 0, spooled = 0, behind = 0;
    while ((call = nth_write(trace, n + spooled + behind + 1)) > 0) {
        struct verify_result v = { 0 };
        struct work_hooks hooks = hooks_of(&b);
        if (backup_on_a_full_disk(&b, call) != DR_OK) { /* before any bucket: the spool */
            assert_int_equal(b.err.rc, DR_E_NOSPACE);
            assert_non_null(strstr(b.err.msg, "/state/spool'"));
            must_backup(&b);
            assert_int_equal(b.result.copies, 2);
            bench_fini(&b);
            spooled++;
            continue;
        }
        if (b.result.copies == 2) { /* when the snapshot is visible: the index, or what is
                                       remembered, of which nothing is told */
            assert_true(b.result.warnings <= 1);
            if (b.result.warnings == 1)
                assert_non_null(strstr(b.warnings.items[0], "No space left on device"));
            bench_fini(&b);
            behind++;
            continue;
        }
        assert_int_equal(b.result.copies, 1);
        assert_int_equal(b.result.missing.count, 1);
        assert_non_null(strstr(b.result.missing.items[0], "No space left on device"));
        bool us = text_starts(b.result.missing.items[0], "us: ");
        assert_true(us || text_starts(b.result.missing.items[0], "eu: "));
        store_close(repo_bucket(b.repo, us ? 0 : 1)->store);
        repo_bucket(b.repo, us ? 0 : 1)->store = NULL;
        assert_int_equal(
            verify_run(b.repo, NULL, &(struct verify_wish){ .data = true }, &hooks, &v, &b.err),
            DR_OK);
        assert_int_equal(v.damaged + v.lost, 1); /* the bucket that is shut, no more */
        assert_int_equal(v.missing, 0);
        bench_fini(&b);
        n++;
    }
    assert_true(n >= 8 && spooled >= 2); /* packs and the snapshot, in both */
}

static void a_home_that_fails_at_any_put_leaves_no_snapshot_without_packs(void **state)
{
    (void)state;
    for (unsigned nth = 1; nth <= 3; nth++) { /* pack, pending, snapshot */
        struct bench b;
        bench_init(&b, 2);
        tree_make(b.source, TREE_SMALL);
        faultstore_fail_from(make_faulty(&b, 0), FAULTSTORE_PUT, nth, DR_E_IO);
        must_backup(&b);
        assert_int_equal(b.result.copies, 1);
        assert_true(text_starts(b.result.missing.items[0], "us: "));
        bench_fini(&b);
    }
}

static void a_run_that_no_bucket_takes_fails_with_the_reason(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 2);
    tree_make(b.source, TREE_SMALL);
    faultstore_fail_from(make_faulty(&b, 0), FAULTSTORE_PUT, 1, DR_E_NOSPACE);
    faultstore_fail_from(make_faulty(&b, 1), FAULTSTORE_PUT, 1, DR_E_IO);
    assert_int_equal(backup(&b), DR_E_NOSPACE);
    assert_non_null(strstr(b.err.msg, "no bucket takes the snapshot"));
    bench_fini(&b);
}

/* A prune lists a pack of this run between its upload and the pending: the run must not show it. */
static void packs_condemned_meanwhile_are_not_made_visible(void **state)
{
    (void)state;
    struct bench b;
    struct text_list packs = { 0 };
    bench_init(&b, 1);
    tree_make(b.source, TREE_SMALL);
    struct store *store = repo_bucket(b.repo, 0)->store;
    must_backup(&b);
    assert_int_equal(store_list(store, NAMES_SNAPSHOTS, &packs, &b.err), DR_OK);
    assert_int_equal(packs.count, 1);
    /* A list that cannot be read might condemn anything. */
    static const char damaged[] = "{}\n{}\n";
    assert_int_equal(store_put(store, NAMES_GC "x", damaged, strlen(damaged), &b.err), DR_OK);
    assert_int_equal(backup(&b), DR_E_CORRUPT);
    text_list_fini(&packs);
    assert_int_equal(store_list(store, NAMES_SNAPSHOTS, &packs, &b.err), DR_OK);
    assert_int_equal(packs.count, 1);
    text_list_fini(&packs);
    assert_int_equal(store_list(store, NAMES_PENDING, &packs, &b.err), DR_OK);
    assert_int_equal(packs.count, 0);
    text_list_fini(&packs);
    bench_fini(&b);
}

static void a_missing_source_is_named(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1);
    assert_int_equal(rmdir(b.source), 0);
    assert_int_equal(backup(&b), DR_E_NOTFOUND);
    assert_non_null(strstr(b.err.msg, b.source));
    make_dir(&b, "source");
    bench_fini(&b);
}

static void a_kind_that_nobody_knows_is_refused(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1);
    assert_int_equal(
        backup_run(b.repo,
                   &(struct backup_wish){ .source = &b.config->sources[0], .kind = "hourly" }, NULL,
                   &b.result, &b.err),
        DR_E_USAGE);
    assert_string_equal(b.err.msg, "no such kind of backup: 'hourly'");
    bench_fini(&b);
}

/* Truncated by the progress function, which is called while the file is being read. */
static bool shrink(void *arg, const struct work_progress *p)
{
    DR_FREE char *path = dr_strf("%s/shrinks", ((struct bench *)arg)->source);
    if (p->bytes > 0 && p->bytes < 40 << 20)
        assert_int_equal(truncate(path, 1 << 20), 0);
    return true;
}

static void a_file_that_shrinks_keeps_its_size_and_draws_a_warning(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1);
    int d = open(b.source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    tree_write(d, "shrinks", 7, 40 << 20);
    close(d);
    struct work_hooks hooks = hooks_of(&b);
    hooks.progress = shrink;
    assert_int_equal(
        backup_run(b.repo, &(struct backup_wish){ .source = &b.config->sources[0], .kind = "full" },
                   &hooks, &b.result, &b.err),
        DR_OK);
    assert_int_equal(b.result.warnings, 1);
    assert_non_null(strstr(b.warnings.items[0], "shorter"));
    assert_int_equal(b.result.bytes, 40 << 20);
    bench_fini(&b);
}

static void what_cannot_be_read_is_told_and_passed_over(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1);
    int d = open(b.source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    tree_write(d, "closed", 1, 10);
    tree_write(d, "open", 1, 10);
    assert_int_equal(fchmodat(d, "closed", 0, 0), 0);
    close(d);
    must_backup(&b);
    bool root = geteuid() == 0;
    assert_int_equal(b.result.warnings, root ? 0 : 1);
    assert_int_equal(b.result.files, root ? 2 : 1);
    if (!root)
        assert_string_equal(b.warnings.items[0], "'closed': Permission denied");
    bench_fini(&b);
}

static bool cancel(void *arg, const struct work_progress *p)
{
    (void)arg;
    (void)p;
    return false;
}

static void a_cancelled_run_shows_nothing(void **state)
{
    (void)state;
    struct bench b;
    struct text_list names = { 0 };
    bench_init(&b, 1);
    tree_make(b.source, TREE_SMALL);
    struct work_hooks hooks = { .progress = cancel };
    assert_int_equal(
        backup_run(b.repo, &(struct backup_wish){ .source = &b.config->sources[0], .kind = "full" },
                   &hooks, &b.result, &b.err),
        DR_E_CANCELLED);
    assert_int_equal(store_list(repo_bucket(b.repo, 0)->store, NAMES_SNAPSHOTS, &names, &b.err),
                     DR_OK);
    assert_int_equal(names.count, 0);
    text_list_fini(&names);
    bench_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(odd_tree_comes_back_by_the_shell_lines_of_the_page),
        cmocka_unit_test(many_files_come_back_from_several_packs_and_segments),
        cmocka_unit_test(long_lists_lie_in_packs_and_are_followed),
        cmocka_unit_test(stock_tools_accept_every_pack),
        cmocka_unit_test(openssl_accepts_the_signature_as_the_page_says),
        cmocka_unit_test(libarchive_reads_the_stream_to_its_end),
        cmocka_unit_test(own_restore_equals_the_source),
        cmocka_unit_test(a_small_snapshot_is_one_pack_and_one_object),
        cmocka_unit_test(equal_files_are_stored_once),
        cmocka_unit_test(a_second_run_uses_no_name_of_the_first),
        cmocka_unit_test(excluded_names_and_sockets_stay_out_without_a_warning),
        cmocka_unit_test(a_full_bucket_drops_out_and_is_named),
        cmocka_unit_test(a_bucket_full_at_any_write_is_named_and_the_other_has_all),
        cmocka_unit_test(a_home_that_fails_at_any_put_leaves_no_snapshot_without_packs),
        cmocka_unit_test(a_run_that_no_bucket_takes_fails_with_the_reason),
        cmocka_unit_test(packs_condemned_meanwhile_are_not_made_visible),
        cmocka_unit_test(a_missing_source_is_named),
        cmocka_unit_test(a_kind_that_nobody_knows_is_refused),
        cmocka_unit_test(a_file_that_shrinks_keeps_its_size_and_draws_a_warning),
        cmocka_unit_test(what_cannot_be_read_is_told_and_passed_over),
        cmocka_unit_test(a_cancelled_run_shows_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
