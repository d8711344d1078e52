/*
 * test_notify.c - who is told what, and when: findings, flapping, escalation, the queue, what survives.
 *
 * The configuration is made by hand, and time is a fake clock. Nothing is sent here: the letters that would
 * be are looked at. What is durable is swept: each system call fails, writes short, and is the last one.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "dr/base/clock.h"
#include "dr/base/fs.h"
#include "dr/base/mem.h"
#include "dr/notify/inside.h"
#include "tests/support/fault.h"

enum { DEATH = 99 };

static const int64_t SECOND = 1000000000;

static int64_t boot_ns, wall_ns;
static struct clock_ops real_clock;

static int64_t fake_boot(void)
{
    return boot_ns;
}

static int64_t fake_wall(void)
{
    return wall_ns;
}

static void pass(int64_t seconds)
{
    boot_ns += seconds * SECOND;
    wall_ns += seconds * SECOND;
}

/* ---- a configuration: chat for all, pager and mail for what is critical; ana, then bo -------------- */

static char *mails[] = { (char[]){ "ops@example.test" }, (char[]){ "boss@example.test" } };
static char *criticals[] = { (char[]){ "pager" }, (char[]){ "mail" } };
static char *warnings[] = { (char[]){ "chat" } };
static struct config_channel channels[] = {
    { .name = (char[]){ "chat" }, .kind = (char[]){ "slack" } },
    { .name = (char[]){ "pager" }, .kind = (char[]){ "pagerduty" } },
    { .name = (char[]){ "mail" }, .kind = (char[]){ "smtp" }, .to = { mails, 2, 2 } },
    { .name = (char[]){ "desk" }, .kind = (char[]){ "command" } },
};
static struct config_pair phones[] = {
    { (char[]){ "phone" }, (char[]){ "+31 20 555 0101" }, { 0 } }
};
static struct config_person people[] = {
    { .name = (char[]){ "ana" },
      .role = (char[]){ "dr-commander" },
      .fields = phones,
      .field_count = 1 },
    { .name = (char[]){ "bo" }, .role = (char[]){ "dr-commander" }, .channel = (char[]){ "desk" } },
    { .name = (char[]){ "ana" }, .role = (char[]){ "data-owner" } },
};

static char dir[64];
static struct config config;
static struct setup rules;
static struct alerts a;

static int setup(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof(dir), "/tmp/dr-notify-XXXXXX");
    real_clock = dr_clock;
    dr_clock = (struct clock_ops){ .wall_ns = fake_wall, .boot_ns = fake_boot };
    boot_ns = 1000 * SECOND;
    wall_ns = INT64_C(1795230700) * SECOND;
    config =
        (struct config){ .state_dir = dir,
                         .channels = channels,
                         .channel_count = DR_ARRAY_LEN(channels),
                         .people = people,
                         .person_count = DR_ARRAY_LEN(people),
                         .critical = { .channels = { criticals, 2, 2 }, .escalation_ms = 300000 },
                         .warning = { .channels = { warnings, 1, 1 } } };
    setup_init(&rules, &config);
    a = (struct alerts){ .now_ns = 0 };
    return mkdtemp(dir) == NULL;
}

static int teardown(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    alerts_fini(&a);
    setup_fini(&rules);
    dr_clock = real_clock;
    return fs_remove_tree(dir, &err) != DR_OK;
}

static json_t *finding(const char *severity, const char *key)
{
    json_t *list = json_array();
    json_t *f = json_object();
    json_put_text(f, "severity", severity);
    json_put_text(f, "key", key);
    json_put_text(f, "text", "it is so");
    json_put_text(f, "hint", "do this");
    assert_int_equal(json_array_append_new(list, f), 0);
    return list;
}

static void now(int64_t seconds)
{
    a.now_ns = seconds * SECOND;
    a.wall_ns = wall_ns + a.now_ns;
}

/* It holds (key), or nothing does (NULL), at this second. */
static void at(int64_t seconds, const char *severity, const char *key)
{
    DR_JSON json_t *list = key != NULL ? finding(severity, key) : json_array();
    now(seconds);
    alerts_findings(&a, &rules, list);
    alerts_tick(&a, &rules);
}

