/* SPDX-License-Identifier: Apache-2.0 */
#include "swap/swap_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/rel_diag.h"
#include "swap/swap_expect.h"

/* include/net/tcp_states.h; an unconnected UDP socket has the number of a closed one. */
enum { TCP_STATE_LISTEN = 0x0A, UDP_STATE_UNCONNECTED = 0x07 };

struct swap_open_socket {
    uint64_t inode;
    int fd;
};

void swap_listeners_fini(struct swap_listeners *l)
{
    free(l->v);
    *l = (struct swap_listeners){0};
}

static int by_inode(const void *x, const void *y)
{
    const struct swap_open_socket *a = x, *b = y;

    return a->inode < b->inode ? -1 : a->inode > b->inode;
}

void swap_open_sockets_fini(struct swap_open_sockets *sockets)
{
    free(sockets->v);
    *sockets = (struct swap_open_sockets){0};
}

static void add_socket(struct swap_open_sockets *sockets, uint64_t inode, int fd)
{
    if (sockets->n == sockets->cap) {
        sockets->cap = sockets->cap ? sockets->cap * 2 : 64;
        sockets->v = rel_xrealloc(sockets->v, sockets->cap, sizeof(*sockets->v));
    }
    sockets->v[sockets->n++] = (struct swap_open_socket){.inode = inode, .fd = fd};
}

int swap_open_sockets_read(pid_t pid, struct swap_open_sockets *sockets, struct rel_err *e)
{
    rel_autofree char *dir = rel_strf("/proc/%d/fd", (int)pid);
    rel_autoclosedir DIR *d = opendir(dir);
    struct swap_open_sockets got = {0};
    struct dirent *entry;

    if (!d)
        return rel_fail(e, errno == EACCES || errno == EPERM ? REL_E_UNSUPPORTED : REL_E_IO, errno,
                        "read %s", dir);
    while ((entry = readdir(d))) {
        char target[64];
        ssize_t n = readlinkat(dirfd(d), entry->d_name, target, sizeof(target) - 1);

        if (n <= 0)
            continue;
        target[n] = '\0';
        if (strncmp(target, "socket:[", 8) == 0)
            add_socket(&got, strtoull(target + 8, NULL, 10), (int)strtol(entry->d_name, NULL, 10));
    }
    if (got.n)
        qsort(got.v, got.n, sizeof(*got.v), by_inode);
    *sockets = got;
    return 0;
}

