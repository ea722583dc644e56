/* SPDX-License-Identifier: Apache-2.0 */
/* Where a key stands in a JSON text, for "FILE:LINE:" in messages: jansson does not keep it. The
 * text must be one that jansson has read. Any thread; no state. */
#ifndef REL_JSON_H
#define REL_JSON_H

/* The quoted key, from `at` on, or NULL. `depth` 0: at any level; 1: among the keys of the
 * outermost object. */
const char *rel_json_find_key(const char *at, const char *key, int depth);

/* The line of `at` in `text`; 1 for NULL. */
int rel_json_line(const char *text, const char *at);

#endif