/* "raised>chat resolved>chat": what waits, in order; then forgotten as if delivered. */
static void assert_told(const char *wanted)
{
    DR_CLEANUP(buf_fini) struct buf told = { 0 };
    for (size_t i = 0; i < a.letter_count; i++) {
        const struct letter *l = &a.letters[i];
        buf_addf(&told, "%s%s>%s", i > 0 ? " " : "", l->kind, l->to != NULL ? l->to : l->channel);
    }
    assert_string_equal(told.data != NULL ? told.data : "", wanted);
    while (a.letter_count > 0) {
        DR_FREE char *id = dr_strdup(a.letters[0].id);
        alerts_drop(&a, id, false);
    }
}

/* ---- telling ------------------------------------------------------------------------------------- */

static void a_finding_is_told_once_and_its_end_once(void **state)
{
    (void)state;
    at(0, "warning", "overdue/app");
    assert_told("raised>chat");
    at(5, "warning", "overdue/app");
    at(9000, "warning", "overdue/app");
    assert_told("");
    at(9005, NULL, NULL);
    assert_told("resolved>chat");
    at(9010, NULL, NULL);
    assert_told("");
}

static void severity_chooses_the_channels_and_each_address_gets_a_letter(void **state)
{
    (void)state;
    at(0, "critical", "silent/eu");
    assert_told("raised>pager raised>ops@example.test raised>boss@example.test");
}

static void what_becomes_graver_is_told_to_those_of_the_graver_kind(void **state)
{
    (void)state;
    at(0, "warning", "overdue/app");
    assert_told("raised>chat");
    at(5, "critical", "overdue/app");
    assert_told("raised>pager raised>ops@example.test raised>boss@example.test");
    at(10, "critical", "overdue/app");
    assert_told("");
}

static void an_event_is_told_once_for_its_key(void **state)
{
    (void)state;
    const struct setup_text what = {
        "warning", "run/R-1", "run R-1 failed", "at step 3", NULL, NULL
    };
    now(0);
    alerts_event(&a, &rules, &what);
    assert_string_equal(a.letters[0].title, "run R-1 failed");
    assert_told("event>chat");
    alerts_event(&a, &rules, &what);
    assert_told("");
    at(86400, NULL, NULL); /* findings do not end it */
    alerts_event(&a, &rules, &what);
    assert_told("");
}

static void what_flaps_is_told_three_times_and_then_has_to_calm(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        at(i * 20, "warning", "probe/front");
        at(i * 20 + 10, NULL, NULL);
    }
    assert_told("raised>chat resolved>chat again>chat resolved>chat");
    at(40, "warning", "probe/front");
    assert_told("again>chat");
    for (int64_t t = 50; t < 3000; t += 20) { /* 150 more times */
        at(t, NULL, NULL);
        at(t + 10, "warning", "probe/front");
    }
    assert_told("");
    at(3000, NULL, NULL);
    at(3899, NULL, NULL);
    assert_told("");
    at(3900, NULL, NULL); /* calm for a quarter of an hour */
    assert_told("resolved>chat");
}

static void a_finding_without_room_is_counted_and_told(void **state)
{
    (void)state;
    DR_JSON json_t *list = json_array();
    for (int i = 0; i < NOTIFY_ALERTS_MAX + 5; i++) {
        DR_FREE char *key = dr_strf("overdue/%d", i);
        DR_JSON json_t *one = finding("warning", key);
        assert_int_equal(json_array_append(list, json_array_get(one, 0)), 0);
    }
    alerts_findings(&a, &rules, list);
    alerts_tick(&a, &rules);
    assert_int_equal(a.left_out_findings, 5);
    assert_int_equal(a.alert_count, NOTIFY_ALERTS_MAX + 1);
    assert_string_equal(a.alerts[NOTIFY_ALERTS_MAX].key, "notify/full");
    assert_int_equal(a.letter_count, NOTIFY_ALERTS_MAX + 3);
    assert_string_equal(a.letters[NOTIFY_ALERTS_MAX].channel, "pager");
}

/* ---- escalation ------------------------------------------------------------------------------------ */

