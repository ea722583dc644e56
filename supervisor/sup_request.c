/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "supervisor/sup_control.h"

static const char *const names[SUP_CMD_COUNT] = {
#define XX(constant, name) [constant] = #name,
    SUP_CMD_MAP(XX)
#undef XX
};

const char *sup_cmd_name(enum sup_cmd cmd)
{
    return names[cmd];
}

static int find_cmd(const char *name, enum sup_cmd *cmd, struct rel_err *e)
{
    for (int i = 0; i < SUP_CMD_COUNT; i++)
        if (!strcmp(names[i], name)) {
            *cmd = (enum sup_cmd)i;
            return 0;
        }
    return rel_fail(e, REL_E_INPUT, 0, "the supervisor knows no such command");
}

int sup_request_parse(const char *line, size_t len, struct sup_request *r, struct rel_err *e)
{
    json_auto_t *root = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
    const char *name = NULL, *format = NULL;
    json_t *args = NULL;
    int version = 0;

    if (!root || json_unpack(root, "{s:i, s:s, s?o, s?s}", "v", &version, "cmd", &name, "args",
                             &args, "format", &format))
        return rel_fail(e, REL_E_INPUT, 0, "the supervisor was sent no request");
    if (version != SUP_PROTOCOL)
        return rel_fail(e, REL_E_INPUT, 0,
                        "this relsup speaks protocol %d, the supervisor speaks %d", version,
                        SUP_PROTOCOL);
    if (args && !json_is_object(args))
        return rel_fail(e, REL_E_INPUT, 0, "the arguments are no object");
    if (format && strcmp(format, "erlang") != 0 && strcmp(format, "json") != 0)
        return rel_fail(e, REL_E_INPUT, 0, "the supervisor answers in no such format");
    if (find_cmd(name, &r->cmd, e) < 0)
        return -1;
    r->format = format && !strcmp(format, "erlang") ? SUP_FORMAT_ERLANG : SUP_FORMAT_JSON;
    r->args = args ? json_incref(args) : json_object();
    return 0;
}

void sup_request_fini(struct sup_request *r)
{
    json_decref(r->args);
    r->args = NULL;
}
