/* SPDX-License-Identifier: Apache-2.0 */
#include "hotload/hot_cookie.h"

#include <fcntl.h>
#include <string.h>

#include "base/rel_io.h"

enum { COOKIE_LEN = 32, COOKIE_MAX = 512, COOKIE_FILE_MAX = 4096 };

char *hot_cookie_read(const char *path)
{
    rel_autofree char *text = NULL;
    struct rel_err e = {0};
    char *cookie;
    size_t len;

    if (rel_read_file(AT_FDCWD, path, COOKIE_FILE_MAX, &text, &len, &e) < 0)
        return NULL;
    cookie = rel_xstrndup(text, strcspn(text, " \t\r\n"));
    explicit_bzero(text, len);
    if (*cookie)
        return cookie;
    free(cookie);
    return NULL;
}

int hot_cookie_new(char **cookie, struct rel_err *e)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    unsigned char r[COOKIE_LEN];
    char *text;

    if (rel_random(r, sizeof(r), e) < 0)
        return rel_wrap(e, "make a cookie");
    text = rel_xcalloc(COOKIE_LEN + 1, 1);
    for (int i = 0; i < COOKIE_LEN; i++)
        text[i] = letters[r[i] % 32];
    *cookie = text;
    return 0;
}

int hot_cookie_put(const char *dir, const char *cookie, struct rel_err *e)
{
    rel_autofree char *file = rel_strf("%s/cookie", dir), *there = hot_cookie_read(file);
    rel_autofree char *erlang = rel_strf("%s/erlang", dir);
    rel_autofree char *link = rel_strf("%s/.erlang.cookie", erlang);
    char target[32] = "";

    if (strlen(cookie) >= COOKIE_MAX)
        return rel_fail(e, REL_E_INPUT, 0, "the cookie is longer than %d characters",
                        COOKIE_MAX - 1);
    if (rel_mkdirs(AT_FDCWD, erlang, 0700, e) < 0)
        return -1;
    if ((!there || strcmp(there, cookie) != 0) &&
        rel_replace_file(AT_FDCWD, file, cookie, strlen(cookie), 0400, e) < 0)
        return -1;
    if (readlink(link, target, sizeof(target) - 1) > 0 && !strcmp(target, "../cookie"))
        return 0;
    return rel_replace_link(AT_FDCWD, link, "../cookie", e);
}
