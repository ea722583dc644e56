/* SPDX-License-Identifier: Apache-2.0 */
/* Variables of the environment in a text that is filled in at boot: sys.config.src, vm.args.src.
 *
 *   ${NAME}            its value; an error when it is not set
 *   ${NAME:-DEFAULT}   its value, or DEFAULT when it is not set or empty. DEFAULT may hold
 * variables, and braces in pairs: ${PORTS:-{1,2,3}}, ${A:-${B:-x}}
 *
 * A value is put in as it is and not looked at again, so nothing loops. What does not begin with
 * "${" and a name is no variable. Pure. */
#ifndef CMD_VARS_H
#define CMD_VARS_H

#include "base/rel_err.h"

struct cmd_vars {
    const char *(*get)(void *ctx, const char *name); /* NULL: not set */
    void *ctx;
};

/* Appends `text` with its variables filled in. REL_E_INPUT with `name` and the line: a variable
 * that is not set and has no default, a brace that is not closed, defaults in defaults too deep. */
REL_MUST_USE int cmd_vars_expand(const char *text, const char *name, const struct cmd_vars *vars,
                                 struct rel_buf *out, struct rel_err *e);

#endif
