/* SPDX-License-Identifier: Apache-2.0 */
/* The notes of a program that must not wait for who reads them: a full pipe, a terminal that was
 * stopped by Ctrl-S or that is gone (write(2) gives EIO). What is written to the stream goes into a
 * bounded buffer, and a thread of its own passes it on to a descriptor. What finds no room, or
 * cannot be written, is dropped; the reader is told how many lines were. The descriptor itself
 * keeps its flags: O_NONBLOCK would be shared with everybody who has that terminal. */
#ifndef CMD_NOTES_H
#define CMD_NOTES_H

#include <stdbool.h>
#include <stdio.h>

#include "base/rel_err.h"

enum { CMD_NOTES_ROOM = 64 * 1024 };

struct cmd_notes;

/* `fd` is lent until the close; `json`: notes are JSON lines. Signals are left to other threads. */
REL_MUST_USE int cmd_notes_open(int fd, bool json, struct cmd_notes **notes, struct rel_err *e);
/* Where to write; one thread at a time. Owned by `notes`. */
FILE *cmd_notes_stream(struct cmd_notes *notes);
/* Waits at most timeout_ms until everything is written. Where that is not enough the thread, and
 * the memory it needs, stay for the end of the process. */
void cmd_notes_close(struct cmd_notes *notes, int timeout_ms);

#endif
