/* SPDX-License-Identifier: Apache-2.0 */
/* What the user that peers run as may ask on the control socket, where relsup runs as another one
 * (docs/user.md): its application may look and upgrade itself, as the module `relsup` offers it,
 * and relsup reads nothing for it that it could not read itself. */
#ifndef SUP_GUEST_H
#define SUP_GUEST_H

#include <stdbool.h>
#include <sys/types.h>

#include "supervisor/sup_control.h"

struct sup;

/* Handler of the control socket; ctx is the struct sup. Does a peer run as that user? */
bool sup_is_guest(void *ctx, uid_t uid);

/* -1: that user may not ask this. */
REL_MUST_USE int sup_guest_check(const struct sup *s, uid_t uid, const struct sup_request *r,
                                 struct rel_err *e);

#endif
