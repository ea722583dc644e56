/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/rel_clock.h"
#include "base/rel_io.h"
#include "base/rel_out.h"

static int make_dir(void **state)
{
    char *dir = rel_xstrdup("/tmp/relpack-test-XXXXXX");

    assert_non_null(mkdtemp(dir));
    *state = dir;
    return 0;
}

static int remove_dir(void **state)
{
    struct rel_err e = {0};

    assert_int_equal(rel_remove_tree(AT_FDCWD, *state, &e), 0);
    free(*state);
    return 0;
}

static int count_entries(const char *dir)
{
    rel_autoclosedir DIR *d = opendir(dir);
    int n = 0;

    while (readdir(d))
        n++;
    return n - 2;
}

static void an_error_keeps_its_cause(void **state)
{
    struct rel_err e = {0};
    char longer[600];

    (void)state;
    assert_int_equal(rel_fail(&e, REL_E_IO, ENOSPC, "write %s", "a.tar.gz"), -1);
    assert_int_equal(e.code, REL_E_DISK_FULL);
    assert_string_equal(e.msg, "write a.tar.gz: No space left on device");
    assert_int_equal(rel_wrap(&e, "packing %s", "shop"), -1);
    assert_string_equal(e.msg, "packing shop: write a.tar.gz: No space left on device");
    memset(longer, 'x', sizeof(longer));
    longer[sizeof(longer) - 1] = '\0';
    rel_wrap(&e, "%s", longer);
    assert_string_equal(e.msg, "packing shop: write a.tar.gz: No space left on device");
}

static void every_code_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int c = 0; c < REL_E_COUNT; c++)
        assert_int_equal(rel_code_from_name(rel_code_name((enum rel_code)c)), c);
    assert_int_equal(rel_code_from_name("nonsense"), REL_E_INTERNAL);
    assert_int_equal(rel_code_outcome(REL_E_INPUT), 2);
    assert_int_equal(rel_code_outcome(REL_E_ROLLED_BACK), 3);
}

static void a_file_is_replaced_whole_or_not_at_all(void **state)
{
    rel_autofree char *path = rel_strf("%s/file", (char *)*state), *data = NULL;
    rel_autotmp struct rel_tmp t = REL_TMP_INIT;
    struct rel_err e = {0};
    struct stat st;
    size_t len;

    assert_int_equal(rel_replace_file(AT_FDCWD, path, "one", 3, 0600, &e), 0);
    assert_int_equal(rel_tmp_open(&t, AT_FDCWD, path, 0644, &e), 0);
    assert_int_equal(rel_write_all(t.fd, "two", 3, &e), 0);
    assert_int_equal(count_entries(*state), 2);
    rel_tmp_abandon(&t);
    assert_int_equal(count_entries(*state), 1);
    assert_int_equal(rel_read_file(AT_FDCWD, path, 100, &data, &len, &e), 0);
    assert_string_equal(data, "one");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void a_file_too_large_is_refused(void **state)
{
    rel_autofree char *path = rel_strf("%s/file", (char *)*state);
    struct rel_err e = {0};
    char *data;
    size_t len;

    assert_int_equal(rel_replace_file(AT_FDCWD, path, "12345", 5, 0600, &e), 0);
    assert_int_equal(rel_read_file(AT_FDCWD, path, 4, &data, &len, &e), -1);
    assert_int_equal(e.code, REL_E_INPUT);
}

static void a_full_disk_is_an_error_of_the_write(void **state)
{
    rel_autoclose int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    struct rel_err e = {0};

    (void)state;
    assert_int_equal(rel_write_all(fd, "x", 1, &e), -1);
    assert_int_equal(e.code, REL_E_DISK_FULL);
}

static void a_link_is_replaced_over_the_leftovers_of_a_crash(void **state)
{
    rel_autofree char *path = rel_strf("%s/current", (char *)*state);
    rel_autofree char *stale = rel_strf("%s/.current.next", (char *)*state);
    struct rel_err e = {0};
    char target[64] = "";

    assert_int_equal(symlink("garbage", stale), 0);
    assert_int_equal(rel_replace_link(AT_FDCWD, path, "releases/1", &e), 0);
    assert_int_equal(rel_replace_link(AT_FDCWD, path, "releases/2", &e), 0);
    assert_true(readlink(path, target, sizeof(target) - 1) > 0);
    assert_string_equal(target, "releases/2");
    assert_int_equal(count_entries(*state), 1);
}

static void a_tree_is_removed_without_following_links(void **state)
{
    rel_autofree char *deep = rel_strf("%s/tree/a/b/c", (char *)*state);
    rel_autofree char *tree = rel_strf("%s/tree", (char *)*state);
    rel_autofree char *keep = rel_strf("%s/keep", (char *)*state);
    rel_autofree char *link = rel_strf("%s/tree/a/link", (char *)*state);
    struct rel_err e = {0};

    assert_int_equal(rel_mkdirs(AT_FDCWD, deep, 0755, &e), 0);
    assert_int_equal(rel_replace_file(AT_FDCWD, keep, "x", 1, 0644, &e), 0);
    assert_int_equal(symlink(*state, link), 0);
    assert_int_equal(chmod(deep, 0), 0);
    assert_int_equal(rel_remove_tree(AT_FDCWD, tree, &e), 0);
    assert_false(rel_is_dir(AT_FDCWD, tree));
    assert_true(rel_is_file(AT_FDCWD, keep));
    assert_int_equal(rel_remove_tree(AT_FDCWD, tree, &e), 0);
}

static void a_time_is_written_as_iso_8601(void **state)
{
    char text[REL_TIME_LEN];

    (void)state;
    rel_time_format(1795211723123, text);
    assert_string_equal(text, "2026-11-20T21:55:23.123Z");
    assert_int_equal(rel_left_ms(rel_mono_ms() - 5), 0);
}

static char *render(enum rel_face face, void (*talk)(struct rel_out *out))
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    struct rel_out out;

    rel_out_init(&out, f, f, face == REL_FACE_JSON, false);
    out.face = face;
    talk(&out);
    fclose(f);
    return text;
}

