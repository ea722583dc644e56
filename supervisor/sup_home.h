/* SPDX-License-Identifier: Apache-2.0 */
/* Which homes have a running supervisor of this user: a folder of links (0700), one a home, below
 * $XDG_RUNTIME_DIR or /tmp (sticky, checked for owner and mode). A link whose supervisor is dead is
 * removed by whoever sees it. */
#ifndef SUP_HOME_H
#define SUP_HOME_H

#include "base/rel_err.h"

/* Announces / withdraws the home of a supervisor that runs as `app`. Failure to announce is not
 * fatal to a supervisor: it is found by --home. */
REL_MUST_USE int sup_home_announce(const char *home, struct rel_err *e);
void sup_home_withdraw(const char *home);

/* Finds the one home: `home` if given, else RELSUP_HOME, else the announced ones, narrowed by `app`
 * (the name of the release that runs there). *found is absolute, owned by the caller.
 * REL_E_NOT_RUNNING when there is none, REL_E_USAGE naming them when there are several, REL_E_INPUT
 * for one that is somebody else's (sup_trust.h). */
REL_MUST_USE int sup_home_find(const char *home, const char *app, char **found, struct rel_err *e);

#endif