static void nobody_answering_calls_one_contact_after_another(void **state)
{
    (void)state;
    at(0, "critical", "silent/eu");
    assert_told("raised>pager raised>ops@example.test raised>boss@example.test");
    at(299, "critical", "silent/eu");
    assert_told("");
    assert_int_equal(alerts_next(&a, &rules), 300 * SECOND);
    at(300, "critical", "silent/eu");
    assert_string_equal(a.letters[0].contact, "ana (dr-commander)");
    assert_string_equal(a.letters[0].phone, "+31 20 555 0101");
    assert_told("escalated>pager escalated>ops@example.test escalated>boss@example.test");
    at(599, "critical", "silent/eu");
    assert_told("");
    at(600, "critical", "silent/eu");
    assert_string_equal(a.letters[0].contact, "bo (dr-commander)");
    assert_told("escalated>desk");     /* bo has a channel of their own */
    at(1199, "critical", "silent/eu"); /* all were called: the second round takes its time */
    assert_told("");
    at(1200, "critical", "silent/eu");
    assert_string_equal(a.letters[0].contact,
                        "ana (dr-commander)"); /* once a round, two roles or not */
    assert_told("escalated>pager escalated>ops@example.test escalated>boss@example.test");
    struct dr_err err = { 0 };
    assert_int_equal(alerts_acknowledge(&a, &rules, "silent/eu", "ana", &err), DR_OK);
    assert_told("acknowledged>pager acknowledged>ops@example.test acknowledged>boss@example.test "
                "acknowledged>desk"); /* bo was called, and may sleep on */
}

static void a_contact_with_an_address_gets_the_mail_that_others_would(void **state)
{
    (void)state;
    static char mail_key[] = "email", address[] = "cy@example.test", name[] = "cy", role[] = "dba";
    struct config_pair fields[] = { { mail_key, address, { 0 } } };
    struct config_person cy = { .name = name, .role = role, .fields = fields, .field_count = 1 };
    config.people = &cy;
    config.person_count = 1;
    setup_fini(&rules);
    setup_init(&rules, &config);
    at(0, "critical", "silent/eu");
    assert_told("raised>pager raised>ops@example.test raised>boss@example.test");
    at(300, "critical", "silent/eu");
    assert_told("escalated>pager escalated>cy@example.test");
    config.critical.channels.count = 1; /* pager alone: the mail is added */
    at(900, "critical", "silent/eu");
    assert_told("escalated>cy@example.test escalated>pager");
    at(910, NULL, NULL);
    assert_told("resolved>pager resolved>cy@example.test"); /* who was called hears of the end */
}

static void escalation_never_ends_and_never_storms(void **state)
{
    (void)state;
    size_t told = 0;
    at(0, "critical", "silent/eu");
    for (int64_t t = 0; t < 7 * 86400; t += 60) {
        at(t, "critical", "silent/eu");
        for (size_t i = 0; i < a.letter_count; i++)
            told += strcmp(a.letters[i].channel, "pager") == 0 ||
                    strcmp(a.letters[i].channel, "desk") == 0;
        while (a.letter_count > 0) {
            DR_FREE char *id = dr_strdup(a.letters[0].id);
            alerts_drop(&a, id, false);
        }
    }
    assert_in_range(told, 7 * 24, 7 * 24 + 12); /* once an hour, and a dozen in the first hours */
}

static void an_acknowledgement_stops_the_escalation_and_is_told(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    at(0, "critical", "silent/eu");
    assert_told("raised>pager raised>ops@example.test raised>boss@example.test");
    assert_int_equal(alerts_acknowledge(&a, &rules, "silent/eu", "ana", &err), DR_OK);
    assert_string_equal(a.letters[0].by, "ana");
    assert_told("acknowledged>pager acknowledged>ops@example.test acknowledged>boss@example.test");
    at(86400, "critical", "silent/eu");
    assert_told("");
    assert_int_equal(alerts_next(&a, &rules), INT64_MAX);
    assert_int_equal(alerts_acknowledge(&a, &rules, "silent/eu", "ana", &err), DR_OK);
    assert_int_equal(alerts_acknowledge(&a, &rules, "silent/eu", "bo", &err), DR_E_EXISTS);
    assert_non_null(strstr(err.msg, "ana"));
    assert_int_equal(alerts_acknowledge(&a, &rules, "silent/ap", "bo", &err), DR_E_NOTFOUND);
}

