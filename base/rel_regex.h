/* SPDX-License-Identifier: Apache-2.0 */
/* Regular expressions (PCRE2, pcre2pattern(3)) that somebody else wrote: the settings that a
 * release brings, the versions in an appup. Whatever the expression, time and memory are bounded:
 * regcomp(3) takes gigabytes for a few bytes ("(a||||b){999}"), and regexec(3) has no limit at all.
 * `.` matches a newline too; `$` is the end of the text alone. Any thread. */
#ifndef REL_REGEX_H
#define REL_REGEX_H

#include <stddef.h>

#include "base/rel_err.h"

enum { REL_REGEX_MAX = 500 }; /* bytes of an expression */

/* Is it one? REL_E_INPUT with what is wrong, and at which byte. */
REL_MUST_USE int rel_regex_check(const char *regex, struct rel_err *e);

/* 1: found; 0: not found; -1: REL_E_INPUT, it is none, or it takes more steps on this text than any
 * honest one. `at`, where not NULL, is where the first match begins and ends; written when found.
 */
REL_MUST_USE int rel_regex_find(const char *regex, const char *text, size_t len, size_t at[2],
                                struct rel_err *e);

#endif
