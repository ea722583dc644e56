/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/rel_io.h"
#include "pkg/pkg_archive.h"

struct place {
    char dir[64];
    char *tar, *out;
};

static int make_place(void **state)
{
    struct place *p = rel_xcalloc(1, sizeof(*p));

    strcpy(p->dir, "/tmp/test_pkg_archive.XXXXXX");
    if (!mkdtemp(p->dir))
        return -1;
    p->tar = rel_strf("%s/a.tar", p->dir);
    p->out = rel_strf("%s/out", p->dir);
    *state = p;
    return 0;
}

static int remove_place(void **state)
{
    struct place *p = *state;
    struct rel_err e = {0};
    int status = rel_remove_tree(AT_FDCWD, p->dir, &e);

    free(p->tar);
    free(p->out);
    free(p);
    return status;
}

/* One ustar entry by hand, so that it can be as evil as can be: tar(5). */
struct evil {
    const char *name, *link;
    char type;
    unsigned mode;
};

static void add_evil(struct rel_buf *tar, const struct evil *evil)
{
    const char *data = evil->type == '0' ? "hello" : "";
    char h[512] = {0}, body[512] = {0};
    unsigned sum = 0;

    snprintf(h, 100, "%s", evil->name);
    snprintf(h + 100, 8, "%07o", evil->mode);
    snprintf(h + 108, 8, "%07o", 1000u);
    snprintf(h + 116, 8, "%07o", 1000u);
    snprintf(h + 124, 12, "%011o", (unsigned)strlen(data));
    snprintf(h + 136, 12, "%011o", 0u);
    memset(h + 148, ' ', 8);
    h[156] = evil->type;
    if (evil->link)
        snprintf(h + 157, 100, "%s", evil->link);
    memcpy(h + 257, "ustar\00000", 8); /* NOLINT(bugprone-not-null-terminated-result) */
    for (int i = 0; i < 512; i++)
        sum += (unsigned char)h[i];
    snprintf(h + 148, 8, "%06o", sum);
    rel_buf_add(tar, h, 512);
    memcpy(body, data, strlen(data)); /* NOLINT(bugprone-not-null-terminated-result) */
    if (*data)
        rel_buf_add(tar, body, 512);
}

static int unpack_evil(struct place *p, const struct evil *evil, size_t n, bool end,
                       struct rel_err *e)
{
    rel_autobuf struct rel_buf tar = {0};
    char zero[1024] = {0};

    for (size_t i = 0; i < n; i++)
        add_evil(&tar, &evil[i]);
    if (end)
        rel_buf_add(&tar, zero, sizeof(zero));
    assert_int_equal(rel_replace_file(AT_FDCWD, p->tar, tar.p, tar.len, 0644, e), 0);
    return pkg_archive_unpack(p->tar, p->out, NULL, NULL, e);
}

static void evil_entries_are_refused(void **state)
{
    static const struct {
        struct evil v[2];
        const char *says;
    } bad[] = {
        {{{"/tmp/x", NULL, '0', 0644}}, "absolute name"},
        {{{"a/../../x", NULL, '0', 0644}}, "'..'"},
        {{{"a", "/etc", '2', 0777}}, "absolute path"},
        {{{"a", "../x", '2', 0777}}, "leaves the archive"},
        {{{"d/e/a", "../../../x", '2', 0777}}, "leaves the archive"},
        {{{"a", "b/../../x", '2', 0777}}, "leaves the archive"},
        {{{"d/e/a", "../b/../x", '2', 0777}}, "leaves the archive"},
        {{{"a", "../x", '1', 0644}}, "leaves the archive"},
        {{{"a", "/etc/passwd", '1', 0644}}, "leaves the archive"},
        {{{"a", "b", '1', 0644}}, "no file of the archive"},
        {{{"a", NULL, '3', 0644}}, "device"},
        {{{"a", NULL, '6', 0644}}, "no file, folder or link"},
        {{{"a", NULL, '0', 04755}}, "setuid"},
        {{{"a", NULL, '0', 02755}}, "setgid"},
        {{{"a", NULL, '0', 0644}, {"./a", NULL, '0', 0644}}, "twice"},
        {{{"a", ".", '2', 0777}, {"a/x", NULL, '0', 0644}}, "a/x"},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct place *p = *state;
        struct rel_err e = {0};

        assert_int_equal(unpack_evil(p, bad[i].v, bad[i].v[1].name ? 2 : 1, true, &e), -1);
        if (e.code != REL_E_INPUT || !strstr(e.msg, bad[i].says))
            fail_msg("%zu: '%s' (%s) does not say '%s'", i, e.msg, rel_code_name(e.code),
                     bad[i].says);
        assert_int_not_equal(access(p->out, F_OK), 0);
    }
}

static void good_entries_are_taken(void **state)
{
    static const struct evil good[] = {
        {"./", NULL, '5', 0700},       {"./d/", NULL, '5', 0555},
        {"./d/a", NULL, '0', 0755},    {"./d/", NULL, '5', 0755},
        {"./d/b", "a", '2', 0777},     {"./e/f/c", "../../d/a", '2', 0777},
        {"./d/h", "./d/a", '1', 0755},
    };
    struct place *p = *state;
    rel_autofree char *c = rel_strf("%s/e/f/c", p->out), *h = rel_strf("%s/d/h", p->out);
    rel_autofree char *text = NULL;
    struct rel_err e = {0};
    struct stat st;
    size_t len;

    if (unpack_evil(p, good, sizeof(good) / sizeof(*good), true, &e) < 0)
        fail_msg("%s", e.msg);
    assert_int_equal(rel_read_file(AT_FDCWD, c, 10, &text, &len, &e), 0);
    assert_string_equal(text, "hello");
    assert_int_equal(stat(h, &st), 0);
    assert_int_equal(st.st_nlink, 2);
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_int_equal(st.st_uid, getuid());
}

