/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/rel_io.h"
#include "pkg/pkg_elf.h"

static char *read_self(size_t *len)
{
    struct rel_err e = {0};
    char *data;

    assert_int_equal(rel_read_file(AT_FDCWD, "/proc/self/exe", 1 << 28, &data, len, &e), 0);
    return data;
}

static bool needs(const struct pkg_elf *elf, const char *library)
{
    for (size_t i = 0; i < elf->needed_n; i++)
        if (!strncmp(elf->needed[i], library, strlen(library)))
            return true;
    return false;
}

static void this_program(void **state)
{
    rel_autofree char *data = NULL;
    struct pkg_elf elf = {0};
    struct rel_err e = {0};
    char buf[16];
    size_t len;

    (void)state;
    data = read_self(&len);
    assert_true(pkg_elf_is(data, len));
    assert_int_equal(pkg_elf_parse(data, len, "self", &elf, &e), 0);
    assert_int_equal(elf.bits, sizeof(void *) * 8);
    assert_false(elf.shared);
    assert_non_null(elf.interp);
    assert_true(needs(&elf, "libc.so"));
    assert_true(needs(&elf, "libcmocka.so"));
    assert_non_null(elf.glibc);
    assert_int_equal(strncmp(elf.glibc, "2.", 2), 0);
    assert_true(*pkg_elf_machine_name(elf.machine, buf));
    assert_string_equal(pkg_elf_machine_name(0xfff0, buf), "machine 65520");
    pkg_elf_fini(&elf);
}

static void a_library(void **state)
{
    static const char *const places[] = {"/lib/x86_64-linux-gnu/libz.so.1",
                                         "/lib/aarch64-linux-gnu/libz.so.1", "/usr/lib/libz.so.1"};
    struct pkg_elf elf = {0};
    struct rel_err e = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
        rel_autofree char *data = NULL;
        size_t len;

        if (rel_read_file(AT_FDCWD, places[i], 1 << 24, &data, &len, &e) < 0) {
            rel_err_clear(&e);
            continue;
        }
        assert_int_equal(pkg_elf_parse(data, len, "libz", &elf, &e), 0);
        assert_true(elf.shared);
        assert_null(elf.interp);
        assert_string_equal(elf.soname, "libz.so.1");
        pkg_elf_fini(&elf);
        return;
    }
    skip();
}

/* The first asks for GLIBC_2.9, GLIBC_2.12 and GLIBC_PRIVATE, the second for GLIBC_ABI_DT_RELR too.
 */
static void small_ones(void **state)
{
    static const struct {
        const char *name, *glibc, *soname, *runpath;
        uint16_t machine;
        unsigned bits;
    } files[] = {
        {"versions", "2.12", NULL, NULL, EM_X86_64, 64},
        {"packed-relocations", "2.36", NULL, NULL, EM_X86_64, 64},
        {"big-endian", "2.12", NULL, NULL, EM_S390, 64},
        {"no-sections", "2.12", NULL, NULL, EM_X86_64, 64},
        {"no-sections-big-endian", "2.12", NULL, NULL, EM_S390, 64},
        {"32-bits", "2.9", "libuse.so.1", "$ORIGIN/own", EM_386, 32},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
        rel_autofree char *path = rel_strf("%s/tests/fuzz/corpus/pkg_elf/%s",
                                           getenv("RELPACK_SOURCE"), files[i].name),
                          *data = NULL;
        struct pkg_elf elf = {0};
        struct rel_err e = {0};
        size_t len;

        assert_int_equal(rel_read_file(AT_FDCWD, path, 1 << 20, &data, &len, &e), 0);
        assert_int_equal(pkg_elf_parse(data, len, files[i].name, &elf, &e), 0);
        assert_int_equal(elf.machine, files[i].machine);
        assert_int_equal(elf.bits, files[i].bits);
        assert_int_equal(elf.big_endian, files[i].machine == EM_S390);
        assert_true(elf.shared);
        assert_int_equal(elf.needed_n, 1);
        assert_string_equal(elf.needed[0], "libc.so.6");
        assert_string_equal(elf.glibc, files[i].glibc);
        if (files[i].soname) {
            assert_string_equal(elf.soname, files[i].soname);
            assert_string_equal(elf.runpath, files[i].runpath);
        }
        pkg_elf_fini(&elf);
    }
}

/* Nothing that is not whole crashes or is believed. */
static void cut_and_changed(void **state)
{
    rel_autofree char *data = NULL;
    struct rel_err e = {0};
    uint32_t x = 7;
    size_t len;

    (void)state;
    data = read_self(&len);
    assert_int_equal(pkg_elf_parse("\177ELF", 4, "short", &(struct pkg_elf){0}, &e), -1);
    assert_int_equal(e.code, REL_E_INPUT);
    for (size_t n = 4; n < len; n += n < 200 ? 1 : len / 50) {
        rel_autofree char *cut = rel_xmalloc(n); /* of its own size, so that ASan sees an overrun */
        struct pkg_elf elf = {0};

        memcpy(cut, data, n);
        rel_err_clear(&e);
        if (pkg_elf_parse(cut, n, "cut", &elf, &e) == 0)
            pkg_elf_fini(&elf);
    }
    for (int i = 0; i < 2000; i++) {
        struct pkg_elf elf = {0};
        size_t at;
        char old;

        x = x * 1664525 + 1013904223;
        at = (x >> 8) % (i % 2 ? 4096 : len);
        old = data[at];
        data[at] = (char)x;
        rel_err_clear(&e);
        if (pkg_elf_parse(data, len, "changed", &elf, &e) == 0)
            pkg_elf_fini(&elf);
        data[at] = old;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(this_program),
        cmocka_unit_test(a_library),
        cmocka_unit_test(small_ones),
        cmocka_unit_test(cut_and_changed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
