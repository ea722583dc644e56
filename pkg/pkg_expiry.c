/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_expiry.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The last second of the year 9999, of which no more digits need to be written. */
static const int64_t last_s = 253402300799;

/* Of `n` digits, which the caller has seen. */
static int number(const char *digits, int n)
{
    int value = 0;

    while (n--)
        value = 10 * value + (*digits++ - '0');
    return value;
}

/* Has `text` a digit wherever `form` has a 0, and its characters elsewhere? */
static bool has_form(const char *text, const char *form)
{
    for (; *form; form++, text++)
        if (*form == '0' ? !isdigit((unsigned char)*text) : toupper((unsigned char)*text) != *form)
            return false;
    return true;
}

/* "Z", "+02:00". */
static bool read_zone(const char *text, int64_t *offset_s)
{
    int hours, minutes;

    if (!strcmp(text, "Z") || !strcmp(text, "z")) {
        *offset_s = 0;
        return true;
    }
    if ((*text != '+' && *text != '-') || !has_form(text + 1, "00:00") || text[6])
        return false;
    hours = number(text + 1, 2);
    minutes = number(text + 4, 2);
    if (hours > 23 || minutes > 59)
        return false;
    *offset_s = (hours * 60 + minutes) * INT64_C(60) * (*text == '-' ? -1 : 1);
    return true;
}

static bool read_time(const char *text, int64_t *s)
{
    static const char form[] = "0000-00-00T00:00:00";
    struct tm tm, made;
    int64_t offset_s;
    size_t at = sizeof(form) - 1;

    if (!has_form(text, form))
        return false;
    tm = (struct tm){.tm_year = number(text, 4) - 1900,
                     .tm_mon = number(text + 5, 2) - 1,
                     .tm_mday = number(text + 8, 2),
                     .tm_hour = number(text + 11, 2),
                     .tm_min = number(text + 14, 2),
                     .tm_sec = number(text + 17, 2)};
    if (text[at] == '.')
        at += 1 + strspn(text + at + 1, "0123456789");
    made = tm;
    *s = timegm(&made);
    if (made.tm_year != tm.tm_year || made.tm_mon != tm.tm_mon || made.tm_mday != tm.tm_mday ||
        made.tm_hour != tm.tm_hour || made.tm_min != tm.tm_min || made.tm_sec != tm.tm_sec ||
        !read_zone(text + at, &offset_s))
        return false;
    *s -= offset_s;
    return true;
}

static bool read_duration(const char *text, int64_t *s)
{
    static const struct {
        char unit;
        int64_t s;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 7 * 86400}};
    char *end;
    int64_t n = strtoll(text, &end, 10);

    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
        if (isdigit((unsigned char)*text) && *end == units[i].unit && !end[1] && n > 0 &&
            n <= last_s / units[i].s) {
            *s = n * units[i].s;
            return true;
        }
    return false;
}

int pkg_expiry_make(const char *text, int64_t now_s, char out[PKG_EXPIRY_LEN], struct rel_err *e)
{
    int64_t s = 0;
    time_t when;
    struct tm tm;

    if (read_duration(text, &s))
        s += now_s;
    else if (!read_time(text, &s))
        return rel_fail(e, REL_E_INPUT, 0,
                        "expires: '%s' is neither a time like 2026-12-31T23:59:59Z nor a duration "
                        "like 90d",
                        text);
    if (s < 0 || s > last_s)
        return rel_fail(e, REL_E_INPUT, 0, "expires: '%s' is not between 1970 and the end of 9999",
                        text);
    when = (time_t)s;
    gmtime_r(&when, &tm);
    strftime(out, PKG_EXPIRY_LEN, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return 0;
}

int pkg_expiry_check(const char *text, int64_t now_s, struct rel_err *e)
{
    int64_t s;

    if (!read_time(text, &s))
        return rel_fail(e, REL_E_INPUT, 0, "expires: '%s' is not a time like 2026-12-31T23:59:59Z",
                        text);
    if (s < now_s)
        return rel_fail(e, REL_E_INPUT, 0, "it expired at %s: build it anew", text);
    return 0;
}