static void what_is_cut_off_is_refused(void **state)
{
    static const struct evil one[] = {{"a", NULL, '0', 0644}};
    struct place *p = *state;
    struct rel_err e = {0};

    assert_int_equal(unpack_evil(p, one, 1, false, &e), -1);
    assert_non_null(strstr(e.msg, "truncated"));
    rel_err_clear(&e);
    assert_int_equal(unpack_evil(p, one, 0, true, &e), -1);
    assert_non_null(strstr(e.msg, "empty"));
    rel_err_clear(&e);
    assert_int_equal(rel_replace_file(AT_FDCWD, p->tar, "no tar at all", 13, 0644, &e), 0);
    assert_int_equal(pkg_archive_unpack(p->tar, p->out, NULL, NULL, &e), -1);
    assert_int_equal(e.code, REL_E_INPUT);
    assert_int_not_equal(access(p->out, F_OK), 0);
}

static void limits_hold(void **state)
{
    static const struct evil two[] = {{"a", NULL, '0', 0644}, {"b", NULL, '0', 0644}};
    static const struct pkg_unpack_limits bytes = {.bytes = 9, .files = 9};
    static const struct pkg_unpack_limits files = {.bytes = 99, .files = 1};
    struct place *p = *state;
    struct rel_err e = {0};

    assert_int_equal(unpack_evil(p, two, 2, true, &e), 0);
    assert_int_equal(rel_remove_tree(AT_FDCWD, p->out, &e), 0);
    assert_int_equal(pkg_archive_unpack(p->tar, p->out, &bytes, NULL, &e), -1);
    assert_non_null(strstr(e.msg, "more than 9 bytes"));
    rel_err_clear(&e);
    assert_int_equal(pkg_archive_unpack(p->tar, p->out, &files, NULL, &e), -1);
    assert_non_null(strstr(e.msg, "more than 1 files"));
    assert_int_not_equal(access(p->out, F_OK), 0);
}

static void fill(struct pkg_entries *es, bool backwards)
{
    static const char *const names[] = {"bin/a", "lib/x-1/ebin/x.app", "lib/x/y", "z"};

    for (int i = 0; i < 4; i++) {
        const char *name = names[backwards ? 3 - i : i];

        pkg_entries_add_bytes(es, name, rel_xstrdup(name), strlen(name),
                              *name == 'b' ? 0755 : 0644);
    }
    pkg_entries_add_link(es, "l", "z");
    pkg_entries_add_dir(es, "empty");
    pkg_entries_add_bytes(es, "z", rel_xstrdup("later"), 5, 0644);
    pkg_entries_sort(es);
}

static void the_same_entries_give_the_same_bytes(void **state)
{
    struct place *p = *state;
    pkg_autoentries struct pkg_entries es = {0}, again = {0};
    rel_autofree char *second = rel_strf("%s/b.tar", p->dir), *z = rel_strf("%s/z", p->out);
    rel_autofree char *one = NULL, *two = NULL, *text = NULL;
    struct rel_err e = {0};
    size_t one_n, two_n, len;

    fill(&es, false);
    fill(&again, true);
    for (int format = PKG_FORMAT_GZ; format <= PKG_FORMAT_ZST; format++) {
        assert_int_equal(pkg_archive_write_entries(&es, p->tar, (enum pkg_format)format, NULL, &e),
                         0);
        assert_int_equal(
            pkg_archive_write_entries(&again, second, (enum pkg_format)format, NULL, &e), 0);
        assert_int_equal(rel_read_file(AT_FDCWD, p->tar, 1 << 20, &one, &one_n, &e), 0);
        assert_int_equal(rel_read_file(AT_FDCWD, second, 1 << 20, &two, &two_n, &e), 0);
        assert_int_equal(one_n, two_n);
        assert_memory_equal(one, two, one_n);
        free(rel_steal(&one));
        free(rel_steal(&two));
        assert_int_equal(pkg_archive_unpack(p->tar, p->out, NULL, NULL, &e), 0);
        assert_int_equal(rel_read_file(AT_FDCWD, z, 100, &text, &len, &e), 0);
        /* "z" is there twice with a content each: the later one, an overlay, has won */
        assert_string_equal(text, "later");
        free(rel_steal(&text));
        assert_int_equal(rel_remove_tree(AT_FDCWD, p->out, &e), 0);
    }
}

static void a_tree_comes_back_as_it_was(void **state)
{
    struct place *p = *state;
    pkg_autoentries struct pkg_entries es = {0};
    rel_autofree char *tree = rel_strf("%s/tree", p->dir), *link = rel_strf("%s/l", p->out);
    rel_autofree char *bin = rel_strf("%s/bin/a", p->out), *empty = rel_strf("%s/empty", p->out);
    struct rel_err e = {0};
    struct stat st;
    char to[8] = "";

    fill(&es, false);
    assert_int_equal(mkdir(tree, 0755), 0);
    assert_int_equal(pkg_entries_write_tree(&es, tree, NULL, &e), 0);
    assert_int_equal(pkg_archive_write(tree, p->tar, NULL, &e), 0);
    assert_int_equal(pkg_archive_unpack(p->tar, p->out, NULL, NULL, &e), 0);
    assert_int_equal(readlink(link, to, sizeof(to)), 1);
    assert_int_equal(stat(bin, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_true(rel_is_dir(AT_FDCWD, empty));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(evil_entries_are_refused),
        TEST(good_entries_are_taken),
        TEST(what_is_cut_off_is_refused),
        TEST(limits_hold),
        TEST(the_same_entries_give_the_same_bytes),
        TEST(a_tree_comes_back_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
