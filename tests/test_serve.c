/*
 * What drctl serve says: every sample names what is known and nothing else; what comes from outside never becomes HTML;
 * and a request that asks for another host is not answered.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dr/data/time.h"
#include "dr/serve/metrics.h"
#include "dr/serve/page.h"
#include "dr/serve/serve.h"

static json_t *view_of(const char *text)
{
    json_t *view = NULL;
    struct dr_err err;
    assert_int_equal(json_read("a view", text, strlen(text), &view, &err), DR_OK);
    return view;
}

static int64_t at(const char *time)
{
    int64_t ns = 0;
    assert_true(time_parse(time, &ns));
    return ns;
}

static const char hostile[] =
    "{\"schema\":\"drctl-status-1\",\"made_at\":\"2026-11-21T03:00:00Z\",\"by\":\"<script>alert(1)</script>\","
    "\"verdict\":\"ok\",\"sites\":[{\"name\":\"a\\\"b\\\\c\\nd\",\"state\":\"alive\",\"written_at\":null,"
    "\"jobs\":[{\"what\":\"preflight\",\"source\":null,\"plan\":\"p1\",\"exit\":null,\"overdue\":false},"
    "{\"what\":\"preflight\",\"source\":null,\"plan\":\"p2\",\"exit\":3,\"overdue\":true}],"
    "\"probes\":[{\"name\":\"w\",\"state\":\"unknown\"}]}],"
    "\"sources\":[{\"name\":\"app\",\"newest\":null,\"overdue\":true,\"copies\":0,\"needed\":2,\"days\":[]}],"
    "\"buckets\":[{\"name\":\"us\",\"region\":\"r\",\"state\":\"ok\",\"bytes\":null,\"snapshots\":3,"
    "\"if_region_died\":[{\"source\":\"app\",\"loss_s\":null},{\"source\":\"etc\",\"loss_s\":90}]}],"
    "\"forecast\":[{\"source\":\"app\",\"n\":0,\"min_s\":null,\"median_s\":null,\"max_s\":null}],"
    "\"runs\":[],\"findings\":[{\"severity\":\"warning\",\"key\":\"k\",\"text\":\"<img src=x>\",\"hint\":\"a&b\"}]}";

static void samples_say_what_is_known_and_nothing_else(void **state)
{
    (void)state;
    DR_JSON json_t *view = view_of(hostile);
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    metrics_add(&b, view, at("2026-11-21T03:01:30Z"));
    static const char *const there[] = {
        "\ndrctl_view_age_seconds 90\n",
        "\ndrctl_site_alive{site=\"a\\\"b\\\\c\\nd\"} 1\n",
        "what=\"preflight\",plan=\"p2\"} 3\n",
        "\ndrctl_source_overdue{source=\"app\"} 1\n",
        "\ndrctl_source_copies_wanted{source=\"app\"} 2\n",
        "\ndrctl_region_loss_seconds{bucket=\"us\",region=\"r\",source=\"app\"} +Inf\n",
        "\ndrctl_region_loss_seconds{bucket=\"us\",region=\"r\",source=\"etc\"} 90\n",
        "\ndrctl_findings{severity=\"critical\"} 0\n",
        "\ndrctl_findings{severity=\"warning\"} 1\n",
    };
    static const char *const absent[] = {
        "drctl_probe_up",      "drctl_site_age",         "drctl_bucket_bytes",
        "drctl_source_newest", "drctl_restore_forecast", "plan=\"p1\"} 0\ndrctl_job_exit"
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(there); i++)
        assert_non_null(strstr(b.data, there[i]));
    for (size_t i = 0; i < DR_ARRAY_LEN(absent); i++)
        assert_null(strstr(b.data, absent[i]));
}

static void a_family_is_told_in_one_piece(void **state)
{
    (void)state;
    DR_JSON json_t *view = view_of(hostile);
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    metrics_add(&b, view, at("2026-11-21T03:01:30Z"));
    DR_CLEANUP(text_list_fini) struct text_list families = { 0 };
    for (const char *p = b.data; (p = strstr(p, "# TYPE ")) != NULL; p++) {
        const char *name = p + strlen("# TYPE ");
        DR_CLEANUP(buf_fini) struct buf one = { 0 };
        buf_add(&one, name, strcspn(name, " "));
        assert_false(text_list_has(&families, one.data));
        text_list_add(&families, one.data);
    }
    assert_true(families.count >= 10);
}

static void without_a_view_nothing_is_claimed(void **state)
{
    (void)state;
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    metrics_add(&b, NULL, 0);
    assert_null(strstr(b.data, "drctl_findings"));
    assert_non_null(strstr(b.data, "# TYPE drctl_view_present gauge\ndrctl_view_present 0\n"));
    buf_clear(&b);
    page_add(&b, NULL, 0);
    assert_non_null(strstr(b.data, "CANNOT TELL"));
}

static void what_comes_from_outside_never_becomes_html(void **state)
{
    (void)state;
    DR_JSON json_t *view = view_of(hostile);
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    page_add(&b, view, at("2026-11-21T03:01:30Z"));
    assert_null(strstr(b.data, "<script"));
    assert_null(strstr(b.data, "<img"));
    assert_non_null(strstr(b.data, "&lt;img src=x&gt;"));
    assert_non_null(strstr(b.data, "a&amp;b"));
}

static void an_old_view_is_called_stale_whatever_it_says(void **state)
{
    (void)state;
    DR_JSON json_t *view = view_of(hostile);
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    page_add(&b, view, at("2026-11-21T03:15:00Z"));
    assert_non_null(strstr(b.data, ">OK<"));
    buf_clear(&b);
    page_add(&b, view, at("2026-11-21T03:15:01Z"));
    assert_non_null(strstr(b.data, ">STALE<"));
    assert_null(strstr(b.data, ">OK<"));
}

static void only_our_own_names_are_answered(void **state)
{
    (void)state;
    DR_CLEANUP(text_list_fini) struct text_list hosts = { 0 };
    text_list_add(&hosts, "dr.example.com");
    const struct serve_options o = { .listen = "127.0.0.1:9188", .hosts = &hosts };
    static const char *const good[] = { "127.0.0.1", "127.0.0.1:9188", "localhost:9188",
                                        "LOCALHOST", "dr.example.com", "DR.example.com:80" };
    static const char *const bad[] = {
        "", "evil.example", "127.0.0.2", "localhost.evil.example", "dr.example.co", ":9188", "[::1]"
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(good); i++)
        assert_true(serve_knows_host(&o, good[i]));
    for (size_t i = 0; i < DR_ARRAY_LEN(bad); i++)
        assert_false(serve_knows_host(&o, bad[i]));
    assert_false(serve_knows_host(&o, NULL));
    const struct serve_options six = { .listen = "[::1]:9188" };
    assert_true(serve_knows_host(&six, "[::1]:9188"));
    assert_false(serve_knows_host(&six, "[::2]:9188"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_say_what_is_known_and_nothing_else),
        cmocka_unit_test(a_family_is_told_in_one_piece),
        cmocka_unit_test(without_a_view_nothing_is_claimed),
        cmocka_unit_test(what_comes_from_outside_never_becomes_html),
        cmocka_unit_test(an_old_view_is_called_stale_whatever_it_says),
        cmocka_unit_test(only_our_own_names_are_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
