/* SPDX-License-Identifier: Apache-2.0 */
/* The cookie of a node, in a file where OTP looks for it, so that it shows on no command line
 * (docs/cookie.md). Blocking; any thread. */
#ifndef HOT_COOKIE_H
#define HOT_COOKIE_H

#include "base/rel_err.h"

/* The first word of a file, as auth.erl reads it; owned by the caller. NULL: there is none. */
char *hot_cookie_read(const char *path);

/* A new one, of the system's random bytes; owned by the caller. */
REL_MUST_USE int hot_cookie_new(char **cookie, struct rel_err *e);

/* Puts it into `dir`/cookie (0400), and `dir`/erlang/.erlang.cookie leads to it: a node finds it
 * with `dir` as its XDG_CONFIG_HOME. `dir`/erlang is made where it is missing (0700). */
REL_MUST_USE int hot_cookie_put(const char *dir, const char *cookie, struct rel_err *e);

#endif
