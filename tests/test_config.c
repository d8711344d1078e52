/*
 * test_config.c - the configuration: every mistake in its words at its place, every value with its
 * type, and nothing that a damaged file could do to the reader.
 *
 * tests/golden/config/NAME.yaml is read, and what the reader says (findings, then the error) must
 * equal NAME.out. With GOLDEN_WRITE=1 in the environment the .out files are written instead: look
 * at the difference before it is committed.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/config/review.h"
#include "dr/config/rights.h"

static const char golden_dir[] = "tests/golden/config";

struct loaded_file {
    struct diag d;
    struct config *c; /* NULL after an error */
    struct dr_err err;
    enum dr_rc rc;
};

static void unload(struct loaded_file *f)
{
    diag_fini(&f->d);
    config_free(f->c);
}

static struct loaded_file load(const char *path)
{
    struct loaded_file f = { 0 };
    f.rc = config_load(path, &f.d, &f.c, &f.err);
    assert_true((f.rc == DR_OK) == (f.c != NULL));
    return f;
}

/* The file of a test, in a directory of its own. */
struct scratch {
    char dir[64];
    char path[96];
};

static struct scratch scratch_with(const char *bytes, size_t len)
{
    struct scratch s;
    const char *tmp = getenv("TMPDIR");
    snprintf(s.dir, sizeof(s.dir), "%s/config-XXXXXX",
             tmp != NULL && strlen(tmp) < 40 ? tmp : "/tmp");
    assert_non_null(mkdtemp(s.dir));
    snprintf(s.path, sizeof(s.path), "%s/dr.yaml", s.dir);
    struct dr_err err;
    assert_int_equal(fs_replace(s.dir, "dr.yaml", bytes, len, &err), DR_OK);
    return s;
}

static void scratch_remove(const struct scratch *s)
{
    struct dr_err err;
    assert_int_equal(fs_remove_tree(s->dir, &err), DR_OK);
}

static struct loaded_file load_text(const char *text)
{
    struct scratch s = scratch_with(text, strlen(text));
    struct loaded_file f = load(s.path);
    scratch_remove(&s);
    return f;
}

/* ---- golden files ---------------------------------------------------------------------------- */

static void add_outcome(struct loaded_file *f, struct buf *out)
{
    diag_print(&f->d, out);
    if (f->rc != DR_OK)
        buf_addf(out, "%s: %s\n", dr_rc_name(f->rc), f->err.msg);
    else
        buf_addf(out, "loaded\n");
}

static int is_case(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot != NULL && strcmp(dot, ".yaml") == 0;
}

/* What differs is added to bad. */
static void try_golden(const char *name, struct buf *bad)
{
    struct loaded_file f = load(name);
    DR_CLEANUP(buf_fini) struct buf said = { 0 }, wanted = { 0 };
    add_outcome(&f, &said);
    unload(&f);
    DR_FREE char *out = dr_strf("%.*s.out", (int)(strlen(name) - strlen(".yaml")), name);
    struct dr_err err;
    if (getenv("GOLDEN_WRITE") != NULL) {
        assert_int_equal(fs_replace(".", out, said.data, said.len, &err), DR_OK);
        assert_int_equal(chmod(out, 0644), 0);
        return;
    }
    if (fs_read_file(out, 1 << 20, &wanted, &err) != DR_OK)
        buf_addf(bad, "%s\n", err.msg);
    else if (strcmp(said.data, wanted.data) != 0)
        buf_addf(bad, "%s\n--- said\n%s--- wanted\n%s", name, said.data, wanted.data);
}

static void each_mistake_is_told_in_its_words_at_its_place(void **state)
{
    (void)state;
    char *cwd = getcwd(NULL, 0);
    DR_CLEANUP(buf_fini) struct buf bad = { 0 };
    struct dirent **cases;
    int count = scandir(golden_dir, &cases, is_case, alphasort);
    assert_true(count >= 25);
    assert_int_equal(chdir(golden_dir), 0);
    for (int i = 0; i < count; i++) {
        try_golden(cases[i]->d_name, &bad);
        free(cases[i]);
    }
    free(cases);
    assert_int_equal(chdir(cwd), 0);
    free(cwd);
    if (bad.len > 0)
        fail_msg("%s", bad.data);
}

/* ---- values ---------------------------------------------------------------------------------- */

