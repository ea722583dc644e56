/* SPDX-License-Identifier: Apache-2.0 */
/* A child process that does nothing until its parent lets it go. relsup starts itself
 * (/proc/self/exe) as a launch helper: it leads a session of its own, waits on a pipe, and exits
 * when that is closed without the word, so a child is known to the journal before it does
 * anything, however relsup ends in between. Then it becomes the user that the settings say, and
 * executes the program under the same pid. What it is to execute, with which environment, it reads
 * from a descriptor: nothing of it shows on a command line, and the environment of the program has
 * no effect before the user is changed.
 *
 * hold, go and drop block, for milliseconds; any thread. A child that was let go is given back by
 * sup_child_fini. The processes that are ours to wait for
 * are kept in one list of this process, as the kernel does, so that whoever reaps orphans knows
 * them; every one that was held must be reaped by sup_child_reap or a watch. */
#ifndef SUP_CHILD_H
#define SUP_CHILD_H

#include <stdbool.h>
#include <uv.h>

#include "base/rel_err.h"
#include "supervisor/sup_user.h"

struct sup_child_order {
    const char *file; /* looked for in the PATH of `env` where it has no slash */
    char *const *args, *const *env;
    const char *cwd;             /* NULL: that of relsup */
    int in, out;                 /* descriptors; out is also its standard error */
    const struct sup_user *user; /* NULL: as relsup runs */
    const char *home;            /* for a cgroup of its own; NULL: it stays in ours */
    int generation;              /* of the peer that it is, or runs for */
};

struct sup_child {
    pid_t pid;
    uint64_t pid_start; /* field 22 of /proc/PID/stat */
    int go_fd, said_fd; /* of one that is held */
    char *cgroup;       /* sup_cgroup.h; NULL: none */
};

/* 0: a process that waits for one of the two below. -1: there is none. */
REL_MUST_USE int sup_child_hold(const struct sup_child_order *order, struct sup_child *child,
                                struct rel_err *e);
/* 0: the program runs, to be reaped by the caller. -1: it could not be executed, with the reason;
 * the process is gone and reaped. */
REL_MUST_USE int sup_child_go(struct sup_child *child, struct rel_err *e);
/* The held process ends, and is reaped. */
void sup_child_drop(struct sup_child *child);
/* Of one that has ended: its cgroup goes, unless somebody is in it still. */
void sup_child_fini(struct sup_child *child);

/* True: it has ended with *status (wait(2)) and is forgotten. `wait`: returns when that is so;
 * false then means that it was no child. */
bool sup_child_reap(pid_t pid, bool wait, int *status);

/* For a child that somebody else starts and waits for; before that can happen. */
void sup_child_own(pid_t pid);
void sup_child_disown(pid_t pid);
bool sup_child_is_own(pid_t pid);

/* Reaps what has ended and is nobody's: as subreaper or process 1 of a container relsup inherits
 * the orphans of its children. */
void sup_child_reap_orphans(void);

/* Calls back once, on the loop's thread, when a child has ended; it is reaped then. `handle` is to
 * be closed by whoever started it. */
struct sup_watch {
    uv_signal_t handle;
    pid_t pid; /* 0: it has ended */
    void (*on_exit)(struct sup_watch *watch, int status);
};
void sup_watch_start(uv_loop_t *loop, struct sup_watch *watch, pid_t pid,
                     void (*on_exit)(struct sup_watch *watch, int status));

/* "exited with status 1" or "was killed by SIGKILL", owned by the caller. */
char *sup_child_end_text(int status);

/* The helper itself: what `relsup <SUP_LAUNCH_VERB>` does. Returns its exit status when it may not
 * go on. */
#define SUP_LAUNCH_VERB "launch"
int sup_launch_main(void);

#endif
