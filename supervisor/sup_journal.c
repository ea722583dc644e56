/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/rel_clock.h"
#include "base/rel_io.h"
#include "hotload/hot_contact.h"

enum { VERSION = 1, FILE_MAX = 64 * 1024, KILL_MS = 5000 };

int sup_journal_write(const char *home, const struct sup_journal *j, struct rel_err *e)
{
    rel_autofree char *path = rel_strf("%s/run/journal.json", home), *text = NULL;
    json_auto_t *doc = json_pack("{s:i, s:i, s:s, s:[]}", "v", VERSION, "generation", j->generation,
                                 "state", j->state ? j->state : "", "peers");

    for (size_t i = 0; i < j->peer_n; i++) {
        const struct sup_journal_peer *p = &j->peers[i];

        json_array_append_new(json_object_get(doc, "peers"),
                              json_pack("{s:i, s:I, s:I, s:b, s:b}", "generation", p->generation,
                                        "pid", (json_int_t)p->pid, "pid_start",
                                        (json_int_t)p->pid_start, "served", p->served, "step",
                                        p->step));
    }
    text = json_dumps(doc, JSON_COMPACT);
    return rel_replace_file(AT_FDCWD, path, text, strlen(text), 0600, e);
}

static int read_peer(const json_t *v, struct sup_journal *j)
{
    struct sup_journal_peer *p = &j->peers[j->peer_n];
    json_int_t pid, pid_start;
    int served = 1, step = 0;

    if (j->peer_n == SUP_JOURNAL_PEERS ||
        json_unpack((json_t *)v, "{s:i, s:I, s:I, s?b, s?b}", "generation", &p->generation, "pid",
                    &pid, "pid_start", &pid_start, "served", &served, "step", &step) < 0 ||
        pid <= 1 || pid > INT32_MAX || pid_start <= 0)
        return -1;
    p->pid = (pid_t)pid;
    p->pid_start = (uint64_t)pid_start;
    p->served = served && !step;
    p->step = step;
    j->peer_n++;
    return 0;
}

static int parse(const char *path, const char *text, size_t len, struct sup_journal *j,
                 struct rel_err *e)
{
    json_auto_t *doc = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *peers, *v;
    int version = 0;
    size_t i;

    json_unpack(doc, "{s:i}", "v", &version);
    if (doc && version > VERSION)
        return rel_fail(e, REL_E_UNSUPPORTED, 0, "%s was written by a newer relsup", path);
    if (!doc || version != VERSION ||
        json_unpack(doc, "{s:i, s:o}", "generation", &j->generation, "peers", &peers) < 0 ||
        !json_is_array(peers) || j->generation < 0)
        return rel_fail(e, REL_E_INPUT, 0, "%s cannot be read", path);
    json_array_foreach (peers, i, v)
        if (read_peer(v, j) < 0)
            return rel_fail(e, REL_E_INPUT, 0, "%s: peer %zu cannot be read", path, i);
    return 0;
}

int sup_journal_read(const char *home, struct sup_journal *j, struct rel_err *e)
{
    rel_autofree char *path = rel_strf("%s/run/journal.json", home), *text = NULL;
    struct sup_journal read = {0};
    size_t len;

    if (access(path, F_OK) < 0 && errno == ENOENT) {
        *j = read;
        return 0;
    }
    if (rel_read_file(AT_FDCWD, path, FILE_MAX, &text, &len, e) < 0 ||
        parse(path, text, len, &read, e) < 0)
        return -1;
    *j = read;
    return 0;
}

/* The highest that a peer of the home left its output under. */
static int last_generation(const char *home)
{
    rel_autofree char *path = rel_strf("%s/log", home);
    rel_autoclosedir DIR *d = opendir(path);
    long last = 0;

    for (struct dirent *f = d ? readdir(d) : NULL; f; f = readdir(d)) {
        bool is_peers = !strncmp(f->d_name, "peer-", 5);
        long n = is_peers ? strtol(f->d_name + 5, NULL, 10) : 0;

        if (n > last && n < INT32_MAX)
            last = n;
    }
    return (int)last;
}

int sup_journal_recover(const char *home, struct sup_journal *j, bool *known, struct rel_err *e)
{
    rel_autofree char *path = rel_strf("%s/run/journal.json", home), *text = NULL;
    rel_autofree char *aside = rel_strf("%s/run/journal.broken", home);
    struct rel_err unreadable = {0};
    size_t len;

    *known = sup_journal_read(home, j, &unreadable) == 0;
    if (*known)
        return 0;
    if (unreadable.code != REL_E_INPUT) {
        *e = unreadable;
        return -1;
    }
    if (rel_read_file(AT_FDCWD, path, FILE_MAX, &text, &len, e) < 0)
        rel_err_clear(e);
    else if (rel_replace_file(AT_FDCWD, aside, text, len, 0600, e) < 0)
        return -1;
    *j = (struct sup_journal){.generation = last_generation(home)};
    return sup_journal_write(home, j, e);
}

/* A descriptor of that very process, or -1: it is asked who it is after the descriptor is held, so
 * the number cannot change hands in between. */
static int hold(const struct sup_journal_peer *p)
{
    struct hot_contact who = {.pid = p->pid, .pid_start = p->pid_start};
    int fd = (int)syscall(SYS_pidfd_open, p->pid, 0);

    if (fd >= 0 && hot_contact_alive(&who))
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool has_ended(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n;

    do
        n = poll(&p, 1, timeout_ms);
    while (n < 0 && errno == EINTR);
    return n > 0;
}

static int end_held(const struct sup_journal_peer *p, int fd, int64_t until_ms, struct rel_err *e)
{
    if (p->served && has_ended(fd, rel_left_ms(until_ms)))
        return 0;
    kill(-p->pid, SIGKILL); /* it leads its group as long as it runs */
    if (has_ended(fd, KILL_MS))
        return 0;
    return rel_fail(e, REL_E_STUCK, 0,
                    "process %d, which an earlier supervisor left, does not end even by SIGKILL",
                    (int)p->pid);
}

int sup_journal_end_peers(const struct sup_journal *j, int timeout_ms, struct rel_err *e)
{
    int64_t until_ms = rel_mono_ms() + timeout_ms;
    int fds[SUP_JOURNAL_PEERS], result = 0;

    for (size_t i = 0; i < j->peer_n; i++) {
        fds[i] = hold(&j->peers[i]);
        if (fds[i] >= 0 && j->peers[i].served)
            syscall(SYS_pidfd_send_signal, fds[i], SIGTERM, NULL, 0);
    }
    for (size_t i = 0; i < j->peer_n; i++) {
        if (fds[i] < 0)
            continue;
        if (result == 0)
            result = end_held(&j->peers[i], fds[i], until_ms, e);
        close(fds[i]);
    }
    return result;
}
