/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rel_own.h"

#include <errno.h>
#include <pwd.h>
#include <stdint.h>
#include <string.h>

enum { PASSWD_MAX = 16 << 10 };

void rel_free_p(void *p)
{
    free(*(void **)p);
}

/* A cleanup runs on the way out of a failure that errno may still describe. */
void rel_close_p(int *fd)
{
    int saved = errno;

    if (*fd >= 0)
        close(*fd);
    errno = saved;
}

void rel_fclose_p(FILE **f)
{
    int saved = errno;

    if (*f)
        fclose(*f);
    errno = saved;
}

void rel_closedir_p(DIR **d)
{
    int saved = errno;

    if (*d)
        closedir(*d);
    errno = saved;
}

int rel_steal_fd(int *fd)
{
    int stolen = *fd;

    *fd = -1;
    return stolen;
}

static void *or_abort(void *p)
{
    if (!p) {
        static const char msg[] = "out of memory\n";
        ssize_t ignored = write(STDERR_FILENO, msg, sizeof(msg) - 1);

        (void)ignored;
        abort();
    }
    return p;
}

void *rel_xmalloc(size_t n)
{
    return or_abort(malloc(n ? n : 1));
}

void *rel_xcalloc(size_t n, size_t size)
{
    return or_abort(calloc(n ? n : 1, size ? size : 1));
}

void *rel_xrealloc(void *p, size_t n, size_t size)
{
    return or_abort(reallocarray(p, n ? n : 1, size ? size : 1));
}

char *rel_xstrdup(const char *s)
{
    return or_abort(strdup(s));
}

char *rel_xstrndup(const char *s, size_t n)
{
    return or_abort(strndup(s, n));
}

char *rel_vstrf(const char *fmt, va_list ap)
{
    char *s = NULL;

    if (vasprintf(&s, fmt, ap) < 0)
        s = NULL;
    return or_abort(s);
}

char *rel_strf(const char *fmt, ...)
{
    va_list ap;
    char *s;

    va_start(ap, fmt);
    s = rel_vstrf(fmt, ap);
    va_end(ap);
    return s;
}

/* The other one of the C library writes into one place for all threads. */
char *rel_user_name(uid_t uid)
{
    struct passwd one, *pw = NULL;
    char text[PASSWD_MAX];

    (void)getpwuid_r(uid, &one, text, sizeof(text), &pw);
    return pw ? rel_xstrdup(pw->pw_name) : NULL;
}

void rel_buf_fini(struct rel_buf *b)
{
    free(b->p);
    *b = (struct rel_buf){0};
}

void rel_buf_add(struct rel_buf *b, const void *p, size_t n)
{
    if (n > SIZE_MAX / 2 - b->len - 1)
        or_abort(NULL);
    if (b->len + n + 1 > b->cap) {
        size_t cap = b->cap ? b->cap : 128;

        while (cap < b->len + n + 1)
            cap *= 2;
        b->p = rel_xrealloc(b->p, cap, 1);
        b->cap = cap;
    }
    if (n)
        memcpy(b->p + b->len, p, n);
    b->len += n;
    b->p[b->len] = '\0';
}

void rel_buf_adds(struct rel_buf *b, const char *s)
{
    rel_buf_add(b, s, strlen(s));
}

void rel_buf_addf(struct rel_buf *b, const char *fmt, ...)
{
    rel_autofree char *s = NULL;
    va_list ap;

    va_start(ap, fmt);
    s = rel_vstrf(fmt, ap);
    va_end(ap);
    rel_buf_adds(b, s);
}

char *rel_buf_take(struct rel_buf *b)
{
    char *p;

    rel_buf_add(b, "", 0);
    p = b->p;
    *b = (struct rel_buf){0};
    return p;
}
