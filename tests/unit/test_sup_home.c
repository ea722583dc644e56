/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/rel_io.h"
#include "hotload/hot_contact.h"
#include "supervisor/sup_home.h"

/* Two homes, each with a listening control socket, and a folder of their own for the links. */
struct fixture {
    char dir[64];
    char *home[2];
    int fd[2];
};

static int listen_in(const char *home)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(a.sun_path, sizeof(a.sun_path), "%s/run/control.sock", home);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(fd, 4), 0);
    return fd;
}

static void put_contact(const char *home, char *name)
{
    struct hot_contact c = {
        .node = name, .cookie_file = name, .root = name, .name = name, .version = name};
    rel_autofree char *path = rel_strf("%s/run/active.json", home);
    struct rel_err e = {0};

    assert_int_equal(hot_contact_write(path, &c, &e), 0);
}

static int set_up(void **state)
{
    struct fixture *f = rel_xcalloc(1, sizeof(*f));
    struct rel_err e = {0};

    strcpy(f->dir, "/tmp/test_sup_home.XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    setenv("XDG_RUNTIME_DIR", f->dir, 1);
    unsetenv("RELSUP_HOME");
    for (int i = 0; i < 2; i++) {
        rel_autofree char *run = rel_strf("%s/home%d/run", f->dir, i);

        f->home[i] = rel_strf("%s/home%d", f->dir, i);
        assert_int_equal(rel_mkdirs(AT_FDCWD, run, 0700, &e), 0);
        f->fd[i] = listen_in(f->home[i]);
    }
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    struct rel_err e = {0};
    int result = rel_remove_tree(AT_FDCWD, f->dir, &e);

    for (int i = 0; i < 2; i++) {
        sup_home_withdraw(f->home[i]);
        close(f->fd[i]);
        free(f->home[i]);
    }
    free(f);
    return result;
}

/* Supervisors that the user of this test runs in earnest are announced elsewhere too; those tests
 * narrow by name. */
static void is_found_by_name(const char *app, const char *home)
{
    rel_autofree char *found = NULL;
    struct rel_err e = {0};

    assert_int_equal(sup_home_find(NULL, app, &found, &e), 0);
    assert_string_equal(found, home);
}

static void is_not_found(const char *app, enum rel_code code, const char *message)
{
    char *found = NULL;
    struct rel_err e = {0};

    assert_int_equal(sup_home_find(NULL, app, &found, &e), -1);
    assert_int_equal(e.code, code);
    assert_non_null(strstr(e.msg, message));
}

static void an_announced_home_is_found_until_it_is_withdrawn(void **state)
{
    struct fixture *f = *state;
    struct rel_err e = {0};

    put_contact(f->home[0], (char[]){"test_sup_home_a"});
    is_not_found("test_sup_home_a", REL_E_NOT_RUNNING, "no supervisor of this user runs");
    assert_int_equal(sup_home_announce(f->home[0], &e), 0);
    is_found_by_name("test_sup_home_a", f->home[0]);
    assert_int_equal(sup_home_announce(f->home[0], &e), 0);
    is_found_by_name("test_sup_home_a", f->home[0]);
    sup_home_withdraw(f->home[0]);
    is_not_found("test_sup_home_a", REL_E_NOT_RUNNING, "relsup run");
}

static void several_are_named(void **state)
{
    struct fixture *f = *state;
    struct rel_err e = {0};

    for (int i = 0; i < 2; i++) {
        put_contact(f->home[i], (char[]){"test_sup_home_b"});
        assert_int_equal(sup_home_announce(f->home[i], &e), 0);
    }
    is_not_found("test_sup_home_b", REL_E_USAGE, f->home[0]);
    is_not_found("test_sup_home_b", REL_E_USAGE, f->home[1]);
    put_contact(f->home[1], (char[]){"test_sup_home_c"});
    is_found_by_name("test_sup_home_b", f->home[0]);
    is_found_by_name("test_sup_home_c", f->home[1]);
}

static void the_link_of_a_dead_one_is_removed(void **state)
{
    struct fixture *f = *state;
    rel_autofree char *folder = rel_strf("%s/relsup", f->dir);
    struct rel_err e = {0};

    put_contact(f->home[0], (char[]){"test_sup_home_d"});
    assert_int_equal(sup_home_announce(f->home[0], &e), 0);
    close(f->fd[0]);
    f->fd[0] = -1;
    is_not_found("test_sup_home_d", REL_E_NOT_RUNNING, "test_sup_home_d");
    assert_int_equal(rmdir(folder), 0); /* it is empty */
}

static void a_strangers_folder_is_not_used(void **state)
{
    struct fixture *f = *state;
    rel_autofree char *folder = rel_strf("%s/relsup", f->dir);
    rel_autofree char *other = rel_strf("%s/other", f->dir);
    struct rel_err e = {0};

    put_contact(f->home[0], (char[]){"test_sup_home_e"});
    assert_int_equal(sup_home_announce(f->home[0], &e), 0);
    assert_int_equal(chmod(folder, 0770), 0);
    is_not_found("test_sup_home_e", REL_E_NOT_RUNNING, "");
    assert_int_equal(chmod(folder, 0700), 0);
    is_found_by_name("test_sup_home_e", f->home[0]);
    sup_home_withdraw(f->home[0]);
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(mkdir(other, 0700), 0);
    assert_int_equal(symlink(other, folder), 0);
    assert_int_equal(sup_home_announce(f->home[0], &e), 0); /* goes elsewhere */
    assert_int_equal(rmdir(other), 0);
}

static void what_is_given_comes_first(void **state)
{
    struct fixture *f = *state;
    char *found = NULL;
    struct rel_err e = {0};

    assert_int_equal(sup_home_find(f->home[1], NULL, &found, &e), 0);
    assert_string_equal(found, f->home[1]);
    free(found);
    setenv("RELSUP_HOME", f->home[0], 1);
    assert_int_equal(sup_home_find(NULL, NULL, &found, &e), 0);
    assert_string_equal(found, f->home[0]);
    free(found);
    assert_int_equal(sup_home_find("/no/such/home", NULL, &found, &e), -1);
    assert_int_equal(e.code, REL_E_NOT_RUNNING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_announced_home_is_found_until_it_is_withdrawn, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(several_are_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_link_of_a_dead_one_is_removed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_strangers_folder_is_not_used, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_given_comes_first, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
