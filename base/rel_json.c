/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rel_json.h"

#include <string.h>

static size_t string_len(const char *quoted)
{
    size_t n = 1;

    while (quoted[n] && quoted[n] != '"')
        n += quoted[n] == '\\' && quoted[n + 1] ? 2 : 1;
    return n + 1;
}

const char *rel_json_find_key(const char *at, const char *key, int depth)
{
    size_t key_len = strlen(key);
    int level = 0;

    while (*at) {
        size_t n = *at == '"' ? string_len(at) : 1;

        level += *at == '{' || *at == '[';
        level -= *at == '}' || *at == ']';
        if (*at == '"' && (!depth || level == depth) && n == key_len + 2 &&
            !strncmp(at + 1, key, key_len) && at[n + strspn(at + n, " \t\r\n")] == ':')
            return at;
        at += n;
    }
    return NULL;
}

int rel_json_line(const char *text, const char *at)
{
    int line = 1;

    for (; at && text < at; text++)
        line += *text == '\n';
    return line;
}
