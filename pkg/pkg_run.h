/* SPDX-License-Identifier: Apache-2.0 */
/* Runs another program to its end, with a deadline, and takes what it prints. Any thread. */
#ifndef PKG_RUN_H
#define PKG_RUN_H

#include <stdbool.h>

#include "base/rel_out.h"

struct pkg_run {
    const char *const *argv; /* ends with NULL; argv[0] is looked for in PATH */
    const char *const *env;  /* "NAME=value" beside the environment, or NULL */
    const char *dir;         /* its working directory */
    int timeout_ms;          /* it and its children are ended then */
    bool apart;              /* stderr is dropped instead of taken with stdout */
    const struct rel_progress
        *progress; /* gets each line as news, and the last ones when it fails; may stop it */
};

/* 0: it ended with status 0; its output is appended to `out`. -1: it could not be started
 * (REL_E_INPUT when it is not installed), failed (REL_E_CHILD), took too long or was stopped.
 * Nothing of it runs any more: its process group was asked to end, and killed 5 s later. */
struct rel_buf;
REL_MUST_USE int pkg_run(const struct pkg_run *run, struct rel_buf *out, struct rel_err *e);

#endif
