/* SPDX-License-Identifier: Apache-2.0 */
/* A cgroup of its own (cgroups(7), version 2) for each child that may leave processes behind, where
 * the one of relsup is delegated to it: then whatever the child starts is found, wherever it hides,
 * and also by a relsup that comes after a killed one. No controller is enabled, so processes may
 * stay in the cgroup above (Documentation/admin-guide/cgroup-v2.rst, "No Internal Process
 * Constraint").
 *
 * A cgroup is a folder, named for the home, which its device and inode stand for, the generation
 * and the process that it was made for. What was moved elsewhere on purpose is not ours. NULL for
 * one is none, and nothing. Each call takes microseconds, but for a put, which may take
 * milliseconds; any thread, no state. */
#ifndef SUP_CGROUP_H
#define SUP_CGROUP_H

#include <stdbool.h>
#include <sys/types.h>

#include "supervisor/sup_procs.h"

/* The cgroup of that process, in which its children may get their own, owned by the caller. NULL:
 * there can be none; *why says why, owned by the caller, where it is not NULL.
 *
 * It is delegated where systemd says so (Delegate=, systemd.resource-control(5)), or where there is
 * nobody above: at the root of a container or host. One whose own limits a program is to see is
 * not used: beam.smp takes the number of its schedulers from cpu.max of the cgroup it is in
 * (erts/lib_src/common/erl_misc_utils.c), and below there is no such file. */
char *sup_cgroup_base(pid_t pid, char **why);

/* Puts a process that does nothing yet into a new one. NULL: it stays where it is. */
char *sup_cgroup_put(const char *home, int generation, pid_t pid);

/* Adds who is in it, also deeper: but for this process. */
void sup_cgroup_add(const char *cgroup, struct sup_family *family);

/* SIGKILL to all who are in it, and whom they fork meanwhile. Nothing before Linux 5.14, and where
 * this process itself is in it. */
void sup_cgroup_kill(const char *cgroup);

/* False: somebody is in it still. */
bool sup_cgroup_remove(const char *cgroup);

/* Both, until nobody is in it; blocks for timeout_ms at most. False: somebody still is. */
bool sup_cgroup_end(const char *cgroup, int timeout_ms);

/* All of that home, whoever made them. */
void sup_cgroup_each(const char *home, void (*each)(void *ctx, const char *cgroup, int generation),
                     void *ctx);

/* Removes those of that home in which nobody is any more: whose last process was not quite gone
 * when they were to be removed. */
void sup_cgroup_tidy(const char *home);

/* The file of that folder that limits a program in it; NULL: none does. */
const char *sup_cgroup_limit(const char *folder);

#endif
