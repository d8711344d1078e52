/*
 * Requests and money: what was asked is remembered, bounded, and lost without harm; a month is that times a
 * rate; prices are read exactly; a region that is required makes a backup degraded while it has no copy. And what
 * was learnt of latencies is known to the next process.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/work/costs.h"
#include "backup/work/durable.h"
#include "backup/work/hedge.h"
#include "backup/work/hedge_keep.h"
#include "backup/work/memo.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "tests/support/fault.h"
#include "tests/support/site.h"
#include "tests/support/tree.h"

enum { DAY_S = 86400, NOW_S = 1800000000 };

static char *top; /* a STATE_DIR, new for each fact */

static int set_up(void **state)
{
    (void)state;
    top = tree_temp();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tree_remove(top);
    free(top);
    return 0;
}

static struct costs one(struct costs_row *row, const char *bucket, uint64_t puts)
{
    *row = (struct costs_row){
        .n = { .puts = puts, .gets = 2 * puts, .lists = 1, .bytes_out = 1000 * puts }
    };
    snprintf(row->bucket, sizeof(row->bucket), "%s", bucket);
    return (struct costs){ .rows = row, .count = 1 };
}

static enum dr_rc note(const char *verb, const char *bucket, int64_t at_s, uint64_t puts)
{
    struct costs_row row;
    struct dr_err err = { 0 };
    const struct costs c = one(&row, bucket, puts);
    return costs_write(top, verb, at_s, &c, &err);
}

static struct store_counts sum_of(const struct costs *c, const char *bucket, const char *verb)
{
    struct store_counts sum = { 0 };
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->rows[i].bucket, bucket) == 0 &&
            (verb == NULL || strcmp(c->rows[i].verb, verb) == 0))
            costs_sum(&sum, &c->rows[i].n);
    return sum;
}

static void read_month(struct costs *ret)
{
    struct dr_err err = { 0 };
    if (costs_read(top, NOW_S - 30 * DAY_S, NOW_S, ret, &err) != DR_OK)
        fail_msg("%s", err.msg);
}

/* The file itself. */
static void rewrite(const char *text)
{
    struct dr_err err = { 0 };
    assert_int_equal(memo_replace(top, "costs", text, strlen(text), &err), DR_OK);
}

/* -- remembered -------------------------------------------------------------------------------- */

static void what_was_asked_is_known_by_bucket_and_verb(void **state)
{
    (void)state;
    DR_CLEANUP(costs_fini) struct costs c = { 0 };
    read_month(&c);
    assert_int_equal(c.count, 0); /* nothing was ever asked: no error */
    assert_int_equal(note("backup", "us", NOW_S - 40 * DAY_S, 1000), DR_OK); /* too long ago */
    assert_int_equal(note("backup", "us", NOW_S - 3 * DAY_S, 10), DR_OK);
    assert_int_equal(note("backup", "us", NOW_S - 2 * DAY_S, 5), DR_OK);
    assert_int_equal(note("restore", "us", NOW_S - DAY_S, 1), DR_OK);
    assert_int_equal(note("backup", "eu", NOW_S - DAY_S, 7), DR_OK);
    assert_int_equal(note("backup", "eu", NOW_S + DAY_S, 100),
                     DR_OK); /* of a clock that was wrong */
    costs_fini(&c);
    read_month(&c);
    assert_int_equal(sum_of(&c, "us", "backup").puts, 15);
    assert_int_equal(sum_of(&c, "us", NULL).puts, 16);
    assert_int_equal(sum_of(&c, "us", NULL).bytes_out, 16000);
    assert_int_equal(sum_of(&c, "eu", NULL).puts, 7);
    assert_int_equal(c.first_s, NOW_S - 40 * DAY_S);
}

