/* SPDX-License-Identifier: Apache-2.0 */
/* relctl: the helper behind bin/<name>, shipped inside every release and needing nothing but libc.
 */
#ifndef RELCTL_H
#define RELCTL_H

#include "cmd/cmd_node.h"

/* The release's folder: --root, else RELEASE_ROOT. */
REL_MUST_USE int relctl_root(const struct cmd_ctx *ctx, const char **root, struct rel_err *e);

/* RELEASE_TMP, else <root>/tmp. The caller owns it. */
char *relctl_tmp_dir(const char *root);

/* <tmp>/<name>.contact.json, the name being the first part of RELEASE_NODE, else RELEASE_NAME. */
char *relctl_contact_path(const char *tmp_dir);

/* Makes the folder (relctl_private.c). REL_E_INPUT: it belongs to somebody who is neither this user
 * nor root nor the owner of the release, or all can write it: he could change what the VM reads. */
REL_MUST_USE int relctl_make_tmp(const char *root, const char *tmp_dir, struct rel_err *e);

/* Makes a folder for secrets. REL_E_INPUT: somebody else made it before, or can read it. */
REL_MUST_USE int relctl_make_private(const char *path, struct rel_err *e);

/* REL_E_INPUT: somebody else put the contact file there. One that is missing is left to its reader;
 * root believes the user that the release runs as. */
REL_MUST_USE int relctl_trust_contact(const char *root, const char *path, struct rel_err *e);

/* Of whom the verb is about: --contact; else the active peer of RELSUP_HOME, or of the home the
 * release lies in; else the VM that this release's own launcher started. */
REL_MUST_USE int relctl_contact(const struct cmd_ctx *ctx, struct hot_contact *c,
                                struct rel_err *e);

/* The value of an environment variable that is set and not empty, else `fallback`. */
const char *relctl_env(const char *name, const char *fallback);

/* What is about to be started. Strings are owned. */
struct relctl_boot {
    const char *root, *name, *version; /* lent */
    char *tmp_dir;
    pid_t pid;          /* that the VM will have */
    char *vm_args;      /* path */
    char *sys_config;   /* path without its suffix */
    char *named;        /* node name from vm.args, or NULL */
    char *cookie_given; /* cookie from vm.args, or NULL */
    char *node;         /* whole name; "" without distribution */
    int port;           /* 0: epmd tells it, or there is none */
};

/* vm.args and sys.config as the VM is to read them (relctl_files.c).
 * vm.args: without names and cookies, which would be given twice; a copy in tmp_dir if need be.
 * sys.config: a private copy in tmp_dir where providers write into it at boot.
 * Where only NAME.src is there, its variables are filled in from the environment (cmd_vars.h); the
 * copies are 0600, because values may be secrets. */
REL_MUST_USE int relctl_make_vm_args(struct relctl_boot *b, struct rel_err *e);
REL_MUST_USE int relctl_make_sys_config(struct relctl_boot *b, struct rel_err *e);

/* Cookie file, node name, port and contact file of a VM that its launcher starts (relctl_dist.c).
 * REL_E_BUSY: that node runs already. */
REL_MUST_USE int relctl_make_dist(struct relctl_boot *b, struct rel_err *e);

#define RELCTL_OPTIONS                                                               \
    {"root", 0, "DIR", "folder of the release (RELEASE_ROOT)"},                      \
        {"contact", 0, "FILE", "the contact file of the node, instead of a search"}, \
    {                                                                                \
        "timeout", 0, "S", "give up after so long, as in 30, 1.5s or 2m (60)"        \
    }

extern const struct cmd_verb relctl_prepare, relctl_await;

#endif
