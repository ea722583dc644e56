/* SPDX-License-Identifier: Apache-2.0 */
#include "swap/swap_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { TCP_STATE_LISTEN = 0x0A };

struct inodes {
    uint64_t *v;
    size_t n, cap;
};

void swap_listeners_fini(struct swap_listeners *l)
{
    free(l->v);
    *l = (struct swap_listeners){0};
}

static int by_number(const void *x, const void *y)
{
    const uint64_t *a = x, *b = y;

    return *a < *b ? -1 : *a > *b;
}

static int read_inodes(pid_t pid, struct inodes *inodes, struct rel_err *e)
{
    rel_autofree char *dir = rel_strf("/proc/%d/fd", (int)pid);
    rel_autoclosedir DIR *d = opendir(dir);
    struct dirent *entry;

    if (!d)
        return rel_fail(e, REL_E_IO, errno, "read %s", dir);
    while ((entry = readdir(d))) {
        char target[64];
        ssize_t n = readlinkat(dirfd(d), entry->d_name, target, sizeof(target) - 1);

        if (n <= 0)
            continue;
        target[n] = '\0';
        if (strncmp(target, "socket:[", 8) != 0)
            continue;
        if (inodes->n == inodes->cap) {
            inodes->cap = inodes->cap ? inodes->cap * 2 : 64;
            inodes->v = rel_xrealloc(inodes->v, inodes->cap, sizeof(*inodes->v));
        }
        inodes->v[inodes->n++] = strtoull(target + 8, NULL, 10);
    }
    if (inodes->n)
        qsort(inodes->v, inodes->n, sizeof(*inodes->v), by_number);
    return 0;
}

/* "0100007F:1F90": each 32-bit word of the address in the byte order of the machine. */
static bool parse_address(const char *text, int family, struct swap_listener *l)
{
    unsigned char raw[16];
    size_t words = family == AF_INET ? 1 : 4;

    for (size_t i = 0; i < words; i++) {
        char word[9] = "";
        uint32_t n;

        memcpy(word, text + i * 8, 8);
        n = (uint32_t)strtoul(word, NULL, 16);
        memcpy(raw + i * 4, &n, 4);
    }
    if (text[words * 8] != ':')
        return false;
    l->family = family;
    l->port = (in_port_t)strtoul(text + words * 8 + 1, NULL, 16);
    return inet_ntop(family, raw, l->address, sizeof(l->address)) != NULL;
}

static void add_line(struct swap_listeners *l, const struct inodes *inodes, int family, char *line,
                     int except_port)
{
    char *field[12], *save = NULL;
    struct swap_listener one = {0};
    uint64_t inode;
    int n = 0;

    for (char *w = strtok_r(line, " \n", &save); w && n < 12; w = strtok_r(NULL, " \n", &save))
        field[n++] = w;
    if (n < 10 || strtoul(field[3], NULL, 16) != TCP_STATE_LISTEN)
        return;
    inode = strtoull(field[9], NULL, 10);
    if (!inodes->n || !bsearch(&inode, inodes->v, inodes->n, sizeof(inode), by_number))
        return;
    if (strlen(field[1]) < (family == AF_INET ? 13 : 37) || !parse_address(field[1], family, &one))
        return;
    if (except_port && one.port == except_port && !strcmp(one.address, "127.0.0.1"))
        return;
    l->v = rel_xrealloc(l->v, l->n + 1, sizeof(*l->v));
    l->v[l->n++] = one;
}

static int read_table(pid_t pid, int family, const struct inodes *inodes, int except_port,
                      struct swap_listeners *l, struct rel_err *e)
{
    rel_autofree char *path =
        rel_strf("/proc/%d/net/%s", (int)pid, family == AF_INET ? "tcp" : "tcp6");
    rel_autofclose FILE *f = fopen(path, "re");
    rel_autofree char *line = NULL;
    size_t cap = 0;

    if (!f && errno == ENOENT && family == AF_INET6)
        return 0;
    if (!f)
        return rel_fail(e, REL_E_IO, errno, "open %s", path);
    while (getline(&line, &cap, f) >= 0)
        add_line(l, inodes, family, line, except_port);
    return 0;
}

static int by_group(const void *x, const void *y)
{
    const struct swap_listener *a = x, *b = y;
    int c = a->family - b->family;

    if (!c)
        c = (int)a->port - (int)b->port;
    return c ? c : strcmp(a->address, b->address);
}

int swap_listeners_read(pid_t pid, int except_port, struct swap_listeners *l, struct rel_err *e)
{
    struct inodes inodes = {0};
    struct swap_listeners got = {0};
    size_t n = 0;
    int rc;

    rc = read_inodes(pid, &inodes, e);
    if (!rc)
        rc = read_table(pid, AF_INET, &inodes, except_port, &got, e);
    if (!rc)
        rc = read_table(pid, AF_INET6, &inodes, except_port, &got, e);
    free(inodes.v);
    if (rc) {
        swap_listeners_fini(&got);
        return -1;
    }
    if (got.n)
        qsort(got.v, got.n, sizeof(*got.v), by_group);
    for (size_t i = 0; i < got.n; i++)
        if (!n || by_group(&got.v[n - 1], &got.v[i]) != 0)
            got.v[n++] = got.v[i];
    got.n = n;
    *l = got;
    return 0;
}

const struct swap_listener *swap_listeners_missing(const struct swap_listeners *wanted,
                                                   const struct swap_listeners *have)
{
    for (size_t i = 0; i < wanted->n; i++)
        if (!have->n || !bsearch(&wanted->v[i], have->v, have->n, sizeof(*have->v), by_group))
            return &wanted->v[i];
    return NULL;
}

char *swap_listener_text(const struct swap_listener *l)
{
    return rel_strf(l->family == AF_INET ? "%s:%d" : "[%s]:%d", l->address, (int)l->port);
}