static void a_month_is_thirty_days_at_the_rate_that_is_known(void **state)
{
    (void)state;
    struct costs_month m;
    DR_CLEANUP(costs_fini) struct costs c = { 0 };
    assert_int_equal(note("backup", "us", NOW_S - 3600, 10), DR_OK);
    read_month(&c);
    costs_month(&c, "us", NOW_S, &m);
    assert_int_equal(m.known_s, 3600);
    assert_false(m.projected); /* an hour is no rate */
    assert_int_equal(m.month.puts, 0);
    costs_fini(&c);
    rewrite("");
    assert_int_equal(note("backup", "us", NOW_S - 3 * DAY_S, 10), DR_OK);
    read_month(&c);
    costs_month(&c, "us", NOW_S, &m);
    assert_true(m.projected);
    assert_int_equal(m.seen.puts, 10);
    assert_int_equal(m.month.puts, 100);
    costs_month(&c, "eu", NOW_S, &m); /* known as long, and asked nothing */
    assert_true(m.projected);
    assert_int_equal(m.month.puts, 0);
    costs_fini(&c);
    rewrite("");
    assert_int_equal(note("backup", "us", NOW_S - 50 * DAY_S, 99), DR_OK);
    assert_int_equal(note("backup", "us", NOW_S - DAY_S, 8), DR_OK);
    read_month(&c);
    costs_month(&c, "us", NOW_S, &m);
    assert_int_equal(m.known_s, 30 * DAY_S);
    assert_int_equal(m.month.puts, 8);
}

static void damaged_lines_are_passed_over(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "costs1",
        "costs2 1799999000 backup us 1 1 1 1 1 1 1 1",
        "costs1 x backup us 1 1 1 1 1 1 1 1",
        "costs1 1799999000 backup us 1 1 1 1 1 1 1",
        "costs1 1799999000 backup us 1 1 1 1 1 1 1 1 1",
        "costs1 1799999000 backup us 1 1 1 1 1 1 1 -1",
        "costs1 1799999000 backup us 1 1 1 1 1 1 1 99999999999999999999999",
        "costs1 99999999999999999999 backup us 1 1 1 1 1 1 1 1",
        "costs1  backup us 1 1 1 1 1 1 1 1",
        "\x01\x02\xff",
    };
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    DR_CLEANUP(costs_fini) struct costs c = { 0 };
    for (size_t i = 0; i < DR_ARRAY_LEN(bad); i++)
        buf_addf(&text, "%s\n", bad[i]);
    DR_FREE char *name = dr_alloc(301, 1);
    memset(name, 'n', 300);
    buf_addf(&text, "costs1 1799999000 backup %s 1 1 1 1 1 1 1 1\n", name);
    buf_adds(&text, "costs1 1799999000 backup us 1 2 3 4 5 6 7 8\n");
    buf_adds(&text, "costs1 1799999000 backup us 1 1"); /* a death */
    rewrite(text.data);
    assert_int_equal(note("backup", "us", NOW_S - 10, 100), DR_OK);
    read_month(&c);
    assert_int_equal(c.count, 1);
    assert_int_equal(sum_of(&c, "us", NULL).puts, 102);
    assert_int_equal(sum_of(&c, "us", NULL).retries, 8);
}

static uint64_t size_of_file(void)
{
    struct stat st;
    DR_FREE char *path = dr_strf("%s/memo/costs", top);
    assert_int_equal(stat(path, &st), 0);
    return (uint64_t)st.st_size;
}

/* As after years of a backup every five minutes. */
static void fill(uint64_t bytes)
{
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    const int64_t lines =
        (int64_t)(bytes / strlen("costs1 1800000000 backup us 1 1 0 0 0 0 0 0\n"));
    for (int64_t i = lines; i >= 0; i--)
        buf_addf(&text, "costs1 %" PRId64 " backup us 1 1 0 0 0 0 0 0\n", NOW_S - 1 - i * 300);
    rewrite(text.data);
}

static void the_file_stays_small_and_the_month_is_kept(void **state)
{
    (void)state;
    DR_CLEANUP(costs_fini) struct costs before = { 0 };
    DR_CLEANUP(costs_fini) struct costs after = { 0 };
    fill(COSTS_LOG_BYTES);
    read_month(&before);
    assert_true(before.count == 1 && before.rows[0].n.puts > 30 * 288 - 10);
    assert_int_equal(note("backup", "us", NOW_S, 1), DR_OK);
    assert_true(size_of_file() < 8192); /* a line a day */
    read_month(&after);
    uint64_t kept = sum_of(&after, "us", NULL).puts, had = before.rows[0].n.puts + 1;
    assert_in_range(kept, had - 288, had + 288); /* to a day: where it begins is that day's line */
    struct costs_month m;
    costs_month(&after, "us", NOW_S, &m);
    assert_int_equal(m.known_s, 30 * DAY_S);
}