static void the_smallest_configuration_has_no_finding_and_every_default(void **state)
{
    (void)state;
    struct loaded_file f = load("tests/golden/config/00-smallest.yaml");
    assert_int_equal(f.d.count, 0);
    const struct config *c = f.c;
    assert_int_equal(c->path[0], '/');
    assert_true(c->full.given);
    assert_false(c->incremental.given);
    assert_int_equal(c->full.frequency_ms, 86400000);
    assert_int_equal(c->full.retention_ms, INT64_C(30) * 86400000);
    assert_int_equal(c->source_count, 1);
    assert_string_equal(c->sources[0].class, "data");
    assert_null(c->sources[0].sentinel);
    assert_int_equal(c->sources[0].at.line, 5);
    assert_int_equal(c->bucket_count, 2);
    assert_string_equal(config_bucket(c, "eu")->region, "eu-west-1");
    assert_null(config_bucket(c, "ap"));
    assert_string_equal(c->lease.driver, "file");
    assert_string_equal(c->lease.path, "/var/lib/drctl/leases");
    assert_int_equal(c->lease.hold_ms, 20000);
    assert_int_equal(c->lease.take_ms, 30000);
    assert_int_equal(c->regions.count, 2); /* those of the buckets */
    assert_int_equal(config_rto_ms(c, "hello_failover"), -1);
    unload(&f);
}

static void a_file_with_the_one_block_alone_makes_buckets_of_its_locations(void **state)
{
    (void)state;
    struct loaded_file f = load("tests/golden/config/01-block-alone.yaml");
    const struct config *c = f.c;
    assert_non_null(c);
    assert_int_equal(f.d.errors, 0);
    assert_int_equal(c->bucket_count, 3);
    assert_string_equal(c->buckets[0].name, "us-east-1");
    assert_string_equal(c->buckets[0].url, "s3://backup-us-east-1");
    assert_string_equal(c->buckets[1].region, "eu-west-1");
    assert_string_equal(c->buckets[2].url, "file:///backup/third");
    assert_string_equal(c->buckets[2].region,
                        "us-east-1"); /* not known: the one that is lost first */
    assert_string_equal(c->regions.items[0], "us-east-1");
    assert_string_equal(c->regions.items[1], "eu-west-1"); /* by priority, not by order */
    assert_string_equal(c->regions.items[2], "ap-southeast-1");
    assert_string_equal(c->state_dir, "/var/lib/drctl");
    assert_int_equal(c->person_count, 3);
    assert_string_equal(c->people[2].name, "cem");
    assert_string_equal(c->people[2].role, "dba");
    unload(&f);
}

static void a_dash_and_an_underscore_are_equal_in_the_name_of_a_plan(void **state)
{
    (void)state;
    struct loaded_file f = load("tests/golden/config/01-block-alone.yaml");
    assert_int_equal(config_rto_ms(f.c, "primary_region_failure"), 30 * 60000);
    assert_int_equal(config_rto_ms(f.c, "primary-region-failure"), 30 * 60000);
    assert_int_equal(config_rpo_ms(f.c, "primary-region-failure"), 60 * 60000);
    assert_int_equal(config_rto_ms(f.c, "primary_region"), -1);
    assert_int_equal(config_rpo_ms(f.c, "node_failure"), -1);
    unload(&f);
}

static void the_complete_example_is_accepted(void **state)
{
    (void)state;
    struct loaded_file f = load("conf/dr.yaml");
    assert_non_null(f.c);
    assert_int_equal(f.d.count, 0);
    const struct config *c = f.c;
    const struct config_site *site = config_site(c, "us-east-1");
    assert_string_equal(config_site_field(site, "bmc"), "10.0.0.9");
    assert_string_equal(config_site_field(site, "address"), "192.0.2.10");
    assert_null(config_site_field(site, "adress"));
    assert_string_equal(config_site(c, "eu-west-1")->name, "eu-west-1");
    assert_null(config_site(c, "mars"));
    assert_int_equal(c->probes[0].interval_ms, 1000);
    assert_int_equal(c->probes[0].timeout_ms, 500);
    assert_string_equal(c->sources[0].sentinel, "sentinel.json");
    assert_int_equal(c->sources[0].exclude.count, 2);
    assert_string_equal(c->providers.service_start.items[2], "${unit}");
    assert_int_equal(c->providers.dns_resolvers.count, 2);
    assert_string_equal(c->providers.powerdns_key, "pdns");
    assert_string_equal(c->trusts[0].source, "config-db");
    assert_true(config_is_region(c, "ap-southeast-1"));
    assert_false(config_is_region(c, "ap-southeast-2"));
    assert_int_equal(c->person_count, 5);
    assert_true(c->people_at.line > 1);
    unload(&f);
}

