/* SPDX-License-Identifier: Apache-2.0 */
/* The page that the library `fault` shares with `faultctl`: all processes of one relsup count their
 * state-changing calls in it together, whatever user they become and whatever sandbox they enter
 * after they began. */
#ifndef FAULT_H
#define FAULT_H
#include <stdatomic.h>
#include <stdint.h>

enum { FAULT_MAGIC = 0x66617531, FAULT_RECORDS = 16384, FAULT_TEXT = 160 };
enum { FAULT_BY_RUN = 1, FAULT_BY_CHILD = 2 };

/* What happens at the chosen call; otherwise an errno that it fails with. */
enum { FAULT_KILL = -1, FAULT_KILL_AFTER = -2, FAULT_FAIL = -3 };

struct fault_state {
    uint32_t magic;
    atomic_int armed;  /* calls are counted */
    atomic_int who;    /* FAULT_BY_* of those that are counted */
    atomic_int how;    /* see above */
    atomic_int sticky; /* all calls from that one on, not that one alone */
    atomic_uint at;    /* counted from 1; 0: none */
    atomic_uint n;     /* so many were made */
    atomic_uint hit;   /* the number of the first one that it happened at; 0: none yet */
    char only[24];     /* the call that is counted; empty: all of them are */
    char records[FAULT_RECORDS][FAULT_TEXT];
};
#endif
