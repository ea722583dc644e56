/* SPDX-License-Identifier: Apache-2.0 */
/* The long-lived parent: runs the application of one home until it is told to stop. */
#ifndef SUP_RUN_H
#define SUP_RUN_H

#include <jansson.h>

#include "base/rel_err.h"

struct sup_run_options {
    const char *home;    /* made when it does not exist */
    const char *release; /* tarball or folder for a home that has none yet; may be NULL */
    int64_t boot_ms;     /* overrides relsup.json when > 0 */
    void (*log)(void *ctx, const char *line); /* what the supervisor has to say */
    void *ctx;
};

/* Returns when everything is stopped: 0 after SIGTERM, SIGINT or `relsup stop`. REL_E_BUSY: another
 * supervisor has the home. REL_E_INPUT: no release, or it is none. REL_E_CHILD: the first boot
 * failed; nothing runs. */
REL_MUST_USE int sup_run(const struct sup_run_options *options, struct rel_err *e);

/* The releases of a home and its history, read from disk: no supervisor needed. Arrays, newest
 * last; the caller owns them. */
REL_MUST_USE int sup_releases(const char *home, json_t **releases, struct rel_err *e);
REL_MUST_USE int sup_history(const char *home, json_t **history, struct rel_err *e);

/* Path of the log file of the active peer; owned by the caller. */
REL_MUST_USE int sup_log_path(const char *home, char **path, struct rel_err *e);

#endif
