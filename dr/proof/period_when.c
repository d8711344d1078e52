/*
 * period_when.c - the names of months, quarters and years, and where they begin and end, in UTC.
 */
#include <stdio.h>
#include <string.h>

#include "dr/data/time.h"
#include "dr/proof/period_work.h"

enum { YEAR_DIGITS = 4, MONTHS = 12 };

static bool digits(const char *text, size_t count, int *ret)
{
    int value = 0;
    for (size_t i = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (text[i] - '0');
    }
    *ret = value;
    return true;
}

/* The first moment of a month; month 13 is the next January. */
static bool month_begins(int year, int month, int64_t *ret_ns)
{
    char text[TIME_TEXT_MAX];
    if (month > MONTHS) {
        month -= MONTHS;
        year++;
    }
    snprintf(text, sizeof(text), "%04d-%02d-01T00:00:00Z", year, month);
    return time_parse(text, ret_ns);
}

static bool months(int year, int month, int count, int64_t *ret_from_ns, int64_t *ret_to_ns)
{
    int64_t from_ns, to_ns;
    if (!month_begins(year, month, &from_ns) || !month_begins(year, month + count, &to_ns))
        return false;
    *ret_from_ns = from_ns;
    *ret_to_ns = to_ns;
    return true;
}

bool period_month(const char *text, int64_t *ret_from_ns, int64_t *ret_to_ns)
{
    int year, month;
    return strlen(text) == 7 && digits(text, YEAR_DIGITS, &year) && text[4] == '-' &&
           digits(text + 5, 2, &month) && month >= 1 && month <= MONTHS &&
           months(year, month, 1, ret_from_ns, ret_to_ns);
}

bool period_quarter(const char *text, int64_t *ret_from_ns, int64_t *ret_to_ns)
{
    int year, quarter;
    return strlen(text) == 7 && digits(text, YEAR_DIGITS, &year) && text[4] == '-' &&
           text[5] == 'Q' && digits(text + 6, 1, &quarter) && quarter >= 1 && quarter <= 4 &&
           months(year, 3 * quarter - 2, 3, ret_from_ns, ret_to_ns);
}

bool period_year(const char *text, int64_t *ret_from_ns, int64_t *ret_to_ns)
{
    int year;
    return strlen(text) == YEAR_DIGITS && digits(text, YEAR_DIGITS, &year) &&
           months(year, 1, MONTHS, ret_from_ns, ret_to_ns);
}

bool period_moment(const char *text, int64_t *ret_ns)
{
    char whole[TIME_TEXT_MAX];
    if (strlen(text) != strlen("2026-11-21"))
        return time_parse(text, ret_ns);
    snprintf(whole, sizeof(whole), "%sT00:00:00Z", text);
    return time_parse(whole, ret_ns);
}

char *period_month_of(int64_t ns, char out[PERIOD_NAME_MAX])
{
    char text[TIME_TEXT_MAX];
    snprintf(out, PERIOD_NAME_MAX, "%.7s", time_print(ns, text));
    return out;
}
