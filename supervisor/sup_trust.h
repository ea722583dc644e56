/* SPDX-License-Identifier: Apache-2.0 */
/* Is a home nobody else's? What a home holds is run with our rights: its settings name commands,
 * its `current` a program. So what another user owns or can write is refused, as sshd does it with
 * StrictModes. Trusted are our own user (euid) and root. Any thread; no state.
 *
 * A refusal is REL_E_INPUT in one line: what, whose, and the command that mends it. */
#ifndef SUP_TRUST_H
#define SUP_TRUST_H

#include <sys/types.h>

#include "base/rel_err.h"

/* Of the home, as far as it exists: every folder above it (a sticky one like /tmp may be writable),
 * itself, relsup.json, current, run, log and releases belong to us or root and are writable by
 * nobody else; secret can only be passed through by others, and its files not even be read. Above
 * it that is looked at from the root down, so that who could change an answer has been refused
 * before. Also REL_E_INPUT: its path is too long for its control socket (unix(7)). */
REL_MUST_USE int sup_trust_home(const char *home, struct rel_err *e);

/* The same of a file that is open; `path` is its name for the message. */
REL_MUST_USE int sup_trust_file(int fd, const char *path, struct rel_err *e);

/* For who is about to speak to the supervisor of `home`: home and run are ours or root's, and
 * writable by nobody else. */
REL_MUST_USE int sup_trust_control(const char *home, struct rel_err *e);

/* The process that listens at the other end of the Unix socket `fd` is ours or root's
 * (SO_PEERCRED). */
REL_MUST_USE int sup_trust_server(int fd, const char *home, struct rel_err *e);

#endif
