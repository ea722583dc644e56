/* SPDX-License-Identifier: Apache-2.0 */
/* The settings of a release by their names: sys.config by application and key, vm.args by flag. For
 * those who show or compare them; a value may be a secret and is not for showing. */
#ifndef PKG_SETTINGS_H
#define PKG_SETTINGS_H

#include "pkg/pkg_survey.h"

struct pkg_setting {
    const char *app, *key;
    const struct pkg_term *value; /* or NULL: the key stands alone */
};

struct pkg_flag {
    const char *name; /* "+P", "-kernel" */
    const char *args; /* "5000", joined by blanks; "" for none */
};

struct pkg_settings {
    struct pkg_arena arena;
    struct pkg_setting *v; /* sorted by application and key */
    size_t n;
    struct pkg_flag *flags; /* sorted by name, then arguments */
    size_t flag_n;
    const char *unreadable; /* why sys.config could not be read, e.g. it is a template; or NULL */
};

/* Either file may be NULL. */
void pkg_settings_read(const struct pkg_file *sys_config, const struct pkg_file *vm_args,
                       struct pkg_settings *s);
void pkg_settings_fini(struct pkg_settings *s);
#define pkg_autosettings __attribute__((cleanup(pkg_settings_fini)))

/* May the arguments of the flag be shown? Those of the emulator ("+P") and a few of its own. */
bool pkg_flag_is_public(const char *name);

#endif
