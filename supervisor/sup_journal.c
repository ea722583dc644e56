/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>

#include "base/rel_io.h"

enum { VERSION = 1, FILE_MAX = 64 * 1024 };

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
