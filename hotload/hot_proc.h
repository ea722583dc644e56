/* SPDX-License-Identifier: Apache-2.0 */
/* A process as the kernel shows it (proc(5)). The pid with its start time names one process for
 * ever, the pid alone does not. Any thread; no state. */
#ifndef HOT_PROC_H
#define HOT_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct hot_proc {
    pid_t pid, parent, session;
    uint64_t start; /* field 22 of /proc/PID/stat */
    bool zombie;
    uid_t uid; /* effective */
};

/* False, and *p is unchanged, when there is no such process. */
bool hot_proc_read(pid_t pid, struct hot_proc *p);

#endif
