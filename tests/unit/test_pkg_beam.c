/* SPDX-License-Identifier: Apache-2.0 */
/* The modules of the fuzz corpus: plain.beam and packed.beam (gzip) are one module with -on_load, a
 * call of load_nif, a fun and literals; small.beam has none of these. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rel_io.h"
#include "pkg/pkg_beam.h"

static char *corpus(const char *name)
{
    const char *source = getenv("RELPACK_SOURCE");

    return rel_strf("%s/tests/fuzz/corpus/pkg_beam/%s", source ? source : ".", name);
}

static void read_beam(const char *name, struct pkg_beam *b)
{
    rel_autofree char *path = corpus(name);
    struct rel_err e = {0};

    if (pkg_beam_read(AT_FDCWD, path, b, &e) < 0)
        fail_msg("%s", e.msg);
}

static void assert_md5(const struct pkg_beam *b, const char *want)
{
    unsigned char md5[16];
    char hex[33];
    struct rel_err e = {0};

    assert_int_equal(pkg_beam_md5(b, md5, &e), 0);
    for (int i = 0; i < 16; i++)
        snprintf(hex + 2 * i, 3, "%02x", md5[i]);
    assert_string_equal(hex, want);
}

static bool exports(const struct pkg_beam *b, const char *f, uint32_t arity)
{
    for (size_t i = 0; i < b->export_n; i++)
        if (!strcmp(b->exports[i].f, f) && b->exports[i].arity == arity)
            return true;
    return false;
}

/* The digests are those of beam_lib:md5/1. */
static void test_reads_plain_and_packed(void **state)
{
    static const char *const names[] = {"plain.beam", "packed.beam"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        pkg_autobeam struct pkg_beam b = {0};

        read_beam(names[i], &b);
        assert_string_equal(b.module, "plain");
        assert_md5(&b, "d3ed5a04fdf4078f72eba4904e7acf5e");
        assert_true(b.nif && b.on_load);
        assert_true(exports(&b, "f", 1) && exports(&b, "module_info", 0));
        assert_false(exports(&b, "init", 0));
        assert_non_null(pkg_beam_chunk_get(&b, "Code"));
        assert_null(pkg_beam_chunk_get(&b, "None"));
    }
}

static void test_knows_what_loads_nothing_native(void **state)
{
    pkg_autobeam struct pkg_beam b = {0};

    (void)state;
    read_beam("small.beam", &b);
    assert_md5(&b, "af63921e6fe12a6e303ddb2ad06e7163");
    assert_false(b.nif || b.on_load);
}

static void test_attributes(void **state)
{
    pkg_autobeam struct pkg_beam b = {0};
    pkg_autoarena struct pkg_arena a = {0};
    const struct pkg_term *attributes;
    struct rel_err e = {0};

    (void)state;
    read_beam("plain.beam", &b);
    assert_int_equal(pkg_beam_attributes(&b, &a, &attributes, &e), 0);
    assert_true(pkg_is_atom(pkg_at(pkg_get(attributes, "author"), 0), "somebody"));
    assert_string_equal(pkg_chars(pkg_get(attributes, "vsn")), "1.0");
}

static void test_stripping_keeps_what_is_loaded(void **state)
{
    static const char *const gone[] = {"Dbgi", "Docs", "CInf"}, *const kept[] = {"Attr", "Line",
                                                                                 "Type"};
    pkg_autobeam struct pkg_beam b = {0}, stripped = {0};
    rel_autobuf struct rel_buf out = {0};
    struct rel_err e = {0};

    (void)state;
    read_beam("plain.beam", &b);
    assert_non_null(pkg_beam_chunk_get(&b, "Dbgi"));
    pkg_beam_strip(&b, NULL, &out);
    assert_true(out.len < b.len && !memcmp(out.p, "FOR1", 4));
    assert_int_equal(pkg_beam_parse(out.p, out.len, "stripped", &stripped, &e), 0);
    assert_md5(&stripped, "d3ed5a04fdf4078f72eba4904e7acf5e");
    for (int i = 0; i < 3; i++) {
        assert_null(pkg_beam_chunk_get(&stripped, gone[i]));
        assert_non_null(pkg_beam_chunk_get(&stripped, kept[i]));
    }
    assert_true(stripped.on_load && stripped.nif);
}

/* Whatever is cut off or changed, reading ends, with an error or without. */
static void test_damaged_files_are_refused_or_read(void **state)
{
    rel_autofree char *path = corpus("plain.beam"), *data = NULL;
    struct rel_err e = {0};
    size_t len;

    (void)state;
    assert_int_equal(rel_read_file(AT_FDCWD, path, PKG_BEAM_MAX, &data, &len, &e), 0);
    for (size_t n = 0; n < len - 4; n++) {
        rel_autofree char *part = rel_xmalloc(n + 1);
        pkg_autobeam struct pkg_beam b = {0};

        memcpy(part, data, n);
        rel_err_clear(&e);
        assert_int_equal(pkg_beam_parse(part, n, "cut", &b, &e), -1);
        assert_int_equal(e.code, REL_E_INPUT);
    }
    for (size_t n = 0; n < len; n++) {
        pkg_autobeam struct pkg_beam b = {0};

        data[n] ^= (char)0xff;
        rel_err_clear(&e);
        if (pkg_beam_parse(data, len, "changed", &b, &e) < 0)
            assert_int_equal(e.code, REL_E_INPUT);
        data[n] ^= (char)0xff;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_plain_and_packed),
        cmocka_unit_test(test_knows_what_loads_nothing_native),
        cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_stripping_keeps_what_is_loaded),
        cmocka_unit_test(test_damaged_files_are_refused_or_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
