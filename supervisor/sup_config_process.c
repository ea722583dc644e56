/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of relsup.json that say what the processes of the application are: as whom they run,
 * with what environment, and on which ports they are to listen. */
#include <ctype.h>
#include <pwd.h>
#include <string.h>

#include "base/rel_json.h"
#include "supervisor/sup_config_internal.h"
#include "supervisor/sup_env.h"

enum { PORT_MAX = 65535, PORTS_MAX = 1024, USER_MAX = 256, PASSWD_MAX = 16 << 10 };

static bool is_variable(const char *name)
{
    if (!isalpha((unsigned char)*name) && *name != '_')
        return false;
    while (isalnum((unsigned char)*name) || *name == '_')
        name++;
    return *name == '\0';
}

static int wrong_variable(const struct sup_config_reader *r, const char *name, const char *what,
                          struct rel_err *e)
{
    const char *from = rel_json_find_key(r->text, r->key, 1);

    return rel_fail(e, REL_E_INPUT, 0, "%s:%d: env: '%s' %s", r->file,
                    rel_json_line(r->text, rel_json_find_key(from, name, 0)), name, what);
}

int sup_config_env(struct sup_config_reader *r, const json_t *v, struct rel_err *e)
{
    const char *name;
    json_t *value;
    size_t n = 0;

    if (!json_is_object(v))
        return sup_config_wrong(r, "must be an object of names and strings", e);
    r->c->env = rel_xcalloc(json_object_size(v) + 1, sizeof(*r->c->env));
    json_object_foreach ((json_t *)v, name, value) {
        if (!is_variable(name))
            return wrong_variable(r, name, "is not a variable name", e);
        if (sup_env_is_set_by_relsup(name))
            return wrong_variable(r, name, "is set by relsup itself", e);
        if (!json_is_string(value))
            return wrong_variable(r, name, "must have a string", e);
        r->c->env[n++] = rel_strf("%s=%s", name, json_string_value(value));
    }
    return 0;
}

/* The place in the list is the number (linux/capability.h). */
static const char *const capabilities[] = {
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
};

int sup_capability_number(const char *name)
{
    if (!strncasecmp(name, "cap_", 4))
        name += 4;
    for (size_t i = 0; i < sizeof(capabilities) / sizeof(*capabilities); i++)
        if (!strcasecmp(capabilities[i], name))
            return (int)i;
    return -1;
}

/* A user that nobody knows is told now, not when the first peer is to run as it. */
int sup_config_user(struct sup_config_reader *r, const json_t *v, struct rel_err *e)
{
    const char *name = json_string_value(v);
    rel_autofree char *what = NULL, *text = rel_xmalloc(PASSWD_MAX);
    struct passwd one, *pw = NULL;

    if (!name || !*name || strlen(name) > USER_MAX)
        return sup_config_wrong(r, "must be the name of a user", e);
    (void)getpwnam_r(name, &one, text, PASSWD_MAX, &pw);
    if (!pw) {
        what = rel_strf("names '%s', but this host has no such user", name);
        return sup_config_wrong(r, what, e);
    }
    r->c->user = rel_xstrdup(name);
    return 0;
}

int sup_config_capabilities(struct sup_config_reader *r, const json_t *v, struct rel_err *e)
{
    json_t *one;
    size_t i;

    if (!json_is_array(v))
        return sup_config_wrong(r, "must be a list of names, as \"net_bind_service\"", e);
    r->c->capabilities = rel_xcalloc(json_array_size(v) + 1, sizeof(*r->c->capabilities));
    json_array_foreach (v, i, one) {
        const char *name = json_string_value(one);
        int number = name ? sup_capability_number(name) : -1;

        if (number < 0)
            return sup_config_wrong(
                r, "must have names of capabilities(7) in its list, as \"net_bind_service\"", e);
        r->c->capabilities[i] = rel_xstrdup(capabilities[number]);
    }
    return 0;
}

int sup_config_ports(struct sup_config_reader *r, const json_t *v, struct rel_err *e)
{
    json_t *one;
    size_t i;

    if (!json_is_array(v) || json_array_size(v) > PORTS_MAX)
        return sup_config_wrong(r, "must be a list of TCP ports", e);
    r->c->ports = rel_xcalloc(json_array_size(v) + 1, sizeof(*r->c->ports));
    json_array_foreach (v, i, one) {
        if (!json_is_integer(one) || json_integer_value(one) < 1 ||
            json_integer_value(one) > PORT_MAX)
            return sup_config_wrong(r, "must have whole numbers from 1 to 65535 in its list", e);
        r->c->ports[r->c->port_n++] = (int)json_integer_value(one);
    }
    r->c->ports_set = true;
    return 0;
}

void sup_config_process_fini(struct sup_config *c)
{
    sup_config_free_words(c->env);
    sup_config_free_words(c->capabilities);
    free(c->user);
    free(c->ports);
}
