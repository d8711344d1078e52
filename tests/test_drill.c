/*
 * test_drill.c - what a drill finds is judged from records; what it made goes, and nothing else does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "dr/base/mem.h"
#include "dr/drill/drill.h"
#include "plugins/providers.h"
#include "plugins/scratch.h"
#include "tests/support/recorded.h"
#include "tests/support/steps.h"
#include "tests/support/tree.h"

/* -- the verdict --------------------------------------------------------------------------------- */

#define START                                                                                    \
    "0 start {\"id\":\"D-1\",\"mode\":\"failover\",\"drill\":true,\"scratch\":\"/s/D-1\","       \
    "\"plan\":{\"name\":\"p\"},\"run\":\"preflight\",\"steps\":["                                \
    "{\"id\":\"restore\",\"use\":\"backup.restore\",\"class\":\"data\",\"drill\":\"isolated\"}," \
    "{\"id\":\"look\",\"use\":\"exec.check\",\"class\":\"check\",\"drill\":\"run\"}]}\n"
#define BEFORE                                                              \
    "0.1 production {\"when\":\"before\",\"fields\":[],\"digest\":\"0\"}\n" \
    "0.2 planted {\"seed\":\"1\",\"sentinels\":[{\"source\":\"app\"}],"     \
    "\"controls\":[{\"name\":\"a\",\"title\":\"A\"},{\"name\":\"b\",\"title\":\"B\"}]}\n"
#define MADE "0.3 made {\"what\":\"directory\",\"at\":\"eu\",\"name\":\"/s/D-1\"}\n"
#define RAN                                                                           \
    "0.4 go {\"run\":\"running\"}\n"                                                  \
    "1 intent {\"step\":\"restore\",\"state\":\"running\",\"round\":1,\"attempt\":1," \
    "\"with\":{\"at\":\"ap\",\"snapshot\":\"app-0-1\"}}\n"                            \
    "2 outcome {\"step\":\"restore\",\"state\":\"done\",\"round\":1,\"attempt\":1,"   \
    "\"verdict\":\"pass\",\"isolated\":true}\n"                                       \
    "3 begin {\"step\":\"look\",\"state\":\"running\",\"round\":1}\n"                 \
    "4 outcome {\"step\":\"look\",\"state\":\"done\",\"round\":1,\"verdict\":\"pass\"}\n"
#define CLEANING "5 cleaning {\"run\":\"cleaning\",\"then\":\"recovered\"}\n"
#define FOUND \
    "6 sentinel {\"source\":\"app\",\"wanted\":\"nonce 1\",\"found\":\"nonce 1\",\"ok\":true}\n"
#define CAUGHT_A "7 control {\"name\":\"a\",\"planted\":true,\"caught\":true}\n"
#define CAUGHT_B "7.1 control {\"name\":\"b\",\"planted\":true,\"caught\":true}\n"
#define CLEANED \
    "8 cleaned {\"what\":\"directory\",\"at\":\"eu\",\"name\":\"/s/D-1\",\"ok\":true,\"why\":\"gone\"}\n"
#define EQUAL "9 production {\"when\":\"after\",\"fields\":[],\"digest\":\"0\",\"equal\":true}\n"
#define GOOD  START BEFORE MADE RAN CLEANING FOUND CAUGHT_A CAUGHT_B CLEANED EQUAL

struct judged {
    struct drill_verdict v;
    char *whys;
};

static struct judged judge(const char *script)
{
    DR_CLEANUP(journal_records_fini) struct journal_records all = { 0 };
    struct judged j = { 0 };
    recorded_run(script, &all);
    drill_judge(&all, &j.v);
    j.whys = text_list_join(&j.v.whys, "; ");
    return j;
}

static void judged_fini(struct judged *j)
{
    drill_verdict_fini(&j->v);
    free(j->whys);
}

