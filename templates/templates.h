/* SPDX-License-Identifier: Apache-2.0 */
/* The files of this folder, linked into the program. Each is followed by a NUL that is not counted:
 * TEMPLATE_LEN(launcher) bytes from template_launcher on. */
#ifndef TEMPLATES_H
#define TEMPLATES_H

#include <stddef.h>

#define TEMPLATE(name) extern const char template_##name[], template_##name##_end[]

TEMPLATE(launcher);
TEMPLATE(erl);
TEMPLATE(env);
TEMPLATE(vm_args);
TEMPLATE(remote_vm_args);
TEMPLATE(mix_release);
TEMPLATE(make_relup);

#define TEMPLATE_LEN(name) ((size_t)(template_##name##_end - template_##name))

#endif