int swap_open_sockets_fd(const struct swap_open_sockets *sockets, uint64_t inode)
{
    struct swap_open_socket key = {.inode = inode};
    const struct swap_open_socket *found =
        sockets->n ? bsearch(&key, sockets->v, sockets->n, sizeof(key), by_inode) : NULL;

    return found ? found->fd : -1;
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

/* The fields of a line of /proc/PID/net/tcp and its brothers that are of interest; false for the
 * heading, or where the process does not have that socket. */
static bool parse_line(char *line, int family, const struct swap_open_sockets *sockets,
                       struct swap_listener *one, unsigned long *state)
{
    char *field[12], *save = NULL;
    int n = 0;

    for (char *w = strtok_r(line, " \n", &save); w && n < 12; w = strtok_r(NULL, " \n", &save))
        field[n++] = w;
    if (n < 10 || strlen(field[1]) < (family == AF_INET ? 13 : 37))
        return false;
    one->inode = strtoull(field[9], NULL, 10);
    one->fd = swap_open_sockets_fd(sockets, one->inode);
    if (one->fd < 0 || !parse_address(field[1], family, one))
        return false;
    *state = strtoul(field[3], NULL, 16);
    return true;
}

/* Adds every socket of the process in that table that nobody is connected to. */
static int read_table(pid_t pid, const char *table, const struct swap_open_sockets *sockets,
                      struct swap_listeners *l, struct rel_err *e)
{
    int family = strchr(table, '6') ? AF_INET6 : AF_INET;
    unsigned long wanted = *table == 't' ? TCP_STATE_LISTEN : UDP_STATE_UNCONNECTED;
    rel_autofree char *path = rel_strf("/proc/%d/net/%s", (int)pid, table);
    rel_autofclose FILE *f = fopen(path, "re");
    rel_autofree char *line = NULL;
    size_t cap = 0;

    if (!f && errno == ENOENT && family == AF_INET6)
        return 0;
    if (!f)
        return rel_fail(e, REL_E_IO, errno, "open %s", path);
    while (getline(&line, &cap, f) >= 0) {
        struct swap_listener one = {0};
        unsigned long state;

        if (!parse_line(line, family, sockets, &one, &state) || state != wanted)
            continue;
        l->v = rel_xrealloc(l->v, l->n + 1, sizeof(*l->v));
        l->v[l->n++] = one;
    }
    return 0;
}

int swap_listener_order(const void *x, const void *y)
{
    const struct swap_listener *a = x, *b = y;
    int c = a->family - b->family;

    if (!c)
        c = (int)a->port - (int)b->port;
    return c ? c : strcmp(a->address, b->address);
}

static int read_tables(pid_t pid, const char *const tables[2], struct swap_listeners *l,
                       struct rel_err *e)
{
    struct swap_open_sockets sockets = {0};
    int rc = swap_open_sockets_read(pid, &sockets, e);

    for (int i = 0; i < 2 && !rc; i++)
        rc = read_table(pid, tables[i], &sockets, l, e);
    swap_open_sockets_fini(&sockets);
    if (rc)
        swap_listeners_fini(l);
    return rc;
}

int swap_listeners_read(pid_t pid, int except_port, struct swap_listeners *l, struct rel_err *e)
{
    static const char *const tables[2] = {"tcp", "tcp6"};
    struct swap_listeners got = {0};
    size_t n = 0;

    if (read_tables(pid, tables, &got, e) < 0)
        return -1;
    for (size_t i = 0; i < got.n; i++)
        if (!except_port || got.v[i].port != except_port ||
            strcmp(got.v[i].address, "127.0.0.1") != 0)
            got.v[n++] = got.v[i];
    got.n = n;
    if (got.n)
        qsort(got.v, got.n, sizeof(*got.v), swap_listener_order);
    *l = got;
    return 0;
}

int swap_udp_port(pid_t pid)
{
    static const char *const tables[2] = {"udp", "udp6"};
    struct swap_listeners bound = {0};
    struct rel_err e = {0};
    struct swap_port_range range = swap_port_range_read();
    int port = 0;

    if (read_tables(pid, tables, &bound, &e) < 0)
        return 0;
    for (size_t i = 0; i < bound.n && !port; i++)
        if (bound.v[i].port < range.low || bound.v[i].port > range.high)
            port = bound.v[i].port;
    swap_listeners_fini(&bound);
    return port;
}

const struct swap_listener *swap_listeners_find(const struct swap_listeners *have,
                                                const struct swap_listener *like)
{
    return have->n ? bsearch(like, have->v, have->n, sizeof(*have->v), swap_listener_order) : NULL;
}

struct swap_listeners swap_listeners_copy(const struct swap_listeners *l)
{
    struct swap_listeners copy = {.v = rel_xcalloc(l->n + 1, sizeof(*l->v)), .n = l->n};

    if (l->n)
        memcpy(copy.v, l->v, l->n * sizeof(*l->v));
    return copy;
}

struct v6only {
    uint64_t inode;
    bool yes;
};

static void take_v6only(void *ctx, const struct rel_diag_socket *s)
{
    struct v6only *x = ctx;

    if (s->inode == x->inode)
        x->yes = s->v6only;
}

void swap_listeners_ask_v6only(struct swap_listeners *l)
{
    for (size_t i = 0; i < l->n; i++) {
        struct v6only x = {.inode = l->v[i].inode};
        struct rel_err ignored = {0};

        if (l->v[i].family == AF_INET6 &&
            rel_diag_dump(AF_INET6, l->v[i].port, REL_DIAG_LISTEN, take_v6only, &x, &ignored) == 0)
            l->v[i].v6only = x.yes;
    }
}

const struct swap_listener *swap_listeners_other_form(const struct swap_listener *wanted,
                                                      const struct swap_listeners *have)
{
    for (size_t i = 0; i < have->n; i++)
        if (have->v[i].port == wanted->port && swap_listener_order(&have->v[i], wanted) != 0)
            return &have->v[i];
    return NULL;
}

char *swap_listener_text(const struct swap_listener *l)
{
    if (!l->family)
        return rel_strf("port %d", (int)l->port);
    return rel_strf(l->family == AF_INET ? "%s:%d" : "[%s]:%d", l->address, (int)l->port);
}
