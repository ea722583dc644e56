/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rel_clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t now_ms(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t rel_mono_ms(void)
{
    return now_ms(CLOCK_MONOTONIC);
}

int64_t rel_wall_ms(void)
{
    return now_ms(CLOCK_REALTIME);
}

static int64_t system_mono(void *ctx)
{
    (void)ctx;
    return rel_mono_ms();
}

static int64_t system_wall(void *ctx)
{
    (void)ctx;
    return rel_wall_ms();
}

const struct rel_clock rel_clock_system = {.mono_ms = system_mono, .wall_ms = system_wall};

int rel_left_ms(int64_t until_ms)
{
    int64_t left = until_ms - rel_mono_ms();

    if (left < 0)
        return 0;
    return left > INT32_MAX ? INT32_MAX : (int)left;
}

void rel_time_format(int64_t wall_ms, char out[REL_TIME_LEN])
{
    time_t s = (time_t)(wall_ms / 1000);
    struct tm tm;
    char text[64];

    gmtime_r(&s, &tm);
    snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900,
             tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(wall_ms % 1000));
    memcpy(out, text, REL_TIME_LEN - 1);
    out[REL_TIME_LEN - 1] = '\0';
}