static void an_acknowledgement_holds_for_this_time_only(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    at(0, "critical", "silent/eu");
    assert_int_equal(alerts_acknowledge(&a, &rules, "silent/eu", "ana", &err), DR_OK);
    at(10, NULL, NULL);
    at(20, "critical", "silent/eu");
    assert_null(a.alerts[0].acked_by);
    while (a.letter_count > 0) {
        DR_FREE char *id = dr_strdup(a.letters[0].id);
        alerts_drop(&a, id, false);
    }
    at(320, "critical", "silent/eu");
    assert_told("escalated>pager escalated>ops@example.test escalated>boss@example.test");
}

/* ---- the queue -------------------------------------------------------------------------------------- */

static bool failed(const char *id, bool refused, int64_t retry_after_ms)
{
    const struct letter_answer no = { .refused = refused,
                                      .retry_after_ms = retry_after_ms,
                                      .why = "no" };
    static uint64_t seed;
    DR_FREE char *copy = dr_strdup(id);
    return alerts_answered(&a, copy, &no, ++seed);
}

static void letters_of_one_alert_keep_their_order(void **state)
{
    (void)state;
    at(0, "warning", "overdue/app");
    at(5, NULL, NULL);
    at(6, "warning", "overdue/db");
    assert_string_equal(alerts_due(&a, "chat")->kind, "raised");
    assert_false(failed(a.letters[0].id, true, -1)); /* it is refused: the other key goes on */
    assert_string_equal(alerts_due(&a, "chat")->key, "overdue/db");
    const struct letter_answer yes = { .delivered = true };
    DR_FREE char *id = dr_strdup(a.letters[2].id);
    assert_false(alerts_answered(&a, id, &yes, 1));
    assert_null(alerts_due(&a, "chat")); /* "resolved" does not overtake "raised" */
    now(4000);
    assert_string_equal(alerts_due(&a, "chat")->kind, "raised");
}

static void a_dead_channel_waits_as_a_whole_and_the_server_may_say_how_long(void **state)
{
    (void)state;
    at(0, "warning", "overdue/app");
    at(0, "warning", "overdue/db"); /* ends app */
    assert_false(failed(a.letters[0].id, false, 120000));
    assert_null(alerts_due(&a, "chat"));
    now(119);
    assert_null(alerts_due(&a, "chat"));
    assert_true(alerts_next(&a, &rules) >= 120 * SECOND);
    now(123); /* and at most the jitter of a first failure */
    assert_non_null(alerts_due(&a, "chat"));
}

static void waits_grow_to_a_quarter_of_an_hour(void **state)
{
    (void)state;
    at(0, "warning", "overdue/app");
    int64_t longest = 0, t = 0;
    for (int i = 0; i < 60; i++) {
        now(t);
        assert_false(failed(a.letters[0].id, false, -1) && t < 86400);
        int64_t wait = a.letters[0].next_ns / SECOND - t;
        assert_in_range(wait, 0, 901);
        longest = wait > longest ? wait : longest;
        t += wait + 1;
    }
    assert_in_range(longest, 300, 901);
}

static void a_letter_is_given_up_after_a_day_and_not_for_a_jump_of_the_clock(void **state)
{
    (void)state;
    at(0, "warning", "overdue/app");
    now(400 * 86400); /* asleep, or the clock jumped */
    for (int i = 0; i < 19; i++)
        assert_false(failed(a.letters[0].id, false, -1));
    assert_true(failed(a.letters[0].id, false, -1));
    DR_FREE char *id = dr_strdup(a.letters[0].id);
    alerts_drop(&a, id, true);
    assert_int_equal(alerts_channel(&a, "chat")->dead, 1);
}

static void a_channel_that_fails_is_told_by_the_others(void **state)
{
    (void)state;
    at(0, "critical", "silent/eu");
    for (size_t i = 0; i < a.letter_count; i++)
        if (strcmp(a.letters[i].channel, "pager") == 0)
            assert_false(failed(a.letters[i].id, false, -1));
    at(299, "critical", "silent/eu");
    size_t before = a.letter_count;
    at(300, "critical", "silent/eu"); /* its five minutes are over; and escalation */
    bool by_mail = false;
    for (size_t i = before; i < a.letter_count; i++) {
        bool own = strcmp(a.letters[i].key, "notify/pager") == 0;
        assert_false(own && strcmp(a.letters[i].channel, "pager") == 0);
        by_mail = by_mail || (own && strcmp(a.letters[i].channel, "mail") == 0);
    }
    assert_true(by_mail);
}

