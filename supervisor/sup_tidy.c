/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/sup_tidy.h"

#include <fcntl.h>
#include <fnmatch.h>

#include "base/rel_io.h"

void sup_tidy(const char *home)
{
    /* base/rel_io.c names what it replaces a file and a link by */
    static const char *const left[][2] = {
        {"", ".*.next"},
        {"", ".*.tmp"},
        {"/releases", ".*.tmp"},
        {"/log", ".*.tmp"},
        {"/secret", ".*.tmp"},
        {"/run", ".*.tmp"},
        {"/run", "peer-*"},
        {"/run", "steps-*"},
        {"/run", "fetched"},
        {"/secret", "peer-*"},
        {"/secret", "cookie"},
        {"/secret", "erlang"}, /* this and the one before: all peers of earlier versions had them */
    };

    for (size_t i = 0; i < sizeof(left) / sizeof(*left); i++) {
        rel_autofree char *dir = rel_strf("%s%s", home, left[i][0]);
        rel_autoclosedir DIR *d = opendir(dir);

        for (struct dirent *f = d ? readdir(d) : NULL; f; f = readdir(d)) {
            struct rel_err ignored = {0};

            if (fnmatch(left[i][1], f->d_name, 0) == 0)
                (void)!rel_remove_tree(dirfd(d), f->d_name, &ignored);
        }
    }
}
