/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of this host and who belongs to whom: what a VM started ends with it, wherever it
 * hides. A port program may ignore the end of its input, lead a process group or a session of its
 * own and fork; its parent, its session, or what it was started with still tells whose it is
 * (proc(5)). Blocking, some milliseconds a look; no state. */
#ifndef SUP_PROCS_H
#define SUP_PROCS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/rel_err.h"
#include "hotload/hot_proc.h"

struct sup_procs {
    struct hot_proc *v;
    size_t n;
};

/* All of them; those that end meanwhile may be missing. */
REL_MUST_USE int sup_procs_read(struct sup_procs *procs, struct rel_err *e);
void sup_procs_fini(struct sup_procs *procs);
#define sup_autoprocs __attribute__((cleanup(sup_procs_fini)))

const struct hot_proc *sup_procs_find(const struct sup_procs *procs, pid_t pid);

/* Was it, or what started it, started for a peer of that home, or as a step before it? True with
 * the peer's generation. False also where we may not look. */
bool sup_proc_is_of_home(pid_t pid, const char *home, int *generation);

/* Was it, or what started it, started with that in its environment? False where we may not look. */
bool sup_proc_has(pid_t pid, const char *name, const char *value);

/* Processes that are to end together. Zero-initialised is empty. */
struct sup_family {
    struct hot_proc *v;
    size_t n;
};

void sup_family_fini(struct sup_family *family);
#define sup_autofamily __attribute__((cleanup(sup_family_fini)))
void sup_family_add(struct sup_family *family, const struct hot_proc *proc);
/* And all that they started, and who is in a session of any of those; never this process. */
void sup_family_grow(struct sup_family *family, const struct sup_procs *procs);

/* How many still run. With a signal (not 0) it is sent to these; a number that another process has
 * got since is left alone. */
size_t sup_family_signal(const struct sup_family *family, int signal);

/* SIGKILL to a process that leads its group, and to all that it started. */
void sup_tree_kill(pid_t pid, uint64_t start);

#endif