/* More buckets than fit: the newest days stay. */
static void what_does_not_fit_is_forgotten_from_the_oldest(void **state)
{
    (void)state;
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    DR_CLEANUP(costs_fini) struct costs c = { 0 };
    for (int day = 61; day >= 1; day--)
        for (int b = 0; text.len <= COSTS_LOG_BYTES + 4096 && b < 400; b++)
            buf_addf(&text, "costs1 %d backup bucket-of-a-long-name-%d 1 1 0 0 0 0 0 0\n",
                     NOW_S - day * DAY_S, b);
    rewrite(text.data);
    assert_int_equal(note("backup", "us", NOW_S, 1), DR_OK);
    assert_true(size_of_file() <= COSTS_LOG_BYTES / 2);
    read_month(&c);
    assert_int_equal(sum_of(&c, "us", NULL).puts, 1);
}

/* -- lost ------------------------------------------------------------------------------------------ */

/* Nothing between the old file and the new one: what was known is known, or is known with one more. */
static void assert_old_or_new(uint64_t old, const char *when, unsigned n)
{
    DR_CLEANUP(costs_fini) struct costs c = { 0 };
    read_month(&c);
    uint64_t puts = sum_of(&c, "us", NULL).puts;
    if (puts != old && puts != old + 3)
        fail_msg("%s, call %u: %" PRIu64 " puts, there were %" PRIu64, when, n, puts, old);
    assert_int_equal(note("backup", "us", NOW_S - 1, 5), DR_OK);
    DR_CLEANUP(costs_fini) struct costs again = { 0 };
    read_month(&again);
    assert_int_equal(sum_of(&again, "us", NULL).puts, puts + 5);
}

static bool write_with(enum fault_kind kind, unsigned n)
{
    bool fired = false;
    int status = 0;
    if (kind != FAULT_DIE_BEFORE && kind != FAULT_DIE_AFTER) {
        fault_arm(kind, n);
        enum dr_rc rc = note("backup", "us", NOW_S - 1, 3);
        fired = fault_disarm();
        assert_true(fired || rc == DR_OK);
        assert_int_equal(fault_open_fds(), 0);
        return fired;
    }
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        fault_arm(kind, n);
        (void)note("backup", "us", NOW_S - 1, 3); /* looked at by the parent */
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) && WEXITSTATUS(status) == 99;
}

static void sweep(uint64_t bytes)
{
    static const enum fault_kind kinds[] = { FAULT_ERRNO, FAULT_SHORT, FAULT_DIE_BEFORE,
                                             FAULT_DIE_AFTER };
    for (size_t k = 0; k < DR_ARRAY_LEN(kinds); k++) {
        bool fired = true;
        for (unsigned n = 1; fired; n++) {
            DR_CLEANUP(buf_fini) struct buf text = { 0 };
            for (int i = 0; i == 0 || text.len < bytes; i++)
                buf_addf(&text, "costs1 %d backup us 1 1 0 0 0 0 0 0\n", NOW_S - 2 * DAY_S);
            rewrite(text.data);
            DR_CLEANUP(costs_fini) struct costs c = { 0 };
            read_month(&c);
            fired = write_with(kinds[k], n);
            assert_old_or_new(sum_of(&c, "us", NULL).puts, bytes > 0 ? "shorten" : "append", n);
            assert_true(n < 60);
        }
    }
}

static void the_log_survives_death_at_every_call(void **state)
{
    (void)state;
    sweep(0);
}

static void shortening_survives_death_at_every_call(void **state)
{
    (void)state;
    sweep(COSTS_LOG_BYTES);
}

static void without_a_state_directory_nothing_is_made(void **state)
{
    (void)state;
    struct costs_row row;
    struct dr_err err = { 0 };
    DR_CLEANUP(costs_fini) struct costs c = { 0 };
    const struct costs asked = one(&row, "us", 1);
    DR_FREE char *none = dr_strf("%s/not/there", top);
    assert_int_equal(costs_write(none, "backup", NOW_S, &asked, &err), DR_E_NOTFOUND);
    assert_int_equal(access(none, F_OK), -1);
    assert_int_equal(costs_read(none, 0, NOW_S, &c, &err), DR_OK);
    assert_int_equal(c.count, 0);
}

