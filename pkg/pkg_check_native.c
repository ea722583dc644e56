/* SPDX-License-Identifier: Apache-2.0 */
/* Native code: programs and libraries that the VM of the release could not load, or the host of
 * the release could not. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/rel_io.h"
#include "pkg/pkg_check_internal.h"

enum { PROGRAM_MAX = 1 << 30 };

/* What the VM itself is and asks for. */
struct vm {
    bool known;
    uint16_t machine;
    unsigned bits;
    char glibc[32]; /* "" for none, or without ERTS, when the VM is the host's */
};

bool pkg_check_is_glibc(const char *vsn)
{
    size_t major = strspn(vsn, "0123456789"), minor;

    if (!major || vsn[major] != '.')
        return false;
    minor = strspn(vsn + major + 1, "0123456789");
    return minor && !vsn[major + 1 + minor];
}

/* OTP's own applications count as a part of the VM: they come from the same build. */
static bool is_of_vm(const struct pkg_checking *k, const char *path)
{
    const struct pkg_check_app *app = pkg_checking_app_of(k, path);

    return app ? !app->examined : !strncmp(path, "erts-", 5);
}

/* In erts-V/lib, from this machine: who bundles libraries has decided for its C library. */
static bool is_bundled(const char *path)
{
    const char *slash = strchr(path, '/');

    return slash && !strncmp(path, "erts-", 5) && !strncmp(slash, "/lib/", 5);
}

static void find_floor(const struct pkg_checking *k, struct vm *vm)
{
    const struct pkg_survey *s = k->c->survey;

    for (size_t i = 0; i < s->n; i++) {
        const char *glibc = s->v[i].elf ? s->v[i].elf->glibc : NULL;

        if (glibc && is_of_vm(k, s->v[i].path) && !is_bundled(s->v[i].path) &&
            (!*vm->glibc || pkg_vsn_compare(glibc, vm->glibc) > 0))
            snprintf(vm->glibc, sizeof(vm->glibc), "%s", glibc);
    }
}

/* The VM in the release; without ERTS the one that this is built with. */
static int find_vm(const struct pkg_checking *k, struct vm *vm, struct rel_err *e)
{
    rel_autofree char *path = rel_strf("%s/bin/beam.smp", k->c->otp->erts_dir), *data = NULL;
    rel_autofree char *packed = rel_strf("erts-%s/bin/beam.smp", k->c->otp->erts_vsn);
    const struct pkg_file *file = pkg_survey_find(k->c->survey, packed);
    struct pkg_elf elf = {0};
    size_t len;

    *vm = (struct vm){0};
    if (file && file->elf) {
        vm->known = true;
        vm->machine = file->elf->machine;
        vm->bits = file->elf->bits;
        find_floor(k, vm);
        return 0;
    }
    if (!rel_is_file(AT_FDCWD, path))
        return 0;
    if (rel_read_file(AT_FDCWD, path, PROGRAM_MAX, &data, &len, e) < 0 ||
        pkg_elf_parse(data, len, path, &elf, e) < 0)
        return -1;
    vm->known = true;
    vm->machine = elf.machine;
    vm->bits = elf.bits;
    pkg_elf_fini(&elf);
    return 0;
}

static void check_machine(struct pkg_checking *k, const struct vm *vm, const struct pkg_file *file)
{
    char theirs[16], ours[16];

    if (!vm->known || (file->elf->machine == vm->machine && file->elf->bits == vm->bits))
        return;
    pkg_checking_add(k, PKG_CHECK_MACHINE, file->path,
                     rel_strf("%s is for %s (%u bits), but the VM is for %s (%u bits); build it "
                              "for the same machine",
                              file->path, pkg_elf_machine_name(file->elf->machine, theirs),
                              file->elf->bits, pkg_elf_machine_name(vm->machine, ours), vm->bits));
}

static void check_glibc(struct pkg_checking *k, const struct vm *vm, const struct pkg_file *file)
{
    const char *target = k->c->target_glibc, *needs = file->elf->glibc;

    if (!needs || (!target && (!*vm->glibc || is_of_vm(k, file->path))))
        return;
    if (pkg_vsn_compare(needs, target ? target : vm->glibc) <= 0)
        return;
    pkg_checking_add(k, PKG_CHECK_GLIBC, file->path,
                     rel_strf("%s needs glibc %s, %s %s; build it on a system as old as the "
                              "oldest host",
                              file->path, needs,
                              target ? "newer than --target-glibc" : "but the VM only",
                              target ? target : vm->glibc));
}

int pkg_check_native(struct pkg_checking *k, struct rel_err *e)
{
    const struct pkg_survey *s = k->c->survey;
    struct vm vm;

    if (find_vm(k, &vm, e) < 0)
        return -1;
    for (size_t i = 0; i < s->n; i++) {
        if (!s->v[i].elf)
            continue;
        if (pkg_checking_wants(k, PKG_CHECK_MACHINE))
            check_machine(k, &vm, &s->v[i]);
        if (pkg_checking_wants(k, PKG_CHECK_GLIBC))
            check_glibc(k, &vm, &s->v[i]);
    }
    return 0;
}
