/* SPDX-License-Identifier: Apache-2.0 */
/* What the user sees: results on stdout, progress and log lines on stderr, one struct and three
 * faces.
 *
 *   terminal  a step line is drawn, redrawn and closed with its time; colour unless NO_COLOR
 *   plain     a line when a step ends, unless `silent_steps`; nothing is redrawn
 *   json      progress, log and error as one JSON object a line on stderr ("type": "progress",
 *             "log" or "error"); the result as one object on stdout
 *
 * A name of a file or a line of another program may hold anything: what is written for people is
 * escaped here, so that none of it moves the cursor or looks like a line of ours.
 *
 * Only cmd/ makes one; libraries get a `struct rel_progress` and know nothing of faces.
 * One thread. */
#ifndef REL_OUT_H
#define REL_OUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/rel_err.h"

enum rel_face { REL_FACE_TERMINAL, REL_FACE_PLAIN, REL_FACE_JSON };

struct rel_out {
    FILE *result; /* lent, stdout in a program */
    FILE *notes;  /* lent, stderr in a program */
    enum rel_face face;
    bool quiet; /* no progress and no log lines; results and errors stay */
    bool colour;
    bool silent_steps; /* the plain face says nothing of steps that end well: set by a command whose
                          steps are of interest only to who sits before it */
    char step[128];    /* the open step, "" if none */
    char detail[256];  /* its last news, for who asks again */
    int64_t step_began_ms, drawn_ms;
};

/* A copy of `text` in which what is no printable UTF-8 is written as \n or \x1b. */
char *rel_escape(const char *text);
/* The same of a line of a program's log for a terminal: its colours and tabs stay. It may hold
 * NULs; one must follow it. */
char *rel_escape_log(const char *line, size_t len);
/* `s` as a JSON string; escaped where it is no UTF-8 (a file name, a log line), because jansson
 * would drop all that holds it. */
json_t *rel_json_text(const char *s);

/* Picks the face: json when asked for, terminal when `notes` is one (isatty, TERM is not dumb),
 * plain otherwise. */
void rel_out_init(struct rel_out *out, FILE *result, FILE *notes, bool json, bool quiet);

/* A step begins; an open one is closed as done. `detail` may be NULL. */
void rel_out_step(struct rel_out *out, const char *step, const char *detail);
/* News of the open step: redrawn on a terminal with the time it took so far, silent in plain, a
 * progress object in json. `done` and `total` are in any one unit; total 0 means unknown. Without
 * `detail` only the time is new: nothing in json. */
void rel_out_step_news(struct rel_out *out, const char *detail, uint64_t done, uint64_t total);
/* The open step ended well or badly; without an open step nothing happens. */
void rel_out_step_end(struct rel_out *out, bool ok, const char *detail);
/* The same for a step that somebody else timed, e.g. the supervisor for its client. */
void rel_out_step_line(struct rel_out *out, const char *step, const char *detail, bool ok,
                       int64_t took_ms);

void rel_out_log(struct rel_out *out, const char *fmt, ...) REL_PRINTF(2, 3);
void rel_out_warn(struct rel_out *out, const char *fmt, ...) REL_PRINTF(2, 3);
/* Closes an open step as failed and says the error: one line, prefixed by the program's name. */
void rel_out_error(struct rel_out *out, const char *prog, const struct rel_err *err);

/* The result: `text` (with its own line ends) for people, `json` for --json. `json` is lent.
 * -1 when stdout does not take it (a full disk behind a redirection). */
REL_MUST_USE int rel_out_result(struct rel_out *out, const json_t *json, const char *text,
                                struct rel_err *e);

/* What a library that takes long is given. Every member may be NULL. `stopped` is asked from any
 * thread. */
struct rel_progress {
    void (*step)(void *ctx, const char *step, const char *detail);
    void (*news)(void *ctx, const char *detail, uint64_t done, uint64_t total);
    void (*end)(void *ctx, const char *detail); /* of the open step, which went well */
    void (*warn)(void *ctx, const char *text);
    bool (*stopped)(void *ctx);
    void *ctx;
};

struct rel_progress rel_out_progress(struct rel_out *out);
void rel_progress_step(const struct rel_progress *p, const char *step, const char *detail);
void rel_progress_news(const struct rel_progress *p, const char *detail, uint64_t done,
                       uint64_t total);
void rel_progress_end(const struct rel_progress *p, const char *fmt, ...) REL_PRINTF(2, 3);
/* REL_E_INTERRUPTED once the user wants it to stop: asked between the parts of long work. */
REL_MUST_USE int rel_progress_check(const struct rel_progress *p, struct rel_err *e);
void rel_progress_warn(const struct rel_progress *p, const char *fmt, ...) REL_PRINTF(2, 3);

#endif
