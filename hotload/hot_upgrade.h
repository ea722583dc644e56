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
    unsigned char new_md5[16];
};

/* An application that is added (old_vsn is NULL), removed (new_vsn is NULL), or whose version, code
 * or code path changes. An <app>.appup in `new_ebin` (in `old_ebin` on the way down) is followed.
 */
struct hot_app_change {
    const char *app, *old_vsn, *new_vsn;
    const char *old_ebin, *new_ebin;
    const char *type; /* how the release starts it: "permanent", "transient", "load", ... */
    bool priv;        /* other files are below its priv */
};

/* A process whose callback module nobody can tell but its operator. */
struct hot_hint {
    const char *process; /* registered name, or module of its `$initial_call` */
    const char *module;
};

/* Is the changed node good? Called while everything runs on the new code and can still be undone.
 * 0: yes. < 0: no, with the reason. > 0: to be called again in so many milliseconds. */
typedef int hot_prove_fn(void *ctx, struct rel_err *e);

struct hot_plan {
    const struct hot_module *modules;
    size_t module_n;
    const struct hot_app_change *apps; /* in the order in which they start */
    size_t app_n;
    const struct hot_hint *hints;
    size_t hint_n;
    bool down;   /* back to an earlier release: code_change({down, Vsn}, ...) */
    bool booted; /* and it is the one that the VM was started with */
    /* Absolute paths of the sys.config of the release that runs and of the new one; NULL: what the
     * VM was booted with. What the environment has beyond the old one was put at run time, and
     * stays. `new_config` goes before the new one: what a VM of the new release evaluated, as an
     * external term. */
    const char *old_sys_config, *new_sys_config;
    const struct rel_buf *new_config;
    const char *old_consolidated; /* absolute paths of Elixir's consolidated protocols, or NULL */
    const char *new_consolidated;
    int suspend_ms;      /* every process must be suspended within it, and have changed within it */
    int timeout_ms;      /* of the change; the way back has its own, a few times suspend_ms */
    int wait_ms;         /* who is busy with what changes has so long to finish ... */
    bool refuse_old;     /* ... or the upgrade is refused; else it finishes in the old code */
    hot_prove_fn *prove; /* NULL: it is good when it is done */
    void *prove_ctx;
    int prove_ms; /* it must have said so within it */
    /* Called once it is proved, right ahead of the node's point of no return: what must be in place
     * by then, and may fail. -1: the node undoes everything. NULL: there is nothing. */
    int (*seal)(void *ctx, struct rel_err *e);
    void *seal_ctx;
};

/* What the plan says to people: lines by section (relsup_hot_show.erl names the sections). */
struct hot_section {
    char *name;
    char **lines;
    size_t line_n;
};

struct hot_report {
    size_t module_n;              /* modules loaded */
    size_t process_n;             /* processes that were suspended and changed */
    int64_t pause_us;             /* in which processes were suspended */
    struct hot_section *sections; /* also after a refusal: "forbidden" */
    size_t section_n;
};

/* NULL where the plan has nothing to say about it. */
const struct hot_section *hot_report_section(const struct hot_report *report, const char *name);
void hot_report_fini(struct hot_report *report);

/* 0: the new code runs, every process is resumed, the applications tell the new versions.
 * -1 REL_E_INPUT: refused before anything was touched, with the reason.
 * -1 REL_E_IN_USE: the same, and it may be done when those who are named are no longer busy.
 * -1 REL_E_BUSY: another hot upgrade of this node is under way.
 * -1 REL_E_REMOTE, REL_E_UNREACHABLE: it failed before anything was touched.
 * -1 REL_E_ROLLED_BACK: it failed midway; old code and old states are back, all are resumed.
 * -1 REL_E_STUCK: the way back failed too, and the message says what is left; or the node went away
 *    meanwhile, and nobody knows.
 * If this process dies or is stopped midway the node itself undoes all of it, by a deadline.
 * In every case but 0 what `seal` did is the caller's to undo.
 * *report is to be released in every case. */
REL_MUST_USE int hot_upgrade_run(struct hot_node *node, const struct hot_plan *plan,
                                 struct hot_report *report, struct rel_err *e);

/* What became of an upgrade of which the answer was lost on the way: asked over a new connection to
 * the node. If it still waits for a verdict, this is it. Result and errors as above. */
REL_MUST_USE int hot_upgrade_settle(struct hot_node *node, const struct hot_plan *plan, bool commit,
                                    struct hot_report *report, struct rel_err *e);

/* The same checks without a change: what would be loaded and how many processes are affected. */
REL_MUST_USE int hot_upgrade_check(struct hot_node *node, const struct hot_plan *plan,
                                   struct hot_report *report, struct rel_err *e);

#endif
