/* SPDX-License-Identifier: Apache-2.0 */
/* Commands as tables: one row a verb. Dispatch, option parsing, --help, the hint for a mistyped
 * verb and the exit status all come from the rows, so a verb's own file only parses what is
 * special, calls one library function and renders. */
#ifndef CMD_H
#define CMD_H

#include "base/rel_err.h"
#include "base/rel_out.h"

struct cmd_option {
    const char *name; /* without the dashes */
    char letter;      /* short form, or 0 */
    const char *arg; /* name of its argument in the help; NULL for a switch. "NAME,..." may be given
                      * again: the arguments are joined by commas; else the last one counts */
    const char *help;
};

enum { CMD_OPTION_MAX = 24 };

struct cmd_ctx {
    const char *prog;
    const struct cmd_verb *verb;
    struct rel_out out;
    char **pos; /* positional arguments, NULL-terminated; lent */
    int pos_n;
    int exit_status; /* of a run that returned 0; for verbs that pass another program's on */
    const char *value[CMD_OPTION_MAX]; /* by row of verb->options; "" for a switch that is set */
    char *joined[CMD_OPTION_MAX];      /* owned: the values of options given many times */
};

struct cmd_verb {
    const char *name;
    const char *summary;              /* one line, no full stop */
    const char *usage;                /* what follows "prog verb", e.g. "[DIR] [--tar]" */
    const struct cmd_option *options; /* ends with an empty row; NULL for none */
    int pos_min, pos_max;             /* pos_max -1: any number */
    bool stop_at_pos;                 /* what follows the first positional is not ours to parse */
    bool hidden;                      /* not in the help: called by our own scripts */
    bool lives_on; /* who reads its notes must not be able to hold it up (cmd_notes.h) */
    int (*run)(struct cmd_ctx *ctx, struct rel_err *e);
};

struct cmd_program {
    const char *name;
    const char *summary;
    const char *about; /* paragraphs behind the list of verbs in --help; may be NULL */
    const struct cmd_verb *const *verbs; /* ends with NULL */
};

/* The whole of main. Every verb also takes --help, --json and --quiet; the program takes --help
 * and --version. Yields the exit status. */
int cmd_main(const struct cmd_program *program, int argc, char **argv);

/* The argument of an option of the running verb; "" for a switch that is set, NULL if not given.
 * A name that is in no row aborts: a typo of ours. */
const char *cmd_get(const struct cmd_ctx *ctx, const char *option);
bool cmd_has(const struct cmd_ctx *ctx, const char *option);
/* Seconds, with an optional fraction or a suffix ms, s, m or h, as milliseconds; `fallback_ms` when
 * the option is not given. */
REL_MUST_USE int cmd_get_ms(const struct cmd_ctx *ctx, const char *option, int64_t fallback_ms,
                            int64_t *ms, struct rel_err *e);

/* A list of lines as JSON. */
json_t *cmd_json_lines(char *const *lines, size_t n);

#endif
