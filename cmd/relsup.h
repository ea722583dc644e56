/* SPDX-License-Identifier: Apache-2.0 */
/* What relsup's verbs share: finding the home, asking its supervisor. cmd/ only. */
#ifndef RELSUP_H
#define RELSUP_H

#include "cmd/cmd.h"
#include "hotload/hot_contact.h"
#include "supervisor/sup_client.h"

#define RELSUP_HOME_OPTIONS                                                         \
    {"home", 'H', "HOME", "the home; default RELSUP_HOME, else the one that runs"}, \
    {                                                                               \
        "app", 'a', "NAME", "the home that runs this application"                   \
    }

/* The home that --home and --app mean; owned by the caller. */
REL_MUST_USE int relsup_home(const struct cmd_ctx *ctx, char **home, struct rel_err *e);

/* Asks the supervisor of it, showing its steps. `args` is lent, *result owned by the caller. */
REL_MUST_USE int relsup_call(struct cmd_ctx *ctx, enum sup_cmd cmd, const json_t *args,
                             json_t **result, struct rel_err *e);

/* What an answer of the supervisor to `args` says to people; owned by the caller. */
char *relsup_changed_text(const json_t *args, const json_t *result);
/* "238 requests were cut after 3 s", from a result or an entry of the history; NULL: none was.
 * Owned by the caller. */
char *relsup_cut_text(const json_t *o);

/* upgrade --hot --node: of a node that no supervisor of ours runs. `release` is a path or URL. */
REL_MUST_USE int relsup_upgrade_node(struct cmd_ctx *ctx, const char *mode, const char *release,
                                     struct rel_err *e);

/* The contact of the active peer. */
REL_MUST_USE int relsup_contact(const struct cmd_ctx *ctx, struct hot_contact *c,
                                struct rel_err *e);

#endif