static void tell_a_story(struct rel_out *out)
{
    struct rel_err e = {0}, failure = {0};
    json_t *result = json_pack("{s:i}", "answer", 42);

    rel_out_step_line(out, "boot", "generation 2", true, 12);
    rel_out_warn(out, "odd \xff byte");
    assert_int_equal(rel_out_result(out, result, "42\n", &e), 0);
    json_decref(result);
    rel_fail(&failure, REL_E_INPUT, 0, "no project");
    rel_out_error(out, "relpack", &failure);
}

static void the_three_faces_tell_the_same_story(void **state)
{
    rel_autofree char *plain = render(REL_FACE_PLAIN, tell_a_story);
    rel_autofree char *json = render(REL_FACE_JSON, tell_a_story);

    (void)state;
    assert_string_equal(plain, "  ok  boot         generation 2  12 ms\n"
                               "warning: odd \\xff byte\n"
                               "42\n"
                               "relpack: no project\n");
    assert_string_equal(
        json,
        "{\"detail\":\"generation 2\",\"state\":\"done\",\"step\":\"boot\",\"took_ms\":12,"
        "\"type\":\"progress\"}\n"
        "{\"level\":\"warning\",\"message\":\"odd \\\\xff byte\",\"type\":\"log\"}\n"
        "{\"answer\":42}\n"
        "{\"code\":\"bad_input\",\"exit\":2,\"message\":\"no project\",\"type\":\"error\"}\n");
}

/* What a hostile file name could try: another line, a cursor movement, C1 controls, writing from
 * right to left, broken and overlong UTF-8. What a person writes stays. */
static void nothing_that_is_shown_moves_the_cursor(void **state)
{
    static const struct {
        const char *raw, *shown;
    } cases[] = {
        {"plain", "plain"},
        {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"a\nrelpack: done", "a\\nrelpack: done"},
        {"\033[2J\r", "\\x1b[2J\\x0d"},
        {"\xc2\x9b"
         "2J",
         "\\xc2\\x9b"
         "2J"},
        {"\xe2\x80\xae", "\\xe2\\x80\\xae"},
        {"\xc0\xaf", "\\xc0\\xaf"},
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},
        {"cut \xe2\x82", "cut \\xe2\\x82"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        rel_autofree char *shown = rel_escape(cases[i].raw);

        assert_string_equal(shown, cases[i].shown);
    }
}

static void a_log_line_keeps_its_colours_only(void **state)
{
    static const char raw[] =
        "\033[1;31mred\033[0m\t\033[2J\033]0;t\a\033[3\r a\0b \xc3\xa9 \xff\033[";
    rel_autofree char *shown = rel_escape_log(raw, sizeof(raw) - 1);

    (void)state;
    assert_string_equal(shown, "\033[1;31mred\033[0m\t\\x1b[2J\\x1b]0;t\\x07\\x1b[3\\x0d a\\x00b "
                               "\xc3\xa9 \\xff\\x1b[");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_keeps_its_cause),
        cmocka_unit_test(a_log_line_keeps_its_colours_only),
        cmocka_unit_test(every_code_has_a_name_of_its_own),
        cmocka_unit_test_setup_teardown(a_file_is_replaced_whole_or_not_at_all, make_dir,
                                        remove_dir),
        cmocka_unit_test_setup_teardown(a_file_too_large_is_refused, make_dir, remove_dir),
        cmocka_unit_test(a_full_disk_is_an_error_of_the_write),
        cmocka_unit_test_setup_teardown(a_link_is_replaced_over_the_leftovers_of_a_crash, make_dir,
                                        remove_dir),
        cmocka_unit_test_setup_teardown(a_tree_is_removed_without_following_links, make_dir,
                                        remove_dir),
        cmocka_unit_test(a_time_is_written_as_iso_8601),
        cmocka_unit_test(the_three_faces_tell_the_same_story),
        cmocka_unit_test(nothing_that_is_shown_moves_the_cursor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
