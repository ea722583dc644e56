/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_term.h"

#include <string.h>

/* A plain string in a binary has a byte a character up to 255, so an escape a byte is exact. */
static void add_binary(struct rel_buf *b, const char *bytes, size_t len)
{
    rel_buf_adds(b, "<<\"");
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)bytes[i];

        if (c >= ' ' && c < 0x7f && c != '"' && c != '\\')
            rel_buf_add(b, &bytes[i], 1);
        else
            rel_buf_addf(b, "\\x{%x}", c);
    }
    rel_buf_adds(b, "\">>");
}

/* An Erlang float has digits on both sides of a point: 1e20 is none, 1.0e20 is. */
static void add_real(struct rel_buf *b, const json_t *value)
{
    rel_autofree char *text = json_dumps(value, JSON_ENCODE_ANY);
    size_t whole;

    if (!text)
        abort(); /* jansson makes no real that it cannot write, so memory is gone */
    whole = strcspn(text, ".e");
    rel_buf_add(b, text, whole);
    if (text[whole] != '.')
        rel_buf_adds(b, ".0");
    rel_buf_adds(b, text + whole);
}

static void add_map(struct rel_buf *b, const json_t *value)
{
    const char *between = "";
    const char *key;
    json_t *one;

    rel_buf_adds(b, "#{");
    json_object_foreach ((json_t *)value, key, one) {
        rel_buf_adds(b, between);
        add_binary(b, key, strlen(key));
        rel_buf_adds(b, " => ");
        sup_term_add(b, one);
        between = ", ";
    }
    rel_buf_adds(b, "}");
}

static void add_list(struct rel_buf *b, const json_t *value)
{
    json_t *one;
    size_t i;

    rel_buf_adds(b, "[");
    json_array_foreach (value, i, one) {
        if (i)
            rel_buf_adds(b, ", ");
        sup_term_add(b, one);
    }
    rel_buf_adds(b, "]");
}

void sup_term_add(struct rel_buf *b, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        add_map(b, value);
        break;
    case JSON_ARRAY:
        add_list(b, value);
        break;
    case JSON_STRING:
        add_binary(b, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        rel_buf_addf(b, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL:
        add_real(b, value);
        break;
    case JSON_TRUE:
        rel_buf_adds(b, "true");
        break;
    case JSON_FALSE:
        rel_buf_adds(b, "false");
        break;
    case JSON_NULL:
        rel_buf_adds(b, "null");
        break;
    }
}
