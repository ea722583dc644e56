/* SPDX-License-Identifier: Apache-2.0 */
/* What differs between two releases, for a hot upgrade from one to the other. A worker compares
 * their files and makes a JSON object of it; whoever changes the node reads that, strictly: of its
 * form, and with no path but below the two. Any thread. */
#ifndef SUP_DIFF_H
#define SUP_DIFF_H

#include <jansson.h>
#include <stdbool.h>

#include "base/rel_err.h"
#include "hotload/hot_upgrade.h"

/* All strings are of `doc`. The plan of the same names says what they are. */
struct sup_diff {
    json_t *doc;
    struct hot_module *modules;
    size_t module_n;
    struct hot_app_change *apps;
    size_t app_n;
    /* The configuration of the new one is not in its files: it is evaluated at boot, by variables
     * of the environment, config/runtime.exs, or a provider. */
    bool evaluates;
    const char *unknown; /* and by nobody else, for this reason; or NULL */
    const char *old_sys_config, *new_sys_config, *old_consolidated, *new_consolidated;
};

/* Reads both. REL_E_INPUT: one is no release, or a running VM cannot be changed from one to the
 * other (ERTS, native code), with the reason. The caller owns *doc. */
REL_MUST_USE int sup_diff_make(const char *old_root, const char *new_root, json_t **doc,
                               struct rel_err *e);

/* Of such an object, which *d keeps. REL_E_INTERNAL: it is none. */
REL_MUST_USE int sup_diff_parse(const json_t *doc, const char *old_root, const char *new_root,
                                struct sup_diff *d, struct rel_err *e);
void sup_diff_fini(struct sup_diff *d);
#define sup_autodiff __attribute__((cleanup(sup_diff_fini)))

#endif
