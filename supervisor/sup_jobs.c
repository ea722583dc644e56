/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_jobs.h"

#include "hotload/hot_face.h"
#include "hotload/hot_node.h"
#include "swap/swap_listen.h"

enum { PROBE_MS = 2000 };

/* The face is an offer: a release is as ready without it. */
static void offer_face(struct hot_node *node)
{
    struct rel_err e = {0};
    const char *own;

    (void)!hot_face_ensure(node, PROBE_MS, &own, &e);
}

static int probe_node(const struct hot_contact *c, char **why, struct rel_err *e)
{
    hot_autonode struct hot_node *node = NULL;
    struct rel_err not_yet = {0};
    bool booted = false;

    if (hot_node_open(c, PROBE_MS, &node, &not_yet) < 0) {
        *why = rel_xstrdup(not_yet.msg);
        return 0;
    }
    if (hot_node_booted(node, PROBE_MS, &booted, e) < 0)
        return -1;
    if (!booted)
        *why = rel_strf("%s has not started its applications", c->node);
    else
        offer_face(node);
    return 0;
}

/* All of its applications are started, so what it lacks will not come; in another address form it
 * is another group for the kernel, and could take nothing over. */
static void tell_missing(const struct swap_listener *missing, const struct swap_listeners *have,
                         struct sup_readiness *r)
{
    const struct swap_listener *other = swap_listeners_other_form(missing, have);
    rel_autofree char *text = swap_listener_text(missing);
    rel_autofree char *other_text = other ? swap_listener_text(other) : NULL;

    if (other)
        r->why = rel_strf("it listens on %s where the old one listens on %s, and so cannot take "
                          "over its connections",
                          other_text, text);
    else
        r->why = rel_strf("it does not listen on %s", text);
    r->never = other != NULL;
}

static int probe_listeners(const struct hot_contact *c, pid_t old_pid, int old_port,
                           struct sup_readiness *r, struct rel_err *e)
{
    struct swap_listeners wanted = {0}, have = {0};
    struct rel_err gone = {0};
    const struct swap_listener *missing;

    if (swap_listeners_read(old_pid, old_port, &wanted, &gone) < 0)
        return 0; /* the old one died meanwhile: nobody to compare with */
    if (swap_listeners_read(c->pid, c->port, &have, e) < 0) {
        swap_listeners_fini(&wanted);
        return -1;
    }
    missing = swap_listeners_missing(&wanted, &have);
    if (missing)
        tell_missing(missing, &have, r);
    swap_listeners_fini(&wanted);
    swap_listeners_fini(&have);
    return 0;
}

int sup_job_probe(const struct hot_contact *c, pid_t old_pid, int old_port,
                  struct sup_readiness *readiness, struct rel_err *e)
{
    struct sup_readiness r = {0};

    if (probe_node(c, &r.why, e) < 0)
        return -1;
    if (!r.why && old_pid && probe_listeners(c, old_pid, old_port, &r, e) < 0)
        return -1;
    r.ready = !r.why;
    *readiness = r;
    return 0;
}