/* It fails, for exactly one reason, in these words. */
static void assert_fails(const char *script, const char *why)
{
    struct judged j = judge(script);
    assert_false(j.v.passed);
    if (strstr(j.whys, why) == NULL)
        fail_msg("wanted '%s' in '%s'", why, j.whys);
    assert_int_equal(j.v.whys.count, 1);
    judged_fini(&j);
}

static void a_drill_with_everything_on_record_passes(void **state)
{
    (void)state;
    struct judged j = judge(GOOD);
    assert_string_equal(j.whys, "");
    assert_true(j.v.passed);
    assert_int_equal(drill_power(&j.v), 100);
    judged_fini(&j);
}

static void a_fault_that_is_missed_fails_it(void **state)
{
    (void)state;
    struct judged j =
        judge(START BEFORE MADE RAN CLEANING FOUND CAUGHT_A
              "7.1 control {\"name\":\"b\",\"planted\":true,\"caught\":false}\n" CLEANED EQUAL);
    assert_false(j.v.passed);
    assert_int_equal(drill_power(&j.v), 50);
    assert_string_equal(j.v.missed.items[0], "B");
    judged_fini(&j);
}

static void a_fault_that_was_drawn_and_not_tried_fails_it(void **state)
{
    (void)state;
    assert_fails(START BEFORE MADE RAN CLEANING FOUND CAUGHT_A CLEANED EQUAL,
                 "the fault 'B' was not tried");
}

static void a_fault_that_cannot_be_planted_here_does_not_count(void **state)
{
    (void)state;
    struct judged j = judge(
        START BEFORE MADE RAN CLEANING FOUND CAUGHT_A
        "7.1 control {\"name\":\"b\",\"planted\":false,\"why\":\"one bucket\"}\n" CLEANED EQUAL);
    assert_true(j.v.passed);
    assert_int_equal(j.v.planted, 1);
    judged_fini(&j);
}

static void another_sentinel_than_the_planted_one_fails_it(void **state)
{
    (void)state;
    assert_fails(
        START BEFORE MADE RAN CLEANING
        "6 sentinel {\"source\":\"app\",\"wanted\":\"nonce 1\",\"found\":\"nonce 2\",\"ok\":false}\n" CAUGHT_A
            CAUGHT_B CLEANED EQUAL,
        "wanted nonce 1, found nonce 2");
}

static void one_good_tree_does_not_speak_for_another(void **state)
{
    (void)state;
    assert_fails(START BEFORE MADE RAN CLEANING
                 "6 sentinel {\"source\":\"app\",\"of\":\"us\",\"wanted\":\"nonce 1\","
                 "\"found\":null,\"ok\":false}\n" FOUND CAUGHT_A CAUGHT_B CLEANED EQUAL,
                 "wanted nonce 1, found nothing");
}

static void data_that_nobody_looked_at_fails_it(void **state)
{
    (void)state;
    assert_fails(START BEFORE MADE RAN CLEANING CAUGHT_A CAUGHT_B CLEANED EQUAL,
                 "no restored data of 'app' was looked at");
}

static void what_was_made_and_not_cleaned_fails_it(void **state)
{
    (void)state;
    assert_fails(START BEFORE MADE RAN CLEANING FOUND CAUGHT_A CAUGHT_B EQUAL,
                 "left behind: directory /s/D-1 at eu: not cleaned");
    assert_fails(GOOD "9.1 cleaned {\"what\":\"directory\",\"at\":\"eu\",\"name\":\"/s/D-1\","
                      "\"ok\":false,\"why\":\"something is mounted\"}\n",
                 "something is mounted");
}

static void production_that_differs_or_was_not_read_fails_it(void **state)
{
    (void)state;
#define REST START BEFORE MADE RAN CLEANING FOUND CAUGHT_A CAUGHT_B CLEANED
    assert_fails(REST, "was not looked at");
    assert_fails(REST "9 production {\"when\":\"after\",\"equal\":false,"
                      "\"differs\":[{\"name\":\"lease w epoch\"}]}\n",
                 "not as before: lease w epoch (1 field differs)");
    assert_fails(REST
                 "9 production {\"when\":\"after\",\"equal\":null,\"unread\":[\"dns of x\"]}\n",
                 "not measured: dns of x");
}

