/* SPDX-License-Identifier: Apache-2.0 */
/* Where a rollback goes: to what served before, by the history, or to a release by name. */
#include <fcntl.h>
#include <string.h>

#include "base/rel_io.h"
#include "supervisor/sup_engine.h"
#include "supervisor/sup_past.h"

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

/* What the VM was changed from in place, it can be changed back to. */
static bool is_in_chain(const struct sup_peer *p, const char *dir)
{
    for (size_t i = 0; p && i < p->chain_n; i++)
        if (!strcmp(p->chain[i], dir))
            return true;
    return false;
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
        ask->down = !ask->forward;
        ask->in_chain = is_in_chain(s->active, ask->dir);
        tell(ask, "%s %s -> %s",
             s->active ? s->active->release->name : "rollback:", past.n ? past.v[past.n - 1] : "-",
             ask->dir);
    }
    sup_past_fini(&past);
    return rc;
}
