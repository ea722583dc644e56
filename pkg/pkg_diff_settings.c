/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "pkg/pkg_diff_internal.h"
#include "pkg/pkg_settings.h"

static bool same_value(const struct pkg_term *old, const struct pkg_term *new)
{
    return old && new ? pkg_equal(old, new) : old == new;
}

static void diff_setting(struct pkg_sides *s, const struct pkg_setting *old,
                         const struct pkg_setting *new)
{
    const struct pkg_setting *any = new ? new : old;
    rel_autofree char *name = NULL;

    if (!any || (old && new &&same_value(old->value, new->value)))
        return;
    name = rel_strf("%s: %s", any->app, any->key);
    pkg_diff_add(s->d, PKG_DIFF_CONFIG, pkg_diff_change(old, new), name);
    if (!strcmp(any->app, "kernel") || !strcmp(any->app, "stdlib"))
        pkg_diff_note(s->d,
                      rel_strf("%s is read at boot only, a hot upgrade does not change it", name));
}

/* A template, say: all that can be told is that it is another one. */
static void diff_whole(struct pkg_sides *s, const char *why)
{
    const struct pkg_file *old = s->old->sys_config, *new = s->new->sys_config;

    if (old && new && !memcmp(old->sha256, new->sha256, sizeof(old->sha256)))
        return;
    pkg_diff_add(s->d, PKG_DIFF_CONFIG, pkg_diff_change(old, new), "sys.config");
    pkg_diff_note(s->d, rel_strf("sys.config is not compared by its keys: %s", why));
}

static void diff_config(struct pkg_sides *s, const struct pkg_settings *old,
                        const struct pkg_settings *new)
{
    size_t i = 0, j = 0;

    if (old->unreadable || new->unreadable) {
        diff_whole(s, new->unreadable ? new->unreadable : old->unreadable);
        return;
    }
    while (i < old->n || j < new->n) {
        int c = i == old->n ? 1 : j == new->n ? -1 : strcmp(old->v[i].app, new->v[j].app);

        if (c == 0)
            c = strcmp(old->v[i].key, new->v[j].key);
        diff_setting(s, c <= 0 ? &old->v[i] : NULL, c >= 0 ? &new->v[j] : NULL);
        i += c <= 0;
        j += c >= 0;
    }
}

static void diff_flag(struct pkg_sides *s, const struct pkg_flag *old, const struct pkg_flag *new)
{
    const struct pkg_flag *any = new ? new : old;
    struct pkg_diff_item *item;

    if (!any || (old && new && !strcmp(old->args, new->args)))
        return;
    item = pkg_diff_add(s->d, PKG_DIFF_VM_ARGS, pkg_diff_change(old, new), any->name);
    if (pkg_flag_is_public(any->name) && old && new)
        item->detail = rel_strf("%s -> %s", old->args, new->args);
    else if (pkg_flag_is_public(any->name) && *any->args)
        item->detail = rel_xstrdup(any->args);
}

static size_t count_of(const struct pkg_flag *v, size_t n, const char *name)
{
    size_t count = 0;

    while (count < n && !strcmp(v[count].name, name))
        count++;
    return count;
}

/* All of one name: "-kernel a 1" and "-kernel b 2" are two settings, told apart by what they say;
 * one on each side is a change. */
static void diff_flags_named(struct pkg_sides *s, const struct pkg_flag *old, size_t old_n,
                             const struct pkg_flag *new, size_t new_n)
{
    size_t i = 0, j = 0;

    if (old_n == 1 && new_n == 1) {
        diff_flag(s, old, new);
        return;
    }
    while (i < old_n || j < new_n) {
        int c = i == old_n ? 1 : j == new_n ? -1 : strcmp(old[i].args, new[j].args);

        diff_flag(s, c <= 0 ? &old[i] : NULL, c >= 0 ? &new[j] : NULL);
        i += c <= 0;
        j += c >= 0;
    }
}

static void diff_flags(struct pkg_sides *s, const struct pkg_settings *old,
                       const struct pkg_settings *new)
{
    size_t i = 0, j = 0, before = s->d->n;

    while (i < old->flag_n || j < new->flag_n) {
        int c = i == old->flag_n   ? 1
                : j == new->flag_n ? -1
                                   : strcmp(old->flags[i].name, new->flags[j].name);
        size_t old_n = c <= 0 ? count_of(old->flags + i, old->flag_n - i, old->flags[i].name) : 0;
        size_t new_n = c >= 0 ? count_of(new->flags + j, new->flag_n - j, new->flags[j].name) : 0;

        diff_flags_named(s, old->flags + i, old_n, new->flags + j, new_n);
        i += old_n;
        j += new_n;
    }
    if (s->d->n != before)
        pkg_diff_note(
            s->d, rel_xstrdup("vm.args is read at boot only, a hot upgrade does not change it"));
}

void pkg_diff_settings(struct pkg_sides *s)
{
    pkg_autosettings struct pkg_settings old = {0}, new = {0};

    pkg_settings_read(s->old->sys_config, s->old->vm_args, &old);
    pkg_settings_read(s->new->sys_config, s->new->vm_args, &new);
    diff_config(s, &old, &new);
    diff_flags(s, &old, &new);
}