static void a_step_that_failed_though_the_plan_went_on_fails_it(void **state)
{
    (void)state;
    assert_fails(
        START BEFORE MADE
        "0.4 go {\"run\":\"running\"}\n"
        "1 intent {\"step\":\"restore\",\"state\":\"running\",\"round\":1,\"attempt\":1,\"with\":{}}\n"
        "2 outcome {\"step\":\"restore\",\"state\":\"done\",\"round\":1,\"attempt\":1,\"verdict\":\"pass\"}\n"
        "3 begin {\"step\":\"look\",\"state\":\"running\",\"round\":1}\n"
        "4 outcome {\"step\":\"look\",\"state\":\"tolerated\",\"round\":1,\"verdict\":\"fail\",\"why\":\"no\"}\n" CLEANING
            FOUND CAUGHT_A CAUGHT_B CLEANED EQUAL,
        "step look failed: no");
}

static void a_run_that_did_not_recover_fails_it(void **state)
{
    (void)state;
    assert_fails(
        START BEFORE MADE RAN
        "5 cleaning {\"run\":\"cleaning\",\"then\":\"aborted\",\"why\":\"by ana\"}\n" FOUND CAUGHT_A
            CAUGHT_B CLEANED EQUAL,
        "aborted: by ana");
}

/* -- production ---------------------------------------------------------------------------------- */

static json_t *fields(const char *text)
{
    json_t *o = json_loads(text, 0, NULL);
    assert_non_null(o);
    return o;
}