static void a_refusal_is_told_at_once_and_its_end_too(void **state)
{
    (void)state;
    at(0, "warning", "overdue/app");
    assert_false(failed(a.letters[0].id, true, -1));
    at(1, "warning", "overdue/app");
    assert_int_equal(a.letter_count, 4); /* chat's own, and notify/chat to pager and two mails */
    assert_string_equal(a.letters[1].key, "notify/chat");
    assert_string_equal(a.letters[1].severity, "critical");
    const struct letter_answer yes = { .delivered = true };
    DR_FREE char *id = dr_strdup(a.letters[0].id);
    assert_false(alerts_answered(&a, id, &yes, 1));
    at(2, "warning", "overdue/app");
    assert_string_equal(a.letters[a.letter_count - 1].kind, "resolved");
}

/* ---- what survives ------------------------------------------------------------------------------------- */

static struct notify *open_it(const char *boot)
{
    struct dr_err err = { 0 };
    struct notify *n = NULL;
    assert_int_equal(notify_open(&config, &n, &err), DR_OK);
    if (boot != NULL)
        n->keep.boot_id = boot;
    return n;
}

static enum dr_rc tell(struct notify *n, const char *severity, const char *key)
{
    struct dr_err err = { 0 };
    DR_JSON json_t *list = key != NULL ? finding(severity, key) : json_array();
    return notify_findings(n, list, &err);
}

/* How many letters wait, read from the disk. */
static size_t waiting(const char *kind)
{
    DR_CLEANUP(notify_close_ptr) struct notify *n = open_it(NULL);
    size_t count = 0;
    for (size_t i = 0; i < n->keep.alerts.letter_count; i++)
        count += kind == NULL || strcmp(n->keep.alerts.letters[i].kind, kind) == 0;
    return count;
}

/* What time brings, without anything being sent. */
static void tick(struct notify *n)
{
    struct dr_err err = { 0 };
    assert_int_equal(notify_begin(n, &err), DR_OK);
    alerts_tick(&n->keep.alerts, &n->setup);
    assert_int_equal(notify_end(n, &err, &err), DR_OK);
}

static void what_was_told_is_not_told_again_after_a_restart(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        DR_CLEANUP(notify_close_ptr) struct notify *n = open_it(NULL);
        assert_int_equal(tell(n, "critical", "silent/eu"), DR_OK);
    }
    assert_int_equal(waiting(NULL), 3);
}

static void everything_that_is_known_comes_back_from_the_disk(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(notify_close_ptr) struct notify *n = open_it(NULL);
    assert_int_equal(tell(n, "critical", "silent/eu"), DR_OK);
    assert_int_equal(notify_acknowledge(n, "silent/eu", "an\"a\xff", &err), DR_OK);
    DR_CLEANUP(notify_close_ptr) struct notify *other = open_it(NULL);
    DR_JSON json_t *was = notify_list(n);
    DR_JSON json_t *is = notify_list(other);
    assert_true(json_equal(was, is));
    assert_int_equal(json_array_size(is), 1);
    const json_t *acked = json_object_get(json_array_get(is, 0), "acknowledged");
    assert_string_equal(json_string_value(json_object_get(acked, "by")), "an\"a\\xff");
    assert_string_equal(json_string_value(json_object_get(acked, "at")), "2026-11-21T03:11:40Z");
}

static void the_wall_clock_may_jump_within_a_boot(void **state)
{
    (void)state;
    DR_CLEANUP(notify_close_ptr) struct notify *n = open_it(NULL);
    assert_int_equal(tell(n, "critical", "silent/eu"), DR_OK);
    wall_ns += 400 * 86400 * SECOND;
    pass(299);
    tick(n);
    assert_int_equal(waiting("escalated"), 0); /* no storm */
    wall_ns -= 800 * 86400 * SECOND;
    pass(1);
    tick(n);
    assert_int_equal(waiting("escalated"), 3); /* no silence */
    tick(n);
    assert_int_equal(waiting("escalated"), 3);
}

