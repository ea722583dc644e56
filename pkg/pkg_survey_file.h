/* SPDX-License-Identifier: Apache-2.0 */
/* What one file of a release is, from its content; used by pkg_survey.c only. Any thread. */
#ifndef PKG_SURVEY_FILE_H
#define PKG_SURVEY_FILE_H

#include "pkg/pkg_digest.h"
#include "pkg/pkg_survey.h"

/* Is the whole content of a file of this name of interest: a module, or a text that describes the
 * release? */
bool pkg_survey_wants(const char *path);

bool pkg_survey_is_module(const char *path);
/* Is it, and is it small enough? */
bool pkg_survey_holds(const char *path, uint64_t size);

/* Fills module, elf, text and why_not of `f`, whose path and size are set. The data is lent. */
void pkg_survey_look(struct pkg_file *f, const void *data, size_t len);

void pkg_survey_link(struct pkg_file *f, const char *target);

void pkg_module_facts_free(struct pkg_module_facts *m);

#endif
