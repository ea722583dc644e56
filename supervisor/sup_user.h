/* SPDX-License-Identifier: Apache-2.0 */
/* As whom relsup's children run: `user` and `capabilities` of relsup.json, looked up once in the
 * parent, so that a child needs no name service. */
#ifndef SUP_USER_H
#define SUP_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/rel_err.h"

struct sup_user {
    char *name, *home; /* of `user`; NULL: children run as relsup does */
    uid_t uid;         /* of the children, in both cases */
    gid_t gid;
    gid_t *groups;
    size_t group_n;
    bool limit;            /* they keep only these capabilities; always with `user` */
    uint64_t capabilities; /* one bit each */
};

/* REL_E_INPUT: there is no such user or capability, or relsup may not become that user or does not
 * have that capability itself. *user is to be released. */
REL_MUST_USE int sup_user_find(const char *name, char *const *capabilities, struct sup_user *user,
                               struct rel_err *e);
void sup_user_fini(struct sup_user *user);

/* Is it another user than the one relsup runs as? */
bool sup_user_is_other(const struct sup_user *user);

/* Becomes him: in a process of one thread that is about to exec. -1: it must not. */
REL_MUST_USE int sup_user_become(const struct sup_user *user, struct rel_err *e);

#endif
