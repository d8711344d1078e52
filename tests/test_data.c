/*
 * Quantities, times, JSON: units are always written, and what was printed reads back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dr/data/duration.h"
#include "dr/data/json.h"
#include "dr/data/time.h"

static void durations_need_units_that_fall(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum quantity result;
        int64_t ms;
    } cases[] = {
        { "500ms", QUANTITY_OK, 500 },
        { "30s", QUANTITY_OK, 30000 },
        { "1h30m", QUANTITY_OK, 5400000 },
        { "7d", QUANTITY_OK, 604800000 },
        { "1d2h3m4s5ms", QUANTITY_OK, 93784005 },
        { "0s", QUANTITY_OK, 0 },
        { "30", QUANTITY_NO_UNIT, 0 },
        { "0", QUANTITY_NO_UNIT, 0 },
        { "", QUANTITY_BAD, 0 },
        { "1.5h", QUANTITY_BAD, 0 },
        { "30m1h", QUANTITY_BAD, 0 },
        { "1h1h", QUANTITY_BAD, 0 },
        { "-5s", QUANTITY_BAD, 0 },
        { "+5s", QUANTITY_BAD, 0 },
        { "05s", QUANTITY_BAD, 0 },
        { "5 s", QUANTITY_BAD, 0 },
        { "5S", QUANTITY_BAD, 0 },
        { "1h30", QUANTITY_BAD, 0 },
        { "4000d", QUANTITY_BAD, 0 },
        { "99999999999999999999s", QUANTITY_BAD, 0 },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(cases); i++) {
        int64_t ms = -1;
        assert_int_equal(duration_parse(cases[i].text, &ms), cases[i].result);
        assert_int_equal(ms, cases[i].result == QUANTITY_OK ? cases[i].ms : -1);
    }
}

static void printed_durations_read_back(void **state)
{
    (void)state;
    for (int64_t ms = 0; ms < INT64_C(90) * 86400000; ms = ms * 3 + 7) {
        char text[DURATION_TEXT_MAX];
        int64_t again = -1;
        assert_int_equal(duration_parse(duration_print(ms, text), &again), QUANTITY_OK);
        assert_int_equal(again, ms);
    }
}

static void durations_are_told_in_two_units(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        { 400, "0.4s" },       { 9949, "9.9s" },       { 58000, "58s" },       { 59600, "1m 00s" },
        { 733000, "12m 13s" }, { 10920000, "3h 02m" }, { 187200000, "2d 4h" }, { -58000, "-58s" },
    };
    char out[DURATION_TEXT_MAX];
    for (size_t i = 0; i < DR_ARRAY_LEN(cases); i++)
        assert_string_equal(duration_tell(cases[i].ms, out), cases[i].text);
}

static void sizes_tell_1000s_from_1024s(void **state)
{
    (void)state;
    uint64_t bytes = 0;
    assert_int_equal(size_parse("100MiB", &bytes), QUANTITY_OK);
    assert_int_equal(bytes, 100 << 20);
    assert_int_equal(size_parse("1GB", &bytes), QUANTITY_OK);
    assert_int_equal(bytes, 1000000000);
    assert_int_equal(size_parse("5", &bytes), QUANTITY_NO_UNIT);
    assert_int_equal(size_parse("5M", &bytes), QUANTITY_BAD);
    assert_int_equal(size_parse("9999999TiB", &bytes), QUANTITY_BAD);
    assert_int_equal(bytes, 1000000000);
}

static void shares_need_their_sign(void **state)
{
    (void)state;
    double share = -1;
    assert_int_equal(percent_parse("80", &share), QUANTITY_NO_UNIT);
    assert_int_equal(percent_parse("101%", &share), QUANTITY_BAD);
    assert_int_equal(percent_parse("100.5%", &share), QUANTITY_BAD);
    assert_int_equal(percent_parse("80%%", &share), QUANTITY_BAD);
    assert_true(share == -1);
    assert_int_equal(percent_parse("80%", &share), QUANTITY_OK);
    assert_true(share > 0.799 && share < 0.801);
    assert_int_equal(percent_parse("2.5%", &share), QUANTITY_OK);
    assert_true(share > 0.0249 && share < 0.0251);
}

static void times_need_a_zone_and_a_real_date(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
        int64_t ns;
    } cases[] = {
        { "1970-01-01T00:00:00Z", true, 0 },
        { "2026-11-21T03:11:40Z", true, INT64_C(1795230700) * 1000000000 },
        { "2026-11-21T03:11:40.25+01:00", true, INT64_C(1795227100250000000) },
        { "1969-12-31T23:59:59.5Z", true, -500000000 },
        { "2026-02-30T00:00:00Z", false, 0 },
        { "2024-02-29T00:00:00Z", true, INT64_C(1709164800) * 1000000000 },
        { "2026-11-21T03:11:40", false, 0 },
        { "2026-11-21", false, 0 },
        { "2026-13-21T03:11:40Z", false, 0 },
        { "2026-11-21T24:11:40Z", false, 0 },
        { "2026-11-21T03:11:40.Z", false, 0 },
        { "2026-11-21T03:11:40Zx", false, 0 },
        { "now", false, 0 },
    };
    for (size_t i = 0; i < DR_ARRAY_LEN(cases); i++) {
        int64_t ns = 42;
        assert_int_equal(time_parse(cases[i].text, &ns), cases[i].good);
        assert_int_equal(ns, cases[i].good ? cases[i].ns : 42);
    }
}

static void printed_times_read_back_and_sort(void **state)
{
    (void)state;
    char before[TIME_TEXT_MAX] = "";
    for (int64_t ns = -INT64_C(2000000000000000000); ns < INT64_C(4000000000000000000);
         ns += INT64_C(98765432109876543)) {
        char text[TIME_TEXT_MAX];
        int64_t again = 0;
        assert_true(time_parse(time_print(ns, text), &again));
        assert_int_equal(again, ns);
        assert_true(strcmp(before, text) < 0);
        strcpy(before, text);
    }
    char text[TIME_TEXT_MAX];
    assert_string_equal(time_print_s(-1, text), "1969-12-31T23:59:59Z");
    assert_string_equal(time_tell(0, text), "00:00:00");
}

static void json_errors_name_the_place(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    json_t *value = NULL;
    const char twice[] = "{\"a\": 1,\n \"a\": 2}";
    assert_int_equal(json_read("file.json", twice, strlen(twice), &value, &err), DR_E_CORRUPT);
    assert_true(strncmp(err.msg, "file.json:2:", 12) == 0);
    const char tail[] = "{} x";
    assert_int_equal(json_read("f", tail, strlen(tail), &value, &err), DR_E_CORRUPT);
    assert_null(value);
}

static void canonical_json_is_one_form_only(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    const char text[] = " { \"b\" : [1, true , null],\n \"a\":\"x\\u00e9\\n\" }";
    DR_JSON json_t *value = NULL;
    assert_int_equal(json_read("t", text, strlen(text), &value, &err), DR_OK);
    DR_CLEANUP(buf_fini) struct buf b = { 0 };
    json_add_canonical(&b, value);
    assert_string_equal(b.data, "{\"a\":\"x\xc3\xa9\\n\",\"b\":[1,true,null]}");
}

static void members_are_checked_for_their_type(void **state)
{
    (void)state;
    struct dr_err err = { 0 };
    DR_JSON json_t *o = json_object();
    json_put_text(o, "t", "bad \xff byte");
    json_put_int(o, "n", 5);
    const char *text = NULL;
    int64_t number = 0;
    assert_int_equal(json_get_text(o, "t", &text, &err), DR_OK);
    assert_string_equal(text, "bad \\xff byte");
    assert_int_equal(json_get_int(o, "n", &number, &err), DR_OK);
    assert_int_equal(number, 5);
    assert_int_equal(json_get_int(o, "t", &number, &err), DR_E_CORRUPT);
    assert_string_equal(err.msg, "'t' is not a number");
    assert_int_equal(json_get_text(o, "x", &text, &err), DR_E_CORRUPT);
    assert_string_equal(err.msg, "'x' is missing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_need_units_that_fall),
        cmocka_unit_test(printed_durations_read_back),
        cmocka_unit_test(durations_are_told_in_two_units),
        cmocka_unit_test(sizes_tell_1000s_from_1024s),
        cmocka_unit_test(shares_need_their_sign),
        cmocka_unit_test(times_need_a_zone_and_a_real_date),
        cmocka_unit_test(printed_times_read_back_and_sort),
        cmocka_unit_test(json_errors_name_the_place),
        cmocka_unit_test(canonical_json_is_one_form_only),
        cmocka_unit_test(members_are_checked_for_their_type),
    };
    return cmocka_run_group_tests_name("data", tests, NULL, NULL);
}
