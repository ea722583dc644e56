/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "base/rel_io.h"
#include "supervisor/sup_known.h"

static void note(struct sup_known *k, const char *release, int generation, int port, int other)
{
    struct swap_listener v[] = {{.family = AF_INET, .port = (in_port_t)port, .address = "0.0.0.0"},
                                {.family = AF_INET, .port = (in_port_t)other, .address = "::1"}};
    struct swap_listeners l = {v, 2};

    v[1].family = AF_INET6;
    v[1].v6only = true;
    sup_known_note(k, release, generation, &l);
}

static void what_is_noted_is_found_again(void **state)
{
    char dir[] = "/tmp/test_sup_known.XXXXXX";
    sup_autoknown struct sup_known k = {0}, read = {0};
    struct rel_err e = {0};
    rel_autofree char *run = NULL;

    (void)state;
    assert_non_null(mkdtemp(dir));
    run = rel_strf("%s/run", dir);
    assert_int_equal(rel_mkdirs(AT_FDCWD, run, 0700, &e), 0);
    assert_int_equal(sup_known_read(dir, &read, &e), 0);
    assert_null(sup_known_of(&read, NULL));
    note(&k, "0.1.0", 1, 80, 40001);
    note(&k, "0.2.0", 2, 80, 40003);
    note(&k, "0.2.0", 2, 80, 40003); /* the same run, later */
    note(&k, "0.1.0", 3, 80, 40003);
    assert_int_equal(sup_known_write(dir, &k, &e), 0);
    assert_int_equal(sup_known_read(dir, &read, &e), 0);
    assert_int_equal(read.n, 2);
    assert_string_equal(sup_known_of(&read, NULL)->release, "0.1.0");
    assert_int_equal(sup_known_of(&read, "0.1.0")->generation, 3);
    assert_int_equal(sup_known_of(&read, "0.1.0")->l.v[0].same_n, 3);
    assert_int_equal(sup_known_of(&read, "0.1.0")->l.v[1].same_n, 2);
    assert_true(sup_known_of(&read, "0.1.0")->l.v[1].v6only);
    assert_int_equal(sup_known_of(&read, "0.2.0")->l.v[1].same_n, 1);
    assert_null(sup_known_of(&read, "0.3.0"));
    assert_int_equal(rel_remove_tree(AT_FDCWD, dir, &e), 0);
}

static void the_oldest_is_forgotten(void **state)
{
    sup_autoknown struct sup_known k = {0};

    (void)state;
    for (int i = 0; i < 40; i++) {
        rel_autofree char *release = rel_strf("0.%d.0", i);

        note(&k, release, i, 80, 81);
    }
    assert_int_equal(k.n, 16);
    assert_null(sup_known_of(&k, "0.23.0"));
    assert_non_null(sup_known_of(&k, "0.24.0"));
}

static void anything_else_is_an_error(void **state)
{
    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        "{\"v\":2,\"runs\":[]}",
        "{\"v\":1,\"runs\":{}}",
        "{\"v\":1,\"runs\":[1]}",
        "{\"v\":1,\"runs\":[{\"release\":\"x\",\"generation\":1,\"listens\":[{}]}]}",
        "{\"v\":1,\"runs\":[{\"release\":\"x\",\"generation\":1,\"listens\":[{\"address\":\"x\","
        "\"port\":1,\"v6only\":false,\"same\":1}]}]}",
        "{\"v\":1,\"runs\":[{\"release\":\"x\",\"generation\":1,\"listens\":[{\"address\":\"::\","
        "\"port\":70000,\"v6only\":false,\"same\":1}]}]}"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct sup_known k = {.n = 77};
        struct rel_err e = {0};

        assert_int_equal(sup_known_parse(bad[i], strlen(bad[i]), &k, &e), -1);
        assert_int_equal(e.code, REL_E_INPUT);
        assert_int_equal(k.n, 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_noted_is_found_again),
        cmocka_unit_test(the_oldest_is_forgotten),
        cmocka_unit_test(anything_else_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
