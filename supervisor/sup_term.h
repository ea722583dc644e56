/* SPDX-License-Identifier: Apache-2.0 */
/* JSON as the text of an Erlang term, for a VM whose OTP has no json module (before OTP 27): it
 * reads this by erl_scan:string/1 and erl_parse:parse_term/1.
 *
 * Objects become maps with binary keys, arrays lists, strings binaries of their very bytes, and
 * true, false and null atoms of that name. No string becomes an atom, so what is read over there
 * makes none. Any thread; no state. */
#ifndef SUP_TERM_H
#define SUP_TERM_H

#include <jansson.h>

#include "base/rel_own.h"

/* Appends the term, without a dot behind it: printable ASCII and no line end, whatever the strings
 * hold. */
void sup_term_add(struct rel_buf *b, const json_t *value);

#endif
