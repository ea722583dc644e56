/* SPDX-License-Identifier: Apache-2.0 */
/* The contact of a running VM: how to reach it. One small JSON file, written by the launcher
 * (through `relctl prepare`) for a release that runs by itself, and by relsup for the active peer
 * of a home. It holds no secret: it names the file that does. Any thread; no state. */
#ifndef HOT_CONTACT_H
#define HOT_CONTACT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/rel_err.h"

struct hot_contact {
    char *node;         /* "shop_blue@localhost" */
    int port;           /* of its distribution on 127.0.0.1; 0: ask epmd on the node's host */
    char *cookie_file;  /* absolute */
    pid_t pid;          /* of beam.smp */
    uint64_t pid_start; /* field 22 of /proc/PID/stat, against reuse of the pid; 0 unknown */
    char *root;         /* the release's folder, absolute */
    char *name, *version;
    int generation; /* of the peer in its home; 0 without one */
    bool elixir;    /* the release has Elixir: an EXPR is Elixir */
};

/* The caller releases the copy. */
struct hot_contact hot_contact_copy(const struct hot_contact *c);
void hot_contact_fini(struct hot_contact *c);

/* Fails with REL_E_UNREACHABLE where there is no such file, REL_E_INPUT where it is malformed. */
REL_MUST_USE int hot_contact_read(const char *path, struct hot_contact *c, struct rel_err *e);
/* Atomic, mode 0600. */
REL_MUST_USE int hot_contact_write(const char *path, const struct hot_contact *c,
                                   struct rel_err *e);

/* Field 22 of /proc/PID/stat; 0 when there is no such process (proc(5)). */
uint64_t hot_pid_start(pid_t pid);
/* Does that very process still run (not merely its number, and not as a zombie)? */
bool hot_contact_alive(const struct hot_contact *c);

#endif
