/* SPDX-License-Identifier: Apache-2.0 */
/* What a home has does not boot, and nobody serves: what served before it does so again. `current`
 * follows once that one serves, as with any other release; the history tells why. */
#include <fcntl.h>
#include <string.h>

#include "base/rel_io.h"
#include "supervisor/sup_engine.h"

/* It failed, and what came on top of it is not to be tried after it. */
static void leave(struct sup_past *past, const char *dir)
{
    size_t i = 0;

    while (i < past->n && strcmp(past->v[i], dir) != 0)
        i++;
    if (i < past->n)
        while (past->n > i)
            free(past->v[--past->n]);
}

static bool is_there(const struct sup *s, const char *dir)
{
    rel_autofree char *root = sup_store_path(s->store.home, dir);

    return rel_is_dir(AT_FDCWD, root);
}

bool sup_fall_back(struct sup *s, const char *failed, const struct rel_err *why,
                   struct sup_ask *ask)
{
    struct sup_past *past = &s->fallback.past;
    struct rel_err e = {0};
    const char *dir;

    if (!s->fallback.began && sup_past_read(s->store.home, past, &e) < 0)
        sup_log(s, "%s", e.msg);
    s->fallback.began = true;
    if (!s->fallback.wanted) {
        s->fallback.why = *why;
        s->fallback.wanted = failed ? rel_xstrdup(failed) : NULL;
    }
    if (failed)
        leave(past, failed);
    while (past->n && !is_there(s, past->v[past->n - 1]))
        free(past->v[--past->n]);
    if (!past->n)
        return false;
    dir = past->v[past->n - 1];
    sup_log(s, "%s DOES NOT BOOT: %s; %s, which served before, is booted instead",
            failed ? failed : "current", why->msg, dir);
    *ask = (struct sup_ask){.what = "boot",
                            .dir = rel_xstrdup(dir),
                            .from = s->fallback.wanted ? rel_xstrdup(s->fallback.wanted) : NULL,
                            .drain_ms = -1,
                            .step_ms = -1,
                            .hold_ms = -1};
    ask->instead =
        rel_strf("%s does not boot (%s), %s runs instead",
                 s->fallback.wanted ? s->fallback.wanted : "current", s->fallback.why.msg, dir);
    return true;
}

void sup_fallback_fini(struct sup *s)
{
    sup_past_fini(&s->fallback.past);
    free(s->fallback.wanted);
    free(s->instead);
}
