/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_expiry.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The last second of the year 9999, of which no more digits need to be written. */
static const int64_t last_s = 253402300799;

/* "Z", "+02:00". */
static bool read_zone(const char *text, int64_t *offset_s)
{
    int hours, minutes, n = 0;

    if (!strcmp(text, "Z") || !strcmp(text, "z")) {
        *offset_s = 0;
        return true;
    }
    if ((*text != '+' && *text != '-') || !isdigit((unsigned char)text[1]) ||
        sscanf(text + 1, "%2d:%2d%n", &hours, &minutes, &n) != 2 || n != 5 || text[6] ||
        hours > 23 || minutes < 0 || minutes > 59)
        return false;
    *offset_s = (hours * 60 + minutes) * INT64_C(60) * (*text == '-' ? -1 : 1);
    return true;
}

static bool read_time(const char *text, int64_t *s)
{
    static const char form[] = "0000-00-00T00:00:00";
    struct tm tm = {0}, made;
    int64_t offset_s;
    size_t at = 0;

    for (; form[at]; at++)
        if (form[at] == '0' ? !isdigit((unsigned char)text[at])
                            : toupper((unsigned char)text[at]) != form[at])
            return false;
    if (sscanf(text, "%4d-%2d-%2d%*1c%2d:%2d:%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
               &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6)
        return false;
    if (text[at] == '.')
        at += 1 + strspn(text + at + 1, "0123456789");
    tm.tm_year -= 1900;
    tm.tm_mon--;
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