/* By whose right a bucket is opened, as text. */
static const char *right_of(const struct config *c, const char *bucket, bool guard)
{
    const struct config_credentials *by = config_bucket_rights(c, config_bucket(c, bucket), guard);
    return by->profile != NULL ? by->profile : by->access_key != NULL ? by->access_key : "-";
}

static void a_rehearsal_reads_by_rights_of_its_own_where_there_are_some(void **state)
{
    (void)state;
    struct loaded_file f = load("conf/dr.yaml");
    assert_non_null(f.c);
    assert_false(f.c->rehearsal);
    const struct config drill = config_rehearsing(f.c);
    assert_string_equal(right_of(f.c, "eu", false), "drctl");
    assert_string_equal(right_of(f.c, "eu", true), "drctl-guard");
    assert_string_equal(right_of(&drill, "eu", false), "drctl-drill");
    assert_string_equal(right_of(&drill, "eu", true), "drctl-drill"); /* nobody deletes in it */
    assert_string_equal(right_of(&drill, "ap", false), "s3-drill-id");
    assert_string_equal(right_of(&drill, "us", true), right_of(f.c, "us", false));
    assert_string_equal(config_powerdns_rights(f.c), "pdns");
    assert_string_equal(config_powerdns_rights(&drill), "pdns-drill");
    assert_string_equal(config_haproxy_rights(f.c), "/run/haproxy/admin.sock");
    assert_string_equal(config_haproxy_rights(&drill), "/run/haproxy/user.sock");
    unload(&f);
    f = load_text("providers: {haproxy: {socket: /a}, powerdns: {url: \"http://x\", key: k}}\n"
                  "secrets: {k: {env: K}}\n"
                  "buckets: [{name: b, url: \"s3://bbb\", region: r, guard: {profile: g}}]\n");
    assert_non_null(f.c);
    const struct config usual = config_rehearsing(f.c);
    assert_string_equal(right_of(&usual, "b", true), "-"); /* the source's, never the guard's */
    assert_string_equal(config_powerdns_rights(&usual), "k");
    assert_string_equal(config_haproxy_rights(&usual), "/a");
    unload(&f);
}

static void probes_take_their_times_from_monitoring_unless_they_say(void **state)
{
    (void)state;
    struct loaded_file f = load_text(
        "disaster_recovery: {monitoring: {health_checks: {interval: 7s, timeout: 3s}}}\n"
        "buckets: [{name: b, url: \"file:///b\", region: r}]\n"
        "health: [{name: a, url: \"http://x/\"}, {name: b, kind: tcp, url: \"h:1\", interval: 1s}]\n");
    assert_non_null(f.c);
    assert_int_equal(f.c->probes[0].interval_ms, 7000);
    assert_int_equal(f.c->probes[1].interval_ms, 1000);
    assert_int_equal(f.c->probes[1].timeout_ms, 3000);
    assert_int_equal(f.c->probes[0].expect, 200);
    assert_int_equal(f.c->probes[0].times, 3);
    assert_string_equal(f.c->probes[0].kind, "http");
    unload(&f);
}

static void a_probe_is_asked_by_those_whom_it_names(void **state)
{
    (void)state;
    struct loaded_file f = load_text("sites: [{name: us, region: r}, {name: eu-a, region: e}, "
                                     "{name: eu-b, region: e}]\n"
                                     "health: [{name: a, url: \"http://x/\", from: [e]}, "
                                     "{name: b, url: \"http://x/\", from: [eu-b]}, "
                                     "{name: c, url: \"http://x/\"}]\n");
    assert_non_null(f.c);
    static const bool wanted[3][3] = { { false, true, true },
                                       { false, false, true },
                                       { true, true, true } };
    for (size_t p = 0; p < 3; p++) {
        for (size_t s = 0; s < 3; s++)
            assert_int_equal(config_is_asked_here(&f.c->sites[s], &f.c->probes[p]), wanted[p][s]);
        assert_true(config_is_asked_here(NULL, &f.c->probes[p]));
    }
    unload(&f);
}

/* ---- sites, channels, drills -------------------------------------------------------------------- */

