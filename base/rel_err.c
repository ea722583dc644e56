/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rel_err.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static const struct {
    const char *name;
    enum rel_outcome outcome;
} codes[REL_E_COUNT] = {
#define XX(code, text, result) [code] = {.name = (text), .outcome = (result)},
    REL_ERR_MAP(XX)
#undef XX
};

int rel_fail_at(struct rel_err *e, enum rel_code code, int sys, const char *where, const char *fmt,
                ...)
{
    va_list ap;
    size_t n;

    assert(e->code == REL_E_NONE); /* an error is made once; context is added by rel_wrap */
    e->code = code;
    if (code == REL_E_IO && (sys == ENOSPC || sys == EDQUOT))
        e->code = REL_E_DISK_FULL;
    e->sys = sys;
    e->where = where;
    va_start(ap, fmt);
    vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
    va_end(ap);
    n = strlen(e->msg);
    if (sys)
        snprintf(e->msg + n, sizeof(e->msg) - n, ": %s", strerrordesc_np(sys));
    return -1;
}

int rel_wrap_at(struct rel_err *e, const char *fmt, ...)
{
    rel_autofree char *context = NULL;
    size_t context_len, msg_len = strlen(e->msg);
    va_list ap;

    assert(e->code != REL_E_NONE);
    va_start(ap, fmt);
    context = rel_vstrf(fmt, ap);
    va_end(ap);
    context_len = strlen(context);
    if (context_len + 2 + msg_len + 1 > sizeof(e->msg))
        return -1;
    memmove(e->msg + context_len + 2, e->msg, msg_len + 1);
    memcpy(e->msg, context, context_len);
    memcpy(e->msg + context_len, ": ", 2);
    return -1;
}

void rel_err_clear(struct rel_err *e)
{
    *e = (struct rel_err){0};
}

const char *rel_code_name(enum rel_code code)
{
    return code < REL_E_COUNT ? codes[code].name : codes[REL_E_INTERNAL].name;
}

enum rel_outcome rel_code_outcome(enum rel_code code)
{
    return code < REL_E_COUNT ? codes[code].outcome : REL_FAILED;
}

enum rel_code rel_code_from_name(const char *name)
{
    for (int c = 0; c < REL_E_COUNT; c++)
        if (!strcmp(codes[c].name, name))
            return (enum rel_code)c;
    return REL_E_INTERNAL;
}
