/* SPDX-License-Identifier: Apache-2.0 */
/* How a changed module is brought in: by its behaviour and its exports, in the earlier and in the
 * later file. Pure. */
#ifndef PKG_APPUP_KIND_H
#define PKG_APPUP_KIND_H

#include "pkg/pkg_survey.h"

enum pkg_update {
    PKG_UPDATE_LOAD,       /* nobody keeps a state for it: {load_module, M} */
    PKG_UPDATE_SOFT,       /* processes, whose state stays: {update, M, soft} */
    PKG_UPDATE_ADVANCED,   /* processes, whose state it converts: {update, M, {advanced, []}} */
    PKG_UPDATE_SUPERVISOR, /* {update, M, supervisor} */
};

enum pkg_update pkg_update_of(const struct pkg_module_facts *old,
                              const struct pkg_module_facts *new);

bool pkg_module_is_supervisor(const struct pkg_module_facts *m);

/* Its file has lost what says which behaviours it has: beam_lib:strip/1 drops that. Then servers
 * are told from their exports, and supervisors are not. */
bool pkg_module_is_bare(const struct pkg_module_facts *m);

#endif
