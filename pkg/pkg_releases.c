/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_releases.h"

const struct pkg_term *pkg_releases_term(struct pkg_arena *a, const struct pkg_rel_head *head)
{
    struct pkg_list_build libs = {0};

    for (size_t i = 0; i < pkg_len(head->rows); i++) {
        const struct pkg_term *row = pkg_at(head->rows, i), *name = pkg_at(row, 0);
        const struct pkg_term *vsn = pkg_at(row, 1);
        rel_autofree char *dir = rel_strf("lib/%s-%s", pkg_atom_text(name), pkg_chars(vsn));

        pkg_list_add(a, &libs, pkg_tuple(a, 3, name, vsn, pkg_string(a, dir)));
    }
    return pkg_list(a, 1,
                    pkg_tuple(a, 6, pkg_atom(a, "release"), pkg_string(a, head->name),
                              pkg_string(a, head->vsn), pkg_string(a, head->erts_vsn),
                              pkg_list_done(a, &libs), pkg_atom(a, "permanent")));
}

char *pkg_releases_rel_path(const char *name, const char *vsn)
{
    return rel_strf("releases/%s-%s.rel", name, vsn);
}

static void add_term(struct pkg_entries *es, const char *path, const struct pkg_term *t)
{
    rel_autobuf struct rel_buf text = {0};
    size_t len;

    pkg_term_format_file(t, &text);
    len = text.len;
    pkg_entries_add_bytes(es, path, rel_buf_take(&text), len, 0644);
}

int pkg_releases_add(const struct pkg_rel *rel, struct pkg_entries *es, struct rel_err *e)
{
    pkg_autoarena struct pkg_arena a = {0};
    rel_autofree char *rel_path = pkg_releases_rel_path(rel->name, rel->vsn);
    const struct pkg_term *t = pkg_rel_term(rel, &a);
    long sasl = pkg_rel_index(rel, "sasl");
    struct pkg_rel_head head;

    if (sasl < 0 || rel->apps[sasl].type >= PKG_START_LOAD)
        return 0;
    if (pkg_rel_read_head(t, rel_path, &head, e) < 0)
        return -1;
    add_term(es, rel_path, t);
    add_term(es, PKG_RELEASES_PATH, pkg_releases_term(&a, &head));
    return 0;
}
