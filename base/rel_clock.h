/* SPDX-License-Identifier: Apache-2.0 */
/* Time. A function that waits takes a deadline made here, or a struct rel_clock so that a test can
 * hold the hands. Any thread. */
#ifndef REL_CLOCK_H
#define REL_CLOCK_H

#include <stdint.h>

struct rel_clock {
    int64_t (*mono_ms)(void *ctx); /* never steps back; for deadlines and durations */
    int64_t (*wall_ms)(void *ctx); /* since 1970-01-01 UTC; for records that people read */
    void *ctx;
};

extern const struct rel_clock rel_clock_system;

/* CLOCK_MONOTONIC and CLOCK_REALTIME in milliseconds. */
int64_t rel_mono_ms(void);
int64_t rel_wall_ms(void);

/* What is left until the deadline `until_ms` of rel_mono_ms: never negative, at most INT32_MAX. */
int rel_left_ms(int64_t until_ms);

/* "2026-11-20T21:42:03.123Z" into a buffer of at least 25 bytes. */
#define REL_TIME_LEN 25
void rel_time_format(int64_t wall_ms, char out[REL_TIME_LEN]);

#endif
