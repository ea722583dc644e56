/* SPDX-License-Identifier: Apache-2.0 */
/* The environment of what relsup starts: peers, before_boot steps, exec probes. It is that of
 * relsup itself without what describes another release or relsup's own service, then the
 * operator's `env`, then what relsup says; a later value replaces an earlier one of the same name.
 * Any thread; no state. */
#ifndef SUP_ENV_H
#define SUP_ENV_H

#include <stdbool.h>
#include <stddef.h>

#include "base/rel_own.h"
#include "supervisor/sup_user.h"

/* `v` is NULL-terminated once anything was put in. Zero-initialised is empty. */
struct sup_env {
    char **v;
    size_t n, cap;
};

void sup_env_fini(struct sup_env *env);
#define sup_autoenv __attribute__((cleanup(sup_env_fini)))

/* The lines of `from` that may be handed on, who the user is where it is another one, and then the
 * operator's: "NAME=VALUE"s, NULL-terminated. Each may be NULL. */
void sup_env_begin(struct sup_env *env, char *const *from, const struct sup_user *user,
                   char *const *operators);

/* Puts "NAME=VALUE" in; what was there of that name goes. */
void sup_env_setf(struct sup_env *env, const char *fmt, ...) REL_PRINTF(2, 3);

/* Does relsup give it a value of its own in a child? Then settings must not have it: the value
 * would be lost. */
bool sup_env_is_set_by_relsup(const char *name);

#endif