static void a_host_finds_its_own_site_by_its_name(void **state)
{
    (void)state;
    struct loaded_file f = load("conf/dr.yaml");
    const struct config *c = f.c;
    assert_non_null(c);
    assert_ptr_equal(config_here(c, "eu-db-1"), config_site(c, "eu-west-1"));
    assert_ptr_equal(config_here(c, "eu-db-1.example.com"), config_site(c, "eu-west-1"));
    assert_ptr_equal(config_here(c, "198.51.100.10"), config_site(c, "eu-west-1"));
    assert_null(config_here(c, "198"));
    assert_null(config_here(c, "eu-db-11"));
    assert_null(config_here(c, "laptop"));
    assert_true(config_is_mine(c, config_site(c, "us-east-1"), &c->sources[0]));
    assert_false(config_is_mine(c, config_site(c, "eu-west-1"), &c->sources[0]));
    assert_true(config_is_mine(c, NULL, &c->sources[0]));                        /* one host */
    assert_true(config_is_mine(c, config_site(c, "eu-west-1"), &c->sources[1])); /* no site */
    unload(&f);
    f = load_text("sites: [{region: a, host: one}, {region: b, host: one}]\nhere: b\n");
    assert_string_equal(config_here(f.c, "one")->region, "b");
    unload(&f);
    f = load_text("sites: [{region: a, host: one}, {region: b, host: one}]\n");
    assert_null(config_here(f.c, "one"));
    unload(&f);
    f = load_text("sites: [{region: a}]\n");
    assert_string_equal(config_here(f.c, "anything")->name, "a");
    unload(&f);
    f = load_text("sites: [{region: a, reach: ssh}]\n");
    assert_null(config_here(f.c, "laptop"));
    unload(&f);
}

static void a_site_by_ssh_has_what_ssh_needs(void **state)
{
    (void)state;
    struct loaded_file f = load("conf/dr.yaml");
    const struct config_site *us = config_site(f.c, "us-east-1"),
                             *eu = config_site(f.c, "eu-west-1");
    const struct config_site *ap = config_site(f.c, "ap-southeast-1");
    assert_string_equal(us->ssh.host, "us-db-1.example.com");
    assert_int_equal(us->ssh.port, 22);
    assert_string_equal(us->ssh.program, "/usr/bin/drctl");
    assert_string_equal(eu->reach, "ssh"); /* it has the block */
    assert_string_equal(eu->ssh.host, "198.51.100.10");
    assert_string_equal(eu->ssh.user, "drctl");
    assert_string_equal(eu->ssh.known_hosts, "/etc/drctl/known_hosts");
    assert_string_equal(eu->ssh.program, "drctl");
    assert_int_equal(eu->ssh.port, 0);
    assert_int_equal(eu->ssh.timeout_ms, 10000);
    assert_string_equal(ap->reach, "local");
    assert_null(ap->ssh.host);
    unload(&f);
}

static void a_channel_has_its_kind_and_its_url_wherever_they_are_written(void **state)
{
    (void)state;
    struct scratch s = scratch_with("https://hooks.example/T/B\nmore\n", 31);
    DR_FREE char *text =
        dr_strf("notify: {slack: {url_file: %s}, phone: {command: [/bin/page, now]},\n"
                "  mail: {url: \"smtps://m.example\", from: a@b.c, to: [d@e.f]},\n"
                "  gone: {kind: webhook, url_file: /nowhere/x}}\n",
                s.path);
    struct loaded_file f = load_text(text);
    struct dr_err err;
    char *url = NULL;
    assert_non_null(f.c);
    assert_int_equal(f.c->channel_count, 4);
    const struct config_channel *slack = config_channel(f.c, "slack");
    assert_string_equal(slack->kind, "slack");
    assert_int_equal(config_channel_url(f.c, slack, &url, &err), DR_OK);
    assert_string_equal(url, "https://hooks.example/T/B");
    free(url);
    assert_string_equal(config_channel(f.c, "phone")->kind, "command");
    assert_string_equal(config_channel(f.c, "phone")->command.items[1], "now");
    assert_string_equal(config_channel(f.c, "mail")->kind, "smtp");
    assert_string_equal(config_channel(f.c, "mail")->to.items[0], "d@e.f");
    assert_int_equal(config_channel_url(f.c, config_channel(f.c, "phone"), &url, &err),
                     DR_E_NOTFOUND);
    assert_int_equal(config_channel_url(f.c, config_channel(f.c, "gone"), &url, &err),
                     DR_E_NOTFOUND);
    assert_non_null(strstr(err.msg, "channel 'gone'"));
    assert_null(config_channel(f.c, "pigeon"));
    unload(&f);
    scratch_remove(&s);
}

