/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>
#include <string.h>

#include "hotload/hot_agent.h"

enum { ATOM_MAX = 255 }; /* bytes, of characters there may be as many */

void hot_term_fini(struct hot_term *t)
{
    free(t->buf);
    *t = (struct hot_term){0};
}

void hot_x_free(ei_x_buff *x)
{
    if (x->buff)
        ei_x_free(x);
    *x = (ei_x_buff){0};
}

/* ei_x_encode_* fail for want of memory, and for names that hot_is_atom refuses. Never for what
 * another node sent: nothing of that is encoded again but whole terms, as bytes. */
static void must(int result)
{
    if (result < 0)
        abort();
}

void hot_x_new(ei_x_buff *x)
{
    must(ei_x_new(x));
}

void hot_put_list(ei_x_buff *x, int n)
{
    must(ei_x_encode_list_header(x, n));
}

void hot_put_map(ei_x_buff *x, int n)
{
    must(ei_x_encode_map_header(x, n));
}

void hot_put_string(ei_x_buff *x, const char *text)
{
    must(ei_x_encode_string(x, text));
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

void hot_put_raw(ei_x_buff *x, const ei_x_buff *terms)
{
    must(ei_x_append_buf(x, terms->buff, terms->index));
}

bool hot_put_taken(ei_x_buff *x, const struct hot_term *t)
{
    int end = t->at;

    if (!hot_take_skip(t, &end))
        return false;
    must(ei_x_append_buf(x, t->buf + t->at, end - t->at));
    return true;
}

bool hot_is_atom(const char *name)
{
    json_auto_t *text = strlen(name) <= ATOM_MAX ? json_string(name) : NULL; /* NULL: no UTF-8 */

    return text != NULL;
}

/* Behind the end there is no term, whatever a list or tuple before it promised. */
int hot_term_tag(const struct hot_term *t, int at)
{
    return at >= 0 && (size_t)at < t->len ? (unsigned char)t->buf[at] : 0;
}

bool hot_take_skip(const struct hot_term *t, int *at)
{
    size_t end;

    if (!hot_term_tag(t, *at) || !hot_term_end(t->buf, t->len, (size_t)*at, &end))
        return false;
    *at = (int)end;
    return true;
}

bool hot_take_atom(const struct hot_term *t, int *at, char out[MAXATOMLEN_UTF8])
{
    int i = *at;

    if (!hot_term_tag(t, i) ||
        ei_decode_atom_as(t->buf, &i, out, MAXATOMLEN_UTF8, ERLANG_UTF8, NULL, NULL) < 0)
        return false;
    *at = i;
    return true;
}

bool hot_take_word(const struct hot_term *t, int *at, const char *word)
{
    char name[MAXATOMLEN_UTF8];
    int i = *at;

    if (!hot_take_atom(t, &i, name) || strcmp(name, word) != 0)
        return false;
    *at = i;
    return true;
}

int hot_take_any_tuple(const struct hot_term *t, int *at)
{
    int i = *at, n;

    if (!hot_term_tag(t, i) || ei_decode_tuple_header(t->buf, &i, &n) < 0)
        return -1;
    *at = i;
    return n;
}

bool hot_take_tuple(const struct hot_term *t, int *at, int n)
{
    int i = *at;

    if (hot_take_any_tuple(t, &i) != n)
        return false;
    *at = i;
    return true;
}

bool hot_take_int(const struct hot_term *t, int *at, int64_t *n)
{
    long long value;
    int i = *at;

    if (!hot_term_tag(t, i) || ei_decode_longlong(t->buf, &i, &value) < 0)
        return false;
    *n = value;
    *at = i;
    return true;
}

int hot_take_list(const struct hot_term *t, int *at)
{
    int i = *at, n;

    if (!hot_term_tag(t, i) || ei_decode_list_header(t->buf, &i, &n) < 0)
        return -1;
    *at = i;
    return n;
}

bool hot_take_text(const struct hot_term *t, int *at, char **out, size_t *len)
{
    rel_autofree char *text = NULL;
    int type, size, i = *at;
    long n = 0;

    if (!hot_term_tag(t, i) || ei_get_type(t->buf, &i, &type, &size) < 0 || size < 0 ||
        (size_t)size > t->len)
        return false;
    text = rel_xmalloc((size_t)size + 1);
    if (type == ERL_BINARY_EXT) {
        if (ei_decode_binary(t->buf, &i, text, &n) < 0)
            return false;
    } else if (type == ERL_STRING_EXT || type == ERL_NIL_EXT || type == ERL_LIST_EXT) {
        if (ei_decode_string(t->buf, &i, text) < 0)
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
