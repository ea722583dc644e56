/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_jobs.h"

#include "hotload/hot_face.h"
#include "hotload/hot_node.h"
#include "hotload/hot_ready.h"
#include "swap/swap_traffic.h"

enum { PROBE_MS = 2000, ACCEPT_MS = 1000 };

void sup_look_fini(struct sup_look *look)
{
    hot_contact_fini(&look->contact);
    swap_expect_fini(&look->expect);
    swap_listeners_fini(&look->before);
}

/* The face is an offer: a release is as ready without it. */
static void offer_face(struct hot_node *node)
{
    struct rel_err e = {0};
    const char *own;

    (void)!hot_face_ensure(node, PROBE_MS, &own, &e);
}

static int look_at_node(const struct hot_contact *c, struct sup_readiness *r, struct rel_err *e)
{
    hot_autonode struct hot_node *node = NULL;
    struct rel_err not_yet = {0};
    bool booted = false;

    if (hot_node_open(c, PROBE_MS, &node, &not_yet) < 0) {
        r->why = rel_xstrdup(not_yet.msg);
        return 0;
    }
    if (hot_node_booted(node, PROBE_MS, &booted, e) < 0)
        return -1;
    if (!booted)
        r->why = rel_strf("%s has not started its applications", c->node);
    else if (hot_node_ready(node, PROBE_MS, &r->sign, &r->why, e) < 0)
        return -1;
    if (r->why)
        return 0;
    offer_face(node);
    return 0;
}

/* In another address form it is another group for the kernel, and could take nothing over. All of
 * its applications are started, so the right one will not come. */
static void tell_missing(const struct sup_look *look, const struct swap_listener *missing,
                         const struct swap_listeners *have, struct sup_readiness *r)
{
    const struct swap_listener *other =
        look->old_pid && missing->family ? swap_listeners_other_form(missing, have) : NULL;
    rel_autofree char *text = swap_listener_text(missing);
    rel_autofree char *other_text = other ? swap_listener_text(other) : NULL;

    if (other)
        r->why = rel_strf("it listens on %s where the old one listens on %s, and so cannot take "
                          "over its connections",
                          other_text, text);
    else
        r->why =
            rel_strf("it does not listen on %s%s", text,
                     look->expect.ports_set ? ", as the settings say"
                     : look->remembers      ? ", as it did in its last run"
                                       : " (if it is not to: name its \"ports\" in relsup.json)");
    r->never = other != NULL;
}

/* Where this release listened when it ran last, but for what the kernel may have chosen. */
static struct swap_listeners remembered(const struct swap_expect *x)
{
    struct swap_listeners l = swap_listeners_copy(&x->known);
    size_t n = 0;

    for (size_t i = 0; i < l.n; i++)
        if (swap_expect_is_chosen(x, &l.v[i]))
            l.v[n++] = l.v[i];
    l.n = n;
    return l;
}

/* Where the one that serves does. It may have died meanwhile, and that it did makes nobody ready
 * who would not have been. */
static struct swap_listeners wanted_of(const struct sup_look *look)
{
    struct swap_listeners l = {0};
    struct rel_err gone = {0};

    if (look->old_pid && swap_listeners_read(look->old_pid, look->old_port, &l, &gone) == 0 && l.n)
        return l;
    return look->remembers ? remembered(&look->expect) : swap_listeners_copy(&look->before);
}

/* Both have the option that lets them share a port, or the second one could not have bound it: from
 * then on it takes connections of the first one. */
static int look_for_strangers(const struct sup_look *look, const struct swap_listeners *have,
                              struct sup_readiness *r, struct rel_err *e)
{
    for (size_t i = 0; i < have->n && !r->stranger; i++) {
        struct swap_stranger s = {0};

        if (swap_stranger_find(&have->v[i], look->own, SUP_OWN_MAX, &r->stranger, &s, e) < 0)
            return -1;
        if (r->stranger) {
            rel_autofree char *text = swap_stranger_text(&s);

            r->never = true;
            free(r->why);
            r->why = rel_strf("%s: end that one, or give one of them another port", text);
        }
        swap_stranger_fini(&s);
    }
    return 0;
}

static void look_at_accepting(const struct sup_look *look, const struct swap_listeners *have,
                              struct sup_readiness *r)
{
    struct swap_process who = {.pid = look->contact.pid, .except_port = look->contact.port};

    for (size_t i = 0; i < have->n && !r->why; i++) {
        struct rel_err e = {0};

        if (swap_listener_accepts(&have->v[i], &who, ACCEPT_MS, &e) < 0)
            r->why = rel_xstrdup(e.msg);
    }
}

static size_t count_without(const struct swap_listeners *l, const struct swap_listeners *without)
{
    size_t n = 0;

    for (size_t i = 0; i < l->n; i++)
        n += !swap_listeners_find(without, &l->v[i]);
    return n;
}

/* It was told another port since its last run: for each that it lacks there is one that it had not.
 */
static bool has_moved(const struct sup_look *look, const struct swap_listeners *wanted,
                      const struct swap_listeners *have)
{
    return look->remembers && !look->expect.ports_set &&
           count_without(have, &look->expect.known) >= count_without(wanted, have);
}

static void look_at_listeners(const struct sup_look *look, const struct swap_listeners *have,
                              struct sup_readiness *r)
{
    struct swap_listeners wanted = {0};
    struct swap_listener missing;
    bool lacks;

    if (!look->old_pid && !look->guarded)
        look_at_accepting(look, have, r);
    if (r->why)
        return;
    wanted = wanted_of(look);
    lacks = swap_expect_missing(&look->expect, &wanted, have, &missing) &&
            !has_moved(look, &wanted, have);
    if (lacks)
        tell_missing(look, &missing, have, r);
    swap_listeners_fini(&wanted);
    r->settled = !lacks || (look->remembers && !look->expect.ports_set);
}

/* Where we may not see the sockets of another user's process, what the node says must do. */
static int read_listeners(const struct sup_look *look, struct swap_listeners *have, bool *blind,
                          struct rel_err *e)
{
    int rc = swap_listeners_read(look->contact.pid, look->contact.port, have, e);

    *blind = rc < 0 && e->code == REL_E_UNSUPPORTED;
    if (*blind) {
        rel_err_clear(e);
        return 0;
    }
    if (!rc)
        swap_listeners_ask_v6only(have);
    return rc;
}

int sup_job_look(const struct sup_look *look, struct sup_readiness *readiness, struct rel_err *e)
{
    struct swap_listeners have = {0};
    struct sup_readiness r = {0};
    bool blind = false;
    int rc = read_listeners(look, &have, &blind, e);

    if (!rc) /* ahead of the node, which may be slow to answer */
        rc = look_for_strangers(look, &have, &r, e);
    if (!rc && !r.never)
        rc = look_at_node(&look->contact, &r, e);
    if (!rc && !r.why && !blind)
        look_at_listeners(look, &have, &r);
    r.listens = have.n > 0;
    swap_listeners_fini(&have);
    if (rc < 0) {
        free(r.why);
        return -1;
    }
    if (blind)
        r.settled = !r.why;
    r.ready = !r.why;
    *readiness = r;
    return 0;
}