static enum production_proof compare(const char *before, const char *after, const char *differs)
{
    enum production_proof proof = PRODUCTION_EQUAL;
    DR_JSON json_t *b = fields(before);
    DR_JSON json_t *a = fields(after);
    DR_JSON json_t *body = production_after(b, a, &proof);
    DR_FREE char *has = json_dumps(json_object_get(body, "differs"), JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(has, differs);
    return proof;
}

static void production_is_compared_field_by_field(void **state)
{
    (void)state;
    const char *one = "[{\"name\":\"x\",\"value\":\"1\"}]";
    assert_int_equal(compare(one, one, "[]"), PRODUCTION_EQUAL);
    assert_int_equal(compare(one, "[{\"name\":\"x\",\"value\":\"2\"}]",
                             "[{\"after\":\"2\",\"before\":\"1\",\"name\":\"x\"}]"),
                     PRODUCTION_DIFFERS);
    assert_int_equal(compare("[]", one, "[{\"after\":\"1\",\"before\":null,\"name\":\"x\"}]"),
                     PRODUCTION_DIFFERS);
    assert_int_equal(compare(one, "[]", "[{\"after\":null,\"before\":\"1\",\"name\":\"x\"}]"),
                     PRODUCTION_DIFFERS);
}

static void a_field_that_cannot_be_read_is_not_measured_and_never_equal(void **state)
{
    (void)state;
    const char *dark = "[{\"name\":\"x\",\"value\":null,\"note\":\"no answer\"}]";
    assert_int_equal(compare(dark, dark, "[]"), PRODUCTION_NOT_MEASURED);
    assert_int_equal(compare("[{\"name\":\"x\",\"value\":\"1\"}]", dark, "[]"),
                     PRODUCTION_NOT_MEASURED);
}

static void fields_of_a_site_that_is_away_are_unread_and_not_gone(void **state)
{
    (void)state;
    const char *one = "[{\"name\":\"eu: unit a\",\"value\":\"1\"}]";
    const char *away = "[{\"covers\":\"eu: \",\"name\":\"eu: all\",\"value\":null}]";
    assert_int_equal(compare(one, away, "[]"), PRODUCTION_NOT_MEASURED);
    assert_int_equal(compare(away, one, "[]"), PRODUCTION_NOT_MEASURED);
    assert_int_equal(compare("[{\"name\":\"ap: unit a\",\"value\":\"1\"}]", away,
                             "[{\"after\":null,\"before\":\"1\",\"name\":\"ap: unit a\"}]"),
                     PRODUCTION_DIFFERS);
}

static void without_a_reading_before_nothing_is_equal(void **state)
{
    (void)state;
    enum production_proof proof = PRODUCTION_EQUAL;
    DR_JSON json_t *after = json_array();
    DR_JSON json_t *body = production_after(NULL, after, &proof);
    assert_int_equal(proof, PRODUCTION_NOT_MEASURED);
    assert_true(json_is_null(json_object_get(body, "equal")));
}

/* -- the sentinel -------------------------------------------------------------------------------- */

static bool is_planted(const char *planted, const char *found, const char *snapshot)
{
    DR_JSON json_t *p = fields(planted);
    DR_JSON json_t *f = found != NULL ? fields(found) : NULL;
    DR_FREE char *wanted = NULL;
    DR_FREE char *has = NULL;
    return drill_is_planted(p, f, snapshot, &wanted, &has);
}

static void only_the_planted_sentinel_is_the_planted_one(void **state)
{
    (void)state;
    const char *ours = "{\"by\":\"backupd\",\"nonce\":\"ab\",\"snapshot\":\"app-0-2\"}";
    assert_true(is_planted(ours, "{\"time\":\"t\",\"nonce\":\"ab\"}", "app-0-2"));
    assert_false(is_planted(ours, "{\"time\":\"t\",\"nonce\":\"ac\"}", "app-0-2"));
    assert_false(is_planted(ours, "{\"time\":\"t\",\"nonce\":\"\"}", "app-0-2"));
    assert_false(is_planted(ours, NULL, "app-0-2"));
}

static void an_applications_own_lies_between_its_two_times(void **state)
{
    (void)state;
    const char *theirs = "{\"by\":\"application\",\"time\":\"2026-01-01T00:00:02.000000000Z\","
                         "\"until\":\"2026-01-01T00:00:04.000000000Z\"}";
    assert_true(is_planted(theirs, "{\"time\":\"2026-01-01T00:00:02.000000000Z\"}", "s"));
    assert_true(is_planted(theirs, "{\"time\":\"2026-01-01T00:00:04.000000000Z\"}", "s"));
    assert_false(is_planted(theirs, "{\"time\":\"2026-01-01T00:00:01.999999999Z\"}", "s"));
    assert_false(is_planted(theirs, "{\"time\":\"2026-01-01T00:00:04.000000001Z\"}", "s"));
    assert_false(is_planted(theirs, "{}", "s"));
}

/* Backups go on during a drill; what is newer than the drill's own is no worse. */
static void a_newer_snapshot_may_have_a_newer_sentinel(void **state)
{
    (void)state;
    const char *ours = "{\"by\":\"backupd\",\"nonce\":\"ab\",\"snapshot\":\"app-0-2\","
                       "\"time\":\"2026-01-01T00:00:02.000000000Z\"}";
    const char *newer = "{\"time\":\"2026-01-01T00:00:02.000000001Z\",\"nonce\":\"\"}";
    const char *older = "{\"time\":\"2026-01-01T00:00:02.000000000Z\",\"nonce\":\"\"}";
    assert_true(is_planted(ours, newer, "app-0-3"));
    assert_false(is_planted(ours, newer, "app-0-2"));
    assert_false(is_planted(ours, older, "app-0-3"));
    assert_false(is_planted(ours, newer, NULL));
}

static void without_a_sentinel_the_snapshot_has_to_be_the_drills(void **state)
{
    (void)state;
    const char *none = "{\"by\":null,\"snapshot\":\"app-0-2\"}";
    assert_true(is_planted(none, "{}", "app-0-2"));
    assert_false(is_planted(none, "{}", "app-0-1"));
    assert_false(is_planted("{\"by\":null,\"snapshot\":null}", "{}", "app-0-1"));
}

static void a_snapshot_belongs_to_the_longest_name_that_fits(void **state)
{
    (void)state;
    DR_JSON json_t *rows =
        fields("[{\"source\":\"app\",\"snapshot\":\"app-0-9\"},{\"source\":\"app-db\"}]");
    const json_t *row = drill_planted_of(rows, "app-db-0-1");
    assert_string_equal(json_string_value(json_object_get(row, "source")), "app-db");
    row = drill_planted_of(rows, "app-0-9");
    assert_string_equal(json_string_value(json_object_get(row, "source")), "app");
    assert_null(drill_planted_of(rows, "other-0-1"));
    assert_null(drill_planted_of(rows, NULL));
}

/* -- the manifest -------------------------------------------------------------------------------- */

#define ENDED "10 end {\"run\":\"failed\"}\n"
#define AWAY                                                                            \
    "8 cleaned {\"what\":\"directory\",\"at\":\"eu\",\"name\":\"/s/D-1\",\"ok\":false," \
    "\"why\":\"the site is away\"}\n"

/* What these drills, in this order, have left. The caller frees. */
static char *left_by(const char *const *scripts, size_t count)
{
    DR_JSON json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        DR_CLEANUP(journal_records_fini) struct journal_records all = { 0 };
        DR_FREE char *id = dr_strf("D-%zu", i + 1);
        recorded_run(scripts[i], &all);
        drill_left_add(list, id, "here", &all);
    }
    return json_dumps(list, JSON_COMPACT | JSON_SORT_KEYS);
}

