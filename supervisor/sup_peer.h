/* SPDX-License-Identifier: Apache-2.0 */
/* One child VM. Spawned in a session of its own with its output in a file, not a pipe, so that it
 * outlives a supervisor that is killed. The loop's thread. */
#ifndef SUP_PEER_H
#define SUP_PEER_H

#include <stdbool.h>
#include <uv.h>

#include "base/rel_err.h"
#include "hotload/hot_contact.h"
#include "supervisor/sup_release.h"

struct sup_peer {
    uv_process_t proc;
    struct sup_release *release;
    char *dir;    /* name of its folder in releases/ */
    char **chain; /* that, and before it those it was changed from in place, since its boot */
    size_t chain_n;
    struct hot_contact contact;
    char *log;        /* path of its output */
    int64_t since_ms; /* wall clock */
    bool gone;
    int64_t exit_status;
    int signal;
    void (*on_exit)(struct sup_peer *peer); /* then the peer may be closed */
    void *ctx;
};

struct sup_spawn {
    const char *home, *dir;
    int generation;
    bool green;              /* the node name's slot */
    char *const *node_names; /* of both slots; NULLs: <app>_blue and <app>_green */
    char **env;              /* the operator's "NAME=VALUE"s, NULL-terminated; may be NULL */
};

/* 0: the launcher runs, on_exit will be called once. -1: nothing runs. */
REL_MUST_USE int sup_peer_spawn(uv_loop_t *loop, const struct sup_spawn *spawn,
                                void (*on_exit)(struct sup_peer *), void *ctx,
                                struct sup_peer **peer, struct rel_err *e);

/* It was changed in place, to the release of that folder; takes `release`. */
void sup_peer_changed(struct sup_peer *peer, const char *dir, struct sup_release *release);

/* SIGTERM to the VM, which is init:stop/0; or SIGKILL to its whole process group. */
void sup_peer_stop(struct sup_peer *peer);
void sup_peer_kill(struct sup_peer *peer);

/* "exited with status 1" or "was killed by SIGKILL", owned by the caller. */
char *sup_peer_end_text(const struct sup_peer *peer);

/* Frees it, once it is gone. */
void sup_peer_close(struct sup_peer *peer);

#endif