static void timers_go_on_over_a_restart_and_a_reboot(void **state)
{
    (void)state;
    DR_CLEANUP(notify_close_ptr) struct notify *first = open_it(NULL);
    assert_int_equal(tell(first, "critical", "silent/eu"), DR_OK);
    pass(100);
    {
        DR_CLEANUP(notify_close_ptr) struct notify *n = open_it(NULL);
        tick(n);
        assert_int_equal(waiting("escalated"), 0);
    }
    pass(150);
    boot_ns = 20 * SECOND; /* the machine was started anew */
    {
        DR_CLEANUP(notify_close_ptr) struct notify *n = open_it("another-boot");
        tick(n);
        assert_int_equal(waiting("escalated"), 0);
        pass(49);
        tick(n);
        assert_int_equal(waiting("escalated"), 0);
        pass(1);
        tick(n);
        assert_int_equal(waiting("escalated"), 3);
    }
}

static void a_reboot_with_a_wrong_clock_delays_and_does_not_storm(void **state)
{
    (void)state;
    DR_CLEANUP(notify_close_ptr) struct notify *first = open_it(NULL);
    assert_int_equal(tell(first, "critical", "silent/eu"), DR_OK);
    boot_ns = 10 * SECOND;
    wall_ns -= 3000 * 86400 * SECOND; /* an empty battery */
    DR_CLEANUP(notify_close_ptr) struct notify *n = open_it("another-boot");
    tick(n);
    pass(290); /* ten seconds of this boot had passed already */
    tick(n);
    assert_int_equal(waiting("escalated"), 3);
    boot_ns = 10 * SECOND;
    wall_ns += 9000 * 86400 * SECOND;
    DR_CLEANUP(notify_close_ptr) struct notify *third = open_it("a-third-boot");
    for (int i = 0; i < 10; i++)
        tick(third);
    assert_int_equal(waiting("escalated"), 4); /* the next contact, once */
}

static void a_state_that_cannot_be_read_is_put_aside_and_told(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    {
        DR_CLEANUP(notify_close_ptr) struct notify *n = open_it(NULL);
        assert_int_equal(tell(n, "warning", "overdue/app"), DR_OK);
    }
    DR_FREE char *alerts_dir = dr_strf("%s/alerts", dir);
    DR_FREE char *aside = dr_strf("%s/state.corrupt", alerts_dir);
    assert_int_equal(fs_replace(alerts_dir, "state.json", "{\"v\":1", 6, &err), DR_OK);
    DR_CLEANUP(notify_close_ptr) struct notify *n = open_it(NULL);
    assert_int_equal(tell(n, "warning", "overdue/app"), DR_OK);
    assert_int_equal(access(aside, F_OK), 0);
    assert_int_equal(waiting("raised"), 1);
    assert_int_equal(waiting("event"), 3); /* that it was forgotten, to those of what is critical */
}

static bool waits(const struct alerts *all, const char *key)
{
    for (size_t i = 0; i < all->letter_count; i++)
        if (strcmp(all->letters[i].key, key) == 0)
            return true;
    return false;
}

static void a_full_disk_silences_nobody(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_CLEANUP(notify_close_ptr) struct notify *n = open_it(NULL);
    assert_int_equal(tell(n, "warning", "overdue/app"), DR_OK);
    fault_errno = ENOSPC;
    for (unsigned call = 1;; call++) {
        DR_FREE char *key = dr_strf("overdue/%u", call);
        fault_arm(FAULT_ERRNO, call);
        enum dr_rc rc = notify_event(n, "warning", key, "told once", "", &err);
        bool fired = fault_disarm();
        assert_true(waits(&n->keep.alerts, key)); /* it will be sent, whatever became of the file */
        tick(n);
        DR_CLEANUP(notify_close_ptr) struct notify *other = open_it(NULL);
        assert_true(waits(&other->keep.alerts, key)); /* and it is written when there is room */
        if (!fired) {
            assert_int_equal(rc, DR_OK);
            break;
        }
        assert_true(call < 200);
    }
    fault_errno = EIO;
}