/* -- of a repository --------------------------------------------------------------------------------- */

static void requests_of_a_run_are_written_down_at_its_end(void **state)
{
    (void)state;
    struct site site;
    struct snapshot_info info = { 0 };
    struct dr_err err = { 0 };
    DR_CLEANUP(costs_fini) struct costs before = { 0 };
    DR_CLEANUP(costs_fini) struct costs now = { 0 };
    DR_CLEANUP(costs_fini) struct costs kept = { 0 };
    site_make(&site);
    site_fill(&site);
    site_backup(&site, &info);
    struct repo *r = site_open(&site);
    costs_keep(r, "verify");
    struct snapshot_list list = { 0 };
    costs_now(r, &before);
    assert_int_equal(repo_snapshots(r, NULL, &list, &err), DR_OK);
    costs_now(r, &now);
    struct store_counts all = now.rows[0].n;
    costs_less(&now, &before);
    costs_note(site.config, "status", repo_bucket(r, 1)->store);
    assert_int_equal(now.count, SITE_BUCKETS);
    assert_string_equal(now.rows[1].bucket, "eu");
    assert_true(now.rows[0].n.lists > 0);
    assert_int_equal(now.rows[0].n.puts, 0);
    assert_int_equal(all.gets, now.rows[0].n.gets + before.rows[0].n.gets);
    snapshot_list_fini(&list);
    repo_close(r);
    assert_int_equal(costs_read(site.config->state_dir, 0, INT64_MAX / 4, &kept, &err), DR_OK);
    assert_int_equal(kept.count, SITE_BUCKETS + 1);
    struct store_counts us = sum_of(&kept, "us", "verify");
    assert_int_equal(costs_requests(&us), costs_requests(&all));
    assert_true(sum_of(&kept, "eu", "status").lists > 0);
    snapshot_info_fini(&info);
    site_drop(&site);
}

/* -- prices ------------------------------------------------------------------------------------------- */

static struct config *load(const char *prices)
{
    struct config *c = NULL;
    struct dr_err err = { 0 };
    DR_CLEANUP(diag_fini) struct diag d = { 0 };
    DR_FREE char *text = dr_strf(
        "sources: [{name: app, path: /srv/app}]\n"
        "buckets:\n"
        "  - {name: us, url: \"s3://backup\", region: us-east-1}\n"
        "  - {name: eu, url: \"s3://backup?endpoint=https://s3.eu.example.net:8443\", region: "
        "eu-west-1}\n"
        "  - {name: ap, url: \"file:///backup\", region: ap-southeast-1}\n"
        "%s",
        prices);
    DR_FREE char *path = dr_strf("%s/dr.yaml", top);
    assert_int_equal(fs_replace(top, "dr.yaml", text, strlen(text), &err), DR_OK);
    if (config_load(path, &d, &c, &err) != DR_OK) {
        DR_CLEANUP(buf_fini) struct buf out = { 0 };
        diag_print(&d, &out);
        fail_msg("%s", out.data);
    }
    return c;
}

static const struct config_tariff *tariff(const struct config *c, const char *bucket)
{
    return config_tariff(&c->prices, config_bucket(c, bucket));
}

static void prices_are_read_exactly_and_what_is_not_said_is_not_known(void **state)
{
    (void)state;
    struct config *c = load("prices:\n"
                            "  currency: USD\n"
                            "  tariffs:\n"
                            "    - {region: us-east-1, put_per_1000: 0.005, get_per_1000: 0.0004,\n"
                            "       egress_per_gb: 0}\n");
    const struct config_tariff *t = tariff(c, "us");
    assert_string_equal(c->prices.currency, "USD");
    assert_true(t->put.known && t->put.nano == 5000000);
    assert_true(t->get.known && t->get.nano == 400000);
    assert_true(t->egress.known && t->egress.nano == 0); /* free, and known to be */
    assert_false(t->list.known);
    assert_false(t->storage.known);
    assert_null(tariff(c, "eu"));
    config_free(c);
    c = load("");
    assert_null(c->prices.currency);
    assert_null(tariff(c, "us"));
    config_free(c);
}

