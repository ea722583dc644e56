/* SPDX-License-Identifier: Apache-2.0 */
/* Ctrl-C and SIGTERM in a command that writes files: it stops at the next chance, cleans up as
 * after any failure, and then dies of the signal, so that a shell and a script see what happened
 * (signal(7); "Proper handling of SIGINT/SIGQUIT", https://www.cons.org/cracauer/sigint.html).
 * One handler a process. */
#ifndef CMD_SIGNAL_H
#define CMD_SIGNAL_H

#include <stdbool.h>

/* From now on SIGINT, SIGTERM and SIGHUP only ask to stop. One that was ignored stays ignored, as
 * nohup and a shell's `&` want it. */
void cmd_signal_catch(void);

/* Was one asked for? A `stopped` of struct rel_progress; any thread. */
bool cmd_signal_stopped(void *ctx);

/* Dies of the signal that came, if one did; otherwise returns. When all is cleaned up. */
void cmd_signal_raise(void);

#endif
