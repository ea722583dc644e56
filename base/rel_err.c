/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rel_err.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { FULL_LEN = 3 * PATH_MAX };

static const struct {
    const char *name;
    enum rel_outcome outcome;
} codes[REL_E_COUNT] = {
#define XX(code, text, result) [code] = {.name = (text), .outcome = (result)},
    REL_ERR_MAP(XX)
#undef XX
};

/* A path may be longer than the message: what is wrong with it stands at the end. The cut falls
 * between characters of UTF-8. */
static void cut_middle(char out[REL_ERR_LEN], const char *text, size_t len)
{
    static const char gap[] = "...";
    size_t head = REL_ERR_LEN / 2 - sizeof(gap), tail = len - (REL_ERR_LEN / 2 - sizeof(gap));

    while (head && (text[head] & 0xc0) == 0x80)
        head--;
    while ((text[tail] & 0xc0) == 0x80)
        tail++;
    snprintf(out, REL_ERR_LEN, "%.*s%s%s", (int)head, text, gap, text + tail);
}

int rel_fail_at(struct rel_err *e, enum rel_code code, int sys, const char *where, const char *fmt,
                ...)
{
    char text[FULL_LEN];
    va_list ap;
    size_t n;

    assert(e->code == REL_E_NONE); /* an error is made once; context is added by rel_wrap */
    e->code = code;
    if (code == REL_E_IO && (sys == ENOSPC || sys == EDQUOT))
        e->code = REL_E_DISK_FULL;
    e->sys = sys;
    e->where = where;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    n = strlen(text);
    if (sys)
        snprintf(text + n, sizeof(text) - n, ": %s", strerrordesc_np(sys));
    n = strlen(text);
    if (n < sizeof(e->msg))
        memcpy(e->msg, text, n + 1);
    else
        cut_middle(e->msg, text, n);
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
