/* SPDX-License-Identifier: Apache-2.0 */
/* What changes from one release to another, and which ways of upgrading are open. Pure: compares
 * two surveys and outlines. Strings are owned by the struct. */
#ifndef PKG_DIFF_H
#define PKG_DIFF_H

#include "pkg/pkg_outline.h"

/* XX(constant, key in JSON, heading) */
#define PKG_DIFF_MAP(XX)                                       \
    XX(PKG_DIFF_RUNTIME, runtime, "runtime")                   \
    XX(PKG_DIFF_APPLICATION, applications, "applications")     \
    XX(PKG_DIFF_MODULE, modules, "modules")                    \
    XX(PKG_DIFF_LINES, lines_only, "lines or attributes only") \
    XX(PKG_DIFF_PROTOCOL, protocols, "consolidated protocols") \
    XX(PKG_DIFF_NATIVE, native, "native code")                 \
    XX(PKG_DIFF_CONFIG, configuration, "configuration")        \
    XX(PKG_DIFF_VM_ARGS, vm_args, "vm.args")                   \
    XX(PKG_DIFF_FILE, files, "other files")

enum pkg_diff_section {
#define XX(constant, key, heading) constant,
    PKG_DIFF_MAP(XX)
#undef XX
        PKG_DIFF_SECTIONS
};
const char *pkg_diff_key(enum pkg_diff_section section);
const char *pkg_diff_heading(enum pkg_diff_section section);

enum pkg_change { PKG_ADDED, PKG_REMOVED, PKG_CHANGED };
const char *pkg_change_name(enum pkg_change change); /* "added", ... */

struct pkg_diff_item {
    enum pkg_diff_section section;
    enum pkg_change change;
    char *name;
    char *detail; /* "1.0 -> 1.1", or NULL */
    char *group;  /* the application that a module or a file belongs to, or NULL */
};

struct pkg_diff {
    struct pkg_diff_item *v; /* by section, in it by name */
    size_t n;
    char **not_hot, **not_swap; /* why not; none: it is possible */
    size_t not_hot_n, not_swap_n;
    char **notes; /* what a person should know besides */
    size_t note_n;
};

/* Values of settings are compared as terms and never put into the result: they may be secrets. */
void pkg_diff_make(const struct pkg_survey *old_survey, const struct pkg_outline *old,
                   const struct pkg_survey *new_survey, const struct pkg_outline *new,
                   struct pkg_diff *d);
void pkg_diff_fini(struct pkg_diff *d);
#define pkg_autodiff __attribute__((cleanup(pkg_diff_fini)))

size_t pkg_diff_count(const struct pkg_diff *d, enum pkg_diff_section section);

#endif
