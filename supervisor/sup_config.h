/* SPDX-License-Identifier: Apache-2.0 */
/* relsup.json: the operator's settings in HOME, or the release's own where there is none. Strict:
 * an unknown key, a wrong type or a duplicate key is REL_E_INPUT with file and line. */
#ifndef SUP_CONFIG_H
#define SUP_CONFIG_H

#include "base/rel_err.h"

struct sup_config {
    char *app;           /* name of the application; NULL: that of the first release */
    int64_t boot_ms;     /* a peer must be ready within it; default 60 s */
    int64_t shutdown_ms; /* from SIGTERM to SIGKILL; default 30 s */
    int keep;            /* releases kept on disk beside the one that runs; default 3 */
    char *key;           /* file of the public key that must have signed a release; NULL: none */
    char **env;          /* "NAME=VALUE" for the peers, NULL-terminated; may be NULL */
};

/* Both files may be absent: defaults. Keys of the contract that this version does not act on yet
 * (probes, soak, drain, ...) are REL_E_INPUT like unknown ones, so nobody believes they work. */
REL_MUST_USE int sup_config_read(const char *home_file, const char *release_file,
                                 struct sup_config *c, struct rel_err *e);
void sup_config_fini(struct sup_config *c);

#endif
