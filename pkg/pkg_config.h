/* SPDX-License-Identifier: Apache-2.0 */
/* relpack.json: read strictly and laid over a project key by key. No state. */
#ifndef PKG_CONFIG_H
#define PKG_CONFIG_H

#include "pkg/pkg_project.h"

/* Lays the file over `p`, whose dir is set: paths in it are taken from there. REL_E_INPUT, as
 * "FILE:LINE: what is wrong", for broken JSON, an unknown key, a key that is there twice and a
 * value of the wrong type; then `p` is changed in part. */
REL_MUST_USE int pkg_config_read(struct pkg_project *p, const char *file, struct rel_err *e);

#endif