static bool rests(const struct config *c, int year, int month, int day, int hour, int min)
{
    struct tm tm = {
        .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = hour, .tm_min = min
    };
    return config_blackout(c, &tm) != NULL;
}

static void a_blackout_holds_on_its_days_and_over_midnight(void **state)
{
    (void)state;
    struct loaded_file f = load("conf/dr.yaml");
    const struct config *c = f.c; /* 2026-12-20 to 2027-01-02; fri, sat 22:00-06:00 */
    assert_false(rests(c, 2026, 12, 17, 12, 0)); /* a Thursday */
    assert_true(rests(c, 2026, 12, 20, 0, 0));
    assert_true(rests(c, 2026, 12, 31, 23, 59));
    assert_true(rests(c, 2027, 1, 2, 23, 59));
    assert_false(rests(c, 2027, 1, 3, 7, 0));
    assert_true(rests(c, 2027, 1, 3, 5, 59)); /* Sunday morning is Saturday's night */
    assert_false(rests(c, 2027, 1, 3, 22, 0));
    assert_false(rests(c, 2026, 11, 20, 21, 59)); /* a Friday */
    assert_true(rests(c, 2026, 11, 20, 22, 0));
    assert_true(rests(c, 2026, 11, 21, 5, 59));
    assert_false(rests(c, 2026, 11, 20, 5, 59)); /* Thursday's night */
    assert_false(rests(c, 2026, 11, 21, 6, 0));
    unload(&f);
}

static void words_and_durations_say_how_often(void **state)
{
    (void)state;
    struct loaded_file f = load("conf/dr.yaml");
    const struct config *c = f.c;
    assert_string_equal(c->full.frequency_word, "daily");
    assert_int_equal(c->full.frequency_ms, 86400000);
    assert_null(c->incremental.frequency_word);
    assert_string_equal(c->verification.frequency_word, "weekly");
    assert_int_equal(c->verification.budget_bytes, UINT64_C(10) << 30);
    assert_string_equal(c->drill.frequency_word, "monthly");
    assert_int_equal(c->drill.time_min, 3 * 60 + 30);
    assert_string_equal(c->drill.plans.items[0], "primary_region_failure");
    assert_int_equal(c->sources[0].timeout_ms, 6 * 3600000);
    assert_int_equal(c->sources[1].timeout_ms, CONFIG_JOB_MS);
    assert_string_equal(c->probes[0].from.items[0], "eu-west-1");
    assert_int_equal(c->critical.escalation_ms, 300000);
    assert_string_equal(c->people[0].channel, "pagerduty");
    assert_string_equal(c->people[0].fields[0].name, "phone");
    unload(&f);
    f = load_text("buckets: [{name: b, url: \"file:///b\", region: r}]\n");
    c = f.c;
    assert_string_equal(c->verification.frequency_word, "weekly");
    assert_false(c->verification.given);
    assert_string_equal(c->prune.frequency_word, "daily");
    assert_int_equal(c->preflight_ms, 1800000);
    assert_int_equal(c->status_ms, 60000);
    assert_int_equal(c->failure_threshold, 3);
    assert_int_equal(c->drill.time_min, -1);
    assert_string_equal(c->serve.listen, "127.0.0.1:9188");
    unload(&f);
}

/* ---- secrets --------------------------------------------------------------------------------- */

static void a_secret_comes_from_its_file_or_variable_without_the_last_newline(void **state)
{
    (void)state;
    struct scratch s = scratch_with("s3cret\n", 7);
    DR_FREE char *text = dr_strf("secrets: {a: {file: %s}, b: {env: TEST_CONFIG_SECRET}, "
                                 "c: {env: TEST_CONFIG_NONE}, d: {file: /nowhere/x}}\n",
                                 s.path);
    struct loaded_file f = load_text(text);
    assert_non_null(f.c);
    setenv("TEST_CONFIG_SECRET", "from env", 1);
    unsetenv("TEST_CONFIG_NONE");
    struct dr_err err;
    char *value = NULL;
    assert_int_equal(config_secret(f.c, "a", &value, &err), DR_OK);
    assert_string_equal(value, "s3cret");
    free(value);
    assert_int_equal(config_secret(f.c, "b", &value, &err), DR_OK);
    assert_string_equal(value, "from env");
    free(value);
    assert_int_equal(config_secret(f.c, "c", &value, &err), DR_E_NOTFOUND);
    assert_int_equal(config_secret(f.c, "d", &value, &err), DR_E_NOTFOUND);
    assert_non_null(strstr(err.msg, "secret 'd'"));
    assert_int_equal(config_secret(f.c, "e", &value, &err), DR_E_NOTFOUND);
    unload(&f);
    scratch_remove(&s);
}