static void what_an_ended_drill_left_is_known_until_a_later_one_took_it_away(void **state)
{
    (void)state;
    static const char thing[] =
        "[{\"at\":\"eu\",\"name\":\"/s/D-1\",\"of\":\"D-1\",\"what\":\"directory\"}]";
    const char *const scripts[] = {
        START BEFORE MADE RAN CLEANING AWAY ENDED, START BEFORE RAN CLEANING ENDED,
        START BEFORE "0.3 made {\"what\":\"directory\",\"at\":\"eu\",\"name\":\"/s/D-1\","
                     "\"of\":\"D-1\"}\n" RAN CLEANING AWAY ENDED,
        START BEFORE MADE RAN CLEANING CLEANED ENDED
    };
    for (size_t n = 1; n <= DR_ARRAY_LEN(scripts); n++) {
        DR_FREE char *left = left_by(scripts, n);
        assert_string_equal(left, n < DR_ARRAY_LEN(scripts) ? thing : "[]");
    }
    const char *const open[] = { START BEFORE MADE RAN CLEANING AWAY };
    DR_FREE char *none = left_by(open, 1);
    assert_string_equal(none, "[]"); /* its own clean-up is still to come */
    const char *const elsewhere[] = { START BEFORE "0.3 made {\"what\":\"directory\",\"at\":\"\","
                                                   "\"name\":\"/s/D-1\"}\n" RAN CLEANING ENDED };
    DR_FREE char *theirs = left_by(elsewhere, 1);
    assert_string_equal(theirs, "[]"); /* on a host that no site's name leads to */
}

