/* SPDX-License-Identifier: Apache-2.0 */
/* The error of a fallible function.
 *
 * The caller declares `struct rel_err e = {0};` on its stack and passes its address as the last
 * argument, never NULL. A fallible function returns 0, or -1 with the error filled; values leave
 * through out-parameters that are written on success only. There is nothing to free, so an error
 * can be made when memory is gone. Any thread. */
#ifndef REL_ERR_H
#define REL_ERR_H

#include "base/rel_own.h"

#define REL_MUST_USE __attribute__((warn_unused_result))

/* What a deploy script asks: the exit status of both programs (DESIGN: the contract). */
enum rel_outcome {
    REL_DONE = 0,        /* done */
    REL_FAILED = 1,      /* failed, nothing changed */
    REL_USAGE = 2,       /* wrong usage or bad input, nothing changed */
    REL_ROLLED_BACK = 3, /* failed and rolled back, the old one still serves */
    REL_STUCK = 4,       /* a person is needed */
};

/* XX(code, name in JSON, outcome) */
#define REL_ERR_MAP(XX)                                                                            \
    XX(REL_E_NONE, "none", REL_DONE)                                                               \
    XX(REL_E_USAGE, "usage", REL_USAGE)             /* wrong option or argument */                 \
    XX(REL_E_INPUT, "bad_input", REL_USAGE)         /* a file, archive or project that is wrong */ \
    XX(REL_E_BUSY, "busy", REL_USAGE)               /* somebody else holds what is needed */       \
    XX(REL_E_IN_USE, "in_use", REL_FAILED)          /* by somebody who is not to be ended */       \
    XX(REL_E_NOT_RUNNING, "not_running", REL_USAGE) /* there is no supervisor to talk to */        \
    XX(REL_E_IO, "io", REL_FAILED)                  /* the system refused */                       \
    XX(REL_E_DISK_FULL, "disk_full", REL_FAILED)                                                   \
    XX(REL_E_TIMEOUT, "timeout", REL_FAILED)                                                       \
    XX(REL_E_UNREACHABLE, "unreachable", REL_FAILED) /* no such node, or it refused us */          \
    XX(REL_E_REMOTE, "remote", REL_FAILED)           /* the code we ran over there failed */       \
    XX(REL_E_CHILD, "child_failed", REL_FAILED)      /* a program we ran failed */                 \
    XX(REL_E_INTERRUPTED, "interrupted", REL_FAILED) /* asked to stop, by a signal */              \
    XX(REL_E_OLDER, "older", REL_FAILED)             /* than what served already */                \
    XX(REL_E_UNSUPPORTED, "unsupported", REL_FAILED) /* the kernel or a sandbox does not let us */ \
    XX(REL_E_ROLLED_BACK, "rolled_back", REL_ROLLED_BACK)                                          \
    XX(REL_E_STUCK, "stuck", REL_STUCK)                                                            \
    XX(REL_E_INTERNAL, "internal", REL_FAILED) /* a bug of ours */

enum rel_code {
#define XX(code, name, outcome) code,
    REL_ERR_MAP(XX)
#undef XX
        REL_E_COUNT
};

enum { REL_ERR_LEN = 512 };

struct rel_err {
    enum rel_code code;
    int sys;               /* errno, or 0 */
    const char *where;     /* the function that failed */
    char msg[REL_ERR_LEN]; /* one line, lower case, no full stop, names the object */
};

/* Fills an empty error and yields -1. With a non-zero `sys` its strerror is appended; ENOSPC and
 * EDQUOT turn REL_E_IO into REL_E_DISK_FULL. A message too long loses its middle. */
#define rel_fail(e, code, sys, ...) \
    rel_minus_one(rel_fail_at((e), (code), (sys), __func__, __VA_ARGS__))
int rel_fail_at(struct rel_err *e, enum rel_code code, int sys, const char *where, const char *fmt,
                ...) REL_PRINTF(5, 6);

/* Puts "context: " before the message of a filled error and yields -1. When the message is full
 * the context is dropped, never the cause. */
int rel_wrap_at(struct rel_err *e, const char *fmt, ...) REL_PRINTF(2, 3);
#define rel_wrap(...) rel_minus_one(rel_wrap_at(__VA_ARGS__))

/* A static analyser reads one file at a time: here it sees that a failure yields -1, and so that
 * the out-parameters of a caller that goes on are set. */
static inline int rel_minus_one(int failed)
{
    (void)failed;
    return -1;
}

/* Empties an error that the caller has dealt with. */
void rel_err_clear(struct rel_err *e);

const char *rel_code_name(enum rel_code code);
enum rel_outcome rel_code_outcome(enum rel_code code);
/* The code of that JSON name, REL_E_INTERNAL for an unknown one. */
enum rel_code rel_code_from_name(const char *name);

#endif
