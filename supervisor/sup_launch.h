/* SPDX-License-Identifier: Apache-2.0 */
/* What goes from sup_child.c to the launch helper (sup_launch.c): a file of this head, the groups,
 * and then strings that end with NUL: file, folder or "", user or "", arguments, environment. */
#ifndef SUP_LAUNCH_H
#define SUP_LAUNCH_H

#include "supervisor/sup_child.h"

/* The descriptors that the helper has beside the standard ones. */
enum { SUP_LAUNCH_GO = 3, SUP_LAUNCH_SAID, SUP_LAUNCH_ORDERS };

struct sup_launch {
    size_t arg_n, env_n, group_n;
    uid_t uid;
    gid_t gid;
    uint64_t capabilities;
    bool limit;
};

#endif