/* In a child that dies at the call: afterwards the state is the old one or the new one, and goes on. */
static void death_at_every_call_leaves_the_old_state_or_the_new(void **state)
{
    (void)state;
    for (unsigned call = 1;; call++) {
        struct dr_err err = { 0 };
        DR_FREE char *alerts_dir = dr_strf("%s/alerts", dir);
        assert_int_equal(fs_remove_tree(alerts_dir, &err), DR_OK);
        {
            DR_CLEANUP(notify_close_ptr) struct notify *n = open_it(NULL);
            assert_int_equal(tell(n, "critical", "silent/eu"), DR_OK);
        }
        pid_t pid = fork();
        if (pid == 0) {
            struct notify *n = open_it(NULL);
            fault_arm(call % 2 == 0 ? FAULT_DIE_AFTER : FAULT_DIE_BEFORE, (call + 1) / 2);
            enum dr_rc rc = tell(n, NULL, NULL);
            bool fired = fault_disarm();
            _exit(rc == DR_OK && !fired ? 0 : 1);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        size_t raised = waiting("raised"), resolved = waiting("resolved");
        assert_int_equal(raised, 3);
        assert_true(resolved == 0 || resolved == 3);
        DR_CLEANUP(notify_close_ptr) struct notify *n = open_it(NULL);
        assert_int_equal(tell(n, NULL, NULL), DR_OK);
        assert_int_equal(waiting("resolved"), 3);
        if (WEXITSTATUS(status) == 0)
            break;
        assert_int_equal(WEXITSTATUS(status), DEATH);
        assert_true(call < 400);
    }
}

static void short_writes_are_gone_on_with(void **state)
{
    (void)state;
    DR_CLEANUP(notify_close_ptr) struct notify *n = open_it(NULL);
    for (unsigned call = 1;; call++) {
        fault_arm(FAULT_SHORT, call);
        assert_int_equal(tell(n, "warning", call % 2 == 0 ? "overdue/app" : "overdue/db"), DR_OK);
        int open = fault_open_fds();
        bool fired = fault_disarm();
        assert_int_equal(open, 0);
        DR_CLEANUP(notify_close_ptr) struct notify *other = open_it(NULL);
        assert_int_equal(other->keep.alerts.letter_count, n->keep.alerts.letter_count);
        if (!fired)
            break;
        assert_true(call < 200);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_finding_is_told_once_and_its_end_once),
        TEST(severity_chooses_the_channels_and_each_address_gets_a_letter),
        TEST(what_becomes_graver_is_told_to_those_of_the_graver_kind),
        TEST(an_event_is_told_once_for_its_key),
        TEST(what_flaps_is_told_three_times_and_then_has_to_calm),
        TEST(a_finding_without_room_is_counted_and_told),
        TEST(nobody_answering_calls_one_contact_after_another),
        TEST(a_contact_with_an_address_gets_the_mail_that_others_would),
        TEST(escalation_never_ends_and_never_storms),
        TEST(an_acknowledgement_stops_the_escalation_and_is_told),
        TEST(an_acknowledgement_holds_for_this_time_only),
        TEST(letters_of_one_alert_keep_their_order),
        TEST(a_dead_channel_waits_as_a_whole_and_the_server_may_say_how_long),
        TEST(waits_grow_to_a_quarter_of_an_hour),
        TEST(a_letter_is_given_up_after_a_day_and_not_for_a_jump_of_the_clock),
        TEST(a_channel_that_fails_is_told_by_the_others),
        TEST(a_refusal_is_told_at_once_and_its_end_too),
        TEST(what_was_told_is_not_told_again_after_a_restart),
        TEST(everything_that_is_known_comes_back_from_the_disk),
        TEST(the_wall_clock_may_jump_within_a_boot),
        TEST(timers_go_on_over_a_restart_and_a_reboot),
        TEST(a_reboot_with_a_wrong_clock_delays_and_does_not_storm),
        TEST(a_state_that_cannot_be_read_is_put_aside_and_told),
        TEST(a_full_disk_silences_nobody),
        TEST(death_at_every_call_leaves_the_old_state_or_the_new),
        TEST(short_writes_are_gone_on_with),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
