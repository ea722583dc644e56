/* SPDX-License-Identifier: Apache-2.0 */
/* Where a rollback goes: to what served before, by the history, or to a release by name. */
#include <fcntl.h>
#include <string.h>

#include "base/rel_io.h"
#include "supervisor/sup_engine.h"
#include "supervisor/sup_history.h"
#include "supervisor/sup_past.h"
#include "supervisor/sup_version.h"

static bool is_there(const struct sup *s, const char *dir)
{
    rel_autofree char *path = sup_store_path(s->store.home, dir);

    return *dir != '.' && !strchr(dir, '/') && rel_is_dir(AT_FDCWD, path);
}

static void tell(const struct sup_ask *ask, const char *fmt, ...) REL_PRINTF(2, 3);
static void tell(const struct sup_ask *ask, const char *fmt, ...)
{
    rel_autofree char *text = NULL;
    va_list ap;

    if (!ask->conn)
        return;
    va_start(ap, fmt);
    text = rel_vstrf(fmt, ap);
    va_end(ap);
    sup_conn_log(ask->conn, text);
}

static int find_named(const struct sup *s, const struct sup_past *past, const char *version,
                      struct sup_ask *ask, struct rel_err *e)
{
    if (!*version || !is_there(s, version))
        return rel_fail(e, REL_E_INPUT, 0,
                        "there is no release %s in this home: 'relsup releases' shows them",
                        version);
    if (s->active && !strcmp(s->active->dir, version))
        return rel_fail(e, REL_E_INPUT, 0, "%s is what runs: use 'relsup restart'", version);
    ask->forward = !sup_past_has(past, version);
    ask->dir = rel_xstrdup(version);
    return 0;
}

static int find_earlier(const struct sup *s, const struct sup_past *past, struct sup_ask *ask,
                        struct rel_err *e)
{
    for (size_t i = past->n ? past->n - 1 : 0; i-- > 0;) {
        if (is_there(s, past->v[i])) {
            ask->dir = rel_xstrdup(past->v[i]);
            return 0;
        }
        tell(ask, "%s served before, and is not in this home any more", past->v[i]);
    }
    return rel_fail(e, REL_E_INPUT, 0,
                    "no release of this home served before %s: name the version to go to",
                    past->n ? past->v[past->n - 1] : "this one");
}

struct highest {
    char *dir; /* NULL: none served yet */
};

static void take_higher(void *ctx, json_t *entry)
{
    const char *outcome = json_string_value(json_object_get(entry, "outcome"));
    const char *to = json_string_value(json_object_get(entry, "to"));
    struct highest *h = ctx;

    if (!outcome || !to || strcmp(outcome, "done") != 0 ||
        (h->dir && sup_version_order(to, h->dir) <= 0))
        return;
    free(h->dir);
    h->dir = rel_xstrdup(to);
}

int sup_check_older(const struct sup *s, struct rel_err *e)
{
    struct highest h = {0};
    int rc = 0;

    if (!s->config.key || s->ask.allow_older || !s->ask.release)
        return 0;
    rc = sup_history_each(s->store.home, take_higher, &h, e);
    if (rc == 0 && h.dir && sup_version_order(s->ask.dir, h.dir) < 0)
        rc = rel_fail(e, REL_E_OLDER, 0,
                      "%s is older than %s, which served here: 'relsup rollback' goes back, "
                      "--allow-older takes it in",
                      s->ask.dir, h.dir);
    free(h.dir);
    return rc;
}

/* What the VM was changed from in place, it can be changed back to. */
static bool is_in_chain(const struct sup_peer *p, const char *dir)
{
    for (size_t i = 0; p && i < p->chain_n; i++)
        if (!strcmp(p->chain[i], dir))
            return true;
    return false;
}

/* It was good when it came in; nobody else than the operator can say what counts more now. */
static void tell_expired(const struct sup *s, const struct sup_ask *ask)
{
    rel_autofree char *root = sup_store_path(s->store.home, ask->dir);
    sup_autorelease struct sup_release *r = NULL;
    struct rel_err unmarked = {0};

    if (sup_release_read(root, &r, &unmarked) == 0 && sup_release_is_expired(r))
        tell(ask, "%s expired at %s", ask->dir, r->expires);
}

int sup_find_rollback(struct sup *s, const char *version, struct sup_ask *ask, struct rel_err *e)
{
    rel_autofree char *current = NULL;
    struct sup_past past;
    struct rel_err none = {0};
    int rc = sup_past_read(s->store.home, &past, e);

    if (s->active)
        sup_past_serves(&past, s->active->dir);
    else if (sup_store_current(s->store.home, &current, &none) == 0)
        sup_past_serves(&past, current);
    if (rc == 0)
        rc = version ? find_named(s, &past, version, ask, e) : find_earlier(s, &past, ask, e);
    if (rc == 0) {
        /* a history that was lost does not make an earlier release a later one */
        ask->down =
            !ask->forward || (past.n && sup_version_order(ask->dir, past.v[past.n - 1]) < 0);
        ask->in_chain = is_in_chain(s->active, ask->dir);
        tell(ask, "%s %s -> %s",
             s->active ? s->active->release->name : "rollback:", past.n ? past.v[past.n - 1] : "-",
             ask->dir);
        tell_expired(s, ask);
    }
    sup_past_fini(&past);
    return rc;
}
