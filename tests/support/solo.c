/*
 * solo.c - one source, one bucket: made, backed up, restored, compared.
 */
#include "tests/support/solo.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "tests/support/tree.h"

static void on_warning(void *arg, const char *line)
{
    text_list_add(&((struct solo *)arg)->warnings, line);
}

void solo_open(struct solo *w)
{
    DR_FREE char *path = dr_strf("%s/dr.yaml", w->dir);
    struct diag d = { 0 };
    assert_int_equal(config_load(path, &d, &w->config, &w->err), DR_OK);
    diag_fini(&d);
    assert_int_equal(
        repo_open(w->config, &(struct repo_options){ .dark_count = 0 }, &w->repo, &w->err), DR_OK);
}

void solo_init(struct solo *w)
{
    *w = (struct solo){ .dir = tree_temp() };
    w->source = dr_strf("%s/source", w->dir);
    w->target = dr_strf("%s/target", w->dir);
    DR_FREE char *bucket = dr_strf("%s/us", w->dir);
    DR_FREE char *path = dr_strf("%s/dr.yaml", w->dir);
    assert_int_equal(mkdir(w->source, 0755), 0);
    assert_int_equal(mkdir(bucket, 0755), 0);
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    buf_addf(&text,
             "disaster_recovery:\n  backup_policy:\n"
             "    full_backup: {frequency: daily, retention: 30d}\n"
             "sources:\n  - {name: app, path: %s, class: data}\nstate_dir: %s/state\n"
             "buckets:\n  - {name: us, url: \"file://%s\", region: r}\n",
             w->source, w->dir, bucket);
    assert_int_equal(fs_replace(w->dir, "dr.yaml", text.data, text.len, &w->err), DR_OK);
    struct diag d = { 0 };
    assert_int_equal(config_load(path, &d, &w->config, &w->err), DR_OK);
    diag_fini(&d);
    assert_int_equal(repo_init(w->config, &w->err), DR_OK);
    assert_int_equal(
        repo_open(w->config, &(struct repo_options){ .dark_count = 0 }, &w->repo, &w->err), DR_OK);
}

void solo_fini(struct solo *w)
{
    repo_close(w->repo);
    config_free(w->config);
    text_list_fini(&w->warnings);
    backup_result_fini(&w->result);
    tree_remove(w->dir);
    free(w->source);
    free(w->target);
    free(w->dir);
}

enum dr_rc solo_backup(struct solo *w, struct backup_wish wish)
{
    struct work_hooks hooks = { .warning = on_warning, .arg = w };
    wish.source = &w->config->sources[0];
    wish.kind = "full";
    backup_result_fini(&w->result);
    text_list_fini(&w->warnings);
    return backup_run(w->repo, &wish, &hooks, &w->result, &w->err);
}

void solo_must_backup(struct solo *w)
{
    if (solo_backup(w, (struct backup_wish){ .inline_work = true }) != DR_OK)
        fail_msg("%s", w->err.msg);
}

void solo_must_restore(struct solo *w)
{
    struct snapshot_info info;
    struct restore_result r = { 0 };
    if (repo_find(w->repo, w->result.id, "app", &info, &w->err) != DR_OK)
        fail_msg("%s", w->err.msg);
    if (restore_run(w->repo, &info, &(struct restore_options){ .to = w->target }, NULL, &r,
                    &w->err) != DR_OK)
        fail_msg("%s", w->err.msg);
    snapshot_info_fini(&info);
}

void solo_expect_restored(struct solo *w)
{
    DR_CLEANUP(buf_fini) struct buf differences = { 0 };
    solo_must_restore(w);
    if (tree_diff(w->source, w->target, &differences) != 0)
        fail_msg("%s", differences.data);
}

void solo_put(const struct solo *w, const char *name, const char *text)
{
    DR_FREE char *path = dr_strf("%s/%s", w->source, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

void solo_put_large(const struct solo *w, const char *name, size_t size)
{
    int fd = open(w->source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    tree_write(fd, name, 7, size);
    close(fd);
}