/* ---- hostile and broken files ------------------------------------------------------------------ */

static void a_file_that_is_not_there_is_told_with_what_to_do(void **state)
{
    (void)state;
    struct loaded_file f = load("/nowhere/dr.yaml");
    assert_int_equal(f.rc, DR_E_NOTFOUND);
    assert_non_null(strstr(f.err.msg, "/nowhere/dr.yaml"));
    assert_true(f.err.hint[0] != '\0');
    unload(&f);
}

/* The line of the letter at 'at' is taken out: whole blocks come to stand under another key. */
static size_t without_line(char *text, size_t len, size_t at)
{
    size_t begin = at, end = at;
    while (begin > 0 && text[begin - 1] != '\n')
        begin--;
    while (end < len && text[end] != '\n')
        end++;
    end += end < len;
    memmove(text + begin, text + end, len - end);
    return len - (end - begin);
}

static void a_cut_or_changed_file_never_breaks_the_reader(void **state)
{
    (void)state;
    DR_CLEANUP(buf_fini) struct buf bytes = { 0 };
    struct dr_err err;
    assert_int_equal(fs_read_file("conf/dr.yaml", 1 << 20, &bytes, &err), DR_OK);
    uint32_t seed = 0x5eed; /* fixed: the same files in each run */
    size_t good = 0;
    for (int round = 0; round < 600; round++) {
        seed = seed * 1664525u + 1013904223u;
        size_t at = seed % bytes.len;
        DR_FREE char *copy = dr_memdup(bytes.data, bytes.len);
        size_t len = bytes.len;
        if (round % 4 == 0)
            len = at;
        else if (round % 4 == 1)
            copy[at] = (char)(seed >> 24);
        else if (round % 4 == 2)
            copy[at] = (char)(copy[at] ^ (1 << (seed >> 29)));
        else
            len = without_line(copy, len, at);
        struct scratch s = scratch_with(copy, len);
        struct loaded_file f = load(s.path);
        good += f.rc == DR_OK;
        assert_true(f.rc == DR_OK || f.rc == DR_E_CONFIG);
        assert_true((f.rc == DR_OK) == (f.d.errors == 0));
        if (f.c != NULL)
            config_review(f.c, &(struct config_facts){ 0 }, &f.d);
        unload(&f);
        scratch_remove(&s);
    }
    assert_true(good > 0 && good < 600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_mistake_is_told_in_its_words_at_its_place),
        cmocka_unit_test(the_smallest_configuration_has_no_finding_and_every_default),
        cmocka_unit_test(a_file_with_the_one_block_alone_makes_buckets_of_its_locations),
        cmocka_unit_test(a_dash_and_an_underscore_are_equal_in_the_name_of_a_plan),
        cmocka_unit_test(the_complete_example_is_accepted),
        cmocka_unit_test(a_rehearsal_reads_by_rights_of_its_own_where_there_are_some),
        cmocka_unit_test(probes_take_their_times_from_monitoring_unless_they_say),
        cmocka_unit_test(a_probe_is_asked_by_those_whom_it_names),
        cmocka_unit_test(a_host_finds_its_own_site_by_its_name),
        cmocka_unit_test(a_site_by_ssh_has_what_ssh_needs),
        cmocka_unit_test(a_channel_has_its_kind_and_its_url_wherever_they_are_written),
        cmocka_unit_test(a_blackout_holds_on_its_days_and_over_midnight),
        cmocka_unit_test(words_and_durations_say_how_often),
        cmocka_unit_test(a_secret_comes_from_its_file_or_variable_without_the_last_newline),
        cmocka_unit_test(a_file_that_is_not_there_is_told_with_what_to_do),
        cmocka_unit_test(a_cut_or_changed_file_never_breaks_the_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
