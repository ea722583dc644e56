/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_leftovers.h"

#include <signal.h>
#include <unistd.h>

#include "base/rel_clock.h"
#include "supervisor/sup_cgroup.h"
#include "supervisor/sup_procs.h"

enum { LOOK_MS = 20, CHILD_MS = 1000, KILL_MS = 5000, CGROUP_MS = 500 };

struct left {
    const struct sup_journal *j;
    bool known;
    struct sup_family gentle, hard; /* gentle: VMs that served, and what they started */
    struct sup_family asked;        /* first: those VMs; all, where nobody knows more than that */
};

static bool has_served(const struct left *l, int generation)
{
    for (size_t i = 0; i < l->j->peer_n; i++)
        if (l->j->peers[i].generation == generation && l->j->peers[i].served)
            return true;
    return !l->known;
}

static bool is_ancestor(const struct sup_procs *procs, pid_t pid)
{
    for (const struct hot_proc *p = sup_procs_find(procs, getpid()); p;
         p = p->parent > 0 ? sup_procs_find(procs, p->parent) : NULL)
        if (p->pid == pid)
            return true;
    return false;
}

/* Those of the journal, by number and start time. */
static void add_known(struct left *l, const struct sup_procs *procs)
{
    for (size_t i = 0; i < l->j->peer_n; i++) {
        const struct sup_journal_peer *p = &l->j->peers[i];
        const struct hot_proc *proc = sup_procs_find(procs, p->pid);

        if (!proc || proc->start != p->pid_start)
            continue;
        sup_family_add(p->served ? &l->gentle : &l->hard, proc);
        if (p->served)
            sup_family_add(&l->asked, proc);
    }
}

static void add_of_home(struct left *l, const struct sup_procs *procs, const char *home, uid_t user)
{
    int generation;

    for (size_t i = 0; i < procs->n; i++) {
        const struct hot_proc *p = &procs->v[i];

        if (!p->zombie && (p->uid == geteuid() || p->uid == user) &&
            sup_proc_is_of_home(p->pid, home, &generation))
            sup_family_add(has_served(l, generation) ? &l->gentle : &l->hard, p);
    }
}

static void add_of_cgroup(void *ctx, const char *cgroup, int generation)
{
    struct left *l = ctx;

    sup_cgroup_add(cgroup, has_served(l, generation) ? &l->gentle : &l->hard);
}

/* Whoever started us from within a peer goes on. */
static void spare_ancestors(struct sup_family *f, const struct sup_procs *procs)
{
    size_t n = 0;

    for (size_t i = 0; i < f->n; i++)
        if (!is_ancestor(procs, f->v[i].pid))
            f->v[n++] = f->v[i];
    f->n = n;
}

static void find(struct left *l, const struct sup_procs *procs, const char *home, uid_t user)
{
    add_known(l, procs);
    add_of_home(l, procs, home, user);
    sup_cgroup_each(home, add_of_cgroup, l);
    sup_family_grow(&l->gentle, procs);
    sup_family_grow(&l->hard, procs);
    spare_ancestors(&l->gentle, procs);
    spare_ancestors(&l->hard, procs);
}

static bool ends_within(const struct sup_family *f, int64_t ms)
{
    int64_t until_ms = rel_mono_ms() + ms;

    while (sup_family_signal(f, 0)) {
        if (!rel_left_ms(until_ms))
            return false;
        usleep(LOOK_MS * 1000);
    }
    return true;
}

static int kill_all(struct sup_family *f, struct rel_err *e)
{
    sup_family_signal(f, SIGKILL);
    if (ends_within(f, KILL_MS))
        return 0;
    return rel_fail(e, REL_E_STUCK, 0,
                    "a process that an earlier supervisor left does not end even by SIGKILL");
}

static int end_rest(struct left *l, struct rel_err *e)
{
    sup_family_signal(&l->gentle, SIGTERM);
    return ends_within(&l->gentle, CHILD_MS) ? 0 : kill_all(&l->gentle, e);
}

/* A VM that served is asked alone, so that it ends its own children in order. What it leaves is
 * looked for once more: it may have started some on the way out. */
static int end(struct left *l, const struct sup_leftovers *of, struct rel_err *e)
{
    sup_autoprocs struct sup_procs procs = {0};

    sup_family_signal(&l->hard, SIGKILL);
    sup_family_signal(&l->asked, SIGTERM);
    if ((!ends_within(&l->asked, of->timeout_ms) && kill_all(&l->asked, e) < 0) ||
        sup_procs_read(&procs, e) < 0)
        return -1;
    find(l, &procs, of->home, of->user);
    return kill_all(&l->hard, e) < 0 ? -1 : end_rest(l, e);
}

/* All are gone but for who forked at the wrong moment. */
static void end_cgroup(void *ctx, const char *cgroup, int generation)
{
    (void)ctx;
    (void)generation;
    (void)sup_cgroup_end(cgroup, CGROUP_MS);
}

int sup_leftovers_end(const struct sup_leftovers *of, size_t *n, struct rel_err *e)
{
    struct left l = {.j = of->journal, .known = of->known};
    sup_autoprocs struct sup_procs procs = {0};
    int rc;

    if (sup_procs_read(&procs, e) < 0)
        return -1;
    find(&l, &procs, of->home, of->user);
    *n = sup_family_signal(&l.gentle, 0) + sup_family_signal(&l.hard, 0);
    for (size_t i = 0; !of->known && i < l.gentle.n; i++)
        sup_family_add(&l.asked, &l.gentle.v[i]);
    rc = end(&l, of, e);
    sup_cgroup_each(of->home, end_cgroup, NULL);
    sup_family_fini(&l.gentle);
    sup_family_fini(&l.hard);
    sup_family_fini(&l.asked);
    return rc;
}
