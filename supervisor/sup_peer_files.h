/* SPDX-License-Identifier: Apache-2.0 */
/* What a peer has on disk in its home, and who may reach it: for sup_peer.c. With a `user` HOME
 * and the folders in it stay relsup's own and get his group, which may pass through them; what is
 * the peer's alone is his. Blocking. */
#ifndef SUP_PEER_FILES_H
#define SUP_PEER_FILES_H

#include "base/rel_err.h"
#include "supervisor/sup_user.h"

/* Lets the group of another user pass through the folders of the home. */
REL_MUST_USE int sup_files_let_in(const char *home, const struct sup_user *user, struct rel_err *e);

/* Makes an empty folder; what was there is gone. Nobody else can put anything there until it is
 * given away. */
REL_MUST_USE int sup_files_make(const char *path, struct rel_err *e);
/* Makes `user` the owner of all below `path`, and of it last. */
REL_MUST_USE int sup_files_give(const char *path, const struct sup_user *user, struct rel_err *e);

/* HOME/secret/peer-N with a cookie of its own. */
REL_MUST_USE int sup_files_secret(const char *home, int generation, const struct sup_user *user,
                                  struct rel_err *e);
char *sup_files_secret_path(const char *home, int generation);
/* An empty file that another user's VM may write its crash dump to; else it makes its own. */
REL_MUST_USE int sup_files_dump(const char *path, const struct sup_user *user, struct rel_err *e);

#endif