static void the_manifest_has_each_place_once_also_those_known_from_intents(void **state)
{
    (void)state;
    DR_CLEANUP(journal_records_fini) struct journal_records all = { 0 };
    char ssh[] = "ssh";
    char names[][16] = { "eu", "eu-west-1", "ap", "ap-southeast-1" };
    struct config_site sites[] = { { .name = names[0], .region = names[1] },
                                   { .name = names[2], .region = names[3], .reach = ssh } };
    const struct config c = { .sites = sites, .site_count = 2 };
    recorded_run(START BEFORE MADE RAN CLEANING, &all);
    DR_JSON json_t *list = drill_manifest(&c, &all);
    DR_FREE char *text = json_dumps(list, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(text, "[{\"at\":\"eu\",\"name\":\"/s/D-1\",\"what\":\"directory\"},"
                              "{\"at\":\"ap\",\"name\":\"/s/D-1\",\"what\":\"directory\"}]");
}

#define PUT                                                                      \
    "6.1 made {\"what\":\"object\",\"at\":\"eu\",\"name\":\"us/rehearsal-1\"}\n" \
    "6.2 made {\"what\":\"object\",\"at\":\"eu\",\"name\":\"ap/rehearsal-1\"}\n"
#define RIGHTS(writes)                                                                          \
    "6.3 credentials {\"items\":[{\"what\":\"bucket\",\"name\":\"us\",\"own\":true,\"writes\":" \
    "\"refused\"},{\"what\":\"bucket\",\"name\":\"ap\",\"own\":true,\"writes\":\"" writes       \
    "\"}]}\n"
#define NEVER \
    "6.4 cleaned {\"what\":\"object\",\"at\":\"eu\",\"name\":\"us/rehearsal-1\",\"ok\":true}\n"
#define GONE \
    "8.1 cleaned {\"what\":\"object\",\"at\":\"eu\",\"name\":\"ap/rehearsal-1\",\"ok\":true}\n"

static void an_object_that_was_refused_is_not_looked_for_when_it_is_cleaned(void **state)
{
    (void)state;
    DR_CLEANUP(journal_records_fini) struct journal_records all = { 0 };
    const struct config c = { .site_count = 0 };
    recorded_run(START BEFORE MADE CLEANING FOUND PUT RIGHTS("accepted") NEVER, &all);
    DR_JSON json_t *list = drill_manifest(&c, &all);
    DR_FREE char *text = json_dumps(list, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(text, "[{\"at\":\"eu\",\"name\":\"/s/D-1\",\"what\":\"directory\"},"
                              "{\"at\":\"eu\",\"name\":\"ap/rehearsal-1\",\"what\":\"object\"}]");
}

static void credentials_of_drills_that_can_write_fail_it(void **state)
{
    (void)state;
#define THEN CAUGHT_A CAUGHT_B CLEANED GONE EQUAL
    assert_fails(START BEFORE MADE RAN CLEANING FOUND PUT RIGHTS("accepted") NEVER THEN,
                 "the drill credentials of bucket ap can write");
    struct judged j = judge(START BEFORE MADE RAN CLEANING FOUND PUT RIGHTS("refused") NEVER THEN);
    assert_true(j.v.passed);
    judged_fini(&j);
    assert_fails(START BEFORE MADE RAN CLEANING FOUND PUT RIGHTS("unknown")
                     NEVER CAUGHT_A CAUGHT_B CLEANED EQUAL,
                 "left behind: object ap/rehearsal-1");
#undef THEN
}

/* -- removal ------------------------------------------------------------------------------------- */

struct place {
    char *dir, *scratch, *outside;
};

static int place_open(void **state)
{
    struct place *p = dr_alloc(1, sizeof(*p));
    p->dir = tree_temp();
    p->scratch = dr_strf("%s/D-7", p->dir);
    p->outside = dr_strf("%s/outside", p->dir);
    assert_int_equal(mkdir(p->outside, 0755), 0);
    *state = p;
    return 0;
}

static int place_close(void **state)
{
    struct place *p = *state;
    tree_remove(p->dir);
    free(p->dir);
    free(p->scratch);
    free(p->outside);
    free(p);
    return 0;
}

static void touch(const char *dir, const char *name)
{
    DR_FREE char *path = dr_strf("%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
}

static bool is_there(const char *dir, const char *name)
{
    DR_FREE char *path = dr_strf("%s/%s", dir, name);
    struct stat st;
    return lstat(path, &st) == 0;
}

static void a_tree_of_odd_things_of_any_depth_is_gone(void **state)
{
    const struct place *p = *state;
    struct dr_err err = { 0 };
    assert_int_equal(mkdir(p->scratch, 0700), 0);
    tree_make(p->scratch, TREE_DEEP);
    if (scratch_remove(p->scratch, "D-7", &err) != DR_OK)
        fail_msg("%s", err.msg);
    assert_false(is_there(p->dir, "D-7"));
    assert_int_equal(scratch_remove(p->scratch, "D-7", &err), DR_OK);
}

static void a_tree_deeper_than_its_stack_is_gone(void **state)
{
    const struct place *p = *state;
    struct dr_err err = { 0 };
    char here[4096];
    assert_non_null(getcwd(here, sizeof(here)));
    assert_int_equal(mkdir(p->scratch, 0700), 0);
    assert_int_equal(chdir(p->scratch), 0);
    for (int i = 0; i < 3 * SCRATCH_DEPTH_MAX; i++) {
        assert_int_equal(mkdir("d", 0700), 0);
        assert_int_equal(chdir("d"), 0);
        touch(".", "f");
    }
    assert_int_equal(chdir(here), 0);
    if (scratch_remove(p->scratch, "D-7", &err) != DR_OK)
        fail_msg("%s", err.msg);
    assert_false(is_there(p->dir, "D-7"));
}

static void links_are_removed_and_not_what_they_lead_to(void **state)
{
    const struct place *p = *state;
    struct dr_err err = { 0 };
    touch(p->outside, "kept");
    assert_int_equal(mkdir(p->scratch, 0700), 0);
    DR_FREE char *link = dr_strf("%s/link", p->scratch);
    DR_FREE char *up = dr_strf("%s/up", p->scratch);
    assert_int_equal(symlink(p->outside, link), 0);
    assert_int_equal(symlink("..", up), 0);
    assert_int_equal(scratch_remove(p->scratch, "D-7", &err), DR_OK);
    assert_true(is_there(p->outside, "kept"));
}

static void directories_that_keep_their_owner_out_go_as_well(void **state)
{
    const struct place *p = *state;
    struct dr_err err = { 0 };
    DR_FREE char *shut = dr_strf("%s/shut", p->scratch);
    assert_int_equal(mkdir(p->scratch, 0700), 0);
    assert_int_equal(mkdir(shut, 0700), 0);
    touch(shut, "f");
    assert_int_equal(chmod(shut, 0), 0);
    assert_int_equal(chmod(p->scratch, 0500), 0);
    if (scratch_remove(p->scratch, "D-7", &err) != DR_OK)
        fail_msg("%s", err.msg);
    assert_false(is_there(p->dir, "D-7"));
}

static void nothing_but_a_drills_own_directory_is_taken(void **state)
{
    const struct place *p = *state;
    struct dr_err err = { 0 };
    touch(p->outside, "kept");
    assert_int_equal(scratch_remove(p->outside, "outside", &err), DR_E_REFUSED);
    assert_int_equal(scratch_remove(p->outside, "D-7", &err), DR_E_REFUSED);
    assert_int_equal(scratch_remove("D-7", "D-7", &err), DR_E_REFUSED);
    assert_int_equal(scratch_remove("/D-7", "D-7", &err), DR_E_REFUSED);
    assert_int_equal(scratch_remove(p->scratch, "D-8", &err), DR_E_REFUSED);
    assert_int_equal(symlink(p->outside, p->scratch), 0);
    assert_int_equal(scratch_remove(p->scratch, "D-7", &err), DR_E_REFUSED);
    assert_true(is_there(p->outside, "kept"));
}

static void only_the_id_of_a_drill_is_one(void **state)
{
    (void)state;
    assert_true(scratch_is_run("D-1"));
    assert_true(scratch_is_run("D-118"));
    static const char *const none[] = { "",    "D-",     "D",    "R-1", "D-1x",
                                        "D-x", "../D-1", "D-1/", "D--1" };
    for (size_t i = 0; i < DR_ARRAY_LEN(none); i++)
        assert_false(scratch_is_run(none[i]));
}

static void the_step_that_cleans_says_what_it_left(void **state)
{
    const struct place *p = *state;
    const struct step_ask ask = { .drill = true };
    json_t *with = json_object();
    json_put_text(with, "scratch", p->outside);
    json_put_text(with, "run", "D-7");
    struct tried t = step_try(&provider_drill_clean, "apply", with, &ask);
    assert_int_equal(t.verdict, STEP_FAIL);
    assert_non_null(strstr(t.why, "is not the scratch directory of a drill 'D-7'"));
    tried_fini(&t);
    assert_true(is_there(p->dir, "outside"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_drill_with_everything_on_record_passes),
        cmocka_unit_test(a_fault_that_is_missed_fails_it),
        cmocka_unit_test(a_fault_that_was_drawn_and_not_tried_fails_it),
        cmocka_unit_test(a_fault_that_cannot_be_planted_here_does_not_count),
        cmocka_unit_test(another_sentinel_than_the_planted_one_fails_it),
        cmocka_unit_test(one_good_tree_does_not_speak_for_another),
        cmocka_unit_test(data_that_nobody_looked_at_fails_it),
        cmocka_unit_test(what_was_made_and_not_cleaned_fails_it),
        cmocka_unit_test(production_that_differs_or_was_not_read_fails_it),
        cmocka_unit_test(a_step_that_failed_though_the_plan_went_on_fails_it),
        cmocka_unit_test(a_run_that_did_not_recover_fails_it),
        cmocka_unit_test(production_is_compared_field_by_field),
        cmocka_unit_test(a_field_that_cannot_be_read_is_not_measured_and_never_equal),
        cmocka_unit_test(fields_of_a_site_that_is_away_are_unread_and_not_gone),
        cmocka_unit_test(without_a_reading_before_nothing_is_equal),
        cmocka_unit_test(only_the_planted_sentinel_is_the_planted_one),
        cmocka_unit_test(an_applications_own_lies_between_its_two_times),
        cmocka_unit_test(a_newer_snapshot_may_have_a_newer_sentinel),
        cmocka_unit_test(without_a_sentinel_the_snapshot_has_to_be_the_drills),
        cmocka_unit_test(a_snapshot_belongs_to_the_longest_name_that_fits),
        cmocka_unit_test(the_manifest_has_each_place_once_also_those_known_from_intents),
        cmocka_unit_test(what_an_ended_drill_left_is_known_until_a_later_one_took_it_away),
        cmocka_unit_test(an_object_that_was_refused_is_not_looked_for_when_it_is_cleaned),
        cmocka_unit_test(credentials_of_drills_that_can_write_fail_it),
        cmocka_unit_test_setup_teardown(a_tree_of_odd_things_of_any_depth_is_gone, place_open,
                                        place_close),
        cmocka_unit_test_setup_teardown(a_tree_deeper_than_its_stack_is_gone, place_open,
                                        place_close),
        cmocka_unit_test_setup_teardown(links_are_removed_and_not_what_they_lead_to, place_open,
                                        place_close),
        cmocka_unit_test_setup_teardown(directories_that_keep_their_owner_out_go_as_well,
                                        place_open, place_close),
        cmocka_unit_test_setup_teardown(nothing_but_a_drills_own_directory_is_taken, place_open,
                                        place_close),
        cmocka_unit_test(only_the_id_of_a_drill_is_one),
        cmocka_unit_test_setup_teardown(the_step_that_cleans_says_what_it_left, place_open,
                                        place_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