static void the_nearest_tariff_counts(void **state)
{
    (void)state;
    struct config *c = load("prices:\n"
                            "  currency: EUR\n"
                            "  tariffs:\n"
                            "    - {region: eu-west-1, put_per_1000: 1}\n"
                            "    - {host: example.net, put_per_1000: 2}\n"
                            "    - {host: eu.example.net, put_per_1000: 3}\n"
                            "    - {host: le.net, put_per_1000: 9}\n"
                            "    - {host: amazonaws.com, put_per_1000: 4}\n"
                            "    - {bucket: ap, put_per_1000: 123456789.123456789}\n"
                            "    - {region: ap-southeast-1, put_per_1000: 6}\n");
    assert_int_equal(tariff(c, "eu")->put.nano, 3000000000);
    assert_int_equal(tariff(c, "us")->put.nano, 4000000000);
    assert_int_equal(tariff(c, "ap")->put.nano, 123456789123456789);
    config_free(c);
}

/* -- required regions ------------------------------------------------------------------------------------ */

static void required_regions_count_beside_the_number_of_copies(void **state)
{
    (void)state;
    struct config *c = load("disaster_recovery:\n"
                            "  backup_policy: {require: [eu-west-1, eu-west-1]}\n");
    static const struct {
        bool has[3];
        bool enough;
        size_t lacks;
    } cases[] = {
        { { false, false, false }, false, 1 }, { { true, false, false }, false, 1 },
        { { true, false, true }, false, 1 }, /* two of three, and the one that counts is not there */
        { { false, true, false }, false, 0 },  { { true, true, false }, true, 0 },
        { { true, true, true }, true, 0 },
    };
    assert_int_equal(durable_wanted(c), 2);
    for (size_t i = 0; i < DR_ARRAY_LEN(cases); i++) {
        DR_CLEANUP(text_list_fini) struct text_list lacks = { 0 };
        durable_lacks(c, cases[i].has, &lacks);
        assert_int_equal(durable_enough(c, cases[i].has), cases[i].enough);
        assert_int_equal(lacks.count, cases[i].lacks);
    }
    config_free(c);
}

static void a_backup_without_its_required_region_says_so(void **state)
{
    (void)state;
    for (int away = 0; away < 2; away++) {
        struct site site;
        struct snapshot_info info = { 0 };
        struct dr_err err = { 0 };
        DR_CLEANUP(backup_result_fini) struct backup_result result = { 0 };
        site_make(&site);
        site_fill(&site);
        site_backup(&site, &info);
        text_list_add(&site.config->require, "eu-west-1");
        DR_FREE char *gone = dr_strf("%s.gone", site.bucket[1]);
        if (away)
            assert_int_equal(rename(site.bucket[1], gone), 0);
        struct repo *r = site_open(&site);
        const struct backup_wish wish = { .source = &site.config->sources[0] };
        if (backup_run(r, &wish, &site.hooks, &result, &err) != DR_OK)
            fail_msg("%s", err.msg);
        repo_close(r);
        assert_int_equal(result.wanted, 1);
        assert_int_equal(result.copies, away ? 1 : 2);
        assert_int_equal(result.lacking.count, away);
        if (away)
            assert_string_equal(result.lacking.items[0], "eu-west-1");
        snapshot_info_fini(&info);
        site_drop(&site);
    }
}

/* -- latencies --------------------------------------------------------------------------------------------- */

