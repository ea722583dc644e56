/* SPDX-License-Identifier: Apache-2.0 */
/* Which of two versions is the later one, as far as their text tells (semver.org, section 11, with
 * any count of numbers). Pure. */
#ifndef SUP_VERSION_H
#define SUP_VERSION_H

/* < 0, 0, > 0 as x is earlier than y, the same, later. 0 too where nobody can tell: one of them
 * does not begin with a number (a revision of git). What follows a '+', as in the folder of another
 * build of the same version, does not count. */
int sup_version_order(const char *x, const char *y);

#endif
