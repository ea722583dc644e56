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

/* One byte at a time, for as long as anybody listens. */
static void *drip(void *arg)
{
    struct server *s = arg;
    rel_autoclose int fd = accept(s->fd, NULL, NULL);
    struct rel_err e = {0};
    char request[4096];

    if (fd < 0 || read(fd, request, sizeof(request)) <= 0 ||
        rel_write_all(fd, s->answer, strlen(s->answer), &e) < 0)
        return NULL;
    while (send(fd, "x", 1, MSG_NOSIGNAL) == 1)
        usleep(50000);
    return NULL;
}

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

static void server_begin(struct server *s, const char *host, void *(*how)(void *),
                         const char *answer)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(host)};
    socklen_t len = sizeof(a);

    s->answer = answer;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(s->fd, 1), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &len), 0);
    s->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, how, s), 0);
}

static void server_start(struct server *s, const char *answer)
{
    server_begin(s, "127.0.0.1", serve, answer);
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

    if (sup_fetch(url, path, &sup_fetch_pace_default, &e) < 0)
        fail_msg("%s", e.msg);
    assert_int_equal(rel_read_file(AT_FDCWD, path, 4096, &text, &len, &e), 0);
    assert_string_equal(text, want);
    assert_int_equal(unlink(path), 0);
}

static void fails(void **state, const char *url, enum rel_code code, const char *message)
{
    rel_autofree char *path = rel_strf("%s/got", (char *)*state);
    struct rel_err e = {0};

    assert_int_equal(sup_fetch(url, path, &sup_fetch_pace_default, &e), -1);
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

/* The proxy would see it, and could answer in its place. */
static void this_host_is_asked_past_any_proxy(void **state)
{
    static const char *const names[] = {"http_proxy", "all_proxy", "ALL_PROXY"};
    struct server s, proxy;
    rel_autofree char *url = NULL, *of_proxy = NULL;

    server_start(&proxy, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    of_proxy = rel_strf("http://127.0.0.1:%d", proxy.port);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        setenv(names[i], of_proxy, 1);
        server_begin(&s, "127.0.0.5", serve, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
        url = rel_strf("http://127.0.0.5:%d/x", s.port);
        fetches(state, url, "abc");
        server_end(&s);
        free(rel_steal(&url));
        unsetenv(names[i]);
    }
    server_end(&proxy);
}

static void who_only_drips_is_not_waited_for(void **state)
{
    static const struct sup_fetch_pace pace = {.bytes_s = 1024, .patience_s = 2};
    rel_autofree char *path = rel_strf("%s/got", (char *)*state), *url = NULL;
    struct rel_err e = {0};
    struct server s;

    server_begin(&s, "127.0.0.1", drip, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
    url = rel_strf("http://127.0.0.1:%d/x", s.port);
    assert_int_equal(sup_fetch(url, path, &pace, &e), -1);
    assert_int_equal(e.code, REL_E_TIMEOUT);
    assert_non_null(strstr(e.msg, "1024 bytes/sec"));
    assert_int_equal(access(path, F_OK), -1);
    server_end(&s);
}

static void no_secret_of_a_url_is_told(void **state)
{
    rel_autofree char *path = rel_strf("%s/got", (char *)*state);
    struct rel_err e = {0};

    assert_int_equal(sup_fetch("http://me:hush@192.0.2.1/x.tar.gz?Signature=hush", path,
                               &sup_fetch_pace_default, &e),
                     -1);
    assert_null(strstr(e.msg, "hush"));
    assert_non_null(strstr(e.msg, "http://192.0.2.1/x.tar.gz"));
}

static void what_is_shown_has_no_secret(void **state)
{
    static const struct {
        const char *release, *shown;
    } some[] = {
        {"/srv/a@b?c.tar.gz", "/srv/a@b?c.tar.gz"},
        {"https://x.example/a.tar.gz", "https://x.example/a.tar.gz"},
        {"https://x.example:8443/@scope/a", "https://x.example:8443/@scope/a"},
        {"https://me:hush@x.example/a?X-Sig=hush#hush", "https://x.example/a"},
        {"https://me:hu@sh@x.example", "https://x.example"},
        {"https://hush@[::1]:80/a", "https://[::1]:80/a"},
        {"https://x.example?hush", "https://x.example"},
        {"https://me:hu/sh@x.example/a", "the URL"},
        {"https://me:12#hush@x.example/a", "https://me:12"},
        {"https://me:hu\\sh@x.example/a", "https://x.example/a"},
        {"file:///srv/a.tar.gz", "file:///srv/a.tar.gz"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(some) / sizeof(*some); i++) {
        rel_autofree char *shown = sup_shown_release(some[i].release);

        assert_string_equal(shown, some[i].shown);
    }
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
        cmocka_unit_test(what_is_shown_has_no_secret),
        cmocka_unit_test(this_host_is_asked_past_any_proxy),
        cmocka_unit_test(who_only_drips_is_not_waited_for),
        cmocka_unit_test(urls_are_told_from_paths),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