static void what_was_learnt_of_a_bucket_is_known_to_the_next_process(void **state)
{
    (void)state;
    enum { MIB = 1 << 20 };
    struct config *c = load("");
    struct hedge *first = hedge_new(3), *next = hedge_new(3);
    DR_CLEANUP(buf_fini) struct buf text = { 0 };
    assert_false(hedge_has_news(first));
    for (int64_t ms = 1; ms <= 100; ms++)
        hedge_answered(first, 0, MIB, ms * 10);
    hedge_answered(first, 2, 10, 70);
    assert_true(hedge_has_news(first));
    hedge_keep_print(first, c, &text);
    hedge_keep_parse(next, c, text.data, text.len);
    assert_int_equal(hedge_delay_ms(next, 0, MIB), hedge_delay_ms(first, 0, MIB));
    assert_int_equal(hedge_delay_ms(next, 1, MIB), HEDGE_UNKNOWN_MS);
    assert_false(hedge_has_news(next)); /* nothing that is not in the file */
    uint32_t ms[HEDGE_SAMPLES];
    assert_int_equal(hedge_samples(next, 0, 1, ms), HEDGE_SAMPLES);
    assert_int_equal(ms[0], 370); /* the oldest of them first */
    assert_int_equal(hedge_samples(next, 2, 0, ms), 1);
    assert_int_equal(ms[0], 70);
    hedge_free(first);
    hedge_free(next);
    config_free(c);
}

static void odd_lines_of_latencies_teach_nothing(void **state)
{
    (void)state;
    uint32_t ms[HEDGE_SAMPLES];
    struct config *c = load("");
    struct hedge *h = hedge_new(3), *other = hedge_new(3);
    DR_CLEANUP(buf_fini) struct buf good = { 0 };
    hedge_answered(other, 0, 10, 5);
    hedge_keep_print(other, c, &good);
    good.data[good.len - 1] = '\0'; /* one line: "latency1 us-XXXXXXXX 0 5" */
    DR_FREE char *text =
        dr_strf("\n\nlatency1 \nlatency1 us 0 5\nlatency1 us-00000000 0 5\n%.*s\n"
                "%.*s4 5\n%.*s0 x 5\nlatency2%s\n%s 99999999 5\n",
                20, good.data, 21, good.data, 21, good.data, good.data + 8, good.data);
    hedge_keep_parse(h, c, text, strlen(text));
    assert_int_equal(hedge_samples(h, 0, 0, ms), 1); /* of the last line what stands before */
    hedge_free(h);
    hedge_free(other);
    config_free(c);
}

static void a_repository_that_read_leaves_its_latencies(void **state)
{
    (void)state;
    struct site site;
    struct snapshot_info info = { 0 };
    struct restore_result restored;
    struct dr_err err = { 0 };
    const struct restore_options o = { .threads = 2 };
    site_make(&site);
    site_fill(&site);
    site_backup(&site, &info);
    DR_FREE char *path = dr_strf("%s/memo/latency", site.config->state_dir);
    struct repo *r = site_open(&site);
    hedge_keep(r);
    repo_close(r);
    assert_int_equal(access(path, F_OK), -1); /* it has read nothing */
    r = site_open(&site);
    hedge_keep(r);
    struct restore_options to = o;
    to.to = site.target;
    if (restore_run(r, &info, &to, &site.hooks, &restored, &err) != DR_OK)
        fail_msg("%s", err.msg);
    bool learnt = hedge_has_news(repo_hedge(r));
    repo_close(r);
    assert_int_equal(access(path, F_OK), learnt ? 0 : -1);
    snapshot_info_fini(&info);
    site_drop(&site);
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    site_without_waiting();
    const struct CMUnitTest tests[] = {
        FRESH(what_was_asked_is_known_by_bucket_and_verb),
        FRESH(a_month_is_thirty_days_at_the_rate_that_is_known),
        FRESH(damaged_lines_are_passed_over),
        FRESH(the_file_stays_small_and_the_month_is_kept),
        FRESH(what_does_not_fit_is_forgotten_from_the_oldest),
        FRESH(the_log_survives_death_at_every_call),
        FRESH(shortening_survives_death_at_every_call),
        FRESH(without_a_state_directory_nothing_is_made),
        FRESH(requests_of_a_run_are_written_down_at_its_end),
        FRESH(prices_are_read_exactly_and_what_is_not_said_is_not_known),
        FRESH(the_nearest_tariff_counts),
        FRESH(required_regions_count_beside_the_number_of_copies),
        FRESH(a_backup_without_its_required_region_says_so),
        FRESH(what_was_learnt_of_a_bucket_is_known_to_the_next_process),
        FRESH(odd_lines_of_latencies_teach_nothing),
        FRESH(a_repository_that_read_leaves_its_latencies),
    };
    return cmocka_run_group_tests_name("costs", tests, NULL, NULL);
}
