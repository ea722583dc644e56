/* SPDX-License-Identifier: Apache-2.0 */
/* Which settings are in force. Those of a release count for that release: its boot, the upgrade to
 * it and the rollback to it. */
#include <string.h>

#include "supervisor/sup_engine.h"

/* What runs off the loop, and the probes of a peer, hold pointers into the settings that they began
 * with. */
static bool is_looked_at(const struct sup *s)
{
    return s->job_busy || s->probe_busy || s->trial.busy || s->trial.runs || s->steps;
}

static void free_replaced(struct sup *s)
{
    for (size_t i = 0; i < s->replaced_n; i++)
        sup_config_fini(&s->replaced[i]);
    free(rel_steal(&s->replaced));
    s->replaced_n = 0;
}

static void put_away(struct sup *s, const struct sup_config *c)
{
    if (!is_looked_at(s))
        free_replaced(s);
    s->replaced = rel_xrealloc(s->replaced, s->replaced_n + 1, sizeof(*s->replaced));
    s->replaced[s->replaced_n++] = *c;
}

static int read_for(const struct sup *s, const char *dir, struct sup_config *c, struct rel_err *e)
{
    rel_autofree char *own = rel_strf("%s/relsup.json", s->store.home);
    rel_autofree char *root = dir ? sup_store_path(s->store.home, dir) : NULL;
    rel_autofree char *shipped = root ? rel_strf("%s/relsup.json", root) : NULL;

    return sup_config_read(own, shipped, c, e);
}

int sup_settings_take(struct sup *s, const char *dir, struct rel_err *e)
{
    struct sup_config read;

    if (read_for(s, dir, &read, e) < 0)
        return -1;
    put_away(s, &s->config);
    s->config = read;
    return 0;
}

/* One that comes in must bring nothing wrong, although the home may have settings of its own. */
static int check_incoming(const struct sup *s, struct rel_err *e)
{
    rel_autofree char *root = sup_store_path(s->store.home, s->ask.dir);
    rel_autofree char *shipped = rel_strf("%s/relsup.json", root);

    return s->ask.release || s->ask.added ? sup_config_check_shipped(shipped, e) : 0;
}

int sup_settings_enter(struct sup *s, struct rel_err *e)
{
    struct sup_config read;

    if (check_incoming(s, e) < 0)
        return -1;
    if (read_for(s, s->ask.dir, &read, e) < 0)
        return -1;
    s->before = s->config;
    s->has_before = true;
    s->config = read;
    if (s->ask.soak_ms < 0)
        s->ask.soak_ms = s->config.soak_ms;
    if (s->ask.drain_ms < 0)
        s->ask.drain_ms = s->config.drain_ms;
    return 0;
}

const struct sup_config *sup_settings_active(struct sup *s, const char *dir)
{
    struct rel_err e = {0};

    if (s->state == SWAP_IDLE && sup_settings_take(s, dir, &e) < 0)
        sup_log(s, "the settings stay as they were: %s", e.msg);
    return s->has_before ? &s->before : &s->config;
}

void sup_settings_settle(struct sup *s, bool keep)
{
    if (!s->has_before)
        return;
    s->has_before = false;
    put_away(s, keep ? &s->before : &s->config);
    if (!keep)
        s->config = s->before;
}

void sup_settings_fini(struct sup *s)
{
    sup_settings_settle(s, true);
    free_replaced(s);
    sup_config_fini(&s->config);
}
