/* SPDX-License-Identifier: Apache-2.0 */
/* On which ports the application of this home listens, listened, and is to listen; and whether
 * somebody else does. */
#include <ctype.h>
#include <string.h>

#include "base/rel_clock.h"
#include "supervisor/sup_engine.h"
#include "supervisor/sup_known.h"

enum {
    NOTE_MS = 2000,       /* what listens after it has served for so long is remembered ... */
    NOTE_AGAIN_MS = 60000 /* ... and what came later */
};

extern char **environ;

static void read_known(struct sup *s, struct sup_known *k)
{
    struct rel_err e = {0};

    if (sup_known_read(s->store.home, k, &e) < 0)
        sup_log(s, "what listened in earlier runs is not known: %s", e.msg);
}

/* Of who serves its own last run, for what was the same in another one; else of the release that is
 * to boot, else of any. The caller releases it. */
static struct swap_expect expected(struct sup *s, const char *dir, const struct sup_config *config,
                                   bool *remembers)
{
    sup_autoknown struct sup_known k = {0};
    const struct sup_known_run *run;
    struct swap_expect x = {.ports_set = config->ports_set,
                            .port_n = config->port_n,
                            .ports = config->ports,
                            .range = swap_port_range_read()};

    read_known(s, &k);
    run = sup_known_of(&k, s->active ? s->active->dir : dir);
    *remembers = !s->active && run;
    if (!run)
        run = sup_known_of(&k, NULL);
    if (run)
        x.known = run->l;
    return swap_expect_copy(&x);
}

void sup_ports_begin(struct sup *s)
{
    const struct sup_peer *p = s->active;
    sup_autoknown struct sup_known k = {0};
    const struct sup_known_run *run = NULL;
    struct swap_listeners now = {0};
    struct rel_err gone = {0};

    swap_listeners_fini(&s->ports.before);
    if (p && swap_listeners_read(p->contact.pid, p->contact.port, &now, &gone) == 0 && now.n) {
        s->ports.before = now;
        return;
    }
    swap_listeners_fini(&now);
    read_known(s, &k);
    if (s->served && s->ask.from)
        run = sup_known_of(&k, s->ask.from);
    if (run)
        s->ports.before = swap_listeners_copy(&run->l);
}

void sup_ports_expect(struct sup *s, const char *dir, const struct sup_config *config)
{
    swap_expect_fini(&s->ports.expect);
    s->ports.expect = expected(s, dir, config, &s->ports.remembers);
    s->ports.settling = (struct hot_settling){0};
}

static void own_pids(const struct sup *s, pid_t own[SUP_OWN_MAX])
{
    const struct sup_peer *peers[SUP_OWN_MAX] = {s->active, s->candidate, s->old, s->revival.peer};

    for (size_t i = 0; i < SUP_OWN_MAX; i++)
        own[i] = peers[i] && !peers[i]->gone ? peers[i]->contact.pid : 0;
}

static int check_one(const struct sup *s, const struct swap_listener *l, struct rel_err *e)
{
    struct swap_stranger stranger = {0};
    pid_t own[SUP_OWN_MAX];
    bool found = false;

    own_pids(s, own);
    if (swap_stranger_find(l, own, SUP_OWN_MAX, &found, &stranger, e) < 0)
        return -1;
    if (found) {
        rel_autofree char *text = swap_stranger_text(&stranger);

        rel_fail(e, REL_E_INPUT, 0, "%s: end that one, or give one of them another port", text);
    }
    swap_stranger_fini(&stranger);
    return found ? -1 : 0;
}

static int check_ports(const struct sup *s, const struct swap_expect *x, struct rel_err *e)
{
    for (size_t i = 0; i < x->port_n; i++) {
        struct swap_listener l = {.port = (in_port_t)x->ports[i]};

        if (check_one(s, &l, e) < 0)
            return -1;
    }
    return 0;
}

/* What may have been the kernel's choice may be anybody's by now. */
static int check_listeners(const struct sup *s, const struct swap_expect *x,
                           const struct swap_listeners *l, struct rel_err *e)
{
    for (size_t i = 0; i < l->n; i++)
        if (swap_expect_is_chosen(x, &l->v[i]) && check_one(s, &l->v[i], e) < 0)
            return -1;
    return 0;
}

/* It may have died just now: nothing to look at. */
static int check_active(const struct sup *s, const struct swap_expect *x, struct rel_err *e)
{
    struct swap_listeners now = {0};
    struct rel_err gone = {0};
    int rc;

    if (swap_listeners_read(s->active->contact.pid, s->active->contact.port, &now, &gone) < 0)
        return 0;
    swap_listeners_ask_v6only(&now);
    rc = check_listeners(s, x, &now, e);
    swap_listeners_fini(&now);
    return rc;
}

