/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "hotload/hot_agent.h"

void hot_term_fini(struct hot_term *t)
{
    hot_x_free(&t->x);
}

void hot_x_free(ei_x_buff *x)
{
    if (x->buff)
        ei_x_free(x);
    *x = (ei_x_buff){0};
}

static void must(int result)
{
    if (result < 0)
        abort(); /* ei_x_encode_* fail for want of memory only, given valid arguments */
}

void hot_put_list(ei_x_buff *x, int n)
{
    must(ei_x_encode_list_header(x, n));
}

void hot_put_nil(ei_x_buff *x)
{
    must(ei_x_encode_empty_list(x));
}

void hot_put_tuple(ei_x_buff *x, int n)
{
    must(ei_x_encode_tuple_header(x, n));
}

void hot_put_atom(ei_x_buff *x, const char *name)
{
    must(ei_x_encode_atom_as(x, name, ERLANG_UTF8, ERLANG_UTF8));
}

void hot_put_binary(ei_x_buff *x, const void *bytes, size_t len)
{
    if (len > INT32_MAX)
        abort();
    must(ei_x_encode_binary(x, bytes, (int)len));
}

void hot_put_text(ei_x_buff *x, const char *text)
{
    hot_put_binary(x, text, strlen(text));
}

void hot_put_int(ei_x_buff *x, int64_t n)
{
    must(ei_x_encode_longlong(x, n));
}

void hot_put_pid(ei_x_buff *x, const erlang_pid *pid)
{
    must(ei_x_encode_pid(x, pid));
}

void hot_put_raw(ei_x_buff *x, const char *term, int len)
{
    must(ei_x_append_buf(x, term, len));
}

bool hot_take_atom(const struct hot_term *t, int *at, char out[MAXATOMLEN_UTF8])
{
    int i = *at;

    if (ei_decode_atom_as(t->x.buff, &i, out, MAXATOMLEN_UTF8, ERLANG_UTF8, NULL, NULL) < 0)
        return false;
    *at = i;
    return true;
}

bool hot_take_tuple(const struct hot_term *t, int *at, int n)
{
    int i = *at, arity;

    if (ei_decode_tuple_header(t->x.buff, &i, &arity) < 0 || arity != n)
        return false;
    *at = i;
    return true;
}

bool hot_take_int(const struct hot_term *t, int *at, int64_t *n)
{
    long long value;
    int i = *at;

    if (ei_decode_longlong(t->x.buff, &i, &value) < 0)
        return false;
    *n = value;
    *at = i;
    return true;
}

int hot_take_list(const struct hot_term *t, int *at)
{
    int i = *at, n;

    if (ei_decode_list_header(t->x.buff, &i, &n) < 0)
        return -1;
    *at = i;
    return n;
}

bool hot_take_text(const struct hot_term *t, int *at, char **out, size_t *len)
{
    rel_autofree char *text = NULL;
    int type, size, i = *at;
    long n = 0;

    if (ei_get_type(t->x.buff, &i, &type, &size) < 0 || size < 0)
        return false;
    text = rel_xmalloc((size_t)size + 1);
    if (type == ERL_BINARY_EXT) {
        if (ei_decode_binary(t->x.buff, &i, text, &n) < 0)
            return false;
    } else if (type == ERL_STRING_EXT || type == ERL_NIL_EXT || type == ERL_LIST_EXT) {
        if (ei_decode_string(t->x.buff, &i, text) < 0)
            return false;
        n = (long)strlen(text);
    } else {
        return false;
    }
    text[n] = '\0';
    *out = rel_steal(&text);
    *len = (size_t)n;
    *at = i;
    return true;
}
