/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include "base/rel_io.h"
#include "supervisor/sup_fetch.h"

/* Answers one connection with the given bytes. */
struct server {
    int fd, port;
    const char *answer;
    pthread_t thread;
};

static void *serve(void *arg)
{
    struct server *s = arg;
    rel_autoclose int fd = accept(s->fd, NULL, NULL);
    struct rel_err e = {0};
    char request[4096];

    if (fd >= 0 && read(fd, request, sizeof(request)) > 0 &&
        rel_write_all(fd, s->answer, strlen(s->answer), &e) == 0)
        shutdown(fd, SHUT_WR);
    while (fd >= 0 && read(fd, request, sizeof(request)) > 0)
        ;
    return NULL;
}

static void server_start(struct server *s, const char *answer)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);

    s->answer = answer;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(s->fd, 1), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &len), 0);
    s->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_end(struct server *s)
{
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
}

static int make_dir(void **state)
{
    static char dir[64];

    strcpy(dir, "/tmp/test_sup_fetch.XXXXXX");
    *state = mkdtemp(dir);
    return *state ? 0 : -1;
}

static int remove_dir(void **state)
{
    struct rel_err e = {0};

    return rel_remove_tree(AT_FDCWD, *state, &e);
}

static void fetches(void **state, const char *url, const char *want)
{
    rel_autofree char *path = rel_strf("%s/got", (char *)*state);
    rel_autofree char *text = NULL;
    struct rel_err e = {0};
    size_t len;

    if (sup_fetch(url, path, &e) < 0)
        fail_msg("%s", e.msg);
    assert_int_equal(rel_read_file(AT_FDCWD, path, 4096, &text, &len, &e), 0);
    assert_string_equal(text, want);
    assert_int_equal(unlink(path), 0);
}

static void fails(void **state, const char *url, enum rel_code code, const char *message)
{
    rel_autofree char *path = rel_strf("%s/got", (char *)*state);
    struct rel_err e = {0};

    assert_int_equal(sup_fetch(url, path, &e), -1);
    assert_int_equal(e.code, code);
    assert_non_null(strstr(e.msg, message));
    assert_int_equal(access(path, F_OK), -1);
}

static void a_file_is_fetched(void **state)
{
    rel_autofree char *from = rel_strf("%s/from", (char *)*state);
    rel_autofree char *url = rel_strf("file://%s", from);
    struct rel_err e = {0};

    assert_int_equal(rel_replace_file(AT_FDCWD, from, "abc", 3, 0644, &e), 0);
    fetches(state, url, "abc");
    assert_int_equal(unlink(from), 0);
    fails(state, url, REL_E_INPUT, "from");
}

static void http_is_for_this_host(void **state)
{
    struct server s;
    rel_autofree char *url = NULL;

    server_start(&s, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
    url = rel_strf("http://127.0.0.1:%d/x", s.port);
    fetches(state, url, "abc");
    server_end(&s);
    fails(state, url, REL_E_UNREACHABLE, "127.0.0.1");
    fails(state, "http://192.0.2.1/x.tar.gz", REL_E_INPUT, "use https");
    fails(state, "http://127.example.com/x.tar.gz", REL_E_INPUT, "use https");
    fails(state, "ftp://127.0.0.1/x", REL_E_INPUT, "ftp");
}

static void an_answer_that_is_no_file_is_refused(void **state)
{
    static const struct {
        const char *answer;
        enum rel_code code;
        const char *message;
    } bad[] = {
        {"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nabc", REL_E_INPUT, "404"},
        {"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/y\r\nContent-Length: 0\r\n\r\n",
         REL_E_INPUT, "http"},
        {"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n",
         REL_E_INPUT, "file"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 9999999999999\r\n\r\nabc", REL_E_INPUT, "file size"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", REL_E_UNREACHABLE, "remaining"},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct server s;
        rel_autofree char *url = NULL;

        server_start(&s, bad[i].answer);
        url = rel_strf("http://127.0.0.1:%d/x", s.port);
        fails(state, url, bad[i].code, bad[i].message);
        server_end(&s);
    }
}

static void no_secret_of_a_url_is_told(void **state)
{
    rel_autofree char *path = rel_strf("%s/got", (char *)*state);
    struct rel_err e = {0};

    assert_int_equal(sup_fetch("http://me:hush@192.0.2.1/x.tar.gz?Signature=hush", path, &e), -1);
    assert_null(strstr(e.msg, "hush"));
    assert_non_null(strstr(e.msg, "http://192.0.2.1/x.tar.gz"));
}

static void urls_are_told_from_paths(void **state)
{
    (void)state;
    assert_true(sup_is_url("https://x/y"));
    assert_true(sup_is_url("http://x/y"));
    assert_true(sup_is_url("file:///y"));
    assert_false(sup_is_url("y.tar.gz"));
    assert_false(sup_is_url("/https://x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_fetched),
        cmocka_unit_test(http_is_for_this_host),
        cmocka_unit_test(an_answer_that_is_no_file_is_refused),
        cmocka_unit_test(no_secret_of_a_url_is_told),
        cmocka_unit_test(urls_are_told_from_paths),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