int sup_ports_check(struct sup *s, const char *dir, const struct sup_config *config,
                    struct rel_err *e)
{
    bool remembers;
    struct swap_expect x = expected(s, dir, config, &remembers);
    int rc = x.ports_set ? check_ports(s, &x, e)
             : s->active ? check_active(s, &x, e)
                         : check_listeners(s, &x, &x.known, e);

    swap_expect_fini(&x);
    return rc;
}

static char *who_listens_on(const struct sup *s, long port)
{
    struct swap_listener l = {.port = (in_port_t)port};
    struct swap_stranger stranger = {0};
    struct rel_err ignored = {0};
    pid_t own[SUP_OWN_MAX];
    bool found = false;
    char *text;

    own_pids(s, own);
    if (port < 1 || port > UINT16_MAX ||
        swap_stranger_find(&l, own, SUP_OWN_MAX, &found, &stranger, &ignored) < 0)
        return NULL;
    text = found ? swap_stranger_text(&stranger) : NULL;
    swap_stranger_fini(&stranger);
    return text;
}

/* "PORT=8080", "{port,8080}", "PORTS=8080,8081", "on port 8080" */
static char *suspect_in(const struct sup *s, const char *text)
{
    while ((text = strcasestr(text, "port"))) {
        char *who = NULL;

        text += 4;
        text += *text == 's' || *text == 'S';
        for (int i = 0; i < 4 && *text && !isalnum((unsigned char)*text); i++)
            text++;
        while (!who && isdigit((unsigned char)*text)) {
            char *end;

            who = who_listens_on(s, strtol(text, &end, 10));
            text = end + (*end == ',');
        }
        if (who)
            return who;
    }
    return NULL;
}

char *sup_ports_suspect(const struct sup *s, const char *log)
{
    char *who = suspect_in(s, log);

    for (char **p = s->config.env; p && *p && !who; p++)
        who = suspect_in(s, *p);
    for (char **p = environ; *p && !who; p++)
        who = suspect_in(s, *p);
    return who;
}

void sup_ports_look(const struct sup *s, const struct sup_peer *peer, struct sup_look *look)
{
    *look = (struct sup_look){.contact = hot_contact_copy(&peer->contact),
                              .expect = swap_expect_copy(&s->ports.expect),
                              .guarded = s->steer.traffic,
                              .remembers = s->ports.remembers && !s->active};
    if (peer == s->candidate)
        look->before = swap_listeners_copy(&s->ports.before);
    if (s->active) {
        look->old_pid = s->active->contact.pid;
        look->old_port = s->active->contact.port;
    }
    own_pids(s, look->own);
}

bool sup_ports_settled(struct sup *s, const struct sup_readiness *r)
{
    if (!r->settled) {
        s->ports.settling = (struct hot_settling){0};
        return false;
    }
    return hot_settled(&s->ports.settling, r->sign, r->listens, rel_mono_ms());
}

bool sup_ports_serve_anyway(struct sup *s, const char *dir)
{
    if (s->active || s->stopping || !s->ports.remembers || !s->ports.settling.top_ms)
        return false;
    sup_log(s, "%s SERVES WITHOUT ALL OF ITS PORTS: %s", dir, s->why ? s->why : "");
    return true;
}

static void note(struct sup *s)
{
    const struct sup_peer *p = s->active;
    sup_autoknown struct sup_known k = {0};
    struct swap_listeners l = {0};
    struct rel_err e = {0};

    if (swap_listeners_read(p->contact.pid, p->contact.port, &l, &e) < 0)
        return;
    swap_listeners_ask_v6only(&l);
    read_known(s, &k);
    sup_known_note(&k, p->dir, p->contact.generation, &l);
    swap_listeners_fini(&l);
    rel_err_clear(&e);
    if (sup_known_write(s->store.home, &k, &e) < 0)
        sup_log(s, "%s", e.msg);
}

void sup_ports_tick(struct sup *s, int64_t now)
{
    if (s->state != SWAP_IDLE || !s->active || s->stopping)
        return;
    if (s->ports.generation != s->active->contact.generation) {
        s->ports.generation = s->active->contact.generation;
        s->ports.note_ms = now + NOTE_MS;
        s->ports.again = true;
    }
    if (now < s->ports.note_ms)
        return;
    note(s);
    s->ports.note_ms = s->ports.again ? now + NOTE_AGAIN_MS - NOTE_MS : INT64_MAX;
    s->ports.again = false;
}

void sup_ports_fini(struct sup *s)
{
    swap_expect_fini(&s->ports.expect);
    swap_listeners_fini(&s->ports.before);
}
