/* SPDX-License-Identifier: Apache-2.0 */
/* mix projects: mix itself is asked, once, what it would release; the answer is kept in
 * _build/ENV/relpack and used again, without a VM, as long as nothing it depends on has changed.
 * No state. */
#ifndef PKG_MIX_H
#define PKG_MIX_H

#include "pkg/pkg_project.h"

struct pkg_mix {
    bool compile;           /* always asks mix, which compiles first */
    const char *name, *vsn; /* what relpack.json says, or NULL */
    const struct rel_progress *progress;
};

/* Fills `p`, whose dir is set. REL_E_CHILD when mix fails; its output went to the progress. */
REL_MUST_USE int pkg_mix_read(struct pkg_project *p, const struct pkg_mix *mix, struct rel_err *e);

/* Runs the functions that stand behind :assemble among the steps of the release, on the assembled
 * tree `tree`, which they may change. Their release has it as its path. */
REL_MUST_USE int pkg_mix_run_steps(struct pkg_project *p, const struct pkg_mix *mix,
                                   const char *tree, struct rel_err *e);

#endif
