/* SPDX-License-Identifier: Apache-2.0 */
/* The launch helper: the child's side of sup_child.h. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/rel_io.h"
#include "supervisor/sup_launch.h"

enum { FAILED = 127 };

extern char **environ;

struct orders {
    char *bytes;
    struct sup_launch head;
    struct sup_user user;
    const char *file, *cwd;
    char **args, **env;
};

static void orders_fini(struct orders *o)
{
    free(o->bytes);
    free(o->args);
    free(o->env);
}

/* The next string, or NULL where the orders end before it does. */
static char *take(const struct orders *o, size_t len, size_t *at)
{
    char *text = o->bytes + *at;
    const char *end = memchr(text, '\0', len - *at);

    if (!end)
        return NULL;
    *at += (size_t)(end - text) + 1;
    return text;
}

static char **take_list(const struct orders *o, size_t len, size_t *at, size_t n)
{
    rel_autofree char **list = n < len ? rel_xcalloc(n + 1, sizeof(*list)) : NULL;

    for (size_t i = 0; list && i < n; i++) {
        list[i] = take(o, len, at);
        if (!list[i])
            return NULL;
    }
    return rel_steal(&list);
}

static int read_all(int fd, char **bytes, size_t *len, struct rel_err *e)
{
    struct stat st;
    size_t got = 0;

    if (fstat(fd, &st) < 0 || (size_t)st.st_size < sizeof(struct sup_launch))
        return rel_fail(e, REL_E_INTERNAL, 0, "only relsup itself uses this command");
    *len = (size_t)st.st_size;
    *bytes = rel_xmalloc(*len);
    while (got < *len) {
        ssize_t n = pread(fd, *bytes + got, *len - got, (off_t)got);

        if (n <= 0)
            return rel_fail(e, REL_E_IO, errno, "read the orders");
        got += (size_t)n;
    }
    return 0;
}

/* They come from the same program, by a descriptor that nobody else had. */
static int read_orders(struct orders *o, struct rel_err *e)
{
    size_t len = 0, at = sizeof(o->head);

    if (read_all(SUP_LAUNCH_ORDERS, &o->bytes, &len, e) < 0)
        return -1;
    memcpy(&o->head, o->bytes, sizeof(o->head));
    o->user = (struct sup_user){.uid = o->head.uid,
                                .gid = o->head.gid,
                                .group_n = o->head.group_n,
                                .limit = o->head.limit,
                                .capabilities = o->head.capabilities};
    if (o->user.group_n > (len - at) / sizeof(gid_t))
        return rel_fail(e, REL_E_INTERNAL, 0, "the orders are cut short");
    o->user.groups = (gid_t *)(void *)(o->bytes + at);
    at += o->user.group_n * sizeof(gid_t);
    o->file = take(o, len, &at);
    o->cwd = o->file ? take(o, len, &at) : NULL;
    o->user.name = o->cwd ? take(o, len, &at) : NULL;
    o->args = o->user.name ? take_list(o, len, &at, o->head.arg_n) : NULL;
    o->env = o->args ? take_list(o, len, &at, o->head.env_n) : NULL;
    if (!o->env)
        return rel_fail(e, REL_E_INTERNAL, 0, "the orders are cut short");
    if (!*o->user.name)
        o->user.name = NULL;
    return 0;
}

static bool may_go(void)
{
    char word;
    ssize_t n;

    do
        n = read(SUP_LAUNCH_GO, &word, 1);
    while (n < 0 && errno == EINTR);
    return n == 1;
}

static int execute(const struct orders *o, struct rel_err *e)
{
    if ((o->user.name || o->user.limit) && sup_user_become(&o->user, e) < 0)
        return -1;
    if (*o->cwd && chdir(o->cwd) < 0)
        return rel_fail(e, REL_E_IO, errno, "enter %s", o->cwd);
    signal(SIGPIPE, SIG_DFL);
    environ = o->env;
    execvp(o->file, o->args);
    return rel_fail(e, REL_E_CHILD, errno, "execute %s", o->file);
}

/* Nobody's but the parent's business: whoever is executed must not have them. */
static void hide_descriptors(void)
{
    for (int fd = SUP_LAUNCH_GO; fd <= SUP_LAUNCH_ORDERS; fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
#ifdef SYS_close_range
    (void)!syscall(SYS_close_range, SUP_LAUNCH_ORDERS + 1, ~0U, 0);
#endif
}

int sup_launch_main(void)
{
    __attribute__((cleanup(orders_fini))) struct orders o = {0};
    struct rel_err e = {0};

    hide_descriptors();
    if (read_orders(&o, &e) == 0) {
        if (!may_go())
            return 0;
        (void)!execute(&o, &e);
    }
    (void)!write(SUP_LAUNCH_SAID, e.msg, strlen(e.msg));
    return FAILED;
}
