/* SPDX-License-Identifier: Apache-2.0 */
/* One child VM. It leads a session of its own with its output in a file, not a pipe, so that it
 * outlives a supervisor that is killed. The loop's thread.
 *
 * It is made in two steps, so that it is in the journal before it does anything: spawned, it is a
 * launch helper that waits (sup_child.h); then it is let go or dropped. */
#ifndef SUP_PEER_H
#define SUP_PEER_H

#include <stdbool.h>
#include <uv.h>

#include "base/rel_err.h"
#include "hotload/hot_contact.h"
#include "supervisor/sup_child.h"
#include "supervisor/sup_config.h"
#include "supervisor/sup_env.h"
#include "supervisor/sup_procs.h"
#include "supervisor/sup_release.h"

struct sup_peer;

struct sup_peer_owner {
    /* Once: all that it started is gone too, or does not end. Then the peer may be closed. */
    void (*on_exit)(struct sup_peer *peer);
    /* When the oldest of the other peers that live was started (pid_start); UINT64_MAX: none lives.
     * What began before that is none of theirs. */
    uint64_t (*others)(const struct sup_peer *peer);
    void *ctx;
};

struct sup_peer {
    struct sup_child child;
    struct sup_watch watch;
    uv_timer_t tick;          /* while what it started is ended */
    struct sup_family family; /* what it started, as far as it was seen */
    int64_t gone_ms;          /* when its VM ended */
    bool asked;               /* what is left has got its SIGTERM */
    int handle_n;
    struct sup_release *release;
    char *dir;    /* name of its folder in releases/ */
    char **chain; /* that, and before it those it was changed from in place, since its boot */
    size_t chain_n;
    struct hot_contact contact;
    uid_t uid;                              /* as whom it runs */
    char *home, *log, *dump, *tmp, *secret; /* paths: of its output, crash dump, folders */
    int port_fd;      /* keeps the port of its distribution for it as long as it lives */
    int64_t since_ms; /* wall clock */
    int64_t began_ms; /* monotonic */
    int64_t ready_ms; /* so long it took until it was ready; 0: it is not */
    bool served;      /* it has got connections other than previews: it is ended gracefully */
    bool gone;        /* its VM is */
    bool shares;      /* the ports that it opens from now on (sup_share.c) */
    int status;       /* how that ended (wait(2)) */
    const struct sup_peer_owner *owner;
};

struct sup_spawn {
    const char *home, *dir;
    int generation;
    bool green;                      /* the node name's slot */
    bool share;                      /* another peer serves: it is to listen where that one does */
    const struct sup_config *config; /* lent for the call */
};

/* Can a peer with those settings overlap with the one that serves (NULL: none)? REL_E_INPUT: there
 * is no such user, or another one holds the ports: a socket of another user joins no listener group
 * (socket(7), SO_REUSEPORT). */
REL_MUST_USE int sup_peer_check_user(const struct sup_config *config, const struct sup_peer *beside,
                                     struct rel_err *e);

/* What tells a release whose peer it runs in, beside the settings: name, generation, its folders.
 */
void sup_peer_env(const struct sup_peer *peer, struct sup_env *env);

/* 0: *peer waits, as process contact.pid, to be let go or dropped. -1: nothing runs. */
REL_MUST_USE int sup_peer_spawn(const struct sup_spawn *spawn, struct sup_peer **peer,
                                struct rel_err *e);
/* 0: the launcher runs; `owner` is lent until on_exit. -1: nothing runs, and the peer is freed. */
REL_MUST_USE int sup_peer_go(uv_loop_t *loop, struct sup_peer *peer,
                             const struct sup_peer_owner *owner, struct rel_err *e);
/* It ends before it began, and is freed. */
void sup_peer_drop(struct sup_peer *peer);

/* It was changed in place, to the release of that folder; takes `release`. */
void sup_peer_changed(struct sup_peer *peer, const char *dir, struct sup_release *release);

/* SIGTERM to the VM, which is init:stop/0; or SIGKILL to its whole process group. One that never
 * served is killed at once: it has nothing to end in order, and a VM that boots loses a SIGTERM.
 * What it started ends with it (sup_peer_end.c). */
void sup_peer_stop(struct sup_peer *peer);
void sup_peer_kill(struct sup_peer *peer);

/* "exited with status 1" or "was killed by SIGKILL", owned by the caller. */
char *sup_peer_end_text(const struct sup_peer *peer);

/* Frees it, once it is gone. */
void sup_peer_close(struct sup_peer *peer);

#endif
