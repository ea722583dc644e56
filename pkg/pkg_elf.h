/* SPDX-License-Identifier: Apache-2.0 */
/* ELF files: what a program or a shared library needs from the host. Read by libelf from memory;
 * any input is safe. No state, any thread. */
#ifndef PKG_ELF_H
#define PKG_ELF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rel_err.h"

struct pkg_elf {
    uint16_t machine; /* EM_X86_64, ... (elf.h) */
    unsigned bits;    /* 32 or 64 */
    bool big_endian;
    bool shared;   /* ET_DYN without an interpreter: a library */
    char *interp;  /* "/lib64/ld-linux-x86-64.so.2", or NULL */
    char *soname;  /* or NULL */
    char *runpath; /* DT_RUNPATH, else DT_RPATH; or NULL */
    char **needed; /* DT_NEEDED, in the file's order */
    size_t needed_n;
    char *glibc; /* the highest GLIBC_x.y it asks for, "2.36", or NULL */
};

/* Does it begin as one? */
bool pkg_elf_is(const void *data, size_t len);

/* REL_E_INPUT when it is no whole ELF file; `name` is for the message. The data is only lent. */
REL_MUST_USE int pkg_elf_parse(const void *data, size_t len, const char *name, struct pkg_elf *elf,
                               struct rel_err *e);
void pkg_elf_fini(struct pkg_elf *elf);

/* "x86_64", "aarch64", ...; "machine 243" for one without a name here. In a static buffer of the
 * caller's, of at least 16 bytes. */
const char *pkg_elf_machine_name(uint16_t machine, char buf[16]);

#endif
