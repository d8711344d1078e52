/*
 * time.c - RFC 3339 in UTC, to the nanosecond, both ways.
 *
 * Digits are read one by one, not by strptime(), which follows the locale and forgives what a
 * record must not contain. A day that the month does not have is refused.
 */
#include "dr/data/time.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const int64_t NS = 1000000000;

/* Exactly len digits, as a number; -1 otherwise. */
static int digits(const char **at, int len)
{
    int value = 0;
    for (int i = 0; i < len; i++) {
        char c = (*at)[i];
        if (c < '0' || c > '9')
            return -1;
        value = value * 10 + (c - '0');
    }
    *at += len;
    return value;
}

static bool mark(const char **at, char c)
{
    if (**at != c)
        return false;
    (*at)++;
    return true;
}

static bool date_and_time(const char **at, struct tm *tm)
{
    int year = digits(at, 4);
    bool ok = year >= 1900 && mark(at, '-');
    int month = ok ? digits(at, 2) : -1;
    ok = ok && month >= 1 && month <= 12 && mark(at, '-');
    int day = ok ? digits(at, 2) : -1;
    ok = ok && day >= 1 && day <= 31 && (mark(at, 'T') || mark(at, 't') || mark(at, ' '));
    int hour = ok ? digits(at, 2) : -1;
    ok = ok && hour >= 0 && hour <= 23 && mark(at, ':');
    int minute = ok ? digits(at, 2) : -1;
    ok = ok && minute >= 0 && minute <= 59 && mark(at, ':');
    int second = ok ? digits(at, 2) : -1;
    ok = ok && second >= 0 && second <= 60;
    if (!ok)
        return false;
    *tm = (struct tm){ .tm_year = year - 1900,
                       .tm_mon = month - 1,
                       .tm_mday = day,
                       .tm_hour = hour,
                       .tm_min = minute,
                       .tm_sec = second };
    return true;
}

static bool zone(const char **at, int64_t *ret_s)
{
    if (mark(at, 'Z') || mark(at, 'z')) {
        *ret_s = 0;
        return true;
    }
    int sign = **at == '+' ? 1 : **at == '-' ? -1 : 0;
    if (sign == 0)
        return false;
    (*at)++;
    int hours = digits(at, 2);
    if (hours < 0 || hours > 23 || !mark(at, ':'))
        return false;
    int minutes = digits(at, 2);
    if (minutes < 0 || minutes > 59)
        return false;
    *ret_s = (int64_t)sign * (hours * 3600 + minutes * 60);
    return true;
}

bool time_parse(const char *text, int64_t *ret_ns)
{
    const char *at = text;
    struct tm tm;
    if (!date_and_time(&at, &tm))
        return false;
    int day = tm.tm_mday;
    int second = tm.tm_sec;
    int64_t fraction = 0;
    if (mark(&at, '.')) {
        int64_t unit = NS / 10;
        if (*at < '0' || *at > '9')
            return false;
        for (; *at >= '0' && *at <= '9'; at++, unit /= 10)
            fraction += unit * (*at - '0');
    }
    int64_t offset;
    if (!zone(&at, &offset) || *at != '\0')
        return false;
    int64_t seconds = timegm(&tm);
    if (tm.tm_mday != day && second != 60) /* 30 February came back as a day of March */
        return false;
    int64_t ns = 0;
    if (__builtin_mul_overflow(seconds - offset, NS, &ns) ||
        __builtin_add_overflow(ns, fraction, &ns))
        return false; /* before 1677 or after 2262 */
    *ret_ns = ns;
    return true;
}

static struct tm split(int64_t ns, int64_t *ret_fraction)
{
    int64_t s = ns / NS;
    *ret_fraction = ns % NS;
    if (*ret_fraction < 0) {
        *ret_fraction += NS;
        s--;
    }
    time_t t = (time_t)s;
    struct tm tm;
    gmtime_r(&t, &tm);
    return tm;
}

char *time_print(int64_t ns, char out[TIME_TEXT_MAX])
{
    int64_t fraction;
    struct tm tm = split(ns, &fraction);
    size_t len = strftime(out, TIME_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + len, TIME_TEXT_MAX - len, ".%09dZ", (int)fraction);
    return out;
}

char *time_print_s(int64_t ns, char out[TIME_TEXT_MAX])
{
    int64_t fraction;
    struct tm tm = split(ns, &fraction);
    strftime(out, TIME_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return out;
}

char *time_tell(int64_t ns, char out[TIME_TEXT_MAX])
{
    int64_t fraction;
    struct tm tm = split(ns, &fraction);
    strftime(out, TIME_TEXT_MAX, "%H:%M:%S", &tm);
    return out;
}
