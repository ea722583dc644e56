/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_appup_file.h"

#include <string.h>

#include "base/rel_regex.h"

static bool is_list(const struct pkg_term *t)
{
    return t && t->kind == PKG_LIST && !t->seq.tail;
}

int pkg_appup_file_read(struct pkg_arena *a, const char *text, const char *name,
                        struct pkg_appup_file *file, struct rel_err *e)
{
    struct pkg_terms terms;
    const struct pkg_term *t;

    if (pkg_terms_parse_first(a, text, strlen(text), name, &terms, e) < 0)
        return -1;
    t = terms.n ? terms.v[0] : NULL;
    if (!pkg_is_tuple(t, 3) || !pkg_chars(pkg_at(t, 0)) || !is_list(pkg_at(t, 1)) ||
        !is_list(pkg_at(t, 2)))
        return rel_fail(e, REL_E_INPUT, 0,
                        "%s: must begin with {\"version\", [{\"old version\", ...}], [...]}", name);
    *file = (struct pkg_appup_file){
        .term = t, .vsn = pkg_chars(pkg_at(t, 0)), .up = pkg_at(t, 1), .down = pkg_at(t, 2)};
    return 0;
}

static bool matches(const char *regex, const char *vsn)
{
    struct rel_err none = {0};
    size_t at[2], len = strlen(vsn);
    int found = rel_regex_find(regex, vsn, len, at, &none);

    return found < 0 || (found && at[0] == 0 && at[1] == len);
}

static const struct pkg_term *key_of(const struct pkg_term *entry)
{
    return entry->kind == PKG_TUPLE && pkg_len(entry) > 1 ? pkg_at(entry, 0) : NULL;
}

const struct pkg_term *pkg_appup_entry(const struct pkg_term *entries, const char *vsn)
{
    for (size_t i = 0; i < pkg_len(entries); i++) {
        const struct pkg_term *entry = pkg_at(entries, i), *key = key_of(entry);
        const char *text = key ? pkg_chars(key) : NULL;

        if (text && (key->kind == PKG_BINARY ? matches(text, vsn) : !strcmp(text, vsn)))
            return entry;
    }
    return NULL;
}

static const struct pkg_term *put_first(struct pkg_arena *a, const struct pkg_term *entry,
                                        const struct pkg_term *rest)
{
    struct pkg_list_build list = {0};

    pkg_list_add(a, &list, entry);
    for (size_t i = 0; i < pkg_len(rest); i++) {
        const struct pkg_term *key = key_of(pkg_at(rest, i));

        if (!key || !pkg_equal(key, key_of(entry)))
            pkg_list_add(a, &list, pkg_at(rest, i));
    }
    return pkg_list_done(a, &list);
}

const struct pkg_term *pkg_appup_file_put(struct pkg_arena *a, const struct pkg_appup_file *file,
                                          const char *vsn, const struct pkg_term *up,
                                          const struct pkg_term *down)
{
    bool same = file->vsn && !strcmp(file->vsn, vsn);

    return pkg_tuple(a, 3, pkg_string(a, vsn), put_first(a, up, same ? file->up : NULL),
                     put_first(a, down, same ? file->down : NULL));
}
