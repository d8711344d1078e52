/*
 * duration.c - durations and sizes with their units.
 *
 * A number without a unit is a mistake, not a default: "5" has meant minutes to one person and
 * seconds to another once too often.
 */
#include "dr/data/duration.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const int64_t TEN_YEARS_MS = INT64_C(3653) * 86400 * 1000;

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit duration_units[] = {
    { "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 },
};

static const struct unit size_units[] = {
    { "B", 1 },
    { "kB", 1000 },
    { "KB", 1000 },
    { "MB", 1000000 },
    { "GB", 1000000000 },
    { "TB", 1000000000000 },
    { "KiB", 1024 },
    { "MiB", INT64_C(1) << 20 },
    { "GiB", INT64_C(1) << 30 },
    { "TiB", INT64_C(1) << 40 },
};

/* Digits at *at, no sign, no leading zero; false when there are none or too many. */
static bool take_number(const char **at, int64_t *ret)
{
    const char *p = *at;
    int64_t value = 0;
    if (*p < '0' || *p > '9' || (p[0] == '0' && p[1] >= '0' && p[1] <= '9'))
        return false;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (value > INT64_MAX / 10 - 10)
            return false;
        value = value * 10 + (*p - '0');
    }
    *at = p;
    *ret = value;
    return true;
}

static size_t word_len(const char *p)
{
    size_t len = 0;
    while ((p[len] >= 'a' && p[len] <= 'z') || (p[len] >= 'A' && p[len] <= 'Z'))
        len++;
    return len;
}

static size_t find_unit(const struct unit *units, size_t count, const char *word, size_t len)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(units[i].name) == len && memcmp(units[i].name, word, len) == 0)
            return i;
    return count;
}

enum quantity duration_parse(const char *text, int64_t *ret_ms)
{
    const size_t count = DR_ARRAY_LEN(duration_units);
    const char *at = text;
    int64_t total = 0;
    size_t next = 0; /* units must fall: 1h30m, not 30m1h */
    do {
        int64_t number;
        if (!take_number(&at, &number))
            return QUANTITY_BAD;
        size_t len = word_len(at);
        if (len == 0)
            return *at == '\0' && next == 0 ? QUANTITY_NO_UNIT : QUANTITY_BAD;
        size_t unit = find_unit(duration_units, count, at, len);
        if (unit == count || unit < next || number > TEN_YEARS_MS / duration_units[unit].factor)
            return QUANTITY_BAD;
        total += number * duration_units[unit].factor;
        next = unit + 1;
        at += len;
    } while (*at != '\0');
    if (total > TEN_YEARS_MS)
        return QUANTITY_BAD;
    *ret_ms = total;
    return QUANTITY_OK;
}

enum quantity size_parse(const char *text, uint64_t *ret_bytes)
{
    const size_t count = DR_ARRAY_LEN(size_units);
    const char *at = text;
    int64_t number;
    if (!take_number(&at, &number))
        return QUANTITY_BAD;
    if (*at == '\0')
        return QUANTITY_NO_UNIT;
    size_t len = word_len(at);
    size_t unit = find_unit(size_units, count, at, len);
    if (unit == count || at[len] != '\0' || number > INT64_MAX / size_units[unit].factor)
        return QUANTITY_BAD;
    *ret_bytes = (uint64_t)(number * size_units[unit].factor);
    return QUANTITY_OK;
}

enum quantity percent_parse(const char *text, double *ret_share)
{
    const char *at = text;
    int64_t whole;
    double part = 0;
    int64_t scale = 1;
    if (!take_number(&at, &whole) || whole > 100)
        return QUANTITY_BAD;
    if (*at == '.') {
        at++;
        if (*at < '0' || *at > '9')
            return QUANTITY_BAD;
        for (; *at >= '0' && *at <= '9' && scale < INT64_MAX / 100; at++) {
            scale *= 10;
            part += (double)(*at - '0') / (double)scale;
        }
    }
    if (*at == '\0')
        return QUANTITY_NO_UNIT;
    double share = ((double)whole + part) / 100;
    if (strcmp(at, "%") != 0 || share > 1)
        return QUANTITY_BAD;
    *ret_share = share;
    return QUANTITY_OK;
}

char *duration_print(int64_t ms, char out[DURATION_TEXT_MAX])
{
    DR_ASSERT(ms >= 0);
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < DR_ARRAY_LEN(duration_units); i++) {
        int64_t number = ms / duration_units[i].factor;
        ms %= duration_units[i].factor;
        if (number > 0)
            used += (size_t)snprintf(out + used, DURATION_TEXT_MAX - used, "%" PRId64 "%s", number,
                                     duration_units[i].name);
    }
    if (used == 0)
        snprintf(out, DURATION_TEXT_MAX, "0s");
    return out;
}

char *duration_tell(int64_t ms, char out[DURATION_TEXT_MAX])
{
    const char *sign = ms < 0 ? "-" : "";
    if (ms < 0)
        ms = ms == INT64_MIN ? INT64_MAX : -ms;
    int64_t s = ms / 1000 + (ms % 1000 >= 500);
    if (ms < 9950)
        snprintf(out, DURATION_TEXT_MAX, "%s%.1fs", sign, (double)ms / 1000);
    else if (s < 60)
        snprintf(out, DURATION_TEXT_MAX, "%s%" PRId64 "s", sign, s);
    else if (s < 3600)
        snprintf(out, DURATION_TEXT_MAX, "%s%" PRId64 "m %02" PRId64 "s", sign, s / 60, s % 60);
    else if (s < 86400)
        snprintf(out, DURATION_TEXT_MAX, "%s%" PRId64 "h %02" PRId64 "m", sign, s / 3600,
                 s % 3600 / 60);
    else
        snprintf(out, DURATION_TEXT_MAX, "%s%" PRId64 "d %" PRId64 "h", sign, s / 86400,
                 s % 86400 / 3600);
    return out;
}
