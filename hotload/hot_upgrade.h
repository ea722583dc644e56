/* SPDX-License-Identifier: Apache-2.0 */
/* The hot upgrade: changed modules are swapped inside a running node, `code_change` is called on
 * the suspended processes that use them, and everything is put back if any of it fails.
 *
 * The caller (supervisor/) compares two releases and hands over what differs; this folder knows
 * nodes, not releases. */
#ifndef HOT_UPGRADE_H
#define HOT_UPGRADE_H

#include "hotload/hot_node.h"

/* A module of the new release. `old_path` is NULL for one that is added, `new_path` for one that
 * is removed. The MD5 is that of beam_lib:md5/1. All strings are lent. */
struct hot_module {
    const char *app, *module;
    const char *old_path, *new_path;
    unsigned char old_md5[16], new_md5[16];
};

/* An application whose version or code path changes. `app_file` is the new ebin/<app>.app. */
struct hot_app_change {
    const char *app, *old_vsn, *new_vsn;
    const char *old_ebin, *new_ebin;
};

struct hot_plan {
    const struct hot_module *modules;
    size_t module_n;
    const struct hot_app_change *apps;
    size_t app_n;
    /* Absolute paths of the sys.config of the release that runs and of the new one, or NULL. What
     * the environment has beyond the old one was put at run time, and stays. */
    const char *old_sys_config, *new_sys_config;
    const char *old_consolidated; /* absolute paths of Elixir's consolidated protocols, or NULL */
    const char *new_consolidated;
    int suspend_ms; /* every process must be suspended within it, and have changed within it */
    int timeout_ms; /* of the whole; the way back has its own, three times suspend_ms */
};

struct hot_report {
    size_t module_n;  /* modules loaded */
    size_t process_n; /* processes that were suspended and changed */
    int64_t pause_us; /* from the first suspend to the last resume */
};

/* 0: the new code runs, every process is resumed, the applications tell the new versions.
 * -1 REL_E_INPUT: refused before anything was touched, with the reason.
 * -1 REL_E_BUSY: another hot upgrade of this node is under way.
 * -1 REL_E_REMOTE, REL_E_UNREACHABLE: it failed before anything was touched.
 * -1 REL_E_ROLLED_BACK: it failed midway; old code and old states are back, all are resumed.
 * -1 REL_E_STUCK: the way back failed too, and the message says what is left; or the node went away
 *    meanwhile, and nobody knows.
 * If this process dies midway the node itself resumes every process within suspend_ms. */
REL_MUST_USE int hot_upgrade_run(struct hot_node *node, const struct hot_plan *plan,
                                 struct hot_report *report, struct rel_err *e);

/* The same checks without a change: what would be loaded and how many processes are affected. */
REL_MUST_USE int hot_upgrade_check(struct hot_node *node, const struct hot_plan *plan,
                                   struct hot_report *report, struct rel_err *e);

#endif
